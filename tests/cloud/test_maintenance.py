"""A miner in maintenance is looked at and not written to: by tasks new and old, and by the wishes of a monitor."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cloud.store.miners import rigs
from contract.task import SPECS, AssetStatus, Kind, TaskName
from tests.cases import case
from tests.cloud.conftest import AgentClient, Cloud
from tests.cloud.rigmonitor.conftest import LOG
from tests.cloud.test_roles import PARAMS, WHOLE_AGENT, batch

MAINTENANCE = {"status": "maintenance"}
MAC = "02:00:00:00:00:01"


async def put(cloud: Cloud, miner_id: str, status: str) -> None:
    code, answer = await batch(cloud, cloud.key, "miner.asset.update", miner_id, {"status": status})
    assert (code, answer["meta"]["skipped"]) == (200, []), answer


async def ask_for(cloud: Cloud, name: TaskName, miner_id: str, **more: Any) -> Any:
    params = PARAMS.get(name, {}) | more
    status, answer = await batch(cloud, cloud.key, name, miner_id, params)
    assert status == 200, answer
    return answer


async def settings(agent: AgentClient) -> Any:
    status, answer = await agent.call("GET", "settings")
    assert status == 200
    return answer


async def test_what_would_write_to_it_is_skipped_with_the_reason(cloud: Cloud) -> None:
    agent = await cloud.agent()
    words = "Task skipped: the miner is in maintenance; end that first, or give params.allow_maintenance = true"
    for name in (each for each in TaskName if each not in WHOLE_AGENT):
        with case(name):
            miner_id = await cloud.miner_for(name, agent.agent_id, ops_status="maintenance")
            answer = await ask_for(cloud, name, miner_id)
            if SPECS[name].kind not in (Kind.LOOK, Kind.EVENT):
                assert answer["data"] == []
                assert answer["meta"]["skipped"] == [
                    {"reason": "maintenance", "message": words, "miner_ids": [miner_id]}
                ]
                answer = await ask_for(cloud, name, miner_id, allow_maintenance=True)
            assert answer["meta"]["summary"] == {"created_count": 1, "skipped_count": 0}


@pytest.mark.parametrize("status", ["retired", "off_rack", "transit", "archived", None])
async def test_where_a_miner_stands_in_the_books_is_no_hindrance(
    cloud: Cloud, status: str | None
) -> None:
    agent = await cloud.agent()
    miner_id = await cloud.miner(agent.agent_id, drivable=True, ops_status=status)
    answer = await ask_for(cloud, TaskName.REBOOT, miner_id)
    assert answer["meta"]["summary"]["created_count"] == 1


async def test_what_waits_for_an_agent_ends_when_maintenance_begins(cloud: Cloud) -> None:
    agent = await cloud.agent()
    miner_id, other = await cloud.miner(agent.agent_id), await cloud.miner(agent.agent_id)
    (reboot,) = await cloud.queue(TaskName.REBOOT, agent.agent_id, miner_id=miner_id)
    (look,) = await cloud.queue(TaskName.LOG, agent.agent_id, miner_id=miner_id)
    allowed = {"allow_maintenance": True}
    (wanted,) = await cloud.queue(
        TaskName.REBOOT, agent.agent_id, miner_id=miner_id, params=allowed
    )
    (of_other,) = await cloud.queue(TaskName.REBOOT, agent.agent_id, miner_id=other)
    await put(cloud, miner_id, "maintenance")
    ended = await cloud.task(reboot)
    assert (ended["status"], ended["result"]["outcome"]) == ("cancelled", "not_done")
    assert "allow_maintenance" in ended["result"]["error"]["message"]
    claimed = {each["task_id"]: each for each in (await agent.claim())["tasks"]}
    assert set(claimed) == {look, wanted, of_other}
    assert claimed[wanted]["miner"]["maintenance"] is True
    assert claimed[of_other]["miner"]["maintenance"] is False


async def test_what_an_agent_holds_and_has_not_begun_is_called_off_at_once(cloud: Cloud) -> None:
    agent = await cloud.agent()
    miner_id = await cloud.miner(agent.agent_id)
    held, begun = [
        (await cloud.queue(TaskName.LIGHT, agent.agent_id, miner_id=miner_id))[0] for _ in range(2)
    ]
    claimed = {each["task_id"]: each for each in (await agent.claim())["tasks"]}
    await agent.report(agent.event(claimed[begun], "pending", cloud.clock.now()))
    open_tasks = [{"task_id": each, "epoch": 1} for each in (held, begun)]
    polling = asyncio.create_task(agent.claim(wait_s=10.0, open=open_tasks))
    await put(cloud, miner_id, "maintenance")
    # What was begun is seen through.
    assert (await asyncio.wait_for(polling, 5.0))["cancel"] == [held]


async def test_the_agents_of_a_farm_are_told_which_miners_it_is_about(cloud: Cloud) -> None:
    agent = await cloud.agent()
    beat = {"version": "v0.1.0", "uptime_s": 1.0, "host": {}}
    miner_id = await cloud.miner(agent.agent_id)
    by_address = await cloud.miner(agent.agent_id, identity="ip:127.1.0.9", mac=None)
    await cloud.miner(agent.agent_id, identity="rig:r", mac=None, ops_status="maintenance")
    before = await settings(agent)
    assert before["maintenance"] == []
    await put(cloud, miner_id, "maintenance")
    await put(cloud, by_address, "maintenance")
    told = await settings(agent)
    assert told["maintenance"] == [MAC, "ip:127.1.0.9"]
    assert (await agent.call("POST", "heartbeat", json=beat))[1]["settings_rev"] == told["rev"]
    assert told["rev"] > before["rev"]
    await put(cloud, miner_id, "retired")
    assert (await settings(agent))["rev"] > told["rev"]
    assert (await settings(agent))["maintenance"] == ["ip:127.1.0.9"]
    seen = await settings(agent)
    await put(cloud, miner_id, "online")  # nothing of maintenance in it
    assert (await settings(agent)) == seen
    await ask_for(cloud, TaskName.RECORD_DELETE, by_address)
    assert (await settings(agent))["maintenance"] == []
    assert (await settings(agent))["rev"] > seen["rev"]


async def test_a_machine_of_the_monitor_is_told_nothing_while_it_is_in_maintenance(
    cloud: Cloud,
) -> None:
    """401 and a code that is left out mean "no information" to clients; on or off would be done."""
    made = [
        await rigs.create_rig(cloud.store, cloud.farm_id, name, cloud.clock.now())
        for name in ("KS-01", "KS-02")
    ]
    codes = [code for _, code in made]
    url = f"{cloud.base}/api/v1/asic_miners"

    async def single() -> tuple[int, Any]:
        headers = {"API_CODE": codes[0]}
        async with cloud.http.get(f"{url}/expected_status", headers=headers) as answer:
            return answer.status, await answer.json()

    async def bulk() -> list[str]:
        body = {"api_code_list": codes}
        async with cloud.http.post(f"{url}/expected_status_bulk", json=body) as answer:
            return sorted(await answer.json(), key=codes.index)

    async with cloud.http.post(f"{url}/logs", headers={"API_CODE": codes[0]}, json=LOG) as answer:
        assert answer.status == 200
    rig = await rigs.rig_of(cloud.store, cloud.farm_id, made[0][0]["id"])
    assert rig is not None
    assert rig.miner_id is not None
    assert ((await single())[0], await bulk()) == (200, codes)
    await put(cloud, rig.miner_id, "maintenance")
    assert await single() == (423, {"errors": {"detail": "Locked"}})
    assert await bulk() == codes[1:]
    async with cloud.http.post(f"{url}/logs", headers={"API_CODE": codes[0]}, json=LOG) as answer:
        assert answer.status == 200  # it goes on reporting
    await put(cloud, rig.miner_id, AssetStatus.ON_RACK)
    assert ((await single())[0], await bulk()) == (200, codes)
