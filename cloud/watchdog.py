"""Feeding the watchdog of systemd: while the loop turns, and the sweeper's rounds end."""

from __future__ import annotations

from typing import Final

import structlog

from cloud.sweeper import Sweeper
from contract.clock import Clock
from service.notify import Notifier

STALL_S: Final = 300.0  # a round waits for a busy database for 30 s, and for a slow disk
log = structlog.get_logger(__name__)


async def feed(notifier: Notifier, sweeper: Sweeper, clock: Clock) -> None:
    """Until cancelled. A loop that stands still cannot feed; a database or a disk in trouble ends a round with an error
    and is no reason to restart, but rounds that do not end any more are.
    """
    if notifier.watchdog_s is None:
        return
    stalled = False
    while True:
        still_s = clock.mono() - sweeper.turned_mono
        if still_s > STALL_S and not stalled:
            log.critical("sweeper.stalled", seconds=round(still_s))
        stalled = still_s > STALL_S
        if not stalled:
            notifier.alive()
        await clock.sleep(notifier.watchdog_s / 4)
