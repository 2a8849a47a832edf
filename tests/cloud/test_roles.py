"""What each role of a key reaches: every endpoint and every task name, and nothing that nobody declared."""

from __future__ import annotations

import re
from typing import Any

import pytest
from aiohttp import web

from cloud.http.errors import Handler
from cloud.http.rights import ARCHIVING, BY_TASK, declared, endpoint_refusal
from cloud.store.access import admin
from contract.nonce.firmware import FIRMWARE
from contract.roles import Role, role_of
from contract.task import SPECS, AssetStatus, TaskName
from tests.cloud.conftest import Cloud

_WORDS = {Role.VIEWER: "a viewer", Role.OPERATOR: "an operator", Role.MANAGER: "a manager"}
POOL = {"url": "stratum+tcp://pool.test:3333", "user": "farm.1"}
URL = "https://files.example.com/a.bmu"
PARAMS: dict[TaskName, dict[str, Any]] = {
    TaskName.LIGHT: {"action": "on"},
    TaskName.POWER_MODE: {"mode": "sleep"},
    TaskName.MINING: {"action": "off"},
    TaskName.POWER_LIMIT: {"percent": 90},
    TaskName.POOLS: {"pools": [POOL]},
    TaskName.POOL_LOCK: {"action": "lock", "url": URL},
    TaskName.FIRMWARE: {"firmware_url": URL},
    TaskName.ASSET_UPDATE: {"status": "online"},
    TaskName.TAGS: {"add": ["a"]},
}
WHOLE_AGENT = (TaskName.SCAN, TaskName.IP_DIAGNOSIS, TaskName.SELF_UPDATE)


async def key_of(cloud: Cloud, role: Role) -> str:
    _, key = await admin.create_key(
        cloud.store, cloud.workspace_id, role, cloud.clock.now(), role=role
    )
    return key


async def call(cloud: Cloud, key: str, method: str, path: str, **more: Any) -> tuple[int, Any]:
    headers = {"x-api-key": key}
    async with cloud.http.request(method, cloud.base + path, headers=headers, **more) as answer:
        return answer.status, await answer.json()


async def batch(
    cloud: Cloud, key: str, name: str, miner_id: str, params: dict[str, Any] | None = None
) -> tuple[int, Any]:
    body: dict[str, Any] = {"task_name": name, "params": params or {}}
    if name == TaskName.RACK_LOCATION:
        body["updates"] = [{"miner_id": miner_id, "rack": "A1", "position": 1}]
    elif name not in WHOLE_AGENT:
        body["miner_ids"] = [miner_id]
    path = f"/private-api/v1/{cloud.workspace_id}/farms/{cloud.farm_id}/tasks/batches"
    return await call(cloud, key, "POST", path, json=body)


# What changes something, and yet is no task.
FOR_OPERATORS = frozenset(
    {
        ("POST", "/tasks/batches/{batch_id}/cancel"),
        ("POST", "/tasks/batches/{batch_id}/retry"),  # and what its task needs
        ("POST", "/tasks/batches/{batch_id}/undo"),
        *(
            ("POST", f"/tasks/groups/{{group_id}}/{what}")
            for what in ("cancel", "retry", "release", "undo")
        ),
        ("POST", "/selections"),
        ("DELETE", "/selections/{name}"),
        ("POST", "/private-api/v1/{workspace_id}/updates/{group_id}/cancel"),
        ("POST", "/miners/places"),
        ("POST", "/miners/{miner_id}/name"),
        ("POST", "/miner-proposals/{proposal_id}/confirm"),
        ("POST", "/miner-proposals/{proposal_id}/reject"),
        ("POST", "/ip-ranges"),
        ("DELETE", "/ip-ranges/{range_id}"),
        ("PUT", "/rigs/{rig_id}/expected-status"),
        ("POST", "/playbooks"),
        ("DELETE", "/playbooks/{playbook_id}"),
        ("PUT", "/rigs/{rig_id}/playbooks/{playbook_id}"),
        ("DELETE", "/rigs/{rig_id}/playbooks/{playbook_id}"),
    }
)
FOR_MANAGERS = frozenset(
    {
        ("PUT", "/dispatch"),
        ("POST", "/private-api/v1/{workspace_id}/updates"),
        ("POST", FIRMWARE),
        ("PUT", FIRMWARE + "/{name}/file"),
        ("DELETE", FIRMWARE + "/{name}"),
        ("POST", "/private-api/v1/{workspace_id}/task-classes"),
        ("POST", "/private-api/v1/{workspace_id}/task-classes/{task_small_id}/deprecate"),
    }
)
FARM_PATH = "/private-api/v1/{workspace_id}/farms/{farm_id}"


def routes(cloud: Cloud) -> dict[tuple[str, str], Handler]:
    return {
        (route.method, route.resource.canonical): route.handler
        for route in cloud.app.router.routes()
        if route.resource is not None and route.resource.canonical.startswith("/private-api/")
    }


async def test_every_endpoint_says_which_role_it_needs(cloud: Cloud) -> None:
    """Whoever adds one declares it beside the handler; what is for more than viewers stands here besides."""
    found = {at: declared(handler) for at, handler in routes(cloud).items()}
    assert [at for at, role in found.items() if role is None] == []

    def needing(wanted: Role) -> set[tuple[str, str]]:
        return {
            (method, path.removeprefix(FARM_PATH))
            for (method, path), role in found.items()
            if role is wanted
        }

    assert needing(Role.OPERATOR) == FOR_OPERATORS
    assert needing(Role.MANAGER) == FOR_MANAGERS


def test_what_nobody_declared_is_for_managers() -> None:
    async def new(request: web.Request) -> web.Response:
        raise NotImplementedError(request)

    for role in (Role.VIEWER, Role.OPERATOR):
        words = f"this key is {_WORDS[role]}; POST /new needs a manager"
        assert endpoint_refusal(role, new, "POST /new") == words
    assert endpoint_refusal(Role.MANAGER, new, "POST /new") is None
    assert role_of("owner") is Role.VIEWER  # of a newer version


@pytest.mark.parametrize("role", Role)
async def test_each_role_reaches_the_endpoints_that_are_declared_for_it(
    cloud: Cloud, role: Role
) -> None:
    key = await key_of(cloud, role)
    before = await cloud.changes()
    for (method, path), handler in sorted(routes(cloud).items(), key=lambda each: each[0]):
        named = {"workspace_id": cloud.workspace_id, "farm_id": cloud.farm_id}
        filled = path.format_map({**dict.fromkeys(re.findall(r"\{(\w+)\}", path), "none"), **named})
        needed = declared(handler)
        assert needed is not None
        # The body is none that any of them takes: whoever may call is told so, and nothing is changed.
        status, answer = await call(
            cloud, key, method, filled, json=None if method == "GET" else {"?": 1}
        )
        if role.may(needed):
            assert status in ({400} if method != "GET" else {200, 404}), (method, path, answer)
        else:
            assert (status, answer) == (
                403,
                {
                    "statusCode": 403,
                    "message": f"this key is {_WORDS[role]}; {method} {path} needs {_WORDS[needed]}",
                    "error": "Forbidden",
                },
            )
    assert await cloud.changes() == before


@pytest.mark.parametrize("role", Role)
async def test_each_role_reaches_the_tasks_that_are_declared_for_it(
    cloud: Cloud, role: Role
) -> None:
    key = await key_of(cloud, role)
    agent = await cloud.agent()
    assert BY_TASK is Role.VIEWER  # the endpoint lets everybody ask
    for name in TaskName:
        miner_id = await cloud.miner_for(name, agent.agent_id)
        before = await cloud.changes()
        status, answer = await batch(cloud, key, name, miner_id, PARAMS.get(name))
        if role.may(SPECS[name].role):
            assert (status, answer["meta"]["summary"]["created_count"]) == (200, 1), answer
            continue
        words = f"this key is {_WORDS[role]}; {name} needs {_WORDS[SPECS[name].role]}"
        assert (status, answer["message"]) == (403, words)
        assert await cloud.changes() == before


async def test_a_viewer_who_asks_for_a_reboot_is_told_who_may(cloud: Cloud) -> None:
    key, miner_id = await key_of(cloud, Role.VIEWER), await cloud.miner(None)
    status, answer = await batch(cloud, key, "miner.system.reboot", miner_id)
    words = "this key is a viewer; miner.system.reboot needs an operator"
    assert (status, answer["message"]) == (403, words)


@pytest.mark.parametrize("status", AssetStatus)
async def test_what_retires_or_archives_a_miner_is_for_managers(
    cloud: Cloud, status: AssetStatus
) -> None:
    key, miner_id = await key_of(cloud, Role.OPERATOR), await cloud.miner(None)
    code, answer = await batch(cloud, key, "miner.asset.update", miner_id, {"status": status})
    if status not in ARCHIVING:
        assert code == 200
        return
    words = (
        f"this key is an operator; miner.asset.update with params.status {status} needs a manager"
    )
    assert (code, answer["message"]) == (403, words)
    manager = await key_of(cloud, Role.MANAGER)
    code, _ = await batch(cloud, manager, "miner.asset.update", miner_id, {"status": status})
    assert code == 200


async def test_who_may_cancel_a_firmware_update_may_not_make_it_again(cloud: Cloud) -> None:
    agent = await cloud.agent()
    miner_id = await cloud.miner(agent.agent_id, drivable=True)
    name = TaskName.FIRMWARE
    _, made = await batch(cloud, cloud.key, name, miner_id, PARAMS[name])
    path = f"/private-api/v1/{cloud.workspace_id}/farms/{cloud.farm_id}/tasks/batches"
    of_batch = f"{path}/{made['data'][0]['batch_id']}"
    key = await key_of(cloud, Role.OPERATOR)
    assert (await call(cloud, key, "POST", f"{of_batch}/cancel"))[0] == 200
    status, answer = await call(cloud, key, "POST", f"{of_batch}/retry")
    words = "this key is an operator; miner.firmware.update needs a manager"
    assert (status, answer["message"]) == (403, words)


@pytest.mark.parametrize(
    ("role", "words"),
    [
        (Role.VIEWER, "workspace.read farm.read miner.read"),
        (Role.OPERATOR, "workspace.read farm.read farm.manage miner.read miner.manage"),
        (
            Role.MANAGER,
            (
                "workspace.read workspace.manage farm.read farm.manage miner.read miner.manage "
                "miner.high_risk_manage"
            ),
        ),
    ],
)
async def test_a_key_is_told_what_it_may_do_in_the_published_words(
    cloud: Cloud, role: Role, words: str
) -> None:
    _, answer = await call(cloud, await key_of(cloud, role), "GET", "/private-api/v1/workspaces")
    assert answer["data"][0]["permissions"] == words.split()
