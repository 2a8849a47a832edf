"""The pools: the whole configuration read, its pools replaced, written, and read again until nothing else changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from contract.errors import (
    BadParamsError,
    BusyError,
    MinerError,
    PoolsLockedError,
    RefusedError,
)
from contract.hiding import shown_url
from contract.miner import Pool, Reading
from drivers.antminer import proofs
from drivers.antminer.changes.mode import running, sleeps, spellings
from drivers.antminer.changes.orders import (
    BadRequestError,
    Subject,
    is_old,
    json_answer,
    read_conf,
    write_conf,
)
from drivers.antminer.protocol import conf
from drivers.base import Effect, Evidence, NoChange, Plan, Pools
from drivers.changes.templates import fill
from drivers.changes.verification import evidence, is_silent
from drivers.watch import Watch

_LOOK_EVERY_S: Final = 5.0
_SPOILT: Final = "ERR"  # what the firmware writes instead of a pool whose signed file is broken
SLEEPING: Final = ("1", "254")  # work modes in which the miner works for no pool


async def plan(miner: Subject, change: Pools) -> Plan | NoChange:
    """Read the configuration, and the pools of the running miner; say which three slots would be written."""
    config = await read_conf(miner)
    wanted = wanted_slots(miner, change, config)
    before: dict[str, Any] = {"pools": shown(config.pools), "mode": config.mode_number}
    is_stored = conf.same_pools(config.pools, wanted)
    if is_stored:
        reading = await running(miner)
        # Stored is not yet in force: the miner may have started with others, and not taken these.
        if reading is not None and (lists(reading.moving.pools, config, wanted) or sleeps(reading)):
            before["working_for"] = _working_for(reading)
            return NoChange(change=change, before=before)
    elif await are_locked(miner):
        raise PoolsLockedError(
            "the pools of this miner are locked by a signed file of its maker or owner; unlock them first"
        )
    compose(miner, config, wanted)  # raises what cannot be written, before anything is
    data = {
        "config": dict(config.fields),
        "old": _plain(config.pools),
        "new": _plain(wanted),
    }
    # Old firmware restarts the mining for it, and so does any that is not told its mode.
    raises = is_old(miner) or not config.has_mode
    return Plan(change=change, before=before, data=data, raises_power=raises)


async def apply(miner: Subject, plan: Plan, effect: Effect) -> None:
    """Write the configuration with the new pools. The work mode goes along unchanged, so the miner only reloads."""
    config = _config(plan)
    slots = _slots(plan, "new")
    try:
        await _write(miner, config, slots, effect)
    except BusyError:
        raise
    except RefusedError as error:
        if all(slot.url for slot in slots):
            raise
        raise RefusedError(
            f"{error}. Some firmwares want all three slots filled: give three"
        ) from None


async def verify(miner: Subject, plan: Plan, effect: Effect) -> Evidence:
    """Read the configuration until it holds the new pools, then look whether the miner works for them.

    Raises PoolsLockedError when the firmware put its own pools in their place.
    """
    watch = Watch(miner, effect)
    found, trouble = await _stored(miner, plan, watch)
    if found is None:
        reason = f"could not read the configuration again: {trouble}"
        return evidence(plan, watch, "unknown", "none", {}, reason=reason)
    after: dict[str, Any] = {"pools": shown(found.pools), "mode": found.mode_number}
    if conf.same_pools(found.pools, _slots(plan, "new")):
        return await _stored_as_wished(miner, plan, watch, found, after)
    if is_spoilt(found) or await _locked_now(miner):
        raise PoolsLockedError(
            "the miner took the order and put the pools of its signed file back: its pools are locked"
        )
    signal = proofs.CONFIG.signal
    if conf.same_pools(found.pools, _slots(plan, "old")):
        reason = "the miner's configuration still holds the old pools"
        return evidence(plan, watch, "not_done", signal, after, reason=reason)
    reason = "the miner's configuration holds neither the old nor the new pools: set them again"
    return evidence(plan, watch, "unknown", signal, after, reason=reason)


def wanted_slots(miner: Subject, change: Pools, config: conf.Config) -> tuple[conf.Slot, ...]:
    """The three slots as they should be. Raises BadParamsError."""
    if len(change.pools) > conf.SLOTS:
        raise BadParamsError(
            f"this miner has {conf.SLOTS} pool slots, {len(change.pools)} are given"
        )
    slots: list[conf.Slot] = []
    for index, pool in enumerate(change.pools):
        if not pool.url:
            raise BadParamsError(f"pool {index + 1} has no url")
        present = config.slots[index]
        password = pool.password
        if password is None:
            password = present.password if present.url == pool.url else "x"
        user = fill(pool.user, miner.identity, miner.endpoint.host)
        slots.append(conf.Slot(url=pool.url, user=user, password=password))
    wanted = conf.filled_up(tuple(slots))
    conf.check_slots(wanted)
    return wanted


def compose(
    miner: Subject, config: conf.Config, slots: tuple[conf.Slot, ...], *, as_text: bool = False
) -> bytes:
    """The request's body in this miner's dialect, with everything but the pools as it was."""
    if is_old(miner):
        return conf.form_body(config, slots, config.mode_number)
    return conf.json_body(config, slots, config.mode_number, as_text=as_text)


def lists(pools: Sequence[Pool], config: conf.Config, slots: tuple[conf.Slot, ...]) -> bool:
    """Whether the running miner's pools are these, in order, with these users where it tells them."""
    running_pools = [pool for pool in pools if pool.url]
    wanted = [slot for slot in slots if slot.url]
    return len(running_pools) == len(wanted) and all(
        _bare(pool.url) == _bare(shown_url(slot.url))
        and (pool.user is None or _is_user(pool.user, slot.user, config))
        for pool, slot in zip(running_pools, wanted, strict=True)
    )


async def are_locked(miner: Subject) -> bool:
    """Whether a signed file holds the pools; builds without that lock have no such script."""
    if is_old(miner):
        return False
    response = await miner.cgi.get("pool_protect.cgi")
    answer = json_answer(response) if response.status == 200 else None
    return answer is not None and str(answer.get("status", "")).lower() == "success"


def is_spoilt(config: conf.Config) -> bool:
    """Whether the firmware wrote its error word over the pools: it does so when their signed file is broken."""
    return any(slot.url == _SPOILT for slot in config.pools)


def shown(pools: tuple[conf.Slot, ...]) -> list[dict[str, Any]]:
    """Pools as they may be seen: no password, none inside a url either."""
    return [
        {
            "url": shown_url(slot.url),
            "user": slot.user,
            "password": "****" if slot.password else "",
        }
        for slot in pools
        if slot.url
    ]


async def _write(
    miner: Subject, config: conf.Config, slots: tuple[conf.Slot, ...], effect: Effect
) -> None:
    """Some builds want the work mode that goes along as text, and say so to a number by a 400."""
    *others, last = spellings(miner)
    for as_text in others:
        try:
            return await write_conf(miner, compose(miner, config, slots, as_text=as_text), effect)
        except BadRequestError:
            pass  # refused, so nothing was stored
    return await write_conf(miner, compose(miner, config, slots, as_text=last), effect)


async def _stored(
    miner: Subject, plan: Plan, watch: Watch
) -> tuple[conf.Config | None, MinerError | None]:
    """The configuration once it is as wished or the window is over, or why it could not be read."""
    found: conf.Config | None = None
    trouble: MinerError | None = None
    await watch.pause(proofs.CONFIG.earliest_s)
    while True:
        try:
            found, trouble = await read_conf(miner, tries=1), None
        except MinerError as error:
            trouble = error
            if not is_silent(error):
                return None, error
        if trouble is None and found is not None and _is_final(plan, found):
            return found, None
        if watch.device_s >= proofs.CONFIG.latest_s:
            return (found, None) if trouble is None else (None, trouble)
        await watch.pause(_LOOK_EVERY_S)


async def _stored_as_wished(
    miner: Subject, plan: Plan, watch: Watch, found: conf.Config, after: dict[str, Any]
) -> Evidence:
    remarks: list[str] = []
    beside = conf.changed_beside(_config(plan), found)
    if found.mode_number != plan.before.get("mode"):
        beside["work mode"] = (plan.before.get("mode"), found.mode_number)
    if beside:
        # Some images rebuild the file from a fixed list and lose settings with every save.
        after["also_changed"] = {key: [was, now] for key, (was, now) in beside.items()}
        remarks.append(f"this firmware also changed {', '.join(beside)} when it saved")
    signal = proofs.CONFIG.signal
    after["working_for"] = None
    if found.mode_number in SLEEPING and sleeps(reading := await running(miner)):
        remarks.append("the miner sleeps, so it works for no pool now")
        is_listed = reading is not None and lists(reading.moving.pools, found, _slots(plan, "new"))
        signal = signal if is_listed else "none"
        return evidence(plan, watch, "done", signal, after, reason="; ".join(remarks))
    listed, alive = await _live(miner, plan, watch, found)
    after["working_for"] = alive
    if listed is None:
        reason = "stored, but the running miner could not be asked for its pools"
        return evidence(plan, watch, "unknown", "none", after, reason="; ".join([reason, *remarks]))
    if not listed:
        reason = "stored, but the running miner still lists other pools; reboot it"
        return evidence(plan, watch, "unknown", signal, after, reason="; ".join([reason, *remarks]))
    if alive is None:
        remarks.append("no pool is alive yet: check address and account")
    else:
        signal = f"{signal}, {proofs.POOLS_LIVE.signal}"
    return evidence(plan, watch, "done", signal, after, reason="; ".join(remarks) or None)


async def _live(
    miner: Subject, plan: Plan, watch: Watch, found: conf.Config
) -> tuple[bool | None, str | None]:
    """Whether the running miner lists the new pools in order (`None`: could not be asked), and the one in use."""
    slots = _slots(plan, "new")
    begin_s = watch.device_s
    listed: bool | None = None
    while True:
        try:
            reading = await miner.read()
        except MinerError as error:
            if not is_silent(error):
                return listed, None
        else:
            listed = lists(reading.moving.pools, found, slots)
            if listed and (alive := _working_for(reading)) is not None:
                return True, alive
        if watch.device_s - begin_s >= proofs.POOLS_LIVE.latest_s or not any(
            slot.url for slot in slots
        ):
            return listed, None
        await watch.pause(_LOOK_EVERY_S)


def _is_final(plan: Plan, found: conf.Config) -> bool:
    return conf.same_pools(found.pools, _slots(plan, "new")) or is_spoilt(found)


async def _locked_now(miner: Subject) -> bool:
    try:
        return await are_locked(miner)
    except MinerError:
        return False  # the read-back has spoken; this was only for a better word


def _working_for(reading: Reading) -> str | None:
    """The url of the pool in use."""
    return next((shown_url(pool.url) for pool in reading.moving.pools if _is_alive(pool)), None)


def _is_alive(pool: Pool) -> bool:
    return pool.status == "alive" and pool.active is not False


def _is_user(told: str, stored: str, config: conf.Config) -> bool:
    """With `bitmain-user-ip-cat` the miner puts its own address behind the worker's name."""
    if str(config.fields.get("bitmain-user-ip-cat", "0")).lower() in {"1", "true"}:
        return told.startswith(stored)
    return told == stored


def _bare(url: str) -> str:
    """Without the scheme that a miner puts before a url given without one."""
    return url.removeprefix("stratum+tcp://")


def _plain(slots: tuple[conf.Slot, ...]) -> list[dict[str, str]]:
    return [{"url": s.url, "user": s.user, "password": s.password} for s in slots]


def _slots(plan: Plan, key: str) -> tuple[conf.Slot, ...]:
    return msgspec.convert(plan.data[key], tuple[conf.Slot, ...])


def _config(plan: Plan) -> conf.Config:
    return conf.Config(pools=_slots(plan, "old"), fields=plan.data["config"])
