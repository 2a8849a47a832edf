"""`miner-agent demo`: a cloud, a simulated farm, an agent and the service of a rig as processes on loopback, every task
name through the public API, and the proof in a table; or a mixed farm that is left to you.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import signal
import socket
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agent.demo.show import Show
from agent.demo.stage import BASE, StageError

if TYPE_CHECKING:
    from agent.demo.report import Report

_ENDS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_API_PORTS: Final = (
    4028,
    14028,
)  # where a simulated farm is heard, with leave for low ports or not


class DemoUnavailableError(Exception):
    """A part that the demo needs is not installed; the message says how to get it."""


def main(
    *,
    miners: int = 12,
    farm: int | None = None,
    once: bool = False,
    as_json: bool = False,
    time_scale: float = 60.0,
    keep: Path | None = None,
) -> int:
    """Run the demo; give the exit code: 0 when every batch ended as scripted and the simulator's
    ledger agrees with the cloud, 1 when not, 128 and its number after a signal. With `farm` nothing is played: a mixed
    farm of so many miners is set up and stays until a signal.

    `keep` holds everything the processes wrote (state, logs, ledger) instead of a temporary
    folder. Raises DemoUnavailableError.
    """
    for extra, module in (("cloud", "sqlalchemy"), ("cloud", "alembic")):
        if importlib.util.find_spec(module) is None:
            raise DemoUnavailableError(
                f"the demo runs a cloud too, and {module} is missing: pip install 'miner-agent[{extra}]'"
            )
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
            _check_ground()
            return asyncio.run(_performed(folder, miners, farm, time_scale, show, stay=not once))
        except StageError as error:
            show.trouble(str(error))
            if as_json:
                _say({"ok": False, "error": {"message": str(error)}})
            return 1


async def _performed(
    folder: Path, miners: int, farm: int | None, time_scale: float, show: Show, *, stay: bool
) -> int:
    """The exit code. A signal ends the parts and then the demo, also where it came ignored from whoever
    started us (a shell's background job).
    """
    from agent.demo.play import leave_to, play

    loop, playing = asyncio.get_running_loop(), asyncio.current_task()
    assert playing is not None
    told: list[int] = []

    def stop(number: int) -> None:
        if not told:
            show.say("stopping")
            playing.cancel()
        told.append(number)

    for number in _ENDS:
        loop.add_signal_handler(number, stop, number)
    reports: list[Report] = []

    def report_to(report: Report) -> None:
        reports.append(report)
        if show.as_json:
            sys.stdout.write(report.to_json() + "\n")
            sys.stdout.flush()

    try:
        if farm is not None:
            await leave_to(folder, miners=farm, time_scale=time_scale, show=show)
        await play(
            folder, miners=miners, time_scale=time_scale, show=show, stay=stay, tell=report_to
        )
    except asyncio.CancelledError:
        if not told:
            raise
        if show.as_json and not reports:
            _say({"ok": False, "error": {"message": "stopped by a signal"}})
        return 128 + told[0]
    return 0 if reports and reports[-1].ok else 1


def _check_ground() -> None:
    """Raises StageError when another demo stands where this one would."""
    for port in _API_PORTS:
        with socket.socket() as sock:
            sock.settimeout(1.0)
            if sock.connect_ex((BASE, port)) == 0:
                raise StageError(
                    f"{BASE} port {port} is in use: another demo or simulator is running on the "
                    "addresses of this one; end it first"
                )


def _say(document: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
