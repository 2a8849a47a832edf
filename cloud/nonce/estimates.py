"""What an order will probably do to the watts of a farm, and how long its orders take to begin. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Final

import msgspec

from cloud.nonce.miners import run_status
from cloud.store.miners.search import ListedMiner
from contract.condition.anomalies import full_power_w
from contract.condition.nameplates import LOW_SHARE
from contract.miner import Slow
from contract.nonce.groups import Pace, Watts
from contract.task import Params, TaskName

# What each mode takes of what `normal` takes.
_SHARES: Final = {"low": LOW_SHARE, "normal": 1.0, "high": 1.15}
IDLE_W: Final = 15.0  # of a miner that sleeps or is switched off: its controller
_PRESET_W: Final = re.compile(r"(\d{3,5})W")
_SETS_POWER: Final = frozenset({TaskName.POWER_MODE, TaskName.MINING, TaskName.POWER_LIMIT})
_RESTARTS: Final = (TaskName.REBOOT, TaskName.FIRMWARE)
# Defaults of the agents' `[limits] power_ons_per_10_s`, which no agent tells its cloud.
_AUTO_SHARE: Final = 100
_AUTO_LEAST: Final = 5
_WITHIN_S: Final = 10.0
_ASSUMED: Final = (
    "each agent lets one order in a hundred of its miners that raises power begin in 10 s, and at least 5, which is "
    "the default of its [limits] power_ons_per_10_s; all other orders begin at once"
)


class WattsChange(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Watts of one miner before and after; None is not known. `raises`: its order waits for the pacer."""

    before_w: float | None
    after_w: float | None
    raises: bool


def change_of(row: ListedMiner, name: TaskName, params: Params, now: datetime) -> WattsChange:
    """What a task is expected to do to one miner."""
    before_w = _now_w(row, now)
    if name in _RESTARTS:
        return WattsChange(before_w=before_w, after_w=before_w, raises=True)
    after_w = _after_w(row, name, params, before_w)
    raises = name in _SETS_POWER and (before_w is None or after_w is None or after_w > before_w)
    return WattsChange(before_w=before_w, after_w=after_w, raises=raises and after_w != IDLE_W)


def watts_of(changes: Iterable[WattsChange]) -> Watts:
    """The sums over those of whom both is known."""
    before = expected = 0.0
    unknown = 0
    for each in changes:
        if each.before_w is None or each.after_w is None:
            unknown += 1
            continue
        before += each.before_w
        expected += each.after_w
    return Watts(before=round(before, 1), expected=round(expected, 1), unknown_count=unknown)


def pace_of(raising: Counter[str | None], miners: Counter[str | None]) -> Pace:
    """By agent: how many orders raise power, and how many miners it has."""
    longest_s = max(
        (
            (number - 1) * _WITHIN_S / max(_AUTO_LEAST, -(-miners[agent_id] // _AUTO_SHARE))
            for agent_id, number in raising.items()
        ),
        default=0.0,
    )
    return Pace(minutes=round(longest_s / 60, 2), raising_count=raising.total(), assumed=_ASSUMED)


def _now_w(row: ListedMiner, now: datetime) -> float | None:
    if run_status(row, now) != "online":
        return None
    if row.mode == "sleep" and row.power_w is None:
        return IDLE_W
    return row.power_w


def _after_w(
    row: ListedMiner, name: TaskName, params: Params, before_w: float | None
) -> float | None:
    if name not in _SETS_POWER:
        return before_w
    asked = params.model_dump()
    if name is TaskName.POWER_MODE:
        return _in_mode(row, asked["mode"], before_w)
    if name is TaskName.MINING:
        if asked["action"] == "off":
            return IDLE_W
        return _in_mode(row, row.awake_mode or "normal", before_w)
    if before_w is None or row.mode == "sleep":
        return before_w  # a limit wakes nobody
    limited_w = max(before_w, row.power_limit_w or 0.0)  # by watts alone
    if asked["watts"] is None:
        return limited_w * float(asked["percent"]) / 100
    slow = None if row.slow is None else msgspec.convert(row.slow, Slow)
    full_w = max(limited_w, full_power_w(slow) or 0.0)  # as far as is known
    return full_w if asked["watts"] == "default" else min(float(asked["watts"]), full_w)


def _in_mode(row: ListedMiner, mode: str, before_w: float | None) -> float | None:
    if mode == "sleep":
        return IDLE_W
    if preset := _PRESET_W.search(mode):
        return float(preset[1])
    if mode not in _SHARES or before_w is None:
        return None
    running = _SHARES.get(row.mode or "")
    if running is not None:
        return before_w * _SHARES[mode] / running
    if row.power_limit_w is not None:
        return row.power_limit_w * _SHARES[mode]
    return None
