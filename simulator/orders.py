"""An order that a device has taken, and how the device behaves towards who gave it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any


class OrderError(ValueError):
    """The parameters make no sense to the device."""


class Reaction(Enum):
    """How the device behaves towards who gave the order."""

    ANSWER = auto()
    SILENCE = auto()
    HANG_UP = auto()


@dataclass(frozen=True, slots=True)
class Order:
    """An order checked and understood: its name in the ledger, its effect, and how long that takes.

    `delay_s` counts device seconds until the effect. `later`: the answer does not wait for it.
    """

    action: str
    act: Callable[[], None]
    before: dict[str, Any]
    after: dict[str, Any]
    delay_s: float
    later: bool = False
