"""The reboot of a rig: by its configured command, proven by another boot id."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec
import pytest

from contract.errors import (
    MalformedError,
    OutcomeUnknownError,
    PolicyRefusedError,
    UnsupportedError,
)
from drivers.base import Plan, Reboot, Suspend
from drivers.rig.entry import RIG
from tests.drivers.rig.stage import Stage, spec_of

FORCE = Reboot(force=True)
stage = Stage.begin


def enrolled_as(on: Stage, **changed: Any) -> None:
    spec = spec_of(on.miner, **changed)
    on.driver = RIG.enrolled(
        spec, clock=on.clock, timing=on.driver.timing, identity=on.driver.identity
    )


@pytest.mark.parametrize("argv", [("reboot",), ("sudo", "-n", "systemctl", "reboot")])
async def test_a_reboot_is_proven_by_another_boot_id(argv: tuple[str, ...]) -> None:
    async with stage("xmrig-cpu") as on:
        enrolled_as(on, reboot_argv=argv)
        before = on.miner.boot_id
        evidence = await on.carry_out(FORCE)
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert (evidence.before["boot_id"], evidence.after["boot_id"]) == (before, on.miner.boot_id)
        assert evidence.before["boot_id"] != evidence.after["boot_id"]
        assert len(on.ledger("reboot")) == len(on.ledger("reboot", phase="received")) == 1


async def test_without_a_command_it_says_which_key_is_missing() -> None:
    async with stage("xmrig-cpu") as on:
        enrolled_as(on, reboot_argv=())
        with pytest.raises(UnsupportedError, match=r"set `reboot` of it in \[\[rigs\]\]"):
            await on.driver.plan(FORCE)


async def test_one_that_hashes_is_not_restarted_and_one_that_rests_is() -> None:
    async with stage("xmrig-cpu") as on:
        with pytest.raises(PolicyRefusedError, match=r"it is hashing .* force"):
            await on.driver.plan(Reboot())
        await on.carry_out(Suspend())
        assert (await on.carry_out(Reboot())).outcome == "done"


async def test_a_shutdown_that_takes_its_time_is_waited_for() -> None:
    async with stage("xmrig-cpu", {"fault": "late_apply", "seconds": 100}) as on:
        assert (await on.carry_out(FORCE)).outcome == "done"


async def test_after_a_crash_it_is_judged_by_its_plan_however_late() -> None:
    async with stage("xmrig-cpu") as on:
        plan, permit = await on.planned(FORCE), on.permit()
        with suppress(OutcomeUnknownError):
            await on.driver.apply(plan, permit)
        read_again = msgspec.json.decode(msgspec.json.encode(plan), type=Plan)
        evidence = await on.after_a_crash(read_again, permit, "intent_at", later_s=5000)
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert len(on.ledger("reboot", phase="received")) == 1


async def test_a_rig_that_does_not_tell_its_boot_is_not_restarted() -> None:
    async with stage("xmrig-cpu") as on:
        (on.miner.folder / "proc/sys/kernel/random/boot_id").unlink()
        on.miner.files.show_boot = lambda *_: None
        with pytest.raises(MalformedError, match="id of its boot"):
            await on.driver.plan(FORCE)
        assert not on.ledger(phase="received")
