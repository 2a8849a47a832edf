"""Agents that sign entries of the local ledger by hand."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
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
from tests.cloud.conftest import AgentClient, Cloud

# Small ids of built-in classes of work.
SCAN: Final = 1
REBOOT: Final = 4
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
