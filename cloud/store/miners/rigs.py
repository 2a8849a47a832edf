"""Machines of the Mining Rig Monitor API (MRM): their codes, what is wished of them, and what they report.

A machine, an ASIC or a CPU/GPU rig, is a row of `rigs`: a code, of which only the hash is kept, and its wishes. From
its first report on it owns a row of `miners`, so that it is listed and searched like every other; that row's identity
is `rig:<id>`. MRM tells no MAC and its `lan_ip` is the sender's word, so such a row is never merged with what an agent
sees, be it the same device: it has `unstable_reason` no_mac and no agent, and is therefore given no task that needs
one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.store.access import audit
from cloud.store.access.actors import Actor, command_line
from cloud.store.access.admin import NotThereError
from cloud.store.engine import Store, chunks
from cloud.store.ids import new_uuid, secret_hash
from cloud.store.miners.conditions import REPORTS_ITSELF
from cloud.store.miners.readings import StoredReading, minted, refresh, take_static, write_miners
from cloud.store.miners.returns import Return, tell_returns
from cloud.store.schema.rows import MinerRow, RigRow, read_row, read_rows
from cloud.store.schema.tables import farms, miners, rig_playbooks, rigs, workspaces
from contract.clock import to_text
from contract.link import MinerReading
from contract.miner import Algorithm, Moving, Slow, Static
from contract.nonce.pages import Page
from contract.nonce.times import nonce_time
from contract.rigmonitor.asic import Switch
from contract.rigmonitor.playbook import MiningWish
from contract.rigmonitor.shared import MachineKind
from contract.texts import plain

NAME_MIN: Final = 2  # characters, as the official server has it
NAME_MAX: Final = 255
_PREFIX_LENGTH: Final = 8
# What can be wished of a machine, and how that is said where something else is.
_WISHES_OF: Final = {
    MachineKind.ASIC: (
        {"asic_expected", "light_expected"},
        "this machine is an ASIC: what can be wished of it is whether it is on, and its light",
    ),
    MachineKind.RIG: (
        {"mining_expected"},
        "this machine is a CPU/GPU rig: what can be wished of it is whether it mines",
    ),
}
_OF_RIG: Final = sa.and_(
    miners.c.farm_id == rigs.c.farm_id,
    miners.c.identity == sa.literal(REPORTS_ITSELF) + rigs.c.id,
)
_OF_MINER: Final = (
    miners.c.id.label("miner_id"),
    miners.c.last_seen_at.label("last_log_at"),
    miners.c.raw,
)


class ListedRig(msgspec.Struct, frozen=True, kw_only=True):
    """A machine without the hash of its code, with its miner and what it said last: `raw` is {"spec": ..., "log": ...}
    in MRM's own keys.
    """

    id: str
    farm_id: str
    workspace_id: str
    name: str
    code_prefix: str
    kind: str
    asic_expected: str
    light_expected: str
    mining_expected: str
    expected_set_at: datetime | None
    expected_set_by: str | None
    activated_at: datetime | None
    created_at: datetime
    revoked_at: datetime | None
    miner_id: str | None
    last_log_at: datetime | None
    raw: dict[str, Any] | None


class FoundRig(RigRow, frozen=True, kw_only=True):
    """A machine by its code, with how its miner stands in the books."""

    ops_status: str | None


@dataclass(frozen=True)
class Log:
    """What a machine does: for its miner, and as it was said, in MRM's keys. `ip` may be empty; `static` is there where
    a log tells of what the machine is, too.
    """

    rig: RigRow
    moving: Moving
    slow: Slow
    ip: str
    said: dict[str, Any]
    static: Static | None = None


async def create_rig(
    store: Store,
    farm_id: str,
    name: str,
    now: datetime,
    *,
    kind: MachineKind = MachineKind.ASIC,
) -> tuple[dict[str, Any], str]:
    """A machine of a farm and its API code, which is not stored.

    Raises NotThereError for an unknown farm, ValueError for a name MRM would not take.
    """
    name = name.strip()
    if not NAME_MIN <= len(name) <= NAME_MAX:
        raise ValueError(f"the name of a machine has {NAME_MIN} to {NAME_MAX} characters")
    try:
        plain(name)
    except ValueError as error:
        raise ValueError(f"the name of a machine {error}") from None
    code, kept = new_code()
    row = {
        "id": new_uuid(),
        "farm_id": farm_id,
        "name": name,
        "code_prefix": kept["code_prefix"],
        "kind": kind,
        "asic_expected": Switch.ON,
        "light_expected": Switch.OFF,
        "mining_expected": MiningWish.MINING,
        "created_at": now,
    }
    async with store.write() as connection:
        query = sa.select(farms.c.workspace_id).where(
            farms.c.id == farm_id, farms.c.archived.is_(False)
        )
        row["workspace_id"] = await connection.scalar(query)
        if row["workspace_id"] is None:
            raise NotThereError(f"there is no farm {farm_id}, or it is archived")
        await connection.execute(rigs.insert().values(row | kept))
        shown = {"name": name, "code_prefix": row["code_prefix"], "kind": kind}
        await _tell(connection, command_line(), now, "rig.create", row, after=shown)
    return row, code


def new_code() -> tuple[str, dict[str, str]]:
    """An API code, and what is kept of it."""
    code = new_uuid()  # random: MRM's own are UUIDs too, and agents may check for one
    return code, {"code_hash": secret_hash(code), "code_prefix": code[:_PREFIX_LENGTH]}


async def list_rigs(store: Store, workspace_id: str | None) -> list[ListedRig]:
    """All machines, or those of a workspace, oldest first."""
    query = _joined().order_by(rigs.c.created_at, rigs.c.id)
    if workspace_id is not None:
        query = query.where(rigs.c.workspace_id == workspace_id)
    async with store.read() as connection:
        return read_rows(ListedRig, await connection.execute(query))


async def page_of_rigs(store: Store, farm_id: str, page: Page) -> tuple[list[ListedRig], int]:
    """One page of the machines of a farm, and how many. Revoked ones are left out."""
    mine = sa.and_(rigs.c.farm_id == farm_id, rigs.c.revoked_at.is_(None))
    query = _joined().where(mine).order_by(rigs.c.created_at, rigs.c.id)
    async with store.read() as connection:
        total = await connection.scalar(sa.select(sa.func.count()).select_from(rigs).where(mine))
        found = await connection.execute(query.limit(page.size).offset(page.sql_offset))
        return read_rows(ListedRig, found), total or 0


async def rig_of(store: Store, farm_id: str, rig_id: str) -> ListedRig | None:
    """A machine of a farm; None for one that is revoked."""
    query = _joined().where(
        rigs.c.farm_id == farm_id, rigs.c.id == rig_id, rigs.c.revoked_at.is_(None)
    )
    async with store.read() as connection:
        return read_row(ListedRig, await connection.execute(query))


async def revoke_rig(store: Store, code_or_id: str, now: datetime) -> str:
    """Its code is refused from now on; its miner stays in the books. Returns its id. Raises NotThereError."""
    async with store.write() as connection:
        rig_id = await rig_id_of(connection, code_or_id)
        row = await _row_of(connection, rig_id)
        await connection.execute(
            rigs.update()
            .where(rigs.c.id == rig_id, rigs.c.revoked_at.is_(None))
            .values(revoked_at=now)
        )
        await connection.execute(rig_playbooks.delete().where(rig_playbooks.c.rig_id == rig_id))
        revoked_at = None if row.revoked_at is None else nonce_time(row.revoked_at)
        before = {"name": row.name, "revoked_at": revoked_at}
        of_row = msgspec.structs.asdict(row)
        await _tell(connection, command_line(), now, "rig.revoke", of_row, before=before)
    return rig_id


async def expect(
    store: Store,
    code_or_id: str,
    now: datetime,
    *,
    by: Actor,
    farm_id: str | None = None,
    asic: Switch | None = None,
    light: Switch | None = None,
    mining: MiningWish | None = None,
) -> ListedRig:
    """Set what is wished of a machine; `None` leaves a wish as it is.

    Returns it as it is now. Raises NotThereError, also for one that is revoked or not of that farm, and ValueError for
    a wish that its half of the API has no word for.
    """
    wishes = {"asic_expected": asic, "light_expected": light, "mining_expected": mining}
    values = {name: wish for name, wish in wishes.items() if wish is not None}
    async with store.write() as connection:
        rig_id = await rig_id_of(connection, code_or_id, farm_id, only_valid=True)
        row = await _row_of(connection, rig_id)
        has, words = _WISHES_OF[MachineKind(row.kind)]
        if not values.keys() <= has:
            raise ValueError(words)
        if values:
            before = {name: getattr(row, name) for name in values}
            await connection.execute(
                rigs.update()
                .where(rigs.c.id == rig_id)
                .values(expected_set_at=now, expected_set_by=by.id, **values)
            )
            of_row = msgspec.structs.asdict(row)
            await _tell(connection, by, now, "rig.expect", of_row, before=before, after=values)
            row = await _row_of(connection, rig_id)
    return row


async def find_rig(store: Store, kind: MachineKind, code: str) -> FoundRig | None:
    """The machine of this kind with this code; None for a code that is unknown, of the other kind, or revoked, by
    itself, its farm or its workspace.
    """
    return (await find_rigs(store, kind, [code])).get(code)


async def find_rigs(store: Store, kind: MachineKind, codes: Collection[str]) -> dict[str, FoundRig]:
    """The machines of this kind behind those of the codes that are valid, by code."""
    by_hash = {secret_hash(code): code for code in codes}
    found: dict[str, FoundRig] = {}
    async with store.read() as connection:
        for some in chunks(list(by_hash)):
            query = (
                sa.select(rigs, miners.c.ops_status)
                .join(farms, farms.c.id == rigs.c.farm_id)
                .join(workspaces, workspaces.c.id == rigs.c.workspace_id)
                .outerjoin(miners, _OF_RIG)
                .where(
                    rigs.c.code_hash.in_(some),
                    rigs.c.kind == kind,
                    rigs.c.revoked_at.is_(None),
                    farms.c.archived.is_(False),
                    workspaces.c.revoked_at.is_(None),
                )
            )
            for row in read_rows(FoundRig, await connection.execute(query)):
                found[by_hash[row.code_hash]] = row
    return found


async def apply_specs(
    store: Store, rig: RigRow, static: Static, said: dict[str, Any], now: datetime
) -> None:
    """What a machine is. `said` is its report in MRM's keys. The first one activates it.

    It tells nothing of how the machine does now, so it does not count as a look at it.
    """
    async with store.write() as connection:
        known = (await _miners_of(connection, [rig])).get(_identity(rig))
        row = _minted(rig, now) if known is None else known
        if static.algorithm is None and row.algorithm is not None:  # which a log told
            static = msgspec.structs.replace(static, algorithm=Algorithm(row.algorithm))
        _take_static(row, static)
        row.raw = (row.raw or {}) | {"spec": said}
        row.updated_at = now
        await write_miners(
            connection, [row] if known is None else [], [row] if known is not None else []
        )
        if rig.activated_at is None:
            await connection.execute(
                rigs.update()
                .where(rigs.c.id == rig.id, rigs.c.activated_at.is_(None))
                .values(activated_at=now)
            )


async def said_of(store: Store, rig: RigRow) -> dict[str, Any]:
    """What a machine said last, as `ListedRig.raw`; empty for one that has said nothing."""
    query = sa.select(miners.c.raw).where(
        miners.c.farm_id == rig.farm_id, miners.c.identity == _identity(rig)
    )
    async with store.read() as connection:
        return dict(await connection.scalar(query) or {})


async def apply_logs(
    store: Store, logs: Sequence[Log], now: datetime, *, offline_after_s: float
) -> None:
    """What machines do, as of now; all of it in one transaction."""
    async with store.write() as connection:
        known = await _miners_of(connection, [log.rig for log in logs])
        new: dict[str, MinerRow] = {}
        returns: list[Return] = []
        for log in logs:
            identity = _identity(log.rig)
            row = known.get(identity)
            if row is None:
                row = known[identity] = new[identity] = _minted(log.rig, now)
            row.raw = (row.raw or {}) | {"log": log.said}
            reading = MinerReading(
                at=to_text(now),
                ip=log.ip,
                moving=log.moving,
                slow=log.slow,
                # A miner counts as silent after three of its intervals, see `cloud.store.miners.readings`.
                interval_s=offline_after_s / 3,
            )
            returned = refresh(row, StoredReading(reading, now, identity, None, log.ip), None, now)
            if returned is not None:
                returns.append(returned)
            if log.static is not None:
                _take_static(row, log.static)
        changed = [row for identity, row in known.items() if identity not in new]
        await write_miners(connection, new.values(), changed)
        await tell_returns(connection, returns, now, None)


async def _miners_of(
    connection: AsyncConnection, machines: Sequence[RigRow]
) -> dict[str, MinerRow]:
    """The rows of their miners, by identity. A machine without one has not reported yet, or was erased for good."""
    found: dict[str, MinerRow] = {}
    for some in chunks(machines):
        query = miners.select().where(
            miners.c.farm_id.in_({rig.farm_id for rig in some}),
            miners.c.identity.in_({_identity(rig) for rig in some}),
        )
        found |= {row.identity: row for row in read_rows(MinerRow, await connection.execute(query))}
    return found


def _take_static(row: MinerRow, static: Static) -> None:
    take_static(row, static)
    row.firmware = None  # MRM does not tell whose it is


def _identity(rig: RigRow) -> str:
    return f"{REPORTS_ITSELF}{rig.id}"


def _minted(rig: RigRow, now: datetime) -> MinerRow:
    return minted(_identity(rig), None, rig.farm_id, rig.workspace_id, now)


async def _tell(
    connection: AsyncConnection,
    by: Actor,
    now: datetime,
    action: str,
    row: Mapping[str, Any],
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    await audit.record(
        connection,
        by,
        now,
        action,
        ("rig", row["id"]),
        workspace_id=row["workspace_id"],
        farm_id=row["farm_id"],
        before=before,
        after=after,
    )


async def _row_of(connection: AsyncConnection, rig_id: str) -> ListedRig:
    """Of one that is known to exist."""
    [row] = read_rows(ListedRig, await connection.execute(_joined().where(rigs.c.id == rig_id)))
    return row


async def rig_id_of(
    connection: AsyncConnection,
    code_or_id: str,
    farm_id: str | None = None,
    *,
    only_valid: bool = False,
) -> str:
    """The id of a machine by its code or id. Raises NotThereError."""
    query = sa.select(rigs.c.id).where(
        sa.or_(rigs.c.id == code_or_id, rigs.c.code_hash == secret_hash(code_or_id))
    )
    if farm_id is not None:
        query = query.where(rigs.c.farm_id == farm_id)
    if only_valid:
        query = query.where(rigs.c.revoked_at.is_(None))
    rig_id: str | None = await connection.scalar(query)
    if rig_id is None:
        raise NotThereError("there is no machine with this id or API code")  # which may be secret
    return rig_id


def _joined() -> sa.Select[Any]:
    columns = (rigs.c[name] for name in ListedRig.__struct_fields__ if name in rigs.c)
    return sa.select(*columns, *_OF_MINER).select_from(rigs.outerjoin(miners, _OF_RIG))
