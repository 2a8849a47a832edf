"""An order to a rig, which may be meant for one part of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from simulator.orders import Order


@dataclass(frozen=True, slots=True)
class RigOrder(Order):
    """`part` names what the order is for, as its lines in the ledger do: a `program`, or the `bus_id` of a card."""

    part: Mapping[str, Any] = field(default_factory=dict)
