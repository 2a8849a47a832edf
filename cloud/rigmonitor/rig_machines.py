"""What CPU/GPU rigs call: what they are, what they do, and what they are to mine."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Any, Final

import msgspec
import structlog
from aiohttp import web

from cloud.context import CLOCK, STORE
from cloud.http.errors import json_response
from cloud.rigmonitor.calls import body_of, is_left_alone, machine_of
from cloud.rigmonitor.figures import ip_of
from cloud.rigmonitor.inbox import INBOX
from cloud.rigmonitor.replies import MachineError
from cloud.rigmonitor.rig_figures import normalised, state_of, static_of
from cloud.store.miners import playbooks, rigs
from cloud.store.schema.rows import PlaybookRow, RigRow
from contract.nonce.playbooks import SLOTS
from contract.rigmonitor.playbook import (
    PLAYBOOKS,
    MiningWish,
    PlaybookEntry,
    filled_in,
    module,
    module_name,
)
from contract.rigmonitor.rig import RIG_LOGS, RIG_SPECS, RigLog, RigSpec
from contract.rigmonitor.shared import MachineKind

# What a rig is told as it stands in the books.
_AS_IT_IS: Final = (
    *("id", "software_name", "software_version"),
    *("cpu_coin_name", "cpu_algorithm", "cpu_wallet_address", "cpu_pool_address"),
    *("gpu_coin_name_1", "gpu_algorithm_1", "gpu_wallet_address_1", "gpu_pool_address_1"),
    *("gpu_coin_name_2", "gpu_algorithm_2", "gpu_wallet_address_2", "gpu_pool_address_2"),
)
log = structlog.get_logger(__name__)


async def post_specs(request: web.Request) -> web.Response:
    """POST cpu_gpu_miners/specs: what the rig is. The first one activates it."""
    rig = await machine_of(request, MachineKind.RIG)
    spec = await body_of(request, RigSpec)
    now = request.app[CLOCK].now()
    said = msgspec.to_builtins(spec)
    await rigs.apply_specs(request.app[STORE], rig, static_of(spec), said, now)
    if rig.activated_at is None:
        log.info("rig.activated", rig=rig.id, farm=rig.farm_id)
    return json_response(None)


async def post_logs(request: web.Request) -> web.Response:
    """POST cpu_gpu_miners/logs: what the rig does, stamped on arrival."""
    rig = await machine_of(request, MachineKind.RIG)
    report = normalised(await body_of(request, RigLog))
    said = (await rigs.said_of(request.app[STORE], rig)).get("spec")
    spec = None if said is None else msgspec.convert(said, RigSpec)
    moving, slow = state_of(report, spec)
    await request.app[INBOX].put(
        rigs.Log(
            rig=rig,
            moving=moving,
            slow=slow,
            ip=ip_of(report.lan_ip),
            said=msgspec.to_builtins(report),
            static=static_of(spec, report),
        )
    )
    return json_response(None)


async def get_playbooks(request: web.Request) -> web.Response:
    """GET cpu_gpu_miners/playbooks: what the rig is to mine, by id. MachineError 423 while it is in maintenance."""
    rig = await machine_of(request, MachineKind.RIG)
    if is_left_alone(rig):
        raise MachineError(HTTPStatus.LOCKED)
    found = await playbooks.of_rig(request.app[STORE], rig.id)
    return json_response([_entry(row, rig) for row in found])


def _entry(row: PlaybookRow, rig: RigRow) -> PlaybookEntry:
    mined = [
        (getattr(row, coin), getattr(row, algorithm))
        for coin, algorithm in SLOTS
        if getattr(row, coin) is not None
    ]
    (coin_1, algorithm_1), (coin_2, algorithm_2), *_ = [*mined, (None, None), (None, None)]
    as_it_is: dict[str, Any] = {name: getattr(row, name) for name in _AS_IT_IS}
    return PlaybookEntry(
        command_argument=filled_in(
            row.command_argument,
            rig.name,
            cpu_wallet=row.cpu_wallet_address,
            gpu_wallets=(row.gpu_wallet_address_1, row.gpu_wallet_address_2),
            cpu_pool=row.cpu_pool_address,
            gpu_pools=(row.gpu_pool_address_1, row.gpu_pool_address_2),
        ),
        module_name=module_name(row.software_name, row.software_version),
        module=module(row.software_name, row.software_version),
        expected_status=MiningWish(rig.mining_expected),
        coin_name_1=coin_1,
        algorithm_1=algorithm_1,
        coin_name_2=coin_2,
        algorithm_2=algorithm_2,
        inserted_at=_without_zone(row.created_at),
        updated_at=_without_zone(row.updated_at),
        **as_it_is,
    )


def _without_zone(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}"


ROUTES: Final = (
    web.post(RIG_SPECS, post_specs),
    web.post(RIG_LOGS, post_logs),
    web.get(PLAYBOOKS, get_playbooks, allow_head=False),
)
