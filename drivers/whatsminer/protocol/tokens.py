"""What a change through port 4028 needs: a token, kept and re-used, since the device has few places for them.

The device's clock is never asked what time it is: a token ages by our monotonic clock.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

import msgspec

from contract.errors import LOGIN_FIX, AuthFailedError, BusyError, MalformedError
from drivers.base import Credentials, Effect
from drivers.protocol.values import number, text_of
from drivers.whatsminer.protocol.api import (
    REPLY_CAP_BYTES,
    TOKEN_CODES,
    TokenError,
    TokensFullError,
    UndecryptedError,
    WhatsminerReply,
    decode_reply,
    refusal_of,
    reply_decoder,
    wrong_password,
)
from drivers.whatsminer.protocol.envelope import SALT_LONGEST, Token, seal, token_of, unseal
from drivers.wire import Wire

LIFE_S: Final = 1500.0  # of the device's 1800, counted from its own giving it out
# A device without a free place extends its refusal at every further try (seen: about 180 s).
FULL_S: Final = 185.0
NOT_READ: Final = 23  # "invalid JSON", to what we know to be sound: it came out of the wrong key
T = TypeVar("T")


class Sealed(msgspec.Struct, frozen=True):
    """One encrypted command and what its answer is decrypted with."""

    request: bytes
    token: Token


class Tokens:
    """The encrypted side of one miner's port 4028."""

    def __init__(self, wire: Wire, credentials: Credentials | None) -> None:
        self._wire = wire
        self._credentials = credentials
        self._token: Token | None = None
        self._until_mono = 0.0
        self._idle_s: float | None = None  # where each use prolongs it
        self._full_until_mono = 0.0

    def replace_credentials(self, credentials: Credentials | None) -> None:
        """Use another password from now on."""
        self._credentials = credentials
        self.forget()

    def forget(self) -> None:
        """The device forgot our token: after a reboot, a firmware update, a change of its password."""
        self._token = None

    async def write(
        self, command: Mapping[str, Any], effect: Effect, *, deadline_s: float | None = None
    ) -> WhatsminerReply:
        """Send a command that changes the miner, once; `command` has the device's own keys, `cmd` first.

        Accepted is not done: look afterwards. Raises, with the proof that nothing was executed, AuthFailedError,
        WriteDisabledError, BusyError (no place for a token), UnsupportedError and RefusedError; UnreachableError when
        nothing was sent; else OutcomeUnknownError, which is normal for what restarts something.
        """

        async def exchange(sealed: Sealed) -> WhatsminerReply:
            return await self._wire.exchange(
                self._wire.endpoint.rpc_port,
                sealed.request,
                SealedAnswerDecoder(sealed.token),
                deadline_s=self._wire.timing.write_s if deadline_s is None else deadline_s,
                cap_bytes=REPLY_CAP_BYTES,
                effect=effect,
            )

        return await self.run(command, exchange)

    async def ask(self, command: Mapping[str, Any]) -> WhatsminerReply:
        """Send a command that changes nothing. Also tells whether our password is right, at the price of a token."""

        async def exchange(sealed: Sealed) -> WhatsminerReply:
            return await self._wire.exchange(
                self._wire.endpoint.rpc_port,
                sealed.request,
                SealedAnswerDecoder(sealed.token),
                deadline_s=self._wire.timing.read_s,
                cap_bytes=REPLY_CAP_BYTES,
            )

        return await self.run(command, exchange)

    async def run(
        self, command: Mapping[str, Any], exchange: Callable[[Sealed], Awaitable[T]]
    ) -> T:
        """Give `exchange` the sealed command; once more with a new token when the device proves that it did not
        read or not accept the first. `exchange` raises what `SealedAnswerDecoder` does.
        """
        is_fresh = self._current() is None
        try:
            return await self._tried(command, exchange)
        except TokenError:
            # It may have restarted: tokens are gone, and nothing was executed.
            pass
        except UndecryptedError:
            if is_fresh:
                raise
        try:
            return await self._tried(command, exchange)
        except TokenError as error:
            raise AuthFailedError(
                f"{error}; a new one neither: restart the miner's API by a reboot, and check the "
                "password given to the agent"
            ) from None

    # --- private ---------------------------------------------------------------------------------

    async def _tried(
        self, command: Mapping[str, Any], exchange: Callable[[Sealed], Awaitable[T]]
    ) -> T:
        token = self._current() or await self._new()
        try:
            found = await exchange(Sealed(seal(command, token), token))
        except (TokenError, UndecryptedError):
            self._token = None
            raise
        if self._idle_s is not None:
            self._until_mono = self._wire.clock.mono() + self._idle_s
        return found

    def _current(self) -> Token | None:
        """The token in hand, if it lives."""
        return self._token if self._wire.clock.mono() < self._until_mono else None

    async def _new(self) -> Token:
        """Ask for a token; where there is no free place, wait as long as the device wants and ask once more."""
        if self._credentials is None:
            raise AuthFailedError(f"no password is known for this miner; {LOGIN_FIX}")
        was_full = self._wire.clock.mono() < self._full_until_mono
        while True:
            if (left_s := self._full_until_mono - self._wire.clock.mono()) > 0:
                await self._wire.clock.sleep(left_s)
            try:
                return await self._asked(self._credentials.password)
            except TokensFullError as error:
                self._full_until_mono = self._wire.clock.mono() + self._wire.timing.device_s(FULL_S)
                if was_full:
                    raise BusyError(f"{error} (asked twice, {FULL_S:g} s apart)") from None
                was_full = True

    async def _asked(self, password: str) -> Token:
        asked_mono = self._wire.clock.mono()
        reply = await self._wire.exchange(
            self._wire.endpoint.rpc_port,
            _GET_TOKEN,
            reply_decoder(),
            deadline_s=self._wire.timing.read_s,
            cap_bytes=REPLY_CAP_BYTES,
        )
        salt, newsalt = (_salt(reply.fields.get(key)) for key in ("salt", "newsalt"))
        time = _time(reply.fields.get("time"))
        if salt is None or newsalt is None or time is None:
            raise refusal_of(reply) or MalformedError("its answer to get_token has no salts")
        if (refusal := refusal_of(reply)) is not None and not _is_given(reply):
            raise refusal
        self._token = token_of(password, salt, newsalt, time)
        self._idle_s = None
        life_s = self._wire.timing.device_s(LIFE_S)
        idle_s = number(reply.fields.get("timeout"))
        if idle_s == 0:
            life_s = float("inf")
        elif idle_s is not None and idle_s > 0:
            self._idle_s = life_s = self._wire.timing.device_s(idle_s * LIFE_S / 1800.0)
        self._until_mono = asked_mono + life_s
        return self._token


class SealedAnswerDecoder:
    """The answer to an encrypted command: encrypted as a rule, plain where the device could not read ours."""

    def __init__(self, token: Token) -> None:
        self._outer = reply_decoder()
        self._token = token

    def feed(self, data: bytes) -> WhatsminerReply | None:
        """Take more bytes; the reply if the command was accepted.

        Raises MalformedError (an empty or unreadable answer proves nothing), or the refusals of `refusal_of`.
        """
        reply = self._outer.feed(data)
        return None if reply is None else opened(reply, self._token)


def opened(reply: WhatsminerReply, token: Token) -> WhatsminerReply:
    """What an answer says, its envelope taken off. Raises as `SealedAnswerDecoder.feed`."""
    if reply.enc is not None:
        if not isinstance(reply.enc, str):
            raise MalformedError("its encrypted reply is no text")
        plain = unseal(reply.enc, token)
        if not plain.strip():
            raise MalformedError("its answer is empty")
        reply = decode_reply(plain)
    if (refusal := refusal_of(reply)) is not None:
        if reply.verdict is None:
            raise MalformedError("its answer has no status")
        if number(reply.verdict.Code) == NOT_READ and not isinstance(refusal, AuthFailedError):
            raise UndecryptedError(wrong_password(str(refusal)))
        raise refusal
    return reply


# --- private -------------------------------------------------------------------------------------

_GET_TOKEN: Final = b'{"cmd":"get_token"}'


def _salt(value: Any) -> str | None:
    text = text_of(value)
    return text if text is not None and len(text) <= SALT_LONGEST else None


def _time(value: Any) -> str | None:
    """The device's time as text; some write it as a number."""
    if value.__class__ is int and 0 <= value < 10**15:
        return str(value)
    return _salt(value)


def _is_given(reply: WhatsminerReply) -> bool:
    """Whether a code that is no plain success still gives a token: salts decide, refusals apart."""
    verdict = reply.verdict
    return verdict is not None and (verdict.STATUS != "E" or number(verdict.Code) in TOKEN_CODES)
