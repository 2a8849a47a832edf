"""What time does to tasks: queue lives and deadlines pass, agents go away, old records are dropped."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from cloud.store.engine import Store, chunks
from cloud.store.schema.tables import (
    agents,
    reading_batches,
    stacks,
    task_batches,
    task_events,
    task_files,
    task_groups,
    task_logs,
    tasks,
)
from cloud.store.tasks.settle import closed_result, settle
from contract.errors import ErrorCode
from contract.link import ON_SITE
from contract.outcome import Outcome
from contract.task import TaskStatus

_NOBODY_CAME: Final = "No agent took the task before its queue life ended; check that the agent of this miner is online"
_NOT_HEARD_AGAIN: Final = (
    "The agent took the task but was not heard of again before its queue life ended; "
    "look at the miner before asking again"
)
_NOT_ENDED: Final = (
    "The agent began the task but did not report its end within the execution limit; "
    "look at the miner before asking again"
)
_DAY_S: Final = 86_400.0
IsOnline = Callable[[str, float | None], bool]


async def time_out(
    store: Store, now: datetime, cloud_s: float, *, grace_s: float, agents_had_time: bool
) -> int:
    """End tasks whose time passed without a word, once the agents had time to speak: what waits in a database that was
    put back they may have begun long ago. `now` is what their end is stamped with. Returns how many.
    """
    if not agents_had_time:
        return 0
    open_tasks = tasks.c.ended_at.is_(None)
    never_begun = sa.and_(open_tasks, tasks.c.pending_at.is_(None))
    waiting = sa.and_(
        never_begun,
        # The queue life of what is held begins when it is let go, but for what was called off meanwhile.
        sa.or_(tasks.c.held == sa.false(), tasks.c.cancel_requested_at.is_not(None)),
        tasks.c.handed_at.is_(None),
        tasks.c.queue_expires_cloud_s <= cloud_s,
    )
    # The agent ends these itself when their queue life is over; the grace is for its report to arrive.
    handed = sa.and_(
        never_begun,
        tasks.c.handed_at.is_not(None),
        tasks.c.queue_expires_cloud_s <= cloud_s - grace_s,
    )
    begun = sa.and_(open_tasks, tasks.c.deadline_cloud_s <= cloud_s)
    rules = [
        (waiting, Outcome.NOT_DONE, _NOBODY_CAME),
        (handed, Outcome.UNKNOWN, _NOT_HEARD_AGAIN),
        (begun, Outcome.UNKNOWN, _NOT_ENDED),
    ]
    ended = 0
    for rule, outcome, message in rules:
        query = sa.select(tasks.c.id).where(rule)
        async with store.read() as connection:
            due = list((await connection.execute(query)).scalars())
        if not due:
            continue
        async with store.write() as connection:
            # Asked again: the agent may have spoken between the two transactions.
            due = list((await connection.execute(query)).scalars())
            result = closed_result(outcome, ErrorCode.EXPIRED, message)
            await settle(connection, due, TaskStatus.TIMED_OUT, result, now)
        ended += len(due)
    return ended


async def take_back(store: Store, is_online: IsOnline) -> list[str]:
    """Tasks that agents gone offline had not begun, as far as we heard, go back to the queue with a new epoch.

    `handed_at` stays: the agent may have begun and not been able to say so. Returns the farms concerned.
    """
    unbegun = sa.and_(
        tasks.c.ended_at.is_(None),
        tasks.c.journal_id.is_not(None),
        tasks.c.pending_at.is_(None),
        tasks.c.epoch != ON_SITE,  # that was never in the queue
    )
    holders = sa.select(agents.c.id, agents.c.farm_id, agents.c.last_online_cloud_s).where(
        agents.c.id.in_(sa.select(tasks.c.agent_id).where(unbegun).distinct())
    )
    async with store.read() as connection:
        found = (await connection.execute(holders)).all()
    gone = [row for row in found if not is_online(row.id, row.last_online_cloud_s)]
    if not gone:
        return []
    async with store.write() as connection:
        for some in chunks([row.id for row in gone]):
            await connection.execute(
                tasks.update()
                .where(unbegun, tasks.c.agent_id.in_(some))
                .values(journal_id=None, epoch=tasks.c.epoch + 1)
            )
    return sorted({row.farm_id for row in gone})


async def prune(store: Store, cloud_s: float, *, events_days: float) -> None:
    """Drop the keys by which repeats are recognised, once nobody repeats any more."""
    before_s = cloud_s - events_days * _DAY_S
    async with store.write() as connection:
        closed = sa.select(tasks.c.id).where(tasks.c.ended_at.is_not(None))
        await connection.execute(
            task_events.delete().where(
                task_events.c.received_cloud_s < before_s, task_events.c.task_id.in_(closed)
            )
        )
        await connection.execute(
            reading_batches.delete().where(reading_batches.c.received_cloud_s < before_s)
        )


async def prune_tasks(
    store: Store, now: datetime, cloud_s: float, *, kept_days: float, most: int
) -> int:
    """Drop tasks that ended so long ago, with their events and logs, and batches and stacks with their last task, and
    groups with their last batch: at most so many tasks, the oldest first, in one transaction. Returns how many.

    In cloud time a task ended no later than its queue life or, once begun, its deadline; unless the cloud was down
    then, so the stamp of its end counts as well. One whose file is still kept stays.
    """
    before_s = cloud_s - kept_days * _DAY_S
    long_ago = (
        sa.select(tasks.c.id, tasks.c.batch_id, tasks.c.stack_id)
        .where(
            tasks.c.queue_expires_cloud_s < before_s,
            sa.func.coalesce(tasks.c.deadline_cloud_s, 0.0) < before_s,
            tasks.c.ended_at < now - timedelta(days=kept_days),
            ~sa.exists().where(task_files.c.task_id == tasks.c.id),
        )
        .order_by(tasks.c.queue_expires_cloud_s)
        .limit(most)
    )
    async with store.write() as connection:
        found = (await connection.execute(long_ago)).all()
        for some in chunks([row.id for row in found]):
            for table in (task_events, task_logs):
                await connection.execute(table.delete().where(table.c.task_id.in_(some)))
            await connection.execute(tasks.delete().where(tasks.c.id.in_(some)))
        for some in chunks(sorted({row.stack_id for row in found if row.stack_id is not None})):
            await connection.execute(
                stacks.delete().where(
                    stacks.c.id.in_(some), ~sa.exists().where(tasks.c.stack_id == stacks.c.id)
                )
            )
        for some in chunks(sorted({row.batch_id for row in found if row.batch_id is not None})):
            empty = (
                task_batches.c.id.in_(some),
                ~sa.exists().where(tasks.c.batch_id == task_batches.c.id),
            )
            query = sa.select(task_batches.c.group_id).where(*empty).distinct()
            group_ids = [each for each in await connection.scalars(query) if each is not None]
            await connection.execute(task_batches.delete().where(*empty))
            await connection.execute(
                task_groups.delete().where(
                    task_groups.c.id.in_(group_ids),
                    ~sa.exists().where(task_batches.c.group_id == task_groups.c.id),
                )
            )
    return len(found)


async def prune_reading_batches(store: Store, *, most: int) -> None:
    """Keep of each agent only so many keys of batches of readings, the newest: a repeat comes soon or not at all."""
    counts = (
        sa.select(reading_batches.c.agent_id)
        .group_by(reading_batches.c.agent_id)
        .having(sa.func.count() > most)
    )
    async with store.read() as connection:
        many = list(await connection.scalars(counts))
    for agent_id in many:
        own = reading_batches.c.agent_id == agent_id
        oldest_kept = (
            sa.select(reading_batches.c.received_cloud_s)
            .where(own)
            .order_by(reading_batches.c.received_cloud_s.desc())
            .offset(most - 1)
            .limit(1)
        )
        async with store.write() as connection:
            before_s = await connection.scalar(oldest_kept)
            await connection.execute(
                reading_batches.delete().where(own, reading_batches.c.received_cloud_s < before_s)
            )
