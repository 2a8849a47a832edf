"""The pools of a WhatsMiner: all three slots written, then read back from what runs. Passwords it never shows."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from contract.errors import BadParamsError, BusyError
from contract.hiding import masked_url
from contract.outcome import Outcome
from drivers.base import Evidence, NoChange, Permit, Pools, Proof, StoredPool, Strength, TypedPlan
from drivers.changes import pools
from drivers.changes.pools import DEFAULT_PASSWORD, SLOTS
from drivers.changes.verification import Verification
from drivers.changes.way import Way
from drivers.whatsminer.changes import state
from drivers.whatsminer.changes.orders import give
from drivers.whatsminer.changes.state import RunningPool
from drivers.whatsminer.driver import Whatsminer
from drivers.whatsminer.models import WRITABLE
from drivers.whatsminer.protocol.api import ProcessDownError

POOLS: Final = Proof("pools", "pools of the running miner", Strength.PROCESS, 1.0, 120.0)

ANSWERED_NOTE: Final = "answered"  # the miner took the order
_LONGEST: Final = 255
# The daemon hands parameters to a shell of root, so nothing that means something there may go out.
_SAFE: Final = re.compile(r"[A-Za-z0-9._:/+@=,-]*")
_SCHEME: Final = "stratum+tcp://"


class WhatsminerPoolsData(msgspec.Struct, frozen=True, kw_only=True):
    """The new pools; whether they differ from the old ones in nothing that can be read; the numbers of those whose
    password could not be kept.
    """

    new: tuple[StoredPool, ...]
    same: bool
    lost: tuple[int, ...]


_Watch = Verification[Whatsminer, WhatsminerPoolsData]


class WhatsminerPools(Way[Whatsminer, WhatsminerPoolsData]):
    """No restart is asked for: the miner switches by itself."""

    changes = (Pools,)
    data = WhatsminerPoolsData
    proofs = dict.fromkeys(WRITABLE, (POOLS,))

    async def plan(
        self, miner: Whatsminer, change: Pools
    ) -> TypedPlan[WhatsminerPoolsData] | NoChange:
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
        kept = {bare(pool.url) for pool in found}
        lost = tuple(
            number
            for number, pool in enumerate(change.pools, 1)
            if pool.password is None and bare(pool.url) in kept
        )
        data = WhatsminerPoolsData(new=wanted, same=is_same, lost=lost)
        return TypedPlan(change=change, before=before, data=data, raises_power=False)  # it mines on

    async def apply(
        self, miner: Whatsminer, plan: TypedPlan[WhatsminerPoolsData], permit: Permit
    ) -> None:
        """Write all the slots at once."""
        slots = plan.data.new
        order = {"cmd": "update_pools"}
        for number in range(SLOTS):
            slot = slots[number] if number < len(slots) else StoredPool()
            order |= {
                f"pool{number + 1}": slot.url,
                f"worker{number + 1}": slot.user,
                f"passwd{number + 1}": slot.password,
            }
        param = [{"pool": slot.url, "worker": slot.user, "passwd": slot.password} for slot in slots]
        await give(miner, permit, v2=order, v3=("set.miner.pools", param))
        await permit.note(ANSWERED_NOTE, True)

    async def verify(self, watch: _Watch) -> Evidence:
        """Read the pools in use until they are the wanted ones, then look whether the miner works for them."""
        data = watch.plan.data
        await watch.pause(POOLS.earliest_s)
        seen = await watch.until(
            lambda: state.pools(watch.miner),
            lambda found: (
                same_pools(found, data.new) and (_working_for(found) is not None or data.same)
            ),
            latest_s=POOLS.latest_s,
        )
        if seen.found is None or seen.trouble is not None:
            return watch.unseen(seen.trouble, could_not="read the pools again")
        if not same_pools(seen.found, data.new):
            return watch.unknown({"pools": shown(seen.found)}, _why_not(watch, seen.found))
        return _wished(watch, seen.found)


WAY: Final = WhatsminerPools()


def wanted_slots(miner: Whatsminer, change: Pools) -> tuple[StoredPool, ...]:
    """The slots as they should be, with placeholders filled in. Raises BadParamsError."""
    if not change.pools:
        raise BadParamsError("no pool is given: a WhatsMiner without pools stops with an error")
    slots = pools.wanted_slots(miner, change, lambda _index, _url: None)
    for number, slot in enumerate(slots, 1):
        for name, text in (("url", slot.url), ("user", slot.user), ("password", slot.password)):
            if len(text) > _LONGEST or not _SAFE.fullmatch(text):
                raise BadParamsError(
                    f"the {name} of pool {number} has a character that is not safe on this miner: "
                    "use letters, digits and . _ : / + @ = , -"
                )
    return slots


def same_pools(found: tuple[RunningPool, ...], wanted: Iterable[StoredPool]) -> bool:
    """Whether addresses and users are equal, in order."""
    return [(bare(slot.url), slot.user) for slot in found] == [
        (bare(slot.url), slot.user) for slot in wanted
    ]


def shown(found: tuple[RunningPool, ...]) -> list[dict[str, Any]]:
    """Pools as they may be seen: passwords this miner does not tell, those inside a url we do not."""
    return [{"url": masked_url(slot.url), "user": slot.user} for slot in found]


def bare(url: str) -> str:
    """Without the scheme that a url may be given without."""
    return url.removeprefix(_SCHEME)


def _working_for(found: tuple[RunningPool, ...] | None) -> str | None:
    return next((masked_url(slot.url) for slot in found or () if slot.active and slot.alive), None)


def _wished(watch: _Watch, found: tuple[RunningPool, ...]) -> Evidence:
    """The evidence of a miner that works for the new pools."""
    data, working_for = watch.plan.data, _working_for(found)
    after = {"pools": shown(found), "working_for": working_for}
    remarks: list[str] = []
    if data.lost:
        numbers = ", ".join(map(str, data.lost))
        remarks.append(
            f"the password of pool {numbers} could not be kept, since the miner does not tell it: "
            f"{DEFAULT_PASSWORD} was set"
        )
    if working_for is None:
        remarks.append("no pool is alive yet: check address and account")
    if not data.same:
        return watch.done(POOLS.signal, after, "; ".join(remarks) or None)
    # Addresses and users were the same before: only the answer can tell of the passwords.
    is_taken = ANSWERED_NOTE in watch.permit.notes
    what = "the miner took the order" if is_taken else "no answer came"
    remarks.insert(0, f"only passwords were to change: {what}, and it does not show them")
    outcome = Outcome.DONE if is_taken else Outcome.UNKNOWN
    return watch.concluded(outcome, "none", after, "; ".join(remarks))


def _why_not(watch: _Watch, found: tuple[RunningPool, ...]) -> str:
    if shown(found) != watch.plan.before["pools"]:
        return "the miner works for neither the old nor the new pools: set them again"
    if ANSWERED_NOTE in watch.permit.notes:
        # Accepted, and still the old ones: either stored for its next start, or not at all.
        return (
            "the miner accepted the pools but still works for the old ones: some firmwares take them at their "
            "next start, so reboot it, then set them again if it has not"
        )
    return "no answer came, and the miner still works for the old pools; it may take the new ones at its next start"
