from __future__ import annotations

from typing import Any

import pytest

from cloud.store.access import admin
from tests.cloud.conftest import Cloud


async def ask(cloud: Cloud, headers: dict[str, str], workspace: str | None = None) -> Any:
    url = f"{cloud.base}/private-api/v1/{workspace or cloud.workspace_id}/farms"
    async with cloud.http.get(url, headers=headers) as response:
        return response.status, await response.json()


async def test_both_headers_are_as_good(cloud: Cloud):
    for headers in ({"x-api-key": cloud.key}, {"Authorization": f"Bearer {cloud.key}"}):
        status, answer = await ask(cloud, headers)
        assert (status, answer["success"]) == (200, True)


async def test_a_missing_header_is_said_to_be_missing(cloud: Cloud):
    assert await ask(cloud, {}) == (
        401,
        {"statusCode": 401, "message": "Missing x-api-key header", "error": "Unauthorized"},
    )


@pytest.mark.parametrize(
    "headers",
    [
        {"x-api-key": "nonce_sk_wrong"},
        {"Authorization": "Bearer nonce_sk_wrong"},
        {"Authorization": "Basic abc"},
        {"Authorization": "Bearer"},
        {"x-api-key": "äÿ" * 2000},
    ],
)
async def test_a_bad_key_is_said_to_be_bad(cloud: Cloud, headers: dict[str, str]):
    assert await ask(cloud, headers) == (
        401,
        {"statusCode": 401, "message": "Invalid or missing API key", "error": "Unauthorized"},
    )


async def test_revoked_and_expired_keys_stop_at_once(cloud: Cloud):
    row, revoked = await admin.create_key(cloud.store, cloud.workspace_id, "a", cloud.clock.now())
    _, expiring = await admin.create_key(
        cloud.store, cloud.workspace_id, "b", cloud.clock.now(), days=1
    )
    assert (await ask(cloud, {"x-api-key": revoked}))[0] == 200
    assert (await ask(cloud, {"x-api-key": expiring}))[0] == 200
    await admin.revoke_key(cloud.store, row["id"], cloud.clock.now())
    cloud.clock.move(86_400)
    assert (await ask(cloud, {"x-api-key": revoked}))[0] == 401
    assert (await ask(cloud, {"x-api-key": expiring}))[0] == 401


async def test_another_workspace_is_always_a_403(cloud: Cloud):
    other = await admin.create_workspace(cloud.store, "other", cloud.clock.now())
    for workspace in (other["id"], "org_nowhere", "%00", "..%2f"):
        status, answer = await ask(cloud, {"x-api-key": cloud.key}, workspace)
        assert (status, answer["error"]) == (403, "Forbidden")


async def test_a_revoked_workspace_takes_its_keys_and_agents_along(cloud: Cloud):
    agent = await cloud.agent()
    await admin.revoke_workspace(cloud.store, cloud.workspace_id, cloud.clock.now())
    assert (await ask(cloud, {"x-api-key": cloud.key}))[0] == 401
    assert (await agent.call("GET", "settings"))[0] == 401
