"""Firmware files of AntMiners: which bytes of a file go to which miner.

A merged `.bmu` holds one image per control board; the vendor's web page cuts out the one that fits
and uploads only that, so we do too. Layout: nine little-endian 32-bit words (magic, version, header
size, item count, item size, data offset, crc32, two spare), then the items (four lengths, file
name, chip, control board, model, offset, size). The crc runs over the file with its own field zero.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterable
from typing import IO, Final

import msgspec

from contract.errors import BadFirmwareError
from drivers.protocol.image import ImageRegion

MAGIC: Final = b"\xab\xab\xab\xab"
IMAGE_MAGIC: Final = b"\x26"  # first byte of a single image
GZIP_MAGIC: Final = b"\x1f\x8b"  # the old generation takes a tar.gz

_HEADER: Final = struct.Struct("<9I")
_ITEM: Final = struct.Struct("<4B64s32s32s32sII")
_MAX_ITEMS: Final = 64
_MAX_ITEM_SIZE: Final = 4096
_CRC_AT: Final = 24
_BLOCK: Final = 1 << 20
# A platform name: the vendor's page lets it match every model.
_ANY_MODEL: Final = "Antminer BHB42XXX"


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One image inside a container."""

    filename: str
    chip: str
    hardware: str  # control board and hash board family, as `subtype` of the miner
    model: str
    offset: int
    size: int


def is_container(head: bytes) -> bool:
    """Whether a file that begins so is a merged container."""
    return head.startswith(MAGIC)


def read_items(head: bytes, file_size: int) -> tuple[Item, ...]:
    """The items of a container; `head` is its first bytes, at least `head_size` of them.

    Raises BadFirmwareError when the header does not fit the file.
    """
    if len(head) < _HEADER.size or not is_container(head):
        raise BadFirmwareError("the firmware file is cut short or is no merged container")
    _, _, header_size, count, item_size, _, _, _, _ = _HEADER.unpack_from(head)
    if not 0 < count <= _MAX_ITEMS or not _ITEM.size <= item_size <= _MAX_ITEM_SIZE:
        raise BadFirmwareError(
            f"the firmware container claims {count} images of {item_size} bytes each"
        )
    start = max(header_size, _HEADER.size)
    end = start + count * item_size
    if end > len(head):
        raise BadFirmwareError("the firmware container is shorter than its own index")
    items = tuple(_item(head, start + index * item_size) for index in range(count))
    for item in items:
        if not item.size or item.offset < end or item.offset + item.size > file_size:
            raise BadFirmwareError(
                f"the image {item.filename[:40]!r} lies outside the firmware container: the file is cut short"
            )
    return items


def check_crc(head: bytes, blocks: Iterable[bytes]) -> None:
    """Check a container's crc over all its bytes. Raises BadFirmwareError when the file is damaged."""
    stated = struct.unpack_from("<I", head, _CRC_AT)[0]
    crc = 0
    at = 0
    for block in blocks:
        data = block
        if at < _CRC_AT + 4:  # blank the field itself; it may straddle the first blocks
            copy = bytearray(block)
            for index in range(max(0, _CRC_AT - at), min(len(copy), _CRC_AT + 4 - at)):
                copy[index] = 0
            data = bytes(copy)
        crc = zlib.crc32(data, crc)
        at += len(block)
    if crc != stated:
        raise BadFirmwareError(
            "the firmware container's checksum is wrong: the file is damaged, download it again"
        )


def choose(items: tuple[Item, ...], miner_type: str, subtype: str) -> Item:
    """The image for a miner, by its `miner_type` and `subtype` (an `X` in either stands for any character).

    Raises BadFirmwareError when there is none, or when two different ones fit.
    """
    fitting = [each for each in items if _fits(each, miner_type, subtype)]
    if not fitting:
        held = ", ".join(sorted({f"{each.model} / {each.hardware}" for each in items}))
        raise BadFirmwareError(
            f"the firmware file has no image for {miner_type} / {subtype}; it holds {held[:300]}"
        )
    exact = [each for each in fitting if each.hardware == subtype and each.model == miner_type]
    best = exact or fitting
    if len({(each.offset, each.size) for each in best}) > 1:
        raise BadFirmwareError(
            f"the firmware file has {len(best)} different images for {miner_type} / {subtype}: "
            "use the file made for this control board"
        )
    return best[0]


def select(
    file: IO[bytes], file_size: int, miner_type: str | None, subtype: str | None
) -> ImageRegion:
    """Which bytes of an open firmware file go to this miner.

    A single image or an archive goes whole; of a container the fitting item. Reads the whole
    container once for its crc: call it in a thread. Raises BadFirmwareError.
    """
    file.seek(0)
    head = file.read(_HEADER.size + _MAX_ITEMS * _MAX_ITEM_SIZE)
    if not head:
        raise BadFirmwareError("the firmware file is empty")
    if not is_container(head):
        if not head.startswith((IMAGE_MAGIC, GZIP_MAGIC)):
            raise BadFirmwareError(
                "the file is no AntMiner firmware: neither a .bmu image or container nor a .tar.gz"
            )
        return ImageRegion(offset=0, size=file_size, name="firmware")
    items = read_items(head, file_size)
    file.seek(0)
    check_crc(head, iter(lambda: file.read(_BLOCK), b""))
    if miner_type is None or subtype is None:
        raise BadFirmwareError(
            "the file is a merged container and this miner does not tell its control board; "
            "use the single image made for it"
        )
    item = choose(items, miner_type, subtype)
    return ImageRegion(offset=item.offset, size=item.size, name=item.filename or "firmware")


def _item(head: bytes, at: int) -> Item:
    lengths_and_texts = _ITEM.unpack_from(head, at)
    lengths, texts = lengths_and_texts[:4], lengths_and_texts[4:8]
    filename, chip, hardware, model = (
        raw[:length].split(b"\x00")[0].decode("ascii", "replace")
        for raw, length in zip(texts, lengths, strict=True)
    )
    return Item(
        filename=filename,
        chip=chip,
        hardware=hardware,
        model=model,
        offset=lengths_and_texts[8],
        size=lengths_and_texts[9],
    )


def _fits(item: Item, miner_type: str, subtype: str) -> bool:
    model_fits = _alike(item.model, miner_type) or miner_type == _ANY_MODEL
    return model_fits and _alike(item.hardware, subtype)


def _alike(left: str, right: str) -> bool:
    return left == right or _wild(left, right) or _wild(right, left)


def _wild(pattern: str, text: str) -> bool:
    """`HHB68XXX` matches `HHB68701`: only a run of at least two X at the end of a word stands for digits."""
    runs = re.split(r"(X{2,}|x{2,})", pattern)
    if len(runs) == 1:
        return False
    regex = "".join(
        f"[0-9A-Za-z]{{{len(run)}}}" if index % 2 else re.escape(run)
        for index, run in enumerate(runs)
    )
    return re.fullmatch(regex, text) is not None
