"""Whether the ledger shows a miner in the state a setting asked for, and what has to be known of miners for that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from tests.system.witness import Entry, Row

# The numbers of Bitmain's firmware (254 is how old images sleep), the words of the others'.
_MODES: Final[Mapping[str, tuple[str, ...]]] = {
    "sleep": ("1", "254", "sleep"),
    "low": ("2", "3", "low"),
    "normal": ("0", "normal"),
    "high": ("high",),
}
_JUST_S: Final = 1.0  # a light that ends by itself may do so between the look that saw it and the commit that says so
_UNSEEN: Final = "unseen"  # as it was before the ledger began


class RigParts(msgspec.Struct, frozen=True):
    """What a rig has: its programs by name, and by bus id the power limits that its cards come with."""

    programs: tuple[str, ...]
    limits_w: Mapping[str, float]


class Origin(msgspec.Struct, frozen=True):
    """What is true of miners before the ledger begins: by MAC the power limits that their firmware comes with, and the
    parts of those that are rigs.
    """

    limits_w: Mapping[str, int] = {}
    rigs: Mapping[str, RigParts] = {}


def satisfies(
    row: Row, action: str, entries: Iterable[Entry], until_t: float, origin: Origin
) -> str | None:
    """Why the miner was not as `row` wished at `until_t`; `None` when it was.

    `entries` are those of the row's miner, oldest first.
    """
    assert row.mac is not None
    past = [each for each in entries if each.t <= until_t and each.phase == "applied"]
    if (rig := origin.rigs.get(row.mac)) is not None:
        return _of_rig(row, action, past, rig)
    if action == "light":
        return _light(row, past, until_t)
    if action == "mode":
        return _mode(row, past)
    if action == "mining":
        return _mining(row, past)
    if action == "power_limit":
        return _power_limit(row, past, origin.limits_w.get(row.mac))
    return _pools(row, past)


def _of_rig(row: Row, action: str, past: list[Entry], rig: RigParts) -> str | None:
    if action == "mining":
        return _rig_mining(row, past, rig)
    if action == "power_limit":
        return _rig_power_limit(row, past, rig)
    return f"no rig has a {action}"


def _light(row: Row, past: list[Entry], until_t: float) -> str | None:
    wished = row.params.get("action", row.params.get("mode")) == "on"
    possible = {False}
    for each in past:
        if each.action == "light_timeout" and until_t - each.t <= _JUST_S:
            possible |= {False}
        elif each.action in ("light", "light_timeout"):
            possible = {bool(each.after["on"])}
        elif each.action == "reboot":
            possible = {False}
        else:
            possible |= {False}  # other orders may end a blink without a word
    if wished in possible:
        return None
    last = f", by {past[-1].action} {until_t - past[-1].t:.2f} s before" if past else ""
    return f"its light was {'off' if wished else 'on'}{last}"


def _mode(row: Row, past: list[Entry]) -> str | None:
    wished = str(row.params.get("mode", row.params.get("mining_mode")))
    mode = _last(past, "mode", "mode")
    if mode == _UNSEEN:
        mode = "0"  # every simulated miner begins in normal mode
    return None if mode in _MODES.get(wished, ()) else f"its mode was {mode}, not {wished}"


def _mining(row: Row, past: list[Entry]) -> str | None:
    """A WhatsMiner is switched beside its mode, and its boot switches it on; all others sleep."""
    wished = row.params["action"] == "on"
    switches = [each for each in past if each.action in ("power_off", "power_on", "reboot")]
    is_on = not switches or switches[-1].action != "power_off"
    mode = _last(past, "mode", "mode")
    is_on = is_on and mode not in _MODES["sleep"]
    return None if is_on is wished else f"its mining was {'on' if is_on else 'off'}"


def _power_limit(row: Row, past: list[Entry], own_limit_w: int | None) -> str | None:
    """In the ledger 0 W is the limit that the firmware comes with; a boot takes a percentage away."""
    if (wished := row.params.get("percent")) is not None:
        orders = [each for each in past if each.action in ("power_percent", "reboot")]
        percent = orders[-1].after.get("power_percent", 100) if orders else 100
        return None if percent == wished else f"it was at {percent} %, not {wished}"
    watts = 0 if row.params["watts"] == "default" else row.params["watts"]
    limit = _last(past, "power_limit", "power_limit")
    if limit == _UNSEEN:
        limit = 0
    is_so = limit == watts or (limit == 0 and watts == own_limit_w)
    return None if is_so else f"its limit was {limit} W, not {watts}"


def _rig_mining(row: Row, past: list[Entry], rig: RigParts) -> str | None:
    """All its programs are meant, and all of them run once it has booted."""
    wished = row.params["action"] == "on"
    is_on = dict.fromkeys(rig.programs, True)
    for each in past:
        if each.action == "reboot":
            is_on = dict.fromkeys(rig.programs, True)
        elif each.program is not None and each.action in ("pause", "resume"):
            is_on[each.program] = not each.after["paused"]
        elif each.program is not None and each.action in ("stop", "start"):
            is_on[each.program] = bool(each.after["active"])
    others = [name for name, on in is_on.items() if on is not wished]
    return f"{', '.join(others)} was {'off' if wished else 'on'}" if others else None


def _rig_power_limit(row: Row, past: list[Entry], rig: RigParts) -> str | None:
    """Watts are those of all its cards together; a boot takes every limit away."""
    limits = dict(rig.limits_w)
    for each in past:
        if each.action == "reboot":
            limits = dict(rig.limits_w)
        elif each.action == "power_limit" and each.bus_id is not None:
            limits[each.bus_id] = each.after["watts"]
    if isinstance(watts := row.params.get("watts"), int):
        return None if sum(limits.values()) == watts else f"its limits were {limits}, not {watts}"
    percent = row.params.get("percent", 100)
    wished = {bus_id: own_w * percent // 100 for bus_id, own_w in rig.limits_w.items()}
    return None if limits == wished else f"its limits were {limits}, not {percent} %"


def _pools(row: Row, past: list[Entry]) -> str | None:
    slots = _last(past, "pools", "pools")
    if slots == _UNSEEN:
        return "its pools were never written"
    urls = [slot["url"] for slot in slots if slot["url"]]
    wished = [pool["url"] for pool in row.params["pools"]]
    return None if urls == wished else f"its pools were {urls}, not {wished}"


def _last(past: list[Entry], action: str, key: str) -> Any:
    found = [
        each for each in past if key in each.after and each.action in (action, "factory_reset")
    ]
    return found[-1].after[key] if found else _UNSEEN
