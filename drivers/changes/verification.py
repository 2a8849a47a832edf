"""What looking again showed, in the one form every make reports it in."""

from __future__ import annotations

from typing import Any

from contract.errors import MalformedError, MinerError, UnreachableError, UnsupportedError
from drivers.base import Evidence, Plan
from drivers.watch import Watch


def evidence(
    plan: Plan,
    watch: Watch,
    outcome: str,
    signal: str,
    after: dict[str, Any],
    *,
    reason: str | None = None,
) -> Evidence:
    """What looking again showed. `signal` "none": the miner itself showed nothing."""
    return Evidence(
        outcome=outcome,
        verified=outcome != "unknown" and signal != "none",
        before=plan.before,
        after=after,
        signal=signal,
        seconds=round(watch.seconds, 3),
        reason=reason,
    )


def is_silent(error: MinerError) -> bool:
    """Whether a look failed in a way that passes by itself while a miner restarts."""
    return isinstance(error, UnreachableError | MalformedError | UnsupportedError)


def same_version(left: str | None, right: str | None) -> bool:
    """Whether two version texts mean the same, blanks and case aside."""
    if not left or not right:
        return False
    return " ".join(left.split()).lower() == " ".join(right.split()).lower()
