"""What runs in a channel of a rig's SSH connection: one command, or one port of its loopback. Opens nothing itself."""

from __future__ import annotations

import asyncio
from typing import Final, cast

import asyncssh

from drivers.rig.reach.base import NO_COMMAND

_STDERR: Final = asyncssh.EXTENDED_DATA_STDERR


class RemoteCommand(asyncssh.SSHClientSession[bytes]):
    """The outputs of one command, up to a cap on their sum."""

    def __init__(self, cap_bytes: int) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.output = bytearray()
        self.errors = bytearray()
        self.status: int | None = None
        self.was_signalled = False
        self.error: Exception | None = None
        self.is_over = False
        self._cap_bytes = cap_bytes
        self._channel: asyncssh.SSHClientChannel[bytes] | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it ended by itself, with nothing cut off."""
        return self.ended.done() and not self.is_over and self.error is None

    def why_not(self) -> str:
        """Why it told nothing."""
        if self.status == NO_COMMAND:
            return "it has no grep"
        if not self.ended.done():
            return "one of its files blocks"
        return str(self.error) if self.error else "it shows none of those a Linux host has"

    def close(self) -> None:
        """Let go of it."""
        if self._channel is not None:
            self._channel.abort()

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        self._channel = chan

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        if self.is_over:
            return
        left_bytes = self._cap_bytes - len(self.output) - len(self.errors)
        (self.errors if datatype == _STDERR else self.output).extend(data[:left_bytes])
        if len(data) > left_bytes:
            self.is_over = True
            self._end()
            self.close()

    def exit_status_received(self, status: int) -> None:
        self.status = status

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
        del signal, core_dumped, msg, lang
        self.was_signalled = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.error = exc
        self._end()

    def _end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


class ForwardedPort(asyncssh.SSHTCPSession[bytes]):
    """A forwarded connection, as a protocol of asyncio sees one."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        self._protocol = protocol

    def connection_made(self, chan: asyncssh.SSHTCPChannel[bytes]) -> None:
        self._protocol.connection_made(cast("asyncio.Transport", chan))

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        del datatype
        self._protocol.data_received(data)

    def eof_received(self) -> bool:
        self._protocol.eof_received()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()
