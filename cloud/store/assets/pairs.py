"""Two records of one farm, looked at as perhaps one miner: how alike they are, and what speaks against it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.store.assets.likeness import Likeness, RecordFacts, compare
from cloud.store.assets.parts import PartKind, Stay, is_there, parts_of, stays_in, stays_of
from cloud.store.engine import chunks
from cloud.store.schema.rows import read_rows
from cloud.store.schema.tables import miners
from contract.nonce.times import nonce_time

GONE: Final = "gone:"  # begins the identity of a record whose control board is in another miner now
_MANY: Final = 4  # miners that show one serial number at one time: it tells nothing
_DUPLICATE_MAC: Final = "duplicate_mac"


class Pair(NamedTuple):
    """`found_id` may be the miner of the record `asset_id`, with another control board."""

    asset_id: str
    found_id: str

    @property
    def swapped(self) -> Pair:
        return Pair(self.found_id, self.asset_id)


class PairedMiner(msgspec.Struct, kw_only=True):
    """What of a record counts here; columns of `tables.miners`."""

    id: str
    identity: str
    mac: str | None
    ip: str | None
    serial: str | None
    model: str | None
    hostname: str | None
    name: str | None
    hall: str | None
    row: str | None
    rack: str | None
    position: int | None
    parts: str | None
    last_read_at: datetime | None
    last_ok: bool | None
    stale_at: datetime | None
    unstable_reason: str | None
    deleted_at: datetime | None

    def __str__(self) -> str:
        called = (self.name, self.ip, self.mac)
        return " ".join(each for each in called if each) or self.id

    def answers(self, now: datetime) -> bool:
        """Whether it was looked at lately, and answered."""
        return self.stale_at is not None and self.stale_at >= now and self.last_ok is not False

    @property
    def may_be_asset(self) -> bool:
        is_known = self.identity == self.mac or self.identity.startswith(GONE)
        return self.deleted_at is None and is_known

    @property
    def may_be_found(self) -> bool:
        return self.deleted_at is None and self.identity == self.mac


class PairJudgement(msgspec.Struct, frozen=True, kw_only=True):
    """How alike the two are, and why they cannot be taken for one miner as things are, in words."""

    likeness: Likeness
    doubts: tuple[str, ...]

    @property
    def holds(self) -> bool:
        return self.likeness.is_likely and not self.doubts


class PairedFarm(msgspec.Struct, frozen=True):
    """What of a farm was read to judge pairs."""

    rows: Mapping[str, PairedMiner]
    stays: Mapping[str, Sequence[Stay]]  # by miner
    places: Mapping[tuple[str, str], Sequence[Stay]]  # by part


async def load(connection: AsyncConnection, farm_id: str, ids: Collection[str]) -> PairedFarm:
    """Of these miners, and of where else their parts were."""
    columns = [miners.c[name] for name in PairedMiner.__struct_fields__]
    rows: dict[str, PairedMiner] = {}
    for some in chunks(sorted(ids)):
        query = sa.select(*columns).where(miners.c.id.in_(some), miners.c.farm_id == farm_id)
        found = read_rows(PairedMiner, await connection.execute(query))
        rows |= {row.id: row for row in found}
    stays = await stays_in(connection, farm_id, rows.keys())
    serials = {stay.serial for mine in stays.values() for stay in mine}
    return PairedFarm(rows, stays, await stays_of(connection, farm_id, serials))


def judge(known: PairedFarm, pair: Pair, now: datetime) -> PairJudgement | None:
    """None where one of the two is no record that could be meant."""
    asset, found = known.rows.get(pair.asset_id), known.rows.get(pair.found_id)
    if asset is None or found is None or not asset.may_be_asset or not found.may_be_found:
        return None
    was = {(stay.kind, stay.serial): stay for stay in known.stays.get(asset.id, ())}
    came = {
        key: stay.first_seen_at
        for stay in known.stays.get(found.id, ())
        # what was seen elsewhere since is there, and not here
        if is_there(stay, known.places.get(key := (stay.kind, stay.serial), ()))
    }
    shown = [
        key
        for part in parts_of(found.parts)
        if (key := (part.kind, part.serial)) in came
        and (part.kind is PartKind.CONTROL_BOARD or _home(known, key) != found.id)
    ]
    of_asset = {key: stay for key, stay in was.items() if _home(known, key) == asset.id}
    shared = [of_asset[key] for key in shown if key in of_asset]
    common = {key[1] for key in shown if _is_common(known.places.get(key))}
    likeness = compare(
        _facts(asset, _had(of_asset.values(), shared)), _facts(found, shown), common=common
    )
    telling = [stay for stay in shared if stay.serial not in common]
    still = {
        stay.serial: came[stay.kind, stay.serial] for stay in telling if stay.last_seen_at is None
    }
    doubts = tuple(_doubts(asset, found, still, likeness, now))
    return PairJudgement(likeness=likeness, doubts=doubts)


def home_of(kind: str, stays: Iterable[Stay]) -> str | None:
    """Whose part it is, by all its stays, the oldest first: of the records on the lists that of the one which showed it
    first. A control board is at home where it is: in the first of those that show it.
    """
    for stay in stays:
        if stay.deleted_at is None and (
            kind != PartKind.CONTROL_BOARD or stay.last_seen_at is None
        ):
            return stay.miner_id
    return None


def _home(known: PairedFarm, key: tuple[str, str]) -> str | None:
    return home_of(key[0], known.places.get(key, ()))


def _had(stays: Iterable[Stay], shared: Sequence[Stay]) -> list[tuple[str, str]]:
    """The parts that the asset had while it had those that are shared: of each kind those that it shows still, or those
    that it lost together with the last of them.
    """
    had: list[tuple[str, str]] = []
    for kind in PartKind:
        of_kind = [stay for stay in stays if stay.kind == kind]
        lost = [stay.last_seen_at for stay in shared if stay.kind == kind]
        at = (
            None if None in lost else max((each for each in lost if each is not None), default=None)
        )
        had += [(stay.kind, stay.serial) for stay in of_kind if stay.last_seen_at == at]
    return had


def _facts(row: PairedMiner, parts: Iterable[tuple[str, str]]) -> RecordFacts:
    by_kind: dict[str, list[str]] = {}
    for kind, serial in parts:
        by_kind.setdefault(kind, []).append(serial)
    place = (row.hall, row.row, row.rack, row.position)
    return RecordFacts(
        mac=row.mac,
        control_board=next(iter(by_kind.get(PartKind.CONTROL_BOARD, ())), None),
        hashboards=frozenset(by_kind.get(PartKind.HASHBOARD, ())),
        psu=next(iter(by_kind.get(PartKind.PSU, ())), None),
        model=row.model,
        hostname=row.hostname,
        address=row.ip,
        position=None if row.position is None else "/".join(str(each or "") for each in place),
    )


def _is_common(places: Sequence[Stay] | None) -> bool:
    """Whether so many miners showed it at one time that it tells none from another; a stay of one look is a passing
    one. `None`: so many that they were not read.
    """
    if places is None:
        return True
    longer = [e for e in places if e.last_seen_at is None or e.seen_at > e.first_seen_at]
    return any(
        len({o.miner_id for o in longer if o.first_seen_at <= stay.first_seen_at <= o.seen_at})
        >= _MANY
        for stay in longer
    )


def _doubts(
    asset: PairedMiner,
    found: PairedMiner,
    still: Mapping[str, datetime],
    likeness: Likeness,
    now: datetime,
) -> Iterable[str]:
    """`still`: the shared parts that nobody saw the asset without, and since when the found one shows them."""
    if not likeness.is_likely:
        yield f"the facts do not speak for it any more (score {likeness.score})"
    for row in (asset, found):
        if row.unstable_reason == _DUPLICATE_MAC:
            yield f"several devices show the MAC of {row}"
    at = asset.last_read_at
    if not still or at is None:
        return
    if any(at >= came for came in still.values()):
        yield (
            f"{asset} was seen with {', '.join(sorted(still))} after {found} was, last at {nonce_time(at)}: one of the "
            "two tells what is not so"
        )
    elif asset.answers(now):
        yield f"{asset} answers, and has not been read since {found} shows its parts: wait for its next reading"
