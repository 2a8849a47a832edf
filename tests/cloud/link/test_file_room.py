"""What tasks bring stays within the cap at every moment, not only after the hourly tidying."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from cloud.config import CloudSettings
from cloud.context import FILES
from tests.cloud.conftest import AgentClient, Cloud
from tests.cloud.link.test_files import held, put

CAP = 10_000
BODY = bytes(3000)
SHA = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def settings(tmp_path: Path) -> CloudSettings:
    return CloudSettings(data=tmp_path, file_bytes=CAP * 10, files_bytes=CAP)


async def send(agent: AgentClient, task_id: str, name: str) -> int:
    return (await put(agent, task_id, BODY, name=name, sha256=SHA))[0]


async def begin(agent: AgentClient, task_id: str, name: str, size: int = len(BODY)) -> int:
    """One byte of it only."""
    span = f"0-0/{size}"
    return (await put(agent, task_id, BODY[:1], name=name, sha256=SHA, span=span))[0]


def stored(cloud: Cloud) -> int:
    return sum(path.stat().st_size for path in (cloud.settings.data / "files").glob("*/*"))


async def test_a_file_that_does_not_fit_any_more_takes_the_place_of_the_oldest(cloud: Cloud):
    agent, task_id = await held(cloud)
    for name in ("1", "2", "3", "4", "5"):
        cloud.clock.move(1)
        assert await send(agent, task_id, name) == 200
        assert stored(cloud) <= CAP
    kept = [name for name in "12345" if cloud.app[FILES].path(task_id, name).exists()]
    assert kept == ["3", "4", "5"]


async def test_uploads_under_way_hold_their_whole_place_until_they_are_too_old(cloud: Cloud):
    agent, task_id = await held(cloud)
    for name in ("1", "2", "3"):
        assert await begin(agent, task_id, name) == 200
    assert await begin(agent, task_id, "4") == 507
    cloud.clock.move(1)
    assert await send(agent, task_id, "1") == 200  # it goes on as if nothing had been
    cloud.clock.move(3700)
    assert await begin(agent, task_id, "4") == 200


async def test_a_file_larger_than_all_may_be_throws_nothing_else_away(cloud: Cloud):
    agent, task_id = await held(cloud)
    assert await send(agent, task_id, "1") == 200
    assert await begin(agent, task_id, "2", CAP + 1) == 507
    assert cloud.app[FILES].path(task_id, "1").exists()


async def test_a_task_brings_a_few_files_only(cloud: Cloud):
    agent, task_id = await held(cloud)
    got = [await begin(agent, task_id, f"{n}", 10) for n in range(10)]
    assert got == [200] * 8 + [409] * 2
    assert await begin(agent, task_id, "0", 10) == 200
