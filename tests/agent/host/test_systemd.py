"""The units, judged by systemd itself."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.real_time

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "systemd"
RIG = "miner-agent-rig.service"
UNITS = ("miner-agent.service", "miner-cloud.service", RIG)
# Cards and memory that is written and then executed are open to what mines.
EXPOSURE_MOST = {RIG: 2.5}
ANALYZE = shutil.which("systemd-analyze")


def analyze(*args: str) -> subprocess.CompletedProcess[str]:
    if ANALYZE is None:
        if os.environ.get("MINER_AGENT_REQUIRE_ALL") == "1":
            pytest.fail("systemd-analyze is needed: install the package systemd")
        pytest.skip("systemd-analyze is not installed")
    return subprocess.run([ANALYZE, *args], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_finds_no_fault_with_the_unit(unit: str, tmp_path: Path) -> None:
    # `verify` wants the program to be there, so the unit is shown one that is
    text = (FOLDER / unit).read_text()
    program = re.search(r"^ExecStart=(\S+)", text, re.MULTILINE)
    assert program is not None
    product = "miner-cloud" if unit == "miner-cloud.service" else "miner-agent"
    assert program[1].startswith(f"/opt/{product}/current/bin/")
    (tmp_path / unit).write_text(text.replace(program[1], sys.executable))
    done = analyze("verify", "--man=no", str(tmp_path / unit))
    assert (done.returncode, done.stderr.strip()) == (0, "")


@pytest.mark.parametrize("unit", UNITS)
def test_the_unit_is_hardened(unit: str) -> None:
    done = analyze("security", "--offline=true", "--no-pager", str(FOLDER / unit))
    exposure = re.search(r"exposure level for \S+: ([\d.]+)", done.stdout)
    assert exposure is not None, done.stderr
    assert float(exposure[1]) <= EXPOSURE_MOST.get(unit, 1.5)


@pytest.mark.parametrize("unit", UNITS)
def test_each_is_watched_bounded_and_started_again_for_ever(unit: str) -> None:
    lines = (FOLDER / unit).read_text().splitlines()
    assert {"Type=notify", "NotifyAccess=main", "WatchdogSec=60", "Restart=always"} <= {*lines}
    # mining takes what memory it needs; a fork bomb is bounded there, too
    assert any(line.startswith("TasksMax=" if unit == RIG else "MemoryMax=") for line in lines)
    # of the unit, not of the service: there systemd would ignore it
    assert lines.index("StartLimitIntervalSec=0") < lines.index("[Service]")


def test_the_users_of_the_units_are_made_by_sysusers() -> None:
    users = "".join(each.read_text() for each in (FOLDER / "sysusers.d").iterdir())
    for unit in UNITS:
        user = re.search(r"^User=(\S+)", (FOLDER / unit).read_text(), re.MULTILINE)
        assert user is not None
        assert re.search(rf"^u {user[1]} ", users, re.MULTILINE)


def test_the_programs_named_are_those_that_are_installed() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for unit in UNITS:
        program = re.search(r"^ExecStart=\S+/bin/(\S+)", (FOLDER / unit).read_text(), re.MULTILINE)
        assert program is not None
        assert program[1] in project["scripts"]


@pytest.mark.parametrize("unit", UNITS)
def test_each_can_tell_one_start_of_the_host_from_the_next(unit: str) -> None:
    # /proc/sys/kernel/random/boot_id, which `contract.clock` reads
    assert "\nProcSubset=all\n" in (FOLDER / unit).read_text()


def test_what_mines_outlives_the_service_that_owns_it() -> None:
    lines = (FOLDER / RIG).read_text().splitlines()
    assert {"KillMode=process", "OOMPolicy=continue"} <= {*lines}
    # folders and objects that go with the service would be taken from programs that go on
    gone = ("PrivateTmp=", "RemoveIPC=", "DynamicUser=", "MemoryDenyWriteExecute=")
    assert [line for line in lines if line.startswith(gone)] == []
