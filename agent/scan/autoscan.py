"""Scans that nobody asked for: at start, and every so often."""

from __future__ import annotations

import asyncio
import random
from typing import Final

import structlog

from agent.config.miners import ScanSection
from agent.ports import Scanner
from agent.scan.sweep.plan import Manner
from contract.clock import Clock
from contract.errors import BadParamsError

log = structlog.get_logger(__name__)
_KEY: Final = "auto"  # one that a restart cut is gone on with


class AutoScan:
    """Follows the local config; the cloud may name ranges and an interval, which hold inside the local ceilings."""

    def __init__(
        self, scanner: Scanner, section: ScanSection, ranges: tuple[str, ...], clock: Clock
    ) -> None:
        """`ranges` are the configured ones."""
        self._scanner = scanner
        self._at_start = section.at_start
        self._own_every_s = section.every_s
        self._own_ranges = ranges
        self._clock = clock
        self._ranges = ranges
        self._every_s = section.every_s
        self._changed = asyncio.Event()

    def follow(self, ranges: tuple[str, ...], every_s: float | None) -> None:
        """Take the cloud's wishes; what it does not say falls back to the config."""
        self._ranges = tuple(dict.fromkeys(self._own_ranges + ranges))
        self._every_s = self._own_every_s if every_s is None else max(60.0, every_s)
        self._changed.set()

    async def run(self) -> None:
        """Scan until cancelled. On schedule at low priority; at start somebody may wait for the first list."""
        if self._at_start:
            await self._scan(Manner.DEFAULT)
        while True:
            self._changed.clear()
            if self._every_s is None:
                await self._changed.wait()
                continue
            try:
                async with asyncio.timeout(self._every_s * random.uniform(0.9, 1.1)):
                    await self._changed.wait()
            except TimeoutError:
                await self._scan(Manner.LOW)

    async def _scan(self, manner: Manner) -> None:
        if not self._ranges:
            return
        try:
            summary = await self._scanner.scan(self._ranges, manner=manner, key=_KEY)
        except BadParamsError as error:
            log.warning("autoscan.refused", error=str(error))
            return
        except OSError as error:
            log.error("autoscan.failed", error=str(error))
            return
        changes = summary.changes
        log.info(
            "autoscan.done",
            addresses=summary.addresses,
            found=summary.found,
            new=summary.new,
            failed=summary.failed,
            not_asked=summary.not_asked,
            lost=None if changes is None else len(changes.lost),
            moved=None if changes is None else len(changes.moved),
            seconds=summary.seconds,
        )
