"""`miner-agent demo --once --json` as a newcomer runs it, as root or not, and as an ordinary user."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contract.task import TaskName

# Two demos would take each other's addresses.
pytestmark = pytest.mark.xdist_group("demo")
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
    if request.param == "whoever runs the tests":
        return ()
    if os.geteuid() != 0:
        return ()  # an ordinary user already
    if subprocess.run([*ORDINARY, "true"], capture_output=True, check=False).returncode == 0:
        return ORDINARY
    if os.environ.get("MINER_AGENT_REQUIRE_ALL") == "1":
        pytest.fail("user namespaces are needed to become an ordinary user")
    pytest.skip("user namespaces are needed to become an ordinary user")


@pytest.mark.parametrize("as_user", ["whoever runs the tests", "ordinary user"], indirect=True)
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


def check(report: dict[str, Any]) -> None:
    assert report["ok"] is True
    assert report["ledger"]["doubled"] == report["ledger"]["unclaimed"] == 0
    assert report["ledger"]["effects"] > 0
    assert report["miners"] == report["readings"] == 12 + 5 + 1  # Ant-, WhatsMiners, a foreign one
    batches = report["batches"]
    for batch in batches:
        assert batch["task_count"] > 0
        assert batch["succeed_count"] + batch["failed_count"] == batch["task_count"]
        assert batch["seconds"] >= 0
        assert batch["status"] in {"succeed", "failed", "partial_succeed"}
    assert {batch["task_name"] for batch in batches} == GUIDE
    reboots = [batch["why"] for batch in batches if batch["task_name"] == TaskName.REBOOT]
    assert len(reboots) >= 2
    assert any("policy_refused" in why for why in reboots), "refused without force"
    codes = {code for batch in batches for code in batch["why"]}
    assert {"unreachable", "not_verified", "unsupported"} <= codes
