"""What a rig may send over its SSH connection: so much for each thing it is asked for. One that sends on is cut off.
SSH bounds what comes in a channel, and not the packets that belong to none, which cost the loop its time all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, cast

_BYTES_PER_S: Final = 1024.0  # answers to our keepalives, and new keys now and then
SENDS_ON: Final = "it sends far more than it was asked for"


class Inflow:
    """The bytes that one connection may still bring. To asyncssh it is a `tunnel`: what makes its connection."""

    def __init__(self, size_bytes: int) -> None:
        self._left_bytes = size_bytes
        self._since_s = asyncio.get_running_loop().time()
        self.is_over = False

    def allow(self, size_bytes: int) -> None:
        """Something is asked for whose answer is as long as that, at most."""
        self._left_bytes = max(self._left_bytes, size_bytes)
        self._since_s = asyncio.get_running_loop().time()

    def takes(self, size_bytes: int) -> bool:
        """Whether these bytes, which came, are within what was asked for."""
        passed_s = asyncio.get_running_loop().time() - self._since_s
        self._left_bytes -= size_bytes
        self.is_over = self.is_over or self._left_bytes + passed_s * _BYTES_PER_S < 0
        return not self.is_over

    async def create_connection(
        self, factory: Callable[[], asyncio.Protocol], host: str, port: int
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        """As `loop.create_connection`. Raises OSError."""
        loop = asyncio.get_running_loop()
        transport, counted = await loop.create_connection(
            lambda: _Counted(factory(), self), host, port
        )
        return transport, counted.protocol


class _Counted(asyncio.Protocol):
    """Hands on what happens on a connection, and ends it once too much came."""

    def __init__(self, protocol: asyncio.Protocol, flow: Inflow) -> None:
        self.protocol = protocol
        self._flow = flow
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # of whatever class uvloop's are
        self.protocol.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self._flow.takes(len(data)):
            self.protocol.data_received(data)
        elif self._transport is not None:
            self._transport.abort()

    def eof_received(self) -> bool | None:
        return self.protocol.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._flow.is_over:
            exc = ConnectionAbortedError(SENDS_ON)
        self.protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        self.protocol.pause_writing()

    def resume_writing(self) -> None:
        self.protocol.resume_writing()
