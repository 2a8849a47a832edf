"""ListMiners and SearchMiners, and what a miner looks like to operators."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web
from pydantic import ValidationError

from cloud.context import CLOCK, STORE
from cloud.http.errors import ApiError
from cloud.http.rights import needs
from cloud.nonce.answers import many, one, time_or_none
from cloud.nonce.requests import (
    PAGE,
    farm_of,
    flag_of,
    miner_of,
    page_of,
    ratio_of,
    read_body,
    refused,
    takes,
    text_of,
    words_of,
)
from cloud.store import selections
from cloud.store.engine import Connection, chunks
from cloud.store.miners import search
from cloud.store.miners.conditions import REPORTS_ITSELF, UNKNOWN_MODE, MinerQuery
from cloud.store.miners.readings import DUPLICATE_MAC
from cloud.store.miners.search import ListedMiner
from cloud.store.schema.rows import FarmRow
from contract.condition.anomalies import ERRORS, HEALTH_BITS, LOW_HASHRATE, power_w
from contract.errors import LOGIN_FIX, ErrorCode
from contract.keys import unknown_key
from contract.miner import Board, Moving, Reading, Slow, Static
from contract.nonce.filters import EnumFilter, Filter, NumberFilter, TextFilter
from contract.nonce.miners import (
    HEALTH_WORDS,
    ErrorItem,
    HashboardItem,
    MinerFilters,
    MinerItem,
    PoolItem,
    PsuItem,
    SearchMiners,
    SortKey,
)
from contract.nonce.pages import Page
from contract.nonce.searches import BODY_INSTEAD
from contract.nonce.sites import FARM, FarmRef
from contract.nonce.tasks import MinerSnapshot
from contract.ranges import Range, parse_range
from contract.roles import Role
from contract.words import faults_in

FilterT = TypeVar("FilterT", bound=Filter)
AUTH_FAILED: Final = ErrorCode.AUTH_FAILED.value
_PIECE: Final = 200
_REFUSED_LOGIN: Final = (
    f"the miner at its address refuses the login; {LOGIN_FIX} (miner-agent doctor, on the agent's host, says which "
    "login was tried)"
)


@needs(Role.VIEWER)
@takes(
    *PAGE,
    *("agent_id", "sn", "mac", "unstable", "hashrate_realization_min", "hashrate_realization_max"),
    lists=(
        "status",
        "ops_status",
        "asset_status",
        "anomaly_filters",
        "mining_modes_in",
        "ip_ranges",
    ),
)
async def list_miners(request: web.Request) -> web.Response:
    """GET F/miner/latest."""
    farm = await farm_of(request)
    wanted = MinerQuery(
        agent_id=_equal(text_of(request, "agent_id")),
        serials=_all(_equal(text_of(request, "sn"))),
        mac=_equal(text_of(request, "mac")),
        statuses=_any_of(words_of(request, "status")),
        ops_status=next(iter(_any_of(words_of(request, "ops_status"))), None),
        asset_status=next(iter(_any_of(words_of(request, "asset_status"))), None),
        unstable=flag_of(request, "unstable"),
        anomalies=next(iter(_any_of(words_of(request, "anomaly_filters"))), None),
        mode=next(iter(_any_of(words_of(request, "mining_modes_in"))), None),
        hashrate_realization=_between(
            ratio_of(request, "hashrate_realization_min"),
            ratio_of(request, "hashrate_realization_max"),
        ),
        ip_ranges=_ranges(words_of(request, "ip_ranges")),
    )
    return await _answer(request, farm, wanted, page_of(request))


@needs(Role.VIEWER)
@takes()
async def search_miners(request: web.Request) -> web.Response:
    """POST F/miner/search."""
    farm = await farm_of(request)
    body = await read_body(request, SearchMiners, may_be_empty=True, instead=BODY_INSTEAD)
    async with request.app[STORE].read() as connection:
        wanted = await saved_query_of(connection, farm.id, body)
    return await _answer(request, farm, wanted, body.page, body.sort)


@needs(Role.VIEWER)
@takes()
async def get_miner(request: web.Request) -> web.Response:
    """GET F/miners/{miner_id}."""
    farm = await farm_of(request)
    return one(item_of(await miner_of(request, farm), farm, request.app[CLOCK].now()))


async def saved_query_of(
    connection: Connection, farm_id: str, filters: MinerFilters, *, at: str = "saved"
) -> MinerQuery:
    """As `query_of`, and what the saved selection asks that the filters name. ApiError 400 where the farm has none of
    that name, or where its filters are not taken any more; it names the key, which stands `at`.
    """
    if filters.saved is None:
        return query_of(filters)
    kept = await selections.find(connection, farm_id, filters.saved)
    if kept is None:
        names = await selections.names(connection, farm_id)
        raise ApiError(400, f"{at}: {unknown_key(filters.saved, names, called='selection')}")
    try:
        also = query_of(MinerFilters.model_validate(kept.filters))
    except ValidationError as error:
        faults = faults_in(error, MinerFilters, at=f"{at} {filters.saved}")
        raise refused(faults) from None
    return msgspec.structs.replace(query_of(filters.model_copy(update={"saved": None})), also=also)


def query_of(filters: MinerFilters) -> MinerQuery:
    """What is asked of the database. ApiError 400 for a range that is none, and for a saved selection."""
    if filters.saved is not None:
        raise ApiError(400, "saved: a saved selection cannot be named here")
    return MinerQuery(
        agent_id=filters.agent_id,
        agent=filters.agent,
        serials=_all(filters.sn, filters.serial),
        mac=filters.mac,
        name=filters.name,
        make=filters.make,
        model=filters.model,
        firmware=filters.firmware,
        firmware_version=filters.firmware_version,
        statuses=_all(filters.status, filters.lifecycle_statuses, _health_words(filters.health)),
        ops_status=filters.ops_status,
        asset_status=filters.asset_status,
        unstable=filters.unstable,
        anomalies=filters.anomalies,
        mode=filters.mode,
        tags=filters.tags,
        hall=filters.hall,
        row=filters.row,
        rack=filters.rack,
        position=filters.position,
        hashrate=filters.hashrate,
        hashrate_realization=filters.hashrate_realization,
        power=filters.power,
        power_limit=filters.power_limit,
        efficiency=filters.efficiency,
        temperature=filters.temperature,
        uptime=filters.uptime,
        wrong_since=filters.wrong_since,
        ip_ranges=_ranges(filters.ip_ranges),
    )


def _health_words(wanted: EnumFilter | None) -> EnumFilter | None:
    """Without the words of the other axes, which `status` knows: here they match nothing."""
    if wanted is None:
        return None
    told = wanted.model_dump(by_alias=True, exclude_none=True)
    for name in ("eq", "ne"):
        if told.get(name, HEALTH_WORDS[0]) not in HEALTH_WORDS:
            told[name] = ""
    for name in ("in", "nin"):
        if name in told:
            told[name] = [word for word in told[name] if word in HEALTH_WORDS]
    return EnumFilter.model_validate(told)


def item_of(row: ListedMiner, farm: FarmRow, now: datetime) -> MinerItem:
    """A stored miner as operators see it. The figures of a miner that does not answer are absent: the last
    ones would be added up as if it were hashing.
    """
    moving, slow, static = _records(row)
    run = run_status(row, now)
    shown, flags, judged = moving, row.anomaly_flags, row.health
    if run == "offline":
        shown, flags, judged = Moving(), flags & ~LOW_HASHRATE, 0
    health = {
        "error": bool(flags & ERRORS),
        "low_hashrate": bool(flags & LOW_HASHRATE),
        **{word: bool(judged >> bit & 1) for word, bit in HEALTH_BITS.items()},
        AUTH_FAILED: row.auth_failed_at is not None,
    }
    psu = static.psu if static else None
    return MinerItem(
        id=row.id,
        farm_id=row.farm_id,
        farm=FarmRef(id=farm.id, name=farm.name),
        workspace_id=row.workspace_id,
        agent_id=row.agent_id,
        serial_number=row.serial,
        make=row.make or "unknown",
        model=row.model,
        ip=row.ip or "",
        mac=row.mac or "",
        firmware=row.firmware,
        firmware_version=row.firmware_version,
        hostname=row.hostname,
        name=row.name,
        hall=row.hall,
        row=row.row,
        rack=row.rack,
        position=row.position,
        tags=row.tags or [],
        is_mining=run == "online"
        and bool(Reading(read_at=now, moving=shown, static=static).is_hashing),
        last_check_succeed=bool(row.last_ok) and run != "offline",
        stale=run == "stale",
        overheat=health["overheated"],
        low_hashrate=health["low_hashrate"],
        overpower=health["overpower"],
        underpower=health["underpower"],
        status=run,
        asset_status=row.asset_status,
        ops_status=row.ops_status,
        lifecycle_status=row.ops_status or run,
        health_status=",".join(word for word, holds in health.items() if holds) or None,
        unstable_reason=row.unstable_reason,
        mining_mode=row.mode or UNKNOWN_MODE,
        mining_mode_preset=row.mode_preset,
        hashrate=shown.hashrate_hs,
        hashrate_24h=row.hashrate_24h_hs,
        expected_hashrate=row.hashrate_ideal_hs,
        power=power_w(shown, slow),
        temp=None if run == "offline" else row.temp_c,
        efficiency=_efficiency(shown, slow),
        uptime=shown.uptime_s,
        last_updated_at=time_or_none(row.last_read_at),
        errors=_errors(row, slow),
        hashboards=_boards(moving),
        total_chips=_sum(board.chips for board in moving.boards),
        expected_chips=_first(
            static.chips_expected if static else None,
            _sum(board.chips_expected for board in moving.boards),
        ),
        anomaly_flags=flags,
        pools=[
            PoolItem(
                index=pool.index,
                url=pool.url,
                user=pool.user,
                status=pool.status,
                active=pool.active,
                accepted=pool.accepted,
                rejected=pool.rejected,
            )
            for pool in moving.pools
        ],
        psus=[
            PsuItem(serial_number=psu.serial, model=psu.model, version=psu.version, temp=psu.temp_c)
        ]
        if psu
        else [],
    )


def snapshot_of(row: ListedMiner, farm: FarmRow, now: datetime) -> MinerSnapshot:
    """The miner as a task remembers it."""
    item = item_of(row, farm, now)
    moving, _, _ = _records(row)
    facts = {
        "ip": item.ip,
        "mac": item.mac,
        "serial_number": item.serial_number,
        "firmware": item.firmware,
        "firmware_version": item.firmware_version,
        "make": item.make,
        "model": item.model,
        "farm_name": farm.name,
        "farm_location": farm.location,
    }
    return MinerSnapshot(
        id=item.id,
        status=[item.status, *([item.ops_status] if item.ops_status else [])],
        lifecycle_status=item.lifecycle_status,
        health_status=item.health_status.split(",") if item.health_status else [],
        mining_mode=item.mining_mode,
        metadata={name: text for name, text in facts.items() if text},
        hashboards=[
            {
                name: text
                for name, text in (("status", board.state), ("serial_number", board.serial))
                if text
            }
            for board in moving.boards
        ],
    )


def run_status(row: ListedMiner, now: datetime) -> str:
    """`online`, `offline` (looked at, does not answer) or `stale` (not looked at lately). A machine that nobody looks
    at, but which reports by itself, is offline when it is silent. The search filter says the same in SQL.
    """
    if row.stale_at is None or row.stale_at < now:
        return "offline" if row.identity.startswith(REPORTS_ITSELF) else "stale"
    return "offline" if row.last_ok is False else "online"


async def _answer(
    request: web.Request,
    farm: FarmRow,
    wanted: MinerQuery,
    page: Page,
    sort: Sequence[SortKey] = (),
) -> web.Response:
    now = request.app[CLOCK].now()
    rows, total = await search.find(request.app[STORE], farm.id, wanted, page, now, sort)
    items: list[MinerItem] = []
    for some in chunks(rows, _PIECE):
        items += [item_of(row, farm, now) for row in some]
        await asyncio.sleep(0)  # a page may hold ten thousand, and agents are waiting
    return many(items, page, total)


def _equal(text: str | None) -> TextFilter | None:
    return None if text is None else TextFilter(eq=text)


def _any_of(words: tuple[str, ...] | None) -> tuple[EnumFilter, ...]:
    return () if words is None else (EnumFilter.model_validate({"in": list(words)}),)


def _between(least: float | None, most: float | None) -> NumberFilter | None:
    if least is None and most is None:
        return None
    return NumberFilter(gte=least, lte=most)


def _all(*filters: FilterT | None) -> tuple[FilterT, ...]:
    return tuple(each for each in filters if each is not None)


def _ranges(texts: tuple[str, ...] | list[str] | None) -> tuple[Range, ...] | None:
    if not texts:
        return None
    try:
        return tuple(parse_range(text) for text in texts)
    except ValueError as error:
        raise ApiError(400, f"ip_ranges: {error}") from None


def _records(row: ListedMiner) -> tuple[Moving, Slow | None, Static | None]:
    moving, slow, static = row.moving, row.slow, row.static
    return (
        Moving() if moving is None else msgspec.convert(moving, Moving),
        None if slow is None else msgspec.convert(slow, Slow),
        None if static is None else msgspec.convert(static, Static),
    )


def _errors(row: ListedMiner, slow: Slow | None) -> list[ErrorItem]:
    found = [ErrorItem(code=f.code, message=f.text) for f in (slow.faults if slow else ())]
    if twins := row.twin_ips:
        message = (
            f"the device at {', '.join(twins)} shows the same MAC, so no task is carried out at either; take one of "
            "them off the network or give it a MAC of its own"
        )
        found.append(ErrorItem(code=DUPLICATE_MAC, message=message))
    if row.auth_failed_at is not None:
        found.append(ErrorItem(code=AUTH_FAILED, message=_REFUSED_LOGIN))
    if row.last_ok is False and row.last_error and row.last_error != AUTH_FAILED:
        found.append(ErrorItem(code="read_failed", message=row.last_error))
    return found


def _boards(moving: Moving) -> list[HashboardItem]:
    return [
        HashboardItem(
            serial_number=board.serial,
            hashrate=board.hashrate_hs,
            chips=board.chips,
            chip_frequency=None if board.frequency_hz is None else board.frequency_hz / 1e6,
            **_of_part(board),
        )
        for board in moving.boards
    ]


def _of_part(board: Board) -> dict[str, Any]:
    """What only a part of a rig has."""
    if board.part is None:
        return {}
    return {
        "part": board.part,
        "name": board.name,
        "bus_id": board.bus_id,
        "hashrate_2": board.hashrate_2_hs,
        "temp": board.temp_chip_c,
        "memory_temp": board.temp_memory_c,
        "fan": board.fan_percent,
        "power": board.power_w,
    }


def _efficiency(moving: Moving, slow: Slow | None) -> float | None:
    taken_w = power_w(moving, slow)
    if taken_w is None or not moving.hashrate_hs:
        return None
    return taken_w * 1e12 / moving.hashrate_hs


def _sum(numbers: Any) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


ROUTES: Final = (
    web.get(FARM + "/miner/latest", list_miners, allow_head=False),
    web.post(FARM + "/miner/search", search_miners),
    web.get(FARM + "/miners/{miner_id}", get_miner, allow_head=False),
)
