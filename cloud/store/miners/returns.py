"""Miners that an operator deleted and that are seen again: they are on the lists again, and an event says so.

The event is a `miner.asset.update` made by the system, with the asset status they have. A record that stands for an
address is also put away by us, whenever the miner there tells its MAC, and comes back whenever it does not: that is no
event.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.store.access import audit
from cloud.store.access.actors import Actor
from cloud.store.engine import chunks
from cloud.store.ids import new_uuid
from cloud.store.schema.rows import MinerRow
from cloud.store.schema.tables import miners, tasks
from cloud.store.tasks import batches
from contract.nonce.times import nonce_time
from contract.outcome import Outcome
from contract.task import SPECS, AssetStatus, TaskName, TaskStatus

BY_ADDRESS: Final = "ip:"  # begins the identity of a record that stands for an address
log = structlog.get_logger(__name__)
_COMMENT: Final = "Seen again after it was deleted: it is on the lists again"


@dataclass(frozen=True)
class Return:
    """A miner, by its row, and when it had been deleted."""

    row: MinerRow
    deleted_at: datetime

    @property
    def stands_for_an_address(self) -> bool:
        return bool(self.row.identity.startswith(BY_ADDRESS))

    @property
    def status(self) -> str:
        """What it was left as; a miner that nobody ever gave a status is in service."""
        return self.row.asset_status or self.row.ops_status or AssetStatus.ONLINE.value


async def tell_returns(
    connection: AsyncConnection, returns: Collection[Return], now: datetime, agent_id: str | None
) -> None:
    """Make the events of those that an operator had deleted, within the caller's transaction: one batch for those of a
    status. `agent_id` saw them.
    """
    by_status: dict[str, list[Return]] = {}
    for each in await _by_operators(connection, returns):
        by_status.setdefault(each.status, []).append(each)
    for status, some in by_status.items():
        await connection.execute(
            miners.update()
            .where(miners.c.id == sa.bindparam("b_id"), miners.c.asset_status.is_(None))
            .values(asset_status=status),
            [{"b_id": each.row.id} for each in some],
        )
        batch = _batch(status, some, now, agent_id)
        await batches.insert(connection, [batch], [_task(batch, each, now) for each in some])
        await audit.record(
            connection,
            Actor(type="system", id=batch["actor_id"], name=batch["actor_name"]),
            now,
            TaskName.ASSET_UPDATE,
            ("batch", batch["id"]),
            workspace_id=batch["workspace_id"],
            farm_id=batch["farm_id"],
            after={"tasks": len(some), "params": batch["params"], "agent_id": agent_id},
        )
        for each in some:
            log.info(
                "miner.returned",
                miner=each.row.id,
                farm=each.row.farm_id,
                deleted_at=nonce_time(each.deleted_at),
            )


async def _by_operators(connection: AsyncConnection, returns: Collection[Return]) -> list[Return]:
    """Those whose deletion is a task of theirs. Only records of an address are put away without one."""
    deletions: set[tuple[str, datetime]] = set()
    ids = [each.row.id for each in returns if each.stands_for_an_address]
    for some in chunks(ids):
        query = sa.select(tasks.c.miner_id, tasks.c.ended_at).where(
            tasks.c.farm_id.in_({each.row.farm_id for each in returns}),
            tasks.c.miner_id.in_(some),
            tasks.c.name == TaskName.ASSET_DELETE,
        )
        deletions |= {(row.miner_id, row.ended_at) for row in await connection.execute(query)}
    return [
        each
        for each in returns
        if not each.stands_for_an_address or (each.row.id, each.deleted_at) in deletions
    ]


def _batch(
    status: str, returns: Collection[Return], now: datetime, agent_id: str | None
) -> dict[str, Any]:
    row = next(iter(returns)).row
    return {
        "id": new_uuid(),
        "farm_id": row.farm_id,
        "workspace_id": row.workspace_id,
        "task_name": TaskName.ASSET_UPDATE,
        "params": {"status": status, "comment": _COMMENT},
        "meta": {"origin": "returned"},
        "task_count": len(returns),
        "retry_of": None,
        "actor_type": "system",
        "actor_id": "returned-system",
        "actor_name": "Seen again",
        "actor_avatar": None,
        "actor_metadata": {"agentId": agent_id, "origin": "returned"},
        "created_at": now,
    }


def _task(batch: dict[str, Any], returned: Return, now: datetime) -> dict[str, Any]:
    stamps = dict.fromkeys(
        ("created_at", "queuing_at", "pending_at", "succeed_at", "ended_at"), now
    )
    evidence = {
        "before": {"deleted_at": nonce_time(returned.deleted_at)},
        "after": {"deleted_at": None},
    }
    return stamps | {
        "id": new_uuid(),
        "batch_id": batch["id"],
        "farm_id": batch["farm_id"],
        "workspace_id": batch["workspace_id"],
        "miner_id": returned.row.id,
        "name": TaskName.ASSET_UPDATE,
        "kind": SPECS[TaskName.ASSET_UPDATE].kind,
        "params": batch["params"],
        "status": TaskStatus.SUCCEED,
        "queue_expires_cloud_s": 0.0,  # it has ended
        "limit_s": SPECS[TaskName.ASSET_UPDATE].limit_s,
        "result": {"outcome": Outcome.DONE.value, "verified": True, "evidence": evidence},
    }
