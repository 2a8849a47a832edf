"""What every driver offers: look, plan a change, apply it once, look again.

A driver object is bound to one miner and keeps what it learned about it (a Digest nonce, whether
its firmware has a joined command). It is used by one exchange at a time; the wire sees to that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Final, Generic, Literal, Protocol, TypeVar

import msgspec

from contract.errors import UnsupportedError
from contract.miner import Endpoint, Identity, PowerMode, Reading
from contract.outcome import Outcome

Data = TypeVar("Data")

# --- what may be changed -------------------------------------------------------------------------


class Change(msgspec.Struct, frozen=True, kw_only=True, tag_field="change"):
    """Base of the changes a driver can be asked for."""


class Light(Change, frozen=True, kw_only=True, tag="light"):
    """The identification LED."""

    on: bool


class Mode(Change, frozen=True, kw_only=True, tag="mode"):
    """The power mode; `preset` is a maker's own name where the operator asked for one of those."""

    mode: PowerMode | None = None
    preset: str | None = None


class PoolSetting(msgspec.Struct, frozen=True, kw_only=True):
    """One pool as wished for. Password `None`: keep the slot's if its url is unchanged, else `x`."""

    url: str
    user: str
    password: str | None = None


class StoredPool(msgspec.Struct, frozen=True, kw_only=True):
    """One place for a pool as a miner stores it; an empty url is an unused place."""

    url: str = ""
    user: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}({self.url!r}, {self.user!r}, ****)"


class Pools(Change, frozen=True, kw_only=True, tag="pools"):
    """The new set of pools; slots beyond it are cleared."""

    pools: tuple[PoolSetting, ...]


class Reboot(Change, frozen=True, kw_only=True, tag="reboot"):
    """Restart the device. Without `force` refused while it hashes."""

    force: bool = False


class FirmwareUpdate(Change, frozen=True, kw_only=True, tag="firmware"):
    """Install the file at `path` (already on local disk, its size and checksum already checked)."""

    path: str
    target_version: str | None = None


class PowerLimit(Change, frozen=True, kw_only=True, tag="power_limit"):
    """The most it may draw: in `watts` (`default`: what its firmware comes with), or in `percent` of what it draws
    without a percentage. One of the two.
    """

    watts: int | Literal["default"] | None = None
    percent: int | None = None


class Suspend(Change, frozen=True, kw_only=True, tag="suspend"):
    """Stop hashing, by whatever means the make has."""


class Resume(Change, frozen=True, kw_only=True, tag="resume"):
    """Hash again; in `mode` where the make does not keep its own through a suspend. `None`: as the driver remembers.
    One that hashes already is left as it is, in whatever mode.
    """

    mode: PowerMode | None = None


AnyChange = Light | Mode | PowerLimit | Pools | Reboot | FirmwareUpdate | Suspend | Resume


# --- what a change goes through ------------------------------------------------------------------


AWAKE_MODE: Final = "awake_mode"


class NoData(msgspec.Struct, frozen=True):
    """What a plan carries whose change says all there is to write."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What would be written, with the evidence seen before. Survives a crash as JSON: `before` holds plain values, and
    `data` the struct of the make's way, or what that was written as (`Way.typed` reads it again). Secrets (pool
    passwords) never go into `before`.

    What stops the miner from hashing says in `before`, as `AWAKE_MODE`, in which mode it hashes until then, where that
    is told: it is the one to come back to.

    `raises_power`: the miner may draw more afterwards, or stop and start to draw again, than it does now. False only
    where the driver knows that it does not. `mac` and `serial` tell whose plan it is.
    """

    change: AnyChange
    before: dict[str, Any]
    data: Any = {}
    raises_power: bool = True
    mac: str | None = None
    serial: str | None = None


class TypedPlan(Plan, Generic[Data], frozen=True, kw_only=True):
    """A plan as the way that made it knows it."""

    data: Data


class NoChange(msgspec.Struct, frozen=True, kw_only=True):
    """The miner is already as wished: `before` is the proof."""

    change: AnyChange
    before: dict[str, Any]


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What looking again showed.

    `verified` is true when the miner itself showed the outcome by `signal`; false comes with a `reason`.
    """

    outcome: Outcome
    verified: bool
    before: dict[str, Any]
    after: dict[str, Any]
    signal: str
    seconds: float  # from the first byte of the write (or the intent, after a crash) to the proof
    reason: str | None = None


class Permit(Protocol):
    """What is needed to change one miner once. The wire asks for it, so that a driver cannot forget."""

    @property
    def notes(self) -> Mapping[str, Any]:
        """What is known of this change, kept through a crash. `intent_at` (text) is always there once begun."""

    async def note(self, key: str, value: Any) -> None:
        """Keep a fact that matters for the proof (an outage seen, an upload finished), durably."""

    @property
    def may_send(self) -> bool:
        """Whether `sending` would be entered now, without waiting for one of the bounded slots."""

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Wait for a slot, however long, and hold it; `sending` inside takes no other. Entered without a connection,
        which would be dead by the time, and with none of the wire held: the miner is asked again who it is.

        Raises PolicyRefusedError, or an error of that look: then nothing was sent.
        """

    def sending(self, check: Callable[[], None] | None = None) -> AbstractAsyncContextManager[None]:
        """Entered once connected, before the first byte of each write; left when the exchange ends.

        On entry one of the bounded slots is taken and the intent is made durable. `check` is called in the slot,
        before the intent and again right before this is entered: what it raises ends it, with nothing sent.
        Raises PolicyRefusedError, CancelledTaskError, ExpiredError or StorageFullError when it may
        not begin: then nothing was sent either.
        """


class Credentials(msgspec.Struct, frozen=True, repr_omit_defaults=True):
    """User and password of one miner. Prints as stars."""

    user: str
    password: str

    def __repr__(self) -> str:
        return "Credentials(****)"


class LogFile(msgspec.Struct, frozen=True, kw_only=True):
    """A log taken from a miner, on local disk. `truncated` when it was cut at the cap."""

    path: str
    name: str
    size_bytes: int
    sha256: str
    truncated: bool = False


# --- what a driver says of itself ----------------------------------------------------------------


class Strength(StrEnum):
    """What a signal proves: that the device booted, that its process restarted, or nothing."""

    BOOT = "boot"
    PROCESS = "process"
    STATE = "state"
    NONE = "none"


class Proof(msgspec.Struct, frozen=True):
    """How one change shows. Times are seconds of the device after the write."""

    change: str
    signal: str
    strength: Strength
    earliest_s: float
    latest_s: float


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What one generation of one make can do. `changes` are tags of Change; `log` whether logs can be fetched. One that
    is only read has neither. The make states the rest; changes and proofs come from its ways (`drivers.changes.way`).
    """

    make: str
    generation: str
    models: tuple[str, ...]
    changes: tuple[str, ...] = ()
    modes: tuple[PowerMode, ...] = ()
    log: bool = False
    proofs: tuple[Proof, ...] = ()
    remarks: tuple[str, ...] = ()


class Depth(StrEnum):
    """How much of a miner to look at."""

    MOVING = "moving"  # every poll
    SLOW = "slow"  # + light, configured mode, faults
    FULL = "full"  # + everything static


def check_drivable(identity: Identity, endpoint: Endpoint) -> None:
    """Raise UnsupportedError for a miner that is only read, with the reason."""
    if not identity.drivable:
        reason = identity.reason or "its firmware is not one we write to"
        raise UnsupportedError(f"{endpoint.host} is not driven: {reason}")


class Who(msgspec.Struct, frozen=True, kw_only=True):
    """What tells one miner from another: its MAC (upper case, colons), or its serial number where there is none. Of a
    make whose MAC is no part of the board, a network card perhaps, `needs_both`.
    """

    mac: str | None = None
    serial: str | None = None
    needs_both: bool = False

    @property
    def evidence(self) -> dict[str, str]:
        """As evidence holds it."""
        if self.mac:
            return {"mac": self.mac}
        return {"serial": self.serial} if self.serial else {}

    def __str__(self) -> str:
        return f"the MAC {self.mac}" if self.mac else f"the serial number {self.serial}"


class SetPercent(msgspec.Struct, frozen=True, kw_only=True):
    """A percentage of its power that a miner was set to and does not tell, and when it was seen to keep to it. It is
    lost when the miner boots.
    """

    percent: int
    seen_at: datetime


class Driver(Protocol):
    """One miner, spoken to in its make's way. Every method may raise the errors of `contract.errors`."""

    make: ClassVar[str]
    set_percent: SetPercent | None
    """Whoever opens a driver may keep this and give it to the next one of the same miner."""

    @property
    def endpoint(self) -> Endpoint: ...

    @property
    def identity(self) -> Identity: ...

    @property
    def capabilities(self) -> Capabilities | None:
        """`None` for a firmware that is only read."""

    @property
    def min_interval_s(self) -> float:
        """How long to leave this miner alone between two polls, as things stand; 0 for most. A look that is asked for
        sooner is taken all the same.
        """

    async def identify(self) -> Identity:
        """Ask who is there, afresh, with MAC and serial where credentials allow. Raises WrongDeviceError when
        it is not this driver's make any more.
        """

    async def who(self) -> Who | None:
        """Who answers right now, by the one question that costs it least. `None`: in the state it is in, its firmware
        cannot tell. Raises as `read`; WrongDeviceError when something else than its make answers.
        """

    async def read(self, depth: Depth = Depth.MOVING) -> Reading:
        """Look once. Sends nothing that changes the miner; needs no password for the moving facts."""

    async def plan(self, change: AnyChange) -> Plan | NoChange:
        """Read what is there now; say what would be written. Sends nothing that changes the miner.

        Raises WrongDeviceError when who answers is not who `identity` was at the call.
        """

    async def apply(self, plan: Plan, permit: Permit) -> None:
        """Write it, once. Raises OutcomeUnknownError when bytes were sent and the answer was lost,
        RefusedError when the miner said no, WrongDeviceError before a write when another miner answers by now.
        """

    async def verify(self, plan: Plan, permit: Permit) -> Evidence:
        """Look until the miner shows the change or its proof window ends. Also called after a crash,
        with only the plan and the notes; never writes. Raises WrongDeviceError when another miner answers now: what
        became of the one that is meant is not known.
        """

    async def get_log(self, folder: Path, *, size_cap_bytes: int) -> LogFile:
        """Stream the miner's log into `folder`. Raises UnsupportedError where there is none, and WrongDeviceError as
        `plan` does.
        """


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """How patient the drivers are. `pace` divides every waiting time that depends on a device's own speed
    (boot, restart, proof windows, polling pauses): 1 on hardware, more with a simulator whose clock runs faster.
    """

    pace: float = 1.0
    connect_s: float = 3.0
    read_s: float = 10.0  # one read exchange, connect included; not scaled
    write_s: float = 60.0
    log_s: float = 60.0
    upload_s: float = 1800.0

    def device_s(self, seconds: float) -> float:
        """A duration of the device, as long as it lasts here."""
        return seconds / self.pace
