"""Port 4028 without a token: single commands, and the joined form where this firmware has it."""

from __future__ import annotations

import re
from typing import Any, Final, TypeVar

import msgspec

from contract.errors import (
    MalformedError,
    MinerError,
    RefusedError,
    UnsupportedError,
)
from drivers.whatsminer.protocol.api import (
    REPLY_CAP_BYTES,
    EmptyReplyError,
    ProcessDownError,
    WhatsminerJoined,
    WhatsminerReply,
    joined_decoder,
    refusal_of,
    reply_decoder,
)
from drivers.wire import Decoder, Wire

MOVING: Final = ("summary", "pools", "edevs")
RELEARN_S: Final = 3600.0  # a form given up without a clear refusal is tried again after this long
T = TypeVar("T")


class WhatsminerRpc:
    """The plain side of one miner's port 4028. Every method raises UnreachableError and MalformedError, and
    ProcessDownError where only the mining process is away.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._joins: bool | None = None
        self._relearn_at_mono: float | None = None
        self._missing: set[str] = set()

    @property
    def joins(self) -> bool | None:
        """Whether this firmware answers joined commands; `None` before it was tried."""
        return self._joins

    def forget(self) -> None:
        """Learn again (another firmware may have come)."""
        self._joins = None
        self._relearn_at_mono = None
        self._missing.clear()

    async def ask(self, command: str, *, deadline_s: float | None = None) -> WhatsminerReply:
        """One command alone. Also raises UnsupportedError and RefusedError."""
        reply = await self._exchange(
            request_for(command),
            reply_decoder(may_be_cut=command == "get_error_code"),
            deadline_s,
        )
        refusal = refusal_of(reply)
        if isinstance(refusal, UnsupportedError | RefusedError):
            raise refusal
        if (
            refusal is not None
        ):  # codes of passwords and switches mean something else to a plain read
            raise RefusedError(f"the miner does not answer {command}")
        return reply

    async def ask_if_known(self, command: str) -> WhatsminerReply | None:
        """The same, or `None` from a firmware that does not know the command, which is then not asked again."""
        if command in self._missing:
            return None
        try:
            return await self.ask(command)
        except (UnsupportedError, RefusedError):
            self._missing.add(command)
            return None

    async def moving(self) -> WhatsminerJoined:
        """`summary`, `pools` and `edevs`: in one connection where the firmware joins commands, else in three.

        Raises RefusedError when it has no summary for us.
        """
        if self._relearn_at_mono is not None and self._wire.clock.mono() >= self._relearn_at_mono:
            self._relearn_at_mono = None
            self._joins = None
        if self._joins is not False:
            joined = await self._joined()
            if joined is not None:
                self._joins = True
                return joined
        return await self._one_by_one()

    async def summary_and_details(self, *, deadline_s: float) -> WhatsminerJoined | None:
        """`summary` and `devdetails` in one connection; `None` from a firmware that does not join commands."""
        joined = await self._exchange(_SUMMARY_AND_DETAILS, joined_decoder(), deadline_s)
        return None if joined.part("summary") is None else joined

    # --- private ---------------------------------------------------------------------------------

    async def _exchange(
        self, request: bytes, decoder: Decoder[T], deadline_s: float | None = None
    ) -> T:
        return await self._wire.exchange(
            self._wire.endpoint.rpc_port,
            request,
            decoder,
            deadline_s=self._wire.timing.read_s if deadline_s is None else deadline_s,
            cap_bytes=REPLY_CAP_BYTES,
        )

    async def _joined(self) -> WhatsminerJoined | None:
        try:
            joined = await self._exchange(_JOINED, joined_decoder())
        except (ProcessDownError, EmptyReplyError) as error:
            if self._joins or isinstance(error, ProcessDownError):
                raise
            # Silence may have been a restart, so it is tried again later.
            self._joins = False
            self._relearn_at_mono = self._wire.clock.mono() + RELEARN_S
            return None
        if joined.part("summary") is not None:
            return joined
        if self._joins is None:
            self._joins = False
        return None

    async def _one_by_one(self) -> WhatsminerJoined:
        summary = await self.ask("summary")
        if summary.summary is None:
            raise MalformedError("its summary holds no figures")
        try:
            return WhatsminerJoined(
                summary=summary,
                pools=await self.ask_if_known("pools"),
                edevs=await self.ask_if_known("edevs"),
            )
        except ProcessDownError:
            raise
        except MinerError as error:  # it went away in the middle of our asking: no whole look
            raise MalformedError(f"it went away between two commands: {error}") from None


def request_for(command: str, **params: Any) -> bytes:
    """The bytes of one plain command. Raises ValueError for one that could be more than a name."""
    if not _NAME.fullmatch(command):
        raise ValueError(f"no API command: {command!r}")
    return msgspec.json.encode({"command": command, **params})


# --- private -------------------------------------------------------------------------------------

_NAME: Final = re.compile(r"[a-z_]{1,32}(\+[a-z_]{1,32}){0,3}")
_JOINED: Final = request_for("+".join(MOVING))
_SUMMARY_AND_DETAILS: Final = request_for("summary+devdetails")
