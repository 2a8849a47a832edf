"""What operators call about machines, beside the Nonce API and with its keys and envelopes (ours).

GET F/rigs                              the machines of a farm
GET F/rigs/{rig_id}                     one of them, with what it said last
PUT F/rigs/{rig_id}/expected-status     what is wished of it
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Self

import structlog
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, model_validator

from cloud.context import CLOCK, STORE
from cloud.http.auth import ACTOR
from cloud.http.errors import ApiError
from cloud.http.rights import needs
from cloud.nonce.answers import many, one, time_or_none
from cloud.nonce.requests import PAGE, farm_of, named, page_of, read_body, takes
from cloud.store.access.admin import NotThereError
from cloud.store.miners import rigs
from cloud.store.miners.rigs import ListedRig
from contract.hiding import hidden
from contract.nonce.sites import FARM
from contract.rigmonitor.asic import Switch
from contract.rigmonitor.playbook import MiningWish
from contract.rigmonitor.shared import MachineKind
from contract.roles import Role

log = structlog.get_logger(__name__)
_Wish = Annotated[Switch | None, Field(default=None)]


class Wishes(BaseModel):
    """What to wish of a machine; one that is left out stays as it is. In MRM's own keys and words."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    asic_expected_status: _Wish
    light_expected_status: _Wish
    expected_status: Annotated[MiningWish | None, Field(default=None)]  # of a CPU/GPU rig

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_dump(exclude_none=True):
            raise ValueError(
                "give asic_expected_status or light_expected_status, each on or off; of a CPU/GPU rig expected_status, "
                "mining or stop"
            )
        return self


@needs(Role.VIEWER)
@takes(*PAGE)
async def list_rigs(request: web.Request) -> web.Response:
    """GET F/rigs, oldest first."""
    farm, page = await farm_of(request), page_of(request)
    found, total = await rigs.page_of_rigs(request.app[STORE], farm.id, page)
    return many([_item(row) for row in found], page, total)


@needs(Role.VIEWER)
@takes()
async def get_rig(request: web.Request) -> web.Response:
    """GET F/rigs/{rig_id}: with `spec` and `log`, what it said last in its own keys."""
    row = await rig_of(request)
    said = row.raw or {}
    return one(_item(row) | {"spec": hidden(said.get("spec")), "log": hidden(said.get("log"))})


@needs(Role.OPERATOR)
@takes()
async def put_expected_status(request: web.Request) -> web.Response:
    """PUT F/rigs/{rig_id}/expected-status: it holds until it is set again; machines ask every few seconds."""
    body = await read_body(request, Wishes)
    rig = await rig_of(request)
    try:
        row = await rigs.expect(
            request.app[STORE],
            rig.id,
            request.app[CLOCK].now(),
            by=request[ACTOR],
            farm_id=rig.farm_id,
            asic=body.asic_expected_status,
            light=body.light_expected_status,
            mining=body.expected_status,
        )
    except NotThereError:  # revoked this moment
        raise ApiError(404, _NOT_FOUND) from None
    except ValueError as error:
        raise ApiError(400, str(error)) from None
    log.info(
        "rig.expected",
        rig=row.id,
        asic=row.asic_expected,
        asic_before=rig.asic_expected,
        light=row.light_expected,
        light_before=rig.light_expected,
        mining=row.mining_expected,
        mining_before=rig.mining_expected,
        actor=request[ACTOR].id,
    )
    return one(_item(row))


_NOT_FOUND = "Machine not found in this farm"


async def rig_of(request: web.Request) -> ListedRig:
    """The machine that the path names. ApiError 404."""
    farm = await farm_of(request)
    row = await rigs.rig_of(request.app[STORE], farm.id, named(request, "rig_id"))
    if row is None:
        raise ApiError(404, _NOT_FOUND)
    return row


def _item(row: ListedRig) -> dict[str, Any]:
    """`miner_id` is null until the machine has reported, and is the id that the Nonce API has for it. A wish that its
    half of the API has no word for is null.
    """
    is_asic = row.kind == MachineKind.ASIC
    return {
        "id": row.id,
        "farm_id": row.farm_id,
        "workspace_id": row.workspace_id,
        "name": row.name,
        "code_prefix": row.code_prefix,
        "miner_id": row.miner_id,
        "kind": row.kind,
        "asic_expected_status": row.asic_expected if is_asic else None,
        "light_expected_status": row.light_expected if is_asic else None,
        "expected_status": None if is_asic else row.mining_expected,
        "expected_set_at": time_or_none(row.expected_set_at),
        "expected_set_by": row.expected_set_by,
        "activated_at": time_or_none(row.activated_at),
        "last_log_at": time_or_none(row.last_log_at),
        "created_at": time_or_none(row.created_at),
    }


ROUTES: Final = (
    web.get(FARM + "/rigs", list_rigs, allow_head=False),
    web.get(FARM + "/rigs/{rig_id}", get_rig, allow_head=False),
    web.put(FARM + "/rigs/{rig_id}/expected-status", put_expected_status),
)
