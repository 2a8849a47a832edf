"""A mining program as a process of its own: real pid, real command line, its API on a real port, its log on its output.

It takes the arguments of the program it plays, as far as they matter here; 30 ms after SIGTERM it ends with status 0.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from simulator.net import ListeningPort
from simulator.rig import tree
from simulator.rig.catalogue import MODELS, ProgramJob
from simulator.rig.log import Chatter
from simulator.rig.programs.base import ProgramApi, value_of
from simulator.rig.programs.registry import BY_SLUG
from simulator.rig.state import PROGRAMS, RigState, started_ticks, tell
from simulator.rig.work import MiningRun

_END_S: Final = 0.03
_TURN_S: Final = 0.2
_USAGE: Final = 2
_ON: Final = {"active": True}
_OFF: Final = {"active": False}
_CRASH: Final = 134  # as a shell shows SIGABRT
_LOOPBACK: Final = ("127.0.0.1", "localhost")


class _Program:
    """What connections need of a device, in this process."""

    def __init__(self, api: type[ProgramApi], arguments: Sequence[str], folder: Path) -> None:
        self.rig = RigState(folder)
        self.faults = self.rig.faults
        self.connections = 0
        self.arguments = list(arguments)
        self.slug = api.slug
        self.run = MiningRun(_job(api, arguments, self.rig), self.rig)
        self.api = api(self.run, self, self._say)
        self.chatter = Chatter(self.run)
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._told = ""
        self._tasks: set[asyncio.Task[Any]] = set()

    def tap(self, port: int, kind: str, data: bytes, *, had_credentials: bool) -> None:
        """Nobody listens in on a process."""

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def live(self) -> int:
        """Mine until told to end; the exit status."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, lambda: loop.call_later(_END_S, self._end, 0))
        record = self.rig.folder / PROGRAMS / f"{os.getpid()}.json"
        self._tell("start", before=_OFF, after=_ON, arguments=self.arguments)
        _print(self.chatter.opening(self.arguments))
        listener = await self._listen()
        try:
            while not self.ended.done():
                self._turn(record)
                await asyncio.wait([self.ended], timeout=_TURN_S)
        except FileNotFoundError:  # the rig is gone: nobody is left to mine for
            return 0
        finally:
            if listener is not None:
                listener.close()
        record.unlink(missing_ok=True)
        self._tell("stop", before=_ON, after=_OFF, status=self.ended.result())
        return self.ended.result()

    async def _listen(self) -> ListeningPort | None:
        port = self.api.port_of(self.arguments)
        if port is None or "no_api" in self.faults:
            return None
        host = value_of(self.arguments, "--http-host", "--apihost", "--http_address")
        ip = self.rig.loopback if host is None or host in _LOOPBACK else host
        listener = ListeningPort(ip, port, self.api.connection)
        try:
            await listener.open()
        except OSError as error:
            _print([f"API: cannot listen on {ip}:{port}: {error.strerror}"])
            return None
        return listener

    def _turn(self, record: Path) -> None:
        """Raises FileNotFoundError: the rig is gone."""
        self.rig.look()
        if self.rig.is_abandoned:
            self._end(0)
        self.run.look()
        _print(self.chatter.lines())
        dying = self.faults.get("program_dies")
        if dying is not None and self.run.uptime_s >= float(dying.args.get("after_s", 30)):
            _print(["terminate called without an active exception"])
            self._end(_CRASH)
        run = self.run
        gpus = [gpu.index for gpu in self.rig.gpus() if run.load(gpu.index)]
        entry = {
            "software": run.job.software, "cpu_load": run.load(None), "gpus": gpus,
            "started": started_ticks("self"),
        }  # fmt: skip
        text = json.dumps(entry)
        if text != self._told:
            tree.replace(record, text)
            self._told = text

    def _end(self, status: int) -> None:
        if not self.ended.done():
            self.ended.set_result(status)

    def _say(self, action: str, phase: str, more: dict[str, Any]) -> None:
        self._tell(action, phase=phase, **more)

    def _tell(self, event: str, **more: Any) -> None:
        tell(self.rig.folder, event, pid=os.getpid(), program=self.slug, **more)


def _job(api: type[ProgramApi], arguments: Sequence[str], rig: RigState) -> ProgramJob:
    """What it mines: the rig's own job of that program, else any rig's; changed to what its arguments say."""
    every = [*rig.product.jobs, *(job for each in MODELS.values() for job in each.jobs)]
    job = next(job for job in every if job.software == api.software)
    if api.slug != "xmrig":
        return job
    first = job.algorithms[0]
    first = replace(
        first,
        name=value_of(arguments, "--algo", "-a") or first.name,
        pool=value_of(arguments, "--url", "-o") or first.pool,
    )
    return replace(
        job,
        algorithms=(first,),
        token=value_of(arguments, "--http-access-token") or "",
        restricted="--http-no-restricted" not in arguments,
    )


def main(slug: str, folder: str) -> None:
    """The program of that name, in that rig's folder, with the arguments of this process."""
    api, arguments = BY_SLUG[slug], sys.argv[1:]
    version = next(
        job.version for each in MODELS.values() for job in each.jobs if job.software == api.software
    )
    if "--version" in arguments or "-V" in arguments:
        _print([f"{api.software} {version}"])
        raise SystemExit(0)
    if slug == "xmrig" and value_of(arguments, "--url", "-o") is None:
        _print(["no valid configuration found"])
        raise SystemExit(_USAGE)

    async def live() -> int:
        return await _Program(api, arguments, Path(folder)).live()

    raise SystemExit(asyncio.run(live()))


def _print(lines: Sequence[str]) -> None:
    """Into its log, which is its output; it mines on when nobody reads that any more."""
    with contextlib.suppress(BrokenPipeError):
        for line in lines:
            os.write(sys.stdout.fileno(), f"{line}\n".encode())
