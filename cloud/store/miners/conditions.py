"""What is asked of the miners of a farm, as SQL conditions. What a filter finds is what the items say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from cloud.store.engine import chunks
from cloud.store.filters import (
    Condition,
    equals,
    is_any_case,
    is_like,
    matches,
    measures,
    reads,
    reads_in_any_case,
    tagged,
    within,
)
from cloud.store.schema.tables import agents, miners
from contract.condition.anomalies import ERRORS, HEALTH_BITS, LOW_HASHRATE
from contract.errors import ErrorCode
from contract.miner import Make, normalize_mac
from contract.nonce.filters import DateFilter, EnumFilter, NumberFilter, TagsFilter, TextFilter
from contract.nonce.miners import ANOMALY_BITS, MODEL_FAMILY, OPS_STATUSES, SortKey
from contract.ranges import Range

# Identities of machines that no agent looks at: what they report is `cloud.store.miners.rigs`.
REPORTS_ITSELF: Final = "rig:"
UNKNOWN_MODE: Final = "unknown"  # what the mode of a miner that tells none is called
_CHAIN: Final = 100  # conditions in one piece of a long list
# What people call the makes that Nonce calls by their company.
_MAKES: Final = {"antminer": Make.ANTMINER.value, "whatsminer": Make.WHATSMINER.value}
# Figures of the last look: of a miner that is offline they are not shown.
_FIGURES: Final[dict[str, sa.ColumnElement[Any]]] = {
    "hashrate": miners.c.hashrate_hs,
    "hashrate_realization": miners.c.hashrate_hs / sa.func.nullif(miners.c.hashrate_ideal_hs, 0),
    "power": miners.c.power_w,
    "efficiency": miners.c.power_w * 1e12 / sa.func.nullif(miners.c.hashrate_hs, 0),
    "temperature": miners.c.temp_c,
    "uptime": miners.c.uptime_s,
}
_SORTED: Final[dict[str, sa.ColumnElement[Any]]] = {
    **_FIGURES,
    "ip": miners.c.ip_number,
    "mode": miners.c.mode,
    "position": miners.c.position,
    "power_limit": miners.c.power_limit_w,
    **{
        name: sa.func.lower(miners.c[name])
        for name in ("name", "make", "model", "firmware_version", "hall", "row", "rack")
    },
}


class MinerQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of the miners of a farm; all of it must hold. Words of `statuses` may be of any axis."""

    agent_id: TextFilter | None = None
    agent: TextFilter | None = None  # id or name
    serials: tuple[TextFilter, ...] = ()
    mac: TextFilter | None = None
    name: TextFilter | None = None
    make: TextFilter | None = None
    model: TextFilter | None = None
    firmware: TextFilter | None = None
    firmware_version: TextFilter | None = None
    statuses: tuple[EnumFilter, ...] = ()
    ops_status: EnumFilter | None = None
    asset_status: EnumFilter | None = None
    unstable: bool | None = None
    anomalies: EnumFilter | None = None
    mode: EnumFilter | None = None
    tags: TagsFilter | None = None
    hall: TextFilter | None = None
    row: TextFilter | None = None
    rack: TextFilter | None = None
    position: NumberFilter | None = None
    hashrate: NumberFilter | None = None
    hashrate_realization: NumberFilter | None = None
    power: NumberFilter | None = None
    power_limit: NumberFilter | None = None
    efficiency: NumberFilter | None = None
    temperature: NumberFilter | None = None
    uptime: NumberFilter | None = None
    wrong_since: DateFilter | None = None
    ip_ranges: tuple[Range, ...] | None = None  # any of
    also: MinerQuery | None = None  # what must hold besides


def listed(farm_id: str, wanted: MinerQuery, now: datetime) -> Condition:
    """The miners on the lists of a farm that match."""
    on_the_lists = (miners.c.farm_id == farm_id, miners.c.deleted_at.is_(None))
    return sa.and_(*on_the_lists, *_conditions(farm_id, wanted, looked_at_lately(now)))


def ordered(keys: Sequence[SortKey], now: datetime) -> list[sa.ColumnElement[Any]]:
    """By these, what is not told last; then by address."""
    order: list[sa.ColumnElement[Any]] = []
    for key in keys:
        value = _SORTED[key.field]
        if key.field in _FIGURES:
            value = sa.case((_has_figures(looked_at_lately(now)), value))
        order += [value.is_(None), value.desc() if key.direction == "desc" else value]
    return [*order, miners.c.ip_number, miners.c.id]


def looked_at_lately(now: datetime) -> Condition:
    """Who was looked at lately. Never null, so that it can be negated."""
    return sa.func.coalesce(miners.c.stale_at >= now, sa.false())


def wrong_at(fresh: Condition) -> sa.ColumnElement[datetime]:
    """Since when something is wrong with a miner; one that nobody looks at is stale from then on."""
    is_looked_at = sa.or_(fresh, _by_itself())
    return sa.case(
        (is_looked_at, miners.c.wrong_since),
        else_=sa.func.coalesce(miners.c.wrong_since, miners.c.stale_at),
    )


def _conditions(farm_id: str, wanted: MinerQuery, fresh: Condition) -> list[Condition]:
    found = reads(
        wanted.agent_id, miners.c.agent_id.in_, lambda pattern: is_like(miners.c.agent_id, pattern)
    )
    found += _agent(farm_id, wanted.agent)
    for serial in wanted.serials:
        found += reads(serial, _is_serial, _is_like_serial)
    found += reads(wanted.mac, _is_mac, lambda pattern: is_like(miners.c.mac, _colons(pattern)))
    found += reads(wanted.make, _is_make, lambda pattern: is_like(miners.c.make, pattern))
    found += reads(wanted.model, _is_model, _is_like_model)
    for name in ("name", "firmware", "firmware_version", "hall", "row", "rack"):
        found += reads_in_any_case(miners.c[name], getattr(wanted, name))
    for status in wanted.statuses:
        found += _words(status, lambda word: _holds(word, fresh))
    found += matches(miners.c.ops_status, wanted.ops_status)
    found += matches(miners.c.asset_status, wanted.asset_status)
    if wanted.unstable is not None:
        column = miners.c.unstable_reason
        found.append(column.is_not(None) if wanted.unstable else column.is_(None))
    found += _words(wanted.anomalies, lambda word: _is_anomaly(word, fresh))
    found += equals(wanted.mode, _runs_in)
    found += tagged(miners.c.tags, wanted.tags)
    found += measures(miners.c.position, wanted.position)
    found += measures(miners.c.power_limit_w, wanted.power_limit)
    for name, figure in _FIGURES.items():
        if asked := measures(figure, getattr(wanted, name)):
            found += [_has_figures(fresh), *asked]
    if wanted.wrong_since is not None:
        found += [wrong_at(fresh).is_not(None), *within(wrong_at(fresh), wanted.wrong_since)]
    if wanted.ip_ranges is not None:
        number = miners.c.ip_number
        found.append(_any([number.between(each.first, each.last) for each in wanted.ip_ranges]))
    if wanted.also is not None:
        found += _conditions(farm_id, wanted.also, fresh)
    return found


def _any(conditions: Sequence[Condition]) -> Condition:
    """Whether one of them holds. Many of them are asked in pieces: SQLite takes no chain of a thousand."""
    if len(conditions) <= _CHAIN:
        return sa.or_(sa.false(), *conditions)
    pieces = (sa.select(miners.c.id).where(sa.or_(*some)) for some in chunks(conditions, _CHAIN))
    return miners.c.id.in_(sa.union_all(*pieces))


def _agent(farm_id: str, wanted: TextFilter | None) -> list[Condition]:
    """Who looks after it, by id or name."""

    def looked_after_by(condition: Condition) -> Condition:
        ids = sa.select(agents.c.id).where(agents.c.farm_id == farm_id, condition)
        return miners.c.agent_id.in_(ids)

    def one_of(values: Sequence[str]) -> Condition:
        return looked_after_by(sa.or_(agents.c.id.in_(values), is_any_case(agents.c.name, values)))

    def like(pattern: str) -> Condition:
        return looked_after_by(sa.or_(*(is_like(agents.c[n], pattern) for n in ("id", "name"))))

    return reads(wanted, one_of, like)


def _is_serial(values: Sequence[str]) -> Condition:
    """Serials of the miner, its boards, supply and controller lie in one text, `|A|B|`, their own bars left out."""
    column = miners.c.serials
    return _any(
        [column.contains(f"|{value.replace('|', '')}|", autoescape=True) for value in values]
    )


def _is_like_serial(pattern: str) -> Condition:
    """A star may run over several serials of one miner."""
    return is_like(miners.c.serials, f"%|{pattern.replace('|', '')}|%")


def _is_mac(values: Sequence[str]) -> Condition:
    """A whole MAC may be written in any of the usual ways."""
    return miners.c.mac.in_([normalize_mac(value) or value.upper() for value in values])


def _colons(pattern: str) -> str:
    return pattern.replace("-", ":")


def _is_make(values: Sequence[str]) -> Condition:
    return is_any_case(miners.c.make, [_MAKES.get(value.lower(), value) for value in values])


def _is_model(values: Sequence[str]) -> Condition:
    return is_any_case(miners.c.model, [*values, *(MODEL_FAMILY + value for value in values)])


def _is_like_model(pattern: str) -> Condition:
    return sa.or_(*(is_like(miners.c.model, each) for each in (pattern, MODEL_FAMILY + pattern)))


def _words(wanted: EnumFilter | None, holds: Callable[[str], Condition]) -> list[Condition]:
    """A miner matches when a word holds that is asked for, and none that is ruled out."""
    if wanted is None:
        return []
    found: list[Condition] = []
    if wanted.eq is not None:
        found.append(holds(wanted.eq))
    if wanted.in_ is not None:
        found.append(sa.or_(sa.false(), *(holds(word) for word in dict.fromkeys(wanted.in_))))
    ruled_out = ([] if wanted.ne is None else [wanted.ne]) + (wanted.nin or [])
    return found + [sa.not_(holds(word)) for word in dict.fromkeys(ruled_out)]


def _runs_in(words: Sequence[str]) -> Condition:
    """In one of these modes or presets."""
    mode = sa.func.coalesce(miners.c.mode, UNKNOWN_MODE)
    return sa.or_(mode.in_(words), sa.func.coalesce(miners.c.mode_preset.in_(words), sa.false()))


def _is_anomaly(word: str, fresh: Condition) -> Condition:
    return _flagged(1 << ANOMALY_BITS[word], fresh) if word in ANOMALY_BITS else sa.false()


def _holds(word: str, fresh: Condition) -> Condition:
    """Whether a status word, a retired one included, is true of a miner. Never null, so that it can be negated."""
    if word in OPS_STATUSES:
        return sa.func.coalesce(miners.c.ops_status == word, sa.false())
    if word == "online":
        return sa.and_(fresh, _answers())
    if word == "offline":
        return sa.not_(_has_figures(fresh))
    if word == "stale":
        return sa.and_(sa.not_(_by_itself()), sa.not_(fresh))
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
    silent = sa.and_(_by_itself(), sa.not_(fresh))
    return sa.not_(sa.or_(sa.and_(fresh, sa.not_(_answers())), silent))


def _answers() -> Condition:
    return sa.func.coalesce(miners.c.last_ok, sa.true())


def _by_itself() -> Condition:
    return miners.c.identity.startswith(REPORTS_ITSELF)


def _flagged(mask: int, fresh: Condition) -> Condition:
    """Whether one of these anomalies is shown of it."""
    found = _has(miners.c.anomaly_flags, mask & ~LOW_HASHRATE)
    if not mask & LOW_HASHRATE:
        return found
    return sa.or_(found, sa.and_(_has(miners.c.anomaly_flags, LOW_HASHRATE), _has_figures(fresh)))


def _has(bits: sa.ColumnElement[int], mask: int) -> Condition:
    return bits.bitwise_and(mask) != 0
