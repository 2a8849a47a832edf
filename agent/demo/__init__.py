"""`miner-agent demo`: a cloud, a simulated farm and an agent as three processes on loopback, every task
name through the public API, and the proof in a table.
"""

from __future__ import annotations

import asyncio
import importlib.util
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from agent.demo.show import Show
from agent.demo.stage import StageError


class DemoUnavailableError(Exception):
    """A part that the demo needs is not installed; the message says how to get it."""


def main(
    *,
    miners: int = 12,
    once: bool = False,
    as_json: bool = False,
    time_scale: float = 60.0,
    keep: Path | None = None,
) -> int:
    """Run the demo; give the exit code: 0 when every batch ended as scripted and the simulator's
    ledger agrees with the cloud.

    `keep` holds everything the three processes wrote (state, logs, ledger) instead of a temporary
    folder. Raises DemoUnavailableError.
    """
    for extra, module in (("cloud", "sqlalchemy"), ("cloud", "alembic")):
        if importlib.util.find_spec(module) is None:
            raise DemoUnavailableError(
                f"the demo runs a cloud too, and {module} is missing: pip install 'miner-agent[{extra}]'"
            )
    from agent.demo.play import play

    show = Show(as_json=as_json)
    with ExitStack() as stack:
        if keep is None:
            folder = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="miner-agent-demo-"))
            )
        else:
            keep.mkdir(parents=True, exist_ok=True)
            folder = keep.resolve()
        try:
            report = asyncio.run(
                play(folder, miners=miners, time_scale=time_scale, show=show, stay=not once)
            )
        except StageError as error:
            show.trouble(str(error))
            return 1
        except KeyboardInterrupt:
            return 130
    if as_json:
        sys.stdout.write(report.to_json() + "\n")
    return 0 if report.ok else 1
