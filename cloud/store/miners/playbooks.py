"""Playbooks of CPU/GPU rigs: kept of a farm, and assigned to those of its rigs that mine by them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.store.access import audit
from cloud.store.access.actors import Actor
from cloud.store.access.admin import NotThereError
from cloud.store.engine import Store, chunks
from cloud.store.miners.rigs import rig_id_of
from cloud.store.schema.rows import PlaybookRow, read_rows
from cloud.store.schema.tables import farms, playbooks, rig_playbooks, rigs
from contract.hiding import hidden, masked_arguments
from contract.nonce.pages import Page
from contract.rigmonitor.shared import MachineKind

PLAYBOOKS_MAX: Final = 1000  # of one farm
PLAYBOOKS_OF_RIG_MAX: Final = 16  # programs that one rig runs


class PlaybookConflictError(ValueError):
    """What does not go together with what is there, in words for the operator."""


class ListedPlaybook(PlaybookRow, frozen=True, kw_only=True):
    """A playbook and the rigs it is assigned to, by id."""

    rig_ids: tuple[str, ...] = ()


def shown(row: PlaybookRow) -> dict[str, Any]:
    """Its columns as people may see them: without secrets among its arguments and in the urls of its pools."""
    argument = masked_arguments(row.command_argument)
    told: dict[str, Any] = hidden(msgspec.structs.asdict(row) | {"command_argument": argument})
    return told


async def create(
    store: Store, farm_id: str, given: Mapping[str, Any], now: datetime, *, by: Actor
) -> ListedPlaybook:
    """`given` are checked columns. Raises NotThereError for an unknown farm, PlaybookConflictError for one too many."""
    async with store.write() as connection:
        query = sa.select(farms.c.workspace_id).where(
            farms.c.id == farm_id, farms.c.archived.is_(False)
        )
        workspace_id = await connection.scalar(query)
        if workspace_id is None:
            raise NotThereError(f"there is no farm {farm_id}, or it is archived")
        if await _number(connection, playbooks.c.farm_id == farm_id) >= PLAYBOOKS_MAX:
            raise PlaybookConflictError(
                f"this farm keeps {PLAYBOOKS_MAX} playbooks: remove some first"
            )
        values = {"farm_id": farm_id, "workspace_id": workspace_id, **given}
        made = await connection.execute(
            playbooks.insert().values(created_at=now, updated_at=now, **values)
        )
        key = made.inserted_primary_key
        assert key is not None  # of one row
        row = await _known(connection, key[0], farm_id)
        await _tell(connection, by, now, "playbook.create", row, after=_told(row))
    return row


async def list_all(store: Store, workspace_id: str | None) -> list[ListedPlaybook]:
    """All playbooks, or those of a workspace, by id."""
    query = sa.select(playbooks).order_by(playbooks.c.id)
    if workspace_id is not None:
        query = query.where(playbooks.c.workspace_id == workspace_id)
    async with store.read() as connection:
        return await _listed(connection, query)


async def page_of(store: Store, farm_id: str, page: Page) -> tuple[list[ListedPlaybook], int]:
    """One page of those of a farm, by id, and how many there are."""
    mine = playbooks.c.farm_id == farm_id
    query = sa.select(playbooks).where(mine).order_by(playbooks.c.id)
    async with store.read() as connection:
        found = await _listed(connection, query.limit(page.size).offset(page.sql_offset))
        return found, await _number(connection, mine)


async def of_rig(store: Store, rig_id: str) -> list[ListedPlaybook]:
    """Those that a rig mines by, by id."""
    query = (
        sa.select(playbooks)
        .join(rig_playbooks, rig_playbooks.c.playbook_id == playbooks.c.id)
        .where(rig_playbooks.c.rig_id == rig_id)
        .order_by(playbooks.c.id)
    )
    async with store.read() as connection:
        return await _listed(connection, query)


async def assign(
    store: Store,
    playbook_id: int,
    code_or_id: str,
    now: datetime,
    *,
    by: Actor,
    farm_id: str | None = None,
) -> ListedPlaybook:
    """Have a rig mine by a playbook. One that does so already is left as it is.

    Raises NotThereError, also for a rig or playbook of another farm; PlaybookConflictError for an ASIC, for a second
    playbook of one program, and for one too many.
    """
    async with store.write() as connection:
        rig_id = await rig_id_of(connection, code_or_id, farm_id, only_valid=True)
        at = await connection.execute(
            sa.select(rigs.c.farm_id, rigs.c.kind).where(rigs.c.id == rig_id)
        )
        rig = at.one()
        row = await _known(connection, playbook_id, rig.farm_id)
        if rig.kind != MachineKind.RIG:
            raise PlaybookConflictError("this machine is an ASIC: playbooks are for CPU/GPU rigs")
        if rig_id in row.rig_ids:
            return row
        of_rig = rig_playbooks.c.rig_id == rig_id
        query = sa.select(rig_playbooks.c.playbook_id).where(
            of_rig, rig_playbooks.c.software_name == row.software_name
        )
        other = await connection.scalar(query)
        if other is not None:
            raise PlaybookConflictError(
                f"playbook {other} of this rig has {row.software_name}, too, and a rig has each program once: take "
                "that one from it first"
            )
        if await _number(connection, of_rig, rig_playbooks) >= PLAYBOOKS_OF_RIG_MAX:
            raise PlaybookConflictError(
                f"this rig has {PLAYBOOKS_OF_RIG_MAX} playbooks: take one from it first"
            )
        await connection.execute(
            rig_playbooks.insert().values(
                rig_id=rig_id,
                playbook_id=row.id,
                software_name=row.software_name,
                created_at=now,
            )
        )
        await _tell(connection, by, now, "playbook.assign", row, after={"rig_id": rig_id})
        return await _known(connection, row.id, rig.farm_id)


async def take_away(
    store: Store,
    playbook_id: int,
    code_or_id: str,
    now: datetime,
    *,
    by: Actor,
    farm_id: str | None = None,
) -> ListedPlaybook:
    """Have a rig not mine by a playbook any more. Raises NotThereError, also where it does not."""
    async with store.write() as connection:
        rig_id = await rig_id_of(connection, code_or_id, farm_id, only_valid=True)
        row = await _known(connection, playbook_id, farm_id)
        if rig_id not in row.rig_ids:
            raise NotThereError(f"playbook {playbook_id} is not assigned to this rig")
        await connection.execute(
            rig_playbooks.delete().where(
                rig_playbooks.c.rig_id == rig_id, rig_playbooks.c.playbook_id == row.id
            )
        )
        await _tell(connection, by, now, "playbook.take_away", row, before={"rig_id": rig_id})
        return await _known(connection, row.id, farm_id)


async def remove(
    store: Store, playbook_id: int, now: datetime, *, by: Actor, farm_id: str | None = None
) -> None:
    """Forget a playbook. Raises NotThereError, and PlaybookConflictError while a rig mines by it."""
    async with store.write() as connection:
        row = await _known(connection, playbook_id, farm_id)
        if row.rig_ids:
            raise PlaybookConflictError(
                f"playbook {row.id} is assigned to rigs ({len(row.rig_ids)}, {row.rig_ids[0]} among them): take it "
                "from them first"
            )
        await connection.execute(playbooks.delete().where(playbooks.c.id == row.id))
        await _tell(connection, by, now, "playbook.remove", row, before=_told(row))


async def _known(
    connection: AsyncConnection, playbook_id: int, farm_id: str | None
) -> ListedPlaybook:
    query = sa.select(playbooks).where(playbooks.c.id == playbook_id)
    if farm_id is not None:
        query = query.where(playbooks.c.farm_id == farm_id)
    found = await _listed(connection, query)
    if not found:
        where = "" if farm_id is None else " in the farm of this rig"
        raise NotThereError(f"there is no playbook {playbook_id}{where}")
    return found[0]


async def _listed(connection: AsyncConnection, query: sa.Select[Any]) -> list[ListedPlaybook]:
    found = read_rows(PlaybookRow, await connection.execute(query))
    rig_ids: dict[int, list[str]] = {row.id: [] for row in found}
    for some in chunks(list(rig_ids)):
        assigned = await connection.execute(
            sa.select(rig_playbooks.c.playbook_id, rig_playbooks.c.rig_id)
            .where(rig_playbooks.c.playbook_id.in_(some))
            .order_by(rig_playbooks.c.rig_id)
        )
        for playbook_id, rig_id in assigned:
            rig_ids[playbook_id].append(rig_id)
    return [
        ListedPlaybook(rig_ids=tuple(rig_ids[row.id]), **msgspec.structs.asdict(row))
        for row in found
    ]


async def _number(
    connection: AsyncConnection, mine: sa.ColumnElement[bool], table: sa.Table = playbooks
) -> int:
    query = sa.select(sa.func.count()).select_from(table).where(mine)
    return await connection.scalar(query) or 0


def _told(row: PlaybookRow) -> dict[str, Any]:
    """What is written down of it."""
    left_out = ("id", "farm_id", "workspace_id", "rig_ids", "created_at", "updated_at")
    return {
        name: value
        for name, value in shown(row).items()
        if name not in left_out and value is not None
    }


async def _tell(
    connection: AsyncConnection,
    by: Actor,
    now: datetime,
    action: str,
    row: PlaybookRow,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    await audit.record(
        connection,
        by,
        now,
        action,
        ("playbook", str(row.id)),
        workspace_id=row.workspace_id,
        farm_id=row.farm_id,
        before=before,
        after=after,
    )
