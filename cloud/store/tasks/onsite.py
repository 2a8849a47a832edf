"""Tasks that only their agent knows: the first report of one makes its batch and its row.

Those that arose on site have the epoch `contract.link.ON_SITE` and belong to the journal that told of them first: they
are never handed out, nor taken back to the queue. Created by the system; who wished for them is in the batch's
`metadata.origin`. Those of the origin `cloud` were handed out before this database was put back from a copy: they have
their id, their epoch and their batch again.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.store.access import audit
from cloud.store.access.actors import Actor
from cloud.store.agent_time import stated_at
from cloud.store.engine import chunks, rows
from cloud.store.growth import Growth
from cloud.store.ids import new_uuid
from cloud.store.miners.readings import minted, write_miners
from cloud.store.schema.rows import AgentRow
from cloud.store.schema.tables import miners, task_batches, tasks
from cloud.store.tasks import batches
from contract.link import ON_SITE, Event, SiteMiner
from contract.miner import Make, normalize_mac
from contract.task import (
    QUEUE_TTL_S,
    SPECS,
    Kind,
    TaskName,
    TaskStatus,
    parse_reported_params,
    stored_params,
)

CLOUD: Final = "cloud"  # the origin of what was handed out
_WISHERS: Final[Mapping[str, str]] = {
    "onsite": "By hand, on site",
    "rigmonitor": "Mining Rig Monitor",
    CLOUD: "Known by its agent only: the database was put back",
}
_MODEL_MAX: Final = 200
_MAKES: Final = frozenset(make.value for make in Make)
LimitOf = Callable[[TaskName], float]


@dataclass(frozen=True)
class Arisen:
    """Such a task, checked. `identity` is that of its miner within the farm, `None` for a task of the whole agent."""

    task_id: str
    epoch: int
    batch_id: str | None  # that it had
    name: TaskName
    params: dict[str, Any] | None
    origin: str
    accepted_at: str
    identity: str | None
    mac: str | None
    ip: str | None
    facts: dict[str, str | None]  # make, model and serial of its miner


def arisen_of(event: Event) -> Arisen:
    """What an event says of a task that arose on site. Raises ValueError, in words, for what is none."""
    arose = event.arose
    assert arose is not None
    if (event.epoch == ON_SITE) == (arose.origin == CLOUD):
        raise ValueError(f"what arose on site has the epoch {ON_SITE}, and nothing else has")
    if not _is_uuid(event.task_id) or not _is_uuid(arose.batch_id or event.task_id):
        raise ValueError("the id of a task is a UUID, and that of its batch")
    spec = SPECS[arose.name]
    if not spec.by_agent:
        raise ValueError(f"no agent carries out {arose.name}")
    params = stored_params(arose.name, parse_reported_params(arose.name, arose.params))
    identity, mac, ip = _identity(arose.miner) if spec.wants_miner else (None, None, None)
    if spec.wants_miner and identity is None:
        raise ValueError(f"arose.miner of {arose.name} needs a mac or a last_ip")
    return Arisen(
        task_id=event.task_id,
        epoch=event.epoch,
        batch_id=arose.batch_id if arose.origin == CLOUD else None,
        name=arose.name,
        params=params,
        origin=arose.origin,
        accepted_at=arose.accepted_at,
        identity=identity,
        mac=mac,
        ip=ip,
        facts=_facts(arose.miner),
    )


async def create(
    connection: AsyncConnection,
    agent: AgentRow,
    journal_id: str,
    arisen: Collection[Arisen],
    now: datetime,
    cloud_s: float,
    limit_of: LimitOf,
    growth: Growth,
) -> list[str]:
    """Make what is new known as tasks of this agent, within the caller's transaction; give their ids.

    An id that any task has already, of whatever farm, is left alone. Raises TooMuchError.
    """
    taken = await _taken(connection, [each.task_id for each in arisen])
    fresh = [each for each in arisen if each.task_id not in taken]
    if fresh:
        growth.check_tasks(agent.id)
    ids = await _miner_ids(connection, agent, fresh, now, growth)
    farms = await _farms_of_batches(connection, fresh)
    for each in fresh:
        batch_id = each.batch_id or new_uuid()
        if farms.get(batch_id, agent.farm_id) != agent.farm_id:
            batch_id = new_uuid()  # that one is not theirs
        is_new = batch_id not in farms
        farms[batch_id] = agent.farm_id
        at = min(stated_at(each.accepted_at, now), now)
        common = {
            "farm_id": agent.farm_id,
            "workspace_id": agent.workspace_id,
            "params": each.params,
            "created_at": at,
        }
        by = Actor(
            type="system",
            id=f"{each.origin}-system",
            name=_WISHERS.get(each.origin, each.origin),
            metadata={"agentId": agent.id, "origin": each.origin},
        )
        batch = common | {
            "id": batch_id,
            "task_name": each.name,
            "meta": {"origin": each.origin},
            "task_count": 1,
            "retry_of": None,
            "actor_type": by.type,
            "actor_id": by.id,
            "actor_name": by.name,
            "actor_avatar": by.avatar,
            "actor_metadata": by.metadata,
        }
        task = common | {
            "id": each.task_id,
            "batch_id": batch_id,
            "miner_id": None if each.identity is None else ids[each.identity],
            "agent_id": agent.id,
            "name": each.name,
            "kind": SPECS[each.name].kind,
            "status": TaskStatus.QUEUING,
            "epoch": each.epoch,
            "journal_id": journal_id,
            "handed_at": at,  # its agent has had it from the beginning
            "queuing_at": at,
            # From when we heard of it: its reports may have waited for days, and the rest of them are on their way.
            "queue_expires_cloud_s": cloud_s + QUEUE_TTL_S,
            "limit_s": limit_of(each.name),
        }
        await batches.insert(connection, [batch] if is_new else (), [task])
        if is_new and SPECS[each.name].kind is not Kind.LOOK:
            await audit.record(
                connection,
                by,
                now,
                each.name,
                ("batch", batch_id),
                workspace_id=agent.workspace_id,
                farm_id=agent.farm_id,
                after={"tasks": 1, "params": each.params, "agent_id": agent.id},
            )
    return [each.task_id for each in fresh]


async def _farms_of_batches(
    connection: AsyncConnection, arisen: Collection[Arisen]
) -> dict[str, str]:
    """The farm of each of their batches that exists."""
    wanted = sorted({each.batch_id for each in arisen if each.batch_id is not None})
    found: dict[str, str] = {}
    for some in chunks(wanted):
        query = sa.select(task_batches.c.id, task_batches.c.farm_id)
        for row in await connection.execute(query.where(task_batches.c.id.in_(some))):
            found[row.id] = row.farm_id
    return found


async def _taken(connection: AsyncConnection, ids: list[str]) -> set[str]:
    found: set[str] = set()
    for some in chunks(ids):
        found |= set(await connection.scalars(sa.select(tasks.c.id).where(tasks.c.id.in_(some))))
    return found


async def _miner_ids(
    connection: AsyncConnection,
    agent: AgentRow,
    arisen: Collection[Arisen],
    now: datetime,
    growth: Growth,
) -> dict[str, str]:
    """The ids of their miners by identity; one that this farm does not know yet is minted, as by a reading."""
    wanted = {each.identity: each for each in arisen if each.identity is not None}
    found: dict[str, str] = {}
    for some in chunks(sorted(wanted)):
        query = sa.select(miners.c.identity, miners.c.id).where(
            miners.c.farm_id == agent.farm_id, miners.c.identity.in_(some)
        )
        found |= {row["identity"]: row["id"] for row in rows(await connection.execute(query))}
    new = []
    for identity, each in wanted.items():
        if identity in found:
            continue
        row = minted(identity, each.mac, agent.farm_id, agent.workspace_id, now)
        for name, value in each.facts.items():
            setattr(row, name, value)
        row.agent_id, row.ip = agent.id, each.ip
        row.ip_number = None if each.ip is None else int(IPv4Address(each.ip))
        new.append(row)
        found[identity] = row.id
    await growth.check_miners(connection, agent.farm_id, len(new))
    growth.add_miners(agent.farm_id, len(new))
    await write_miners(connection, new, ())
    return found


def _identity(miner: SiteMiner | None) -> tuple[str | None, str | None, str | None]:
    """Identity, MAC and address, as readings have them."""
    if miner is None:
        return None, None, None
    mac, ip = normalize_mac(miner.mac), None
    if miner.last_ip is not None:
        ip = str(IPv4Address(miner.last_ip))
    return mac or (None if ip is None else f"ip:{ip}"), mac, ip


def _facts(miner: SiteMiner | None) -> dict[str, str | None]:
    if miner is None:
        return {}
    return {
        "make": miner.make if miner.make in _MAKES else None,
        "model": None if miner.model is None else miner.model[:_MODEL_MAX],
        "serial": None if miner.serial is None else miner.serial[:_MODEL_MAX],
    }


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
