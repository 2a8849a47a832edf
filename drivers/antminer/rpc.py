"""The mining process's own API on port 4028: requests, replies, and which joined form this firmware has.

One connection is one request. Three forms ask several things at once, and a firmware has one of the first two or
none; which one is learned from the first answer and kept for this miner.
"""

from __future__ import annotations

import contextlib
from enum import StrEnum
from typing import Any, Final, TypeVar

import msgspec

from contract.clock import Clock
from contract.errors import MalformedError, RefusedError, UnreachableError
from drivers.antminer.models import OLD
from drivers.antminer.repair import decode_json, strip_reply
from drivers.base import Timing
from drivers.http import Response, ResponseDecoder, build_request
from drivers.wire import Wire

REPLY_CAP_BYTES: Final = 64 * 1024  # ten times the longest known; decoding it must not hold up the other miners
COMMAND_CAP: Final = 15  # characters the firmware's buffer holds
SEND_CAP_BYTES: Final = 4095  # the firmware takes one recv of that size, and no more
RELEARN_S: Final = 3600.0  # a form given up without a clear refusal is tried again after this long

MOVING: Final = ("summary", "stats", "pools")


class Form(StrEnum):
    """How several commands are asked in one connection."""

    ARRAY = "array"  # {"command":["summary","stats"]}: 2020 and later
    JOINED = "joined"  # {"command":"summary+stats"}: before
    SINGLE = "single"  # one connection each


class Status(msgspec.Struct, frozen=True, gc=False, rename="pascal"):
    """The verdict of one reply."""

    status: str | None = msgspec.field(name="STATUS", default=None)
    code: int | None = None
    msg: str | None = None
    description: str | None = None


class PoolRow(msgspec.Struct, frozen=True, gc=False):
    """One legacy pool, the fields used of it."""

    url: str | None = msgspec.field(name="URL", default=None)
    pool: int | str | None = msgspec.field(name="POOL", default=None)
    user: str | int | None = msgspec.field(name="User", default=None)
    status: str | None = msgspec.field(name="Status", default=None)
    priority: int | str | None = msgspec.field(name="Priority", default=None)
    accepted: int | float | str | None = msgspec.field(name="Accepted", default=None)
    rejected: int | float | str | None = msgspec.field(name="Rejected", default=None)
    stale: int | float | str | None = msgspec.field(name="Stale", default=None)
    diff: int | float | str | None = msgspec.field(name="Diff", default=None)
    stratum_active: bool | str | None = msgspec.field(name="Stratum Active", default=None)
    last_share: int | float | str | None = msgspec.field(name="Last Share Time", default=None)


class Reply(msgspec.Struct, frozen=True):
    """One command's answer, whichever it was."""

    STATUS: list[Status] | Status | None = None
    SUMMARY: list[dict[str, Any]] | None = None
    STATS: list[dict[str, Any]] | None = None
    POOLS: list[PoolRow] | None = None
    VERSION: list[dict[str, Any]] | None = None
    DEVS: list[dict[str, Any]] | None = None
    DEVDETAILS: list[dict[str, Any]] | None = None
    TEMPS: list[dict[str, Any]] | None = None
    FANS: list[dict[str, Any]] | None = None
    INFO: dict[str, Any] | None = None
    error: str | None = None
    error_message: str | None = None

    @property
    def verdict(self) -> Status | None:
        """The first STATUS."""
        status = self.STATUS
        if isinstance(status, list):
            return status[0] if status else None
        return status

    @property
    def refusal(self) -> str | None:
        """Why this command was not answered, if it was not."""
        if self.error or self.error_message:
            return self.error or self.error_message
        verdict = self.verdict
        if verdict is not None and verdict.status in {"E", "F"}:
            return verdict.msg or f"code {verdict.code}"
        return None


_Parts = list[Reply] | Reply | None


class Joined(msgspec.Struct, frozen=True):
    """Several commands' answers: objects from the array form, lists of one from the `+` form."""

    summary: _Parts = None
    stats: _Parts = None
    pools: _Parts = None
    version: _Parts = None
    devs: _Parts = None
    temps: _Parts = None
    fans: _Parts = None
    STATUS: list[Status] | Status | None = None  # there when the form itself was refused

    def part(self, command: str) -> Reply | None:
        """The answer to one command, `None` where there is none or it was refused."""
        found: _Parts = getattr(self, command)
        reply = (found[0] if found else None) if isinstance(found, list) else found
        return None if reply is None or reply.STATUS is None or reply.refusal else reply


class ReplyDecoder:
    """Collects one reply, which ends at NUL or when the miner hangs up (with nothing, too)."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def feed(self, data: bytes) -> bytes | None:
        """Take more bytes (b"" for the end of the stream); give the reply once whole."""
        if not data:
            return b"".join(self._parts)
        if (at := data.find(b"\x00")) >= 0:
            self._parts.append(data[:at])
            return b"".join(self._parts) if len(self._parts) > 1 else self._parts[0]
        self._parts.append(data)
        return None


class Rpc:
    """The API of one miner. Every method raises UnreachableError and MalformedError."""

    def __init__(self, wire: Wire, clock: Clock, timing: Timing, generation: str | None) -> None:
        self.generation = generation
        self._wire = wire
        self._clock = clock
        self._timing = timing
        self._form: Form | None = None
        self._relearn_at_mono: float | None = None

    @property
    def form(self) -> Form | None:
        """The form learned, `None` before."""
        return self._form

    def forget(self) -> None:
        """Learn the form anew (another firmware may have come)."""
        self._form = None

    async def raw(self, request: bytes) -> bytes:
        """The bytes of one reply, NUL and margins cut; b"" when the miner hung up at once."""
        reply = await self._wire.exchange(
            self._wire.endpoint.rpc_port,
            request,
            ReplyDecoder(),
            deadline_s=self._timing.read_s,
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
            deadline_s=self._timing.read_s,
            cap_bytes=REPLY_CAP_BYTES,
        )

    async def ask(self, command: str, *, new_api: bool = False) -> Reply:
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

    async def ask_all(self, commands: tuple[str, ...], *, new_api: bool = False) -> Joined:
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
        if self._relearn_at_mono is not None and self._clock.mono() >= self._relearn_at_mono:
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
            self._relearn_at_mono = self._clock.mono() + RELEARN_S

    async def _one_by_one(self, commands: tuple[str, ...], *, new_api: bool) -> Joined:
        parts: dict[str, Reply] = {}
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
        return msgspec.structs.replace(Joined(), **parts)


def request_for(command: str, *, new_api: bool = False) -> bytes:
    """The bytes of one command. Raises ValueError for one the firmware's buffer would not hold."""
    if len(command) > COMMAND_CAP or not command.isascii():
        raise ValueError(f"no API command: {command!r}")
    return _SINGLE_NEW % command.encode() if new_api else _SINGLE % command.encode()


def decode_reply(data: bytes) -> Reply:
    """One command's answer. Raises MalformedError; a reply without STATUS is given with none."""
    try:
        reply = _REPLY.decode(data)
        # The new API writes its pools with other keys, and some builds write all keys in lower case:
        # then nothing of ours was found.
        has_pools = not reply.POOLS or any(row.url is not None for row in reply.POOLS)
        if has_pools and (reply.STATUS is not None or reply.refusal):
            return reply
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass  # broken text or another layout, which the slow way below names or mends
    return _convert(_upper(_object(decode_json(data))), Reply)


def decode_joined(data: bytes, commands: tuple[str, ...]) -> Joined | None:
    """Several commands' answers; `None` when the reply says that this form is not known.

    Raises MalformedError for what is neither.
    """
    if not data:
        return None
    joined: Joined | None = None
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        joined = _JOINED.decode(data)
    is_lower = b'"status"' in data
    if joined is None or (is_lower and not all(joined.part(command) for command in commands)):
        value = _object(decode_json(data))
        # A refusal in lower case has a list named `status` and none of the commands as an object.
        parts = {
            name: [_upper(each) for each in part] if isinstance(part, list) else _upper(part)
            for name in commands
            if isinstance(part := value.get(name), dict | list)
        }
        joined = _convert(parts, Joined)
    return joined if any(joined.part(command) is not None for command in commands) else None


# --- private -------------------------------------------------------------------------------------

_SINGLE: Final = b'{"command":"%s"}'
_SINGLE_NEW: Final = b'{"command":"%s","new_api":true}'
_REPLY: Final = msgspec.json.Decoder(Reply)
_JOINED: Final = msgspec.json.Decoder(Joined)
_REQUESTS: dict[tuple[Form, tuple[str, ...], bool], bytes] = {}


def _request_all(form: Form, commands: tuple[str, ...], new_api: bool) -> bytes:
    key = (form, commands, new_api)
    request = _REQUESTS.get(key)
    if request is None:
        what: Any = list(commands) if form is Form.ARRAY else "+".join(commands)
        body = {"command": what, "new_api": True} if new_api else {"command": what}
        request = _REQUESTS[key] = msgspec.json.encode(body)
        if len(request) > SEND_CAP_BYTES:
            raise ValueError("an API request over what the firmware takes in one piece")
    return request


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MalformedError(f"the API answered with {type(value).__name__}, not an object")
    return value


def _upper(value: Any) -> Any:
    """Some builds write their keys in lower case."""
    if not isinstance(value, dict):
        return value
    known = {name.lower(): name for name in Reply.__struct_fields__ if name.isupper()}
    renamed = {known.get(key, key): each for key, each in value.items()}
    status = renamed.get("STATUS")
    if isinstance(status, list):
        renamed["STATUS"] = [_named(each, _STATUS_KEYS) for each in status]
    elif isinstance(status, dict):
        renamed["STATUS"] = _named(status, _STATUS_KEYS)
    if isinstance(pools := renamed.get("POOLS"), list):
        renamed["POOLS"] = [_named(each, _POOL_KEYS) for each in pools]
    return renamed


def _named(value: Any, names: dict[str, str]) -> Any:
    if not isinstance(value, dict):
        return value
    return {names.get(key.lower(), key): each for key, each in value.items()}


_STATUS_KEYS: Final = {
    each.lower(): each for each in ("STATUS", "Code", "Msg", "Description", "When")
}
_POOL_KEYS: Final = {
    field.encode_name.lower(): field.encode_name for field in msgspec.structs.fields(PoolRow)
} | {"index": "POOL", "lstime": "Last Share Time"}
_T = TypeVar("_T", Reply, Joined)


def _convert(value: Any, kind: type[_T]) -> _T:
    try:
        return msgspec.convert(value, kind, strict=False)
    except (msgspec.ValidationError, RecursionError, OverflowError) as error:
        raise MalformedError(f"the API answered in an unknown layout: {error}") from None
