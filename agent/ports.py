"""The small interfaces between the rooms of the agent: where tasks come from, where readings go, who knows the
miners.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
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


class ScanSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What a scan found, honestly: every address is in exactly one of the counts."""

    addresses: int
    silent: int  # no answer at all
    refused: int  # a host, but no miner's port open
    unknown: int  # something answered that no driver claims
    failed: int  # a miner's port is open but identification broke (named in `notes`)
    found: int
    new: int
    seconds: float
    # Each: ip, mac, make, model, firmware, firmware_version.
    miners: tuple[dict[str, str | None], ...] = ()
    notes: tuple[str, ...] = ()


class Scanner(Protocol):
    """Looks through address ranges; what it finds joins the inventory and is reported at once."""

    async def scan(
        self, ranges: tuple[str, ...], progress: Callable[[int, int], Awaitable[None]] | None = None
    ) -> ScanSummary:
        """`ranges` empty: all that are configured. Raises BadParamsError for what policy forbids (too many addresses, a
        range outside the allowed ones).
        """


class Downloader(Protocol):
    """Brings a firmware file to local disk."""

    async def fetch(self, url: str, folder: Path, *, cap_bytes: int, sha256: str | None) -> Path:
        """Raises BadFirmwareError (too big, wrong checksum, an HTTP error status, no address of the web),
        PolicyRefusedError (an address that this site does not fetch from), UnreachableError, or StorageFullError when
        it does not fit on our disk.
        """
