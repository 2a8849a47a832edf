"""How much a WhatsMiner may draw, as it tells it: its limit in watts and its percentage; and what share of its full
power they leave it.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from contract.miner import Moving
from drivers.protocol.values import number, whole

NO_LIMIT_W: Final = 99_999  # as a limit it means the one that the firmware comes with
FULL: Final = 100  # percent: no percentage is set
# Of one miner, the least and the most that can be meant; what is told beyond is no limit.
_LEAST_W: Final = 100.0
_MOST_W: Final = 30_000.0
_PERCENT_OVER: Final = 1.10  # how exactly a percentage is kept
_STEPS: Final = 20  # what is concluded from figures that waver is told in such parts of the whole


class ReportedLimit(msgspec.Struct, frozen=True, kw_only=True):
    """`None`: the miner does not say."""

    limit_w: float | None = None  # in force; not told while it takes a new one
    set_w: float | None = (
        None  # set by hand; beside mode and percentage the one in force may differ from it
    )
    is_default: bool | None = None  # whether none is set by hand
    percent: int | None = None

    @property
    def percent_share(self) -> float:
        """Of what it would draw without a percentage. Some firmware takes more than 100."""
        return 1.0 if self.percent is None else min(self.percent, FULL) / FULL

    @property
    def has_own(self) -> bool:
        """Whether it runs with the limit in watts that its firmware comes with, and nothing lessens that."""
        return bool(self.is_default) and self.percent in {None, FULL} and self.limit_w is not None


def limit_of(limit_w: float | None, stored: Any, percent: Any) -> ReportedLimit:
    """`limit_w`: in force. `stored`: the limit that is set by hand, as text; empty is none. `percent`: as it writes it;
    0 is none.
    """
    set_w = number(stored)
    is_default = None if stored is None else not set_w or set_w >= NO_LIMIT_W
    told = whole(percent)
    return ReportedLimit(
        limit_w=limit_w,
        set_w=None if is_default else set_w,
        is_default=is_default,
        percent=None if told is None else told or FULL,
    )


def watts_of(told: ReportedLimit, full_w: float | None, power_w: float | None) -> float | None:
    """The limit without the percentage: some may tell one that it is taken off already. Then that is nearer to the
    share of what is set, or else of `full_w`; where neither is known, it draws more than a share of what it tells.
    """
    limit_w, share = told.limit_w, told.percent_share
    if limit_w is None or share == 1.0:
        return limit_w
    known_w = told.set_w if told.set_w is not None else full_w
    if known_w is not None:
        is_lessened = abs(limit_w - known_w * share) < abs(limit_w - known_w)
    else:
        is_lessened = power_w is not None and power_w > limit_w * share * _PERCENT_OVER
    return limit_w / share if is_lessened else limit_w


def share_of(told: ReportedLimit, full_w: float | None) -> float | None:
    """Of its full power, what it is limited to. `None`: it is not, or does not tell, or its full power is not known."""
    share = told.percent_share
    if told.set_w is not None and full_w is not None and _LEAST_W <= told.set_w <= _MOST_W:
        share *= min(1.0, told.set_w / full_w)
    return share if 0.0 < share < 1.0 else None


def highest_of(told: ReportedLimit) -> float | None:
    """The highest limit in watts that it tells, whoever set it: it draws so much, or more, when it is let."""
    known = (told.limit_w, told.set_w)
    return max((each for each in known if each and _LEAST_W <= each <= _MOST_W), default=None)


def full_by_rate(told: ReportedLimit, moving: Moving, ideal_hs: float | None) -> float | None:
    """What it would draw at its ideal rate, by what it draws for the rate it has. `None` unless the limit that is set
    is what holds it back: one that hashes little and draws little is not limited, but broken.
    """
    rate_hs, power_w, set_w, share = (
        moving.hashrate_hs,
        moving.power_w,
        told.set_w,
        told.percent_share,
    )
    if not rate_hs or not power_w or not ideal_hs or not set_w:
        return None
    part = round(_STEPS * rate_hs / (ideal_hs * share)) / _STEPS
    if not _LEAST_PART <= part < 1.0 or power_w < _HELD_BACK * set_w * share:
        return None
    return set_w / part


# --- private -------------------------------------------------------------------------------------

_HELD_BACK: Final = 0.9  # of its limit, from which on it draws all of that
_LEAST_PART: Final = 0.5  # of its rate; no limit is concluded from less
