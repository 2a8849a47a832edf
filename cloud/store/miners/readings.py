"""Taking in readings: miners are minted, moved and refreshed; the last look at each is kept.

`minted`, `refresh`, `take_static` and `write_miners` are for whoever else brings looks at miners.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from ipaddress import IPv4Address
from operator import itemgetter
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.store.assets import parts, proposals
from cloud.store.assets.parts import PartChanges
from cloud.store.engine import Store, chunks
from cloud.store.growth import Growth
from cloud.store.ids import new_miner_id
from cloud.store.miners.returns import BY_ADDRESS, Return, tell_returns
from cloud.store.schema.rows import AgentRow, MinerRow, read_rows
from cloud.store.schema.tables import agents, miners, reading_batches
from contract.clock import from_text
from contract.condition.anomalies import flags_of, health_of, power_w
from contract.condition.judgement import look_of, mask_of
from contract.errors import ErrorCode
from contract.link import MinerKey, MinerReading, ReadingsReply, ReadingsRequest
from contract.miner import Moving, Slow, Static, normalize_mac

# Of one look, as JSON; a whole one with all its boards is a twentieth of it.
READING_BYTES: Final = 256 * 1024
# Why the identity of a miner cannot be relied on (`unstable_reason`): it tells no MAC, or one that another tells, too.
NO_MAC: Final = "no_mac"
DUPLICATE_MAC: Final = "duplicate_mac"
_HOURS: Final = 24
_RATE_MAX_HS: Final = 1e18  # a thousand times the largest machine; sums of these stay numbers
INTERVAL_MAX_S: Final = 7 * 86_400.0  # between two looks: the most that an agent's config allows
INTERVAL_DEFAULT_S: Final = 300.0
_STALE_AFTER_INTERVALS: Final = 3
_STALE_FLOOR_S: Final = 60.0
_AWAY: Final = timedelta(days=1)
_NOT_CHANGED: Final = frozenset(  # by a reading: these are the operator's or stand for good
    {
        "id",
        "farm_id",
        "workspace_id",
        "asset_status",
        "ops_status",
        "comment",
        "pools_set",
        "tags",
        "name",
        "hall",
        "row",
        "rack",
        "position",
        "created_at",
    }
)
_READ: Final = tuple(column.name for column in miners.c if column.name not in _NOT_CHANGED)
# What a record says of the device that answers for it, and not of the place and the past of the miner.
OF_DEVICE: Final = tuple(name for name in _READ if name not in ("deleted_at", "updated_at"))


# What only operators write is not read here.
_COLUMNS: Final = tuple(
    column
    for column in miners.c
    if column.name not in {"comment", "tags", "name", "hall", "row", "rack", "position"}
)


@dataclass(frozen=True)
class StoredReading:
    """One reading as it is stored. `identity` tells this miner from all others of its farm; `ip` may be empty."""

    reading: MinerReading
    at: datetime
    identity: str
    mac: str | None
    ip: str


async def apply_readings(
    store: Store,
    agent: AgentRow,
    request: ReadingsRequest,
    now: datetime,
    cloud_s: float,
    growth: Growth,
) -> ReadingsReply:
    """One transaction. The same (run_id, seq) again changes nothing and is answered with the same ids. Readings of new
    miners beyond what `growth` allows are left out: their next ones may find room.

    Raises ValueError for a time or an address that is none.
    """
    looks = [_look(reading, now) for reading in request.readings]
    new: dict[str, MinerRow] = {}
    left_out = 0
    async with store.write() as connection:
        batch = {"agent_id": agent.id, "run_id": request.run_id, "seq": request.seq}
        seen = await connection.execute(
            sa.select(reading_batches.c.seq).where(
                *(reading_batches.c[name] == value for name, value in batch.items())
            )
        )
        duplicate = seen.first() is not None
        known = await _known(connection, agent.farm_id, looks)
        if not duplicate:
            changed: dict[str, MinerRow] = {}
            alone: set[str] = set()
            returns: list[Return] = []
            part_changes = PartChanges()
            standing = _standing(known.values(), agent.id)
            room: int | None = None  # for new miners, once there is one
            for index, each in enumerate(looks):
                look = looks[index] = _placed(each, known)
                row = known.get(look.identity)
                named = None if look.mac else standing.get(look.ip)
                if named is not None and _refuses_login(look, named):
                    _note_refusal(named, look, now)
                    if named.identity not in new:
                        changed[named.identity] = named
                    if row is None or row.deleted_at is not None:
                        continue  # it has no record beside that of the one that is known there
                if row is None:
                    if not look.reading.ok:
                        continue  # an address that never answered is no miner yet
                    if room is None:
                        room = await growth.new_miners(connection, agent.farm_id)
                    if len(new) >= room:
                        left_out += 1
                        continue
                    row = minted(look.identity, look.mac, agent.farm_id, agent.workspace_id, now)
                    known[look.identity] = new[look.identity] = row
                elif look.identity not in new:
                    changed[look.identity] = row
                before, read_at = row.unstable_reason, row.last_read_at
                if (returned := refresh(row, look, agent.id, now)) is not None:
                    returns.append(returned)
                if look.mac is not None and look.identity == look.mac and look.reading.ok:
                    part_changes.note(row, read_at)
                    _supersede(known, changed, look, now)
                    standing |= _standing([row], agent.id)
                if before == DUPLICATE_MAC != row.unstable_reason:
                    alone.add(look.identity)
            await _drop_twins(connection, agent.farm_id, alone, known, changed, now)
            await write_miners(connection, new.values(), changed.values())
            await tell_returns(connection, returns, now, agent.id)
            await parts.follow(connection, agent.farm_id, part_changes.by_id.values())
            news = {*part_changes.by_id, *(each.row.id for each in returns)}
            await proposals.suggest(connection, agent.farm_id, news, now)
            await connection.execute(
                reading_batches.insert().values(received_cloud_s=cloud_s, **batch)
            )
            await connection.execute(
                agents.update().where(agents.c.id == agent.id).values(last_updated_at=now)
            )
    growth.add_miners(agent.farm_id, len(new), left_out)
    keys: dict[str, MinerKey] = {}
    for look in looks:
        if row := known.get(look.identity):
            keys[look.identity] = MinerKey(id=row.id, mac=row.mac, ip=look.ip)
    return ReadingsReply(state="duplicate" if duplicate else "ok", miners=tuple(keys.values()))


def minted(
    identity: str, mac: str | None, farm_id: str, workspace_id: str, now: datetime
) -> MinerRow:
    """The row of a miner nobody knew, with an id of its own."""
    return MinerRow(
        id=new_miner_id(),
        farm_id=farm_id,
        workspace_id=workspace_id,
        identity=identity,
        mac=mac,
        unstable_reason=None if mac else NO_MAC,
        created_at=now,
        updated_at=now,
    )


def refresh(
    row: MinerRow, look: StoredReading, agent_id: str | None, now: datetime
) -> Return | None:
    """Put a look into the row of its miner. One from the past counts for the mean of the day only.

    Gives what is to be told of a miner that had been deleted and is on the lists again by this look.
    """
    reading = look.reading
    if reading.ok and reading.moving is not None:
        _count_hour(row, look.at, reading.moving.hashrate_hs, now)
    seen_at = row.last_seen_at
    # One from a buffer: the past does not overwrite the present. A stamp in the future is from before our clock was set
    # back, and newer than nothing.
    if seen_at is not None and look.at < seen_at <= now:
        return None
    returned = None
    deleted_at = row.deleted_at
    if deleted_at is not None and _came_back(row, look):
        returned = Return(row, deleted_at)
        row.deleted_at = None
    row.agent_id = agent_id
    row.ip, row.ip_number = look.ip or None, _ip_number(look.ip)
    row.last_seen_at, row.last_ok = look.at, reading.ok
    row.last_error = None if reading.ok else (reading.error or "")[:500]
    row.updated_at = now
    for name in ("drivable", "interval_s", "raw"):
        if getattr(reading, name) is not None:
            setattr(row, name, getattr(reading, name))
    row.stale_at = look.at + timedelta(seconds=_stale_after_s(row.interval_s))
    if reading.modes is not None:
        row.modes = list(reading.modes)
    if reading.twin_ips:
        row.unstable_reason = DUPLICATE_MAC
    if reading.error == ErrorCode.AUTH_FAILED:
        row.auth_failed_at = look.at
    if reading.ok:
        _take_reading(row, look)
    if _is_wrong(row):
        row.wrong_since = row.wrong_since or look.at
    else:
        row.wrong_since = None
    return returned


def _take_reading(row: MinerRow, look: StoredReading) -> None:
    reading = look.reading
    if reading.slow is not None or reading.slow_unchanged:
        row.slow_read_at = look.at
        if reading.error is None:
            row.auth_failed_at = None  # for these facts one has to log in, if for any
    if not reading.twin_ips:
        row.unstable_reason = None if look.mac else NO_MAC
    if look.identity.startswith(BY_ADDRESS):
        row.mac = look.mac
    row.last_read_at = look.at
    if reading.static is not None:
        take_static(row, reading.static)
    if reading.slow is not None:
        row.slow = msgspec.to_builtins(reading.slow)
        row.mode = reading.slow.mode
        row.mode_preset = reading.slow.mode_preset
        row.awake_mode = reading.slow.awake_mode or row.awake_mode
        row.power_limit_w = reading.slow.power_limit_w
    if reading.moving is not None:
        row.moving = msgspec.to_builtins(reading.moving)
        row.hashrate_hs = reading.moving.hashrate_hs
        row.power_w = power_w(reading.moving, _record(row.slow, Slow))
        row.temp_c = _temperature(reading.moving)
        row.uptime_s = reading.moving.uptime_s
    _judge(row)


def _is_wrong(row: MinerRow) -> bool:
    """By its own looks; whether it is stale, and hashes where its farm does, is seen beside those of others."""
    refused = row.auth_failed_at is not None
    return (
        bool(row.troubles)
        or row.last_ok is False
        or refused
        or row.unstable_reason == DUPLICATE_MAC
    )


def take_static(row: MinerRow, static: Static) -> None:
    """Put what a miner is into its row."""
    row.static = msgspec.to_builtins(static)
    for name in ("make", "model", "firmware", "firmware_version", "generation", "serial"):
        setattr(row, name, getattr(static, name))
    row.hostname, row.algorithm = static.hostname, static.algorithm
    row.hashrate_ideal_hs = static.hashrate_ideal_hs
    _judge(row)


async def write_miners(
    connection: AsyncConnection,
    new: Collection[MinerRow],
    changed: Collection[MinerRow],
) -> None:
    """Store rows, each as a whole but for what is the operator's."""
    if new:
        await connection.execute(miners.insert(), [msgspec.structs.asdict(row) for row in new])
    if changed:
        update = (
            miners.update()
            .where(miners.c.id == sa.bindparam("b_id"))
            .values({name: sa.bindparam(f"b_{name}") for name in _READ})
        )
        values = [
            {"b_id": row.id} | {f"b_{name}": getattr(row, name) for name in _READ}
            for row in changed
        ]
        await connection.execute(update, values)


def _look(reading: MinerReading, now: datetime) -> StoredReading:
    mac = normalize_mac(reading.mac) or normalize_mac(
        reading.static.mac if reading.static else None
    )
    ip = str(IPv4Address(reading.ip))
    if len(msgspec.json.encode(reading)) > READING_BYTES:
        reading = MinerReading(
            at=reading.at, ip=ip, mac=mac, ok=False, error=ErrorCode.MALFORMED_REPLY.value
        )
    if reading.interval_s is not None:
        reading = msgspec.structs.replace(reading, interval_s=_interval_s(reading.interval_s))
    return StoredReading(
        reading, min(from_text(reading.at), now), mac or f"{BY_ADDRESS}{ip}", mac, ip
    )


def _interval_s(told_s: float) -> float:
    """Within what there can be."""
    return min(max(told_s, 1.0), INTERVAL_MAX_S)


def _stale_after_s(interval_s: float | None) -> float:
    """How long after the last look a miner that is looked at every so often counts as stale."""
    return max(_STALE_FLOOR_S, _STALE_AFTER_INTERVALS * (interval_s or INTERVAL_DEFAULT_S))


def _placed(look: StoredReading, known: dict[str, MinerRow]) -> StoredReading:
    """Of several with one MAC, the one at the address of the record keeps it; each other is known by its address."""
    row = known.get(look.identity)
    if row is None or row.ip not in look.reading.twin_ips:
        return look
    return replace(look, identity=f"{BY_ADDRESS}{look.ip}")


async def _known(
    connection: AsyncConnection, farm_id: str, looks: list[StoredReading]
) -> dict[str, MinerRow]:
    of_farm = miners.c.farm_id == farm_id
    found: dict[str, MinerRow] = {}
    # Without a MAC the miner that is known at the address is wanted too, see _refuses_login.
    nameless = {_ip_number(look.ip) for look in looks if look.mac is None}
    for numbers in chunks(list(nameless)):
        query = sa.select(*_COLUMNS).where(of_farm, miners.c.ip_number.in_(numbers))
        found |= {row.identity: row for row in read_rows(MinerRow, await connection.execute(query))}
    # With a MAC the provisional row of its address is wanted too, see _supersede.
    wanted = sorted(
        {look.identity for look in looks} | {f"{BY_ADDRESS}{look.ip}" for look in looks}
    )
    for some in chunks(wanted):
        query = sa.select(*_COLUMNS).where(of_farm, miners.c.identity.in_(some))
        found |= {row.identity: row for row in read_rows(MinerRow, await connection.execute(query))}
    return found


def _standing(known: Iterable[MinerRow], agent_id: str) -> dict[str | None, MinerRow]:
    """By address, the miners with a MAC that this agent knows; of several at one the one seen there last."""
    seen = [
        (row.last_seen_at, row)
        for row in known
        if row.identity == row.mac
        and row.agent_id == agent_id
        and row.deleted_at is None
        and row.last_seen_at is not None
    ]
    return {row.ip: row for _, row in sorted(seen, key=itemgetter(0))}


def _refuses_login(look: StoredReading, named: MinerRow) -> bool:
    """Whether a look that brought no MAC met what refuses our login at the address of a miner known by its MAC, which
    many tell only after the login. A look that needs no login does not show that it is taken again.
    """
    if look.ip != named.ip or named.deleted_at is not None:
        return False
    if look.reading.error == ErrorCode.AUTH_FAILED:
        return True
    needs_none = look.reading.ok and look.reading.slow is None and not look.reading.slow_unchanged
    return needs_none and named.auth_failed_at is not None


def _note_refusal(named: MinerRow, look: StoredReading, now: datetime) -> None:
    """All that is said of the known miner is that the login is refused at its address: it may be another one."""
    if look.reading.error != ErrorCode.AUTH_FAILED:
        return
    for at in (named.last_seen_at, named.auth_failed_at):
        if at is not None and look.at < at <= now:
            return  # one from a buffer, as in `refresh`
    named.auth_failed_at, named.updated_at = look.at, now


def _came_back(row: MinerRow, look: StoredReading) -> bool:
    """A record the operator deleted stays deleted while its miner goes on answering; one that was away and is
    plugged in again returns. One known by its address alone stands for whatever answers there.
    """
    if not look.reading.ok:
        return False
    if look.identity.startswith(BY_ADDRESS) or row.last_seen_at is None:
        return True
    return bool(look.at - row.last_seen_at > _AWAY)


def _supersede(
    known: dict[str, MinerRow],
    changed: dict[str, MinerRow],
    look: StoredReading,
    now: datetime,
) -> None:
    """The address had a provisional row from before its MAC was known, or was its alone: that one goes."""
    identity = f"{BY_ADDRESS}{look.ip}"
    row = known.get(identity)
    if row is not None and row.deleted_at is None:
        row.deleted_at = row.updated_at = now
        changed.setdefault(identity, row)


async def _drop_twins(
    connection: AsyncConnection,
    farm_id: str,
    macs: Collection[str],
    known: dict[str, MinerRow],
    changed: dict[str, MinerRow],
    now: datetime,
) -> None:
    """Only one device has each of these MACs any more: the rows of the others go."""
    for some in chunks(sorted(macs)):
        query = sa.select(*_COLUMNS).where(
            miners.c.farm_id == farm_id,
            miners.c.mac.in_(some),
            miners.c.unstable_reason == DUPLICATE_MAC,
            miners.c.identity.startswith(BY_ADDRESS),
            miners.c.deleted_at.is_(None),
        )
        for found in read_rows(MinerRow, await connection.execute(query)):
            row = known.setdefault(found.identity, found)
            if row.unstable_reason == DUPLICATE_MAC and row.deleted_at is None:
                row.deleted_at = row.updated_at = now
                changed[found.identity] = row


def _count_hour(row: MinerRow, at: datetime, hashrate_hs: float | None, now: datetime) -> None:
    if hashrate_hs is None or not 0 <= hashrate_hs <= _RATE_MAX_HS:
        return
    this, current = int(at.timestamp() // 3600), int(now.timestamp() // 3600)
    hours = {hour: (total, looks) for hour, total, looks in row.hours or []}
    total, looks = hours.get(this, (0.0, 0))
    hours[this] = (total + hashrate_hs, looks + 1)
    kept = {hour: sums for hour, sums in sorted(hours.items()) if hour > current - _HOURS}
    row.hours = [[hour, *sums] for hour, sums in kept.items()]
    # The mean of the hours' means, so that an hour looked at more often does not count more.
    means = [total / looks for total, looks in kept.values()]
    row.hashrate_24h_hs = sum(means) / len(means) if means else None


def _judge(row: MinerRow) -> None:
    row.serials = _serials(row)
    moving, slow = _record(row.moving, Moving), _record(row.slow, Slow)
    static = _record(row.static, Static)
    row.anomaly_flags = flags_of(moving, slow, static)
    row.health = health_of(moving, slow)
    if moving is None:
        return
    look = look_of(moving, slow, static)
    row.state, row.troubles = look.state, mask_of(look.symptoms)
    row.expected_hs, row.expected_w, row.pool = look.expected_hs, look.expected_w, look.pool


def _ip_number(ip: str) -> int | None:
    try:
        return int(IPv4Address(ip))
    except ValueError:
        return None


def _temperature(moving: Moving) -> float | None:
    hottest = [moving.temp_chip_c, *(board.temp_chip_c for board in moving.boards)]
    chips = [temp for temp in hottest if temp is not None]
    if chips:
        return max(chips)
    return moving.temp_outlet_c if moving.temp_board_c is None else moving.temp_board_c


def _serials(row: MinerRow) -> str:
    static, moving = row.static or {}, row.moving or {}
    found = [static.get("serial"), (static.get("psu") or {}).get("serial")]
    found += [board.get("serial") for board in moving.get("boards", ())]
    # Bars around each: an exact search is a search for the serial with its bars.
    named = "|".join(dict.fromkeys(str(serial).replace("|", "") for serial in found if serial))
    return f"|{named}|" if named else ""


def _record(value: Any, kind: Any) -> Any:
    return None if value is None else msgspec.convert(value, kind)
