"""How much a WhatsMiner may draw, in watts or percent. Believed once it tells so and runs with it, and, where it
measures its watts, once those at its full rate are no more.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

import msgspec

from contract.clock import to_text
from contract.errors import BadParamsError, BusyError, RefusedError, UnsupportedError
from drivers.base import Evidence, NoChange, Permit, PowerLimit, Proof, Strength, TypedPlan
from drivers.changes.uptime import CounterSign
from drivers.changes.verification import Verification
from drivers.changes.way import Way
from drivers.whatsminer.changes import draw
from drivers.whatsminer.changes.draw import WhatsminerDraw
from drivers.whatsminer.changes.orders import give
from drivers.whatsminer.driver import Whatsminer
from drivers.whatsminer.models import COMPAT, V2, V3
from drivers.whatsminer.reading.limit import FULL, NO_LIMIT_W

LIMIT: Final = Proof(
    "power_limit", "reported limit, then a smaller Elapsed", Strength.PROCESS, 5.0, 300.0
)
PERCENT: Final = Proof("power_limit", "reported percentage", Strength.STATE, 5.0, 300.0)
# A ramp of eight minutes is a short one, and it may be cut short to begin again.
WATTS: Final = Proof("power_limit", "measured watts at full rate", Strength.STATE, 5.0, 1800.0)
# Firmware of 2022 to 2024 takes a percentage within seconds, and does not tell it.
WATTS_ALONE: Final = Proof("power_limit", "changed watts", Strength.STATE, 5.0, 300.0)

DREW_NOTE: Final = "drew_w"  # before the first order of a percentage that is not told

_OVER: Final = {"watts": 1.05, "percent": 1.10}  # how exactly it is kept; a percentage is not
_LOOK_EVERY_S: Final = 15.0  # while it ramps up
_CHANGE: Final = 0.05  # what it draws wavers by less
_IN_FORCE_OVER: Final = 1.02
_INSTEAD: Final = "set its power mode instead: low, normal or high"


class WhatsminerLimitData(msgspec.Struct, frozen=True, kw_only=True):
    """What is ordered: `watts` (NO_LIMIT_W: as its firmware comes), or a percentage (`fast`: while it runs)."""

    watts: int | None = None
    percent: int | None = None
    fast: bool = False
    tells: bool = True  # whether it tells what is set
    most_w: float | None = None  # it is to draw; `None` where that is not known beforehand


_Watch = Verification[Whatsminer, WhatsminerLimitData]


class WhatsminerPowerLimit(Way[Whatsminer, WhatsminerLimitData]):
    """A limit restarts the mining process; a percentage does not where it boots fast, and is lost with a reboot."""

    changes = (PowerLimit,)
    data = WhatsminerLimitData
    proofs: ClassVar = {
        V2: (LIMIT, WATTS, WATTS_ALONE),
        COMPAT: (LIMIT, PERCENT, WATTS),
        V3: (LIMIT, PERCENT, WATTS),
    }

    async def plan(
        self, miner: Whatsminer, change: PowerLimit
    ) -> TypedPlan[WhatsminerLimitData] | NoChange:
        """Read what is set and drawn. Raises RefusedError for a miner that is switched off, BadParamsError for more
        watts than it is made for, UnsupportedError for a model that takes no limit.
        """
        now = await draw.settled(miner)
        if now.mining is False:
            raise RefusedError(
                "its mining is switched off: switch it on first, for what it draws shows only then"
            )
        if not now.is_up:
            raise BusyError("its mining process does not run, so its limit cannot be told")
        before = draw.shown(now) | {"read_at": to_text(miner.clock.now())}
        data = (
            _by_watts(miner, change, now)
            if change.percent is None
            else _by_percent(miner, change.percent, now)
        )
        if _is_set(data, now) and not _draws_more(data, now):
            return NoChange(change=change, before=before)
        return TypedPlan(change=change, before=before, data=data, raises_power=_raises(data, now))

    async def apply(
        self, miner: Whatsminer, plan: TypedPlan[WhatsminerLimitData], permit: Permit
    ) -> None:
        data = plan.data
        if data.percent is None:
            v2 = {"cmd": "adjust_power_limit", "power_limit": str(data.watts)}
            await give(miner, permit, v2=v2, v3=("set.miner.power_limit", data.watts))
            return
        percent = str(data.percent)  # a text: of a number this firmware reads nothing
        mode = "fast" if data.fast else "normal"
        await give(
            miner,
            permit,
            v2={"cmd": "set_power_pct", "percent": percent},
            v3=("set.miner.power_percent", {"percent": percent, "mode": mode}),
        )

    async def verify(self, watch: _Watch) -> Evidence:
        """Look until it tells the limit, then until it draws no more at its full rate."""
        if not watch.plan.data.tells:
            return await _by_watts_alone(watch)
        told = await watch.until(
            lambda: draw.look(watch.miner), lambda now: _tells(watch, now), latest_s=LIMIT.latest_s
        )
        if told.found is None or told.trouble is not None:
            return watch.unseen(told.trouble, _after(watch, told.found))
        if not told.is_enough:
            return _not_told(watch, told.found)
        if told.found.power_w is None:
            reason = "it does not measure what it draws"
            return watch.done(_signal(watch), _after(watch, told.found), reason)
        return await _by_watts_too(watch)


WAY: Final = WhatsminerPowerLimit()


# --- what is ordered -----------------------------------------------------------------------------


def _by_watts(miner: Whatsminer, change: PowerLimit, now: WhatsminerDraw) -> WhatsminerLimitData:
    if now.limit_w is None:
        raise UnsupportedError(f"this model tells no power limit, so it takes none; {_INSTEAD}")
    if not isinstance(change.watts, int):
        return WhatsminerLimitData(watts=NO_LIMIT_W)
    rated_w = miner.rated_w
    if rated_w is not None and change.watts > rated_w:
        raise BadParamsError(
            f"watts: {change.watts} is more than the {rated_w:g} W that this miner is made for; "
            f'up to {rated_w:g} would work, or "default"'
        )
    return WhatsminerLimitData(watts=change.watts, most_w=float(change.watts))


def _by_percent(miner: Whatsminer, percent: int, now: WhatsminerDraw) -> WhatsminerLimitData:
    tells = now.percent is not None
    if not tells and now.full_power_w is None:
        if now.power_w is None:
            raise UnsupportedError(
                "this firmware tells neither its percentage nor what it draws; "
                "set a limit in watts instead"
            )
        raise BusyError(
            "this firmware shows a percentage only by what it draws, and it still ramps up: "
            "try again once it hashes at its full rate, or set a limit in watts"
        )
    full_w = _full_w(miner, now)
    return WhatsminerLimitData(
        percent=percent,
        fast=now.fast_boot or not miner.is_v3,
        tells=tells,
        most_w=None if full_w is None else full_w * percent / FULL,
    )


def _full_w(miner: Whatsminer, now: WhatsminerDraw) -> float | None:
    """What it draws, at most, without a percentage."""
    share, known = (now.percent or FULL) / FULL, [] if miner.rated_w is None else [miner.rated_w]
    if now.limit_w is not None:
        # Some tell a limit that the percentage is taken off already: then it is nearer to that share of the one set.
        set_w = now.set_w
        is_whole = set_w is not None and abs(now.limit_w - set_w) < abs(now.limit_w - set_w * share)
        known.append(now.limit_w if is_whole else now.limit_w / share)
    if now.percent is not None and now.full_power_w is not None:
        known.append(now.full_power_w / share)
    return min(known, default=None)


def _raises(data: WhatsminerLimitData, now: WhatsminerDraw) -> bool:
    """What restarts the mining lets it draw again all at once, however little that is."""
    if data.percent is None or not data.fast:
        return True
    if now.percent is not None:
        return data.percent > now.percent
    return data.most_w is None or now.power_w is None or data.most_w > now.power_w


# --- what shows it -------------------------------------------------------------------------------


def _is_set(data: WhatsminerLimitData, now: WhatsminerDraw, before_w: float | None = None) -> bool:
    """Whether it runs with what is ordered, by its own word. `before_w`: the limit it had."""
    if not now.is_up:
        return False
    if data.percent is not None:
        return now.percent == data.percent
    if now.limit_w is None:
        return False  # it still takes it
    if data.watts == NO_LIMIT_W:
        # Some tell a number in any case: one that rose is the default.
        return bool(now.is_default) or (before_w is not None and now.limit_w > before_w)
    if now.set_w is None:
        return round(now.limit_w) == data.watts
    assert data.watts is not None
    return round(now.set_w) == data.watts and now.limit_w <= data.watts * _IN_FORCE_OVER


def _draws_more(data: WhatsminerLimitData, now: WhatsminerDraw) -> bool:
    """Whether at its full rate it draws more than it is to."""
    return _is_over(data, now, now.full_power_w)


def _is_over(data: WhatsminerLimitData, now: WhatsminerDraw, power_w: float | None) -> bool:
    most_w = data.most_w if data.most_w is not None else now.limit_w
    over = _OVER["watts" if data.percent is None else "percent"]
    return power_w is not None and most_w is not None and power_w > most_w * over


def _tells(watch: _Watch, now: WhatsminerDraw) -> bool:
    data = watch.plan.data
    if not _is_set(data, now, watch.plan.before.get("limit_w")):
        return False
    return data.percent is not None or _elapsed(watch, now) is CounterSign.RESTARTED


def _elapsed(watch: _Watch, now: WhatsminerDraw) -> CounterSign:
    return watch.sign("elapsed_s", now.elapsed_s)


def _signal(watch: _Watch) -> str:
    return (LIMIT if watch.plan.data.percent is None else PERCENT).signal


def _after(watch: _Watch, now: WhatsminerDraw | None) -> dict[str, Any]:
    found = draw.shown(now)
    if found and watch.plan.data.percent is not None:
        found["until_restart"] = True
    return found


def _not_told(watch: _Watch, now: WhatsminerDraw) -> Evidence:
    """What it tells in place of what was ordered."""
    data, after = watch.plan.data, _after(watch, now)
    if now.mining is False:
        return watch.unknown(after, "its mining was switched off meanwhile")
    if not now.is_up or (data.percent is None and now.limit_w is None):
        return watch.unknown(
            after, "its mining process did not come back in time, so its limit cannot be told"
        )
    if _is_set(data, now, watch.plan.before.get("limit_w")):
        doubt = (
            "was not restarted: it may take it at its next start"
            if _elapsed(watch, now) is CounterSign.RUNS_ON
            else "does not show by its own clock that it began again"
        )
        return watch.unknown(after, f"the limit is told, but its mining process {doubt}")
    if data.percent is not None:
        return watch.not_done(_signal(watch), after, f"the miner stays at {now.percent} %")
    if data.watts == NO_LIMIT_W:
        return watch.unknown(
            after, f"it tells a limit of {now.limit_w:g} W as before, and not whether it is its own"
        )
    return watch.not_done(
        _signal(watch), after, f"the miner stays at a limit of {_told_w(now):g} W"
    )


def _told_w(now: WhatsminerDraw) -> float:
    return now.limit_w or 0.0 if now.set_w is None else now.set_w


async def _by_watts_too(watch: _Watch) -> Evidence:
    """It tells the limit. Now what it draws, once it has ramped up; a ramp can take longer than anyone waits."""
    data, before_w = watch.plan.data, watch.plan.before.get("limit_w")

    def is_lost(now: WhatsminerDraw) -> bool:
        tells = now.percent if data.percent is not None else now.limit_w
        return now.is_up and tells is not None and not _is_set(data, now, before_w)

    seen = await watch.until(
        lambda: draw.look(watch.miner),
        lambda now: is_lost(now) or (now.full_power_w is not None and not _draws_more(data, now)),
        latest_s=WATTS.latest_s,
        every_s=_LOOK_EVERY_S,
    )
    now, after = seen.found, _after(watch, seen.found)
    if now is None or seen.trouble is not None:
        return watch.unseen(seen.trouble, after)
    if is_lost(now):
        return watch.not_done(
            _signal(watch), after, "it told the limit, and lost it again when its mining restarted"
        )
    if seen.is_enough:
        return watch.done(WATTS.signal, after)
    if not now.is_up or now.power_w is None:
        return watch.unknown(after, "it told the limit, and its mining process went down since")
    if _is_over(data, now, now.power_w):
        most = f"{data.percent} %" if data.percent is not None else f"{_told_w(now):g} W"
        return watch.unknown(after, f"it tells a limit of {most}, and draws {now.power_w:g} W")
    return watch.done(
        _signal(watch),
        after,
        f"it has not reached its full rate yet; {now.power_w:g} W is within the limit so far",
    )


async def _by_watts_alone(watch: _Watch) -> Evidence:
    """It does not tell its percentage: what it draws must have changed, and be no more than it is to."""
    data = watch.plan.data
    if DREW_NOTE not in watch.permit.notes:
        # Planned again after a crash, it may be seen as the first order left it.
        await watch.permit.note(DREW_NOTE, watch.plan.before["power_w"])
    was_w = watch.permit.notes[DREW_NOTE]

    def is_changed(now: WhatsminerDraw) -> bool:
        power_w = now.full_power_w
        return power_w is not None and abs(power_w - was_w) >= _CHANGE * was_w

    seen = await watch.until(
        lambda: draw.look(watch.miner),
        lambda now: is_changed(now) and not _draws_more(data, now),
        latest_s=WATTS_ALONE.latest_s,
    )
    now, after = seen.found, _after(watch, seen.found)
    if now is None or seen.trouble is not None:
        return watch.unseen(seen.trouble, after)
    if seen.is_enough:
        watch.miner.note_percent(data.percent)
        return watch.done(WATTS_ALONE.signal, after)
    power = "nothing it tells" if now.power_w is None else f"{now.power_w:g} W"
    return watch.unknown(
        after,
        f"this firmware does not tell its percentage, and what it draws does not show it: "
        f"{was_w:g} W before, {power} now",
    )
