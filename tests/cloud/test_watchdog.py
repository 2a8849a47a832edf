from __future__ import annotations

import asyncio
from pathlib import Path

from cloud.context import SWEEPER
from cloud.watchdog import STALL_S, feed
from service.notify import Notifier
from tests.cloud.conftest import Cloud
from tests.service.ear import Ear
from tests.waiting import until


async def test_rounds_that_do_not_end_any_more_stop_the_feeding(cloud: Cloud, tmp_path: Path):
    ear = Ear(tmp_path / "notify")
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "40000000"})
    feeding = asyncio.create_task(feed(notifier, cloud.app[SWEEPER], cloud.clock))
    await until(lambda: ear.heard() == ["WATCHDOG=1"])
    async with cloud.store.write():  # which a round waits for, as it would for a disk that hangs
        for _ in range(int(STALL_S // 10)):
            cloud.clock.move(10)
            await until(lambda: ear.heard() == ["WATCHDOG=1"])
        before = cloud.app[SWEEPER].turned_mono
        cloud.clock.move(70)
        for _ in range(20):
            await asyncio.sleep(0)
        assert ear.heard() == []
        assert cloud.app[SWEEPER].turned_mono == before
    await until(lambda: cloud.app[SWEEPER].turned_mono > before)
    cloud.clock.move(10)
    await until(lambda: "WATCHDOG=1" in ear.heard())
    feeding.cancel()
    ear.close()


async def test_where_nobody_watches_nobody_is_fed(cloud: Cloud):
    await feed(Notifier({}), cloud.app[SWEEPER], cloud.clock)
