"""What the calls of all machines share: who calls, how often, and with what."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import Final

from aiohttp import web

from cloud.context import SETTINGS, STORE
from cloud.rigmonitor.casting import BodyT, InvalidBodyError, cast
from cloud.rigmonitor.limiter import LIMITER, Limiter
from cloud.rigmonitor.params import read_params
from cloud.rigmonitor.replies import BAD_CODE, NO_CODE, MachineError
from cloud.store.miners import rigs
from cloud.store.miners.rigs import FoundRig
from contract.rigmonitor.shared import HEADER, HEADER_ALIAS, MachineKind
from contract.task import AssetStatus

_JSON_RANGES: Final = frozenset({"*/*", "application/*", "application/json"})


async def machine_of(request: web.Request, kind: MachineKind) -> FoundRig:
    """The machine that calls, of the kind whose call it is. MachineError 406, 401 or 429."""
    check_accept(request)
    code = request.headers.get(HEADER)
    if code is None and request.app[SETTINGS].rig_header_alias:
        code = request.headers.get(HEADER_ALIAS)
    if code is None:
        raise MachineError(HTTPStatus.UNAUTHORIZED, NO_CODE)
    rig = await rigs.find_rig(request.app[STORE], kind, code)
    if rig is None:
        raise MachineError(HTTPStatus.UNAUTHORIZED, BAD_CODE)
    check_pace(request.app[LIMITER], rig.id)
    return rig


def check_pace(limiter: Limiter, caller: str) -> None:
    """MachineError 429 for one that calls too often."""
    wait_s = limiter.wait_s(caller)
    if wait_s > 0:
        raise MachineError(
            HTTPStatus.TOO_MANY_REQUESTS, headers={"Retry-After": str(math.ceil(wait_s))}
        )


async def body_of(request: web.Request, kind: type[BodyT]) -> BodyT:
    """What it sent. MachineError 422 that names every field that is missing or wrong."""
    params = await read_params(request)
    try:
        return cast(kind, params)
    except InvalidBodyError as error:
        raise MachineError(HTTPStatus.UNPROCESSABLE_ENTITY, {"errors": error.errors}) from None


def check_accept(request: web.Request) -> None:
    """MachineError 406 for a caller that does not take JSON."""
    wanted = ",".join(request.headers.getall("Accept", ()))
    ranges = {each.partition(";")[0].strip().lower() for each in wanted.split(",")} - {""}
    if ranges and not ranges & _JSON_RANGES:
        raise MachineError(HTTPStatus.NOT_ACCEPTABLE)


def is_left_alone(rig: FoundRig) -> bool:
    """Whether people work on it. What is answered then is what a client takes for no information: this API has words
    for what to do, and none for "as it is".
    """
    return rig.ops_status == AssetStatus.MAINTENANCE
