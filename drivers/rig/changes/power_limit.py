"""How much the NVIDIA cards of a rig may draw, by `nvidia-smi -pl`. Believed once each card tells its limit and draws
no more. A limit is lost when the rig restarts.

`watts` is the sum over its NVIDIA cards, split evenly as far as each card's least and highest limit allow, `default`
what each card comes with, and `percent` that share of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

import msgspec

from contract.errors import BadParamsError, RefusedError, UnsupportedError
from drivers.base import Evidence, NoChange, Permit, PowerLimit, Proof, Strength, TypedPlan
from drivers.changes.verification import Verification
from drivers.changes.way import Way
from drivers.rig import processes
from drivers.rig.driver import RigDriver
from drivers.rig.generations import LINUX
from drivers.rig.protocol import nvidia_limits
from drivers.rig.protocol.nvidia_limits import CardLimit

TOLD: Final = Proof("power_limit", "reported limit of each card", Strength.STATE, 1.0, 60.0)
WATTS: Final = Proof(
    "power_limit", "measured watts within the limit of each card", Strength.STATE, 1.0, 120.0
)

_LOOK_EVERY_S: Final = 5.0
_SAME_W: Final = 1.0  # limits are told to a hundredth of a watt; what is set is whole
_DUST: Final = 1e-6  # of a product that is whole
_OVER: Final = 1.05  # a card keeps its limit on average


class CardOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What one card is to draw at most."""

    bus_id: str
    watts: int


class RigLimitData(msgspec.Struct, frozen=True, kw_only=True):
    """Every card's limit as it is to be, whether it has to be set or not."""

    cards: tuple[CardOrder, ...]


_Watch = Verification[RigDriver, RigLimitData]
_Cards = tuple[CardLimit, ...]


class RigPowerLimit(Way[RigDriver, RigLimitData]):
    """One order for each card that has another limit."""

    changes = (PowerLimit,)
    data = RigLimitData
    proofs: ClassVar = {LINUX: (TOLD, WATTS)}

    async def plan(
        self, miner: RigDriver, change: PowerLimit
    ) -> TypedPlan[RigLimitData] | NoChange:
        """Read the cards. Raises UnsupportedError where none takes a limit, BadParamsError for one that they cannot be
        set to, RefusedError while a card is lost.
        """
        now = await look(miner)
        wanted = limits_for(change, now)
        before = _shown(now)
        data = RigLimitData(
            cards=tuple(
                CardOrder(bus_id=card.bus_id, watts=watts)
                for card, watts in zip(now, wanted, strict=True)
            )
        )
        if not _others(data, now) and not _over(data, now):
            return NoChange(change=change, before=before)
        raises = any(watts > (card.limit_w or 0.0) for card, watts in zip(now, wanted, strict=True))
        return TypedPlan(change=change, before=before, data=data, raises_power=raises)

    async def apply(self, miner: RigDriver, plan: TypedPlan[RigLimitData], permit: Permit) -> None:
        """Set each card whose limit is another. A refusal ends it: the next card would say no as well."""
        wire = miner.rig_wire
        was = {each["bus_id"]: each["limit_w"] for each in plan.before["cards"]}
        orders = [each for each in plan.data.cards if abs(was[each.bus_id] - each.watts) >= _SAME_W]
        for order in orders or plan.data.cards:
            argv = processes.as_root(wire, nvidia_limits.limit_argv(order.bus_id, order.watts))
            await processes.order(wire, argv, permit, rule=nvidia_limits.RULE)

    async def verify(self, watch: _Watch) -> Evidence:
        """Look until each card tells its limit, then until it draws no more."""
        data = watch.plan.data
        told = await watch.until(
            lambda: look(watch.miner),
            lambda now: not _others(data, now),
            latest_s=TOLD.latest_s,
            every_s=_LOOK_EVERY_S,
        )
        after = _shown(told.found)
        if told.found is None or told.trouble is not None:
            return watch.unseen(told.trouble, after)
        telling = {card.bus_id for card in told.found if card.limit_w is not None}
        if gone := {each.bus_id for each in data.cards} - telling:
            return watch.unknown(after, f"it tells no limit any more: {', '.join(sorted(gone))}")
        if not told.is_enough:
            names = ", ".join(_others(data, told.found))
            reason = f"{_of_all(data, told.found)}still at another limit: {names}"
            return watch.not_done(TOLD.signal, after, reason)
        seen = await watch.until(
            lambda: look(watch.miner),
            lambda now: bool(_others(data, now)) or not _over(data, now),
            latest_s=WATTS.latest_s,
            every_s=_LOOK_EVERY_S,
        )
        now, after = seen.found, _shown(seen.found)
        if now is None or seen.trouble is not None:
            return watch.unseen(seen.trouble, after)
        if others := _others(data, now):
            reason = f"the limit was told, and is another one again: {', '.join(others)}"
            return watch.unknown(after, reason)
        if over := _over(data, now):
            return watch.unknown(after, f"the limit is told, and more is drawn: {', '.join(over)}")
        if any(card.draw_w is None for card in now):
            return watch.done(TOLD.signal, after, "not every card measures what it draws")
        return watch.done(WATTS.signal, after)


WAY: Final = RigPowerLimit()


async def look(miner: RigDriver) -> _Cards:
    """Its NVIDIA cards. Raises UnsupportedError without any, and as `RigWire.run`."""
    try:
        ran = await miner.rig_wire.run(nvidia_limits.ARGV)
    except UnsupportedError:
        raise UnsupportedError(
            "it has no nvidia-smi: only NVIDIA cards take a power limit; switch its mining off in place of it"
        ) from None
    return nvidia_limits.limits_of(ran.status, ran.output, ran.errors)


def limits_for(change: PowerLimit, cards: Sequence[CardLimit]) -> tuple[int, ...]:
    """The whole watts that each card is to be set to. Raises as `RigPowerLimit.plan`."""
    for card in cards:
        if card.limit_w is None:
            raise RefusedError(
                f"the card at {card.bus_id} tells no power limit: it is lost, or takes none; no card is set"
            )
        if not card.takes_limits:
            raise UnsupportedError(
                f"the card at {card.bus_id} does not tell the limits that it can be set to"
            )
    if change.percent is not None:
        return tuple(_share(card, change.percent) for card in cards)
    if not isinstance(change.watts, int):
        return tuple(_of_default(card, 100) for card in cards)
    return _split(change.watts, cards)


# --- private -------------------------------------------------------------------------------------


def _share(card: CardLimit, percent: int) -> int:
    default_w, min_w = card.default_w or 0.0, card.min_w or 0.0
    watts = _of_default(card, percent)
    if watts < min_w:
        least = -(-100 * min_w // default_w) if default_w else 100
        raise BadParamsError(
            f"percent: {percent} of {default_w:g} W is less than the {min_w:g} W that the card at {card.bus_id} can "
            f"be set to; {least:g} would work"
        )
    return watts


def _of_default(card: CardLimit, percent: int) -> int:
    """In whole watts, and no more: a default may be all that the card can be set to."""
    return int((card.default_w or 0.0) * percent / 100 + _DUST)


def _split(watts: int, cards: Sequence[CardLimit]) -> tuple[int, ...]:
    """The sum, split evenly; what a card cannot take goes to the others."""
    least = [-(-(card.min_w or 0.0) // 1) for card in cards]
    most = [(card.max_w or 0.0) // 1 for card in cards]
    if not sum(least) <= watts <= sum(most):
        raise BadParamsError(
            f"watts: {watts} for the {len(cards)} NVIDIA cards of this rig together; "
            f"from {sum(least):g} to {sum(most):g} would work"
        )
    found: dict[int, float] = {}
    left = dict(enumerate(zip(least, most, strict=True)))
    while left:
        even = (watts - sum(found.values())) // len(left)
        short = sum(max(low - even, 0) for low, _ in left.values())
        spare = sum(max(even - high, 0) for _, high in left.values())
        # The side that is off by more is settled first, for it moves the mean of the rest.
        fixed = {
            at: low if low > even else high
            for at, (low, high) in left.items()
            if (low > even and short >= spare) or (high < even and spare > short)
        }
        if not fixed:
            fixed = dict.fromkeys(left, even)
        found |= fixed
        left = {at: each for at, each in left.items() if at not in found}
    return tuple(int(found[at]) for at in range(len(cards)))


def _others(data: RigLimitData, now: _Cards) -> list[str]:
    """The cards that do not tell the limit they are to have."""
    told = {card.bus_id: card.limit_w for card in now}
    return [
        each.bus_id
        for each in data.cards
        if (limit_w := told.get(each.bus_id)) is None or abs(limit_w - each.watts) >= _SAME_W
    ]


def _over(data: RigLimitData, now: _Cards) -> list[str]:
    """The cards that draw more than they are to."""
    most = {each.bus_id: each.watts * _OVER for each in data.cards}
    return [
        f"{card.bus_id} {card.draw_w:g} W"
        for card in now
        if card.draw_w is not None and card.draw_w > most.get(card.bus_id, card.draw_w)
    ]


def _of_all(data: RigLimitData, now: _Cards) -> str:
    count = len(_others(data, now))
    return f"{count} of {len(data.cards)} cards: " if len(data.cards) > 1 else ""


def _as_watts(now: _Cards) -> int | str | None:
    """What one asks for to have these limits; `None` where they differ in a way that no sum gives."""
    if all(card.takes_limits for card in now):
        if all(_is_at(card, _of_default(card, 100)) for card in now):
            return "default"
        total = round(sum(card.limit_w or 0.0 for card in now))
        try:
            wanted = _split(total, now)
        except BadParamsError:
            return None
        if all(map(_is_at, now, wanted)):
            return total
    return None


def _as_percent(now: _Cards) -> int | None:
    """As `_as_watts`, in percent."""
    first = now[0]
    if not first.limit_w or not first.default_w:
        return None
    percent = round(100 * first.limit_w / first.default_w)
    is_so = all(_is_at(card, _of_default(card, percent)) for card in now)
    return percent if is_so and 1 <= percent <= 100 else None


def _is_at(card: CardLimit, watts: float | None) -> bool:
    return (
        None not in (card.limit_w, watts) and abs((card.limit_w or 0.0) - (watts or 0.0)) < _SAME_W
    )


def _shown(now: _Cards | None) -> dict[str, Any]:
    """As evidence holds it; {} when nothing was seen. `watts` and `percent` are what one asks for to have it so
    again.
    """
    if now is None:
        return {}
    limits = [card.limit_w for card in now if card.limit_w is not None]
    draws = [card.draw_w for card in now if card.draw_w is not None]
    return {
        "watts": _as_watts(now),
        "percent": _as_percent(now),
        "limit_w": round(sum(limits), 2) if len(limits) == len(now) else None,
        "power_w": round(sum(draws), 2) if len(draws) == len(now) else None,
        "until_restart": True,
        "cards": [
            {"bus_id": card.bus_id, "limit_w": card.limit_w, "draw_w": card.draw_w} for card in now
        ],
    }
