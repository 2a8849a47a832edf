"""What machines call: `/api/v1`, wire-compatible with the official server, wider where that one would fail."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import Final

import msgspec
import structlog
from aiohttp import web

from cloud.context import CLOCK, SETTINGS, STORE
from cloud.http.errors import json_response
from cloud.http.peers import peer_of
from cloud.rigmonitor.casting import INVALID, BodyT, InvalidBodyError, cast
from cloud.rigmonitor.figures import ip_of, state_of, static_of
from cloud.rigmonitor.inbox import INBOX
from cloud.rigmonitor.limiter import BULK_LIMITER, LIMITER, Limiter
from cloud.rigmonitor.params import read_params
from cloud.rigmonitor.replies import BAD_CODE, NO_CODE, MachineError
from cloud.store.miners import rigs
from cloud.store.miners.rigs import FoundRig
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
from contract.rigmonitor.shared import HEADER, HEADER_ALIAS, PING
from contract.task import AssetStatus

_LISTS: Final = ("api_code_list", "asic_api_code_list")  # of server 5.0.0, of the published text
_JSON_RANGES: Final = frozenset({"*/*", "application/*", "application/json"})
log = structlog.get_logger(__name__)


async def ping(request: web.Request) -> web.Response:
    """GET ping."""
    _check_accept(request)
    return json_response({"message": "pong"})


async def post_specs(request: web.Request) -> web.Response:
    """POST asic_miners/specs: what the machine is. The first one activates it."""
    rig = await _machine(request)
    spec = await _body(request, AsicSpec)
    now = request.app[CLOCK].now()
    said = msgspec.to_builtins(spec)
    await rigs.apply_specs(request.app[STORE], rig, static_of(spec), said, now)
    if rig.activated_at is None:
        log.info("rig.activated", rig=rig.id, farm=rig.farm_id)
    return json_response(None)


async def post_logs(request: web.Request) -> web.Response:
    """POST asic_miners/logs: what the machine does, stamped on arrival."""
    rig = await _machine(request)
    report = await _body(request, AsicLog)
    moving, slow = state_of(report)
    await request.app[INBOX].put(
        rigs.Log(
            rig=rig,
            moving=moving,
            slow=slow,
            ip=ip_of(report),
            said=msgspec.to_builtins(report),
        )
    )
    return json_response(None)


async def get_expected_status(request: web.Request) -> web.Response:
    """GET asic_miners/expected_status: what is wished of the machine. MachineError 423 while it is in maintenance."""
    rig = await _machine(request)
    if _is_left_alone(rig):
        raise MachineError(HTTPStatus.LOCKED)
    return json_response(_expected(rig))


async def post_expected_status_bulk(request: web.Request) -> web.Response:
    """POST asic_miners/expected_status_bulk: the wishes for many, by the codes sent. Nobody proves who asks: whoever
    knows a code may read its wishes, and codes that are unknown or revoked are left out. So that nobody can try codes
    by the million, an address may ask only so often. Machines in maintenance are left out, too.
    """
    _check_accept(request)
    _check_pace(request.app[BULK_LIMITER], peer_of(request))
    params = await read_params(request)
    given = {name: params[name] for name in _LISTS if name in params}
    if not given:
        raise MachineError(HTTPStatus.BAD_REQUEST)
    errors = {name: [INVALID] for name, codes in given.items() if not _is_list_of_text(codes)}
    if errors:
        raise MachineError(HTTPStatus.UNPROCESSABLE_ENTITY, {"errors": errors})
    codes = dict.fromkeys(code for codes in given.values() for code in codes)
    found = await rigs.find_rigs(request.app[STORE], codes)
    told = (code for code in codes if code in found and not _is_left_alone(found[code]))
    return json_response({code: _expected(found[code]) for code in told})


async def _machine(request: web.Request) -> FoundRig:
    """The machine that calls. MachineError 406, 401 or 429."""
    _check_accept(request)
    code = request.headers.get(HEADER)
    if code is None and request.app[SETTINGS].rig_header_alias:
        code = request.headers.get(HEADER_ALIAS)
    if code is None:
        raise MachineError(HTTPStatus.UNAUTHORIZED, NO_CODE)
    rig = await rigs.find_rig(request.app[STORE], code)
    if rig is None:
        raise MachineError(HTTPStatus.UNAUTHORIZED, BAD_CODE)
    _check_pace(request.app[LIMITER], rig.id)
    return rig


def _check_pace(limiter: Limiter, caller: str) -> None:
    wait_s = limiter.wait_s(caller)
    if wait_s > 0:
        raise MachineError(
            HTTPStatus.TOO_MANY_REQUESTS, headers={"Retry-After": str(math.ceil(wait_s))}
        )


async def _body(request: web.Request, kind: type[BodyT]) -> BodyT:
    params = await read_params(request)
    try:
        return cast(kind, params)
    except InvalidBodyError as error:
        raise MachineError(HTTPStatus.UNPROCESSABLE_ENTITY, {"errors": error.errors}) from None


def _check_accept(request: web.Request) -> None:
    wanted = ",".join(request.headers.getall("Accept", ()))
    ranges = {each.partition(";")[0].strip().lower() for each in wanted.split(",")} - {""}
    if ranges and not ranges & _JSON_RANGES:
        raise MachineError(HTTPStatus.NOT_ACCEPTABLE)


def _is_left_alone(rig: FoundRig) -> bool:
    """Whether people work on it. What is answered then is what a client takes for no information: this API has words
    for on and off, and none for "as it is".
    """
    return rig.ops_status == AssetStatus.MAINTENANCE


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
