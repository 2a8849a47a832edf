"""A pool on loopback that gives one job and takes every share: enough for a miner of RandomX to hash."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from tests.drivers.servers import serving

_JOB: Final = {
    "job_id": "1",
    "blob": "10" * 39 + "00" * 4 + "10" * 33,  # the nonce stands at byte 39
    "target": "b88d0600",  # a share of ten thousand hashes
    "algo": "rx/0",
    "height": 1,
    "seed_hash": "00" * 32,
}


@asynccontextmanager
async def pool() -> AsyncIterator[int]:
    """Gives its port."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ValueError):  # no JSON: it hangs up
            while line := await reader.readline():
                writer.write(json.dumps(_answer(json.loads(line))).encode() + b"\n")

    async with serving(talk, "127.0.0.1") as at:
        yield at.http_port


def _answer(asked: dict[str, Any]) -> dict[str, Any]:
    is_login = asked.get("method") == "login"
    result = {"id": "1", "job": _JOB, "status": "OK"} if is_login else {"status": "OK"}
    return {"id": asked.get("id"), "jsonrpc": "2.0", "error": None, "result": result}
