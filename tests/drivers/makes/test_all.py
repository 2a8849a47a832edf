"""What every driver promises of every change, whatever the make.

`makes.py` says which model of which make can keep a promise, and where their words differ.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from contract.errors import PolicyRefusedError
from drivers.base import Strength
from drivers.registry import DRIVERS
from tests.drivers.makes.cases import (
    MAKES,
    MakeCase,
    Need,
    each,
    each_change,
    each_crash,
    each_silence,
    having,
)

ORDERS = (Need.LIGHT, Need.POOLS, Need.MODE, Need.POWER_LIMIT)
UNSEEN = {
    Need.LIGHT: "look again",
    Need.POOLS: r"read the \w+ again",
    Need.MODE: "look again",
    Need.POWER_LIMIT: "look again",
}
GENERATIONS = [
    pytest.param(make, declared, id=f"{make.name}-{declared.generation}")
    for make in MAKES
    for declared in make.stage.entry.generations.values()
    if declared.changes
]


def test_every_make_keeps_every_promise_or_says_why_not() -> None:
    assert [make.stage.entry for make in MAKES] == list(DRIVERS)
    for make in MAKES:
        keys = {*make.models, *make.variants}
        for cannot in make.cannot:
            assert cannot.why
            assert keys >= set(cannot.models)
    for need in Need:
        assert list(having(need))


@each_silence
@each_change(*ORDERS)
async def test_a_lost_answer_is_settled_by_looking(
    make: MakeCase, key: str, need: Need, close: bool
) -> None:
    fault = {"fault": "silent_apply", "close": close, "actions": [need]}
    async with make.begin(key, fault, write_s=200.0) as on:
        evidence = await on.carry_out(make.change(need))
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert len(on.ledger(need)) == len(on.ledger(need, phase="received")) == 1


@each_change(*ORDERS)
async def test_a_miner_that_dies_at_the_order_is_unknown(
    make: MakeCase, key: str, need: Need
) -> None:
    async with make.begin(key, "dies_after_write") as on:
        evidence = await on.carry_out(make.change(need))
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
        assert re.search(UNSEEN[need], evidence.reason)


@each_crash
@each_change(*ORDERS)
async def test_after_a_crash_the_plan_alone_is_enough_to_look_again(
    make: MakeCase, key: str, need: Need, kept: tuple[str, ...]
) -> None:
    async with make.begin(key) as on:
        plan, permit = await on.planned(make.change(need)), on.permit()
        await on.driver.apply(plan, permit)
        evidence = await on.after_a_crash(plan, permit, *kept)
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert len(on.ledger(need)) == 1


@each_change(*ORDERS, Need.REBOOT)
async def test_without_leave_nothing_is_sent(make: MakeCase, key: str, need: Need) -> None:
    async with make.begin(key) as on:
        plan, permit = await on.planned(make.change(need)), on.permit()
        permit.refuse = PolicyRefusedError("no lease")
        with pytest.raises(PolicyRefusedError):
            await on.driver.apply(plan, permit)
        assert not on.ledger(phase="received")


@pytest.mark.parametrize(("make", "declared"), GENERATIONS)
def test_every_change_has_a_proof_with_a_window(make: MakeCase, declared: Any) -> None:
    assert set(declared.changes) == make.changes - make.lacks.get(declared.generation, set())
    proven = {proof.change for proof in declared.proofs}
    assert proven == set(declared.changes)
    for proof in declared.proofs:
        assert 0 < proof.earliest_s < proof.latest_s
    unproven = {proof.change for proof in declared.proofs if proof.strength is Strength.NONE}
    assert unproven == make.unproven.get(declared.generation, set())


@each(Need.REBOOT, every=True)
async def test_a_driver_declares_what_its_generation_can(make: MakeCase, key: str) -> None:
    async with make.begin(key) as on:
        declared = on.driver.capabilities
        assert declared is not None
        assert declared.modes == make.modes[declared.generation]
        assert declared.log
