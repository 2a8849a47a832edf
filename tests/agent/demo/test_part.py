"""How the processes of the demo are started."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from agent.demo.part import command

pytestmark = pytest.mark.real_time


def test_a_process_is_one_of_ours_also_beside_the_folders_of_a_farm(tmp_path: Path) -> None:
    (tmp_path / "cloud" / "tls").mkdir(parents=True)  # as the data of a cloud lies there
    (tmp_path / "agent").mkdir()
    made = ("workspace", "create", "--name", "W", "--data", tmp_path / "cloud")
    for words in (command("cloud.cli", *made), command("agent.cli.app", "--version")):
        ran = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
