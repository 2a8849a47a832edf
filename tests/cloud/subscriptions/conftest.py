"""Agents that sign entries of the local ledger by hand."""

from __future__ import annotations

import base64
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud.config import CloudSettings
from cloud.store.engine import rows
from cloud.store.schema.tables import stacks
from contract.subscription.entry import (
    NO_ENTRY,
    LedgerEntry,
    badge_of,
    chain_hash,
    digest_of,
    sign,
)
from contract.subscription.link import LedgerReply, LedgerState, SignedEntry
from contract.subscription.rules import NO_TERMS, LedgerOperation, OperationKind, Terms
from contract.task import TaskName
from tests.cloud.conftest import AgentClient, Cloud, done
from tests.waiting import until

# Small ids of built-in classes of work.
SCAN: Final = 1
REBOOT: Final = 4
LOG: Final = 5
LIGHT: Final = 6
FIRMWARE: Final = 12


def operation(kind: OperationKind, task: int = 0, price: int = 0, most: int = 0) -> LedgerOperation:
    return LedgerOperation(kind, task, Terms(price, most) if price or most else NO_TERMS)


@dataclass
class Node:
    """One key of an agent and its chain, as the agent has it."""

    agent: AgentClient
    ledger_id: str
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    small_id: int = 0
    chain: list[SignedEntry] = field(default_factory=list)
    holding: dict[str, int] = field(default_factory=dict)  # epochs of open tasks

    @property
    def public_key(self) -> bytes:
        return self.key.public_key().public_bytes_raw()

    def entry(self, *operations: LedgerOperation, **other: Any) -> SignedEntry:
        """The next entry, signed; `other` are fields that are not as they should be."""
        facts = {
            "ledger_id": self.ledger_id,
            "sequence": len(self.chain) + 1,
            "previous": chain_hash(self.chain[-1].data) if self.chain else NO_ENTRY,
            "badge": badge_of(self.public_key),
            "node_small_id": self.small_id if self.chain else 0,
            "operations": operations,
            "at_ms": 1_790_000_000_000,
        } | other
        data = LedgerEntry(**facts).encode()
        return SignedEntry(data=data, signature=sign(self.key, data))

    async def send(self, *entries: SignedEntry, public_key: bytes | None = None) -> LedgerReply:
        status, answer = await self.agent.call(
            "POST",
            "ledger",
            json={
                "public_key": base64.b64encode(public_key or self.public_key).decode(),
                "entries": msgspec.to_builtins(entries),
            },
        )
        assert status == 200, answer
        return msgspec.convert(answer, LedgerReply)

    async def do(self, *operations: LedgerOperation) -> str:
        """Sign, send and keep what is taken. The digest."""
        made = self.entry(*operations)
        reply = await self.send(made)
        assert [each.state for each in reply.results] == ["success"], reply
        self.chain.append(made)
        self.small_id = reply.node_small_id or 0
        return digest_of(made.data)

    async def register(self) -> Node:
        await self.do(operation(OperationKind.REGISTER))
        return self

    async def subscribe(self, task: int, price: int = 10, most: int = 100) -> str:
        return await self.do(operation(OperationKind.SUBSCRIBE, task, price, most))

    async def update(self, task: int, price: int, most: int) -> str:
        return await self.do(operation(OperationKind.UPDATE, task, price, most))

    async def unsubscribe(self, task: int) -> str:
        return await self.do(operation(OperationKind.UNSUBSCRIBE, task))

    async def claim(self, **more: Any) -> list[Any]:
        """New tasks; those it holds it names as open."""
        open_tasks = [{"task_id": id_, "epoch": epoch} for id_, epoch in self.holding.items()]
        got: list[Any] = (await self.agent.claim(open=open_tasks, **more))["tasks"]
        self.holding |= {task["task_id"]: task["epoch"] for task in got}
        return got

    async def end(self, tasks: list[Any], state: str = "succeed") -> None:
        """Report these tasks as ended."""
        at = datetime(2026, 11, 21, 12, tzinfo=UTC)
        events = [self.agent.event(task, state, at, result=done()) for task in tasks]
        status, answer = await self.agent.report(*events)
        assert status == 200, answer
        assert {ack["state"] for ack in answer["acks"]} == {"ok"}
        for task in tasks:
            del self.holding[task["task_id"]]

    async def work_off(self) -> list[int]:
        """Claim and end until there is nothing: how many tasks each claim brought."""
        sizes = []
        while got := await self.claim():
            sizes.append(len(got))
            await self.end(got)
        return sizes

    async def state(self, after: int = 0) -> LedgerState:
        status, answer = await self.agent.call("GET", f"ledger?after={after}")
        assert status == 200, answer
        return msgspec.convert(answer, LedgerState)


async def node_of(cloud: Cloud, agent: AgentClient | None = None) -> Node:
    """A registered node."""
    made = Node(agent or await cloud.agent(), cloud.workspace_id)
    return await made.register()


async def stack_rows(cloud: Cloud) -> list[dict[str, Any]]:
    async with cloud.store.read() as connection:
        return rows(await connection.execute(sa.select(stacks).order_by(stacks.c.id)))


@pytest.fixture
def ledger_entries_per_day() -> int:
    return 5000


@pytest.fixture
def settings(tmp_path: Path, ledger_entries_per_day: int) -> CloudSettings:
    return CloudSettings(data=tmp_path, ledger_entries_per_day=ledger_entries_per_day)


@pytest.fixture
async def node(cloud: Cloud) -> Node:
    return await node_of(cloud)


@dataclass
class Operator:
    """Calls the operators' API with a manager's key."""

    cloud: Cloud

    async def call(self, method: str, path: str, *, status: int = 200, **body: Any) -> Any:
        """`path` below the workspace."""
        url = f"{self.cloud.base}/private-api/v1/{self.cloud.workspace_id}/{path}"
        headers = {"x-api-key": self.cloud.key}
        given = {"json": body} if body else {}
        async with self.cloud.http.request(method, url, headers=headers, **given) as response:
            answer = await response.json()
            assert response.status == status, answer
        return answer

    @property
    def farm(self) -> str:
        return f"farms/{self.cloud.farm_id}"

    async def order(
        self, name: TaskName, miner_ids: list[str], *, status: int = 200, **more: Any
    ) -> str:
        """The id of the batch."""
        body = {"task_name": name, "miner_ids": miner_ids} | more
        answer = await self.call("POST", f"{self.farm}/tasks/batches", status=status, **body)
        if status != 200:
            return str(answer["message"])
        assert answer["meta"]["summary"]["created_count"] == len(miner_ids), answer
        return str(answer["data"][0]["batch_id"])

    async def batch(self, batch_id: str) -> Any:
        return (await self.call("GET", f"{self.farm}/tasks/batches/{batch_id}"))["data"]

    async def held(self, batch_id: str) -> dict[str, int]:
        """How many tasks of a batch wait for which reason; the answers about it agree."""
        told = await self.batch(batch_id)
        path = f"{self.farm}/tasks/batches/{batch_id}/tasks?pageSize=1000"
        listed = (await self.call("GET", path))["data"]
        reasons = {each["id"]: each.get("held_reason") for each in told["tasks"]}
        assert reasons == {each["id"]: each.get("held_reason") for each in listed}
        counted = dict(Counter(reason for reason in reasons.values() if reason))
        assert told.get("held_reasons", {}) == counted
        return counted

    async def policy(self, word: str) -> None:
        await self.call("PUT", f"{self.farm}/dispatch", policy=word)


@pytest.fixture
def operator(cloud: Cloud) -> Operator:
    return Operator(cloud)


async def miners_of(cloud: Cloud, node: Node, count: int, **more: Any) -> list[str]:
    agent_id = node.agent.agent_id
    return [await cloud.miner_for(TaskName.LOG, agent_id, **more) for _ in range(count)]


async def until_it_waits(cloud: Cloud, node: Node) -> None:
    """Until another claim of this agent has come; what it found before anything else happens."""
    sessions, agent_id = cloud.app_sessions, node.agent.agent_id
    before = sessions[agent_id].poll if agent_id in sessions else 0
    await until(lambda: agent_id in sessions and sessions[agent_id].poll > before)


@pytest.fixture
def statements(cloud: Cloud) -> Iterator[list[str]]:
    """What is said to the database, from now on."""
    said: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        said.append(statement)

    engine = cloud.store.engine.sync_engine
    sa.event.listen(engine, "before_cursor_execute", note)
    yield said
    sa.event.remove(engine, "before_cursor_execute", note)


def copy_database(source: Path, target: Path) -> None:
    """Put the content of one database into another, as a backup and a restore do, while a server has it open."""
    with closing(sqlite3.connect(source)) as copied, closing(sqlite3.connect(target)) as into:
        copied.backup(into)
