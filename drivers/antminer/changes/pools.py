"""The pools of an AntMiner: its whole configuration is read, its pools replaced, written, and read until nothing else
changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from contract.errors import BusyError, MinerError, PoolsLockedError, RefusedError
from contract.hiding import masked_url
from contract.miner import Pool, Reading
from drivers.antminer.changes.mode import running, sleeps, spellings
from drivers.antminer.changes.orders import (
    BadRequestError,
    is_old,
    json_answer,
    read_conf,
    write_conf,
)
from drivers.antminer.driver import Antminer
from drivers.antminer.models import GENERATIONS
from drivers.antminer.protocol import conf
from drivers.base import Evidence, NoChange, Permit, Pools, Proof, StoredPool, Strength, TypedPlan
from drivers.changes import pools
from drivers.changes.pools import shown
from drivers.changes.verification import Verification
from drivers.changes.way import Way

# A script that is slow to begin (60 s) and the restart after it (90 s).
CONFIG: Final = Proof("pools", "get_miner_conf.cgi", Strength.STATE, 1.0, 150.0)
POOLS_LIVE: Final = Proof("pools", "pools of the running miner", Strength.PROCESS, 1.0, 120.0)

_SPOILT: Final = "ERR"  # what the firmware writes instead of a pool whose signed file is broken
SLEEPING: Final = ("1", "254")  # work modes in which the miner works for no pool


class AntminerPoolsData(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration without its pools, and the pools it has and is to have."""

    config: dict[str, Any]
    old: tuple[StoredPool, ...]
    new: tuple[StoredPool, ...]

    @property
    def conf(self) -> conf.MinerConf:
        """The configuration as it was."""
        return conf.MinerConf(pools=self.old, fields=self.config)


_Watch = Verification[Antminer, AntminerPoolsData]


class AntminerPools(Way[Antminer, AntminerPoolsData]):
    """The work mode goes along unchanged, so newer firmware only reloads; old firmware restarts the mining for it."""

    changes = (Pools,)
    data = AntminerPoolsData
    proofs = dict.fromkeys(GENERATIONS, (CONFIG, POOLS_LIVE))

    async def plan(self, miner: Antminer, change: Pools) -> TypedPlan[AntminerPoolsData] | NoChange:
        """Read the configuration, and the pools of the running miner; say which three slots would be written."""
        config = await read_conf(miner)
        wanted = wanted_slots(miner, change, config)
        before: dict[str, Any] = {"pools": shown(config.pools), "mode": config.mode_number}
        is_stored = conf.same_pools(config.pools, wanted)
        if is_stored:
            reading = await running(miner)
            # Stored is not yet in force: the miner may have started with others, and not taken these.
            if reading is not None and (
                lists(reading.moving.pools, config, wanted) or sleeps(reading)
            ):
                before["working_for"] = _working_for(reading)
                return NoChange(change=change, before=before)
        elif await are_locked(miner):
            raise PoolsLockedError(
                "the pools of this miner are locked by a signed file of its maker or owner; unlock them first"
            )
        compose(miner, config, wanted)  # raises what cannot be written, before anything is
        data = AntminerPoolsData(config=dict(config.fields), old=config.pools, new=wanted)
        # Old firmware restarts the mining for it, and so does any that is not told its mode.
        raises = is_old(miner) or not config.has_mode
        return TypedPlan(change=change, before=before, data=data, raises_power=raises)

    async def apply(
        self, miner: Antminer, plan: TypedPlan[AntminerPoolsData], permit: Permit
    ) -> None:
        """Write the configuration with the new pools."""
        slots = plan.data.new
        try:
            await _write(miner, plan.data.conf, slots, permit)
        except BusyError:
            raise
        except RefusedError as error:
            if all(slot.url for slot in slots):
                raise
            raise RefusedError(
                f"{error}. Some firmwares want all three slots filled: give three"
            ) from None

    async def verify(self, watch: _Watch) -> Evidence:
        """Read the configuration until it holds the new pools, then look whether the miner works for them.

        Raises PoolsLockedError when the firmware put its own pools in their place.
        """
        miner, data = watch.miner, watch.plan.data
        found, trouble = await _stored(watch)
        if found is None:
            return watch.unseen(trouble, could_not="read the configuration again")
        if conf.same_pools(found.pools, data.new):
            return await _stored_as_wished(watch, found)
        if is_spoilt(found) or await _locked_now(miner):
            raise PoolsLockedError(
                "the miner took the order and put the pools of its signed file back: its pools are locked"
            )
        after = _after(found)
        if conf.same_pools(found.pools, data.old):
            reason = "the miner's configuration still holds the old pools"
            return watch.not_done(CONFIG.signal, after, reason)
        reason = "the miner's configuration holds neither the old nor the new pools: set them again"
        return watch.unknown(after, reason, CONFIG.signal)


WAY: Final = AntminerPools()


def wanted_slots(miner: Antminer, change: Pools, config: conf.MinerConf) -> tuple[StoredPool, ...]:
    """The three slots as they should be. Raises BadParamsError."""

    def kept(index: int, url: str) -> str | None:
        present = config.slots[index]
        return present.password if present.url == url else None

    wanted = conf.filled_up(pools.wanted_slots(miner, change, kept))
    conf.check_slots(wanted)
    return wanted


def compose(
    miner: Antminer, config: conf.MinerConf, slots: tuple[StoredPool, ...], *, as_text: bool = False
) -> bytes:
    """The request's body in this miner's dialect, with everything but the pools as it was."""
    if is_old(miner):
        return conf.form_body(config, slots, config.mode_number)
    return conf.json_body(config, slots, config.mode_number, as_text=as_text)


def lists(pools: Sequence[Pool], config: conf.MinerConf, slots: tuple[StoredPool, ...]) -> bool:
    """Whether the running miner's pools are these, in order, with these users where it tells them."""
    running_pools = [pool for pool in pools if pool.url]
    wanted = [slot for slot in slots if slot.url]
    return len(running_pools) == len(wanted) and all(
        _bare(pool.url) == _bare(masked_url(slot.url))
        and (pool.user is None or _is_user(pool.user, slot.user, config))
        for pool, slot in zip(running_pools, wanted, strict=True)
    )


async def are_locked(miner: Antminer) -> bool:
    """Whether a signed file holds the pools; builds without that lock have no such script."""
    if is_old(miner):
        return False
    response = await miner.cgi.get("pool_protect.cgi")
    answer = json_answer(response) if response.status == 200 else None
    return answer is not None and str(answer.get("status", "")).lower() == "success"


def is_spoilt(config: conf.MinerConf) -> bool:
    """Whether the firmware wrote its error word over the pools: it does so when their signed file is broken."""
    return any(slot.url == _SPOILT for slot in config.pools)


# --- private -------------------------------------------------------------------------------------


async def _write(
    miner: Antminer, config: conf.MinerConf, slots: tuple[StoredPool, ...], permit: Permit
) -> None:
    """Some builds want the work mode that goes along as text, and say so to a number by a 400."""
    *others, last = spellings(miner)
    for as_text in others:
        try:
            return await write_conf(miner, compose(miner, config, slots, as_text=as_text), permit)
        except BadRequestError:
            pass  # refused, so nothing was stored
    return await write_conf(miner, compose(miner, config, slots, as_text=last), permit)


async def _stored(watch: _Watch) -> tuple[conf.MinerConf | None, MinerError | None]:
    """The configuration once it is as wished or the window is over, or why it could not be read."""
    await watch.pause(CONFIG.earliest_s)
    seen = await watch.until(
        lambda: read_conf(watch.miner, tries=1),
        lambda found: conf.same_pools(found.pools, watch.plan.data.new) or is_spoilt(found),
        latest_s=CONFIG.latest_s,
    )
    return (seen.found, None) if seen.trouble is None else (None, seen.trouble)


async def _stored_as_wished(watch: _Watch, found: conf.MinerConf) -> Evidence:
    miner, data = watch.miner, watch.plan.data
    after, remarks, signal = _after(found), list[str](), CONFIG.signal
    beside = conf.changed_beside(data.conf, found)
    if found.mode_number != watch.plan.before.get("mode"):
        beside["work mode"] = (watch.plan.before.get("mode"), found.mode_number)
    if beside:
        # Some images rebuild the file from a fixed list and lose settings with every save.
        after["also_changed"] = {key: [was, now] for key, (was, now) in beside.items()}
        remarks.append(f"this firmware also changed {', '.join(beside)} when it saved")
    after["working_for"] = None
    if found.mode_number in SLEEPING and sleeps(reading := await running(miner)):
        remarks.append("the miner sleeps, so it works for no pool now")
        is_listed = reading is not None and lists(reading.moving.pools, found, data.new)
        return watch.done(signal if is_listed else "none", after, "; ".join(remarks))
    listed, alive = await _running_pools(watch, found)
    after["working_for"] = alive
    if listed is None:
        reason = "stored, but the running miner could not be asked for its pools"
        return watch.unknown(after, "; ".join([reason, *remarks]))
    if not listed:
        reason = "stored, but the running miner still lists other pools; reboot it"
        return watch.unknown(after, "; ".join([reason, *remarks]), signal)
    if alive is None:
        remarks.append("no pool is alive yet: check address and account")
    else:
        signal = f"{signal}, {POOLS_LIVE.signal}"
    return watch.done(signal, after, "; ".join(remarks) or None)


async def _running_pools(watch: _Watch, found: conf.MinerConf) -> tuple[bool | None, str | None]:
    """Whether the running miner lists the new pools in order (`None`: could not be asked), and the one in use."""
    slots = watch.plan.data.new
    is_any = any(slot.url for slot in slots)

    def listed(reading: Reading) -> bool:
        return lists(reading.moving.pools, found, slots)

    seen = await watch.until(
        watch.miner.read,
        lambda reading: listed(reading) and _working_for(reading) is not None,
        latest_s=watch.device_s + POOLS_LIVE.latest_s if is_any else 0.0,
    )
    if seen.found is None:
        return None, None
    return listed(seen.found), _working_for(seen.found) if seen.is_enough else None


def _after(found: conf.MinerConf) -> dict[str, Any]:
    return {"pools": shown(found.pools), "mode": found.mode_number}


async def _locked_now(miner: Antminer) -> bool:
    try:
        return await are_locked(miner)
    except MinerError:
        return False  # the read-back has spoken; this was only for a better word


def _working_for(reading: Reading) -> str | None:
    """The url of the pool in use."""
    return next((masked_url(pool.url) for pool in reading.moving.pools if _is_alive(pool)), None)


def _is_alive(pool: Pool) -> bool:
    return pool.status == "alive" and pool.active is not False


def _is_user(told: str, stored: str, config: conf.MinerConf) -> bool:
    """With `bitmain-user-ip-cat` the miner puts its own address behind the worker's name."""
    if str(config.fields.get("bitmain-user-ip-cat", "0")).lower() in {"1", "true"}:
        return told.startswith(stored)
    return told == stored


def _bare(url: str) -> str:
    """Without the scheme that a miner puts before a url given without one."""
    return url.removeprefix("stratum+tcp://")
