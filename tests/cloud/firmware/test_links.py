"""Where a link to an image leads: to the cloud as the outside reaches it, else as the agent just did."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloud.config import CloudSettings
from tests.cloud.conftest import Cloud
from tests.cloud.firmware.shelf import miner, shelf_of

PUBLIC = "https://cloud.example.net:8443/miners"


@pytest.fixture(params=[None, PUBLIC])
def settings(tmp_path: Path, request: pytest.FixtureRequest) -> CloudSettings:
    return CloudSettings(data=tmp_path, public_url=request.param)


@pytest.mark.parametrize(
    ("host", "base"),
    [
        ("pi.farm.test:8080", "http://pi.farm.test:8080"),
        ("[::1]:8080", "http://[::1]:8080"),
        ("evil.test/a?b", None),
        ("me:secret@evil.test", None),
    ],
)
async def test_a_link_begins_with_the_address_of_the_cloud(
    cloud: Cloud, host: str, base: str | None
):
    shelf, agent = shelf_of(cloud), await cloud.agent()
    await shelf.add()
    await shelf.order(await miner(cloud, agent.agent_id))
    body = {"journal_id": "journal-1", "last_seq": 0, "room": 1, "wait_s": 0.0}
    status, answer = await agent.call("POST", "claims", json=body, headers={"Host": host})
    assert status == 200
    (task,) = answer["tasks"]
    expected = cloud.settings.public_url or base or cloud.base
    assert task["params"]["firmware_url"].startswith(f"{expected}/firmware/")
