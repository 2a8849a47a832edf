"""The firmware: a file chosen and sent, the restart awaited, the version read back."""

from __future__ import annotations

import asyncio
import os
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Final, Generic, TypeVar

import msgspec

from contract.clock import to_text
from contract.errors import BadFirmwareError
from contract.miner import Identity
from drivers.base import Data, Evidence, FirmwareUpdate, NoChange, Permit, Plan, Proof, TypedPlan
from drivers.changes.identity import check_whose
from drivers.changes.uptime import CounterSign, sign_of
from drivers.changes.verification import Verification, same_version
from drivers.changes.way import Way
from drivers.driver import MinerDriver
from drivers.watch import LOOK_EVERY_S

UPLOADED_NOTE: Final = "uploaded"  # the miner said that it has the whole file
# One that has been up for so long will not restart once more for this update.
_SETTLED_S: Final = 120.0

Driven = TypeVar("Driven", bound=MinerDriver)
T = TypeVar("T")


class UploadData(msgspec.Struct, frozen=True, kw_only=True):
    """The bytes of the file that are sent."""

    offset: int
    size: int


class InstalledVersion(msgspec.Struct, frozen=True, kw_only=True):
    """What a miner shows of the firmware it runs."""

    identity: Identity | None = None
    version: str | None = None
    counters: dict[str, float | None] = {}  # what it counts, as evidence holds it
    # Versions of parts that are numbered apart, where it has such.
    parts: dict[str, str] | None = None


class FirmwareWay(Way[Driven, Data], Generic[Driven, Data]):
    """A make says how the file is chosen and sent, which port goes away meanwhile, and what shows the version."""

    changes = (FirmwareUpdate,)
    proof: ClassVar[Proof]
    back_s: ClassVar[float]  # until then a port that is away is only waited for
    counter: ClassVar[str]  # the one that begins again with the firmware
    look_every_s: ClassVar[float] = LOOK_EVERY_S
    nothing: ClassVar[InstalledVersion] = InstalledVersion()  # what a silent miner shows

    @abstractmethod
    def port(self, miner: Driven) -> int:
        """The port to watch."""

    async def identify(self, miner: Driven) -> Identity:
        """Who a plan is made for. Raises as `Driver.identify`."""
        return await miner.identify()

    @abstractmethod
    async def look(self, miner: Driven, identity: Identity) -> InstalledVersion:
        """What it shows, `identity` being just read. Raises as reads."""

    @abstractmethod
    async def choose(
        self, miner: Driven, change: FirmwareUpdate, now: InstalledVersion
    ) -> tuple[Data, dict[str, Any]]:
        """What to send of the file, and what evidence tells of it. Raises BadFirmwareError when it is none for this
        miner.
        """

    async def plan(self, miner: Driven, change: FirmwareUpdate) -> TypedPlan[Data] | NoChange:
        """Read the version that runs and choose the bytes that fit this miner."""
        now = await self.look(miner, await self.identify(miner))
        before: dict[str, Any] = {
            "firmware_version": now.version,
            **self._parts(now),
            **now.counters,
            "read_at": to_text(miner.clock.now()),
        }
        if change.target_version and self.is_running(change.target_version, now):
            return NoChange(change=change, before=before)
        data, image = await self.choose(miner, change, now)
        return TypedPlan(change=change, before=before | image, data=data)

    @abstractmethod
    async def apply(self, miner: Driven, plan: TypedPlan[Data], permit: Permit) -> None:
        """Upload the file. Raises BadFirmwareError when the miner rejects it; then it keeps its old firmware."""

    async def verify(self, watch: Verification[Driven, Data]) -> Evidence:
        """Wait for the restart, then read the version. The same version as before proves nothing either way."""
        return await watch.through_restart(
            lambda: self.look_again(watch),
            lambda now: self._judged(watch, now or self.nothing),
            port=self.port(watch.miner),
            give_up_s=self.back_s,
            every_s=self.look_every_s,
        )

    async def look_again(self, watch: Verification[Driven, Data]) -> InstalledVersion:
        """What it shows now. The dialect may be another with the new firmware, so all is asked afresh. Raises as reads,
        and WrongDeviceError for another miner.
        """
        identity = await watch.miner.identify()
        check_whose(watch.plan, identity)
        return await self.look(watch.miner, identity)

    def is_running(self, version: str, now: InstalledVersion) -> bool:
        """Whether this is the version it shows."""
        return same_version(version, now.version)

    def has_changed(self, watch: Verification[Driven, Data], now: InstalledVersion) -> bool:
        """Whether it certainly runs another version than before."""
        return has_changed(watch.plan, now.version)

    async def installed(self, watch: Verification[Driven, Data], now: InstalledVersion) -> Evidence:
        """The evidence of a version that changed: done if it is the one promised, or none was."""
        assert isinstance(watch.plan.change, FirmwareUpdate)
        after, target = self.after(watch, now), watch.plan.change.target_version
        if target and not self.is_running(target, now):
            reason = (
                f"it runs {now.version} now, but {target} was promised: wrong file or wrong name"
            )
            return watch.unknown(after, reason)
        if watch.plan.before.get("firmware_version") is None and not target:
            reason = "the version before could not be read, so there is nothing to compare"
            return watch.unknown(after, reason)
        return watch.done(self.proof.signal, after)

    def after(self, watch: Verification[Driven, Data], now: InstalledVersion) -> dict[str, Any]:
        """What is told of the miner afterwards, with the marks on the way."""
        notes = watch.permit.notes
        return {
            "firmware_version": now.version,
            "elapsed_s": now.counters.get("elapsed_s"),
            **self._parts(now),
            **({UPLOADED_NOTE: notes[UPLOADED_NOTE]} if UPLOADED_NOTE in notes else {}),
            **watch.outage,
        }

    # --- private ---------------------------------------------------------------------------------

    async def _judged(
        self, watch: Verification[Driven, Data], now: InstalledVersion
    ) -> Evidence | None:
        if self.has_changed(watch, now):
            return await self.installed(watch, now)
        if not self._is_over(watch, now):
            return None
        # A window that ended without another version: it may have been the same one.
        if now.identity is None:
            reason = "the miner did not come back in time: check it on site"
        elif UPLOADED_NOTE in watch.permit.notes:
            reason = (
                "the miner took the file and shows the same version as before: "
                "it was the same, or it was not installed"
            )
        else:
            reason = "the upload was not confirmed and the miner shows the same version as before"
        return watch.unknown(self.after(watch, now), reason)

    def _is_over(self, watch: Verification[Driven, Data], now: InstalledVersion) -> bool:
        """Whether the version will not change any more: the miner restarted, stays up and still shows the old one."""
        if watch.device_s >= self.proof.latest_s:
            return True
        up_s = now.counters.get(self.counter)
        if not watch.was_away or up_s is None:
            return False
        sign = sign_of(watch.plan.before.get(self.counter), up_s, watch.since_s, watch.slack_s)
        return sign is CounterSign.RESTARTED and up_s > _SETTLED_S

    @staticmethod
    def _parts(now: InstalledVersion) -> dict[str, Any]:
        return {} if now.parts is None else {"versions": now.parts}


def has_changed(plan: Plan, version: str | None) -> bool:
    """Whether it shows another version than before. A miner that shows none proves nothing."""
    return version is not None and not same_version(version, plan.before.get("firmware_version"))


async def examine(path: str, judge: Callable[[BinaryIO, int], T]) -> T:
    """What `judge` makes of a file (open, and its size in bytes), in a thread. Raises what it raises, and
    BadFirmwareError for a file that cannot be read.
    """

    def read() -> T:
        try:
            with Path(path).open("rb") as file:
                return judge(file, os.fstat(file.fileno()).st_size)
        except OSError as error:
            raise BadFirmwareError(f"cannot read the firmware file: {error}") from None

    return await asyncio.to_thread(read)
