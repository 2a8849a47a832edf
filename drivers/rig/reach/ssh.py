"""A rig in the network, by SSH: one connection is kept, its host key is the one that was pinned, we log in by a key.

Files are told by one `grep` for a whole look; programs are asked through the connection (direct-tcpip to the rig's own
loopback).
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, cast

import asyncssh

from contract.errors import (
    MalformedError,
    RefusedError,
    ServiceAwayError,
    UnreachableError,
)
from drivers.rig.reach.base import (
    FORWARDED_CAP_BYTES,
    LOOPBACK,
    OUTPUT_CAP_BYTES,
    TEXTS_CAP_BYTES,
    FileTexts,
    Ran,
    decoded,
)
from drivers.rig.reach.inflow import SENDS_ON, Inflow
from drivers.rig.reach.login import LOGIN_BYTES, log_in, words_of
from drivers.rig.reach.sessions import ForwardedPort, RemoteCommand
from drivers.rig.spec import SshSpec

_LINES_OF_A_FILE: Final = 200
_PATTERN_S: Final = 2.0  # at most, to find the one with a file that blocks
_THERE: Final = "/proc/uptime"  # on every Linux
_LEFT_OUT_S: Final = 3600.0
_WINDOW_BYTES: Final = 256 * 1024  # may be under way to us in one channel
_MORE_BYTES: Final = _WINDOW_BYTES + 64 * 1024  # than what a call takes may come with it


class SshReach:
    """See `RigReach`."""

    def __init__(self, spec: SshSpec) -> None:
        self._spec = spec
        self._root = spec.root.rstrip("/")
        self._connection: asyncssh.SSHClientConnection | None = None
        self._flow: Inflow | None = None  # of that connection
        self._connecting = asyncio.Lock()
        self._is_searching = False  # for the pattern with a file that blocks
        self._is_mute = False  # the last look did not end, and told nothing
        self._blocks_until: dict[str, float] = {}

    @property
    def user(self) -> str:
        """See `RigReach`."""
        return self._spec.user

    @property
    def is_open(self) -> bool:
        """See `RigReach`."""
        return self._connection is not None and not self._connection.is_closed()

    async def open(self, *, deadline_s: float) -> None:
        """See `RigReach`."""
        try:
            async with self._in_time(deadline_s):
                await self._connected()
        except MalformedError as error:
            raise UnreachableError(str(error)) from None

    async def read_texts(self, patterns: Sequence[str], *, deadline_s: float) -> FileTexts:
        """See `RigReach`. A file that blocks ends the look at its deadline, and what came before it is told. The next
        look finds out which pattern has it, and that one is left out for a while: each such look leaves a process
        behind on the rig.
        """
        end = asyncio.get_running_loop().time() + deadline_s
        patience_s = min(_PATTERN_S, deadline_s / 4)
        if self._is_mute:
            await self._leave_out_the_first(patterns, end, patience_s)
        asked = [each for each in patterns if self._blocks_until.get(each, 0.0) < end]
        missed = set(patterns) - set(asked)
        if self._is_searching:
            found, stuck = await self._search(asked, end, patience_s)
        else:
            found, is_whole = await self._grep(asked, end)
            self._is_searching = not is_whole
            stuck = [] if is_whole else asked
        return FileTexts(texts=found, missed=frozenset(missed.union(stuck)))

    async def run(
        self,
        argv: Sequence[str],
        *,
        deadline_s: float,
        cap_bytes: int = OUTPUT_CAP_BYTES,
        cut: bool = False,
        reconnect: bool = True,
    ) -> Ran:
        """See `RigReach`. One that does not end goes on: SSH has no way to end it that every server knows."""
        async with self._in_time(deadline_s):
            session = await self._start(argv, cap_bytes, reconnect=reconnect)
            try:
                await session.ended
            finally:
                session.close()
        if session.is_over and not cut:
            raise MalformedError(f"{argv[0]} wrote over {cap_bytes} bytes")
        if not session.is_over and session.error is not None:
            raise MalformedError(f"the rig {self._spec.host} cut off {argv[0]}: {session.error}")
        if session.status is None and not session.is_over and not session.was_signalled:
            raise MalformedError(f"the rig {self._spec.host} did not say how {argv[0]} ended")
        return Ran(
            status=session.status,
            output=decoded(session.output),
            errors=decoded(session.errors),
            is_cut=session.is_over,
        )

    async def connect(
        self, factory: Callable[[], asyncio.Protocol], port: int, *, deadline_s: float
    ) -> None:
        """See `RigReach`."""
        host = self._spec.host
        connection: asyncssh.SSHClientConnection | None = None
        try:
            async with self._in_time(deadline_s):
                connection = await self._connected(FORWARDED_CAP_BYTES)
                await connection.create_connection(
                    lambda: ForwardedPort(factory()),
                    LOOPBACK,
                    port,
                    encoding=None,
                    window=_WINDOW_BYTES,
                )
        except asyncssh.ChannelOpenError as error:
            if error.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED:
                raise RefusedError(
                    f"the SSH server of {host} lets no connection through to port {port}: set AllowTcpForwarding to "
                    f"local for {self._spec.user}, and allow the port where permitopen of our key names others"
                ) from None
            if connection is None or await _is_gone(connection):
                raise UnreachableError(self._hung_up) from None
            raise ServiceAwayError(f"nothing answers at port {port} of {host}'s loopback") from None
        except MalformedError as error:
            raise UnreachableError(str(error)) from None

    async def close(self) -> None:
        """See `RigReach`."""
        connection, self._connection, self._flow = self._connection, None, None
        if connection is not None:
            connection.abort()

    # --- private ---------------------------------------------------------------------------------

    async def _search(
        self, asked: Sequence[str], end: float, patience_s: float
    ) -> tuple[dict[str, str], list[str]]:
        """A look at one pattern after another. One that does not answer in `patience_s`, while one behind it does, has
        a file that blocks. Gives the patterns that were not read, too.
        """
        loop = asyncio.get_running_loop()
        found: dict[str, str] = {}
        silent: list[str] = []
        missed: list[str] = []
        for at, pattern in enumerate((*asked, _THERE)):
            if end - loop.time() < patience_s:
                # Where nothing was silent before, the rig is far away: as a whole, a look tells more of it.
                self._is_searching = bool(silent)
                return found, [*missed, *silent, *asked[at:]]
            texts, is_whole = await self._grep((pattern,), end, patience_s=patience_s)
            found |= texts
            if not is_whole:
                silent.append(pattern)
                continue
            self._blocks_until |= dict.fromkeys(silent, loop.time() + _LEFT_OUT_S)
            missed += silent
            silent = []
        self._is_searching = False
        return found, [*missed, *silent]

    async def _leave_out_the_first(
        self, patterns: Sequence[str], end: float, patience_s: float
    ) -> None:
        """Find the pattern with a file that blocks before any is told. Raises MalformedError where nothing is told of
        any file: then it is the rig.
        """
        loop = asyncio.get_running_loop()
        for pattern in patterns:
            if self._blocks_until.get(pattern, 0.0) >= end:
                continue
            texts, is_whole = await self._grep((pattern,), end, patience_s=patience_s)
            if not (texts or is_whole):
                _, is_there = await self._grep((_THERE,), end, patience_s=patience_s)
                if not is_there:
                    await self.close()
                    raise MalformedError(f"the rig {self._spec.host} tells nothing of any file")
                self._blocks_until[pattern] = loop.time() + _LEFT_OUT_S
            if texts or not is_whole:
                return

    async def _grep(
        self, patterns: Sequence[str], end: float, *, patience_s: float | None = None
    ) -> tuple[dict[str, str], bool]:
        """The texts of files, and whether these are all. Without `patience_s`, for which they are waited, it is a look
        as a whole: raises MalformedError when there are none.
        """
        loop = asyncio.get_running_loop()
        root = shlex.quote(self._root) if self._root else ""
        files = " ".join(root + pattern for pattern in patterns)
        # By `sh`, whatever shell the user has. Each line comes with its file before it, as soon as it is read.
        script = (
            f"grep -asH -m {_LINES_OF_A_FILE} --line-buffered '' {files} </dev/null 2>/dev/null"
        )
        async with self._in_time(end - loop.time()):
            session = await self._start(("sh", "-c", script), TEXTS_CAP_BYTES)
        try:
            left_s = max(0.0, end - loop.time())
            await asyncio.wait((session.ended,), timeout=min(left_s, patience_s or left_s))
        finally:
            session.close()
        # Half a line is not told: half a boot id would be another one.
        whole_lines = session.output[: session.output.rfind(b"\n") + 1]
        found = texts_of(decoded(whole_lines), self._root)
        if patience_s is None:
            self._is_mute = not (found or session.ended.done())
        if patience_s is None and not found:
            if self._is_mute:
                await self.close()
            raise MalformedError(
                f"the rig {self._spec.host} tells nothing of its files: {session.why_not()}"
            )
        return found, session.is_whole

    @asynccontextmanager
    async def _in_time(self, deadline_s: float) -> AsyncIterator[None]:
        """Ends what takes longer, and with it the connection: what a rig that hangs may still say is not waited for."""
        host = self._spec.host
        try:
            async with asyncio.timeout(deadline_s):
                yield
        except TimeoutError:
            was_connected = self._connection is not None
            await self.close()
            if not was_connected:
                raise UnreachableError(
                    f"the SSH server of {host} lets nobody in within {deadline_s:.3g} s"
                ) from None
            raise MalformedError(
                f"the rig {host} gave no answer within {deadline_s:.3g} s"
            ) from None
        except asyncssh.ChannelOpenError:
            raise
        except (OSError, asyncssh.Error) as error:
            await self.close()
            raise MalformedError(f"the SSH connection to {host} broke: {words_of(error)}") from None

    async def _start(
        self, argv: Sequence[str], cap_bytes: int, *, reconnect: bool = True
    ) -> RemoteCommand:
        """Begin a command. It is sent once its channel is open: before that, a connection that turns out to be gone
        has sent nothing.
        """
        if not reconnect and not self.is_open:
            raise UnreachableError(self._hung_up)
        connection = await self._connected(cap_bytes)
        begun: list[RemoteCommand] = []

        def channel_open() -> RemoteCommand:
            begun.append(RemoteCommand(cap_bytes))
            return begun[0]

        try:
            _, session = await connection.create_session(
                channel_open,
                shlex.join(argv),
                encoding=None,
                send_env=None,
                window=_WINDOW_BYTES,
            )
        except asyncssh.ChannelOpenError as error:
            if not await _is_gone(connection):
                raise RefusedError(
                    f"the SSH server of {self._spec.host} runs no commands: {words_of(error)}"
                ) from None
            if begun:
                raise MalformedError(f"the rig {self._spec.host} cut off {argv[0]}") from None
            if not reconnect:
                raise UnreachableError(self._hung_up) from None
            await self._connected()
            return await self._start(argv, cap_bytes, reconnect=False)
        return cast("RemoteCommand", session)

    @property
    def _hung_up(self) -> str:
        return f"the SSH server of {self._spec.host} hung up before anything was sent; try again"

    async def _connected(self, cap_bytes: int = 0) -> asyncssh.SSHClientConnection:
        """The kept connection, over which an answer of `cap_bytes` may come; a new one where it is gone. Raises
        MalformedError when it was cut off since the last call.
        """
        async with self._connecting:
            if self._connection is None or self._flow is None or self._connection.is_closed():
                was_cut = self._flow is not None and self._flow.is_over
                self._connection = self._flow = None
                if was_cut:
                    raise MalformedError(f"the rig {self._spec.host} was cut off: {SENDS_ON}")
                flow = Inflow(LOGIN_BYTES)
                self._connection = await log_in(self._spec, flow)
                self._flow = flow
            self._flow.allow(2 * cap_bytes + _MORE_BYTES)  # a packet may hold one short line
            return self._connection


def texts_of(output: str, root: str) -> dict[str, str]:
    """The files by their paths, out of lines with the file before each: `/sys/class/hwmon/hwmon0/name:k10temp`."""
    lines: dict[str, list[str]] = {}
    for line in output.split("\n"):
        if not line.startswith(f"{root}/"):
            continue
        path, colon, text = line[len(root) :].partition(":")
        if colon:
            lines.setdefault(path, []).append(text)
    return {path: "\n".join(of_file) for path, of_file in lines.items()}


async def _is_gone(connection: asyncssh.SSHClientConnection) -> bool:
    """Whether a channel did not open since its connection went: it is cleaned up a moment after its channels."""
    await asyncio.sleep(0)
    return connection.is_closed()
