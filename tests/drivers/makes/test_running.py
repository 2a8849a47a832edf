"""What every driver promises of "already as wished" and "done": that the running miner shows it. What is only stored, and
what cannot be read, proves nothing.
"""

from __future__ import annotations

from typing import Any

import pytest

from contract.errors import ServiceAwayError
from contract.miner import PowerMode
from drivers.base import Mode, NoChange, Plan, Resume, Suspend
from tests.drivers.antminer.stage import stage as antminer
from tests.drivers.makes.cases import A, B, MakeCase, Need, each, pools
from tests.drivers.whatsminer.stage import WRITABLE
from tests.drivers.whatsminer.stage import stage as whatsminer

SLEEP, NORMAL = Mode(mode=PowerMode.SLEEP), Mode(mode=PowerMode.NORMAL)
ANTMINERS = pytest.mark.parametrize("key", ["s21", "s19pro", "ks5", "t17+"])


def is_down(on: Any) -> None:
    """Its mining process ends, and nothing starts it again."""
    on.miner.crash_process()
    on.miner._supervisor.stop()


@each(Need.SWITCH)
async def test_a_miner_that_sleeps_and_shows_it_is_as_wished(make: MakeCase, key: str) -> None:
    async with make.begin(key) as on:
        assert (await on.carry_out(Suspend())).outcome == "done"
        orders = len(on.ledger(phase="received"))
        await on.no_change(Suspend())
        assert len(on.ledger(phase="received")) == orders


@ANTMINERS
async def test_sleep_that_is_stored_and_cannot_be_seen_is_not_said_to_be(key: str) -> None:
    async with antminer(key, "stuck_awake") as on:
        assert (await on.carry_out(SLEEP)).outcome == "unknown"
        assert on.miner.state == "mining"
        on.faults.add("refuses_4028")
        for change in (SLEEP, Suspend()):
            evidence = await on.carry_out(change)
            assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
            assert "does not answer" in (evidence.reason or "")


@ANTMINERS
async def test_a_miner_that_is_awake_by_its_file_alone_is_not_said_to_be(key: str) -> None:
    async with antminer(key, "refuses_4028", late=True) as on:
        for change in (NORMAL, Resume()):
            assert isinstance(await on.driver.plan(change), Plan)


async def test_a_sleeping_miner_that_shows_empty_lists_is_as_wished() -> None:
    async with antminer("s19pro", "empty_sleep") as on:
        assert (await on.carry_out(SLEEP)).outcome == "done"
        await on.no_change(SLEEP)


async def test_a_model_without_modes_has_to_be_seen_as_well() -> None:
    async with antminer("s9", "refuses_4028", late=True) as on:
        for change in (NORMAL, Resume()):
            with pytest.raises(ServiceAwayError):
                await on.driver.plan(change)


@pytest.mark.parametrize("key", WRITABLE)
async def test_a_process_that_is_down_is_not_said_to_mine(key: str) -> None:
    async with whatsminer(key) as on:
        is_down(on)
        for change in (Resume(), NORMAL):
            found = await on.driver.plan(change)
            assert isinstance(found, Plan), found


@pytest.mark.parametrize("key", WRITABLE)
async def test_a_mode_of_a_process_that_is_down_is_set_once_more(key: str) -> None:
    async with whatsminer(key) as on:
        is_down(on)
        await on.carry_out(NORMAL)
        assert on.ledger("mode", phase="received")


@pytest.mark.parametrize("key", ["s21", "s9", "t17+"])
async def test_pools_that_are_stored_and_not_in_force_are_written_once_more(key: str) -> None:
    async with antminer(key) as on:
        assert (await on.carry_out(pools(B))).outcome == "done"
        for change in (pools(A), pools(B, user="acc.w2")):
            slot = change.pools[0]
            on.slots[0].update(url=slot.url, user=slot.user)  # and its process is not told
            assert (await on.carry_out(change)).outcome == "done"
            live = on.miner.live_pools[0]
            assert (live["url"], live["user"]) == (slot.url, slot.user)
            await on.no_change(change)


@pytest.mark.parametrize("key", ["s21", "s9", "t17+"])
async def test_pools_in_force_that_nobody_can_see_are_not_said_to_be(key: str) -> None:
    async with antminer(key) as on:
        await on.carry_out(pools(A))
        on.faults.add("refuses_4028")
        assert not isinstance(await on.driver.plan(pools(A)), NoChange)
        for change in (pools(A), pools(B)):
            evidence = await on.carry_out(change)
            assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
            assert "could not be asked" in (evidence.reason or "")


@each(Need.POOLS)
async def test_pools_that_are_as_wished_come_with_the_one_in_use(make: MakeCase, key: str) -> None:
    async with make.begin(key) as on:
        assert (await on.carry_out(pools(A))).outcome == "done"
        found = await on.no_change(pools(A, password=None))
        assert found.before["working_for"] == A
