"""What a device complains of: its active error codes, with the time each began."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Final, Protocol

from simulator.faults import Faults
from simulator.pools import Pool
from simulator.whatsminer.catalogue import WhatsminerProduct

_LOCAL: Final = timezone(timedelta(hours=8))  # the factory's time zone, CST-8
_FLOOD: Final = 400


class ErrorSource(Protocol):
    """What a device is judged by."""

    spec: WhatsminerProduct
    faults: Faults
    live_pools: list[Pool]
    high_failed: bool
    misfit: bool

    def unix(self) -> int: ...
    def boards(self) -> list[int]: ...


class ErrorCodes:
    """Remembers since when each code has been active."""

    def __init__(self, miner: ErrorSource) -> None:
        self._miner = miner
        self._since: dict[int, int] = {}

    def codes(self) -> dict[int, str]:
        """Active codes with the maker's kind of text, in the order in which they are reported."""
        found = self._found()
        now = self._miner.unix()
        self._since = {code: self._since.get(code, now) for code in found}
        return found

    def since(self, code: int) -> str:
        """When that active code began, in the device's own time zone."""
        when = datetime.fromtimestamp(self._since.get(code, self._miner.unix()), UTC)
        return f"{when.astimezone(_LOCAL):%Y-%m-%d %H:%M:%S}"

    def _found(self) -> dict[int, str]:
        miner, faults = self._miner, self._miner.faults
        found: dict[int, str] = {}
        if asked := faults.get("error_codes"):
            found |= {int(code): "" for code in asked.args.get("codes", [])}
        if "fan_failed" in faults:
            found[110] = "Fanin detect speed error."
        if miner.high_failed:
            found[218] = "Power input voltage is lower than 230V for high power mode."
        if "overheated" in faults:
            for slot in miner.boards():
                found[350 + slot] = f"SM{slot} temperature protecting."
        for slot in set(range(miner.spec.boards)) - set(miner.boards()):
            found[530 + slot] = f"Slot{slot} not found."
        if not any(pool["url"] for pool in miner.live_pools):
            found[2000] = "No pool information configured."
        elif "pools_dead" in faults:
            for slot, pool in enumerate(miner.live_pools):
                if pool["url"]:
                    found[2020 + slot] = f"Pool{slot} connect failed."
        if "no_hash" in faults:
            found[2310] = "Hashrate too low."
        if miner.misfit:
            found[8410] = "Software version error (wrong firmware for water or air)."
        if "error_flood" in faults:
            found |= {
                520_000 + 1000 * (n % miner.spec.boards) + n: f"Slot chip {n} bad."
                for n in range(_FLOOD)
            }
        return found
