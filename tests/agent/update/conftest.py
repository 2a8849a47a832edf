"""A site for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.agent.firmware.test_download_reach import identity
from tests.agent.update.site import Site, site_in


@pytest.fixture(scope="module")
def ca_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return identity(tmp_path_factory.mktemp("ca"), "releases.test")[0]


@pytest.fixture
async def site(tmp_path: Path, ca_file: Path) -> AsyncIterator[Site]:
    async with site_in(tmp_path, ca_file=ca_file) as site:
        yield site
