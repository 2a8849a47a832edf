"""`miner-agent demo --once --json` as a newcomer runs it, as root or not, and as an ordinary user."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
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


@contextmanager
def playing(folder: Path, *before: str) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A demo that has begun, and the ids of its parts."""
    process = subprocess.Popen(
        [*before, sys.executable, "-m", "agent", "demo", "--miners", "6"],
        cwd=ROOT, env={**os.environ, "TMPDIR": str(folder)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        give_up_mono = time.monotonic() + LIMIT_S
        while len(parts := parts_of(process)) < 3 and time.monotonic() < give_up_mono:
            assert process.poll() is None
            time.sleep(0.1)
        yield process, parts
    finally:
        process.kill()
        process.communicate()


def parts_of(demo: subprocess.Popen[str]) -> list[int]:
    """The three that stay, without the commands that set them up."""
    found = []
    for child in psutil.Process(demo.pid).children():
        with suppress(psutil.NoSuchProcess):
            words = " ".join(child.cmdline())
            if "simulator.cli" in words or " serve " in words or " run " in words:
                found.append(child.pid)
    return found


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
    with playing(tmp_path, *before) as (process, parts):
        assert len(parts) == 3
        assert list(tmp_path.iterdir()) != []
        second = subprocess.run(
            [sys.executable, "-m", "agent", "demo", "--once", "--json"],
            cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert second.returncode == 1
        assert "is in use" in json.loads(second.stdout)["error"]["message"]
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number, err
    assert out.splitlines().count("stopping") == 1
    assert err == ""
    assert all_gone(parts)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_parts_of_a_demo_that_is_killed_end_too(tmp_path: Path) -> None:
    with playing(tmp_path) as (process, parts):
        process.kill()
        process.communicate(timeout=60)
    assert all_gone(parts)


def check(report: dict[str, Any]) -> None:
    assert report["ok"] is True
    assert report["ledger"]["doubled"] == report["ledger"]["unclaimed"] == 0
    assert report["ledger"]["effects"] > 0
    # Ant-, WhatsMiners, IceRivers, a foreign one, monitored ones.
    assert report["miners"] == report["readings"] == 12 + 5 + 3 + 1 + 2
    assert report["monitored"] == 2
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
