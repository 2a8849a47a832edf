"""What the system tests share: addresses of their own, figures at the end of the run, the right to mount."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "mounts: mounts a file system; runs in a namespace of its own where it may not"
    )


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Say figures; the end of the run shows them all."""
    return lambda table: record_property("figures", table)


_next = itertools.count()


@pytest.fixture
def base() -> str:
    """The first address of a farm of this test alone, also beside other workers and other runs."""
    block = (os.getpid() * 16 + next(_next)) % 25_000
    return f"127.{100 + block // 250}.{1 + block % 250}.1"


@cache
def may_mount() -> bool:
    """Whether this process may mount a tmpfs."""
    with tempfile.TemporaryDirectory() as folder:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder],
            capture_output=True,
            check=False,
        )
        if mounted.returncode == 0:
            subprocess.run(["umount", folder], check=True)
        return mounted.returncode == 0


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """A test that mounts, where we may not: the same test, inside a user and mount namespace."""
    if pyfuncitem.get_closest_marker("mounts") is None or may_mount():
        return None
    inside = ["unshare", "--user", "--map-root-user", "--mount"]
    possible = subprocess.run([*inside, "true"], capture_output=True, check=False)
    if possible.returncode != 0:
        reason = "needs the right to mount a tmpfs, or user namespaces"
        if os.environ.get("MINER_AGENT_REQUIRE_ALL") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    done = subprocess.run(
        [*inside, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", pyfuncitem.nodeid],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return True
