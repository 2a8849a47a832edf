"""Far sides for rigs of a farm: one that answers as a rig does, and each way in which one keeps an agent waiting.

All of them are real SSH servers, or what listens where one should, each at an address of its own.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import asyncssh

from tests.drivers.rig import tree
from tests.drivers.servers import Behaviour, drips, endless, hangs, serving
from tests.virtual_time import loop_clock

LINGERS_S = 1.8
Process = asyncssh.SSHServerProcess[bytes]
Answer = Callable[[Process], Awaitable[None]]


class Doors:
    """How many connections each address has now and had at most, and when the first one came."""

    def __init__(self) -> None:
        self.first: dict[str, datetime] = {}
        self.open: Counter[str] = Counter()
        self.most: Counter[str] = Counter()

    def opened(self, ip: str) -> None:
        self.first.setdefault(ip, loop_clock().now())
        self.open[ip] += 1
        self.most[ip] = max(self.most[ip], self.open[ip])

    def closed(self, ip: str) -> None:
        self.open[ip] -= 1


class _Door(asyncssh.SSHServer):
    """Lets one key in, and says when somebody comes and goes."""

    def __init__(self, doors: Doors, ip: str) -> None:
        self._doors = doors
        self._ip = ip
        self._gone = asyncio.Event()

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._doors.opened(self._ip)

    def connection_lost(self, exc: Exception | None) -> None:
        self._doors.closed(self._ip)
        self._gone.set()

    def connection_requested(self, *args: object) -> bool:
        return True


class _NoLogin(_Door):
    """Never says whether it lets anybody in."""

    async def begin_auth(self, username: str) -> bool:
        return await self._gone.wait()


class _NoChannel(_Door):
    """Lets everybody in, and opens no channel."""

    async def session_requested(self) -> Any:
        await self._gone.wait()


class _Chatters(_Door):
    """Sends packets that mean nothing, without end, from the login on."""

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        super().connection_made(conn)
        self._conn = conn

    def auth_completed(self) -> None:
        self._chat = asyncio.get_running_loop().create_task(self._talk())

    async def _talk(self) -> None:
        while not self._conn.is_closed():
            self._conn.send_debug("x" * 30_000)
            await asyncio.sleep(0)


def _files(ip: str) -> dict[str, str]:
    number = int(ip.rpartition(".")[2])
    return tree.texts(tree.HOST) | {
        "/etc/machine-id": f"{number:032x}\n",
        "/sys/class/net/enp3s0/address": f"02:00:00:00:01:{number:02x}\n",
    }


def _answers(ip: str) -> Answer:
    lines = "".join(
        f"{path}:{line}\n" for path, text in _files(ip).items() for line in text.splitlines()
    ).encode()

    async def answer(process: Process) -> None:
        is_look = (process.command or "").startswith("sh ")
        process.stdout.write(lines if is_look else b"")
        process.exit(0 if is_look else 127)

    return answer


def _says_nothing(ip: str) -> Answer:
    del ip
    return asyncssh.SSHServerProcess.wait_closed


def _floods(ip: str) -> Answer:
    del ip

    async def answer(process: Process) -> None:
        with suppress(BrokenPipeError, ConnectionError):
            while True:
                process.stdout.write(b"/proc/uptime:1 1\n" * 4096)
                await process.stdout.drain()

    return answer


def _holds_a_file(ip: str) -> Answer:
    """Tells what it has, but for one file that never answers, and what is behind it."""
    whole = _answers(ip)

    async def answer(process: Process) -> None:
        if "temp*_input" not in (process.command or ""):
            await whole(process)
            return
        process.stdout.write(b"/proc/uptime:93784.25 1480000.10\n")
        await process.wait_closed()

    return answer


def _lingers(ip: str) -> Answer:
    """Answers each time when its deadline is all but over."""
    late = _answers(ip)

    async def answer(process: Process) -> None:
        await asyncio.sleep(LINGERS_S)
        await late(process)

    return answer


def _counted(behave: Behaviour, doors: Doors, ip: str) -> Behaviour:
    """Behaves so until the other side hangs up."""

    async def until_hung_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        doors.opened(ip)
        waits = {asyncio.ensure_future(each) for each in (behave(reader, writer), reader.read())}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
            doors.closed(ip)

    return until_hung_up


NO_SSH: dict[str, Behaviour] = {"hangs": hangs, "drips": drips, "floods": endless}
DOORS: dict[str, type[_Door]] = {
    "no login": _NoLogin,
    "no channel": _NoChannel,
    "chatters": _Chatters,
}
COMMANDS: dict[str, Callable[[str], Answer]] = {
    "says nothing": _says_nothing,
    "floods a look": _floods,
    "holds a file": _holds_a_file,
    "lingers": _lingers,
}
KINDS = (*NO_SSH, *DOORS, *COMMANDS)


@asynccontextmanager
async def farm_of(
    healthy: int, hanging: int, *, net: str, folder: Path, doors: Doors
) -> AsyncIterator[tuple[list[dict[str, Any]], dict[str, str]]]:
    """So many rigs, as `[[rigs]]` of a config; and what keeps which of them from answering, by address."""
    client, host = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    client.write_private_key(folder / "key")
    (folder / "key").chmod(0o600)
    client.write_public_key(folder / "authorized")
    kind_of: dict[str, str] = {}
    entries: list[dict[str, Any]] = []
    async with AsyncExitStack() as stack:
        silent = _counted(hangs, Doors(), "127.0.0.1")
        programs = [
            {
                "kind": each,
                "port": (await stack.enter_async_context(serving(silent, "127.0.0.1"))).http_port,
            }
            for each in ("xmrig", "t-rex", "lolminer")
        ]
        for number in range(1, healthy + hanging + 1):
            ip = f"{net}.{number}"
            if number > healthy:
                kind_of[ip] = KINDS[(number - healthy - 1) % len(KINDS)]
            kind = kind_of.get(ip, "")
            if kind in NO_SSH:
                behave = _counted(NO_SSH[kind], doors, ip)
                port = (await stack.enter_async_context(serving(behave, ip))).http_port
            else:
                made = partial(DOORS.get(kind, _Door), doors, ip)
                answer = COMMANDS.get(kind, _answers)(ip)
                server = await asyncssh.create_server(
                    made,
                    ip,
                    server_host_keys=[host],
                    authorized_client_keys=str(folder / "authorized"),
                    process_factory=None if kind == "no channel" else answer,
                    encoding=None,
                    login_timeout=0,
                )
                stack.push_async_callback(_ended, server)
                port = server.get_port()
            entries.append(
                {
                    "name": f"rig-{number}",
                    "reach": "ssh",
                    "host": ip,
                    "port": port,
                    "user": "miner",
                    "key_file": str(folder / "key"),
                    "host_key": host.export_public_key("openssh").decode().strip(),
                    "programs": programs if kind == "lingers" else [],
                }
            )
        yield entries, kind_of


async def _ended(server: asyncssh.SSHAcceptor) -> None:
    server.close()
    await server.wait_closed()
