"""Names, places and tags of many miners: what would change, and changing it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.store.miners.references import (
    AmbiguousError,
    NamedMiner,
    is_reserved,
    key_of,
    meant_by,
    named_miners,
)
from cloud.store.schema.tables import miners

PLACED: Final = ("name", "hall", "row", "rack", "position", "tags")


class PlaceWish(msgspec.Struct, frozen=True):
    """What is to be true of the miner that a reference means; the place of the wish in its list."""

    index: int
    reference: str
    values: Mapping[str, Any]  # of PLACED, those that are told


class Difference(msgspec.Struct, frozen=True):
    """What of one miner differs."""

    index: int
    miner: NamedMiner
    before: dict[str, Any]
    after: dict[str, Any]


class Flaw(msgspec.Struct, frozen=True):
    """Why a wish cannot be fulfilled, in words; the one before it that is for the same miner, where that is it."""

    words: str
    same_as: int | None = None


class PlacePlan(msgspec.Struct, frozen=True):
    """What is to be done; `faults` by the index of their wish."""

    changes: list[Difference]
    unchanged: int
    faults: dict[int, Flaw]


async def plan_places(
    connection: AsyncConnection, farm_id: str, wanted: Sequence[PlaceWish]
) -> PlacePlan:
    """What would change. Nothing is written."""
    meant = await meant_by(connection, farm_id, [each.reference for each in wanted])
    faults: dict[int, Flaw] = {}
    changes: list[Difference] = []
    unchanged = 0
    first: dict[str, int] = {}  # by miner
    for each in wanted:
        found = meant[each.reference]
        if len(found) > 1:
            faults[each.index] = Flaw(str(AmbiguousError(each.reference, found)))
        elif not found:
            faults[each.index] = Flaw(f"{each.reference}: no miner of this farm is called so")
        elif (before := first.setdefault(found[0].id, each.index)) != each.index:
            words = f"{each.reference}: the same miner is in number {before + 1} of the list"
            faults[each.index] = Flaw(words, before)
        elif change := _difference(each, found[0]):
            changes.append(change)
        else:
            unchanged += 1
    if any("name" in change.after for change in changes):
        faults |= _taken(changes, await named_miners(connection, farm_id))
    return PlacePlan(changes=changes, unchanged=unchanged, faults=dict(sorted(faults.items())))


async def write_places(
    connection: AsyncConnection, changes: Iterable[Difference], now: datetime
) -> None:
    """Make these changes within the caller's transaction."""
    values = [
        {"row_id": each.miner.id}
        | {f"new_{name}": each.after.get(name, getattr(each.miner, name)) for name in PLACED}
        for each in changes
    ]
    if values:
        columns = {name: sa.bindparam(f"new_{name}", type_=miners.c[name].type) for name in PLACED}
        update = miners.update().where(miners.c.id == sa.bindparam("row_id"))
        await connection.execute(update.values(**columns, updated_at=now), values)


def _difference(wanted: PlaceWish, miner: NamedMiner) -> Difference | None:
    after = {name: value for name, value in wanted.values.items() if value != getattr(miner, name)}
    before = {name: getattr(miner, name) for name in after}
    return Difference(wanted.index, miner, before, after) if after else None


def _taken(changes: Sequence[Difference], known: Iterable[NamedMiner]) -> dict[int, Flaw]:
    """Names that another miner of the farm has, once all is changed, and those that no miner can have."""
    renamed = {each.miner.id: each for each in changes if "name" in each.after}
    holders = {key_of(row.name): row for row in known if row.name and row.id not in renamed}
    faults: dict[int, Flaw] = {}
    for each in renamed.values():
        name = each.after["name"]
        if name is None:
            continue
        if is_reserved(name):
            words = f"name: {name} reads as an id, an address or a MAC; take another"
            faults[each.index] = Flaw(words)
        elif (holder := holders.setdefault(key_of(name), each.miner)) is not each.miner:
            words = f"name: the miner at {holder.ip or holder.id} is called {name}"
            faults[each.index] = Flaw(words)
    return faults
