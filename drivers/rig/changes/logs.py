"""The log of a rig: of each of its programs the newest lines of the unit's journal, and of its own log."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import msgspec

from contract.errors import (
    MalformedError,
    MinerError,
    RefusedError,
    UnsupportedError,
)
from drivers.base import LogFile
from drivers.changes.logfile import log_name, new_log
from drivers.protocol.log import EMPTY_LOG, EmptyLogError
from drivers.rig import processes
from drivers.rig.changes.state import is_of_rig
from drivers.rig.driver import RigDriver
from drivers.rig.protocol.orders import brief
from drivers.rig.spec import ProgramSpec

_LINES: Final = 10_000  # of one journal
_LINE_BYTES: Final = 256  # most are shorter
_PART_CAP_BYTES: Final = 4 << 20  # of one source; it is held in memory
_NO_ENTRIES: Final = "-- No entries --"
_NOT_SHOWN: Final = "not seeing messages from other users"


class _Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where a part of the log comes from: the journal of a unit, or a file."""

    program: ProgramSpec
    unit: str | None = None
    path: str = ""

    def __str__(self) -> str:
        return f"{self.program.kind}: {f'journal of {self.unit}' if self.unit else self.path}"

    def argv(self, cap_bytes: int) -> tuple[str, ...]:
        """The command that tells its newest bytes, or as many lines as have room in them for certain."""
        if self.unit is None:
            return ("tail", "-c", str(cap_bytes), self.path)
        lines = min(_LINES, max(1, cap_bytes // _LINE_BYTES))
        return (
            "journalctl", "--no-pager", "--output=short-iso", f"--lines={lines}", f"--unit={self.unit}",
        )  # fmt: skip


async def fetch_log(miner: RigDriver, folder: Path, size_cap_bytes: int) -> LogFile:
    """One file of all parts, each with a line before it that names it. A part that cannot be had says why in its place.

    Raises UnsupportedError for a rig of which no log is known, EmptyLogError when no part tells anything, what
    the first part ran into when none could be had, and StorageFullError when it does not fit on our disk.
    """
    spec = miner.rig_wire.spec
    if not spec.programs:
        raise UnsupportedError(
            f"no program of the rig {spec.name} is known: name them as `programs` in [[rigs]]"
        )
    path = folder / log_name("rig", miner.identity, miner.endpoint, miner.clock, "log")
    trouble: MinerError | None = None
    has_text = is_cut = False
    sources = [each for program in spec.programs for each in await _sources(miner, program)]
    if not sources:
        raise UnsupportedError(
            f"nothing of the rig {spec.name} tells where its log is: name the `unit` or the `log_file` of its programs "
            "in [[rigs]], or have miner-agent-rig run them"
        )
    left_bytes = size_cap_bytes
    async with new_log(path) as sink:
        for at, source in enumerate(sources):
            share = min(_PART_CAP_BYTES, left_bytes // (len(sources) - at))
            head = f"==> {source} <==\n".encode()[:share]
            text, was_cut = b"", False
            try:
                text, was_cut = await _told(miner, source, share - len(head))
            except (MalformedError, RefusedError, UnsupportedError) as error:
                trouble = trouble or error
                text = f"{error}\n".encode()[: share - len(head)]
            else:
                has_text = has_text or bool(text.strip())
            sink.write(head + text)
            await sink.drain()
            left_bytes -= len(head) + len(text)
            is_cut = is_cut or was_cut
        if not has_text:
            raise trouble or EmptyLogError(EMPTY_LOG)
    return await asyncio.to_thread(sink.close, truncated=is_cut)


# --- private -------------------------------------------------------------------------------------


async def _sources(miner: RigDriver, program: ProgramSpec) -> list[_Source]:
    """Of a program with a unit its journal, of one that the service owns the file that it writes into."""
    found: list[_Source] = []
    owned = None
    if program.unit is not None:
        found.append(_Source(program=program, unit=program.unit))
    else:
        owned = await _owned_log(miner, program)
    root = miner.rig_wire.spec.reach.root.rstrip("/")
    paths = dict.fromkeys(path for path in (owned, program.log_file) if path is not None)
    return [*found, *(_Source(program=program, path=f"{root}{path}") for path in paths)]


async def _owned_log(miner: RigDriver, program: ProgramSpec) -> str | None:
    try:
        return (await processes.owned_program(miner.rig_wire, program)).log
    except MinerError as error:
        if is_of_rig(error):
            raise
        return None


async def _told(miner: RigDriver, source: _Source, cap_bytes: int) -> tuple[bytes, bool]:
    """What it tells, and whether it was cut. Raises RefusedError where it may not be read, and as `RigWire.run`."""
    cap_bytes = max(cap_bytes, 1)
    ran = await miner.rig_wire.run(
        source.argv(cap_bytes), deadline_s=miner.timing.log_s, cap_bytes=cap_bytes, cut=True
    )
    said = "" if ran.output.strip() == _NO_ENTRIES else ran.output
    if not said.strip() and _NOT_SHOWN in ran.errors:
        raise RefusedError(
            f"{miner.rig_wire.reach.user} may not read the journal there: put it into the group systemd-journal"
        )
    if ran.status != 0 and not ran.is_cut:
        raise RefusedError(f"{source}: {brief(ran.errors or ran.output)}")
    text = said.encode()
    return text[:cap_bytes], ran.is_cut or len(text) >= cap_bytes
