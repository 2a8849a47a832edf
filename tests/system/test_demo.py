"""`miner-agent demo --once --json` as a newcomer runs it, as root or not, and as an ordinary user."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from contract.task import TaskName

ROOT = Path(__file__).resolve().parents[2]
ORDINARY = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
LIMIT_S = 120
# The task names that the Nonce guide for operators shows.
GUIDE = {
    TaskName.SCAN,
    TaskName.SELF_UPDATE,
    TaskName.REBOOT,
    TaskName.LOG,
    TaskName.LIGHT,
    TaskName.POWER_MODE,
    TaskName.POOLS,
    TaskName.FIRMWARE,
    TaskName.ASSET_UPDATE,
    TaskName.ASSET_DELETE,
}


@pytest.fixture
def as_user(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """What is put before the command: nothing, or what makes an ordinary user of whoever runs the tests."""
    if request.param == "present user":
        return ()
    if os.geteuid() != 0:
        return ()  # an ordinary user already
    if subprocess.run([*ORDINARY, "true"], capture_output=True, check=False).returncode == 0:
        return ORDINARY
    if os.environ.get("MINER_AGENT_REQUIRE_ALL") == "1":
        pytest.fail("user namespaces are needed to become an ordinary user")
    pytest.skip("user namespaces are needed to become an ordinary user")


@pytest.mark.parametrize(
    "as_user",
    ["present user", pytest.param("ordinary user", marks=pytest.mark.slow)],
    indirect=True,
)
def test_the_demo_ends_as_scripted_and_its_ledger_agrees(
    as_user: tuple[str, ...], tell: Callable[[str], None]
):
    with tempfile.TemporaryDirectory(prefix="demo-") as folder:
        if as_user:
            os.chown(folder, os.geteuid(), os.getegid())
        done = subprocess.run(
            [*as_user, sys.executable, "-m", "agent", "demo", "--once", "--json"],
            cwd=ROOT, env={**os.environ, "TMPDIR": folder}, capture_output=True, text=True,
            check=False, timeout=2 * LIMIT_S,
        )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    assert len(done.stdout.splitlines()) == 1, done.stdout
    report = json.loads(done.stdout)
    tell(
        f"demo{' as an ordinary user' if as_user else ''}: {report['seconds']} s (aim: under 45 on 2 idle cores)"
    )
    assert report["seconds"] < LIMIT_S
    check(report)


@dataclass(frozen=True)
class Playing:
    """The demo, the ids of its parts and of what they began, and the folders of its rigs."""

    process: subprocess.Popen[str]
    pids: list[int]
    rigs: list[Path]


@contextmanager
def playing(folder: Path, *before: str) -> Iterator[Playing]:
    """A demo in which a rig mines, so that everything has begun that ever does."""
    process = subprocess.Popen(
        [*before, sys.executable, "-m", "agent", "demo", "--miners", "6"],
        cwd=ROOT, env={**os.environ, "TMPDIR": str(folder)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        give_up_mono = time.monotonic() + LIMIT_S
        while not (mining := mining_of(process)) and time.monotonic() < give_up_mono:
            assert process.poll() is None
            time.sleep(0.1)
        yield Playing(process, [*parts_of(process), *mining], rigs_in(folder))
    finally:
        process.kill()
        process.communicate()


def parts_of(demo: subprocess.Popen[str]) -> list[int]:
    """Those that stay, without the commands that set them up."""
    found = []
    for child in psutil.Process(demo.pid).children():
        with suppress(psutil.NoSuchProcess):
            words = " ".join(child.cmdline())
            if "simulator.cli" in words or " serve " in words or " run " in words:
                found.append(child.pid)
    return found


def mining_of(demo: subprocess.Popen[str]) -> list[int]:
    """What the service of a rig began, which is no part of the demo and outlives its parent."""
    found = []
    for pid in parts_of(demo):
        with suppress(psutil.NoSuchProcess):
            part = psutil.Process(pid)
            if "agent.cli.rig_service" in " ".join(part.cmdline()):
                found += [each.pid for each in part.children()]
    return found


def rigs_in(folder: Path) -> list[Path]:
    """As the agent's config has them: the root of one, the key of the other in its folder."""
    (config,) = folder.glob("*/config.toml")
    entries = tomllib.loads(config.read_text("utf-8"))["rigs"]
    return [Path(each.get("root") or Path(each["key_file"]).parents[1]) for each in entries]


def all_gone(pids: list[int]) -> bool:
    give_up_mono = time.monotonic() + 30
    while any(map(psutil.pid_exists, pids)) and time.monotonic() < give_up_mono:
        time.sleep(0.1)
    return not any(map(psutil.pid_exists, pids))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "before"),
    [
        (signal.SIGTERM, ()),
        (
            signal.SIGINT,
            ("sh", "-c", 'trap "" INT; exec "$@"', "sh"),
        ),  # as a background job gets it
    ],
)
def test_a_demo_that_is_told_to_end_leaves_neither_processes_nor_files(
    number: signal.Signals, before: tuple[str, ...], tmp_path: Path
) -> None:
    with playing(tmp_path, *before) as at:
        assert len(at.pids) == 5, "simulator, cloud, agent, a rig's service and what it mines with"
        assert [each.is_dir() for each in at.rigs] == [True, True]
        second = subprocess.run(
            [sys.executable, "-m", "agent", "demo", "--once", "--json"],
            cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert second.returncode == 1
        assert "is in use" in json.loads(second.stdout)["error"]["message"]
        at.process.send_signal(number)
        out, err = at.process.communicate(timeout=60)
    assert at.process.returncode == 128 + number, err
    assert out.splitlines().count("stopping") == 1
    assert err == ""
    assert all_gone(at.pids)
    assert list(tmp_path.iterdir()) == []
    assert not any(each.exists() for each in at.rigs)


@pytest.mark.slow
def test_the_parts_of_a_demo_that_is_killed_end_too(tmp_path: Path) -> None:
    with playing(tmp_path) as at:
        at.process.kill()
        at.process.communicate(timeout=60)
    assert all_gone(at.pids)
    assert not any(each.exists() for each in at.rigs)


def check(report: dict[str, Any]) -> None:
    assert report["ok"] is True
    assert report["ledger"]["doubled"] == report["ledger"]["unclaimed"] == 0
    assert report["ledger"]["effects"] > 0
    # Ant-, WhatsMiners, IceRivers, a foreign one, monitored ones, rigs.
    assert report["miners"] == report["readings"] == 12 + 5 + 3 + 1 + 2 + 2
    assert report["monitored"] == 2 + 1
    (rig,) = (each for each in report["specials"] if each["role"] == "rig, by SSH")
    # Restarted, its log fetched, switched off and on.
    assert rig["said"] == {"policy_refused": 1, "succeed": 4, "unsupported": 1}
    mines, rests, mines_again = report["playbook"]
    assert (rests["hashrate_hs"], rests["pid"]) == (None, None)
    assert mines["hashrate_hs"] > 0
    assert mines_again["hashrate_hs"] > 0
    assert None is not mines["pid"] != mines_again["pid"] is not None
    subscription = report["subscription"]
    assert subscription["held"] == {"not_subscribed": 1}
    assert (subscription["status"], subscription["amount"]) == ("succeed", "5")
    batches = report["batches"]
    for batch in batches:
        assert batch["task_count"] > 0
        assert batch["succeed_count"] + batch["failed_count"] == batch["task_count"]
        assert batch["seconds"] >= 0
        assert batch["status"] in {"succeed", "failed", "partial_succeed"}
    assert {batch["task_name"] for batch in batches} == {*GUIDE, TaskName.MINING}  # which is ours
    reboots = [batch["why"] for batch in batches if batch["task_name"] == TaskName.REBOOT]
    assert len(reboots) >= 2
    assert any("policy_refused" in why for why in reboots), "refused without force"
    codes = {code for batch in batches for code in batch["why"]}
    assert {"unreachable", "not_verified", "unsupported"} <= codes
