"""The mining programs of a rig as its service manager knows them: a unit each, started, stopped, looked at."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import Any, Final, Protocol

from simulator.net import Connection, Host, ListeningPort
from simulator.rig.catalogue import ProgramJob
from simulator.rig.log import Chatter
from simulator.rig.programs.base import ProgramApi
from simulator.rig.programs.registry import BY_SOFTWARE
from simulator.rig.work import MiningRun, Surroundings

_LOG_BYTES: Final = 1 << 20
_END_S: Final = 10.0


class UnitHost(Surroundings, Host, Protocol):
    """The rig, as far as its units need it."""

    folder: Path

    def next_pid(self) -> int:
        """One that no program of the rig has had since it booted."""

    def note(self, action: str, phase: str, **more: Any) -> None:
        """Put down what a program did."""

    def refresh(self) -> None:
        """Bring folder and chips up to date with what happened."""


class ProgramUnit:
    """One program. It runs inside the simulator's process, or, where its job says so, as one of its own."""

    def __init__(self, rig: UnitHost, job: ProgramJob, port: int) -> None:
        self.rig = rig
        self.job = job
        self.port = port
        self.kind: type[ProgramApi] = BY_SOFTWARE[job.software]
        self.slug = self.kind.slug
        self.run: MiningRun | None = None
        self.api: ProgramApi | None = None
        self.pid: int | None = None
        self.child: subprocess.Popen[bytes] | None = None
        self.died = False
        """It ended by itself."""
        self.is_ending = False
        """Its process was told to end, and is there yet."""
        self._chatter: Chatter | None = None

    @property
    def name(self) -> str:
        return f"{self.slug}.service"

    @property
    def is_active(self) -> bool:
        if self.child is not None:
            return self.child.poll() is None
        return self.run is not None

    @property
    def arguments(self) -> list[str]:
        """What it is started with."""
        return self.kind.arguments(self.job, self.port, self.rig.worker)

    @property
    def executable(self) -> Path:
        return self.rig.folder / "bin" / self.slug

    @property
    def log(self) -> Path:
        return self.rig.folder / "var" / "log" / f"{self.slug}.log"

    def start(self, *, ago_s: float = 0.0) -> None:
        """Begin; nothing where it runs already."""
        if self.is_active:
            return
        self.look()  # one that ended meanwhile is seen off first
        self.died = False
        if self.job.process:
            with self.log.open("ab") as log:
                self.child = subprocess.Popen(
                    [str(self.executable), *self.arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self.rig.folder,
                )
            self.pid = self.child.pid
            return
        self.pid = self.rig.next_pid()
        self.run = MiningRun(self.job, self.rig, ago_s=ago_s)
        self.api = self.kind(self.run, self.rig, self._say)
        self._chatter = Chatter(self.run)
        self._write(self._chatter.opening(self.arguments))

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it by that signal; a process of its own may take its time."""
        if self.child is not None:
            if self.child.poll() is None:
                self.child.send_signal(number)
                self.is_ending = True
            return
        self.run = self.api = self._chatter = self.pid = None

    def end(self) -> None:
        """See a process of its own off, for good."""
        if self.child is not None:
            self.child.terminate()
            try:
                self.child.wait(_END_S)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
            self._see_off(self.child)
        self.stop()

    def look(self) -> None:
        """Let it notice what changed around it, and write its log."""
        if self.child is not None and self.child.poll() is not None:
            self.died = self.child.returncode != 0 and not self.is_ending
            self._see_off(self.child)
        if self.run is None or self._chatter is None:
            return
        self.run.look()
        self._write(self._chatter.lines())

    def connection(self, listener: ListeningPort) -> Connection:
        """A client's connection to its API."""
        assert self.api is not None, "its port is open only while it runs"
        return self.api.connection(listener)

    def log_tail(self, lines: int) -> list[str]:
        """The last so many lines it wrote."""
        try:
            return self.log.read_text("utf-8", "replace").splitlines()[-lines:]
        except FileNotFoundError:
            return []

    def _see_off(self, child: subprocess.Popen[bytes]) -> None:
        self.child, self.pid, self.is_ending = None, None, False
        status = child.returncode
        ended = {"before": {"active": True}, "after": {"active": False}}
        self.rig.note("stop", "applied", program=self.slug, pid=child.pid, status=status, **ended)

    def _write(self, lines: list[str]) -> None:
        if not lines:
            return
        if self.log.exists() and self.log.stat().st_size > _LOG_BYTES:
            self.log.write_text("")
        with self.log.open("a") as log:
            log.writelines(f"{line}\n" for line in lines)

    def _say(self, action: str, phase: str, more: dict[str, Any]) -> None:
        self.rig.note(action, phase, program=self.slug, pid=self.pid, **more)
        self.rig.refresh()
