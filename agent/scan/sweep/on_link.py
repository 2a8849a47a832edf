"""The addresses of a sweep that are on networks of this host: begun as far as the neighbour table has room, asked again
where it had none, and watched there until they give a sign of life.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final

from agent.scan.sweep.pending import PendingNeighbours, Resolution
from agent.scan.sweep.probe import NO_PLACE, Probe, ProbeQueue

_TRIES: Final = 3  # of what got no place in a table that had room
FULL: Final = "the neighbour table of this host is full; raise net.ipv4.neigh.default.gc_thresh3"
_KEPT_BACK: Final = "nothing left this host for it; does a firewall here stop it?"


class OnLinkProbes:
    """Their queue, and those of them that were asked and of whom nothing is known yet."""

    def __init__(self, queue: ProbeQueue, pending: PendingNeighbours) -> None:
        self._queue = queue
        self._pending = pending
        self._watched: dict[int, Probe] = {}
        self._again: deque[Probe] = deque()
        self.asked_again = 0

    def next(self, most: int, now_mono: float) -> Iterator[Probe]:
        """Those to be begun now, watched from then on."""
        for _ in range(min(most, self._pending.room(), self._queue.pace.left(now_mono))):
            probe = self._again.popleft() if self._again else self._queue.next()
            if probe is None:
                return
            self._queue.pace.spend(1)
            probe.place = NO_PLACE
            self._watched[probe.number] = probe
            self._pending.ask(probe.number)
            yield probe

    def watches(self, probe: Probe) -> bool:
        return self._watched.get(probe.number) is probe

    def unwatch(self, probe: Probe) -> None:
        """It answered, or will not be asked."""
        if self.watches(probe):
            del self._watched[probe.number]
            self._pending.forget(probe.number)

    @property
    def is_due(self) -> bool:
        """The table is to be read again."""
        return self._pending.is_due

    @property
    def due_mono(self) -> float | None:
        """When; `None` while nothing waits for it."""
        is_idle = self._queue.is_empty and not self._again and not self._watched
        return None if is_idle else self._pending.due_mono

    @property
    def is_begun(self) -> bool:
        """All of them were begun."""
        return self._queue.is_empty and not self._again

    @property
    def waits_alone(self) -> int | None:
        """How many are watched whose connects have all ended; `None` where one has not."""
        watched = self._watched.values()
        return None if any(each.waiting for each in watched) else len(watched)

    def look(self) -> Iterator[tuple[Probe, Resolution]]:
        """What the table says by now. `MISSING`: in spite of several tries, so that its `problem` says why."""
        for number, finding in self._pending.look():
            probe = self._watched.pop(number, None)
            if probe is None:
                continue
            if finding is Resolution.MISSING:
                if probe.tries < _TRIES or self._pending.was_full:
                    self._ask_again(probe)
                    continue
                probe.asked, probe.problem = (), _KEPT_BACK
            yield probe, finding

    def left_out(self) -> Iterator[Probe]:
        """Where the table has had no room at all for long: all that are left, with that as their problem."""
        if not self._pending.is_stalled:
            return
        while (probe := self._again.popleft() if self._again else self._queue.next()) is not None:
            yield _without_room(probe)
        watched, self._watched = self._watched, {}
        for probe in watched.values():
            yield _without_room(probe)

    def silent(self) -> Iterator[Probe]:
        """At the end of everything else, those that are still watched, if they were certainly asked."""
        if self._pending.is_certain:
            watched, self._watched = self._watched, {}
            yield from watched.values()

    def _ask_again(self, probe: Probe) -> None:
        self.asked_again += 1
        probe.has_ended = True  # whatever still becomes of its connect
        self._again.append(Probe(probe.number, probe.ip, tries=probe.tries))


def _without_room(probe: Probe) -> Probe:
    probe.asked, probe.problem, probe.place = (), FULL, NO_PLACE
    return probe
