"""Firmware images: builders for tests and demos, and the check a device makes before it flashes.

A merged `.bmu` is a header of nine little-endian 32-bit words (magic, version, header size, number
of items, item size, data offset, CRC-32 of the file with this word zero, two reserved) and items of
172 bytes: the lengths of four texts (8 bit each), the texts in fields of 64 (file name), 32 (chip),
32 (control board) and 32 bytes (model), and offset and length of the part (32 bit each, offset from
the file's start). The content of a single image is signed and secret on real devices; here it is our own:
0x26, a JSON header with type and version, filler, and a SHA-256 in the place of the signature.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
import re
import struct
import tarfile
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Final

MERGED_MAGIC: Final = 0xABABABAB
_HEADER: Final = struct.Struct("<9I")
_ITEM: Final = struct.Struct("<4B64s32s32s32sII")
_SINGLE_MAGIC: Final = b"\x26BMSIM1\0"
_SIGNED_SINCE: Final = "201812010000"
_WEEKDAY_DATE: Final = re.compile(r"\w{3} (\w{3}) +(\d+) (\d\d):(\d\d):(\d\d) \w+ (\d{4})")
_FR_DATE: Final = re.compile(r"\((\d{6})-")


class AntminerImageError(Exception):
    """The device turns the image down; `code` is the exit code of its parser."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


@dataclass(frozen=True, slots=True)
class AntminerImage:
    """What an image says of itself."""

    miner_type: str
    subtype: str
    version: str


def build_image(miner_type: str, subtype: str, version: str, size: int = 4096) -> bytes:
    """A single image, as the device takes it; `version` is what it will show after its boot."""
    about = {"miner_type": miner_type, "subtype": subtype, "version": version}
    header = json.dumps(about).encode()
    filler = random.Random(f"{miner_type}{subtype}{version}").randbytes(size)
    content = _SINGLE_MAGIC + struct.pack("<I", len(header)) + header + filler
    return content + hashlib.sha256(content).digest()


def build_bmu(miner_type: str, subtype: str, version: str, size: int = 4096) -> bytes:
    """A merged container: the wanted image between two for other control boards."""
    board, _, family = subtype.partition("_")
    others = [name for name in ("BBCtrl", "CVCtrl", "zynq7007") if name != board][:2]
    subtypes = [f"{others[0]}_{family}", subtype, f"{others[1]}_{family}"]
    parts = [build_image(miner_type, kind, version, size) for kind in subtypes]
    offset = _HEADER.size + _ITEM.size * len(parts)
    items = b""
    for kind, part in zip(subtypes, parts, strict=True):
        name = f"{miner_type.replace(' ', '-')}-{kind}.bmu".encode()
        texts = (name[:64], b"BM1366", kind.encode(), miner_type.encode())
        items += _ITEM.pack(*(len(text) for text in texts), *texts, offset, len(part))
        offset += len(part)
    rest = items + b"".join(parts)
    data_offset = _HEADER.size + len(items)
    head = (MERGED_MAGIC, 1, _HEADER.size, len(parts), _ITEM.size, data_offset)
    crc = zlib.crc32(_HEADER.pack(*head, 0, 0, 0) + rest)
    return _HEADER.pack(*head, crc, 0, 0) + rest


def build_tar(miner_type: str, version: str, size: int = 4096, *, signed: bool = True) -> bytes:
    """An image of the old generation: a `.tar.gz` with its `runme.sh`."""
    run = b"#!/bin/sh\n# writes the partitions\n"
    about = json.dumps({"miner_type": miner_type, "version": version}).encode()
    filler = random.Random(f"{miner_type}{version}").randbytes(size)
    files = {"runme.sh": run, "fw.json": about, "minerfs.bin": filler}
    if signed:
        files["runme.sh.sig"] = hashlib.sha256(run + about + filler).digest()
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return gzip.compress(plain.getvalue(), mtime=0)


def next_version(current: str) -> str:
    """A version that the maker could bring out after `current`, in the same way of writing."""
    year = int(release_date(current)[:4] or "2020") + 1
    if current.startswith("FR-"):
        model = current.rpartition("-")[2].rstrip(")")
        return f"FR-9.1({year % 100:02}0301-{model})"
    return compile_time(f"{year}0301")


def check_image(data: bytes, *, miner_type: str, subtype: str, current: str) -> AntminerImage:
    """What the device's parser finds in an uploaded single image. Raises ImageError."""
    if data[:4] == struct.pack("<I", MERGED_MAGIC):
        raise AntminerImageError(3, "a merged container: the part was not cut out")
    if not data.startswith(_SINGLE_MAGIC) or len(data) < len(_SINGLE_MAGIC) + 36:
        raise AntminerImageError(2, "not an image")
    content, digest = data[:-32], data[-32:]
    if hashlib.sha256(content).digest() != digest:
        raise AntminerImageError(7, "the signature does not fit")
    (length,) = struct.unpack_from("<I", content, len(_SINGLE_MAGIC))
    start = len(_SINGLE_MAGIC) + 4
    image = AntminerImage(**json.loads(content[start : start + length]))
    if image.miner_type != miner_type or not subtype_fits(image.subtype, subtype):
        raise AntminerImageError(4, f"made for {image.miner_type} {image.subtype}")
    if release_date(image.version) <= isolate_time(current):
        raise AntminerImageError(9, f"{image.version} is older than this device takes")
    return image


def check_tar(data: bytes, *, miner_type: str, current: str) -> str:
    """The version in an uploaded `.tar.gz`. Raises ImageError."""
    try:
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(data))) as tar:
            files = {e.name: tar.extractfile(e) for e in tar.getmembers() if e.isfile()}
            content = {name: file.read() for name, file in files.items() if file is not None}
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise AntminerImageError(1, f"cannot be unpacked: {error}") from error
    if "runme.sh" not in content or "fw.json" not in content:
        raise AntminerImageError(1, "no runme.sh inside")
    about = json.loads(content["fw.json"])
    if about["miner_type"] != miner_type:
        raise AntminerImageError(1, f"made for {about['miner_type']}")
    if release_date(current) >= _SIGNED_SINCE:
        whole = content["runme.sh"] + content["fw.json"] + content.get("minerfs.bin", b"")
        if content.get("runme.sh.sig") != hashlib.sha256(whole).digest():
            raise AntminerImageError(1, "the signature does not fit")
        if release_date(about["version"]) < release_date(current):
            raise AntminerImageError(1, "older than the one installed")
    return str(about["version"])


def subtype_fits(image: str, device: str) -> bool:
    """True when the two name the same hardware; an X stands for any character."""
    return len(image) == len(device) and all(
        a == b or "X" in (a, b) for a, b in zip(image.upper(), device.upper(), strict=True)
    )


def release_date(version: str) -> str:
    """`YYYYMMDDhhmm` of a version: compile time, FR string or bare digits; "" when unreadable."""
    if version.isdigit():
        return version.ljust(12, "0")[:12]
    if found := _FR_DATE.search(version):
        return f"20{found.group(1)}0000"
    if found := _WEEKDAY_DATE.match(version):
        month, day, hour, minute, _, year = found.groups()
        when = datetime.strptime(f"{year} {month} {day}", "%Y %b %d").replace(tzinfo=UTC)
        return f"{when:%Y%m%d}{hour}{minute}"
    return ""


def isolate_time(current: str) -> str:
    """What an image must be newer than: the first day of the installed version's year."""
    return f"{release_date(current)[:4]}01010000"


@cache
def compile_time(version: str) -> str:
    """The CompileTime a build of that version shows."""
    if _WEEKDAY_DATE.match(version):
        return version
    digits = release_date(version)
    if not digits:
        return version
    when = datetime.strptime(digits[:8], "%Y%m%d").replace(tzinfo=UTC)
    return f"{when:%a %b} {when.day:2d} 18:55:45 CST {when:%Y}"
