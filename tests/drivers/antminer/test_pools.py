"""The pools: a new set written, everything else kept, and nothing claimed that was not read back."""

from __future__ import annotations

from typing import Any

import pytest

from contract.errors import BadParamsError, MalformedError, PoolsLockedError, RefusedError
from drivers.base import Plan, Pools, PoolSetting
from tests.drivers.antminer.stage import stage

A, B, C = (f"stratum+tcp://pool-{name}.example:3333" for name in "abc")


def pools(*urls: str, user: str = "acc.w1", password: str | None = "secret") -> Pools:
    return Pools(pools=tuple(PoolSetting(url=url, user=user, password=password) for url in urls))


def stored(on: Any) -> list[tuple[str, str, str]]:
    return [(p["url"], p["user"], p["pass"]) for p in on.miner.conf["pools"]]


@pytest.mark.parametrize("key", ["s21", "s19pro", "l7", "ks5", "s21hyd", "s9", "t17+", "l3+"])
async def test_pools_are_replaced_and_nothing_else(key: str) -> None:
    async with stage(key) as on:
        rest = {name: value for name, value in on.miner.conf.items() if name != "pools"}
        evidence = await on.carry_out(pools(A, B, C))
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert stored(on) == [(url, "acc.w1", "secret") for url in (A, B, C)]
        assert evidence.after["working_for"] == A
        assert [p["url"] for p in evidence.after["pools"]] == [A, B, C]
        now = {name: value for name, value in on.miner.conf.items() if name != "pools"}
        assert {k: str(v) for k, v in now.items()} == {k: str(v) for k, v in rest.items()}
        assert "also_changed" not in evidence.after
        assert len(on.ledger("pools")) == 1
        assert not on.ledger("reboot")


@pytest.mark.parametrize("key", ["s21", "s9"])
async def test_slots_beyond_the_list_are_cleared(key: str) -> None:
    async with stage(key) as on:
        evidence = await on.carry_out(pools(A))
        assert evidence.outcome == "done", evidence
        assert stored(on) == [(A, "acc.w1", "secret"), ("", "", ""), ("", "", "")]


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


@pytest.mark.parametrize("key", ["s21", "s9"])
async def test_the_same_pools_again_are_not_written(key: str) -> None:
    async with stage(key) as on:
        assert (await on.carry_out(pools(A, B))).outcome == "done"
        await on.no_change(pools(A, B))
        await on.no_change(pools(A, B, password=None))
        assert len(on.ledger("pools")) == 1


async def test_an_absent_password_is_kept_where_the_url_is_the_same_and_else_x() -> None:
    async with stage("s21") as on:
        await on.carry_out(pools(A, B))
        changed = Pools(
            pools=(PoolSetting(url=A, user="acc.w2"), PoolSetting(url=C, user="acc.w2"))
        )
        assert (await on.carry_out(changed)).outcome == "done"
        assert stored(on)[:2] == [(A, "acc.w2", "secret"), (C, "acc.w2", "x")]


async def test_placeholders_in_the_user_are_filled_in_for_this_miner() -> None:
    async with stage("s21") as on:
        user = "acc.{mac}-{ip4}-{serial}"
        assert (await on.carry_out(pools(A, user=user))).outcome == "done"
        mac, ip4 = on.miner.mac.replace(":", ""), on.miner.ip.replace(".", "x")
        assert stored(on)[0][1] == f"acc.{mac}-{ip4}-{on.miner.serial}"


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


async def test_a_placeholder_that_this_miner_cannot_fill_is_refused() -> None:
    async with stage("s9") as on:
        with pytest.raises(BadParamsError, match="serial"):
            await on.driver.plan(pools(A, user="acc.{serial}"))


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


@pytest.mark.parametrize("key", ["s21", "s9"])
async def test_a_liar_is_found_out(key: str) -> None:
    async with stage(key, "ignores") as on:
        evidence = await on.carry_out(pools(A))
        assert (evidence.outcome, evidence.verified) == ("not_done", True), evidence
        assert "old pools" in (evidence.reason or "")


@pytest.mark.parametrize("key", ["s21", "s9"])
@pytest.mark.parametrize("close", [True, False])
async def test_a_lost_answer_is_settled_by_reading_back(key: str, close: bool) -> None:
    async with stage(key, {"fault": "silent_apply", "close": close}, write_s=2.0) as on:
        assert (await on.carry_out(pools(A))).outcome == "done"
        assert len(on.ledger("pools")) == 1


async def test_pools_that_cannot_be_reached_are_set_and_said_to_be_dead() -> None:
    async with stage("s21", "pools_dead") as on:
        evidence = await on.carry_out(pools(A))
        assert (evidence.outcome, evidence.verified) == ("done", True)
        assert evidence.after["working_for"] is None
        assert "no pool is alive" in (evidence.reason or "")


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


async def test_no_password_is_in_evidence_plan_or_printed_plan() -> None:
    async with stage("s21") as on:
        on.miner.conf["pools"][0]["pass"] = "oldsecret"
        evidence = await on.carry_out(pools(A, password="newsecret"))
        shown = repr((evidence.before, evidence.after, evidence.reason))
        assert "oldsecret" not in shown
        assert "newsecret" not in shown
        assert "****" in shown


async def test_after_a_crash_the_plan_alone_is_enough_to_look_again() -> None:
    async with stage("s9") as on:
        plan = await on.driver.plan(pools(A))
        assert isinstance(plan, Plan)
        effect = on.effect()
        await on.driver.apply(plan, effect)
        fresh = on.another_driver()
        evidence = await fresh.verify(plan, on.effect(effect.notes))
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence


async def test_a_miner_met_while_it_restarts_is_waited_for() -> None:
    async with stage("s9") as on:
        plan = await on.driver.plan(pools(A))
        assert isinstance(plan, Plan)
        effect = on.effect()
        await on.driver.apply(plan, effect)  # an old firmware restarts its process with every save
        fresh = await on.met_anew()
        assert (await fresh.verify(plan, effect)).outcome == "done"
