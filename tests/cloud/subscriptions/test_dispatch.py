"""What agents are given by what they subscribed to."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from cloud.context import TIME
from cloud.store.access import admin
from cloud.store.engine import DATABASE_NAME
from contract.task import TaskName
from tests.cloud.conftest import Cloud
from tests.cloud.subscriptions.conftest import (
    LIGHT,
    LOG,
    REBOOT,
    Node,
    Operator,
    copy_database,
    miners_of,
    node_of,
    stack_rows,
    until_it_waits,
)

IS_LOG = TaskName.LOG


async def test_an_agent_that_never_subscribed_works_as_before(cloud: Cloud, operator: Operator):
    agent = Node(await cloud.agent(), cloud.workspace_id)
    batch = await operator.order(
        IS_LOG, await miners_of(cloud, agent, 5), dispatch={"may_split": False}
    )
    assert await operator.held(batch) == {}
    assert await agent.work_off() == [5]
    told = await operator.batch(batch)
    assert told["status"] == "succeed"
    assert "amount" not in told
    assert await stack_rows(cloud) == []


async def test_a_stack_keeps_the_terms_under_which_it_was_dispatched(
    cloud: Cloud, operator: Operator, node: Node
):
    digest = await node.subscribe(LOG, 10, 20)
    batch = await operator.order(IS_LOG, await miners_of(cloud, node, 3))
    got = await node.claim()
    assert len(got) == 3
    await node.update(LOG, 99, 1)
    later = await operator.order(IS_LOG, await miners_of(cloud, node, 1))
    (more,) = await node.claim()
    first, second = await stack_rows(cloud)
    assert (first["price"], first["max_units"], first["units"], first["sequence"]) == (10, 20, 3, 2)
    assert (first["tx_digest"], first["batch_id"], first["task_small_id"]) == (digest, batch, LOG)
    assert (first["stack_small_id"], first["node_small_id"], first["ledger"]) == (1, 1, "local")
    assert (second["price"], second["units"], second["batch_id"]) == (99, 1, later)
    await node.end([*got[:2], more])
    await node.end([got[2]], "failed")
    assert (await operator.batch(batch))["amount"] == "20"
    assert (await operator.batch(later))["amount"] == "99"
    day = cloud.clock.now().date().isoformat()
    amounts = (await operator.call("GET", f"{operator.farm}/amounts"))["data"]
    assert amounts == [
        {
            "day": day,
            "agent_id": node.agent.agent_id,
            "task_small_id": LOG,
            "units": 3,
            "amount": "119",
        }
    ]


async def test_an_unsubscribe_lets_what_runs_end_and_holds_the_next_until_it_is_taken_back(
    cloud: Cloud, operator: Operator, node: Node
):
    await node.subscribe(LOG, 10, 20)
    running = await operator.order(IS_LOG, await miners_of(cloud, node, 3))
    got = await node.claim()
    await node.unsubscribe(LOG)
    held = await operator.order(IS_LOG, await miners_of(cloud, node, 2))
    assert await node.claim() == []
    await node.end(got)
    assert (await operator.batch(running))["status"] == "succeed"
    assert await operator.held(held) == {"not_subscribed": 2}
    poll = asyncio.create_task(node.claim(wait_s=10))
    await until_it_waits(cloud, node)
    await node.subscribe(LOG, 11, 20)
    async with asyncio.timeout(5):
        assert len(await poll) == 2
    assert [row["price"] for row in await stack_rows(cloud)] == [10, 11]
    assert await operator.held(held) == {}


async def test_a_batch_goes_out_in_stacks_one_after_the_other(
    cloud: Cloud, operator: Operator, node: Node
):
    await node.subscribe(LOG, 10, 2)
    batch = await operator.order(IS_LOG, await miners_of(cloud, node, 5))
    other = await operator.order(IS_LOG, await miners_of(cloud, node, 1))
    got = await node.claim()
    assert sorted(each["batch_id"] for each in got) == sorted([batch, batch, other])
    assert await node.claim() == []
    mine = [each for each in got if each["batch_id"] == batch]
    await node.end(mine[:1])
    assert await node.claim() == []
    assert await operator.held(batch) == {}
    poll = asyncio.create_task(node.claim(wait_s=10))
    await until_it_waits(cloud, node)
    await node.end(mine[1:])
    async with asyncio.timeout(5):  # the end of a stack wakes the agent
        got = await poll
    assert [each["batch_id"] for each in got] == [batch, batch]
    await node.end(got)
    assert await node.work_off() == [1]
    assert [row["units"] for row in await stack_rows(cloud) if row["batch_id"] == batch] == [
        2,
        2,
        1,
    ]
    assert (await operator.batch(batch))["amount"] == "50"


async def test_a_stack_larger_than_the_room_goes_out_in_pieces_whatever_comes_between(
    cloud: Cloud, operator: Operator, node: Node
):
    await node.subscribe(LOG, 10, 4)
    batch = await operator.order(IS_LOG, await miners_of(cloud, node, 6))
    assert len(await node.claim(room=1)) == 1
    await node.unsubscribe(LOG)
    assert await operator.held(batch) == {"not_subscribed": 2}
    assert len(await node.claim(room=10)) == 3
    assert [row["units"] for row in await stack_rows(cloud)] == [4]


async def test_a_cancel_between_two_stacks_ends_what_waits(
    cloud: Cloud, operator: Operator, node: Node
):
    await node.subscribe(LOG, 10, 2)
    batch = await operator.order(IS_LOG, await miners_of(cloud, node, 5))
    got = await node.claim()
    path = f"{operator.farm}/tasks/batches/{batch}/cancel"
    told = (await operator.call("POST", path))["data"]
    assert (told["cancelled_count"], told["cancel_requested_count"]) == (3, 2)
    await node.end(got)
    assert await node.claim() == []
    told = await operator.batch(batch)
    assert (told["succeed_count"], told["cancelled_count"], told["amount"]) == (2, 3, "20")


async def test_a_retry_of_a_split_batch_is_split_again_as_the_first_was_ordered(
    cloud: Cloud, operator: Operator, node: Node
):
    await node.subscribe(LOG, 10, 2)
    miners = await miners_of(cloud, node, 3)
    batch = await operator.order(IS_LOG, miners, dispatch={"max_price_per_compute_unit": 10})
    while got := await node.claim():
        await node.end(got, "failed")
    path = f"{operator.farm}/tasks/batches/{batch}/retry"
    again = (await operator.call("POST", path))["data"][0]["batch_id"]
    shown = {"max_price_per_compute_unit": 10, "may_split": True}
    assert (await operator.batch(again))["dispatch"] == shown
    audit = (await operator.call("GET", "audit"))["data"]
    assert audit[0]["after"]["dispatch"] == shown
    assert await node.work_off() == [2, 1]
    assert (await operator.batch(batch))["amount"] == "0"
    assert (await operator.batch(again))["amount"] == "30"


async def test_what_may_not_be_split_waits_until_the_site_takes_so_much(
    cloud: Cloud, operator: Operator, node: Node
):
    await node.subscribe(LOG, 10, 4)
    miners = await miners_of(cloud, node, 5)
    batch = await operator.order(IS_LOG, miners, dispatch={"may_split": False})
    assert await node.claim() == []
    assert await operator.held(batch) == {"exceeds_max_units": 5}
    await node.update(LOG, 10, 5)
    assert len(await node.claim()) == 5


async def test_an_order_costs_no_more_than_it_may(cloud: Cloud, operator: Operator, node: Node):
    await node.subscribe(LOG, 11, 10)
    miners = await miners_of(cloud, node, 2)
    batch = await operator.order(IS_LOG, miners, dispatch={"max_price_per_compute_unit": 10})
    assert await node.claim() == []
    assert await operator.held(batch) == {"price_over_cap": 2}
    await node.update(LOG, 10, 10)
    assert len(await node.claim()) == 2


async def test_a_deprecated_class_of_work_goes_to_nobody(cloud: Cloud, operator: Operator):
    plain, node = Node(await cloud.agent(), cloud.workspace_id), await node_of(cloud)
    await node.subscribe(LOG)
    await operator.call("POST", f"task-classes/{LOG}/deprecate")
    batches = [
        await operator.order(IS_LOG, await miners_of(cloud, agent, 2)) for agent in (plain, node)
    ]
    for agent, batch in zip((plain, node), batches, strict=True):
        assert await agent.claim() == []
        assert await operator.held(batch) == {"task_deprecated": 2}
    # A new class of the same work was never subscribed to.
    await operator.call("POST", "task-classes", operation=IS_LOG)
    assert await plain.work_off() == [2]
    assert await node.work_off() == [2]
    assert await stack_rows(cloud) == []


async def test_a_task_is_of_the_most_specific_family_that_is_not_deprecated(
    cloud: Cloud, operator: Operator, node: Node
):
    families = {}
    for model in ("Antminer S19", "ANTMINER S19j Pro"):
        made = await operator.call("POST", "task-classes", operation=IS_LOG, model_name=model)
        families[model] = made["data"]["task_small_id"]
    wide, narrow = families.values()
    await node.subscribe(LOG, 1, 9)
    await node.subscribe(wide, 2, 9)
    await node.subscribe(narrow, 3, 9)
    for model in ("Antminer S19j Pro+", "antminer s19 xp", "Whatsminer M50", None):
        await operator.order(IS_LOG, await miners_of(cloud, node, 1, model=model))
        cloud.clock.move(1)
    assert await node.work_off() == [4]
    assert [row["price"] for row in await stack_rows(cloud)] == [3, 2, 1, 1]
    await operator.call("POST", f"task-classes/{narrow}/deprecate")
    await operator.order(IS_LOG, await miners_of(cloud, node, 1, model="Antminer S19j Pro+"))
    assert await node.work_off() == [1]
    assert (await stack_rows(cloud))[-1]["price"] == 2


async def test_a_batch_of_several_families_is_several_stacks(
    cloud: Cloud, operator: Operator, node: Node
):
    made = await operator.call("POST", "task-classes", operation=IS_LOG, model_name="Antminer S19")
    await node.subscribe(LOG, 1, 9)
    await node.subscribe(made["data"]["task_small_id"], 2, 2)
    miners = await miners_of(cloud, node, 3, model="Antminer S19 XP")
    miners += await miners_of(cloud, node, 2, model="Whatsminer M50")
    batch = await operator.order(IS_LOG, miners)
    assert sorted(await node.work_off()) == [1, 2, 2]
    assert (await operator.batch(batch))["amount"] == "8"


async def test_the_policy_of_a_farm_says_what_goes_to_agents_that_never_subscribed(
    cloud: Cloud, operator: Operator, node: Node
):
    other = Node(await cloud.agent(), cloud.workspace_id)
    await node.subscribe(LOG)
    await operator.policy("subscribed")
    mine = await operator.order(IS_LOG, await miners_of(cloud, node, 1))
    theirs = await operator.order(IS_LOG, await miners_of(cloud, other, 1))
    lights = await operator.order(
        TaskName.LIGHT, await miners_of(cloud, node, 1), params={"action": "on"}
    )
    assert await node.work_off() == [1]
    assert await operator.held(mine) == {}
    assert await other.claim() == []
    for each in (theirs, lights):
        assert await operator.held(each) == {"not_subscribed": 1}
    poll = asyncio.create_task(other.claim(wait_s=10))
    await until_it_waits(cloud, other)
    await operator.policy("open")
    async with asyncio.timeout(5):
        assert len(await poll) == 1
    assert await node.work_off() == [1]
    assert len(await stack_rows(cloud)) == 1


async def test_the_status_of_a_farm_says_what_waits_and_why(
    cloud: Cloud, operator: Operator, node: Node
):
    async def held() -> list[dict[str, object]]:
        status = await operator.call("GET", f"{operator.farm}/status")
        return status["data"]["tasks"]["held"]

    miners = await miners_of(cloud, node, 3)
    await operator.order(IS_LOG, miners)
    assert await held() == []
    await node.subscribe(LOG, 10, 2)
    await node.unsubscribe(LOG)
    assert await held() == [
        {"task_name": IS_LOG.value, "reason": "not_subscribed", "count": len(miners)}
    ]
    await node.subscribe(LOG, 10, 2)
    assert await held() == []


async def test_classes_and_subscriptions_of_another_workspace_say_nothing_here(
    cloud: Cloud, operator: Operator
):
    now = cloud.clock.now()
    other = await admin.create_workspace(cloud.store, "other", now)
    farm = await admin.create_farm(cloud.store, other["id"], "G", now)
    there = await Node(await cloud.agent(farm["id"]), other["id"]).register()
    await there.subscribe(LOG, 5, 1)
    _, key = await admin.create_key(cloud.store, other["id"], "K", now)
    url = f"{cloud.base}/private-api/v1/{other['id']}/task-classes/{LOG}/deprecate"
    async with cloud.http.post(url, headers={"x-api-key": key}) as response:
        assert response.status == 200
    agent = Node(await cloud.agent(), cloud.workspace_id)
    batch = await operator.order(IS_LOG, await miners_of(cloud, agent, 3))
    assert await operator.held(batch) == {}
    assert await agent.work_off() == [3]


async def test_an_agent_that_went_offline_gets_the_rest_of_its_stack_as_it_was(
    cloud: Cloud, operator: Operator, node: Node
):
    await node.subscribe(LOG, 10, 3)
    batch = await operator.order(IS_LOG, await miners_of(cloud, node, 5))
    got = await node.claim()
    await node.end(got[:1])
    cloud.clock.move(200)
    await cloud.sweeper.sweep()
    await node.unsubscribe(LOG)
    assert await operator.held(batch) == {"not_subscribed": 2}
    node.holding.clear()
    back = await node.claim()
    assert {each["task_id"] for each in back} == {each["task_id"] for each in got[1:]}
    assert {each["epoch"] for each in back} == {2}
    await node.end(back)
    assert (await operator.batch(batch))["amount"] == "30"
    assert [row["units"] for row in await stack_rows(cloud)] == [3]


async def test_a_restored_journal_gets_again_what_it_lost_of_its_stack(
    cloud: Cloud, operator: Operator, node: Node
):
    await node.subscribe(LOG, 10, 3)
    await operator.order(IS_LOG, await miners_of(cloud, node, 3))
    got = await node.claim()
    await node.unsubscribe(LOG)
    # The same journal, which knows nothing of them: its disk was put back.
    node.holding.clear()
    again = await node.claim()
    assert {each["task_id"] for each in again} == {each["task_id"] for each in got}
    # Another journal: the disk was lost. It takes two claims to believe it.
    node.holding.clear()
    node.agent.journal_id = "journal-2"
    assert await node.claim() == []
    lost = await node.claim()
    assert {each["task_id"] for each in lost} == {each["task_id"] for each in got}
    assert [row["units"] for row in await stack_rows(cloud)] == [3]


async def test_what_was_handed_out_before_the_subscription_counts_as_under_way(
    cloud: Cloud, operator: Operator, node: Node
):
    batch = await operator.order(IS_LOG, await miners_of(cloud, node, 4))
    first = await node.claim(room=1)
    await node.subscribe(LOG, 10, 2)
    assert await node.claim() == []
    await node.end(first)
    assert await node.work_off() == [2, 1]
    assert (await operator.batch(batch))["amount"] == "30"


async def test_a_long_poll_does_not_spin_on_work_that_is_held(
    cloud: Cloud, operator: Operator, node: Node, statements: list[str]
):
    await node.subscribe(LOG, 10, 2)
    await node.unsubscribe(LOG)
    await operator.order(IS_LOG, await miners_of(cloud, node, 3))
    await node.claim()  # the first one of a session writes
    counts = []
    for wait_s in (0.2, 0.8):
        before = len(statements)
        assert await node.claim(wait_s=wait_s) == []
        counts.append(len(statements) - before)
    assert counts[0] == counts[1]  # a look when it comes, and one when its time is over


async def test_an_agent_that_was_away_keeps_what_it_holds_of_a_stack(
    cloud: Cloud, operator: Operator, node: Node
):
    await node.subscribe(LOG, 10, 2)
    batch = await operator.order(IS_LOG, await miners_of(cloud, node, 3))
    got = await node.claim()
    cloud.clock.move(200)
    await cloud.sweeper.sweep()
    await node.unsubscribe(LOG)
    assert await node.claim() == []
    await node.end(got)
    await node.subscribe(LOG, 11, 2)
    assert await node.work_off() == [1]
    assert (await operator.batch(batch))["amount"] == "31"


async def test_work_for_any_agent_of_the_farm_is_judged_by_the_one_that_asks(
    cloud: Cloud, operator: Operator, node: Node
):
    other = Node(await cloud.agent(), cloud.workspace_id)
    await node.subscribe(LOG, 10, 2)
    await node.unsubscribe(LOG)
    await cloud.queue(IS_LOG, None, count=3)
    assert await node.claim() == []
    await node.subscribe(LOG, 10, 2)
    assert len(await node.claim()) == 2
    assert len(await other.claim()) == 1


async def test_a_dry_run_says_what_would_be_held(cloud: Cloud, operator: Operator, node: Node):
    other = Node(await cloud.agent(), cloud.workspace_id)
    await node.subscribe(LOG, 10, 2)
    mine, theirs = await miners_of(cloud, node, 3), await miners_of(cloud, other, 1)

    async def held(**dispatch) -> dict[str, list[str]]:
        body = {"task_name": IS_LOG, "miner_ids": [*mine, *theirs], "dry_run": True}
        given = {"dispatch": dispatch} if dispatch else {}
        told = (await operator.call("POST", f"{operator.farm}/tasks/batches", **body, **given))[
            "data"
        ]
        assert all(each["count"] == len(each["miner_ids"]) for each in told.get("held", ()))
        return {each["reason"]: sorted(each["miner_ids"]) for each in told.get("held", ())}

    assert await held() == {}
    assert await held(may_split=False) == {"exceeds_max_units": sorted(mine)}
    assert await held(max_price_per_compute_unit=9) == {"price_over_cap": sorted(mine)}
    await node.unsubscribe(LOG)
    assert await held() == {"not_subscribed": sorted(mine)}
    await operator.policy("subscribed")
    assert await held() == {"not_subscribed": sorted([*mine, *theirs])}
    await operator.call("POST", f"task-classes/{LOG}/deprecate")
    assert await held() == {"task_deprecated": sorted([*mine, *theirs])}
    assert await cloud.count_tasks() == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_price": 1},
        {"max_price_per_compute_unit": 0},
        {"max_price_per_compute_unit": 2**63},
        {"max_price_per_compute_unit": True},
        {"max_price_per_compute_unit": "1"},
        {"may_split": 1},
        {"may_split": None},
        [],
    ],
)
async def test_how_an_order_is_dispatched_is_checked(
    cloud: Cloud, operator: Operator, node: Node, wrong
):
    miners = await miners_of(cloud, node, 1)
    assert "dispatch" in await operator.order(IS_LOG, miners, status=400, dispatch=wrong)


async def test_dispatch_is_not_for_what_no_agent_carries_out(
    cloud: Cloud, operator: Operator, node: Node
):
    miners = await miners_of(cloud, node, 1)
    said = await operator.order(
        TaskName.TAGS, miners, status=400, params={"add": ["a"]}, dispatch={}
    )
    assert "dispatch is not for miner.tags.update" in said


async def test_prices_as_large_as_can_be_add_up(cloud: Cloud, operator: Operator, node: Node):
    most = 2**63 - 1
    await node.subscribe(LOG, most, most)
    batch = await operator.order(IS_LOG, await miners_of(cloud, node, 3))
    assert await node.work_off() == [3]
    assert (await operator.batch(batch))["amount"] == str(3 * most)
    path = f"{operator.farm}/amounts"
    assert (await operator.call("GET", path))["data"][0]["amount"] == str(3 * most)
    status, answer = await node.agent.call("GET", "stacks")
    assert status == 200
    (stack,) = answer["stacks"]
    assert (stack["price"], stack["num_compute_units"], stack["already_computed_units"]) == (
        most,
        3,
        3,
    )


async def test_work_of_an_agent_as_a_whole_is_one_unit(
    cloud: Cloud, operator: Operator, node: Node
):
    await node.subscribe(1, 7, 1)  # scans
    body = {"task_name": TaskName.SCAN, "params": {"ip_range": "127.1.0.0/30"}}
    made = await operator.call("POST", f"{operator.farm}/tasks/batches", **body)
    assert await node.work_off() == [1]
    batch = made["data"][0]["batch_id"]
    assert (await operator.batch(batch))["amount"] == "7"


async def test_a_canary_and_the_others_are_batches_of_their_own(
    cloud: Cloud, operator: Operator, node: Node
):
    await node.subscribe(LIGHT, 2, 2)
    miners = await miners_of(cloud, node, 4)
    body = {
        "task_name": TaskName.LIGHT,
        "params": {"action": "on"},
        "miner_ids": miners,
        "canary": 1,
    }
    made = await operator.call("POST", f"{operator.farm}/tasks/batches", **body)
    group = made["meta"]["group_id"]
    got = await node.claim()
    assert len(got) == 1
    await node.unsubscribe(LIGHT)
    await node.end(got)
    await cloud.sweeper.sweep()
    told = (await operator.call("GET", f"{operator.farm}/tasks/groups/{group}"))["data"]
    assert (told["held_reasons"], told["amount"]) == ({"not_subscribed": 3}, "2")
    await node.subscribe(LIGHT, 3, 2)
    assert await node.work_off() == [2, 1]
    told = (await operator.call("GET", f"{operator.farm}/tasks/groups/{group}"))["data"]
    assert told["amount"] == "11"
    assert "held_reasons" not in told


async def test_stacks_go_with_their_last_task(cloud: Cloud, operator: Operator, node: Node):
    await node.subscribe(REBOOT)
    await node.subscribe(LOG)
    await operator.order(IS_LOG, await miners_of(cloud, node, 2))
    assert await node.work_off() == [2]
    cloud.clock.move(402 * 86_400)
    await cloud.app[TIME].advance()
    await cloud.sweeper.tidy()
    assert await cloud.count_tasks() == 0
    assert await stack_rows(cloud) == []


async def test_a_cloud_that_was_put_back_gives_no_stack_beside_what_its_agent_still_holds(
    cloud: Cloud, operator: Operator, node: Node, tmp_path: Path
):
    await node.subscribe(LOG, 10, 2)
    batch = await operator.order(IS_LOG, await miners_of(cloud, node, 5))
    database, copy = cloud.settings.data / DATABASE_NAME, tmp_path / "copy.db"
    copy_database(database, copy)
    got = await node.claim()
    await node.update(LOG, 11, 3)
    copy_database(copy, database)
    assert await stack_rows(cloud) == []
    assert await node.claim() == []  # it keeps what it holds, and gets nothing beside it
    reply = await node.send(*node.chain)
    assert {each.state for each in reply.results} == {"success"}
    assert await node.claim() == []
    await node.end(got)
    assert await node.work_off() == [3]
    told = await operator.batch(batch)
    # What was dispatched under terms that are lost counts as work, and costs nothing.
    assert (told["status"], told["amount"]) == ("succeed", "33")
