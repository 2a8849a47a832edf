"""Asks address ranges by bare connects: one port of each address first, the others where there is a sign of life,
and of what stays silent in a second pass. On a thread of its own, with one epoll; sends no byte.
"""

from __future__ import annotations

import errno
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from ipaddress import IPv4Address
from typing import Final

import msgspec

from agent.config.miners import ScanSection
from agent.scan.cable import Cable, CableFinding
from agent.scan.connects import SHORTAGES, ConnectOutcome, Connects
from agent.scan.neighbours import NeighbourTable
from agent.scan.order import Marks, SweepOrder
from agent.scan.pace import Patience, on_link, routed, unhurried
from agent.scan.routes import SpansByRoute, reach_of
from agent.scan.swept import Manner, SweepPlan, Swept
from agent.scan.visit import NO_PLACE, Lane, Visit
from contract.clock import Clock
from drivers.doors import Doors, hang_up

_TURN: Final = 256  # addresses that are begun before answers are looked for
_PACE_S: Final = 0.01  # addresses that become due within it are begun together
_WAIT_MAX_S: Final = 0.1  # how long a wish to stop may wait
_GRACE_SHARE: Final = (
    4  # of the timeout, this part is waited for other ports after the first was open
)
_SHORT_S: Final = 0.05  # until a try after this host lacked something
_SHORT_MAX_S: Final = 5.0
_LEAST_AT_ONCE: Final = 64
_TRIES: Final = 3  # of what got no place in a neighbour table that had room
_HELD_SHARE: Final = 4  # of the sockets, this part may wait for whoever takes the rows


class SweepCounts(msgspec.Struct):
    """Of one sweep, so far. `addresses`: that were begun. `second_pass_left`: that are still to be asked at their other
    ports. `asked_again`: for which the neighbour table had no place. `no_neighbour`: on own networks, without a host.
    `unguarded`: why the neighbour table could not be minded, if so.
    """

    connects: int = 0
    addresses: int = 0
    second_pass_left: int = 0
    asked_again: int = 0
    not_asked: int = 0
    no_neighbour: int = 0
    unguarded: str | None = None


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
        self._held: list[Doors] = []
        self._short_since: float | None = None
        self._short_until = 0.0
        self._cable: Cable | None = None
        self._watched: dict[int, Visit] = {}  # on the cable, without a sign of life
        self._again: deque[Visit] = deque()

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
        reach = SpansByRoute((), plan.spans)
        try:
            reach = reach_of(plan.spans)
            if reach.on_link:
                table = self._neighbours or stack.enter_context(NeighbourTable())
                self._cable = Cable(table, self._clock)
        except OSError as error:
            self.counts.unguarded = str(error)
            reach = SpansByRoute((), plan.spans)
        self._order = SweepOrder(reach.other, self._likely)
        self._first_open = 0
        self._marks: Marks | None = None
        if plan.manner in (Manner.DEFAULT, Manner.LOW) and len(plan.ports) > 1:
            self._marks = Marks(sum(len(span) for span in reach.other))
        pace = routed(plan.manner, per_s, now)
        self._first = Lane(self._asked(self._order), pace)
        self._second: Lane | None = None
        pace = on_link(plan.manner, per_s, now)
        self._local = Lane(self._asked(SweepOrder(reach.on_link, self._likely)), pace)

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
        if self._cable is not None and now >= self._cable.due_mono:
            self._look(self._cable)
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
        begun = self._begin_local(now)
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

    def _begin_local(self, now: float) -> int:
        cable, lane = self._cable, self._local
        if cable is None:
            lane.is_empty = True
            return 0
        most = min(_TURN, cable.room(), self._connects.room, lane.pace.left(now))
        for begun in range(most):
            visit = self._again.popleft() if self._again else lane.next()
            if visit is None:
                return begun
            lane.pace.spend(1)
            visit.is_on_link, visit.place = True, NO_PLACE
            self._watched[visit.number] = visit
            cable.ask(visit.number)
            if not self._start(visit):
                return begun
        return max(0, most)

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
        visit.problem = f"{name} on this host"
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
            self._unwatch(visit)
            self._ask_rest(visit)
        if visit.waiting == 0:
            self._end(visit)

    def _unwatch(self, visit: Visit) -> None:
        if (
            visit.is_on_link
            and self._cable is not None
            and self._watched.get(visit.number) is visit
        ):
            del self._watched[visit.number]
            self._cable.forget(visit.number)

    def _look(self, cable: Cable) -> None:
        """What the neighbour table says of those on the cable."""
        for number, verdict in cable.look():
            visit = self._watched.pop(number)
            match verdict:
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
                    self._ask_again(cable, visit)
        if cable.is_stalled:
            self._give_up_cable()

    def _ask_again(self, cable: Cable, visit: Visit) -> None:
        if visit.tries >= _TRIES and not cable.was_full:
            visit.asked, visit.problem = (
                (),
                "nothing left this host for it; does a firewall here stop it?",
            )
            self._end(visit)
            return
        self.counts.asked_again += 1
        visit.has_ended = True
        again = Visit(visit.number, visit.ip, is_on_link=True, tries=visit.tries + 1)
        self._again.append(again)

    def _give_up_cable(self) -> None:
        while (visit := self._again.popleft() if self._again else self._local.next()) is not None:
            self._open += visit.tries == 1
            visit.problem = (
                "the neighbour table of this host is full; raise net.ipv4.neigh.default.gc_thresh3"
            )
            self._end(visit)

    def _end(self, visit: Visit, *, no_neighbour: bool = False) -> None:
        """There is no more to wait for at this address, unless the neighbour table may still say something."""
        if visit.problem is not None or visit.has_answered:
            self._unwatch(visit)
        elif visit.number in self._watched:
            return
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
            self._hold(row.doors)
        self._rows.append(row)

    def _hold(self, doors: Doors) -> None:
        """Sockets go along only as long as those that went before are taken or closed at a like pace."""
        most = self._section.sockets_max // _HELD_SHARE
        self._held.append(doors)
        if sum(len(each.sockets) for each in self._held) > most:
            self._held = [each for each in self._held if each.sockets]
            if sum(len(each.sockets) for each in self._held) > most:
                self._held.pop().close()

    def _flush(self) -> None:
        self.counts.connects = self._connects.begun
        if self._rows:
            rows, self._rows = self._rows, []
            self._on_swept(rows)

    def _is_done(self) -> bool:
        if not self._first.is_empty or not self._local.is_empty or self._more or self._again:
            return False
        if self._marks is not None and (self._second is None or not self._second.is_empty):
            return False
        if self._open > len(self._watched) or any(each.waiting for each in self._watched.values()):
            return False
        if self._cable is not None and self._watched:
            self._look(self._cable)
            if self._more or self._again or not self._cable.is_certain:
                return False
            for visit in list(self._watched.values()):
                del self._watched[visit.number]
                self._end(visit, no_neighbour=True)
        self._flush()
        return True

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
        if self._cable is not None and (self._watched or self._again or not self._local.is_empty):
            until = min(until, self._cable.due_mono)
        if self._connects.room > len(self._plan.ports):
            lanes = [self._first, self._second] if self._first_open == 0 else [self._first]
            for lane in lanes:
                if lane is not None and not lane.is_empty:
                    until = min(until, now + max(_PACE_S, lane.pace.wait_s))
        return max(0.0, until - now)
