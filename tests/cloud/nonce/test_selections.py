"""Orders by selection: who is meant, what is told beforehand, and what a mistyped filter cannot do."""

from __future__ import annotations

import asyncio
from typing import Any, Final, get_args

import pytest
from sqlalchemy import event

from cloud.nonce.planning import rivals_of
from cloud.store.tasks import lookup
from contract.miner import Make, Moving, PowerMode, Slow, Static
from contract.nonce.filters import TextFilter
from contract.nonce.miners import MinerFilters
from contract.task import TaskName
from tests.cases import case

ONLINE: dict[str, Any] = {"status": {"eq": "online"}}
REBOOT = {"task_name": "miner.system.reboot", "params": {"force": True}}


async def order(stage: Any, *, status: int = 200, **body: Any) -> Any:
    url = f"{stage.at_farm}/tasks/batches"
    shape = None if status >= 400 or body.get("dry_run") else "CreateTaskBatch"
    return await stage.ask("POST", url, json={**REBOOT, **body}, status=status, shape=shape)


REFUSED: Final = [
    ({}, "miner_ids is required for miner.system.reboot, or a selection"),
    ({"miner_ids": ["a"], "selection": ONLINE, "expect_count": 1},
     "selection and miner_ids both say which miners: give one of them"),
    ({"selection": {}, "expect_count": 5}, "selection: selects nothing in particular, which would be every miner"),
    ({"selection": {"mac": {"contains": "*"}}, "expect_count": 5}, "selection: selects nothing in particular"),
    ({"selection": {"mac": {"contains": ""}, "sn": {"eq": "%*"}}, "expect_count": 5},
     "selection: selects nothing in particular"),
    ({"selection": {"sn": {"in": ["A", "*"]}}, "expect_count": 5}, "selection: selects nothing in particular"),
    ({"selection": {"sn": {"nin": ["*"]}}, "expect_count": 5}, "selection: selects nothing in particular"),
    ({"selection": {"ip_ranges": ["0.0.0.0/0"]}, "expect_count": 5}, "selection: selects nothing in particular"),
    ({"selection": {"ip_ranges": []}, "expect_count": 5}, "selection: selects nothing in particular"),
    ({"selection": {"health_statuses": {"eq": "error"}}, "expect_count": 5},
     "selection: selects nothing in particular"),
    ({"selection": {"all": True, **ONLINE}, "expect_count": 5}, "selection: all is every miner of the farm"),
    ({"selection": {"statsu": {"eq": "online"}}, "expect_count": 5},
     "selection.statsu: unknown key; did you mean status?"),
    ({"selection": {"ip_ranges": ["10.0.0"]}, "expect_count": 5}, "ip_ranges: "),
    ({"selection": {"saved": "hall-b"}, "expect_count": 5},
     "selection.saved: unknown selection; none is known here"),
    ({"selection": ONLINE}, "expect_count is required with a selection: send it with dry_run first"),
    ({"selection": ONLINE, "expect_count": "all"}, "expect_count.count: must be an integer"),
    ({"selection": ONLINE, "expect_count": -1}, "expect_count.count: "),
    ({"selection": ONLINE, "expect_count": {"count": 5, "within_percent": 101}}, "expect_count.within_percent: "),
    ({"miner_ids": ["a"], "expect_count": 1}, "expect_count is for a selection"),
    ({"miner_ids": ["a"], "canary": 0}, "canary: "),
    ({"task_name": "miner.tags.update", "params": {"add": ["a"]}, "miner_ids": ["a"], "canary": 1},
     "canary is not for miner.tags.update: it changes records, all at once"),
    ({"task_name": "agent.scan.create", "params": {}, "selection": ONLINE, "expect_count": 5},
     "selection is not for agent.scan.create: an agent carries it out as a whole"),
    ({"task_name": "agent.scan.create", "params": {}, "dry_run": True}, "dry_run is not for agent.scan.create"),
    ({"task_name": "miner.rack_location.update", "params": {}, "selection": ONLINE, "expect_count": 5},
     "selection is not for miner.rack_location.update: updates names them"),
]  # fmt: skip


async def test_what_selects_nothing_or_too_much_is_refused_by_name(stage: Any) -> None:
    for body, message in REFUSED:
        with case(body, message):
            answer = await order(stage, status=400, **body)
            told = answer["message"]
            assert (told if isinstance(told, str) else told[0]).startswith(message), answer
            assert await stage.count("tasks") == await stage.count("task_groups") == 0


async def test_more_than_a_hundred_ids_are_refused_as_published(stage: Any) -> None:
    answer = await order(stage, status=400, miner_ids=["a"] * 101)
    assert answer["message"].startswith("miner_ids: ")


async def test_a_dry_run_tells_whom_it_would_be_and_stores_nothing(
    stage: Any, readings: Any
) -> None:
    await stage.look_at(
        readings.healthy(1, slow=Slow(mode=PowerMode.LOW, mode_configured=PowerMode.LOW)),
        readings.healthy(2, slow=Slow(mode=PowerMode.SLEEP, mode_configured=PowerMode.SLEEP)),
        readings.unreachable(3),
    )
    told = (
        await order(
            stage,
            task_name="miner.power_mode.update",
            params={"mode": "low"},
            selection={"all": True},
            dry_run=True,
        )
    )["data"]
    assert (told["count"], told["created_count"], told["skipped_count"]) == (5, 4, 1)
    assert [each["ip"] for each in told["miners"]] == [f"10.0.0.{n}" for n in (2, 3, 4, 5)]
    assert told["miners"][0] == {
        "id": stage.miners[2], "name": None, "ip": "10.0.0.2", "model": "Antminer S19", "rack": None,
    }  # fmt: skip
    [skip] = told["skipped"]
    assert (skip["reason"], skip["miner_ids"]) == ("no_change", [stage.miners[1]])
    # Two run at 3000 W, one is asleep and one is silent: of those nobody knows what they will take.
    assert told["watts"] == {"before": 6000.0, "expected": 4500.0, "unknown_count": 2}
    assert told["pace"]["raising_count"] == 2
    assert "at least 5" in told["pace"]["assumed"]
    assert await stage.count("tasks") == await stage.count("task_groups") == 0
    named = await order(stage, miner_ids=[stage.miners[1], "f" * 32], dry_run=True)
    assert (named["data"]["count"], named["data"]["created_count"]) == (2, 1)
    assert named["data"]["pace"]["minutes"] == 0.0


async def test_a_selection_that_grew_since_the_dry_run_is_refused_with_both_numbers(
    stage: Any, readings: Any
) -> None:
    told = await order(stage, selection=ONLINE, dry_run=True)
    count = told["data"]["count"]
    await stage.look_at(readings.healthy(6))
    answer = await order(stage, selection=ONLINE, expect_count=count, status=409)
    assert answer["message"].startswith("6 miners are selected now, and expect_count is 5: nothing")
    assert await stage.count("tasks") == await stage.count("task_groups") == 0
    within = {"count": count, "within_percent": 19.9}
    await order(stage, selection=ONLINE, expect_count=within, status=409)
    made = await order(stage, selection=ONLINE, expect_count=within | {"within_percent": 20})
    assert made["meta"]["summary"] == {"created_count": 6, "skipped_count": 0}


async def test_what_is_more_than_a_batch_may_have_is_one_group_of_several(
    stage: Any, readings: Any
) -> None:
    await stage.look_at(*(readings.healthy(number) for number in range(1, 251)))
    ticket = stage.wake_ups.ticket(stage.agent, stage.farm)
    made = await order(stage, selection=ONLINE, expect_count=250)
    assert await stage.wake_ups.wait(stage.agent, ticket, 5.0)
    assert sorted(each["task_count"] for each in made["data"]) == [50, 100, 100]
    assert made["meta"]["summary"] == {"created_count": 250, "skipped_count": 0}
    url = f"{stage.at_farm}/tasks/groups/{made['meta']['group_id']}"
    told = (await stage.ask("GET", url))["data"]
    assert told["group"]["task_count"] == told["group"]["queuing_count"] == 250
    assert told["group"]["selection"] == ONLINE
    assert {each["batch_id"] for each in told["batches"]} == {
        each["batch_id"] for each in made["data"]
    }
    assert told["watts"] == {"before": 750_000.0, "expected": 750_000.0, "now": 750_000.0}
    batch = await stage.batch(made["data"][0]["batch_id"])
    assert batch["metadata"] == {"group_id": made["meta"]["group_id"]}


async def test_records_are_changed_by_selection_too(stage: Any) -> None:
    body = {"task_name": "miner.tags.update", "params": {"add": ["hall-b"]}}
    made = await order(stage, **body, selection=ONLINE, expect_count=5)
    assert made["data"][0]["task_count"] == 5
    batch = await stage.batch(made["data"][0]["batch_id"])
    assert batch["status"] == "succeed"


async def test_the_watts_of_a_limit_that_is_raised_or_taken_off_are_foreseen(
    stage: Any, readings: Any
) -> None:
    limited = Slow(mode=PowerMode.NORMAL, power_limit_w=2700.0, power_share=0.75)
    moving = Moving(hashrate_hs=8e13, power_w=2650.0, uptime_s=86_400.0)
    static = Static(make=Make.WHATSMINER, generation="v3", mac="02:00:00:00:00:01")
    await stage.look_at(readings.healthy(1, slow=limited, moving=moving, static=static))

    async def foreseen(**params: Any) -> tuple[float, bool]:
        body = {"task_name": "miner.power_limit.update", "params": params}
        told = (await order(stage, **body, miner_ids=[stage.miners[1]], dry_run=True))["data"]
        assert told["watts"]["before"] == 2650.0
        return told["watts"]["expected"], bool(told["pace"]["raising_count"])

    assert await foreseen(watts="default") == (3600.0, True)
    assert await foreseen(watts=3200) == (3200.0, True)
    assert await foreseen(watts=9000) == (3600.0, True)
    assert await foreseen(watts=2000) == (2000.0, False)
    assert await foreseen(percent=80) == (2160.0, False)  # of what its limit in watts leaves it


async def test_when_none_is_selected_nothing_is_stored(stage: Any) -> None:
    made = await order(stage, selection={"status": {"eq": "offline"}}, expect_count=0)
    assert made["data"] == []
    assert "group_id" not in made["meta"]
    assert await stage.count("task_groups") == 0


# --- selections that are kept ---------------------------------------------------------------------


async def test_a_selection_is_kept_used_replaced_and_deleted(stage: Any) -> None:
    url = f"{stage.at_farm}/selections"
    body = {"name": "hall-b", "filters": {"ip_ranges": ["10.0.0.1-10.0.0.3"]}}
    kept = (await stage.ask("POST", url, json=body))["data"]
    assert kept["filters"] == body["filters"]
    told = await order(stage, selection={"saved": "hall-b"}, dry_run=True)
    assert told["data"]["count"] == 3
    narrower = {"saved": "hall-b", "ip_ranges": ["10.0.0.3-10.0.0.9"]}
    told = await order(stage, selection=narrower, dry_run=True)
    assert [each["ip"] for each in told["data"]["miners"]] == ["10.0.0.3"]
    await stage.ask("POST", url, json=body, status=409)
    await stage.ask("POST", url, json=body | {"replace": True})
    listed = await stage.ask("GET", url)
    assert [each["name"] for each in listed["data"]] == ["hall-b"]
    await stage.ask("DELETE", f"{url}/hall-b")
    await stage.ask("DELETE", f"{url}/hall-b", status=404)
    answer = await order(stage, selection={"saved": "hall-b"}, dry_run=True, status=400)
    assert answer["message"].startswith("selection.saved: unknown selection")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"name": "a", "filters": {}}, "filters: selects nothing in particular"),
        ({"name": "a", "filters": {"mac": {"contains": "*"}}}, "filters: selects nothing"),
        ({"name": " ", "filters": ONLINE}, "name: "),
        ({"name": "a" * 65, "filters": ONLINE}, "name: "),
        ({"name": "a\nb", "filters": ONLINE}, "name: "),
        ({"name": "a", "filters": {"saved": "b"}}, "filters"),
        ({"name": "a", "filters": {"ip_ranges": ["nowhere"]}}, "ip_ranges: "),
    ],
)
async def test_filters_are_checked_when_they_are_kept(
    stage: Any, body: dict[str, Any], message: str
) -> None:
    answer = await stage.ask("POST", f"{stage.at_farm}/selections", json=body, status=400)
    assert answer["message"].startswith(message), answer


# --- two operators --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("miner.system.reboot", {"force": True}),
        ("miner.power_mode.update", {"mode": "sleep"}),
        ("miner.pool.update", {"pools": [{"url": "stratum+tcp://p:1", "user": "u", "password": "p"}]}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("by_selection", [True, False])
async def test_of_two_operators_at_once_the_second_is_skipped(
    stage: Any, name: str, params: dict[str, Any], by_selection: bool
) -> None:
    whom: dict[str, Any] = (
        {"selection": ONLINE, "expect_count": 5}
        if by_selection
        else {"miner_ids": [stage.miners[n] for n in range(1, 6)]}
    )
    body = {"task_name": name, "params": params, **whom}
    answers = await asyncio.gather(*(order(stage, **body) for _ in range(2)))
    assert sorted(each["meta"]["summary"]["created_count"] for each in answers) == [0, 5]
    [second] = [each for each in answers if not each["data"]]
    [skip] = second["meta"]["skipped"]
    assert (skip["reason"], skip["message"]) == (
        "no_change",
        "Task skipped: an equal task is open already",
    )
    assert await stage.count("tasks") == 5


async def test_only_the_last_word_counts_as_asked_for_already(stage: Any) -> None:
    async def ask(mode: str) -> int:
        stage.clock.forward(1)
        made = await stage.create("miner.power_mode.update", 1, params={"mode": mode})
        return int(made["meta"]["summary"]["created_count"])

    assert [await ask("sleep"), await ask("low"), await ask("low")] == [1, 1, 0]
    assert await ask("sleep") == 1  # the low one would have the last word
    # One that is called off before it began does not count, one that has begun does.
    made = await stage.create("miner.system.reboot", 2, params={"force": True})
    url = f"{stage.at_farm}/tasks/batches/{made['data'][0]['batch_id']}"
    task = (await stage.batch(made["data"][0]["batch_id"]))["tasks"][0]
    await stage.change_task(task["id"], handed_at=stage.clock.now(), journal_id="j")
    await stage.ask("POST", f"{url}/cancel")
    await stage.change_task(task["id"], pending_at=stage.clock.now())
    made = await stage.create("miner.system.reboot", 2, params={"force": True})
    assert made["data"] == []
    await stage.change_task(task["id"], pending_at=None)
    made = await stage.create("miner.system.reboot", 2, params={"force": True})
    assert made["meta"]["summary"]["created_count"] == 1


async def test_a_default_that_is_written_out_is_the_same_order(stage: Any) -> None:
    await stage.create("miner.system.reboot", 1)
    made = await stage.create("miner.system.reboot", 1, params={"force": False})
    assert made["meta"]["skipped"][0]["reason"] == "no_change"
    made = await stage.create("miner.system.reboot", 1, params={"force": True})
    assert made["meta"]["summary"]["created_count"] == 1


TEXTS = tuple(
    name
    for name, field in MinerFilters.model_fields.items()
    if TextFilter in get_args(field.annotation)
)


@pytest.mark.parametrize(
    "asked",
    [
        {"in": [f"v{number}" for number in range(100)]},
        {"nin": [f"v{number}" for number in range(300)]},
        {"like": [f"v{number}*" for number in range(100)]},
        {"unlike": [f"v{number}*" for number in range(100)]},
    ],
    ids=lambda asked: next(iter(asked)),
)
async def test_every_text_filter_at_once_with_as_many_values_as_it_takes_finds_what_it_says(
    stage: Any, asked: dict[str, Any]
):
    selection = {**dict.fromkeys(TEXTS, asked), "tags": {"none": [f"t{n}" for n in range(50)]}}
    body = {"name": "many", "filters": selection}
    await stage.ask("POST", f"{stage.at_farm}/selections", json=body)
    told = await order(stage, selection={**selection, "saved": "many"}, dry_run=True)
    assert told["data"]["count"] == (5 if {"nin", "unlike"} & asked.keys() else 0)


async def test_more_values_than_a_database_takes_are_refused_with_what_to_do(stage: Any):
    asked = {"in": [f"v{number}" for number in range(1000)]}
    refused = await order(
        stage, selection=dict.fromkeys(TEXTS[:6], asked), dry_run=True, status=400
    )
    assert refused["message"] == (
        "selection: the filters have 6000 values together, and may have 5000; ask in several pieces"
    )
    search = f"{stage.at_farm}/miner/search"
    refused = await stage.ask("POST", search, json=dict.fromkeys(TEXTS[:6], asked), status=400)
    assert "may have 5000" in refused["message"]


async def test_an_equal_task_is_looked_for_among_those_of_the_miner_not_of_the_farm(stage: Any):
    asked: list[tuple[str, Any]] = []
    engine = stage.store.engine.sync_engine
    event.listen(engine, "before_cursor_execute", lambda *given: asked.append((given[2], given[3])))
    async with stage.store.read() as connection:
        names = rivals_of(TaskName.MINING)
        await lookup.last_open(connection, stage.farm, names, list(stage.miners.values()))
        statement, values = asked[-1]
        plan = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
        assert "ix_tasks_miner (farm_id=? AND miner_id=?)" in str(plan.all())
