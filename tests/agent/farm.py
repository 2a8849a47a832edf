"""Far sides for tests of the task path: a cloud and miners in memory, which keep account of what was asked of them."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from agent.journal import Journal
from agent.policy import Policy
from agent.ports import CloudError, ScanSummary
from agent.taskpath import TaskPath
from contract.clock import BootTime, Clock, SystemClock
from contract.errors import (
    BadFirmwareError,
    OutcomeUnknownError,
    UnreachableError,
    WrongDeviceError,
)
from contract.link import (
    LEASE_S,
    Ack,
    ClaimedTask,
    ClaimReply,
    ClaimRequest,
    Event,
    MinerRef,
    ReportReply,
    ReportRequest,
)
from contract.miner import Endpoint, Identity, Make, Reading
from contract.task import SPECS, TERMINAL, Outcome, TaskName
from drivers.base import (
    AnyChange,
    Capabilities,
    Depth,
    Effect,
    Evidence,
    Firmware,
    Light,
    LogFile,
    Mode,
    NoChange,
    Plan,
    Pools,
    Reboot,
)

ENDS = {status.value for status in TERMINAL}


class HandClock:
    """Time moves only when the test says so."""

    def __init__(self) -> None:
        self._mono = 1000.0
        self._wall = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []
        self.busy: Callable[[], bool] = lambda: False  # whether a thread still works for the loop

    def now(self) -> datetime:
        return self._wall

    def mono(self) -> float:
        return self._mono

    def boot(self) -> BootTime:
        return BootTime("the host of these tests", self._mono)

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._mono + seconds, future))
        await future

    def step(self, by: timedelta) -> None:
        """Set the clock on the wall."""
        self._wall += by

    async def advance(self, seconds: float) -> None:
        """Let so much time pass, waking everyone on the way at his moment."""
        end = self._mono + seconds
        while True:
            await self._settle()
            self._sleepers = [each for each in self._sleepers if not each[1].done()]
            due = [each[0] for each in self._sleepers if each[0] <= end]
            if not due:
                break
            self._to(min(due))
            for at, future in self._sleepers:
                if at <= self._mono and not future.done():
                    future.set_result(None)
        self._to(end)
        await self._settle()

    async def _settle(self) -> None:
        """Let everything go on that can go on without time passing."""
        calm = 0
        while calm < 20:
            calm = 0 if self.busy() else calm + 1
            await asyncio.sleep(0)

    def _to(self, mono: float) -> None:
        self._wall += timedelta(seconds=max(0.0, mono - self._mono))
        self._mono = max(self._mono, mono)


class WatchedJournal(Journal):
    """Tells whether anybody still waits for it."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._waited: set[asyncio.Future[Any]] = set()

    def _submit(self, work: Any, need: Any) -> asyncio.Future[Any]:
        future = super()._submit(work, need)
        self._waited.add(future)
        future.add_done_callback(self._waited.discard)
        return future

    def busy(self) -> bool:
        return bool(self._waited)


async def until(condition: Callable[[], bool], *, within_s: float = 10.0) -> None:
    """Wait for a condition; AssertionError if it does not come."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110  any condition, also of another process
            await asyncio.sleep(0.005)


class FakeCloud:
    """A queue, a lease, and an exact memory of what was reported."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or SystemClock()
        self.queued: list[ClaimedTask] = []
        self.given: dict[str, ClaimedTask] = {}
        self.cancel: set[str] = set()
        self.events: list[Event] = []
        self.claims: list[ClaimRequest] = []
        self.files: dict[str, tuple[LogFile, bytes]] = {}
        self.reports = 0
        self.lease_s = LEASE_S
        self.away: CloudError | None = None
        self.report_error: Callable[[ReportRequest], CloudError | None] = lambda _: None
        self.ack_state: Callable[[Event], str] = lambda _: "ok"
        self.upload_errors = 0
        self._seen: dict[tuple[str, int, int], Event] = {}
        self._numbers = itertools.count(1)
        self._changed = asyncio.Event()

    def create(
        self,
        name: TaskName = TaskName.LIGHT,
        params: dict[str, Any] | None = None,
        miner: MinerRef | None = None,
        *,
        task_id: str | None = None,
        epoch: int = 1,
        queue_ttl_s: float = 86_400.0,
        limit_s: float | None = None,
    ) -> str:
        """Queue a task; gives its id."""
        given = task_id or f"task-{next(self._numbers)}"
        self.queued.append(
            ClaimedTask(
                task_id=given,
                batch_id="batch-1",
                epoch=epoch,
                name=name,
                params=params if params is not None else {"action": "on"},
                miner=miner,
                queue_ttl_s=queue_ttl_s,
                limit_s=SPECS[name].limit_s if limit_s is None else limit_s,
            )
        )
        self.poke()
        return given

    def poke(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def of(self, task_id: str) -> list[Event]:
        return [event for event in self.events if event.task_id == task_id]

    def end(self, task_id: str) -> Event | None:
        return next((event for event in self.of(task_id) if event.state in ENDS), None)

    async def ended(self, task_id: str, *, within_s: float = 10.0) -> Event:
        await until(lambda: self.end(task_id) is not None, within_s=within_s)
        event = self.end(task_id)
        assert event is not None
        return event

    async def claim(self, request: ClaimRequest) -> ClaimReply:
        self.claims.append(request)
        if self.away is not None:
            await asyncio.sleep(0)
            raise self.away
        held = {(each.task_id, each.epoch) for each in request.open}
        lost = [
            task
            for key, task in self.given.items()
            if (key, task.epoch) not in held and self.end(key) is None
        ]
        if not lost and not (self.queued and request.room) and not self.cancel:
            waits = {
                asyncio.ensure_future(self._changed.wait()),
                asyncio.ensure_future(self.clock.sleep(min(request.wait_s, 0.5))),
            }
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for each in waits:
                    each.cancel()
        if self.away is not None:
            raise self.away
        if self.cancel:
            await self.clock.sleep(0.01)
        fresh = self.queued[: request.room]
        self.queued = self.queued[request.room :]
        self.given.update({task.task_id: task for task in fresh})
        open_cancels = tuple(each for each in self.cancel if self.end(each) is None)
        return ClaimReply(tasks=(*lost, *fresh), cancel=open_cancels, lease_s=self.lease_s)

    async def report(self, request: ReportRequest) -> ReportReply:
        self.reports += 1
        if self.away is not None:
            await asyncio.sleep(0)
            raise self.away
        error = self.report_error(request)
        if error is not None:
            raise error
        acks = []
        for event in request.events:
            key = (event.task_id, event.epoch, event.seq)
            state = "duplicate" if key in self._seen else self.ack_state(event)
            if key not in self._seen:
                self._seen[key] = event
                self.events.append(event)
            acks.append(Ack(task_id=event.task_id, epoch=event.epoch, seq=event.seq, state=state))
        return ReportReply(acks=tuple(acks))

    async def upload(self, task_id: str, file: LogFile) -> None:
        if self.upload_errors:
            self.upload_errors -= 1
            raise CloudError("connection lost", retry=True)
        self.files[task_id] = (file, await asyncio.to_thread(Path(file.path).read_bytes))


class FakeMiner:
    """A device with a memory: every byte of a write ends up in `ledger`."""

    make: ClassVar[str] = "fake"

    def __init__(self, number: int) -> None:
        self.ref = MinerRef(
            id=f"miner-{number}", mac=f"02:00:00:00:{number // 256:02X}:{number % 256:02X}"
        )
        self.state: dict[str, Any] = {"light": False, "mode": "normal", "pools": [], "boot": 1}
        self.ledger: list[str] = []
        self.trace: list[str] = []
        self.plan_error: Exception | None = None
        self.apply_error: Exception | None = None  # raised with the write on its way
        self.verify_error: Exception | None = None
        self.only_read: str | None = None  # why it is never written to
        self.unreachable = 0  # so many looks find nobody
        self.ignores = False
        self.gate: dict[str, asyncio.Event] = {}  # waited for before plan, connect, write, verify
        self.stubborn = False  # does not end when cancelled
        self.at_once = 0
        self.most_at_once = 0
        self.writes_needed = 1

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(host="127.0.0.1")

    @property
    def identity(self) -> Identity:
        return Identity(
            make=Make.UNKNOWN,
            model="Fake 1",
            mac=self.ref.mac,
            drivable=self.only_read is None,
            reason=self.only_read,
        )

    @property
    def capabilities(self) -> Capabilities | None:
        return None

    @property
    def min_interval_s(self) -> float:
        return 0.0

    async def identify(self) -> Identity:
        return self.identity

    async def read(self, depth: Depth = Depth.MOVING) -> Reading:
        raise NotImplementedError

    async def plan(self, change: AnyChange) -> Plan | NoChange:
        self.trace.append("plan")
        await self._wait("plan")
        if self.plan_error is not None:
            raise self.plan_error
        before = dict(self.state)
        if self._as_wished(change):
            return NoChange(change=change, before=before)
        return Plan(change=change, before=before)

    async def apply(self, plan: Plan, effect: Effect) -> None:
        self.trace.append("apply")
        await self._wait("connect")
        for _ in range(self.writes_needed):
            async with effect.sending():
                self.at_once += 1
                self.most_at_once = max(self.most_at_once, self.at_once)
                try:
                    await self._wait("write")
                    self.ledger.append(type(plan.change).__name__)
                    if not self.ignores:
                        self._change(plan.change)
                finally:
                    self.at_once -= 1
                if self.apply_error is not None:
                    raise self.apply_error

    async def verify(self, plan: Plan, effect: Effect) -> Evidence:
        self.trace.append("verify")
        await self._wait("verify")
        if self.verify_error is not None:
            raise self.verify_error
        done = (
            self.state["boot"] > plan.before["boot"]
            if isinstance(plan.change, Reboot | Firmware)
            else self._as_wished(plan.change)
        )
        return Evidence(
            outcome=Outcome.DONE if done else Outcome.NOT_DONE,
            verified=True,
            before=plan.before,
            after=dict(self.state),
            signal="state",
            seconds=0.1,
        )

    async def get_log(self, folder: Path, *, size_cap_bytes: int) -> LogFile:
        self.trace.append("log")
        await self._wait("log")
        data = b"a line\n" * 100
        path = folder / "miner.log"
        await asyncio.to_thread(path.write_bytes, data)
        return LogFile(
            path=str(path),
            name="miner.log",
            size_bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
        )

    async def _wait(self, where: str) -> None:
        event = self.gate.get(where)
        while event is not None and not event.is_set():
            try:
                await event.wait()
            except asyncio.CancelledError:
                if not self.stubborn:
                    raise

    def _as_wished(self, change: AnyChange) -> bool:
        match change:
            case Light():
                return self.state["light"] == change.on
            case Mode():
                return bool(self.state["mode"] == str(change.mode or change.preset))
            case Pools():
                return bool(self.state["pools"] == [each.url for each in change.pools])
            case _:
                return False

    def _change(self, change: AnyChange) -> None:
        match change:
            case Light():
                self.state["light"] = change.on
            case Mode():
                self.state["mode"] = str(change.mode or change.preset)
            case Pools():
                self.state["pools"] = [each.url for each in change.pools]
            case _:
                self.state["boot"] += 1


class FakeFarm:
    """`Miners`, `Scanner` and `Downloader` in one."""

    def __init__(self, count: int = 3) -> None:
        self.miners = [FakeMiner(number) for number in range(count)]
        self.scanned: list[tuple[str, ...]] = []
        self.scan_gate: asyncio.Event | None = None
        self.fetched: list[str] = []
        self.asked_age_s: list[float] = []

    async def driver_for(self, ref: MinerRef, *, max_age_s: float) -> FakeMiner:
        self.asked_age_s.append(max_age_s)
        for miner in self.miners:
            if miner.ref.id == ref.id:
                if miner.unreachable:
                    miner.unreachable -= 1
                    raise UnreachableError("nobody answers at its last address")
                return miner
        raise WrongDeviceError("another miner answers there")

    async def scan(
        self,
        ranges: tuple[str, ...],
        progress: Callable[[int, int], Awaitable[None]] | None = None,
    ) -> ScanSummary:
        self.scanned.append(ranges)
        if progress is not None:
            await progress(1, 2)
        if self.scan_gate is not None:
            await self.scan_gate.wait()
        return ScanSummary(
            addresses=2, silent=1, refused=0, unknown=0, failed=0, found=1, new=1, seconds=0.1
        )

    async def fetch(self, url: str, folder: Path, *, cap_bytes: int, sha256: str | None) -> Path:
        self.fetched.append(url)
        if "bad" in url:
            raise BadFirmwareError("the file's checksum is not the one of the task")
        path = folder / "firmware.bin"
        await asyncio.to_thread(path.write_bytes, b"firmware")
        return path


class Site:
    """A running task path and its far sides."""

    def __init__(
        self,
        folder: Path,
        *,
        cloud: FakeCloud | None = None,
        farm: FakeFarm | None = None,
        clock: Clock | None = None,
        policy: Policy | None = None,
        journal: Journal | None = None,
    ) -> None:
        self.clock = clock or SystemClock()
        self.cloud = cloud or FakeCloud(self.clock)
        self.farm = farm or FakeFarm()
        watched = WatchedJournal(folder / "journal.db", self.clock, ballast_bytes=4096)
        self.journal = journal or watched
        if isinstance(self.clock, HandClock):
            self.clock.busy = watched.busy
        self.path = TaskPath(
            self.journal,
            self.cloud,
            self.farm,
            self.farm,
            self.farm,
            policy or Policy(stop_grace_s=1.0),
            self.clock,
            folder,
        )
        self._run: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._run = asyncio.create_task(self.path.run())

    async def stop(self) -> None:
        assert self._run is not None
        self.path.stop()
        await asyncio.wait_for(asyncio.shield(self._run), 20.0)

    async def die(self) -> None:
        """End as a crash does: nothing is finished, nothing more is written."""
        assert self._run is not None
        self._run.cancel()
        await asyncio.wait({self._run})

    def task(self, miner: int = 0, **more: Any) -> str:
        return self.cloud.create(miner=self.farm.miners[miner].ref, **more)


@asynccontextmanager
async def site(folder: Path, **parts: Any) -> AsyncIterator[Site]:
    """A site that runs until the block ends."""
    made = Site(folder, **parts)
    made.start()
    try:
        await asyncio.wait_for(made.path.ready(), 10.0)
        yield made
    finally:
        if made._run is not None and not made._run.done():
            await made.stop()


def code(event: Event) -> str | None:
    assert event.result is not None
    error = event.result.get("error")
    return None if error is None else str(error["code"])


LOST = OutcomeUnknownError("the answer was lost")
NO_CLOUD = CloudError("no route to the cloud", retry=True)
