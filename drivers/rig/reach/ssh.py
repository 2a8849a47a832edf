"""A rig in the network, by SSH: one connection is kept, its host key is the one that was pinned, we log in by a key.

Files are told by one `grep` for a whole look; programs are asked through the connection (direct-tcpip to the rig's own
loopback).
"""

from __future__ import annotations

import asyncio
import logging
import shlex
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, cast

import asyncssh

from contract.errors import (
    AuthFailedError,
    MalformedError,
    RefusedError,
    ServiceAwayError,
    UnreachableError,
    WrongDeviceError,
)
from drivers.rig.reach.base import (
    LOOPBACK,
    OUTPUT_CAP_BYTES,
    TEXTS_CAP_BYTES,
    FileTexts,
    Ran,
    decoded,
)
from drivers.rig.reach.sessions import ForwardedPort, RemoteCommand
from drivers.rig.spec import SshSpec

_LINES_OF_A_FILE: Final = 200
_PATTERN_S: Final = 2.0
_THERE: Final = "/proc/uptime"  # on every Linux
_LEFT_OUT_S: Final = 3600.0
_KEEPALIVE_S: Final = 15.0

# It would tell each channel and command of each look.
asyncssh.set_log_level(logging.WARNING)


async def host_key_of(host: str, port: int, *, deadline_s: float) -> str:
    """The public key that a host shows now, as OpenSSH writes it: to be looked at and pinned when a rig is enrolled.

    Raises UnreachableError.
    """
    try:
        async with asyncio.timeout(deadline_s):
            key = await asyncssh.get_server_host_key(host, port, config=None)
    except (OSError, TimeoutError, asyncssh.Error) as error:
        raise UnreachableError(f"{host}:{port} shows no SSH host key: {_words(error)}") from None
    if key is None:
        raise UnreachableError(f"{host}:{port} shows no SSH host key")
    return key.export_public_key("openssh").decode("ascii").strip()


class SshReach:
    """See `RigReach`."""

    def __init__(self, spec: SshSpec) -> None:
        self._spec = spec
        self._root = spec.root.rstrip("/")
        self._connection: asyncssh.SSHClientConnection | None = None
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
        if self._is_mute:
            await self._leave_out_the_first(patterns, end)
        asked = [each for each in patterns if self._blocks_until.get(each, 0.0) < end]
        missed = set(patterns) - set(asked)
        if self._is_searching:
            found, stuck = await self._search(asked, end)
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
                connection = await self._connected()
                await connection.create_connection(
                    lambda: ForwardedPort(factory()), LOOPBACK, port, encoding=None
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
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()

    # --- private ---------------------------------------------------------------------------------

    async def _search(self, asked: Sequence[str], end: float) -> tuple[dict[str, str], list[str]]:
        """A look at one pattern after another. One that does not answer, while one behind it does, has a file that
        blocks. Gives the patterns that were not read, too.
        """
        loop = asyncio.get_running_loop()
        found: dict[str, str] = {}
        silent: list[str] = []
        missed: list[str] = []
        for at, pattern in enumerate((*asked, _THERE)):
            is_whole = False
            if loop.time() < end:
                texts, is_whole = await self._grep((pattern,), end, patience_s=_PATTERN_S)
                found |= texts
            if not is_whole and loop.time() >= end:
                # Where nothing was silent before, the rig is far away: as a whole, a look tells more of it.
                self._is_searching = bool(silent)
                return found, [*missed, *silent, *asked[at:]]
            if not is_whole:
                silent.append(pattern)
                continue
            self._blocks_until |= dict.fromkeys(silent, loop.time() + _LEFT_OUT_S)
            missed += silent
            silent = []
        self._is_searching = False
        return found, [*missed, *silent]

    async def _leave_out_the_first(self, patterns: Sequence[str], end: float) -> None:
        """Find the pattern with a file that blocks before any is told. Raises MalformedError where nothing is told of
        any file: then it is the rig.
        """
        loop = asyncio.get_running_loop()
        for pattern in patterns:
            if self._blocks_until.get(pattern, 0.0) >= end:
                continue
            texts, is_whole = await self._grep((pattern,), end, patience_s=_PATTERN_S)
            if not (texts or is_whole):
                _, is_there = await self._grep((_THERE,), end, patience_s=_PATTERN_S)
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
            raise MalformedError(f"the SSH connection to {host} broke: {_words(error)}") from None

    async def _start(
        self, argv: Sequence[str], cap_bytes: int, *, reconnect: bool = True
    ) -> RemoteCommand:
        """Begin a command. It is sent once its channel is open: before that, a connection that turns out to be gone
        has sent nothing.
        """
        if not reconnect and not self.is_open:
            raise UnreachableError(self._hung_up)
        connection = await self._connected()
        begun: list[RemoteCommand] = []

        def channel_open() -> RemoteCommand:
            begun.append(RemoteCommand(cap_bytes))
            return begun[0]

        try:
            _, session = await connection.create_session(
                channel_open, shlex.join(argv), encoding=None, send_env=None
            )
        except asyncssh.ChannelOpenError as error:
            if not await _is_gone(connection):
                raise RefusedError(
                    f"the SSH server of {self._spec.host} runs no commands: {_words(error)}"
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

    async def _connected(self) -> asyncssh.SSHClientConnection:
        """The kept connection; a new one where it is gone."""
        async with self._connecting:
            if self._connection is None or self._connection.is_closed():
                self._connection = None
                self._connection = await self._log_in()
            return self._connection

    async def _log_in(self) -> asyncssh.SSHClientConnection:
        spec = self._spec
        try:
            pinned = asyncssh.import_public_key(spec.host_key)
            key = await asyncio.to_thread(asyncssh.read_private_key, spec.key_file)
        except (OSError, asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
            raise AuthFailedError(
                f"the keys of the rig {spec.host} cannot be used: {_words(error)}; check its key_file and host_key"
            ) from None
        options: dict[str, Any] = _ONLY_KEYS | {
            "known_hosts": ([pinned], [], []),
            # Its own kind first, all others behind: a server with another key is told from one that has none.
            "server_host_key_algs": _host_key_algorithms(pinned),
            "client_keys": [key],
            "username": spec.user,
        }
        try:
            return await asyncssh.connect(spec.host, spec.port, **options)
        except asyncssh.HostKeyNotVerifiable:
            raise WrongDeviceError(
                f"the host at {spec.host} has another SSH key than the rig that was enrolled: nothing was sent. If the "
                "rig was installed again, enrol it again and compare the key that is shown"
            ) from None
        except asyncssh.PermissionDenied:
            raise AuthFailedError(
                f"{spec.host} does not let {spec.user} in: put our public key into its authorized_keys"
            ) from None
        except OSError as error:
            raise UnreachableError(
                f"{spec.host}:{spec.port} takes no SSH connection: {_words(error)}"
            ) from None
        except asyncssh.Error as error:
            raise UnreachableError(
                f"{spec.host}:{spec.port} does not speak SSH as we do: {_words(error)}"
            ) from None


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


# No password, no agent, no configuration of the user we run as, nothing compressed.
_ONLY_KEYS: Final[dict[str, Any]] = {
    "config": None,
    "preferred_auth": "publickey",
    "password_auth": False,
    "kbdint_auth": False,
    "host_based_auth": False,
    "agent_path": None,
    "gss_kex": False,
    "gss_auth": False,
    "compression_algs": "none",
    "x509_trusted_certs": None,
    "keepalive_interval": _KEEPALIVE_S,
    "connect_timeout": None,
    "login_timeout": 0,  # the deadline of each call is over this, too
}


def _host_key_algorithms(pinned: asyncssh.SSHKey) -> list[str]:
    own = [name.decode("ascii") for name in pinned.sig_algorithms]
    return own + [each for each in _HOST_KEY_ALGORITHMS if each not in own]


_HOST_KEY_ALGORITHMS: Final = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)


async def _is_gone(connection: asyncssh.SSHClientConnection) -> bool:
    """Whether a channel did not open since its connection went: it is cleaned up a moment after its channels."""
    await asyncio.sleep(0)
    return connection.is_closed()


def _words(error: BaseException) -> str:
    return str(error)[:200] or type(error).__name__
