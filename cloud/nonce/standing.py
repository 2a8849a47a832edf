"""Where batches stand with subscriptions: which tasks are held back and why, and what the work came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import msgspec
from msgspec import UNSET, UnsetType

from cloud.store.engine import Connection
from cloud.store.schema.rows import BatchRow, FarmRow
from cloud.store.subscriptions import shown
from cloud.store.subscriptions.shown import HeldTask
from contract.nonce.subscriptions import Dispatch, OrderDispatch


class BatchStanding(msgspec.Struct, frozen=True):
    """Of some batches."""

    held: Sequence[HeldTask]
    amounts: Mapping[str, int]

    @property
    def reasons(self) -> dict[str, str]:
        """By task."""
        return {each.id: each.reason for each in self.held}

    def held_reasons(self, batch_ids: Collection[str]) -> dict[str, int] | UnsetType:
        """How many tasks of these batches wait for which reason."""
        counts = Counter(each.reason for each in self.held if each.batch_id in batch_ids)
        return dict(sorted(counts.items())) or UNSET

    def amount(self, batch_ids: Collection[str]) -> str | UnsetType:
        """As text; absent where none of them has a stack."""
        found = [self.amounts[each] for each in batch_ids if each in self.amounts]
        return str(sum(found)) if found else UNSET


async def standing_of(
    connection: Connection, farm: FarmRow, batch_ids: Sequence[str]
) -> BatchStanding:
    return BatchStanding(
        await shown.held_of(connection, farm.id, farm.workspace_id, batch_ids),
        await shown.amounts_of(connection, batch_ids),
    )


def dispatch_of(batch: BatchRow) -> Dispatch:
    """As it was ordered."""
    return Dispatch(max_price_per_compute_unit=batch.max_price, may_split=batch.may_split)


def shown_dispatch(batch: BatchRow) -> OrderDispatch | UnsetType:
    """The same for an answer; absent where nothing was said."""
    if batch.max_price is None and batch.may_split:
        return UNSET
    return OrderDispatch(max_price_per_compute_unit=batch.max_price, may_split=batch.may_split)
