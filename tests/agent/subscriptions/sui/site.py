"""A ledger `sui` on the fake network, in this process."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from agent.config.sui import SuiSection
from agent.ports import CloudError
from agent.subscriptions.ledger import Gas, Submission, TransactionStatus
from agent.subscriptions.store import TransactionStore
from agent.subscriptions.sui.ledger import SuiLedger
from contract.clock import SystemClock
from contract.subscription.ids import object_id_text
from contract.subscription.link import Announced, Announcement
from contract.subscription.rules import NO_TERMS, OperationKind, Terms
from tests.agent.subscriptions.sui.golden import SECRET
from tests.agent.subscriptions.sui.machine import DATABASE, PACKAGE

TERMS = Terms(price=10, max_units=20)
SUBSCRIBE, UPDATE, UNSUBSCRIBE, REGISTER = (
    OperationKind.SUBSCRIBE,
    OperationKind.UPDATE,
    OperationKind.UNSUBSCRIBE,
    OperationKind.REGISTER,
)


def section(url: str, folder: Path, **more: Any) -> SuiSection:
    """A config whose keystore lies in the folder."""
    keystore = folder / "sui.keystore"
    if not keystore.exists():
        keystore.touch(mode=0o600)
        keystore.write_text(json.dumps([SECRET]))
    settings = {
        "graphql_url": url,
        "package_id": object_id_text(PACKAGE),
        "atoma_db": object_id_text(DATABASE),
        "keystore": keystore,
        "timeout_s": 10.0,
        **more,
    }
    return SuiSection.model_validate(settings)


@asynccontextmanager
async def opened(
    url: str, folder: Path, *, link: Any = None, **more: Any
) -> AsyncIterator[tuple[SuiLedger, TransactionStore]]:
    clock = SystemClock()
    store = TransactionStore(folder / "subscriptions.db", clock)
    ledger = SuiLedger(section(url, folder, **more), store, clock, link=link)
    await store.open()
    try:
        await ledger.start()
        yield ledger, store
    finally:
        await ledger.close()
        await store.close()


def submission(
    kind: OperationKind, task: int = 1, terms: Terms | None = None, **more: Any
) -> Submission:
    """For the node 1, unless others are meant."""
    more.setdefault("node_small_id", 1)
    if terms is None:
        terms = TERMS if kind in (SUBSCRIBE, UPDATE) else NO_TERMS
    return Submission(kind, task, terms, **more)


def paid_by(coin: str | None = None, **more: int) -> Gas:
    return Gas(coin=None if coin is None else bytes.fromhex(coin[2:]), **more)


async def status(store: TransactionStore, tx_digest: str) -> TransactionStatus:
    row = await store.transaction(tx_digest)
    assert row is not None
    return row.status


class Cloud:
    """As far as it hears of another ledger. `faults`: raised by the next announcements."""

    def __init__(self, *faults: CloudError) -> None:
        self.faults = list(faults)
        self.taken: list[Announcement] = []

    async def announce(self, message: Announcement, *, timeout_s: float) -> Announced:
        assert timeout_s == 10.0
        if self.faults:
            raise self.faults.pop(0)
        last = max((each.sequence for each in self.taken), default=0)
        if message.sequence > last:
            self.taken.append(message)
        return Announced(sequence=max(last, message.sequence))
