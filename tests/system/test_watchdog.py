"""Who gets the process restarted, and who does not, as a service manager sees it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from contract.task import TaskName
from tests.system.site import HERE, Site, open_site

WATCHDOG_S = 5.0
START_S = 40.0  # TimeoutStartSec: the watchdog runs only once the service is ready
QUIET: dict[str, dict[str, Any]] = {
    "telemetry": {"enabled": False},
    "limits.task_s": {f'"{TaskName.LIGHT}"': 6.0},
}


class Manager:
    """What systemd does for `Type=notify` with `WatchdogSec` and `Restart=on-failure`."""

    def __init__(self, site: Site, folder: Path) -> None:
        self.ready = asyncio.Event()
        self.restarts = 0
        self.beats: list[float] = []
        self._site = site
        self._path = folder / "notify.sock"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(str(self._path))
        self._fed_mono = 0.0

    def environment(self) -> dict[str, str]:
        """What the service finds."""
        return {
            **os.environ,
            "NOTIFY_SOCKET": str(self._path),
            "WATCHDOG_USEC": str(int(WATCHDOG_S * 1_000_000)),
        }

    async def run(self) -> None:
        """Read what the service says; abort and start it again when it has not been fed for too long."""
        loop = asyncio.get_running_loop()
        self._fed_mono = loop.time() + START_S
        while True:
            left_s = WATCHDOG_S - (loop.time() - self._fed_mono)
            try:
                words = await asyncio.wait_for(loop.sock_recv(self._socket, 4096), max(0.0, left_s))
            except TimeoutError:
                words = b"WATCHDOG=trigger"
            lines = words.decode().splitlines()
            if "READY=1" in lines:
                self.ready.set()
            if "READY=1" in lines or "WATCHDOG=1" in lines:
                self._fed_mono = loop.time()
                self.beats.append(self._fed_mono)
            if "WATCHDOG=trigger" in lines:
                await self._restart()
                self._fed_mono = loop.time() + START_S

    def close(self) -> None:
        self._socket.close()

    async def _restart(self) -> None:
        self.restarts += 1
        agent = self._site.stage.agent
        agent.signal(signal.SIGABRT)
        await agent.ended()
        self._site.use_agent(environment=self.environment())  # a sound one, this time
        await agent.start()


@asynccontextmanager
async def managed(folder: Path, base: str, part: str) -> AsyncIterator[tuple[Site, Manager]]:
    """A site whose agent has a part that freezes at the first change of a miner, under a manager."""
    async with open_site(folder, makes="antminer/s21:2", base=base, settings=QUIET) as site:
        await site.stage.agent.end()
        manager = Manager(site, folder)
        site.use_agent(HERE / "freezes.py", part, environment=manager.environment())
        await site.stage.agent.start()
        running = asyncio.create_task(manager.run())
        try:
            await asyncio.wait_for(manager.ready.wait(), START_S)
            yield site, manager
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
            manager.close()


@pytest.mark.slow
@pytest.mark.parametrize("part", ["loop", "writer"])
async def test_a_frozen_loop_or_writer_gets_the_process_restarted_in_time(
    part: str, tmp_path: Path, base: str
) -> None:
    async with managed(tmp_path, base, part) as (site, manager):
        loop = asyncio.get_running_loop()
        began = loop.time()
        batch = await site.order(TaskName.LIGHT, site.miners[:1], {"action": "on"})
        await site.until(lambda: manager.restarts, "the restart", patience_s=30, every_s=0.02)
        frozen_s = loop.time() - began
        assert frozen_s < 2 * WATCHDOG_S + 1.0  # the freeze began when the task reached its write
        (task,) = await site.ended(batch)
        assert task["status"] == "succeed"
        assert manager.restarts == 1


@pytest.mark.slow
async def test_a_frozen_task_slot_ends_its_task_and_not_the_process(
    tmp_path: Path, base: str
) -> None:
    async with managed(tmp_path, base, "slot") as (site, manager):
        pid = site.stage.agent.pid
        batch = await site.order(TaskName.LIGHT, site.miners[:1], {"action": "on"})
        (task,) = await site.ended(batch)
        assert task["status"] in ("failed", "timed_out")
        log = await site.order(TaskName.LOG, site.miners[1:], None)
        (other,) = await site.ended(log)
        assert other["status"] == "succeed"  # its neighbour never noticed
        assert (manager.restarts, site.stage.agent.pid) == (0, pid)
        gaps = [b - a for a, b in zip(manager.beats, manager.beats[1:], strict=False)]
        assert max(gaps) < WATCHDOG_S
