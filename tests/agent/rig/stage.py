"""A rig's service with a program that stands for a miner: a real process, which does as its `--pass` says."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from agent.rig.client import RigService
from agent.rig.config import load_rig_config
from agent.rig.daemon import run_rig_service
from agent.rig.processes import MARK
from agent.rig.shapes import PlaybookVerdict, ProgramStatus
from contract.clock import SystemClock
from contract.rigmonitor.playbook import MiningWish, PlaybookEntry
from service.notify import Notifier
from tests.waiting import until
from tests.warm import Life, started

GOOD = "--no-color --url pool.example.com:3333 --algo rx/0 --user wallet --pass {how}"
_PROGRAM = """#!{python} -IS
import os, signal, sys, time
how = sys.argv[sys.argv.index("--pass") + 1]
def end(number, frame):
    print("ending", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, signal.SIG_IGN if how == "deaf" else end)
if how == "dies":
    sys.exit(7)
if how == "brood":
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        print("child", child, flush=True)
if how == "hydra" and os.fork() == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:  # the child goes on, the parent is gone
        time.sleep(0.01)
        if os.fork():
            os._exit(0)
print("mining", *sys.argv[1:], flush=True)
while True:
    if how == "chatty":
        try:
            os.write(1, b"a line of what it mined\\n" * 4096)
        except OSError:
            pass
        time.sleep(0.002)
    else:
        signal.pause()
"""


def entry(
    argument: str = GOOD.format(how="x"),
    *,
    number: int = 1,
    name: str = "XMRig",
    version: str = "6.22.2",
    wish: MiningWish = MiningWish.MINING,
    **more: str | None,
) -> PlaybookEntry:
    """A playbook as a server answers it."""
    fields: dict[str, Any] = dict.fromkeys(PlaybookEntry.__struct_fields__)
    fields |= {
        "id": number,
        "software_name": name,
        "software_version": version,
        "module_name": "Miner.X",
        "module": "Elixir.X",
        "command_argument": argument,
        "expected_status": wish,
        "inserted_at": "2026-11-21T00:00:00",
        "updated_at": "2026-11-21T00:00:00",
    }
    return PlaybookEntry(**(fields | more))


class RigStage:
    """One folder with its config, its program, and its service."""

    def __init__(self, folder: Path, more: str = "") -> None:
        self.folder = folder
        self.program = folder / "xmrig"
        self.program.write_text(_PROGRAM.format(python=sys.executable))
        self.program.chmod(0o755)
        self.config = folder / "rig.toml"
        self.write_config(more)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.program.read_bytes()).hexdigest()

    @property
    def socket(self) -> Path:
        return self.folder / "rig.sock"

    @property
    def log(self) -> Path:
        return self.folder / "log" / "XMRig.log"

    def write_config(
        self, more: str = "", program: str = "", *, first_s: float = 0.05, most_s: float = 0.2
    ) -> None:
        self.config.write_text(f"""
socket = "rig.sock"
state_dir = "state"
log_dir = "log"
worker_name = "rig one"
stop_grace_s = 0.5
retry_first_s = {first_s}
retry_most_s = {most_s}
{more}
[[programs]]
software_name = "XMRig"
software_version = "6.22.2"
path = "{self.program}"
sha256 = "{self.sha256}"
http_port = 10001
{program}
""")

    @asynccontextmanager
    async def running(self, notifier: Notifier | None = None) -> AsyncIterator[None]:
        """The service, in this process."""
        config = load_rig_config(self.config)
        service = asyncio.create_task(
            run_rig_service(config, SystemClock(), notifier or Notifier({}))
        )
        try:

            async def is_begun() -> bool:
                return service.done() or await self._listens()

            await until(is_begun)
            assert not service.done(), service.exception()
            yield
        finally:
            service.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await service

    @asynccontextmanager
    async def process(self) -> AsyncIterator[Life]:
        """The service, in a process of its own, which is killed in the end."""
        life = await started("agent.cli.rig_service", "run", "--config", self.config)
        try:
            await until(self.answers)
            yield life
        finally:
            life.kill()
            await life.communicate()

    async def _listens(self) -> bool:
        """A socket that one before left behind does not."""
        try:
            _, writer = await asyncio.open_unix_connection(str(self.socket))
        except OSError:
            return False
        writer.close()
        return True

    async def answers(self) -> bool:
        with contextlib.suppress(Exception):
            await self.status()
            return True
        return False

    async def apply(self, *entries: PlaybookEntry) -> tuple[PlaybookVerdict, ...]:
        async with RigService(self.socket) as service:
            return await service.apply(entries)

    async def mines(self, how: str = "x") -> int:
        """Have it mine that way; its pid, once it says that it does."""
        (verdict,) = await self.apply(entry(GOOD.format(how=how)))
        assert verdict.accepted, verdict
        assert verdict.pid is not None, verdict
        await until(lambda: f"--pass {how}" in self.log.read_text())
        return verdict.pid

    async def status(self) -> ProgramStatus | None:
        async with RigService(self.socket) as service:
            programs = (await service.status()).programs
        return programs[0] if programs else None

    async def only(self) -> ProgramStatus:
        status = await self.status()
        assert status is not None
        return status

    def recorded(self) -> dict[str, Any]:
        """What is on disk of its program."""
        record: dict[str, Any] = json.loads((self.folder / "state/programs.json").read_text())
        return record["XMRig"]

    def end_all(self) -> None:
        """Whatever of this stage runs on."""
        for each in Path("/proc").iterdir():
            if each.name.isdecimal() and is_ours(int(each.name), self.folder):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(each.name), signal.SIGKILL)


def is_ours(pid: int, folder: Path) -> bool:
    """Whether a program of that stage is this process, also while it begins to execute and shows no environment."""
    process, environment = Path(f"/proc/{pid}"), b""
    try:
        for _ in range(100):  # of one that was begun with none, in vain
            environment = (process / "environ").read_bytes()
            (process / "exe").readlink()  # threads of the kernel have none, nor has what is dead
            if environment:
                break
            os.sched_yield()
    except OSError:
        return False
    return MARK.encode() in environment and str(folder).encode() in environment


def is_alive(pid: int) -> bool:
    """Whether that process runs, dead ones that nobody buried aside."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
