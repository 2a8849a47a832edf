"""A self-test by a process that runs from a release below /opt: before that release is proven, and after it, when one of
its files was changed. In a mount namespace of its own, whose /opt is empty: `in_a_release.py FOLDER`.

Prints one JSON line of what was seen.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from service.install.own import PROVEN
from service.install.product import AGENT
from service.install.release import finish, flip, site_packages
from tests.agent.journals import hold_back
from tests.agent.selftest.stage import lived_in

ROOT = Path(__file__).resolve().parents[3]


def release(version: str) -> Path:
    """It leads to the packages of these tests, and has none of its own."""
    place = AGENT.release(version)
    packages = place / site_packages()
    packages.mkdir(parents=True)
    ours = [each for each in sys.path if each.endswith("site-packages")]
    (packages / "tests.pth").write_text("\n".join([str(ROOT), *ours]) + "\n", "utf-8")
    finish(
        place,
        place,
        name=AGENT.name,
        version=version,
        platform="deb12_amd64",
        python=Path(sys.base_prefix) / "bin" / "python3",
        commands={"miner-agent": "agent.cli.app:main"},
    )
    return place


def run(place: Path, config: Path) -> dict[str, Any]:
    command = [place / "bin" / "miner-agent", "self-test", "--config", config, "--json"]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    assert ended.stdout, ended.stderr
    return json.loads(ended.stdout) | {"code": ended.returncode}


def scene(folder: Path) -> list[dict[str, Any]]:
    hold_back(pytest.MonkeyPatch())
    config = asyncio.run(lived_in(folder))
    release("0.0.1")
    place = release("9.9.9")
    flip(AGENT.home / PROVEN, "0.0.1")
    flip(AGENT.current, "9.9.9")
    unproven = run(place, config)
    flip(AGENT.home / PROVEN, "9.9.9")
    with (place / "pyvenv.cfg").open("a") as file:
        file.write("# changed\n")
    return [unproven, run(place, config)]


if __name__ == "__main__":
    print(json.dumps(scene(Path(sys.argv[1]))))
