"""Raw clients for simulated rigs: what is sent and received is spelt out byte by byte."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import asyncssh

TOKEN = "simulated-token"


async def raw(rig: Any, data: bytes, port: int | None = None) -> bytes:
    """Everything the first program sent until it hung up."""
    reader, writer = await asyncio.open_connection(rig.ip, port or rig.units[0].port)
    try:
        writer.write(data)
        return await reader.read()
    finally:
        writer.close()


async def http(
    rig: Any,
    target: str,
    *,
    token: str | None = TOKEN,
    method: str = "GET",
    body: Any = None,
    port: int | None = None,
) -> tuple[int, bytes]:
    """Status and body."""
    content = b"" if body is None else json.dumps(body).encode()
    head = [f"{method} {target} HTTP/1.1", "Host: rig", "Connection: close"]
    head += [f"Authorization: Bearer {token}"] if token is not None else []
    head += [f"Content-Length: {len(content)}"] if body is not None else []
    request = "\r\n".join([*head, "", ""]).encode() + content
    top, _, rest = (await raw(rig, request, port)).partition(b"\r\n\r\n")
    return int(top.split()[1]), rest


async def get(rig: Any, target: str, port: int | None = None) -> Any:
    """The JSON document there."""
    status, body = await http(rig, target, port=port)
    assert status == 200
    return json.loads(body)


async def call(rig: Any, method: str) -> Any:
    """One control of XMRig."""
    status, body = await http(rig, "/json_rpc", method="POST", body={"method": method, "id": 1})
    assert status == 200
    return json.loads(body)


async def sgminer(rig: Any, command: str) -> Any:
    data = await raw(rig, json.dumps({"command": command}).encode())
    assert data.endswith(b"\0")
    return json.loads(data[:-1])


def text(rig: Any, path: str) -> str:
    """One file of the host."""
    return (rig.folder / path).read_text()


async def logged_in(rig: Any, **more: Any) -> asyncssh.SSHClientConnection:
    """A client of SSH that knows the rig's host key."""
    told = rig.describe()
    host_key = asyncssh.import_public_key(told["host_key"])
    options: dict[str, Any] = {
        "username": told["ssh_user"],
        "client_keys": [told["ssh_key"]],
        "known_hosts": ([host_key], [], []),
        "config": None,
        "agent_path": None,
        **more,
    }
    return await asyncssh.connect(rig.ip, told["ssh_port"], **options)


def known_hosts(rig: Any, folder: Path) -> Path:
    """For OpenSSH."""
    told = rig.describe()
    place = folder / "known_hosts"
    place.write_text(f"[{rig.ip}]:{told['ssh_port']} {told['host_key']}\n")
    return place


def applied(rig: Any, action: str) -> list[Any]:
    return rig.ledger.of(ip=rig.ip, action=action, phase="applied")
