"""What to say to a person who asked for a task by hand in a way it cannot be carried out."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from contract.task import TaskName


class Usage(NamedTuple):
    """What a task takes, in short, and parameters it could be asked for with."""

    takes: str
    example: str | None = None


# By the names of `contract.task.TaskName`, which is not imported here: help has to come at once.
USAGE: Final[dict[str, Usage]] = {
    "miner.light.update": Usage('action: "on" or "off"', '{"action": "on"}'),
    "miner.system.reboot": Usage(
        "force: true also while it hashes (default false)", '{"force": true}'
    ),
    "miner.power_mode.update": Usage(
        "mode: sleep, low, normal, high, or a preset the miner lists", '{"mode": "sleep"}'
    ),
    "miner.pool.update": Usage(
        "pools: one to three of url, user, password",
        '{"pools": [{"url": "stratum+tcp://pool.example.com:3333", "user": "farm.1"}]}',
    ),
    "miner.firmware.update": Usage(
        "firmware_url; sha256 and target_version if known",
        '{"firmware_url": "https://example.com/firmware.bmu"}',
    ),
    "miner.log.get": Usage("nothing; the file is put in --logs"),
}
INSTEAD: Final[dict[str, str]] = {
    "agent.scan.create": "it is not for one miner; run: miner-agent scan RANGE",
}
_FORCE: Final = "repeat with force"  # as drivers word it


def by_hand() -> str:
    """Every task that `act` carries out, with what it takes, one a line."""
    width = max(map(len, USAGE))
    return "\n".join(f"  {name:<{width}}  {usage.takes}" for name, usage in USAGE.items())


def how_to_ask(name: TaskName, host: str) -> str:
    """What the task takes, and a whole command line that is right."""
    usage = USAGE.get(name)
    if usage is None:
        return ""
    line = f"miner-agent act {host} {name}"
    if usage.example is not None:
        line += f" --params {shlex.quote(usage.example)}"
    return f"{name} takes {usage.takes}\nfor example: {line}"


def unknown_name(text: str) -> str:
    """That there is no such task, and which is meant, or which there are."""
    from contract.keys import NAMES_LIKENESS, nearest

    near = nearest(text, USAGE, likeness=NAMES_LIKENESS)
    hint = f"did you mean {near}?" if near else f"there are: {', '.join(USAGE)}"
    return f"{text[:80]!r} is no task name; {hint}"


def all_the_same(name: str, result: dict[str, Any]) -> str:
    """How to ask by hand for what the miner's driver refused unless it is forced; empty for any other result."""
    usage, error = USAGE.get(name), result.get("error") or {}
    if usage is None or usage.example is None or _FORCE not in str(error.get("message")):
        return ""
    return f"here that is: --params {shlex.quote(usage.example)}"


def not_by_hand(name: TaskName) -> str | None:
    """Why this task is not carried out at one miner by hand, and what to do instead; `None` when it is."""
    from contract.task import SPECS

    if name in INSTEAD:
        return f"{name}: {INSTEAD[name]}"
    if not SPECS[name].by_agent:
        return f"{name} is carried out by the cloud, not on site"
    return None
