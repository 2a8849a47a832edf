"""Time since an effect, and the silence of a device that restarts: what the proofs of every make are built from."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Protocol

from contract.clock import Clock, from_text, to_text
from drivers.base import Effect, Timing
from drivers.wire import Wire

OUTAGE_NOTE: Final = "outage_at"
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

    Without an effect: since now.
    """

    def __init__(self, miner: Watched, effect: Effect | None = None) -> None:
        self._miner = miner
        self._begin_mono = miner.clock.mono()
        intent_at = effect.notes.get("intent_at") if effect else None
        self._intent_at = from_text(intent_at) if isinstance(intent_at, str) else None
        self._begin_s = _age_s(miner.clock.now(), intent_at)

    @property
    def seconds(self) -> float:
        """Seconds since the intent, as the clock on the wall counts them."""
        return self._begin_s + (self._miner.clock.mono() - self._begin_mono)

    @property
    def device_s(self) -> float:
        """The same as the device counts them."""
        return self.seconds * self._miner.timing.pace

    def ahead_s(self, read_at: object) -> float:
        """Device seconds from a look (its time as text) to the intent."""
        return (
            _age_s(self._intent_at, read_at) * self._miner.timing.pace if self._intent_at else 0.0
        )

    async def pause(self, device_seconds: float) -> None:
        """Wait that long in the device's time."""
        await pause(self._miner, device_seconds)

    @property
    def slack_s(self) -> float:
        """How far a device's own count of seconds may be off: its rounding, and the time our look took."""
        return 5.0 + 0.25 * self._miner.timing.pace


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
