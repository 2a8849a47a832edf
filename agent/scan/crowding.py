"""Whether the neighbour table of this host holds those whom the agent asks and polls on its own networks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import msgspec
import structlog

from agent.scan.kernel.neighbours import NeighbourTable, TableLevel
from agent.scan.kernel.routes import spans_by_route
from agent.scan.sweep.pending import RESERVE
from contract.clock import Clock
from contract.ranges import Range, merge, parse_range
from contract.texts import counted

log = structlog.get_logger(__name__)
TABLE_FIX: Final = (
    "sysctl -w net.ipv4.neigh.default.gc_thresh2=16384 net.ipv4.neigh.default.gc_thresh3=32768"
)
_ASKED_S: Final = 3  # that an address without a host takes a place
_EVERY_S: Final = 60.0


class Crowding(msgspec.Struct, frozen=True):
    """`places`: for neighbours of ours, at the threshold of now. `addresses` of the ranges, and `miners`, are on own
    networks.
    """

    places: int
    addresses: int
    miners: int

    @property
    def scan_s(self) -> int:
        """How long a scan of the addresses takes where nobody is there."""
        return self.addresses * _ASKED_S // self.places


def crowding(spans: Iterable[Range], miners: Iterable[str]) -> Crowding:
    """Raises OSError where the kernel does not say."""
    with NeighbourTable() as table:
        places = max(1, table.level().threshold - RESERVE)
    addresses = sum(map(len, spans_by_route(spans).on_link))
    return Crowding(places, addresses, on_link_of(miners))


def on_link_of(miners: Iterable[str]) -> int:
    """How many of these addresses are on own networks."""
    known = merge(map(parse_range, miners))
    return sum(map(len, spans_by_route(known).on_link))


def crowd_notice(last: TableLevel | None, level: TableLevel, miners: int) -> str | None:
    """What the operator is to know of the table as it was and as it is now, with so many miners on own networks."""
    places = level.threshold - RESERVE
    refused = 0 if last is None else level.refusals - last.refusals
    if refused > 0:
        return (
            f"The neighbour table of this host was full {counted(refused, 'time')} within a minute, and what was sent "
            f"to some neighbours was dropped: miners may look offline that are not. Run: {TABLE_FIX}"
        )
    if miners > places:
        return (
            f"{counted(miners, 'miner is', 'miners are')} on networks of this host, and its neighbour table has places "
            f"for {places}: some may look offline that are not. Run: {TABLE_FIX}"
        )
    return None


class CrowdWatch:
    """What the operator of a running agent is to know of the neighbour table."""

    def __init__(self, miners: Callable[[], Iterable[str]], clock: Clock) -> None:
        self._miners = miners
        self._clock = clock
        self._due_mono = clock.mono()
        self._last: TableLevel | None = None
        self._notice: str | None = None

    @property
    def notices(self) -> tuple[str, ...]:
        """A sentence at most, judged again once a minute."""
        now = self._clock.mono()
        if now >= self._due_mono:
            self._due_mono = now + _EVERY_S
            try:
                self._judge()
            except OSError as error:
                log.debug("neighbours.unread", error=str(error))
                self._notice = None
        return () if self._notice is None else (self._notice,)

    def _judge(self) -> None:
        with NeighbourTable() as table:
            level = table.level()
        self._notice = crowd_notice(self._last, level, on_link_of(self._miners()))
        self._last = level
