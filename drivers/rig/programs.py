"""How each mining program is asked: over HTTP, or as sgminer is."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

import msgspec

from contract.errors import AuthFailedError, MalformedError
from drivers.base import Permit
from drivers.http_client import HttpClient
from drivers.protocol.objects import BROKEN, decode_object, not_json
from drivers.rig.protocol import (
    bzminer,
    gminer,
    lolminer,
    nbminer,
    rigel,
    srbminer,
    teamredminer,
    trex,
    xmrig,
)
from drivers.rig.protocol.report import ProgramReport
from drivers.rig.protocol.teamredminer import TeamredDecoder
from drivers.rig.spec import MiningProgram, ProgramSpec
from drivers.rig.wire import RigWire

ANSWER_S: Final = 5.0
_LEAST_S: Final = 0.2  # for one page, however little time is left
ANSWER_CAP_BYTES: Final = 512 * 1024


async def ask(wire: RigWire, spec: ProgramSpec, *, end_mono: float = float("inf")) -> ProgramReport:
    """What a program tells now, by `end_mono`. Raises ServiceAwayError when it does not run, AuthFailedError when its
    token is another, MalformedError for an answer that is not its own.
    """
    if spec.kind is MiningProgram.TEAMREDMINER:
        body = await wire.exchange(
            spec.port,
            teamredminer.REQUEST,
            TeamredDecoder(),
            deadline_s=_deadline_s(wire, end_mono),
            cap_bytes=ANSWER_CAP_BYTES,
        )
        return teamredminer.report_of(teamredminer.fields_of(body))
    if spec.kind is MiningProgram.XMRIG:
        summary = decode_object(await _get(wire, spec, xmrig.PATHS[0], end_mono))
        return xmrig.report_of(summary, _any(await _get(wire, spec, xmrig.PATHS[1], end_mono)))
    program = _OVER_HTTP[spec.kind]
    report_of: Callable[[dict[str, Any]], ProgramReport] = program.report_of
    return report_of(decode_object(await _get(wire, spec, program.PATHS[0], end_mono)))


async def control(wire: RigWire, spec: ProgramSpec, method: str, permit: Permit) -> None:
    """Tell XMRig to pause or to resume, once. Raises as `xmrig.check_taken`, and as `Wire.exchange`."""
    response = await HttpClient(wire, spec.port).send(
        "POST",
        xmrig.ORDERS_PATH,
        headers={**_token(spec), "Content-Type": "application/json"},
        body=xmrig.order_body(method),
        deadline_s=_deadline_s(wire),
        permit=permit,
    )
    xmrig.check_taken(response.status, response.body)


# --- private -------------------------------------------------------------------------------------

_OVER_HTTP: Final[dict[MiningProgram, ModuleType]] = {
    MiningProgram.LOLMINER: lolminer,
    MiningProgram.TREX: trex,
    MiningProgram.RIGEL: rigel,
    MiningProgram.BZMINER: bzminer,
    MiningProgram.SRBMINER: srbminer,
    MiningProgram.GMINER: gminer,
    MiningProgram.NBMINER: nbminer,
}


async def _get(wire: RigWire, spec: ProgramSpec, path: str, end_mono: float) -> bytes:
    response = await HttpClient(wire, spec.port).send(
        "GET",
        path,
        headers=_token(spec),
        deadline_s=_deadline_s(wire, end_mono),
        cap_bytes=ANSWER_CAP_BYTES,
    )
    if response.status in {401, 403}:
        raise AuthFailedError(
            f"{spec.kind} at port {spec.port} wants another token (HTTP {response.status}): "
            "set that of its configuration"
        )
    if response.status != 200:
        raise MalformedError(f"{spec.kind} answered {path} with HTTP {response.status}")
    return response.body


def _token(spec: ProgramSpec) -> dict[str, str]:
    return {"Authorization": f"Bearer {spec.token}"} if spec.token else {}


def _deadline_s(wire: RigWire, end_mono: float = float("inf")) -> float:
    left_s = max(_LEAST_S, end_mono - wire.clock.mono())
    return min(ANSWER_S, wire.timing.read_s, left_s)


def _any(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except BROKEN as error:
        raise not_json(body, error) from None
