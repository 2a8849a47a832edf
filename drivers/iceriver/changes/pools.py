"""The pools of an IceRiver: all three slots written along with fan and mode as they are, and read back; then whether it
connects.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

import msgspec

from contract.errors import BadParamsError
from contract.hiding import masked_url
from contract.miner import PowerMode
from drivers.base import Evidence, NoChange, Permit, Pools, PoolSetting, Proof, Strength, TypedPlan
from drivers.changes import pools
from drivers.changes.pools import SLOTS, shown
from drivers.changes.verification import Verification
from drivers.changes.way import Way
from drivers.iceriver.changes import machine, state
from drivers.iceriver.changes.state import IceriverSettings
from drivers.iceriver.driver import Iceriver
from drivers.iceriver.models import STOCK
from drivers.iceriver.protocol.web import SET_POOLS

POOLS: Final = Proof("pools", "machineconfig pools", Strength.STATE, 0.5, 30.0)
CONNECTED: Final = Proof("pools", "a pool connected and in use", Strength.PROCESS, 1.0, 180.0)

_ASK_CONNECTED_EVERY_S: Final = 10.0
_FAN_REMARK: Final = (
    "firmware before September 2023 puts its fans on automatic when pools are set: "
    "if this one had them at a fixed speed, set that again"
)


class IceriverPoolsData(msgspec.Struct, frozen=True, kw_only=True):
    """The form that is sent, and the slots as they were."""

    form: dict[str, str]
    old: tuple[machine.Texts, ...]

    @property
    def new(self) -> tuple[machine.Texts, ...]:
        """The slots that the form writes."""
        return machine.texts_in(self.form)


_Watch = Verification[Iceriver, IceriverPoolsData]


class IceriverPools(Way[Iceriver, IceriverPoolsData]):
    """No restart is needed: only its connections begin again."""

    changes = (Pools,)
    data = IceriverPoolsData
    proofs: ClassVar = {STOCK: (POOLS, CONNECTED)}

    async def plan(self, miner: Iceriver, change: Pools) -> TypedPlan[IceriverPoolsData] | NoChange:
        """Read the configuration; say which slots would be written. Raises BadParamsError, UnsupportedError."""
        found = await state.config(miner)
        wanted = wanted_slots(miner, change, found)
        before, old = _seen(found), machine.texts_of(found.slots)
        if old == wanted:
            before["working_for"] = _in_use(found)  # these are the pools of the program that mines
            return NoChange(change=change, before=before)
        data = IceriverPoolsData(form=machine.form(wanted, found.ratio, found.mode), old=old)
        # The mode goes along as it is.
        return TypedPlan(change=change, before=before, data=data, raises_power=False)

    async def apply(
        self, miner: Iceriver, plan: TypedPlan[IceriverPoolsData], permit: Permit
    ) -> None:
        """Write all the slots at once."""
        await miner.web.order(*SET_POOLS, plan.data.form, permit)

    async def verify(self, watch: _Watch) -> Evidence:
        """Read the configuration until it holds the new pools, then look whether the miner connects to one."""
        data = watch.plan.data
        await watch.pause(POOLS.earliest_s)
        seen = await watch.until(
            lambda: state.config(watch.miner),
            lambda found: machine.texts_of(found.slots) == data.new,
            latest_s=POOLS.latest_s,
        )
        if seen.found is None or seen.trouble is not None:
            return watch.unseen(seen.trouble, could_not="read the pools again")
        if seen.is_enough:
            return await _as_wished(watch, seen.found)
        after = _seen(seen.found)
        if machine.texts_of(seen.found.slots) == data.old:
            return watch.not_done(POOLS.signal, after, "the miner still has the old pools")
        reason = "the miner has neither the old nor the new pools: set them again"
        return watch.unknown(after, reason, POOLS.signal)


WAY: Final = IceriverPools()


def wanted_slots(
    miner: Iceriver, change: Pools, found: IceriverSettings
) -> tuple[machine.Texts, ...]:
    """The three slots as they should be, with placeholders filled in. Raises BadParamsError."""
    if not change.pools:
        raise BadParamsError("no pool is given: without pools this miner does not work")

    def kept(index: int, url: str) -> str | None:
        present = found.slots[index] if index < len(found.slots) else None
        return present.password if present and present.url == url else None

    bare = Pools(pools=tuple(map(_stripped, change.pools)))
    texts = machine.texts_of(pools.wanted_slots(miner, bare, kept))
    return (*texts, *(("", "", ""),) * (SLOTS - len(texts)))


# --- private -------------------------------------------------------------------------------------


def _stripped(pool: PoolSetting) -> PoolSetting:
    """The firmware cuts the blanks around each text."""
    return msgspec.structs.replace(pool, url=pool.url.strip())


async def _as_wished(watch: _Watch, found: IceriverSettings) -> Evidence:
    signal = POOLS.signal
    remarks: list[str] = []
    found, is_known = await _connected(watch, found)
    after = _seen(found) | {"working_for": _in_use(found)}
    if beside := machine.changed_beside(watch.plan.before, after, "ratio", "mode"):
        after["also_changed"] = beside
        remarks.append(f"the miner also changed {', '.join(beside)}")
    if after["working_for"] is not None:
        signal = f"{signal}, {CONNECTED.signal}"
    elif found.mode is PowerMode.SLEEP:
        remarks.append("the miner sleeps, so it works for no pool now")
    elif is_known:
        remarks.append("not connected to a pool yet: check address and account")
    else:
        remarks.append("whether it connects could not be seen: the miner stopped answering")
    if watch.miner.has_mode_order is not True:
        remarks.append(_FAN_REMARK)
    return watch.done(signal, after, "; ".join(remarks) or None)


async def _connected(watch: _Watch, found: IceriverSettings) -> tuple[IceriverSettings, bool]:
    """The configuration as last read once a pool is in use or its time is over, and whether the last look succeeded.

    A pool another hand set meanwhile is not waited for.
    """

    def has_new(now: IceriverSettings) -> bool:
        return machine.texts_of(now.slots) == watch.plan.data.new

    def is_settled(now: IceriverSettings) -> bool:
        return _in_use(now) is not None or now.mode is PowerMode.SLEEP

    if is_settled(found):
        return found, True
    latest_s = watch.device_s + CONNECTED.latest_s
    await watch.pause(_ASK_CONNECTED_EVERY_S)
    seen = await watch.until(
        lambda: state.config(watch.miner),
        lambda now: not has_new(now) or is_settled(now),
        latest_s=latest_s,
        every_s=_ASK_CONNECTED_EVERY_S,
    )
    is_ours = seen.found is not None and has_new(seen.found)
    return seen.found if is_ours and seen.found else found, seen.trouble is None


def _seen(found: IceriverSettings) -> dict[str, Any]:
    return {"pools": shown(found.slots), **machine.shown(found)}


def _in_use(found: IceriverSettings) -> str | None:
    """The url of the pool it works for."""
    used = (slot for slot in found.slots if slot.url and slot.connected and slot.active)
    return next((masked_url(slot.url) for slot in used), None)
