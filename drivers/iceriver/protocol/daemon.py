"""The daemon on port 4111: one JSON object and a line end, one JSON object back; no login, and it does not hang up.

Each command has a connection of its own, as every known client does it. The commands that wipe the device, change its
password or its chips' voltage are in neither of the lists below.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from contract.clock import Clock
from contract.errors import MalformedError, PolicyRefusedError, RefusedError, UnsupportedError
from drivers.base import Effect, Timing
from drivers.changes.logfile import FileSink
from drivers.iceriver.protocol.replies import REPLY_CAP_BYTES, DaemonDecoder
from drivers.reading.values import whole
from drivers.wire import Wire

READS: Final = frozenset(
    {
        "hello",
        "info",
        "getnet",
        "getlocate",
        "boardpow",
        "state",
        "fan",
        "getpool",
        "board",
        "gethw",
        "getchipinfo",
        "version",
    }
)
ORDERS: Final = frozenset({"setlocate", "setpool", "sethw", "restart"})


class EmptyLogError(MalformedError):
    """The miner says that its log has no bytes."""


class Daemon:
    """The plain side of one miner. Every method raises UnreachableError and MalformedError."""

    def __init__(self, wire: Wire, clock: Clock, timing: Timing) -> None:
        self._wire = wire
        self._clock = clock
        self._timing = timing

    @property
    def port(self) -> int:
        return self._wire.endpoint.daemon_port

    async def ask(self, command: str, *, deadline_s: float | None = None) -> dict[str, Any]:
        """The `ret` of one command of READS.

        Also raises RefusedError (and its kin) for a code; an unknown command is answered with one too.
        """
        if command not in READS:
            raise PolicyRefusedError(f"{command} is not known to be free of effects")
        return await self._wire.exchange(
            self.port,
            request_for(command),
            DaemonDecoder(command),
            deadline_s=deadline_s or self._timing.read_s,
            cap_bytes=REPLY_CAP_BYTES,
        )

    async def ask_if_known(self, command: str) -> dict[str, Any] | None:
        """The same, or `None` from a daemon that refuses the command."""
        try:
            return await self.ask(command)
        except (RefusedError, UnsupportedError):
            return None

    async def order(
        self,
        command: str,
        effect: Effect,
        params: Mapping[str, Any] | None = None,
        *,
        deadline_s: float | None = None,
    ) -> dict[str, Any]:
        """Send a command of ORDERS, which changes the miner, once; its `ret`.

        Also raises what `effect.sending()` raises, RefusedError (and its kin), and OutcomeUnknownError.
        """
        if command not in ORDERS:
            raise PolicyRefusedError(f"{command} is not one of the changes we make")
        return await self._wire.exchange(
            self.port,
            request_for(command, params),
            DaemonDecoder(command),
            deadline_s=deadline_s or self._timing.write_s,
            cap_bytes=REPLY_CAP_BYTES,
            effect=effect,
        )

    async def fetch_log(
        self, sink: FileSink, *, cap_bytes: int, deadline_s: float | None = None
    ) -> bool:
        """Stream the current log into `sink`, at most `cap_bytes` of it; whether it was cut there.

        Raises EmptyLogError for one without bytes, and RefusedError.
        """
        return await self._wire.exchange(
            self.port,
            request_for("log", {"history": False}),
            LogDecoder(sink, cap_bytes),
            deadline_s=deadline_s or self._timing.log_s,
            cap_bytes=cap_bytes + REPLY_CAP_BYTES,
            sink=sink,
        )


def request_for(command: str, params: Mapping[str, Any] | None = None) -> bytes:
    """The bytes of one command."""
    return msgspec.json.encode({"id": command, **(params or {})}) + b"\n"


class LogDecoder:
    """A log: a reply that says how long it is, the white space that ends any reply, then so many bytes into `sink`."""

    def __init__(self, sink: FileSink, cap_bytes: int) -> None:
        self._sink = sink
        self._cap_bytes = cap_bytes
        self._head = DaemonDecoder("log")
        self._size: int | None = None
        self._taken = 0
        self._is_at_start = True

    def feed(self, data: bytes) -> bool | None:
        """Take more bytes (b"" for the end of the stream); once it is over, whether the log was cut at the cap.

        Raises MalformedError for a short one and one without a length, EmptyLogError, and what a reply's code means.
        """
        if self._size is None:
            ret = self._head.feed(data)
            if ret is None:
                return None
            self._size = _announced(ret)
            data = self._head.rest
            if not data:
                return None
        elif not data:
            raise MalformedError(f"its log was cut ({self._taken} of {self._size} bytes came)")
        return self._take(data)

    def _take(self, data: bytes) -> bool | None:
        assert self._size is not None
        if self._is_at_start:
            self._is_at_start = False
            data = data[1:] if data[:1] in _ENDS else data
        wanted = min(self._size, self._cap_bytes)
        piece = data[: wanted - self._taken]
        self._sink.write(piece)
        self._taken += len(piece)
        return self._size > self._cap_bytes if self._taken >= wanted else None


# --- private -------------------------------------------------------------------------------------

_ENDS: Final = (b"\n", b"\r", b" ", b"\t", b"\0")


def _announced(ret: Mapping[str, Any]) -> int:
    size = whole(ret.get("len"))
    if size is None:
        raise MalformedError("it did not say how long its log is")
    if size == 0:
        raise EmptyLogError("the miner's log is empty; it may be restarting, try again later")
    return size
