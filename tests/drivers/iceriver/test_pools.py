"""The pools: all slots written, read back with fan and mode as they were, and nothing claimed beyond."""

from __future__ import annotations

from typing import Any

import pytest

from contract.errors import BadParamsError, OutcomeUnknownError
from drivers.base import Plan, Pools, PoolSetting, Suspend
from tests.drivers.iceriver.stage import NEW, OLD, WRITABLE, Stage, stage

A, B, C = (f"stratum+tcp://pool-{name}.example:3333" for name in "abc")


def pools(*urls: str, user: str = "acc.w1", password: str | None = "secret") -> Pools:
    return Pools(pools=tuple(PoolSetting(url=url, user=user, password=password) for url in urls))


def stored(on: Stage) -> list[tuple[str, str, str]]:
    return [(p["url"], p["user"], p["pass"]) for p in on.miner.pools]


def as_seen(slots: list[dict[str, str]]) -> list[dict[str, str]]:
    """The ledger's slots as evidence shows them."""
    return [
        {"url": s["url"], "user": s["user"], "password": "****" if s["pass"] else ""}
        for s in slots
        if s["url"]
    ]


@pytest.mark.parametrize("key", [*WRITABLE, "ks0", "al3", "ks7"])
async def test_pools_are_replaced_and_nothing_else(key: str) -> None:
    async with stage(key) as on:
        evidence = await on.carry_out(pools(A, B, C))
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert stored(on) == [(url, "acc.w1", "secret") for url in (A, B, C)]
        assert evidence.after["working_for"] == A
        assert "connected" in evidence.signal
        (line,) = on.ledger("pools")
        assert evidence.before["pools"] == as_seen(line["before"]["pools"])
        assert evidence.after["pools"] == as_seen(line["after"]["pools"])
        for seen in (evidence.before, evidence.after):
            assert (seen["ratio"], seen["mode"]) == (60, "normal")
        assert not on.ledger("reboot", "mode")
        assert on.miner.fan_ratio == 60


@pytest.mark.parametrize("key", WRITABLE)
async def test_slots_beyond_the_list_are_cleared(key: str) -> None:
    async with stage(key) as on:
        assert (await on.carry_out(pools(A))).outcome == "done"
        assert stored(on) == [(A, "acc.w1", "secret"), ("", "", ""), ("", "", "")]


@pytest.mark.parametrize("key", WRITABLE)
async def test_the_same_pools_are_not_written_again(key: str) -> None:
    async with stage(key) as on:
        assert (await on.carry_out(pools(A, B))).outcome == "done"
        await on.no_change(pools(A, B))
        await on.no_change(pools(A, B, password=None))
        assert len(on.ledger("pools", phase="received")) == 1


@pytest.mark.parametrize("key", WRITABLE)
async def test_a_password_not_given_is_kept_where_the_url_stays_and_is_x_elsewhere(
    key: str,
) -> None:
    async with stage(key) as on:
        await on.carry_out(pools(A, B))
        change = Pools(pools=(PoolSetting(url=A, user="acc.w2"), PoolSetting(url=C, user="acc.w2")))
        assert (await on.carry_out(change)).outcome == "done"
        assert stored(on)[:2] == [(A, "acc.w2", "secret"), (C, "acc.w2", "x")]


@pytest.mark.parametrize("key", WRITABLE)
async def test_a_new_password_alone_is_written_and_read_back(key: str) -> None:
    async with stage(key) as on:
        await on.carry_out(pools(A))
        evidence = await on.carry_out(pools(A, password="other"))
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert stored(on)[0] == (A, "acc.w1", "other")
        assert "secret" not in repr((evidence.before, evidence.after, evidence.reason))
        assert "other" not in repr((evidence.before["pools"], evidence.after))


@pytest.mark.parametrize("key", [OLD, "ks5l"])
async def test_placeholders_in_the_user_are_filled_in_for_this_miner(key: str) -> None:
    async with stage(key) as on:
        assert (await on.carry_out(pools(A, user="acc.{mac}-{ip4}"))).outcome == "done"
        mac, ip4 = on.miner.mac.replace(":", ""), on.miner.ip.replace(".", "x")
        assert stored(on)[0][1] == f"acc.{mac}-{ip4}"
        with pytest.raises(BadParamsError, match="serial"):
            await on.driver.plan(pools(A, user="acc.{serial}"))


@pytest.mark.parametrize("key", WRITABLE)
async def test_blanks_around_a_text_are_cut_as_the_miner_does(key: str) -> None:
    async with stage(key) as on:
        assert (
            await on.carry_out(pools(f" {A} ", user=" acc.w1 ", password=" pass  "))
        ).outcome == ("done")
        assert stored(on)[0] == (A, "acc.w1", "pass")


@pytest.mark.parametrize("key", WRITABLE)
async def test_signs_that_a_form_would_split_at_arrive_as_they_are(key: str) -> None:
    async with stage(key) as on:
        user, password = "acc&x=1;y", "a+b c/d?#ü"
        assert (await on.carry_out(pools(A, user=user, password=password))).outcome == "done"
        assert stored(on)[0] == (A, user, password)


@pytest.mark.parametrize(
    "change",
    [
        pools(A, user='quo"te'),
        pools(A, user="back\\slash"),
        pools(A, user="per%cent"),
        pools(A, user="line\nend"),
        pools(A, user="bell\x07"),
        pools(A, password='"'),
        pools(A, password="50%"),
        pools(A, password="half \ud800"),
        pools(f"{A}\\"),
        pools(f'{A}/"'),
        pools(A, user="u" * 257),
        pools(A, user="ü" * 129),
        pools(f"{A}/{'x' * 240}"),
        pools(*(f"{url}/{'x' * 210}" for url in (A, B, C)), user="u" * 250, password="p" * 20),
        pools(A, user="acc.{model}"),
        pools(A, B, C, A),
        pools(""),
        Pools(pools=()),
    ],
)
@pytest.mark.parametrize("key", [OLD, "ks5l"])
async def test_what_the_firmware_would_break_on_is_refused_before_anything_is_sent(
    key: str, change: Pools
) -> None:
    async with stage(key) as on:
        before = stored(on)
        with pytest.raises(BadParamsError):
            await on.driver.plan(change)
        assert not on.ledger(phase="received")
        assert stored(on) == before


async def test_the_longest_pools_that_are_let_through_are_stored_whole() -> None:
    async with stage("ks5l") as on:
        urls = [f"{url}/{'x' * 150}" for url in (A, B, C)]
        change = pools(*urls, user="u" * 200, password="p" * 100)
        assert (await on.carry_out(change)).outcome == "done"
        assert stored(on) == [(url, "u" * 200, "p" * 100) for url in urls]


async def test_pools_that_broke_the_json_of_the_web_side_can_be_replaced() -> None:
    async with stage("ks3m") as on:
        on.miner.pools[0]["pass"] = 'a"b'
        evidence = await on.carry_out(pools(A))
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert stored(on)[0] == (A, "acc.w1", "secret")


async def test_old_firmware_puts_a_fan_set_by_hand_on_automatic_and_that_is_said() -> None:
    async with stage(OLD) as on:
        on.miner.fan_control = True
        evidence = await on.carry_out(pools(A))
        assert evidence.outcome == "done"
        assert not on.miner.fan_control
        assert "automatic" in (evidence.reason or "")
        assert on.miner.fan_ratio == 60


@pytest.mark.parametrize("key", NEW)
async def test_newer_firmware_leaves_the_fan_and_once_known_nothing_is_said_of_it(key: str) -> None:
    async with stage(key) as on:
        on.miner.fan_control = True
        await on.carry_out(Suspend())
        on.miner.fan_control = True
        evidence = await on.carry_out(pools(A))
        assert evidence.outcome == "done"
        assert on.miner.fan_control
        assert "automatic" not in (evidence.reason or "")
        assert "sleeps" in (evidence.reason or "") or evidence.after["working_for"]
        assert on.miner.mode == "sleep"


@pytest.mark.parametrize("key", WRITABLE)
@pytest.mark.parametrize("fault", ["ignores", "locked_pools"])
async def test_a_liar_is_found_out(key: str, fault: str) -> None:
    async with stage(key, fault) as on:
        before = stored(on)
        evidence = await on.carry_out(pools(A))
        assert (evidence.outcome, evidence.verified) == ("not_done", True), evidence
        assert "still has the old pools" in (evidence.reason or "")
        assert stored(on) == before


@pytest.mark.parametrize("key", WRITABLE)
@pytest.mark.parametrize("close", [True, False])
async def test_a_lost_answer_is_settled_by_reading_back(key: str, close: bool) -> None:
    async with stage(key, {"fault": "silent_apply", "close": close}, write_s=1.0) as on:
        evidence = await on.carry_out(pools(A))
        assert evidence.outcome == "done", evidence
        assert len(on.ledger("pools", phase="received")) == 1


@pytest.mark.parametrize("key", WRITABLE)
async def test_a_page_instead_of_an_answer_is_settled_by_reading_back(key: str) -> None:
    async with stage(key) as on:
        plan = await on.planned(pools(A))
        on.faults.add("login_page", times=1)
        effect = on.effect()
        with pytest.raises(OutcomeUnknownError):
            await on.driver.apply(plan, effect)
        evidence = await on.driver.verify(plan, effect)
        assert (evidence.outcome, evidence.verified) == ("not_done", True), evidence


@pytest.mark.parametrize("code", [1, 2, 3])
async def test_a_web_side_that_lost_its_daemon_is_settled_by_reading_back(code: int) -> None:
    async with stage("ks5l") as on:
        plan = await on.planned(pools(A))
        on.faults.add("answers_error", code=code, message="failed!", times=1)
        effect = on.effect()
        with pytest.raises(OutcomeUnknownError):
            await on.driver.apply(plan, effect)
        assert (await on.driver.verify(plan, effect)).outcome == "not_done"


@pytest.mark.parametrize("key", WRITABLE)
async def test_pools_that_cannot_be_reached_are_set_and_said_to_be_dead(key: str) -> None:
    async with stage(key, "pools_dead") as on:
        evidence = await on.carry_out(pools(A))
        assert (evidence.outcome, evidence.verified) == ("done", True)
        assert evidence.after["working_for"] is None
        assert "not connected" in (evidence.reason or "")


@pytest.mark.parametrize("key", WRITABLE)
async def test_a_miner_that_dies_at_the_order_is_unknown(key: str) -> None:
    async with stage(key, "dies_after_write") as on:
        evidence = await on.carry_out(pools(A))
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence


@pytest.mark.parametrize("key", WRITABLE)
async def test_after_a_crash_the_plan_alone_is_enough_to_look_again(key: str) -> None:
    async with stage(key) as on:
        plan = await on.driver.plan(pools(A))
        assert isinstance(plan, Plan)
        effect = on.effect()
        await on.driver.apply(plan, effect)
        notes: dict[str, Any] = {"intent_at": effect.notes["intent_at"]}
        evidence = await on.another_driver().verify(plan, on.effect(notes))
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence


async def test_another_miner_that_came_to_the_address_proves_nothing_of_pools() -> None:
    async with stage("ks5l") as on:
        plan = await on.planned(
            Pools(pools=(PoolSetting(url="stratum+tcp://p.example:3333", user="w"),))
        )
        effect = on.effect()
        await on.driver.apply(plan, effect)
        on.miner.mac = "00:0A:35:00:00:99"
        evidence = await on.driver.verify(plan, effect)
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
        assert "another miner" in (evidence.reason or "")
