"""What agents call about task subscriptions. The messages are those of `contract.subscription.link`."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import structlog
from aiohttp import web

from cloud.context import CLOCK, GROWTH, SETTINGS, STORE, WAKE_UPS
from cloud.http.auth import AGENT
from cloud.http.bodies import read_message
from cloud.http.errors import ApiError, json_response
from cloud.store.growth import TooMuchError
from cloud.store.subscriptions import announced, ledger, shown
from cloud.store.subscriptions.announced import NODES_MAX, TooManyNodesError
from cloud.store.subscriptions.ledger import RevokedError
from cloud.store.subscriptions.nodes import LOCAL
from contract.link import PREFIX
from contract.subscription.ids import SMALL_MAX
from contract.subscription.link import (
    Announced,
    Announcement,
    EntryState,
    LedgerRequest,
    Stacks,
)
from contract.subscription.rules import OperationKind

_NUMBER: Final = re.compile(r"[0-9]{1,19}")
_LEDGER: Final = re.compile(r"[a-z]{1,16}")
_RETRY_S: Final = 600
log = structlog.get_logger(__name__)


async def get_ledger(request: web.Request) -> web.Response:
    """GET ledger?after=N."""
    text = request.query.get("after", "0")
    after = int(text) if _NUMBER.fullmatch(text) else SMALL_MAX + 1
    if after > SMALL_MAX:
        raise ApiError(400, f"after must be a whole number up to {SMALL_MAX}")
    return json_response(await ledger.state_of(request.app[STORE], request[AGENT], after))


async def post_ledger(request: web.Request) -> web.Response:
    """POST ledger: 200 whatever became of the entries; 429 for too many."""
    message = await read_message(request, LedgerRequest, request.app[SETTINGS].link_body_bytes)
    agent = request[AGENT]
    entries = await asyncio.to_thread(ledger.opened, message)
    with _refused():
        reply = await ledger.record(
            request.app[STORE],
            agent,
            message.public_key,
            entries,
            request.app[CLOCK].now(),
            request.app[GROWTH],
        )
    states = [each.state.value for each in reply.results]
    log.info("ledger.entries", agent=agent.id, node=reply.node_small_id, states=states[:20])
    if EntryState.SUCCESS in states:
        request.app[WAKE_UPS].wake(agent.id)
    return json_response(reply)


async def post_announcement(request: web.Request) -> web.Response:
    """POST ledger/announce: what another ledger took."""
    settings = request.app[SETTINGS]
    message = await read_message(request, Announcement, settings.link_body_bytes)
    problem = _problem(message)
    if problem is not None:
        raise ApiError(400, problem)
    agent = request[AGENT]
    try:
        with _refused():
            sequence = await announced.announce(
                request.app[STORE],
                agent,
                message,
                request.app[CLOCK].now(),
                request.app[GROWTH],
            )
    except TooManyNodesError:
        raise ApiError(400, f"operations: an agent is {NODES_MAX} nodes at most") from None
    log.info("ledger.announced", agent=agent.id, ledger=message.ledger, sequence=sequence)
    request.app[WAKE_UPS].wake(agent.id)
    return json_response(Announced(sequence=sequence))


async def get_stacks(request: web.Request) -> web.Response:
    """GET stacks: the newest."""
    found = await shown.stacks_of(request.app[STORE], request[AGENT])
    return json_response(Stacks(stacks=tuple(found)))


@contextmanager
def _refused() -> Iterator[None]:
    """Within the block, what is not taken is answered as such."""
    try:
        yield
    except TooMuchError as error:
        raise ApiError(429, str(error), headers={"Retry-After": f"{_RETRY_S}"}) from None
    except RevokedError:
        raise ApiError(401, "This agent was revoked: enroll it again") from None


def _problem(message: Announcement) -> str | None:
    """What is wrong with it that its types do not say."""
    if not _LEDGER.fullmatch(message.ledger) or message.ledger == LOCAL:
        return "ledger must be the name of another ledger, of 1 to 16 small letters"
    for each in message.operations:
        states_terms = each.kind in (OperationKind.SUBSCRIBE, OperationKind.UPDATE)
        if states_terms and not (each.price_per_compute_unit and each.max_num_compute_units):
            return "operations: a price and a maximum are 1 or more"
    return None


ROUTES: Final = (
    web.get(f"{PREFIX}/ledger", get_ledger, allow_head=False),
    web.post(f"{PREFIX}/ledger", post_ledger),
    web.post(f"{PREFIX}/ledger/announce", post_announcement),
    web.get(f"{PREFIX}/stacks", get_stacks, allow_head=False),
)
