"""A command starts only when all its packages are from one installation."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = [
    "miner_agent",
    "miner_agent_rig",
    "miner_agent_update",
    "miner_cloud",
    "miner_simulator",
]


def started(command: str, *args: str, path: list[Path]) -> subprocess.CompletedProcess[str]:
    """As the script of an installation starts it."""
    code = f"from service.start import {command}; {command}()"
    return subprocess.run(
        [sys.executable, "-P", "-c", code, *args],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path))},
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    for package in ("drivers", "contract", "simulator"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("raise RuntimeError('was loaded')\n")
    return tmp_path


@pytest.mark.parametrize(
    ("command", "ours", "other"),
    [
        ("miner_agent", "agent", "drivers"),
        ("miner_agent_rig", "agent", "drivers"),
        ("miner_cloud", "cloud", "contract"),
        ("miner_simulator", "simulator", "service"),
    ],
)
def test_a_start_with_a_package_of_another_installation_is_refused(
    command: str, ours: str, other: str, elsewhere: Path
) -> None:
    ran = started(command, "--version", path=[elsewhere, ROOT])
    place = {True: elsewhere, False: ROOT}
    is_theirs = (elsewhere / ours).is_dir()  # which of the two is the other's
    assert ran.returncode == 1
    assert f"its package {ours} is in {place[is_theirs]}" in ran.stderr
    assert f"but {other} is in {place[not is_theirs]}" in ran.stderr
    assert ran.stdout == "" and ran.stderr.count("\n") == 1


def test_whoever_asked_for_json_reads_it_there_too(elsewhere: Path) -> None:
    ran = started("miner_agent", "scan", "127.0.0.1", "--json", path=[elsewhere, ROOT])
    document = json.loads(ran.stdout)
    assert document == {"ok": False, "error": {"message": ran.stderr.rstrip("\n")}}


@pytest.mark.parametrize("command", COMMANDS)
def test_what_lies_behind_ours_is_not_in_the_way(command: str, elsewhere: Path) -> None:
    ran = started(command, "--version", path=[ROOT, elsewhere])
    assert ran.returncode == 0 and ran.stdout.startswith(command.replace("_", "-"))


def test_each_command_begins_here() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]
    assert scripts == {each.replace("_", "-"): f"service.start:{each}" for each in COMMANDS}
