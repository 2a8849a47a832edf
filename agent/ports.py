"""The small interfaces between the rooms of the agent: where tasks come from, where readings go, who knows the
miners.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import msgspec

from contract.link import (
    ClaimReply,
    ClaimRequest,
    MinerRef,
    ReadingsReply,
    ReadingsRequest,
    ReportReply,
    ReportRequest,
)
from contract.miner import PowerMode
from contract.scan import ScanChanges
from contract.subscription.link import (
    Announced,
    Announcement,
    LedgerReply,
    LedgerRequest,
    LedgerState,
    Stacks,
)
from drivers.base import Driver, LogFile


class CloudError(Exception):
    """The cloud could not be asked, or answered with an error. `retry` tells whether asking again can help, `sent`
    whether anything of the request may have reached it.
    """

    def __init__(
        self, message: str, *, retry: bool, status: int | None = None, sent: bool = True
    ) -> None:
        super().__init__(message)
        self.retry = retry
        self.status = status
        self.sent = sent


class TaskSource(Protocol):
    """Where tasks come from and results go. Every method raises CloudError."""

    async def claim(self, request: ClaimRequest) -> ClaimReply: ...

    async def report(self, request: ReportRequest) -> ReportReply: ...

    async def upload(self, task_id: str, file: LogFile) -> None:
        """Bring a file to the cloud, resuming what a broken connection left; done once its checksum matched."""


class ReadingSink(Protocol):
    """Where readings go. Raises CloudError."""

    async def push(self, request: ReadingsRequest) -> ReadingsReply: ...


class SubscriptionLink(Protocol):
    """The cloud as it keeps this agent's subscriptions. Every method raises CloudError."""

    async def ledger(self, after: int, *, timeout_s: float) -> LedgerState:
        """What it holds of this agent's node, with the entries above `after`."""

    async def record(self, request: LedgerRequest, *, timeout_s: float) -> LedgerReply: ...

    async def announce(self, announcement: Announcement, *, timeout_s: float) -> Announced: ...

    async def stacks(self, *, timeout_s: float) -> Stacks: ...


class Miners(Protocol):
    """Who knows the miners of this site."""

    async def driver_for(
        self, ref: MinerRef, *, max_age_s: float, may_be_off: bool = False
    ) -> Driver:
        """The driver of that miner, its identity (MAC above all) seen at most `max_age_s` ago.

        Looks at its last address first. Raises UnreachableError when nobody answers there, WrongDeviceError when
        somebody else does or when another device shows the same MAC, AuthFailedError, MalformedError. `may_be_off`: a
        miner that tells no MAC while it is switched off is taken for the one that was seen there last.
        """

    def hidden_mac(self, ref: MinerRef) -> str | None:
        """Of a miner that goes by its address alone: the MAC that was told there last, if it is told nowhere else."""

    def awake_mode(self, ref: MinerRef) -> AwakeMode | None:
        """The mode that this miner was last seen to hash in."""

    async def keep_awake_mode(self, ref: MinerRef, mode: PowerMode) -> None:
        """It hashes in this mode and is about to be stopped: kept on disk."""

    def __len__(self) -> int:
        """How many are known."""


class AwakeMode(msgspec.Struct, frozen=True, kw_only=True):
    """The mode that a miner hashes in when it hashes, and since when it was seen to be this one."""

    mode: PowerMode
    seen_at: datetime


class AddressVerdict(StrEnum):
    """What a scan says of an address: exactly one of these."""

    FOUND = "found"  # a miner of a make known here
    UNKNOWN = "unknown"  # something answered that is no such miner
    FAILED = "failed"  # a port is open, but who is there could not be found out
    REFUSED = "refused"  # a host that has none of the ports open
    SILENT = "silent"  # no answer at the ports that were asked
    SKIPPED = "skipped"  # not to be asked
    NOT_ASKED = "not_asked"  # this host could not ask, or the scan ended before


class FoundMiner(msgspec.Struct, frozen=True, kw_only=True):
    """A miner as a scan met it. `ports`: those that were seen to be open; `evidence`: which facts it told of itself;
    `note`: what is odd about it, or went wrong with reading it.
    """

    ip: str
    mac: str | None = None
    make: str | None = None
    model: str | None = None
    firmware: str | None = None
    firmware_version: str | None = None
    serial: str | None = None
    ports: tuple[int, ...] = ()
    evidence: tuple[str, ...] = ()
    note: str | None = None


class OtherAddresses(msgspec.Struct, frozen=True, kw_only=True):
    """One address, or a range of them, of which the same is said. `ports`: open ones of `unknown` and `failed`, those
    that refused, or those at which silence was the answer. `banner`: what was said first, printable.
    """

    range: str
    addresses: int
    verdict: AddressVerdict
    ports: tuple[int, ...] = ()
    banner: str | None = None
    note: str | None = None


ScanRow = FoundMiner | OtherAddresses


class ScanSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What a scan found, honestly: every address is in exactly one of the counts. `new`: of those found, how many this
    agent did not know. `first_pass_s`: when every address had been asked once, and who answered by then was known.
    `connects`: how many were begun. `others` are all addresses where no miner is, in order, `others_left_out` those
    rows that are too many to be kept.
    """

    addresses: int
    silent: int
    refused: int
    unknown: int
    failed: int
    found: int
    new: int
    skipped: int = 0
    not_asked: int = 0
    seconds: float
    first_pass_s: float | None = None
    connects: int = 0
    manner: str = "default"
    miners: tuple[FoundMiner, ...] = ()
    others: tuple[OtherAddresses, ...] = ()
    others_left_out: int = 0
    changes: ScanChanges | None = None
    notes: tuple[str, ...] = ()  # on the scan as a whole


class ScanProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a scan is: of `done` addresses it is said who is there; those that are asked at further ports count half.
    `rows`: those that came since this was told last, in the order in which they came; of addresses where nothing is to
    be identified none.
    """

    done: int
    total: int
    found: int
    rows: tuple[ScanRow, ...] = ()


class Scanner(Protocol):
    """Looks through address ranges; what it finds joins the inventory and is reported at once."""

    async def scan(
        self,
        ranges: tuple[str, ...],
        progress: Callable[[ScanProgress], Awaitable[None]] | None = None,
        *,
        manner: str = "default",
        key: str | None = None,
    ) -> ScanSummary:
        """`ranges` empty: all that are configured. `manner`: a `Manner` of a sweep. `key`: a scan of that key
        over the same addresses that was cut less than an hour ago goes on where it stopped. Raises BadParamsError for
        what policy forbids (too many addresses, a range outside the allowed ones).
        """

    def so_far(self) -> ScanSummary | None:
        """What the scan that stopped last had said by then; where none has, the one under way. `None`: before any."""


class Downloader(Protocol):
    """Brings a firmware file to local disk."""

    async def fetch(self, url: str, folder: Path, *, cap_bytes: int, sha256: str | None) -> Path:
        """Raises BadFirmwareError (wrong checksum, no address of the web; FileTooBigError, NoSuchFileError),
        PolicyRefusedError (an address that this site does not fetch from), UnreachableError, or StorageFullError when
        it does not fit on our disk.
        """
