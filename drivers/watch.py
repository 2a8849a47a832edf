"""Time since an effect, and the silence of a device that restarts: what the proofs of every make are built from."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Protocol

from contract.clock import BootTime, Clock, from_text, to_text
from drivers.base import Effect, Timing
from drivers.wire import Wire

OUTAGE_NOTE: Final = "outage_at"
ORDER_NOTE: Final = (
    "order"  # the last order that went out: `at`, `boot`, and `ended` once its exchange has
)
_INTENT_NOTE: Final = "intent_at"
_BOOT_NOTE: Final = "intent_boot"
_PROBE_EVERY_S: Final = 3.0


class Watched(Protocol):
    """What watching needs of a miner."""

    @property
    def wire(self) -> Wire: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def timing(self) -> Timing: ...


class Watch:
    """The time since an effect, in seconds of the device and in ours, through a crash as well.

    It begins with the last order that went out: between the intent and that a login, a wait for a free slot of the
    miner or a plan made anew after a crash may stand, each longer than all of a proof's window. Where no order is
    noted it begins with the intent; without an effect, now. It is counted on the clock of the host's boot, for the one
    on the wall may be stepped while the agent is down, and a proof must not hang on that.
    """

    def __init__(self, miner: Watched, effect: Effect | None = None) -> None:
        self._miner = miner
        self._begin_mono = miner.clock.mono()
        notes: Mapping[str, Any] = effect.notes if effect else {}
        intent = {"at": notes.get(_INTENT_NOTE), "boot": notes.get(_BOOT_NOTE)}
        order: Mapping[str, Any] = notes.get(ORDER_NOTE, intent)
        self._begun_at = order["at"]
        age_s = _since(order["boot"], miner.clock)
        self._is_timed = age_s is not None or self._begun_at is None
        self._begin_s = age_s or 0.0
        ended_s = _since(order.get("ended"), miner.clock)
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
    return _since(notes.get(_BOOT_NOTE), clock)


def _since(began: object, clock: Clock) -> float | None:
    match began:
        case [str() as boot_id, int() | float() as begun_s]:
            now = clock.boot()
            if now.boot_id == boot_id and now.seconds >= begun_s:
                return now.seconds - begun_s
    return None


async def pause(miner: Watched, device_seconds: float) -> None:
    """Wait that long in the device's time."""
    await miner.clock.sleep(miner.timing.device_s(device_seconds))


async def watch_port(
    miner: Watched, port: int, effect: Effect, watch: Watch, *, give_up_s: float
) -> None:
    """Wait while `port` is away, until `give_up_s` device seconds after the effect at most.

    That it was away is noted durably, for this is the proof a crash would lose.
    """
    while not await miner.wire.probe(port):
        if OUTAGE_NOTE not in effect.notes:
            await effect.note(OUTAGE_NOTE, to_text(miner.clock.now()))
        if watch.device_s >= give_up_s:
            return
        await watch.pause(_PROBE_EVERY_S)


def was_away(effect: Effect) -> bool:
    """Whether the watched port was seen away since the effect."""
    return OUTAGE_NOTE in effect.notes


def _age_s(now: datetime, text: object) -> float:
    if not isinstance(text, str):
        return 0.0
    return max(0.0, (now - from_text(text)).total_seconds())
