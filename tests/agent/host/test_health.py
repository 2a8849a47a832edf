from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.host.health import Health
from agent.host.heartbeat import Heart, host_figures
from agent.ports import CloudError
from contract.clock import SystemClock
from contract.link import Heartbeat, HeartbeatReply, Settings
from service.notify import Notifier
from tests.agent.clock import SettableClock
from tests.service.ear import Ear
from tests.virtual_time import loop_clock
from tests.waiting import until


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[Ear]:
    listening = Ear(tmp_path / "notify")
    yield listening
    listening.close()


def notifier(tmp_path: Path, **more: str) -> Notifier:
    return Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify"), **more})


def health(tmp_path: Path, clock: SettableClock, turned: list[float], **more) -> Health:
    return Health(
        clock,
        notifier(tmp_path, WATCHDOG_USEC="20000000"),
        journal_turn_mono=lambda: turned[0],
        journal_stall_s=60.0,
        **more,
    )


async def test_a_journal_that_stands_still_ends_the_feeding(tmp_path: Path, ear: Ear) -> None:
    clock = SettableClock()
    turned = [clock.mono()]
    watched = health(tmp_path, clock, turned)
    watched.check()
    assert ear.heard() == ["WATCHDOG=1"]
    await clock.advance(11.0)  # over half of the watchdog's time
    watched.check()
    watched.check()
    heard = ear.heard()
    assert "WATCHDOG=1" not in heard
    assert heard.count("WATCHDOG=trigger") == 1
    assert not watched.is_well
    turned[0] = clock.mono()
    watched.check()
    assert ear.heard() == ["WATCHDOG=1"]
    assert watched.is_well


async def test_a_frozen_task_slot_does_not_end_the_feeding(tmp_path: Path, ear: Ear) -> None:
    clock = SettableClock()
    watched = health(tmp_path, clock, [clock.mono()], slots_alive=lambda: False)
    watched.check()
    assert ear.heard() == ["WATCHDOG=1"]


async def test_the_feeding_goes_on_by_itself_several_times_per_watchdog_interval(
    tmp_path: Path, ear: Ear
) -> None:
    clock = loop_clock()
    watched = Health(
        clock,
        notifier(tmp_path, WATCHDOG_USEC="200000"),
        journal_turn_mono=clock.mono,
        journal_stall_s=60.0,
    )
    heard: list[str] = []
    task = asyncio.create_task(watched.run())
    await until(lambda: heard.extend(ear.heard()) or len(heard) >= 4)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert set(heard) == {"WATCHDOG=1"}


def test_the_host_is_described_as_the_cloud_wants_it() -> None:
    host = host_figures(SystemClock())
    assert set(host) == {
        "platform", "os", "cpu_count", "uptime", "timestamp", "load_average", "memory", "ip", "hostname",
    }  # fmt: skip
    assert set(host["memory"]) == {"total", "used", "free", "swap_total", "swap_free", "swap_used"}
    assert len(host["load_average"]) == 3
    assert host["uptime"] > 0


class Cloud:
    def __init__(self) -> None:
        self.rev = 1
        self.error: CloudError | None = None
        self.beats: list[Heartbeat] = []

    async def heartbeat(self, beat: Heartbeat) -> HeartbeatReply:
        if self.error:
            raise self.error
        self.beats.append(beat)
        return HeartbeatReply(settings_rev=self.rev)

    async def settings(self) -> Settings:
        return Settings(rev=self.rev)


async def test_settings_are_fetched_when_they_changed_and_only_then() -> None:
    cloud, applied = Cloud(), []

    async def apply(settings: Settings) -> None:
        applied.append(settings.rev)

    heart = Heart(
        cloud,
        loop_clock(),
        lambda host: Heartbeat(version="v", uptime_s=0, host=host),
        apply,
        every_s=15,
    )
    await heart.beat()
    await heart.beat()
    cloud.error = CloudError("away", retry=True)
    await heart.beat()
    assert heart.state == "away"
    cloud.error, cloud.rev = None, 2
    await heart.beat()
    assert heart.state == "ok"
    assert applied == [1, 2]
    assert len(cloud.beats) == 3
