"""Every change a miner can be asked for, by its kind: planned, made once, looked at again. The same for every make,
which only tells by which of its modules each kind is made.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec

from contract.errors import MinerError, UnreachableError, UnsupportedError
from drivers.base import AnyChange, Change, Effect, Evidence, LogFile, NoChange, Plan
from drivers.changes.identity import Hands, check_whose, meant_by, who_is
from drivers.changes.verification import is_silent
from drivers.subject import Subject
from drivers.watch import Watch

_CERTAIN_FOR_S: Final = 2.0  # how long an answer to who it is holds for more orders of one change
_KNOWN_WITHIN_S: Final = 600.0
_ASK_EVERY_S: Final = 5.0

Miner = TypeVar("Miner", bound=Subject)
_Asked_contra = TypeVar("_Asked_contra", bound=Subject, contravariant=True)


class Way(Protocol[_Asked_contra]):
    """How one make goes about one kind of change: a module with these three, each as in `Driver`."""

    async def plan(self, miner: _Asked_contra, change: Any) -> Plan | NoChange: ...

    async def apply(self, miner: _Asked_contra, plan: Plan, effect: Effect) -> None: ...

    async def verify(self, miner: _Asked_contra, plan: Plan, effect: Effect) -> Evidence: ...


class Logs(Protocol[_Asked_contra]):
    """How one make gives its log: a module with this, which is as `Driver.get_log`."""

    async def fetch_log(
        self, miner: _Asked_contra, folder: Path, *, size_cap_bytes: int
    ) -> LogFile: ...


class Changes(Generic[Miner]):
    """What can be done to one miner, by the ways of its make. A kind of change without a way is unsupported."""

    def __init__(
        self, miner: Miner, ways: Mapping[type[Change], Way[Miner]], logs: Logs[Miner]
    ) -> None:
        self._miner = miner
        self._ways = ways
        self._logs = logs

    async def plan(self, change: AnyChange) -> Plan | NoChange:
        """See `Driver.plan`. Raises UnsupportedError for a miner that is only read."""
        self._check_drivable()
        # Before the first look: by what that shows, its identity may become another.
        meant = who_is(self._miner.identity)
        hands, asked = Hands(self._miner, meant), self._miner.wire.exchanges
        try:
            found = await self._way(change).plan(self._miner, change)
        except UnreachableError:
            raise
        except MinerError:
            if self._miner.wire.exchanges != asked:
                await hands.refuse_other()  # what was seen may have been another one's
            raise
        await hands.settle()
        found = msgspec.structs.replace(found, before=found.before | hands.shown)
        if isinstance(found, NoChange):
            return found
        return msgspec.structs.replace(found, mac=meant.mac, serial=meant.serial)

    async def apply(self, plan: Plan, effect: Effect) -> None:
        """See `Driver.apply`. Raises UnsupportedError for a miner that is only read."""
        check_whose(plan, self._miner.identity)
        self._check_drivable()
        hands = Hands(self._miner, meant_by(plan, self._miner.identity))
        certain_mono: float | None = None

        async def check() -> None:
            nonlocal certain_mono
            now_mono = self._miner.clock.mono()
            if certain_mono is None:
                await hands.check()
            elif now_mono - certain_mono < _CERTAIN_FOR_S:
                return  # the same order once more, after a refusal: a nonce may be good for one request only
            elif not await hands.refuse_other():
                return  # between two orders of one change it may be too busy with the first to say who it is
            certain_mono = self._miner.clock.mono()

        with self._miner.wire.checking(check):
            await self._way(plan.change).apply(self._miner, plan, effect)

    async def verify(self, plan: Plan, effect: Effect) -> Evidence:
        """See `Driver.verify`. Raises UnsupportedError when the address holds a miner that is only read."""
        hands = Hands(self._miner, meant_by(plan, self._miner.identity))
        try:
            await self._known_again()
            found = await self._way(plan.change).verify(self._miner, plan, effect)
        except UnsupportedError:
            # It is only read now: another one, or the same with the firmware it was given.
            check_whose(plan, self._miner.identity)
            raise
        except MinerError:
            await hands.refuse_other()
            raise
        if found.outcome == "unknown":
            await hands.refuse_other()
            return found
        doubt = await hands.doubt()
        if doubt is None:
            return msgspec.structs.replace(found, after=found.after | hands.shown)
        return msgspec.structs.replace(
            found, outcome="unknown", verified=False, signal="none", reason=doubt
        )

    async def fetch_log(self, folder: Path, *, size_cap_bytes: int) -> LogFile:
        """See `Driver.get_log`. Raises UnsupportedError for a miner that is only read."""
        self._check_drivable()
        hands = Hands(self._miner, who_is(self._miner.identity))
        is_certain = await hands.refuse_other()  # so that no stranger is sent a login
        log = await self._logs.fetch_log(self._miner, folder, size_cap_bytes=size_cap_bytes)
        try:
            await (hands.refuse_other() if is_certain else hands.check())
        except MinerError:
            await asyncio.to_thread(Path(log.path).unlink)
            raise
        return log

    def _way(self, change: AnyChange) -> Way[Miner]:
        way = self._ways.get(type(change))
        if way is None:
            kind = type(change).__struct_config__.tag
            raise UnsupportedError(f"{self._miner.identity.make} miners cannot be asked for {kind}")
        return way

    async def _known_again(self) -> None:
        """Wait until it is known well enough to be judged: a miner met while it restarts may have shown only one of
        its sides, or not told its dialect, and is not trusted so.
        """
        watch = Watch(self._miner)
        while not self._miner.identity.drivable:
            try:
                await self._miner.identify()
            except MinerError as error:
                if not is_silent(error) or watch.device_s >= _KNOWN_WITHIN_S:
                    raise
                await watch.pause(_ASK_EVERY_S)
            else:
                self._check_drivable()

    def _check_drivable(self) -> None:
        identity = self._miner.identity
        if not identity.drivable:
            reason = identity.reason or "its firmware is not one we write to"
            raise UnsupportedError(f"{self._miner.endpoint.host} is not driven: {reason}")


class Changing(ABC):
    """What the drivers of all makes have alike: the half that changes the miner."""

    @property
    def min_interval_s(self) -> float:
        """See `Driver.min_interval_s`: most miners bear any interval the config allows."""
        return 0.0

    @property
    @abstractmethod
    def changes(self) -> Changes[Any]:
        """What can be done to this miner."""

    async def plan(self, change: AnyChange) -> Plan | NoChange:
        """Say what would be written. Raises UnsupportedError for a miner that is only read."""
        return await self.changes.plan(change)

    async def apply(self, plan: Plan, effect: Effect) -> None:
        """Write it, once. Raises UnsupportedError for a miner that is only read."""
        await self.changes.apply(plan, effect)

    async def verify(self, plan: Plan, effect: Effect) -> Evidence:
        """Look until the miner shows the change or its proof window ends."""
        return await self.changes.verify(plan, effect)

    async def get_log(self, folder: Path, *, size_cap_bytes: int) -> LogFile:
        """Stream the miner's log into `folder`. Raises UnsupportedError for a miner that is only read."""
        return await self.changes.fetch_log(folder, size_cap_bytes=size_cap_bytes)
