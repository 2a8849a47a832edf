"""The telemetry path of an agent, alone in a process of its own and measured from within.

`python -m bench.polling SETUP.json` prints one line of JSON once every miner is known. Then it answers each line on
stdin, `{"hostile": true | false, "seconds": 5}`: it waits until the suspects are heard to fail (or to be well again),
measures for so long, and prints a line of figures.
"""

from __future__ import annotations

import asyncio
import gc
import random
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import uvloop

from agent.config.file import parse as parse_config
from agent.config.host import LogSection
from agent.config.miners import TelemetrySection
from agent.host.logs import set_up
from agent.miners.credentials import from_config
from agent.miners.fleet import Fleet
from agent.miners.inventory import Inventory
from agent.miners.territory import Territory
from agent.telemetry.buffer import ReadingBuffer
from agent.telemetry.poller import Poller
from contract.clock import SystemClock
from contract.link import ReadingsReply, ReadingsRequest
from contract.miner import Endpoint, Reading
from drivers.base import Depth, Driver
from drivers.registry import open_driver, recognise
from drivers.stranger import Stranger
from service.limits import raise_open_files, settle_memory

_TICK_S: Final = 0.002
_CHANGE_WAIT_S: Final = 60.0


class Setup(msgspec.Struct, frozen=True):
    """Where the miners are, which of them will misbehave, how often they are looked at."""

    addresses: tuple[str, ...]
    suspects: tuple[str, ...]
    http_port: int
    rpc_port: int
    interval_s: float = 1.0
    slow_every_polls: int = 10
    workers: int = 64
    read_timeout_s: float = 2.0


class MeasureOrder(msgspec.Struct, frozen=True):
    """What to wait for, and how long to measure then."""

    hostile: bool
    seconds: float


class Figures(msgspec.Struct, kw_only=True):
    """One measurement. `latencies_ms` are those of the looks at well-behaved miners that began in it: the slow ones
    are waited for.
    """

    seconds: float = 0.0
    latencies_ms: list[float] = []
    failed: int = 0  # looks at well-behaved miners
    suspects_ok: int = 0
    suspects_failed: dict[str, int] = {}
    bugs: int = 0
    cpu_s: float = 0.0  # of this process
    stall_cpu_ms: float = 0.0  # the longest time the loop worked without a turn
    late_ms: float = 0.0  # the longest time it was late, whoever had the processor
    rss_before_kb: int = 0
    rss_peak_kb: int = 0


class Measurement:
    """A measurement while it lasts."""

    def __init__(self) -> None:
        self.figures = Figures(rss_before_kb=_rss_kb())
        self.under_way = 0  # looks at well-behaved miners


class TimedDriver:
    """A driver whose looks are timed."""

    def __init__(self, driver: Driver, poller: PollingAgent) -> None:
        self._driver = driver
        self._poller = poller

    def __getattr__(self, name: str) -> Any:
        return getattr(self._driver, name)

    async def read(self, depth: Depth = Depth.MOVING) -> Reading:
        host = self._driver.endpoint.host
        turn = self._poller.begins(host)
        began = time.perf_counter()
        error: str | None = "cancelled"
        try:
            reading = await self._driver.read(depth)
            faults = reading.slow.faults if reading.slow else ()
            error = next((f.code for f in faults if f.code == "web_side"), None)
            return reading
        except Exception as raised:
            error = type(raised).__name__
            raise
        finally:
            self._poller.heard(host, turn, (time.perf_counter() - began) * 1e3, error)


class Nowhere:
    """A cloud that takes everything."""

    async def push(self, request: ReadingsRequest) -> ReadingsReply:
        del request
        return ReadingsReply(state="ok")


class PollingAgent:
    """Everything between the schedule and the buffer, as the daemon builds it."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._suspects = frozenset(setup.suspects)
        self._turn = Measurement()
        self._state: dict[str, bool] = {}
        self._changed = asyncio.Event()

    async def run(self) -> None:
        clock = SystemClock()
        fleet = self._fleet(clock)
        section = TelemetrySection(
            workers=self._setup.workers,
            slow_every_polls=self._setup.slow_every_polls,
            batch_wait_s=0.2,
        ).model_copy(  # more often than a config may ask for: more looks to measure
            update={
                "interval_s": self._setup.interval_s,
                "min_interval_s": self._setup.interval_s,
                "backoff_max_s": self._setup.interval_s,  # a hostile miner is asked as often
            }
        )
        buffer = ReadingBuffer(Nowhere(), None, section, clock, run_id="bench")
        telemetry = Poller(
            fleet,
            buffer,
            section,
            clock,
            timeout_s=3.0 * self._setup.read_timeout_s,
            rng=random.Random(1),
        )
        await self._meet(fleet)
        settle_memory()
        async with asyncio.TaskGroup() as group:
            jobs = [
                group.create_task(work) for work in (buffer.run(), telemetry.run(), self._tick())
            ]
            await self._obey()
            for job in jobs:
                job.cancel()
        await buffer.close()

    def begins(self, ip: str) -> Measurement:
        """A look begins; gives the measurement it belongs to."""
        if ip not in self._suspects:
            self._turn.under_way += 1
        return self._turn

    def heard(self, ip: str, turn: Measurement, took_ms: float, error: str | None) -> None:
        """A look of that measurement has ended."""
        if ip not in self._suspects:
            figures = turn.figures
            turn.under_way -= 1
            figures.failed += error is not None
            figures.latencies_ms.append(took_ms)
            self._changed.set()
            return
        # A look at one that hangs may begin in one turn and end in the next.
        figures = self._turn.figures
        self._state[ip] = error is None
        if error is None:
            figures.suspects_ok += 1
        else:
            figures.suspects_failed[error] = figures.suspects_failed.get(error, 0) + 1
        self._changed.set()

    def _fleet(self, clock: SystemClock) -> Fleet:
        setup = self._setup
        config = parse_config(
            {
                "miners": {
                    "ranges": list(setup.addresses),
                    "allowed": ["127.0.0.0/8"],
                    "read_timeout_s": setup.read_timeout_s,
                }
            }
        )
        timing = config.miners.timing()

        async def meet(endpoint: Endpoint, **more: Any) -> Any:
            driver = await recognise(endpoint, clock=clock, timing=timing, **more)
            return driver if isinstance(driver, Stranger) else TimedDriver(driver, self)

        ports = Endpoint(host="", http_port=setup.http_port, rpc_port=setup.rpc_port)
        return Fleet(
            Inventory(None),
            from_config(config),
            Territory(config.miners),
            ports,
            clock,
            recognise=meet,
            open_driver=partial(open_driver, clock=clock, timing=timing),
        )

    async def _meet(self, fleet: Fleet) -> None:
        gate = asyncio.Semaphore(16)

        async def one(ip: str) -> None:
            async with gate:
                driver, _ = await fleet.look_at(ip)
                if isinstance(driver, Stranger):
                    raise SystemExit(f"{ip} is not recognised")

        await asyncio.gather(*map(one, self._setup.addresses))

    async def _obey(self) -> None:
        reader = asyncio.StreamReader(limit=2**20)
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        _say({"known": len(self._setup.addresses)})
        while line := await reader.readline():
            order = msgspec.json.decode(line, type=MeasureOrder)
            await self._until(partial(self._is_as, order))
            gc.collect()
            _say(await self._measure(order.seconds))

    async def _measure(self, seconds: float) -> Figures:
        self._turn = turn = Measurement()
        figures = turn.figures
        _forget_peak()
        began, cpu = time.perf_counter(), time.process_time()
        await asyncio.sleep(seconds)
        figures.seconds, figures.cpu_s = time.perf_counter() - began, time.process_time() - cpu
        figures.rss_peak_kb = _peak_kb()
        self._turn = Measurement()
        # Else the slowest looks were the ones left out.
        await self._until(lambda: not turn.under_way)
        return figures

    async def _until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(_CHANGE_WAIT_S):
            while not is_so():
                self._changed.clear()
                await self._changed.wait()

    def _is_as(self, order: MeasureOrder) -> bool:
        return all(self._state.get(ip) is not order.hostile for ip in self._suspects) and (
            len(self._state) == len(self._suspects)
        )

    async def _tick(self) -> None:
        while True:
            cpu, wall = time.thread_time(), time.perf_counter()
            await asyncio.sleep(_TICK_S)
            figures = self._turn.figures
            figures.stall_cpu_ms = max(figures.stall_cpu_ms, (time.thread_time() - cpu) * 1e3)
            late_s = time.perf_counter() - wall - _TICK_S
            figures.late_ms = max(figures.late_ms, late_s * 1e3)


def _say(message: object) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(message) + b"\n")
    sys.stdout.buffer.flush()


def _status_kb(name: str) -> int:
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    raise KeyError(name)


def _rss_kb() -> int:
    return _status_kb("VmRSS:")


def _peak_kb() -> int:
    return _status_kb("VmHWM:")


def _forget_peak() -> None:
    """The kernel counts the peak again from now on."""
    Path("/proc/self/clear_refs").write_text("5")


if __name__ == "__main__":
    raise_open_files()
    set_up(LogSection(level="warning"))  # stdout is for figures
    _setup = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Setup)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(PollingAgent(_setup).run())
