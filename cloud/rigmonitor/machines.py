"""What ASICs call: `/api/v1`, wire-compatible with the official server, wider where that one would fail."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

import msgspec
import structlog
from aiohttp import web

from cloud.context import CLOCK, STORE
from cloud.http.errors import json_response
from cloud.http.peers import peer_of
from cloud.rigmonitor.asic_figures import state_of, static_of
from cloud.rigmonitor.calls import body_of, check_accept, check_pace, is_left_alone, machine_of
from cloud.rigmonitor.casting import INVALID
from cloud.rigmonitor.figures import ip_of
from cloud.rigmonitor.inbox import INBOX
from cloud.rigmonitor.limiter import BULK_LIMITER
from cloud.rigmonitor.params import read_params
from cloud.rigmonitor.replies import MachineError
from cloud.store.miners import rigs
from cloud.store.schema.rows import RigRow
from contract.rigmonitor.asic import (
    EXPECTED_STATUS,
    EXPECTED_STATUS_BULK,
    LOGS,
    SPECS,
    AsicLog,
    AsicSpec,
    Expected,
    Switch,
)
from contract.rigmonitor.shared import PING, MachineKind

_LISTS: Final = ("api_code_list", "asic_api_code_list")  # of server 5.0.0, of the published text
log = structlog.get_logger(__name__)


async def ping(request: web.Request) -> web.Response:
    """GET ping."""
    check_accept(request)
    return json_response({"message": "pong"})


async def post_specs(request: web.Request) -> web.Response:
    """POST asic_miners/specs: what the machine is. The first one activates it."""
    rig = await machine_of(request, MachineKind.ASIC)
    spec = await body_of(request, AsicSpec)
    now = request.app[CLOCK].now()
    said = msgspec.to_builtins(spec)
    await rigs.apply_specs(request.app[STORE], rig, static_of(spec), said, now)
    if rig.activated_at is None:
        log.info("rig.activated", rig=rig.id, farm=rig.farm_id)
    return json_response(None)


async def post_logs(request: web.Request) -> web.Response:
    """POST asic_miners/logs: what the machine does, stamped on arrival."""
    rig = await machine_of(request, MachineKind.ASIC)
    report = await body_of(request, AsicLog)
    moving, slow = state_of(report)
    await request.app[INBOX].put(
        rigs.Log(
            rig=rig,
            moving=moving,
            slow=slow,
            ip=ip_of(report.lan_ip),
            said=msgspec.to_builtins(report),
        )
    )
    return json_response(None)


async def get_expected_status(request: web.Request) -> web.Response:
    """GET asic_miners/expected_status: what is wished of the machine. MachineError 423 while it is in maintenance."""
    rig = await machine_of(request, MachineKind.ASIC)
    if is_left_alone(rig):
        raise MachineError(HTTPStatus.LOCKED)
    return json_response(_expected(rig))


async def post_expected_status_bulk(request: web.Request) -> web.Response:
    """POST asic_miners/expected_status_bulk: the wishes for many, by the codes sent. Nobody proves who asks: whoever
    knows a code may read its wishes, and codes that are unknown or revoked are left out. So that nobody can try codes
    by the million, an address may ask only so often. Machines in maintenance are left out, too.
    """
    check_accept(request)
    check_pace(request.app[BULK_LIMITER], peer_of(request))
    params = await read_params(request)
    given = {name: params[name] for name in _LISTS if name in params}
    if not given:
        raise MachineError(HTTPStatus.BAD_REQUEST)
    errors = {name: [INVALID] for name, codes in given.items() if not _is_list_of_text(codes)}
    if errors:
        raise MachineError(HTTPStatus.UNPROCESSABLE_ENTITY, {"errors": errors})
    codes = dict.fromkeys(code for codes in given.values() for code in codes)
    found = await rigs.find_rigs(request.app[STORE], MachineKind.ASIC, codes)
    told = (code for code in codes if code in found and not is_left_alone(found[code]))
    return json_response({code: _expected(found[code]) for code in told})


def _expected(rig: RigRow) -> Expected:
    return Expected(
        asic_expected_status=Switch(rig.asic_expected),
        light_expected_status=Switch(rig.light_expected),
        name=rig.name,
    )


def _is_list_of_text(codes: object) -> bool:
    return isinstance(codes, list) and all(isinstance(code, str) for code in codes)


ROUTES: Final = (
    web.get(PING, ping),
    web.post(SPECS, post_specs),
    web.post(LOGS, post_logs),
    web.get(EXPECTED_STATUS, get_expected_status),
    web.post(EXPECTED_STATUS_BULK, post_expected_status_bulk),
)
