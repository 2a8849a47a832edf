"""What is ordered, before it is known who gets a task: names and parameters, for miners or agents."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from cloud.nonce.planning import BatchRequest
from cloud.store.engine import Connection
from contract.nonce.batches import Skip
from contract.nonce.subscriptions import Dispatch
from contract.task import TaskName


class BatchOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One task name with one set of parameters for some miners, or agents. `params` is what is stored and shown."""

    request: BatchRequest
    params: dict[str, Any] | None
    retry_of: str | None = None
    only_agents: frozenset[str] | None = None  # of an agent task; None is every agent of the farm
    dispatch: Dispatch = Dispatch()


class Ordered(msgspec.Struct, frozen=True, kw_only=True):
    """What an order comes to as the database stands. `skipped` was left out beforehand, `needed` are the pools whose
    passwords nobody has told.
    """

    orders: Sequence[BatchOrder]
    skipped: Sequence[Skip] = ()
    needed: Sequence[str] = ()


class GroupOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order for miners, which is read in the transaction that stores it. `is_group`: its batches are of one group,
    however few they are; else there is one batch.
    """

    name: TaskName
    params: dict[str, Any] | None
    read: Callable[[Connection], Awaitable[Ordered]]
    is_group: bool
    selection: dict[str, Any] | None = None
    canary: int | None = None
    undo_of: str | None = None
    retry_of: str | None = None


def named_miners(order: BatchOrder, *skipped: Skip) -> GroupOrder:
    """An order for the miners that it names."""

    async def read(connection: Connection) -> Ordered:
        del connection
        return Ordered(orders=[order], skipped=skipped)

    return GroupOrder(name=order.request.name, params=order.params, read=read, is_group=False)
