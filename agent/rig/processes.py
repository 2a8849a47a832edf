"""Processes of mining programs: begun apart from us, so that they outlive us; found again, and ended, only for sure.

A pid is used again by others. So a process is held by its pidfd (Linux 5.3), and known again after a restart by its
start time in /proc/PID/stat, counted in ticks since the boot that has this boot id. Whatever it began carries its mark
in the environment, as it does itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

import msgspec

from agent.rig.executables import checked_executable
from agent.rig.playbooks import MiningOrder
from contract.clock import Clock, to_text

MARK: Final = "MINER_AGENT_RIG_RUN"
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PROC: Final = Path("/proc")
_STATE, _STARTED = 0, 19  # fields 3 and 22 of /proc/PID/stat, counted behind the name


class ProgramRun(msgspec.Struct, frozen=True, kw_only=True):
    """One process, as it is written down: before it is begun without `pid` and `started_ticks`, then with them.

    The next version reads it, too: what is added, here and in the order, needs a default.
    """

    mark: str
    boot_id: str
    order: MiningOrder
    started_at: str
    pid: int | None = None
    started_ticks: int | None = None


class HeldProcess:
    """One that runs, or ran."""

    def __init__(self, pid: int, handle: int, mark: str, *, is_adopted: bool) -> None:
        self.pid = pid
        self.is_adopted = is_adopted
        self._handle = handle
        self._mark = mark
        self._end: str | None = None

    @classmethod
    def adopt(cls, run: ProgramRun, boot_id: str) -> Self | None:
        """The process of an earlier run of the service; None: it is gone. A stranger with its pid is not it."""
        if run.boot_id != boot_id:
            return None
        pid = run.pid
        if pid is None:  # we were killed between its begin and the note of it
            pid = next(iter(sorted(_carrying(run.mark), key=_started_or_last)), None)
        if pid is None or (handle := _open(pid)) is None:
            return None
        # looked at once we hold it: from here on the pid means no other
        started = _started_ticks(pid)
        known = run.started_ticks if run.pid is not None else started
        if started is None or started != known:
            os.close(handle)
            return None
        return cls(pid, handle, run.mark, is_adopted=True)

    @property
    def started_ticks(self) -> int | None:
        """When it began, in ticks since boot; None: it ended meanwhile."""
        return _started_ticks(self.pid)

    async def ended(self) -> str:
        """Wait until it ended; how, in words."""
        if self._end is None:
            loop = asyncio.get_running_loop()
            over = asyncio.Event()
            loop.add_reader(self._handle, over.set)
            try:
                await over.wait()
            finally:
                loop.remove_reader(self._handle)
            self._end = self._reap()
        return self._end

    def send(self, number: signal.Signals) -> None:
        """Nothing where it ended already."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, number)

    def end_the_rest(self) -> None:
        """Kill what it began and left behind. Looks at every process."""
        for pid in _carrying(self._mark):
            if (handle := _open(pid)) is None:
                continue
            with contextlib.suppress(OSError):
                if _carries(pid, self._mark):  # once we hold it
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
            os.close(handle)

    def close(self) -> None:
        """Let go of it; it runs on."""
        os.close(self._handle)

    def _reap(self) -> str:
        try:
            found = os.waitid(os.P_PIDFD, self._handle, os.WEXITED | os.WNOHANG)
        except ChildProcessError:
            return "ended (how is not known: it was started by an earlier run of the service)"
        if found is None:
            return "ended"
        if found.si_code == os.CLD_EXITED:
            return f"ended with status {found.si_status}"
        return f"ended by {signal.Signals(found.si_status).name}"


def begin_process(
    order: MiningOrder, mark: str, folder: Path, output: int, file_max_bytes: int
) -> HeldProcess:
    """Start what was ordered, in a folder of its own, its output appended to that file. Blocks while the executable is
    read. Raises ExecutableError, OSError.

    No file that it writes grows beyond `file_max_bytes`, whether we live or not: what it writes then is lost to it, and
    it goes on (SIGXFSZ is ignored, by Python and so by what it starts).
    """
    environment = {
        "PATH": _PATH,
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        **order.environment,
        MARK: mark,
    }
    with checked_executable(order.path, order.sha256) as executable:
        child = subprocess.Popen(  # noqa: S603 - judged by agent.rig.playbooks
            [order.path, *order.arguments],
            executable=f"/proc/self/fd/{executable}",
            pass_fds=(executable,),  # a script is opened once more, by what interprets it
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=folder,
            env=environment,
            start_new_session=True,
            restore_signals=False,
        )
    try:
        handle = os.pidfd_open(child.pid)
    except OSError:  # no descriptor is left: it would have no owner
        child.kill()
        child.wait()
        raise
    child.returncode = 0  # for Popen it is over: it is waited for by its pidfd, and may outlive us
    with contextlib.suppress(OSError):
        resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (file_max_bytes, file_max_bytes))
    return HeldProcess(child.pid, handle, mark, is_adopted=False)


def stray_run(folder: Path, order: MiningOrder, clock: Clock) -> ProgramRun | None:
    """What runs in that folder, by whichever order; None: nothing does. Looks at every process."""
    home = f"HOME={folder}"
    for each in _PROC.iterdir():
        held = _environment(each.name) if each.name.isdecimal() else ()
        marks = [text.partition("=")[2] for text in held if text.startswith(f"{MARK}=")]
        if home in held and marks:
            return ProgramRun(
                mark=marks[0],
                boot_id=clock.boot().boot_id,
                order=order,
                started_at=to_text(clock.now()),
            )
    return None


def _open(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except (OSError, OverflowError):  # gone; or no pid at all, from a file that was written by hand
        return None


def _started_ticks(pid: int) -> int | None:
    """None: it is gone, or dead and not yet buried."""
    try:
        text = (_PROC / str(pid) / "stat").read_text("ascii", "replace")
        fields = text.rpartition(")")[2].split()
        return None if fields[_STATE] in "ZX" else int(fields[_STARTED])
    except (OSError, ValueError, IndexError):
        return None


def _started_or_last(pid: int) -> float:
    started = _started_ticks(pid)
    return float("inf") if started is None else started


def _carrying(mark: str) -> Iterator[int]:
    """The processes with that mark, among those that we may look at."""
    for each in _PROC.iterdir():
        if each.name.isdecimal() and _carries(int(each.name), mark):
            yield int(each.name)


def _carries(pid: int, mark: str) -> bool:
    return f"{MARK}={mark}" in _environment(str(pid))


def _environment(pid: str) -> tuple[str, ...]:
    """What it was started with, as far as we may look."""
    try:
        held = (_PROC / pid / "environ").read_bytes()
    except OSError:
        return ()
    return tuple(os.fsdecode(held).split("\0"))
