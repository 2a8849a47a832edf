"""API v3 on port 4433: messages with their length in front, and what the codes in them mean. No socket, no clock."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final

import msgspec

from contract.errors import (
    LOGIN_FIX,
    AuthFailedError,
    BusyError,
    MalformedError,
    MinerError,
    RefusedError,
    UnsupportedError,
)
from drivers.base import Credentials
from drivers.protocol.objects import BROKEN, not_json
from drivers.protocol.values import number, text_of, whole
from drivers.whatsminer.protocol.api import wrong_password
from drivers.whatsminer.protocol.envelope import encrypt, padded_pkcs7

FRAME_CAP_BYTES: Final = 1024 * 1024
PREFIX_BYTES: Final = 4
# Their parameters alone are encrypted; those of all others travel in clear text.
SECRET_COMMANDS: Final = ("set.miner.pools", "set.user.change_passwd")


class NoPermissionError(AuthFailedError):
    """Code -4: the switch, the password, the account, or what the account may do. Nothing was executed."""


class HungUpError(MalformedError):
    """The miner closed the connection between two messages."""


class Reply3(msgspec.Struct, frozen=True):
    """One answer. `code` decides; `msg` is an object, a text, or nothing."""

    code: Any = None
    when: Any = None
    msg: Any = None
    desc: Any = None

    @property
    def fields(self) -> dict[str, Any]:
        """`msg` where it is an object, else nothing."""
        return self.msg if isinstance(self.msg, dict) else {}

    @property
    def when_s(self) -> float | None:
        """The device's own clock, seconds since 1970."""
        return number(self.when)


class BoardRow(msgspec.Struct, frozen=True, gc=False):
    """One hash board, the fields used of it, as the device writes them."""

    id: Any = None
    slot: Any = None
    status: Any = None
    rate_now: Any = msgspec.field(name="hash-realtime", default=None)
    rate_mean: Any = msgspec.field(name="hash-average", default=None)
    factory: Any = msgspec.field(name="factory-hash", default=None)
    freq: Any = None
    chips: Any = msgspec.field(name="effective-chips", default=None)
    chip_max: Any = msgspec.field(name="chip-temp-max", default=None)


class PoolRow3(msgspec.Struct, frozen=True, gc=False):
    """One pool, the fields used of it, as the device writes them."""

    id: Any = None
    url: Any = None
    account: Any = None
    status: Any = None
    active: Any = msgspec.field(name="stratum-active", default=None)
    difficulty: Any = msgspec.field(name="stratum-diff", default=None)
    last_share: Any = msgspec.field(name="last-share-time", default=None)
    priority: Any = msgspec.field(name="pool-priority", default=None)
    reject_percent: Any = msgspec.field(name="reject-percent", default=None)
    reject_rate: Any = msgspec.field(name="reject-rate", default=None)  # its other name


class StatusMsg(msgspec.Struct, frozen=True):
    """`msg` of `get.miner.status`."""

    summary: dict[str, Any] | None = None
    pools: list[PoolRow3] | None = None
    edevs: list[BoardRow] | None = None


class StatusReply(msgspec.Struct, frozen=True):
    """The answer to `get.miner.status`."""

    code: Any = None
    when: Any = None
    msg: StatusMsg | str | None = None
    desc: Any = None


def frame(body: bytes) -> bytes:
    """A message with its length in front."""
    return len(body).to_bytes(PREFIX_BYTES, "little") + body


def question(cmd: str, param: Any = None) -> bytes:
    """The frame of a read."""
    body = {"cmd": cmd} if param is None else {"cmd": cmd, "param": param}
    return frame(msgspec.json.encode(body))


def signed(cmd: str, param: Any, login: Credentials, salt: str, ts: int) -> bytes:
    """The frame of a write: signed with password, salt and the device's own time `ts` in whole seconds."""
    digest = sha256(f"{cmd}{login.password}{salt}{ts}".encode()).digest()
    body: dict[str, Any] = {
        "cmd": cmd,
        "ts": ts,
        "token": base64.b64encode(digest)[:8].decode(),
        "account": login.user,
    }
    if param is not None:
        if cmd in SECRET_COMMANDS:
            secret = encrypt(padded_pkcs7(msgspec.json.encode(param)), digest)
            param = base64.b64encode(secret).decode()
        body["param"] = param
    return frame(msgspec.json.encode(body))


class FrameReader:
    """Cuts a stream into messages. Heartbeats (frames without content) are skipped."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._size: int | None = None

    @property
    def rest(self) -> bytes:
        """What came after the last whole message, so far."""
        return bytes(self._data)

    def feed(self, data: bytes) -> bytes | None:
        """Take more bytes (b"" for the end of the stream); give the next message once whole.

        Raises MalformedError for a length that cannot be, or a stream that ends in a message.
        """
        if not data:
            if self._size is None and not self._data:
                raise HungUpError("it hung up without an answer")
            raise MalformedError(
                f"its message was cut ({len(self._data)} of {self._size} bytes came)"
            )
        self._data += data
        return self.next()

    def next(self) -> bytes | None:
        """The next message out of what came already."""
        while True:
            if self._size is None:
                if len(self._data) < PREFIX_BYTES:
                    return None
                size = int.from_bytes(self._data[:PREFIX_BYTES], "little")
                if size > FRAME_CAP_BYTES:
                    raise MalformedError(f"it announces a message of {size} bytes")
                del self._data[:PREFIX_BYTES]
                self._size = size
            if len(self._data) < self._size:
                return None
            body = bytes(self._data[: self._size])
            del self._data[: self._size]
            self._size = None
            if body:
                return body


class Talk:
    """Asks several things, one after another, on one connection; gives the answers' bytes in order."""

    def __init__(self, requests: Sequence[bytes]) -> None:
        """The first request is sent by the wire, the others by `say`."""
        self._reader = FrameReader()
        self._later = list(requests[1:])
        self._count = len(requests)
        self._answers: list[bytes] = []

    def feed(self, data: bytes) -> tuple[bytes, ...] | None:
        """Take more bytes; the answers once all are there. Raises MalformedError."""
        body = self._reader.feed(data)
        while body is not None:
            self._answers.append(body)
            if len(self._answers) == self._count:
                return tuple(self._answers)
            body = self._reader.next()
        return None

    def say(self) -> bytes | None:
        """The next request, once the one before it is answered."""
        asked = self._count - len(self._later)
        return self._later.pop(0) if self._later and len(self._answers) >= asked else None


class FramedAnswerDecoder:
    """The answer to one command: the Reply3 if it was accepted."""

    def __init__(self, cmd: str) -> None:
        self._reader = FrameReader()
        self._cmd = cmd

    def feed(self, data: bytes) -> Reply3 | None:
        """Raises MalformedError, or the refusals of `refusal_of`, which prove that nothing was executed."""
        body = self._reader.feed(data)
        if body is None:
            return None
        reply = decode_reply(body, self._cmd)
        if (refusal := refusal_of(reply)) is not None:
            raise refusal
        return reply


def decode_reply(body: bytes, cmd: str) -> Reply3:
    """The answer to `cmd`. Raises MalformedError, also for an answer to something else."""
    try:
        reply = _REPLY.decode(body)
    except BROKEN as error:
        raise not_json(body, error) from None
    _check(reply, cmd)
    return reply


def decode_status(body: bytes) -> StatusReply:
    """The answer to `get.miner.status`. Raises MalformedError."""
    try:
        reply = _STATUS.decode(body)
    except BROKEN as error:
        raise not_json(body, error, "a status") from None
    _check(reply, "get.miner.status")
    return reply


def refusal_of(reply: Reply3 | StatusReply) -> MinerError | None:
    """Why a command was not carried out, if it was not. `code` decides, whatever the text says."""
    code = number(reply.code)
    if code == 0:
        return None
    said = reply.msg if isinstance(reply.msg, str) else None
    text = (text_of(said) or f"code {reply.code}")[:80]
    low = text.lower()
    if "lock" in low:
        return AuthFailedError(
            f"the miner has locked this account ({text}): too many wrong passwords; wait until it "
            "opens again or unlock it with WhatsMinerTool, and check the password given to the agent"
        )
    match code:
        case -1 if "passw" in low or "account" in low:
            return NoPermissionError(wrong_password(text))
        case -2:
            return UnsupportedError(
                f"this firmware does not know the command or its value ({text})"
            )
        case -4:
            return NoPermissionError(f"the miner gives no permission ({text}); {LOGIN_FIX}")
        case -5:
            return BusyError(f"the miner is out of memory ({text}); try later")
        case _:
            return RefusedError(f"the miner refused: {text}")


# --- private -------------------------------------------------------------------------------------

_REPLY: Final = msgspec.json.Decoder(Reply3)
_STATUS: Final = msgspec.json.Decoder(StatusReply)


def _check(reply: Reply3 | StatusReply, cmd: str) -> None:
    if whole(reply.code) is None and number(reply.code) is None:
        raise MalformedError("its answer has no code")
    if isinstance(reply.desc, str) and reply.desc and reply.desc != cmd:
        raise MalformedError(f"it answered to {reply.desc[:40]!r}, asked was {cmd}")
