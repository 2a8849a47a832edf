"""Asks the service `miner-agent-rig` of this host, over its Unix socket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

import msgspec

from agent.rig.shapes import (
    ARGUMENT_MAX,
    REPLY_MAX,
    REQUEST_MAX,
    STANDARD_SOCKET,
    ApplyPlaybooks,
    PlaybookVerdict,
    ProgramAnswer,
    ProgramStatus,
    RequestRefused,
    RigReply,
    RigRequest,
    RigStatus,
    RigVerdicts,
    StartProgram,
    StopProgram,
    TellStatus,
)
from contract.rigmonitor.playbook import PlaybookEntry

_CONNECT_S: Final = 5.0
_ANSWER_S: Final = 120.0  # a program that does not end at once is given its time
_Answer = TypeVar("_Answer", RigVerdicts, RigStatus, ProgramAnswer)


class NoRigServiceError(Exception):
    """Nobody listens there, or not to this user: nothing was asked. The message says what to do."""


class RigRefusedError(Exception):
    """The service refused the request: nothing was changed. The message is the service's own."""


class RigServiceLostError(Exception):
    """It went away, or said nothing in time, after it was asked: what became of it is not known; ask for its status."""


class RigService:
    """A connection to the service, for one request after the other.

    `async with RigService() as service: await service.apply(entries)`. Entering raises NoRigServiceError; every method
    raises RigRefusedError and RigServiceLostError.
    """

    def __init__(self, path: Path = STANDARD_SOCKET, *, answer_s: float = _ANSWER_S) -> None:
        self._path = path
        self._answer_s = answer_s
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def __aenter__(self) -> Self:
        try:
            async with asyncio.timeout(_CONNECT_S):
                self._streams = await asyncio.open_unix_connection(str(self._path), limit=REPLY_MAX)
        except (FileNotFoundError, ConnectionRefusedError):
            raise NoRigServiceError(
                f"no miner-agent-rig listens at {self._path}; run: systemctl start miner-agent-rig"
            ) from None
        except PermissionError:
            raise NoRigServiceError(
                f"miner-agent-rig does not listen to this user at {self._path}; "
                "add the user to the group of that file and to `users` in rig.toml"
            ) from None
        except (OSError, TimeoutError) as error:
            raise NoRigServiceError(
                f"miner-agent-rig cannot be reached at {self._path}: {error}"
            ) from None
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._streams is not None
        _, writer = self._streams
        self._streams = None
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async def apply(self, entries: Sequence[PlaybookEntry]) -> tuple[PlaybookVerdict, ...]:
        """Have the rig mine by these playbooks: the whole list of a good answer, since what it does not name is ended.
        One verdict each, in their order.
        """
        request = ApplyPlaybooks(entries=tuple(_bounded(each) for each in entries))
        return (await self._ask(request, RigVerdicts)).verdicts

    async def status(self) -> RigStatus:
        """What runs, and why what does not run does not."""
        return await self._ask(TellStatus(), RigStatus)

    async def start(self, name: str) -> ProgramStatus:
        """Take back that a program (its software_name) was stopped by hand; as it is once it runs or cannot."""
        return (await self._ask(StartProgram(name=name), ProgramAnswer)).program

    async def stop(self, name: str) -> ProgramStatus:
        """End a program until `start`, or until its playbook changes; as it is once it ended."""
        return (await self._ask(StopProgram(name=name), ProgramAnswer)).program

    async def _ask(self, request: RigRequest, answer: type[_Answer]) -> _Answer:
        assert self._streams is not None, "use it as a context"
        reader, writer = self._streams
        line = msgspec.json.encode(request) + b"\n"
        if len(line) > REQUEST_MAX:
            raise RigRefusedError(
                f"the playbooks have {len(line)} bytes; {REQUEST_MAX} are the most"
            )
        try:
            async with asyncio.timeout(self._answer_s):
                with contextlib.suppress(ConnectionError):  # its last words may be there yet
                    writer.write(line)
                    await writer.drain()
                said = await reader.readline()
            if not said.endswith(b"\n"):
                raise ConnectionError("it closed the connection")
            reply = msgspec.json.decode(said, type=RigReply)
        except TimeoutError:
            raise RigServiceLostError(
                f"miner-agent-rig said nothing in {self._answer_s:g} s"
            ) from None
        except (OSError, ValueError, RecursionError) as error:
            raise RigServiceLostError(f"miner-agent-rig gave no answer: {error}") from None
        if isinstance(reply, RequestRefused):
            raise RigRefusedError(reply.message)
        if not isinstance(reply, answer):
            raise RigServiceLostError(f"miner-agent-rig answered with {type(reply).__name__}")
        return reply


def _bounded(entry: PlaybookEntry) -> PlaybookEntry:
    """One that is too long for the service stays so, and is refused there by name; the others come through."""
    if len(entry.command_argument) <= ARGUMENT_MAX:
        return entry
    return msgspec.structs.replace(
        entry, command_argument=entry.command_argument[: ARGUMENT_MAX + 1]
    )
