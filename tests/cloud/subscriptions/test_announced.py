"""What other ledgers took, as agents announce it."""

from __future__ import annotations

from typing import Any

import pytest

from contract.subscription.ids import base58
from contract.task import TaskName
from tests.cloud.conftest import Cloud
from tests.cloud.subscriptions.conftest import (
    LOG,
    Node,
    Operator,
    miners_of,
    node_of,
    stack_rows,
)

REGISTER, SUBSCRIBE, UPDATE, UNSUBSCRIBE = range(4)


def announcement(
    sequence: int, *operations: dict[str, Any], tx: int | None = None, ledger: str = "sui"
) -> dict[str, Any]:
    digest = base58(bytes([1, *(31 * [sequence if tx is None else tx])]))
    return {
        "ledger": ledger,
        "tx_digest": digest,
        "sequence": sequence,
        "operations": list(operations),
    }


def operation(
    kind: int, node: int = 77, *, task: int = LOG, price: int = 10, most: int = 20
) -> dict[str, Any]:
    said = {"kind": kind, "node_small_id": node, "task_small_id": task}
    if kind in (SUBSCRIBE, UPDATE):
        said |= {"price_per_compute_unit": price, "max_num_compute_units": most}
    return said


async def announce(node: Node, *args: Any, status: int = 200, **more: Any) -> Any:
    got, answer = await node.agent.call("POST", "ledger/announce", json=announcement(*args, **more))
    assert got == status, answer
    return answer.get("sequence", answer.get("message"))


@pytest.fixture
async def agent(cloud: Cloud) -> Node:
    return Node(await cloud.agent(), cloud.workspace_id)


async def listed(operator: Operator) -> list[tuple[Any, ...]]:
    found = (await operator.call("GET", f"{operator.farm}/subscriptions"))["data"]
    keys = ("ledger", "node_small_id", "task_small_id", "price_per_compute_unit", "valid")
    return [tuple(each[key] for key in keys) for each in found]


async def test_what_is_announced_decides_dispatch(cloud: Cloud, operator: Operator, agent: Node):
    assert await announce(agent, 1, operation(REGISTER), operation(SUBSCRIBE)) == 1
    batch = await operator.order(TaskName.LOG, await miners_of(cloud, agent, 2))
    assert await agent.work_off() == [2]
    assert (await operator.batch(batch))["amount"] == "20"
    (stack,) = await stack_rows(cloud)
    assert (stack["ledger"], stack["node_small_id"], stack["head_sequence"]) == ("sui", 77, 1)
    assert await announce(agent, 2, operation(UPDATE, price=11)) == 2
    assert await listed(operator) == [("sui", 77, LOG, 11, True)]
    assert await announce(agent, 3, operation(UNSUBSCRIBE)) == 3
    held = await operator.order(TaskName.LOG, await miners_of(cloud, agent, 2))
    assert await agent.claim() == []
    assert await operator.held(held) == {"not_subscribed": 2}


async def test_an_announcement_counts_once_and_in_its_order(
    cloud: Cloud, operator: Operator, agent: Node
):
    await announce(agent, 5, operation(SUBSCRIBE))
    before = await cloud.changes()
    assert await announce(agent, 5, operation(UNSUBSCRIBE), tx=9) == 5
    assert await announce(agent, 4, operation(UNSUBSCRIBE)) == 5
    assert await cloud.changes() == before
    # The same transaction under another number changes nothing.
    assert await announce(agent, 6, operation(SUBSCRIBE, price=99), tx=5) == 6
    assert await listed(operator) == [("sui", 77, LOG, 10, True)]


async def test_of_several_nodes_the_first_that_takes_a_class_is_in_force(
    operator: Operator, agent: Node
):
    await announce(agent, 1, operation(SUBSCRIBE, 8, price=8), operation(SUBSCRIBE, 7, price=7))
    assert await listed(operator) == [("sui", 7, LOG, 7, True)]
    await announce(agent, 2, operation(UNSUBSCRIBE, 7))
    assert await listed(operator) == [("sui", 8, LOG, 8, True)]
    await announce(agent, 3, operation(UNSUBSCRIBE, 8))
    assert await listed(operator) == [("sui", 7, LOG, 7, False)]


async def test_the_ledger_that_spoke_last_is_in_force(cloud: Cloud, operator: Operator):
    node = await node_of(cloud)
    await node.subscribe(LOG, 5, 5)
    await announce(node, 1, operation(SUBSCRIBE, price=6))
    assert await listed(operator) == [("sui", 77, LOG, 6, True)]
    await node.update(LOG, 7, 5)
    assert await listed(operator) == [("local", 1, LOG, 7, True)]
    # What an agent reads of its own ledger is that of the ledger.
    assert [each.price_per_compute_unit for each in (await node.state()).subscriptions] == [7]


async def test_nodes_that_others_announce_too_are_theirs_alone(
    cloud: Cloud, operator: Operator, agent: Node
):
    await announce(agent, 1, operation(SUBSCRIBE))
    hostile = Node(await cloud.agent(), cloud.workspace_id)
    await announce(hostile, 1, operation(UNSUBSCRIBE))
    await announce(hostile, 2, operation(SUBSCRIBE, price=2**63 - 1, most=2**63 - 1))
    mine = await operator.order(TaskName.LOG, await miners_of(cloud, agent, 1))
    assert await agent.work_off() == [1]
    assert (await operator.batch(mine))["amount"] == "10"


@pytest.mark.parametrize("ledger", ["local", "", "Sui", "a" * 17, "s\0i"])
async def test_only_other_ledgers_are_announced(agent: Node, ledger: str):
    assert "ledger" in await announce(agent, 1, operation(SUBSCRIBE), status=400, ledger=ledger)


@pytest.mark.parametrize(
    "wrong",
    [
        {"price_per_compute_unit": 0},
        {"max_num_compute_units": 0},
        {"price_per_compute_unit": 2**63},
        {"price_per_compute_unit": -1},
        {"max_num_compute_units": 1.5},
        {"node_small_id": 2**64},
        {"task_small_id": "1"},
        {"kind": 5},
        {"kind": True},
    ],
)
async def test_numbers_that_are_none_are_refused(cloud: Cloud, agent: Node, wrong: dict[str, Any]):
    before = await cloud.changes()
    await announce(agent, 1, operation(SUBSCRIBE) | wrong, status=400)
    assert await cloud.changes() == before


async def test_an_agent_is_no_more_nodes_than_one_may_be(cloud: Cloud, agent: Node):
    await announce(agent, 1, *(operation(REGISTER, number) for number in range(1, 65)))
    before = await cloud.changes()
    assert "64 nodes" in await announce(agent, 2, operation(REGISTER, 65), status=400)
    assert await cloud.changes() == before
    await announce(agent, 2, operation(SUBSCRIBE, 1), operation(SUBSCRIBE, 1, task=2**62))
    await announce(agent, 3, *(operation(REGISTER, 1) for _ in range(65)), status=400)


@pytest.mark.parametrize("ledger_entries_per_day", [2])
async def test_announcements_have_the_bound_of_entries(agent: Node):
    await announce(agent, 1, operation(REGISTER))
    await announce(agent, 2, operation(REGISTER))
    assert "within a day" in await announce(agent, 3, operation(REGISTER), status=429)
