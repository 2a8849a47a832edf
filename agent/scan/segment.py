"""The addresses of a sweep that are on networks of this host: begun as far as the neighbour table has room, asked again
where it had none, and watched there until they give a sign of life.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final

from agent.scan.cable import Cable, CableFinding
from agent.scan.visit import NO_PLACE, Lane, Visit

_TRIES: Final = 3  # of what got no place in a table that had room
FULL: Final = "the neighbour table of this host is full; raise net.ipv4.neigh.default.gc_thresh3"
_KEPT_BACK: Final = "nothing left this host for it; does a firewall here stop it?"


class Segment:
    """Their lane, and those of them that were asked and of whom nothing is known yet."""

    def __init__(self, lane: Lane, cable: Cable) -> None:
        self._lane = lane
        self._cable = cable
        self._watched: dict[int, Visit] = {}
        self._again: deque[Visit] = deque()
        self.asked_again = 0

    def next(self, most: int, now_mono: float) -> Iterator[Visit]:
        """Those to be begun now, watched from then on."""
        for _ in range(min(most, self._cable.room(), self._lane.pace.left(now_mono))):
            visit = self._again.popleft() if self._again else self._lane.next()
            if visit is None:
                return
            self._lane.pace.spend(1)
            visit.place = NO_PLACE
            self._watched[visit.number] = visit
            self._cable.ask(visit.number)
            yield visit

    def watches(self, visit: Visit) -> bool:
        return self._watched.get(visit.number) is visit

    def unwatch(self, visit: Visit) -> None:
        """It answered, or will not be asked."""
        if self.watches(visit):
            del self._watched[visit.number]
            self._cable.forget(visit.number)

    @property
    def is_due(self) -> bool:
        """The table is to be read again."""
        return self._cable.is_due

    @property
    def due_mono(self) -> float | None:
        """When; `None` while nothing waits for it."""
        is_idle = self._lane.is_empty and not self._again and not self._watched
        return None if is_idle else self._cable.due_mono

    @property
    def is_begun(self) -> bool:
        """All of them were begun."""
        return self._lane.is_empty and not self._again

    @property
    def waits_alone(self) -> int | None:
        """How many are watched whose connects have all ended; `None` where one has not."""
        watched = self._watched.values()
        return None if any(each.waiting for each in watched) else len(watched)

    def look(self) -> Iterator[tuple[Visit, CableFinding]]:
        """What the table says by now. `MISSING`: in spite of several tries, so that its `problem` says why."""
        for number, finding in self._cable.look():
            visit = self._watched.pop(number, None)
            if visit is None:
                continue
            if finding is CableFinding.MISSING:
                if visit.tries < _TRIES or self._cable.was_full:
                    self._ask_again(visit)
                    continue
                visit.asked, visit.problem = (), _KEPT_BACK
            yield visit, finding

    def left_out(self) -> Iterator[Visit]:
        """Where the table has had no room at all for long: all that are left, with that as their problem."""
        if not self._cable.is_stalled:
            return
        while (visit := self._again.popleft() if self._again else self._lane.next()) is not None:
            yield _without_room(visit)
        watched, self._watched = self._watched, {}
        for visit in watched.values():
            yield _without_room(visit)

    def silent(self) -> Iterator[Visit]:
        """At the end of everything else, those that are still watched, if they were certainly asked."""
        if self._cable.is_certain:
            watched, self._watched = self._watched, {}
            yield from watched.values()

    def _ask_again(self, visit: Visit) -> None:
        self.asked_again += 1
        visit.has_ended = True  # whatever still becomes of its connect
        self._again.append(Visit(visit.number, visit.ip, tries=visit.tries))


def _without_room(visit: Visit) -> Visit:
    visit.asked, visit.problem, visit.place = (), FULL, NO_PLACE
    return visit
