"""In which order a sweep asks its addresses, and which of them it comes back to. Nothing here lists addresses."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from contract.ranges import Range

_SUBNET: Final = 256


class SweepOrder:
    """Addresses as numbers, each once and always in the same order: the known ones, then one of each /24 by turns, so
    that no switch and no router is asked for all of its own at once.
    """

    def __init__(self, spans: Iterable[Range], known: Iterable[int] = ()) -> None:
        held = sorted(spans)
        self._blocks = [block for span in held for block in _subnets(span)]
        # in order, and found at once
        self._known = dict.fromkeys(each for each in known if _is_within(held, each))

    def __iter__(self) -> Iterator[int]:
        known = self._known
        yield from known
        turn, blocks = 0, self._blocks
        while blocks:
            for first, _ in blocks:
                if first + turn not in known:
                    yield first + turn
            turn += 1
            blocks = [block for block in blocks if block[0] + turn <= block[1]]


class Marks:
    """A bit for each place in an order."""

    def __init__(self, places: int) -> None:
        self._bits = bytearray((places + 7) // 8)
        self.number = 0

    def add(self, place: int) -> None:
        """Mark one that is not marked."""
        self._bits[place >> 3] |= 1 << (place & 7)
        self.number += 1

    def of(self, order: Iterable[int]) -> Iterator[int]:
        """Those of the order that are marked."""
        bits = self._bits
        for place, number in enumerate(order):
            if bits[place >> 3] >> (place & 7) & 1:
                yield number


def _is_within(spans: Sequence[Range], number: int) -> bool:
    place = bisect_right(spans, number, key=lambda span: span.first)
    return place > 0 and number <= spans[place - 1].last


def _subnets(span: Range) -> Iterator[tuple[int, int]]:
    first = span.first
    while first <= span.last:
        last = min(span.last, first | (_SUBNET - 1))
        yield first, last
        first = last + 1
