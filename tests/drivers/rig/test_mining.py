"""Mining of a rig switched off and on: every program of it, by its own pause or by its end."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec
import pytest

from contract.errors import (
    MinerError,
    OutcomeUnknownError,
    PolicyRefusedError,
    RefusedError,
    UnsupportedError,
    WrongDeviceError,
)
from contract.miner import Algorithm, PowerMode
from drivers.base import Depth, Evidence, Plan, Resume, Suspend
from drivers.rig.changes.mining import NO_POOL, STARTS, STOPS
from drivers.rig.entry import RIG
from drivers.rig.spec import LocalSpec, MiningProgram, ProgramSpec
from simulator.farm import Farm
from tests.drivers.effects import MemoryEffect
from tests.drivers.rig.stage import Stage, spec_of
from tests.drivers.stage import timing
from tests.virtual_time import VirtualClock

PAUSED, ENDED, MIXED = "xmrig-cpu", "6xrtx3080-trex", "xmrig-and-lolminer"
OFF, ON = Suspend(), Resume()
stage = Stage.begin


def enrolled_as(on: Stage, **changed: Any) -> None:
    """The same rig as if it had been enrolled otherwise: each of its programs changed so."""
    spec = on.driver.rig_wire.spec
    programs = tuple(msgspec.structs.replace(each, **changed) for each in spec.programs)
    on.driver = RIG.enrolled(
        msgspec.structs.replace(spec, programs=programs),
        clock=on.clock,
        timing=on.driver.timing,
        identity=on.driver.identity,
    )


def programs(evidence: Evidence) -> list[tuple[Any, Any]]:
    return [(each["program"], each.get("process")) for each in evidence.after["programs"]]


async def slow_mode(on: Stage) -> PowerMode | None:
    slow = (await on.driver.read(Depth.SLOW)).slow
    assert slow is not None
    return slow.mode


@pytest.mark.parametrize(
    ("key", "off", "back"),
    [
        (PAUSED, ["pause"], ["resume"]),
        ("xmrig-restricted", ["stop"], ["start"]),
        (ENDED, ["stop"], ["start"]),
        (MIXED, ["pause", "stop"], ["resume", "start"]),
    ],
)
async def test_mining_is_switched_off_and_on_again(
    key: str, off: list[str], back: list[str]
) -> None:
    async with stage(key) as on:
        assert await slow_mode(on) is None
        for change, actions, signal in ((OFF, off, STOPS), (ON, back, STARTS)):
            evidence = await on.carry_out(change)
            assert (evidence.outcome, evidence.verified) == ("done", True), evidence
            assert evidence.signal == signal.signal
            assert [line["action"] for line in on.ledger()][-len(actions) :] == actions
            assert len(evidence.after["programs"]) == len(actions)
            assert (evidence.before["mining"], evidence.after["mining"]) == (
                change is OFF,
                change is ON,
            )
            await on.no_change(change)
            assert await slow_mode(on) is (PowerMode.SLEEP if change is OFF else None)
        assert len(on.ledger(phase="received")) == len(off + back)
        assert on.miner.boot == 1


async def test_a_rig_whose_programs_were_ended_has_no_fault_and_one_that_died_has() -> None:
    async with stage(ENDED) as on:
        await on.carry_out(OFF)
        slow = (await on.driver.read(Depth.SLOW)).slow
        assert slow is not None
        assert (slow.mode, slow.faults) == (PowerMode.SLEEP, ())
        await on.carry_out(ON)
        on.faults.add("program_dies", after_s=1)
        await on.clock.sleep(30)
        slow = (await on.driver.read(Depth.SLOW)).slow
        assert slow is not None
        assert (slow.mode, [each.code for each in slow.faults]) == (None, ["program_away"])


@pytest.mark.parametrize("key", [PAUSED, ENDED])
async def test_a_program_that_ignores_the_order_is_found_out(key: str) -> None:
    async with stage(key, "ignores") as on:
        evidence = await on.carry_out(OFF)
        assert (evidence.outcome, evidence.verified) == ("not_done", True), evidence
        assert "still not paused or ended" in (evidence.reason or "")


@pytest.mark.parametrize("key", [PAUSED, ENDED])
async def test_a_program_that_ignores_the_order_to_mine_is_found_out(key: str) -> None:
    async with stage(key) as on:
        await on.carry_out(OFF)
        on.faults.add("ignores")
        evidence = await on.carry_out(ON)
        assert (evidence.outcome, evidence.verified) == ("not_done", True), evidence
        assert "still off" in (evidence.reason or "")


async def test_one_of_two_programs_is_not_the_rig() -> None:
    async with stage(MIXED, {"fault": "ignores", "actions": ["stop"]}) as on:
        evidence = await on.carry_out(OFF)
        assert (evidence.outcome, evidence.verified) == ("not_done", True), evidence
        assert "1 of 2 programs" in (evidence.reason or "")
        assert "lolminer" in (evidence.reason or "")
        assert evidence.after["programs"][0]["paused"] is True
        assert len(on.ledger("pause")) == 1


async def test_a_program_that_says_no_does_not_keep_the_others_from_being_told() -> None:
    async with stage(MIXED) as on:
        on.miner.may_sudo = False
        plan, permit = await on.planned(OFF), on.permit()
        with pytest.raises(OutcomeUnknownError, match="NOPASSWD: systemctl stop lolminer"):
            await on.driver.apply(plan, permit)
        evidence = await on.driver.verify(plan, permit)
        assert evidence.outcome == "not_done", evidence
        assert "NOPASSWD" in (evidence.reason or "")  # the fix, for whoever reads the result
        assert [line["action"] for line in on.ledger()] == ["pause"]


async def test_sudo_that_asks_for_a_password_is_a_refusal_with_the_line_to_add() -> None:
    async with stage(ENDED) as on:
        on.miner.may_sudo = False
        plan, permit = await on.planned(OFF), on.permit()
        with pytest.raises(
            RefusedError, match=r"miner ALL=\(root\) NOPASSWD: systemctl stop t-rex.service"
        ):
            await on.driver.apply(plan, permit)
        assert not on.ledger(phase="received")


@pytest.mark.parametrize("key", [PAUSED, ENDED])
async def test_an_order_that_comes_late_is_still_done(key: str) -> None:
    async with stage(key, {"fault": "late_apply", "seconds": 40}) as on:
        for change in (OFF, ON):
            assert (await on.carry_out(change)).outcome == "done"


@pytest.mark.parametrize("close", [True, False], ids=["closed", "silent"])
@pytest.mark.parametrize("key", [PAUSED, ENDED])
async def test_a_lost_answer_is_settled_by_looking(key: str, close: bool) -> None:
    async with stage(key, {"fault": "silent_apply", "close": close}) as on:
        for change in (OFF, ON):
            assert (await on.carry_out(change)).outcome == "done"
        assert len(on.ledger(phase="received")) == 2


async def test_a_rig_that_dies_at_the_order_is_unknown() -> None:
    async with stage(ENDED, "dies_after_write") as on:
        evidence = await on.carry_out(OFF)
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
        assert "look again" in (evidence.reason or "")


async def test_a_decaying_rate_after_the_pool_is_gone_is_no_hashing() -> None:
    async with stage(PAUSED) as on:
        await on.carry_out(OFF)
        on.faults.add("pools_dead")
        evidence = await on.carry_out(ON)
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert evidence.signal == NO_POOL
        assert "no connection to its pool" in (evidence.reason or "")
        # not seen to mine, it is told once more: that is no "already as wished"
        assert isinstance(await on.driver.plan(ON), Plan)


async def test_what_says_that_it_is_paused_and_goes_on_hashing_is_not_believed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with stage(PAUSED) as on:
        run = on.miner.units[0].run
        monkeypatch.setattr(run, "look", lambda: None)  # it shows the pause, and works on
        for _ in range(2):  # and by its word alone it is not "already as wished"
            evidence = await on.carry_out(OFF)
            assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
            assert "does not fall" in (evidence.reason or "")


async def test_one_that_runs_and_tells_nothing_is_ended_by_its_unit_and_not_said_to_mine() -> None:
    async with stage(PAUSED, "no_api", late=True) as on:
        plan, permit = await on.planned(OFF), on.permit()
        await on.driver.apply(plan, permit)
        assert [line["action"] for line in on.ledger()] == ["stop"]
        assert (await on.driver.verify(plan, permit)).outcome == "done"
        evidence = await on.carry_out(ON)
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
        assert evidence.after["programs"][0]["process"] == "active"
        assert "not hashing" in (evidence.reason or "")


async def test_a_program_that_something_else_begins_again_is_not_off() -> None:
    async with stage(ENDED) as on:
        plan, permit = await on.planned(OFF), on.permit()
        await on.driver.apply(plan, permit)
        unit = on.miner.units[0]
        on.miner.after(8.0, lambda: on.miner._start(unit, by="order"))
        evidence = await on.driver.verify(plan, permit)
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
        assert "began again" in (evidence.reason or "")


@pytest.mark.parametrize("kept", [("intent_at",), ()], ids=["intent", "notes"])
@pytest.mark.parametrize("key", [PAUSED, MIXED])
async def test_after_a_crash_the_plan_alone_is_enough_to_look_again(
    key: str, kept: tuple[str, ...]
) -> None:
    async with stage(key) as on:
        for change in (OFF, ON):
            plan, permit = await on.planned(change), on.permit()
            await on.driver.apply(plan, permit)
            read_again = msgspec.json.decode(msgspec.json.encode(plan), type=Plan)
            evidence = await on.after_a_crash(read_again, permit, *kept)
            assert (evidence.outcome, evidence.verified) == ("done", True), evidence


async def test_after_a_crash_before_the_order_nothing_is_claimed() -> None:
    async with stage(PAUSED) as on:
        plan, permit = await on.planned(OFF), on.permit()
        async with permit.sending():
            pass
        evidence = await on.after_a_crash(plan, permit, later_s=200)
        assert (evidence.outcome, evidence.verified) == ("not_done", True), evidence


async def test_a_program_that_is_not_named_any_more_ends_as_a_refusal() -> None:
    async with stage(ENDED) as on:
        plan = await on.planned(OFF)
        enrolled_as(on, port=9)
        with pytest.raises(UnsupportedError, match="is named in"):
            await on.driver.apply(plan, on.permit())
        assert not on.ledger(phase="received")


async def test_without_leave_nothing_is_sent() -> None:
    for key in (PAUSED, ENDED):
        async with stage(key) as on:
            plan, permit = await on.planned(OFF), on.permit()
            permit.refuse = PolicyRefusedError("no lease")
            with pytest.raises(PolicyRefusedError):
                await on.driver.apply(plan, permit)
            assert not on.ledger(phase="received")


async def test_a_rig_without_programs_and_a_program_without_an_owner_say_what_is_missing() -> None:
    async with stage("idle") as on:
        with pytest.raises(UnsupportedError, match="name them as `programs`"):
            await on.driver.plan(OFF)


async def test_a_program_that_can_neither_be_paused_nor_ended_says_so() -> None:
    async with stage("xmrig-restricted") as on:
        enrolled_as(on, unit=None)
        with pytest.raises(
            UnsupportedError, match=r"neither be paused .* nor ended.*name its `unit`"
        ):
            await on.driver.plan(OFF)


async def test_what_it_mines_is_told_once_it_is_known_and_not_forgotten_while_it_rests() -> None:
    async with stage(ENDED) as on:
        await on.carry_out(OFF)
        on.driver = on.another_driver()
        resting = await on.driver.read(Depth.FULL)
        assert resting.static is not None and resting.static.algorithm is None
        await on.carry_out(ON)
        assert (moving := await on.driver.read(Depth.MOVING)).static is not None
        assert moving.static.algorithm is Algorithm.ETHASH
        assert (await on.driver.read(Depth.MOVING)).static is None
        await on.carry_out(OFF)
        again = (await on.driver.read(Depth.FULL)).static
        assert again is not None and again.algorithm is Algorithm.ETHASH


@pytest.mark.parametrize("key", [ENDED, "4xrx7900-srbminer"])
async def test_a_program_that_the_service_owns_is_ended_and_begun_by_it(key: str) -> None:
    async with stage(key) as on:
        enrolled_as(on, unit=None)
        on.miner.has_service = True
        on.miner.may_sudo = False  # which the service needs not
        for change, action in ((OFF, "stop"), (ON, "start")):
            evidence = await on.carry_out(change)
            assert (evidence.outcome, evidence.verified) == ("done", True), evidence
            assert [line["action"] for line in on.ledger()][-1] == action
            await on.no_change(change)


async def test_a_service_that_owns_another_program_says_what_to_do() -> None:
    async with stage(ENDED) as on:
        enrolled_as(on, unit=None, kind=MiningProgram.GMINER)
        on.miner.has_service = True
        with pytest.raises(UnsupportedError, match="owns no gminer"):
            await on.driver.plan(OFF)


async def test_a_unit_that_there_is_not_is_named() -> None:
    async with stage(ENDED) as on:
        enrolled_as(on, unit="other.service")
        with pytest.raises(UnsupportedError, match="no such unit"):
            await on.driver.plan(OFF)


@pytest.mark.parametrize("key", [PAUSED, ENDED])
async def test_a_changed_host_key_ends_every_change_and_nothing_is_sent(key: str) -> None:
    async with stage(key) as on:
        plan = await on.planned(OFF)
        await on.driver.rig_wire.reach.close()
        on.miner.tapped = True
        on.faults.add("changes_host_key")
        permit = on.permit()
        for call in (
            on.driver.plan(OFF),
            on.driver.apply(plan, permit),
            on.driver.verify(plan, permit),
        ):
            with pytest.raises(WrongDeviceError):
                await call
        assert (on.miner.wire_log, permit.sent) == ([], 0)
        assert not on.ledger(phase="received")


@pytest.mark.parametrize("told", ["mac", "machine-id"])
async def test_another_rig_at_the_address_is_not_written_to(told: str) -> None:
    async with stage(ENDED) as on:
        plan, permit = await on.planned(OFF), on.permit()
        if told == "mac":
            on.faults.add("changes_mac", mac="02:00:00:00:00:99")
            match = "02:00:00:00:00:99"
        else:
            match = "f" * 32
            (on.miner.folder / "etc/machine-id").write_text(f"{match}\n")
        for call in (on.driver.apply(plan, permit), on.driver.plan(OFF)):
            with pytest.raises(WrongDeviceError, match=match):
                await call
        assert permit.sent == 0
        assert not on.ledger(phase="received")


async def test_a_server_that_lets_nobody_in_is_unreachable_and_nothing_was_sent() -> None:
    async with stage(ENDED) as on:
        plan, permit = await on.planned(OFF), on.permit()
        await on.driver.rig_wire.reach.close()
        on.faults.add("refuses_22")
        with pytest.raises(MinerError):
            await on.driver.apply(plan, permit)
        assert permit.sent == 0


async def test_the_rig_we_run_on_is_paused_and_resumed_as_well() -> None:
    async with await Farm.start("rig/xmrig-cpu", base="127.0.0.1") as farm:
        (rig,) = farm.miners
        told = rig.describe()["programs"][0]
        spec = spec_of(
            rig,
            reach=LocalSpec(root=str(rig.folder)),
            programs=(
                ProgramSpec(
                    kind=spec_of(rig).programs[0].kind, port=told["port"], token=told["token"]
                ),
            ),
        )
        clock = VirtualClock()
        driver = RIG.enrolled(spec, clock=clock, timing=timing())
        await driver.identify()
        for change in (OFF, ON):
            plan, permit = await driver.plan(change), MemoryEffect(clock)
            assert isinstance(plan, Plan)
            with suppress(OutcomeUnknownError):
                await driver.apply(plan, permit)
            rig.refresh()
            evidence = await driver.verify(plan, permit)
            assert (evidence.outcome, evidence.verified) == ("done", True), evidence
