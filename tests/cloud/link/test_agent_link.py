"""The agent's own client against this cloud: two sides of one contract."""

from __future__ import annotations

import hashlib

import pytest

from agent.link.client import CloudLink
from agent.ports import CloudError
from cloud.context import FILES, TIME
from contract.clock import to_text
from contract.link import (
    ClaimRequest,
    Event,
    Heartbeat,
    MinerReading,
    ReadingsRequest,
    ReportRequest,
)
from contract.miner import Moving
from contract.task import TaskName
from drivers.base import LogFile
from tests.cloud.conftest import Cloud, done


@pytest.fixture
async def link(cloud: Cloud):
    agent = await cloud.agent()
    link = CloudLink(cloud.base, agent.token, chunk_bytes=1000)
    yield link, agent.agent_id
    await link.close()


async def test_claims_reports_and_readings_are_understood_on_both_sides(cloud: Cloud, link):
    client, agent_id = link
    (task_id,) = await cloud.queue(TaskName.REBOOT, agent_id)
    reply = await client.claim(ClaimRequest(journal_id="j", last_seq=0, wait_s=0))
    assert [task.task_id for task in reply.tasks] == [task_id]
    at = to_text(cloud.clock.now())
    event = Event(task_id=task_id, epoch=1, seq=1, state="succeed", at=at, result=done())
    report = ReportRequest(journal_id="j", events=(event,))
    assert [ack.state for ack in (await client.report(report)).acks] == ["ok"]
    assert [ack.state for ack in (await client.report(report)).acks] == ["duplicate"]
    looks = tuple(
        MinerReading(
            at=at, ip=f"127.1.0.{n}", mac=f"02:00:00:00:00:{n:02X}", moving=Moving(hashrate_hs=1e12)
        )
        for n in range(1, 50)
    )
    answer = await client.push(ReadingsRequest(run_id="r", seq=1, readings=looks))
    assert (answer.state, len(answer.miners)) == ("ok", 49)
    beat = Heartbeat(version="v", uptime_s=1.0, host={"hostname": "pi"})
    assert (await client.heartbeat(beat)).settings_rev == (await client.settings()).rev == 0


async def test_which_miners_are_in_maintenance_is_understood_on_both_sides(cloud: Cloud, link):
    client, agent_id = link
    await cloud.miner(agent_id, ops_status="maintenance")
    await cloud.miner(agent_id)
    assert (await client.settings()).maintenance == ("02:00:00:00:00:01",)


async def test_a_file_goes_up_in_chunks(cloud: Cloud, link, tmp_path):
    client, agent_id = link
    (task_id,) = await cloud.queue(TaskName.LOG, agent_id)
    content = bytes(range(256)) * 40
    path = tmp_path / "log"
    path.write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    file = LogFile(path=str(path), name="miner.log", size_bytes=len(content), sha256=sha256)
    await client.claim(ClaimRequest(journal_id="j", last_seq=0, wait_s=0))
    await client.upload(task_id, file)
    url = cloud.app[FILES].sign_url(task_id, "miner.log", cloud.app[TIME].now())
    async with cloud.http.get(url) as response:
        assert await response.read() == content
    await client.upload(task_id, file)


async def test_a_refusal_is_told_in_the_clouds_words_and_not_asked_again(cloud: Cloud):
    client = CloudLink(cloud.base, "agt_wrong")
    with pytest.raises(CloudError, match="enroll it again") as caught:
        await client.settings()
    assert (caught.value.status, caught.value.retry) == (401, False)
    await client.close()
