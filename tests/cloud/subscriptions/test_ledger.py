"""The local ledger as the cloud keeps it: what is taken, what is not, and what agents learn of it."""

from __future__ import annotations

import base64
from pathlib import Path

import msgspec
import pytest

from cloud.store.access import admin
from cloud.store.engine import DATABASE_NAME
from contract.subscription.catalogue import BUILT_IN, task_id_of
from contract.subscription.entry import chain_hash, digest_of
from contract.subscription.link import SignedEntry
from contract.subscription.rules import ABORT_BASE, OperationKind
from contract.task import BY_AGENTS
from tests.cloud.conftest import Cloud
from tests.cloud.subscriptions.conftest import (
    FIRMWARE,
    LIGHT,
    REBOOT,
    Node,
    copy_database,
    node_of,
    operation,
)

REGISTER = operation(OperationKind.REGISTER)
SUBSCRIBE = operation(OperationKind.SUBSCRIBE, REBOOT, 10, 20)
VOID = operation(OperationKind.VOID)


def states(reply) -> list[str]:
    return [each.state.value for each in reply.results]


def test_every_task_that_agents_carry_out_has_its_class():
    assert sorted(BUILT_IN) == sorted(BY_AGENTS)


async def test_an_agent_that_is_not_registered_learns_the_catalogue_and_its_ledger(cloud: Cloud):
    node = Node(await cloud.agent(), cloud.workspace_id)
    state = await node.state()
    assert (state.ledger_id, state.node_small_id, state.public_key, state.head) == (
        cloud.workspace_id,
        None,
        None,
        None,
    )
    assert [(each.task_small_id, each.operation) for each in state.tasks] == list(
        enumerate(BUILT_IN, start=1)
    )
    assert state.tasks[3].task_id == task_id_of(cloud.workspace_id, 4)
    assert len({each.task_id for each in state.tasks}) == len(BUILT_IN)


async def test_a_node_registers_subscribes_updates_and_unsubscribes(cloud: Cloud):
    node = await node_of(cloud)
    other = await node_of(cloud)
    assert (node.small_id, other.small_id) == (1, 2)
    await node.subscribe(REBOOT, 10, 20)
    await node.update(REBOOT, 12, 15)
    await node.subscribe(LIGHT, 1, 1)
    await node.unsubscribe(LIGHT)
    state = await node.state()
    assert [
        (each.task_small_id, each.price_per_compute_unit, each.max_num_compute_units, each.valid)
        for each in state.subscriptions
    ] == [(REBOOT, 12, 15, True), (LIGHT, 1, 1, False)]
    assert list(state.entries) == node.chain
    assert (state.head_sequence, state.head) == (5, chain_hash(node.chain[-1].data))
    assert state.public_key == node.public_key
    assert (await node.state(after=3)).entries == tuple(node.chain[3:])
    assert (await other.state()).subscriptions == ()


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (operation(OperationKind.SUBSCRIBE, 99, 1, 1), 17),
        (operation(OperationKind.SUBSCRIBE, REBOOT, 1, 1), 16),
        (operation(OperationKind.SUBSCRIBE, LIGHT, 0, 1), 37),
        (operation(OperationKind.SUBSCRIBE, LIGHT, 1, 0), 38),
        (operation(OperationKind.UPDATE, LIGHT, 1, 1), 18),
        (operation(OperationKind.UNSUBSCRIBE, LIGHT), 18),
    ],
)
async def test_what_the_rules_refuse_leaves_its_number_free(cloud: Cloud, asked, code):
    node = await node_of(cloud)
    await node.subscribe(REBOOT)
    reply = await node.send(node.entry(asked))
    assert states(reply) == ["aborted"]
    assert reply.results[0].abort_code == ABORT_BASE + code
    assert reply.head_sequence == 2
    await node.subscribe(FIRMWARE)
    assert (await node.state()).head_sequence == 3


async def test_several_operations_are_taken_all_or_none(cloud: Cloud):
    node = await node_of(cloud)
    again = operation(OperationKind.SUBSCRIBE, REBOOT, 11, 20)
    assert states(await node.send(node.entry(SUBSCRIBE, again))) == ["aborted"]
    assert (await node.state()).subscriptions == ()
    await node.do(SUBSCRIBE, operation(OperationKind.SUBSCRIBE, LIGHT, 1, 2))
    assert [each.task_small_id for each in (await node.state()).subscriptions] == [REBOOT, LIGHT]


async def test_what_was_taken_is_taken_once_however_often_it_is_sent(cloud: Cloud):
    node = await node_of(cloud)
    await node.do(SUBSCRIBE)
    before = await cloud.changes()
    for _ in range(3):
        assert states(await node.send(*node.chain)) == ["success", "success"]
    assert await cloud.changes() == before


async def test_a_void_takes_the_place_of_what_was_lost_and_its_late_arrival_is_a_conflict(
    cloud: Cloud,
):
    node = await node_of(cloud)
    lost = node.entry(SUBSCRIBE)
    await node.do(VOID)
    assert states(await node.send(lost)) == ["conflict"]
    assert (await node.state()).subscriptions == ()
    # And the other way round: it had arrived.
    arrived, void = node.entry(SUBSCRIBE), node.entry(VOID)
    assert states(await node.send(arrived)) == ["success"]
    assert states(await node.send(void)) == ["conflict"]


async def test_entries_out_of_order_are_a_gap_and_what_follows_one_is_not_looked_at(cloud: Cloud):
    node = await node_of(cloud)
    first = node.entry(SUBSCRIBE)
    node.chain.append(first)
    second = node.entry(operation(OperationKind.SUBSCRIBE, LIGHT, 1, 1))
    reply = await node.send(second, first)
    assert states(reply) == ["gap", "gap"]
    assert reply.head_sequence == 1
    assert states(await node.send(first, second)) == ["success", "success"]


async def test_a_fork_is_a_conflict(cloud: Cloud):
    node = await node_of(cloud)
    one, two = node.entry(SUBSCRIBE), node.entry(operation(OperationKind.SUBSCRIBE, LIGHT, 1, 1))
    assert states(await node.send(one)) == ["success"]
    assert states(await node.send(two)) == ["conflict"]
    node.chain.append(two)
    assert states(await node.send(node.entry(VOID))) == ["conflict"]  # follows the one not taken


@pytest.mark.parametrize(
    "wrong",
    [
        {"ledger_id": "org_another"},
        {"badge": bytes(32)},
        {"node_small_id": 2},
        {"operations": (REGISTER,)},
        {"operations": (operation(OperationKind.SUBSCRIBE, LIGHT, 2**63, 1),)},
        {"operations": (operation(OperationKind.SUBSCRIBE, LIGHT, 1, 2**64 - 1),)},
        {"operations": (operation(OperationKind.SUBSCRIBE, 2**64 - 1, 1, 1),)},
        {"at_ms": 2**64 - 1},
    ],
)
async def test_what_is_signed_and_not_of_this_node_or_ledger_is_invalid(cloud: Cloud, wrong):
    node = await node_of(cloud)
    before = await cloud.changes()
    reply = await node.send(node.entry(SUBSCRIBE, **wrong))
    assert states(reply) == ["invalid"]
    assert await cloud.changes() == before


async def test_forged_signatures_and_bytes_that_are_no_entry_are_invalid(cloud: Cloud):
    node, other = await node_of(cloud), Node(await cloud.agent(), cloud.workspace_id)
    good = node.entry(SUBSCRIBE)
    forged = [
        SignedEntry(data=good.data, signature=bytes(64)),
        SignedEntry(data=good.data + b"\0", signature=good.signature),
        SignedEntry(data=good.data[:-1], signature=good.signature),
        SignedEntry(data=b"", signature=good.signature),
        SignedEntry(data=bytes(8192), signature=good.signature),
    ]
    before = await cloud.changes()
    for each in forged:
        assert states(await node.send(each)) == ["invalid"]
    # Signed by another key than the one that is said to have.
    assert states(await node.send(good, public_key=other.public_key)) == ["invalid"]
    assert await cloud.changes() == before


async def test_entries_of_another_agent_are_good_for_nobody_else(cloud: Cloud):
    node, thief = await node_of(cloud), await cloud.agent()
    await node.do(SUBSCRIBE)
    stolen = Node(thief, cloud.workspace_id, node.key)
    assert states(await stolen.send(*node.chain)) == ["invalid", "gap"]
    assert (await stolen.state()).node_small_id is None
    await node.unsubscribe(REBOOT)


async def test_entries_of_another_workspace_are_invalid(cloud: Cloud):
    other = await admin.create_workspace(cloud.store, "other", cloud.clock.now())
    farm = await admin.create_farm(cloud.store, other["id"], "G", cloud.clock.now())
    there = await node_of(cloud)
    here = Node(await cloud.agent(farm["id"]), cloud.workspace_id, there.key)
    assert states(await here.send(*there.chain)) == ["invalid"]
    mine = await Node(here.agent, other["id"]).register()
    assert mine.small_id == 1  # numbers begin anew in each workspace


async def test_a_chain_begins_with_a_registration_and_nothing_else(cloud: Cloud):
    node = Node(await cloud.agent(), cloud.workspace_id)
    for operations in ((VOID,), (SUBSCRIBE,), (REGISTER, SUBSCRIBE), (REGISTER, REGISTER)):
        assert states(await node.send(node.entry(*operations))) == ["invalid"]
    assert states(await node.send(node.entry(REGISTER, node_small_id=1))) == ["invalid"]
    assert states(await node.send(node.entry(REGISTER, previous=bytes(31) + b"\1"))) == ["conflict"]
    assert states(await node.send(node.entry(SUBSCRIBE, sequence=2, node_small_id=1))) == ["gap"]
    assert (await node.state()).node_small_id is None


async def test_an_agent_that_lost_its_disk_takes_its_node_over_with_a_new_key(cloud: Cloud):
    old = await node_of(cloud)
    await old.subscribe(REBOOT, 10, 20)
    new = await Node(old.agent, cloud.workspace_id).register()
    assert new.small_id == old.small_id
    state = await new.state()
    assert (state.head_sequence, state.public_key) == (1, new.public_key)
    assert [each.task_small_id for each in state.subscriptions] == [REBOOT]
    await new.update(REBOOT, 11, 21)
    # What the old disk still signs is not taken, and its entries are no way back.
    assert states(await old.send(old.entry(operation(OperationKind.UNSUBSCRIBE, REBOOT)))) == [
        "invalid"
    ]
    assert states(await old.send(*old.chain)) == ["success", "success"]
    assert (await new.state()).public_key == new.public_key


async def test_a_cloud_that_was_put_back_is_sent_what_it_lost(cloud: Cloud, tmp_path: Path):
    node = await node_of(cloud)
    database, copy = cloud.settings.data / DATABASE_NAME, tmp_path / "copy.db"
    copy_database(database, copy)
    await node.subscribe(REBOOT, 10, 20)
    await node.update(REBOOT, 11, 21)
    copy_database(copy, database)
    assert (await node.state()).head_sequence == 1
    third = node.entry(operation(OperationKind.SUBSCRIBE, LIGHT, 1, 1))
    reply = await node.send(third)
    assert (states(reply), reply.head_sequence) == (["gap"], 1)
    assert states(await node.send(*node.chain, third)) == ["success"] * 4
    state = await node.state()
    assert [(each.task_small_id, each.price_per_compute_unit) for each in state.subscriptions] == [
        (REBOOT, 11),
        (LIGHT, 1),
    ]
    assert [digest_of(each.data) for each in state.entries] == [
        digest_of(each.data) for each in (*node.chain, third)
    ]


async def test_a_cloud_that_lost_the_registration_is_sent_all_of_the_chain(cloud: Cloud):
    node = Node(await cloud.agent(), cloud.workspace_id)
    node.chain.append(node.entry(REGISTER))
    node.small_id = 1
    reply = await node.send(node.entry(SUBSCRIBE))
    assert (states(reply), reply.head_sequence, reply.node_small_id) == (["gap"], 0, None)
    assert states(await node.send(node.chain[0], node.entry(SUBSCRIBE))) == ["success", "success"]


async def test_five_hundred_entries_at_once_are_taken_and_given_back(cloud: Cloud):
    node = await node_of(cloud)
    for number in range(499):
        node.chain.append(node.entry(VOID if number else SUBSCRIBE))
    reply = await node.send(*node.chain)
    assert set(states(reply)) == {"success"}
    state = await node.state()
    assert state.entries == tuple(node.chain)
    body = {"public_key": base64.b64encode(node.public_key).decode()}
    too_many = msgspec.to_builtins([*node.chain, node.entry(VOID)])
    status, _ = await node.agent.call("POST", "ledger", json=body | {"entries": too_many})
    assert status == 400


@pytest.mark.parametrize("ledger_entries_per_day", [4])
async def test_a_token_cannot_fill_the_ledger_without_end(cloud: Cloud):
    node = await node_of(cloud)
    for _ in range(3):
        await node.do(VOID)
    entry = node.entry(VOID)
    body = {
        "public_key": base64.b64encode(node.public_key).decode(),
        "entries": msgspec.to_builtins([entry]),
    }
    status, answer = await node.agent.call("POST", "ledger", json=body)
    assert status == 429, answer
    # What was taken is still answered, and a day later there is room.
    assert set(states(await node.send(*node.chain))) == {"success"}
    cloud.clock.move(86_400)
    await node.do(VOID)


@pytest.mark.parametrize("after", ["-1", "x", "1.5", str(2**63), "9" * 30])
async def test_what_is_no_number_is_a_400(cloud: Cloud, after: str):
    agent = await cloud.agent()
    status, _ = await agent.call("GET", f"ledger?after={after}")
    assert status == 400


async def test_a_revoked_agent_gets_nothing(cloud: Cloud):
    node = await node_of(cloud)
    await admin.revoke_agent(cloud.store, node.agent.agent_id, cloud.clock.now())
    body = {
        "public_key": base64.b64encode(node.public_key).decode(),
        "entries": msgspec.to_builtins([node.entry(SUBSCRIBE)]),
    }
    status, _ = await node.agent.call("POST", "ledger", json=body)
    assert status == 401
