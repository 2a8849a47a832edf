"""The folder that a program keeps its files in: whether its user may write there, and what to do where not."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable
from pathlib import Path

from service.hostuser import HostUser, myself, owner_of


class ForeignFolderError(Exception):
    """The folder is not for the user that we run as. The message names it, its owner and the fix."""


def check_files(folder: Path, ours: Collection[str]) -> None:
    """Raises ForeignFolderError when we may not write the folder, or what is in it of `ours`: names of what we write,
    that of a database without `.db`. A disk that is full, read-only or failing is not meant.
    """
    check_folder(folder)
    with contextlib.suppress(OSError):
        foreign = () if is_read_only(folder) else unwritable(folder)
        named = [
            each
            for each in foreign
            if each.partition(".db")[0] in ours and _is_sound(folder / each)
        ]
        if named:
            raise ForeignFolderError(files_trouble(folder, named, ", ".join(named), myself()))


def check_folder(folder: Path) -> None:
    """Raises ForeignFolderError when we may not write the folder, or not make it where it is missing."""
    who = myself()
    try:
        trouble = _why_not(folder, who)
    except PermissionError:
        above = "see that the folders above it let that user through"
        trouble = f"{folder} cannot be reached by {who.name}; {above}"
    except OSError:
        return  # a disk that fails
    if trouble is not None:
        raise ForeignFolderError(trouble)


def folder_trouble(folder: Path, who: HostUser) -> str | None:
    """Why `who`, whom we act as, cannot use the folder of a disk that works, and what to do. Raises OSError."""
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "is missing"
        return f"{folder} {what}; run: install -d -m 0700 -o {who.name} {folder}"
    if is_accessible(folder, os.R_OK | os.W_OK | os.X_OK):
        return None
    owner = owner_of(folder)
    whose, other = "", ""
    if owner is not None and owner.uid != who.uid:
        whose = f", it belongs to {owner.name}"
        other = "" if owner.uid == 0 else f" it as {owner.name}, or"
    fix = _fix(folder, [folder], who)
    return f"{folder} cannot be written by {who.name}{whose}; run{other}: {fix}"


def files_trouble(folder: Path, names: Iterable[str], shown: str, who: HostUser) -> str:
    """That these files in the folder, `shown` in words, cannot be written, and what to do. Raises OSError."""
    fix = _fix(folder, (folder / each for each in names), who)
    return f"{shown} in {folder} cannot be written by {who.name}; run: {fix}"


def unwritable(folder: Path) -> list[str]:
    """The names in the folder that whom we act as cannot write. Raises OSError."""
    return [
        each.name
        for each in sorted(folder.iterdir())
        if not is_accessible(each, os.R_OK | os.W_OK) and not _is_gone(each)
    ]


def is_accessible(path: Path, mode: int) -> bool:
    """Whether whom we act as may do what `mode` says (`os.R_OK` and the like)."""
    return os.access(path, mode, effective_ids=True)


def is_read_only(path: Path) -> bool:
    """Whether nobody can write there, since its disk is mounted so. Raises OSError."""
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def _why_not(folder: Path, who: HostUser) -> str | None:
    """Raises OSError."""
    nearest = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    if is_read_only(nearest):
        return None
    if nearest != folder and is_accessible(nearest, os.W_OK | os.X_OK):
        return None  # it will be made there
    return folder_trouble(folder, who)


def _fix(folder: Path, those: Iterable[Path], who: HostUser) -> str:
    if all(each.lstat().st_uid == who.uid for each in those):
        return f"chmod -R u+rwX {folder}"
    # Of one without a name, chown wants the group said, too.
    group = who.gid if who.name.isdecimal() else ""
    return f"chown -R {who.name}:{group} {folder}"


def _is_sound(path: Path) -> bool:
    """Whether it can be told what is there: it is not the disk that keeps us from writing it."""
    try:
        path.stat()
    except OSError:
        return False
    return True


def _is_gone(path: Path) -> bool:
    """Whether nothing is there (any more), as behind a link that leads nowhere."""
    try:
        path.stat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False
