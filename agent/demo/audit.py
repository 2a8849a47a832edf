"""The simulator's ledger held against the cloud: was any effect done twice, or by nobody's order?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from contract.clock import from_text
from contract.rigmonitor.playbook import MiningWish
from contract.task import TaskName

# Which task (or what a playbook says) may cause which entries of the ledger. A firmware update ends in a reboot of the
# device.
_CAUSES = {
    "reboot": (TaskName.REBOOT, TaskName.FIRMWARE),
    "light": (TaskName.LIGHT,),
    "mode": (TaskName.POWER_MODE, TaskName.MINING),
    "power_off": (TaskName.MINING,),
    "power_on": (TaskName.MINING, TaskName.POWER_MODE),  # a mode wakes first
    "power_limit": (TaskName.POWER_LIMIT,),
    "power_percent": (TaskName.POWER_LIMIT,),
    "pools": (TaskName.POOLS,),
    "firmware": (TaskName.FIRMWARE,),
    "flash": (TaskName.FIRMWARE,),
    "pause": (TaskName.MINING,),
    "resume": (TaskName.MINING,),
    "stop": (TaskName.MINING, MiningWish.STOP),
    "start": (TaskName.MINING, MiningWish.MINING),
}
_BY_ITSELF = ("light_timeout",)  # old firmware ends a blink after a while
_BY_BOOT = "boot"  # a rig begins its programs when it starts
_SLACK_S = 1.5  # the API writes times in whole seconds


class Audit(msgspec.Struct, frozen=True):
    """`effects` changes of devices; `doubled` more than their tasks allow; `unclaimed` without a task."""

    effects: int
    doubled: int
    unclaimed: int


class Witnessed(msgspec.Struct, frozen=True):
    """A task as the cloud shows it, with the MAC of its miner; or what a playbook said (`name`), from when to when.
    Times in epoch seconds.
    """

    mac: str
    name: str
    begun: float | None
    ended: float | None


def witnessed(mac: str, name: str, task: dict[str, Any]) -> Witnessed:
    """Take what matters from one task of the API."""

    def at(*keys: str) -> float | None:
        text = next((task[key] for key in keys if task.get(key)), None)
        return None if text is None else from_text(text).timestamp()

    return Witnessed(
        mac, name, at("pending_at"), at("succeed_at", "failed_at", "timed_out_at", "cancelled_at")
    )


def mining_process(ledger: Path, mac: str) -> int | None:
    """The id of the process that mines on that rig."""
    pid: int | None = None
    for line in ledger.read_bytes().splitlines():
        entry = msgspec.json.decode(line)
        if (entry["miner"], entry["phase"]) == (mac, "applied"):
            if entry["action"] == "start":
                pid = entry["pid"]
            elif entry["action"] == "stop" and entry["pid"] == pid:
                pid = None
    return pid


def audit(ledger: Path, tasks: Iterable[Witnessed]) -> Audit:
    """Every applied effect needs a task of its kind that ran on that miner at that moment, and no task
    may have more than one effect of a kind.
    """
    orders: dict[tuple[str, str], list[Witnessed]] = {}
    for task in tasks:
        orders.setdefault((task.mac, task.name), []).append(task)
    effects = unclaimed = 0
    used: Counter[tuple[int, str]] = Counter()
    for line in ledger.read_bytes().splitlines():
        entry = msgspec.json.decode(line)
        if entry["phase"] != "applied" or entry["before"] == entry["after"]:
            continue
        if entry["action"] in _BY_ITSELF or entry.get("by") == _BY_BOOT:
            continue
        effects += 1
        at = entry.get("at", entry["t"])  # a process of its own is heard of later
        causes = _CAUSES.get(entry["action"], ())
        candidates = [
            task
            for name in causes
            for task in orders.get((entry["miner"], name), ())
            if task.begun is not None
            and task.begun - _SLACK_S <= at <= (task.ended or at) + _SLACK_S
        ]
        if not candidates:
            unclaimed += 1
            continue
        least = min(candidates, key=lambda task: used[id(task), entry["action"]])
        used[id(least), entry["action"]] += 1
    doubled = sum(count - 1 for count in used.values() if count > 1)
    return Audit(effects, doubled, unclaimed)
