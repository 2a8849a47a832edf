"""What agents call about task subscriptions. The messages are those of `contract.subscription.link`."""

from __future__ import annotations

import asyncio
import re
from typing import Final

import structlog
from aiohttp import web

from cloud.context import CLOCK, GROWTH, SETTINGS, STORE, WAKE_UPS
from cloud.http.auth import AGENT
from cloud.http.bodies import read_message
from cloud.http.errors import ApiError, json_response
from cloud.store.growth import TooMuchError
from cloud.store.subscriptions import ledger
from cloud.store.subscriptions.ledger import RevokedError
from contract.link import PREFIX
from contract.subscription.ids import SMALL_MAX
from contract.subscription.link import EntryState, LedgerRequest

_NUMBER: Final = re.compile(r"[0-9]{1,19}")
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
    try:
        reply = await ledger.record(
            request.app[STORE],
            agent,
            message.public_key,
            entries,
            request.app[CLOCK].now(),
            request.app[GROWTH],
        )
    except TooMuchError as error:
        raise ApiError(429, str(error), headers={"Retry-After": f"{_RETRY_S}"}) from None
    except RevokedError:
        raise ApiError(401, "This agent was revoked: enroll it again") from None
    states = [each.state.value for each in reply.results]
    log.info("ledger.entries", agent=agent.id, node=reply.node_small_id, states=states[:20])
    if EntryState.SUCCESS in states:
        request.app[WAKE_UPS].wake(agent.id)
    return json_response(reply)


ROUTES: Final = (
    web.get(f"{PREFIX}/ledger", get_ledger, allow_head=False),
    web.post(f"{PREFIX}/ledger", post_ledger),
)
