"""What is done to a farm while it runs, as lines of a file: a process that has the farm is sent SIGHUP after each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from simulator.farm import Farm
from simulator.makes import SpecError
from simulator.miner import Miner


class Changes:
    """A file of JSON lines, each of them done once: those there from the beginning count as done.

    `{"change": "renumber", "count": 50}` (`first`: the first new address); `{"change": "swap", "at": [IP, IP]}`, and
    with the same `at`: `clone_mac` (the first tells the MAC of the second), `exchange_control_boards`,
    `move_control_board` (that of the first into the case of the second); `{"change": "replace_control_board",
    "at": [IP], "mac": MAC, "serial": TEXT}` (`ip`: where it then is).
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._done = len(self._lines())

    def carry_out(self, farm: Farm) -> None:
        """Do what was written since. Raises SpecError for a line that cannot be done; it counts as done."""
        for line in self._lines()[self._done :]:
            self._done += 1
            try:
                document = json.loads(line)
                _change(farm, **document)
            except (ValueError, TypeError, KeyError) as error:
                raise SpecError(f"cannot be done: {line}: {error}") from error

    def _lines(self) -> list[str]:
        return self._path.read_text("utf-8").splitlines() if self._path.exists() else []


def _change(farm: Farm, *, change: str, at: list[str] | None = None, **more: Any) -> None:
    match change, [_miner(farm, ip) for ip in at or ()]:
        case "renumber", []:
            farm.renumber(**more)
        case "swap", [one, other]:
            farm.swap(one, other, **more)
        case "clone_mac", [one, other]:
            one.clone_mac(other, **more)
        case "exchange_control_boards", [one, other]:
            one.exchange_control_boards(other, **more)
        case "move_control_board", [one, other]:
            one.move_control_board(other, **more)
        case "replace_control_board", [one]:
            one.replace_control_board(**more)
        case _:
            raise ValueError("no such change of so many miners")


def _miner(farm: Farm, ip: str) -> Miner:
    device = farm[ip]
    if not isinstance(device, Miner):
        raise TypeError(f"{ip} is no miner")
    return device
