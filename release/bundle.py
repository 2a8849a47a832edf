"""A bundle: one uncompressed tar with `manifest.json` first and then the wheels that it names, in its order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from release.archive import BLOCK, CHUNK, ArchiveFile, Source, header, members, padding
from release.manifest import MANIFEST, MANIFEST_BYTES, WHEELS_MAX, Manifest, Wheel, read_manifest
from release.refusals import Refusal, ReleaseRefusedError

BUNDLE_BYTES: Final = 512 * 1024 * 1024


def check_bundle(source: Source, into: Path | None = None) -> Manifest:
    """Read a bundle to its end, in pieces of 256 KiB, and compare every wheel with the manifest; with `into`, put the
    wheels into that folder. Raises ReleaseRefusedError for all that is not exactly a bundle: what is in the folder then
    is worth nothing. The file's own reading may raise OSError.
    """
    found = members(source, most=WHEELS_MAX + 1)
    manifest = _first(found)
    if sum(each.size for each in manifest.wheels) > BUNDLE_BYTES:
        raise _bad(f"its wheels have over {BUNDLE_BYTES} bytes")
    for wheel in manifest.wheels:
        member = next(found, None)
        if member is None or (member.name, member.size) != (wheel.file, wheel.size):
            raise _bad(f"{wheel.file} does not stand where the manifest has it, with its size")
        digest = hashlib.sha256()
        with nullcontext() if into is None else (into / wheel.file).open("xb") as out:
            for piece in member.content:
                digest.update(piece)
                if out is not None:
                    out.write(piece)
        if digest.hexdigest() != wheel.sha256:
            raise _bad(f"{wheel.file} is not the file of the manifest")
    if (extra := next(found, None)) is not None:
        raise _bad(f"it holds {extra.name}, which the manifest does not name")
    return manifest


def wheel_of(path: Path) -> Wheel:
    """What a manifest says of the file. Raises OSError; a name or size that no manifest takes shows when it is read."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Wheel(file=path.name, sha256=digest, size=path.stat().st_size)


def write_bundle(out: BinaryIO, manifest: Manifest, wheels: Path) -> None:
    """Write the bundle of that manifest, whose wheels lie in the folder; the same bytes for the same manifest. Raises
    ReleaseRefusedError for a manifest or a wheel that `check_bundle` would not take, OSError.
    """
    data = msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"
    read_manifest(data)
    mtime = int(manifest.built_at.timestamp())
    _write(out, MANIFEST, len(data), mtime, [data])
    for wheel in manifest.wheels:
        path = wheels / wheel.file
        if wheel_of(path) != wheel:
            raise _bad(f"{wheel.file} is not the file of the manifest")
        with path.open("rb") as file:
            _write(out, wheel.file, wheel.size, mtime, iter(lambda: file.read(CHUNK), b""))
    out.write(bytes(2 * BLOCK))


def _write(
    out: BinaryIO, name: str, size: int, mtime: int, pieces: Sequence[bytes] | Iterator[bytes]
) -> None:
    out.write(header(name, size, mtime))
    out.writelines(pieces)
    out.write(padding(size))


def _first(found: Iterator[ArchiveFile]) -> Manifest:
    member = next(found, None)
    if member is None or member.name != MANIFEST or member.size > MANIFEST_BYTES:
        raise _bad(f"it does not begin with {MANIFEST}")
    return read_manifest(b"".join(member.content))


def _bad(why: str) -> ReleaseRefusedError:
    return ReleaseRefusedError(Refusal.BAD_BUNDLE, f"the bundle is not whole: {why}")
