"""One process of the stage: started as an operator would start it, ended by its own id, and startable again."""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

_ROOMS = Path(__file__).resolve().parents[2]  # where our packages lie
_END_S = 15.0  # for a graceful end, before it is killed
_PR_SET_PDEATHSIG = 1
_LINE_MAX_BYTES = 2**26  # the simulator names thousands of miners on one line


class StageError(Exception):
    """A process of the demo did not start or died. The message ends with its last words."""


class Part:
    """A program with its arguments. What it says goes to one log file, over all its lives."""

    def __init__(
        self,
        folder: Path,
        name: str,
        program: Sequence[object],
        *,
        announces: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """With `announces` it writes one JSON line to stdout once it is ready."""
        self.name = name
        self.program = [str(each) for each in program]
        self.log = folder / f"{name}.log"
        self.lives = 0
        self._announces = announces
        self.environment = None if environment is None else dict(environment)
        self._log_begins = 0
        self._process: Process | None = None

    @property
    def pid(self) -> int:
        """The process id of its present (or last) life."""
        return self._running().pid

    @property
    def returncode(self) -> int | None:
        """`None` while it runs, and before its first life."""
        return None if self._process is None else self._process.returncode

    async def start(self) -> dict[str, Any]:
        """Begin a life; give what it announced, if it is of those that do. Raises StageError."""
        with self.log.open("ab") as log:
            self._log_begins = log.tell()
            self._process = await asyncio.create_subprocess_exec(
                *self.program, stdin=DEVNULL, stdout=PIPE if self._announces else log, stderr=log,
                env=self.environment, limit=_LINE_MAX_BYTES, preexec_fn=bound_to_us(),
                start_new_session=True,  # Ctrl-C is ours to hear: the parts end in their order
            )  # fmt: skip
        self.lives += 1
        if not self._announces:
            return {}
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            await self._process.wait()
            raise StageError(self.last_words())
        return dict(json.loads(line))

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens if it has ended."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    async def kill(self) -> None:
        """End it without a chance to say anything."""
        self.signal(signal.SIGKILL)
        await self.ended()

    async def end(self) -> None:
        """Ask it to end; kill it when it does not."""
        if self._process is None:
            return
        self.signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), _END_S)
        except TimeoutError:
            await self.kill()

    async def ended(self) -> int:
        """Wait for the end of this life; give its exit code."""
        return await self._running().wait()

    def words_of_this_life(self) -> bytes:
        """What its present (or last) life has written to its log."""
        with self.log.open("rb") as log:
            log.seek(self._log_begins)
            return log.read()

    def last_words(self) -> str:
        """Why it ended, for a message."""
        words = self.log.read_bytes()[-2000:].decode(errors="replace")
        return f"the {self.name} ended with exit code {self.returncode}:\n{words}"

    def _running(self) -> Process:
        if self._process is None:
            raise StageError(f"the {self.name} was never started")
        return self._process


def command(module: str, *args: object) -> list[str]:
    """How to run the `main` of one of our modules with this interpreter; of ours, whatever folders named `cloud` or
    `agent` lie where it is started.
    """
    words = f"import sys; sys.path.insert(0, {str(_ROOMS)!r}); from {module} import main; main()"
    return [sys.executable, "-Pc", words, *map(str, args)]


async def ask(module: str, *args: object) -> Any:
    """Run a command to its end; give the JSON document of its last line. Raises StageError."""
    process = await asyncio.create_subprocess_exec(
        *command(module, *args, "--json"), stdin=DEVNULL, stdout=PIPE, stderr=PIPE,
        preexec_fn=bound_to_us(), start_new_session=True,
    )  # fmt: skip
    try:
        out, err = await process.communicate()
    except asyncio.CancelledError:
        if process.returncode is None:
            process.kill()
            await process.wait()
        raise
    if process.returncode != 0:
        raise StageError(f"{module} {args[0]} failed: {err.decode(errors='replace')[-2000:]}")
    return json.loads(out.splitlines()[-1])


def bound_to_us() -> Callable[[], None] | None:
    """What a child does before it becomes its program: it asks to be told to end should we be killed."""
    if sys.platform != "linux":
        return None
    libc, parent = ctypes.CDLL(None), os.getpid()

    def bind() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
        if os.getppid() != parent:  # it happened before we could ask
            os._exit(1)

    return bind
