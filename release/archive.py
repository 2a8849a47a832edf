"""The one form of tar that a bundle has: plain files one after the other, each with the header that this module
writes.

A header is not interpreted but compared: all but name, size and time has to be, byte for byte, what we would have
written. So there are no links, devices, sparse files, extended headers or names in two forms, whatever a reader might
make of them.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from typing import Final, NamedTuple, Protocol

from release.refusals import Refusal, ReleaseRefusedError

BLOCK: Final = 512
CHUNK: Final = 256 * 1024
_END_MAX: Final = 20 * BLOCK  # tar fills up to records of that size
_NAME: Final = re.compile(rb"([A-Za-z0-9][A-Za-z0-9_.+-]{0,99})\0*")
_OCTAL: Final = re.compile(rb"([0-7]{11})\0")


class Source(Protocol):
    """Bytes in their order: as a file that is open for reading. Less than was asked for comes only at the end."""

    def read(self, size: int, /) -> bytes: ...


class ArchiveFile(NamedTuple):
    """A file of an archive: name, size in bytes, and its content in pieces, which has to be read to its end."""

    name: str
    size: int
    content: Iterator[bytes]


def header(name: str, size: int, mtime: int) -> bytes:
    """The block before a file of that size, changed at that time (seconds since 1970). ValueError for a name that is
    no plain one of at most 100 characters.
    """
    if not _NAME.fullmatch(name.encode()):
        raise ValueError(f"{name[:120]!r} is no plain name of at most 100 characters")
    info = tarfile.TarInfo(name)  # a plain file of root's, mode 0644
    info.size, info.mtime = size, mtime
    return info.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")


def padding(size: int) -> bytes:
    """What stands after a file of that size."""
    return bytes(-size % BLOCK)


def members(source: Source, *, most: int) -> Iterator[ArchiveFile]:
    """The files of an archive, at most that many, to its very end. Raises ReleaseRefusedError for every other form."""
    for _ in range(most + 1):
        block = _exactly(source, BLOCK)
        if block == bytes(BLOCK):
            _end(source)
            return
        name, size = _judged(block)
        yield ArchiveFile(name, size, _content(source, size))
        if _exactly(source, -size % BLOCK) != padding(size):
            raise _bad(f"something is hidden behind {name}")
    raise _bad(f"it holds more than {most} files")


def _judged(block: bytes) -> tuple[str, int]:
    """Name and size of a header that is one of ours."""
    name, size, mtime = (
        _NAME.fullmatch(block[:100]),
        _OCTAL.fullmatch(block[124:136]),
        _OCTAL.fullmatch(block[136:148]),
    )
    if name is None or size is None or mtime is None:
        raise _bad("a header has no plain name, or no size or time in octal digits")
    found = name[1].decode("ascii"), int(size[1], 8)
    if header(*found, int(mtime[1], 8)) != block:
        raise _bad(f"the header of {found[0]} is not that of a plain file")
    return found


def _content(source: Source, size: int) -> Iterator[bytes]:
    left = size
    while left:
        piece = _exactly(source, min(left, CHUNK))
        left -= len(piece)
        yield piece


def _exactly(source: Source, size: int) -> bytes:
    piece = source.read(size)
    if len(piece) != size:
        raise _bad("it ends early")
    return piece


def _end(source: Source) -> None:
    rest = source.read(_END_MAX + 1)
    if len(rest) < BLOCK or len(rest) > _END_MAX or any(rest) or len(rest) % BLOCK:
        raise _bad("something else than its end follows the last file")


def _bad(why: str) -> ReleaseRefusedError:
    return ReleaseRefusedError(
        Refusal.BAD_BUNDLE, f"the bundle is not an archive of a release: {why}"
    )
