"""Tasks that arose on site: told by their agent, shown as created by the system, and nobody else's to touch."""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta
from typing import Any, Final

import pytest
import sqlalchemy as sa

from cloud.store.access import admin
from cloud.store.engine import rows
from cloud.store.schema.tables import miners, task_batches, task_logs
from contract.clock import to_text
from contract.task import QUEUE_TTL_S, TaskName
from tests.cases import case
from tests.cloud.conftest import AgentClient, Cloud, done

MAC = "02:00:00:00:0A:01"


def arose(cloud: Cloud, **more: Any) -> dict[str, Any]:
    miner = {"mac": MAC, "last_ip": "127.1.0.9", "make": "MicroBT", "model": "M60S", "serial": "S1"}
    return {
        "name": TaskName.LIGHT,
        "params": {"action": "on"},
        "miner": miner,
        "origin": "onsite",
        "accepted_at": to_text(cloud.clock.now()),
    } | more


class Wish:
    """A task of the site, as its agent tells of it."""

    def __init__(self, cloud: Cloud, agent: AgentClient, **more: Any) -> None:
        self.id = more.pop("task_id", None) or str(uuid.uuid4())
        self._cloud, self._agent = cloud, agent
        self.arose = arose(cloud, **more)

    def event(self, state: str, **more: Any) -> dict[str, Any]:
        task = {"task_id": self.id, "epoch": 0}
        said = {"arose": self.arose} | more
        return self._agent.event(task, state, self._cloud.clock.now(), **said)

    async def tell(self, *states: str) -> list[str]:
        """Give the states of the acks."""
        result = {"succeed": {"result": done()}}
        events = [self.event(state, **result.get(state, {})) for state in states]
        return await told(self._agent, *events)


async def told(agent: AgentClient, *events: dict[str, Any]) -> list[str]:
    status, answer = await agent.report(*events)
    assert status == 200, answer
    return [ack["state"] for ack in answer["acks"]]


async def batch_of(cloud: Cloud, task_id: str) -> dict[str, Any]:
    task = await cloud.task(task_id)
    query = task_batches.select().where(task_batches.c.id == task["batch_id"])
    async with cloud.store.read() as connection:
        (found,) = rows(await connection.execute(query))
    return found


async def everything(cloud: Cloud) -> tuple[int, int, int]:
    """How many tasks, batches and miners there are."""
    async with cloud.store.read() as connection:
        count = sa.func.count()
        batches = await connection.scalar(sa.select(count).select_from(task_batches))
        found = await connection.scalar(sa.select(count).select_from(miners))
    return await cloud.count_tasks(), int(batches or 0), int(found or 0)


async def test_its_first_report_makes_it_a_task_created_by_the_system(cloud: Cloud):
    agent = await cloud.agent()
    miner_id = await cloud.miner(agent.agent_id, mac=MAC, identity=MAC)
    wish = Wish(cloud, agent, origin="rigmonitor")
    cloud.clock.move(2)
    began = cloud.clock.now()
    assert await wish.tell("queuing", "pending") == ["ok", "ok"]
    row = await cloud.task(wish.id)
    assert (row["status"], row["name"], row["epoch"]) == ("pending", "miner.light.update", 0)
    assert (row["miner_id"], row["agent_id"]) == (miner_id, agent.agent_id)
    assert (row["params"], row["kind"]) == ({"action": "on"}, "setting")
    assert row["created_at"] == began - timedelta(seconds=2)
    batch = await batch_of(cloud, wish.id)
    assert (batch["actor_type"], batch["actor_id"]) == ("system", "rigmonitor-system")
    assert batch["actor_name"] == "Mining Rig Monitor"
    assert (batch["metadata"], batch["task_count"]) == ({"origin": "rigmonitor"}, 1)
    assert (batch["farm_id"], batch["workspace_id"]) == (cloud.farm_id, cloud.workspace_id)
    assert await wish.tell("succeed") == ["ok"]
    row = await cloud.task(wish.id)
    assert (row["status"], row["result"]) == ("succeed", done())
    assert await everything(cloud) == (1, 1, 1)


@pytest.mark.parametrize("state", ["queuing", "pending", "succeed"])
async def test_any_one_report_of_it_is_enough(cloud: Cloud, state: str):
    agent = await cloud.agent()
    wish = Wish(cloud, agent)
    assert await wish.tell(state) == ["ok"]
    assert (await cloud.task(wish.id))["status"] == state


async def test_the_same_reports_again_change_nothing(cloud: Cloud):
    agent = await cloud.agent()
    wish = Wish(cloud, agent)
    events = [wish.event("pending"), wish.event("succeed", result=done(n=1))]
    assert await told(agent, *events) == ["ok", "ok"]
    before = await cloud.task(wish.id)
    cloud.clock.move(60)
    assert await told(agent, *events) == ["duplicate", "duplicate"]
    other = [each | {"arose": arose(cloud, params={"action": "off"})} for each in events]
    assert await told(agent, *other) == ["duplicate", "duplicate"]
    assert await cloud.task(wish.id) == before
    assert await everything(cloud) == (1, 1, 1)


async def test_one_report_may_tell_of_many(cloud: Cloud):
    agent = await cloud.agent()
    wishes = [Wish(cloud, agent) for _ in range(700)]
    events = [wish.event(state) for wish in wishes for state in ("queuing", "pending")]
    assert set(await told(agent, *events)) == {"ok"}
    assert await everything(cloud) == (700, 700, 1)


async def test_a_miner_nobody_has_seen_yet_is_minted_and_a_reading_finds_it_again(cloud: Cloud):
    agent = await cloud.agent()
    wish = Wish(cloud, agent)
    await wish.tell("succeed")
    query = miners.select()
    async with cloud.store.read() as connection:
        (row,) = rows(await connection.execute(query))
    assert (row["id"], row["mac"]) == ((await cloud.task(wish.id))["miner_id"], MAC)
    assert (row["ip"], row["make"], row["model"]) == ("127.1.0.9", "MicroBT", "M60S")
    reading = {"at": to_text(cloud.clock.now()), "ip": "127.1.0.9", "mac": MAC}
    body = {"run_id": "r", "seq": 1, "readings": [reading]}
    status, answer = await agent.call("POST", "readings", json=body)
    assert (status, answer["miners"][0]["id"]) == (200, row["id"])


async def test_a_miner_without_a_mac_is_known_by_its_address(cloud: Cloud):
    agent = await cloud.agent()
    wish = Wish(cloud, agent, miner={"last_ip": "127.1.0.9"})
    await wish.tell("succeed")
    async with cloud.store.read() as connection:
        (row,) = rows(await connection.execute(miners.select()))
    assert (row["identity"], row["mac"]) == ("ip:127.1.0.9", None)
    assert row["unstable_reason"] == "no_mac"


async def test_a_task_of_the_whole_agent_names_no_miner(cloud: Cloud):
    agent = await cloud.agent()
    wish = Wish(cloud, agent, name=TaskName.SCAN, params={"ip_range": "127.1.0.0/24"}, miner=None)
    assert await wish.tell("succeed") == ["ok"]
    assert (await cloud.task(wish.id))["miner_id"] is None


async def test_it_is_never_handed_out_however_the_agent_claims(cloud: Cloud):
    agent = await cloud.agent()
    wish = Wish(cloud, agent)
    await wish.tell("queuing")
    for _ in range(3):
        answer = await agent.claim()
        assert (answer["tasks"], answer["cancel"]) == ([], [])
        cloud.clock.move(20)
    other = await cloud.agent()
    assert (await other.claim())["tasks"] == []
    assert (await cloud.task(wish.id))["epoch"] == 0


async def test_an_agent_that_goes_offline_with_it_keeps_it(cloud: Cloud):
    agent = await cloud.agent()
    wish = Wish(cloud, agent)
    await wish.tell("queuing")
    cloud.clock.move(600)
    await cloud.sweeper.sweep()
    row = await cloud.task(wish.id)
    assert (row["epoch"], row["journal_id"], row["status"]) == (0, agent.journal_id, "queuing")
    assert await wish.tell("succeed") == ["ok"]


async def test_one_whose_reports_waited_for_days_is_not_swept_before_all_have_come(cloud: Cloud):
    agent = await cloud.agent()
    wish = Wish(cloud, agent)
    events = [wish.event("queuing"), wish.event("pending"), wish.event("succeed", result=done())]
    cloud.clock.move(3 * 86_400)
    for event in events:
        assert await told(agent, event) == ["ok"]
        await cloud.sweeper.sweep()
    row = await cloud.task(wish.id)
    assert (row["status"], row["late"]) == ("succeed", None)
    assert row["created_at"] == row["ended_at"] == cloud.clock.now() - timedelta(days=3)


async def test_one_that_was_begun_and_never_ended_is_ended_by_the_sweeper(cloud: Cloud):
    agent = await cloud.agent()
    begun, waiting = Wish(cloud, agent), Wish(cloud, agent)
    await begun.tell("pending")
    await waiting.tell("queuing")
    cloud.clock.move(cloud.settings.limit_s(TaskName.LIGHT) + cloud.settings.limit_grace_s)
    await cloud.sweeper.sweep()
    row = await cloud.task(begun.id)
    assert (row["status"], row["result"]["outcome"]) == ("timed_out", "unknown")
    assert (await cloud.task(waiting.id))["status"] == "queuing"
    cloud.clock.move(QUEUE_TTL_S + cloud.settings.limit_grace_s)
    await cloud.sweeper.sweep()
    assert (await cloud.task(waiting.id))["status"] == "timed_out"
    assert await begun.tell("succeed") == ["late"]


async def test_a_lost_disk_ends_what_arose_in_it_and_nothing_of_the_new_one(cloud: Cloud):
    agent = await cloud.agent()
    old = Wish(cloud, agent)
    await old.tell("pending")
    await agent.claim()
    agent.journal_id, agent.seq = "journal-2", 0
    new = Wish(cloud, agent)
    await new.tell("pending")  # before the claim by which the cloud notices
    await agent.claim()
    await agent.claim()
    row = await cloud.task(old.id)
    assert (row["status"], row["result"]["outcome"]) == ("failed", "unknown")
    assert row["result"]["error"]["code"] == "lost_agent"
    assert (await cloud.task(new.id))["status"] == "pending"
    assert await new.tell("succeed") == ["ok"]


async def test_the_first_claim_of_a_new_agent_leaves_what_it_told_before(cloud: Cloud):
    agent = await cloud.agent()
    wish = Wish(cloud, agent)
    await wish.tell("queuing")
    await agent.claim()
    assert (await cloud.task(wish.id))["status"] == "queuing"


async def test_a_restored_disk_ends_what_it_may_have_forgotten(cloud: Cloud):
    agent = await cloud.agent()
    wish = Wish(cloud, agent)
    await wish.tell("queuing", "pending")
    assert (await agent.claim(open=[{"task_id": wish.id, "epoch": 0}]))["asked"] == []
    assert (await agent.claim())["asked"] == [wish.id]
    await agent.claim(not_known=[wish.id])
    assert (await cloud.task(wish.id))["result"]["error"]["code"] == "lost_agent"


async def test_a_cancel_of_it_is_a_request_its_agent_hears_at_once(cloud: Cloud):
    agent = await cloud.agent()
    wish = Wish(cloud, agent)
    await wish.tell("queuing")
    named = [{"task_id": wish.id, "epoch": 0}]
    polling = asyncio.create_task(agent.claim(wait_s=15.0, open=named))
    batch = (await batch_of(cloud, wish.id))["id"]
    url = f"{cloud.base}/private-api/v1/{cloud.workspace_id}/farms/{cloud.farm_id}"
    headers = {"x-api-key": cloud.key}
    async with cloud.http.post(f"{url}/tasks/batches/{batch}/cancel", headers=headers) as response:
        answer = (await response.json())["data"]
    assert (answer["cancelled_count"], answer["cancel_requested_count"]) == (0, 1)
    async with asyncio.timeout(10):
        assert (await polling)["cancel"] == [wish.id]
    assert (await cloud.task(wish.id))["ended_at"] is None
    error = {"code": "cancelled", "message": "Cancelled before anything was sent."}
    result = {"outcome": "not_done", "verified": True, "evidence": {}, "error": error}
    assert await told(agent, wish.event("cancelled", result=result)) == ["ok"]
    assert (await agent.claim())["cancel"] == []


async def test_a_host_that_is_enrolled_as_another_agent_goes_on_with_it(cloud: Cloud):
    before = await cloud.agent()
    wish = Wish(cloud, before)
    await before.claim()
    assert await wish.tell("queuing") == ["ok"]
    again = await cloud.agent()
    answer = await again.claim(open=[{"task_id": wish.id, "epoch": 0}])
    assert answer["cancel"] == []
    assert (await cloud.task(wish.id))["agent_id"] == before.agent_id


async def test_the_task_of_another_farm_workspace_or_agent_is_not_touched(cloud: Cloud):
    now = cloud.clock.now()
    agent = await cloud.agent()
    farm = await admin.create_farm(cloud.store, cloud.workspace_id, "other", now)
    foreign = await cloud.agent(farm_id=farm["id"])
    beside = await cloud.agent()
    (queued,) = await cloud.queue(TaskName.REBOOT, agent.agent_id)
    theirs = Wish(cloud, agent)
    await theirs.tell("pending")
    for taken in (queued, theirs.id):
        before = await cloud.task(taken)
        for thief in (foreign, beside):
            wish = Wish(cloud, thief, task_id=taken)
            assert await wish.tell("queuing", "succeed") == ["unknown_task", "unknown_task"]
        assert await cloud.task(taken) == before
    assert await everything(cloud) == (2, 2, 1)


async def test_an_agent_tells_of_miners_and_tasks_of_its_own_farm_only(cloud: Cloud):
    farm = await admin.create_farm(cloud.store, cloud.workspace_id, "other", cloud.clock.now())
    agent, foreign = await cloud.agent(), await cloud.agent(farm_id=farm["id"])
    miner_id = await cloud.miner(agent.agent_id, mac=MAC, identity=MAC)
    wish = Wish(cloud, foreign)
    await wish.tell("succeed")
    row = await cloud.task(wish.id)
    assert row["farm_id"] == farm["id"]
    assert row["miner_id"] != miner_id


async def test_it_does_not_change_what_a_task_of_the_cloud_is(cloud: Cloud):
    agent = await cloud.agent()
    await cloud.queue(TaskName.REBOOT, agent.agent_id)
    (task,) = (await agent.claim())["tasks"]
    wish = Wish(cloud, agent, task_id=task["task_id"])
    assert await wish.tell("pending") == ["ok"]  # an older epoch of the same agent and journal
    row = await cloud.task(task["task_id"])
    assert (row["name"], row["epoch"]) == ("miner.system.reboot", 1)
    assert (await batch_of(cloud, task["task_id"]))["actor_id"] == "test"


async def test_another_journal_does_not_end_it(cloud: Cloud):
    agent = await cloud.agent()
    wish = Wish(cloud, agent)
    await wish.tell("pending")
    status, answer = await agent.report(
        wish.event("succeed", result=done()), journal_id="journal-of-a-copy"
    )
    assert (status, answer["acks"][0]["state"]) == (200, "late")
    assert (await cloud.task(wish.id))["status"] == "pending"


async def test_an_agent_that_does_not_say_what_it_is_is_not_believed(cloud: Cloud):
    agent = await cloud.agent()
    event = Wish(cloud, agent).event("pending", arose=None)
    assert await told(agent, event) == ["unknown_task"]
    assert await everything(cloud) == (0, 0, 0)


POOLS = {"url": "stratum+tcp://p:1", "user": "u"}


NO_TASKS: Final = [
    ({"name": "miner.heart.stop"}, "name"),
    ({"name": "miner.asset.delete", "params": {}}, "no agent carries out"),
    ({"params": {"action": "maybe"}}, "params.action"),
    ({"params": []}, "params"),
    ({"name": "miner.pool.update", "params": {"pools": "p"}}, "params.pools"),
    ({"name": "miner.pool.update", "params": {"pools": [POOLS] * 4}}, "params.pools"),
    ({"origin": "CLOUD"}, "origin"),
    ({"origin": "x" * 33}, "origin"),
    ({"origin": ""}, "origin"),
    ({"accepted_at": "yesterday"}, "yesterday"),
    ({"accepted_at": "2026-11-21T12:00:00"}, "offset"),
    ({"miner": None}, "mac or a last_ip"),
    ({"miner": {}}, "mac or a last_ip"),
    ({"miner": {"mac": "FF:FF:FF:FF:FF:FF"}}, "mac or a last_ip"),
    ({"miner": {"last_ip": "rig:1"}}, "rig:1"),
    ({"miner": {"mac": MAC, "last_ip": "127.0.0.1 OR 1=1"}}, "OR 1=1"),
]


async def test_what_is_no_task_is_refused_in_words_and_leaves_nothing(cloud: Cloud):
    agent = await cloud.agent()
    for change, names in NO_TASKS:
        with case(change, names):
            good, bad = Wish(cloud, agent), Wish(cloud, agent, **change)
            status, answer = await agent.report(good.event("queuing"), bad.event("queuing"))
            assert status == 400
            assert names in str(answer["message"])
            assert await everything(cloud) == (0, 0, 0)


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"epoch": 1}, "epoch"),
        ({"task_id": "../../etc/passwd"}, "UUID"),
        ({"task_id": "{6e5f7f1c-0d8b-4c3e-8f39-1d0e4b8f2a11}"}, "UUID"),
        ({"task_id": "6E5F7F1C-0D8B-4C3E-8F39-1D0E4B8F2A11"}, "UUID"),
    ],
)
async def test_an_event_that_cannot_be_of_such_a_task_is_refused(
    cloud: Cloud, change: dict[str, Any], names: str
):
    agent = await cloud.agent()
    status, answer = await agent.report(Wish(cloud, agent).event("queuing") | change)
    assert (status, names in str(answer["message"])) == (400, True)


async def test_parameters_are_kept_in_the_apis_names_and_unknown_ones_not_at_all(cloud: Cloud):
    agent = await cloud.agent()
    wish = Wish(cloud, agent, params={"mode": "off", "x": {"y": ["z"] * 1000}})
    await wish.tell("queuing")
    assert (await cloud.task(wish.id))["params"] == {"action": "off"}
    assert (await batch_of(cloud, wish.id))["params"] == {"action": "off"}


@pytest.mark.parametrize(
    "at",
    ["1970-01-01T00:05:00.000000Z", "2099-01-01T00:00:00.000000Z", "0001-01-01T00:00:00+23:59"],
)
async def test_it_is_taken_however_wrong_the_clock_of_its_agent_is(cloud: Cloud, at: str):
    agent = await cloud.agent()
    wish = Wish(cloud, agent, accepted_at=at)
    line = {"at": at, "level": "info", "message": "m"}
    events = [wish.event("queuing", logs=[line]), wish.event("succeed", result=done())]
    assert await told(agent, *(each | {"at": at} for each in events)) == ["ok", "ok"]
    row, now = await cloud.task(wish.id), cloud.clock.now()
    assert (row["created_at"], row["ended_at"]) == (now, now)
    async with cloud.store.read() as connection:
        assert await connection.scalar(sa.select(task_logs.c.message)) == "m"


def nested(depth: int) -> Any:
    value: Any = "deep"
    for _ in range(depth):
        value = [value]
    return value


HOSTILE: tuple[Any, ...] = (
    None, True, 0, -1, 2**63, 2**200, 1e308, "", "\x00", "x" * 5000, "\u202e\U0001f4a3", [], {}, [{}], nested(200),
    {"pools": [None]}, {"pools": [{"url": 1}]}, "127.0.0.1", "2026-11-21T12:00:00Z",
)  # fmt: skip
PLACES = (
    ("name",), ("params",), ("miner",), ("origin",), ("accepted_at",), ("params", "action"), ("params", "pools"),
    ("miner", "mac"), ("miner", "last_ip"), ("miner", "make"), ("miner", "model"), ("miner", "serial"),
)  # fmt: skip


@pytest.mark.parametrize("place", PLACES, ids=".".join)
async def test_whatever_an_agent_says_there_is_taken_or_refused_and_can_be_listed(
    cloud: Cloud, place: tuple[str, ...]
):
    agent = await cloud.agent()
    statuses = set()
    for value in HOSTILE:
        said = arose(cloud)
        holder = said if len(place) == 1 else said[place[0]]
        holder[place[-1]] = value
        status, _ = await agent.report(Wish(cloud, agent).event("queuing", arose=said))
        statuses.add(status)
    assert statuses <= {200, 400}
    farm = f"{cloud.base}/private-api/v1/{cloud.workspace_id}/farms/{cloud.farm_id}"
    for path in ("tasks/batches?pageSize=1000", "miner/latest?pageSize=1000"):
        async with cloud.http.get(f"{farm}/{path}", headers={"x-api-key": cloud.key}) as response:
            assert response.status == 200, await response.text()
