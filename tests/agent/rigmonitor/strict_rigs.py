"""The half for CPU/GPU rigs of a monitor as strict as server 5.0.0, written from the reference alone: it shares nothing
with `cloud`, `contract` or the client.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

UNITS = ("H/s", "KH/s", "MH/s", "GH/s", "TH/s", "PH/s")
SPEC_FIELDS: dict[str, tuple[type, bool]] = {
    "motherboard_name": (str, True),
    "cpu_name": (str, True),
    "ram_size": (str, True),
} | {f"gpu_{n}_name": (str, False) for n in range(1, 9)}
_OF_A_CARD = (
    *("core_temp", "mem_temp", "hashrate_1", "hashrate_2"),
    *("core_clock", "mem_clock", "power", "fan"),
)
_WHOLE = (
    *("cpu_temp", "cpu_hashrate", "cpu_power"),
    *(f"gpu_{n}_{what}" for n in range(1, 9) for what in _OF_A_CARD),
)
_TEXTS = (
    *("cpu_hashrate_uom", "cpu_algorithm", "cpu_coin_name", "cpu_pool_address"),
    *("cpu_wallet", "cpu_wallet_address", "gpu_fan_uom", "lan_ip", "wan_ip", "uptime"),
    *(
        f"gpu_{what}_{n}"
        for n in (1, 2)
        for what in ("hashrate_uom", "algorithm", "coin_name", "pool_address", "wallet_address")
    ),
)
LOG_FIELDS: dict[str, tuple[type, bool]] = dict.fromkeys(_WHOLE, (int, False)) | dict.fromkeys(
    _TEXTS, (str, False)
)
GROUPS = (
    ("cpu_coin_name", "cpu_algorithm", "cpu_hashrate", "cpu_hashrate_uom"),
    ("gpu_coin_name_1", "gpu_algorithm_1", "gpu_hashrate_uom_1"),
    ("gpu_coin_name_2", "gpu_algorithm_2", "gpu_hashrate_uom_2"),
)


class RigColumnOverflow(Exception):
    """A value that does not fit its column: 500 at the real server."""


@dataclass
class StrictRig:
    """One rig as its operator made it. `playbooks` is what it is answered, be it no list; a callable is asked."""

    code: str
    playbooks: Any = field(default_factory=list)
    is_locked: bool = False  # people work on it: 423
    activated: bool = False
    specs: list[dict[str, Any]] = field(default_factory=list)
    logs: list[dict[str, Any]] = field(default_factory=list)
    log_times: list[float] = field(default_factory=list)
    asked_times: list[float] = field(default_factory=list)  # for its playbooks


class StrictRigs:
    """The rigs of one server. `faults` is the list of what a well-made client never does."""

    def __init__(self, faults: list[str]) -> None:
        self.rigs: dict[str, StrictRig] = {}
        self._faults = faults

    def add(self, code: str, **more: Any) -> StrictRig:
        self.rigs[code] = StrictRig(code, **more)
        return self.rigs[code]

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/api/v1/cpu_gpu_miners/specs", self._specs),
            web.post("/api/v1/cpu_gpu_miners/logs", self._logs),
            web.get("/api/v1/cpu_gpu_miners/playbooks", self._playbooks),
        ]

    def check_spec(self, body: dict[str, Any]) -> dict[str, list[str]]:
        return dict(self._check(body, SPEC_FIELDS))

    def check_log(self, body: dict[str, Any]) -> dict[str, list[str]]:
        """A value of the wrong kind is not there, as far as its group is concerned."""
        errors = self._check(body, LOG_FIELDS)
        for name in ("cpu_hashrate_uom", "gpu_hashrate_uom_1", "gpu_hashrate_uom_2"):
            if name not in errors and body.get(name) not in (*UNITS, None):
                errors[name].append("is invalid")
        for group in GROUPS:
            there = [name for name in group if body.get(name) is not None and name not in errors]
            if there and len(there) < len(group):
                errors[group[0]].append(f"Must be exist together {', '.join(group)}")
        if body.get("cpu_wallet") != body.get("cpu_wallet_address"):
            self._faults.append("the wallet of the processor has one name only")
        return dict(errors)

    def _check(
        self, body: dict[str, Any], fields: dict[str, tuple[type, bool]]
    ) -> defaultdict[str, list[str]]:
        errors: defaultdict[str, list[str]] = defaultdict(list)
        for name in body.keys() - fields.keys():
            self._faults.append(f"unknown key {name}")
        for name, (kind, is_required) in fields.items():
            value = body.get(name)
            if isinstance(value, str) and not value.strip():
                value = None
                self._faults.append(f"blank {name}")
            if value is None:
                if is_required:
                    errors[name].append("can't be blank")
            elif isinstance(value, bool) or not isinstance(value, kind):
                errors[name].append("is invalid")
            elif kind is str and len(value) > 255:
                raise RigColumnOverflow(f"{name} is {value!r}")
            elif kind is int and not -(2**31) <= value < 2**31:
                raise RigColumnOverflow(f"{name} is {value}")
        return errors

    def _rig(self, request: web.Request) -> StrictRig | web.Response:
        code = request.headers.get("API_CODE")
        if code is None:
            return _json({"message": "API_CODE does not exist in request header."}, 401)
        return self.rigs.get(code) or _json({"message": "API_CODE invalid."}, 401)

    async def _specs(self, request: web.Request) -> web.Response:
        rig = self._rig(request)
        if isinstance(rig, web.Response):
            return rig
        body = await self._body(request)
        errors = self.check_spec(body)
        if errors:
            return _json({"errors": errors}, 422)
        rig.specs.append(body)
        rig.activated = True
        return _json(None, 200)

    async def _logs(self, request: web.Request) -> web.Response:
        rig = self._rig(request)
        if isinstance(rig, web.Response):
            return rig
        body = await self._body(request)
        errors = self.check_log(body)
        if errors:
            return _json({"errors": errors}, 422)
        rig.logs.append(body)
        rig.log_times.append(asyncio.get_running_loop().time())
        return _json(None, 200)

    async def _playbooks(self, request: web.Request) -> web.Response:
        rig = self._rig(request)
        if isinstance(rig, web.Response):
            return rig
        rig.asked_times.append(asyncio.get_running_loop().time())
        if rig.is_locked:
            return _json({"errors": {"detail": "Locked"}}, 423)
        return _json(rig.playbooks() if callable(rig.playbooks) else rig.playbooks, 200)

    async def _body(self, request: web.Request) -> Any:
        if request.content_type != "application/json":
            self._faults.append(f"content type {request.content_type}")
        return json.loads(await request.read())


def playbook(number: int = 60, **more: Any) -> dict[str, Any]:
    """One entry as server 5.0.0 answers it: addresses filled in, and no word of what is expected."""
    return {
        "id": number,
        "software_name": "XMRig",
        "software_version": "6.22.2",
        "module": "Elixir.MinerProvision.XMRIG_6_22_2",
        "command_argument": "--no-color --url pool.example.net:443 --algo rx/0 --user 48edf --pass rig-7",
        "cpu_coin_name": "Monero",
        "cpu_algorithm": "RandomX",
        "cpu_wallet_address": "48edf",
        "cpu_pool_address": "pool.example.net:443",
        "gpu_coin_name_1": None,
        "gpu_algorithm_1": None,
        "gpu_wallet_address_1": None,
        "gpu_pool_address_1": None,
        "gpu_coin_name_2": None,
        "gpu_algorithm_2": None,
        "gpu_wallet_address_2": None,
        "gpu_pool_address_2": None,
        "inserted_at": "2025-04-01T10:00:00",
        "updated_at": "2025-04-01T10:00:00",
    } | more


def playbook_of_the_text(number: int = 60, **more: Any) -> dict[str, Any]:
    """One entry in the shape of the published text."""
    return {
        "id": number,
        "software_name": "XMRig",
        "software_version": "6.22.2",
        "module_name": "Miner.XMRIG_6.22.2",
        "command_argument": "--no-color --url $POOL_ADDRESS --algo rx/0 --user $WALLET_ADDRESS --pass $WORKER_NAME",
        "coin_name_1": "Monero",
        "algorithm_1": "RandomX",
        "coin_name_2": None,
        "algorithm_2": None,
    } | more


def _json(body: Any, status: int) -> web.Response:
    return web.json_response(body, status=status)
