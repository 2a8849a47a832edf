"""What is said of every address of a scan, in one byte each: a million addresses are a megabyte, and never a list."""

from __future__ import annotations

import itertools
import threading
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from ipaddress import IPv4Address
from typing import Final

import msgspec

from agent.ports import AddressVerdict
from contract.ranges import Range

_NOTHING: Final = 0  # the byte of an address of which nothing is said yet
_BYTES_MOST: Final = 256
_KINDS_MOST: Final = (
    240  # further ones are kept by their verdict alone, so that a byte is always enough
)


class Saying(msgspec.Struct, frozen=True):
    """What is said of an address; many share one. `verdict` is `None` while it is being found out who is there.
    `is_final`: the scan says nothing more of it.
    """

    verdict: AddressVerdict | None
    ports: tuple[int, ...] = ()
    note: str | None = None
    is_final: bool = True


IDENTIFYING: Final = Saying(None, is_final=False)


class Verdicts:
    """Of the addresses of some ranges. May be used from any thread."""

    def __init__(self, spans: tuple[Range, ...]) -> None:
        """`spans` are sorted and disjoint."""
        self._spans = spans
        self._firsts = [each.first for each in spans]
        sizes = [len(each) for each in spans]
        self._offsets = [0, *itertools.accumulate(sizes)]
        self._bytes = bytearray(self._offsets[-1])
        self._sayings: list[Saying] = [Saying(None, is_final=False)]  # by byte
        self._codes: dict[Saying, int] = {}
        self._counts: list[int] = [len(self._bytes)]  # addresses, by byte
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._bytes)

    def mark(self, number: int, saying: Saying) -> None:
        """Say this of the address of that number. Raises ValueError for one that is not meant."""
        place = self._place(number)
        with self._lock:
            code = self._codes.get(saying) or self._code(saying)
            before = self._bytes[place]
            self._bytes[place] = code
            self._counts[before] -= 1
            self._counts[code] += 1

    def mark_span(self, span: Range, saying: Saying) -> None:
        """Say it of all of these, which lie in one of the ranges, and of which nothing is said yet."""
        first, size = self._place(span.first), len(span)
        with self._lock:
            code = self._code(saying)
            self._bytes[first : first + size] = bytes((code,)) * size
            self._counts[_NOTHING] -= size
            self._counts[code] += size

    def forget(self, number: int) -> None:
        """Say nothing of it any more. Raises as `mark`."""
        place = self._place(number)
        with self._lock:
            self._counts[self._bytes[place]] -= 1
            self._counts[_NOTHING] += 1
            self._bytes[place] = _NOTHING

    def at(self, number: int) -> Saying | None:
        """What is said of it by now; `None` while it is nothing. Raises as `mark`."""
        code = self._bytes[self._place(number)]
        return None if code == _NOTHING else self._sayings[code]

    def is_final(self, number: int) -> bool:
        """Whether nothing more is to be said of it."""
        return self._sayings[self._bytes[self._place(number)]].is_final

    @property
    def unseen(self) -> int:
        """How many addresses nothing is said of yet."""
        return self._counts[_NOTHING]

    @property
    def identifying(self) -> int:
        """At how many it is being found out who is there."""
        return self._counts[code] if (code := self._codes.get(IDENTIFYING)) else 0

    @property
    def done(self) -> int:
        """Of how many nothing more is to be said."""
        with self._lock:
            pairs = zip(self._sayings, self._counts, strict=True)
            return sum(count for saying, count in pairs if saying.is_final)

    @property
    def halfway(self) -> int:
        """Of how many something is said, and more will be."""
        with self._lock:
            pairs = zip(self._sayings, self._counts, strict=True)
            return sum(n for said, n in pairs if said.verdict is not None and not said.is_final)

    def counts(self) -> dict[AddressVerdict, int]:
        """Addresses by verdict, those that may still answer left out."""
        found = dict.fromkeys(AddressVerdict, 0)
        with self._lock:
            for saying, count in zip(self._sayings, self._counts, strict=True):
                if saying.verdict is not None and saying.is_final:
                    found[saying.verdict] += count
        return found

    def runs(self) -> Iterator[tuple[Range, Saying]]:
        """All addresses of which something final is said, as few ranges, in order."""
        for span, offset in zip(self._spans, self._offsets, strict=False):
            first = span.first
            for code, run in itertools.groupby(self._bytes[offset : offset + len(span)]):
                size = sum(1 for _ in run)
                saying = self._sayings[code]
                if saying.is_final:
                    yield Range(first, first + size - 1), saying
                first += size

    def close(self, saying: Saying) -> None:
        """Nothing more will be found out: say this of the addresses that nothing is said of, and let what is said of
        the others stand.
        """
        with self._lock:
            code = self._code(saying)
            for open_code, each in enumerate(self._sayings):
                if each.is_final or not self._counts[open_code]:
                    continue
                held = each.verdict is not None
                final = self._code(msgspec.structs.replace(each, is_final=True)) if held else code
                self._bytes = self._bytes.replace(bytes((open_code,)), bytes((final,)))
                self._counts[final] += self._counts[open_code]
                self._counts[open_code] = 0

    def dump(self) -> tuple[bytes, bytes]:
        """All of it, to be kept: the addresses, and what their bytes say."""
        with self._lock:
            addresses, sayings = bytes(self._bytes), tuple(self._sayings)
        return zlib.compress(addresses, 1), msgspec.json.encode(sayings)

    def load(self, addresses: bytes, sayings: bytes) -> None:
        """Take up what was dumped of the same ranges: what is not final is asked again. Raises ValueError."""
        try:
            unpacked = zlib.decompressobj().decompress(addresses, len(self._bytes) + 1)
            said = msgspec.json.decode(sayings, type=list[Saying])
        except (zlib.error, msgspec.DecodeError) as error:
            raise ValueError(f"what was kept of a scan is damaged: {error}") from None
        if (
            len(unpacked) != len(self._bytes)
            or not max(unpacked, default=0) < len(said) <= _BYTES_MOST
        ):
            raise ValueError("what was kept of a scan is of other addresses")
        table = bytearray(range(256))
        for code, each in enumerate(said):
            table[code] = self._code(each) if each.is_final else _NOTHING
        with self._lock:
            self._bytes = bytearray(unpacked.translate(bytes(table)))
            self._counts = [self._bytes.count(code) for code in range(len(self._sayings))]

    def _place(self, number: int) -> int:
        index = bisect_right(self._firsts, number) - 1
        if index < 0 or number > self._spans[index].last:
            raise ValueError(f"{IPv4Address(number)} is not among the addresses of this scan")
        return self._offsets[index] + number - self._firsts[index]

    def _code(self, saying: Saying) -> int:
        """The byte that stands for it."""
        code = self._codes.get(saying)
        if code is None:
            if len(self._sayings) >= _KINDS_MOST and (saying.ports or saying.note):
                return self._code(Saying(saying.verdict, is_final=saying.is_final))
            code = self._codes[saying] = len(self._sayings)
            self._sayings.append(saying)
            self._counts.append(0)
        return code
