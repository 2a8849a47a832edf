"""An address under way in a sweep, and the queues that addresses wait in."""

from __future__ import annotations

from collections.abc import Iterator
from socket import socket
from typing import Final

import msgspec

from agent.scan.sweep.pace import Allowance
from agent.scan.sweep.plan import SweepRow
from contract.ranges import address_of
from drivers.doors import Doors, hang_up

NO_PLACE: Final = -1
_NO_DOORS: Final = (
    Doors()
)  # of all without an open port or a refused one: it holds no socket, so nothing in it changes


class Probe(msgspec.Struct):
    """`place`: in the order of the first pass, by which a second one finds it. `waiting`: connects that have not ended,
    or not begun. `is_whole`: all ports have been thought of. `tries`: how often it was begun.
    """

    number: int
    ip: str
    place: int = NO_PLACE
    waiting: int = 1
    asked: tuple[int, ...] = ()
    open: tuple[int, ...] = ()
    refused: tuple[int, ...] = ()
    sockets: dict[int, socket] = {}
    problem: str | None = None
    is_whole: bool = False
    tries: int = 0
    has_ended: bool = False

    @property
    def has_answered(self) -> bool:
        return bool(self.open or self.refused)

    def row(self, *, is_final: bool, no_neighbour: bool = False) -> SweepRow:
        """What there is to say of it by now; its sockets go along."""
        doors = _NO_DOORS
        if self.open or self.refused:
            doors = Doors(frozenset(self.open), frozenset(self.refused), self.sockets)
        return SweepRow(
            ip=self.ip,
            doors=doors,
            asked=self.asked,
            not_asked=None if self.asked else self.problem,
            is_final=is_final,
            no_neighbour=no_neighbour,
        )

    def hang_up(self) -> None:
        """Nobody is to have its sockets."""
        while self.sockets:
            hang_up(self.sockets.popitem()[1])


class RowSockets:
    """Sockets that went along with rows. They do so only as long as those before are taken or closed at a like pace."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._doors: list[Doors] = []
        self._open = 0  # sockets, with those that were taken since it was counted

    def add(self, doors: Doors) -> None:
        """Of a row that goes now; where there are too many, its sockets are closed."""
        self._doors.append(doors)
        self._open += len(doors.sockets)
        if self._open > self._most:
            self._doors = [each for each in self._doors if each.sockets]
            self._open = sum(len(each.sockets) for each in self._doors)
            if self._open > self._most:
                self._doors.pop()
                self._open -= len(doors.sockets)
                doors.close()


class ProbeQueue:
    """Probes still to be begun, and their pace."""

    def __init__(self, order: Iterator[tuple[int, int]], pace: Allowance) -> None:
        self._order = order
        self.pace = pace
        self.is_empty = False

    def next(self) -> Probe | None:
        """The next; `None`, and `is_empty`, where there are no more."""
        place, number = next(self._order, (NO_PLACE, -1))
        if number < 0:
            self.is_empty = True
            return None
        return Probe(number, address_of(number), place)
