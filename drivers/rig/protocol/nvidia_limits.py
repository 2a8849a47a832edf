"""nvidia-smi's power limits: what each card may draw, and the order that sets it. They are lost at the next boot."""

from __future__ import annotations

from typing import Final

from contract.errors import MalformedError, UnsupportedError
from contract.miner import Frozen
from drivers.protocol.values import number
from drivers.rig.protocol.nvidia_smi import NO_DEVICES, NO_DRIVER, query_argv, rows_of_cards
from drivers.rig.protocol.orders import brief
from drivers.rig.protocol.report import CARDS_CAP

FIELDS: Final = (
    "pci.bus_id",
    "power.limit",
    "power.min_limit",
    "power.max_limit",
    "power.default_limit",
    "power.draw",
)
ARGV: Final = query_argv(FIELDS)
# What sudoers is to allow, for cards and watts differ.
RULE: Final = "nvidia-smi -i * -pl *"


class CardLimit(Frozen, frozen=True, kw_only=True):
    """The limit of one card in watts, what it may be set to, and what the card draws; `None`: it does not tell."""

    bus_id: str
    limit_w: float | None = None
    min_w: float | None = None
    max_w: float | None = None
    default_w: float | None = None
    draw_w: float | None = None

    @property
    def takes_limits(self) -> bool:
        return None not in (self.limit_w, self.min_w, self.max_w, self.default_w)


def limits_of(status: int | None, output: str, errors: str) -> tuple[CardLimit, ...]:
    """The answer to ARGV, a card each, in the order of their buses. Raises UnsupportedError without NVIDIA cards, and
    MalformedError for no answer.
    """
    found = [
        CardLimit(
            bus_id=bus_id,
            limit_w=_watts(limit),
            min_w=_watts(least),
            max_w=_watts(most),
            default_w=_watts(default),
            draw_w=_watts(draw),
        )
        for bus_id, (limit, least, most, default, draw) in rows_of_cards(output, FIELDS)
    ]
    if found:
        return tuple(sorted(found[:CARDS_CAP], key=lambda card: card.bus_id))
    if status == NO_DRIVER or NO_DEVICES in output:
        raise UnsupportedError("it has no NVIDIA card, and only those take a power limit")
    raise MalformedError(f"nvidia-smi tells no power limits: {brief(errors or output)}")


def limit_argv(bus_id: str, watts: int) -> tuple[str, ...]:
    """The order for one card, named as nvidia-smi names it."""
    return ("nvidia-smi", "-i", f"0000{bus_id}".upper(), "-pl", str(watts))


def _watts(told: str) -> float | None:
    found = number(told)
    return found if found is not None and 0 <= found < 1e5 else None
