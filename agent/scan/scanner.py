"""Looks through address ranges: bare connects first, identification only of what accepted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import msgspec
import structlog

from agent.config.miners import ScanSection
from agent.miners.fleet import Fleet
from agent.miners.territory import Territory
from agent.ports import AddressVerdict, ScanSummary
from agent.scan.first_ports import first_ports
from agent.scan.report.last import LastScan, changes_since
from agent.scan.report.memory import CutScan, ScanMemory
from agent.scan.run import Progress, ScanOrder, ScanRun
from agent.scan.sweep.plan import Manner
from agent.scan.visitor import OnHit, Visitor
from agent.telemetry.buffer import ReadingBuffer
from agent.telemetry.poller import Poller
from contract.clock import Clock
from contract.scan import ScanChanges

log = structlog.get_logger(__name__)


class FarmScanner:
    """Implements `agent.ports.Scanner`: each hit is read, told to the cloud at once, and joins the fleet."""

    def __init__(
        self,
        fleet: Fleet,
        territory: Territory,
        section: ScanSection,
        ports: tuple[int, ...],
        clock: Clock,
        *,
        buffer: ReadingBuffer | None = None,
        telemetry: Poller | None = None,
        look_timeout_s: float = 30.0,
        on_hit: OnHit | None = None,
        memory: ScanMemory | None = None,
    ) -> None:
        """`on_hit` is as `Visitor` takes it. `memory` is open; without one nothing is kept of a scan."""
        self._fleet = fleet
        self._territory = territory
        self._section = section
        self._ports = ports
        self._clock = clock
        self._memory = memory
        self._visitor = Visitor(
            fleet,
            clock,
            buffer=buffer,
            telemetry=telemetry,
            look_timeout_s=look_timeout_s,
            on_hit=on_hit,
        )
        self._turn = asyncio.Lock()
        self._run: ScanRun | None = None
        self._stopped: ScanRun | None = None

    def so_far(self) -> ScanSummary | None:
        """See `agent.ports.Scanner`."""
        run = self._stopped or self._run
        return None if run is None else run.summary()

    @property
    def goes_on(self) -> bool:
        """Whether the latest scan is what was left of one that was cut."""
        return self._run is not None and self._run.goes_on

    def verdict_at(self, ip: str) -> tuple[AddressVerdict, str | None] | None:
        """What the latest scan says of an address of it, and what is noted beside."""
        return None if self._run is None else self._run.verdict_at(ip)

    async def scan(
        self,
        ranges: tuple[str, ...],
        progress: Progress | None = None,
        *,
        manner: str = Manner.DEFAULT,
        key: str | None = None,
    ) -> ScanSummary:
        """See `agent.ports.Scanner`. One scan at a time; another waits for its turn, but one at low priority gives way
        to it, and goes on afterwards.
        """
        order = ScanOrder(
            spans=self._territory.select(ranges, max_addresses=self._section.max_addresses),
            skipped=self._territory.skipped(ranges),
            ports=self._ports,
            first_ports=first_ports(self._fleet),
            manner=Manner(manner),
        )
        memory = self._memory
        running = self._run
        if (
            running is not None
            and running.order.manner is Manner.LOW
            and order.manner is not Manner.LOW
        ):
            running.give_way()
        run: ScanRun | None = None
        last: LastScan | None = None
        try:
            while run is None or run.gave_way:
                async with self._turn:
                    if run is None:
                        last = None if memory is None else await memory.last(order.spans)
                        run = await self._begun(order, progress, key)
                    self._run = run
                    await run.go()
        finally:
            if run is not None:
                run.end()  # one that gave way may be cancelled while another goes on
                self._stopped = run
        summary = run.summary()
        if memory is None or last is None:
            return summary
        changes = await self._changes(memory, last, run)
        gone = _gone(changes, run)
        await memory.end(key, order.spans, run.found.values(), gone, self._clock.now())
        known = changes if last.ended_at is not None else None
        return msgspec.structs.replace(summary, changes=known)

    async def _begun(self, order: ScanOrder, progress: Progress | None, key: str | None) -> ScanRun:
        """A new one, or what is left of one that was cut."""
        memory, cut = self._memory, None
        keep: Callable[[CutScan], Awaitable[None]] | None = None
        if memory is not None and key is not None:
            keep = partial(memory.keep, key)
            cut = await memory.cut(key, order.plan, self._clock.now())
        begin = partial(
            ScanRun,
            order,
            self._visitor,
            self._section,
            self._clock,
            progress=progress,
            keep=keep,
        )
        run = begin()
        if cut is not None:
            try:
                run.take_up(cut, lambda ip: self._fleet.at(ip) is not None)
            except ValueError as error:
                log.warning("scan.not_taken_up", error=str(error))
                return begin()  # not one that has taken up half of it
        return run

    async def _changes(self, memory: ScanMemory, last: LastScan, run: ScanRun) -> ScanChanges:
        macs = [each.mac for each in run.found.values() if each.mac is not None]
        last = msgspec.structs.replace(last, elsewhere=await memory.places(macs))

        def said_of(ip: str) -> AddressVerdict | None:
            said = run.verdict_at(ip)
            return said and said[0]

        return changes_since(last, run.found, said_of)


def _gone(changes: ScanChanges, run: ScanRun) -> tuple[str, ...]:
    """Addresses at which nobody is any more who was met there."""
    left = (each.was_at for each in changes.moved)
    gone = (*(each.ip for each in changes.lost), *(ip for ip in left if ip is not None))
    return tuple(ip for ip in gone if ip not in run.found)
