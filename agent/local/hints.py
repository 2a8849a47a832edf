"""What to say to a person who asked for a task by hand in a way it cannot be carried out."""

from __future__ import annotations

import shlex
from typing import Any, Final

from contract.keys import NAMES_LIKENESS, nearest
from contract.task import SPECS, TaskName

INSTEAD: Final = {
    TaskName.SCAN: "it is not for one miner; run: miner-agent scan RANGE",
    TaskName.SELF_UPDATE: "it is not for a miner; order it in the cloud, or install the new package on this host",
}
_FORCE: Final = "repeat with force"  # as drivers word it


def by_hand() -> str:
    """Every task that `act` carries out, with what it takes, one a line."""
    told = {spec.name.value: spec.usage for spec in SPECS.values() if spec.usage is not None}
    width = max(map(len, told))
    return "\n".join(f"  {name:<{width}}  {usage.takes}" for name, usage in told.items())


def how_to_ask(name: TaskName, host: str) -> str:
    """What the task takes, and a whole command line that is right."""
    usage = SPECS[name].usage
    if usage is None:
        return ""
    line = f"miner-agent act {host} {name}"
    if usage.example is not None:
        line += f" --params {shlex.quote(usage.example)}"
    return f"{name} takes {usage.takes}\nfor example: {line}"


def unknown_name(text: str) -> str:
    """That there is no such task, and which is meant, or which there are."""
    names = [spec.name.value for spec in SPECS.values() if spec.usage is not None]
    near = nearest(text, names, likeness=NAMES_LIKENESS)
    hint = f"did you mean {near}?" if near else f"there are: {', '.join(names)}"
    return f"{text[:80]!r} is no task name; {hint}"


def all_the_same(name: TaskName, result: dict[str, Any]) -> str:
    """How to ask by hand for what the miner's driver refused unless it is forced; empty for any other result."""
    usage, error = SPECS[name].usage, result.get("error") or {}
    if usage is None or usage.example is None or _FORCE not in str(error.get("message")):
        return ""
    return f"here that is: --params {shlex.quote(usage.example)}"


def not_by_hand(name: TaskName) -> str | None:
    """Why this task is not carried out at one miner by hand, and what to do instead; `None` when it is."""
    if name in INSTEAD:
        return f"{name}: {INSTEAD[name]}"
    if not SPECS[name].by_agent:
        return f"{name} is carried out by the cloud, not on site"
    return None
