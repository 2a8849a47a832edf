"""How fast a sweep asks, and how long it waits for an answer."""

from __future__ import annotations

from typing import Final

from agent.scan.swept import Manner

# The kernel sends a second SYN after this time, and what answers only that one is to be heard.
_RETRY_S: Final = 1.0
_TIMEOUT_MAX_S: Final = 5.0
_ROUND_TRIPS: Final = 2
_WEIGHT: Final = 1 / 8  # of the latest answer in the mean
_BURST_ROUTED: Final = 4096
_BURST_ON_LINK: Final = 256  # each is a broadcast to everybody there
_LOW_PER_S: Final = 250
_SLICE_S: Final = 0.1  # without bursts, what may be caught up with after other work


class Allowance:
    """Addresses per second, with a burst. `per_s` None: no limit."""

    def __init__(self, per_s: float | None, burst: float, now_mono: float) -> None:
        self.per_s = per_s
        self._burst = max(1.0, burst)
        self._left = self._burst
        self._at = now_mono

    def left(self, now_mono: float) -> int:
        """How many may be asked now."""
        if self.per_s is None:
            return 1 << 30
        self._left = min(self._burst, self._left + (now_mono - self._at) * self.per_s)
        self._at = now_mono
        return int(self._left)

    def spend(self, number: int) -> None:
        self._left -= number

    @property
    def wait_s(self) -> float:
        """After `left` gave 0: when it will give more."""
        return 0.0 if self.per_s is None else max(0.0, (1.0 - self._left) / self.per_s)


def routed(manner: Manner, per_s: int, now_mono: float) -> Allowance:
    """Of addresses behind routers, or of this host."""
    if manner is Manner.FAST:
        return Allowance(None, 0, now_mono)
    if manner is Manner.LOW:
        return unhurried(min(per_s, _LOW_PER_S), now_mono)
    return Allowance(per_s, _BURST_ROUTED, now_mono)


def on_link(manner: Manner, per_s: int, now_mono: float) -> Allowance:
    """Of addresses on a cable of this host, which the room in its neighbour table bounds besides."""
    if manner is Manner.FAST:
        return Allowance(None, 0, now_mono)
    if manner is Manner.LOW:
        return unhurried(min(per_s, _LOW_PER_S), now_mono)
    return Allowance(per_s, _BURST_ON_LINK, now_mono)


def unhurried(per_s: float, now_mono: float) -> Allowance:
    """Without bursts."""
    return Allowance(per_s, per_s * _SLICE_S, now_mono)


class Patience:
    """How long an answer to a connect is waited for: what the config says, longer where answers take long."""

    def __init__(self, least_s: float) -> None:
        self.timeout_s = least_s
        self._retry_s = min(least_s, _RETRY_S)
        self._mean_s = 0.0

    def note(self, took_s: float) -> None:
        """An answer came after so long."""
        self._mean_s += (took_s - self._mean_s) * _WEIGHT
        wanted_s = min(_TIMEOUT_MAX_S, self._retry_s + _ROUND_TRIPS * self._mean_s)
        self.timeout_s = max(self.timeout_s, wanted_s)
