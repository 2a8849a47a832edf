"""The daemon on port 4111: one JSON object and a line end, one JSON object back; no login, and it does not hang up.

Each command has a connection of its own, as every known client does it, except while it is asked who it is. The
commands that wipe the device, change its password or its chips' voltage are in neither of the lists below.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import msgspec

from contract.errors import PolicyRefusedError, RefusedError, UnsupportedError
from drivers.base import Permit
from drivers.http_client import StreamSink
from drivers.iceriver.protocol.replies import REPLY_CAP_BYTES, DaemonDecoder
from drivers.protocol.log import LogDecoder
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


class IceriverDaemon:
    """The plain side of one miner. Every method raises UnreachableError and MalformedError."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    @property
    def port(self) -> int:
        return self._wire.endpoint.daemon_port

    @contextmanager
    def in_one(self) -> Iterator[None]:
        """The commands that are asked meanwhile share one connection, as long as the daemon keeps it."""
        with self._wire.keeping(self.port):
            yield

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
            deadline_s=deadline_s or self._wire.timing.read_s,
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
        permit: Permit,
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
            deadline_s=deadline_s or self._wire.timing.write_s,
            cap_bytes=REPLY_CAP_BYTES,
            permit=permit,
        )

    async def fetch_log(
        self, sink: StreamSink, *, cap_bytes: int, deadline_s: float | None = None
    ) -> bool:
        """Stream the current log into `sink`, at most `cap_bytes` of it; whether it was cut there.

        Raises EmptyLogError for one without bytes, and RefusedError.
        """
        return await self._wire.exchange(
            self.port,
            request_for("log", {"history": False}),
            DaemonLogDecoder(sink, cap_bytes),
            deadline_s=deadline_s or self._wire.timing.log_s,
            cap_bytes=cap_bytes + REPLY_CAP_BYTES,
            sink=sink,
        )


def request_for(command: str, params: Mapping[str, Any] | None = None) -> bytes:
    """The bytes of one command."""
    return msgspec.json.encode({"id": command, **(params or {})}) + b"\n"


class DaemonLogDecoder(LogDecoder):
    """Between the announcement and the log stands the white space that ends any reply."""

    def __init__(self, sink: StreamSink, cap_bytes: int) -> None:
        super().__init__(DaemonDecoder("log"), "len", sink, cap_bytes)

    def begun(self, data: bytes) -> bytes:
        return data[1:] if data[:1] in _ENDS else data


# --- private -------------------------------------------------------------------------------------

_ENDS: Final = (b"\n", b"\r", b" ", b"\t", b"\0")
