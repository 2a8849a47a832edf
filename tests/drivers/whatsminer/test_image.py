"""Firmware files: the part for this control board, or a refusal before anything is sent."""

from __future__ import annotations

import io
import struct

import pytest

from contract.errors import BadFirmwareError
from drivers.whatsminer.protocol.image import HEADER_BYTES, select
from simulator.whatsminer import firmware as images

VERSION = "20270312.16.REL"


def chosen(data: bytes, platform: str | None) -> bytes:
    region = select(io.BytesIO(data), len(data), platform)
    return data[region.offset : region.offset + region.size]


@pytest.mark.parametrize("platform", ["H616", "h6os", "H6", "h3"])
def test_of_a_package_only_the_part_for_this_control_board_goes(platform: str) -> None:
    package = images.build_package("h616", VERSION)
    assert chosen(package, platform) == images.build_image(platform.lower(), VERSION)


def test_a_file_for_one_board_goes_whole() -> None:
    image = images.build_image("h616", VERSION)
    assert chosen(image, "H616") == image
    assert chosen(image, None) == image


def test_a_board_that_the_package_does_not_know_is_refused() -> None:
    with pytest.raises(BadFirmwareError, match=r"H9.*h3, h6, h616"):
        chosen(images.build_package("h616", VERSION), "H9")


def test_a_miner_that_does_not_tell_its_board_gets_no_package() -> None:
    with pytest.raises(BadFirmwareError, match="does not tell"):
        chosen(images.build_package("h616", VERSION), None)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>404 not found</html>" + b" " * 5000,
        b'  {"error": "no such file"}' + b" " * 5000,
        b"\xab\xab\xab\xab" + bytes(20_000),
        b"PK\x03\x04" + bytes(20_000),
        bytes(900),
    ],
)
def test_what_is_no_firmware_is_refused(data: bytes) -> None:
    with pytest.raises(BadFirmwareError):
        chosen(data, "H616")


def test_a_package_cut_short_is_never_taken_for_one_image() -> None:
    package = images.build_package("h616", VERSION)
    for size in (len(package) - 1, HEADER_BYTES + 100, HEADER_BYTES + 5000):
        with pytest.raises(BadFirmwareError):
            chosen(package[:size], "H616")


def test_a_part_outside_of_the_file_is_damage() -> None:
    package = bytearray(images.build_package("h616", VERSION))
    struct.pack_into("<I", package, 24 + 32, len(package))
    with pytest.raises(BadFirmwareError, match="damaged"):
        chosen(bytes(package), "H616")


def test_two_different_parts_for_one_board_are_a_question_for_the_operator() -> None:
    package = bytearray(images.build_package("h616", VERSION))
    package[24 : 24 + 16] = b"h616".ljust(16, b"\0")
    with pytest.raises(BadFirmwareError, match="2 different parts"):
        chosen(bytes(package), "H616")
