"""Miners as operators search for them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.anomalies import ERRORS, HEALTH_BITS, LOW_HASHRATE
from cloud.store.engine import Store, chunks
from cloud.store.filters import Condition, matches
from cloud.store.miners.readings import DUPLICATE_MAC, INTERVAL_MAX_S
from cloud.store.schema.rows import MinerRow, read_rows
from cloud.store.schema.tables import miners
from contract.errors import ErrorCode
from contract.miner import normalize_mac
from contract.nonce.filters import EnumFilter, TextFilter
from contract.nonce.miners import ANOMALY_BITS, OPS_STATUSES
from contract.nonce.pages import Page
from contract.ranges import Range

INTERVAL_DEFAULT_S: Final = 300.0
STALE_AFTER_INTERVALS: Final = 3
STALE_FLOOR_S: Final = 60.0
# Identities of machines that no agent looks at: what they report is `cloud.store.miners.rigs`.
REPORTS_ITSELF: Final = "rig:"
# What a row of a miner is for everybody but the driver's author and the hourly mean.
COLUMNS: Final = tuple(column for column in miners.c if column.name not in ("raw", "hours"))
FIGURES: Final = ("moving", "static")  # of these, what makes a row long
_PIECE: Final = 2000  # ids in hand at once
_CHAIN: Final = 100  # conditions in one piece of a long list
UNKNOWN_MODE: Final = "unknown"  # what the mode of a miner that tells none is called


class MinerQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of the miners of a farm; all of it must hold. Words of `statuses` may be of any axis."""

    agent_id: TextFilter | None = None
    sn: TextFilter | None = None
    mac: TextFilter | None = None
    statuses: tuple[EnumFilter, ...] = ()
    ops_status: EnumFilter | None = None
    asset_status: EnumFilter | None = None
    unstable: bool | None = None
    anomalies: tuple[str, ...] | None = None  # any of
    modes: tuple[str, ...] | None = None  # any of
    realization_min: float | None = None
    realization_max: float | None = None
    ip_ranges: tuple[Range, ...] | None = None  # any of


def stale_after_s(interval_s: float | None) -> float:
    """How long after the last look a miner that is looked at every so often counts as stale."""
    every_s = min(interval_s or INTERVAL_DEFAULT_S, INTERVAL_MAX_S)
    return max(STALE_FLOOR_S, STALE_AFTER_INTERVALS * every_s)


class ListedMiner(MinerRow, kw_only=True):
    """A miner without `raw` and `hours`; and where else its MAC is shown."""

    twin_ips: list[str] = msgspec.field(default_factory=list)


async def find(
    store: Store, farm_id: str, wanted: MinerQuery, page: Page, now: datetime
) -> tuple[list[ListedMiner], int]:
    """One page of the miners that match, by address, and how many match."""
    async with store.read() as connection:
        where = await _where(connection, farm_id, wanted, now)
        total = await connection.scalar(sa.select(sa.func.count()).select_from(miners).where(where))
        order = sa.select(miners.c.id).where(where).order_by(miners.c.ip_number, miners.c.id)
        ids = await connection.scalars(order.limit(page.size).offset(page.sql_offset))
        # In pieces: decoding a page of ten thousand at once would keep the long polls waiting.
        wanted_ids = list(ids)
        found = await by_ids(connection, farm_id, wanted_ids)
        return [found[id_] for id_ in wanted_ids], total or 0


async def matching(
    connection: AsyncConnection, farm_id: str, wanted: MinerQuery, now: datetime
) -> list[str]:
    """The ids of all miners that match, by address."""
    where = await _where(connection, farm_id, wanted, now)
    order = sa.select(miners.c.id).where(where).order_by(miners.c.ip_number, miners.c.id)
    # In pieces, as it may be a whole farm, and agents are waiting.
    found: list[str] = []
    async for some in (await connection.stream_scalars(order)).partitions(_PIECE):
        found += some
    return found


async def by_ids(
    connection: AsyncConnection,
    farm_id: str,
    ids: Collection[str],
    *,
    without: Collection[str] = (),
) -> dict[str, ListedMiner]:
    """The miners of a farm with these ids, deleted ones included. Those whose MAC another one shows have `twin_ips`.
    The columns in `without` are not read.
    """
    found: dict[str, ListedMiner] = {}
    columns = [column for column in COLUMNS if column.name not in without]
    for some in chunks(list(ids)):
        # By the ids alone: beside them the farm would be looked up, all of its miners for each piece.
        query = sa.select(*columns).where(miners.c.id.in_(some))
        rows = read_rows(ListedMiner, await connection.execute(query))
        found |= {row.id: row for row in rows if row.farm_id == farm_id}
    await _tell_twins(connection, farm_id, found.values())
    return found


async def number_by_agent(connection: AsyncConnection, farm_id: str) -> dict[str | None, int]:
    """How many miners each agent of a farm looks after; None is nobody."""
    query = (
        sa.select(miners.c.agent_id, sa.func.count())
        .where(miners.c.farm_id == farm_id, miners.c.deleted_at.is_(None))
        .group_by(miners.c.agent_id)
    )
    return {row[0]: row[1] for row in await connection.execute(query)}


async def one(store: Store, farm_id: str, miner_id: str) -> ListedMiner | None:
    """A miner of a farm, deleted or not."""
    async with store.read() as connection:
        return (await by_ids(connection, farm_id, [miner_id])).get(miner_id)


async def _tell_twins(
    connection: AsyncConnection, farm_id: str, found: Collection[ListedMiner]
) -> None:
    """Give each of these miners `twin_ips`: where else its MAC is shown."""
    doubtful = [row for row in found if row.unstable_reason == DUPLICATE_MAC]
    at: dict[str | None, set[str]] = {}
    for some in chunks(sorted({row.mac for row in doubtful if row.mac is not None})):
        query = sa.select(miners.c.mac, miners.c.ip).where(
            miners.c.farm_id == farm_id,
            miners.c.mac.in_(some),
            miners.c.unstable_reason == DUPLICATE_MAC,
            miners.c.deleted_at.is_(None),
        )
        for mac, ip in await connection.execute(query):
            at.setdefault(mac, set()).add(ip)
    for row in doubtful:
        row.twin_ips = sorted(at.get(row.mac, set()) - {row.ip})


async def _where(
    connection: AsyncConnection, farm_id: str, wanted: MinerQuery, now: datetime
) -> Condition:
    fresh = await _fresh(connection, farm_id, now)
    return sa.and_(
        miners.c.farm_id == farm_id, miners.c.deleted_at.is_(None), *_conditions(wanted, fresh)
    )


async def _fresh(connection: AsyncConnection, farm_id: str, now: datetime) -> Condition:
    """Who was looked at lately. Databases disagree on adding seconds to a time, and a farm has few
    different intervals, so the sum is done here.
    """
    intervals = await connection.scalars(
        sa.select(miners.c.interval_s).where(miners.c.farm_id == farm_id).distinct()
    )
    return sa.or_(
        sa.false(),
        *(
            sa.and_(
                miners.c.interval_s.is_(None) if each is None else miners.c.interval_s == each,
                miners.c.last_seen_at >= now - timedelta(seconds=stale_after_s(each)),
            )
            for each in intervals
        ),
    )


def _conditions(wanted: MinerQuery, fresh: Condition) -> list[Condition]:
    found = matches(miners.c.agent_id, wanted.agent_id)
    found += _serial(wanted.sn)
    found += _mac(wanted.mac)
    for status in wanted.statuses:
        found += _status(status, fresh)
    found += matches(miners.c.ops_status, wanted.ops_status)
    found += matches(miners.c.asset_status, wanted.asset_status)
    if wanted.unstable is not None:
        column = miners.c.unstable_reason
        found.append(column.is_not(None) if wanted.unstable else column.is_(None))
    if wanted.anomalies is not None:
        mask = sum(1 << ANOMALY_BITS[n] for n in set(wanted.anomalies) if n in ANOMALY_BITS)
        found.append(_flagged(mask, fresh))
    if wanted.modes is not None:
        words = list(wanted.modes)
        mode = sa.func.coalesce(miners.c.mode, UNKNOWN_MODE)
        found.append(sa.or_(mode.in_(words), miners.c.mode_preset.in_(words)))
    if wanted.realization_min is not None or wanted.realization_max is not None:
        found += [miners.c.hashrate_ideal_hs > 0, _has_figures(fresh)]
        if wanted.realization_min is not None:
            least = wanted.realization_min * miners.c.hashrate_ideal_hs
            found.append(miners.c.hashrate_hs >= least)
        if wanted.realization_max is not None:
            most = wanted.realization_max * miners.c.hashrate_ideal_hs
            found.append(miners.c.hashrate_hs <= most)
    if wanted.ip_ranges is not None:
        number = miners.c.ip_number
        found.append(_any([number.between(each.first, each.last) for each in wanted.ip_ranges]))
    return found


def _any(conditions: Sequence[Condition]) -> Condition:
    """Whether one of them holds. Many of them are asked in pieces: SQLite takes no chain of a thousand."""
    if len(conditions) <= _CHAIN:
        return sa.or_(sa.false(), *conditions)
    pieces = (sa.select(miners.c.id).where(sa.or_(*some)) for some in chunks(conditions, _CHAIN))
    return miners.c.id.in_(sa.union_all(*pieces))


def _serial(wanted: TextFilter | None) -> list[Condition]:
    """Serials of the miner, its boards, supply and controller lie in one text, `|A|B|`, their own bars left out."""
    if wanted is None:
        return []
    column = miners.c.serials

    def is_one(value: str) -> Condition:
        return column.contains(f"|{value.replace('|', '')}|", autoescape=True)

    found: list[Condition] = []
    if wanted.eq is not None:
        found.append(is_one(wanted.eq))
    if wanted.in_ is not None:
        found.append(_any([is_one(value) for value in wanted.in_]))
    if wanted.ne is not None:
        found.append(sa.not_(is_one(wanted.ne)))
    if wanted.nin is not None:
        found.append(sa.not_(_any([is_one(value) for value in wanted.nin])))
    if wanted.contains is not None:
        found.append(column.icontains(wanted.contains, autoescape=True))
    return found


def _mac(wanted: TextFilter | None) -> list[Condition]:
    """A whole MAC may be written in any of the usual ways."""
    if wanted is None:
        return []

    def spelt(value: str) -> str:
        return normalize_mac(value) or value.upper()

    return matches(
        miners.c.mac,
        TextFilter.model_validate(
            {
                name: value
                for name, value in {
                    "eq": wanted.eq and spelt(wanted.eq),
                    "ne": wanted.ne and spelt(wanted.ne),
                    "in": wanted.in_ and [spelt(each) for each in wanted.in_],
                    "nin": wanted.nin and [spelt(each) for each in wanted.nin],
                    "contains": wanted.contains,
                }.items()
                if value is not None
            }
        ),
    )


def _status(wanted: EnumFilter, fresh: Condition) -> list[Condition]:
    """A miner matches when a word holds that is asked for, and none that is ruled out."""
    found: list[Condition] = []
    if wanted.eq is not None:
        found.append(_holds(wanted.eq, fresh))
    if wanted.in_ is not None:
        found.append(sa.or_(sa.false(), *(_holds(word, fresh) for word in set(wanted.in_))))
    ruled_out = ([] if wanted.ne is None else [wanted.ne]) + (wanted.nin or [])
    return found + [sa.not_(_holds(word, fresh)) for word in ruled_out]


def _holds(word: str, fresh: Condition) -> Condition:
    """Whether a status word, a retired one included, is true of a miner. Never null, so that it can be negated."""
    if word in OPS_STATUSES:
        return sa.func.coalesce(miners.c.ops_status == word, sa.false())
    if word == "online":
        return sa.and_(_is(fresh), _answers())
    if word == "offline":
        return sa.not_(_has_figures(fresh))
    if word == "stale":
        return sa.and_(sa.not_(_by_itself()), sa.not_(_is(fresh)))
    if word == "error":
        return _has(miners.c.anomaly_flags, ERRORS)
    if word == "low_hashrate":
        return _flagged(LOW_HASHRATE, fresh)
    if word in HEALTH_BITS:
        return sa.and_(_has(miners.c.health, 1 << HEALTH_BITS[word]), _has_figures(fresh))
    if word == ErrorCode.AUTH_FAILED:
        return miners.c.auth_failed_at.is_not(None)
    return sa.false()  # unknown words match nothing; of overclocking no maker tells us


def _has_figures(fresh: Condition) -> Condition:
    """Whether it is not offline: the figures of one that is are not shown, so nothing is judged by them."""
    silent = sa.and_(_by_itself(), sa.not_(_is(fresh)))
    return sa.not_(sa.or_(sa.and_(_is(fresh), sa.not_(_answers())), silent))


def _answers() -> Condition:
    return sa.func.coalesce(miners.c.last_ok, sa.true())


def _by_itself() -> Condition:
    return miners.c.identity.startswith(REPORTS_ITSELF)


def _is(fresh: Condition) -> Condition:
    return sa.func.coalesce(fresh, sa.false())


def _flagged(mask: int, fresh: Condition) -> Condition:
    """Whether one of these anomalies is shown of it."""
    found = _has(miners.c.anomaly_flags, mask & ~LOW_HASHRATE)
    if not mask & LOW_HASHRATE:
        return found
    return sa.or_(found, sa.and_(_has(miners.c.anomaly_flags, LOW_HASHRATE), _has_figures(fresh)))


def _has(bits: sa.ColumnElement[int], mask: int) -> Condition:
    return bits.bitwise_and(mask) != 0
