"""The pools: all three slots written along with fan and mode as they are, and read back; then whether it connects."""

from __future__ import annotations

from typing import Any, Final

from contract.errors import BadParamsError, MinerError
from contract.hiding import shown_url
from contract.miner import PowerMode
from drivers.base import Effect, Evidence, NoChange, Plan, Pools
from drivers.changes.templates import fill
from drivers.changes.verification import evidence, is_silent
from drivers.iceriver import proofs
from drivers.iceriver.changes import machine, state
from drivers.iceriver.changes.orders import Subject
from drivers.iceriver.protocol.web import SET_POOLS
from drivers.watch import Watch

_LOOK_EVERY_S: Final = 5.0
_ASK_CONNECTED_EVERY_S: Final = 10.0
_DEFAULT_PASSWORD: Final = "x"
_FAN_REMARK: Final = (
    "firmware before September 2023 puts its fans on automatic when pools are set: "
    "if this one had them at a fixed speed, set that again"
)


async def plan(miner: Subject, change: Pools) -> Plan | NoChange:
    """Read the configuration; say which slots would be written. Raises BadParamsError, UnsupportedError."""
    found = await state.config(miner)
    wanted = wanted_slots(miner, change, found)
    before = _seen(found)
    if machine.texts_of(found.slots) == wanted:
        before["working_for"] = _in_use(found)  # these are the pools of the program that mines
        return NoChange(change=change, before=before)
    form = machine.form(wanted, found.ratio, found.mode)
    old = [list(texts) for texts in machine.texts_of(found.slots)]
    data = {"form": form, "old": old}
    # Only its connections begin anew; the mode goes along as it is.
    return Plan(change=change, before=before, data=data, raises_power=False)


async def apply(miner: Subject, plan: Plan, effect: Effect) -> None:
    """Write all the slots at once. No restart is needed."""
    await miner.web.order(*SET_POOLS, plan.data["form"], effect)


async def verify(miner: Subject, plan: Plan, effect: Effect) -> Evidence:
    """Read the configuration until it holds the new pools, then look whether the miner connects to one."""
    watch = Watch(miner, effect)
    found, trouble = await _stored(miner, plan, watch)
    if found is None:
        reason = f"could not read the pools again: {trouble}"
        return evidence(plan, watch, "unknown", "none", {}, reason=reason)
    texts = machine.texts_of(found.slots)
    if texts == _wanted(plan):
        return await _as_wished(miner, plan, watch, found)
    after = _seen(found)
    signal = proofs.POOLS.signal
    if texts == _texts(plan.data["old"]):
        reason = "the miner still has the old pools"
        return evidence(plan, watch, "not_done", signal, after, reason=reason)
    reason = "the miner has neither the old nor the new pools: set them again"
    return evidence(plan, watch, "unknown", signal, after, reason=reason)


def wanted_slots(miner: Subject, change: Pools, found: state.Config) -> tuple[machine.Texts, ...]:
    """The three slots as they should be, with placeholders filled in. Raises BadParamsError."""
    if not change.pools:
        raise BadParamsError("no pool is given: without pools this miner does not work")
    if len(change.pools) > state.SLOTS:
        raise BadParamsError(
            f"this miner has {state.SLOTS} pool slots, {len(change.pools)} are given"
        )
    slots: list[machine.Texts] = []
    for index, pool in enumerate(change.pools):
        url = pool.url.strip()
        if not url:
            raise BadParamsError(f"pool {index + 1} has no url")
        password = pool.password
        if password is None:
            present = found.slots[index] if index < len(found.slots) else None
            password = present.password if present and present.url == url else _DEFAULT_PASSWORD
        user = fill(pool.user, miner.identity, miner.endpoint.host)
        slots.append((url, user.strip(), password.strip()))
    return (*slots, *(("", "", ""),) * (state.SLOTS - len(slots)))


def shown(slots: tuple[state.Slot, ...]) -> list[dict[str, Any]]:
    """Pools as they may be seen: no password, none inside a url either."""
    return [
        {
            "url": shown_url(slot.url),
            "user": slot.user,
            "password": "****" if slot.password else "",
        }
        for slot in slots
        if slot.url
    ]


async def _stored(
    miner: Subject, plan: Plan, watch: Watch
) -> tuple[state.Config | None, MinerError | None]:
    """The configuration once it is as wished or the window is over, or why it could not be read."""
    await watch.pause(proofs.POOLS.earliest_s)
    found: state.Config | None = None
    while True:
        trouble: MinerError | None = None
        try:
            found = await state.config(miner)
        except MinerError as error:
            trouble = error
            if not is_silent(error):
                return None, error
        else:
            if machine.texts_of(found.slots) == _wanted(plan):
                return found, None
        if watch.device_s >= proofs.POOLS.latest_s:
            return (found, None) if trouble is None else (None, trouble)
        await watch.pause(_LOOK_EVERY_S)


async def _as_wished(miner: Subject, plan: Plan, watch: Watch, found: state.Config) -> Evidence:
    signal = proofs.POOLS.signal
    remarks: list[str] = []
    found, is_known = await _connected(miner, plan, watch, found)
    after = _seen(found) | {"working_for": _in_use(found)}
    if beside := machine.changed_beside(plan.before, after, "ratio", "mode"):
        after["also_changed"] = beside
        remarks.append(f"the miner also changed {', '.join(beside)}")
    if after["working_for"] is not None:
        signal = f"{signal}, {proofs.CONNECTED.signal}"
    elif found.mode is PowerMode.SLEEP:
        remarks.append("the miner sleeps, so it works for no pool now")
    elif is_known:
        remarks.append("not connected to a pool yet: check address and account")
    else:
        remarks.append("whether it connects could not be seen: the miner stopped answering")
    if miner.has_mode_order is not True:
        remarks.append(_FAN_REMARK)
    return evidence(plan, watch, "done", signal, after, reason="; ".join(remarks) or None)


async def _connected(
    miner: Subject, plan: Plan, watch: Watch, found: state.Config
) -> tuple[state.Config, bool]:
    """The configuration as last read once a pool is in use or its time is over, and whether the last look succeeded.

    A pool another hand set meanwhile is not waited for.
    """
    begin_s = watch.device_s
    is_known = True
    while _in_use(found) is None and found.mode is not PowerMode.SLEEP:
        if watch.device_s - begin_s >= proofs.CONNECTED.latest_s:
            break
        await watch.pause(_ASK_CONNECTED_EVERY_S)
        try:
            now, is_known = await state.config(miner), True
        except MinerError as error:
            is_known = False
            if not is_silent(error):
                break
        else:
            if machine.texts_of(now.slots) != _wanted(plan):
                break
            found = now
    return found, is_known


def _seen(found: state.Config) -> dict[str, Any]:
    return {"pools": shown(found.slots), **machine.shown(found)}


def _in_use(found: state.Config) -> str | None:
    """The url of the pool it works for."""
    used = (slot for slot in found.slots if slot.url and slot.connected and slot.active)
    return next((shown_url(slot.url) for slot in used), None)


def _wanted(plan: Plan) -> tuple[machine.Texts, ...]:
    form: dict[str, str] = plan.data["form"]
    return machine.texts_in(form)


def _texts(rows: list[list[str]]) -> tuple[machine.Texts, ...]:
    return tuple((url, user, password) for url, user, password in rows)
