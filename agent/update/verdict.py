"""How an update ended, judged by what root's installer says and by what the process that runs now says of itself.

Done needs both. What they do not agree about is not decided here: whoever asks looks again, until the order's limit.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from agent.journal.plan import ReleasePlan
from agent.update.root_installer import SeenOrder
from contract.errors import ErrorCode
from contract.outcome import Outcome
from release.handover import ReleaseIdentity, UpdateOutcome
from service.install.own import OwnRelease

NOT_ASKED = (
    "Root's installer knows nothing of it, as where the agent ends before it asks; the release of then still runs, and "
    "nothing was changed. Order it again."
)


class UpdateEnd(NamedTuple):
    """`code` and `message` are of what is not done."""

    outcome: Outcome
    code: ErrorCode | None = None
    message: str = ""
    log: tuple[str, ...] = ()  # of the release that did not prove itself


def told_of(own: OwnRelease | ReleaseIdentity) -> dict[str, Any]:
    """What a process says of itself, as evidence."""
    return {"version": own.version, "release_sha256": own.sha256}


def judge(seen: SeenOrder, plan: ReleasePlan, own: OwnRelease) -> UpdateEnd | None:
    """`None` as long as nobody knows."""
    runs_it = own.version == plan.change.version and told_of(own) != plan.before
    if seen.outcome is not None:
        return _by(seen.outcome, plan, own, runs_it=runs_it)
    if seen.progress is not None or seen.asks:
        return None
    if runs_it:
        # Others may have installed it; it is what was ordered, and nobody will take it back any more.
        return UpdateEnd(Outcome.DONE) if own.is_proven else None
    if seen.doubts or told_of(own) != plan.before:
        return None
    return UpdateEnd(Outcome.NOT_DONE, ErrorCode.NOT_VERIFIED, NOT_ASKED)


def open_question(seen: SeenOrder, plan: ReleasePlan, own: OwnRelease) -> str:
    """Why nobody knows, at the end of its limit."""
    wanted, runs = plan.change.version, f"{own.version} runs here"
    if seen.outcome is not None:
        return f"root's installer says {seen.outcome.verdict}, but {runs}"
    if seen.progress is not None:
        return f"root's installer is still at {seen.progress.step} of {wanted}; {runs}"
    if seen.asks:
        return f"root's installer did not take the request; {runs}"
    if seen.doubts:
        return f"what root's installer says cannot be believed ({seen.doubts[0]}); {runs}"
    return f"root's installer knows nothing of it; {runs}"


def _by(
    told: UpdateOutcome, plan: ReleasePlan, own: OwnRelease, *, runs_it: bool
) -> UpdateEnd | None:
    if told.verdict == "done":
        is_it = (
            told.bundle_sha256 == plan.change.bundle_sha256
            and told.after is not None
            and told.after.sha256 == own.sha256
        )
        return UpdateEnd(Outcome.DONE) if runs_it and is_it else None
    if runs_it:
        return None  # the release before it is about to come back, if the installer is right
    code = ErrorCode.REFUSED if told.verdict == "refused" else ErrorCode.NOT_VERIFIED
    reason = f"{told.reason}: " if told.reason else ""
    return UpdateEnd(Outcome.NOT_DONE, code, f"{reason}{told.message}", told.log)
