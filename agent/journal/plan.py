"""What a task is about to change, as the journal keeps it: something of a miner, or the release that runs here."""

from __future__ import annotations

from typing import Any

import msgspec

from contract.task import TaskName
from drivers.base import Plan


class InstallRelease(msgspec.Struct, frozen=True, kw_only=True):
    """The change of an update of the agent itself."""

    version: str
    bundle_sha256: str  # in hex


class ReleasePlan(msgspec.Struct, frozen=True, kw_only=True):
    """What root's installer is asked for. `before`: what the process said of itself, by `told_of` of
    `agent.update.verdict`. No miner draws more by it.
    """

    change: InstallRelease
    before: dict[str, Any]
    raises_power: bool = False


AnyPlan = Plan | ReleasePlan


def read_plan(name: TaskName, text: str | None) -> AnyPlan | None:
    """The plan of a task of that name. One of another version may not be readable; then there is nothing to judge a
    one-shot by, which is said.
    """
    kind: type[Plan | ReleasePlan] = ReleasePlan if name is TaskName.SELF_UPDATE else Plan
    try:
        return None if text is None else msgspec.json.decode(text, type=kind)
    except msgspec.DecodeError:
        return None
