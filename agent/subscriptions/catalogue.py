"""The classes of work, as the control plane told them last: asked for when somebody looks, kept for when it is away."""

from __future__ import annotations

import math
from typing import Final

import msgspec

from agent.ports import CloudError, SubscriptionLink
from agent.subscriptions.store import TransactionStore
from contract.clock import Clock
from contract.subscription.ids import SMALL_MAX
from contract.subscription.link import TaskClass

_FRESH_S: Final = 5.0  # so long it is not asked for again
_NOTE: Final = "catalogue"


class _Kept(msgspec.Struct, frozen=True):
    ledger_id: str
    tasks: tuple[TaskClass, ...]


class Catalogue:
    """Of the workspace that this agent belongs to."""

    def __init__(
        self, store: TransactionStore, link: SubscriptionLink, clock: Clock, *, timeout_s: float
    ) -> None:
        self._store = store
        self._link = link
        self._clock = clock
        self._timeout_s = timeout_s
        self._kept: _Kept | None = None
        self._asked_mono = -math.inf

    async def keep(self, ledger_id: str, tasks: tuple[TaskClass, ...]) -> None:
        """As it was told just now. Raises TransactionStoreError."""
        told = _Kept(ledger_id, tasks)
        if told != await self._known():
            await self._store.note(_NOTE, msgspec.json.encode(told))
        self._kept, self._asked_mono = told, self._clock.mono()

    async def tasks(self) -> tuple[TaskClass, ...]:
        """Raises CloudError where it cannot be asked for and never was told; TransactionStoreError."""
        if self._clock.mono() - self._asked_mono > _FRESH_S:
            try:
                # no entry has such a number: the catalogue alone is asked for
                state = await self._link.ledger(SMALL_MAX, timeout_s=self._timeout_s)
            except CloudError:
                if await self._known() is None:
                    raise
            else:
                await self.keep(state.ledger_id, state.tasks)
        known = await self._known()
        return () if known is None else known.tasks

    async def _known(self) -> _Kept | None:
        if self._kept is None:
            kept = await self._store.noted(_NOTE)
            if kept is not None:
                self._kept = msgspec.json.decode(kept, type=_Kept)
        return self._kept
