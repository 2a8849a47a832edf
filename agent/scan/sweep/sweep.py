"""Asks address ranges by bare connects: one port of each address first, the others where there is a sign of life,
and of what stays silent in a second pass. On a thread of its own, with one epoll; sends no byte.
"""

from __future__ import annotations

import errno
import math
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import chain
from typing import Final

from agent.config.miners import ScanSection
from agent.scan.kernel.neighbours import NeighbourTable
from agent.scan.kernel.routes import SpansByRoute, spans_by_route
from agent.scan.sweep.connects import SHORTAGES, ConnectOutcome, Connects
from agent.scan.sweep.on_link import OnLinkProbes
from agent.scan.sweep.order import Marks, SweepOrder
from agent.scan.sweep.pace import BURST_ON_LINK, BURST_ROUTED, Allowance, Patience, paced, unhurried
from agent.scan.sweep.pending import PendingNeighbours, Resolution
from agent.scan.sweep.plan import Manner, SweepCounts, SweepPlan, SweepRow
from agent.scan.sweep.probe import NO_PLACE, Probe, ProbeQueue, RowSockets
from agent.scan.sweep.routers import lost_routers
from contract.clock import Clock
from contract.ranges import Range, number_of
from drivers.doors import hang_up

_TURN: Final = 256  # addresses that are begun before answers are looked for
_PACE_S: Final = 0.01  # addresses that become due within it are begun together
_WAIT_MAX_S: Final = 0.1  # how long a wish to stop may wait
_EARLY_SHARE: Final = (
    2  # of the timeout, after this part what was asked last counts as silent for the time being
)
_GRACE_SHARE: Final = (
    4  # of the timeout, this part is waited for more ports after the first was open
)
_SHORT_S: Final = 0.05  # until a try after this host lacked something
_SHORT_MAX_S: Final = 5.0
_LEAST_AT_ONCE: Final = 64
_HELD_SHARE: Final = 4  # of the sockets, this part may wait for the receiver of the rows


class Sweep:
    """One sweep. `on_swept` is called with rows on the thread that runs it, and owns the sockets in them."""

    def __init__(
        self,
        plan: SweepPlan,
        section: ScanSection,
        clock: Clock,
        on_swept: Callable[[Sequence[SweepRow]], None],
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
        self._first_ports = {number_of(ip): port for ip, port in plan.first_ports.items()}
        self._rows: list[SweepRow] = []
        self._open = 0  # probes that have not ended
        self._more: deque[tuple[Probe, int]] = deque()  # further ports of those under way
        self._graces: deque[tuple[float, Probe]] = deque()
        self._row_sockets = RowSockets(section.sockets_max // _HELD_SHARE)
        self._early_mono: float | None = None  # when what is silent by then is asked further
        self._short_since: float | None = None
        self._short_until = 0.0
        self._on_link: OnLinkProbes | None = None

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
                for _, probe in self._graces:
                    if not probe.has_ended:
                        probe.hang_up()
                self._flush()

    def _prepare(self, stack: ExitStack) -> None:
        plan = self._plan
        elsewhere = plan.spans
        try:
            elsewhere = self._guarded(spans_by_route(plan.spans), stack)
        except OSError as error:
            self._on_link, self.counts.unguarded = None, str(error)
        self._order = SweepOrder(elsewhere, self._first_ports)
        self._first_open = 0
        self._marks: Marks | None = None
        if plan.manner in (Manner.DEFAULT, Manner.LOW) and len(plan.ports) > 1:
            self._marks = Marks(sum(len(span) for span in elsewhere))
        self._first = ProbeQueue(self._asked(self._order), self._pace(BURST_ROUTED))
        if plan.manner is Manner.THOROUGH:
            self._connects.widen(len(plan.ports))
        self._second: ProbeQueue | None = None

    def _pace(self, burst: int) -> Allowance:
        return paced(self._plan.manner, self._section.addresses_per_s, burst, self._clock.mono())

    def _guarded(self, ways: SpansByRoute, stack: ExitStack) -> tuple[Range, ...]:
        """Mind the neighbour table. What is behind a lost router is done with at once; gives what else is not on own
        networks.
        """
        plan, now = self._plan, self._clock.mono()
        table = self._neighbours or stack.enter_context(NeighbourTable())
        if ways.on_link:
            pace = self._pace(BURST_ON_LINK)
            order = SweepOrder(ways.on_link, self._first_ports)
            self._on_link = OnLinkProbes(
                ProbeQueue(self._asked(order), pace), PendingNeighbours(table, self._clock)
            )
        queues = {
            router: ProbeQueue(self._asked(SweepOrder(spans)), unhurried(1, now))
            for router, spans in ways.behind.items()
        }
        first = {router: probe for router, queue in queues.items() if (probe := queue.next())}
        targets = {router: (probe.ip, plan.ports[0]) for router, probe in first.items()}
        lost = lost_routers(targets, table, self._clock, self._stop.wait)
        for router, problem in lost.items():
            self._leave_out(chain([first[router]], iter(queues[router].next, None)), problem)
        return ways.elsewhere(lost)

    def _leave_out(self, probes: Iterable[Probe], problem: str) -> None:
        """None of them is asked, and this is why."""
        for probe in probes:
            if self._stop.is_set():
                return
            probe.problem, probe.place = problem, NO_PLACE
            self._open += 1
            self._end(probe)
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
            probe = self._graces.popleft()[1]
            if not probe.has_ended:
                self._end(probe)
        if self._on_link is not None and self._on_link.is_due:
            self._look(self._on_link)
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
        if self._on_link is not None:
            for watched in self._on_link.next(min(_TURN, connects.room), now):
                begun += 1
                if not self._start(watched):
                    return False
        queue = self._first
        while begun < _TURN and connects.room > 0 and queue.pace.left(now) > 0:
            if (probe := queue.next()) is None:
                break
            queue.pace.spend(1)
            self._first_open += 1
            begun += 1
            if not self._start(probe):
                return False
        if self._first.is_empty and self._marks is not None:
            if self._first_open == 0:
                begun += self._begin_second(now, _TURN - begun)
            else:
                self._begin_early(now)
        return begun >= _TURN

    def _begin_early(self, now: float) -> None:
        """The last of the first pass are waited for, and asked at the other ports meanwhile."""
        if self._plan.manner is Manner.LOW:
            return
        if self._early_mono is None:
            self._early_mono = now + self._patience.timeout_s / _EARLY_SHARE
        elif self._early_mono <= now < math.inf:
            self._early_mono = math.inf
            self._connects.widen(len(self._plan.ports))
            for probe in self._connects.probes():
                if probe.place != NO_PLACE:
                    self._ask_rest(probe)

    def _begin_second(self, now: float, most: int) -> int:
        """Addresses that were silent at their first port, at their others."""
        assert self._marks is not None
        if self._second is None:
            marked = ((NO_PLACE, number) for number in self._marks.of(self._order))
            self._second = ProbeQueue(marked, self._pace(BURST_ROUTED))
            if self._early_mono is None:
                self._connects.widen(len(self._plan.ports) - 1)
            self.counts.second_pass_left = self._marks.number
        queue, ports = self._second, len(self._plan.ports)
        begun = 0
        while begun < most and self._connects.room >= ports and queue.pace.left(now) > 0:
            if (probe := queue.next()) is None:
                break
            queue.pace.spend(1)
            begun += 1
            self.counts.second_pass_left -= 1
            self._open += 1
            probe.waiting = 0
            probe.asked = (self._first_port(probe),)
            self._ask_rest(probe)
            while self._more:
                if not self._ask(*self._more.popleft()):
                    return begun
        return begun

    def _start(self, probe: Probe) -> bool:
        """Ask at the first port. `False`: this host cannot begin more now."""
        probe.tries += 1
        if probe.tries == 1:
            self._open += 1
            self.counts.addresses += 1
        is_begun = self._ask(probe, self._first_port(probe))
        if self._plan.manner is Manner.THOROUGH and not probe.has_ended:
            self._ask_rest(probe)
        return is_begun

    def _first_port(self, probe: Probe) -> int:
        return self._first_ports.get(probe.number, self._plan.ports[0])

    def _ask_rest(self, probe: Probe) -> None:
        """The other ports, beside the first wave."""
        if probe.is_whole:
            return
        probe.is_whole = True
        first = self._first_port(probe)
        for port in self._plan.ports:
            if port != first:
                probe.waiting += 1
                self._more.append((probe, port))

    def _ask(self, probe: Probe, port: int) -> bool:
        """Send a SYN. `False`: not yet, this host lacks something."""
        answer = self._connects.begin(probe, probe.ip, port)
        if answer is None or answer.is_from_there:
            if port not in probe.asked:
                probe.asked += (port,)
            self._short_since = None
            if answer is not None:
                self._note(answer)
            return True
        now = self._clock.mono()
        name = errno.errorcode.get(answer.code, str(answer.code))
        if answer.code in SHORTAGES:
            since = self._short_since = self._short_since or now
            if now - since < _SHORT_MAX_S:
                self._more.appendleft((probe, port))
                self._short_until = now + _SHORT_S
                self._connects.most = max(_LEAST_AT_ONCE, self._connects.under_way)
                return False
        probe.problem = f"{name} on this host: {os.strerror(answer.code).lower()}"
        probe.waiting -= 1
        if probe.waiting == 0:
            self._end(probe)
        return True

    def _note(self, answer: ConnectOutcome) -> None:
        probe = answer.probe
        probe.waiting -= 1
        if probe.has_ended:
            if answer.sock is not None:
                hang_up(answer.sock)
            return
        if answer.sock is not None:
            if not probe.sockets:
                grace_s = self._patience.timeout_s / _GRACE_SHARE
                self._graces.append((self._clock.mono() + grace_s, probe))
            probe.sockets[answer.port] = answer.sock
        if answer.code in (0, errno.ECONNRESET):
            probe.open += (answer.port,)
        elif answer.code == errno.ECONNREFUSED:
            probe.refused += (answer.port,)
        if probe.has_answered:
            if self._on_link is not None:
                self._on_link.unwatch(probe)
            self._ask_rest(probe)
        if probe.waiting == 0:
            self._end(probe)
        elif answer.port == self._first_port(probe) and not probe.has_answered:
            self._end_first(probe)

    def _end_first(self, probe: Probe) -> None:
        """It was silent in the first pass, and is asked at its other ports already."""
        if probe.place == NO_PLACE or self._marks is None:
            return
        probe.place = NO_PLACE
        self._first_open -= 1
        self._rows.append(probe.row(is_final=False))

    def _look(self, on_link: OnLinkProbes) -> None:
        """What the neighbour table says of those on own networks."""
        for probe, finding in on_link.look():
            match finding:
                case Resolution.THERE:
                    if (
                        probe.waiting == 0
                    ):  # it took longer to be found than its connect was waited for
                        probe.waiting = 1
                        self._more.append((probe, self._first_port(probe)))
                    self._ask_rest(probe)
                case Resolution.NOBODY:
                    self._end(probe, no_neighbour=True)
                case Resolution.MISSING:
                    self._end(probe)
        for probe in on_link.left_out():
            self._open += probe.tries == 0
            self._end(probe)
        self.counts.asked_again = on_link.asked_again

    def _end(self, probe: Probe, *, no_neighbour: bool = False) -> None:
        """There is no more to wait for at this address, unless the neighbour table may still say something."""
        if self._on_link is not None and self._on_link.watches(probe):
            if probe.problem is None:
                return
            self._on_link.unwatch(probe)
        probe.has_ended = True
        self._open -= 1
        is_final = True
        if probe.place != NO_PLACE:
            self._first_open -= 1
            is_whole = probe.is_whole or probe.problem is not None
            if self._marks is not None and not is_whole:
                self._marks.add(probe.place)
                is_final = False
        row = probe.row(is_final=is_final, no_neighbour=no_neighbour)
        self.counts.not_asked += row.not_asked is not None
        self.counts.no_neighbour += no_neighbour
        if probe.sockets:
            self._row_sockets.add(row.doors)
        self._rows.append(row)

    def _flush(self) -> None:
        self.counts.connects = self._connects.begun
        if self._rows:
            rows, self._rows = self._rows, []
            self._on_swept(rows)

    def _is_done(self) -> bool:
        on_link = self._on_link
        if not self._first.is_empty or self._more or (on_link and not on_link.is_begun):
            return False
        if self._marks is not None and (self._second is None or not self._second.is_empty):
            return False
        if on_link is None or self._open == 0:
            return self._open == 0
        if on_link.waits_alone != self._open:
            return False
        self._look(on_link)
        if not self._more and on_link.is_begun:
            for probe in on_link.silent():
                self._end(probe, no_neighbour=True)
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
        if self._early_mono is not None and self._first_open:
            until = min(until, max(now, self._early_mono))
        if self._on_link is not None and self._on_link.due_mono is not None:
            until = min(until, self._on_link.due_mono)
        if self._connects.room > len(self._plan.ports):
            queues = [self._first, self._second] if self._first_open == 0 else [self._first]
            for queue in queues:
                if queue is not None and not queue.is_empty:
                    until = min(until, now + max(_PACE_S, queue.pace.wait_s))
        return max(0.0, until - now)
