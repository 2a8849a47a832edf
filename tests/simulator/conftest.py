"""Raw clients for the simulator: what is sent and received is spelt out byte by byte."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from simulator.farm import Farm
from tests.waiting import until

_serial = itertools.count(1)
REALM = "antMiner Configuration"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    raw: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@pytest.fixture
def base() -> str:
    """A first address that no other running test uses, in this worker or another."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    return f"127.{140 + worker % 40}.{1 + next(_serial) % 250}.1"


@pytest.fixture
async def start(base: str) -> AsyncIterator[Callable[..., Awaitable[Farm]]]:
    """Starts a farm that is stopped when the test ends."""
    farms: list[Farm] = []

    async def run(specs: str, **options: Any) -> Farm:
        farm = await Farm.start(specs, base=options.pop("base", base), **options)
        farms.append(farm)
        return farm

    yield run
    for farm in farms:
        await farm.stop()


@pytest.fixture
def ask() -> Callable[..., Awaitable[bytes]]:
    """One request to 4028: everything the device sent until it closed."""

    async def send(miner: Any, request: bytes | dict[str, Any] | str) -> bytes:
        if isinstance(request, dict):
            request = json.dumps(request).encode()
        elif isinstance(request, str):
            request = json.dumps({"command": request}).encode()
        reader, writer = await asyncio.open_connection(miner.ip, miner.rpc_port)
        try:
            writer.write(request)
            return await reader.read()
        finally:
            writer.close()

    return send


@pytest.fixture
def legacy(ask: Any) -> Callable[..., Awaitable[Any]]:
    """One legacy command, mended where old builds forget a comma, parsed."""

    async def send(miner: Any, command: str) -> Any:
        data = await ask(miner, command)
        assert data.endswith(b"\0")
        return json.loads(data[:-1].replace(b"}{", b"},{"))

    return send


@pytest.fixture
def web() -> Callable[..., Awaitable[Answer]]:
    """One HTTP request with Digest sent in advance, on its own connection."""

    async def send(
        miner: Any,
        method: str,
        path: str,
        body: bytes | dict[str, Any] | None = None,
        *,
        password: str | None = "root",
        headers: tuple[str, ...] = (),
        close: bool = True,
        port: int | None = None,
    ) -> Answer:
        if isinstance(body, dict):
            body = json.dumps(body, separators=(",", ":")).encode()
        target = path if path.startswith("/") else f"/cgi-bin/{path}.cgi"
        head = [f"{method} {target} HTTP/1.1", f"Host: {miner.ip}", *headers]
        if close:
            head.append("Connection: close")
        if body is not None:
            head.append(f"Content-Length: {len(body)}")
        if password is not None:
            head.append("Authorization: " + authorization(method, target, password))
        raw = "\r\n".join([*head, "", ""]).encode() + (body or b"")
        reader, writer = await asyncio.open_connection(miner.ip, port or miner.http_port)
        try:
            writer.write(raw)
            data = await reader.read()
        finally:
            writer.close()
        return parse(data)

    return send


def authorization(method: str, target: str, password: str = "root", realm: str = REALM) -> str:
    md5 = lambda text: hashlib.md5(text.encode()).hexdigest()  # noqa: E731
    nonce, cnonce = "f" * 32, "0a4f113b"
    ha1, ha2 = md5(f"root:{realm}:{password}"), md5(f"{method}:{target}")
    response = md5(f"{ha1}:{nonce}:00000001:{cnonce}:auth:{ha2}")
    return (
        f'Digest username="root", realm="{realm}", nonce="{nonce}", uri="{target}", '
        f'response="{response}", qop=auth, nc=00000001, cnonce="{cnonce}"'
    )


def parse(data: bytes) -> Answer:
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    found = re.match(r"HTTP/1\.1 (\d+)", lines[0])
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    return Answer(int(found.group(1)) if found else 0, headers, body, data)


@pytest.fixture
def sign() -> Callable[..., str]:
    """The value of an Authorization header."""
    return authorization


@pytest.fixture(name="until")
def until_device() -> Callable[..., Awaitable[None]]:
    """Waits for a condition of a device, looked at in steps of virtual time."""
    return partial(until, within_s=1500.0, every_s=0.25)
