"""Miners in memory, which keep account of what was asked of them and of every byte that was written."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, ClassVar

from agent.ports import AwakeMode, ScanProgress, ScanSummary
from contract.errors import (
    BadFirmwareError,
    OutcomeUnknownError,
    UnreachableError,
    WrongDeviceError,
)
from contract.link import MinerRef
from contract.miner import Endpoint, Identity, Make, PowerMode, Reading
from contract.outcome import Outcome
from drivers.base import (
    AWAKE_MODE,
    AnyChange,
    Capabilities,
    Depth,
    Evidence,
    FirmwareUpdate,
    Light,
    LogFile,
    Mode,
    NoChange,
    Permit,
    Plan,
    Pools,
    Reboot,
    Resume,
    SetPercent,
    Suspend,
    Who,
)
from drivers.changes.identity import who_is

LOST = OutcomeUnknownError("the answer was lost")


class FakeMiner:
    """A device with a memory: every byte of a write ends up in `ledger`."""

    make: ClassVar[str] = "fake"

    def __init__(self, number: int) -> None:
        self.host = f"127.1.{number // 250}.{number % 250 + 1}"
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
        self.set_percent: SetPercent | None = None
        self.stubborn = False  # does not end when cancelled
        self.at_once = 0
        self.most_at_once = 0
        self.writes_needed = 1

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(host=self.host)

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

    async def who(self) -> Who | None:
        return who_is(self.identity)

    async def read(self, depth: Depth = Depth.MOVING) -> Reading:
        raise NotImplementedError

    async def plan(self, change: AnyChange) -> Plan | NoChange:
        self.trace.append("plan")
        await self._wait("plan")
        if self.plan_error is not None:
            raise self.plan_error
        before = dict(self.state)
        if isinstance(change, Suspend):
            before[AWAKE_MODE] = self.state["mode"]
        if self._as_wished(change):
            return NoChange(change=change, before=before)
        return Plan(change=change, before=before, raises_power=self._raises_power(change))

    async def apply(self, plan: Plan, permit: Permit) -> None:
        self.trace.append("apply")
        await self._wait("connect")
        for _ in range(self.writes_needed):
            async with permit.sending():
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

    async def verify(self, plan: Plan, permit: Permit) -> Evidence:
        self.trace.append("verify")
        await self._wait("verify")
        if self.verify_error is not None:
            raise self.verify_error
        done = (
            self.state["boot"] > plan.before["boot"]
            if isinstance(plan.change, Reboot | FirmwareUpdate)
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

    def _raises_power(self, change: AnyChange) -> bool:
        if isinstance(change, Mode):
            return change.mode is not PowerMode.SLEEP
        return not isinstance(change, Light | Pools | Suspend)

    def _as_wished(self, change: AnyChange) -> bool:
        match change:
            case Light():
                return bool(self.state["light"] == change.on)
            case Mode():
                return bool(self.state["mode"] == str(change.mode or change.preset))
            case Suspend():
                return bool(self.state["mode"] == "sleep")
            case Resume():
                return bool(self.state["mode"] != "sleep")
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
            case Suspend():
                self.state["mode"] = "sleep"
            case Resume():
                self.state["mode"] = str(change.mode or PowerMode.NORMAL)
            case Pools():
                self.state["pools"] = [each.url for each in change.pools]
            case _:
                self.state["boot"] += 1


class FakeFarm:
    """`Miners`, `Scanner` and `Downloader` in one."""

    def __init__(self, count: int = 3, *, kind: type[FakeMiner] = FakeMiner) -> None:
        self.miners = [kind(number) for number in range(count)]
        self.scanned: list[tuple[str, ...]] = []
        self.scan_gate: asyncio.Event | None = None
        self.fetched: list[str] = []
        self.asked_age_s: list[float] = []
        self.awake_modes: dict[str, AwakeMode] = {}  # by the cloud's id
        self.kept_modes: list[tuple[str, PowerMode]] = []

    async def driver_for(
        self, ref: MinerRef, *, max_age_s: float, may_be_off: bool = False
    ) -> FakeMiner:
        self.asked_age_s.append(max_age_s)
        for miner in self.miners:
            if ref.id in (miner.ref.id, f"ip:{miner.host}"):
                if miner.unreachable:
                    miner.unreachable -= 1
                    raise UnreachableError("nobody answers at its last address")
                return miner
        raise WrongDeviceError("another miner answers there")

    def hidden_mac(self, ref: MinerRef) -> str | None:
        return None

    def awake_mode(self, ref: MinerRef) -> AwakeMode | None:
        return self.awake_modes.get(ref.id)

    async def keep_awake_mode(self, ref: MinerRef, mode: PowerMode) -> None:
        self.kept_modes.append((ref.id, mode))

    def __len__(self) -> int:
        return len(self.miners)

    async def scan(
        self,
        ranges: tuple[str, ...],
        progress: Callable[[ScanProgress], Awaitable[None]] | None = None,
        *,
        manner: str = "default",
        key: str | None = None,
    ) -> ScanSummary:
        self.scanned.append(ranges)
        if progress is not None:
            await progress(ScanProgress(done=1, total=2, found=0))
        if self.scan_gate is not None:
            await self.scan_gate.wait()
        return ScanSummary(
            addresses=2, silent=1, refused=0, unknown=0, failed=0, found=1, new=1, seconds=0.1
        )

    def so_far(self) -> ScanSummary | None:
        return None

    async def fetch(self, url: str, folder: Path, *, cap_bytes: int, sha256: str | None) -> Path:
        self.fetched.append(url)
        if "bad" in url:
            raise BadFirmwareError("the file's checksum is not the one of the task")
        path = folder / "firmware.bin"
        await asyncio.to_thread(path.write_bytes, b"firmware")
        return path
