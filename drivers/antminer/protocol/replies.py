"""Replies of the API on port 4028: what is taken of them, and how they are decoded.

The fields used are decoded at once into records; only text that will not go that way is mended first.
"""

from __future__ import annotations

import contextlib
from typing import Any, Final

import msgspec

from contract.errors import MalformedError
from drivers.antminer.protocol.repair import decode_json
from drivers.protocol.cgminer import convert, only
from drivers.protocol.objects import BROKEN


class AntminerStatus(msgspec.Struct, frozen=True, gc=False, rename="pascal"):
    """The verdict of one reply."""

    status: str | None = msgspec.field(name="STATUS", default=None)
    code: int | None = None
    msg: str | None = None
    description: str | None = None


class AntminerPool(msgspec.Struct, frozen=True, gc=False):
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


class AntminerReply(msgspec.Struct, frozen=True):
    """One command's answer, whichever it was."""

    STATUS: list[AntminerStatus] | AntminerStatus | None = None
    SUMMARY: list[dict[str, Any]] | None = None
    STATS: list[dict[str, Any]] | None = None
    POOLS: list[AntminerPool] | None = None
    VERSION: list[dict[str, Any]] | None = None
    DEVS: list[dict[str, Any]] | None = None
    DEVDETAILS: list[dict[str, Any]] | None = None
    TEMPS: list[dict[str, Any]] | None = None
    FANS: list[dict[str, Any]] | None = None
    INFO: dict[str, Any] | None = None
    error: str | None = None
    error_message: str | None = None

    @property
    def verdict(self) -> AntminerStatus | None:
        """The first STATUS."""
        return only(self.STATUS)

    @property
    def refusal(self) -> str | None:
        """Why this command was not answered, if it was not."""
        if self.error or self.error_message:
            return self.error or self.error_message
        verdict = self.verdict
        if verdict is not None and verdict.status in {"E", "F"}:
            return verdict.msg or f"code {verdict.code}"
        return None


_Parts = list[AntminerReply] | AntminerReply | None


class AntminerJoined(msgspec.Struct, frozen=True):
    """Several commands' answers: objects from the array form, lists of one from the `+` form."""

    summary: _Parts = None
    stats: _Parts = None
    pools: _Parts = None
    version: _Parts = None
    devs: _Parts = None
    temps: _Parts = None
    fans: _Parts = None
    # There when the form itself was refused.
    STATUS: list[AntminerStatus] | AntminerStatus | None = None

    def part(self, command: str) -> AntminerReply | None:
        """The answer to one command, `None` where there is none or it was refused."""
        found: _Parts = getattr(self, command)
        reply = only(found)
        return None if reply is None or reply.STATUS is None or reply.refusal else reply


def decode_reply(data: bytes) -> AntminerReply:
    """One command's answer. Raises MalformedError; a reply without STATUS is given with none."""
    try:
        reply = _REPLY.decode(data)
        # The new API writes its pools with other keys, and some builds write all keys in lower case:
        # then nothing of ours was found.
        has_pools = not reply.POOLS or any(row.url is not None for row in reply.POOLS)
        if has_pools and (reply.STATUS is not None or reply.refusal):
            return reply
    except BROKEN:
        pass  # broken text or another layout, which the slow way below names or mends
    return convert(_upper(_object(decode_json(data))), AntminerReply, strict=False)


def decode_joined(data: bytes, commands: tuple[str, ...]) -> AntminerJoined | None:
    """Several commands' answers; `None` when the reply says that this form is not known.

    Raises MalformedError for what is neither.
    """
    if not data:
        return None
    joined: AntminerJoined | None = None
    with contextlib.suppress(*BROKEN):
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
        joined = convert(parts, AntminerJoined, strict=False)
    return joined if any(joined.part(command) is not None for command in commands) else None


# --- private -------------------------------------------------------------------------------------

_REPLY: Final = msgspec.json.Decoder(AntminerReply)
_JOINED: Final = msgspec.json.Decoder(AntminerJoined)


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MalformedError(f"the API answered with {type(value).__name__}, not an object")
    return value


def _upper(value: Any) -> Any:
    """Some builds write their keys in lower case."""
    if not isinstance(value, dict):
        return value
    known = {name.lower(): name for name in AntminerReply.__struct_fields__ if name.isupper()}
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
    field.encode_name.lower(): field.encode_name for field in msgspec.structs.fields(AntminerPool)
} | {"index": "POOL", "lstime": "Last Share Time"}
