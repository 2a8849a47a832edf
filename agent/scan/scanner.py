"""Looks through address ranges: paced bare connects first, identification only of what accepted."""

from __future__ import annotations

import asyncio
import errno
import select
import socket
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Final

import msgspec
import structlog

from agent.config.miners import ScanSection
from agent.miners.fleet import Fleet, in_words
from agent.miners.territory import Territory
from agent.ports import ScanSummary
from agent.telemetry.buffer import ReadingBuffer
from agent.telemetry.observation import is_other_device, look, message
from agent.telemetry.poller import Poller
from contract.clock import Clock
from contract.errors import MinerError, UnreachableError
from contract.ranges import Range
from drivers.base import Depth, Driver
from drivers.stranger import Stranger

log = structlog.get_logger(__name__)
Progress = Callable[[int, int], Awaitable[None]]
_NOTES_MAX: Final = 200
_NEIGHBOURS_FULL: Final = frozenset(
    {errno.ENOBUFS, errno.ENOMEM, errno.EAGAIN, errno.EADDRNOTAVAIL}
)
# No route, a firewall of this host, no more files: the address was never asked.
_OURS: Final = frozenset(
    {errno.ENETUNREACH, errno.ENETDOWN, errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE}
)


class Knock(msgspec.Struct, frozen=True):
    """What bare connects to one address showed. `refused`: a host is there that has no such port open."""

    ip: str
    open_ports: tuple[int, ...]
    refused: bool
    problem: str | None = None  # this host, not the address, was the reason


class _Visit(msgspec.Struct):
    """An address under way."""

    ip: str
    waiting: int
    open_ports: list[int]
    refused: bool = False
    problem: str | None = None


class Sweep:
    """Knocks at addresses with non-blocking connects and one epoll, on a thread of its own, so that an
    address costs microseconds and the loop stays free. Sends no byte.
    """

    def __init__(
        self,
        addresses: Iterable[str],
        ports: tuple[int, ...],
        section: ScanSection,
        clock: Clock,
        on_knock: Callable[[Knock], None],
    ) -> None:
        """`on_knock` is called once per address, on the sweeping thread."""
        self._addresses = iter(addresses)
        self._ports = ports
        self._section = section
        self._clock = clock
        self._on_knock = on_knock
        self._stop = threading.Event()
        self._open: dict[int, tuple[socket.socket, _Visit, int]] = {}
        self._deadlines: deque[tuple[float, int, socket.socket]] = deque()
        self._visits = 0

    def stop(self) -> None:
        """End soon; may be called from any thread."""
        self._stop.set()

    def run(self) -> None:
        """Knock everywhere. Blocks."""
        start, begun, rate = self._clock.mono(), 0, self._section.connects_per_s
        with select.epoll() as poll:
            try:
                for ip in self._paced():
                    visit = _Visit(ip, len(self._ports), [])
                    for port in self._ports:
                        self._knock(poll, visit, port)
                        begun += 1
                    self._collect(poll, 0.0)
                    while (ahead_s := begun / rate - (self._clock.mono() - start)) > 0.002:
                        self._collect(poll, min(ahead_s, 0.2))
                    while len(self._open) + len(self._ports) > self._section.sockets_max:
                        self._collect(poll, 0.05)
                        if self._stop.is_set():
                            return
                while self._open and not self._stop.is_set():
                    self._collect(poll, 0.05)
            finally:
                for sock, _, _ in self._open.values():
                    sock.close()
                self._open.clear()

    def _paced(self) -> Iterator[str]:
        for ip in self._addresses:
            if self._stop.is_set():
                return
            yield ip

    def _knock(self, poll: select.epoll, visit: _Visit, port: int) -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            code = sock.connect_ex((visit.ip, port))
        except OSError as error:
            code = error.errno or errno.EIO
        if code in (errno.EINPROGRESS, 0):
            handle = sock.fileno()
            self._open[handle] = (sock, visit, port)
            self._deadlines.append(
                (self._clock.mono() + self._section.connect_timeout_s, handle, sock)
            )
            poll.register(handle, select.EPOLLOUT | select.EPOLLERR | select.EPOLLHUP)
            return
        sock.close()
        self._note(visit, port, code)

    def _collect(self, poll: select.epoll, wait_s: float) -> None:
        for handle, _ in poll.poll(wait_s):
            found = self._open.pop(handle, None)
            if found is None:
                continue
            sock, visit, port = found
            poll.unregister(handle)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            sock.close()
            self._note(visit, port, code)
        now = self._clock.mono()
        while self._deadlines and self._deadlines[0][0] <= now:
            _, handle, sock = self._deadlines.popleft()
            held = self._open.get(handle)
            if held is None or held[0] is not sock:  # the number may be another connect's by now
                continue
            del self._open[handle]
            poll.unregister(handle)
            sock.close()
            self._note(held[1], held[2], errno.ETIMEDOUT)

    def _note(self, visit: _Visit, port: int, code: int) -> None:
        if code == 0:
            visit.open_ports.append(port)
        elif code == errno.ECONNREFUSED:
            visit.refused = True
        elif code in _NEIGHBOURS_FULL:
            visit.problem = f"{errno.errorcode[code]} on this host, scan more slowly"
        elif code in _OURS:
            visit.problem = f"{errno.errorcode[code]} on this host"
        visit.waiting -= 1
        if visit.waiting == 0:
            self._on_knock(Knock(visit.ip, tuple(visit.open_ports), visit.refused, visit.problem))


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
        on_hit: Callable[[str, Driver | None, str | None], None] | None = None,
    ) -> None:
        """`on_hit(ip, driver, problem)` is told of every address where something answered."""
        self._fleet = fleet
        self._territory = territory
        self._section = section
        self._ports = ports
        self._clock = clock
        self._buffer = buffer
        self._telemetry = telemetry
        self._look_timeout_s = look_timeout_s
        self._on_hit = on_hit
        self._turn = asyncio.Lock()
        self._run: _Run | None = None

    def so_far(self) -> ScanSummary | None:
        """What the latest scan has looked at by now: its `addresses` are only those. `None` before the first."""
        return None if self._run is None else self._run.summary()

    async def scan(self, ranges: tuple[str, ...], progress: Progress | None = None) -> ScanSummary:
        """See `agent.ports.Scanner`. One scan at a time; another waits for its turn."""
        spans = self._territory.select(ranges, max_addresses=self._section.max_addresses)
        async with self._turn:
            self._run = _Run(self, spans, progress)
            return await self._run.go()


class _Run:
    """One scan under way."""

    def __init__(
        self, scanner: FarmScanner, spans: tuple[Range, ...], progress: Progress | None
    ) -> None:
        self._scanner = scanner
        self._spans = spans
        self._progress = progress
        self._total = sum(len(span) for span in spans)
        self._at_once = asyncio.Semaphore(scanner._section.identify_at_once)
        self._began_mono = scanner._clock.mono()
        self._done = self._silent = self._refused = 0
        self._unknown = self._failed = self._found = self._new = 0
        self._miners: list[dict[str, str | None]] = []
        self._notes: list[str] = []

    async def go(self) -> ScanSummary:
        scanner, clock = self._scanner, self._scanner._clock
        loop = asyncio.get_running_loop()
        knocks: asyncio.Queue[Knock | None] = asyncio.Queue()

        def heard(knock: Knock | None) -> None:
            loop.call_soon_threadsafe(knocks.put_nowait, knock)

        addresses = (ip for span in self._spans for ip in span)
        sweep = Sweep(addresses, scanner._ports, scanner._section, clock, heard)

        async def sweeping() -> None:
            running = loop.run_in_executor(None, sweep.run)
            try:
                await asyncio.shield(running)
            finally:
                sweep.stop()
                await running
            heard(None)

        async with asyncio.TaskGroup() as group:
            group.create_task(sweeping(), name="scan-sweep")
            reporter = group.create_task(self._report(), name="scan-progress")
            async with asyncio.TaskGroup() as visits:
                while (knock := await knocks.get()) is not None:
                    if knock.open_ports:
                        visits.create_task(self._visit(knock), name=f"scan-{knock.ip}")
                    else:
                        self._count(knock)
            reporter.cancel()
        if self._progress is not None:
            await self._progress(self._done, self._total)
        return self.summary()

    def summary(self) -> ScanSummary:
        """Of the addresses that are through."""
        return ScanSummary(
            addresses=self._done,
            silent=self._silent,
            refused=self._refused,
            unknown=self._unknown,
            failed=self._failed,
            found=self._found,
            new=self._new,
            seconds=round(self._scanner._clock.mono() - self._began_mono, 3),
            miners=tuple(sorted(self._miners, key=lambda row: _order(row["ip"]))),
            notes=tuple(self._notes),
        )

    def _count(self, knock: Knock) -> None:
        """An address where no port is open."""
        self._done += 1
        if knock.refused:
            self._refused += 1
        elif knock.problem is not None:
            self._failed += 1
            self._note(f"{knock.ip}: could not be asked: {knock.problem}")
        else:
            self._silent += 1

    async def _visit(self, knock: Knock) -> None:
        async with self._at_once:
            driver, problem = None, None
            try:
                async with asyncio.timeout(self._scanner._look_timeout_s):
                    found, is_new = await self._scanner._fleet.look_at(knock.ip)
            except TimeoutError:
                # drivers end their own exchanges before: it waited for a task on that very miner
                driver, problem = self._busy(knock.ip)
            except UnreachableError as error:
                # its port accepted a moment ago, so it is a host; it just says nothing to us
                self._failed += 1
                problem = str(error)
            except MinerError as error:
                self._failed += 1
                problem = f"{error.code}: {error}"
            except Exception as error:
                log.exception("scan.bug", ip=knock.ip)
                self._failed += 1
                problem = f"internal: {type(error).__name__}"
            else:
                if isinstance(found, Stranger):
                    self._unknown += 1
                    ports = ", ".join(map(str, knock.open_ports))
                    verb = "port {} is" if len(knock.open_ports) == 1 else "ports {} are"
                    problem = f"{verb.format(ports)} open but no make known here answers"
                else:
                    driver = found
                    self._found += 1
                    self._new += is_new
                    problem = await self._tell(driver)
                    self._miners.append(_row(driver))
            if problem is not None:
                self._note(f"{knock.ip}: {problem}")
            self._done += 1
            if self._scanner._on_hit is not None:
                self._scanner._on_hit(knock.ip, driver, problem)

    def _busy(self, ip: str) -> tuple[Driver | None, str]:
        driver = self._scanner._fleet.at(ip)
        if driver is None:
            self._failed += 1
            return None, "it did not come to its turn in time; scan again"
        self._found += 1
        self._miners.append(_row(driver))
        return driver, "busy with a task; shown as it was last seen"

    async def _tell(self, driver: Driver) -> str | None:
        """Read the miner whole and tell the cloud now; gives what went wrong with that, or is odd about it."""
        scanner, ip = self._scanner, driver.endpoint.host
        twins = scanner._fleet.twins(ip)
        odd = driver.identity.reason
        if twins:
            odd = f"the same MAC is shown at {in_words(twins)}, so neither is written to"
        if scanner._buffer is None:
            return odd
        seen = await look(driver, Depth.FULL, timeout_s=scanner._look_timeout_s)
        if seen is None:
            return "busy, it is read later"
        if is_other_device(driver, seen, scanner._fleet.mac_at(ip)):
            return "another miner came to this address meanwhile; scan again"
        slow = seen.reading.slow if seen.reading else None
        static = seen.reading.static if seen.reading else None
        interval_s = scanner._telemetry.interval_s if scanner._telemetry else None
        told = message(
            driver,
            seen,
            scanner._clock,
            slow=slow,
            static=static,
            interval_s=interval_s,
            twin_ips=twins,
        )
        scanner._buffer.add(told, urgent=True)
        if scanner._telemetry is not None:
            scanner._telemetry.take_scanned(ip, seen)
        return seen.problem or odd

    def _note(self, text: str) -> None:
        if len(self._notes) < _NOTES_MAX:
            self._notes.append(text[:500])

    async def _report(self) -> None:
        while self._progress is not None:
            await self._progress(self._done, self._total)
            await self._scanner._clock.sleep(0.25)


def _row(driver: Driver) -> dict[str, str | None]:
    identity = driver.identity
    return {
        "ip": driver.endpoint.host,
        "mac": identity.mac,
        "make": identity.make,
        "model": identity.model,
        "firmware": identity.firmware,
        "firmware_version": identity.firmware_version,
    }


def _order(ip: str | None) -> tuple[int, ...]:
    return tuple(int(part) for part in (ip or "0").split("."))
