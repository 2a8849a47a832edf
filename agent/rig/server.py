"""The socket of the service. Who calls is told by the kernel (SO_PEERCRED), and nobody else's request is read."""

from __future__ import annotations

import asyncio
import contextlib
import grp
import os
import pwd
import socket
import stat
import struct
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from agent.host.door import GROUP, Door
from agent.rig.shapes import REQUEST_MAX, RequestRefused, RigReply, RigRequest

log: Any = structlog.get_logger(__name__)
_LINE_S: Final = 30.0  # for a request to come, and for an answer to be taken
_WAITING_MOST: Final = 64  # connections that are not taken yet
_CONNECTIONS_MOST: Final = 32
_OF_ONE_USER: Final = 8
_CREDENTIALS: Final = struct.Struct("3i")  # pid, uid, gid
_SO_PEERGROUPS: Final = 59  # asm-generic/socket.h; Linux 4.13
_GROUPS_BYTES: Final = 1024  # what Python takes at most: 256 groups
_STRANGERS_MOST: Final = 64
_TAKEN_S: Final = 2.0

Answer = Callable[[RigRequest], Awaitable[RigReply]]


class RigCallers:
    """Who may call: root, the service's own user, and the users and members of the groups that are named."""

    def __init__(self, users: Iterable[str], groups: Iterable[str]) -> None:
        self._uids = {0, os.geteuid()}
        self._gids: set[int] = set()
        for name in users:
            with contextlib.suppress(KeyError):  # no such user: nobody calls in that name
                self._uids.add(pwd.getpwnam(name).pw_uid)
        for name in groups:
            with contextlib.suppress(KeyError):
                self._gids.add(grp.getgrnam(name).gr_gid)

    def includes(self, uid: int, gids: Iterable[int]) -> bool:
        return uid in self._uids or not self._gids.isdisjoint(gids)


class SocketTakenError(Exception):
    """Another service listens there, or it is no socket at all. The message says so."""


class RigServer:
    """Listens for the service's own group; one request after the other on each connection."""

    def __init__(self, path: Path, callers: RigCallers, answer: Answer) -> None:
        self._path = path
        self._callers = callers
        self._answer = answer
        self._door = Door(
            path, self._admit, mode=GROUP, line_max=REQUEST_MAX, waiting_most=_WAITING_MOST
        )
        self._of_user: Counter[int] = Counter()
        self._strangers: set[int] = set()

    async def start(self) -> None:
        """Raises OSError, SocketTakenError. A socket file that a killed service left is replaced."""
        await asyncio.to_thread(_clear, self._path)
        await self._door.open()

    async def stop(self) -> None:
        """Close the door; requests under way are cut, what they decided is followed after the next start."""
        await self._door.close()

    async def _admit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        uid, gids = _peer(writer.get_extra_info("socket"))
        if not self._callers.includes(uid, gids):
            self._note_stranger(uid)
            await _say(
                writer,
                RequestRefused(message=f"user {uid} may not call: `users`, `groups` in rig.toml"),
            )
            return
        if self._of_user[uid] >= _OF_ONE_USER or self._of_user.total() >= _CONNECTIONS_MOST:
            await _say(writer, RequestRefused(message="too many connections at once; try again"))
            return
        self._of_user[uid] += 1
        try:
            while await self._converse(reader, writer):
                pass
        finally:
            self._of_user[uid] -= 1

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request; whether there may be another."""
        try:
            async with asyncio.timeout(_LINE_S):
                line = await reader.readline()
        except ValueError:
            message = f"a request has at most {REQUEST_MAX} bytes"
            await _say(writer, RequestRefused(message=message))
            return False
        if not line.endswith(b"\n"):
            return False  # they left
        try:
            request = msgspec.json.decode(line, type=RigRequest)
        except (ValueError, RecursionError) as error:
            await _say(writer, RequestRefused(message=f"not a request: {error}"))
            return False
        try:
            reply = await self._answer(request)
        except Exception as error:
            log.exception("rig.bug")
            name = type(error).__name__
            reply = RequestRefused(message=f"internal error in miner-agent-rig: {name}")
        await _say(writer, reply)
        return True

    def _note_stranger(self, uid: int) -> None:
        """Each once: a flood fills no log."""
        if uid not in self._strangers and len(self._strangers) < _STRANGERS_MOST:
            self._strangers.add(uid)
            log.warning("rig.stranger", uid=uid)


def _clear(path: Path) -> None:
    """Take away a socket that nobody listens at. Raises OSError, SocketTakenError."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise SocketTakenError(
                f"{path} is no socket; set `socket` in rig.toml to a path that is free"
            )
        with socket.socket(socket.AF_UNIX) as caller:
            caller.settimeout(_TAKEN_S)
            caller.connect(str(path))
    except (FileNotFoundError, ConnectionRefusedError):
        path.unlink(missing_ok=True)
        return
    except TimeoutError:
        pass  # as many wait there as may
    raise SocketTakenError(
        f"another service listens at {path}; stop it, or set another `socket` in rig.toml"
    )


def _peer(connection: socket.socket) -> tuple[int, set[int]]:
    """The user at the other end, and the groups it is in."""
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, gid = _CREDENTIALS.unpack(data)
    try:
        more = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GROUPS_BYTES)
    except OSError:  # of more groups than that: the first counts alone
        more = b""
    return uid, {gid, *(each for (each,) in struct.iter_unpack("I", more))}


async def _say(writer: asyncio.StreamWriter, reply: RigReply) -> None:
    """Raises TimeoutError where nobody takes it."""
    async with asyncio.timeout(_LINE_S):
        writer.write(msgspec.json.encode(reply) + b"\n")
        await writer.drain()
