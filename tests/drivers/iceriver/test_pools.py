"""The pools: all slots written, read back with fan and mode as they were, and nothing claimed beyond."""

from __future__ import annotations

import pytest

from contract.errors import BadParamsError, OutcomeUnknownError
from drivers.base import Pools, Suspend
from tests.drivers.iceriver.stage import NEW, OLD, WRITABLE, stage
from tests.drivers.makes.cases import A, B, C, pools


@pytest.mark.parametrize("key", WRITABLE)
async def test_a_new_password_alone_is_written_and_read_back(key: str) -> None:
    async with stage(key) as on:
        await on.carry_out(pools(A))
        evidence = await on.carry_out(pools(A, password="other"))
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert on.stored[0] == (A, "acc.w1", "other")
        assert "secret" not in repr((evidence.before, evidence.after, evidence.reason))
        assert "other" not in repr((evidence.before["pools"], evidence.after))


@pytest.mark.parametrize("key", WRITABLE)
async def test_blanks_around_a_text_are_cut_as_the_miner_does(key: str) -> None:
    async with stage(key) as on:
        assert (
            await on.carry_out(pools(f" {A} ", user=" acc.w1 ", password=" pass  "))
        ).outcome == ("done")
        assert on.stored[0] == (A, "acc.w1", "pass")


@pytest.mark.parametrize("key", WRITABLE)
async def test_signs_that_a_form_would_split_at_arrive_as_they_are(key: str) -> None:
    async with stage(key) as on:
        user, password = "acc&x=1;y", "a+b c/d?#ü"
        assert (await on.carry_out(pools(A, user=user, password=password))).outcome == "done"
        assert on.stored[0] == (A, user, password)


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
        before = on.stored
        with pytest.raises(BadParamsError):
            await on.driver.plan(change)
        assert not on.ledger(phase="received")
        assert on.stored == before


async def test_the_longest_pools_that_are_let_through_are_stored_whole() -> None:
    async with stage("ks5l") as on:
        urls = [f"{url}/{'x' * 150}" for url in (A, B, C)]
        change = pools(*urls, user="u" * 200, password="p" * 100)
        assert (await on.carry_out(change)).outcome == "done"
        assert on.stored == [(url, "u" * 200, "p" * 100) for url in urls]


async def test_pools_that_broke_the_json_of_the_web_side_can_be_replaced() -> None:
    async with stage("ks3m") as on:
        on.miner.pools[0]["pass"] = 'a"b'
        evidence = await on.carry_out(pools(A))
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert on.stored[0] == (A, "acc.w1", "secret")


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
