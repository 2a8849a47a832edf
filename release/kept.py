"""The metadata that was believed last time, kept so that an older repository is recognised.

Losing it loses no more than that: the root that came with the installed release is what is trusted.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from release.trust import TARGETS_BYTES
from release.verification import BUNDLE, SIGNATURE, STAGED
from service.disk import DISK, Disk
from service.files import write_whole

_FILES_MAX: Final = 256


def kept_in(folder: Path) -> dict[str, bytes]:
    """What is kept there, by name. What cannot be read, or is none of ours, is passed over: it is fetched again."""
    found: dict[str, bytes] = {}
    try:
        paths = sorted(folder.iterdir())[:_FILES_MAX]
    except OSError:
        return found
    for path in paths:
        if not STAGED.fullmatch(path.name) or path.name in (BUNDLE, SIGNATURE):
            continue
        try:
            with path.open("rb") as file:
                found[path.name] = file.read(TARGETS_BYTES + 1)
        except OSError:
            continue
    return found


def keep_in(folder: Path, files: Mapping[str, bytes], disk: Disk = DISK) -> None:
    """Keep what is believed now; blocks. A power cut leaves old files beside new ones, each of which was signed.
    Raises OSError.
    """
    disk.mkdir(folder, 0o700)
    for name, data in files.items():
        path = folder / name
        if not path.exists() or path.read_bytes() != data:
            write_whole(path, data, disk=disk)
