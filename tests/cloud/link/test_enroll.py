from __future__ import annotations

from typing import Any

from cloud.store.access import admin
from cloud.store.engine import rows
from cloud.store.schema.tables import agents, enroll_codes
from contract.task import TaskName
from tests.cloud.conftest import Cloud


async def enroll(cloud: Cloud, code: str, hostname: str = "pi") -> tuple[int, Any]:
    body = {"code": code, "hostname": hostname, "version": "v0.1.0", "platform": "Linux"}
    async with cloud.http.post(f"{cloud.base}/link/v1/enroll", json=body) as response:
        return response.status, await response.json()


async def code_for(cloud: Cloud, agent_id: str | None = None) -> str:
    code, _ = await admin.create_enroll_code(
        cloud.store, cloud.farm_id, agent_id, cloud.clock.now(), hours=24
    )
    return code


async def test_a_code_works_once_and_typed_in_small_letters_too(cloud: Cloud):
    code = await code_for(cloud)
    status, answer = await enroll(cloud, f" {code.lower()} ")
    assert status == 200
    assert (answer["farm_id"], answer["workspace_id"]) == (cloud.farm_id, cloud.workspace_id)
    status, answer = await enroll(cloud, code)
    assert (status, answer["error"]) == (401, "Unauthorized")


async def test_an_expired_or_unknown_code_is_refused(cloud: Cloud):
    code = await code_for(cloud)
    assert (await enroll(cloud, "AAAA-AAAA-AAAA-AAAA-AAAA"))[0] == 401
    cloud.clock.move(24 * 3600 + 1)
    assert (await enroll(cloud, code))[0] == 401


async def test_a_host_with_a_name_of_many_lines_is_called_by_one(cloud: Cloud):
    status, _ = await enroll(cloud, await code_for(cloud), "pi\x1b[2J\n" + "a" * 300)
    assert status == 200
    async with cloud.store.read() as connection:
        [agent] = rows(await connection.execute(agents.select()))
    assert agent["name"] == "pi[2J" + "a" * 250


async def test_no_secret_is_stored_as_it_is(cloud: Cloud):
    code = await code_for(cloud)
    _, answer = await enroll(cloud, code)
    async with cloud.store.read() as connection:
        stored = rows(await connection.execute(agents.select()))
        stored += rows(await connection.execute(enroll_codes.select()))
    assert answer["token"] not in repr(stored)
    assert code not in repr(stored)


async def test_enrolling_again_gives_a_new_token_to_the_same_agent_and_ends_the_old(cloud: Cloud):
    agent = await cloud.agent()
    assert (await agent.call("GET", "settings"))[0] == 200
    again = await cloud.agent(agent_id=agent.agent_id)
    assert again.agent_id == agent.agent_id
    assert (await agent.call("GET", "settings"))[0] == 401
    assert (await again.call("GET", "settings"))[0] == 200


async def test_a_replaced_host_settles_what_the_old_one_had_begun(cloud: Cloud):
    agent = await cloud.agent()
    (task_id,) = await cloud.queue(TaskName.REBOOT, agent.agent_id)
    (task,) = (await agent.claim())["tasks"]
    await agent.report(agent.event(task, "pending", cloud.clock.now(), begin_id="b"))
    again = await cloud.agent(agent_id=agent.agent_id)
    again.journal_id = "journal-of-the-new-host"
    await again.claim()
    assert (await again.claim())["tasks"] == []
    assert (await cloud.task(task_id))["result"]["error"]["code"] == "lost_agent"


async def test_a_revoked_agent_is_refused_and_may_come_back_by_a_code_for_it(cloud: Cloud):
    agent = await cloud.agent()
    await admin.revoke_agent(cloud.store, agent.agent_id, cloud.clock.now())
    for method, path in (("POST", "claims"), ("POST", "reports"), ("GET", "settings")):
        status, answer = await agent.call(method, path, json={})
        assert (status, answer["statusCode"], answer["error"]) == (401, 401, "Unauthorized")
    again = await cloud.agent(agent_id=agent.agent_id)
    assert (await again.call("GET", "settings"))[0] == 200


async def test_settings_of_the_operator_reach_the_agent(cloud: Cloud):
    row = await admin.create_agent(
        cloud.store, cloud.farm_id, "hall 1", cloud.clock.now(), ranges=("10.0.0.0/24",)
    )
    agent = await cloud.agent(agent_id=row["id"])
    async with cloud.store.write() as connection:
        await connection.execute(
            agents.update().values(settings={"read_only": True, "future": 1}, settings_rev=3)
        )
    status, answer = await agent.call("GET", "settings")
    assert status == 200
    assert (answer["rev"], answer["ranges"], answer["read_only"]) == (3, ["10.0.0.0/24"], True)
    assert (await agent.claim(wait_s=10, settings_rev=2))["settings_rev"] == 3


async def test_a_heartbeat_shows_the_host_and_what_is_wrong_there(cloud: Cloud):
    agent = await cloud.agent()
    beat = {
        "version": "v0.2.0",
        "uptime_s": 12.5,
        "host": {"hostname": "pi", "cpu_count": 4},
        "notices": ["the disk is full"],
    }
    assert await agent.call("POST", "heartbeat", json=beat) == (
        200,
        {"settings_rev": 0, "authorities": []},
    )
    async with cloud.store.read() as connection:
        (row,) = rows(await connection.execute(agents.select()))
    assert (row["version"], row["uptime_s"], row["host"]["cpu_count"]) == ("v0.2.0", 12.5, 4)
    assert row["health"]["notices"] == ["the disk is full"]
    assert row["last_online_at"] == cloud.clock.now()
    # News of trouble is written at once, not with the next minute.
    await agent.call("POST", "heartbeat", json=beat | {"notices": []})
    async with cloud.store.read() as connection:
        (row,) = rows(await connection.execute(agents.select()))
    assert row["health"]["notices"] == []
