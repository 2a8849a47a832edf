"""Orders for updates, carried out by a task path on a played host."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.config.file import Config, parse
from agent.firmware.download import open_downloader
from agent.update.updates import Updates
from contract.link import Event
from contract.task import TaskName
from tests.agent.fake_cloud import FakeCloud
from tests.agent.policies import policy_with
from tests.agent.stage import Site as PathSite
from tests.agent.update.host import PlayedHost, PlayedInstaller
from tests.agent.update.site import Site, site_in


@dataclass
class Bench:
    """A repository, a host, root's installer as it is played, and the agents that live there one after the other."""

    site: Site
    folder: Path
    host: PlayedHost = field(init=False)
    cloud: FakeCloud = field(init=False)
    sections: dict[str, dict[str, Any]] = field(default_factory=dict)
    rules: dict[str, Any] = field(default_factory=dict)
    agent: PathSite | None = None

    def __post_init__(self) -> None:
        self.host = PlayedHost(self.folder / "host", root=self.site.repository.first_root)
        self.state.mkdir(mode=0o700)
        self.cloud = FakeCloud(self.site.clock)
        self.installer = PlayedInstaller(self.host, self.state)

    @property
    def state(self) -> Path:
        return self.folder / "agent"

    @property
    def config(self) -> Config:
        sections: dict[str, dict[str, Any]] = {
            "state": {"dir": str(self.state)},
            "update": {"url": f"{self.site.url}/releases"},
            "firmware": {"allowed": ["127.0.0.1"]},
        }
        if self.site.ca_file is not None:
            sections["cloud"] = {"ca_file": str(self.site.ca_file)}
        for name, more in self.sections.items():
            sections[name] = sections.get(name, {}) | more
        return parse(sections)

    async def start(self, version: str | None = None, **facts: Any) -> PathSite:
        """A process of the agent, as `current` has it unless its version is said."""
        policy = policy_with(stop_within_s=1.0, **self.rules)
        updates = Updates(
            self.config,
            open_downloader(self.config),
            lambda: policy,
            self.site.clock,
            self.host.process(version, **({"state": self.state} | facts)),
        )
        self.agent = PathSite(
            self.state, cloud=self.cloud, clock=self.site.clock, policy=policy, updates=updates
        )
        self.agent.start()
        await asyncio.wait_for(self.agent.path.ready(), 10.0)
        return self.agent

    async def restart(self, version: str | None = None) -> None:
        """As systemd does by SIGTERM."""
        assert self.agent is not None
        await self.agent.stop()
        await self.start(version)

    async def crash(self, version: str | None = None) -> None:
        assert self.agent is not None
        await self.agent.die()
        await self.start(version)

    def order(self, **params: Any) -> str:
        return self.cloud.create(TaskName.SELF_UPDATE, params)

    async def ended(self, task: str) -> Event:
        return await self.cloud.ended(task, within_s=2000.0)

    def said(self, task: str) -> list[str]:
        return [line.message for event in self.cloud.of(task) for line in event.logs]


@asynccontextmanager
async def bench_in(folder: Path, **more: Any) -> AsyncIterator[Bench]:
    (folder / "site").mkdir()
    async with site_in(folder / "site", **more) as site:
        bench = Bench(site, folder)
        try:
            yield bench
        finally:
            if bench.agent is not None:
                await bench.agent.die()
