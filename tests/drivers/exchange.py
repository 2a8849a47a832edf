"""An exchange with a server of tests/drivers/servers.py: decoders, and an effect that writes down what became of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from contract.errors import (
    RefusedError,
)
from contract.miner import Endpoint
from tests.drivers.servers import wire


class ToEnd:
    """Takes all until the far side hangs up."""

    def __init__(self) -> None:
        self.data = b""

    def feed(self, data: bytes) -> bytes | None:
        self.data += data
        return None if data else self.data


class Refusal:
    def feed(self, data: bytes) -> bytes | None:
        raise RefusedError("it said no")


class Bug:
    def feed(self, data: bytes) -> bytes | None:
        raise ZeroDivisionError


class Leave:
    """An effect that only writes down when it was entered and left."""

    def __init__(self, refuses: Exception | None = None, delay_s: float = 0.0) -> None:
        self.notes: dict[str, object] = {}
        self.log: list[str] = []
        self.refuses = refuses
        self.delay_s = delay_s
        self.waits = asyncio.Event()
        self.free = asyncio.Event()
        self.free.set()

    async def note(self, key: str, value: object) -> None:
        self.notes[key] = value

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        self.log.append("waits")
        self.waits.set()
        await self.free.wait()
        self.log.append("has its turn")
        yield

    @property
    def may_send(self) -> bool:
        return self.free.is_set()

    @contextlib.asynccontextmanager
    async def sending(self, check: Callable[[], None] | None = None) -> AsyncIterator[None]:
        if self.refuses:
            raise self.refuses
        await asyncio.sleep(self.delay_s)
        if check is not None:
            check()
        self.log.append("entered")
        try:
            yield
        finally:
            self.log.append("left")


async def read(endpoint: Endpoint, *, deadline_s: float = 2.0, cap_bytes: int = 100_000) -> bytes:
    return await wire(endpoint).exchange(
        endpoint.http_port, b"ask", ToEnd(), deadline_s=deadline_s, cap_bytes=cap_bytes
    )


async def change(endpoint: Endpoint, permit: Leave, **options: object) -> bytes:
    given = {"deadline_s": 2.0, "cap_bytes": 100_000, "decoder": ToEnd()} | options
    decoder = given.pop("decoder")
    return await wire(endpoint).exchange(
        endpoint.http_port,
        b"do",
        decoder,
        permit=permit,
        **given,  # type: ignore[arg-type]
    )
