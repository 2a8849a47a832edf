"""A cloud that orders an update and serves the release, processes of the agent that it restarts, and root as it is
played.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.journal.settlement import NO_CHANGE
from cloud.context import WAKE_UPS
from contract.task import TERMINAL, TaskName
from release.handover import REQUEST, RUNNING, RunningRelease
from tests.agent.update.host import NEW, OLD, PlayedHost, PlayedInstaller
from tests.cloud.conftest import AgentClient, Cloud
from tests.cloud.release.test_commands import Desk
from tests.waiting import until

PATIENCE_S = 60.0


class Managed:
    """An agent as a service, one process after the other."""

    def __init__(self, cloud: Cloud, client: AgentClient, folder: Path, desk: Desk) -> None:
        self.cloud = cloud
        self.client = client
        self.host = PlayedHost(folder / "host")
        (folder / "host/root.json").write_bytes((desk.metadata / "1.root.json").read_bytes())
        self.state = folder / "state"
        self.state.mkdir(mode=0o700)
        (self.state / "token").write_text(client.token)
        (self.state / "token").chmod(0o600)
        self.config = folder / "config.toml"
        self.config.write_text(
            f"[cloud]\nurl = '{cloud.base}'\n[state]\ndir = 'state'\n[scan]\nat_start = false\n"
            "[health]\nheartbeat_s = 1.0\n"
        )
        self.installer = PlayedInstaller(self.host, self.state)
        self.process: asyncio.subprocess.Process | None = None

    async def start(self, *moment: str) -> None:
        words = (sys.executable, "-m", "tests.cloud.release.life", self.config, self.host.folder)
        self.process = await asyncio.create_subprocess_exec(
            *words,
            *moment,
            stdout=asyncio.subprocess.DEVNULL,
            env=os.environ | {"INVOCATION_ID": "ab" * 16},
        )

    async def end(self, number: int) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
        ended = await self.process.wait()
        self.cloud.app[WAKE_UPS].wake(self.client.agent_id)  # it notices that nobody waits any more
        return ended

    async def restart(self) -> None:
        """As systemd does."""
        assert await self.end(signal.SIGTERM) == 0
        await self.start()

    async def order(self, **params: Any) -> str:
        (task,) = await self.cloud.queue(
            TaskName.SELF_UPDATE, self.client.agent_id, params=params or None
        )
        return task

    async def ended(self, task: str) -> dict[str, Any]:
        async def has_ended() -> bool:
            return (await self.cloud.task(task))["status"] in TERMINAL

        await until(has_ended, within_s=PATIENCE_S, every_s=0.1)
        return await self.cloud.task(task)

    def running(self) -> RunningRelease | None:
        try:
            data = (self.state / RUNNING).read_bytes()
        except FileNotFoundError:
            return None
        return msgspec.json.decode(data, type=RunningRelease)

    def is_proven_by_itself(self, version: str) -> bool:
        """What root's installer waits for."""
        told, process = self.running(), self.process
        return (
            told is not None
            and process is not None
            and (told.version, told.sha256, told.pid)
            == (version, self.host.identity(version).sha256, process.pid)
            and told.ready
            and told.linked
            and told.journal_turned
        )


@pytest.fixture
async def managed(cloud: Cloud, tmp_path: Path) -> AsyncIterator[Managed]:
    for each in ("offline", "site"):
        (tmp_path / each).mkdir()
    desk = Desk(tmp_path / "offline")
    desk.data = cloud.settings.data
    desk.begin()
    desk.release(NEW)
    made = Managed(cloud, await cloud.agent(), tmp_path / "site", desk)
    yield made
    if made.process is not None:
        await made.end(signal.SIGKILL)


async def test_an_order_of_the_cloud_is_proven_by_the_process_that_it_brought(
    managed: Managed,
) -> None:
    await managed.start()
    task = await managed.order()
    request = await asyncio.wait_for(managed.installer.take(), PATIENCE_S)
    await until(lambda: managed.is_proven_by_itself(OLD), within_s=PATIENCE_S)
    managed.installer.install(request)
    await managed.restart()
    await until(lambda: managed.is_proven_by_itself(NEW), within_s=PATIENCE_S)
    told = managed.running()
    assert told is not None and told.invocation == "ab" * 16
    assert (managed.state / RUNNING).stat().st_mode & 0o777 == 0o600
    managed.installer.done(request)
    ended = await managed.ended(task)
    assert ended["status"] == "succeed"
    evidence = ended["result"]["evidence"]
    hashes = {each: managed.host.identity(each).sha256 for each in (OLD, NEW)}
    assert evidence["before"] == {"version": OLD, "release_sha256": hashes[OLD]}
    assert evidence["after"] == {"version": NEW, "release_sha256": hashes[NEW]}
    second = await managed.ended(await managed.order())
    assert second["status"] == "succeed"
    assert second["result"]["evidence"]["before"] == evidence["after"]
    assert second["result"]["reason"] == NO_CHANGE


@pytest.mark.parametrize(
    ("moment", "outcome"),
    [
        pytest.param("before", "not_done", marks=pytest.mark.slow),
        pytest.param("beside", "not_done", marks=pytest.mark.slow),
        ("after", "done"),
    ],
)
async def test_an_agent_that_is_killed_around_its_request_never_asks_twice(
    managed: Managed, moment: str, outcome: str
) -> None:
    await managed.start(moment)
    task = await managed.order()
    assert managed.process is not None
    assert await asyncio.wait_for(managed.process.wait(), PATIENCE_S) == -signal.SIGKILL
    assert (managed.state / REQUEST).exists() == (moment == "after")
    await managed.start()
    if moment == "after":
        request = await asyncio.wait_for(managed.installer.take(), PATIENCE_S)
        managed.installer.install(request)
        await managed.end(signal.SIGKILL)
        managed.installer.done(request)
        await managed.start()
    ended = await managed.ended(task)
    assert ended["result"]["outcome"] == outcome
    assert not (managed.state / REQUEST).exists()
    assert len(managed.host.taken) == (moment == "after")
