"""The encoding of lengths has one spelling, and a reader takes no other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.subscription import bcs


@given(st.integers(0, 2**32 - 1))
def test_a_length_is_read_as_it_was_written(value: int) -> None:
    reader = bcs.Reader(bcs.uleb(value))
    assert reader.uleb() == value
    reader.end()


@pytest.mark.parametrize(
    ("value", "encoded"), [(0, "00"), (127, "7f"), (128, "8001"), (16384, "808001")]
)
def test_a_length_takes_seven_bits_a_byte(value: int, encoded: str) -> None:
    assert bcs.uleb(value).hex() == encoded


@pytest.mark.parametrize(
    "encoded", ["", "80", "8000", "ffffffff7f", "808080808001", "ffffffffff0f"]
)
def test_what_is_no_length_is_refused(encoded: str) -> None:
    with pytest.raises(ValueError):
        bcs.Reader(bytes.fromhex(encoded)).uleb()


@pytest.mark.parametrize("write", [bcs.u8, bcs.u16, bcs.u64, bcs.uleb])
def test_a_number_that_does_not_fit_is_refused(write: object) -> None:
    assert callable(write)
    for value in (-1, 2**64):
        with pytest.raises(OverflowError):
            write(value)


def test_values_follow_one_another() -> None:
    data = bcs.u8(1) + bcs.u16(515) + bcs.u64(2**40) + bcs.string("ä") + bcs.vector([bcs.u8(7)] * 2)
    reader = bcs.Reader(data)
    assert (reader.u8(), reader.u16(), reader.u64(), reader.string()) == (1, 515, 2**40, "ä")
    assert reader.vector(reader.u8) == [7, 7]
    reader.end()
    with pytest.raises(ValueError, match="missing"):
        reader.u8()
