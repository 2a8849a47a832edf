"""What the monitor expects of each miner, taken only where it is certain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from contract.rigmonitor.asic import Switch, read_switch

_OFF_AFTER: Final = 2  # polls in a row that say so, before anything is switched off
LIGHT: Final = "light_expected_status"
ASIC: Final = "asic_expected_status"


class Wish:
    """One switch of one miner. A wish holds for the poll that brought it: acting on an older one could be acting on
    what nobody wants any more.
    """

    __slots__ = ("_last", "_times")

    def __init__(self) -> None:
        self._last: Switch | None = None
        self._times = 0

    def heard(self, value: Switch | None) -> Switch | None:
        """What may be done about the newest poll. `None` for a poll that told nothing, which also begins the count
        again.
        """
        self._times = self._times + 1 if value is not None and value is self._last else 1
        self._last = value
        if value is Switch.OFF and self._times < _OFF_AFTER:
            return None
        return value


def fault_in(expected: Mapping[str, Any]) -> str | None:
    """What of one machine's expected status is no wish, in words; `None` when both are."""
    odd = [
        f"{name} is {str(expected.get(name))[:40]!r}"
        for name in (ASIC, LIGHT)
        if read_switch(expected.get(name)) is None
    ]
    return ", ".join(odd) or None


def wished(expected: Any, name: str) -> Switch | None:
    """One of the two of one machine; `None` for whatever is not exactly on or off."""
    return read_switch(expected.get(name)) if isinstance(expected, dict) else None
