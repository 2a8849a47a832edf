"""Firmware files: the part of a container that fits one control board."""

from __future__ import annotations

import io
import struct
import zlib

import pytest

from contract.errors import BadFirmwareError
from drivers.antminer.protocol import bmu

S21 = ("Antminer S21", "AMLCtrl_BHB68606")


def container(
    *items: tuple[str, str, bytes], item_size: int = 172, crc: int | None = None
) -> bytes:
    """A merged file of (model, hardware, content)."""
    start = 36 + item_size * len(items)
    index, data = b"", b""
    for model, hardware, content in items:
        texts = (f"{hardware}.bmu".encode(), b"chip", hardware.encode(), model.encode())
        row = struct.pack(
            "<4B64s32s32s32sII", *(len(t) for t in texts), *texts, start + len(data), len(content)
        )
        index += row.ljust(item_size, b"\0")
        data += content
    head = struct.pack("<9I", 0xABABABAB, 1, 36, len(items), item_size, start, 0, 0, 0)
    whole = head + index + data
    value = zlib.crc32(whole) if crc is None else crc
    return whole[:24] + struct.pack("<I", value) + whole[28:]


def select(data: bytes, miner_type: str | None = S21[0], subtype: str | None = S21[1]) -> bytes:
    region = bmu.select(io.BytesIO(data), len(data), miner_type, subtype)
    return data[region.offset : region.offset + region.size]


def test_the_item_of_this_control_board_is_cut_out() -> None:
    data = container(
        (S21[0], "CVCtrl_BHB68606", b"\x26 wrong board"),
        ("Antminer T21", S21[1], b"\x26 wrong model"),
        (*S21, b"\x26 right"),
    )
    assert select(data) == b"\x26 right"


def test_items_longer_than_known_are_read_by_their_stated_size() -> None:
    data = container(("Antminer T21", S21[1], b"\x26 no"), (*S21, b"\x26 yes"), item_size=200)
    assert select(data) == b"\x26 yes"


def test_an_x_in_the_board_family_stands_for_any_character() -> None:
    data = container(("Antminer S21 Hyd.", "AMLCtrl_HHB68XXX", b"\x26 any"))
    assert select(data, "Antminer S21 Hyd.", "AMLCtrl_HHB68701") == b"\x26 any"
    with pytest.raises(BadFirmwareError):
        select(data, "Antminer S21 Hyd.", "AMLCtrl_HHB69701")


def test_the_model_name_xp_is_no_wildcard() -> None:
    data = container(("Antminer S19 XP", "AMLCtrl_A", b"\x26"))
    with pytest.raises(BadFirmwareError):
        select(data, "Antminer S19 AP", "AMLCtrl_A")


def test_the_exact_item_goes_before_one_with_wildcards() -> None:
    data = container((S21[0], "AMLCtrl_BHB68XXX", b"\x26 any"), (*S21, b"\x26 exact"))
    assert select(data) == b"\x26 exact"


def test_two_different_items_that_fit_equally_are_refused() -> None:
    with pytest.raises(BadFirmwareError, match="different images"):
        select(container((*S21, b"\x26 one"), (*S21, b"\x26 two")))


def test_no_fitting_item_is_refused_and_says_what_there_is() -> None:
    with pytest.raises(BadFirmwareError, match="Antminer T21"):
        select(container(("Antminer T21", S21[1], b"\x26")))


def test_a_damaged_container_is_refused() -> None:
    data = bytearray(container((*S21, b"\x26" + bytes(5000))))
    data[-1] ^= 1
    with pytest.raises(BadFirmwareError, match="checksum"):
        select(bytes(data))


def test_a_container_cut_short_is_refused() -> None:
    data = container((*S21, b"\x26" + bytes(5000)))
    for size in (4, 35, 36, 100, 300, len(data) - 1):
        with pytest.raises(BadFirmwareError):
            select(data[:size])


def test_a_single_image_and_an_archive_go_whole() -> None:
    assert select(b"\x26 image", None, None) == b"\x26 image"
    assert select(b"\x1f\x8b archive", None, None) == b"\x1f\x8b archive"


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"<html>not found</html>"])
def test_what_is_no_firmware_is_refused(data: bytes) -> None:
    with pytest.raises(BadFirmwareError):
        select(data)


def test_a_container_is_refused_where_the_control_board_is_not_known() -> None:
    with pytest.raises(BadFirmwareError, match="control board"):
        select(container((*S21, b"\x26")), None, None)


def test_the_crc_does_not_depend_on_how_the_file_is_read() -> None:
    data = container((*S21, b"\x26" + bytes(range(256))))
    for size in (1, 5, 24, 25, 26, 27, 28, 29, 4096):
        bmu.check_crc(data[:36], [data[at : at + size] for at in range(0, len(data), size)])
