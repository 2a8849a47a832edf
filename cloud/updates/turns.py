"""Whose turn it is in an update of agents: nobody's before the first one is proven, and nobody's after a failure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from cloud.store.access import audit
from cloud.store.access.actors import Actor
from cloud.store.engine import Store
from cloud.store.tasks import batches, updates
from cloud.store.tasks.groups import ended_words
from cloud.store.tasks.handed import Confirmed
from cloud.store.tasks.settle import closed_result
from cloud.store.tasks.updates import OpenTurns, TurnTask
from contract.errors import ErrorCode
from contract.nonce.updates import Turns
from contract.outcome import Outcome
from contract.task import TaskStatus

IsOnline = Callable[[str, float | None], bool]
_SYSTEM: Final = Actor(type="system", id="updates")


class NextTurn(msgspec.Struct, frozen=True):
    """What comes next: these are let go, or none is any more, because of `failed`."""

    let_go: Sequence[TurnTask] = ()
    failed: TurnTask | None = None

    @property
    def is_none(self) -> bool:
        return not self.let_go and self.failed is None


class Advanced(msgspec.Struct, frozen=True, kw_only=True):
    """What was done in one update. `stopped` says why it goes no further."""

    group_id: str
    number: int
    stopped: str | None
    agent_ids: frozenset[str]


def next_turn(found: Sequence[TurnTask], at_once: int, is_online: IsOnline) -> NextTurn:
    """Of the tasks of one update, in the order of their turns. Those whose agents are not online come last."""
    failed = failed_in(found)
    if failed is not None:
        return NextTurn(failed=failed)
    under_way = sum(task.ended_at is None and not task.held for task in found)
    if not all(task.is_proven for task in found if task.is_first):
        return NextTurn()
    waiting = [
        task
        for task in found
        if task.held and task.ended_at is None and task.cancel_requested_at is None
    ]
    waiting.sort(key=lambda task: not is_online(task.agent_id, task.last_online_cloud_s))
    return NextTurn(let_go=waiting[: max(0, at_once - under_way)])


def failed_in(found: Sequence[TurnTask]) -> TurnTask | None:
    """The one that ended first of those that are not proven; one that was only called off counts behind all others."""
    ended = [
        (task.status == TaskStatus.CANCELLED, task.ended_at, task.id, task)
        for task in found
        if task.ended_at is not None and not task.is_proven
    ]
    return min(ended, key=lambda each: each[:3])[3] if ended else None


def why_stopped(failed: TurnTask) -> str:
    """In words, for the operator."""
    return f"{failed.who} of {failed.farm_name or failed.farm_id} ended {ended_words(failed.status, failed.result)}"


async def advance(
    store: Store,
    now: datetime,
    cloud_s: float,
    *,
    confirmed: Confirmed,
    agents_had_time: bool,
    is_online: IsOnline,
) -> list[Advanced]:
    """Give the next turn of every update, each in a transaction of its own.

    After a start of this server nobody's turn comes before all agents that wait in it have told what they know, or had
    the time to (`agents_had_time`): the database may have been put back from a copy, in which one still waits that is
    being updated, or has failed.
    """
    done = []
    for each in await updates.with_waiting(store):
        turns = msgspec.convert(each.turns, Turns)
        async with store.read() as connection:
            found = await updates.tasks_of(connection, each.id)
        turn = next_turn(found, turns.at_once, is_online)
        if turn.is_none:
            continue
        if turn.failed is None and not (agents_had_time or _have_told(each, found, confirmed)):
            continue
        done.append(await _take(store, each, turns, now, cloud_s, confirmed, is_online))
    return [each for each in done if each is not None]


def _have_told(each: OpenTurns, found: Collection[TurnTask], confirmed: Confirmed) -> bool:
    if confirmed.found_until is None or each.created_at > confirmed.found_until:
        return True  # ordered since, so that no copy of the database can have lost any of it
    return all(task.agent_id in confirmed.agent_ids for task in found if task.ended_at is None)


async def _take(
    store: Store,
    each: OpenTurns,
    turns: Turns,
    now: datetime,
    cloud_s: float,
    confirmed: Confirmed,
    is_online: IsOnline,
) -> Advanced | None:
    async with store.write() as connection:
        # Asked again: an agent or an operator may have spoken between the two transactions.
        found = await updates.tasks_of(connection, each.id)
        turn = next_turn(found, turns.at_once, is_online)
        if turn.failed is not None:
            why = why_stopped(turn.failed)
            ended = await batches.cancel(
                connection,
                sorted({task.batch_id for task in found}),
                now,
                confirmed,
                _kept_from(why),
            )
            await audit.record(
                connection, _SYSTEM, now, "update.stop", ("group", each.id),
                workspace_id=each.workspace_id,
                after={"reason": why, "cancelled_count": ended.at_once, "cancel_requested_count": ended.requested},
            )  # fmt: skip
            return Advanced(
                group_id=each.id,
                number=ended.at_once + ended.requested,
                stopped=why,
                agent_ids=ended.agent_ids,
            )
        if not turn.let_go:
            return None
        await updates.let_go(
            connection, [task.id for task in turn.let_go], now, cloud_s + turns.begin_within_s
        )
    return Advanced(
        group_id=each.id,
        number=len(turn.let_go),
        stopped=None,
        agent_ids=frozenset(task.agent_id for task in turn.let_go),
    )


def _kept_from(why: str) -> dict[str, Any]:
    """The result of those whose turn did not come; verified, as no agent ever had it."""
    message = f"Not begun: the update stopped, as {why}. Mend that one, and order the update of the others again"
    result = closed_result(Outcome.NOT_DONE, ErrorCode.CANCELLED, message)
    return {**result, "verified": True}
