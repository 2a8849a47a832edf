from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from agent.config.miners import MinersSection, TelemetrySection
from agent.miners.credentials import CredentialBook
from agent.miners.fleet import Fleet
from agent.miners.inventory import Inventory
from agent.miners.known import login_refused
from agent.miners.territory import Territory
from agent.telemetry.buffer import ReadingBuffer
from agent.telemetry.observation import look
from agent.telemetry.poller import Poller
from contract.errors import AuthFailedError, UnreachableError
from contract.miner import Endpoint, Firmware, Identity, Make, Moving, Reading, Slow, Static
from drivers.base import Depth, Who
from drivers.changes.identity import who_is
from drivers.stranger import Stranger
from tests.agent.farm import FakeMiner
from tests.agent.onfarm import MemorySink, simulated
from tests.virtual_time import VirtualClock
from tests.waiting import until

SECTION = TelemetrySection(
    interval_s=1.0,
    min_interval_s=0.1,
    workers=8,
    batch_wait_s=0.0,
    slow_every_polls=3,
    backoff_max_s=60.0,
)


class Seen(FakeMiner):
    """A miner in memory that can be slow, dead or shy."""

    def __init__(self, ip: str) -> None:
        number = int(ip.rpartition(".")[2])
        super().__init__(number)
        self.ip = ip
        self.is_now = Identity(
            make=Make.ANTMINER, firmware=Firmware.STOCK, mac=f"02:00:00:00:00:{number:02X}"
        )
        self.bears_every_s = 0.0
        self.depths: list[Depth] = []
        self.uptime_s = 1000.0
        self.dead_s: float | None = None
        self.shy = False
        self.hangs = False
        self.light = False
        self.is_away = False
        self.asked = 0

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(host=self.ip)

    @property
    def identity(self) -> Identity:
        return self.is_now

    @property
    def min_interval_s(self) -> float:
        return self.bears_every_s

    async def identify(self) -> Identity:
        self.asked += 1
        if self.is_away:
            raise UnreachableError("away")
        return self.identity

    async def who(self) -> Who | None:
        return who_is(self.identity)

    async def read(self, depth: Depth = Depth.MOVING) -> Reading:
        self.depths.append(depth)
        if self.hangs:
            await asyncio.Event().wait()
        if self.dead_s is not None:
            await asyncio.sleep(self.dead_s)  # the time of a worker that a dead miner costs
            raise UnreachableError("dead")
        if self.shy and depth is not Depth.MOVING:
            raise AuthFailedError("wrong password")
        self.uptime_s += 1
        return Reading(
            read_at=VirtualClock().now(),
            moving=Moving(hashrate_hs=1e14, uptime_s=self.uptime_s),
            slow=None if depth is Depth.MOVING else Slow(light_on=self.light),
            static=Static(make=Make.ANTMINER, model="S21") if depth is Depth.FULL else None,
        )


class World(Fleet):
    """A fleet whose miners are in memory."""

    def __init__(self, *miners: Seen, path: Path | None = None) -> None:
        self.miners = {each.ip: each for each in miners}
        self.inventory = Inventory(path)
        super().__init__(
            self.inventory,
            CredentialBook(factory_defaults=True),
            Territory(MinersSection()),
            Endpoint(host=""),
            VirtualClock(),
            recognise=self._recognised,
            open_driver=self._opened,
        )

    async def begin(self) -> None:
        for ip in self.miners:
            await self.look_at(ip)

    async def _recognised(self, endpoint: Endpoint, **_: object) -> Seen:
        return self.miners[endpoint.host]

    def _opened(self, endpoint: Endpoint, identity: Identity, **_: object) -> Seen:
        return self.miners[endpoint.host]


@asynccontextmanager
async def polling(
    fleet: World, *, section: TelemetrySection = SECTION, timeout_s: float = 5.0
) -> AsyncIterator[tuple[Poller, MemorySink]]:
    sink = MemorySink()
    buffer = ReadingBuffer(sink, None, section, VirtualClock(), run_id="r")
    telemetry = Poller(
        fleet,
        buffer,
        section,
        VirtualClock(),
        timeout_s=timeout_s,
        rng=random.Random(3),
    )
    await fleet.begin()
    tasks = [asyncio.create_task(buffer.run()), asyncio.create_task(telemetry.run())]
    try:
        yield telemetry, sink
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await buffer.close()


FAST = SECTION.model_copy(update={"interval_s": 0.1})


async def test_a_miner_that_bears_less_is_looked_at_less_and_its_interval_is_told() -> None:
    fragile, sturdy = Seen("10.0.0.1"), Seen("10.0.0.2")
    fragile.bears_every_s = 0.6
    fleet = World(fragile, sturdy)
    async with polling(fleet, section=FAST) as (_, sink):
        await until(lambda: len(fragile.depths) >= 3)
        looks = len(fragile.depths)
        assert len(sturdy.depths) > 2 * looks
        await until(lambda: sum(each.ip == "10.0.0.1" for each in sink.readings) >= looks)
    told = {each.ip: each.interval_s for each in sink.readings}
    assert told == {"10.0.0.1": 0.6, "10.0.0.2": 0.1}


async def test_every_miner_is_looked_at_once_per_interval() -> None:
    fleet = World(*(Seen(f"10.0.0.{n}") for n in range(1, 21)))
    async with polling(fleet, section=SECTION.model_copy(update={"interval_s": 0.5})) as (_, sink):
        await until(lambda: all(len(each.depths) >= 4 for each in fleet.miners.values()))
        counts = [len(each.depths) for each in fleet.miners.values()]
        assert max(counts) - min(counts) <= 1
        await until(lambda: len({each.ip for each in sink.readings}) == 20)


async def test_first_looks_are_spread_over_the_interval() -> None:
    fleet = World(*(Seen(f"10.0.0.{n}") for n in range(1, 101)))
    buffer = ReadingBuffer(MemorySink(), None, SECTION, VirtualClock(), run_id="r")
    telemetry = Poller(fleet, buffer, SECTION, VirtualClock(), timeout_s=5)
    now = VirtualClock().mono()
    await fleet.begin()
    due = sorted(plan.due_mono - now for plan in telemetry._plans.values())
    assert 0 <= due[0] < 0.2
    assert 0.8 < due[-1] <= 1.01
    assert 30 < sum(each < 0.5 for each in due) < 70
    await buffer.close()


async def test_the_first_look_is_full_and_later_ones_only_as_deep_as_needed() -> None:
    miner = Seen("10.0.0.1")
    async with polling(World(miner), section=FAST) as (_, _sink):
        await until(lambda: len(miner.depths) >= 8)
    assert miner.depths[0] is Depth.FULL
    assert miner.depths[1:8] == [
        Depth.MOVING, Depth.MOVING, Depth.SLOW, Depth.MOVING, Depth.MOVING, Depth.SLOW, Depth.MOVING,
    ]  # fmt: skip


async def test_slow_and_static_facts_are_sent_only_when_they_changed() -> None:
    miner = Seen("10.0.0.1")
    async with polling(World(miner), section=FAST) as (_, sink):
        await until(lambda: len(sink.readings) >= 6)
        miner.light = True
        await until(lambda: any(each.slow and each.slow.light_on for each in sink.readings))
        await until(lambda: len(sink.readings) >= 12)
    told = [each.slow.light_on for each in sink.readings if each.slow]
    assert told == [False, True]
    # But that they were looked at is said each time.
    looked = [depth is not Depth.MOVING for depth in miner.depths[: len(sink.readings)]]
    assert [bool(each.slow) or each.slow_unchanged for each in sink.readings] == looked
    assert any(each.slow_unchanged for each in sink.readings)
    assert sum(each.static is not None for each in sink.readings) == 1
    assert all(each.moving for each in sink.readings)


async def test_a_new_firmware_is_looked_at_in_full_once() -> None:
    miner = Seen("10.0.0.1")
    async with polling(World(miner), section=FAST):
        await until(lambda: len(miner.depths) >= 4)
        miner.is_now = msgspec.structs.replace(miner.identity, firmware_version="2")
        seen = len(miner.depths)
        await until(lambda: len(miner.depths) >= seen + 4)
    assert miner.depths[0] is Depth.FULL
    assert miner.depths.count(Depth.FULL) == 2


async def test_a_dead_miner_delays_nobody_and_is_asked_less_and_less() -> None:
    living = [Seen(f"10.0.0.{n}") for n in range(1, 11)]
    dead = [Seen(f"10.0.0.{n}") for n in range(100, 130)]
    for each in dead:
        each.dead_s = 0.3
    section = SECTION.model_copy(update={"interval_s": 0.2, "workers": 8})
    async with polling(World(*living, *dead), section=section) as (telemetry, sink):
        await until(lambda: min(len(each.depths) for each in dead) >= 1)
        before = [len(each.depths) for each in living]
        dead_before = sum(len(each.depths) for each in dead)
        await until(
            lambda: all(len(e.depths) >= b + 15 for e, b in zip(living, before, strict=True)),
            within_s=10,
        )
        assert sum(len(each.depths) for each in dead) - dead_before < 30 * 8
        await until(lambda: any(not each.ok for each in sink.readings))
        errors = Counter(each.error for each in sink.readings if not each.ok)
        assert set(errors) == {"unreachable"}
        assert telemetry.stats.failed >= 30


async def test_a_miner_that_comes_back_is_looked_at_deeper_at_once() -> None:
    miner = Seen("10.0.0.1")
    async with polling(World(miner), section=FAST) as (_, sink):
        await until(lambda: len(sink.readings) >= 3)
        miner.dead_s = 0.0
        await until(lambda: any(not each.ok for each in sink.readings))
        miner.dead_s = None
        count = len(miner.depths)
        await until(lambda: sink.readings[-1].ok)
    assert Depth.SLOW in miner.depths[count:]


async def test_a_wrong_password_keeps_what_needs_none() -> None:
    miner = Seen("10.0.0.1")
    miner.shy = True
    async with polling(World(miner), section=FAST) as (_, sink):
        await until(lambda: len(sink.readings) >= 4)
    first = sink.readings[0]
    assert (first.ok, first.error, first.slow) == (True, "auth_failed", None)
    assert first.moving.hashrate_hs == 1e14


async def test_while_the_login_is_refused_each_look_says_so() -> None:
    miner = Seen("10.0.0.1")
    miner.shy = True
    section = FAST.model_copy(update={"slow_every_polls": 10_000})
    async with polling(World(miner), section=section) as (_, sink):
        await until(lambda: len(sink.readings) >= 5)
        assert {each.error for each in sink.readings} == {"auth_failed"}
        miner.shy = False
        await until(lambda: sink.readings[-1].error is None)
        miner.depths.clear()
        await until(lambda: len(miner.depths) >= 5)
        assert Depth.SLOW not in miner.depths[1:]


@pytest.mark.parametrize("needed", [True, False])
async def test_a_refused_login_is_said_once_per_change_and_kept_for_the_doctor(
    needed: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`needed`: nothing of it can be read without."""

    class Guarded(Seen):
        async def read(self, depth: Depth = Depth.MOVING) -> Reading:
            if self.shy and needed:
                self.depths.append(depth)
                raise AuthFailedError("wrong password")
            return await super().read(depth)

    def said(event: str) -> int:
        return logged().count(event)

    def logged() -> str:
        heard.append(capsys.readouterr().out)
        return "".join(heard)

    heard: list[str] = []
    miner, other = Guarded("10.0.0.1"), Seen("10.0.0.2")
    fleet = World(miner, other, path=tmp_path / "inventory.db")
    await fleet.inventory.open()
    section = FAST.model_copy(update={"backoff_max_s": 0.1})
    async with polling(fleet, section=section) as (telemetry, _):
        for count in (1, 2):
            miner.shy, before = True, len(miner.depths)
            await until(lambda: telemetry.login_refused == ["10.0.0.1"])
            await until(lambda before=before: len(miner.depths) >= before + 12)
            assert said("telemetry.login_refused") == count
            assert "wrong password" in logged()
            await fleet.inventory.flush()
            assert login_refused(tmp_path / "inventory.db") == ["10.0.0.1"]
            miner.shy, before = False, len(miner.depths)
            await until(lambda: telemetry.login_refused == [])
            await until(lambda before=before: len(miner.depths) >= before + 12)
            assert said("telemetry.login_taken") == count
            await fleet.inventory.flush()
            assert login_refused(tmp_path / "inventory.db") == []
    assert "telemetry.lost" not in logged()
    assert "telemetry.back" not in logged()
    await fleet.inventory.close()


async def test_a_miner_that_is_busy_with_a_task_is_skipped_not_called_dead() -> None:
    miner = Seen("10.0.0.1")
    miner.hangs = True
    async with polling(World(miner), section=FAST, timeout_s=0.05) as (telemetry, sink):
        await until(lambda: telemetry.stats.skipped >= 2)
        miner.hangs = False
        await until(lambda: sink.readings)
    assert all(each.ok for each in sink.readings)


async def test_a_restart_and_a_task_make_the_next_looks_deeper() -> None:
    miner = Seen("10.0.0.1")
    fleet = World(miner)
    section = FAST.model_copy(update={"slow_every_polls": 10_000})
    async with polling(fleet, section=section) as (_, _sink):
        await until(lambda: len(miner.depths) >= 5)
        assert Depth.SLOW not in miner.depths
        miner.uptime_s = 0.0
        await until(lambda: Depth.SLOW in miner.depths)
        miner.depths.clear()
        fleet.on_task[0]("10.0.0.1")
        await until(lambda: len(miner.depths) >= 5)
        assert miner.depths.count(Depth.SLOW) == 3


async def test_a_bug_in_one_driver_does_not_end_the_looking_at_others(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Broken(Seen):
        async def read(self, depth: Depth = Depth.MOVING) -> Reading:
            raise ZeroDivisionError

    good, bad = Seen("10.0.0.1"), Broken("10.0.0.2")
    async with polling(World(good, bad), section=FAST) as (_, _sink):
        await until(lambda: len(good.depths) >= 5)
    assert "ZeroDivisionError" in capsys.readouterr().out


async def test_the_cloud_may_ask_for_another_interval_above_the_local_floor() -> None:
    fleet = World(Seen("10.0.0.1"))
    async with polling(fleet) as (telemetry, _):
        telemetry.set_interval(0.001)
        assert telemetry.interval_s == 0.1
        telemetry.set_interval(77.0)
        assert telemetry.interval_s == 77.0


async def test_an_address_that_a_miner_left_is_asked_now_and_then_and_never_told_of() -> None:
    old = Seen("10.0.0.1")
    fleet = World(old)
    async with polling(fleet, section=FAST) as (_, sink):
        await until(lambda: sink.readings)
        old.is_away = True
        moved = fleet.miners["10.0.0.2"] = Seen("10.0.0.2")
        moved.is_now = old.identity
        await fleet.look_at("10.0.0.2")
        assert list(fleet) == ["10.0.0.2"]
        told, asked = len(sink.readings), old.asked
        await until(lambda: old.asked >= asked + 3)
        assert "10.0.0.1" not in {each.ip for each in sink.readings[told:]}


async def test_a_look_that_ends_after_its_miner_was_met_elsewhere_says_nothing_of_it() -> None:
    old = Seen("10.0.0.1")
    fleet = World(old)
    async with polling(fleet, section=FAST) as (_, sink):
        await until(lambda: sink.readings)
        old.dead_s, old.is_away = 3.0, True
        looks = len(old.depths)
        await until(lambda: len(old.depths) > looks)  # which takes a while
        moved = fleet.miners["10.0.0.2"] = Seen("10.0.0.2")
        moved.is_now = old.identity
        await fleet.look_at("10.0.0.2")
        told = len(sink.readings)
        await asyncio.sleep(2 * old.dead_s)
        assert {each.ip for each in sink.readings[told:]} == {"10.0.0.2"}


async def test_a_miner_that_was_just_found_is_looked_at_now() -> None:
    fleet = World(Seen("10.0.0.1"))
    section = SECTION.model_copy(update={"interval_s": 3600.0})
    async with polling(fleet, section=section) as (telemetry, sink):
        telemetry.hurry("10.0.0.1")
        await until(lambda: sink.readings, within_s=1.0)
        telemetry.hurry("10.0.0.99")  # who is not known is not looked at
        assert sink.readings[0].static is not None


async def test_who_does_not_answer_is_missing_until_it_does() -> None:
    silent, shy = Seen("10.0.0.1"), Seen("10.0.0.2")
    fleet = World(silent, shy)
    async with polling(fleet, section=FAST):
        silent.dead_s, shy.shy, silent.is_away = 0.0, True, True
        await until(lambda: fleet.members.missing.addresses == {"10.0.0.1"})
        silent.dead_s, silent.is_away = None, False
        await until(lambda: not fleet.members.missing.addresses)


async def test_a_simulated_farm_is_read_by_real_drivers() -> None:
    async with simulated("antminer:6,foreign/braiins:1") as (farm, site, _):
        for each in farm.miners:
            await site.fleet.look_at(each.ip)
        for each in farm.miners:
            driver = site.fleet.at(each.ip)
            assert not isinstance(driver, Stranger)
            seen = await look(driver, Depth.FULL, timeout_s=10)
            assert seen is not None
            assert seen.reading is not None, seen.problem
            assert seen.reading.moving.hashrate_hs


async def test_a_real_driver_says_that_the_login_is_refused_and_that_it_is_taken_again() -> None:
    async with simulated("antminer:1") as (farm, site, _):
        [miner] = farm.miners
        driver, _ = await site.fleet.look_at(miner.ip)
        assert not isinstance(driver, Stranger)

        async def seen(depth: Depth) -> tuple[str | None, bool, bool]:
            found = await look(driver, depth, timeout_s=10)
            assert found is not None
            assert found.reading is not None, found.problem
            return (
                found.error,
                found.reading.moving.hashrate_hs is not None,
                bool(found.reading.slow),
            )

        assert await seen(Depth.SLOW) == (None, True, True)
        miner.faults.add("wrong_password")
        assert await seen(Depth.SLOW) == ("auth_failed", True, False)
        assert await seen(Depth.MOVING) == (None, True, False)
        miner.faults.clear()

        async def is_taken() -> bool:
            return (await seen(Depth.SLOW))[0] is None

        # A password that was refused is offered only now and then.
        await until(is_taken, within_s=3600, every_s=30)
