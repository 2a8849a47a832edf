"""One wheel, read as if a stranger had made it: its index is bounded before it is read, every name is a plain one, and
every file is what the wheel's own RECORD says.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import os
import re
import stat
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Final
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import msgspec

_INDEX_BYTES: Final = 4 * 1024 * 1024  # what a zip says of its files is read as a whole
_RECORD_BYTES: Final = 2 * 1024 * 1024
_CHUNK: Final = 256 * 1024
# The last bytes of a zip: disks, how many files, how long the index is and where it begins, how long a comment is.
_END: Final = struct.Struct("<4s4H2LH")
_END_MARK: Final = b"PK\x05\x06"
# Stands before that end in archives beyond 4 GiB, and is believed in its place.
_LARGE_MARK: Final = b"PK\x06\x07"
_LARGE_BYTES: Final = 20
_ENCRYPTED: Final = 0x1
_PART: Final = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9_.][A-Za-z0-9_.+-]{0,99}")
_PARTS_MOST: Final = 16


class BadWheelError(Exception):
    """The wheel is not taken; the message names it, and says why."""


class WheelFile(msgspec.Struct, frozen=True):
    """A file of a wheel, as its RECORD has it."""

    path: PurePosixPath
    size_bytes: int
    sha256: bytes | None  # of RECORD itself there is none
    entry: ZipInfo


class OpenWheel:
    """A wheel that is open, whose index agrees with its RECORD. What is in a file is compared as it is read."""

    def __init__(self, archive: ZipFile, name: str) -> None:
        """Raises BadWheelError, and what `opened` makes one of."""
        self._archive = archive
        self._name = name
        # as its folders begin: `name-version`
        self.own = "-".join(name.split("-")[:2])
        entries: dict[str, ZipInfo] = {}
        for each in archive.infolist():
            self._check(each)
            if each.is_dir():
                continue
            if each.filename in entries:
                raise self.bad(f"{each.filename} is in it twice")
            entries[each.filename] = each
        self.files = tuple(self._recorded(entries))

    def bad(self, why: str) -> BadWheelError:
        """To be raised."""
        return BadWheelError(f"{self._name}: {why}")

    def content(self, file: WheelFile) -> Iterator[bytes]:
        """In pieces, which have to be taken to the end. Raises BadWheelError where it is not what RECORD says."""
        digest, left = hashlib.sha256(), file.size_bytes
        with self._archive.open(file.entry) as source:
            while piece := source.read(_CHUNK):
                left -= len(piece)
                digest.update(piece)
                yield piece
        if left != 0 or file.sha256 not in (None, digest.digest()):
            raise self.bad(f"{file.path} is not the file of its RECORD")

    def _check(self, entry: ZipInfo) -> None:
        parts = entry.filename.removesuffix("/").split("/")
        if len(parts) > _PARTS_MOST or not all(map(_PART.fullmatch, parts)):
            raise self.bad(f"{entry.filename[:200]!r} is no plain name")
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFDIR if entry.is_dir() else stat.S_IFREG):
            raise self.bad(f"{entry.filename} is a link or a device")
        packed = entry.compress_type in (ZIP_STORED, ZIP_DEFLATED)
        if not packed or entry.flag_bits & _ENCRYPTED:
            raise self.bad(f"{entry.filename} is packed in a way that wheels are not")

    def _recorded(self, entries: dict[str, ZipInfo]) -> Iterator[WheelFile]:
        """Each file with its line of RECORD."""
        record = f"{self.own}.dist-info/RECORD"
        if record not in entries or entries[record].file_size > _RECORD_BYTES:
            raise self.bad(f"it has no {record} of at most {_RECORD_BYTES} bytes")
        lines = self._archive.read(entries[record]).decode("utf-8").splitlines()
        rows = {name: (digest, size) for name, digest, size in csv.reader(lines, strict=True)}
        if rows.keys() != entries.keys() or len(rows) != len(lines):
            raise self.bad("its RECORD does not name each of its files once, and nothing else")
        for name, entry in entries.items():
            digest, size = rows[name]
            sha256 = None if name == record else self._sha256(name, digest)
            if sha256 is not None and int(size) != entry.file_size:
                raise self.bad(f"{name} is not as long as its RECORD says")
            yield WheelFile(PurePosixPath(name), entry.file_size, sha256, entry)

    def _sha256(self, name: str, digest: str) -> bytes:
        way, _, text = digest.partition("=")
        found = base64.urlsafe_b64decode(f"{text}=")
        if way != "sha256" or len(found) != hashlib.sha256().digest_size:
            raise self.bad(f"{name} has no sha256 in its RECORD")
        return found


@contextmanager
def opened(path: Path) -> Iterator[OpenWheel]:
    """The wheel of that path. Raises BadWheelError, also for what is found in here; OSError."""
    try:
        with path.open("rb") as file:
            _check_index(path.name, file.fileno())
            with ZipFile(file) as archive:
                yield OpenWheel(archive, path.name)
    except (BadZipFile, zlib.error, EOFError, csv.Error, struct.error) as error:
        raise BadWheelError(f"{path.name} is no wheel: {error}") from None
    except (ValueError, NotImplementedError, RuntimeError) as error:
        # of what a zip or a RECORD may hold besides, that is no number, no text or of another kind
        raise BadWheelError(f"{path.name} is no wheel: {error}") from None


def _check_index(name: str, file: int) -> None:
    """What `ZipFile` reads as a whole, before it does."""
    size = os.fstat(file).st_size
    if size < _END.size:
        raise BadWheelError(f"{name} is too short for a wheel")
    start = max(0, size - _END.size - _LARGE_BYTES)
    last = os.pread(file, size - start, start)
    mark, *_, index_bytes, index_at, comment_bytes = _END.unpack(last[-_END.size :])
    if mark != _END_MARK or comment_bytes or last.startswith(_LARGE_MARK):
        raise BadWheelError(f"{name} does not end as a wheel does")
    if index_bytes > _INDEX_BYTES or index_at + index_bytes != size - _END.size:
        raise BadWheelError(
            f"{name} has an index of over {_INDEX_BYTES} bytes, or none where it has to be"
        )
