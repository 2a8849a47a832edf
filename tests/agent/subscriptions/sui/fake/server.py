"""The network of `chain.py` behind GraphQL, as a process of its own, with faults on demand.

    python -m tests.agent.subscriptions.sui.fake.server      prints {"port": N, "control": N}, then serves until it is ended

`POST /graphql` answers the documents by their root field; `POST /control`, on a port of its own, sets faults and looks
inside.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from typing import Any

from aiohttp import web

from tests.agent.subscriptions.sui.fake.chain import (
    COIN,
    REFERENCE_GAS_PRICE,
    FakeChain,
    RefusedError,
    database,
    shown,
)
from tests.agent.subscriptions.sui.machine import DATABASE, PACKAGE

CHAIN_ID = "4c78adac"
_ROOT = re.compile(r"\{\s*(\w+)")
_GIGABYTE = 2**30
_CHUNK = b'{"data": "' + b" " * 2**20


class FakeServer:
    """`faults`: for each root field those that are still to come, the next first."""

    def __init__(self) -> None:
        self.chain = FakeChain()
        self.chain_id = CHAIN_ID
        self.lag = 0  # transactions that reads are behind
        self.node_lag = 0  # and the node that simulates
        self.outcome_lag = 0  # and the list of transactions, beyond the reads
        self.more_parameters: list[str] = []
        self.faults: dict[str, list[str]] = {}
        self.raw: dict[str, str] = {}  # for each root field, what is answered whatever is asked
        self.held: str | None = None
        self.sent = 0  # bytes of an answer without end
        self.asked: list[str] = []
        self._release: asyncio.Future[str] | None = None
        self._site: web.TCPSite | None = None
        self.port = 0

    async def listen(self, runner: web.AppRunner) -> None:
        """Take requests, on the same port as before."""
        self._runner = runner
        self._site = web.TCPSite(runner, "127.0.0.1", self.port)
        await self._site.start()
        self.port = runner.addresses[0][1]

    async def control(self, request: web.Request) -> web.Response:
        """One order, with its arguments; `look` alone answers more than nothing."""
        given = await request.json()
        order = given.pop("order")
        if order == "setup":
            self.chain.setup(given)
        elif order == "set":
            for key, value in given.items():
                setattr(self, key, value)
        elif order == "touch":
            self.chain.touch(given["key"])
        elif order == "deprecate":
            self.chain.now.state.tasks[given["task"]].deprecated = True
        elif order == "remove":
            del self.chain.now.things[given["key"]]
        elif order == "listen":
            await self.listen(self._runner)
        elif order == "release":
            assert self._release is not None
            self._release.set_result(given["how"])
        return web.json_response(self._look())

    def _look(self) -> dict[str, Any]:
        now = self.chain.now
        return {
            "given": self.chain.given,
            "refused": self.chain.refused,
            "executed": {digest: each["status"] for digest, each in now.effects.items()},
            "subscriptions": [
                [*place, *terms] for place, terms in sorted(now.state.subscriptions.items())
            ],
            "balances": {k: t.number for k, t in now.things.items() if t.type == COIN},
            "held": self.held,
            "sent": self.sent,
            "asked": self.asked,
            "faults": self.faults,
        }

    async def graphql(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        found = _ROOT.search(asked["query"])
        assert found is not None
        root = found[1]
        self.asked.append(root)
        if root in self.raw:
            return web.Response(text=self.raw[root], content_type="application/json")
        waiting = self.faults.get(root)
        fault = waiting.pop(0) if waiting else ""
        if fault == "hold" and await self._hold(root) == "drop":
            return _hang_up(request)
        if fault in ("drop", "html", "status", "redirect", "gigabytes", "not_json"):
            return await self._misbehave(request, fault)
        if fault == "errors":
            return web.json_response({"data": None, "errors": [{"message": "Request timed out"}]})
        try:
            data = getattr(self, f"_{root}")(asked["variables"])
        except RefusedError as error:
            return web.json_response({"data": None, "errors": [{"message": str(error)}]})
        if fault == "lose" or (fault == "hold_after" and await self._hold(root) == "drop"):
            return _hang_up(request)
        if fault == "deaf":  # this answer is the last, and who asks next cannot connect
            assert self._site is not None
            await self._site.stop()
            answer = web.json_response({"data": {root: data}})
            answer.force_close()
            return answer
        if fault == "errors_after":
            return web.json_response({"data": None, "errors": [{"message": "Request timed out"}]})
        return web.json_response(
            {"data": None if fault == "null" else {root: data, **_epoch(root)}}
        )

    async def _misbehave(self, request: web.Request, how: str) -> web.StreamResponse:
        if how == "drop":
            return _hang_up(request)
        if how == "redirect":
            raise web.HTTPTemporaryRedirect("/graphql")
        if how == "not_json":
            return web.Response(text="{" * 100_000, content_type="application/json")
        if how != "gigabytes":
            text = "<html><body>Bad gateway</body></html>"
            return web.Response(
                text=text, content_type="text/html", status=502 if how == "status" else 200
            )
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(_GIGABYTE // len(_CHUNK)):
            await response.write(_CHUNK)
            self.sent += len(_CHUNK)
        return response

    async def _hold(self, root: str) -> str:
        self.held = root
        self._release = asyncio.get_running_loop().create_future()
        how = await self._release
        self.held = None
        return how

    # --- the root fields ---

    def _chainIdentifier(self, _given: Any) -> str:  # noqa: N802
        return self.chain_id

    def _package(self, given: Any) -> Any:
        if given["package"] != f"0x{PACKAGE.hex()}":
            return None
        is_older = self.chain.now.state.abi == "per_unit"
        names = ["AtomaDb", "NodeBadge", *["u64"] * (3 if is_older else 2)]
        names += self.more_parameters
        signatures = [
            {"ref": None, "body": "u64"}
            if each == "u64"
            else {"ref": "&mut", "body": {"datatype": {"module": "m", "type": each}}}
            for each in names
        ]
        return {"module": {"function": {"parameters": [{"signature": s} for s in signatures]}}}

    def _address(self, given: Any) -> Any:
        wanted = _normal(given["type"])
        found = [
            shown(key, each)
            for key, each in self.chain.seen(self.lag).things.items()
            if each.owner == given["owner"] and _normal(each.type) == wanted
        ]
        first = int(given["after"] or 0)
        page = {"hasNextPage": len(found) > first + 50, "endCursor": str(first + 50)}
        return {"objects": {"pageInfo": page, "nodes": found[first : first + 50]}}

    def _multiGetObjects(self, given: Any) -> Any:  # noqa: N802
        ledger = self.chain.seen(self.lag)
        keys = [each["address"] for each in given["keys"]]
        return [
            database(ledger)
            if each == f"0x{DATABASE.hex()}"
            else shown(each, ledger.things[each])
            if each in ledger.things
            else None
            for each in keys
        ]

    def _simulateTransaction(self, given: Any) -> Any:  # noqa: N802
        data = base64.b64decode(given["transaction"]["bcs"]["value"])
        return {"effects": self.chain.simulate(data, self.node_lag)}

    def _executeTransaction(self, given: Any) -> Any:  # noqa: N802
        signatures = [base64.b64decode(each) for each in given["signatures"]]
        return {"effects": self.chain.execute(base64.b64decode(given["transaction"]), signatures)}

    def _transaction(self, given: Any) -> Any:
        effects = self.chain.seen(self.lag + self.outcome_lag).effects.get(given["digest"])
        return None if effects is None else {"effects": effects}


def _epoch(root: str) -> dict[str, Any]:
    is_asked = root == "chainIdentifier"
    return {"epoch": {"referenceGasPrice": str(REFERENCE_GAS_PRICE)}} if is_asked else {}


def _normal(name: str) -> str:
    return re.sub(r"0x0*", "0x", name)


def _hang_up(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def serve() -> None:
    server = FakeServer()
    ports = []
    for path, handler in (("/graphql", server.graphql), ("/control", server.control)):
        app = web.Application()
        app.add_routes([web.post(path, handler)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        if path == "/graphql":
            await server.listen(runner)
        else:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
        ports.append(runner.addresses[0][1])
    print(json.dumps(dict(zip(("port", "control"), ports, strict=True))), flush=True)
    await asyncio.Event().wait()


def main() -> None:
    asyncio.run(serve())


if __name__ == "__main__":
    main()
