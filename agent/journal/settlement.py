"""How a task ended: its terminal status and the `result` the cloud shows."""

from __future__ import annotations

from typing import Any

import msgspec

from agent.journal.states import terminal_status
from contract.errors import ErrorCode, MinerError
from contract.hiding import masked_url
from contract.outcome import Outcome
from contract.task import TaskStatus
from drivers.base import Evidence, NoChange

MESSAGE_CHARS = 1000  # text from a miner can be in a message, so it is cut
# As JSON, of what a miner showed before and of what it showed after, each.
EVIDENCE_BYTES = 64 * 1024

# The reason of what is done though nothing was sent.
NO_CHANGE = "already as wished: nothing was sent"


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """`result` holds outcome, verified, evidence and, on failure, error {code, message}."""

    status: TaskStatus
    result: dict[str, Any]

    @property
    def outcome(self) -> Outcome:
        """What became of the miner."""
        return Outcome(self.result["outcome"])


def succeeded(evidence: Evidence, **more: Any) -> Settlement:
    """Done, with its proof; `more` are further keys of the result (`file`, `scan`)."""
    return Settlement(status=TaskStatus.SUCCEED, result={**_seen(Outcome.DONE, evidence), **more})


def unchanged(no_change: NoChange, *, seconds: float) -> Settlement:
    """The miner already is as wished, and nobody sent it anything."""
    return succeeded(
        Evidence(
            outcome=Outcome.DONE,
            verified=True,
            before=no_change.before,
            after=no_change.before,
            signal="read_back",
            seconds=seconds,
            reason=NO_CHANGE,
        )
    )


def failed(
    code: ErrorCode,
    message: str,
    *,
    outcome: Outcome = Outcome.NOT_DONE,
    evidence: Evidence | None = None,
    before: dict[str, Any] | None = None,
    seconds: float = 0.0,
) -> Settlement:
    """Not done, or nobody knows. `message` tells the operator what to do."""
    seen = evidence or Evidence(
        outcome=outcome,
        verified=False,
        before=before or {},
        after={},
        signal="none",
        seconds=seconds,
    )
    result = _seen(outcome, seen)
    said = masked_url(message)[:MESSAGE_CHARS]
    result["error"] = {"code": code.value, "message": said or code.value}
    return Settlement(status=terminal_status(outcome, code), result=result)


def from_error(
    error: MinerError, *, outcome: Outcome = Outcome.NOT_DONE, before: dict[str, Any] | None = None
) -> Settlement:
    """A driver's or our own refusal."""
    return failed(error.code, str(error), outcome=outcome, before=before)


def judged(evidence: Evidence, refusal: MinerError | None) -> Settlement:
    """What looking again says. `refusal` is the error of the write, where it had one: it names a failure best."""
    outcome = Outcome(evidence.outcome)
    if outcome is Outcome.DONE:
        return succeeded(evidence)
    if refusal is not None:
        return failed(refusal.code, str(refusal), outcome=outcome, evidence=evidence)
    message = evidence.reason or (
        "The miner took the request but does not show the change. Check its firmware and try again."
        if outcome is Outcome.NOT_DONE
        else "The request was sent, but the miner gave no proof either way. Look at it before trying again."
    )
    return failed(ErrorCode.NOT_VERIFIED, message, outcome=outcome, evidence=evidence)


def _seen(outcome: Outcome, evidence: Evidence) -> dict[str, Any]:
    result: dict[str, Any] = {
        "outcome": outcome.value,
        "verified": evidence.verified,
        "evidence": {
            "before": _bounded(evidence.before),
            "after": _bounded(evidence.after),
            "signal": evidence.signal,
            "seconds": round(evidence.seconds, 3),
        },
    }
    if evidence.reason:
        result["reason"] = masked_url(evidence.reason)[:MESSAGE_CHARS]
    return result


def _bounded(facts: dict[str, Any]) -> dict[str, Any]:
    """What a miner showed, or that it was too much to keep: the outcome stands without it."""
    if len(msgspec.json.encode(facts)) <= EVIDENCE_BYTES:
        return facts
    return {"dropped": f"larger than {EVIDENCE_BYTES} bytes"}
