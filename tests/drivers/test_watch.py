"""How long ago an effect was: what a step of the clock on the wall, or a restart of the host, does to the proofs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from contract.clock import BootTime, to_text
from drivers.antminer.changes.reboot import AntminerReboot, Clocks
from drivers.base import Plan, Reboot, Timing
from drivers.changes.reboot import Verdict
from drivers.changes.verification import Verification
from drivers.watch import intent_age_s, intent_notes
from drivers.whatsminer.changes.reboot import WhatsminerReboot
from drivers.whatsminer.changes.state import WhatsminerState
from tests.drivers.effects import MemoryEffect

JUMPS_H = (-24, -2, 0, 2, 6, 24)


class SteppedClock:
    """Three clocks that can be set apart."""

    def __init__(self) -> None:
        self.wall = datetime(2026, 11, 21, 10, tzinfo=UTC)
        self.since_boot = BootTime("this boot", 5000.0)
        self.at_mono = 50.0

    def now(self) -> datetime:
        return self.wall

    def mono(self) -> float:
        return self.at_mono

    def boot(self) -> BootTime:
        return self.since_boot

    async def sleep(self, seconds: float) -> None:
        raise AssertionError(seconds)

    def pass_s(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.since_boot = BootTime(self.since_boot.boot_id, self.since_boot.seconds + seconds)
        self.at_mono += seconds


class Ordered:
    """A reboot whose intent was written down, and an agent that was restarted then: 20 s later it looks."""

    def __init__(self, *, jump_h: float = 0.0, host_restarted: bool = False) -> None:
        self.clock = SteppedClock()
        self.miner: Any = SimpleNamespace(clock=self.clock, timing=Timing())
        self.read_at = to_text(self.clock.now() - timedelta(seconds=1))
        self.notes = intent_notes(self.clock.now(), self.clock.boot())
        self.clock.pass_s(20)
        self.clock.at_mono = 3.0  # another process
        self.clock.wall += timedelta(hours=jump_h)
        if host_restarted:
            self.clock.since_boot = BootTime("next boot", 7000.0)

    def antminer(
        self, now: Clocks, *, system: str | None, before_s: float = 18780.0, outage: bool = False
    ) -> Verdict | None:
        before = {"elapsed_s": before_s, "system_uptime": system, "read_at": self.read_at}
        plan = Plan(change=Reboot(force=True), before=before)
        watch = Verification(self.miner, plan, self._effect(outage=outage))
        return AntminerReboot().judge(watch, now)

    def whatsminer(
        self, now: WhatsminerState, *, before_s: float = 18780.0, outage: bool = False
    ) -> Verdict | None:
        before = {"elapsed_s": before_s, "uptime_s": before_s + 60, "read_at": self.read_at}
        plan = Plan(change=Reboot(force=True), before=before)
        watch = Verification(self.miner, plan, self._effect(outage=outage))
        return WhatsminerReboot().judge(watch, now)

    def watch(self) -> Verification[Any, Any]:
        plan = Plan(change=Reboot(force=True), before={})
        return Verification(self.miner, plan, self._effect(outage=False))

    def _effect(self, *, outage: bool) -> MemoryEffect:
        return MemoryEffect(self.clock, self.notes | ({"outage_at": "seen"} if outage else {}))


@pytest.mark.parametrize("jump_h", JUMPS_H)
def test_a_step_of_the_clock_on_the_wall_makes_no_reboot_of_a_miner_that_runs_on(
    jump_h: float,
) -> None:
    at = Ordered(jump_h=jump_h)
    assert at.antminer(Clocks(elapsed_s=18801.0, system="5:13"), system="5:13") is None
    assert at.antminer(Clocks(elapsed_s=18801.0), system=None, outage=True) is None
    assert at.whatsminer(WhatsminerState(elapsed_s=18801.0, uptime_s=18861.0)) is None
    assert at.whatsminer(WhatsminerState(elapsed_s=18801.0, uptime_s=18861.0), outage=True) is None


@pytest.mark.parametrize("jump_h", JUMPS_H)
def test_a_step_of_the_clock_on_the_wall_hides_no_reboot_and_no_refusal(jump_h: float) -> None:
    at = Ordered(jump_h=jump_h)
    at.clock.pass_s(280)
    ran_on = at.antminer(Clocks(elapsed_s=19081.0), system=None)
    assert ran_on is not None and ran_on.outcome == "not_done"
    rebooted = at.antminer(Clocks(elapsed_s=200.0), system=None, outage=True)
    assert rebooted is not None and rebooted.outcome == "done"
    rebooted = at.whatsminer(WhatsminerState(elapsed_s=200.0, uptime_s=260.0))
    assert rebooted is not None and rebooted.outcome == "done"


def test_after_a_restart_of_the_host_only_a_count_that_went_back_is_a_proof() -> None:
    at = Ordered(host_restarted=True)
    rebooted = at.whatsminer(WhatsminerState(elapsed_s=200.0, uptime_s=260.0))
    assert rebooted is not None and rebooted.outcome == "done"
    rebooted = at.antminer(Clocks(elapsed_s=200.0), system=None, outage=True)
    assert rebooted is not None and rebooted.outcome == "done"
    # Up for twenty minutes; the order may have been an hour ago or a minute.
    young = Clocks(elapsed_s=1200.0)
    assert at.antminer(young, system=None, before_s=600.0, outage=True) is None


def test_after_a_restart_of_the_host_no_age_says_that_nothing_was_done() -> None:
    at = Ordered(host_restarted=True)
    watch = at.watch()
    assert watch.since_s is None and watch.device_s == 0.0
    before = {"elapsed_s": 18780.0, "system_uptime": None, "read_at": at.read_at}
    at.clock.at_mono += 3600  # looked at for an hour
    watch.plan = Plan(change=Reboot(force=True), before=before)
    verdict = AntminerReboot().judge(watch, Clocks(elapsed_s=22401.0))
    assert verdict is not None and verdict.outcome == "unknown"
    assert "host of the agent was restarted" in (verdict.reason or "")


def test_a_count_since_boot_that_went_back_is_not_believed() -> None:
    clock = SteppedClock()
    notes = intent_notes(clock.now(), clock.boot())
    assert intent_age_s(notes, clock) == 0.0
    clock.pass_s(-1.0)  # a machine set back to an earlier image
    assert intent_age_s(notes, clock) is None
    assert intent_age_s({}, clock) is None
    assert intent_age_s({"intent_boot": "torn"}, clock) is None
