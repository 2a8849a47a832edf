"""Disks of tests: one on which the process is killed at its nth operation, one that keeps a record, and what a power cut
makes of that record.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from service.disk import Disk

_SYNCED_BY_ITSELF = ("create", "copy")  # their content; of the others the name is what may be lost
_HALF = 2


class UnsyncedDisk(Disk):
    """Does all but wait for the real disk, and is asked before each operation."""

    def before(self, what: str, path: Path, **more: Any) -> None:
        """Before that operation on that path."""

    def mkdir(self, path: Path, mode: int = 0o755) -> None:
        self.before("mkdir", path)
        super().mkdir(path, mode)

    def create(self, path: Path, data: bytes, **more: Any) -> None:
        self.before("create", path, data=data)
        super().create(path, data, **more)

    def copy(self, source: int, path: Path, size: int) -> None:
        self.before("copy", path, data=os.pread(source, size, 0))
        super().copy(source, path, size)

    def fill(self, folder: Path, maker: Callable[[Path], Any]) -> Any:
        self.before("fill", folder)
        return super().fill(folder, maker)

    def rename(self, path: Path, to: Path) -> None:
        self.before("rename", path, to=to)
        super().rename(path, to)

    def symlink(self, path: Path, to: Path) -> None:
        self.before("symlink", path, to=to)
        super().symlink(path, to)

    def unlink(self, path: Path, *, folder: int | None = None) -> bool:
        self.before("unlink", path)
        return super().unlink(path, folder=folder)

    def rmtree(self, path: Path) -> None:
        if path.is_dir():
            self.before("rmtree", path)
            super().rmtree(path)

    def sync(self, path: Path) -> None:
        self.before("sync", path)

    def sync_all(self) -> None:
        self.before("sync_all", Path("/"))


class KillingDisk(UnsyncedDisk):
    """Kills this process before its nth operation; a folder is half filled or half taken away then."""

    def __init__(self, left: int) -> None:
        self.left = left

    def before(self, what: str, path: Path, **more: Any) -> None:
        if self.left <= 0:
            if what == "rmtree":
                halve(path)
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1


class Operation(NamedTuple):
    """One of the record. `tree` is what filled a folder."""

    what: str
    path: Path
    data: bytes = b""
    to: Path = Path()
    tree: Path | None = None
    step: str = ""


@dataclass
class RecordingDisk(UnsyncedDisk):
    """Below `root`; `beside` keeps what folders were filled with, `step` says what the machine is at."""

    root: Path
    beside: Path
    step: Callable[[], str]
    record: list[Operation] = field(default_factory=list)

    def before(self, what: str, path: Path, **more: Any) -> None:
        if what == "sync_all":
            path = self.root
        to = more.get("to", Path())
        if what == "rename":
            to = to.relative_to(self.root)
        place = path.relative_to(self.root)
        self.record.append(Operation(what, place, more.get("data", b""), to, step=self.step()))

    def fill(self, folder: Path, maker: Callable[[Path], Any]) -> Any:
        number = len(self.record)
        made = super().fill(folder, maker)
        tree = self.beside / str(number)
        shutil.copytree(folder, tree, symlinks=True)
        self.record[number] = self.record[number]._replace(tree=tree)
        return made


class Cut(NamedTuple):
    """A power cut after the first `after` operations of the record: which of those are lost, and whether the next one
    had begun.
    """

    after: int
    lost: frozenset[int]
    how: str


def cuts(record: list[Operation]) -> Iterator[Cut]:
    """Every point of the record: nothing lost, all that was not synced, each such operation by itself, one half done."""
    for after in range(len(record) + 1):
        unsynced = [each for each in range(after) if not _is_synced(record, each, after)]
        yield Cut(after, frozenset(), "nothing lost")
        if unsynced:
            yield Cut(after, frozenset(unsynced), "all unsynced lost")
        if len(unsynced) > 1:
            for each in unsynced:
                yield Cut(after, frozenset({each}), "one unsynced lost")
        if after < len(record) and record[after].what in ("fill", "rmtree"):
            yield Cut(after, frozenset(), "half done")


def _is_synced(record: list[Operation], number: int, after: int) -> bool:
    one = record[number]
    if one.what.startswith("sync"):
        return True
    wanted = one.path if one.what in _SYNCED_BY_ITSELF else one.path.parent
    later = record[number + 1 : after]
    if one.what == "fill":
        return any(each.what == "sync_all" for each in later)
    return any(
        each.what == "sync_all" or (each.what, each.path) == ("sync", wanted) for each in later
    )


def replay(record: list[Operation], cut: Cut, root: Path) -> None:
    """What is on the disk then. A file whose content is lost is there, and empty; a folder that was filled has files
    that are empty, unless all of what was not synced is lost.
    """
    for number, one in enumerate(record[: cut.after]):
        if number not in cut.lost:
            _apply(one, root)
        elif cut.how != "all unsynced lost":
            _apply_empty(one, root)
    if cut.how == "half done":
        one = record[cut.after]
        if one.what == "fill":
            _apply(one, root)
        halve(root / one.path)


def _apply(one: Operation, root: Path) -> None:
    path, to = root / one.path, root / one.to
    match one.what:
        case "mkdir":
            path.mkdir(parents=True, exist_ok=True)
        case "create" | "copy":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            path.write_bytes(one.data)
        case "fill":
            assert one.tree is not None
            shutil.rmtree(path, ignore_errors=True)
            shutil.copytree(one.tree, path, symlinks=True)
        case "rename" if path.exists() or path.is_symlink():
            if to.is_dir() and not to.is_symlink():
                shutil.rmtree(to)
            path.replace(to)
        case "symlink":
            path.unlink(missing_ok=True)
            path.symlink_to(one.to)
        case "unlink":
            path.unlink(missing_ok=True)
        case "rmtree":
            shutil.rmtree(path, ignore_errors=True)


def _apply_empty(one: Operation, root: Path) -> None:
    if one.what in _SYNCED_BY_ITSELF:
        _apply(one._replace(data=b""), root)
    elif one.what == "fill":
        _apply(one, root)
        for each in (root / one.path).rglob("*"):
            if each.is_file() and not each.is_symlink():
                each.write_bytes(b"")


def halve(folder: Path) -> None:
    """Every second file of it is gone."""
    files = sorted(each for each in folder.rglob("*") if not each.is_dir() or each.is_symlink())
    for each in files[::_HALF]:
        each.unlink()
