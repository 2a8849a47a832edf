"""The long-running agent: builds every part from the config, runs them together, and stops them in order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import uuid
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from agent.config.file import Config
from agent.firmware.download import open_downloader
from agent.host.health import Health
from agent.host.heartbeat import Heart
from agent.host.version import agent_version
from agent.journal import Journal
from agent.limits.policy import policy_of
from agent.link.configured import open_link
from agent.local.orders import LocalOrders
from agent.local.socket import LocalRequest, LocalServer, LocalTask, show_way
from agent.local.status import STATUS, FarmStatus, LocalAnswer
from agent.miners.inventory import Inventory
from agent.miners.site import Site, open_site
from agent.scan.autoscan import AutoScan
from agent.scan.crowding import CrowdWatch
from agent.scan.first_ports import first_port
from agent.scan.hunt import Hunt
from agent.scan.report.memory import ScanMemory
from agent.scan.scanner import FarmScanner
from agent.selftest.copies import clear_left
from agent.sinks.registry import SINKS
from agent.sinks.sink import Sink
from agent.subscriptions.room import SUBSCRIPTIONS, Subscriptions
from agent.tasks.path import FLUSH_S, TaskPath
from agent.telemetry.buffer import BatchStore, ReadingBuffer
from agent.telemetry.latest import LatestLooks
from agent.telemetry.poller import Poller
from agent.update.managed import ReleaseHost
from agent.update.running import RunningReport, journal_turned
from agent.update.updates import Updates
from contract.clock import Clock
from contract.errors import BadParamsError, StorageFullError
from contract.link import Heartbeat, MinerReading, Settings
from contract.ranges import parse_range
from service.limits import raise_open_files, settle_memory
from service.notify import Notifier

log = structlog.get_logger(__name__)
_WRITE_BEHIND_S = 5.0
_READY_S = 10.0


class Daemon:
    """One agent, from start to stop. Build it, then `run` it once."""

    def __init__(
        self,
        config: Config,
        clock: Clock,
        notifier: Notifier,
        *,
        host: ReleaseHost | None = None,
    ) -> None:
        """`host` is this one, unless a test plays another. Raises ConfigError when a file the config names is missing,
        or the agent is not enrolled.
        """
        self._config = config
        self._clock = clock
        self._notifier = notifier
        self._stop = asyncio.Event()
        self._journal_depth = 0  # as of a few seconds ago
        self._began_mono = clock.mono()
        state = config.state
        self._link = open_link(config)
        self._site: Site = open_site(config, clock, Inventory(state.dir / "inventory.db"))
        fleet = self._site.fleet
        self._looks = LatestLooks(clock)
        self._buffer = ReadingBuffer(
            self._link,
            BatchStore(state.dir / "buffer.db", max_bytes=state.buffer_max_mb * 2**20),
            config.telemetry,
            clock,
            run_id=uuid.uuid4().hex,
            on_keys=fleet.learn_ids,
            on_reading=self._tell_sinks,
        )
        self._telemetry = Poller(
            fleet, self._buffer, config.telemetry, clock, timeout_s=self._site.look_timeout_s
        )
        self._scans = ScanMemory(state.dir / "scans.db")
        self._scanner = FarmScanner(
            fleet,
            self._site.territory,
            config.scan,
            self._site.scan_ports,
            clock,
            buffer=self._buffer,
            telemetry=self._telemetry,
            look_timeout_s=self._site.look_timeout_s,
            memory=self._scans,
        )
        self._crowd = CrowdWatch(lambda: self._site.fleet, clock)
        self._autoscan = AutoScan(self._scanner, config.scan, config.scanned, clock)
        self._hunt = Hunt(
            fleet,
            self._site.territory,
            config.scan,
            self._site.scan_ports,
            partial(first_port, ports=self._site.ports),
            clock,
            look_timeout_s=self._site.look_timeout_s,
            on_met=self._telemetry.hurry,
        )
        self._journal = Journal(
            state.dir / "journal.db",
            clock,
            keep_days=state.keep_reported_days,
            keep_rows=state.keep_tasks_max,
            keep_bytes=state.journal_max_mb * 2**20,
        )
        downloader = open_downloader(config)
        self._updates = Updates(
            config, downloader, lambda: self._path.policy, clock, host or ReleaseHost()
        )
        self._path = TaskPath(
            self._journal,
            self._link,
            fleet,
            self._scanner,
            downloader,
            policy_of(config),
            clock,
            state.dir,
            updates=self._updates,
        )
        self._sinks: dict[str, Sink] = {}
        for entry in SINKS:
            sink = entry.open(config, self._path, fleet, clock)
            if sink is not None:
                self._sinks[entry.name] = sink
        self._heart = Heart(
            self._link, clock, self._beat, self._follow, every_s=config.health.heartbeat_s
        )
        self._subscriptions = Subscriptions(config, self._link, clock)
        self._status = FarmStatus(
            fleet,
            self._looks,
            self._telemetry,
            self._path,
            self._buffer,
            self._heart,
            clock,
            sinks=self._sink_states,
            notices=self._notices,
            journal_depth=lambda: self._journal_depth,
            release=self._release,
        )
        self._health = Health(
            clock,
            notifier,
            journal_turn_mono=lambda: self._journal.heartbeat_mono,
            journal_stall_s=config.health.journal_stall_s,
            slots_alive=lambda: self._path.slots_alive,
        )

    def stop(self) -> None:
        """Ask `run` to end: what is being exchanged with miners is ended properly first."""
        self._stop.set()

    async def run(self) -> None:
        """Run until `stop`. Raises what ends the agent for good: FolderLockedError, JournalVersionError, OSError, and
        ConfigError for a port that is taken.
        """
        raise_open_files()
        async with self._opened(), asyncio.TaskGroup() as group:
            path = group.create_task(self._path.run(), name="taskpath")
            # its journal's lock is what makes us the only agent of this folder: nothing else begins before
            await self._until_ready(path)
            async with self._doors():
                parts: list[asyncio.Task[None]] = []

                def start(name: str, part: Coroutine[Any, Any, None]) -> None:
                    parts.append(group.create_task(part, name=name))

                start("health", self._health.run())
                start("buffer", self._buffer.run())
                start("heartbeat", self._heart.run())
                start("inventory", self._write_behind())
                start("autoscan", self._autoscan.run())
                if self._config.telemetry.enabled:
                    start("telemetry", self._telemetry.run())
                    if self._config.scan.hunt:
                        start("hunt", self._hunt.run())
                for name, sink in self._sinks.items():
                    start(name, sink.run())
                settle_memory()
                self._notifier.ready(f"{len(self._site.fleet)} miners known")
                log.info("agent.ready", version=agent_version(), miners=len(self._site.fleet))
                if (own := self._updates.own) is not None:
                    report = RunningReport(self._config.state.dir, own, self._clock)
                    start(
                        "release",
                        report.run(
                            lambda: self._heart.heard_mono is not None,
                            partial(journal_turned, self._journal),
                        ),
                    )
                await self._stop.wait()
                self._notifier.stopping()
                log.info("agent.stopping")
                await self._stop_path(path)
                for part in parts:
                    part.cancel()
        log.info("agent.stopped")

    async def _until_ready(self, path: asyncio.Task[None]) -> None:
        """A disk that does not come back keeps tasks from being begun, but not the miners from being looked at."""
        ready = asyncio.ensure_future(self._path.ready())
        try:
            await asyncio.wait((ready, path), timeout=_READY_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
        if path.done():
            await path  # it only ends by itself when it cannot run: raises why

    async def _stop_path(self, path: asyncio.Task[None]) -> None:
        self._path.stop()
        try:
            async with asyncio.timeout(self._config.limits.stop_within_s + FLUSH_S + 1.0):
                await asyncio.shield(path)
        except TimeoutError:
            # what is cut here stands in the journal with its intent, and is looked at after the restart
            log.warning("agent.stop_cut", after_s=self._config.limits.stop_within_s)
        path.cancel()

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[None]:
        self._config.state.dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        clear_left(self._config.state.dir)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._link.close)
            stack.push_async_callback(self._site.rigs.close)
            await self._site.inventory.open()
            stack.push_async_callback(self._site.inventory.close)
            await stack.enter_async_context(self._scans)
            self._path.maintenance.follow(self._site.inventory.maintained)
            self._site.fleet.restore()
            stack.push_async_callback(self._buffer.close)
            yield

    @asynccontextmanager
    async def _doors(self) -> AsyncIterator[None]:
        """Where others on this host come in."""
        async with AsyncExitStack() as stack:
            here = LocalOrders(self._path, self._site.fleet, pace=self._site.timing.pace)

            def handle(request: LocalRequest) -> LocalTask:
                if request.name == SUBSCRIPTIONS:
                    return self._subscriptions.asked(request)
                is_status = request.name == STATUS
                return LocalAnswer(self._status) if is_status else here.order(request)

            await stack.enter_async_context(self._subscriptions.opened())
            door = LocalServer(self._config.socket_path, handle)
            try:
                await door.start()
                stack.push_async_callback(door.stop)
                if folder := os.environ.get("RUNTIME_DIRECTORY"):  # as systemd tells it
                    show_way(self._config.socket_path, Path(folder))
            except OSError as error:
                # A read-only disk; tasks of the cloud are not kept waiting for it.
                log.error("agent.no_door", path=str(self._config.socket_path), error=str(error))
            port = self._config.health.metrics_port
            if port is not None:
                from agent.sinks.prometheus import MetricsServer

                stack.enter_context(
                    MetricsServer(self._config.health.metrics_host, port, self.figures)
                )
            yield

    async def _write_behind(self) -> None:
        while True:
            await self._clock.sleep(_WRITE_BEHIND_S)
            self._site.inventory.keep_maintained(self._path.maintenance.keys)
            await self._site.inventory.flush()
            # a journal in trouble says so itself, in the notices
            with contextlib.suppress(StorageFullError, TimeoutError):
                async with asyncio.timeout(_WRITE_BEHIND_S):
                    self._journal_depth = await self._journal.depth()
            self._notifier.status(
                f"{len(self._site.fleet)} miners known, cloud: {self._heart.state}"
            )

    async def _follow(self, settings: Settings) -> None:
        """The cloud's wishes, inside the local ceilings."""
        named = [each for each in settings.named if self._is_scannable(each.range)]
        ranges = [text for text in settings.ranges if self._is_scannable(text)]
        scanned = (*ranges, *(each.range for each in named if each.auto_scan))
        self._autoscan.follow(scanned, settings.auto_scan_s)
        await self._scans.keep_named(named)
        told = (*ranges, *(each.range for each in named))
        self._site.territory.follow(told)
        self._hunt.follow(map(parse_range, told))
        self._telemetry.set_interval(settings.poll_interval_s or self._config.telemetry.interval_s)
        self._path.set_read_only(self._config.policy.read_only or bool(settings.read_only))
        self._path.maintenance.follow(settings.maintenance)
        self._site.inventory.keep_maintained(self._path.maintenance.keys)

    def _is_scannable(self, text: str) -> bool:
        """Whether a range of the cloud is one that this agent scans."""
        try:
            self._site.territory.select([text], max_addresses=self._config.scan.max_addresses)
        except BadParamsError as error:
            log.warning("settings.range_refused", range=text[:80], error=str(error)[:300])
            return False
        return True

    def _beat(self, host: dict[str, Any]) -> Heartbeat:
        return Heartbeat(
            version=agent_version(),
            uptime_s=round(self._clock.mono() - self._began_mono, 1),
            host=host,
            journal_depth=self._journal_depth,
            buffer_depth=self._buffer.depth,
            miners_known=len(self._site.inventory),
            sinks={"cloud": self._buffer.state, **self._sink_states()},
            capabilities=self._site.fleet.members.capabilities(),
            notices=tuple(self._notices()),
            release=self._release or None,
        )

    @property
    def _release(self) -> str:
        """The sha256 of the release that runs; empty for what is none."""
        return "" if self._updates.own is None else self._updates.own.sha256

    def _tell_sinks(self, reading: MinerReading) -> None:
        self._looks.take(reading)
        for sink in self._sinks.values():
            sink.take(reading)

    def _sink_states(self) -> dict[str, str]:
        return {name: sink.state for name, sink in self._sinks.items()}

    def _notices(self) -> list[str]:
        rigs = self._site.rigs
        notices = [
            *self._path.notices,
            *self._site.fleet.members.notices,
            *rigs.unusable,
            *self._crowd.notices,
            *self._subscriptions.notices,
        ]
        if self._buffer.dropped:
            notices.append(f"{self._buffer.dropped} readings were dropped since the agent started")
        if refused := [ip for ip in self._telemetry.login_refused if ip not in rigs]:
            notices.append(
                f"Miners that refuse our user or password: {len(refused)}, {refused[0]} for one. Correct "
                "[[credentials]]; miner-agent doctor says which login was tried."
            )
        if not self._health.is_well:
            notices.append("The journal's writer stands still.")
        return notices

    def figures(self) -> Mapping[str, float]:
        """What `agent.sinks.prometheus` declares."""
        lags = sorted(self._telemetry.lags_s)
        stats = self._telemetry.stats
        return {
            "looks": stats.looks,
            "looks_failed": stats.failed,
            "readings_sent": self._buffer.sent,
            "readings_dropped": self._buffer.dropped,
            "tasks_settled": self._path.dispatcher.settled,
            "miners_known": len(self._site.inventory),
            "miners_login_refused": len(self._telemetry.login_refused),
            "journal_depth": self._journal_depth,
            "buffer_depth": self._buffer.depth,
            "lease_left_seconds": self._path.lease_left_s,
            "poll_lag_p99_seconds": lags[int(len(lags) * 0.99)] if lags else 0.0,
            "loop_lag_seconds": self._health.loop_lag_s,
        }


async def run(
    config: Config, clock: Clock, notifier: Notifier, *, host: ReleaseHost | None = None
) -> None:
    """Run an agent until SIGTERM or SIGINT; `host` is as `Daemon` has it. Raises what `Daemon` raises."""
    daemon = Daemon(config, clock, notifier, host=host)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, daemon.stop)
    try:
        await daemon.run()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(ValueError):
                loop.remove_signal_handler(number)
