"""Scans that nobody asked for: at start, of ranges that are named later, and every so often."""

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
        """Scan until cancelled. On schedule at low priority; at start, and what the cloud has named since, at once:
        somebody may wait for the first list.
        """
        scanned: set[str] = set()
        while True:
            self._changed.clear()
            if self._at_start and (new := [each for each in self._ranges if each not in scanned]):
                scanned.update(new)
                await self._scan(tuple(new), Manner.DEFAULT)
                continue
            if self._every_s is None:
                await self._changed.wait()
                continue
            try:
                async with asyncio.timeout(self._every_s * random.uniform(0.9, 1.1)):
                    await self._changed.wait()
            except TimeoutError:
                if self._ranges:
                    await self._scan(self._ranges, Manner.LOW)

    async def _scan(self, ranges: tuple[str, ...], manner: Manner) -> None:
        try:
            summary = await self._scanner.scan(ranges, manner=manner, key=_KEY)
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
