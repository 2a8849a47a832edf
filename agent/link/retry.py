"""How the cloud is asked again: full-jitter backoff, for ever or until the caller is cancelled."""

from __future__ import annotations

from typing import Any, Final

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_random_exponential

from agent.ports import CloudError
from contract.clock import Clock

FIRST_S: Final = 0.5

log: Any = structlog.get_logger(__name__)


def can_help(error: BaseException) -> bool:
    """Whether asking the cloud again can help."""
    return isinstance(error, CloudError) and error.retry


def retrying(clock: Clock, *, what: str, most_s: float, denied_too: bool = False) -> AsyncRetrying:
    """Retries CloudErrors that ask for it; each wait is random between 0 and a growing bound of at most `most_s`.

    `denied_too`: also what a person must repair first (a revoked token, 401 or 403).
    """

    def again(error: BaseException) -> bool:
        return can_help(error) or (
            denied_too and isinstance(error, CloudError) and error.status in (401, 403)
        )

    def say(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        wait_s = state.next_action.sleep if state.next_action else 0.0
        log.warning(
            "cloud.retry",
            what=what,
            error=str(error)[:300],
            tries=state.attempt_number,
            wait_s=round(wait_s, 2),
        )

    return AsyncRetrying(
        sleep=clock.sleep,
        retry=retry_if_exception(again),
        wait=wait_random_exponential(multiplier=FIRST_S, max=most_s),
        before_sleep=say,
        reraise=True,
    )
