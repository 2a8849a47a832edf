"""The pools: all slots written, read back from the running miner, and nothing claimed beyond."""

from __future__ import annotations

from typing import Any

import pytest

from contract.errors import BadParamsError, BusyError
from drivers.base import Plan, Pools, PoolSetting, Suspend
from tests.drivers.whatsminer.stage import WRITABLE, stage

A, B, C = (f"stratum+tcp://pool-{name}.example:3333" for name in "abc")


def pools(*urls: str, user: str = "acc.w1", password: str | None = "secret") -> Pools:
    return Pools(pools=tuple(PoolSetting(url=url, user=user, password=password) for url in urls))


def stored(on: Any) -> list[tuple[str, str, str]]:
    return [(p["url"], p["user"], p["pass"]) for p in on.miner.pools]


def as_seen(slots: list[dict[str, str]]) -> list[dict[str, str]]:
    """The ledger's slots as a miner shows them: without empty ones and passwords."""
    return [{"url": s["url"], "user": s["user"]} for s in slots if s["url"]]


@pytest.mark.parametrize("key", [*WRITABLE, "m30s", "m63s"])
async def test_pools_are_replaced_and_nothing_else(key: str) -> None:
    async with stage(key) as on:
        evidence = await on.carry_out(pools(A, B, C))
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert stored(on) == [(url, "acc.w1", "secret") for url in (A, B, C)]
        assert evidence.after["working_for"] == A
        (line,) = on.ledger("pools")
        assert evidence.before["pools"] == as_seen(line["before"]["pools"])
        assert evidence.after["pools"] == as_seen(line["after"]["pools"])
        assert not on.ledger("reboot", "restart")


@pytest.mark.parametrize("key", WRITABLE)
async def test_slots_beyond_the_list_are_cleared(key: str) -> None:
    async with stage(key) as on:
        assert (await on.carry_out(pools(A))).outcome == "done"
        assert stored(on) == [(A, "acc.w1", "secret"), ("", "", ""), ("", "", "")]


@pytest.mark.parametrize("key", ["m50s", "m60s"])
async def test_the_same_pools_without_passwords_are_not_written(key: str) -> None:
    async with stage(key) as on:
        assert (await on.carry_out(pools(A, B))).outcome == "done"
        await on.no_change(pools(A, B, password=None))
        assert len(on.ledger("pools", phase="received")) == 1


@pytest.mark.parametrize("key", ["m50s", "m60s"])
async def test_new_passwords_alone_are_written_and_never_called_verified(key: str) -> None:
    async with stage(key) as on:
        await on.carry_out(pools(A))
        evidence = await on.carry_out(pools(A, password="other"))
        assert (evidence.outcome, evidence.verified) == ("done", False), evidence
        assert "does not show them" in (evidence.reason or "")
        assert stored(on)[0] == (A, "acc.w1", "other")
        on.faults.add("silent_apply", close=True)
        evidence = await on.carry_out(pools(A, password="third"))
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence


async def test_a_password_that_cannot_be_kept_is_told() -> None:
    async with stage("m50s") as on:
        await on.carry_out(pools(A, B))
        changed = Pools(
            pools=(PoolSetting(url=A, user="acc.w2"), PoolSetting(url=C, user="acc.w2"))
        )
        evidence = await on.carry_out(changed)
        assert evidence.outcome == "done"
        assert "pool 1 could not be kept" in (evidence.reason or "")
        assert stored(on)[:2] == [(A, "acc.w2", "x"), (C, "acc.w2", "x")]


@pytest.mark.parametrize("key", ["m60s", "m60s-compat"])
async def test_placeholders_in_the_user_are_filled_in_for_this_miner(key: str) -> None:
    async with stage(key) as on:
        user = "acc.{mac}-{ip4}-{serial}"
        assert (await on.carry_out(pools(A, user=user))).outcome == "done"
        mac, ip4 = on.miner.mac.replace(":", ""), on.miner.ip.replace(".", "x")
        assert stored(on)[0][1] == f"acc.{mac}-{ip4}-{on.miner.serial}"


@pytest.mark.parametrize(
    "change",
    [
        pools(A, user="two words"),
        pools(A, user='quo"te'),
        pools(A, user="$(reboot)"),
        pools(A, password="`id`"),
        pools(A, password="a;b"),
        pools("stratum+tcp://pööl:1"),
        pools(A, user="acc.{model}"),
        pools(A, B, C, A),
        pools("x" * 300),
        pools(""),
        Pools(pools=()),
    ],
)
async def test_what_a_shell_of_the_firmware_could_take_amiss_is_refused_before_anything_is_sent(
    change: Pools,
) -> None:
    async with stage("m50s") as on:
        with pytest.raises(BadParamsError):
            await on.driver.plan(change)
        assert not on.ledger(phase="received")


@pytest.mark.parametrize("key", WRITABLE)
async def test_accepted_but_still_the_old_pools_is_unknown_and_says_what_may_help(key: str) -> None:
    async with stage(key, "pools_need_restart") as on:
        evidence = await on.carry_out(pools(A))
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
        assert "accepted" in (evidence.reason or "")
        assert "next start" in (evidence.reason or "")
        on.miner.restart_process()
        await on.miner.clock.sleep(30)
        # looked at again after its restart, the miner shows that it did
        await on.no_change(pools(A, password=None))


@pytest.mark.parametrize("key", ["m50s", "m60s"])
@pytest.mark.parametrize("fault", ["ignores", "locked_pools"])
async def test_a_liar_is_never_done(key: str, fault: str) -> None:
    async with stage(key, fault) as on:
        evidence = await on.carry_out(pools(A))
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence


@pytest.mark.parametrize("key", WRITABLE)
@pytest.mark.parametrize("close", [True, False])
async def test_a_lost_answer_is_settled_by_reading_back(key: str, close: bool) -> None:
    async with stage(key, {"fault": "silent_apply", "close": close}, write_s=1.0) as on:
        assert (await on.carry_out(pools(A))).outcome == "done"
        assert len(on.ledger("pools", phase="received")) == 1


@pytest.mark.parametrize("key", ["m50s", "m60s"])
async def test_pools_that_cannot_be_reached_are_set_and_said_to_be_dead(key: str) -> None:
    async with stage(key, "pools_dead") as on:
        evidence = await on.carry_out(pools(A))
        assert (evidence.outcome, evidence.verified) == ("done", True)
        assert evidence.after["working_for"] is None
        assert "no pool is alive" in (evidence.reason or "")


async def test_a_miner_switched_off_is_not_asked_where_its_pools_could_not_be_proven() -> None:
    async with stage("m50s") as on:
        await on.carry_out(Suspend())
        with pytest.raises(BusyError, match="switch its mining on"):
            await on.driver.plan(pools(A))
        assert not on.ledger("pools", phase="received")


async def test_no_password_is_in_the_evidence_and_on_v3_none_on_the_line() -> None:
    async with stage("m60s") as on:
        on.miner.tapped = True
        evidence = await on.carry_out(pools(A, password="newsecret"))
        assert "newsecret" not in repr((evidence.before, evidence.after, evidence.reason))
        assert on.miner.wire_log
        assert not any(b"newsecret" in entry.data for entry in on.miner.wire_log)


@pytest.mark.parametrize("key", ["m50s", "m60s"])
async def test_after_a_crash_the_plan_alone_is_enough_to_look_again(key: str) -> None:
    async with stage(key) as on:
        plan = await on.driver.plan(pools(A))
        assert isinstance(plan, Plan)
        effect = on.effect()
        await on.driver.apply(plan, effect)
        notes = {"intent_at": effect.notes["intent_at"]}
        evidence = await on.another_driver().verify(plan, on.effect(notes))
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence


@pytest.mark.parametrize("key", WRITABLE)
async def test_a_miner_that_just_starts_is_waited_for(key: str) -> None:
    async with stage(key) as on:
        on.miner.restart_process()
        assert (await on.carry_out(pools(A))).outcome == "done"
