"""Replies of the web side and of the daemon behind it, and what the codes in them mean. No socket, no clock.

Both carry the daemon's codes; 1 to 3 are the web side's own. A word for data, and no `error`, is how the web side says
that this firmware lacks the operation. Content types are not believed: the pages and the JSON say `text/html` alike.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from contract.errors import (
    LOGIN_FIX,
    AuthFailedError,
    BadFirmwareError,
    BusyError,
    MalformedError,
    MinerError,
    RefusedError,
    ServiceAwayError,
    UnsupportedError,
)
from drivers.protocol.objects import ObjectReader, decode_object
from drivers.protocol.values import number, text_of

REPLY_CAP_BYTES: Final = 64 * 1024  # a full panel has about 4 KB; logs are streamed
LOGIN_EXPIRED: Final = 1004


class LoginExpiredError(AuthFailedError):
    """The miner wants a login first: nothing was executed."""


class DaemonSilentError(MalformedError):
    """The web side asked the daemon and got nothing it could use: for an order, nobody knows what was done."""


class Answer(msgspec.Struct, frozen=True):
    """A reply of the web side. `code` `None`: it had no `error`, so this firmware lacks the operation."""

    code: int | None
    data: Any = None
    message: str | None = None

    @property
    def fields(self) -> dict[str, Any]:
        """The data where it is an object; error replies have `{}`, `[]` or nothing."""
        return self.data if isinstance(self.data, dict) else {}


def decode_web(body: bytes) -> Answer:
    """A reply of the web side. Raises MalformedError for a page, cut JSON, or anything else that is none."""
    value = decode_object(body.strip(_BLANKS))
    if "error" not in value:
        # An operation that does not exist is answered with its name alone.
        if not isinstance(value.get("data"), str):
            raise MalformedError(f"a reply without `error`; it began {body[:40]!r}")
        return Answer(None, value["data"])
    code = _code(value["error"])
    if code is None:
        raise MalformedError(f"a reply whose `error` is {str(value['error'])[:40]!r}")
    return Answer(code, value.get("data"), text_of(value.get("message")))


def checked(answer: Answer, what: str) -> dict[str, Any]:
    """The data of a reply that is no error. Raises what `error_of` gives."""
    if answer.code == 0:
        return answer.fields
    raise error_of(answer.code, answer.message, what)


def error_of(code: int | None, message: str | None, what: str) -> MinerError:
    """The error behind a code; `what` was asked for (`userpanel 4`)."""
    said = f"{what}: {(message or 'no reason given')[:120]} (code {code})"
    if code is None:
        return UnsupportedError(f"this firmware has no {what}")
    if code in _PASSWORD:
        return AuthFailedError(f"the miner refuses our user or password ({said}); {LOGIN_FIX}")
    if code == LOGIN_EXPIRED:
        return LoginExpiredError(f"the miner wants a login first ({said}); {LOGIN_FIX}")
    if code == _DAEMON_DOWN:
        return ServiceAwayError(f"its web side answers, but the daemon behind it does not: {said}")
    if code in _DAEMON_SILENT:
        return DaemonSilentError(f"the daemon behind its web side does not answer: {said}")
    if code in _FIRMWARE:
        return BadFirmwareError(f"the miner rejects the firmware file: {said}")
    if code in _OFFLINE:
        return BusyError(f"the miner says it is offline, it may be starting; try later: {said}")
    return RefusedError(f"the miner refused {said}")


class DaemonDecoder:
    """Collects one reply of the daemon, which does not hang up behind it. Gives its `ret`.

    Raises MalformedError, and for a code what `error_of` gives.
    """

    def __init__(self, command: str) -> None:
        self._command = command
        self._reader = ObjectReader(REPLY_CAP_BYTES)

    @property
    def rest(self) -> bytes:
        """What came behind the reply."""
        return self._reader.rest

    @property
    def stays(self) -> bool:
        """Whether nothing but white space came behind the reply: the daemon takes another command then."""
        return not self.rest.strip(_BLANKS)

    def feed(self, data: bytes) -> dict[str, Any] | None:
        """Take more bytes (b"" for the end of the stream); the `ret` of the reply once whole."""
        body = self._reader.feed(data)
        if body is not None:
            return decode_daemon(body, self._command)
        # The daemon's own text for what it cannot parse lacks the last brace, so it never ends.
        if (bare := _BARE.fullmatch(self._reader.start)) is not None:
            raise error_of(int(bare[1]), bare[2].decode("utf-8", "replace"), self._command)
        return None


def decode_daemon(body: bytes, command: str) -> dict[str, Any]:
    """The `ret` of a whole reply. Raises MalformedError, and for a code what `error_of` gives."""
    value = decode_object(body.strip(_BLANKS))
    ret = value.get("ret")
    if not isinstance(ret, dict):
        raise MalformedError(f"an answer to {command} without `ret`; it began {body[:40]!r}")
    if value.get("id", command) != command:
        raise MalformedError(f"the answer to {command} is one to {str(value['id'])[:40]!r}")
    code = _code(ret.get("code", 0))
    if code is None:
        raise MalformedError(f"an answer to {command} whose code is {str(ret['code'])[:40]!r}")
    # `getlocate` carries "failed" beside what it was asked for.
    if code and not (command == _LOCATE and ret.get("on").__class__ is bool):
        raise error_of(code, text_of(ret.get("msg")), command)
    return ret


# --- private -------------------------------------------------------------------------------------

_BLANKS: Final = b"\0\r\n\t "
_BARE: Final = re.compile(
    rb'\s*\{\s*"ret"\s*:\s*\{\s*"code"\s*:\s*([1-9]\d{0,5})\s*,\s*"msg"\s*:\s*"([^"\\]{0,256})"\s*\}[\s\0]*'
)
_LOCATE: Final = "getlocate"
_PASSWORD: Final = (1001, 1002)
_DAEMON_DOWN: Final = 1
_DAEMON_SILENT: Final = (2, 3)
_FIRMWARE: Final = (1006, 1010, 1011, 1012, 1013)
_OFFLINE: Final = (7001, 7002, 7003)


def _code(value: Any) -> int | None:
    """A code, also as `1.0` or `"1"`; `None` for anything else."""
    if value.__class__ is bool:
        return None
    found = number(value)
    return int(found) if found is not None and found == int(found) else None
