"""Each task name, from its parameters to its result."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.ports import CloudError, FoundMiner, ScanProgress, ScanSummary
from agent.scan.report.rows import ROWS_SHOWN
from agent.tasks.actions import change_of
from agent.tasks.look_executor import LOCAL_LOGS
from contract.errors import BadParamsError, UnsupportedError
from contract.link import ReportReply, ReportRequest
from contract.miner import PowerMode
from contract.task import SPECS, TaskName, parse_params
from drivers.base import (
    Capabilities,
    Light,
    LogFile,
    Mode,
    Pools,
    PoolSetting,
    PowerLimit,
    Reboot,
    Resume,
    Suspend,
)
from tests.agent.clock import SettableClock
from tests.agent.fake_cloud import FakeCloud, code
from tests.agent.farm import FakeFarm, FakeMiner
from tests.agent.journals import record
from tests.agent.policies import policy_with
from tests.agent.stage import Site, site
from tests.virtual_time import loop_clock
from tests.waiting import until

Progress = Callable[[ScanProgress], Awaitable[None]]


def test_parameters_become_the_change_they_name() -> None:
    def change(name: TaskName, params: dict[str, object]) -> object:
        return change_of(record("a", name=name, params=params), parse_params(name, params))

    assert change(TaskName.LIGHT, {"action": "on"}) == Light(on=True)
    assert change(TaskName.LIGHT, {"mode": "off"}) == Light(on=False)
    assert change(TaskName.POWER_MODE, {"mode": "sleep"}) == Mode(mode=PowerMode.SLEEP)
    assert change(TaskName.POWER_MODE, {"mode": "3250W"}) == Mode(preset="3250W")
    assert change(TaskName.POWER_LIMIT, {"watts": 3000}) == PowerLimit(watts=3000)
    assert change(TaskName.POWER_LIMIT, {"watts": "default"}) == PowerLimit(watts="default")
    assert change(TaskName.POWER_LIMIT, {"percent": 80}) == PowerLimit(percent=80)
    assert change(TaskName.REBOOT, {}) == Reboot(force=False)
    assert change(TaskName.REBOOT, {"force": True}) == Reboot(force=True)
    assert change(TaskName.MINING, {"action": "off"}) == Suspend()
    assert change(TaskName.MINING, {"action": "on"}) == Resume()
    pools = change(TaskName.POOLS, {"pools": [{"url": "stratum+tcp://p:1", "user": "w"}]})
    assert pools == Pools(pools=(PoolSetting(url="stratum+tcp://p:1", user="w"),))


def test_a_monitors_wish_that_was_written_as_a_power_mode_is_still_what_it_was() -> None:
    def change(params: dict[str, object], origin: str) -> object:
        row = record("a", name=TaskName.POWER_MODE, params=params, origin=origin)
        return change_of(row, parse_params(TaskName.POWER_MODE, params))

    assert change({"mode": "sleep"}, "rigmonitor") == Suspend()
    assert change({"mode": "low"}, "rigmonitor") == Resume(mode=PowerMode.LOW)
    assert change({"mode": "3250W"}, "rigmonitor") == Resume()
    for origin in ("cloud", "onsite"):
        assert change({"mode": "sleep"}, origin) == Mode(mode=PowerMode.SLEEP)
    light = record("a", name=TaskName.LIGHT, params={"action": "on"}, origin="rigmonitor")
    assert change_of(light, parse_params(light.name, light.params)) == Light(on=True)


@pytest.mark.parametrize(
    "name", [TaskName.SELF_UPDATE, TaskName.IP_DIAGNOSIS, TaskName.POOL_LOCK, TaskName.TAGS]
)
async def test_what_an_agent_cannot_do_it_says(tmp_path: Path, name: TaskName) -> None:
    params = {"action": "lock", "url": "http://x/y"} if name is TaskName.POOL_LOCK else {}
    async with site(tmp_path) as at:
        miner = at.farm.miners[0].ref if SPECS[name].wants_miner else None
        event = await at.cloud.ended(at.cloud.create(name, params, miner))
        assert (event.state, code(event)) == ("failed", "unsupported")
        assert event.result is not None
        assert event.result["outcome"] == "not_done"
        assert len(event.result["error"]["message"]) > 20


@pytest.mark.parametrize(
    ("name", "params", "key", "value"),
    [
        (TaskName.POWER_MODE, {"mode": "low"}, "mode", "low"),
        (TaskName.MINING, {"action": "off"}, "mode", "sleep"),
        (TaskName.POOLS, {"pools": [{"url": "stratum+tcp://p:1", "user": "w"}]}, "pools", ["stratum+tcp://p:1"]),
        (TaskName.REBOOT, {"force": True}, "boot", 2),
        (TaskName.FIRMWARE, {"firmware_url": "http://files/fw.bmu"}, "boot", 2),
    ],
)  # fmt: skip
async def test_every_change_is_carried_out_with_proof(
    tmp_path: Path, name: TaskName, params: dict[str, object], key: str, value: object
) -> None:
    async with site(tmp_path) as at:
        event = await at.cloud.ended(at.task(name=name, params=params))
        assert event.state == "succeed"
        assert event.result is not None
        assert event.result["verified"] is True
        assert event.result["evidence"]["after"][key] == value
        assert {"before", "after", "signal", "seconds"} <= set(event.result["evidence"])


async def test_a_firmware_file_is_on_disk_before_the_miner_is_asked_and_gone_afterwards(
    tmp_path: Path,
) -> None:
    async with site(tmp_path) as at:
        good = at.task(name=TaskName.FIRMWARE, params={"firmware_url": "http://files/fw.bmu"})
        assert (await at.cloud.ended(good)).state == "succeed"
        assert at.farm.fetched == ["http://files/fw.bmu"]
        bad = at.task(1, name=TaskName.FIRMWARE, params={"firmware_url": "http://files/bad"})
        assert code(await at.cloud.ended(bad)) == "bad_firmware"
        assert at.farm.miners[1].trace == []
        assert list((tmp_path / "work").iterdir()) == []


async def test_nothing_is_fetched_for_a_miner_that_would_not_take_it(tmp_path: Path) -> None:
    policy = policy_with(restart_wait_s=0.0, stop_within_s=0.1)
    async with site(tmp_path, policy=policy) as at:
        foreign, gone, well = at.farm.miners
        foreign.only_read = "it runs somebody else's firmware"
        gone.unreachable = 100
        tasks = [update(at, number, "http://files/fw.bmu") for number in range(3)]
        refused = await at.cloud.ended(tasks[0])
        assert (refused.state, code(refused)) == ("failed", "unsupported")
        assert refused.result is not None
        assert "somebody else's" in refused.result["error"]["message"]
        assert code(await at.cloud.ended(tasks[1])) == "unreachable"
        assert foreign.trace == gone.trace == []
        assert (await at.cloud.ended(tasks[2])).state == "succeed"
        assert at.farm.fetched == ["http://files/fw.bmu"]
        assert well.ledger == ["FirmwareUpdate"]


async def test_a_kind_of_update_its_make_does_not_have_is_refused_before_the_download(
    tmp_path: Path,
) -> None:
    class Sealed(FakeMiner):
        @property
        def capabilities(self) -> Capabilities:
            return Capabilities(
                make="fake",
                generation="sealed",
                models=(),
                changes=("light", "reboot"),
                modes=(),
                log=False,
                proofs=(),
            )

    farm = FakeFarm(1, kind=Sealed)
    async with site(tmp_path, farm=farm) as at:
        event = await at.cloud.ended(update(at, 0, "http://files/fw.bmu"))
        assert (event.state, code(event)) == ("failed", "unsupported")
        assert farm.fetched == []


class Files(FakeFarm):
    """A file server that takes its time, and keeps account of what is fetched and kept at once. Its files are as large
    as the smallest cap that a config can set.
    """

    def __init__(self, folder: Path, count: int) -> None:
        super().__init__(count)
        self.folder = folder
        self.go_on = asyncio.Event()
        self.now = self.most = self.most_kept = 0
        for miner in self.miners:
            miner.gate["write"] = asyncio.Event()

    async def fetch(self, url: str, folder: Path, *, cap_bytes: int, sha256: str | None) -> Path:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.go_on.wait()
            path = await super().fetch(url, folder, cap_bytes=cap_bytes, sha256=sha256)
            os.truncate(path, 2**20)
            self.most_kept = max(self.most_kept, self.kept())
            return path
        finally:
            self.now -= 1

    def kept(self) -> int:
        return len(list(self.folder.glob("work/*/firmware.bin")))

    def write(self) -> None:
        for miner in self.miners:
            miner.gate["write"].set()


def update(at: Site, number: int, url: str) -> str:
    return at.task(number, name=TaskName.FIRMWARE, params={"firmware_url": url})


async def test_a_batch_downloads_its_firmware_once_and_keeps_one_file(tmp_path: Path) -> None:
    farm = Files(tmp_path, 50)
    async with site(tmp_path, farm=farm) as at:
        tasks = [update(at, number, "http://files/fw.bmu") for number in range(50)]
        await until(lambda: at.path.dispatcher.tasks == 50 and farm.now == 1)
        at.cloud.cancel.add(tasks[0])  # it waited first; the others still get their file
        at.cloud.poke()
        assert (await at.cloud.ended(tasks[0])).state == "cancelled"
        farm.go_on.set()
        await until(lambda: sum(each.at_once for each in farm.miners) == 4)
        assert farm.kept() == 1
        farm.write()
        for task in tasks[1:]:
            assert (await at.cloud.ended(task)).state == "succeed"
        assert farm.fetched == ["http://files/fw.bmu"]
        assert list((tmp_path / "work").iterdir()) == []


async def test_few_downloads_run_at_once_and_their_files_stay_within_a_budget(
    tmp_path: Path,
) -> None:
    farm = Files(tmp_path, 9)
    policy = policy_with(firmware_effects=3, firmware_max_mb=1, stop_within_s=0.1)
    async with site(tmp_path, farm=farm, policy=policy) as at:
        tasks = [update(at, number, f"http://files/{number}") for number in range(9)]
        await until(lambda: at.path.dispatcher.tasks == 9 and farm.now == 3)
        farm.go_on.set()
        await until(lambda: sum(each.at_once for each in farm.miners) == 3)
        farm.write()
        for task in tasks:
            assert (await at.cloud.ended(task)).state == "succeed"
        assert (farm.most, farm.most_kept) == (3, 3)
        assert len(farm.fetched) == 9
        assert list((tmp_path / "work").iterdir()) == []


async def test_firmware_leaves_the_disk_to_the_journal(tmp_path: Path) -> None:
    policy = policy_with(disk_reserve_mb=2**20, stop_within_s=0.1)
    async with site(tmp_path, policy=policy) as at:
        event = await at.cloud.ended(update(at, 0, "http://files/fw.bmu"))
        assert (event.state, code(event)) == ("failed", "storage_full")
        assert event.result is not None and "free some space" in event.result["error"]["message"]
        assert at.farm.fetched == []
        assert (await at.cloud.ended(at.task(1))).state == "succeed"


async def test_a_log_is_with_the_cloud_before_the_task_says_so(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        at.cloud.upload_errors = [CloudError("connection lost", retry=True)] * 2
        event = await at.cloud.ended(at.task(name=TaskName.LOG, params={}))
        assert event.state == "succeed"
        (data,) = [each[1] for each in at.cloud.files.values()]
        assert event.result is not None
        assert event.result["file"] == {
            "name": "miner.log",
            "size_bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "truncated": False,
        }
        assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.parametrize("status", [400, 409, 411, 413, 422])
async def test_a_log_that_the_cloud_does_not_take_says_so(tmp_path: Path, status: int) -> None:
    async with site(tmp_path) as at:
        at.cloud.upload_errors = [CloudError("a file may have 8 bytes", retry=False, status=status)]
        event = await at.cloud.ended(at.task(name=TaskName.LOG, params={}))
        assert (event.state, code(event)) == ("failed", "refused")
        assert event.result is not None and event.result["outcome"] == "not_done"
        assert "a file may have 8 bytes" in event.result["error"]["message"]
        assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.parametrize("status", [401, 403])
async def test_a_log_waits_for_a_token_that_a_person_must_mend(tmp_path: Path, status: int) -> None:
    async with site(tmp_path) as at:
        at.cloud.upload_errors = [CloudError("revoked", retry=False, status=status)] * 2
        assert (await at.cloud.ended(at.task(name=TaskName.LOG, params={}))).state == "succeed"


async def test_a_log_of_a_task_that_the_cloud_has_forgotten_comes_once_it_was_told_of_it(
    tmp_path: Path,
) -> None:
    class PutBack(FakeCloud):
        """At the first upload it forgets the task, until it is told what that is."""

        uploads = 0
        knows = True

        async def upload(self, task_id: str, file: LogFile) -> None:
            self.uploads += 1
            self.knows = self.knows and self.uploads > 1
            if not self.knows:
                raise CloudError("not given to this agent", retry=False, status=404)
            await super().upload(task_id, file)

        async def report(self, request: ReportRequest) -> ReportReply:
            self.knows = self.knows or any(event.arose for event in request.events)
            return await super().report(request)

    clock = loop_clock()
    cloud = PutBack(clock)
    cloud.ack_state = lambda _: "ok" if cloud.knows else "unknown_task"
    async with site(tmp_path, cloud=cloud, clock=clock) as at:
        task = at.task(name=TaskName.LOG, params={})
        assert (await cloud.ended(task, within_s=60.0)).state == "succeed"
        assert list(cloud.files) == [task] and cloud.uploads == 2


async def test_a_log_of_a_task_that_the_cloud_never_knows_ends_with_its_time(
    tmp_path: Path,
) -> None:
    class Strange(FakeCloud):
        async def upload(self, task_id: str, file: LogFile) -> None:
            raise CloudError("given to another agent", retry=False, status=404)

    clock = loop_clock()
    async with site(tmp_path, cloud=Strange(clock), clock=clock) as at:
        event = await at.cloud.ended(at.task(name=TaskName.LOG, params={}), within_s=400.0)
        assert event.state == "timed_out"
        assert event.result is not None and event.result["outcome"] == "not_done"
        assert list((tmp_path / "work").iterdir()) == []


async def test_a_miner_without_logs_says_so(tmp_path: Path) -> None:
    class Mute(FakeMiner):
        async def get_log(self, folder: Path, *, size_cap_bytes: int) -> LogFile:
            raise UnsupportedError("this firmware keeps no log")

    async with site(tmp_path, farm=FakeFarm(1, kind=Mute)) as at:
        event = await at.cloud.ended(at.task(name=TaskName.LOG, params={}))
        assert (event.state, code(event)) == ("failed", "unsupported")


MINERS = tuple(FoundMiner(ip=f"10.0.{n // 250}.{n % 250}", mac=f"02::{n}") for n in range(700))
WHOLE = ScanSummary(
    addresses=65_000, silent=64_300, refused=0, unknown=0, failed=0, found=700, new=700, seconds=2.0, miners=MINERS,
)  # fmt: skip


class SlowScan(FakeFarm):
    """A scan that stands still, until the clock is moved on, after half and before its end."""

    def __init__(self, clock: SettableClock) -> None:
        super().__init__()
        self.clock = clock
        self.asked: list[tuple[str, str | None]] = []

    async def scan(
        self,
        ranges: tuple[str, ...],
        progress: Progress | None = None,
        *,
        manner: str = "default",
        key: str | None = None,
    ) -> ScanSummary:
        assert progress is not None
        self.asked.append((manner, key))
        await progress(ScanProgress(done=100, total=65_000, found=1, rows=MINERS[:1]))
        await self.clock.sleep(2.1)
        await progress(ScanProgress(done=60_000, total=65_000, found=30, rows=MINERS[1:30]))
        await self.clock.sleep(10.0)
        return WHOLE

    def so_far(self) -> ScanSummary | None:
        return msgspec.structs.replace(
            WHOLE, not_asked=5000, silent=59_300, found=30, miners=MINERS[:30]
        )


async def test_a_scan_tells_its_counts_and_its_progress(tmp_path: Path) -> None:
    clock = SettableClock()
    farm = SlowScan(clock)
    async with site(tmp_path, farm=farm, clock=clock) as at:
        task = at.cloud.create(TaskName.SCAN, {"ip_range": "10.0.0.0/16", "manner": "thorough"})
        await clock.advance(10.0)
        assert at.cloud.end(task) is None
        assert farm.asked == [("thorough", task)]
        told = [line.message for event in at.cloud.of(task) for line in event.logs]
        assert any("60000 of 65000" in line for line in told)
        assert not any("100 of 65000" in line for line in told)  # not at every step
        rows = [line for line in told if "02::" in line]
        assert rows[0].startswith("10.0.0.0 "), "a row is not lost because nothing was told with it"
        assert (len(rows), "and 10 more" in told) == (20, True)
        await clock.advance(10.0)
        event = at.cloud.end(task)
        assert event is not None and event.state == "succeed"
        assert event.result is not None
        scan = event.result["scan"]
        assert (scan["found"], scan["silent"], scan["addresses"]) == (700, 64_300, 65_000)
        assert len(scan["miners"]) == ROWS_SHOWN
        assert scan["miners_left_out"] == 700 - ROWS_SHOWN
        assert any("700 miners" in line.message for line in event.logs)
        at.path.stop()
        await clock.advance(10.0)


async def test_a_cancelled_scan_tells_what_it_had_found(tmp_path: Path) -> None:
    clock = SettableClock()
    async with site(tmp_path, farm=SlowScan(clock), clock=clock) as at:
        task = at.cloud.create(TaskName.SCAN, {"ip_range": "10.0.0.0/16"})
        await clock.advance(4.0)
        at.cloud.cancel.add(task)
        at.cloud.poke()
        await clock.advance(4.0)
        event = at.cloud.end(task)
        assert event is not None and event.state == "cancelled"
        assert event.result is not None
        scan = event.result["scan"]
        assert (scan["found"], scan["not_asked"], len(scan["miners"])) == (30, 5000, 30)
        at.path.stop()
        await clock.advance(10.0)


async def test_a_scan_that_policy_forbids_is_refused(tmp_path: Path) -> None:
    class Strict(FakeFarm):
        async def scan(self, ranges: tuple[str, ...], *_args: Any, **_more: Any) -> ScanSummary:
            raise BadParamsError("8.8.8.0/24 is outside the ranges this site allows")

    async with site(tmp_path, farm=Strict()) as at:
        event = await at.cloud.ended(at.cloud.create(TaskName.SCAN, {"ip_range": "8.8.8.0/24"}))
        assert (event.state, code(event)) == ("failed", "bad_params")


async def test_log_lines_tell_the_story_and_hold_no_password(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        pools = [{"url": "stratum+tcp://p:1", "user": "w", "password": "hunter2"}]
        task = at.task(name=TaskName.POOLS, params={"pools": pools})
        await at.cloud.ended(task)
        lines = [line.message for event in at.cloud.of(task) for line in event.logs]
        assert len(lines) >= 2
        assert "hunter2" not in str(at.cloud.events)


async def test_a_task_of_the_site_is_carried_out_without_the_cloud(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        at.cloud.lease_s = 0.0
        ref = at.farm.miners[0].ref
        result = await at.path.submit_local(TaskName.LIGHT, {"action": "on"}, ref, "act")
        assert (result["status"], result["outcome"], result["verified"]) == (
            "succeed",
            "done",
            True,
        )
        log = await at.path.submit_local(TaskName.LOG, {}, ref, "act")
        path = Path(log["file"]["path"])
        assert path.read_bytes() == b"a line\n" * 100
        with pytest.raises(ValueError, match="mode: must be"):
            await at.path.submit_local(TaskName.POWER_MODE, {"mode": "x"}, ref, "act")


async def test_the_latest_logs_fetched_on_site_are_kept_whatever_the_clock_said(
    tmp_path: Path,
) -> None:
    clock = SettableClock()
    (tmp_path / "logs").mkdir()
    for number in range(LOCAL_LOGS):  # of an older version
        (tmp_path / "logs" / f"20261121T1200{number:02}000000-miner.log").touch()
    async with site(tmp_path, clock=clock) as at:
        kept = []
        for days in (0, 3650, -7300):
            clock.step(timedelta(days=days))
            log = await at.path.submit_local(TaskName.LOG, {}, at.farm.miners[0].ref, "act")
            kept.append(Path(log["file"]["path"]))
        for number in range(LOCAL_LOGS - 2):
            found = sorted((tmp_path / "logs").iterdir())
            assert len(found) == LOCAL_LOGS
            assert [each.exists() for each in kept] == [True, True, True], number
            await at.path.submit_local(TaskName.LOG, {}, at.farm.miners[0].ref, "act")
        assert [each.exists() for each in kept] == [False, True, True]


async def test_a_site_task_and_a_cloud_task_do_not_meet_at_one_miner(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        miner = at.farm.miners[0]
        miner.gate["write"] = asyncio.Event()
        task = at.task()
        await until(lambda: miner.at_once == 1)
        here = asyncio.create_task(
            at.path.submit_local(TaskName.LIGHT, {"action": "off"}, miner.ref, "act")
        )
        await until(lambda: at.path.dispatcher.tasks == 2)
        assert miner.trace == ["plan", "apply"]
        miner.gate["write"].set()
        assert (await here)["status"] == "succeed"
        assert (await at.cloud.ended(task)).state == "succeed"
        assert miner.most_at_once == 1


async def test_files_a_crash_left_are_cleared_away(tmp_path: Path) -> None:
    left = tmp_path / "work" / "some-task"
    left.mkdir(parents=True)
    (left / "firmware.bin").write_bytes(b"x" * 1000)
    at = Site(tmp_path)
    at.start()
    await asyncio.wait_for(at.path.ready(), 10)
    assert not left.exists()
    await at.stop()


async def test_what_a_miner_shows_is_kept_within_bounds(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        at.farm.miners[0].state["junk"] = "x" * 100_000
        event = await at.cloud.ended(at.task())
        assert event.state == "succeed"
        assert event.result is not None
        assert event.result["evidence"]["before"] == {"dropped": "larger than 65536 bytes"}
        at.farm.miners[1].state["junk"] = "x" * 300_000
        event = await at.cloud.ended(at.task(1))
        assert (event.state, code(event)) == ("failed", "malformed_reply")
        assert at.farm.miners[1].ledger == []
