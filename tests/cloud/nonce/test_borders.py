"""What is not understood is refused with the nearest name that is known, and nothing secret is shown or kept."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from pathlib import Path
from typing import Any

from cloud.config import CloudSettings
from cloud.server import create_app
from cloud.store.engine import DATABASE_NAME
from cloud.store.schema.tables import task_batches, tasks
from contract.miner import Moving, Pool
from contract.task import TaskName

POOL = {"url": "stratum+tcp://p:1", "user": "u"}
WHOM: dict[str, Any] = {"miner_ids": ["a"]}


async def test_no_call_takes_a_query_parameter_that_it_does_not_know(
    stage: Any, tmp_path: Path
) -> None:
    made = await stage.create("miner.light.update", 1, params={"action": "on"})
    batch_id = made["data"][0]["batch_id"]
    app = create_app(stage.store, CloudSettings(data=tmp_path), stage.clock)
    names = defaultdict(
        lambda: "x",
        workspace_id=stage.workspace, farm_id=stage.farm, miner_id=stage.miners[1],
        batch_id=batch_id,
    )  # fmt: skip
    asked = set()
    for route in app.router.routes():
        path = "" if route.resource is None else route.resource.canonical
        if not path.startswith("/private-api/"):
            continue
        url = stage.url + path.format_map(names)
        answer = await stage.ask(route.method, f"{url}?bogus=1", status=400)
        assert answer["message"].startswith("bogus: unknown query parameter"), path
        asked.add((route.method, path))
    assert len(asked) >= 17
    assert await stage.count("task_batches") == 1
    assert (await stage.batch(batch_id))["cancelled_count"] == 0


QUERIES = (
    ("model=S21", "model: unknown query parameter; known here: page, pageSize, agent_id, sn, "),
    ("pagesize=5", "pagesize: unknown query parameter; did you mean pageSize?"),
    ("page_size=5", "page_size: is called pageSize here"),
    ("tags=a", "tags: is taken by POST miner/search alone"),
    ("search=a", "search: is published for a later version of the API and is not served here"),
    ("limit=5", "limit: is called pageSize in a query"),
    (
        "mining_mode_in=low",
        "mining_mode_in: unknown query parameter; did you mean mining_modes_in?",
    ),
    ("ops_statuses[]=x", "ops_statuses[]: unknown query parameter; did you mean ops_status?"),
    ("sn[]=x", "sn[]: unknown query parameter"),
    ("sn=a&sn=b", "sn takes one value, and more are given"),
    ("a%1b%5b2J=1", r"a\x1b[2J: unknown query parameter"),
)


async def test_a_filter_of_a_list_that_is_not_known_is_refused_with_the_one_that_is_meant(
    stage: Any,
) -> None:
    for query, message in QUERIES:
        answer = await stage.ask("GET", f"{stage.at_farm}/miner/latest?{query}", status=400)
        assert answer["message"].startswith(message), query


async def test_a_call_that_knows_no_pages_recommends_none(stage: Any) -> None:
    made = await stage.create("miner.log.get", 1)
    url = f"{stage.at_farm}/tasks/batches/{made['data'][0]['batch_id']}?limit=5"
    answer = await stage.ask("GET", url, status=400)
    assert answer["message"] == "limit: unknown query parameter; none is known here"


async def test_however_many_keys_a_query_has_the_first_are_told(stage: Any) -> None:
    keys = "&".join(f"a{number}" for number in range(1000))
    answer = await stage.ask("GET", f"{stage.at_farm}/miner/latest?{keys}", status=400)
    assert len(answer["message"]) == 20


async def test_each_fault_of_a_query_is_one_message(stage: Any) -> None:
    url = f"{stage.at_farm}/miners/{stage.miners[1]}/tasks?stauts=failed&page=1&page=2&from=x"
    answer = await stage.ask("GET", url, status=400)
    assert answer["message"] == [
        "stauts: unknown query parameter; did you mean status?",
        "from: unknown query parameter; did you mean from_time?",
        "page takes one value, and more are given",
    ]


BODIES: tuple[tuple[str, Any, str], ...] = (
    ("tasks/batches", {"task_name": "miner.log.get", **WHOM, "dry_rum": True},
     "dry_rum: unknown key; did you mean dry_run?"),
    ("tasks/batches", {"task_nmae": "miner.log.get", **WHOM}, "task_nmae: unknown key; did you mean task_name?"),
    ("tasks/batches", {"task_name": "miner.tags.update", **WHOM, "params": {"tags": ["a"]}},
     "params.tags: unknown key; known here: allow_maintenance, add, remove, comment"),
    ("tasks/batches", {"task_name": "miner.light.updat", **WHOM},
     "task_name: no task is called so; did you mean miner.light.update?"),
    ("tasks/batches", {"task_name": "miner.rack_location.update", "updates": [{"miner_id": "a", "rack": "r", "positon": 1}]},
     "updates.0.positon: unknown key; did you mean position?"),
    ("tasks/batches", {"task_name": "miner.rack_location.update", "updates": [{"miner_id": "a", "rack": "r\n1", "position": 1}]},
     "updates.0.rack: must hold no control characters"),
    ("tasks/batches", {"task_name": "miner.log.get", **WHOM, "updates": [{"miner_id": "a", "rack": None, "position": None}]},
     "updates is not for miner.log.get"),
    ("tasks/batches", {"task_name": "agent.scan.create", **WHOM},
     "miner_ids is not for agent.scan.create: an agent carries it out as a whole"),
    ("tasks/batches", {"task_name": "miner.log.get", "miner_ids": [1]}, "miner_ids.0: must be text"),
    ("tasks/batches", {"task_name": "miner.log.get", "miner_ids": "a"}, "miner_ids: must be a list"),
    ("miner/search", {"sn": {"in": "a"}}, "sn.in: must be a list"),
    ("tasks/batches", {"task_name": "miner.pool.update", **WHOM, "params": {"pools": [{"url": "p:1", "user": "u"}]}},
     "params.pools.0.url: 'p:1' is no url; write scheme://host:port, for example stratum+tcp://pool.example.com:3333"),
    ("tasks/search", {"stauts": {"eq": "failed"}}, "stauts: unknown key; did you mean status?"),
    ("tasks/search", {"status": {"like": "f"}}, "status.like: unknown key; known here: eq, ne, in, nin"),
    ("tasks/search", {"status": {}}, "status: provide at least one operator"),
    ("tasks/search", {"page_size": 5}, "page_size: is called limit here"),
    ("tasks/search", {"pageSize": 5}, "pageSize: is called limit in a body"),
    ("tasks/search", {"page_number": 5}, "page_number: unknown key; known here: page, limit, "),
    ("miner/search", {"zzz": {"eq": "S21"}}, "zzz: unknown key; known here: page, limit, agent_id, sn, mac, "),
    ("miner/search", {"tags": {"in": ["a"]}}, "tags.in: unknown key; known here: any, all, none"),
    ("miner/search", {"network_mode": {"in": ["dhcp"]}},
     "network_mode: is published for a later version of the API and is not served here"),
    ("miner/search", {"mining_modes_in": ["low"]}, "mining_modes_in: is in of mode in a search of miners"),
    ("miner/search", {"model": {"like": "*"}}, "model.like: '*' would match everything; name some of the text"),
    ("miner/search", {"model": {"like": ["S21*", "?*"]}}, "model.like: '?*' would match everything; name some of the text"),
    ("miner/search", {"power": {"gt": "3000"}}, "power.gt: must be a number"),
    ("miner/search", {"power": {"contains": "3"}}, "power.contains: unknown key; known here: eq, gt, gte, lt, lte"),
    ("miner/search", {"sort": [{"field": "pwr"}]}, "sort.0.field: must be 'ip', 'name', "),
    ("miner/search", {"saved": "hall"}, "saved: unknown selection; none is known here"),
    ("../../agents/search", {"farm": {"eq": "a"}}, "farm: unknown key; did you mean farm_id?"),
    ("tasks/batches/x/retry", {"include_unkown": True}, "include_unkown: unknown key; did you mean include_unknown?"),
    ("tasks/batches/x/cancel", {"task_ids": ["a"]}, "task_ids: unknown key; none is known here"),
)  # fmt: skip


async def test_a_key_of_a_body_that_is_not_known_is_one_message_with_the_one_that_is_meant(
    stage: Any,
) -> None:
    for path, body, message in BODIES:
        base = stage.base if path.startswith("../") else stage.at_farm
        url = f"{base}/{path.removeprefix('../../')}"
        answer = await stage.ask("POST", url, json=body, status=400)
        assert isinstance(answer["message"], str), answer
        assert answer["message"].startswith(message), (body, answer)
    assert await stage.count("tasks") == 0


async def test_each_fault_of_a_body_is_one_message(stage: Any) -> None:
    url = f"{stage.at_farm}/tasks/batches"
    body = {"task_name": "miner.rack_location.update", **WHOM, "params": {"rack": "R1"}}
    answer = await stage.ask("POST", url, json=body, status=400)
    assert answer["message"] == [
        "params.rack: unknown key; known here: allow_maintenance",
        "miner_ids is not for miner.rack_location.update: updates names them",
        "updates is required for miner.rack_location.update",
    ]


async def test_what_is_published_as_ignored_is_ignored(stage: Any) -> None:
    body = {"health_statuses": {"in": ["error"]}, "status": {"eq": "online"}}
    found = await stage.ask("POST", f"{stage.at_farm}/miner/search", json=body)
    assert found["pagination"]["total"] == 5
    made = await stage.create("miner.tags.update", 1, params={"add": ["a"], "comment": "new row"})
    assert made["data"][0]["task_params"] == {"add": ["a"]}
    made = await stage.create("miner.log.get", 1, params={"lines": 100, "password": "hunter2"})
    assert made["data"][0]["task_params"] is None


async def test_that_maintenance_is_no_hindrance_can_be_said_of_every_task(stage: Any) -> None:
    update = {"miner_id": stage.miners[1], "rack": "R1", "position": 1}
    name = TaskName.RACK_LOCATION
    made = await stage.create(name, updates=[update], params={"allow_maintenance": True})
    assert made["data"][0]["task_params"] == {"updates": [update], "allow_maintenance": True}
    url = f"{stage.at_farm}/tasks/batches/{made['data'][0]['batch_id']}/retry"
    assert (await stage.ask("POST", url))["data"] == []


# --- passwords -----------------------------------------------------------------------------------

SECRET = [
    POOL | {"password": "hunter2"},
    {"url": "stratum+tcp://w:hunter2@q:1", "user": "u"},
]
SHOWN = [POOL | {"password": "***"}, {"url": "stratum+tcp://w:***@q:1", "user": "u"}]


async def stored(stage: Any) -> str:
    """Everything in the file of the database."""
    async with stage.store.engine.connect() as connection:
        await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        path = (await connection.exec_driver_sql("PRAGMA database_list")).all()[0][2]
    assert path.endswith(DATABASE_NAME)
    return (await asyncio.to_thread(Path(path).read_bytes)).decode("latin-1")


async def test_a_password_is_hidden_in_params_url_result_and_log(stage: Any) -> None:
    made = await stage.create("miner.pool.update", 1, params={"pools": SECRET})
    assert made["data"][0]["task_params"] == {"pools": SHOWN}
    firmware = {"firmware_url": "https://me:hunter2@files.test/a.bmu?sig=1"}
    made = await stage.create("miner.firmware.update", 2, params=firmware)
    [task] = (await stage.batch(made["data"][0]["batch_id"]))["tasks"]
    assert task["params"] == {"firmware_url": "https://me:***@files.test/a.bmu?sig=1"}
    error = {"code": "refused", "message": "the miner says: bad url tcp://w:hunter2@q:1"}
    evidence = {"before": {"pools": [{"url": "tcp://w:hunter2@q:1"}]}, "after": {}}
    await stage.settle(
        task["id"], "failed", {"outcome": "not_done", "evidence": evidence, "error": error}
    )
    shown = await stage.batch(made["data"][0]["batch_id"])
    listed = await stage.ask("GET", f"{stage.at_farm}/miners/{stage.miners[2]}/tasks")
    batches = await stage.ask("GET", f"{stage.at_farm}/tasks/batches")
    assert "hunter2" not in str([made, shown, listed, batches])
    assert "tcp://w:***@q:1" in str(shown)


async def test_a_pool_that_a_miner_shows_has_no_password_in_its_url(
    stage: Any, readings: Any
) -> None:
    moving = Moving(pools=(Pool(index=0, url="stratum+tcp://w:hunter2@q:1"),))
    await stage.look_at(readings.healthy(1, moving=moving))
    found = await stage.ask("GET", f"{stage.at_farm}/miner/latest", params={"sn": "SN1"})
    assert found["data"][0]["pools"][0]["url"] == "stratum+tcp://w:***@q:1"
    assert "hunter2" not in await stored(stage)


async def test_the_passwords_of_a_task_leave_the_database_with_its_end(stage: Any) -> None:
    made = await stage.create("miner.pool.update", 1, 2, params={"pools": SECRET})
    url = f"{stage.at_farm}/tasks/batches/{made['data'][0]['batch_id']}"
    first, second = (await stage.batch(made["data"][0]["batch_id"]))["tasks"]
    assert "hunter2" in await stored(stage)

    async def params(task: Any) -> Any:
        async with stage.store.read() as connection:
            return await connection.scalar(
                tasks.select().with_only_columns(tasks.c.params).where(tasks.c.id == task["id"])
            )

    await stage.change_task(first["id"], handed_at=stage.clock.now())  # only its agent can end it
    await stage.ask("POST", f"{url}/cancel")
    assert await params(second) == {"pools": SHOWN}
    assert await params(first) == {"pools": SECRET}  # it may still be carried out
    async with stage.store.read() as connection:  # and its batch be retried
        kept = await connection.scalar(
            task_batches.select().with_only_columns(task_batches.c.params)
        )
    assert kept == {"pools": SECRET}
    await stage.change_task(first["id"], handed_at=None)
    await stage.ask("POST", f"{url}/cancel")
    assert "hunter2" not in await stored(stage)
    assert (await stage.ask("GET", url))["data"]["task_params"] == {"pools": SHOWN}


async def test_what_needs_a_password_that_is_gone_is_not_retried_without(stage: Any) -> None:
    made = await stage.create("miner.pool.update", 1, params={"pools": SECRET})
    url = f"{stage.at_farm}/tasks/batches/{made['data'][0]['batch_id']}"
    await stage.ask("POST", f"{url}/cancel")
    answer = await stage.ask("POST", f"{url}/retry", status=409)
    assert "params.pools.0.password: a password is hidden" in answer["message"]
    body = {"task_name": "miner.pool.update", "miner_ids": [stage.miners[1]]}
    answer = await stage.ask(
        "POST", f"{stage.at_farm}/tasks/batches", status=400, json=body | {"params": {"pools": SHOWN}}
    )  # fmt: skip
    assert len(answer["message"]) == 2
    assert await stage.count("task_batches") == 1


async def test_a_user_that_looks_like_a_url_with_a_password_is_not_written_with_stars(
    stage: Any,
) -> None:
    """It is hidden, as nobody can tell it from one, so what is left of it is no user."""
    pool = POOL | {"user": "wallet:worker@mail.example"}
    made = await stage.create("miner.pool.update", 1, params={"pools": [pool]})
    url = f"{stage.at_farm}/tasks/batches/{made['data'][0]['batch_id']}"
    await stage.ask("POST", f"{url}/cancel")
    answer = await stage.ask("POST", f"{url}/retry", status=409)
    assert "params.pools.0.user: a password is hidden" in answer["message"]
