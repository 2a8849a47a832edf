"""Runs the judges' programs where the vendors' ports can be bound: here, or in a network namespace of our own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from simulator.net import can_bind

ROOT: Final = Path(__file__).resolve().parents[2]
# Becomes root of a namespace in which nobody else has a port; works as root and as an ordinary user.
NAMESPACE: Final = ("unshare", "--user", "--map-root-user", "--net")
_PORTS: Final = (80, 443, 4028, 4111, 4433)
_LIMIT_S: Final = 240


def run(program: str, judge: str, *keys: str, inside: tuple[str, ...] = ()) -> bytes:
    """The JSON document of `python -m tests.judges.<program>`; `inside` is put before the command. Fails the test
    with what the program said last.
    """
    with tempfile.TemporaryDirectory(prefix="judges-") as folder:
        target = Path(folder) / "said.json"
        done = subprocess.run(
            [*inside, sys.executable, "-W", "ignore", "-m", f"tests.judges.{program}", judge, str(target), *keys],
            cwd=ROOT, capture_output=True, text=True, check=False, timeout=_LIMIT_S,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-6000:]
        return target.read_bytes()


@cache
def heard(program: str, judge: str) -> bytes:
    """`run` on all models, once per session."""
    return run(program, judge, inside=() if may_bind() else namespace())


def may_bind() -> bool:
    """Whether this process may use the vendors' ports on loopback addresses."""
    return all(can_bind("127.90.0.1", port) for port in _PORTS)


def namespace() -> tuple[str, ...]:
    """How to get a namespace of our own. Skips the test where there is no way; fails it where all must run."""
    possible = subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False)
    if possible.returncode == 0:
        return NAMESPACE
    reason = "the judges need ports 80 and 4028: neither may they be bound here nor are there user namespaces"
    if os.environ.get("MINER_AGENT_REQUIRE_ALL") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
