"""Time since an effect, looking again until something shows, and the silence of a device that restarts: what the proofs
of every make are built from.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec

from contract.clock import BootTime, Clock, from_text, to_text
from contract.errors import MalformedError, MinerError, UnreachableError, UnsupportedError
from drivers.base import Permit, Timing
from drivers.wire import Wire

# The last order that went out: `at`, `boot`, and `ended` once its exchange has.
ORDER_NOTE: Final = "order"
# When a port that is no part of the mining process was seen away.
OUTAGE_NOTE: Final = "outage_at"
LOOK_EVERY_S: Final = 5.0
_INTENT_NOTE: Final = "intent_at"
_BOOT_NOTE: Final = "intent_boot"

T = TypeVar("T")


class Watched(Protocol):
    """What watching needs of a miner."""

    @property
    def wire(self) -> Wire: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def timing(self) -> Timing: ...


class LastLook(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """What looking again and again gave in the end."""

    found: T | None  # by the last look that succeeded
    trouble: MinerError | None  # why the last look of all did not
    is_enough: bool  # the last look showed what was waited for

    def raise_lasting(self) -> None:
        """Raise the trouble that ended the looking, if it was one that does not pass by itself."""
        if self.trouble is not None and not is_silent(self.trouble):
            raise self.trouble


class Watch:
    """The time since an effect, in seconds of the device and in ours, through a crash as well.

    It begins with the last order that went out: between the intent and that a login, a wait for a free slot of the
    miner or a plan made again after a crash may stand, each longer than all of a proof's window. Where no order is
    noted it begins with the intent; without an effect, now. It is counted on the clock of the host's boot, for the one
    on the wall may be stepped while the agent is down, and a proof must not hang on that.
    """

    def __init__(self, miner: Watched, permit: Permit | None = None) -> None:
        self._miner = miner
        self._begin_mono = miner.clock.mono()
        notes: Mapping[str, Any] = permit.notes if permit else {}
        intent = {"at": notes.get(_INTENT_NOTE), "boot": notes.get(_BOOT_NOTE)}
        order: Mapping[str, Any] = notes.get(ORDER_NOTE, intent)
        self._begun_at = order["at"]
        age_s = seconds_since(order["boot"], miner.clock)
        self._is_timed = age_s is not None or self._begun_at is None
        self._begin_s = age_s or 0.0
        ended_s = seconds_since(order.get("ended"), miner.clock)
        self._ended_s = self._begin_s if ended_s is None else ended_s

    @property
    def seconds(self) -> float:
        """Seconds since the effect began; at least so many if the host was restarted since, for then only what was
        seen from here on counts.
        """
        return self._begin_s + self._here_s

    @property
    def device_s(self) -> float:
        """How long to go on looking: device seconds since the order's exchange ended. An answer that did not come, or
        an upload of half an hour, leaves the miner all of its time. Proofs by age take `since_s`.
        """
        return (self._ended_s + self._here_s) * self._miner.timing.pace

    @property
    def since_s(self) -> float | None:
        """Device seconds since the effect began; `None` if nobody knows, since the host was restarted meanwhile."""
        return self.seconds * self._miner.timing.pace if self._is_timed else None

    def ahead_s(self, read_at: object) -> float:
        """Device seconds from a look (its time as text) to the effect; 0 if times cannot be trusted."""
        if not self._is_timed or not isinstance(self._begun_at, str):
            return 0.0
        return _age_s(from_text(self._begun_at), read_at) * self._miner.timing.pace

    async def pause(self, device_seconds: float) -> None:
        """Wait that long in the device's time."""
        await pause(self._miner, device_seconds)

    async def until(
        self,
        look: Callable[[], Awaitable[T]],
        is_enough: Callable[[T], bool],
        *,
        latest_s: float,
        every_s: float = LOOK_EVERY_S,
    ) -> LastLook[T]:
        """Look every `every_s` until that is enough, until `latest_s` (both device seconds, the second one as
        `device_s`), or until a look fails in a way that does not pass by itself: another miner answers, a password is
        refused. A silent miner is looked at again.
        """
        found: T | None = None
        while True:
            trouble: MinerError | None = None
            try:
                found = await look()
            except MinerError as error:
                trouble = error
            else:
                if is_enough(found):
                    return LastLook(found=found, trouble=None, is_enough=True)
            is_over = self.device_s >= latest_s
            if is_over or (trouble is not None and not is_silent(trouble)):
                return LastLook(found=found, trouble=trouble, is_enough=False)
            await self.pause(every_s)

    @property
    def slack_s(self) -> float:
        """How far a device's own count of seconds may be off: its rounding, and the time our look took."""
        return 5.0 + 0.25 * self._miner.timing.pace

    @property
    def _here_s(self) -> float:
        return self._miner.clock.mono() - self._begin_mono


def intent_notes(at: datetime, boot: BootTime | None) -> dict[str, Any]:
    """What is kept of the moment of the intent: on the wall, for people, and since boot, to count from."""
    notes: dict[str, Any] = {_INTENT_NOTE: to_text(at)}
    if boot is not None:
        notes[_BOOT_NOTE] = list(boot)
    return notes


def order_note(at: datetime, boot: BootTime) -> dict[str, Any]:
    """What is kept of the moment an order goes out, under ORDER_NOTE."""
    return {"at": to_text(at), "boot": list(boot)}


def ended(order: Mapping[str, Any], boot: BootTime) -> dict[str, Any]:
    """The same once the order's exchange has ended, with an answer or without."""
    return {**order, "ended": list(boot)}


def intent_age_s(notes: Mapping[str, Any], clock: Clock) -> float | None:
    """Seconds since the intent of these notes. `None`: there is none, or the host was restarted since."""
    return seconds_since(notes.get(_BOOT_NOTE), clock)


def seconds_since(began: object, clock: Clock) -> float | None:
    """Seconds since a moment, as notes hold it. `None`: there is none, or the host was restarted since."""
    match began:
        case [str() as boot_id, int() | float() as begun_s]:
            now = clock.boot()
            if now.boot_id == boot_id and now.seconds >= begun_s:
                return now.seconds - begun_s
    return None


async def pause(miner: Watched, device_seconds: float) -> None:
    """Wait that long in the device's time."""
    await miner.clock.sleep(miner.timing.device_s(device_seconds))


def is_silent(error: MinerError) -> bool:
    """Whether a look failed in a way that passes by itself while a miner restarts."""
    return isinstance(error, UnreachableError | MalformedError | UnsupportedError)


def _age_s(now: datetime, text: object) -> float:
    if not isinstance(text, str):
        return 0.0
    return max(0.0, (now - from_text(text)).total_seconds())
