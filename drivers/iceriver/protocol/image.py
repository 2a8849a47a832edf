"""Firmware files: one per model, encrypted, so that nothing inside tells what they are for. No I/O but reads of the
file.

Where the bytes say nothing the names have to: the name of the file, and the version that is promised with it.
"""

from __future__ import annotations

import re
from typing import BinaryIO, Final

import msgspec

from contract.errors import BadFirmwareError
from drivers.iceriver.models import MAKER, model_name, model_of, plain_name
from drivers.protocol.image import check_head

MOST_BYTES: Final = 100 * 1024 * 1024  # what the miner's own page lets through
LONGEST_NAME: Final = 64  # the device hands the name to a shell
_HEAD_BYTES: Final = 512
_TAR_MARK_AT: Final = 257
_TAR_MARK: Final = b"ustar"
_GZIP_MARK: Final = b"\x1f\x8b"
_PACKED_MARKS: Final = (b"Rar!", b"7z\xbc\xaf")
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")
_WORD: Final = re.compile(r"[A-Za-z0-9]+")
# `ks5L`, `KS0`, `AL3`, `ks3miner`: a line of products, a number, at most one letter.
_MODEL: Final = re.compile(r"(KS|AL|AE|RX)(\d{1,2})([A-Z]?)(PRO|ULTRA)?(MINER)?")
_QUALIFIERS: Final = ("PRO", "ULTRA")


class UploadImage(msgspec.Struct, frozen=True, kw_only=True):
    """A file that may go to the miner, and the name it goes by."""

    name: str
    size_bytes: int
    content_type: str


def check(file: BinaryIO, size: int, file_name: str) -> UploadImage:
    """What to send of a file of that name. Raises BadFirmwareError when it is no IceRiver firmware."""
    if size > MOST_BYTES:
        raise BadFirmwareError(
            f"the file has {size} bytes: IceRiver firmware has at most {MOST_BYTES}"
        )
    file.seek(0)
    head = file.read(_HEAD_BYTES)
    check_head(head, size, MAKER, foreign=_PACKED_MARKS)
    return UploadImage(
        name=sent_name(file_name),
        size_bytes=size,
        content_type=_content_type(head, file_name.lower()),
    )


def check_model(model: str, file_name: str, version: str | None) -> None:
    """Whether what the file is called, and the version promised of it, are of this model and of no other.

    A file for another model is refused by the miner or leaves it dead. Raises BadFirmwareError.
    """
    told = models_in(file_name) | models_in(version or "")
    own = plain_name(model)
    if not told:
        raise BadFirmwareError(
            f"nothing says which model the file {file_name[:100]!r} is for, and it is encrypted: give it a name with "
            f"the model in it as the maker does (for this miner {model}), or the version it brings as target_version"
        )
    if others := sorted(told - {own}):
        raise BadFirmwareError(
            f"the file {file_name[:100]!r} is for {', '.join(others)}, and this miner is a {model}: "
            "a file for another model may leave it dead"
        )


def models_in(text: str) -> frozenset[str]:
    """The models a name speaks of, in capitals and without blanks: `ICERIVER-KAS-KS3L-20230916.bgz` -> {KS3L}."""
    words = [word.upper() for word in _WORD.findall(text[:512])]
    found = set()
    for at, word in enumerate(words):
        match = _MODEL.fullmatch(word)
        if match is None:
            continue
        line, number, letter, qualifier = match.group(1, 2, 3, 4)
        following = words[at + 1] if at + 1 < len(words) else ""
        if qualifier is None:
            qualifier = following.removesuffix("MINER")
        found.add(f"{line}{number}{letter}{qualifier if qualifier in _QUALIFIERS else ''}")
    # Named as the miner names its own package, some models are mere numbers.
    package = model_name(None, text[:512].partition(".")[0])
    if package is not None and not found and model_of(package) is not None:
        found.add(plain_name(package))
    return frozenset(found)


def sent_name(file_name: str) -> str:
    """The name the file is sent under: plain characters, and not too many; its end is kept."""
    name = _UNSAFE.sub("_", file_name).lstrip(".-_")
    return name[-LONGEST_NAME:].lstrip(".-_") or "firmware.bgz"


def multipart(image: UploadImage, boundary: str) -> tuple[bytes, bytes, str]:
    """What goes before and after the file's bytes, and the content type of the whole."""
    line = f"--{boundary}"
    head = (
        f'{line}\r\nContent-Disposition: form-data; name="file"; filename="{image.name}"\r\n'
        f"Content-Type: {image.content_type}\r\n\r\n"
    )
    return (
        head.encode(),
        f"\r\n{line}--\r\n".encode(),
        f"multipart/form-data; boundary={boundary}",
    )


# --- private -------------------------------------------------------------------------------------


def _content_type(head: bytes, name: str) -> str:
    """The type as the miner's page wants it. Raises BadFirmwareError for a file it would not take."""
    if ".bgz" in name:
        return "application/octet-stream"  # encrypted: the name alone tells
    if name.endswith((".tar.gz", ".tgz", ".gz")) and head.startswith(_GZIP_MARK):
        return "application/x-gzip"
    if name.endswith(".tar") and head[_TAR_MARK_AT:].startswith(_TAR_MARK):
        return "application/x-tar"
    raise BadFirmwareError(
        f"{name[:100]!r} is not the kind of file this miner takes: its firmware comes as .bgz (or as .tar or .tar.gz)"
    )
