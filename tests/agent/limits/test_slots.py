from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.journal.states import State
from agent.limits.policy import Policy
from agent.limits.slots import Slots
from contract.miner import Endpoint, PowerMode
from contract.task import TaskName
from drivers.base import (
    AnyChange,
    Effect,
    FirmwareUpdate,
    Light,
    Mode,
    Plan,
    Pools,
    Reboot,
    Suspend,
    Timing,
)
from drivers.wire import Wire
from tests.agent.clock import SettableClock
from tests.agent.fake_cloud import code
from tests.agent.farm import FakeFarm, FakeMiner
from tests.agent.policies import policy_with
from tests.agent.stage import site
from tests.virtual_time import loop_clock
from tests.waiting import until

POWER = (
    Plan(change=Reboot(), before={}),
    Plan(change=Mode(mode=PowerMode.LOW), before={}, raises_power=False),
    Plan(change=Suspend(), before={}, raises_power=False),
)


def plan(change: AnyChange) -> Plan:
    return Plan(change=change, before={})


async def at_once(slots: Slots, plans: list[Plan]) -> int:
    """How many of these effects can happen together."""
    now = most = 0
    release = asyncio.Event()

    async def effect(plan: Plan) -> None:
        nonlocal now, most
        with slots.turn(plan.change) as turn:
            if isinstance(plan.change, FirmwareUpdate):
                await turn.take()
            async with slots.effect(plan):
                now += 1
                most = max(most, now)
                await release.wait()
                now -= 1

    jobs = [asyncio.create_task(effect(each)) for each in plans]
    await asyncio.sleep(1.0)
    release.set()
    await asyncio.gather(*jobs)
    return most


@pytest.mark.parametrize("each", POWER)
async def test_power_is_not_switched_everywhere_at_once(each: Plan) -> None:
    assert await at_once(Slots(Policy(), SettableClock()), [each] * 50) == 32


async def test_what_lowers_power_waits_for_none_of_what_raises_it() -> None:
    slots = Slots(policy_with(power_effects=1, power_ons_per_10_s=1), SettableClock())
    up, down = POWER[0], POWER[2]
    with slots.turn(up.change) as turn, slots.turn(up.change) as other:
        first, second = turn.leave, other.leave
        await first.take()
        async with slots.effect(up, first):
            assert not slots.is_free(up, second)
            assert slots.is_free(down)
            assert await at_once(slots, [down] * 3) == 1
        first.use()
        assert not slots.is_free(up, second)


async def test_few_firmware_updates_run_at_once_and_count_as_power(tmp_path: Path) -> None:
    update, reboot = plan(FirmwareUpdate(path="x")), plan(Reboot())
    policy = policy_with(power_ons_per_10_s=100_000)
    assert await at_once(Slots(policy, SettableClock()), [update] * 50) == 4
    assert await at_once(Slots(policy, SettableClock()), [update] * 50 + [reboot] * 50) == 32


async def test_lights_and_pools_have_room_of_their_own() -> None:
    plans = [plan(Light(on=True)), plan(Pools(pools=()))] * 200 + [plan(Reboot())] * 50
    assert await at_once(Slots(Policy(), SettableClock()), plans) == 256 + 32


async def test_the_first_to_ask_is_the_first_to_go() -> None:
    slots = Slots(policy_with(power_effects=1), SettableClock())
    order: list[int] = []

    async def effect(number: int) -> None:
        async with slots.effect(plan(Reboot())):
            order.append(number)
            await asyncio.sleep(0)

    await asyncio.gather(*(effect(number) for number in range(20)))
    assert order == list(range(20))


async def test_connecting_and_proving_hold_no_slot(tmp_path: Path) -> None:
    farm = FakeFarm(5)
    policy = policy_with(power_effects=1, stop_within_s=0.1)
    async with site(tmp_path, farm=farm, policy=policy) as at:
        connecting, proving, writing = farm.miners[0], farm.miners[1], farm.miners[2:]
        connecting.gate["connect"], proving.gate["verify"] = asyncio.Event(), asyncio.Event()
        held = [at.task(n, name=TaskName.REBOOT, params={}) for n in (0, 1)]
        await until(lambda: "verify" in proving.trace and "apply" in connecting.trace)
        for task in [at.task(n, name=TaskName.REBOOT, params={}) for n in (2, 3, 4)]:
            assert (await at.cloud.ended(task)).state == "succeed"
        assert [len(each.ledger) for each in writing] == [1, 1, 1]
        connecting.gate["connect"].set()
        proving.gate["verify"].set()
        for task in held:
            assert (await at.cloud.ended(task)).state == "succeed"


async def test_waiting_for_a_slot_costs_a_task_none_of_its_time(tmp_path: Path) -> None:
    clock = SettableClock()
    policy = policy_with(power_effects=1, power_ons_per_10_s=1000, stop_within_s=0.1)
    async with site(tmp_path, policy=policy, clock=clock) as at:
        first, second = at.farm.miners[:2]
        first.gate["write"] = asyncio.Event()
        at.task(0, name=TaskName.REBOOT, params={}, limit_s=1000.0)
        await until(lambda: first.at_once == 1)
        task = at.task(1, name=TaskName.REBOOT, params={}, limit_s=50.0)
        given_up = at.task(2, name=TaskName.REBOOT, params={})
        await until(lambda: second.trace == ["plan", "apply"])
        waiting = await at.journal.find(task)
        assert waiting is not None and waiting.state is State.INTENT  # and granted by the cloud
        await clock.advance(200.0)
        at.cloud.cancel.add(given_up)
        at.cloud.poke()
        await clock.advance(10.0)
        event = at.cloud.end(given_up)  # no need to wait for the turn
        assert event is not None and event.state == "cancelled"
        assert at.cloud.end(task) is None
        first.gate["write"].set()
        await clock.advance(5.0)
        event = at.cloud.end(task)
        assert event is not None and event.state == "succeed"
        at.path.stop()
        await clock.advance(10.0)


class Wired(FakeMiner):
    """Written to over a connection, on which a device waits a moment and no longer."""

    def __init__(self, number: int, host: str) -> None:
        super().__init__(number)
        self.host = host
        self.seen: list[bytes] = []
        self.hold = asyncio.Event()
        self.wire: Wire | None = None
        self.port = 0
        self.moved = False

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(host="127.9.9.9" if self.moved else self.host)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(TimeoutError, ConnectionError):
            data = await asyncio.wait_for(reader.read(100), 0.2)
            if data:
                self.seen.append(data)
                await self.hold.wait()
                self._change(Reboot())
                writer.write(b"done")
                await writer.drain()
        writer.close()

    async def apply(self, plan: Plan, effect: Effect) -> None:
        self.trace.append("apply")
        assert self.wire is not None
        await self.wire.exchange(
            self.port, b"do", AtOnce(), deadline_s=20.0, cap_bytes=100, effect=effect
        )


class AtOnce:
    def feed(self, data: bytes) -> bytes | None:
        return data or None


@contextlib.asynccontextmanager
async def wired(count: int) -> AsyncIterator[list[Wired]]:
    clock, servers, miners = loop_clock(), [], []
    for number in range(count):
        miner = Wired(number, f"127.0.7.{number + 1}")
        server = await asyncio.start_server(miner.serve, miner.host, 0)
        miner.port = server.sockets[0].getsockname()[1]
        miner.wire = Wire(miner.endpoint, clock, Timing())
        servers.append(server)
        miners.append(miner)
    yield miners
    for server in servers:
        server.close()


async def test_a_miner_that_waits_its_turn_is_not_kept_on_a_connection_and_asked_anew_who_it_is(
    tmp_path: Path,
) -> None:
    async with wired(3) as miners:
        farm = FakeFarm(0)
        farm.miners += miners
        first, second, third = miners
        policy = policy_with(power_effects=1, stop_within_s=0.1)
        async with site(tmp_path, farm=farm, policy=policy) as at:
            for miner in (second, third):
                miner.hold.set()
            ended = [at.task(0, name=TaskName.REBOOT, params={})]
            await until(lambda: first.seen == [b"do"])
            ended.append(at.task(1, name=TaskName.REBOOT, params={}))
            moved = at.task(2, name=TaskName.REBOOT, params={})
            await until(lambda: second.trace == third.trace == ["plan", "apply"])
            await until(lambda: not busy(second) and not busy(third))
            assert second.wire is not None
            assert await asyncio.wait_for(second.wire.probe(second.port), 2)
            third.moved = True
            asked = len(farm.asked_age_s)
            first.hold.set()
            for task in ended:
                assert (await at.cloud.ended(task)).state == "succeed"
            event = await at.cloud.ended(moved)
            assert (event.state, code(event)) == ("failed", "wrong_device")
            assert event.result is not None and event.result["outcome"] == "not_done"
            assert len(farm.asked_age_s) == asked + 2
            assert (second.seen, third.seen) == ([b"do"], [])


def busy(miner: Wired) -> bool:
    return miner.wire is not None and miner.wire.is_busy
