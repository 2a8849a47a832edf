"""The agent's folder of state, as root reads it: everything in it may be a trap of an agent that was taken over.

No link is followed below that folder, nothing but plain files is read, no file that has a second name, and of each no
more bytes than it may have.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple, TypeVar

import msgspec

from release.bundle import BUNDLE_BYTES
from release.handover import ASKED_IN, REQUEST, RUNNING, STAGED_IN, RunningRelease, UpdateRequest
from release.manifest import VERSION
from release.refusals import Refusal, ReleaseRefusedError
from release.trust import TARGETS_BYTES
from release.verification import BUNDLE, STAGED
from service.disk import Disk
from service.hostuser import HostUser, check_way, owner_of
from service.opening import open_folder, opened_file

_WORD_BYTES: Final = 16 * 1024  # of a request, and of what a process says of itself
_NAMES_MOST: Final = 1024  # looked at in a folder
_FILES_MOST: Final = 80  # all roots of one refresh, and the few others
_TASK: Final = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_WHOLE_VERSION: Final = re.compile(VERSION)
_T = TypeVar("_T")


class OddRequestError(Exception):
    """What lies in the place of a request is none. `task` is the task that it names, if it names one."""

    def __init__(self, message: str, task: str | None = None) -> None:
        super().__init__(message)
        self.task = task


class StagedFile(NamedTuple):
    """An open file, which its owner may go on changing."""

    name: str
    file: int
    size: int


class AgentFolder:
    """Methods raise OSError besides what they say."""

    def __init__(self, path: Path) -> None:
        """`path` is root's word, from root's config."""
        self._path = path

    @property
    def owner(self) -> HostUser | None:
        """The agent's user."""
        return owner_of(self._path)

    def request(self) -> UpdateRequest | None:
        """`None` where there is none. Raises OddRequestError."""
        try:
            data = self._word(REQUEST)
        except FileNotFoundError:
            return None
        except (ReleaseRefusedError, OSError) as error:
            raise OddRequestError(str(error)) from None
        found = _decoded(data, UpdateRequest)
        if found is None or not _TASK.fullmatch(found.task):
            raise OddRequestError("it is no request, or its task has no id of ours")
        if not _WHOLE_VERSION.fullmatch(found.version) or not _SHA256.fullmatch(found.sha256):
            raise OddRequestError("it names no version, or no bundle", found.task)
        return found

    def drop_request(self, disk: Disk) -> bool:
        """Take away what lies in its place, so that the path unit does not start us for ever; gives if it was there."""
        where = PurePosixPath(REQUEST)
        with contextlib.suppress(FileNotFoundError), self._opened(where.parent) as folder:
            try:
                return disk.unlink(self._path / where, folder=folder)
            except OSError:  # a folder
                os.rename(where.name, f"{where.name}.bad", src_dir_fd=folder, dst_dir_fd=folder)
                return True
        return False

    def running(self) -> RunningRelease | None:
        """What the process says of itself; `None` where it says nothing that is understood."""
        try:
            return _decoded(self._word(RUNNING), RunningRelease)
        except (ReleaseRefusedError, OSError):
            return None

    def staged(self, request: UpdateRequest) -> Iterator[StagedFile]:
        """What lies ready, each file open until the next one is asked for, the bundle first. Raises
        ReleaseRefusedError.
        """
        with self._opened(PurePosixPath(ASKED_IN, STAGED_IN, request.version)) as folder:
            names = _names(folder)
            if BUNDLE not in names:
                raise ReleaseRefusedError(Refusal.MISSING, f"{BUNDLE} is missing")
            for name in sorted(names, key=lambda each: (each != BUNDLE, each)):
                most = BUNDLE_BYTES if name == BUNDLE else TARGETS_BYTES
                with _plain(folder, name, most) as (file, size):
                    yield StagedFile(name, file, size)

    def _word(self, where: str) -> bytes:
        path = PurePosixPath(where)
        with (
            self._opened(path.parent) as folder,
            _plain(folder, path.name, _WORD_BYTES) as (file, size),
        ):
            return os.read(file, size)

    @contextmanager
    def _opened(self, below: PurePosixPath) -> Iterator[int]:
        """A folder, by way of one folder after the other, none of which is a link."""
        check_way(self._path)
        folder = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in below.parts:
                inner = open_folder(part, inside=folder)
                os.close(folder)
                folder = inner
            yield folder
        finally:
            os.close(folder)


def _names(folder: int) -> set[str]:
    """Of the files that are staged; the others are passed over."""
    found = set[str]()
    with os.scandir(folder) as entries:
        for number, entry in enumerate(entries, 1):
            if STAGED.fullmatch(entry.name):
                found.add(entry.name)
            if number > _NAMES_MOST or len(found) > _FILES_MOST:
                raise _refused("the staged folder holds more than a release")
    return found


@contextmanager
def _plain(folder: int, name: str, most: int) -> Iterator[tuple[int, int]]:
    """A plain file with one name, and its size, which is 1 to `most`. Raises ReleaseRefusedError."""
    with opened_file(folder, name) as (file, found):
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1 or not 0 < found.st_size <= most:
            raise _refused(f"{name} is no plain file of its own of 1 to {most} bytes")
        yield file, found.st_size


def _decoded(data: bytes, kind: type[_T]) -> _T | None:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, RecursionError):
        return None


def _refused(message: str) -> ReleaseRefusedError:
    return ReleaseRefusedError(Refusal.TOO_BIG, message)
