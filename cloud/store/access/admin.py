"""What the command line does to the records: workspaces, farms, keys, agents, codes. One transaction per call, in which
the audit is told of it.

All raise `NotThereError` for an id that does not exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.store.access import audit
from cloud.store.access.actors import command_line
from cloud.store.access.agents import end_codes
from cloud.store.engine import Store, rows
from cloud.store.ids import (
    KEY_PREFIX,
    new_actor_id,
    new_api_key,
    new_enroll_code,
    new_uuid,
    new_workspace_id,
    secret_hash,
)
from cloud.store.schema.tables import agents, api_keys, enroll_codes, farms, workspaces
from cloud.store.subscriptions import catalogue
from contract.nonce.times import nonce_time
from contract.roles import Role

# What the audit calls them.
_KINDS: Final = {"workspaces": "workspace", "farms": "farm", "api_keys": "key", "agents": "agent"}


class NotThereError(Exception):
    """No record has this id."""


async def create_workspace(store: Store, name: str, now: datetime) -> dict[str, Any]:
    """With its catalogue of classes of work."""
    workspace_id = new_workspace_id()
    row = {"id": workspace_id, "name": name, "created_at": now, "revoked_at": None}
    async with store.write() as connection:
        await connection.execute(workspaces.insert().values(**row))
        await catalogue.fill(connection, workspace_id, now)
        await _tell(connection, now, "create", workspaces, row, name=name)
    return row


async def create_farm(
    store: Store,
    workspace_id: str,
    name: str,
    now: datetime,
    *,
    description: str | None = None,
    location: str | None = None,
    hosting_fee: float | None = None,
) -> dict[str, Any]:
    """`hosting_fee` in USD/kWh."""
    row = {
        "id": new_uuid(),
        "workspace_id": workspace_id,
        "name": name,
        "description": description,
        "location": location,
        "hosting_fee": hosting_fee,
        "status": "running",
        "archived": False,
        "created_at": now,
        "updated_at": now,
    }
    async with store.write() as connection:
        await _one(connection, workspaces, workspace_id)
        await connection.execute(farms.insert().values(**row))
        await _tell(
            connection,
            now,
            "create",
            farms,
            row,
            name=name,
            location=location,
            hosting_fee=hosting_fee,
        )
    return row


async def create_key(
    store: Store,
    workspace_id: str,
    name: str,
    now: datetime,
    *,
    days: float | None = None,
    user: str | None = None,
    email: str | None = None,
    role: Role = Role.MANAGER,
) -> tuple[dict[str, Any], str]:
    """The record and the key itself, which is not stored. What is done with it shows as done by that user, or by the
    key where no user is named.
    """
    secret = new_api_key()
    prefix = secret[: len(KEY_PREFIX) + 4]
    key_id = new_actor_id("key")
    if user is None:
        actor = {"actor_type": "apikey", "actor_id": key_id, "actor_name": name}
        metadata = {"keyPrefix": prefix}
    else:
        actor = {"actor_type": "user", "actor_id": new_actor_id("user"), "actor_name": user}
        metadata = {"email": email} if email else {}
    row = {
        "id": key_id,
        "workspace_id": workspace_id,
        "name": name,
        "prefix": prefix,
        "actor_metadata": metadata,
        "role": role,
        "created_at": now,
        "expires_at": None if days is None else now + timedelta(days=days),
        "revoked_at": None,
        **actor,
    }
    async with store.write() as connection:
        await _one(connection, workspaces, workspace_id)
        await connection.execute(api_keys.insert().values(key_hash=secret_hash(secret), **row))
        await _tell(
            connection,
            now,
            "create",
            api_keys,
            row,
            name=name,
            prefix=prefix,
            role=role,
            expires_at=row["expires_at"],
            user=user,
        )
    return row, secret


async def create_agent(
    store: Store, farm_id: str, name: str, now: datetime, *, ranges: tuple[str, ...] = ()
) -> dict[str, Any]:
    """An agent that is known before it enrolls; give its id when making the enrolment code."""
    async with store.write() as connection:
        farm = await _one(connection, farms, farm_id)
        row = {
            "id": new_uuid(),
            "farm_id": farm_id,
            "workspace_id": farm["workspace_id"],
            "name": name,
            "ranges": list(ranges),
            "created_at": now,
        }
        await connection.execute(agents.insert().values(**row))
        await _tell(connection, now, "create", agents, row, name=name, ranges=list(ranges))
    return row


async def create_enroll_code(
    store: Store, farm_id: str, agent_id: str | None, now: datetime, *, hours: float
) -> tuple[str, datetime]:
    """A one-time code and when it expires."""
    code, expires_at = new_enroll_code(), now + timedelta(hours=hours)
    async with store.write() as connection:
        farm = await _enrolling(connection, farm_id, agent_id)
        if farm["archived"]:
            raise NotThereError(f"farm {farm_id} is archived: no agent can join it")
        await connection.execute(enroll_codes.delete().where(enroll_codes.c.expires_at < now))
        await connection.execute(
            enroll_codes.insert().values(
                code_hash=secret_hash(code),
                farm_id=farm_id,
                agent_id=agent_id,
                created_at=now,
                expires_at=expires_at,
            )
        )
        await audit.record(
            connection,
            command_line(),
            now,
            "enroll_code.create",
            ("farm", farm_id),
            workspace_id=farm["workspace_id"],
            farm_id=farm_id,
            after={"agent_id": agent_id, "expires_at": nonce_time(expires_at)},
        )
    return code, expires_at


async def revoke_enroll_codes(
    store: Store, farm_id: str, agent_id: str | None, now: datetime
) -> int:
    """The codes of a farm, or of one of its agents, that nobody has used: good for nothing any more. Returns how many
    could still have been used.
    """
    async with store.write() as connection:
        farm = await _enrolling(connection, farm_id, agent_id)
        ended = await end_codes(connection, now, farm_id=farm_id, agent_id=agent_id)
        await audit.record(
            connection,
            command_line(),
            now,
            "enroll_code.revoke",
            ("farm", farm_id),
            workspace_id=farm["workspace_id"],
            farm_id=farm_id,
            after={"agent_id": agent_id, "codes": ended},
        )
    return ended


async def list_workspaces(store: Store) -> list[dict[str, Any]]:
    return await _list(store, workspaces.select().order_by(workspaces.c.created_at))


async def list_farms(store: Store, workspace_id: str | None) -> list[dict[str, Any]]:
    return await _list(store, _within(farms, workspace_id))


async def list_keys(store: Store, workspace_id: str | None) -> list[dict[str, Any]]:
    """Without their hashes."""
    found = await _list(store, _within(api_keys, workspace_id))
    return [{key: value for key, value in row.items() if key != "key_hash"} for row in found]


async def list_agents(store: Store, workspace_id: str | None) -> list[dict[str, Any]]:
    """Without their hashes; `enrolled` tells whether one ever asked for a token, `health` what its last heartbeat
    said (with `notices`, sentences for the operator).
    """
    found = await _list(store, _within(agents, workspace_id))
    shown = (
        "id",
        "farm_id",
        "workspace_id",
        "name",
        "version",
        "release",
        "last_online_at",
        "ranges",
        "health",
    )
    return [
        {key: row[key] for key in (*shown, "created_at", "revoked_at")}
        | {"enrolled": row["token_hash"] is not None}
        for row in found
    ]


async def revoke_workspace(store: Store, workspace_id: str, now: datetime) -> None:
    """All its keys, agents and codes stop working. Its records stay."""
    await _revoke(store, workspaces, workspace_id, now)


async def revoke_key(store: Store, key_id: str, now: datetime) -> None:
    await _revoke(store, api_keys, key_id, now)


async def revoke_agent(store: Store, agent_id: str, now: datetime) -> None:
    """Its token, and the codes that were made for it before."""
    await _revoke(store, agents, agent_id, now)


async def archive_farm(store: Store, farm_id: str, now: datetime) -> None:
    """What revoking means for a farm: archived, its agents revoked, its codes ended. Its records stay."""
    async with store.write() as connection:
        farm = await _one(connection, farms, farm_id)
        await end_codes(connection, now, farm_id=farm_id)
        await connection.execute(
            farms.update().where(farms.c.id == farm_id).values(archived=True, updated_at=now)
        )
        await connection.execute(
            agents.update()
            .where(agents.c.farm_id == farm_id, agents.c.revoked_at.is_(None))
            .values(revoked_at=now)
        )
        await _tell(connection, now, "revoke", farms, farm, before={"archived": farm["archived"]})


async def _revoke(store: Store, table: sa.Table, record_id: str, now: datetime) -> None:
    async with store.write() as connection:
        row = await _one(connection, table, record_id)
        await connection.execute(
            table.update()
            .where(table.c.id == record_id, table.c.revoked_at.is_(None))
            .values(revoked_at=now)
        )
        if table is agents:
            await end_codes(connection, now, agent_id=record_id)
        before = {"name": row["name"], "revoked_at": _shown(row["revoked_at"])}
        await _tell(connection, now, "revoke", table, row, before=before)


async def _enrolling(
    connection: AsyncConnection, farm_id: str, agent_id: str | None
) -> dict[str, Any]:
    """The farm that codes are for; `agent_id` has to be one of its agents."""
    farm = await _one(connection, farms, farm_id)
    if agent_id is not None:
        agent = await _one(connection, agents, agent_id)
        if agent["farm_id"] != farm_id:
            raise NotThereError(f"agent {agent_id} does not belong to farm {farm_id}")
    return farm


async def _tell(
    connection: AsyncConnection,
    now: datetime,
    verb: str,
    table: sa.Table,
    row: Mapping[str, Any],
    *,
    before: Mapping[str, Any] | None = None,
    **after: Any,
) -> None:
    """The audit, of a record that was made or revoked."""
    kind = _KINDS[table.name]
    await audit.record(
        connection,
        command_line(),
        now,
        f"{kind}.{verb}",
        (kind, row["id"]),
        workspace_id=row["id"] if table is workspaces else row["workspace_id"],
        farm_id=row["id"] if table is farms else row.get("farm_id"),
        before=before,
        after={name: _shown(value) for name, value in after.items()} or None,
    )


def _shown(value: Any) -> Any:
    return nonce_time(value) if isinstance(value, datetime) else value


def _within(table: sa.Table, workspace_id: str | None) -> sa.Select[Any]:
    query = table.select().order_by(table.c.created_at)
    return query if workspace_id is None else query.where(table.c.workspace_id == workspace_id)


async def _list(store: Store, query: sa.Select[Any]) -> list[dict[str, Any]]:
    async with store.read() as connection:
        return rows(await connection.execute(query))


async def _one(connection: Any, table: sa.Table, record_id: str) -> dict[str, Any]:
    query = table.select().where(table.c.id == record_id)
    row = (await connection.execute(query)).mappings().first()
    if row is None:
        what = table.name.rstrip("s").replace("_", " ")
        raise NotThereError(f"there is no {what} with the id {record_id}")
    return dict(row)
