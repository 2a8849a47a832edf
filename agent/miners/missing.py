"""Which miners are not where they were seen last, and when they are to be looked for. A table; it asks nobody."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable
from typing import Final

import msgspec

from contract.clock import Clock
from contract.miner import Identity

GATHER_S: Final = 2.0  # what is lost together is looked for together
AGAIN_S: Final = 30.0  # after the first time in vain; then twice as long each time
AT_MOST_S: Final = 3600.0
GIVE_UP_S: Final = 86_400.0  # what is away for longer is found by a scan, or where it was
AT_ONE_MOST: Final = (
    4  # miners lost at one address that are looked for: a liar has a new MAC each time
)
BOOT_S: Final = 90.0  # of the device: what was just ordered about is most likely to be back by then


class Absent(msgspec.Struct):
    """A miner that is not at `ip`, where it was seen last. Times are monotonic; `tries`: how often it was looked for
    in vain; `back_mono`: since when it answers there again, as one does that only restarted.
    """

    mac: str
    ip: str
    identity: Identity
    lost_mono: float
    due_mono: float
    tries: int = 0
    back_mono: float | None = None


class Missing:
    """By MAC: what never told one cannot be known again anywhere."""

    def __init__(self, clock: Clock, *, boot_s: float = BOOT_S) -> None:
        """`boot_s`: how long a miner may take to be back after an order."""
        self._clock = clock
        self._boot_s = boot_s
        self._absent: dict[str, Absent] = {}
        self._lost_at: dict[str, list[str]] = {}  # MACs, by address
        self._ordered: dict[str, float] = {}  # when an order was begun, by address
        self._changed = asyncio.Event()

    def __contains__(self, mac: str) -> bool:
        absent = self._absent.get(mac)
        return absent is not None and absent.back_mono is None

    def __len__(self) -> int:
        return len(self.addresses)

    @property
    def addresses(self) -> frozenset[str]:
        """Where those that are missing were."""
        return frozenset(each.ip for each in self._absent.values() if each.back_mono is None)

    def expect(self, ip: str) -> None:
        """An order goes to this address: its miner may be away for a while, and come back by itself."""
        self._ordered[ip] = self._clock.mono()

    def lose(self, mac: str, ip: str, identity: Identity) -> None:
        """It is not at this address any more, or does not answer. One that came back a while ago is looked for ever
        more seldom: it is one that restarts again and again. Where many were lost at one address, the first of them
        are looked for.
        """
        if mac in self:
            return
        now = self._clock.mono()
        before = self._absent.get(mac)
        if before is not None and now - (before.back_mono or now) > AT_MOST_S:
            before = None
        tries = 0 if before is None else before.tries
        self._drop(mac)
        if not self._has_room(ip, now):
            return
        ordered_mono = self._ordered.pop(ip, None)
        wait_s = GATHER_S if tries == 0 else _back_off_s(tries)
        if ordered_mono is not None:
            wait_s = max(wait_s, ordered_mono + self._boot_s - now)
        self._absent[mac] = Absent(mac, ip, identity, now, now + wait_s, tries)
        self._lost_at.setdefault(ip, []).append(mac)
        self._changed.set()

    def find(self, mac: str, ip: str) -> None:
        """It answers at this address."""
        absent = self._absent.get(mac)
        if absent is None or absent.back_mono is not None:
            return
        if absent.ip == ip:
            absent.back_mono = self._clock.mono()
        else:
            self._drop(mac)

    async def due(self) -> tuple[Absent, ...]:
        """Wait until one is to be looked for; gives it, with those whose time would come soon after."""
        while True:
            self._changed.clear()
            missing = [each for each in self._absent.values() if each.back_mono is None]
            now = self._clock.mono()
            if any(each.due_mono <= now for each in missing):
                return tuple(each for each in missing if each.due_mono <= now + AGAIN_S / 2)
            wait_s = min((each.due_mono - now for each in missing), default=math.inf)
            try:
                async with asyncio.timeout(None if wait_s == math.inf else wait_s):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def tried(self, looked_for: Iterable[Absent]) -> None:
        """They were looked for wherever they may be. What is missing still is looked for later."""
        now = self._clock.mono()
        for each in looked_for:
            if self._absent.get(each.mac) is each:
                each.tries += 1
                is_over = now - each.lost_mono > GIVE_UP_S
                each.due_mono = math.inf if is_over else now + _back_off_s(each.tries)

    def _has_room(self, ip: str, now: float) -> bool:
        """For one more at this address. Those that came back long ago, or are looked for no more, give way."""
        for mac in tuple(self._lost_at.get(ip, ())):
            each = self._absent[mac]
            is_back_long = each.back_mono is not None and now - each.back_mono > AT_MOST_S
            if is_back_long or each.due_mono == math.inf:
                self._drop(mac)
        return len(self._lost_at.get(ip, ())) < AT_ONE_MOST

    def _drop(self, mac: str) -> None:
        absent = self._absent.pop(mac, None)
        if absent is None:
            return
        self._lost_at[absent.ip].remove(mac)
        if not self._lost_at[absent.ip]:
            del self._lost_at[absent.ip]


def _back_off_s(tries: int) -> float:
    return min(AT_MOST_S, AGAIN_S * 2.0 ** min(tries - 1, 16))
