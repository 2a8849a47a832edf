"""What is promised of a secret that was revoked: it is good for nothing from the next call on, and neither is anything that
was made for it before.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from cloud.link.files import Folder
from cloud.store.access import admin, audit
from cloud.store.access.admin import NotThereError
from cloud.store.miners import rigs
from cloud.store.miners.rig_codes import renew_code
from contract.nonce.pages import Page
from tests.cloud.conftest import Cloud
from tests.cloud.link.test_enroll import code_for, enroll


async def told(cloud: Cloud, action: str) -> list[dict[str, Any] | None]:
    """What the audit holds of such changes, as it was afterwards."""
    wanted = audit.AuditQuery(workspace_id=cloud.workspace_id, actions=(action,))
    found, _ = await audit.search(cloud.store, wanted, Page(1, 100))
    return [each.after for each in found]


async def test_codes_of_a_farm_that_nobody_used_are_revoked(cloud: Cloud) -> None:
    now = cloud.clock.now
    other = await admin.create_farm(cloud.store, cloud.workspace_id, "G", now())
    elsewhere, _ = await admin.create_enroll_code(cloud.store, other["id"], None, now(), hours=1)
    agent = await cloud.agent()
    codes = [await code_for(cloud), await code_for(cloud, agent.agent_id)]
    assert await admin.revoke_enroll_codes(cloud.store, cloud.farm_id, None, now()) == 2
    assert [(await enroll(cloud, each))[0] for each in codes] == [401, 401]
    assert (await enroll(cloud, elsewhere))[0] == 200
    assert (await agent.call("GET", "settings"))[0] == 200  # its code was used up before
    assert await admin.revoke_enroll_codes(cloud.store, cloud.farm_id, None, now()) == 0
    assert await told(cloud, "enroll_code.revoke") == [
        {"agent_id": None, "codes": 0},
        {"agent_id": None, "codes": 2},
    ]


async def test_codes_for_one_agent_are_revoked_and_those_of_its_farm_stay(cloud: Cloud) -> None:
    agent = await cloud.agent()
    of_farm, of_agent = await code_for(cloud), await code_for(cloud, agent.agent_id)
    now = cloud.clock.now()
    assert await admin.revoke_enroll_codes(cloud.store, cloud.farm_id, agent.agent_id, now) == 1
    assert (await enroll(cloud, of_agent))[0] == 401
    assert (await enroll(cloud, of_farm))[0] == 200
    with pytest.raises(NotThereError, match="no agent"):
        await admin.revoke_enroll_codes(cloud.store, cloud.farm_id, "nobody", now)


async def test_an_agent_that_is_revoked_does_not_come_back_by_a_code_of_before(
    cloud: Cloud,
) -> None:
    agent = await cloud.agent()
    before = await code_for(cloud, agent.agent_id)
    await admin.revoke_agent(cloud.store, agent.agent_id, cloud.clock.now())
    assert (await enroll(cloud, before))[0] == 401
    assert (await agent.call("GET", "settings"))[0] == 401
    assert (await enroll(cloud, await code_for(cloud, agent.agent_id)))[0] == 200


async def test_nobody_joins_a_farm_in_the_archive(cloud: Cloud) -> None:
    agent, before = await cloud.agent(), await code_for(cloud)
    await admin.archive_farm(cloud.store, cloud.farm_id, cloud.clock.now())
    assert (await enroll(cloud, before))[0] == 401
    assert (await agent.call("GET", "settings"))[0] == 401
    with pytest.raises(NotThereError, match="is archived"):
        await code_for(cloud)


async def test_nobody_joins_a_workspace_that_is_revoked(cloud: Cloud) -> None:
    before = await code_for(cloud)
    await admin.revoke_workspace(cloud.store, cloud.workspace_id, cloud.clock.now())
    assert (await enroll(cloud, before))[0] == 401
    agents = await admin.list_agents(cloud.store, cloud.workspace_id)
    assert agents == []


async def test_a_key_is_refused_at_the_next_call_of_a_connection_that_is_open(
    cloud: Cloud,
) -> None:
    row, key = await admin.create_key(cloud.store, cloud.workspace_id, "K", cloud.clock.now())
    path = f"/private-api/v1/{cloud.workspace_id}/farms"
    host, port = cloud.base.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    statuses = []
    for _ in range(2):
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nx-api-key: {key}\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        statuses.append(head.split()[1])
        [length] = re.findall(r"Content-Length: (\d+)", head)
        await reader.readexactly(int(length))
        await admin.revoke_key(cloud.store, row["id"], cloud.clock.now())
    writer.close()
    assert statuses == ["200", "401"]


async def test_a_machine_gets_another_code_and_stays_the_same_machine(cloud: Cloud) -> None:
    now = cloud.clock.now()
    row, first = await rigs.create_rig(cloud.store, cloud.farm_id, "KS-01", now)

    async def ask(code: str) -> int:
        url = f"{cloud.base}/api/v1/asic_miners/expected_status"
        async with cloud.http.get(url, headers={"API_CODE": code}) as response:
            return response.status

    renewed, second = await renew_code(cloud.store, first, now)
    assert (renewed["id"], renewed["code_prefix"]) == (row["id"], second[:8])
    assert first not in repr(renewed)
    assert second not in repr(renewed)
    assert (await ask(first), await ask(second)) == (401, 200)
    _, third = await renew_code(cloud.store, row["id"], now)
    assert (await ask(second), await ask(third)) == (401, 200)
    with pytest.raises(NotThereError):
        await renew_code(cloud.store, first, now)
    assert await told(cloud, "rig.new_code") == [
        {"code_prefix": third[:8]},
        {"code_prefix": second[:8]},
    ]
    await rigs.revoke_rig(cloud.store, row["id"], now)
    with pytest.raises(NotThereError):
        await renew_code(cloud.store, row["id"], now)


def test_another_secret_ends_every_link_of_before(tmp_path: Path) -> None:
    before = Folder(tmp_path, "files")
    signature = before.signature("task", "miner.log", expires=2_000)
    good = {"expires": "2000", "signature": signature, "cloud_s": 1_000.0}
    assert Folder(tmp_path, "files").is_signed("task", "miner.log", **good)
    (tmp_path / "link-secret").unlink()
    assert not Folder(tmp_path, "files").is_signed("task", "miner.log", **good)
    assert (tmp_path / "link-secret").stat().st_mode & 0o777 == 0o600
