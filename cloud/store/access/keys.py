"""Operators' keys."""

from __future__ import annotations

from datetime import datetime

from cloud.store.engine import Store
from cloud.store.ids import secret_hash
from cloud.store.schema.rows import KeyRow, read_row
from cloud.store.schema.tables import api_keys, workspaces


async def find_key(store: Store, secret: str, now: datetime) -> KeyRow | None:
    """The row of a key that is valid now; None for one that is unknown, expired or revoked."""
    query = (
        api_keys.select()
        .join(workspaces, workspaces.c.id == api_keys.c.workspace_id)
        .where(
            api_keys.c.key_hash == secret_hash(secret),
            api_keys.c.revoked_at.is_(None),
            workspaces.c.revoked_at.is_(None),
        )
    )
    async with store.read() as connection:
        key = read_row(KeyRow, await connection.execute(query))
    if key is None or (key.expires_at is not None and key.expires_at <= now):
        return None
    return key
