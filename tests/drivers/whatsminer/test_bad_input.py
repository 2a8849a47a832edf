"""Bytes that break the protocol, in every dialect: a named error in time, never a second effect, never a false word."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any, Final

import pytest

from contract.errors import MinerError, OutcomeUnknownError
from contract.miner import PowerMode
from drivers.base import AnyChange, Depth, Light, Mode, Plan, Pools, PoolSetting, Reboot
from tests.drivers.whatsminer.stage import ON_4028, Stage, stage

_ON_4028: Final = (
    "wrong_key_reply",
    "wrong_padding",
    "empty_reply",
    "token_never",
    "token_expires_at_once",
    "closes_after_each",
    "joined_refused",
)
_ON_4433: Final = (
    "short_frames",
    "oversized_length",
    "token_never",
    "closes_after_each",
    "heartbeats",
)
CASES: Final = (*itertools.product(ON_4028, _ON_4028), *itertools.product(["m60s"], _ON_4433))
CHANGES: Final[dict[str, AnyChange]] = {
    "light": Light(on=True),
    "mode": Mode(mode=PowerMode.LOW),
    "pools": Pools(
        pools=(PoolSetting(url="stratum+tcp://pool-a.example:3333", user="acc.w1", password="x"),)
    ),
    "reboot": Reboot(force=True),
}
HARMLESS: Final = ("closes_after_each", "joined_refused", "heartbeats")
_LIMIT_S: Final = 1200.0  # the longest proof, and the deadlines of what hangs before it


async def carried_out(on: Stage, plan: Plan) -> tuple[str, int]:
    """How it ended, by the driver's own word, and how often its leave to send was taken."""
    permit = on.permit()
    try:
        await on.driver.apply(plan, permit)
    except OutcomeUnknownError:
        pass
    except MinerError:
        return "refused", permit.sent
    try:
        return (await on.driver.verify(plan, permit)).outcome, permit.sent
    except MinerError:
        return "unknown", permit.sent


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(("key", "fault"), CASES)
async def test_an_order_is_carried_out_once_or_not_and_no_word_of_it_is_false(
    key: str, fault: str, change: str
) -> None:
    async with stage(key, read_s=1.0, write_s=1.0) as on:
        plan = await on.planned(CHANGES[change])
        on.faults.add(fault)
        async with asyncio.timeout(_LIMIT_S):
            outcome, _ = await carried_out(on, plan)
        received = len(on.ledger(change, phase="received"))
        applied = len(on.ledger(change))
        assert applied <= received <= 1
        assert (outcome, applied) in {
            ("done", 1),
            ("not_done", 0),
            ("refused", 0),
            ("unknown", 0),
            ("unknown", 1),
        }
        if fault in HARMLESS:
            assert outcome == "done"


@pytest.mark.parametrize("key", [*ON_4028, "m60s"])
async def test_a_token_that_never_comes_costs_no_more_than_its_deadline(key: str) -> None:
    async with stage(key, read_s=0.5) as on:
        plan = await on.planned(CHANGES["reboot"])
        on.faults.add("token_never")
        permit = on.permit()
        begun = on.clock.mono()
        with pytest.raises(MinerError) as caught:  # a driver that has no token or salt yet
            await on.another_driver().apply(plan, permit)
        assert not isinstance(caught.value, OutcomeUnknownError)
        assert on.clock.mono() - begun < 3.0
        assert (permit.sent, on.ledger("reboot", phase="received")) == (0, [])


@pytest.mark.parametrize(("key", "fault"), CASES)
async def test_a_look_is_the_same_as_without_the_fault_or_a_named_error(
    key: str, fault: str
) -> None:
    async with stage(key, read_s=1.0) as on:
        sound = (await on.driver.read(Depth.SLOW)).moving
        on.faults.add(fault)
        try:
            async with asyncio.timeout(_LIMIT_S):
                found: Any = (await on.driver.read(Depth.SLOW)).moving
        except MinerError:
            assert fault not in HARMLESS
            return
        assert found.hashrate_hs == pytest.approx(sound.hashrate_hs, rel=0.1)
        assert len(found.boards) == len(sound.boards)
        assert [pool.url for pool in found.pools] == [pool.url for pool in sound.pools]
