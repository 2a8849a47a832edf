"""The firmware container under damaged bytes: BadFirmwareError or a region inside the file, nothing else."""

from __future__ import annotations

import io
import random
import struct
import zlib

import pytest
from hypothesis import strategies as st

from contract.errors import BadFirmwareError
from drivers.antminer.protocol import bmu
from tests.fuzz.harness import given_at_both_sizes

MODEL, BOARD = "Antminer S21", "AMLCtrl_BHB68606"


def container(count: int, chance: random.Random) -> bytes:
    start = 36 + 172 * count
    index, data = b"", b""
    for number in range(count):
        content = b"\x26" + chance.randbytes(50)
        board = BOARD if number == 1 else f"CVCtrl_{number}"
        texts = (b"name.bmu", b"chip", board.encode(), MODEL.encode())
        index += struct.pack(
            "<4B64s32s32s32sII", *map(len, texts), *texts, start + len(data), len(content)
        )
        data += content
    head = struct.pack("<9I", 0xABABABAB, 1, 36, count, 172, start, 0, 0, 0)
    return signed(head + index + data)


def signed(data: bytes) -> bytes:
    """With the checksum it should have, so that damage gets past it."""
    blank = data[:24] + bytes(4) + data[28:]
    return blank[:24] + struct.pack("<I", zlib.crc32(blank)) + blank[28:]


def take(data: bytes) -> None:
    try:
        region = bmu.select(io.BytesIO(data), len(data), MODEL, BOARD)
    except BadFirmwareError:
        return
    assert region.size > 0
    assert 0 <= region.offset <= region.offset + region.size <= len(data)


def shake(rounds: int, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(rounds):
        body = bytearray(container(chance.randint(1, 4), chance))
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(min(len(body), 800)) if body else 0
            if body and chance.random() < 0.5:
                body[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
            else:
                del body[at : at + chance.randint(1, 100)]
        take(signed(bytes(body)) if len(body) > 36 and chance.random() < 0.9 else bytes(body))


def test_damaged_containers_are_refused_or_cut_within_bounds() -> None:
    shake(3_000, 1)


@pytest.mark.slow
def test_a_hundred_thousand_damaged_containers_are_refused_or_cut_within_bounds() -> None:
    shake(100_000, 2)


@given_at_both_sizes(st.binary(max_size=600), st.booleans())
def test_any_bytes_are_refused_or_cut_within_bounds(data: bytes, is_container: bool) -> None:
    take(signed(bmu.MAGIC + data.ljust(40, b"\0")) if is_container else data)


@given_at_both_sizes(
    st.lists(st.integers(0, 2**32 - 1), min_size=8, max_size=8),
    st.binary(max_size=600),
)
def test_any_header_is_refused_or_cut_within_bounds(words: list[int], rest: bytes) -> None:
    take(signed(bmu.MAGIC + struct.pack("<8I", *words) + rest))
