"""The mining process's own API on port 4028: how it is asked, and which joined form this firmware has.

One connection is one request. Three forms ask several things at once, and a firmware has one of the first two or
none; which one is learned from the first answer and kept for this miner.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

import msgspec

from contract.errors import MalformedError, RefusedError, UnreachableError
from drivers.antminer.models import OLD
from drivers.antminer.protocol.repair import strip_reply
from drivers.antminer.protocol.replies import (
    AntminerJoined,
    AntminerReply,
    decode_joined,
    decode_reply,
)
from drivers.protocol.cgminer import NulDecoder
from drivers.protocol.http import Response, ResponseDecoder, build_request
from drivers.wire import Wire

# Several times the longest known; decoding it must not hold up the other miners.
REPLY_CAP_BYTES: Final = 64 * 1024
COMMAND_CAP: Final = 15  # characters the firmware's buffer holds
SEND_CAP_BYTES: Final = 4095  # the firmware takes one recv of that size, and no more
RELEARN_S: Final = 3600.0  # a form given up without a clear refusal is tried again after this long

MOVING: Final = ("summary", "stats", "pools")


class Form(StrEnum):
    """How several commands are asked in one connection."""

    ARRAY = "array"  # {"command":["summary","stats"]}: 2020 and later
    JOINED = "joined"  # {"command":"summary+stats"}: before
    SINGLE = "single"  # one connection each


class AntminerRpc:
    """The API of one miner. Every method raises UnreachableError and MalformedError."""

    def __init__(self, wire: Wire, generation: str | None) -> None:
        self.generation = generation
        self._wire = wire
        self._form: Form | None = None
        self._relearn_at_mono: float | None = None

    @property
    def form(self) -> Form | None:
        """The form learned, `None` before."""
        return self._form

    def forget(self) -> None:
        """Learn the form again (another firmware may have come)."""
        self._form = None

    async def raw(self, request: bytes, decoder: NulDecoder | None = None) -> bytes:
        """The bytes of one reply, NUL and margins cut; b"" when the miner hung up at once. `decoder`: another way of
        telling where it ends.
        """
        reply = await self._wire.exchange(
            self._wire.endpoint.rpc_port,
            request,
            decoder or NulDecoder(),
            deadline_s=self._wire.timing.read_s,
            cap_bytes=REPLY_CAP_BYTES,
        )
        return strip_reply(reply)

    async def http_get(self, path: str) -> Response:
        """One page from the API port of firmwares that serve HTTP there."""
        endpoint = self._wire.endpoint
        return await self._wire.exchange(
            endpoint.rpc_port,
            build_request("GET", path, f"{endpoint.host}:{endpoint.rpc_port}"),
            ResponseDecoder(body_cap_bytes=REPLY_CAP_BYTES),
            deadline_s=self._wire.timing.read_s,
            cap_bytes=REPLY_CAP_BYTES,
        )

    async def ask(self, command: str, *, new_api: bool = False) -> AntminerReply:
        """One command alone. Also raises RefusedError when this firmware does not know it."""
        request = request_for(command, new_api=new_api)
        data = await self.raw(request)
        try:
            reply = decode_reply(data)
        except MalformedError:
            if not data:
                raise
            # A long state of chips overflows a buffer of some builds and cuts the text: the next may be whole.
            reply = decode_reply(await self.raw(request))
        if reason := reply.refusal:
            raise RefusedError(f"the miner does not answer {command}: {reason[:80]}")
        if reply.STATUS is None:
            raise RefusedError(f"the miner does not answer {command}")
        return reply

    async def ask_all(self, commands: tuple[str, ...], *, new_api: bool = False) -> AntminerJoined:
        """Several commands by the best form this firmware has. A command it refuses is missing in the answer.

        Raises RefusedError when it refused all of them.
        """
        for form in self._forms(new_api=new_api):
            if form is Form.SINGLE:
                return await self._one_by_one(commands, new_api=new_api)
            request = _request_all(form, commands, new_api)
            data = await self.raw(request)
            try:
                joined = decode_joined(data, commands)
            except MalformedError:
                data = await self.raw(request)
                joined = decode_joined(data, commands)
            if joined is not None:
                if self._form is not form:
                    self._form = form
                return joined
            if form is self._form and not data:
                raise MalformedError("empty reply; the mining process may be restarting")
            if not new_api:
                self._given_up(form, is_clear=bool(data))
        raise AssertionError("the last form is always SINGLE")

    # --- private ---------------------------------------------------------------------------------

    def _forms(self, *, new_api: bool) -> tuple[Form, ...]:
        if self._relearn_at_mono is not None and self._wire.clock.mono() >= self._relearn_at_mono:
            self._relearn_at_mono = None
            self._form = None
        if new_api:  # the legacy look shows whether there is an array form; `+` has no new API
            return (Form.ARRAY, Form.SINGLE) if self._form is Form.ARRAY else (Form.SINGLE,)
        if self._form is not None:
            return (self._form,) if self._form is Form.SINGLE else (self._form, Form.SINGLE)
        if self.generation == OLD:
            return (Form.JOINED, Form.SINGLE)
        if self.generation is None:
            return (Form.ARRAY, Form.JOINED, Form.SINGLE)
        return (Form.ARRAY, Form.SINGLE)

    def _given_up(self, form: Form, *, is_clear: bool) -> None:
        """A refusal in words is final; silence may have been a restart, so it is tried again later."""
        if form is Form.ARRAY and self.generation is None:
            return
        self._form = Form.SINGLE
        if not is_clear:
            self._relearn_at_mono = self._wire.clock.mono() + RELEARN_S

    async def _one_by_one(self, commands: tuple[str, ...], *, new_api: bool) -> AntminerJoined:
        parts: dict[str, AntminerReply] = {}
        refusal: RefusedError | None = None
        for command in commands:
            try:
                parts[command] = await self.ask(command, new_api=new_api)
            except RefusedError as error:
                refusal = error
            except UnreachableError as error:
                if parts:  # it went away in the middle of our asking: no whole look
                    raise MalformedError(f"went away between two commands: {error}") from None
                raise
        if not parts and refusal is not None:
            raise refusal
        return msgspec.structs.replace(AntminerJoined(), **parts)


def request_for(command: str, *, new_api: bool = False) -> bytes:
    """The bytes of one command. Raises ValueError for one the firmware's buffer would not hold."""
    if len(command) > COMMAND_CAP or not command.isascii():
        raise ValueError(f"no API command: {command!r}")
    return _SINGLE_NEW % command.encode() if new_api else _SINGLE % command.encode()


# --- private -------------------------------------------------------------------------------------

_SINGLE: Final = b'{"command":"%s"}'
_SINGLE_NEW: Final = b'{"command":"%s","new_api":true}'
_REQUESTS: dict[tuple[Form, tuple[str, ...], bool], bytes] = {}


def _request_all(form: Form, commands: tuple[str, ...], new_api: bool) -> bytes:
    key = (form, commands, new_api)
    request = _REQUESTS.get(key)
    if request is None:
        what: Any = list(commands) if form is Form.ARRAY else "+".join(commands)
        body = {"command": what, "new_api": True} if new_api else {"command": what}
        request = msgspec.json.encode(body)
        if len(request) > SEND_CAP_BYTES:
            raise ValueError("an API request over what the firmware takes in one piece")
        _REQUESTS[key] = request
    return request
