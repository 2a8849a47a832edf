"""Parts with a serial number, followed across the miners of a farm: hashboards, power supplies, control part_stays.

A miner that shows the parts it showed before costs nothing here: they stand in its row (`miners.parts`). What a look
does not tell says nothing: a stay ends when another part stands in its place, or its place is not there any more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.store.assets.likeness import is_placeholder
from cloud.store.engine import chunks
from cloud.store.schema.rows import MinerRow, PartStayRow, read_rows
from cloud.store.schema.tables import miners, part_stays

HASHBOARDS_MOST: Final = 16  # of one look
STAYS_MOST: Final = 64  # kept of one miner; of those that ended the oldest go
PLACES_MOST: Final = 200  # of one serial number, that are looked at
_APART: Final = timedelta(minutes=5)  # two looks that are no turns of one round


class PartKind(StrEnum):
    """What has a serial number of its own. A control board tells it as that of the miner."""

    HASHBOARD = "hashboard"
    PSU = "psu"
    CONTROL_BOARD = "control_board"


class MinerPart(NamedTuple):
    kind: PartKind
    serial: str
    slot: int | None = None


class PartChange(msgspec.Struct):
    """A miner that shows other parts than before: by its row, since when, and when the others were seen last. `is_new`:
    nothing was ever written down of it.
    """

    row: MinerRow
    at: datetime
    seen_before_at: datetime | None
    is_new: bool = False


class Stay(PartStayRow, frozen=True, kw_only=True):
    """A part in a miner, and what is known of that: its address and name, when it was last read."""

    ip: str | None
    mac: str | None
    name: str | None
    last_read_at: datetime | None
    deleted_at: datetime | None

    @property
    def seen_at(self) -> datetime:
        """When the part was last seen there."""
        return max(self.first_seen_at, self.last_seen_at or self.last_read_at or self.first_seen_at)


_STAY_COLUMNS: Final = (
    *part_stays.c,
    *(miners.c[name] for name in ("ip", "mac", "name", "last_read_at", "deleted_at")),
)


class PartChanges:
    """The miners of one request that show other parts than before."""

    def __init__(self) -> None:
        self.by_id: dict[str, PartChange] = {}

    def note(self, row: MinerRow, seen_before_at: datetime | None) -> None:
        """After a look was put into the row of a miner that is known by its MAC."""
        text = _text(_shown(row))
        if text == (row.parts or ""):
            return
        is_new, row.parts = row.parts is None, text
        if row.id not in self.by_id:
            at = row.last_read_at or row.updated_at
            self.by_id[row.id] = PartChange(row, at, seen_before_at, is_new)


def parts_of(text: str | None) -> list[MinerPart]:
    """Of `miners.parts`."""
    found = []
    for line in (text or "").splitlines():
        kind, slot, serial = line.split("\t")
        found.append(MinerPart(PartKind(kind), serial, int(slot) if slot else None))
    return found


async def follow(
    connection: AsyncConnection, farm_id: str, changed: Collection[PartChange]
) -> None:
    """Write down what came into these miners, and what left them, within the caller's transaction."""
    if not changed:
        return
    known = await stays_in(
        connection, farm_id, [each.row.id for each in changed if not each.is_new]
    )
    latest = await _latest(connection, farm_id, changed, known)
    new: list[dict[str, Any]] = []
    ended: list[dict[str, Any]] = []
    going_on: list[dict[str, Any]] = []
    dropped: list[int] = []
    for each in changed:
        mine = known.get(each.row.id, [])
        there = {(stay.kind, stay.serial): stay for stay in mine if stay.last_seen_at is None}
        wanted = {(part.kind, part.serial): part for part in parts_of(each.row.parts)}
        seen_at = each.seen_before_at or each.at
        ended += [
            {"b_id": stay.id, "b_seen": max(seen_at, stay.first_seen_at)}
            for key, stay in there.items()
            if key not in wanted
        ]
        for key, part in wanted.items():
            stay = there.get(key)
            last = latest.get(key)
            if stay is None and last is not None and last.miner_id == each.row.id:
                stay = last  # it came back, and was nowhere else meanwhile
            if stay is None:
                new.append(_row(farm_id, each, part))
            elif stay.last_seen_at is not None or stay.slot != part.slot:
                going_on.append({"b_id": stay.id, "b_slot": part.slot})
        dropped += _too_many(mine, len(wanted))
    for some in chunks(dropped):
        await connection.execute(part_stays.delete().where(part_stays.c.id.in_(some)))
    by_id = part_stays.update().where(part_stays.c.id == sa.bindparam("b_id"))
    if ended:
        await connection.execute(by_id.values(last_seen_at=sa.bindparam("b_seen")), ended)
    if going_on:
        values = by_id.values(slot=sa.bindparam("b_slot"), last_seen_at=None)
        await connection.execute(values, going_on)
    if new:
        await connection.execute(part_stays.insert(), new)


async def stays_in(
    connection: AsyncConnection, farm_id: str, miner_ids: Collection[str]
) -> dict[str, list[Stay]]:
    """All that is known of the parts of these miners, the oldest first."""
    found: dict[str, list[Stay]] = {}
    for some in chunks(sorted(miner_ids)):
        for stay in await _stays(connection, farm_id, part_stays.c.miner_id.in_(some)):
            found.setdefault(stay.miner_id, []).append(stay)
    return found


async def stays_of(
    connection: AsyncConnection, farm_id: str, serials: Collection[str]
) -> dict[tuple[str, str], list[Stay]]:
    """By kind and serial number, where these parts were, the oldest first. Left out are those that were in so many
    places that they are no serial numbers.
    """
    found: dict[tuple[str, str], list[Stay]] = {}
    for some in chunks(sorted(serials)):
        few = (
            sa.select(part_stays.c.serial)
            .where(part_stays.c.farm_id == farm_id, part_stays.c.serial.in_(some))
            .group_by(part_stays.c.serial)
            .having(sa.func.count() <= PLACES_MOST)
        )
        for stay in await _stays(connection, farm_id, part_stays.c.serial.in_(few)):
            found.setdefault((stay.kind, stay.serial), []).append(stay)
    return found


async def shared(connection: AsyncConnection, farm_id: str, miner_ids: Collection[str]) -> set[str]:
    """The serial numbers of parts of these miners, now or before, that were in other places, too, but not in so many
    that they are none.
    """
    found: set[str] = set()
    for some in chunks(sorted(miner_ids)):
        mine = sa.select(part_stays.c.serial).where(part_stays.c.miner_id.in_(some))
        query = (
            sa.select(part_stays.c.serial)
            .where(part_stays.c.farm_id == farm_id, part_stays.c.serial.in_(mine))
            .group_by(part_stays.c.serial)
            .having(sa.func.count().between(2, PLACES_MOST))
        )
        found |= set(await connection.scalars(query))
    return found


async def places_of(connection: AsyncConnection, farm_id: str, serial: str) -> list[Stay]:
    """Where the parts of one serial number were, the newest first."""
    query = (
        sa.select(*_STAY_COLUMNS)
        .join(miners, miners.c.id == part_stays.c.miner_id)
        .where(part_stays.c.farm_id == farm_id, part_stays.c.serial == serial)
        .order_by(part_stays.c.first_seen_at.desc(), part_stays.c.id.desc())
        .limit(PLACES_MOST)
    )
    return read_rows(Stay, await connection.execute(query))


def is_there(stay: Stay, others: Iterable[Stay]) -> bool:
    """Whether a part still is where it stayed: nobody saw another one in its place, nor it anywhere else since.
    `others` are stays of the same part.
    """
    return (
        stay.last_seen_at is None
        and stay.deleted_at is None
        and not any(
            other.miner_id != stay.miner_id
            and (
                other.first_seen_at > stay.seen_at
                or (other.last_seen_at is None and other.seen_at - stay.seen_at > _APART)
            )
            for other in others
        )
    )


async def forget(connection: AsyncConnection, miner_ids: Sequence[str]) -> None:
    """Erase where the parts of these miners were."""
    for some in chunks(miner_ids):
        await connection.execute(part_stays.delete().where(part_stays.c.miner_id.in_(some)))


async def give_back(
    connection: AsyncConnection, asset_id: str, found_id: str, known: Mapping[str, Sequence[Stay]]
) -> None:
    """Of two records of one miner: the hashboards and the power supply that both knew never left the asset."""
    was = {(stay.kind, stay.serial): stay for stay in known.get(asset_id, ())}
    both = [
        (was[key], stay)
        for stay in known.get(found_id, ())
        if stay.kind != PartKind.CONTROL_BOARD
        and stay.last_seen_at is None
        and (key := (stay.kind, stay.serial)) in was
    ]
    for some in chunks([stay.id for _, stay in both]):
        await connection.execute(part_stays.delete().where(part_stays.c.id.in_(some)))
    for some in chunks([stay.id for stay, _ in both]):
        values = part_stays.update().where(part_stays.c.id.in_(some)).values(last_seen_at=None)
        await connection.execute(values)


async def hand_over(connection: AsyncConnection, from_id: str, to_id: str) -> None:
    """All that is known of the parts of one record is of another."""
    await connection.execute(
        part_stays.update().where(part_stays.c.miner_id == from_id).values(miner_id=to_id)
    )


async def end(connection: AsyncConnection, miner_id: str, at: datetime) -> None:
    """Nothing of what a record knew is there any more."""
    there = (part_stays.c.miner_id == miner_id, part_stays.c.last_seen_at.is_(None))
    await connection.execute(part_stays.update().where(*there).values(last_seen_at=at))


async def _stays(
    connection: AsyncConnection, farm_id: str, where: sa.ColumnElement[bool]
) -> list[Stay]:
    query = (
        sa.select(*_STAY_COLUMNS)
        .join(miners, miners.c.id == part_stays.c.miner_id)
        .where(part_stays.c.farm_id == farm_id, where)
        .order_by(part_stays.c.first_seen_at, part_stays.c.id)
    )
    return read_rows(Stay, await connection.execute(query))


async def _latest(
    connection: AsyncConnection,
    farm_id: str,
    changed: Iterable[PartChange],
    known: Mapping[str, Sequence[Stay]],
) -> dict[tuple[str, str], Stay]:
    """Of the parts that are back in a miner that had them: the stays in which they were seen last, wherever."""
    back: set[str] = set()
    for each in changed:
        over = {s.serial for s in known.get(each.row.id, ()) if s.last_seen_at is not None}
        back |= {part.serial for part in parts_of(each.row.parts) if part.serial in over}
    found = await stays_of(connection, farm_id, back)
    return {key: max(some, key=_seen_at) for key, some in found.items()}


def _seen_at(stay: Stay) -> datetime:
    return stay.seen_at


def _row(farm_id: str, changed: PartChange, part: MinerPart) -> dict[str, Any]:
    return {
        "farm_id": farm_id,
        "serial": part.serial,
        "kind": part.kind,
        "miner_id": changed.row.id,
        "slot": part.slot,
        "first_seen_at": changed.at,
        "last_seen_at": None,
    }


def _too_many(mine: Sequence[Stay], wanted: int) -> list[int]:
    """Those that ended so long ago that there is no room for them beside so many more."""
    over = [stay.id for stay in mine if stay.last_seen_at is not None]
    return over[: max(0, len(mine) + wanted - STAYS_MOST)]


def _shown(row: MinerRow) -> list[MinerPart]:
    """What a miner shows by its last look; what that does not tell is as it was."""
    static, moving = row.static or {}, row.moving or {}
    before = parts_of(row.parts)
    found = [
        *_one(PartKind.CONTROL_BOARD, static.get("serial"), before),
        *_one(PartKind.PSU, (static.get("psu") or {}).get("serial"), before),
    ]
    hashboards = [part for part in before if part.kind is PartKind.HASHBOARD]
    told = {
        board["index"]: _serial(board.get("serial"))
        for board in moving.get("boards", ())[:HASHBOARDS_MOST]
        if board.get("part") is None
    }
    if any(told.values()):
        was = {part.slot: part.serial for part in hashboards}
        by_slot = {slot: serial or was.get(slot) for slot, serial in told.items()}
        hashboards = [
            MinerPart(PartKind.HASHBOARD, serial, slot)
            for slot, serial in sorted(by_slot.items())
            if serial
        ]
    return found + hashboards


def _one(kind: PartKind, told: Any, before: Iterable[MinerPart]) -> list[MinerPart]:
    serial = _serial(told)
    if serial is not None:
        return [MinerPart(kind, serial)]
    return [part for part in before if part.kind is kind]


def _serial(told: Any) -> str | None:
    return told.strip() if isinstance(told, str) and not is_placeholder(told) else None


def _text(parts: Iterable[MinerPart]) -> str:
    return "\n".join(
        f"{part.kind}\t{'' if part.slot is None else part.slot}\t{part.serial}" for part in parts
    )
