"""Full, read-only and failing disks, damaged and deleted journals: no effect without a durable intent, what runs is
settled, the operator is told what to do, and all is well again by itself once the fault ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.demo.part import ask
from agent.demo.stage import SimulatedMiner
from contract.task import TaskName
from tests.system.site import Site, open_site
from tests.system.witness import Entry, read_ledger, shown

QUIET: dict[str, dict[str, Any]] = {"telemetry": {"interval_s": 30}, "health": {"heartbeat_s": 1}}
DISK = "24m"
IN_PEACE_S = 3.0  # how long nothing must happen, before it counts as not happening


@asynccontextmanager
async def small_site(folder: Path, base: str, *, time_scale: float = 20.0) -> AsyncIterator[Site]:
    """Two miners of ours, whose agent keeps its state in `folder/agent`."""
    async with open_site(
        folder, makes="antminer/s21:2", base=base, time_scale=time_scale, settings=QUIET
    ) as site:
        yield site


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of its own, of the size DISK, where the agent's state will be."""
    place = folder / "agent"
    place.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=700", "none", place], check=True
    )
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def remount(place: Path, how: str) -> None:
    """`ro` or `rw`."""
    subprocess.run(["mount", "-o", f"remount,{how}", place], check=True)


def fill(place: Path) -> Path:
    """Take every byte that is left."""
    hog = place / "hog"
    with contextlib.suppress(OSError), hog.open("wb", buffering=0) as file:
        while True:
            file.write(b"\0" * 65_536)
    with contextlib.suppress(OSError), hog.open("ab", buffering=0) as file:
        while True:
            file.write(b"\0" * 512)
    return hog


def orders(site: Site, miner: SimulatedMiner, action: str) -> list[Entry]:
    """What reached a miner."""
    return [
        each
        for each in read_ledger(site.stage.ledger)
        if (each.ip, each.action, each.phase) == (miner.ip, action, "received")
    ]


def told(site: Site, event: str) -> list[dict[str, Any]]:
    """What the agent wrote to its log under that name."""
    lines = site.stage.agent.log.read_bytes().splitlines()
    records = [json.loads(line) for line in lines if line.startswith(b"{")]
    return [each for each in records if each.get("event") == event]


async def notices(site: Site) -> list[str]:
    """What the operator is told about the agent."""
    agents = await ask("cloud.cli", "agent", "list", "--data", site.stage.folder / "cloud")
    return [text for each in agents for text in (each["health"] or {}).get("notices", ())]


def _code(task: dict[str, Any]) -> str | None:
    return ((task["result"] or {}).get("error") or {}).get("code")


async def status(site: Site, batch_id: str) -> str:
    (task,) = await site.operator.tasks(batch_id)
    return str(task["status"])


async def assert_clean(site: Site) -> None:
    """The checker has nothing to say."""
    seen = []
    for batch in await site.operator.batches():
        tasks = await site.operator.tasks(batch["batch_id"])
        seen += shown(batch["batch_id"], batch["task_name"], tasks)
    figures = await site.verdict(seen)
    assert figures.wrongs == 0, figures.findings


async def begun(site: Site, miner: SimulatedMiner) -> str:
    """A reboot that has reached its miner and is not proven yet."""
    batch = await site.order(TaskName.REBOOT, [miner], {"force": True})
    await site.until(lambda: orders(site, miner, "reboot"), "the reboot at the miner", every_s=0.01)
    return batch


@pytest.mark.slow
@pytest.mark.mounts
async def test_on_a_full_disk_nothing_begins_what_runs_settles_and_all_goes_on_once_there_is_room(
    tmp_path: Path, base: str
) -> None:
    with small_disk(tmp_path) as place:
        async with small_site(tmp_path, base) as site:
            one, other = site.miners
            pid = site.stage.agent.pid
            running = await begun(site, one)
            hog = fill(place)
            waiting = await site.order(TaskName.LIGHT, [other], {"action": "on"})
            (reboot,) = await site.ended(running)
            assert reboot["status"] == "succeed"
            await site.until(lambda: told(site, "journal.trouble"), "the word about the disk")
            assert "free some space" in told(site, "journal.trouble")[-1]["fix"]
            await asyncio.sleep(IN_PEACE_S)
            assert orders(site, other, "light") == []
            assert await status(site, waiting) in ("created", "queuing")
            hog.unlink()
            (light,) = await site.ended(waiting)
            assert light["status"] == "succeed"
            assert site.stage.agent.pid == pid
            await assert_clean(site)


@pytest.mark.slow
@pytest.mark.mounts
async def test_on_a_read_only_disk_the_agent_waits_and_begins_when_it_can_be_written(
    tmp_path: Path, base: str
) -> None:
    with small_disk(tmp_path) as place:
        async with small_site(tmp_path, base) as site:
            one, other = site.miners
            running = await begun(site, one)
            await site.kill_agent()
            remount(place, "ro")
            await site.stage.agent.start()
            waiting = await site.order(TaskName.LIGHT, [other], {"action": "on"})
            await site.until(lambda: told(site, "journal.trouble"), "the word about the disk")
            assert "cannot be written" in told(site, "journal.trouble")[-1]["fix"]
            await asyncio.sleep(IN_PEACE_S)
            assert orders(site, other, "light") == []
            assert site.stage.agent.returncode is None, site.stage.agent.last_words()
            remount(place, "rw")
            (light,) = await site.ended(waiting)
            assert light["status"] == "succeed"
            await site.ended(running)
            await assert_clean(site)


@pytest.mark.slow
async def test_a_disk_that_fails_under_the_running_agent_stops_beginnings_until_it_works_again(
    tmp_path: Path, base: str
) -> None:
    async with small_site(tmp_path, base) as site:
        one, other = site.miners
        pid = site.stage.agent.pid
        running = await begun(site, one)
        with _no_writes(pid):
            waiting = await site.order(TaskName.LIGHT, [other], {"action": "on"})
            # Its log is a file, too, and fails like the rest: the cloud is told.
            await site.until(lambda: notices(site), "the word about the disk", every_s=0.5)
            assert any("disk" in text for text in await notices(site))
            await asyncio.sleep(IN_PEACE_S)
            assert orders(site, other, "light") == []
        (light,) = await site.ended(waiting)
        (reboot,) = await site.ended(running)
        assert (light["status"], reboot["status"]) == ("succeed", "succeed")
        assert site.stage.agent.pid == pid
        await assert_clean(site)


async def test_after_a_damaged_journal_what_was_begun_is_unknown_and_never_redone(
    tmp_path: Path, base: str
) -> None:
    async with small_site(tmp_path, base) as site:
        one, other = site.miners
        running = await begun(site, one)
        queued = await site.order(TaskName.LIGHT, [one], {"action": "on"})
        await site.until(
            lambda: any(row.name == TaskName.LIGHT for row in site.rows()),
            "the light in the journal",
        )
        await site.kill_agent()
        with site.journal.open("r+b") as file:
            file.write(b"\xff" * 4096)
        site.journal.with_name("journal.db-wal").unlink(missing_ok=True)
        await site.stage.agent.start()
        (reboot,) = await site.ended(running)
        assert reboot["status"] == "failed"
        assert reboot["result"]["outcome"] == "unknown"
        assert reboot["result"]["error"]["code"] == "lost_agent"
        (light,) = await site.ended(queued)
        # It had not begun, so the new journal is given it. A miner that restarts may not be there for it yet.
        assert light["result"]["outcome"] in ("done", "not_done")
        assert _code(light) != "lost_agent"
        after = await site.order(TaskName.LIGHT, [other], {"action": "on"})
        (task,) = await site.ended(after)
        assert task["status"] == "succeed"
        assert len(orders(site, one, "reboot")) == 1
        assert told(site, "journal.damaged")
        assert list(site.journal.parent.glob("journal.db.damaged-*"))


@pytest.mark.slow
async def test_a_journal_deleted_under_the_running_agent_is_put_back_with_all_it_held(
    tmp_path: Path, base: str
) -> None:
    async with small_site(tmp_path, base) as site:
        one, other = site.miners
        running = await begun(site, one)
        for suffix in ("", "-wal", "-shm"):
            site.journal.with_name(site.journal.name + suffix).unlink(missing_ok=True)
        light = await site.order(TaskName.LIGHT, [other], {"action": "on"})
        assert [(await site.ended(each))[0]["status"] for each in (running, light)] == [
            "succeed", "succeed"
        ]  # fmt: skip
        assert told(site, "journal.put_back")
        await assert_clean(site)


@pytest.mark.slow
async def test_a_journal_deleted_while_the_agent_was_down_redoes_no_reboot(
    tmp_path: Path, base: str
) -> None:
    async with small_site(tmp_path, base) as site:
        one, other = site.miners
        running = await begun(site, one)
        await site.kill_agent()
        for suffix in ("", "-wal", "-shm"):
            site.journal.with_name(site.journal.name + suffix).unlink(missing_ok=True)
        await site.stage.agent.start()
        (reboot,) = await site.ended(running)
        assert reboot["result"]["outcome"] == "unknown"
        light = await site.order(TaskName.LIGHT, [other], {"action": "on"})
        (task,) = await site.ended(light)
        assert task["status"] == "succeed"
        assert len(orders(site, one, "reboot")) == 1


@contextmanager
def _no_writes(pid: int) -> Iterator[None]:
    """Every write of that process to a file fails, as on a broken disk."""
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
