"""The packages and a clean root of each Debian, made once for all that is done with them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.debian import built, root
from tests.tools import require

ROOTS = os.environ.get("MINER_AGENT_ROOTS")


@pytest.fixture(scope="module")
def debian(request: pytest.FixtureRequest) -> int:
    """Of this file."""
    number: int = request.module.DEBIAN
    return number


@pytest.fixture(scope="module")
def short() -> Iterator[Path]:
    """A folder with a short name: sockets lie in it."""
    require("mmdebstrap", "dpkg-deb", "unshare", root=True)
    with root.scratch() as folder:
        yield folder


@pytest.fixture(scope="module")
def packages(debian: int, short: Path) -> dict[str, Path]:
    return built.packages(f"deb{debian}_amd64", short / "dist")


@pytest.fixture(scope="module")
def clean(debian: int, short: Path) -> Path:
    """A tar of it."""
    return root.made(debian, short if ROOTS is None else Path(ROOTS))
