"""What is wrong with a farm: GetMinerStats, and the status that is ours."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec
from aiohttp import web

from cloud.context import CLOCK, SESSIONS, STORE
from cloud.http.auth import WORKSPACE_ID
from cloud.http.rights import needs
from cloud.nonce.answers import one, time_or_none
from cloud.nonce.counts import StatsCounts
from cloud.nonce.miners import run_status, saved_query_of
from cloud.nonce.requests import farm_of, read_body, takes
from cloud.store.access import listing
from cloud.store.access.listing import ListedAgent
from cloud.store.assets import proposals
from cloud.store.engine import Connection, Store
from cloud.store.miners import judged, search
from cloud.store.miners.conditions import MinerQuery
from cloud.store.miners.judged import CountedMiner, JudgedMiner
from cloud.store.miners.readings import DUPLICATE_MAC
from cloud.store.miners.search import ListedMiner
from cloud.store.schema.rows import FarmRow
from cloud.store.subscriptions.shown import held_in
from cloud.store.tasks import counts
from contract.condition.causes import Cause, MinerPlace, subnet_of
from contract.condition.judgement import (
    MinerFacts,
    MinerLook,
    MinerState,
    MinerTrouble,
    WantedPools,
    condition_of,
    look_of,
    symptoms_of,
)
from contract.condition.summary import Summary, kind_of_rate
from contract.link import Heartbeat
from contract.miner import Firmware, Moving, Slow, Static
from contract.nonce.filters import EnumFilter
from contract.nonce.miners import MinerFilters
from contract.nonce.pages import Page
from contract.nonce.searches import BODY_INSTEAD
from contract.nonce.sites import FARM, FarmRef
from contract.nonce.status import (
    AgentStatusItem,
    CauseItem,
    FailedTasksItem,
    HeldTasksItem,
    OpenTasksItem,
    PowerItem,
    RateItem,
    StatusItem,
    TasksStatusItem,
    TroubleItem,
    WrongMinerItem,
)
from contract.nonce.times import nonce_time
from contract.roles import Role

_AGENTS_MAX: Final = 1000
_FAILED_WITHIN: Final = timedelta(hours=24)
_SET_BY_TASK: Final = "its last pool task set"
_STOCK: Final = Firmware.STOCK.value
_STATES: Final = {state.value: state for state in MinerState}
_Key = tuple[int, str]  # address as a number, id


@needs(Role.VIEWER)
@takes()
async def miner_stats(request: web.Request) -> web.Response:
    """GET F/miners/stats (path ours)."""
    farm = await farm_of(request)
    found = StatsCounts()
    async with request.app[STORE].read() as connection:
        now = request.app[CLOCK].now()
        async for some in judged.in_pieces(connection, farm.id, CountedMiner, MinerQuery(), now):
            for row in some:
                found.add(row)
            await asyncio.sleep(0)  # a farm may have a hundred thousand, and agents are waiting
    return one(found.item())


@needs(Role.VIEWER)
@takes()
async def farm_status(request: web.Request) -> web.Response:
    """GET F/status (ours): of all miners of the farm."""
    return await _status(request, MinerQuery())


@needs(Role.VIEWER)
@takes()
async def status_of_some(request: web.Request) -> web.Response:
    """POST F/status (ours): of those that the filters of a search find."""
    filters = await read_body(request, MinerFilters, may_be_empty=True, instead=BODY_INSTEAD)
    farm = await farm_of(request)
    async with request.app[STORE].read() as connection:
        wanted = await saved_query_of(connection, farm.id, filters)
    return await _status(request, wanted)


async def _status(request: web.Request, wanted: MinerQuery) -> web.Response:
    farm, store, now = await farm_of(request), request.app[STORE], request.app[CLOCK].now()
    agents = await _agents(request, farm)
    names = {agent.id: agent.name or agent.id for agent in agents}
    async with store.read() as connection:
        usual = await judged.usual_pools_of(connection, farm.id)
        summary = Summary[_Key]()
        async for some in judged.in_pieces(connection, farm.id, JudgedMiner, wanted, now):
            for row in some:
                condition = condition_of(_stored_facts(row, usual))
                kind = kind_of_rate(row.algorithm, row.model)
                summary.add((row.ip_number or 0, row.id), condition, _place(row, names), kind)
            await asyncio.sleep(0)  # agents are waiting
        tasks = await _tasks(connection, farm, now)
        proposed = await proposals.number_of(connection, farm.id)
    problems = [*_problems(summary), *_problems_of_agents(agents)]
    return one(
        StatusItem(
            farm=FarmRef(id=farm.id, name=farm.name),
            at=nonce_time(now),
            is_fine=not problems,
            problems=problems,
            total=summary.total,
            wrong=summary.wrong,
            states={state.value: summary.states[state] for state in MinerState},
            troubles={trouble.value: summary.troubles[trouble] for trouble in MinerTrouble},
            rates=_rates(summary),
            power=PowerItem(
                power=summary.power.power_w,
                metered=summary.power.metered,
                compared_power=summary.power.compared_w,
                expected_power=summary.power.expected_w or None,
            ),
            causes=[_cause(each) for each in summary.causes()],
            worst=await _worst(store, farm, [id_ for _, id_ in summary.worst], usual, now),
            agents=agents,
            tasks=tasks,
            proposals=proposed,
        )
    )


async def _tasks(connection: Connection, farm: FarmRow, now: datetime) -> TasksStatusItem:
    return TasksStatusItem(
        open=[
            OpenTasksItem(task_name=name, status=status, count=count)
            for name, status, count in await counts.open_tasks(connection, farm.id)
        ],
        held=[
            HeldTasksItem(task_name=name, reason=reason, count=count)
            for name, reason, count in await held_in(connection, farm.id, farm.workspace_id)
        ],
        failed=[
            FailedTasksItem(task_name=name, status=status, code=code, count=count)
            for name, status, code, count in await counts.failed_tasks(
                connection, farm.id, now - _FAILED_WITHIN
            )
        ],
    )


def _cause(found: Cause) -> CauseItem:
    return CauseItem(
        trouble=found.trouble.value,
        kind=found.kind,
        name=found.name,
        miners=found.miners,
        of=found.of,
        group=found.group,
        words=found.words,
    )


def _facts(
    row: JudgedMiner | ListedMiner,
    run: str,
    look: MinerLook | None,
    usual: Mapping[str, WantedPools],
    *,
    login_refused: bool,
) -> MinerFacts:
    """What is known of a stored miner; `run` is its run status."""
    set_by_task = row.pools_set
    return MinerFacts(
        look=look,
        answers=run != "offline",
        is_stale=run == "stale",
        login_refused=login_refused,
        is_duplicate=row.unstable_reason == DUPLICATE_MAC,
        in_maintenance=row.ops_status is not None,
        wanted=WantedPools(tuple(set_by_task["pools"]), _SET_BY_TASK)
        if set_by_task
        else usual.get(row.algorithm or ""),
    )


def _stored_facts(row: JudgedMiner, usual: Mapping[str, WantedPools]) -> MinerFacts:
    """By what was judged when the look came in."""
    return _facts(row, row.run, _stored_look(row), usual, login_refused=row.login_refused)


def _whole_facts(row: ListedMiner, usual: Mapping[str, WantedPools], now: datetime) -> MinerFacts:
    """The same with all there is to say of it."""
    run = run_status(row, now)
    since = row.last_seen_at if run == "stale" else row.last_read_at
    refused = row.auth_failed_at is not None
    return msgspec.structs.replace(
        _facts(row, run, _look(row), usual, login_refused=refused),
        silent_s=None if since is None else (now - since).total_seconds(),
        error=row.last_error,
        twin_ips=tuple(row.twin_ips),
    )


def _stored_look(row: JudgedMiner) -> MinerLook | None:
    """What its last look showed, with no other words than the names of the troubles."""
    if row.state is None:
        return None
    return MinerLook(
        state=_STATES[row.state],
        symptoms=symptoms_of(row.troubles),
        hashrate_hs=row.hashrate_hs,
        expected_hs=row.expected_hs,
        power_w=row.power_w,
        expected_w=row.expected_w,
        pool=row.pool,
    )


def _look(row: ListedMiner) -> MinerLook | None:
    """What its last look showed, in words."""
    if row.moving is None:
        return None
    return look_of(
        msgspec.convert(row.moving, Moving),
        None if row.slow is None else msgspec.convert(row.slow, Slow),
        None if row.static is None else msgspec.convert(row.static, Static),
    )


def _place(row: JudgedMiner, agents: Mapping[str, str]) -> MinerPlace:
    rack, firmware = row.rack, row.firmware_version
    if rack and (row.hall or row.row):
        rack = " / ".join(filter(None, (row.hall, row.row, rack)))
    if firmware and row.firmware and row.firmware != _STOCK:
        firmware = f"{row.firmware} {firmware}"
    agent = None if row.agent_id is None else agents.get(row.agent_id, row.agent_id)
    return MinerPlace(agent, rack or None, subnet_of(row.ip), row.pool, firmware, row.model)


async def _worst(
    store: Store,
    farm: FarmRow,
    ids: list[str],
    usual: Mapping[str, WantedPools],
    now: datetime,
) -> list[WrongMinerItem]:
    async with store.read() as connection:
        rows = await search.by_ids(connection, farm.id, ids)
    return [_wrong(rows[id_], usual, now) for id_ in ids if id_ in rows]


def _wrong(row: ListedMiner, usual: Mapping[str, WantedPools], now: datetime) -> WrongMinerItem:
    condition = condition_of(_whole_facts(row, usual, now))
    return WrongMinerItem(
        id=row.id,
        name=row.name,
        ip=row.ip or "",
        mac=row.mac or "",
        make=row.make or "unknown",
        model=row.model,
        hall=row.hall,
        row=row.row,
        rack=row.rack,
        position=row.position,
        agent_id=row.agent_id,
        state=condition.state.value,
        troubles=[
            TroubleItem(trouble=each.trouble.value, words=each.words) for each in condition.symptoms
        ],
        hashrate=condition.hashrate_hs,
        expected_hashrate=condition.expected_hs,
        last_read_at=time_or_none(row.last_read_at),
        wrong_since=time_or_none(row.wrong_since or row.stale_at),
    )


def _rates(summary: Summary[_Key]) -> list[RateItem]:
    return [
        RateItem(
            algorithm=rates.kind,
            miners=rates.miners,
            hashrate=rates.hashrate_hs,
            compared_hashrate=rates.compared_hs,
            expected_hashrate=rates.expected_hs if rates.unknown < rates.miners else None,
            realization=rates.realization,
            unknown=rates.unknown,
            efficiency=rates.efficiency,
        )
        for rates in summary.rates
    ]


def _problems(summary: Summary[_Key]) -> Iterable[str]:
    if summary.wrong:
        verb = "has" if summary.wrong == 1 else "have"
        yield f"{summary.wrong} of {summary.total} miners {verb} something wrong"


def _problems_of_agents(agents: Iterable[AgentStatusItem]) -> Iterable[str]:
    for agent in agents:
        name = agent.name or agent.id
        if agent.status == "offline":
            since = f" since {agent.last_online_at}" if agent.last_online_at else ""
            yield f"agent {name} is offline{since}"
        yield from (f"agent {name}: {notice}" for notice in agent.notices)


async def _agents(request: web.Request, farm: FarmRow) -> list[AgentStatusItem]:
    sessions = request.app[SESSIONS]
    rows, _ = await listing.list_agents(
        request.app[STORE],
        request[WORKSPACE_ID],
        Page(1, _AGENTS_MAX),
        is_online=sessions.is_online,
        farm_id=EnumFilter(eq=farm.id),
    )
    found = []
    for row in rows:
        last = sessions.last_beat(row.id)
        beat = last[0] if last else _stored_beat(row)
        found.append(
            AgentStatusItem(
                id=row.id,
                name=row.name or beat.host.get("hostname"),
                status="online"
                if sessions.is_online(row.id, row.last_online_cloud_s)
                else "offline",
                version=beat.version or None,
                last_online_at=time_or_none(sessions.last_online_at(row.id, row.last_online_at)),
                miners_known=beat.miners_known,
                journal_depth=beat.journal_depth,
                buffer_depth=beat.buffer_depth,
                sinks=beat.sinks,
                notices=list(beat.notices),
            )
        )
    return found


def _stored_beat(row: ListedAgent) -> Heartbeat:
    """The last that was written down, which may lag a minute."""
    base = {"version": row.version or "", "uptime_s": row.uptime_s or 0.0, "host": row.host or {}}
    return msgspec.convert(base | (row.health or {}), Heartbeat)


ROUTES: Final = (
    web.get(FARM + "/miners/stats", miner_stats, allow_head=False),
    web.get(FARM + "/status", farm_status, allow_head=False),
    web.post(FARM + "/status", status_of_some),
)
