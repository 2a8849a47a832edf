"""What crosses the socket of `miner-agent-rig`: one JSON document a line, a request and its answer in turn."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from contract.rigmonitor.playbook import MiningWish, PlaybookEntry

STANDARD_SOCKET: Final = Path("/run/miner-agent-rig/rig.sock")
REQUEST_MAX: Final = 512 * 1024
"""Bytes of one line to the service."""
REPLY_MAX: Final = 1 << 20
"""Bytes of one line from it."""
ENTRIES_MAX: Final = 16
"""Playbooks of one rig."""
ARGUMENT_MAX: Final = 8 * 1024
"""Bytes of a playbook's `command_argument`."""


class ApplyPlaybooks(msgspec.Struct, frozen=True, kw_only=True, tag_field="call", tag="apply"):
    """The whole list of a good answer: a program that it does not name is ended. Answered by RigVerdicts."""

    entries: tuple[PlaybookEntry, ...]


class TellStatus(msgspec.Struct, frozen=True, kw_only=True, tag_field="call", tag="status"):
    """Answered by RigStatus."""


class StartProgram(msgspec.Struct, frozen=True, kw_only=True, tag_field="call", tag="start"):
    """Take back that it was stopped by hand. Answered by ProgramStatus, once it runs or it is known why not."""

    name: str


class StopProgram(msgspec.Struct, frozen=True, kw_only=True, tag_field="call", tag="stop"):
    """End it, until it is started by hand or its playbook changes. Answered by ProgramStatus, once it ended."""

    name: str


RigRequest = ApplyPlaybooks | TellStatus | StartProgram | StopProgram


class PlaybookVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one playbook.

    Refused: `reason` names the field or option and what would work; what ran before under that name goes on. Accepted:
    `pid` is that of its process, or `reason` says why none runs (stopped by hand, by its wish, died and waits).
    """

    id: int
    software_name: str
    accepted: bool
    reason: str | None = None
    pid: int | None = None


class ProgramState(StrEnum):
    """What a program does."""

    RUNNING = "running"
    ENDING = "ending"
    """Told to end, and not gone yet."""
    WAITING = "waiting"
    """It died, or could not be started; it is tried again."""
    STOPPED = "stopped"
    """By hand, by its playbook's wish, or since the service's config refuses its playbook now."""


class ProgramStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One program, by the playbook that it was last accepted with."""

    software_name: str
    software_version: str
    playbook_id: int
    wish: MiningWish
    """Of the playbook."""
    is_stopped_by_hand: bool
    state: ProgramState
    pid: int | None = None
    is_adopted: bool = False
    """It was started by an earlier process of the service."""
    started_at: str | None = None
    deaths: int = 0
    """How often in a row it ended by itself soon after it was started."""
    last_end: str | None = None
    """How it last ended by itself, or why it could not be started."""
    retry_in_s: float | None = None
    """While it waits."""
    log: str
    """The path of what it writes."""
    refused: str | None = None
    """Why its newest playbook is not obeyed."""


class RigVerdicts(msgspec.Struct, frozen=True, kw_only=True, tag_field="answer", tag="verdicts"):
    verdicts: tuple[PlaybookVerdict, ...]


class RigStatus(msgspec.Struct, frozen=True, kw_only=True, tag_field="answer", tag="status"):
    version: str
    programs: tuple[ProgramStatus, ...]


class ProgramAnswer(msgspec.Struct, frozen=True, kw_only=True, tag_field="answer", tag="program"):
    program: ProgramStatus


class RequestRefused(msgspec.Struct, frozen=True, kw_only=True, tag_field="answer", tag="refused"):
    """Nothing was changed; the message says why and what would work."""

    message: str


RigReply = RigVerdicts | RigStatus | ProgramAnswer | RequestRefused
