"""Where our commands begin: nothing of ours is loaded before it is known that all of it is from one installation.

Our packages have names that others may have, too. Half of one version beside half of another, or a stranger's `drivers`
on PYTHONPATH, would carry out tasks in ways that nobody has tried.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from service.streams import stand_in


def miner_agent() -> None:
    _start("miner-agent", "agent.cli.app", "agent", "drivers", "contract", "release", "service")


def miner_agent_rig() -> None:
    _start("miner-agent-rig", "agent.cli.rig_service", "agent", "drivers", "contract", "service")


def miner_agent_update() -> None:
    _start(
        "miner-agent-update", "agent.installer.command", "agent", "contract", "release", "service"
    )


def miner_cloud() -> None:
    _start("miner-cloud", "cloud.cli", "cloud", "contract", "release", "service")


def miner_simulator() -> None:
    _start("miner-simulator", "simulator.cli", "simulator", "service")


def _start(command: str, module: str, *packages: str) -> None:
    """Call `main` of a module. It is named in words, since this room may import none of them. Exits 1 instead if these
    packages are not of one installation.
    """
    stand_in()
    if (trouble := _mixed(*packages)) is not None:
        message = f"{command} does not start: {trouble}"
        sys.stderr.write(f"{message}\n")
        if "--json" in sys.argv:
            sys.stdout.write(json.dumps({"ok": False, "error": {"message": message}}) + "\n")
        raise SystemExit(1)
    import_module(module).main()


def _mixed(first: str, *others: str) -> str | None:
    """Which two of these packages are not from one place, in words. Looks where they are, and loads none."""
    place = _place(first)
    for other in others:
        if (there := _place(other)) != place:
            return (
                f"its package {first} is in {place}, but {other} is in {there}. "
                "Both have to be of one installation; is PYTHONPATH set, or a package of another program in the way?"
            )
    return None


def _place(package: str) -> str:
    """The folder that a package would be loaded from."""
    spec = find_spec(package)
    origin = None if spec is None else spec.origin
    return "no folder" if origin is None else str(Path(origin).resolve().parent.parent)
