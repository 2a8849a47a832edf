"""One simulated miner on real sockets and a driver for it: what the tests of each make's changes begin with.

A make's own `stage.py` says what differs: who opens its drivers, its ports, its factory login, its block of addresses.
"""

from __future__ import annotations

import itertools
import os
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

import msgspec

from contract.clock import from_text
from contract.errors import OutcomeUnknownError
from contract.miner import Endpoint, Identity
from drivers.base import (
    AnyChange,
    Credentials,
    Driver,
    Evidence,
    FirmwareUpdate,
    NoChange,
    Plan,
    Timing,
)
from drivers.wire import Wire
from simulator.farm import Farm
from tests.drivers.effects import MemoryEffect
from tests.drivers.meeting import meet
from tests.virtual_time import VirtualClock

_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw") or 0)
_hosts = itertools.count()


class TimedDriver(Driver, Protocol):
    """What the drivers of all makes are, beyond what the agent asks of them."""

    timing: Timing


D = TypeVar("D", bound=TimedDriver)


def timing(**changes: Any) -> Timing:
    return msgspec.structs.replace(Timing(read_s=5.0, write_s=20.0, log_s=10.0), **changes)


class MakeStage(ABC, Generic[D]):
    """One simulated miner (`miner`), its driver, the farm's ledger, and the clock that all of them live by."""

    make: ClassVar[str]  # as the simulator's catalogue spells it
    entry: ClassVar[Any]  # a `drivers.entry.Entry`
    ports: ClassVar[tuple[str, ...]]  # of Endpoint: all that the driver speaks to
    block: ClassVar[int]  # second number of its addresses; those after it are of other workers
    upload: ClassVar[bytes]  # what is on the line when a file is sent

    @staticmethod
    @abstractmethod
    def login(identity: Identity) -> Credentials:
        """What such a miner leaves the factory with."""

    @property
    @abstractmethod
    def slots(self) -> list[dict[str, str]]:
        """The places for its pools, as it stores them."""

    @property
    def stored(self) -> list[tuple[str, str, str]]:
        """Url, user and password of each place."""
        return [(slot["url"], slot["user"], slot["pass"]) for slot in self.slots]

    @abstractmethod
    def settings(self) -> dict[str, str]:
        """What it is set to beside its pools."""

    @property
    @abstractmethod
    def versions(self) -> tuple[str, ...]:
        """What its firmware is called; the first is the one it is known by."""

    @abstractmethod
    def next_version(self) -> str:
        """What the firmware of `newer` will be called."""

    @abstractmethod
    def single_image(self) -> bytes:
        """A newer firmware for this control board and no other; the last byte is of its seal."""

    @abstractmethod
    def strangers(self, folder: Path) -> Iterator[tuple[FirmwareUpdate, str]]:
        """Files that are not for this miner, each with the word it is refused with."""

    @abstractmethod
    def check_log(self, data: bytes) -> None:
        """Assert that this is the log of this miner."""

    def __init__(self, farm: Farm, driver: D) -> None:
        self.clock = VirtualClock()
        self.farm = farm
        self.miner: Any = farm.miners[0]
        # with `stranger`: one like it, at an address of its own
        self.stranger: Any = farm.miners[-1]
        self.driver = driver

    @classmethod
    @asynccontextmanager
    async def begin(
        cls, key: str, *faults: Any, late: bool = False, stranger: bool = False, **changes: Any
    ) -> AsyncIterator[Self]:
        """A miner of the catalogue with faults from the beginning (`late`: from after its identification).

        `stranger`: another one like it stands by. `changes` are those of its driver's `Timing`.
        """
        specs, base = [f"{cls.make}/{key}"], cls.next_base()
        if stranger:
            specs *= 2
            cls.next_base()  # the address after it is taken, too
        farm = await Farm.start(specs, base=base)
        miner: Any = farm.miners[0]
        try:
            if not late:
                miner.faults.replace(faults)
            driver = await cls.open_driver(miner, timing(**changes))
            if late:
                miner.faults.replace(faults)
            yield cls(farm, driver)
        finally:
            await farm.stop()

    @classmethod
    async def open_driver(cls, miner: Any, timing_: Timing) -> D:
        """A driver that has identified this simulated miner as it answers right now."""
        ports = {name: getattr(miner, name) for name in cls.ports}
        clock = VirtualClock()
        driver: D = await meet(Endpoint(host=miner.ip, **ports), cls.login, timing_, clock=clock)
        return driver

    @classmethod
    def next_base(cls) -> str:
        """A loopback address that no other test of this run uses."""
        number = next(_hosts)
        return f"127.{cls.block + _worker}.{number // 200}.{number % 200 + 1}"

    def change_hands(self) -> None:
        """From now on the stranger answers at this address, and its miner at that of the stranger."""
        self.miner.swap(self.stranger)

    @property
    def faults(self) -> Any:
        return self.miner.faults

    def ledger(self, *actions: str, phase: str = "applied") -> list[dict[str, Any]]:
        """The ledger's lines of these actions, in order."""
        return [
            line
            for line in self.farm.ledger.entries
            if line["phase"] == phase and (not actions or line["action"] in actions)
        ]

    def permit(self, notes: Mapping[str, Any] | None = None) -> MemoryEffect:
        """Permission to change the miner; `notes` are what a crash left of an earlier one."""
        return MemoryEffect(self.clock, notes)

    async def planned(self, change: AnyChange) -> Plan:
        found = await self.driver.plan(change)
        assert isinstance(found, Plan), found
        return found

    async def no_change(self, change: AnyChange) -> NoChange:
        found = await self.driver.plan(change)
        assert isinstance(found, NoChange), found
        return found

    async def carry_out(self, change: AnyChange) -> Evidence:
        """Plan, apply, verify; a lost answer leads to verify, as in the agent."""
        plan = await self.planned(change)
        permit = self.permit()
        with suppress(OutcomeUnknownError):
            await self.driver.apply(plan, permit)
        return await self.driver.verify(plan, permit)

    def newer(self, folder: Path, name: str = "", **more: Any) -> FirmwareUpdate:
        """A file with a newer version for this miner."""
        return self.file(folder / (name or self.image_name), self.miner.newer_image(), **more)

    @property
    def image_name(self) -> str:
        """What the maker calls a file for this miner."""
        return "firmware.bin"

    @staticmethod
    def file(path: Path, data: bytes, **more: Any) -> FirmwareUpdate:
        path.write_bytes(data)
        return FirmwareUpdate(path=str(path), **more)

    async def after_a_crash(
        self, plan: Plan, permit: MemoryEffect, *kept: str, later_s: float = 0.0
    ) -> Evidence:
        """What the next process of the agent finds, which has the plan and these of the notes (none named: all)."""
        await self.miner.clock.sleep(later_s)
        notes = {name: permit.notes[name] for name in kept or permit.notes}
        assert from_text(notes["intent_at"]) <= self.clock.now() - timedelta(seconds=later_s)
        return await self.another_driver().verify(plan, self.permit(notes))

    def another_driver(self) -> D:
        """As after a crash of the agent: nothing remembered."""
        old = self.driver
        wire = Wire(old.endpoint, self.clock, old.timing)
        driver: D = self.entry.open_driver(wire, self.login, old.identity)
        return driver

    async def met_anew(self) -> D:
        """A driver that knows the miner only as it answers right now."""
        return await self.open_driver(self.miner, self.driver.timing)
