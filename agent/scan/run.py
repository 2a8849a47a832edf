"""One scan under way: a sweep on a thread of its own, and those who find out who is there, beside it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import msgspec

from agent.config.miners import ScanSection
from agent.ports import (
    AddressVerdict,
    FoundMiner,
    OtherAddresses,
    ScanProgress,
    ScanRow,
    ScanSummary,
)
from agent.scan.report.memory import CutScan, ScanRows
from agent.scan.report.others import other_rows
from agent.scan.report.verdicts import IDENTIFYING, Saying, Verdicts
from agent.scan.sweep.plan import Manner, SweepPlan, SweepRow
from agent.scan.sweep.sweep import Sweep
from agent.scan.visitor import Visitor, VisitResult
from agent.scan.visits import Visits
from contract.clock import Clock
from contract.ranges import Range, merge, number_of

Progress = Callable[[ScanProgress], Awaitable[None]]
OTHERS_MOST: Final = 10_000  # rows of addresses where no miner is
_TELL_S: Final = 0.25
_KEEP_S: Final = 2.0  # as much as a crash may cost
_CUT: Final = Saying(AddressVerdict.NOT_ASKED, note="the scan ended before")


class ScanOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be looked through. `skipped`: addresses that are not to be asked, and why; they are in none of
    `spans`.
    """

    spans: tuple[Range, ...]
    skipped: tuple[tuple[Range, str], ...]
    ports: tuple[int, ...]
    first_ports: Mapping[str, int]
    manner: Manner

    @property
    def plan(self) -> bytes:
        """What it is a scan of: one that was cut is gone on with only by the same. How fast does not matter."""
        manner = Manner.DEFAULT if self.manner is Manner.LOW else self.manner
        return msgspec.json.encode((self.spans, self.skipped, self.ports, manner))


class ScanRun:
    """From its order to its summary. `go` may be called again after it `gave_way`."""

    def __init__(
        self,
        order: ScanOrder,
        visitor: Visitor,
        section: ScanSection,
        clock: Clock,
        *,
        progress: Progress | None = None,
        keep: Callable[[CutScan], Awaitable[None]] | None = None,
    ) -> None:
        """`keep` is given how far it is, every few seconds and where it is cut."""
        self.order = order
        self.gave_way = False
        self._visitor = visitor
        self._section = section
        self._clock = clock
        self._progress = progress
        self._keep = keep
        self._verdicts = Verdicts(merge([*order.spans, *(span for span, _ in order.skipped)]))
        for span, why in order.skipped:
            self._verdicts.mark_span(span, Saying(AddressVerdict.SKIPPED, note=why))
        self._miners: dict[str, FoundMiner] = {}
        self._others: dict[str, OtherAddresses] = {}
        self._fresh: list[ScanRow] = []
        self._notes: list[str] = []
        self._new: set[str] = set()  # addresses of miners
        self._connects = 0
        self._began_mono = clock.mono()
        self._before_s = 0.0  # that it ran before it was cut
        self._seconds: float | None = None
        self._first_pass_s: float | None = None
        self._is_seen_through = False
        self._sweep: Sweep | None = None
        self.goes_on = False  # with one that was cut

    def take_up(self, cut: CutScan, is_known: Callable[[str], bool]) -> None:
        """Go on where it was cut. A miner that this process does not know at its address is asked again, so that it
        joins the fleet. Raises ValueError for what was kept of another scan.
        """
        self._verdicts.load(cut.addresses, cut.sayings)
        for each in cut.rows.miners:
            if is_known(each.ip):
                self._miners[each.ip] = each
            else:
                self._verdicts.forget(number_of(each.ip))
        self._others = {each.range: each for each in cut.rows.others}
        self._new = {ip for ip in cut.rows.new if ip in self._miners}
        self._before_s = cut.seconds
        self.goes_on = True
        self._notes.append(
            f"goes on where it was cut at {cut.at:%Y-%m-%d %H:%M:%S} UTC: "
            f"{self._verdicts.done} of {len(self._verdicts)} addresses were through"
        )

    def give_way(self) -> None:
        """End soon, so that another scan comes to its turn; what is under way is ended properly."""
        self.gave_way = True
        if self._sweep is not None:
            self._sweep.stop()

    @property
    def found(self) -> Mapping[str, FoundMiner]:
        """The miners by address."""
        return self._miners

    def verdict_at(self, ip: str) -> tuple[AddressVerdict, str | None] | None:
        """What is said of an address of this scan by now, and what is noted beside."""
        said = self._verdicts.at(number_of(ip))
        if said is None or said.verdict is None:
            return None
        row = self._miners.get(ip) or self._others.get(ip)
        return said.verdict, said.note if row is None else row.note

    async def go(self) -> None:
        """Raises OSError, and what `progress` raises."""
        self.gave_way = False
        loop = asyncio.get_running_loop()
        visits = Visits(self._visitor, self._section.identify_at_once, self._note_visit)

        def swept(batch: Sequence[SweepRow]) -> None:
            hits = self._marked(batch)
            if hits or (not self._is_seen_through and not self._verdicts.unseen):
                loop.call_soon_threadsafe(self._take, visits, hits)

        plan = SweepPlan(
            spans=self.order.spans,
            ports=self.order.ports,
            first_ports=self.order.first_ports,
            manner=self.order.manner,
            skip=self._verdicts.is_final,
        )
        self._sweep = sweep = Sweep(plan, self._section, self._clock, swept)
        try:
            async with asyncio.TaskGroup() as beside:
                parts = [beside.create_task(self._tell(), name="scan-progress")]
                parts.append(beside.create_task(self._keep_on(), name="scan-keep"))
                async with visits:
                    await self._sweeping(sweep, visits)
                for part in parts:
                    part.cancel()
        except (
            BaseExceptionGroup
        ) as group:  # a signal may end the scan as well, and is no Exception
            raise _first(group) from group
        except asyncio.CancelledError:
            self.gave_way = False  # nobody goes on with it
            await self._keep_now()
            raise
        finally:
            self._connects += sweep.counts.connects
            if not self.gave_way:
                self.end()
        await self._tell_now()

    def end(self) -> None:
        """Nothing more will be found out by it."""
        self.gave_way = False
        if self._seconds is None:
            self._verdicts.close(_CUT)
            self._seconds = self._so_long()

    def summary(self) -> ScanSummary:
        """Of all its addresses, once it has ended; of those that are through before."""
        counts = self._verdicts.counts()
        rows = other_rows(self._verdicts, self._others)
        others = tuple(itertools.islice(rows, OTHERS_MOST))
        return ScanSummary(
            addresses=sum(counts.values()),
            silent=counts[AddressVerdict.SILENT],
            refused=counts[AddressVerdict.REFUSED],
            unknown=counts[AddressVerdict.UNKNOWN],
            failed=counts[AddressVerdict.FAILED],
            found=counts[AddressVerdict.FOUND],
            skipped=counts[AddressVerdict.SKIPPED],
            not_asked=counts[AddressVerdict.NOT_ASKED],
            new=len(self._new),
            seconds=self._so_long() if self._seconds is None else self._seconds,
            first_pass_s=self._first_pass_s,
            connects=self._connects,
            manner=self.order.manner,
            miners=tuple(sorted(self._miners.values(), key=lambda row: number_of(row.ip))),
            others=others,
            others_left_out=sum(1 for _ in rows),
            notes=tuple(self._notes),
        )

    # --- the sweep ---

    async def _sweeping(self, sweep: Sweep, visits: Visits) -> None:
        running = asyncio.get_running_loop().run_in_executor(None, sweep.run)
        try:
            await asyncio.shield(running)
        except asyncio.CancelledError:
            visits.cut()
            raise
        finally:
            sweep.stop()
            await running

    def _marked(self, batch: Sequence[SweepRow]) -> list[SweepRow]:
        """On the sweeping thread, for every address: those where a port is open are to be looked at."""
        hits = []
        for each in batch:
            number = number_of(each.ip)
            if not each.doors.open:
                self._verdicts.mark(number, _saying(each))
            elif self._verdicts.at(number) == IDENTIFYING or self._verdicts.is_final(number):
                each.doors.close()
            else:
                self._verdicts.mark(number, IDENTIFYING)
                hits.append(each)
        return hits

    def _take(self, visits: Visits, hits: Sequence[SweepRow]) -> None:
        self._is_seen_through = self._is_seen_through or not self._verdicts.unseen
        visits.take(hits)
        self._note_first_pass()

    def _note_visit(self, ip: str, visited: VisitResult) -> None:
        row = visited.row
        self._verdicts.mark(number_of(ip), Saying(visited.verdict, row.ports))
        if isinstance(row, FoundMiner):
            self._miners[ip] = row
            if visited.is_new:
                self._new.add(ip)
        elif len(self._others) < OTHERS_MOST:
            self._others[ip] = row
        if self._progress is not None and len(self._fresh) < OTHERS_MOST:
            self._fresh.append(row)
        self._note_first_pass()

    def _note_first_pass(self) -> None:
        if self._first_pass_s is None and self._is_seen_through and not self._verdicts.identifying:
            self._first_pass_s = self._so_long()

    # --- what is told and kept of it ---

    async def _tell(self) -> None:
        while self._progress is not None:
            await self._tell_now()
            await self._clock.sleep(_TELL_S)

    async def _tell_now(self) -> None:
        if self._progress is None:
            return
        rows, self._fresh = tuple(self._fresh), []
        await self._progress(
            ScanProgress(
                done=self._verdicts.done + self._verdicts.halfway // 2,
                total=len(self._verdicts),
                found=len(self._miners),
                rows=rows,
            )
        )

    async def _keep_on(self) -> None:
        while self._keep is not None:
            await self._clock.sleep(_KEEP_S)
            await self._keep_now()

    async def _keep_now(self) -> None:
        if self._keep is None:
            return
        addresses, sayings = self._verdicts.dump()
        rows = ScanRows(
            miners=tuple(self._miners.values()),
            others=tuple(self._others.values()),
            new=tuple(self._new),
        )
        await self._keep(
            CutScan(
                plan=self.order.plan,
                addresses=addresses,
                sayings=sayings,
                rows=rows,
                seconds=self._so_long(),
                at=self._clock.now(),
            )
        )

    def _so_long(self) -> float:
        return round(self._before_s + self._clock.mono() - self._began_mono, 3)


def _saying(swept: SweepRow) -> Saying:
    """Of an address where no port is open."""
    if swept.not_asked is not None:
        return Saying(AddressVerdict.NOT_ASKED, note=swept.not_asked, is_final=swept.is_final)
    if swept.doors.refused:
        refused = tuple(sorted(swept.doors.refused))
        return Saying(AddressVerdict.REFUSED, refused, is_final=swept.is_final)
    asked = tuple(sorted(swept.asked))
    if swept.no_neighbour:
        return Saying(AddressVerdict.SILENT, asked, "no host of that network has the address")
    return Saying(AddressVerdict.SILENT, asked, is_final=swept.is_final)


def _first(group: BaseException) -> BaseException:
    """Of what went wrong side by side, what was first."""
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return group
