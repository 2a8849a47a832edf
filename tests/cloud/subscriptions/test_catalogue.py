"""Classes of work and the policy of a farm, as operators see and change them, by API and by command."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from typer.testing import CliRunner

from cloud.cli.commands import app
from cloud.store.access import admin
from contract.roles import Role
from contract.subscription.catalogue import BUILT_IN, task_id_of
from contract.subscription.ids import object_id_text
from contract.task import TaskName
from tests.cloud.conftest import Cloud
from tests.cloud.subscriptions.conftest import LOG, Node, Operator, miners_of


async def run(cloud: Cloud, *words: str, status: int = 0) -> str:
    env = {"MINER_CLOUD_URL": cloud.base, "MINER_CLOUD_KEY": cloud.key}
    done = await asyncio.to_thread(CliRunner().invoke, app, words, env=env)
    assert done.exit_code == status, (done.output, done.exception)
    return done.output


async def told(cloud: Cloud, *words: str, status: int = 0) -> Any:
    out = await run(cloud, *words, "--json", status=status)
    return json.loads(out.splitlines()[-1])  # the cloud of the test writes its log there, too


async def test_a_workspace_begins_with_a_class_for_each_task_of_agents(
    cloud: Cloud, operator: Operator
):
    answer = await operator.call("GET", "task-classes?pageSize=5&page=2")
    assert answer["pagination"]["total"] == len(BUILT_IN)
    first = answer["data"][0]
    assert first["task_small_id"] == 6
    assert first["operation"] == BUILT_IN[5]
    assert first["task_id"] == object_id_text(task_id_of(cloud.workspace_id, 6))
    assert (first["model_name"], first["is_deprecated"], first["deprecated_at"]) == (
        None,
        False,
        None,
    )


async def test_a_class_is_made_once_and_again_after_it_was_deprecated(operator: Operator):
    body = {"operation": TaskName.FIRMWARE, "model_name": " Antminer S19 "}
    made = (await operator.call("POST", "task-classes", **body))["data"]
    assert (made["task_small_id"], made["model_name"]) == (len(BUILT_IN) + 1, "Antminer S19")
    same = {"operation": TaskName.FIRMWARE, "model_name": "antminer s19"}
    said = await operator.call("POST", "task-classes", status=409, **same)
    assert f"class of work {made['task_small_id']}" in said["message"]
    path = f"task-classes/{made['task_small_id']}/deprecate"
    gone = (await operator.call("POST", path))["data"]
    assert gone["is_deprecated"]
    assert (await operator.call("POST", path))["data"] == gone
    again = (await operator.call("POST", "task-classes", **same))["data"]
    assert again["task_small_id"] == made["task_small_id"] + 1
    audit = (await operator.call("GET", "audit"))["data"]
    assert [each["action"] for each in audit[:3]] == [
        "task_class.create",
        "task_class.deprecate",
        "task_class.create",
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"operation": "miner.tags.update"},
        {"operation": "miner.fly"},
        {"operation": TaskName.LOG, "model_name": ""},
        {"operation": TaskName.LOG, "model_name": "a" * 65},
        {"operation": TaskName.LOG, "model_name": "ä"},
        {"operation": TaskName.LOG, "model_name": 19},
        {"operation": TaskName.LOG, "model": "S19"},
    ],
)
async def test_what_is_no_class_of_work_is_refused(cloud: Cloud, operator: Operator, wrong):
    await operator.call("POST", "task-classes", status=400, **(wrong or {"x": 1}))
    assert len((await operator.call("GET", "task-classes?pageSize=100"))["data"]) == len(BUILT_IN)


@pytest.mark.parametrize("number", ["0", "99", "x", "-1", "1.0", "9" * 40, "%C2%B2"])
async def test_a_class_that_there_is_not_is_not_found(operator: Operator, number: str):
    await operator.call("POST", f"task-classes/{number}/deprecate", status=404)


async def test_who_may_do_what(cloud: Cloud, operator: Operator):
    for role, may in ((Role.VIEWER, 403), (Role.OPERATOR, 403), (Role.MANAGER, 200)):
        _, key = await admin.create_key(
            cloud.store, cloud.workspace_id, role, cloud.clock.now(), role=role
        )
        cloud.key = key
        await operator.call("GET", "task-classes")
        await operator.call("GET", f"{operator.farm}/subscriptions")
        await operator.call("GET", f"{operator.farm}/dispatch")
        await operator.call("GET", f"{operator.farm}/amounts")
        await operator.call(
            "POST", "task-classes", status=may, operation=TaskName.LOG, model_name="M"
        )
        await operator.call("POST", "task-classes/1/deprecate", status=may)
        await operator.call("PUT", f"{operator.farm}/dispatch", status=may, policy="subscribed")


async def test_the_policy_is_one_of_two_words(operator: Operator):
    assert (await operator.call("GET", f"{operator.farm}/dispatch"))["data"]["policy"] == "open"
    await operator.call("PUT", f"{operator.farm}/dispatch", status=400, policy="closed")
    await operator.policy("subscribed")
    path = f"{operator.farm}/dispatch"
    assert (await operator.call("GET", path))["data"]["policy"] == "subscribed"
    audit = (await operator.call("GET", "audit"))["data"][0]
    assert (audit["action"], audit["before"], audit["after"]) == (
        "farm.dispatch",
        {"policy": "open"},
        {"policy": "subscribed"},
    )


@pytest.mark.parametrize("query", ["from_time=x", "to_time=2026-11-21", "since=1"])
async def test_amounts_are_of_a_span_of_time(operator: Operator, query: str):
    await operator.call("GET", f"{operator.farm}/amounts?{query}", status=400)


async def test_the_commands(cloud: Cloud, operator: Operator, node: Node):
    await node.subscribe(LOG, 10, 2)
    made = await told(cloud, "task-class", "create", "miner.log.get", "--model", "Antminer S19")
    number = str(made["task_small_id"])
    assert "Antminer S19" in await run(cloud, "task-class", "list")
    assert f"class of work {number} is deprecated" in await run(
        cloud, "task-class", "deprecate", number
    )
    assert (await told(cloud, "dispatch"))["policy"] == "open"
    assert "subscribed" in await run(cloud, "dispatch", "subscribed")
    await run(cloud, "dispatch", "closed", status=2)
    (taken,) = await told(cloud, "subscriptions")
    assert (taken["task_small_id"], taken["price_per_compute_unit"]) == (LOG, 10)
    miners = await miners_of(cloud, node, 3)
    words = ["task", "miner.log.get", *(word for each in miners for word in ("--miner", each))]
    plan = await run(cloud, *words, "--no-split", "--dry-run")
    assert "3 would wait: exceeds_max_units" in plan
    plan = await run(cloud, *words, "--max-price", "9", "--dry-run")
    assert "3 would wait: price_over_cap" in plan
    # It does not wait for a site to change its mind.
    out = await run(cloud, *words, "--max-price", "9", "--wait", status=1)
    assert "3 wait: price_over_cap" in out
    made = await told(cloud, *words, "--max-price", "10")
    assert sorted(await node.work_off()) == [1, 2]
    batch = await operator.batch(made["data"][0]["batch_id"])
    assert (batch["amount"], batch["dispatch"]["max_price_per_compute_unit"]) == ("30", 10)
    (day,) = await told(cloud, "amounts", "--since", "2026-11-01")
    assert (day["units"], day["amount"]) == (3, "30")
    assert "30" in await run(cloud, "amounts", "--since", "2026-11-01")
    await run(cloud, "amounts", "--since", "then", status=2)
