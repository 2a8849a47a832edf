"""Root's installer, as the agent deals with it: what it is asked, and what it says. Each side writes its own folder.

The installer's files are believed where root wrote them, and no link leads to them. What is odd about them is said in
words and not used: an order is then judged by what the process says of itself, or by nobody.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import msgspec

from release.handover import (
    OUTCOMES,
    PROGRESS,
    REQUEST,
    UpdateOutcome,
    UpdateProgress,
    UpdateRequest,
)
from service.files import sync, write_whole
from service.opening import open_folder, opened_file

# Of one file: all outcomes that are kept, each with a log in which every character had to be escaped.
READ_BYTES: Final = 4 * 1024 * 1024
_S = TypeVar("_S")


class OddFileError(Exception):
    """A file that says nothing that could be believed. The message names it and why."""


class SeenOrder(NamedTuple):
    """What the files tell of one order, looked at in the order in which they come to be."""

    asks: bool  # the request lies there still
    progress: UpdateProgress | None
    outcome: UpdateOutcome | None
    doubts: tuple[str, ...]  # why some of it may not be all there is


class RootInstaller:
    """Methods block, and raise OSError where it is said."""

    def __init__(self, state: Path, folder: Path, root_uid: int) -> None:
        """`state` is the agent's own folder, `folder` the installer's, whose files belong to `root_uid`."""
        self._request = state / REQUEST
        self._folder = folder
        self._root_uid = root_uid

    def ask(self, request: UpdateRequest) -> None:
        """Raises OSError: whether it was asked for, `seen` tells."""
        self._request.parent.mkdir(mode=0o700, exist_ok=True)
        write_whole(self._request, msgspec.json.encode(request))

    def withdraw(self, task: str) -> bool:
        """Take the request of that order back, if it lies there still; gives whether nobody will carry it out. Raises
        OSError, OddFileError.
        """
        if self._asks() != task:
            return False
        try:
            self._request.unlink()
        except FileNotFoundError:  # it was taken just now
            return False
        sync(self._request.parent)
        # The installer writes down that it has it, and takes it away then: where it was cut off in between, it goes on.
        progress = self._progress()
        return progress is None or progress.task != task

    def busy_with(self, task: str) -> str | None:
        """Another order that the installer has to do with, or has been asked for, in words."""
        try:
            asking, progress = self._asks(), self._progress()
        except OddFileError as error:
            return str(error)
        if asking not in (None, task):
            return f"order {asking} waits for root's installer ({self._request})"
        if progress is not None and progress.task != task:
            return f"root's installer is at {progress.step} of {progress.version}, order {progress.task}"
        return None

    def seen(self, task: str) -> SeenOrder:
        """Each file of the installer is on disk before the one it follows is gone. So where none of them speaks of the
        order, and none is in doubt, the installer knows nothing of it.
        """
        doubts: list[str] = []
        if not os.path.lexists(self._folder):
            doubts.append(f"{self._folder}, the folder of root's installer, is missing")
        asks, progress, outcome = False, None, None
        try:
            asks = self._asks() == task
        except OddFileError as error:
            doubts.append(str(error))
        try:
            progress = self._progress()
            outcome = next((each for each in reversed(self._outcomes()) if each.task == task), None)
        except OddFileError as error:
            doubts.append(str(error))
        mine = progress if progress is not None and progress.task == task else None
        return SeenOrder(asks, mine, outcome, tuple(doubts))

    def _asks(self) -> str | None:
        """The order whose request lies there. Raises OddFileError."""
        try:
            with _opened(self._request.parent, None) as folder:
                data = _content(folder, self._request, None)
        except FileNotFoundError:
            return None
        return None if data is None else _decoded(self._request, data, UpdateRequest).task

    def _progress(self) -> UpdateProgress | None:
        data = self._of_root(PROGRESS)
        return None if data is None else _decoded(self._folder / PROGRESS, data, UpdateProgress)

    def _outcomes(self) -> tuple[UpdateOutcome, ...]:
        data = self._of_root(OUTCOMES)
        if data is None:
            return ()
        return _decoded(self._folder / OUTCOMES, data, tuple[UpdateOutcome, ...])

    def _of_root(self, name: str) -> bytes | None:
        """Raises OddFileError."""
        try:
            with _opened(self._folder, self._root_uid) as folder:
                return _content(folder, self._folder / name, self._root_uid)
        except FileNotFoundError:
            return None


@contextmanager
def _opened(path: Path, uid: int | None) -> Iterator[int]:
    """A folder, of that user. Raises FileNotFoundError, OddFileError."""
    try:
        folder = open_folder(path)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _odd(path, _why(error)) from None
    try:
        _check_owner(path, os.fstat(folder), uid)
        yield folder
    finally:
        os.close(folder)


def _content(folder: int, path: Path, uid: int | None) -> bytes | None:
    """The whole of a plain file in that folder, of that user; `None` where there is none. Raises OddFileError."""
    try:
        with opened_file(folder, path.name) as (handle, found):
            if not stat.S_ISREG(found.st_mode):
                raise _odd(path, "it is no plain file")
            _check_owner(path, found, uid)
            with os.fdopen(handle, "rb", closefd=False) as file:
                data = file.read(READ_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _odd(path, _why(error)) from None
    if len(data) > READ_BYTES:
        raise _odd(path, f"it has over {READ_BYTES} bytes")
    return data


def _check_owner(path: Path, found: os.stat_result, uid: int | None) -> None:
    """`None`: our own, whoever we are. Raises OddFileError."""
    if uid is None:
        return
    if found.st_uid != uid:
        raise _odd(path, f"it belongs to user {found.st_uid}, not to root's installer")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise _odd(path, "others than root's installer may write it")


def _decoded(path: Path, data: bytes, kind: type[_S]) -> _S:
    try:
        return msgspec.json.decode(data, type=kind)
    except (ValueError, RecursionError) as error:  # of msgspec's errors each is a ValueError
        raise _odd(path, str(error)[:200]) from None


def _why(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _odd(path: Path, why: str) -> OddFileError:
    return OddFileError(f"{path} is not used: {why}")
