"""Port 4433: questions in one connection, and changes signed with the device's own salt and time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

from contract.errors import LOGIN_FIX, AuthFailedError, MalformedError, WriteDisabledError
from drivers.base import Credentials, Permit
from drivers.protocol.values import text_of
from drivers.whatsminer.protocol.api import SWITCH_FIX
from drivers.whatsminer.protocol.envelope import SALT_LONGEST
from drivers.whatsminer.protocol.frames import (
    FramedAnswerDecoder,
    HungUpError,
    NoPermissionError,
    Reply3,
    StatusReply,
    Talk,
    decode_reply,
    decode_status,
    question,
    refusal_of,
    signed,
)
from drivers.wire import Wire

CAP_BYTES: Final = 2 * 1024 * 1024
SALT_LIFE_S: Final = 600.0
T = TypeVar("T")

STATUS: Final = question("get.miner.status", "summary+pools+edevs")
DEVICE: Final = question("get.device.info")
SETTING: Final = question("get.miner.setting")


class Api3:
    """API v3 of one miner. Every method raises UnreachableError and MalformedError."""

    def __init__(self, wire: Wire, credentials: Credentials | None) -> None:
        self._wire = wire
        self._credentials = credentials
        self._salt: str | None = None
        self._when_s = 0.0
        self._salt_mono = 0.0
        self._closes_each = False  # this one hangs up after each answer

    def replace_credentials(self, credentials: Credentials | None) -> None:
        """Use another account and password from now on."""
        self._credentials = credentials

    def forget(self) -> None:
        """Ask for the salt again (the device restarted, or its password changed)."""
        self._salt = None
        self._closes_each = False

    async def status(self) -> StatusReply:
        """`get.miner.status` of everything; its code is not judged."""
        (body,) = await self.talk((STATUS,))
        return decode_status(body)

    async def device(self, *, deadline_s: float | None = None) -> Reply3:
        """`get.device.info`. Also raises the refusals of `refusal_of`."""
        (body,) = await self.talk((DEVICE,), deadline_s=deadline_s)
        return self.learned(decode_reply(body, "get.device.info"))

    def learned(self, reply: Reply3) -> Reply3:
        """Keep what a device info says of salt and time. Raises the refusals of `refusal_of`."""
        if (refusal := refusal_of(reply)) is not None:
            raise refusal
        salt = text_of(reply.fields.get("salt"))
        if salt is not None and len(salt) <= SALT_LONGEST and reply.when_s is not None:
            self._salt, self._when_s = salt, reply.when_s
            self._salt_mono = self._wire.clock.mono()
        return reply

    async def ask(self, cmd: str, param: Any = None) -> Reply3:
        """One read. Also raises the refusals of `refusal_of`."""
        (body,) = await self.talk((question(cmd, param),))
        reply = decode_reply(body, cmd)
        if (refusal := refusal_of(reply)) is not None:
            raise refusal
        return reply

    async def talk(
        self, requests: Sequence[bytes], *, deadline_s: float | None = None
    ) -> tuple[bytes, ...]:
        """Several reads, one after another, on one connection where the miner stays on the line."""
        if not self._closes_each or len(requests) == 1:
            try:
                return await self._talk(requests, deadline_s)
            except HungUpError:
                if len(requests) == 1:
                    raise
        answers = [(await self._talk((each,), deadline_s))[0] for each in requests]
        self._closes_each = True
        return tuple(answers)

    async def write(
        self, cmd: str, param: Any, permit: Permit, *, deadline_s: float | None = None
    ) -> Reply3:
        """Send a command that changes the miner, once.

        Accepted is not done: look afterwards. Raises, with the proof that nothing was executed, AuthFailedError,
        WriteDisabledError, BusyError, UnsupportedError and RefusedError; UnreachableError when nothing was sent;
        else OutcomeUnknownError, which is normal for what restarts something.
        """

        async def exchange(request: bytes) -> Reply3:
            return await self._wire.exchange(
                self._wire.endpoint.v3_port,
                request,
                FramedAnswerDecoder(cmd),
                deadline_s=self._wire.timing.write_s if deadline_s is None else deadline_s,
                cap_bytes=CAP_BYTES,
                permit=permit,
            )

        return await self.run(cmd, param, exchange)

    async def run(self, cmd: str, param: Any, exchange: Callable[[bytes], Awaitable[T]]) -> T:
        """Give `exchange` the signed command (a frame); once more with a new salt when the device gave no permission.

        `exchange` raises what `frames.FramedAnswerDecoder` does.
        """
        had_salt = self._fresh_salt() is not None
        try:
            return await exchange(await self._signed(cmd, param))
        except NoPermissionError as error:
            # One code for four reasons; only the switch can be looked at.
            self.forget()
            await self._check_switch()
            if not had_salt:
                raise AuthFailedError(_no_permission(error)) from None
        try:
            return await exchange(await self._signed(cmd, param))
        except NoPermissionError as error:
            self.forget()
            raise AuthFailedError(_no_permission(error)) from None

    # --- private ---------------------------------------------------------------------------------

    async def _talk(self, requests: Sequence[bytes], deadline_s: float | None) -> tuple[bytes, ...]:
        return await self._wire.exchange(
            self._wire.endpoint.v3_port,
            requests[0],
            Talk(requests),
            deadline_s=self._wire.timing.read_s if deadline_s is None else deadline_s,
            cap_bytes=CAP_BYTES,
        )

    async def _check_switch(self) -> None:
        device = await self.device()
        system = device.fields.get("system")
        if isinstance(system, dict) and str(system.get("apiswitch", "1")) == "0":
            raise WriteDisabledError(SWITCH_FIX)

    def _fresh_salt(self) -> str | None:
        age_s = self._wire.clock.mono() - self._salt_mono
        return self._salt if age_s < self._wire.timing.device_s(SALT_LIFE_S) else None

    async def _signed(self, cmd: str, param: Any) -> bytes:
        if self._credentials is None:
            raise AuthFailedError(f"no password is known for this miner; {LOGIN_FIX}")
        salt = self._fresh_salt()
        if salt is None:
            await self.device()
            salt = self._fresh_salt()
        if salt is None:
            raise MalformedError("its device info has no salt and time to sign with")
        # The device's own clock, carried on by ours: how wrong either is does not matter.
        ahead_s = (self._wire.clock.mono() - self._salt_mono) * self._wire.timing.pace
        return signed(cmd, param, self._credentials, salt, int(self._when_s + ahead_s))


def _no_permission(error: NoPermissionError) -> str:
    return f"{error}; or allow the account to make changes"
