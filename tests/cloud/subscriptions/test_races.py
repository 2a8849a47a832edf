"""Claims that race what is subscribed to: no stack is dispatched outside what was in force at its lease."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import sqlalchemy as sa

from cloud.store.engine import rows
from cloud.store.schema.tables import ledger_entries, nodes, tasks
from contract.subscription.entry import decode_entry
from contract.subscription.rules import OperationKind, Terms
from contract.task import TaskName
from tests.cloud.conftest import Cloud
from tests.cloud.subscriptions.conftest import LOG, Node, Operator, node_of, stack_rows

AGENTS: Final = 8
CLAIMS: Final = 25  # of each agent
BATCHES: Final = 20


@dataclass
class Racer:
    """One agent whose operator changes his mind all the time."""

    node: Node
    random: Random
    is_over: bool = False
    # Spans of the loop's time within which it surely took no work, and those of claims with what they brought.
    closed: list[tuple[float, float]] = field(default_factory=list)
    claims: list[tuple[float, float, int]] = field(default_factory=list)

    async def change_minds(self) -> None:
        loop = asyncio.get_running_loop()
        while not self.is_over:
            terms = (self.random.randint(1, 9), self.random.randint(1, 5))
            await self.node.subscribe(LOG, *terms)
            for _ in range(self.random.randint(0, 2)):
                terms = (self.random.randint(1, 9), self.random.randint(1, 5))
                await self.node.update(LOG, *terms)
            await self.node.unsubscribe(LOG)
            since = loop.time()
            await asyncio.sleep(0)
            self.closed.append((since, loop.time()))

    async def claim(self) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(CLAIMS):
            since = loop.time()
            got = await self.node.claim()
            self.claims.append((since, loop.time(), len(got)))
            if got:
                await self.node.end(got)
        self.is_over = True


def in_force(chain: list[Any], head: int) -> tuple[Terms, str] | None:
    """What the entries up to a number come to, by replaying them."""
    found = None
    for row in chain:
        if row["sequence"] > head:
            break
        for operation in decode_entry(row["data"]).operations:
            if operation.kind in (OperationKind.SUBSCRIBE, OperationKind.UPDATE):
                found = (operation.terms, row["tx_digest"])
            elif operation.kind is OperationKind.UNSUBSCRIBE:
                found = None
    return found


async def test_no_stack_is_dispatched_outside_what_was_in_force_at_its_lease(
    cloud: Cloud, operator: Operator
) -> None:
    await operator.policy("subscribed")
    racers = [Racer(await node_of(cloud), Random(number)) for number in range(AGENTS)]
    for racer in racers:
        for _ in range(BATCHES):
            await cloud.queue(TaskName.LOG, racer.node.agent.agent_id, count=3)
    async with asyncio.TaskGroup() as group:
        for racer in racers:
            group.create_task(racer.change_minds())
            group.create_task(racer.claim())
    stacks = await stack_rows(cloud)
    assert len(stacks) > AGENTS
    async with cloud.store.read() as connection:
        entries = rows(
            await connection.execute(sa.select(ledger_entries).order_by(ledger_entries.c.id))
        )
        handed = rows(
            await connection.execute(sa.select(tasks).where(tasks.c.handed_at.is_not(None)))
        )
        heads = {row.agent_id: row for row in await connection.execute(sa.select(nodes))}
    chains = {
        racer.node.agent.agent_id: [
            row for row in entries if row["agent_id"] == racer.node.agent.agent_id
        ]
        for racer in racers
    }
    for agent_id, chain in chains.items():
        assert [row["sequence"] for row in chain] == list(range(1, len(chain) + 1))
        assert heads[agent_id].head_sequence == len(chain)
    by_id = {stack["id"]: stack for stack in stacks}
    for stack in stacks:
        found = in_force(chains[stack["agent_id"]], stack["head_sequence"])
        assert found is not None, stack
        terms, tx_digest = found
        assert (stack["price"], stack["max_units"]) == (terms.price, terms.max_units)
        assert stack["tx_digest"] == tx_digest
    # Whatever was handed out was so in a stack, of its own batch and agent, and no stack has more than it may.
    sizes = dict.fromkeys(by_id, 0)
    for task in handed:
        stack = by_id[task["stack_id"]]
        assert (stack["batch_id"], stack["agent_id"]) == (task["batch_id"], task["agent_id"])
        sizes[stack["id"]] += 1
    for stack in stacks:
        assert sizes[stack["id"]] == stack["units"] <= stack["max_units"]
    # Seen from outside: a claim that began and ended while its agent took nothing brought nothing.
    for racer in racers:
        for since, until in racer.closed:
            within = [
                got for begun, ended, got in racer.claims if since <= begun and ended <= until
            ]
            assert not any(within)
    assert sum(len(racer.claims) for racer in racers) == AGENTS * CLAIMS
    assert sum(got for racer in racers for _, _, got in racer.claims) == len(handed) > 0
