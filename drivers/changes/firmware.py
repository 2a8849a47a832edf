"""Whether a firmware was installed: the verdict from the version a miner shows. No I/O."""

from __future__ import annotations

from typing import Any, Final

from drivers.base import Effect, Evidence, Firmware, Plan
from drivers.changes.verification import evidence, same_version
from drivers.watch import OUTAGE_NOTE, Watch

UPLOADED_NOTE: Final = "uploaded"  # the miner said that it has the whole file


def has_changed(plan: Plan, version: str | None) -> bool:
    """Whether it shows another version than before. A miner that shows none proves nothing."""
    return version is not None and not same_version(version, plan.before.get("firmware_version"))


def changed(
    plan: Plan, watch: Watch, version: str | None, after: dict[str, Any], signal: str
) -> Evidence:
    """The evidence of a version that changed: done if it is the one promised, or none was."""
    assert isinstance(plan.change, Firmware)
    target = plan.change.target_version
    reason: str | None = None
    if target and not same_version(version, target):
        reason = f"it runs {version} now, but {target} was promised: wrong file or wrong name"
    elif plan.before.get("firmware_version") is None and not target:
        reason = "the version before could not be read, so there is nothing to compare"
    if reason:
        return evidence(plan, watch, "unknown", "none", after, reason=reason)
    return evidence(plan, watch, "done", signal, after)


def unchanged(
    plan: Plan, watch: Watch, effect: Effect, after: dict[str, Any], *, answers: bool
) -> Evidence:
    """The evidence of a window that ended without another version: it may have been the same one."""
    if not answers:
        reason = "the miner did not come back in time: check it on site"
    elif UPLOADED_NOTE in effect.notes:
        reason = (
            "the miner took the file and shows the same version as before: "
            "it was the same, or it was not installed"
        )
    else:
        reason = "the upload was not confirmed and the miner shows the same version as before"
    return evidence(plan, watch, "unknown", "none", after, reason=reason)


def shown(effect: Effect, version: str | None, elapsed_s: float | None) -> dict[str, Any]:
    """What is told of the miner afterwards, with the marks on the way."""
    after: dict[str, Any] = {"firmware_version": version, "elapsed_s": elapsed_s}
    for note in (UPLOADED_NOTE, OUTAGE_NOTE):
        if note in effect.notes:
            after[note] = effect.notes[note]
    return after
