"""What a counter of seconds inside a miner says about whether what it counts from began again. No I/O."""

from __future__ import annotations

from enum import StrEnum


class CounterSign(StrEnum):
    """What one counter of seconds shows since the effect."""

    RESTARTED = "restarted"
    RUNS_ON = "runs on"
    UNCLEAR = "unclear"


def sign_of(
    before_s: float | None, now_s: float | None, since_s: float | None, slack_s: float
) -> CounterSign:
    """What a counter shows, `since_s` device seconds after the effect (`before_s` was read just ahead of it).

    Without knowing how long ago the effect was, only a counter that went back shows anything.
    """
    if now_s is None:
        return CounterSign.UNCLEAR
    if since_s is None:
        went_back = before_s is not None and now_s + slack_s < before_s
        return CounterSign.RESTARTED if went_back else CounterSign.UNCLEAR
    if now_s > since_s + slack_s:
        # It began before the effect. A clock that jumped or stood still (a lying firmware) proves nothing.
        is_steady = before_s is None or abs(now_s - before_s - since_s) <= slack_s
        return CounterSign.RUNS_ON if is_steady else CounterSign.UNCLEAR
    if before_s is None:  # it may have begun within the slack before the effect
        return CounterSign.RESTARTED if now_s < since_s else CounterSign.UNCLEAR
    # Young enough to have begun since; but it may have been as young before.
    return CounterSign.RESTARTED if now_s < before_s + since_s - slack_s else CounterSign.UNCLEAR
