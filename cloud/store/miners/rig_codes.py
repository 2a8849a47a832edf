"""Another API code for a machine that has one: the first was seen by others, or nobody has it any more."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from cloud.store.access import audit
from cloud.store.access.actors import command_line
from cloud.store.engine import Store, rows
from cloud.store.miners.rigs import new_code, rig_id_of
from cloud.store.schema.tables import rigs

_SHOWN = ("id", "farm_id", "workspace_id", "name", "code_prefix", "kind")


async def renew_code(store: Store, code_or_id: str, now: datetime) -> tuple[dict[str, Any], str]:
    """The machine and its new code, which is not stored. The code before is refused from now on; miner, playbooks and
    wishes stay. Raises NotThereError, also for a machine that is revoked.
    """
    code, kept = new_code()
    async with store.write() as connection:
        rig_id = await rig_id_of(connection, code_or_id, only_valid=True)
        query = rigs.select().where(rigs.c.id == rig_id)
        [before] = rows(await connection.execute(query))
        await connection.execute(rigs.update().where(rigs.c.id == rig_id).values(kept))
        await audit.record(
            connection,
            command_line(),
            now,
            "rig.new_code",
            ("rig", rig_id),
            workspace_id=before["workspace_id"],
            farm_id=before["farm_id"],
            before={"code_prefix": before["code_prefix"]},
            after={"code_prefix": kept["code_prefix"]},
        )
    return {name: (before | kept)[name] for name in _SHOWN}, code
