"""The pools: all three slots written, then read back from the running miner. Passwords it never shows."""

from __future__ import annotations

import re
from typing import Any, Final

from contract.errors import BadParamsError, BusyError, MinerError
from contract.hiding import shown_url
from drivers.base import Effect, Evidence, NoChange, Plan, Pools
from drivers.changes.templates import fill
from drivers.changes.verification import evidence, is_silent
from drivers.watch import Watch
from drivers.whatsminer import proofs
from drivers.whatsminer.changes import state
from drivers.whatsminer.changes.orders import Subject, give
from drivers.whatsminer.protocol.api import ProcessDownError

SLOTS: Final = 3
ANSWERED_NOTE: Final = "answered"  # the miner took the order
_LOOK_EVERY_S: Final = 5.0
_LONGEST: Final = 255
_DEFAULT_PASSWORD: Final = "x"
# The daemon hands parameters to a shell of root, so nothing that means something there may go out.
_SAFE: Final = re.compile(r"[A-Za-z0-9._:/+@=,-]*")
_SCHEME: Final = "stratum+tcp://"


async def plan(miner: Subject, change: Pools) -> Plan | NoChange:
    """Read the pools in use; say which slots would be written. Raises BadParamsError, BusyError while it is off.

    Equal addresses and users are no change only when no password is given: whether that is the same cannot be read.
    """
    wanted = wanted_slots(miner, change)
    await state.settled(miner)
    try:
        found = await state.pools(miner)
    except ProcessDownError:
        raise BusyError(
            "its mining process does not run, so its pools could neither be read nor proven: "
            "switch its mining on, or try again once it has started"
        ) from None
    before: dict[str, Any] = {"pools": shown(found)}
    is_same = same_pools(found, wanted)
    if is_same and all(pool.password is None for pool in change.pools):
        before["working_for"] = _working_for(found)
        return NoChange(change=change, before=before)
    kept = {bare(slot.url) for slot in found}
    lost = [
        number
        for number, pool in enumerate(change.pools, 1)
        if pool.password is None and bare(pool.url) in kept
    ]
    data = {"new": wanted, "same": is_same, "lost": lost}
    return Plan(change=change, before=before, data=data, raises_power=False)  # it mines on


async def apply(miner: Subject, plan: Plan, effect: Effect) -> None:
    """Write all the slots at once. No restart is asked for: the miner switches by itself."""
    slots: list[dict[str, str]] = plan.data["new"]
    order: dict[str, str] = {"cmd": "update_pools"}
    for number in range(SLOTS):
        slot = slots[number] if number < len(slots) else {"url": "", "user": "", "password": ""}
        order |= {
            f"pool{number + 1}": slot["url"],
            f"worker{number + 1}": slot["user"],
            f"passwd{number + 1}": slot["password"],
        }
    param = [
        {"pool": slot["url"], "worker": slot["user"], "passwd": slot["password"]} for slot in slots
    ]
    await give(miner, effect, v2=order, v3=("set.miner.pools", param))
    await effect.note(ANSWERED_NOTE, True)


async def verify(miner: Subject, plan: Plan, effect: Effect) -> Evidence:
    """Read the pools in use until they are the wanted ones, then look whether the miner works for them."""
    watch = Watch(miner, effect)
    found: tuple[state.Slot, ...] | None = None
    trouble: MinerError | None = None
    await watch.pause(proofs.POOLS.earliest_s)
    while True:
        try:
            found, trouble = await state.pools(miner), None
        except MinerError as error:
            trouble = error
            if not is_silent(error):
                break
        is_set = trouble is None and found is not None and same_pools(found, plan.data["new"])
        if is_set and (_working_for(found) or plan.data["same"]):
            break
        if watch.device_s >= proofs.POOLS.latest_s:
            break
        await watch.pause(_LOOK_EVERY_S)
    if found is None or trouble is not None:
        reason = f"could not read the pools again: {trouble}"
        return evidence(plan, watch, "unknown", "none", {}, reason=reason)
    after: dict[str, Any] = {"pools": shown(found)}
    if not same_pools(found, plan.data["new"]):
        return evidence(plan, watch, "unknown", "none", after, reason=_why(plan, effect, found))
    after["working_for"] = _working_for(found)
    return _as_wished(plan, effect, watch, after)


def wanted_slots(miner: Subject, change: Pools) -> list[dict[str, str]]:
    """The slots as they should be, with placeholders filled in. Raises BadParamsError."""
    if not change.pools:
        raise BadParamsError("no pool is given: a WhatsMiner without pools stops with an error")
    if len(change.pools) > SLOTS:
        raise BadParamsError(f"this miner has {SLOTS} pool slots, {len(change.pools)} are given")
    slots: list[dict[str, str]] = []
    for number, pool in enumerate(change.pools, 1):
        if not pool.url:
            raise BadParamsError(f"pool {number} has no url")
        password = _DEFAULT_PASSWORD if pool.password is None else pool.password
        slot = {
            "url": pool.url,
            "user": fill(pool.user, miner.identity, miner.endpoint.host),
            "password": password,
        }
        for name, text in slot.items():
            if len(text) > _LONGEST or not _SAFE.fullmatch(text):
                raise BadParamsError(
                    f"the {name} of pool {number} has a character that is not safe on this miner: "
                    "use letters, digits and . _ : / + @ = , -"
                )
        slots.append(slot)
    return slots


def same_pools(found: tuple[state.Slot, ...], wanted: list[dict[str, str]]) -> bool:
    """Whether addresses and users are equal, in order."""
    return [(bare(slot.url), slot.user) for slot in found] == [
        (bare(slot["url"]), slot["user"]) for slot in wanted
    ]


def shown(found: tuple[state.Slot, ...]) -> list[dict[str, Any]]:
    """Pools as they may be seen: passwords this miner does not tell, those inside a url we do not."""
    return [{"url": shown_url(slot.url), "user": slot.user} for slot in found]


def bare(url: str) -> str:
    """Without the scheme that a url may be given without."""
    return url.removeprefix(_SCHEME)


def _working_for(found: tuple[state.Slot, ...] | None) -> str | None:
    return next((shown_url(slot.url) for slot in found or () if slot.active and slot.alive), None)


def _as_wished(plan: Plan, effect: Effect, watch: Watch, after: dict[str, Any]) -> Evidence:
    remarks: list[str] = []
    if plan.data["lost"]:
        numbers = ", ".join(map(str, plan.data["lost"]))
        remarks.append(
            f"the password of pool {numbers} could not be kept, since the miner does not tell it: "
            f"{_DEFAULT_PASSWORD} was set"
        )
    if after["working_for"] is None:
        remarks.append("no pool is alive yet: check address and account")
    outcome, signal = "done", proofs.POOLS.signal
    if plan.data["same"]:
        # Addresses and users were the same before: only the answer can tell of the passwords.
        signal = "none"
        is_taken = ANSWERED_NOTE in effect.notes
        outcome = "done" if is_taken else "unknown"
        what = "the miner took the order" if is_taken else "no answer came"
        remarks.insert(0, f"only passwords were to change: {what}, and it does not show them")
    return evidence(plan, watch, outcome, signal, after, reason="; ".join(remarks) or None)


def _why(plan: Plan, effect: Effect, found: tuple[state.Slot, ...]) -> str:
    if shown(found) != plan.before["pools"]:
        return "the miner works for neither the old nor the new pools: set them again"
    if ANSWERED_NOTE in effect.notes:
        # Accepted, and still the old ones: either stored for its next start, or not at all.
        return (
            "the miner accepted the pools but still works for the old ones: some firmwares take them at their "
            "next start, so reboot it, then set them again if it has not"
        )
    return "no answer came, and the miner still works for the old pools; it may take the new ones at its next start"
