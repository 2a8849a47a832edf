"""An agent's local ledger on a folder, beside a strict cloud."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.ports import SubscriptionLink
from agent.subscriptions.catalogue import Catalogue
from agent.subscriptions.ledger import LedgerTransaction, Submission, SubmissionFailedError
from agent.subscriptions.local import LocalLedger
from agent.subscriptions.store import TransactionStore
from contract.clock import Clock
from contract.subscription.link import Subscription
from contract.subscription.rules import OperationKind, Terms
from tests.virtual_time import loop_clock

TIMEOUT_S = 2.0
TERMS = Terms(price=10, max_units=20)
REGISTER = Submission(OperationKind.REGISTER)


def subscribe(task: int, price: int = 10, most: int = 20) -> Submission:
    return Submission(OperationKind.SUBSCRIBE, task, Terms(price=price, max_units=most))


def update(task: int, price: int, most: int) -> Submission:
    return Submission(OperationKind.UPDATE, task, Terms(price=price, max_units=most))


def unsubscribe(task: int) -> Submission:
    return Submission(OperationKind.UNSUBSCRIBE, task)


class Agent:
    """One process, as far as its ledger goes."""

    def __init__(self, folder: Path, link: SubscriptionLink, clock: Clock | None = None) -> None:
        self.folder = folder
        clock = clock or loop_clock()
        self.store = TransactionStore(folder / "subscriptions.db", clock)
        self.catalogue = Catalogue(self.store, link, clock, timeout_s=TIMEOUT_S)
        self.ledger = LocalLedger(
            self.store,
            self.catalogue,
            link,
            clock,
            folder / "subscriptions.key",
            timeout_s=TIMEOUT_S,
        )

    async def failure(self, submission: Submission) -> SubmissionFailedError:
        with pytest.raises(SubmissionFailedError) as raised:
            await self.ledger.submit(submission)
        return raised.value

    async def found(self, digest: str | None) -> LedgerTransaction:
        assert digest is not None
        found = await self.ledger.transaction(digest)
        assert found is not None
        return found

    async def subscriptions(self) -> tuple[Subscription, ...]:
        return tuple(await self.store.subscriptions("local"))


@asynccontextmanager
async def agent(folder: Path, link: SubscriptionLink) -> AsyncIterator[Agent]:
    folder.mkdir(exist_ok=True)
    here = Agent(folder, link)
    await here.ledger.start()
    try:
        yield here
    finally:
        await here.ledger.close()
        await here.store.close()


def copied(folder: Path, target: Path) -> Path:
    """As a backup of its disk, taken between two transactions."""
    shutil.copytree(folder, target)
    return target
