"""Makes miners as the monitor expects them: compares with what was last seen, and wishes for a task where they differ.

Level-triggered: each poll is judged for itself, so a reboot, a missed poll or a task that failed heals by the next. A
task is a task like any other: journalled before its first byte, read back, with its evidence, under the limits of the
site.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import structlog

from agent.config.rigmonitor import RigMonitorSection
from agent.limits.policy import Policy
from agent.sinks.rigmonitor.machines import MonitorMachine
from agent.sinks.rigmonitor.memory import Memory
from agent.sinks.rigmonitor.newest import Newest, Seen
from agent.sinks.rigmonitor.notes import Notes
from contract.clock import Clock
from contract.errors import ErrorCode, MinerError
from contract.link import MinerRef
from contract.outcome import Outcome
from contract.rigmonitor.asic import Switch
from contract.task import TaskName
from drivers.base import Driver

ORIGIN: Final = "rigmonitor"
_RETRY_FIRST_S: Final = 60.0
_RETRY_MOST_S: Final = 3600.0

CANNOT: Final = "it cannot be switched as the monitor expects"
FAILED: Final = "what the monitor expects was not achieved"
CLASH: Final = "not followed, since the monitor knows its miner twice"

log: Any = structlog.get_logger(__name__)


class Tasks(Protocol):
    """The task path, as wishes see it; `agent.tasks.path.TaskPath`."""

    @property
    def policy(self) -> Policy: ...

    def is_busy(self, miner: MinerRef) -> bool:
        """Whether a task of that miner runs or waits."""

    def in_maintenance(self, miner: MinerRef) -> bool:
        """See `TaskPath.in_maintenance`."""

    def withdraw(self, miner: MinerRef, origin: str) -> None:
        """See `TaskPath.withdraw`."""

    async def submit_local(
        self, name: TaskName, params: dict[str, Any], miner: MinerRef | None, origin: str
    ) -> dict[str, Any]:
        """See `TaskPath.submit_local`."""


class _Kind:
    LIGHT: Final = "light"
    ASIC: Final = "asic"


@dataclass(slots=True)
class _Switch:
    """One switch of one miner: how its last tries went."""

    failures: int = 0
    retry_mono: float = float("-inf")
    cannot: tuple[str, str] | None = None  # the firmware that refused for good, and in which words


@dataclass(slots=True)
class _Asked:
    """A task that is under way, and whether it was wished for no more since."""

    ref: MinerRef
    kind: str
    wished: Switch
    is_withdrawn: bool = False


@dataclass(slots=True)
class _Miner:
    light: _Switch = field(default_factory=_Switch)
    asic: _Switch = field(default_factory=_Switch)
    switched_mono: float = float("-inf")  # its last change of power
    job: asyncio.Task[None] | None = None
    asked: _Asked | None = None  # by that job


class Switches:
    """At most one task per miner at a time, and none while others have tasks for it: the next poll sees to it."""

    def __init__(
        self,
        tasks: Tasks,
        section: RigMonitorSection,
        newest: Newest,
        memory: Memory,
        notes: Notes,
        clock: Clock,
        *,
        driver_at: Callable[[str], Driver | None],
        start: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> None:
        """`start` runs a job beside the polls and ends it with them."""
        self._tasks = tasks
        self._section = section
        self._newest = newest
        self._memory = memory
        self._notes = notes
        self._clock = clock
        self._driver_at = driver_at
        self._start = start
        self._miners: dict[str, _Miner] = {}

    async def consider(
        self, machine: MonitorMachine, light: Switch | None, asic: Switch | None
    ) -> None:
        """One poll's wishes for one miner, `None` where there is none. Begins at most one task, waits for none."""
        miner = self._miner(machine)
        if miner.asked is not None:
            self._withdraw(miner.asked, light, asic)
        if miner.job is not None or not self._newest.is_fresh(machine.key):
            return
        seen = self._newest[machine.key]
        driver = self._driver_at(seen.ip or "")
        if (
            driver is None
            or self._tasks.policy.rules.read_only
            or not self._is_meant(machine, driver)
        ):
            return
        ref = ref_of(driver)
        if self._tasks.in_maintenance(ref):
            return  # people work on it; the first poll after that is followed again
        is_asic = self._asic(machine, seen)
        if self._section.follow_asic and asic and is_asic and is_asic is not asic:
            is_due = self._may(machine, driver, _Kind.ASIC, asic, TaskName.MINING)
            if is_due and self._is_time(miner):
                self._begin(machine, miner, ref, _Kind.ASIC, asic)
        else:
            self._fulfilled(machine, miner.asic, _Kind.ASIC, asic)
        if self._section.follow_light and light and self._light(seen) is not light:
            if self._may(machine, driver, _Kind.LIGHT, light, TaskName.LIGHT):
                self._begin(machine, miner, ref, _Kind.LIGHT, light)
        else:
            self._fulfilled(machine, miner.light, _Kind.LIGHT, light)

    def _withdraw(self, asked: _Asked, light: Switch | None, asic: Switch | None) -> None:
        """A task may wait long for its turn to raise power: it is not begun once the monitor wishes the contrary, or
        people work on the miner.
        """
        wished = light if asked.kind is _Kind.LIGHT else asic
        is_contrary = wished is not None and wished is not asked.wished
        if is_contrary or self._tasks.in_maintenance(asked.ref):
            asked.is_withdrawn = True
            self._tasks.withdraw(asked.ref, ORIGIN)

    # --- whether ---

    def _miner(self, machine: MonitorMachine) -> _Miner:
        found = self._miners.get(machine.key)
        if found is None:
            found = self._miners[machine.key] = _Miner()
            since_s = self._memory.since_switch_s(machine.key)
            if since_s is not None:  # an earlier process switched it
                found.switched_mono = self._clock.mono() - since_s
        return found

    def _is_meant(self, machine: MonitorMachine, driver: Driver) -> bool:
        """Whether the miner at the address is the one with this code: an address may have been given to another since
        the last reading. Of two codes for one miner that of its MAC counts, or two wishes would switch it to and fro.
        """
        mac, host = driver.identity.mac, driver.endpoint.host
        has_own = machine.key == host and mac is not None and mac in self._newest
        if has_own:
            self._notes.trouble(CLASH, machine.key, f"its MAC {mac} has a code of its own")
        else:
            self._notes.cleared(CLASH, machine.key)
        return machine.key == mac or (machine.key == host and not has_own)

    def _light(self, seen: Seen) -> Switch:
        """A miner that cannot say is taken as dark: told once to shine, and not told to be as it is anyway."""
        return seen.light or Switch.OFF

    def _asic(self, machine: MonitorMachine, seen: Seen) -> Switch | None:
        """`None` where neither the miner says nor anything is known of it: then it is left alone."""
        return seen.asic or (Switch.OFF if self._memory.is_off(machine.key) else None)

    def _may(
        self, machine: MonitorMachine, driver: Driver, kind: str, wished: Switch, name: TaskName
    ) -> bool:
        """Whether this miner has such a switch, and a task for it is due."""
        miner = self._miner(machine)
        switch = miner.light if kind is _Kind.LIGHT else miner.asic
        if self._tasks.policy.rules.forbids(name):
            reason: str | None = f"this site does not allow {name} (policy.forbidden_tasks)"
        else:
            reason = _lacks(driver, kind, wished)
        if reason is None and switch.cannot is not None:
            firmware, words = switch.cannot
            reason = words if firmware == (driver.identity.firmware_version or "") else None
        if reason is not None:
            self._notes.trouble(f"{CANNOT}, {kind}", machine.key, f"{wished}: {reason[:200]}")
            return False
        return (
            miner.job is None
            and self._clock.mono() >= switch.retry_mono
            and not self._tasks.is_busy(ref_of(driver))
        )

    def _is_time(self, miner: _Miner) -> bool:
        """Whether the gap between two switches of one miner has passed."""
        return self._clock.mono() - miner.switched_mono >= self._section.power_gap_s

    def _fulfilled(
        self, machine: MonitorMachine, switch: _Switch, kind: str, wished: Switch | None
    ) -> None:
        """The miner is as expected, so what went wrong before is over. Nothing is known without a wish."""
        if wished is None:
            return
        switch.failures, switch.retry_mono = 0, float("-inf")
        self._notes.cleared(f"{FAILED}, {kind}", machine.key)
        self._notes.cleared(f"{CANNOT}, {kind}", machine.key)

    # --- doing ---

    def _begin(
        self, machine: MonitorMachine, miner: _Miner, ref: MinerRef, kind: str, wished: Switch
    ) -> None:
        self._notes.cleared(f"{CANNOT}, {kind}", machine.key)
        miner.asked = _Asked(ref, kind, wished)
        miner.job = self._start(self._carry_out(machine, miner, miner.asked))

    async def _carry_out(self, machine: MonitorMachine, miner: _Miner, asked: _Asked) -> None:
        kind, wished = asked.kind, asked.wished
        switch = miner.light if kind is _Kind.LIGHT else miner.asic
        seen = self._newest[machine.key]
        before = self._light(seen) if kind is _Kind.LIGHT else self._asic(machine, seen)
        log.info(
            "rigmonitor.wish",
            miner=machine.key,
            what=kind,
            before=before,
            after=wished,
            actor=ORIGIN,
        )
        try:
            if kind is _Kind.ASIC:
                # A process that ends meanwhile leaves the proof to the next one, which has to know of the gap.
                is_off = wished is Switch.OFF or self._memory.is_off(machine.key)
                await self._memory.keep(machine.key, off=is_off)
            name = TaskName.LIGHT if kind is _Kind.LIGHT else TaskName.MINING
            params = {"action": wished.value}
            result = await self._tasks.submit_local(name, params, asked.ref, ORIGIN)
            await self._judge(machine, miner, switch, asked, result)
        except (
            MinerError,
            OSError,
        ) as error:  # it was refused, or the disk is full: nothing is switched then
            self._failed(machine, switch, kind, wished, str(error))
        except Exception as error:
            # A bug of ours, be it a ValueError: the parameters are ours too. Raised on, it would end the switching of
            # all miners, and the agent with it. A cancellation passes.
            log.exception("rigmonitor.bug", miner=machine.key)
            self._failed(machine, switch, kind, wished, f"internal: {type(error).__name__}")
        finally:
            miner.job = miner.asked = None

    async def _judge(
        self,
        machine: MonitorMachine,
        miner: _Miner,
        switch: _Switch,
        asked: _Asked,
        result: Mapping[str, Any],
    ) -> None:
        kind, wished = asked.kind, asked.wished
        outcome = Outcome(result["outcome"])
        log.info(
            "rigmonitor.wish_ended",
            miner=machine.key,
            what=kind,
            wished=wished,
            task=result.get("task_id"),
            outcome=outcome,
        )
        if kind is _Kind.ASIC:
            await self._switched(machine, miner, wished, outcome)
        if outcome is Outcome.DONE:
            self._newest.told(machine.key, **{kind: wished})
            self._fulfilled(machine, switch, kind, wished)
            return
        error = result.get("error") or {}
        if asked.is_withdrawn and error.get("code") == ErrorCode.CANCELLED.value:
            return  # nobody wanted it any more
        if self._tasks.in_maintenance(asked.ref):
            return  # no fault of the miner
        words = f"{error.get('code')}: {error.get('message', '')}"
        if error.get("code") == ErrorCode.UNSUPPORTED_MODE.value:  # asking again will not mend it
            driver = self._driver_at(self._newest[machine.key].ip or "")
            firmware = driver.identity.firmware_version if driver else None
            switch.cannot = (firmware or "", words)
            self._notes.trouble(f"{CANNOT}, {kind}", machine.key, f"{wished}: {words[:200]}")
            return
        self._failed(machine, switch, kind, wished, words)

    async def _switched(
        self, machine: MonitorMachine, miner: _Miner, wished: Switch, outcome: Outcome
    ) -> None:
        """Keep how it is now. What is not known counts as a switch for the gap, and for no more."""
        if outcome is not Outcome.NOT_DONE:
            miner.switched_mono = self._clock.mono()
        if outcome is Outcome.UNKNOWN:
            return
        is_off = (wished is Switch.OFF) is (outcome is Outcome.DONE)
        await self._memory.keep(machine.key, off=is_off)

    def _failed(
        self, machine: MonitorMachine, switch: _Switch, kind: str, wished: Switch, reason: str
    ) -> None:
        switch.failures += 1
        wait_s = min(_RETRY_MOST_S, _RETRY_FIRST_S * 2.0 ** min(switch.failures - 1, 16))
        switch.retry_mono = self._clock.mono() + wait_s
        self._notes.trouble(f"{FAILED}, {kind}", machine.key, f"{wished}: {reason[:200]}")


def _lacks(driver: Driver, kind: str, wished: Switch) -> str | None:
    """Why this miner has no such switch; `None` if it has."""
    capabilities = driver.capabilities
    if capabilities is None:
        return driver.identity.reason or "its firmware is only read"
    change = "light"
    if kind is _Kind.ASIC:
        change = "suspend" if wished is Switch.OFF else "resume"
    if change in capabilities.changes:
        return None
    return f"{capabilities.make} {capabilities.generation} has no {change}"


def ref_of(driver: Driver) -> MinerRef:
    """The miner that a driver is for, as tasks name it."""
    identity, host = driver.identity, driver.endpoint.host
    return MinerRef(
        id=identity.mac or f"ip:{host}",
        mac=identity.mac,
        serial=identity.serial,
        last_ip=host,
        make=identity.make,
        model=identity.model,
    )
