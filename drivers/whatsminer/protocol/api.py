"""Replies of port 4028: where one ends, its two envelopes, and what its codes mean. No socket, no clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import msgspec

from contract.errors import (
    LOGIN_FIX,
    AuthFailedError,
    BusyError,
    MalformedError,
    MinerError,
    RefusedError,
    UnsupportedError,
    WriteDisabledError,
)
from drivers.protocol.cgminer import NulDecoder, convert, only
from drivers.protocol.objects import BROKEN
from drivers.protocol.values import number, text_of, whole
from drivers.whatsminer.protocol.repair import decode_json

REPLY_CAP_BYTES: Final = 256 * 1024
DOWN: Final = b"Socket connect failed"  # of the API to the mining process behind it
TOKEN_CODES: Final = (133, 134)
T = TypeVar("T")

SWITCH_FIX: Final = (
    "its API takes no changes: enable them with WhatsMinerTool "
    "(Remote Ctrl, Miner API Switch), after changing the default password"
)


class EmptyReplyError(MalformedError):
    """The miner took the request and hung up without a byte."""


class OtherServiceError(MalformedError):
    """A web server answers where the API should."""


class ProcessDownError(MalformedError):
    """The API answers, but the mining process behind it does not run: it starts, restarts, or is switched off."""


class TokenError(RefusedError):
    """The token is not valid (any more): nothing was executed."""


class UndecryptedError(AuthFailedError):
    """The miner could not read what we encrypted: another password, or other salts since."""


class TokensFullError(BusyError):
    """The miner has no free place for a token, and asking again makes it last longer."""


class WhatsminerVerdict(msgspec.Struct, frozen=True, gc=False):
    """The verdict inside a cgminer envelope."""

    STATUS: Any = None
    When: Any = None
    Code: Any = None
    Msg: Any = None
    Description: Any = None


class DevRow(msgspec.Struct, frozen=True, gc=False):
    """One hash board, the fields used of it, as the device writes them."""

    slot: Any = msgspec.field(name="Slot", default=None)
    asc: Any = msgspec.field(name="ASC", default=None)
    status: Any = msgspec.field(name="Status", default=None)
    temperature: Any = msgspec.field(name="Temperature", default=None)
    frequency: Any = msgspec.field(name="Chip Frequency", default=None)
    rate_now: Any = msgspec.field(name="HS RT", default=None)
    rate_1m: Any = msgspec.field(name="MHS 1m", default=None)
    rate_5s: Any = msgspec.field(name="MHS 5s", default=None)
    rate_mean: Any = msgspec.field(name="MHS av", default=None)
    factory_ghs: Any = msgspec.field(name="Factory GHS", default=None)
    factory: Any = msgspec.field(name="HS Factory", default=None)
    chips: Any = msgspec.field(name="Effective Chips", default=None)
    serial: Any = msgspec.field(name="PCB SN", default=None)
    chip_max: Any = msgspec.field(name="Chip Temp Max", default=None)
    hw_errors: Any = msgspec.field(name="Hardware Errors", default=None)
    ramped: Any = msgspec.field(name="Upfreq Complete", default=None)


class WhatsminerPool(msgspec.Struct, frozen=True, gc=False):
    """One pool, the fields used of it, as the device writes them."""

    url: Any = msgspec.field(name="URL", default=None)
    pool: Any = msgspec.field(name="POOL", default=None)
    user: Any = msgspec.field(name="User", default=None)
    status: Any = msgspec.field(name="Status", default=None)
    priority: Any = msgspec.field(name="Priority", default=None)
    accepted: Any = msgspec.field(name="Accepted", default=None)
    rejected: Any = msgspec.field(name="Rejected", default=None)
    stale: Any = msgspec.field(name="Stale", default=None)
    active: Any = msgspec.field(name="Stratum Active", default=None)
    difficulty: Any = msgspec.field(name="Stratum Difficulty", default=None)
    last_share: Any = msgspec.field(name="Last Share Time", default=None)


class WhatsminerReply(msgspec.Struct, frozen=True):
    """One command's answer, in whichever of the two envelopes."""

    STATUS: list[WhatsminerVerdict] | WhatsminerVerdict | str | None = None
    When: Any = None
    Code: Any = None
    Msg: Any = None
    Description: Any = None
    SUMMARY: list[dict[str, Any]] | None = None
    DEVS: list[DevRow] | None = None
    POOLS: list[WhatsminerPool] | None = None
    DEVDETAILS: list[dict[str, Any]] | None = None
    enc: Any = None

    @property
    def verdict(self) -> WhatsminerVerdict | None:
        """The verdict of either envelope; `None` where there is none."""
        status = self.STATUS
        if status.__class__ is list:
            return status[0] if status else None
        if isinstance(status, WhatsminerVerdict):
            return status
        if status is None and self.Code is None:
            return None
        return WhatsminerVerdict(status, self.When, self.Code, self.Msg, self.Description)

    @property
    def fields(self) -> dict[str, Any]:
        """`Msg` where it is an object, else nothing."""
        return self.Msg if isinstance(self.Msg, dict) else {}

    @property
    def summary(self) -> dict[str, Any] | None:
        """The summary's fields: a row in the old envelope, `Msg` itself in the new one."""
        if self.SUMMARY:
            return self.SUMMARY[0]
        return self.Msg if isinstance(self.Msg, dict) and "Elapsed" in self.Msg else None

    @property
    def has_msg_summary(self) -> bool:
        """Whether the summary came in the new envelope: then boards count in TH/s."""
        return not self.SUMMARY and isinstance(self.Msg, dict) and "Elapsed" in self.Msg

    @property
    def when_s(self) -> float | None:
        """The device's own clock, seconds since 1970."""
        verdict = self.verdict
        return number(verdict.When) if verdict else None


_Parts = list[WhatsminerReply] | WhatsminerReply | None


class WhatsminerJoined(msgspec.Struct, frozen=True):
    """Several commands' answers, each in a list of one."""

    summary: _Parts = None
    pools: _Parts = None
    edevs: _Parts = None
    devdetails: _Parts = None
    # There when the form itself was refused.
    STATUS: list[WhatsminerVerdict] | WhatsminerVerdict | str | None = None
    Code: Any = None

    def part(self, command: str) -> WhatsminerReply | None:
        """The answer to one command; `None` where there is none or it was refused."""
        found: _Parts = getattr(self, command)
        reply = only(found)
        return None if reply is None or refusal_of(reply) is not None else reply


class WhatsminerDecoder(Generic[T]):
    """Collects one reply. It ends with a NUL, with the connection, or (some builds stay on the line) once it is a
    whole object.
    """

    # Of taking what came so far for the whole, else a drip of braces would take our time.
    _TRIES: Final = 32

    def __init__(self, strict: Callable[[bytes], T], lenient: Callable[[bytes], T]) -> None:
        """`strict` raises msgspec.DecodeError for what is not whole yet, `lenient` MalformedError."""
        self._strict = strict
        self._lenient = lenient
        self._bytes = NulDecoder()
        self._tries_left = self._TRIES

    def feed(self, data: bytes) -> T | None:
        """Take more bytes (b"" for the end of the stream); give the reply once whole."""
        if self._bytes.feed(data) is not None:
            return self._final()
        if data[-1] in b"}\n\r " and self._tries_left:
            self._tries_left -= 1
            try:
                return self._strict(self._bytes.whole)
            except BROKEN:
                return None
        return None

    def _final(self) -> T:
        data = self._bytes.whole.strip(b"\0\r\n\t ")
        if not data:
            raise EmptyReplyError("it hung up without an answer")
        if data.startswith(DOWN):
            raise ProcessDownError("its mining process does not run (it restarts, or is off)")
        if data.startswith(b"HTTP/"):
            raise OtherServiceError("a web server answers, not the API")
        try:
            return self._strict(data)
        except BROKEN:
            return self._lenient(data)


def reply_decoder(*, may_be_cut: bool = False) -> WhatsminerDecoder[WhatsminerReply]:
    """For one command."""
    return WhatsminerDecoder(_REPLY.decode, _mend_cut if may_be_cut else _mend_reply)


def joined_decoder() -> WhatsminerDecoder[WhatsminerJoined]:
    """For joined commands."""
    return WhatsminerDecoder(_JOINED.decode, _mend_joined)


def decode_reply(data: bytes) -> WhatsminerReply:
    """One command's answer. Raises MalformedError."""
    decoder = reply_decoder()
    return decoder.feed(data) or decoder._final()


def wrong_password(said: str) -> str:
    """That a password is refused, in the miner's own words, and what to do."""
    return f"the miner refuses our password (it says: {said}); {LOGIN_FIX}"


def refusal_of(reply: WhatsminerReply) -> MinerError | None:
    """Why a command was not carried out, if it was not. Each of these proves that nothing was executed."""
    verdict = reply.verdict
    if verdict is None:
        return RefusedError("the miner's answer has no status")
    code = whole(verdict.Code)
    if verdict.STATUS in {"S", "I", "RESTART"} and code not in _REFUSING:
        return None
    text = (text_of(verdict.Msg) or f"code {code}")[:80]
    if "lock" in text.lower():
        return AuthFailedError(
            f"the miner has locked its account ({text}): too many wrong passwords; wait until it "
            "opens again or unlock it with WhatsMinerTool, and check the password given to the agent"
        )
    match code:
        case 14:
            return UnsupportedError(
                f"this firmware does not know the command or its value ({text})"
            )
        case 23 if "enc" in text or "json cmd" in text:
            return UndecryptedError(wrong_password(text))
        case 45 if "join" in text:
            return RefusedError(f"it does not answer joined commands ({text})")
        case 45:
            return WriteDisabledError(f"{SWITCH_FIX} (it says: {text})")
        case 132 if "deprecated" in text.lower():
            return UnsupportedError(f"this firmware has given the command up ({text})")
        case 135:
            return TokenError(f"the miner does not take our token ({text})")
        case 136:
            return TokensFullError(
                f"the miner has no place for another token ({text}): other programs hold them all; "
                "they are free again after 30 minutes"
            )
        case _:
            return RefusedError(f"the miner refused: {text}")


# --- private -------------------------------------------------------------------------------------

_REFUSING: Final = (14, 23, 24, 45, 132, 135, 136, 137)
_REPLY: Final = msgspec.json.Decoder(WhatsminerReply)
_JOINED: Final = msgspec.json.Decoder(WhatsminerJoined)
_K = TypeVar("_K", WhatsminerReply, WhatsminerJoined)


def _mend_reply(data: bytes) -> WhatsminerReply:
    return _convert(decode_json(data), WhatsminerReply)


def _mend_cut(data: bytes) -> WhatsminerReply:
    return _convert(decode_json(data, may_be_cut=True), WhatsminerReply)


def _mend_joined(data: bytes) -> WhatsminerJoined:
    return _convert(decode_json(data), WhatsminerJoined)


def _convert(value: Any, kind: type[_K]) -> _K:
    if isinstance(value, str):  # some builds wrap a refusal into a string
        value = decode_json(value.encode("utf-8", "replace"))
    return convert(value, kind)
