"""Whether a release proves itself: what its process says, as far as systemd shows that it is that process, in time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import structlog

from agent.config.update import UpdateSection
from agent.installer.units import AgentUnits, UnitState
from contract.clock import Clock
from release.handover import ReleaseIdentity, RunningRelease
from service.install.host import HostCommandError

_TURN_S: Final = 1.0
log: Any = structlog.get_logger(__name__)


class ProcessSeen(NamedTuple):
    """One look at the agent: what systemd shows (`None`: nothing, just now), and what its main process says."""

    unit: UnitState | None
    said: RunningRelease | None


class Unproven(NamedTuple):
    """Why a release did not prove itself, and which run of it shows that best."""

    reason: str
    message: str
    invocation: str


class ReleaseWatch:
    """`said` gives what a process left in the agent's folder: it counts only if it is of the unit's process."""

    def __init__(
        self,
        units: AgentUnits,
        said: Callable[[], RunningRelease | None],
        clock: Clock,
        limits: UpdateSection,
    ) -> None:
        self._units = units
        self._said = said
        self._clock = clock
        self._limits = limits

    def look(self) -> ProcessSeen:
        try:
            unit = self._units.show()
        except HostCommandError as error:
            log.warning("update.systemd", error=str(error))
            return ProcessSeen(None, None)
        said = self._said()
        is_its_own = (
            said is not None
            and unit.pid != 0
            and (said.pid, said.invocation) == (unit.pid, unit.invocation)
            and said.boot_id == self._clock.boot().boot_id
        )
        return ProcessSeen(unit, said if is_its_own else None)

    def runs(self, release: ReleaseIdentity) -> bool:
        """Whether the unit's process is of that release now."""
        return _is(release, self.look())

    def is_stopped(self) -> bool:
        """Whether somebody stopped the unit: it is not started against their will."""
        unit = self.look().unit
        return unit is not None and unit.is_stopped

    async def until_ready(self, release: ReleaseIdentity) -> bool:
        """Whether that release is ready within the limit; nobody waits for what is stopped."""
        begun_s = self._clock.mono()
        while True:
            seen = self.look()
            if _is(release, seen) and _is_active(seen):
                return True
            if seen.unit is not None and seen.unit.is_stopped:
                return False
            if self._clock.mono() - begun_s >= self._limits.ready_within_s:
                return False
            await self._clock.sleep(_TURN_S)

    async def verdict(
        self, release: ReleaseIdentity, before: UnitState | None, is_led_to: Callable[[], bool]
    ) -> Unproven | None:
        """Watch the release, whose start has begun, until it is proven (`None`) or not. `before` is the unit before
        that start. `is_led_to` says whether `current` still leads to it.
        """
        begun_s = self._clock.mono()
        calm: tuple[str, float] | None = None  # in which run all was well, and since when
        while True:
            seen = self.look()
            passed_s = self._clock.mono() - begun_s
            if not is_led_to():
                return Unproven("gone", "is not what is led to any more", "")
            if seen.unit is not None and seen.unit.is_stopped:
                return Unproven("stopped", "is not proven, since somebody stopped the agent", "")
            if _restarts(seen.unit, before) > self._limits.restarts_most:
                return self._unproven(seen, "crash_loop", "ended again and again", before)
            lacking = self._lacking(release, seen)
            for limit_s, reason, message in lacking:
                if passed_s >= limit_s:
                    return self._unproven(seen, reason, f"{message} within {limit_s:g} s", before)
            if lacking or seen.unit is None:
                calm = None
            elif calm is None or calm[0] != seen.unit.invocation:
                calm = (seen.unit.invocation, passed_s)
            if calm is not None and passed_s - calm[1] >= self._limits.settle_s:
                return None
            await self._clock.sleep(_TURN_S)

    def _lacking(self, release: ReleaseIdentity, seen: ProcessSeen) -> list[tuple[float, str, str]]:
        """What it has not shown: until when it has to, and what is said then."""
        limits, said = self._limits, seen.said if _is(release, seen) else None
        needed = (
            (
                limits.ready_within_s,
                said is not None and said.ready and _is_active(seen),
                "not_ready",
                "was not ready",
            ),
            (
                limits.link_within_s,
                said is not None and said.linked,
                "no_link",
                "had no link to its cloud",
            ),
            (
                limits.journal_within_s,
                said is not None and said.journal_turned,
                "journal_still",
                "had a journal that did not turn",
            ),
        )
        return [
            (limit_s, reason, message) for limit_s, is_so, reason, message in needed if not is_so
        ]

    def _unproven(
        self, seen: ProcessSeen, reason: str, message: str, before: UnitState | None
    ) -> Unproven:
        invocation = "" if seen.unit is None else seen.unit.invocation
        is_older = before is not None and invocation == before.invocation
        return Unproven(reason, message, "" if is_older else invocation)


def _is(release: ReleaseIdentity, seen: ProcessSeen) -> bool:
    said = seen.said
    return said is not None and (said.version, said.sha256) == (release.version, release.sha256)


def _is_active(seen: ProcessSeen) -> bool:
    return seen.unit is not None and seen.unit.active == "active"


def _restarts(unit: UnitState | None, before: UnitState | None) -> int:
    """By itself, since we restarted it: that sets the count back, or lets it run on."""
    if unit is None or before is None:
        return 0 if unit is None else unit.restarts
    if unit.invocation == before.invocation:
        return 0
    return unit.restarts - (before.restarts if unit.restarts >= before.restarts else 0)
