"""Which path leads where."""

from __future__ import annotations

from aiohttp import web

from cloud.context import CLOCK, SETTINGS, STORE
from cloud.rigmonitor import machines, operators
from cloud.rigmonitor.inbox import INBOX, Inbox, inbox_closed
from cloud.rigmonitor.limiter import BULK_LIMITER, LIMITER, Limiter
from contract.nonce import FARM
from contract.rigmonitor import EXPECTED_STATUS, EXPECTED_STATUS_BULK, LOGS, PING, SPECS


def add_routes(app: web.Application) -> None:
    """Put both sides into an application that has the keys of `cloud.context`."""
    settings = app[SETTINGS]
    app[LIMITER] = Limiter(
        app[CLOCK], per_s=settings.rig_calls_per_s, burst=settings.rig_calls_burst
    )
    app[BULK_LIMITER] = Limiter(
        app[CLOCK],
        per_s=settings.rig_bulk_calls_per_s,
        burst=max(1, int(settings.rig_bulk_calls_per_s)),
    )
    app[INBOX] = Inbox(app[STORE], settings, app[CLOCK])
    app.cleanup_ctx.append(inbox_closed)
    rig = FARM + "/rigs/{rig_id}"
    app.router.add_routes(
        [
            web.get(PING, machines.ping),
            web.post(SPECS, machines.post_specs),
            web.post(LOGS, machines.post_logs),
            web.get(EXPECTED_STATUS, machines.get_expected_status),
            web.post(EXPECTED_STATUS_BULK, machines.post_expected_status_bulk),
            web.get(FARM + "/rigs", operators.list_rigs, allow_head=False),
            web.get(rig, operators.get_rig, allow_head=False),
            web.put(rig + "/expected-status", operators.put_expected_status),
        ]
    )
