"""How every make's codecs are fuzzed: bytes that are spoilt, ways to read them, and the errors those may raise.

A make says of each place that bytes come from (`Source`) what good ones look like and how its driver reads them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.errors import MinerError
from tests.fuzz.mutations import mutants

Inputs = Callable[[int, int], Iterable[bytes]]


@dataclass(frozen=True)
class Way:
    """One way in which a driver reads bytes: `decode` may raise its documented `errors`, `use` of what it gave none.

    Both get the number of the input too, for what may vary beside the bytes.
    """

    decode: Callable[[bytes, int], Any]
    errors: tuple[type[MinerError], ...]
    use: Callable[[Any, int], object]

    def take(self, data: bytes, at: int) -> None:
        try:
            found = self.decode(data, at)
        except self.errors:
            return
        self.use(found, at)


@dataclass(frozen=True)
class Source:
    """Where bytes come from: `inputs` makes so many of a seed, and a driver reads each in all of the `ways`."""

    inputs: Inputs
    ways: tuple[Way, ...]

    def take(self, data: bytes, at: int) -> None:
        """Everything the driver would do with these bytes."""
        for way in self.ways:
            way.take(data, at)

    def shake(self, number: int, seed: int) -> None:
        """Take so many inputs; the same for the same `seed`."""
        for at, data in enumerate(self.inputs(number, seed)):
            self.take(data, at)


def spoilt_from(*seeds: bytes) -> Inputs:
    """Inputs that are mutants of good bytes."""
    return lambda number, seed: mutants(list(seeds), number, seed)


at_both_sizes = pytest.mark.parametrize(
    ("number", "seed"),
    [
        pytest.param(400, 1, id="some"),
        pytest.param(100_000, 2, id="a_hundred_thousand", marks=pytest.mark.slow),
    ],
)


def given_at_both_sizes(
    *wanted: Any, **named: Any
) -> Callable[[Callable[..., None]], Callable[[int], None]]:
    """As `hypothesis.given`; a tenth of the examples in every run, all of them in the slow suite."""

    def twice(check: Callable[..., None]) -> Callable[[int], None]:
        @pytest.mark.parametrize(
            "examples",
            [
                pytest.param(30, id="some"),
                pytest.param(300, id="three_hundred", marks=pytest.mark.slow),
            ],
        )
        def test(examples: int) -> None:
            settings(max_examples=examples, deadline=None)(given(*wanted, **named)(check))()

        test.__name__ = check.__name__
        return test

    return twice


def answer(decoder: Any, data: bytes, at: int) -> Any:
    """What a decoder makes of bytes that come in two pieces, cut anywhere, and of the end after them."""
    for piece in halves(data, at):
        if piece and (found := decoder.feed(piece)) is not None:
            return found
    return decoder.feed(b"")


def halves(data: bytes, at: int) -> tuple[bytes, bytes]:
    """The bytes in two pieces; where they are cut differs from number to number."""
    middle = (at * 37) % (len(data) + 1)
    return data[:middle], data[middle:]


T = TypeVar("T")


def check_comes_back(sent: T) -> None:
    """It can be sent, and comes back the same."""
    assert msgspec.json.decode(msgspec.json.encode(sent), type=type(sent)) == sent


def check_possible(*figures: float | None) -> None:
    """No figure that nothing in the world can have."""
    for figure in figures:
        assert figure is None or (math.isfinite(figure) and figure >= 0)


ANY: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


def spoilt(whole: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """The same keys; each value as it is, or any other."""
    return st.fixed_dictionaries({key: st.just(value) | ANY for key, value in whole.items()})
