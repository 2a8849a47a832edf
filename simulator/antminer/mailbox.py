"""The file through which the web scripts give orders to the one daemon that carries them out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from simulator.clock import DeviceClock
from simulator.ledger import Phase

POLL_S: Final = 1.0
POLL_BLINKING_S: Final = 0.6


@dataclass(frozen=True, slots=True)
class MailboxOrder:
    """What lies in the file: its name in the ledger, and what the daemon does with it."""

    action: str
    act: Callable[[], None]
    is_light: bool = False


class MailboxReader(Protocol):
    """The device whose daemon looks into the mailbox, as far as it is needed here."""

    clock: DeviceClock
    blinking: bool

    def after(self, seconds: float, act: Callable[[], None]) -> None: ...
    def end_blink(self) -> None: ...
    def record(self, action: str, phase: Phase, **more: Any) -> None: ...


class Mailbox:
    """One file, one order: the last writer wins, and who wrote before is not told."""

    def __init__(self, miner: MailboxReader) -> None:
        self._miner = miner
        self._order: MailboxOrder | None = None
        self._look_due = False

    def put(self, action: str, act: Callable[[], None], *, is_light: bool = False) -> None:
        """Write an order; the daemon looks each second, more often while it blinks."""
        order = MailboxOrder(action, act, is_light)
        self._lose(order.action)
        self._order = order
        if not self._look_due:
            self._look_due = True
            every = POLL_BLINKING_S if self._miner.blinking else POLL_S
            self._miner.after(every - self._miner.clock.now() % every, self._look)

    def lose_power(self) -> None:
        """The file was in memory only, and the daemon starts again."""
        self._lose("power")
        self._order, self._look_due = None, False

    def _look(self) -> None:
        self._look_due = False
        order, self._order = self._order, None
        if order is None:
            return
        if not order.is_light:
            self._miner.end_blink()
        order.act()

    def _lose(self, to: str) -> None:
        if self._order is not None:
            self._miner.record(self._order.action, "lost", overwritten_by=to)
