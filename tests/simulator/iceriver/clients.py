"""Raw clients for simulated IceRivers: what is sent and received is spelt out byte by byte."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.recorded.where import NONE_HERE, may_read, recordings_of

RECORDINGS = recordings_of("iceriver")
POOLS = {
    f"pool{n}{name}": value
    for n in (1, 2, 3)
    for name, value in (
        ("address", f"stratum+tcp://new{n}.example.com:4444"),
        ("miner", f"wallet.{n}"),
        ("pwd", f"p{n}"),
    )
}


def recorded(name: str) -> Any:
    """A recorded reply, parsed. Where there are no recordings the test is skipped, or fails where all must run."""
    if not may_read(RECORDINGS):
        pytest.skip(NONE_HERE)
    return json.loads((RECORDINGS / name).read_text())


async def http(miner: Any, raw: bytes) -> bytes:
    """Everything that came until the device hung up."""
    reader, writer = await asyncio.open_connection(miner.ip, miner.http_port)
    try:
        writer.write(raw)
        return await reader.read()
    finally:
        writer.close()


def request(method: str, target: str, body: bytes = b"", *headers: str) -> bytes:
    head = [f"{method} {target} HTTP/1.1", "Host: miner", "Connection: close", *headers]
    head.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*head, "", ""]).encode() + body


async def get(miner: Any, target: str) -> tuple[bytes, bytes]:
    """Head and body of a page."""
    head, _, body = (await http(miner, request("GET", target))).partition(b"\r\n\r\n")
    return head, body


async def act(miner: Any, action: str, post: int, **fields: str) -> bytes:
    """The body of the reply to one operation, its form in the body."""
    form = urlencode({"post": post, **fields}).encode()
    kind = "Content-Type: application/x-www-form-urlencoded; charset=UTF-8"
    raw = await http(miner, request("POST", f"/user/{action}", form, kind, "Cookie: ctime=1"))
    return raw.partition(b"\r\n\r\n")[2]


async def ask(miner: Any, action: str, post: int, **fields: str) -> Any:
    """The same, parsed."""
    return json.loads(await act(miner, action, post, **fields))


async def panel(miner: Any) -> Any:
    reply = await ask(miner, "userpanel", 4)
    assert reply["error"] == 0, reply
    return reply["data"]


async def upload(
    miner: Any, image: bytes | None, *, keep: str = "true", name: str = "update.bgz"
) -> Any:
    """Send a firmware file as the page does."""
    line = "----WebKitFormBoundary7MA4YWxkTrZu0gW"
    part = b""
    if image is not None:
        head = f'--{line}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        part = head.encode() + b"Content-Type: application/octet-stream\r\n\r\n" + image + b"\r\n"
    body = part + f"--{line}--\r\n".encode()
    target = f"/user/firconfig?post=2&keepconfig={keep}"
    kind = f"Content-Type: multipart/form-data; boundary={line}"
    raw = await http(miner, request("POST", target, body, kind))
    return json.loads(raw.partition(b"\r\n\r\n")[2])


async def daemon_raw(miner: Any, line: bytes) -> bytes:
    """What one read of the daemon's line gives."""
    reader, writer = await asyncio.open_connection(miner.ip, miner.daemon_port)
    try:
        writer.write(line)
        async with asyncio.timeout(10):
            return await reader.read(1 << 20)
    finally:
        writer.close()


async def daemon(miner: Any, command: str, **more: Any) -> Any:
    """`ret` of one command."""
    reply = json.loads(
        await daemon_raw(miner, json.dumps({"id": command, **more}).encode() + b"\n")
    )
    assert reply["id"] == command
    return reply["ret"]


async def daemon_log(miner: Any, *, history: bool) -> list[tuple[Any, bytes]]:
    """Each header with the bytes it announces."""
    reader, writer = await asyncio.open_connection(miner.ip, miner.daemon_port)
    found = []
    try:
        writer.write(json.dumps({"id": "log", "history": history}).encode() + b"\n")
        async with asyncio.timeout(10):
            for _ in range(3 if history else 1):
                head = json.loads(await reader.readuntil(b"}}"))["ret"]
                assert (await reader.readexactly(1)).isspace()
                found.append((head, await reader.readexactly(head["len"])))
    finally:
        writer.close()
    return found


def applied(farm: Any, action: str) -> list[tuple[Any, Any]]:
    return [(e["before"], e["after"]) for e in farm.ledger.of(action=action, phase="applied")]
