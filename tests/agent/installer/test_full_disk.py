"""An update on real disks that fill while it is made."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.agent.installer.trial import NEW, OLD
from tests.tools import lacking

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("part", "step", "trouble"),
    [
        ("opt", "flipped", None),
        ("opt", "going_back", None),
        ("update", "flipped", "No space left on device"),
        ("update", "going_back", "No space left on device"),
    ],
)
def test_a_disk_that_is_full_to_the_last_name_keeps_nobody_on_a_release_that_fails(
    tmp_path: Path, part: str, step: str, trouble: str | None
) -> None:
    seen = play(tmp_path / "host", part, step)
    assert seen["full"] == [OLD, OLD, OLD]
    assert seen["trouble"] == trouble  # the outcome waits for room where there is none to write it
    assert (seen["verdict"], seen["wrongs"]) == ("not_done", [])


def test_a_disk_that_is_full_when_it_is_proven_has_it_proven_later(tmp_path: Path) -> None:
    """Of what runs, and has nothing to go back for."""
    seen = play(tmp_path / "host", "opt", "proven", "well")
    assert seen["full"] == [NEW, OLD, NEW]
    assert (seen["verdict"], seen["wrongs"]) == ("done", [])


def play(*words: str | Path) -> Any:
    """The scene in a namespace of mounts. Needs user namespaces, as CI has."""
    ended = subprocess.run(
        ["unshare", "-Urm", sys.executable, "-m", "tests.agent.installer.full_disk", *words],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    if "unshare:" in ended.stderr:
        lacking("needs user namespaces")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return msgspec.json.decode(ended.stdout.splitlines()[-1])
