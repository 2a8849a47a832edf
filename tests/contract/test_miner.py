"""What a miner is, and what one look at it shows."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.miner import Firmware, Make, Moving, Reading, Static, normalize_mac

AT = datetime(2026, 11, 21, 18, 55, tzinfo=UTC)
# Unicast, and neither all zeros nor all ones.
macs = st.binary(min_size=6, max_size=6).filter(lambda raw: any(raw) and not raw[0] & 1)


@given(macs, st.sampled_from(("", ":", "-")), st.booleans())
def test_a_mac_has_one_spelling_whoever_writes_it(raw: bytes, between: str, upper: bool):
    written = between.join(f"{byte:02x}" for byte in raw)
    normal = ":".join(f"{byte:02X}" for byte in raw)
    assert normalize_mac(f" {written.upper() if upper else written} ") == normal
    assert normalize_mac(normal) == normal


@given(macs)
def test_the_spelling_with_dots_is_read_too(raw: bytes):
    digits = raw.hex()
    assert normalize_mac(f"{digits[:4]}.{digits[4:8]}.{digits[8:]}") is not None


@pytest.mark.parametrize(
    "wrong",
    [
        None, "", " ", "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", "02:11:22:33:44",
        "02:11:22:33:44:5", "02:11:22:33:44:55:66", "0g:11:22:33:44:55", "unknown", "０２１１２２３３４４５５",
    ],
)  # fmt: skip
def test_what_is_no_address_of_one_device_is_none(wrong: str | None):
    assert normalize_mac(wrong) is None


@given(st.text(max_size=30))
def test_whatever_a_miner_says_is_a_mac_or_none(said: str):
    found = normalize_mac(said)
    assert found is None or normalize_mac(found) == found


@pytest.mark.parametrize(
    ("rate", "ideal", "hashes"),
    [
        (None, None, None),
        (None, 1e14, None),
        (0.0, None, False),
        (1.0, None, True),
        (5e12, 1e14, False),
        (5.1e12, 1e14, True),
    ],
)
def test_a_miner_hashes_above_a_twentieth_of_its_ideal_rate(
    rate: float | None, ideal: float | None, hashes: bool | None
):
    static = Static(make=Make.ANTMINER, hashrate_ideal_hs=ideal)
    assert Reading(read_at=AT, moving=Moving(hashrate_hs=rate), static=static).is_hashing is hashes


def test_without_its_ideal_rate_any_rate_is_hashing():
    assert Reading(read_at=AT, moving=Moving(hashrate_hs=1.0)).is_hashing is True


def test_a_reading_survives_json_and_absent_figures_are_not_sent():
    reading = Reading(read_at=AT, moving=Moving(hashrate_hs=1e14, fan_rpm=(5040, 5100)))
    text = msgspec.json.encode(reading)
    assert msgspec.json.decode(text, type=Reading) == reading
    assert b"power_w" not in text
    assert b"null" not in text


def test_a_reading_cannot_be_changed():
    moving = Moving(hashrate_hs=1.0)
    with pytest.raises(AttributeError):
        moving.hashrate_hs = 2.0  # type: ignore[misc]


def test_a_firmware_of_a_newer_side_is_one_of_the_others():
    told = b'{"make":"Bitmain","firmware":"born tomorrow"}'
    assert msgspec.json.decode(told, type=Static).firmware is Firmware.OTHER
    assert Firmware("chipless") is Firmware.CHIPLESS


def test_a_rate_in_doubt_is_no_rate_and_yet_hashing():
    doubtful = Moving(hashrate_doubt="1 TH/s and 1 GH/s")
    assert doubtful.hashes
    assert Reading(read_at=AT, moving=doubtful).is_hashing is True
    assert not Moving(hashrate_hs=0.0).hashes
    assert not Moving().hashes
    assert Reading(read_at=AT, moving=Moving()).is_hashing is None
