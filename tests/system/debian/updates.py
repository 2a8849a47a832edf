"""A site whose agent updates itself, and what root's unit may do meanwhile. The same on every Debian."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from contract.task import TaskName
from service.install.product import AGENT
from tests.cloud.release.test_commands import Desk
from tests.system.debian import built
from tests.system.debian.root import Root
from tests.system.debian.scenes import (
    CONFIG,
    MAKES,
    SCALE,
    SEED,
    give,
    in_flight,
    leads,
    release_of,
)
from tests.system.debian.systemd import Systemd, UpdateUnits
from tests.system.debian.unit import Unit
from tests.system.gates.onsite import Hands
from tests.system.site import Site, load_of, open_site
from tests.system.witness import Kill, take_kill

_STATE: Final = "/var/lib/miner-agent"
_PATIENCE_S: Final = 300.0
# In the place of the installer: what that has to do, and what nobody may.
_TRIES: Final = """#!/bin/sh
can() {{ if sh -c "$2" >/dev/null 2>&1; then echo "$1"; fi; }}
can "read what is the agent's" 'cat {state}/update/request.json'
can "take a request away" 'rm {state}/update/request.json'
can "write releases" 'mkdir {releases}/.tried && rmdir {releases}/.tried'
can "keep its own" 'touch {own}/progress.json && rm {own}/progress.json'
can "write /tmp" 'touch /tmp/tried'
can "act as the agent" 'setpriv --reuid=miner-agent --regid=miner-agent --clear-groups cat {state}/mine'
can "end what acts as the agent" '
    setpriv --reuid=miner-agent --regid=miner-agent --clear-groups sleep 60 & sleep 0.2; kill $!'
can "reach itself" 'python3 -c "import socket; socket.create_server((\\"127.0.0.1\\", 0))"'
can "write /etc" 'touch /etc/tried'
can "write units" 'touch /etc/systemd/system/tried'
can "write programs" 'touch /usr/bin/tried'
can "give files away" 'touch {own}/given && chown miner-agent {own}/given'
can "see a network" 'grep -v "lo:\\|Inter\\||bytes" /proc/net/dev'
can "mount" 'mount -t tmpfs tmpfs /mnt'
can "load modules" 'setpriv --dump | grep -i "bounding.*sys_module"'
"""


async def update_unit_is_closed(root: Root) -> None:
    """What the installer has to do can be done under its unit, and nothing of what it has no business with."""
    units = UpdateUnits(root)
    own = "/var/lib/miner-agent-update"
    release = root.at(AGENT.proven / "bin" / "miner-agent-update").resolve()
    program = root.at(AGENT.proven).parent / root.at(AGENT.proven).readlink() / "bin" / release.name
    program.write_text(_TRIES.format(state=_STATE, own=own, releases=AGENT.releases))
    request, mine = (root.at(f"{_STATE}/{each}") for each in ("update/request.json", "mine"))
    request.parent.mkdir(mode=0o700)
    assert not units.is_wanted
    for each in (request, mine):
        each.write_text("{}")
        each.chmod(0o600)
    for each in (request, request.parent, mine):
        shutil.chown(each, *root.uid("miner-agent"))
    assert units.is_wanted
    assert await units.run() == 0, units.part.last_words()
    assert not units.is_wanted
    assert units.part.words_of_this_life().decode().splitlines() == [
        "read what is the agent's",
        "take a request away",
        "write releases",
        "keep its own",
        "write /tmp",
        "act as the agent",
        "end what acts as the agent",
        "reach itself",
    ]


class Releases:
    """Packages and bundles of one platform that believe one another, and the cloud's repository of them."""

    def __init__(self, platform: str, shared: Path, work: Path) -> None:
        """`shared` is the folder of the site, whose cloud serves them."""
        work.mkdir()
        self._platform = platform
        self._work = work
        self._desk = Desk(work)
        self._desk.data = shared / "cloud"
        self._desk.data.mkdir()
        self._desk.begin()
        (root,) = self._desk.folder.rglob("1.root.json")
        self._root = root.read_bytes()

    def package(self, number: str) -> Path:
        return built.trusting(self._platform, self._work, number, self._root)

    def publish(self, *, is_broken: bool) -> None:
        """The next version, as the newest for all."""
        bundle = built.bundle_of_next(self._platform, self._work, self._root, is_broken=is_broken)
        self._desk.offline("sign", bundle)
        self._desk.offline("promote", "stable", built.next_version())
        self._desk.publish()


async def self_update_under_load(
    root: Root, base: str, releases: Releases, tell: Callable[[str], None]
) -> None:
    """A whole site, whose agent is the one of the package, is ordered to update itself with tasks in flight: the next
    release runs then, has proven itself, and the checker says that nothing was lost and nothing done twice.
    """
    stops: list[Kill] = []
    async with _site(root, base, releases, stops, settle_s=2.0) as (site, unit, systemd):
        async with _under_load(site, stops, tell, f"{_debian(root)}: updated itself under load"):
            task = await _updated(site)
            _check(task, "succeed", built.version(), built.next_version())
            assert release_of(unit.part.pid) == str(AGENT.release(built.next_version()))
        assert {*systemd.codes} == {0}, systemd.update.part.last_words()
        assert systemd.restarts == 0
        assert leads(root) == {built.next_version()}


async def broken_release_is_gone_back_from(
    root: Root, base: str, releases: Releases, tell: Callable[[str], None]
) -> None:
    """The next release passes its self-test and dies whenever it is started: the one before runs again, nothing was lost
    and nothing done twice, and the task has the last words of the one that failed.
    """
    stops: list[Kill] = []
    async with _site(root, base, releases, stops, settle_s=2.0, is_broken=True) as (
        site,
        unit,
        systemd,
    ):
        async with _under_load(site, stops, tell, f"{_debian(root)}: went back under load"):
            task = await _updated(site)
            _check(task, "failed", "not_done", "ended again and again", built.BROKEN)
            assert release_of(unit.part.pid) == str(AGENT.release(built.version()))
        assert {*systemd.codes} == {0}, systemd.update.part.last_words()
        assert leads(root) == {built.version()}
        assert [each.name for each in root.at(AGENT.releases).iterdir()] == [built.version()]


async def _updated(site: Site) -> dict[str, Any]:
    """The task of an update to the newest release, as it ended."""
    batch, _ = await site.operator.create(TaskName.SELF_UPDATE, None, {})
    assert batch is not None
    (task,) = await site.ended(batch, patience_s=_PATIENCE_S)
    return task


@asynccontextmanager
async def _under_load(
    site: Site, stops: list[Kill], tell: Callable[[str], None], title: str
) -> AsyncIterator[None]:
    """With tasks in flight, which are looked at when all is done."""
    load = load_of(site, seed=SEED, open_tasks=24)
    hands = Hands(site, seed=SEED)
    working = [asyncio.create_task(each) for each in (load.run(), hands.run())]
    try:
        await site.until(lambda: in_flight(site.rows()) >= 4, "tasks in flight")
        yield
        size = site.stage.ledger.stat().st_size
        await site.until(lambda: site.stage.ledger.stat().st_size > size, "work of what runs now")
    finally:
        for each in working:
            each.cancel()
        await asyncio.gather(*working, return_exceptions=True)
    await load.all_ended()
    await site.all_reported()
    figures = await site.verdict(await load.seen(), stops, load.promised)
    tell(figures.table(title))
    assert figures.wrongs == 0, figures.findings
    assert figures.effects > 0
    assert [each for each in stops if each.in_flight], "tasks were in flight"


async def package_overtakes_an_update(root: Root, base: str, releases: Releases) -> None:
    """While a release is being tried, a person installs a package that is newer still: that one runs then, the one
    that was tried leads nowhere, and the task says so.
    """
    newest = built.next_version(2)
    later = releases.package(newest)
    async with _site(root, base, releases, [], settle_s=300.0) as (site, unit, systemd):
        batch, _ = await site.operator.create(TaskName.SELF_UPDATE, None, {})
        assert batch is not None
        tried = str(AGENT.release(built.next_version()))
        await site.until(
            lambda: unit.is_ready and release_of(unit.part.pid) == tried, "the release to be tried"
        )
        assert leads(root) == {built.version(), built.next_version()}
        await asyncio.to_thread(root.install, later)
        assert leads(root) == {newest}
        (task,) = await site.ended(batch, patience_s=_PATIENCE_S)
        _check(task, "failed", "overtaken")
        assert release_of(unit.part.pid) == str(AGENT.release(newest))
        assert leads(root) == {newest}
        assert systemd.restarts == 0


@asynccontextmanager
async def _site(
    root: Root,
    base: str,
    releases: Releases,
    stops: list[Kill],
    *,
    settle_s: float,
    is_broken: bool = False,
) -> AsyncIterator[tuple[Site, Unit, Systemd]]:
    """With the agent of the package of this version, run by its unit. At the end nothing of an update is left to do."""
    assert root.shared is not None
    root.install(releases.package(built.version()))
    limits = {"settle_s": settle_s, "restarts_most": 1}
    settings = {"log": {"level": "info"}, "update": limits}
    async with open_site(
        root.shared, makes=MAKES, base=base, time_scale=SCALE, settings=settings
    ) as site:
        releases.publish(is_broken=is_broken)
        await site.stage.agent.end()
        unit = Unit(root, AGENT.name, root.shared)
        _move_in(root, site)
        await unit.start()
        site.stage.agent = unit.part
        await unit.says("READY=1\nSTATUS=")
        assert release_of(unit.part.pid) == str(AGENT.release(built.version()))

        def on_stop() -> None:
            stops.append(take_kill(site.journal, 0.0, site.stage.ledger))

        async with Systemd(root, unit, on_stop=on_stop) as systemd:
            try:
                yield site, unit, systemd
                await site.until(lambda: not systemd.update.is_wanted, "the end of the update")
            finally:
                systemd.check()
        await unit.stop()


def _move_in(root: Root, site: Site) -> None:
    """The site's config and state, where the units have theirs; their owner is the agent's user."""
    give(site.stage.folder, root.uid(AGENT.name))
    shutil.copy2(site.stage.folder / "config.toml", root.at(CONFIG))
    root.at(_STATE).rmdir()
    root.at(_STATE).symlink_to(site.journal.parent)


def _debian(root: Root) -> str:
    return root.run("cat", "/etc/debian_version").strip()


def _check(task: dict[str, Any], status: str, *words: str) -> None:
    """How it ended, and what its result tells."""
    assert task["status"] == status, task
    said = json.dumps(task["result"])
    for each in words:
        assert each in said, task
