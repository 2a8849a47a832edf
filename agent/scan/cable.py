"""What a sweep asks on the networks of this host itself: never more than the neighbour table has room for, and only
what the table shows to have been asked counts as asked.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import structlog

from agent.scan.neighbours import Neighbours, NeighbourState, NeighbourTable, TableLevel
from contract.clock import Clock

log = structlog.get_logger(__name__)
RESERVE: Final = 128  # places that are left to all else on this host
_LEAST: Final = (
    32  # unresolved addresses at once, however full the table is: it makes room only when asked to
)
_FEWEST: Final = 4
_COLLECTIONS_MAX: Final = 2  # between two readings; more of them mean that there are no places left
_READ_EVERY_S: Final = 0.1
_COST_SHARE: Final = 20  # reading takes at most this part of the time
_GROWS_AFTER_S: Final = 5.0  # that nothing found no place
_STALLED_S: Final = 30.0


class CableFinding(IntEnum):
    """What the table says of an address that was asked."""

    MISSING = 1  # nothing was sent to it
    THERE = 2
    NOBODY = 3


class _Seen(IntEnum):
    """Of an address that is waited for."""

    NOT_YET = 1
    ASKED = 2
    GONE_ONCE = 3  # a table that changes while it is told may leave one out


class Cable:
    """The addresses on own networks that are waited for, and the room for more."""

    def __init__(self, table: NeighbourTable, clock: Clock) -> None:
        self._table = table
        self._clock = clock
        self._waiting: dict[int, _Seen] = {}
        self._capacity = 0  # places for addresses that are waited for
        self._least = _LEAST
        self._last: TableLevel | None = None
        self.was_full = False  # at some time between the two latest readings
        self._grows_mono = self._progress_mono = self.due_mono = clock.mono()

    def room(self) -> int:
        """How many more may be asked now."""
        return max(self._capacity, self._least) - len(self._waiting)

    def ask(self, number: int) -> None:
        """A SYN is sent there."""
        self._waiting[number] = _Seen.NOT_YET

    def forget(self, number: int) -> None:
        """It answered."""
        if self._waiting.pop(number, None) is not None:
            self._capacity -= 1
            self._progress_mono = self._clock.mono()

    @property
    def is_due(self) -> bool:
        """The table is to be read again."""
        return self._clock.mono() >= self.due_mono

    @property
    def is_stalled(self) -> bool:
        """For half a minute nothing at all found a place."""
        return self._clock.mono() - self._progress_mono > _STALLED_S

    @property
    def is_certain(self) -> bool:
        """All that are waited for have been asked."""
        return _Seen.NOT_YET not in self._waiting.values()

    def look(self) -> list[tuple[int, CableFinding]]:
        """Read the table. Gives what has become of those that are waited for; they are waited for no longer."""
        began = self._clock.mono()
        self.due_mono = began + _READ_EVERY_S
        try:
            seen, level = self._table.neighbours(), self._table.level()
        except OSError as error:  # if it stays so, nothing more is asked
            log.warning("neighbours.unread", error=str(error))
            return []
        placed = len(self._waiting)
        verdicts = self._verdicts(seen)
        own = sum(each is _Seen.ASKED for each in self._waiting.values())
        places = level.threshold - RESERVE + own
        self._capacity = places - (level.entries - seen.spare)
        self._adapt(level, places - seen.held, began)
        placed -= sum(verdict is CableFinding.MISSING for _, verdict in verdicts)
        if placed or not verdicts:
            self._progress_mono = began
        took_s = self._clock.mono() - began
        self.due_mono = began + max(_READ_EVERY_S, took_s * _COST_SHARE)
        return verdicts

    def _verdicts(self, seen: Neighbours) -> list[tuple[int, CableFinding]]:
        verdicts: list[tuple[int, CableFinding]] = []
        waiting = self._waiting
        for number, before in waiting.items():
            match seen.standing.get(number):
                case NeighbourState.THERE:
                    verdicts.append((number, CableFinding.THERE))
                case NeighbourState.NOBODY:
                    verdicts.append((number, CableFinding.NOBODY))
                case NeighbourState.ASKED:
                    waiting[number] = _Seen.ASKED
                case None if before is _Seen.NOT_YET:
                    verdicts.append((number, CableFinding.MISSING))
                case None if before is _Seen.GONE_ONCE:
                    verdicts.append((number, CableFinding.NOBODY))
                case None:
                    waiting[number] = _Seen.GONE_ONCE
        for number, _ in verdicts:
            del waiting[number]
        return verdicts

    def _adapt(self, level: TableLevel, most: int, now: float) -> None:
        """What other namespaces hold is only counted, and may be what the kernel gives up on demand or does not limit.
        As long as all that is asked finds a place, more is tried, up to `most`, which is what this namespace leaves.
        """
        last, self._last = self._last, level
        if last is None:
            return
        self.was_full = level.refusals > last.refusals
        if self.was_full or level.collections - last.collections > _COLLECTIONS_MAX:
            self._least = max(_FEWEST, self._least // 2)
            self._grows_mono = now + _GROWS_AFTER_S
        elif self._capacity >= _LEAST:
            self._least = _LEAST
        elif now >= self._grows_mono:
            self._least = max(_LEAST, min(most, self._least * 2))
