"""The rig on which we run: its files are read in threads, its programs asked on loopback."""

from __future__ import annotations

import asyncio
import fnmatch
import getpass
import os
import stat
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from contract.errors import MalformedError, ServiceAwayError, UnsupportedError
from drivers.rig.reach.base import (
    FILE_CAP_BYTES,
    LOOPBACK,
    OUTPUT_CAP_BYTES,
    TEXTS_CAP_BYTES,
    FileTexts,
    Ran,
    decoded,
)
from drivers.rig.reach.thread import OwnThread
from drivers.rig.spec import LocalSpec

_FILE_S: Final = 1.0  # so long one file may take
_KILLED_S: Final = 1.0  # and so long the end of a command that was killed; one that hangs in a driver is not waited for
_STDOUT, _STDERR = 1, 2

ReadFile = Callable[[str], bytes]
_Listed = tuple[dict[str, str], set[str]]


def read_file(path: str) -> bytes:
    """The first FILE_CAP_BYTES of a plain file, without waiting for more. Raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(f"{path} is no plain file")
        return os.read(handle, FILE_CAP_BYTES)
    finally:
        os.close(handle)


class LocalReach:
    """See `RigReach`. A file that blocks costs a thread and a second, once: it is left out until that one is back."""

    def __init__(self, spec: LocalSpec, *, read: ReadFile = read_file) -> None:
        self._root = spec.root.rstrip("/")
        self._read = read
        self._blocked: set[str] = set()
        self._listing: asyncio.Future[_Listed] | None = None

    @property
    def user(self) -> str:
        """See `RigReach`."""
        if os.geteuid() == 0:
            return "root"
        try:
            return getpass.getuser()
        except (KeyError, OSError):
            return f"#{os.geteuid()}"  # one without a name, as sudoers spells it

    @property
    def is_open(self) -> bool:
        """See `RigReach`."""
        return True

    async def open(self, *, deadline_s: float) -> None:
        """There is nothing to connect."""

    async def read_texts(self, patterns: Sequence[str], *, deadline_s: float) -> FileTexts:
        """See `RigReach`."""
        loop = asyncio.get_running_loop()
        end = loop.time() + deadline_s
        if self._listing is not None:  # one that blocks is waited for, and no other begun beside it
            await self._listed(self._listing, deadline_s)
        self._listing = loop.run_in_executor(OwnThread(), self._matching, patterns)
        pattern_of, unlisted = await self._listed(self._listing, end - loop.time())
        look = _Look([each for each in pattern_of if each not in self._blocked], self._read)
        while (left_s := end - loop.time()) > 0:
            thread = loop.run_in_executor(OwnThread(), look.work)
            while not thread.done() and (left_s := end - loop.time()) > 0:
                at = look.at
                await asyncio.wait((thread,), timeout=min(_FILE_S, left_s))
                if look.at == at:
                    break
            if thread.done():
                break
            look = self._abandon(look, thread)
        found = look.found.copy()
        missed = {pattern_of[path] for path in (*look.left, *self._blocked) if path in pattern_of}
        texts = {path[len(self._root) :]: decoded(data) for path, data in found.items()}
        return FileTexts(texts=texts, missed=frozenset(missed | unlisted))

    async def run(
        self,
        argv: Sequence[str],
        *,
        deadline_s: float,
        cap_bytes: int = OUTPUT_CAP_BYTES,
        cut: bool = False,
        reconnect: bool = True,
    ) -> Ran:
        """See `RigReach`. One that does not end is killed."""
        del reconnect  # there is no connection that could be another rig's
        loop = asyncio.get_running_loop()
        try:
            transport, command = await loop.subprocess_exec(
                lambda: _LocalCommand(cap_bytes), *argv, stdin=subprocess.DEVNULL
            )
        except OSError as error:
            raise UnsupportedError(f"cannot run {argv[0]}: {error.strerror}") from None
        try:
            await asyncio.wait((command.ended,), timeout=deadline_s)
            status, has_ended = transport.get_returncode(), command.ended.done()
        finally:
            transport.close()  # which kills what still runs
            await asyncio.wait((command.exited,), timeout=_KILLED_S)
        if command.is_over and not cut:
            raise MalformedError(f"{argv[0]} wrote over {cap_bytes} bytes")
        if not has_ended:
            raise MalformedError(f"{argv[0]} did not end within {deadline_s:g} s")
        return Ran(
            status=status if status is not None and status >= 0 else None,
            output=decoded(command.outputs[_STDOUT]),
            errors=decoded(command.outputs[_STDERR]),
            is_cut=command.is_over,
        )

    async def connect(
        self, factory: Callable[[], asyncio.Protocol], port: int, *, deadline_s: float
    ) -> None:
        """See `RigReach`."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(deadline_s):
                await loop.create_connection(factory, LOOPBACK, port)
        except (OSError, TimeoutError) as error:
            why = str(error) or f"no connection within {deadline_s:g} s"
            raise ServiceAwayError(f"nothing answers at port {port} of this host: {why}") from None

    async def close(self) -> None:
        """Nothing is kept open."""

    # --- private ---------------------------------------------------------------------------------

    async def _listed(self, listing: asyncio.Future[_Listed], deadline_s: float) -> _Listed:
        if not (await asyncio.wait((listing,), timeout=deadline_s))[0]:
            raise MalformedError(f"the files of this host do not answer within {deadline_s:.3g} s")
        return listing.result()

    def _matching(self, patterns: Sequence[str]) -> _Listed:
        """The files there are, each with the pattern it fits; and the patterns of which a folder cannot be listed: a
        card may be falling off its bus.
        """
        root = Path(self._root or "/")
        found: dict[str, str] = {}
        unlisted: set[str] = set()
        for each in patterns:
            try:
                paths = _fitting(root, each.strip("/").split("/"))
                found |= {str(path): each for path in sorted(paths)}
            except OSError:
                unlisted.add(each)
        return found, unlisted

    def _abandon(self, look: _Look, thread: asyncio.Future[None]) -> _Look:
        """Go on behind the file that blocks, in a look of its own."""
        if look.left:
            path = look.left[0]
            self._blocked.add(path)
            thread.add_done_callback(lambda _: self._blocked.discard(path))
        return look.rest()


class _Look:
    """Files read one after another by a thread. One that was left behind adds nothing any more."""

    def __init__(
        self, paths: list[str], read: ReadFile, found: dict[str, bytes] | None = None
    ) -> None:
        self.at = 0
        self.found = {} if found is None else found
        self._paths = paths
        self._read = read
        self._is_left = False

    @property
    def left(self) -> list[str]:
        """The file that it is at, and those behind."""
        return self._paths[self.at :]

    def work(self) -> None:
        """Read what there is, up to the cap of all together."""
        got_bytes = sum(map(len, self.found.values()))
        for at, path in enumerate(self._paths):
            self.at = at
            try:
                data = self._read(path)
            except OSError:
                continue
            if self._is_left or (got_bytes := got_bytes + len(data)) > TEXTS_CAP_BYTES:
                return
            if data:
                self.found[path] = data
        self.at = len(self._paths)

    def rest(self) -> _Look:
        """What comes behind the file that it is at; it itself ends there."""
        self._is_left = True
        return _Look(self.left[1:], self._read, self.found)


class _LocalCommand(asyncio.SubprocessProtocol):
    """The outputs of one command, up to a cap on their sum."""

    def __init__(self, cap_bytes: int) -> None:
        loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = loop.create_future()
        """All it wrote is here and it exited, or it wrote too much."""
        self.exited: asyncio.Future[None] = loop.create_future()
        self.outputs = {_STDOUT: bytearray(), _STDERR: bytearray()}
        self.is_over = False
        self._cap_bytes = cap_bytes

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if self.is_over:
            return
        left_bytes = self._cap_bytes - sum(map(len, self.outputs.values()))
        self.outputs[fd] += data[:left_bytes]
        if len(data) > left_bytes:
            self.is_over = True
            self._end()

    def process_exited(self) -> None:
        if not self.exited.done():
            self.exited.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._end()

    def _end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


def _fitting(folder: Path, parts: Sequence[str]) -> Iterator[Path]:
    """The paths below a folder that fit a pattern, part by part. What is not there, or not ours to list, has none.
    Other trouble with a folder is raised as OSError: `glob` keeps it to itself, since Python 3.13.
    """
    if not parts:
        if os.path.lexists(folder):
            yield folder
        return
    part, *rest = parts
    if not any(sign in part for sign in "*?["):
        yield from _fitting(folder / part, rest)
        return
    try:
        with os.scandir(folder) as entries:
            names = [each.name for each in entries]
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    for name in fnmatch.filter(names, part):
        yield from _fitting(folder / name, rest)
