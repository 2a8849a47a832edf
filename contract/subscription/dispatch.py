"""How work that classes are subscribed to is dispatched: words of both APIs."""

from __future__ import annotations

from enum import StrEnum


class DispatchPolicy(StrEnum):
    """What the agents of a farm get of classes of work that they never subscribed to."""

    OPEN = "open"  # all of it
    SUBSCRIBED = "subscribed"  # nothing


class HeldReason(StrEnum):
    """Why a task that waits is not handed to its agent."""

    NOT_SUBSCRIBED = "not_subscribed"  # by the policy of its farm, or not any more
    PRICE_OVER_CAP = "price_over_cap"  # the agent charges more than the order may cost
    EXCEEDS_MAX_UNITS = "exceeds_max_units"  # more than one stack takes, and no splitting
    TASK_DEPRECATED = "task_deprecated"  # only deprecated classes of work would fit
