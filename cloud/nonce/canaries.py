"""Which miners go first: different ones, so that what only some have is seen. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import nsmallest
from typing import TypeVar

KindOf = tuple[str | None, str | None, str | None]  # model, agent, rack
T = TypeVar("T")


def canaries_of(chosen: Sequence[tuple[T, KindOf]], number: int) -> list[T]:
    """So many of them, the same each time: of each model first, then of each agent of a model, then of each rack, and
    only then a second one of the same rack.
    """
    agents: dict[str | None, dict[str | None, int]] = {}
    racks: dict[tuple[str | None, str | None], dict[str | None, int]] = {}
    seen: dict[KindOf, int] = {}
    ranks = []
    for index, (_, kind) in enumerate(chosen):
        model, agent, rack = kind
        of_model = agents.setdefault(model, {})
        agent_rank = of_model.setdefault(agent, len(of_model))
        of_agent = racks.setdefault((model, agent), {})
        rack_rank = of_agent.setdefault(rack, len(of_agent))
        again = seen.get(kind, 0)
        seen[kind] = again + 1
        ranks.append((again, rack_rank, agent_rank, index))
    return [chosen[index][0] for *_, index in nsmallest(number, ranks)]
