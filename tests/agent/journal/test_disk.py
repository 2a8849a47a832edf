"""The agent on a real disk that is full, or cannot be written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agent.journal.migrations import NEWEST

pytestmark = pytest.mark.real_time

ROOT = Path(__file__).resolve().parents[3]


def play(scene: str, folder: Path, schema: int = NEWEST) -> dict[str, Any]:
    """A scene on a little disk of its own, with journals of that schema. Needs user namespaces, as CI has."""
    able = subprocess.run(["unshare", "-Urm", "true"], check=False, capture_output=True)
    if able.returncode:
        if os.environ.get("MINER_AGENT_REQUIRE_ALL") == "1":
            pytest.fail(f"no mount namespaces: {able.stderr!r}")
        pytest.skip("needs unshare and user namespaces")
    script = 'mount -t tmpfs -o size=2m none "$1" && exec "$2" -m tests.agent.bad_disk "$3" "$1" $4'
    command = ["unshare", "-Urm", "sh", "-ec", script, "sh", str(folder), sys.executable, scene]
    command.append("" if schema == NEWEST else "before")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=90, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    seen: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return seen


def test_on_a_full_disk_running_tasks_settle_and_none_begins_until_it_has_room(
    tmp_path: Path, schema: int
) -> None:
    seen = play("full", tmp_path, schema)
    assert "free some space" in seen["trouble"]
    assert seen["refused"] == ["failed", "storage_full", []]
    assert seen["settled"] == ["succeed", ["Reboot"]]
    assert seen["room"] == 0
    assert seen["trouble"] in seen["notices"]
    assert seen["recovered"] == ["succeed", ["Reboot"], None]
    assert seen["same_journal"] is True
    assert seen["kept"] == "succeed"


def test_on_a_read_only_disk_the_agent_waits_and_goes_on_by_itself(
    tmp_path: Path, schema: int
) -> None:
    seen = play("read_only", tmp_path, schema)
    assert "cannot be written" in seen["trouble"]
    assert seen["claims"] == 0
    assert seen["state"] == "succeed"
