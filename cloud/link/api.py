"""The link API: what agents call. The messages are those of `contract.link`."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog
from aiohttp import web

from cloud.context import AUTHORITIES, CLOCK, GROWTH, SESSIONS, SETTINGS, STORE, TIME, WAKE_UPS
from cloud.firmware.ordered import addressed
from cloud.http.auth import AGENT, SESSION, bearer
from cloud.http.bodies import read_message
from cloud.http.errors import ApiError, Handler, json_response
from cloud.http.peers import peer_of
from cloud.link.sessions import Session, Standing
from cloud.store import ip_ranges
from cloud.store.access.agents import (
    adopt_journal,
    enroll,
    find_agent,
    give_up,
    persist_heartbeat,
    persist_online,
    settings_of,
)
from cloud.store.growth import TooMuchError
from cloud.store.miners.maintenance import maintained
from cloud.store.miners.readings import apply_readings
from cloud.store.tasks.claims import end_not_known, glance, hand_out
from cloud.store.tasks.handed import end_called_off
from cloud.store.tasks.onsite import arisen_of
from cloud.store.tasks.reports import ReportLimits, apply_report
from contract.clock import from_text
from contract.link import (
    KNOWN_OF_OLD,
    PREFIX,
    Authorities,
    ClaimedTask,
    ClaimReply,
    ClaimRequest,
    EnrollRequest,
    Event,
    Heartbeat,
    HeartbeatReply,
    NamedRange,
    ReadingsReply,
    ReadingsRequest,
    ReportReply,
    ReportRequest,
)
from contract.task import TERMINAL, TaskStatus

_ID_MAX: Final = 128
_SEQ_MAX: Final = 2**63 - 1
_READINGS_MAX: Final = 5000  # in one request: as many as the config of an agent allows it
_EVENTS_MAX: Final = 5000
_ASKED_MAX: Final = 1000  # outcomes asked for in one answer
_REPEAT_S: Final = 10.0  # a task the agent keeps not listing ends a long poll at most this often
_SILENCE_S: Final = 5.0  # beyond a long poll: a process that lives has claimed again by then
_OPEN: Final = (f"{PREFIX}/enroll", f"{PREFIX}/authorities")  # to whoever asks
_STATES: Final = frozenset(TaskStatus) - {TaskStatus.CREATED}
log = structlog.get_logger(__name__)


@web.middleware
async def agent_auth(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Guards the link API except what is asked for before there is a token; sets `request[AGENT]` (its row) and
    `request[SESSION]`.
    """
    if not request.path.startswith(f"{PREFIX}/") or request.path in _OPEN:
        return await handler(request)
    token = bearer(request)
    agent = await find_agent(request.app[STORE], token) if token else None
    if agent is None:
        raise ApiError(401, "This agent's token is missing, unknown or revoked: enroll it again")
    request[AGENT] = agent
    request[SESSION] = session = request.app[SESSIONS].heard(agent.id)
    most = request.app[SETTINGS].agent_calls_max
    if session.calls >= most:
        raise ApiError(
            429,
            f"{most} calls of this agent are being answered: wait for one of them",
            headers={"Retry-After": "1"},
        )
    session.calls += 1
    try:
        return await handler(request)
    finally:
        session.calls -= 1


async def post_enroll(request: web.Request) -> web.Response:
    """A one-time code for a token. 401 for a code that is unknown, used or expired."""
    message = await read_message(request, EnrollRequest, 16_384)
    reply = await enroll(
        request.app[STORE], message, request.app[CLOCK].now(), address=peer_of(request)
    )
    if reply is None:
        raise ApiError(401, "This enrolment code is unknown, used or expired: make a new one")
    request.app[SESSIONS].forget(reply.agent_id)
    log.info("agent.enrolled", agent=reply.agent_id, farm=reply.farm_id)
    return json_response(reply)


async def post_claims(request: web.Request) -> web.Response:
    """Long poll: answers as soon as there is a task, a cancel, new settings or an outcome to be told again, else empty
    after `wait_s`.
    """
    settings = request.app[SETTINGS]
    claim = await read_message(request, ClaimRequest, settings.link_body_bytes)
    _check_claim(claim)
    agent, session = request[AGENT], request[SESSION]
    is_new = claim.run_id is None or claim.run_id != session.run_id
    if not _is_served(request, claim, session) or not await _journal_fits(
        request, claim, session, is_new=is_new
    ):
        return json_response(ClaimReply(lease_s=0.0, settings_rev=agent.settings_rev))
    await _stay_known(request, session)
    if claim.not_known:
        lost = await give_up(
            request.app[STORE], agent, claim.journal_id, claim.not_known, request.app[CLOCK].now()
        )
        log.warning("agent.tasks_lost", agent=agent.id, tasks=lost)
    session.poll += 1
    poll = session.poll
    wake_ups = request.app[WAKE_UPS]
    wake_ups.wake(agent.id)  # an older long poll of this agent gives way
    loop = asyncio.get_running_loop()
    deadline = loop.time() + min(max(claim.wait_s, 0.0), settings.long_poll_max_s)
    is_first = True
    while True:
        ticket = wake_ups.ticket(agent.id, agent.farm_id)
        reply = await _answer(request, claim, session, is_first=is_first)
        is_first = False
        left = deadline - loop.time()
        if _has_news(reply, claim, session) or left <= 0:
            _tell(reply, session)
            return json_response(reply)
        await wake_ups.wait(agent.id, ticket, left)
        if session.poll != poll or request.transport is None or request.transport.is_closing():
            # Nobody reads this answer any more: a task in it would be handed out into the void.
            return json_response(
                ClaimReply(lease_s=settings.lease_s, settings_rev=agent.settings_rev)
            )


async def post_reports(request: web.Request) -> web.Response:
    """Events of tasks; one ack each. 409 when all of them contradict what was reported under their keys."""
    settings = request.app[SETTINGS]
    report = await read_message(request, ReportRequest, settings.link_body_bytes)
    if len(report.journal_id) > _ID_MAX:
        raise ApiError(400, f"journal_id is longer than {_ID_MAX} characters")
    if len(report.events) > _EVENTS_MAX:
        raise ApiError(413, f"A request may bring {_EVENTS_MAX} events")
    problems = [
        f"events.{index}: {problem}"
        for index, event in enumerate(report.events)
        if (problem := _problem(event))
    ]
    if problems:
        raise ApiError(400, problems[:20])
    limits = ReportLimits(
        limit_of=settings.limit_s,
        grace_s=settings.limit_grace_s,
        result_bytes=settings.result_bytes,
        log_lines=settings.task_log_lines,
        events=settings.task_events,
    )
    try:
        acks, of_stack = await apply_report(
            request.app[STORE],
            request[AGENT],
            report,
            request.app[CLOCK].now(),
            request.app[TIME].now(),
            limits,
            request.app[GROWTH],
        )
    except TooMuchError as error:
        # Of all refusals this is the one after which an agent keeps what it has to tell, and holds up nothing else.
        raise ApiError(422, str(error)) from None
    if of_stack:
        request.app[WAKE_UPS].wake(request[AGENT].id)
    reply = ReportReply(acks=acks)
    if acks and all(ack.state == "conflict" for ack in acks):
        message = "Another outcome was already reported for this task, epoch and seq"
        raise ApiError(409, message, extra={"acks": acks})
    return json_response(reply)


async def post_readings(request: web.Request) -> web.Response:
    """Readings of miners; the answer gives the ids of these miners."""
    settings = request.app[SETTINGS]
    async with request[SESSION].readings:
        return json_response(await _take_readings(request, settings.readings_body_bytes))


async def _take_readings(request: web.Request, cap_bytes: int) -> ReadingsReply:
    message = await read_message(request, ReadingsRequest, cap_bytes)
    if len(message.readings) > _READINGS_MAX:
        raise ApiError(413, f"A request may bring {_READINGS_MAX} readings")
    if not 0 < len(message.run_id) <= 64:
        raise ApiError(400, "run_id must have 1 to 64 characters")
    if not 0 <= message.seq <= _SEQ_MAX:
        raise ApiError(400, "seq is out of range")
    try:
        return await apply_readings(
            request.app[STORE],
            request[AGENT],
            message,
            request.app[CLOCK].now(),
            request.app[TIME].now(),
            request.app[GROWTH],
        )
    except ValueError as error:
        raise ApiError(400, str(error)) from None


async def post_heartbeat(request: web.Request) -> web.Response:
    """That it lives, and on what host. Written down at most once a minute, or at once when something is wrong."""
    settings, clock = request.app[SETTINGS], request.app[CLOCK]
    beat = await read_message(request, Heartbeat, settings.heartbeat_body_bytes)
    agent, session = request[AGENT], request[SESSION]
    session.beat, session.beat_at = beat, clock.now()
    health = (beat.version, beat.release, beat.notices, sorted(beat.sinks.items()))
    written_mono = session.beat_written_mono
    if (
        written_mono is None
        or session.health_key != health
        or clock.mono() - written_mono >= settings.persist_every_s
    ):
        session.persisted_mono = session.beat_written_mono = clock.mono()
        session.health_key = health
        await persist_heartbeat(
            request.app[STORE],
            agent.id,
            beat,
            clock.now(),
            request.app[TIME].now(),
        )
    known = request.app[AUTHORITIES].fingerprints
    return json_response(HeartbeatReply(settings_rev=agent.settings_rev, authorities=known))


async def get_authorities(request: web.Request) -> web.Response:
    """Those that this server makes its certificates by, for whoever asks. 404 where it makes none."""
    known = request.app[AUTHORITIES]
    if not known.pem:
        raise ApiError(404, "This cloud makes no certificates of its own")
    return json_response(Authorities(pem=known.pem))


async def get_settings(request: web.Request) -> web.Response:
    """What the operator set for this agent, which miners of its farm are in maintenance, which ranges have a name."""
    agent, store = request[AGENT], request.app[STORE]
    found = await maintained(store, agent.farm_id)
    async with store.read() as connection:
        ranges = await ip_ranges.of_farm(connection, agent.farm_id)
    named = [
        NamedRange(id=row.id, name=row.name, range=row.range, auto_scan=row.auto_scan)
        for row in ranges
    ]
    return json_response(settings_of(agent, found, named))


def _is_served(request: web.Request, claim: ClaimRequest, session: Session) -> bool:
    """Whether this is the one process that is served. False: ask again in a moment, the one before may be gone then.

    409 when there certainly are two: the disk was copied, and one task must not be given to both.
    """
    if claim.run_id is None:
        return True  # an agent from before there was such an id
    settings = request.app[SETTINGS]
    standing = session.admit(
        claim.run_id,
        request.transport,
        request.app[CLOCK].mono(),
        patience_s=settings.long_poll_max_s + _SILENCE_S,
        lease_s=max(settings.lease_s, settings.offline_after_s),
    )
    if standing is Standing.REFUSED:
        log.error("agent.doubled", agent=session.agent_id, peer=request.remote)
        raise ApiError(
            409,
            "Another process with this agent's token and journal is being served: its disk was copied, or it was "
            "started twice. Stop one of the two; to keep both, empty the state folder of one host and enroll it as "
            "an agent of its own",
        )
    return standing is Standing.SERVED


async def _journal_fits(
    request: web.Request, claim: ClaimRequest, session: Session, *, is_new: bool
) -> bool:
    """Notice a lost disk: a new journal. A claim that was held up in the network looks the same, and taking it for a
    lost disk would cost tasks; so it takes two claims in a row. False for the first: it is answered with nothing and
    without a lease.

    A journal put back from a copy is only said: no task depends on its being noticed. Only of a process that `is_new`:
    a later claim may have been overtaken by a report.
    """
    agent = request[AGENT]
    if agent.journal_id == claim.journal_id:
        session.doubt = None
        if is_new and claim.last_seq < agent.last_seq:
            log.warning(
                "agent.journal_put_back",
                agent=agent.id,
                last_seq=claim.last_seq,
                heard=agent.last_seq,
            )
        return True
    if agent.journal_id is not None and session.doubt != claim.journal_id:
        session.doubt = claim.journal_id
        return False
    # Of another journal than the one before nothing was heard yet: if it has told of outcomes, then to a database that
    # was put back since. What a newly enrolled agent told another cloud is none of ours.
    heard = claim.last_seq if agent.journal_id is None else 0
    lost = await adopt_journal(
        request.app[STORE],
        agent,
        claim.journal_id,
        heard,
        request.app[CLOCK].now(),
        request.app[TIME].now(),
    )
    if agent.journal_id is not None:
        log.warning(
            "agent.journal_lost",
            agent=agent.id,
            before=agent.journal_id,
            now=claim.journal_id,
            tasks_lost=lost,
        )
    agent.journal_id, agent.last_seq = claim.journal_id, heard
    session.doubt = None
    session.cancels_told.clear()
    session.told_mono.clear()
    return True


async def _stay_known(request: web.Request, session: Session) -> None:
    clock, every_s = request.app[CLOCK], request.app[SETTINGS].persist_every_s
    if session.persisted_mono is None or clock.mono() - session.persisted_mono >= every_s:
        session.persisted_mono = clock.mono()
        await persist_online(
            request.app[STORE],
            session.agent_id,
            clock.now(),
            request.app[TIME].now(),
        )


async def _answer(
    request: web.Request, claim: ClaimRequest, session: Session, *, is_first: bool
) -> ClaimReply:
    """What there is right now for this agent. Only when the claim has just come in does it tell which tasks the agent
    holds: some may have arisen on site since.

    A claim that is woken mostly is for new tasks: they go out first, and the next claim, which follows at once, tells
    the rest.
    """
    store, settings, agent = request.app[STORE], request.app[SETTINGS], request[AGENT]
    now, cloud_s = request.app[CLOCK].now(), request.app[TIME].now()
    room = max(0, min(claim.room, settings.claim_max))
    knows = KNOWN_OF_OLD if claim.knows is None else frozenset(claim.knows)
    tasks: tuple[ClaimedTask, ...] = ()
    cancel: tuple[str, ...] = ()
    asked: list[str] = []
    if not is_first and room > 0:
        tasks, cancel = await hand_out(
            store, agent, claim.journal_id, now, cloud_s, room=room, knows=knows
        )
    if not tasks:
        open_ids = {task.task_id for task in claim.open}
        seen = await glance(
            store, agent, claim.journal_id, open_ids, cloud_s, room=room, knows=knows
        )
        if seen.not_known:
            ended = await end_not_known(store, agent, now, knows=knows)
            log.warning("tasks.not_known", agent=agent.id, version=agent.version, count=ended)
        again = _repeatable(request, session, seen.unheard, room)
        asked = _repeatable(request, session, seen.ended, _ASKED_MAX if is_first else 0)
        cancel = seen.cancel
        if seen.waiting or again or seen.adopt:
            tasks, called_off = await hand_out(
                store,
                agent,
                claim.journal_id,
                now,
                cloud_s,
                room=room - len(again) if seen.waiting else 0,
                knows=knows,
                again=again,
                adopt=seen.adopt,
            )
            cancel = tuple(dict.fromkeys((*cancel, *called_off)))
        if not session.has_told_all and claim.last_seq <= agent.last_seq:
            session.has_told_all = True
            await _end_called_off(request, agent.farm_id)
    return ClaimReply(
        tasks=await addressed(request, agent, tasks),
        cancel=cancel,
        asked=tuple(asked),
        heard_seq=agent.last_seq,
        lease_s=settings.lease_s,
        settings_rev=agent.settings_rev,
    )


async def _end_called_off(request: web.Request, farm_id: str) -> None:
    """Now that one more agent has told all it knows."""
    confirmed, now = request.app[SESSIONS].confirmed(), request.app[CLOCK].now()
    ended = await end_called_off(request.app[STORE], farm_id, confirmed, now)
    if ended:
        log.info("tasks.called_off", farm=farm_id, count=ended)


def _repeatable(
    request: web.Request, session: Session, task_ids: tuple[str, ...], most: int
) -> list[str]:
    """Those that were not told a moment ago, at most so many; from now on they were."""
    mono = request.app[CLOCK].mono()
    recent = {task_id: at for task_id, at in session.told_mono.items() if mono - at < _REPEAT_S}
    again = [task_id for task_id in task_ids if task_id not in recent][:most]
    session.told_mono = recent | dict.fromkeys(again, mono)
    return again


def _has_news(reply: ClaimReply, claim: ClaimRequest, session: Session) -> bool:
    known = (claim.settings_rev, session.settings_told)
    fresh_settings = claim.settings_rev is not None and reply.settings_rev not in known
    return (
        bool(reply.tasks or reply.asked)
        or bool(set(reply.cancel) - session.cancels_told)
        or fresh_settings
        or (reply.heard_seq or 0) < claim.told_seq
    )


def _tell(reply: ClaimReply, session: Session) -> None:
    session.cancels_told = set(reply.cancel)
    session.settings_told = reply.settings_rev


def _check_claim(claim: ClaimRequest) -> None:
    problems = []
    if not 0 < len(claim.journal_id) <= _ID_MAX:
        problems.append(f"journal_id must have 1 to {_ID_MAX} characters")
    if claim.run_id is not None and not 0 < len(claim.run_id) <= _ID_MAX:
        problems.append(f"run_id must have 1 to {_ID_MAX} characters")
    if not 0 <= claim.last_seq <= _SEQ_MAX:
        problems.append("last_seq is out of range")
    if len(claim.open) > 100_000:
        problems.append("open lists more than 100000 tasks")
    if len(claim.not_known) > _ASKED_MAX:
        problems.append(f"not_known lists more than {_ASKED_MAX} tasks")
    if problems:
        raise ApiError(400, problems)


def _problem(event: Event) -> str | None:
    if event.state not in _STATES:
        return f"state must be one of {', '.join(sorted(_STATES))}"
    if not 0 <= event.seq <= _SEQ_MAX or not 0 <= event.epoch < 2**31:
        return "seq or epoch is out of range"
    if event.state in TERMINAL and event.result is None:
        return "an event that ends a task carries a result"
    stamps: list[str] = [event.at, *(line.at for line in event.logs)]
    if event.arose is not None:
        stamps.append(event.arose.accepted_at)
        try:
            arisen_of(event)
        except ValueError as error:
            return str(error)[:500]
    for stamp in stamps:
        try:
            from_text(stamp)
        except ValueError as error:
            return str(error)
        except OverflowError:
            continue  # a clock that is wrong is no reason to lose an outcome
    return None


ROUTES: Final = (
    web.post(f"{PREFIX}/enroll", post_enroll),
    web.post(f"{PREFIX}/claims", post_claims),
    web.post(f"{PREFIX}/reports", post_reports),
    web.post(f"{PREFIX}/readings", post_readings),
    web.post(f"{PREFIX}/heartbeat", post_heartbeat),
    web.get(f"{PREFIX}/settings", get_settings),
    web.get(f"{PREFIX}/authorities", get_authorities),
)
