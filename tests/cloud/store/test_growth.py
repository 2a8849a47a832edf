"""What the token of one agent can add to the database, in the hands of whoever stole it."""

from __future__ import annotations

import json
import uuid
import zlib
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from cloud.config import CloudSettings
from cloud.store.assets.parts import STAYS_MOST
from cloud.store.schema.tables import metadata, miners, reading_batches, task_events
from contract.clock import to_text
from contract.link import MinerReading
from contract.miner import Moving
from contract.subscription.catalogue import BUILT_IN
from contract.subscription.ids import base58
from contract.subscription.rules import OperationKind
from contract.task import TaskName
from tests.cloud.conftest import AgentClient, Cloud, done
from tests.cloud.link.test_onsite import Wish
from tests.cloud.link.test_readings import push, reading


@pytest.fixture
def settings(tmp_path: Path) -> CloudSettings:
    return CloudSettings(
        data=tmp_path,
        farm_miners=12,
        farm_miners_per_min=5,
        onsite_tasks_per_day=6,
        task_events=10,
        agent_reading_batches=3,
        ledger_entries_per_day=4,
    )


async def announce(agent: AgentClient, turn: int) -> None:
    """Another node each time, with a subscription."""
    said = {
        "kind": OperationKind.SUBSCRIBE,
        "node_small_id": turn + 1,
        "task_small_id": 1,
        "price_per_compute_unit": 1,
        "max_num_compute_units": 1,
    }
    body = {"ledger": "sui", "sequence": turn + 1, "operations": [said]}
    digest = base58(bytes([1, *(31 * [turn])]))
    await agent.call("POST", "ledger/announce", json=body | {"tx_digest": digest})


async def count(cloud: Cloud, table: sa.Table) -> int:
    async with cloud.store.read() as connection:
        return int(await connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0)


def new(cloud: Cloud, first: int, number: int) -> list[MinerReading]:
    return [
        reading(cloud, ip=f"127.2.0.{n}", mac=f"02:00:00:00:02:{n:02X}")
        for n in range(first, first + number)
    ]


async def test_new_miners_are_so_many_a_minute_and_known_ones_go_on(cloud: Cloud):
    agent = await cloud.agent()
    status, answer = await push(agent, *new(cloud, 1, 9))
    assert (status, len(answer["miners"])) == (200, 5)
    again = [reading(cloud, ip=each["ip"], mac=each["mac"]) for each in answer["miners"]]
    cloud.clock.move(12)  # room for one
    known = [
        MinerReading(at=each.at, ip=each.ip, mac=each.mac, moving=Moving(hashrate_hs=1e12))
        for each in again
    ]
    status, answer = await push(agent, *new(cloud, 6, 4), *known, seq=2)
    assert (status, len(answer["miners"])) == (200, 6)
    async with cloud.store.read() as connection:
        rates = list(await connection.scalars(sa.select(miners.c.hashrate_hs)))
    assert rates.count(1e12) == 5


async def test_a_farm_has_so_many_miners_whoever_tells_of_them(cloud: Cloud):
    agents = [await cloud.agent() for _ in range(2)]
    for minute in range(6):
        agent = agents[minute % 2]
        await push(agent, *new(cloud, 1 + 10 * minute, 10), seq=minute)
        cloud.clock.move(60)
    assert await count(cloud, miners) == 12
    # One that has a MAC takes the place of its address; the row of that stays and counts.
    await push(
        agents[0], *(reading(cloud, ip=f"127.2.0.{n}", mac=None) for n in range(1, 12)), seq=9
    )
    assert await count(cloud, miners) == 12


async def test_a_miner_left_out_is_taken_as_soon_as_there_is_room(cloud: Cloud):
    agent = await cloud.agent()
    await push(agent, *new(cloud, 1, 6))
    cloud.clock.move(12)
    _, answer = await push(agent, *new(cloud, 6, 1), seq=2)
    assert [key["ip"] for key in answer["miners"]] == ["127.2.0.6"]


async def tell(agent: AgentClient, *wishes: Wish) -> tuple[int, Any]:
    return await agent.report(*(wish.event("queuing") for wish in wishes))


def wish(cloud: Cloud, agent: AgentClient, number: int = 1, **more: Any) -> Wish:
    miner = {"mac": f"02:00:00:00:03:{number:02X}", "last_ip": f"127.3.0.{number}"}
    return Wish(cloud, agent, miner=miner, **more)


async def test_tasks_that_arise_on_site_are_so_many_a_day_and_the_others_come_later(cloud: Cloud):
    agent, other = await cloud.agent(), await cloud.agent()
    assert (await tell(agent, *(wish(cloud, agent) for _ in range(6))))[0] == 200
    late = wish(cloud, agent)
    status, answer = await tell(agent, late)
    assert (status, answer["error"]) == (422, "Unprocessable Entity")
    assert "6 tasks" in answer["message"]
    assert (await tell(other, wish(cloud, other)))[0] == 200  # each agent has its own
    assert await cloud.count_tasks(agent_id=agent.agent_id) == 6
    cloud.clock.move(86_400 / 6)
    assert (await tell(agent, late))[0] == 200


async def test_what_a_full_disk_refuses_uses_up_nothing(cloud: Cloud):
    agent = await cloud.agent()
    full = True

    def begun(connection: sa.Connection) -> None:  # 1 is as many pages as there are
        pages = 1 if full else 2**30
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")

    sa.event.listen(cloud.store.engine.sync_engine, "begin", begun)
    line = {"at": to_text(cloud.clock.now()), "level": "info", "message": "m" * 4000}
    wishes = [wish(cloud, agent) for _ in range(6)]
    events = [each.event("queuing", logs=[line] * 20) for each in wishes]
    many = [msgspec.structs.replace(each, raw={"m": "m" * 100_000}) for each in new(cloud, 1, 5)]
    with capture_logs() as logged:  # drawn on a terminal, traces of such bodies take seconds
        for _ in range(3):
            assert (await agent.report(*events))[0] == 500
            assert (await push(agent, *many))[0] == 500
    assert len(logged) == 6
    full = False
    assert (await agent.report(*events))[0] == 200
    cloud.clock.move(60)
    status, answer = await push(agent, *many)
    assert (status, len(answer["miners"])) == (200, 5)


async def test_what_the_cloud_gave_is_told_of_all_the_same(cloud: Cloud):
    agent = await cloud.agent()
    await tell(agent, *(wish(cloud, agent) for _ in range(6)))
    await cloud.queue(TaskName.LIGHT, agent.agent_id)
    (task,) = (await agent.claim())["tasks"]
    assert (await tell(agent, wish(cloud, agent)))[0] == 422
    status, _ = await agent.report(
        agent.event(task, "pending", cloud.clock.now()),
        agent.event(task, "succeed", cloud.clock.now(), result=done()),
    )
    assert status == 200
    assert (await cloud.task(task["task_id"]))["status"] == "succeed"


async def test_their_miners_count_as_those_of_readings_do(cloud: Cloud):
    agent = await cloud.agent()
    await push(agent, *new(cloud, 1, 4))
    status, _ = await tell(agent, *(wish(cloud, agent, number) for number in range(2)))
    assert status == 422
    assert (await count(cloud, miners), await cloud.count_tasks()) == (4, 0)
    assert (await tell(agent, wish(cloud, agent, 1)))[0] == 200


async def test_one_request_brings_as_much_as_an_agent_would(cloud: Cloud):
    agent = await cloud.agent()
    status, answer = await push(agent, *[reading(cloud)] * 5001)
    assert (status, answer["message"]) == (413, "A request may bring 5000 readings")
    body = {"journal_id": "j", "events": [wish(cloud, agent).event("queuing")] * 5001}
    packed = zlib.compress(json.dumps(body).encode())
    headers = {"Content-Encoding": "deflate"}
    status, answer = await agent.call("POST", "reports", data=packed, headers=headers)
    assert (status, answer["message"]) == (413, "A request may bring 5000 events")


@pytest.mark.parametrize("state", ["queuing", "pending"])
async def test_of_one_task_so_many_events_are_kept_and_its_end_always(cloud: Cloud, state: str):
    agent = await cloud.agent()
    await cloud.queue(TaskName.LIGHT, agent.agent_id)
    (task,) = (await agent.claim())["tasks"]
    for _ in range(30):
        status, _ = await agent.report(agent.event(task, state, cloud.clock.now()))
        assert status == 200
    assert await count(cloud, task_events) == 10
    now = cloud.clock.now()
    await agent.report(agent.event(task, "pending", now))
    await agent.report(agent.event(task, "succeed", now, result=done()))
    assert (await cloud.task(task["task_id"]))["status"] == "succeed"
    for _ in range(30):
        _, answer = await agent.report(agent.event(task, "failed", now, result=done()))
        assert answer["acks"][0]["state"] == "late"
    assert await count(cloud, task_events) <= 12


async def test_of_batches_of_readings_the_newest_keys_are_kept(cloud: Cloud):
    agent, other = await cloud.agent(), await cloud.agent()
    for seq in range(8):
        await push(agent, reading(cloud), seq=seq, run_id=f"run-{seq % 2}")
        cloud.clock.move(1)
    await push(other, reading(cloud), seq=1)
    await cloud.sweeper.tidy()
    async with cloud.store.read() as connection:
        own = reading_batches.c.agent_id == agent.agent_id
        kept = set(await connection.scalars(sa.select(reading_batches.c.seq).where(own)))
    assert kept == {5, 6, 7}
    assert await count(cloud, reading_batches) == 4
    _, answer = await push(agent, reading(cloud), seq=7, run_id="run-1")
    assert answer["state"] == "duplicate"


async def test_a_stolen_token_makes_no_more_rows_than_all_its_caps(cloud: Cloud):
    """Every table, after calls of every kind that an agent has."""
    agent = await cloud.agent()
    first = {"mac": "02:00:00:00:02:01", "last_ip": "127.2.0.1"}
    for turn in range(20):
        # It tells its MAC, and does not, and does, and does not.
        flips = (reading(cloud, ip="127.2.0.1", mac=mac) for mac in (None, first["mac"]) * 2)
        status, _ = await push(agent, *flips, seq=turn, run_id=f"flips-{turn}")
        assert status == 200
        cloud.clock.move(0.001)
        await push(agent, *new(cloud, 1 + 10 * turn, 10), seq=turn, run_id=f"run-{turn}")
        wishes = [Wish(cloud, agent, miner=first, task_id=str(uuid.uuid4())) for _ in range(3)]
        await tell(agent, *wishes)
        await agent.claim(journal_id=f"journal-{turn}")
        await announce(agent, turn)
        await agent.call(
            "POST", "heartbeat", json={"version": f"{turn}", "uptime_s": 1.0, "host": {}}
        )
        cloud.clock.move(0.001)
    await cloud.sweeper.tidy()
    rows = {table.name: await count(cloud, table) for table in metadata.sorted_tables}
    assert rows["miners"] <= 5
    # The last report that finds room is taken whole.
    assert 6 <= rows["tasks"] == rows["task_batches"] <= 8
    assert rows["task_events"] <= 8 * 12
    assert rows["reading_batches"] == 3
    # one for each task, and those of who made workspace, farm, key and code, and of the enrolment
    assert rows["audit"] == rows["tasks"] + 5
    assert rows["ledger_entries"] == 4
    assert rows["nodes"] == rows["subscriptions"] == 4
    assert rows["task_classes"] == len(BUILT_IN)
    rest = {"miners", "tasks", "task_batches", "task_events", "reading_batches", "audit"}
    rest |= {"ledger_entries", "nodes", "subscriptions", "task_classes"}
    assert rows["part_stays"] <= rows["miners"] * STAYS_MOST
    rest |= {"part_stays"}
    assert all(number <= 1 for name, number in rows.items() if name not in rest), rows
