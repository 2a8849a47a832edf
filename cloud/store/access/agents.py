"""Agents as the link sees them: who they are, that they live, their journal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.store.access import audit
from cloud.store.access.actors import Actor
from cloud.store.engine import Store, chunks
from cloud.store.ids import new_agent_token, new_uuid, secret_hash
from cloud.store.schema.rows import AgentRow, read_row
from cloud.store.schema.tables import IS_OPEN, agents, enroll_codes, farms, tasks, workspaces
from cloud.store.tasks.settle import lost_result, settle
from contract.link import ON_SITE, EnrollReply, EnrollRequest, Heartbeat, NamedRange, Settings
from contract.outcome import Outcome
from contract.task import Kind, TaskStatus

_NAME_MAX = 255  # characters
LOST = (
    "The agent came back without its journal (lost or restored disk), so what became of this task "
)


async def find_agent(store: Store, token: str) -> AgentRow | None:
    """The agent that holds this token; None if it is unknown or revoked."""
    query = (
        agents.select()
        .join(workspaces, workspaces.c.id == agents.c.workspace_id)
        .where(
            agents.c.token_hash == secret_hash(token),
            agents.c.revoked_at.is_(None),
            workspaces.c.revoked_at.is_(None),
        )
    )
    async with store.read() as connection:
        return read_row(AgentRow, await connection.execute(query))


async def enroll(
    store: Store, request: EnrollRequest, now: datetime, *, address: str | None = None
) -> EnrollReply | None:
    """Use up a code: a new agent, or a new token for the one the code was made for. None for a code that is no good, by
    itself or by its workspace.

    The old token of an agent that is enrolled again stops working, and its old journal is given up: what it held and
    did not end is settled as lost when the new one asks for work.
    """
    token = new_agent_token()
    # An agent from before fingerprints sends all of the code.
    secret = request.code.strip().upper().partition(".")[0]
    async with store.write() as connection:
        code = (
            (
                await connection.execute(
                    enroll_codes.select()
                    .join(farms, farms.c.id == enroll_codes.c.farm_id)
                    .join(workspaces, workspaces.c.id == farms.c.workspace_id)
                    .where(
                        enroll_codes.c.code_hash == secret_hash(secret),
                        enroll_codes.c.used_at.is_(None),
                        enroll_codes.c.expires_at > now,
                        workspaces.c.revoked_at.is_(None),
                    )
                )
            )
            .mappings()
            .first()
        )
        if code is None:
            return None
        await connection.execute(
            enroll_codes.update()
            .where(enroll_codes.c.code_hash == code["code_hash"])
            .values(used_at=now)
        )
        farm = (
            (await connection.execute(farms.select().where(farms.c.id == code["farm_id"])))
            .mappings()
            .one()
        )
        facts = {
            "token_hash": secret_hash(token),
            "platform": request.platform,
            "version": request.version,
            "revoked_at": None,
        }
        agent_id, name = code["agent_id"], _name_of(request.hostname)
        if agent_id is None:
            agent_id = new_uuid()
            await connection.execute(
                agents.insert().values(
                    id=agent_id,
                    farm_id=farm["id"],
                    workspace_id=farm["workspace_id"],
                    name=name,
                    host={"hostname": request.hostname, "platform": request.platform},
                    created_at=now,
                    **facts,
                )
            )
        else:
            await connection.execute(agents.update().where(agents.c.id == agent_id).values(**facts))
        await audit.record(
            connection,
            Actor(type="system", id=agent_id, name=name, address=address),
            now,
            "agent.enroll",
            ("agent", agent_id),
            workspace_id=farm["workspace_id"],
            farm_id=farm["id"],
            after={"hostname": name, "again": code["agent_id"] is not None},
        )
    return EnrollReply(
        agent_id=agent_id, workspace_id=farm["workspace_id"], farm_id=farm["id"], token=token
    )


async def end_codes(connection: AsyncConnection, now: datetime, **of: str | None) -> int:
    """Those that were not used, of a farm or an agent; gives how many had not expired."""
    rule = [enroll_codes.c[name] == value for name, value in of.items() if value is not None]
    found = await connection.execute(
        enroll_codes.delete().where(
            *rule, enroll_codes.c.used_at.is_(None), enroll_codes.c.expires_at > now
        )
    )
    return found.rowcount


async def persist_online(store: Store, agent_id: str, now: datetime, cloud_s: float) -> None:
    """Write down that it lives. Called at most once a minute."""
    async with store.write() as connection:
        await connection.execute(
            agents.update()
            .where(agents.c.id == agent_id)
            .values(last_online_at=now, last_online_cloud_s=cloud_s)
        )


async def persist_heartbeat(
    store: Store, agent_id: str, beat: Heartbeat, now: datetime, cloud_s: float
) -> None:
    """Write down a heartbeat."""
    values: dict[str, Any] = {
        "version": beat.version,
        "release": beat.release,
        "uptime_s": beat.uptime_s,
        "host": beat.host,
        "health": {
            "journal_depth": beat.journal_depth,
            "buffer_depth": beat.buffer_depth,
            "miners_known": beat.miners_known,
            "sinks": beat.sinks,
            "notices": list(beat.notices),
        },
        "last_online_at": now,
        "last_online_cloud_s": cloud_s,
        "last_updated_at": now,
    }
    if beat.capabilities is not None:
        values["capabilities"] = beat.capabilities
    async with store.write() as connection:
        await connection.execute(agents.update().where(agents.c.id == agent_id).values(**values))


async def adopt_journal(
    store: Store,
    agent: AgentRow,
    journal_id: str,
    last_seq: int,
    now: datetime,
    cloud_s: float,
) -> int:
    """A journal we did not know. What the one before it had not begun cannot have happened, and is handed out to this
    one; what it had begun is settled, since nobody knows what became of it. Returns how many tasks that were.
    `last_seq` is the last event that counts as heard of it.
    """
    async with store.write() as connection:
        held = (
            tasks.c.farm_id == agent.farm_id,
            tasks.c.agent_id == agent.id,
            tasks.c.ended_at.is_(None),
            tasks.c.journal_id.is_not(None),
            tasks.c.journal_id != journal_id,
        )
        begun = sa.or_(tasks.c.pending_at.is_not(None), tasks.c.epoch == ON_SITE)
        lost = await _settle_lost(connection, sa.and_(*held, begun), now)
        await connection.execute(tasks.update().where(*held).values(journal_id=journal_id))
        await connection.execute(
            agents.update()
            .where(agents.c.id == agent.id)
            .values(
                journal_id=journal_id,
                last_seq=last_seq,
                last_online_at=now,
                last_online_cloud_s=cloud_s,
            )
        )
    return lost


async def give_up(
    store: Store, agent: AgentRow, journal_id: str, task_ids: Sequence[str], now: datetime
) -> int:
    """Tasks that this journal began, or that arose with it, and does not hold any more: it was put back from a copy."""
    ended = 0
    async with store.write() as connection:
        for some in chunks(task_ids):
            rule = sa.and_(
                tasks.c.id.in_(some),
                tasks.c.farm_id == agent.farm_id,
                tasks.c.agent_id == agent.id,
                tasks.c.journal_id == journal_id,
                IS_OPEN,
                sa.or_(tasks.c.pending_at.is_not(None), tasks.c.epoch == ON_SITE),
            )
            ended += await _settle_lost(connection, rule, now)
    return ended


def _name_of(hostname: str) -> str:
    """What an agent is called that nobody gave a name: by its host, in one line."""
    return "".join(each for each in hostname if each.isprintable())[:_NAME_MAX]


async def _settle_lost(connection: AsyncConnection, rule: Any, now: datetime) -> int:
    """End what nobody will tell of; gives how many."""
    found = (await connection.execute(sa.select(tasks.c.id, tasks.c.kind).where(rule))).all()
    looks = [task_id for task_id, kind in found if kind == Kind.LOOK]
    writes = [task_id for task_id, kind in found if kind != Kind.LOOK]
    await settle(
        connection,
        looks,
        TaskStatus.FAILED,
        lost_result(Outcome.NOT_DONE, f"{LOST}is lost; ask again"),
        now,
    )
    await settle(
        connection,
        writes,
        TaskStatus.FAILED,
        lost_result(Outcome.UNKNOWN, f"{LOST}is not known; look at the miner before asking again"),
        now,
    )
    return len(found)


async def settings_changed(connection: AsyncConnection, farm_id: str) -> None:
    """The agents of a farm fetch their settings again. Within the caller's transaction."""
    await connection.execute(
        agents.update()
        .where(agents.c.farm_id == farm_id)
        .values(settings_rev=agents.c.settings_rev + 1)
    )


def settings_of(
    agent: AgentRow, maintained: Sequence[str], named: Sequence[NamedRange]
) -> Settings:
    """What the operator set for this agent, and for its farm. Keys this version does not know are left out."""
    known = {
        key: value
        for key, value in (agent.settings or {}).items()
        if key in ("auto_scan_s", "poll_interval_s", "read_only")
    }
    return Settings(
        rev=agent.settings_rev,
        ranges=tuple(agent.ranges or ()),
        maintenance=tuple(maintained),
        named=tuple(named),
        **known,
    )
