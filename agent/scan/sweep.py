"""Asks address ranges by bare connects: one port of each address first, the others where there is a sign of life,
and of what stays silent in a second pass. On a thread of its own, with one epoll; sends no byte.
"""

from __future__ import annotations

import errno
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from ipaddress import IPv4Address
from itertools import chain
from typing import Final

from agent.config.miners import ScanSection
from agent.scan.cable import Cable, CableFinding
from agent.scan.connects import SHORTAGES, ConnectOutcome, Connects
from agent.scan.neighbours import NeighbourTable
from agent.scan.order import Marks, SweepOrder
from agent.scan.pace import Patience, on_link, routed, unhurried
from agent.scan.routers import lost_routers
from agent.scan.routes import SpansByRoute, spans_by_route
from agent.scan.segment import Segment
from agent.scan.swept import Manner, SweepCounts, SweepPlan, Swept
from agent.scan.visit import NO_PLACE, HandedOn, Lane, Visit
from contract.clock import Clock
from contract.ranges import Range
from drivers.doors import hang_up

_TURN: Final = 256  # addresses that are begun before answers are looked for
_PACE_S: Final = 0.01  # addresses that become due within it are begun together
_WAIT_MAX_S: Final = 0.1  # how long a wish to stop may wait
_GRACE_SHARE: Final = (
    4  # of the timeout, this part is waited for more ports after the first was open
)
_SHORT_S: Final = 0.05  # until a try after this host lacked something
_SHORT_MAX_S: Final = 5.0
_LEAST_AT_ONCE: Final = 64
_HELD_SHARE: Final = 4  # of the sockets, this part may wait for whoever takes the rows


class Sweep:
    """One sweep. `on_swept` is called with rows on the thread that runs it, and owns the sockets in them."""

    def __init__(
        self,
        plan: SweepPlan,
        section: ScanSection,
        clock: Clock,
        on_swept: Callable[[Sequence[Swept]], None],
        *,
        neighbours: NeighbourTable | None = None,
    ) -> None:
        """`neighbours`: the table to be minded, that of this host by default."""
        self.counts = SweepCounts()
        self._plan = plan
        self._section = section
        self._clock = clock
        self._on_swept = on_swept
        self._neighbours = neighbours
        self._stop = threading.Event()
        self._patience = Patience(section.connect_timeout_s)
        self._connects = Connects(clock, self._patience, section.sockets_max)
        self._likely = {int(IPv4Address(ip)): port for ip, port in plan.likely.items()}
        self._rows: list[Swept] = []
        self._open = 0  # visits that have not ended
        self._more: deque[tuple[Visit, int]] = deque()  # further ports of those under way
        self._graces: deque[tuple[float, Visit]] = deque()
        self._handed_on = HandedOn(section.sockets_max // _HELD_SHARE)
        self._short_since: float | None = None
        self._short_until = 0.0
        self._segment: Segment | None = None

    def stop(self) -> None:
        """End soon; may be called from any thread."""
        self._stop.set()

    def run(self) -> None:
        """Ask all of them. Blocks."""
        with ExitStack() as stack:
            stack.enter_context(self._connects)
            self._prepare(stack)
            try:
                while not self._stop.is_set() and self._turn():
                    pass
            finally:
                for _, visit in self._graces:
                    if not visit.has_ended:
                        visit.hang_up()
                self._flush()

    def _prepare(self, stack: ExitStack) -> None:
        plan, per_s, now = self._plan, self._section.addresses_per_s, self._clock.mono()
        elsewhere = plan.spans
        try:
            elsewhere = self._guarded(spans_by_route(plan.spans), stack)
        except OSError as error:
            self._segment, self.counts.unguarded = None, str(error)
        self._order = SweepOrder(elsewhere, self._likely)
        self._first_open = 0
        self._marks: Marks | None = None
        if plan.manner in (Manner.DEFAULT, Manner.LOW) and len(plan.ports) > 1:
            self._marks = Marks(sum(len(span) for span in elsewhere))
        self._first = Lane(self._asked(self._order), routed(plan.manner, per_s, now))
        self._second: Lane | None = None

    def _guarded(self, ways: SpansByRoute, stack: ExitStack) -> tuple[Range, ...]:
        """Mind the neighbour table. What is behind a lost router is done with at once; gives what else is not on own
        networks.
        """
        plan, now = self._plan, self._clock.mono()
        table = self._neighbours or stack.enter_context(NeighbourTable())
        if ways.on_link:
            pace = on_link(plan.manner, self._section.addresses_per_s, now)
            order = SweepOrder(ways.on_link, self._likely)
            self._segment = Segment(Lane(self._asked(order), pace), Cable(table, self._clock))
        lanes = {
            router: Lane(self._asked(SweepOrder(spans)), unhurried(1, now))
            for router, spans in ways.behind.items()
        }
        first = {router: visit for router, lane in lanes.items() if (visit := lane.next())}
        targets = {router: (visit.ip, plan.ports[0]) for router, visit in first.items()}
        lost = lost_routers(targets, table, self._clock, self._stop.wait)
        for router, problem in lost.items():
            self._leave_out(chain([first[router]], iter(lanes[router].next, None)), problem)
        return ways.elsewhere(lost)

    def _leave_out(self, visits: Iterable[Visit], problem: str) -> None:
        """None of them is asked, and this is why."""
        for visit in visits:
            if self._stop.is_set():
                return
            visit.problem, visit.place = problem, NO_PLACE
            self._open += 1
            self._end(visit)
            if len(self._rows) >= _TURN:
                self._flush()

    def _asked(self, order: SweepOrder) -> Iterator[tuple[int, int]]:
        skip = self._plan.skip
        if skip is None:
            return enumerate(order)
        return ((place, number) for place, number in enumerate(order) if not skip(number))

    def _turn(self) -> bool:
        """Begin what may begin, take what has ended. Whether there is more to do."""
        is_busy = self._begin()
        for answer in self._connects.collect(0.0 if is_busy else self._wait_s()):
            self._note(answer)
        for answer in self._connects.overdue():
            self._note(answer)
        now = self._clock.mono()
        while self._graces and self._graces[0][0] <= now:
            visit = self._graces.popleft()[1]
            if not visit.has_ended:
                self._end(visit)
        if self._segment is not None and self._segment.is_due:
            self._look(self._segment)
        self._flush()
        return not self._is_done()

    def _begin(self) -> bool:
        """Whether there was more than fits in a turn."""
        now, connects = self._clock.mono(), self._connects
        if now < self._short_until:
            return False
        while self._more and connects.room > 0:
            further, port = self._more.popleft()
            if not further.has_ended and not self._ask(further, port):
                return False
        begun = 0
        if self._segment is not None:
            for watched in self._segment.next(min(_TURN, connects.room), now):
                begun += 1
                if not self._start(watched):
                    return False
        lane = self._first
        while begun < _TURN and connects.room > 0 and lane.pace.left(now) > 0:
            if (visit := lane.next()) is None:
                break
            lane.pace.spend(1)
            self._first_open += 1
            begun += 1
            if not self._start(visit):
                return False
        if self._first.is_empty and self._first_open == 0 and self._marks is not None:
            begun += self._begin_second(now, _TURN - begun)
        return begun >= _TURN

    def _begin_second(self, now: float, most: int) -> int:
        """Addresses that were silent at their first port, at their others."""
        assert self._marks is not None
        if self._second is None:
            per_s = self._first.pace.per_s or self._section.addresses_per_s
            marked = ((NO_PLACE, number) for number in self._marks.of(self._order))
            self._second = Lane(marked, unhurried(per_s, now))
            self.counts.second_pass_left = self._marks.number
        lane, ports = self._second, len(self._plan.ports)
        begun = 0
        while begun < most and self._connects.room >= ports and lane.pace.left(now) > 0:
            if (visit := lane.next()) is None:
                break
            lane.pace.spend(1)
            begun += 1
            self.counts.second_pass_left -= 1
            self._open += 1
            visit.waiting = 0
            visit.asked = (self._first_port(visit),)
            self._ask_rest(visit)
            while self._more:
                if not self._ask(*self._more.popleft()):
                    return begun
        return begun

    def _start(self, visit: Visit) -> bool:
        """Ask at the first port. `False`: this host cannot begin more now."""
        visit.tries += 1
        if visit.tries == 1:
            self._open += 1
            self.counts.addresses += 1
        is_begun = self._ask(visit, self._first_port(visit))
        if self._plan.manner is Manner.THOROUGH and not visit.has_ended:
            self._ask_rest(visit)
        return is_begun

    def _first_port(self, visit: Visit) -> int:
        return self._likely.get(visit.number, self._plan.ports[0])

    def _ask_rest(self, visit: Visit) -> None:
        """The other ports, beside the first wave."""
        if visit.is_whole:
            return
        visit.is_whole = True
        first = self._first_port(visit)
        for port in self._plan.ports:
            if port != first:
                visit.waiting += 1
                self._more.append((visit, port))

    def _ask(self, visit: Visit, port: int) -> bool:
        """Send a SYN. `False`: not yet, this host lacks something."""
        answer = self._connects.begin(visit, visit.ip, port)
        if answer is None or answer.is_from_there:
            if port not in visit.asked:
                visit.asked += (port,)
            self._short_since = None
            if answer is not None:
                self._note(answer)
            return True
        now = self._clock.mono()
        name = errno.errorcode.get(answer.code, str(answer.code))
        if answer.code in SHORTAGES:
            since = self._short_since = self._short_since or now
            if now - since < _SHORT_MAX_S:
                self._more.appendleft((visit, port))
                self._short_until = now + _SHORT_S
                self._connects.most = max(_LEAST_AT_ONCE, self._connects.under_way)
                return False
        visit.problem = f"{name} on this host: {os.strerror(answer.code).lower()}"
        visit.waiting -= 1
        if visit.waiting == 0:
            self._end(visit)
        return True

    def _note(self, answer: ConnectOutcome) -> None:
        visit = answer.visit
        visit.waiting -= 1
        if visit.has_ended:
            if answer.sock is not None:
                hang_up(answer.sock)
            return
        if answer.sock is not None:
            if not visit.sockets:
                grace_s = self._patience.timeout_s / _GRACE_SHARE
                self._graces.append((self._clock.mono() + grace_s, visit))
            visit.sockets[answer.port] = answer.sock
        if answer.code in (0, errno.ECONNRESET):
            visit.open += (answer.port,)
        elif answer.code == errno.ECONNREFUSED:
            visit.refused += (answer.port,)
        if visit.has_answered:
            if self._segment is not None:
                self._segment.unwatch(visit)
            self._ask_rest(visit)
        if visit.waiting == 0:
            self._end(visit)

    def _look(self, segment: Segment) -> None:
        """What the neighbour table says of those on own networks."""
        for visit, finding in segment.look():
            match finding:
                case CableFinding.THERE:
                    if (
                        visit.waiting == 0
                    ):  # it took longer to be found than its connect was waited for
                        visit.waiting = 1
                        self._more.append((visit, self._first_port(visit)))
                    self._ask_rest(visit)
                case CableFinding.NOBODY:
                    self._end(visit, no_neighbour=True)
                case CableFinding.MISSING:
                    self._end(visit)
        for visit in segment.left_out():
            self._open += visit.tries == 0
            self._end(visit)
        self.counts.asked_again = segment.asked_again

    def _end(self, visit: Visit, *, no_neighbour: bool = False) -> None:
        """There is no more to wait for at this address, unless the neighbour table may still say something."""
        if self._segment is not None and self._segment.watches(visit):
            if visit.problem is None:
                return
            self._segment.unwatch(visit)
        visit.has_ended = True
        self._open -= 1
        is_final = True
        if visit.place != NO_PLACE:
            self._first_open -= 1
            is_whole = visit.is_whole or visit.problem is not None
            if self._marks is not None and not is_whole:
                self._marks.add(visit.place)
                is_final = False
        row = visit.row(is_final=is_final, no_neighbour=no_neighbour)
        self.counts.not_asked += row.not_asked is not None
        self.counts.no_neighbour += no_neighbour
        if visit.sockets:
            self._handed_on.add(row.doors)
        self._rows.append(row)

    def _flush(self) -> None:
        self.counts.connects = self._connects.begun
        if self._rows:
            rows, self._rows = self._rows, []
            self._on_swept(rows)

    def _is_done(self) -> bool:
        segment = self._segment
        if not self._first.is_empty or self._more or (segment and not segment.is_begun):
            return False
        if self._marks is not None and (self._second is None or not self._second.is_empty):
            return False
        if segment is None or self._open == 0:
            return self._open == 0
        if segment.waits_alone != self._open:
            return False
        self._look(segment)
        if not self._more and segment.is_begun:
            for visit in segment.silent():
                self._end(visit, no_neighbour=True)
        self._flush()
        return self._open == 0

    def _wait_s(self) -> float:
        """Until something is to be done besides taking answers."""
        now = self._clock.mono()
        if now < self._short_until:
            return self._short_until - now
        until = now + _WAIT_MAX_S
        if self._connects.next_overdue_mono is not None:
            until = min(until, self._connects.next_overdue_mono)
        if self._graces:
            until = min(until, self._graces[0][0])
        if self._segment is not None and self._segment.due_mono is not None:
            until = min(until, self._segment.due_mono)
        if self._connects.room > len(self._plan.ports):
            lanes = [self._first, self._second] if self._first_open == 0 else [self._first]
            for lane in lanes:
                if lane is not None and not lane.is_empty:
                    until = min(until, now + max(_PACE_S, lane.pace.wait_s))
        return max(0.0, until - now)
