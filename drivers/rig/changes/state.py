"""What the changes look at: how each program of a rig runs, and when the rig booted. Only reads."""

from __future__ import annotations

from typing import Any

import msgspec

from contract.errors import (
    MalformedError,
    MinerError,
    RefusedError,
    ServiceAwayError,
    UnreachableError,
    UnsupportedError,
    WrongDeviceError,
)
from drivers.rig.driver import RigDriver
from drivers.rig.processes import process_of
from drivers.rig.programs import ask
from drivers.rig.protocol.process import ProgramProcess
from drivers.rig.protocol.report import ProgramReport
from drivers.rig.reading import host
from drivers.rig.reading.host import HostFacts, host_of
from drivers.rig.spec import MiningProgram, ProgramSpec

NOT_TOLD = (MalformedError, RefusedError, UnsupportedError)


class SeenProgram(msgspec.Struct, frozen=True, kw_only=True):
    """One program: what it tells itself, else why it does not, and what whoever runs it tells, else why not."""

    spec: ProgramSpec
    report: ProgramReport | None = None
    trouble: MinerError | None = None
    process: ProgramProcess | None = None
    unknown: MinerError | None = None

    @property
    def name(self) -> str:
        """For a sentence; two of a kind are told apart by their ports."""
        return f"{self.spec.kind} (port {self.spec.port})"

    @property
    def shown_hs(self) -> float | None:
        """The rate as it shows it, which may be one that decays."""
        return None if self.report is None else self.report.shown_hs

    @property
    def may_pause(self) -> bool:
        """Whether it takes orders to pause and to resume."""
        is_known = self.spec.kind is MiningProgram.XMRIG and self.spec.token is not None
        return is_known and self.report is not None and self.report.takes_orders

    @property
    def is_mining(self) -> bool:
        """It shows that it hashes for a pool."""
        report = self.report
        if report is None or report.paused is True or not report.hashrate_hs:
            return False
        return report.shown_hs is None or report.shown_hs > 0  # its mean over a minute fades later

    @property
    def is_paused(self) -> bool:
        """It says so. Its rate is seen apart."""
        return self.report is not None and self.report.paused is True

    @property
    def is_gone(self) -> bool:
        """Its process is, and nothing answers at its port."""
        is_ended = self.process is not None and self.process.is_up is False
        return is_ended and self.report is None and isinstance(self.trouble, ServiceAwayError)

    @property
    def is_off(self) -> bool:
        """By its own word, or by its end."""
        return self.is_paused or self.is_gone

    @property
    def awaits_pool(self) -> bool:
        """It would mine, and has no pool to mine for."""
        return self.report is not None and self.report.paused is not True and self.report.pool_lost


async def look(miner: RigDriver) -> tuple[SeenProgram, ...]:
    """All its programs now. One that does not tell is in it as well. Raises as `RigWire.run` when the rig is away."""
    return tuple([await _state_of(miner, spec) for spec in miner.rig_wire.spec.programs])


async def boot(miner: RigDriver) -> HostFacts:
    """Its boot id and uptime. Raises MalformedError when it tells neither, and as `RigWire.read_texts`."""
    found = host_of((await miner.rig_wire.read_texts((host.BOOT_ID, "/proc/uptime"))).texts)
    if found.boot_id is None:
        raise MalformedError("it does not tell the id of its boot: check the root of its files")
    return found


def shown(states: tuple[SeenProgram, ...] | None) -> dict[str, Any]:
    """As evidence holds it; {} when nothing was seen. `mining` is of the whole rig: `None` where its programs differ,
    or one does not show it.
    """
    if states is None:
        return {}
    is_on, is_off = (
        all(each.is_mining for each in states), all(each.is_off for each in states),
    )  # fmt: skip
    return {
        "mining": True if is_on else False if is_off else None,
        "programs": [_shown(each) for each in states],
    }


def is_of_rig(error: MinerError) -> bool:
    """Whether it says that the rig is away or another one, and not that one of its programs is."""
    return isinstance(error, WrongDeviceError | UnreachableError) and not isinstance(
        error, ServiceAwayError
    )


# --- private -------------------------------------------------------------------------------------


async def _state_of(miner: RigDriver, spec: ProgramSpec) -> SeenProgram:
    report: ProgramReport | None = None
    process: ProgramProcess | None = None
    trouble: MinerError | None = None
    unknown: MinerError | None = None
    try:
        report = await ask(miner.rig_wire, spec)
    except MinerError as error:
        if is_of_rig(error):
            raise
        trouble = error
    # Where the program itself tells enough, a service that nobody asked for is not asked.
    if spec.unit is not None or report is None or not _pauses(spec, report):
        try:
            process = await process_of(miner.rig_wire, spec)
        except NOT_TOLD as error:
            unknown = error
    return SeenProgram(spec=spec, report=report, trouble=trouble, process=process, unknown=unknown)


def _pauses(spec: ProgramSpec, report: ProgramReport) -> bool:
    return spec.token is not None and report.takes_orders


def _shown(state: SeenProgram) -> dict[str, Any]:
    report, process = state.report, state.process
    found: dict[str, Any] = {"program": str(state.spec.kind), "port": state.spec.port}
    if report is not None:
        found |= {
            "paused": report.paused,
            "hashrate_hs": report.hashrate_hs,
            "pool_lost": report.pool_lost,
        }
        if report.shown_hs is not None:
            found["shown_hs"] = report.shown_hs
    elif state.trouble is not None:
        found["answers"] = str(state.trouble)[:200]
    if process is not None:
        found |= {"process": process.word, "pid": process.pid}
    return found
