"""Replies of the API on port 4028: what is taken of them, and how they are decoded.

The fields used are decoded at once into records; only text that will not go that way is mended first.
"""

from __future__ import annotations

import contextlib
from typing import Any, Final, TypeVar

import msgspec

from contract.errors import MalformedError
from drivers.antminer.protocol.repair import decode_json


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

_REPLY: Final = msgspec.json.Decoder(Reply)
_JOINED: Final = msgspec.json.Decoder(Joined)


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
