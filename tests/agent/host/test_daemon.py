"""The daemon's own decisions: what the cloud may wish for, and what site policy becomes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.config.file import ConfigError, parse
from agent.daemon import Daemon
from agent.limits.policy import policy_of
from agent.link.configured import open_link
from agent.miners.known import maintained_miners
from agent.scan.report.memory import named_ranges
from agent.sinks.prometheus import GAUGES
from agent.telemetry.poller import PollPlan
from contract.link import NamedRange, Settings
from contract.task import TaskName
from service.notify import Notifier
from tests.agent.update.host import OLD, PlayedHost
from tests.virtual_time import loop_clock
from tests.waiting import until


def config_in(folder: Path, **sections):
    state = folder / "state"
    state.mkdir(exist_ok=True)
    (state / "token").write_text("t")
    (state / "token").chmod(0o600)
    given = {
        "cloud": {"url": "http://127.0.0.1:9"},
        "state": {"dir": str(state)},
        "miners": {"ranges": ["10.0.0.0/24"]},
    }
    return parse(given | sections)


async def test_wishes_of_the_cloud_hold_inside_local_ceilings(tmp_path: Path) -> None:
    config = config_in(tmp_path, telemetry={"min_interval_s": 10.0}, scan={"max_addresses": 300})
    daemon = Daemon(config, loop_clock(), Notifier({}))
    await daemon._follow(
        Settings(
            rev=1,
            ranges=("10.0.1.0/24", "8.8.8.0/24", "10.0.0.0/8", "nonsense"),
            poll_interval_s=1.0,
            read_only=True,
            auto_scan_s=1.0,
        )
    )
    assert daemon._autoscan._ranges == ("10.0.0.0/24", "10.0.1.0/24")
    assert daemon._autoscan._every_s == 60.0
    assert daemon._telemetry.interval_s == 10.0
    assert daemon._path.policy.rules.read_only
    await daemon._follow(Settings(rev=2))
    assert daemon._autoscan._ranges == ("10.0.0.0/24",)
    assert daemon._telemetry.interval_s == 30.0
    assert not daemon._path.policy.rules.read_only
    await daemon._buffer.close()


async def test_ranges_with_a_name_are_scanned_and_kept_for_the_command_line(
    tmp_path: Path,
) -> None:
    config = config_in(
        tmp_path, ranges=[{"name": "own", "range": "10.0.9.1"}, {"name": "off", "range": "10.0.9.2", "auto_scan": False}]
    )  # fmt: skip
    named = (
        NamedRange(id="1", name="hall-1", range="10.0.1.0/24"),
        NamedRange(id="2", name="hall-2", range="10.0.2.0/24", auto_scan=False),
        NamedRange(id="3", name="street", range="8.8.8.0/24"),
    )
    daemon = Daemon(config, loop_clock(), Notifier({}))
    async with daemon._opened():
        await daemon._follow(Settings(rev=1, named=named))
        assert daemon._autoscan._ranges == ("10.0.0.0/24", "10.0.9.1", "10.0.1.0/24")
        every = daemon._site.territory.select((), max_addresses=1000)
        assert sum(map(len, every)) == 3 * 254 + 2, "a task that names no range is for all of them"
        await daemon._follow(Settings(rev=2))
        assert sum(map(len, daemon._site.territory.ranges)) == 254 + 2
        await daemon._follow(Settings(rev=3, named=named))
    assert named_ranges(config.state.dir / "scans.db") == named[:2], "none that may not be scanned"


async def test_the_cloud_cannot_lift_a_local_read_only(tmp_path: Path) -> None:
    config = config_in(tmp_path, policy={"read_only": True})
    daemon = Daemon(config, loop_clock(), Notifier({}))
    await daemon._follow(Settings(rev=1, read_only=False))
    assert daemon._path.policy.rules.read_only
    await daemon._buffer.close()


async def test_how_many_miners_refuse_the_login_is_told_to_the_cloud_and_measured(
    tmp_path: Path,
) -> None:
    daemon = Daemon(config_in(tmp_path), loop_clock(), Notifier({}))
    assert daemon._beat({}).notices == ()
    for number in (7, 8):
        daemon._telemetry._plans[f"10.0.0.{number}"] = PollPlan(0.0, login_refused=True)
    [notice] = daemon._beat({}).notices
    assert notice.startswith("Miners that refuse our user or password: 2, 10.0.0.7 for one.")
    assert "miner-agent doctor" in notice
    assert daemon.figures()["miners_login_refused"] == 2
    assert "miners_login_refused" in GAUGES
    await daemon._buffer.close()


def test_policy_is_what_the_config_says() -> None:
    policy = policy_of(
        parse(
            {
                "policy": {
                    "forbidden_tasks": ["miner.firmware.update"],
                    "refuse_hashing_reboot": False,
                },
                "miners": {"device_pace": 10},
                "limits": {
                    "power_effects": 3,
                    "restart_wait_s": 30.0,
                    "firmware_max_mb": 2,
                    "disk_reserve_mb": 100,
                    "task_s": {"miner.log.get": 5},
                },
            }
        )
    )
    assert policy.rules.forbidden_tasks == (TaskName.FIRMWARE,)
    assert not policy.rules.refuse_hashing_reboot
    assert policy.limits.power_effects == 3
    assert policy.restart_wait_s == 3.0  # the miners live ten times faster
    assert policy.limits.firmware_max_mb == 2
    assert policy.limits.disk_reserve_mb == 100
    assert policy.limit_s(TaskName.LOG, 300) == 5


def test_an_agent_without_a_cloud_or_a_token_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\[cloud\]"):
        open_link(parse({}))
    with pytest.raises(ConfigError, match="enroll"):
        open_link(parse({"cloud": {"url": "https://x"}, "state": {"dir": str(tmp_path)}}))


async def test_which_release_runs_is_told_with_each_heartbeat_and_by_status(tmp_path: Path) -> None:
    config, host = config_in(tmp_path), PlayedHost(tmp_path / "host")
    daemon = Daemon(config, loop_clock(), Notifier({}), host=host.process())
    sha256 = host.identity(OLD).sha256
    assert daemon._beat({}).release == sha256
    assert (await daemon._status.document())["agent"]["release_sha256"] == sha256
    checkout = Daemon(config, loop_clock(), Notifier({}), host=host.process(prefix=tmp_path))
    assert checkout._beat({}).release is None
    assert (await checkout._status.document())["agent"]["release_sha256"] is None
    for each in (daemon, checkout):
        await each._buffer.close()


async def test_which_miners_are_in_maintenance_is_kept_for_a_start_without_a_cloud(
    tmp_path: Path,
) -> None:
    config, keys = config_in(tmp_path), {"02:00:00:00:00:01", "ip:10.0.0.9"}
    daemon = Daemon(config, loop_clock(), Notifier({}))
    async with daemon._opened():
        await daemon._follow(Settings(rev=1, maintenance=tuple(keys)))
    after = Daemon(config, loop_clock(), Notifier({}))
    async with after._opened():
        assert after._path.maintenance.keys == keys
        await after._follow(Settings(rev=2))
    assert maintained_miners(config.state.dir / "inventory.db") == frozenset()


@pytest.mark.parametrize(
    ("scan", "telemetry", "hunts"),
    [({}, {}, True), ({"hunt": False}, {}, False), ({}, {"enabled": False}, False)],
)
async def test_what_is_missing_is_looked_for_unless_that_is_switched_off(
    tmp_path: Path, scan: dict[str, bool], telemetry: dict[str, bool], hunts: bool
) -> None:
    config = config_in(tmp_path, scan={"at_start": False} | scan, telemetry=telemetry)
    daemon = Daemon(config, loop_clock(), Notifier({}))
    running = asyncio.create_task(daemon.run())

    def parts() -> set[str]:
        return {task.get_name() for task in asyncio.all_tasks()}

    await until(lambda: "autoscan" in parts())
    assert ("hunt" in parts()) == hunts
    await daemon._follow(Settings(rev=1, ranges=("10.7.0.0/30", "8.8.8.0/24")))
    assert [str(each) for each in daemon._hunt._ranges] == ["10.7.0.1-10.7.0.2"]
    daemon.stop()
    await running
