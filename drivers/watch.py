"""Time since an effect, and the silence of a device that restarts: what the proofs of every make are built from."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Protocol

from contract.clock import BootTime, Clock, from_text, to_text
from drivers.base import Effect, Timing
from drivers.wire import Wire

OUTAGE_NOTE: Final = "outage_at"
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

    Without an effect: since now. It is counted on the clock of the host's boot, for the one on the wall may be stepped
    while the agent is down, and a proof must not hang on that.
    """

    def __init__(self, miner: Watched, effect: Effect | None = None) -> None:
        self._miner = miner
        self._begin_mono = miner.clock.mono()
        notes: Mapping[str, Any] = effect.notes if effect else {}
        self._intent_at = notes.get(_INTENT_NOTE)
        age_s = intent_age_s(notes, miner.clock)
        self._is_timed = age_s is not None or self._intent_at is None
        self._begin_s = age_s or 0.0

    @property
    def seconds(self) -> float:
        """Seconds since the intent; at least so many if the host was restarted since, for then only what was seen
        from here on counts.
        """
        return self._begin_s + (self._miner.clock.mono() - self._begin_mono)

    @property
    def device_s(self) -> float:
        """The same as the device counts them: how long to go on looking. Proofs by age take `since_s`."""
        return self.seconds * self._miner.timing.pace

    @property
    def since_s(self) -> float | None:
        """Device seconds since the intent; `None` if nobody knows, since the host was restarted meanwhile."""
        return self.device_s if self._is_timed else None

    def ahead_s(self, read_at: object) -> float:
        """Device seconds from a look (its time as text) to the intent; 0 if times cannot be trusted."""
        if not self._is_timed or not isinstance(self._intent_at, str):
            return 0.0
        return _age_s(from_text(self._intent_at), read_at) * self._miner.timing.pace

    async def pause(self, device_seconds: float) -> None:
        """Wait that long in the device's time."""
        await pause(self._miner, device_seconds)

    @property
    def slack_s(self) -> float:
        """How far a device's own count of seconds may be off: its rounding, and the time our look took."""
        return 5.0 + 0.25 * self._miner.timing.pace


def intent_notes(at: datetime, boot: BootTime | None) -> dict[str, Any]:
    """What is kept of the moment an effect began: on the wall, for people, and since boot, to count from."""
    notes: dict[str, Any] = {_INTENT_NOTE: to_text(at)}
    if boot is not None:
        notes[_BOOT_NOTE] = list(boot)
    return notes


def intent_age_s(notes: Mapping[str, Any], clock: Clock) -> float | None:
    """Seconds since an effect with these notes began. `None`: not begun, or the host was restarted since."""
    match notes.get(_BOOT_NOTE):
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
