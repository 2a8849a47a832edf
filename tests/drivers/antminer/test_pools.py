"""The pools: a new set written, everything else kept, and nothing claimed that was not read back."""

from __future__ import annotations

import pytest

from contract.errors import BadParamsError, MalformedError, PoolsLockedError, RefusedError
from drivers.base import Plan, Pools
from tests.drivers.antminer.stage import stage
from tests.drivers.makes.cases import A, B, C, pools


async def test_a_firmware_that_lists_only_set_pools_is_understood() -> None:
    async with stage("s21", "lists_set_pools_only") as on:
        assert (await on.carry_out(pools(A))).outcome == "done"
        await on.no_change(pools(A))
        assert (await on.carry_out(pools(A, B))).outcome == "done"


async def test_a_firmware_that_wants_three_pools_says_so() -> None:
    async with stage("s21", "few_pools_refused") as on:
        plan = await on.driver.plan(pools(A))
        assert isinstance(plan, Plan)
        with pytest.raises(RefusedError, match="give three"):
            await on.driver.apply(plan, on.effect())
        assert not on.ledger("pools")


async def test_who_gave_three_pools_is_not_told_to_give_three() -> None:
    async with stage("s21") as on:
        plan = await on.planned(pools(A, B, C))
        on.faults.add("bad_config")
        with pytest.raises(RefusedError, match="M003") as refused:
            await on.driver.apply(plan, on.effect())
        assert "give three" not in str(refused.value)


@pytest.mark.parametrize("key", ["s21", "ks5"])
async def test_a_firmware_that_refuses_numbers_gets_its_pools_with_the_mode_as_text(
    key: str,
) -> None:
    async with stage(key, {"fault": "mode_as_string", "answer": 400}) as on:
        evidence = await on.carry_out(pools(A))
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert [slot["url"] for slot in on.slots] == [A, "", ""]
        assert on.miner.mode == 0


@pytest.mark.parametrize(
    "change",
    [
        pools(A, user="two words"),
        pools(A, user='quo"te'),
        pools(A, password="back\\slash"),
        pools("stratum+tcp://pööl:1"),
        pools(A, user="acc.{model}"),
        pools(A, B, C, A),
        pools(""),
    ],
)
async def test_what_the_firmware_would_damage_is_refused_before_anything_is_sent(
    change: Pools,
) -> None:
    async with stage("s21") as on:
        with pytest.raises(BadParamsError):
            await on.driver.plan(change)
        assert not on.ledger("pools", "config", phase="received")


@pytest.mark.parametrize("variant", ["missing_pools", "broken", "empty"])
async def test_pools_are_not_written_over_a_configuration_that_cannot_be_read(variant: str) -> None:
    async with stage("s21", {"fault": "bad_config", "variant": variant}) as on:
        with pytest.raises(MalformedError):
            await on.driver.plan(pools(A))
        assert not on.ledger("pools", "config", phase="received")


async def test_locked_pools_are_seen_beforehand() -> None:
    async with stage("s21", "locked_pools") as on:
        with pytest.raises(PoolsLockedError):
            await on.driver.plan(pools(A))


async def test_pools_locked_since_the_plan_are_seen_when_read_back() -> None:
    async with stage("s21") as on:
        plan = await on.driver.plan(pools(A))
        assert isinstance(plan, Plan)
        on.faults.add("locked_pools")
        effect = on.effect()
        await on.driver.apply(plan, effect)
        with pytest.raises(PoolsLockedError):
            await on.driver.verify(plan, effect)


async def test_a_sleeping_miner_takes_new_pools() -> None:
    from contract.miner import PowerMode
    from drivers.base import Mode

    async with stage("s19pro") as on:
        await on.carry_out(Mode(mode=PowerMode.SLEEP))
        evidence = await on.carry_out(pools(A))
        assert evidence.outcome == "done", evidence
        assert "sleeps" in (evidence.reason or "")
        assert on.miner.mode == 1


async def test_the_algorithm_of_a_multi_coin_miner_survives() -> None:
    async with stage("ks5") as on:
        on.miner.conf["algo"] = "ks5_other"
        assert (await on.carry_out(pools(A))).outcome == "done"
        assert on.miner.conf["algo"] == "ks5_other"


async def test_what_a_firmware_loses_with_every_save_is_told() -> None:
    async with stage("s21") as on:
        on.miner.conf["bitmain-hashrate-percent"] = "80"
        evidence = await on.carry_out(pools(A))
        assert evidence.outcome == "done"
        if "bitmain-hashrate-percent" not in on.miner.conf:
            assert evidence.after["also_changed"]["bitmain-hashrate-percent"] == ["80", None]
            assert "bitmain-hashrate-percent" in (evidence.reason or "")


async def test_a_miner_met_while_it_restarts_is_waited_for() -> None:
    async with stage("s9") as on:
        plan = await on.driver.plan(pools(A))
        assert isinstance(plan, Plan)
        effect = on.effect()
        await on.driver.apply(plan, effect)  # an old firmware restarts its process with every save
        fresh = await on.met_anew()
        assert (await fresh.verify(plan, effect)).outcome == "done"
