"""Whether this process lives: what feeds the watchdog of systemd, and what does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import structlog

from contract.clock import Clock
from service.notify import Notifier

log = structlog.get_logger(__name__)
_TURN_S: Final = 1.0


class Health:
    """Feeds the watchdog while the event loop turns and the journal's writer thread turns.

    A loop that stands still cannot feed; a writer that stands still is seen here, and since nothing can be
    made durable any more, systemd is asked to restart us at once. A task that hangs is bounded by its own
    limits and says nothing about the rest, and a cloud that is away is no illness: neither stops the feeding.
    """

    def __init__(
        self,
        clock: Clock,
        notifier: Notifier,
        *,
        journal_turn_mono: Callable[[], float],
        journal_stall_s: float,
        slots_alive: Callable[[], bool] = lambda: True,
    ) -> None:
        """`journal_turn_mono`: when (monotonic) the writer thread last turned."""
        self._clock = clock
        self._notifier = notifier
        self._journal_turn_mono = journal_turn_mono
        self._slots_alive = slots_alive
        watchdog_s = notifier.watchdog_s
        self._stall_s = min(journal_stall_s, watchdog_s / 2) if watchdog_s else journal_stall_s
        self._turn_s = min(_TURN_S, watchdog_s / 4) if watchdog_s else _TURN_S
        self._stalled = False
        self._slots_were_alive = True
        self.loop_lag_s = 0.0

    @property
    def is_well(self) -> bool:
        return not self._stalled

    async def run(self) -> None:
        """Watch and feed until cancelled."""
        while True:
            self.check()
            asked_mono = self._clock.mono()
            await self._clock.sleep(self._turn_s)
            self.loop_lag_s = max(0.0, self._clock.mono() - asked_mono - self._turn_s)

    def check(self) -> None:
        """One turn."""
        still_s = self._clock.mono() - self._journal_turn_mono()
        stalled = still_s > self._stall_s
        if stalled and not self._stalled:
            log.critical("health.journal_stalled", seconds=round(still_s, 1))
            self._notifier.status("the journal's writer stands still")
            self._notifier.trigger()
        elif self._stalled and not stalled:
            log.warning("health.journal_turns_again")
        self._stalled = stalled
        slots_alive = self._slots_alive()
        if slots_alive != self._slots_were_alive:
            log.warning("health.slots", alive=slots_alive)
            self._slots_were_alive = slots_alive
        if not stalled:
            self._notifier.alive()
