"""The SSH server in front of a rig: login by key alone, commands, files, and connections to the rig's own loopback.

Faults of the line strike here under the kind `ssh`: without `match` when somebody connects, with it when a command has
that text.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import stat
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, Final

import asyncssh

from simulator.net import CHUNK, Connection, ListeningPort
from simulator.rig.device import USER
from simulator.rig.keys import host_key
from simulator.rig.shell import RigShell

if TYPE_CHECKING:
    from simulator.rig.device import RigDevice

_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
_CONNECTS: Final = "connect"
_LOGIN_S: Final = 120.0


class SshConnection(Connection):
    """One client's bytes, handed to and from an SSH server of its own; between the two the line's faults strike."""

    kind = "ssh"

    def __init__(self, rig: RigDevice, listener: ListeningPort) -> None:
        super().__init__(rig, listener)
        self._rig = rig
        self._inner: asyncio.StreamWriter | None = None
        self._early = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        # as sshd does: otherwise a small packet waits until the client has confirmed the one before
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.transport is not None and not self.attack(_CONNECTS):
            self.start(self._serve())

    def data_received(self, data: bytes) -> None:
        if self._inner is not None:
            self._inner.write(data)
        elif not self.abandoned:
            self._early += data

    async def _serve(self) -> None:
        here, there = socket.socketpair()
        here.setblocking(False)
        there.setblocking(False)
        reader, self._inner = await asyncio.open_connection(sock=there)
        self._inner.write(bytes(self._early))
        serving = asyncio.ensure_future(self._talk(here))
        drip = self._rig.faults.take("drips", text=_CONNECTS, port=self.kind)
        interval_s = float(drip.args.get("interval", 1.0)) if drip else 0.0
        try:
            while (data := await reader.read(1 if drip else CHUNK)) and self.transport is not None:
                await self._writable.wait()
                if self.transport is not None:
                    self.transport.write(data)
                await asyncio.sleep(interval_s)
        finally:
            self._inner.close()
            serving.cancel()
            if self.transport is not None:
                self.transport.close()

    async def _talk(self, sock: socket.socket) -> None:
        """One SSH connection from its version to its end."""
        rig = self._rig
        with contextlib.suppress(asyncssh.Error, OSError):  # a client that gave up
            connection = await asyncssh.run_server(
                sock,
                server_factory=lambda: _Login(rig),
                server_host_keys=[
                    asyncssh.import_private_key(
                        host_key(rig.key_seed, other="changes_host_key" in rig.faults)
                    )
                ],
                authorized_client_keys=str(rig.folder / "home/miner/.ssh/authorized_keys"),
                process_factory=lambda process: _run_while_heard(rig, process),
                sftp_factory=lambda channel: _Files(rig, channel),
                encoding=None,
                login_timeout=_LOGIN_S,
            )
            try:
                await connection.wait_closed()
            finally:
                connection.abort()


class _Login(asyncssh.SSHServer):
    """Lets in whose key is known, by the one name there is."""

    def __init__(self, rig: RigDevice) -> None:
        self._rig = rig
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn

    def begin_auth(self, username: str) -> bool:
        if username != USER and self._connection is not None:
            self._connection.set_authorized_keys(asyncssh.import_authorized_keys(""))
        self._rig.tap(self._rig.ports["ssh"], "ssh", b"login", had_credentials=True)
        return True

    def connection_requested(
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> Any:
        del orig_host, orig_port
        if dest_host not in _LOOPBACK or self._connection is None:
            raise asyncssh.ChannelOpenError(
                asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "Connection refused"
            )
        self._rig.tap(dest_port, "ssh", b"forward", had_credentials=True)
        return self._connection.forward_connection(self._rig.loopback, dest_port)


class _Files(asyncssh.SFTPServer):
    """The rig's folder as the root of its files."""

    def __init__(self, rig: RigDevice, channel: asyncssh.SSHServerChannel[bytes]) -> None:
        rig.refresh()
        super().__init__(channel, chroot=str(rig.folder).encode())

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> Any:
        return self._open(path, pflags, attrs)

    async def _open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        mode = (await _done(self.stat(path))).st_mode
        if stat.S_ISFIFO(mode):
            await asyncio.Event().wait()  # nobody writes to it
        return super().open(path, pflags, attrs)


async def _done(value: Any) -> Any:
    return await value if isinstance(value, Awaitable) else value


async def _run_while_heard(rig: RigDevice, process: asyncssh.SSHServerProcess[bytes]) -> None:
    """One command, until it ends or its client closes the channel."""
    with contextlib.suppress(BrokenPipeError):
        await _run(rig, process)


async def _run(rig: RigDevice, process: asyncssh.SSHServerProcess[bytes]) -> None:
    command = process.command
    if command is None:
        process.stderr.write(b"no shell here\n")
        process.exit(1)
        return
    rig.tap(rig.ports["ssh"], "ssh", command.encode(), had_credentials=True)
    faults = rig.faults
    if faults.take("hangs", text=command, port="ssh"):
        await asyncio.Event().wait()
    if faults.take("endless", text=command, port="ssh"):
        while True:
            process.stdout.write(b"y\n" * (CHUNK // 2))
            await process.stdout.drain()
            await asyncio.sleep(0)
    drip = faults.take("drips", text=command, port="ssh")

    async def write(data: bytes, *, error: bool = False) -> None:
        stream = process.stderr if error else process.stdout
        for part in [data[n : n + 1] for n in range(len(data))] if drip else [data]:
            stream.write(part)
            await stream.drain()
            if drip:
                await asyncio.sleep(float(drip.args.get("interval", 1.0)))

    status = await RigShell(rig, write).run(command)
    if status is None:
        process.close()
    else:
        process.exit(status)
