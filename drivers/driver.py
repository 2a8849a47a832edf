"""What the drivers of all makes have alike: the identity that is meant is compared around every change and every log,
and a change then goes to the way of its make.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

import msgspec

from contract.clock import Clock
from contract.errors import MinerError, UnreachableError, UnsupportedError
from contract.miner import Endpoint, Identity, Reading, Static
from contract.outcome import Outcome
from drivers.base import (
    AnyChange,
    Capabilities,
    Change,
    Credentials,
    Depth,
    Evidence,
    LogFile,
    NoChange,
    Permit,
    Plan,
    PowerLimit,
    SetPercent,
    Timing,
    Who,
    check_drivable,
)
from drivers.changes.identity import IdentityCheck, check_whose, meant_by, who_is
from drivers.changes.verification import Verification
from drivers.changes.way import Way, Ways
from drivers.watch import Watch, is_silent
from drivers.wire import Wire

CredentialsFor = Callable[[Identity], Credentials | None]

# How long an answer to who it is holds for more orders of one change.
_CERTAIN_FOR_S: Final = 2.0
_KNOWN_WITHIN_S: Final = 600.0
_ASK_EVERY_S: Final = 5.0


class MinerDriver(ABC):
    """A driver bound to one miner. A make adds who it is and how it is read; what can be done to it, its ways say.

    `credentials` is asked again whenever what it depends on may have changed: dialect, firmware, MAC.
    """

    make: ClassVar[str]
    why_not: ClassVar[Mapping[type[Change], str]] = {}
    """Of changes that it has no way for: why, and what can be done in their place."""

    def __init__(
        self,
        ways: Ways[Any],
        wire: Wire,
        credentials: CredentialsFor,
        identity: Identity,
    ) -> None:
        self.wire = wire
        self.clock: Clock = wire.clock
        self.timing: Timing = wire.timing
        self.allow_plain_reboot = False
        """Whether a hashing miner is rebooted without `force`."""
        self.set_percent: SetPercent | None = None
        self._ways = ways
        self._credentials = credentials
        self._identity = identity
        self._ideal_hs: float | None = None

    # --- what a make adds ------------------------------------------------------------------------

    @abstractmethod
    async def identify(self) -> Identity:
        """See `Driver.identify`."""

    @abstractmethod
    async def read(self, depth: Depth = Depth.MOVING) -> Reading:
        """See `Driver.read`."""

    @abstractmethod
    async def who(self) -> Who | None:
        """Who answers at its address right now, by the one question that costs it least. `None`: in the state it is in,
        its firmware cannot tell. Raises as `read`; WrongDeviceError when something else than its make answers.
        """

    # --- what it says of itself ------------------------------------------------------------------

    @property
    def identity(self) -> Identity:
        """Who it was when last asked."""
        return self._identity

    @property
    def endpoint(self) -> Endpoint:
        return self.wire.endpoint

    @property
    def ideal_hs(self) -> float | None:
        """The hash rate it should have, as last read; `None` where it does not say."""
        return self._ideal_hs

    @property
    def capabilities(self) -> Capabilities | None:
        """See `Driver.capabilities`."""
        found = self._ways.generations.get(self.identity.generation or "")
        return found if found is not None and found.changes and self.identity.drivable else None

    @property
    def min_interval_s(self) -> float:
        """See `Driver.min_interval_s`: most miners bear any interval the config allows."""
        return 0.0

    # --- changes ---------------------------------------------------------------------------------

    async def plan(self, change: AnyChange) -> Plan | NoChange:
        """See `Driver.plan`. Raises UnsupportedError for a miner that is only read."""
        self.check_drivable()
        way = self._way(change)
        if (self.identity.generation or "") not in way.proofs:
            raise self._cannot(change)
        # Before the first look: by what that shows, its identity may become another.
        meant = who_is(self.identity)
        check, asked = IdentityCheck(self, meant), self.wire.exchanges
        try:
            found = await way.plan(self, change)
        except UnreachableError:
            raise
        except MinerError:
            if self.wire.exchanges != asked:
                await check.refuse_other()  # what was seen may have been another one's
            raise
        await check.settle()
        found = msgspec.structs.replace(found, before=found.before | check.evidence)
        if isinstance(found, NoChange):
            return found
        return msgspec.structs.replace(found, mac=meant.mac, serial=meant.serial)

    async def apply(self, plan: Plan, permit: Permit) -> None:
        """See `Driver.apply`. Raises UnsupportedError for a miner that is only read."""
        check_whose(plan, self.identity)
        self.check_drivable()
        way = self._way(plan.change)
        identity = IdentityCheck(self, meant_by(plan, self.identity))
        certain_mono: float | None = None

        async def check() -> None:
            nonlocal certain_mono
            now_mono = self.clock.mono()
            if certain_mono is None:
                await identity.check()
            elif now_mono - certain_mono < _CERTAIN_FOR_S:
                return  # the same order once more, after a refusal: a nonce may be good for one request only
            elif not await identity.refuse_other():
                return  # between two orders of one change it may be too busy with the first to say who it is
            certain_mono = self.clock.mono()

        with self.wire.checking(check):
            await way.apply(self, way.typed(plan), permit)

    async def verify(self, plan: Plan, permit: Permit) -> Evidence:
        """See `Driver.verify`. Raises UnsupportedError when the address holds a miner that is only read."""
        check = IdentityCheck(self, meant_by(plan, self.identity))
        try:
            await self._known_again()
            way = self._way(plan.change)
            found = await way.verify(Verification(self, way.typed(plan), permit))
        except UnsupportedError:
            # It is only read now: another one, or the same with the firmware it was given.
            check_whose(plan, self.identity)
            raise
        except MinerError:
            await check.refuse_other()
            raise
        if found.outcome is Outcome.UNKNOWN:
            await check.refuse_other()
            return found
        doubt = await check.doubt()
        if doubt is None:
            return msgspec.structs.replace(found, after=found.after | check.evidence)
        return msgspec.structs.replace(
            found, outcome=Outcome.UNKNOWN, verified=False, signal="none", reason=doubt
        )

    async def get_log(self, folder: Path, *, size_cap_bytes: int) -> LogFile:
        """See `Driver.get_log`. Raises UnsupportedError for a miner that is only read."""
        self.check_drivable()
        check = IdentityCheck(self, who_is(self.identity))
        is_certain = await check.refuse_other()  # so that no stranger is sent a login
        log = await self._ways.fetch_log(self, folder, size_cap_bytes)
        try:
            await (check.refuse_other() if is_certain else check.check())
        except MinerError:
            await asyncio.to_thread(Path(log.path).unlink)
            raise
        return log

    def check_drivable(self) -> None:
        """Raise UnsupportedError if it is only read."""
        check_drivable(self.identity, self.endpoint)

    # --- for the makes ---------------------------------------------------------------------------

    def _static_facts(self, **more: Any) -> Static:
        """The static facts out of the identity; `more` are those the make knows besides."""
        identity = self.identity
        return Static(
            make=identity.make,
            model=identity.model,
            firmware=identity.firmware,
            firmware_version=identity.firmware_version,
            generation=identity.generation,
            mac=identity.mac,
            serial=identity.serial,
            hostname=identity.hostname,
            hashrate_ideal_hs=self._ideal_hs,
            **more,
        )

    # --- private ---------------------------------------------------------------------------------

    def _way(self, change: AnyChange) -> Way[Any, Any]:
        way = self._ways.of(change)
        if way is None:
            raise self._cannot(change)
        return way

    def _cannot(self, change: AnyChange) -> UnsupportedError:
        """What it says of a kind of change that nobody makes on it, and what can be done in its place."""
        kind = str(type(change).__struct_config__.tag).replace("_", " ")
        stated = self._ways.generations.get(self.identity.generation or "")
        modes = stated.modes if stated is not None and isinstance(change, PowerLimit) else ()
        instead = f"; set its power mode: {', '.join(modes)}" if modes else ""
        if (why := self.why_not.get(type(change))) is not None:
            instead = f": {why}"
        who = " ".join(filter(None, (self.identity.make, self.identity.generation)))
        return UnsupportedError(f"{who} miners cannot be asked for {kind}{instead}")

    async def _known_again(self) -> None:
        """Wait until it is known well enough to be judged: a miner met while it restarts may have shown only one of
        its sides, or not told its dialect, and is not trusted so.
        """
        watch = Watch(self)
        while not self.identity.drivable:
            try:
                await self.identify()
            except MinerError as error:
                if not is_silent(error) or watch.device_s >= _KNOWN_WITHIN_S:
                    raise
                await watch.pause(_ASK_EVERY_S)
            else:
                self.check_drivable()
