"""The agent's units, as systemd shows and restarts them."""

from __future__ import annotations

import contextlib
from typing import Final

import msgspec

from release.handover import LOG_LINE_CHARACTERS, LOG_LINES_MOST
from service.install.host import HostCommandError, TargetHost

AGENT_UNIT: Final = "miner-agent.service"
RIG_UNIT: Final = "miner-agent-rig.service"
_SHOWN: Final = ("InvocationID", "MainPID", "ActiveState", "SubState", "NRestarts", "Job")


class UnitState(msgspec.Struct, frozen=True):
    """What systemd shows of the agent's unit now."""

    invocation: str
    pid: int
    active: str
    sub: str
    restarts: int  # by itself, since it was started by hand
    is_queued: bool  # whether systemd is about to start or to stop it

    @property
    def is_stopped(self) -> bool:
        """Whether somebody stopped it, or has it not started: what ends by itself is started again."""
        return self.active == "inactive" and not self.is_queued


class AgentUnits:
    """Methods raise HostCommandError where systemd does not do it."""

    def __init__(self, host: TargetHost) -> None:
        self._host = host

    def show(self) -> UnitState:
        said = self._host.ask("systemctl", "show", AGENT_UNIT, f"--property={','.join(_SHOWN)}")
        shown = dict(line.partition("=")[::2] for line in said.splitlines())
        try:
            return UnitState(
                invocation=shown["InvocationID"],
                pid=int(shown["MainPID"]),
                active=shown["ActiveState"],
                sub=shown["SubState"],
                restarts=int(shown["NRestarts"]),
                is_queued=shown.get("Job", "") not in ("", "0"),  # not shown where there is none
            )
        except (KeyError, ValueError) as error:
            raise HostCommandError(f"systemctl show {AGENT_UNIT}: {error!r}") from None

    def restart(self) -> None:
        """Begins it: what becomes of it is seen by `show`."""
        self._host.run("systemctl", "restart", "--no-block", AGENT_UNIT)

    def try_restart_rig(self) -> None:
        """The service of rigs, where one runs; its programs mine on."""
        self._host.run("systemctl", "try-restart", "--no-block", RIG_UNIT)

    def log(self, invocation: str) -> tuple[str, ...]:
        """The last lines of one run of the agent; none where they cannot be had."""
        if not invocation:
            return ()
        which = (f"--unit={AGENT_UNIT}", f"_SYSTEMD_INVOCATION_ID={invocation}")
        how = (f"--lines={LOG_LINES_MOST}", "--output=cat", "--no-pager", "--quiet")
        with contextlib.suppress(HostCommandError):
            return last_lines(self._host.ask("journalctl", *how, *which))
        return ()


def last_lines(text: str) -> tuple[str, ...]:
    """As an outcome carries them."""
    return tuple(each[:LOG_LINE_CHARACTERS] for each in text.splitlines()[-LOG_LINES_MOST:])
