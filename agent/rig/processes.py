"""Processes of mining programs: begun apart from us, so that they outlive us; found again, and ended, only for sure.

A pid is used again by others. So a process is held by its pidfd (Linux 5.3), and known again after a restart by its
start time in /proc/PID/stat, counted in ticks since the boot that has this boot id. Whatever it began carries its mark
and its folder in the environment, as it does itself: what runs in the folder of a program is that program's.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import select
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
_EXECUTING_LOOKS: Final = 100
_LOOKS_MOST: Final = 50  # at all processes, until nothing of a program is left
# Of our user, threads among them, where a program of ours begins another. The unit allows 8192: the rest is for us, who
# could not end what has all of them otherwise.
_PROCESSES_MOST: Final = 8000
_KILLED_MS: Final = 200  # in which what was killed ends, before we look again


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

    def __init__(self, pid: int, handle: int, *, is_adopted: bool) -> None:
        self.pid = pid
        self.is_adopted = is_adopted
        self._handle = handle
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
        return cls(pid, handle, is_adopted=True)

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
    _limit(child.pid, resource.RLIMIT_FSIZE, file_max_bytes)
    _limit(child.pid, resource.RLIMIT_NPROC, _PROCESSES_MOST)
    return HeldProcess(child.pid, handle, is_adopted=False)


def _limit(pid: int, what: int, most: int) -> None:
    """Unless it is held tighter already."""
    with contextlib.suppress(OSError):
        _, hard = resource.prlimit(pid, what)
        if hard == resource.RLIM_INFINITY or hard > most:
            resource.prlimit(pid, what, (most, most))


def stray_run(folder: Path, order: MiningOrder, clock: Clock) -> ProgramRun | None:
    """What runs in that folder, by whichever order, the oldest of it; None: nothing does. Looks at every process."""
    ours = (pid for pid in _pids() if _mark_in(folder, _environment(pid)) is not None)
    for pid in sorted(ours, key=_started_or_last):
        mark = _mark_in(folder, _environment(pid))
        if mark is not None:  # else it ended meanwhile
            return ProgramRun(
                mark=mark,
                boot_id=clock.boot().boot_id,
                order=order,
                started_at=to_text(clock.now()),
            )
    return None


def end_all_in(folder: Path) -> None:
    """Kill whatever runs in that folder. Blocks, and looks at every process, until nothing does.

    One that ended while we looked may have begun another that we have not seen: then we look again.
    """
    others: set[int] = set()  # gone, or not to be looked at
    for _ in range(_LOOKS_MOST):
        is_over = True
        killed = select.poll()
        handles = []
        for pid in sorted(_pids(), reverse=True):  # the youngest is the first to be gone
            held = _environment(pid)
            if not held:
                is_over = is_over and pid in others
                others.add(pid)
            elif _mark_in(folder, held) is not None:
                is_over = False
                if (handle := _killed(pid, folder)) is not None:
                    killed.register(handle)
                    handles.append(handle)
        if is_over:
            return
        if handles:
            killed.poll(_KILLED_MS)
        for handle in handles:
            os.close(handle)


def _killed(pid: int, folder: Path) -> int | None:
    """Its descriptor; None where it was gone before."""
    if (handle := _open(pid)) is None:
        return None
    try:
        if _mark_in(folder, _environment(pid)) is not None:  # once we hold it
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            return handle
    except OSError:
        pass
    os.close(handle)
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
    return (pid for pid in _pids() if f"{MARK}={mark}" in _environment(pid))


def _mark_in(folder: Path, environment: tuple[str, ...]) -> str | None:
    """The mark of a process of the program whose folder that is; None for any other process."""
    if f"HOME={folder}" not in environment:
        return None
    marks = (each.partition("=")[2] for each in environment if each.startswith(f"{MARK}="))
    return next(marks, None)


def _pids() -> Iterator[int]:
    return (int(each.name) for each in _PROC.iterdir() if each.name.isdecimal())


def _environment(pid: int) -> tuple[str, ...]:
    """What it was started with; nothing where it is gone, or we may not look.

    A process that is just executing a program shows none for a moment: it is asked again. So is one that was begun
    with none, in vain.
    """
    process = _PROC / str(pid)
    for _ in range(_EXECUTING_LOOKS):
        try:
            held = (process / "environ").read_bytes()
            if held:
                return tuple(os.fsdecode(held).split("\0"))
            # Threads of the kernel have no program, nor has what is dead.
            (process / "exe").readlink()
        except OSError:
            return ()
        os.sched_yield()
    return ()
