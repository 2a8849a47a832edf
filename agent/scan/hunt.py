"""Looks for miners that are not where they were: near by first, and only where no known miner answers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import structlog

from agent.config.miners import ScanSection
from agent.miners.fleet import Fleet
from agent.miners.missing import Absent
from agent.miners.territory import Territory
from agent.scan.kernel.neighbours import NeighbourTable
from agent.scan.sweep.plan import Manner, SweepPlan, SweepRow
from agent.scan.sweep.sweep import Sweep
from contract.clock import Clock
from contract.errors import MinerError
from contract.miner import Identity, normalize_mac
from contract.ranges import Range, number_of
from drivers.doors import Doors
from drivers.stranger import Stranger

log = structlog.get_logger(__name__)
REST_S: Final = 8.0  # between two hunts
AT_ONCE: Final = 1024  # addresses of one ground, as a /22 has: so many may be asked in a burst


def macs_here() -> Mapping[str, str]:
    """The neighbour table of this host: hardware addresses by address. Raises OSError."""
    with NeighbourTable() as table:
        return table.macs()


class Hunt:
    """Follows `Fleet.missing`. One hunt at a time, which ends as soon as all that it is for are found; other miners
    that it meets join the fleet as well. What is not found is looked for ever more seldom.
    """

    def __init__(
        self,
        fleet: Fleet,
        territory: Territory,
        section: ScanSection,
        ports: tuple[int, ...],
        port_of: Callable[[Identity], int],
        clock: Clock,
        *,
        look_timeout_s: float,
        on_met: Callable[[str], None],
        macs: Callable[[], Mapping[str, str]] = macs_here,
    ) -> None:
        """`ports`: those of all makes; `port_of`: where one most likely takes a connection. `on_met` is told of each
        address where a miner was met.
        """
        self._fleet = fleet
        self._territory = territory
        self._section = section
        self._ports = ports
        self._port_of = port_of
        self._clock = clock
        self._look_timeout_s = look_timeout_s
        self._on_met = on_met
        self._macs = macs
        self._ranges: tuple[Range, ...] = ()
        self._at_once = asyncio.Semaphore(section.identify_at_once)
        self.asked = 0  # addresses, since the start

    def follow(self, ranges: Iterable[Range]) -> None:
        """The ranges that the cloud names besides the configured ones."""
        self._ranges = tuple(ranges)

    async def run(self) -> None:
        """Look for what is missing, until cancelled."""
        while True:
            wanted = await self._fleet.members.missing.due()
            began_mono, asked = self._clock.mono(), self.asked
            try:
                await self._look_for(wanted)
            except OSError as error:
                log.error("hunt.failed", error=str(error))
            except Exception:
                log.exception("hunt.bug")  # of ours: the miners are polled all the same
            missing = self._left_of(wanted)
            self._fleet.members.missing.tried(missing)
            log.info(
                "hunt.done",
                wanted=len(wanted),
                found=len(wanted) - len(missing),
                asked=self.asked - asked,
                seconds=round(self._clock.mono() - began_mono, 1),
            )
            await self._clock.sleep(REST_S)

    async def _look_for(self, wanted: tuple[Absent, ...]) -> None:
        await self._look_at_neighbours(wanted)
        grounds = self._territory.grounds(
            (each.ip for each in wanted), self._ranges, max_addresses=self._section.max_addresses
        )
        for spans in grounds:
            if left := self._left_of(wanted):
                await self._look_through(spans, left)

    def _left_of(self, wanted: Iterable[Absent]) -> tuple[Absent, ...]:
        return tuple(each for each in wanted if each.mac in self._fleet.members.missing)

    async def _look_at_neighbours(self, wanted: tuple[Absent, ...]) -> None:
        """Where this host knows by now who has which MAC. It is a hint: who is there has to say so itself."""
        macs = {each.mac: each.ip for each in wanted}
        try:
            neighbours = await asyncio.to_thread(self._macs)
        except OSError as error:
            log.info("hunt.no_neighbours", error=str(error))
            return
        hints = [
            ip
            for ip, text in neighbours.items()
            if (mac := normalize_mac(text)) in macs and macs[mac] != ip and ip in self._territory
        ]
        async with asyncio.TaskGroup() as looks:
            for ip in hints:
                looks.create_task(self._look_at(ip, Doors()), name=f"hunt-{ip}")

    async def _look_through(self, spans: tuple[Range, ...], wanted: tuple[Absent, ...]) -> None:
        loop = asyncio.get_running_loop()
        heard: asyncio.Queue[SweepRow | None] = asyncio.Queue()

        def hear(batch: Sequence[SweepRow]) -> None:
            for each in batch:
                if each.doors.open:
                    loop.call_soon_threadsafe(heard.put_nowait, each)

        sweep = Sweep(self._plan(spans, wanted), self._section, self._clock, hear)

        async def sweeping() -> None:
            running = loop.run_in_executor(None, sweep.run)
            try:
                await asyncio.shield(running)
            finally:
                sweep.stop()
                await running
                self.asked += sweep.counts.addresses
            heard.put_nowait(None)

        async def look(met: SweepRow) -> None:
            try:
                async with self._at_once:
                    if self._left_of(wanted):
                        await self._look_at(met.ip, met.doors)
            finally:
                met.doors.close()
            if not self._left_of(wanted):
                sweep.stop()

        async with asyncio.TaskGroup() as group:
            group.create_task(sweeping(), name="hunt-sweep")
            while (met := await heard.get()) is not None:
                group.create_task(look(met), name=f"hunt-{met.ip}")

    def _plan(self, spans: tuple[Range, ...], wanted: tuple[Absent, ...]) -> SweepPlan:
        first_ports = {each.ip: self._port_of(each.identity) for each in wanted}
        count = Counter(first_ports.values())
        away = self._fleet.members.missing.addresses
        known = frozenset(number_of(ip) for ip in self._fleet if ip not in away)
        return SweepPlan(
            spans=spans,
            ports=tuple(sorted(self._ports, key=lambda port: -count[port])),
            first_ports=first_ports,
            manner=Manner.DEFAULT if sum(map(len, spans)) <= AT_ONCE else Manner.LOW,
            skip=known.__contains__,
        )

    async def _look_at(self, ip: str, doors: Doors) -> None:
        try:
            async with asyncio.timeout(self._look_timeout_s):
                found, _ = await self._fleet.look_at(ip, doors)
        except (MinerError, TimeoutError) as error:
            log.info("hunt.not_identified", ip=ip, error=str(error)[:200])
        except Exception:
            log.exception("hunt.bug", ip=ip)
        else:
            if not isinstance(found, Stranger):
                self._on_met(ip)
