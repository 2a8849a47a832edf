"""Far sides of a rig: its programs on loopback, and an SSH server in front of a folder, each on real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh

from drivers.rig.spec import MiningProgram, ProgramSpec, SshSpec
from tests.drivers.servers import Behaviour, serving

HOST = "127.0.0.1"  # the loopback of the rig: its programs have no other


def page(body: bytes | Any, status: str = "200 OK") -> bytes:
    """A reply of a web server."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data


def website(pages: Mapping[str, Any], token: str | None = None) -> Behaviour:
    """Serves pages by their paths: plain values as JSON."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        path = head.split(" ")[1]
        if token is not None and "Authorization:" not in head:
            reply = page(b"", "401 Unauthorized")
        elif token is not None and f"Authorization: Bearer {token}\r\n" not in head:
            reply = page(b"", "403 Forbidden")
        else:
            reply = page(pages[path]) if path in pages else page(b"", "404 Not Found")
        writer.write(reply)
        await writer.drain()

    return behave


def sgminer(answer: Any) -> Behaviour:
    """One JSON command in, one answer and a NUL back."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert "command" in json.loads(await reader.read(4096))
        writer.write(json.dumps(answer).encode() + b"\0")
        await writer.drain()

    return behave


@asynccontextmanager
async def program(
    kind: MiningProgram, behave: Behaviour, token: str | None = None
) -> AsyncIterator[ProgramSpec]:
    """A mining program on loopback."""
    async with serving(behave, HOST) as at:
        yield ProgramSpec(kind=kind, port=at.http_port, token=token)


Command = Callable[[Any], Any]


class SshDoor(asyncssh.SSHServer):
    """Lets connections through to loopback, and counts who came."""

    def __init__(self, rig: SshRig) -> None:
        self.seen = rig.seen
        self.connections = rig.connections
        self.forwards = rig.forwards

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.seen.append("connection")
        self.connections.append(conn)

    def auth_completed(self) -> None:
        self.seen.append("login")

    def connection_requested(self, *args: Any) -> bool:
        if not self.forwards:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "no")
        return True


class SshRig:
    """An SSH server whose commands run in earnest, but for those that are given as functions."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.seen: list[str] = []
        self.connections: list[asyncssh.SSHServerConnection] = []
        self.commands: dict[str, Command] = {}
        self.forwards = True
        self.root = root
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self._folder = folder
        self._key = asyncssh.generate_private_key("ssh-ed25519")
        self._server: asyncssh.SSHAcceptor | None = None
        self.port = 0

    async def start(self) -> None:
        self._folder.mkdir(exist_ok=True)
        self._key.write_private_key(self._folder / "key")
        self._key.write_public_key(self._folder / "authorized")
        self._server = await asyncssh.create_server(
            lambda: SshDoor(self),
            HOST,
            self.port,
            server_host_keys=[self.host_key],
            authorized_client_keys=str(self._folder / "authorized"),
            process_factory=self._process,
            encoding=None,
        )
        self.port = self._server.get_port()

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for connection in self.connections:
            connection.abort()
        self.connections.clear()
        if self._server is not None:
            await self._server.wait_closed()  # since Python 3.12 it waits for its connections, too
            self._server = None

    def spec(self, **changed: Any) -> SshSpec:
        public = self.host_key.export_public_key("openssh").decode().strip()
        return SshSpec(
            **{"host": HOST, "port": self.port, "user": "miner", "key_file": str(self._folder / "key"),
               "host_key": public, "root": str(self.root)} | changed
        )  # fmt: skip

    async def _process(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        command = process.command or ""
        self.seen.append(command.split(" ")[0])
        for start, answer in self.commands.items():
            if command.startswith(start):
                await answer(process)
                return
        child = await asyncio.create_subprocess_shell(
            command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        try:
            output, errors = await child.communicate()
            process.stdout.write(output)
            process.stderr.write(errors)
            process.exit(child.returncode or 0)
        finally:
            if child.returncode is None:
                child.kill()


def says(output: str, status: int = 0, errors: str = "") -> Command:
    """A command that answers so."""

    async def answer(process: asyncssh.SSHServerProcess[bytes]) -> None:
        process.stdout.write(output.encode())
        process.stderr.write(errors.encode())
        process.exit(status)

    return answer


@asynccontextmanager
async def ssh_rig(folder: Path, root: Path) -> AsyncIterator[SshRig]:
    rig = SshRig(folder, root)
    async with AsyncExitStack() as stack:
        await rig.start()
        stack.push_async_callback(rig.stop)
        yield rig
