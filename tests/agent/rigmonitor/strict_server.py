"""A monitor as strict as server 5.0.0, written from the reference alone: it shares nothing with `cloud`, `contract` or
the client, so that it can disagree with all of them.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.agent.rigmonitor.strict_rigs import RigColumnOverflow, StrictRigs

SPEC_FIELDS = {
    "model": (str, True),
    "model_variant": (str, False),
    "firmware_version": (str, True),
    "software_version": (str, True),
}
LOG_FIELDS: dict[str, tuple[type, bool]] = {
    "hashrate_5_min": (float, True),
    "hashrate_30_min": (float, False),
    "hashrate_uom": (str, True),
    "pool_rejection_rate": (float, False),
    "uptime": (str, True),
    "lan_ip": (str, True),
    "wan_ip": (str, False),
    "coin_name": (str, True),
    "power": (int, True),
}
for n in (1, 2, 3):
    LOG_FIELDS[f"pool_{n}_address"] = (str, n == 1)
    LOG_FIELDS[f"pool_{n}_user"] = (str, n == 1)
    LOG_FIELDS[f"pool_{n}_state"] = (str, n == 1)
    LOG_FIELDS[f"pool_{n}_accepted_share"] = (int, False)
    LOG_FIELDS[f"pool_{n}_rejected_share"] = (int, False)
    LOG_FIELDS[f"hashboard_{n}_hashrate_5_min"] = (float, False)
    LOG_FIELDS[f"hashboard_{n}_hashrate_30_min"] = (float, False)
    LOG_FIELDS[f"hashboard_{n}_temp_1"] = (int, n == 1)
    LOG_FIELDS[f"hashboard_{n}_temp_2"] = (int, False)
for n in (1, 2, 3, 4):
    LOG_FIELDS[f"fan_{n}_speed"] = (int, n == 1)

COLUMNS = {"uptime": 11, "hashrate_uom": 4}


class ColumnOverflow(Exception):
    """A value that does not fit its column: 500 at the real server."""


@dataclass
class Machine:
    """One ASIC as its operator made it. A callable is asked at each poll."""

    code: str
    name: str = "machine"
    asic: Any = "on"
    light: Any = "off"
    activated: bool = False
    specs: list[dict[str, Any]] = field(default_factory=list)
    logs: list[dict[str, Any]] = field(default_factory=list)
    log_times: list[float] = field(default_factory=list)


class StrictServer:
    """`mood` is well, away (503), refusing (401 to every code), hanging, html, wrong (a JSON list) or moved (404)."""

    def __init__(self) -> None:
        self.machines: dict[str, Machine] = {}
        self.mood = "well"
        self.breaks_on: str | None = None  # the code whose records it answers with 500
        self.reject: dict[str, list[str]] | None = None  # what is wrong with every log
        self.faults: list[str] = []  # what a well-made client never does
        self.rigs = StrictRigs(self.faults)
        self.replies: Counter[tuple[str, int]] = Counter()
        self.header_names: set[str] = set()
        self.most_at_once: Counter[str] = Counter()
        self._at_once: Counter[str] = Counter()
        self.bulk_sizes: list[int] = []
        self.answered = asyncio.Event()
        self.url = ""

    def add(self, code: str, **more: Any) -> Machine:
        self.machines[code] = Machine(code, **more)
        return self.machines[code]

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/api/v1/ping", self._ping)
        app.router.add_post("/api/v1/asic_miners/specs", self._specs)
        app.router.add_post("/api/v1/asic_miners/logs", self._logs)
        app.router.add_get("/api/v1/asic_miners/expected_status", self._expected)
        app.router.add_post("/api/v1/asic_miners/expected_status_bulk", self._bulk)
        app.router.add_routes(self.rigs.routes())
        app.middlewares.append(self._moody)
        return app

    @web.middleware
    async def _moody(self, request: web.Request, handler: Any) -> web.StreamResponse:
        code = request.headers.get("API_CODE")
        key = code or request.path
        self.header_names |= {name for name in request.headers if "api" in name.lower()}
        self._at_once[key] += 1
        self.most_at_once[key] = max(self.most_at_once[key], self._at_once[key])
        try:
            reply = await self._answer(request, handler)
        except (ColumnOverflow, RigColumnOverflow) as error:
            self.faults.append(f"500: {error}")
            reply = _json({"errors": {"detail": "Internal Server Error"}}, 500)
        except web.HTTPNotFound:
            self.faults.append(f"404: {request.method} {request.path}")
            reply = _json({"errors": {"detail": "Not Found"}}, 404)
        finally:
            self._at_once[key] -= 1
        self.replies[request.path.rpartition("/")[2], reply.status] += 1
        self.answered.set()
        return reply

    async def _answer(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if self.breaks_on is not None and request.headers.get("API_CODE") == self.breaks_on:
            return _json({"errors": {"detail": "Internal Server Error"}}, 500)
        if self.mood == "away":
            return web.Response(status=503, text="<html>bad gateway</html>")
        if self.mood == "hanging":
            await asyncio.Event().wait()  # for good: it ends when the client hangs up
        if self.mood == "html":
            return web.Response(text="<html>log in</html>", content_type="text/html")
        if self.mood == "moved":
            return web.Response(status=404, text="<html>no such site here</html>")
        if self.mood == "wrong":
            return _json(["what?"], 200)
        if self.mood == "refusing" and not request.path.endswith(("ping", "bulk")):
            return _json({"message": "API_CODE invalid."}, 401)
        return await handler(request)

    def _machine(self, request: web.Request) -> Machine | web.Response:
        code = request.headers.get("API_CODE")
        if code is None:
            return _json({"message": "API_CODE does not exist in request header."}, 401)
        return self.machines.get(code) or _json({"message": "API_CODE invalid."}, 401)

    async def _ping(self, request: web.Request) -> web.Response:
        return _json({"message": "pong"}, 200)

    async def _specs(self, request: web.Request) -> web.Response:
        machine = self._machine(request)
        if isinstance(machine, web.Response):
            return machine
        body = await self._body(request)
        if isinstance(body, web.Response):
            return body
        errors = self._check(body, SPEC_FIELDS)
        if errors:
            return _json({"errors": errors}, 422)
        machine.specs.append(body)
        machine.activated = True
        return _json(None, 200)

    async def _logs(self, request: web.Request) -> web.Response:
        machine = self._machine(request)
        if isinstance(machine, web.Response):
            return machine
        body = await self._body(request)
        if isinstance(body, web.Response):
            return body
        errors = self._check(body, LOG_FIELDS)
        errors.update(self.reject or {})
        for name in ("pool_1_state", "pool_2_state", "pool_3_state"):
            if name in body and body[name] not in ("Connected", "Unconnected", None):
                errors[name].append("is invalid")
        if errors:
            return _json({"errors": errors}, 422)
        if body["hashrate_uom"].lower() not in ("g", "gh/s"):
            self.faults.append(f"counted as H/s: {body['hashrate_uom']}")
        if len(body["uptime"].split(":")) != 4:
            self.faults.append(f"the detail page breaks on uptime {body['uptime']}")
        machine.logs.append(body)
        machine.log_times.append(asyncio.get_running_loop().time())
        return _json(None, 200)

    async def _expected(self, request: web.Request) -> web.Response:
        machine = self._machine(request)
        return machine if isinstance(machine, web.Response) else _json(_expected(machine), 200)

    async def _bulk(self, request: web.Request) -> web.Response:
        if "API_CODE" in request.headers:
            self.faults.append("a code in the header of a call that wants none")
        body = await self._body(request)
        if isinstance(body, web.Response):
            return body
        if "api_code_list" not in body:
            return _json({"errors": {"detail": "Bad Request"}}, 400)
        codes = body["api_code_list"]
        if not isinstance(codes, list):
            raise ColumnOverflow("api_code_list is no list")
        if body.get("asic_api_code_list") != codes:
            self.faults.append("the published text's spelling is missing")
        self.bulk_sizes.append(len(codes))
        found = {code: _expected(self.machines[code]) for code in codes if code in self.machines}
        return _json(found, 200)

    async def _body(self, request: web.Request) -> Any:
        if request.content_type != "application/json":
            self.faults.append(f"content type {request.content_type}")
        try:
            return json.loads(await request.read())
        except ValueError:
            return _json({"errors": {"detail": "Bad Request"}}, 400)

    def _check(
        self, body: dict[str, Any], fields: dict[str, tuple[type, bool]]
    ) -> defaultdict[str, list[str]]:
        errors: defaultdict[str, list[str]] = defaultdict(list)
        for name in body.keys() - fields.keys():
            self.faults.append(f"unknown key {name}")
        for name, (kind, required) in fields.items():
            value = body.get(name)
            if isinstance(value, str) and not value.strip():
                value = None
                self.faults.append(f"blank {name}")
            if value is None:
                if required:
                    errors[name].append("can't be blank")
            elif not _fits(value, kind):
                errors[name].append("is invalid")
            elif kind is str and len(value) > COLUMNS.get(name, 255):
                raise ColumnOverflow(f"{name} is {value!r}")
            elif kind is int and not -(2**31) <= value < 2**31:
                raise ColumnOverflow(f"{name} is {value}")
        return errors


def _fits(value: Any, kind: type) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, int | float) if kind is float else isinstance(value, kind)


def _expected(machine: Machine) -> dict[str, Any]:
    return {
        "name": machine.name,
        "asic_expected_status": machine.asic() if callable(machine.asic) else machine.asic,
        "light_expected_status": machine.light() if callable(machine.light) else machine.light,
    }


def _json(body: Any, status: int) -> web.Response:
    return web.json_response(body, status=status)


@asynccontextmanager
async def strict_server(host: str = "127.0.0.1"):
    """Served on a free port of loopback; `url` says where."""
    server = StrictServer()
    runner = web.AppRunner(server.app(), shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, 0)
        await site.start()
        port = runner.addresses[0][1]
        server.url = f"http://{host}:{port}"
        yield server
    finally:
        await runner.cleanup()
