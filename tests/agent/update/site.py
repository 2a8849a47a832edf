"""A repository behind a real web server, and an agent that stages releases of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pytest
from aiohttp import web

from agent.config.firmware import FirmwareSection
from agent.firmware.download import WebDownloader
from agent.firmware.servers import FileServers
from agent.update.staging import ReleaseSource, StagedRelease, Staging
from contract.clock import BootTime
from contract.task import SelfUpdateParams
from release.refusals import Refusal, ReleaseRefusedError
from tests.agent.link.test_client import served
from tests.agent.policies import policy_with
from tests.release.repository import INSTALLED, NOW, Repository, bundle_of

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class FixedClock:
    """Shows what it is set to."""

    def __init__(self) -> None:
        self.shown = NOW
        self._loop = asyncio.get_running_loop()  # threads ask, too

    def now(self) -> datetime:
        return self.shown

    def mono(self) -> float:
        return self._loop.time()

    def boot(self) -> BootTime:
        return BootTime("one boot", self.mono())

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass
class Site:
    """A repository behind a web server, and an agent's folder of updates."""

    place: Path
    repository: Repository = field(default_factory=Repository)
    answers: dict[str, Answer] = field(default_factory=dict)  # instead of a file, by its path
    asked: list[str] = field(default_factory=list)
    clock: FixedClock = field(default_factory=FixedClock)
    limits: dict[str, int] = field(default_factory=dict)
    channel: str = "stable"
    installed = INSTALLED
    keys: tuple = ()
    ca_file: Path | None = None  # of the host's many each fetch would read them all
    url: str = ""

    @property
    def folder(self) -> Path:
        return self.place / "state" / "update"

    async def give(self, request: web.Request) -> web.StreamResponse:
        path = request.path.removeprefix("/releases/")
        self.asked.append(path)
        if path in self.answers:
            return await self.answers[path](request)
        if path not in self.repository.files:
            return web.Response(status=404)
        return web.Response(body=self.repository.files[path])

    def staging(self, *allowed: str) -> Staging:
        servers = FileServers(
            FirmwareSection(allowed=allowed or ("127.0.0.1",)), cloud_url=None, local=lambda: ()
        )
        self.folder.parent.mkdir(exist_ok=True)
        source = ReleaseSource(
            f"{self.url}/releases/",
            self.channel,
            self.repository.anchors(keys=self.keys),
            self.installed,
        )
        return Staging(
            self.folder,
            source,
            WebDownloader(servers, ca_file=self.ca_file),
            lambda: policy_with(**self.limits),
            self.clock,
        )

    async def stage(self, **order: str) -> StagedRelease:
        found = await self.staging().stage(SelfUpdateParams(**order))
        assert found is not None, "another version than the one that runs"
        return found

    async def runs_already(self, **order: str) -> bool:
        """Whether what is ordered is what runs. Nothing but what is believed of metadata is left behind then."""
        before = self.staged()
        found = await self.staging().stage(SelfUpdateParams(**order))
        return found is None and self.staged() == before

    async def refused(self, reason: Refusal, **order: str) -> str:
        """Nothing but what is believed of metadata is left behind."""
        before = self.staged()
        with pytest.raises(ReleaseRefusedError) as raised:
            await self.stage(**order)
        assert raised.value.reason is reason, raised.value
        assert self.staged() == before
        return str(raised.value)

    def staged(self) -> list[str]:
        assert {each.name for each in self.folder.glob("*")} <= {"staged", "trust"}
        assert [each.name for each in self.folder.parent.glob("*")] in ([], ["update"])
        return sorted(each.name for each in (self.folder / "staged").glob("*"))


@asynccontextmanager
async def site_in(place: Path, **more) -> AsyncIterator[Site]:
    site = Site(place, **more)
    site.repository.release(bundle_of(place / "wheels"))
    async with served(site.give) as site.url:
        yield site


def bundle_path(site: Site, version: str = "0.3.0") -> str:
    """Where the web server has the bundle."""
    (path,) = [p for p in site.repository.files if p.endswith(f"agent-{version}-deb12_arm64.tar")]
    return path
