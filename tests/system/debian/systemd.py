"""What systemd does for an update, from the lines of the units that take part: it keeps the agent running, begins the
installer when its path unit says so, and answers the `systemctl` and the `journalctl` that the installer and packages ask.

Played are: Restart=, the paths, what may be written, the network of its own and the capabilities. Not: filters of system
calls, the watchdog, limits of memory.
"""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

from agent.demo.part import Part
from service.install.product import AGENT
from tests.system.debian.root import Root
from tests.system.debian.unit import Unit, lines_of

_LOOK_S: Final = 0.05
_PATIENCE_S: Final = 120.0
# In the place of both programs: it hands its words over, and says what it is answered.
_ASKS: Final = """#!/usr/bin/python3
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as line:
    line.connect({socket!r})
    line.sendall(json.dumps([os.path.basename(sys.argv[0]), *sys.argv[1:]]).encode() + b"\\n")
    code, text = json.loads(line.makefile().readline())
sys.stdout.write(text)
sys.exit(code)
"""


class UpdateUnits:
    """The path unit and the service of an update, in a root with a folder that is shared."""

    def __init__(self, root: Root, name: str = "miner-agent-update") -> None:
        self._lines = lines_of(root, f"{name}.service")
        self._root = root
        self.paths = [
            Path(value) for key, value in lines_of(root, f"{name}.path") if key == "PathExists"
        ]
        assert root.shared is not None
        self.part = Part(root.shared, name, self._words())
        self.part.environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}

    @property
    def is_wanted(self) -> bool:
        return any(self._root.at(each).exists() for each in self.paths)

    async def run(self) -> int:
        """Once, to its end; gives its exit code."""
        await self.part.start()
        return await self.part.ended()

    def _words(self) -> list[str]:
        said = dict(self._lines)
        assert (said["Type"], said["Restart"]) == ("oneshot", "on-failure")
        assert (said["ProtectSystem"], said["PrivateNetwork"]) == ("strict", "yes")
        assert "User" not in said
        state = f"/var/lib/{said['StateDirectory']}"
        self._root.at(state).mkdir(exist_ok=True)
        self._root.at(state).chmod(int(said["StateDirectoryMode"], 8))
        names = [each.removeprefix("CAP_") for each in said["CapabilityBoundingSet"].split()]
        return self._root.words(
            "setpriv", f"--bounding-set=-all,{','.join(f'+{each.lower()}' for each in names)}",
            "--inh-caps=-all", "--no-new-privs", *shlex.split(said["ExecStart"]),
            writable=[state, *said["ReadWritePaths"].split()],
        )  # fmt: skip


class Systemd:
    """To be entered while the agent's unit runs. `on_stop` is called before it is ended, `codes` is how each run of the
    installer ended.
    """

    def __init__(self, root: Root, agent: Unit, *, on_stop: Callable[[], None]) -> None:
        assert root.shared is not None
        self.codes: list[int] = []
        self.asked: list[str] = []
        self.restarts = 0
        self.update = UpdateUnits(root)
        self._is_paused = False
        self._root = root
        self._agent = agent
        self._on_stop = on_stop
        self._socket = root.shared / "systemd.sock"
        self._begins = {agent.invocation: 0}  # where in its log each life begins
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        for name in ("systemctl", "journalctl"):
            program = self._root.at(f"/usr/bin/{name}")
            program.unlink(missing_ok=True)
            program.write_text(_ASKS.format(socket=str(self._socket)))
            program.chmod(0o755)
        self._server = await asyncio.start_unix_server(self._hear, self._socket)
        self._begin(self._keep())
        self._begin(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        for each in self._tasks:
            each.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.update.part.end()
        if self._server is not None:
            self._server.close()

    def check(self) -> None:
        """Raises what went wrong in playing."""
        for each in self._tasks:
            if each.done() and not each.cancelled():
                each.result()

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.add(asyncio.create_task(work))

    async def _keep(self) -> None:
        """Restart=always."""
        assert self._agent.last("Restart") == "always"
        while True:
            if not self._turn.locked() and self._agent.part.returncode is not None:
                async with self._turn:
                    self.restarts += 1
                    await asyncio.sleep(float(self._agent.last("RestartSec")))
                    await self._start()
            await asyncio.sleep(_LOOK_S)

    async def _watch(self) -> None:
        """The path unit; and the service is begun again where it failed."""
        while True:
            if self.update.is_wanted and not self._is_paused:
                self.codes.append(await self.update.run())
            await asyncio.sleep(_LOOK_S)

    async def _hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            words = json.loads(await reader.readline())
            self.asked.append(shlex.join(words))
            writer.write(json.dumps(await self._answer(*words)).encode() + b"\n")
            await writer.drain()
            writer.close()

    async def _answer(self, program: str, *words: str) -> tuple[int, str]:
        """Exit code and text."""
        options = [each for each in words if each.startswith("-")]
        if program == "journalctl":
            return 0, self._log(words)
        verb, *units = [each for each in words if not each.startswith("-")]
        if {*units} & {*AGENT.paused}:
            await self._paused(verb)
        is_agent = f"{self._agent.name}.service" in units
        match verb:
            case "is-enabled":
                return 0, "enabled\n" if {*units} <= {*AGENT.begun} else "disabled\n"
            case "is-active":
                return 0 if is_agent else 3, ""
            case "show" if is_agent:
                return 0, self._shown(options)
            case "restart" if is_agent and "--no-block" in options:
                self._begin(self._restart())
            case "restart" if is_agent:
                await self._restart()
                await self._agent.says("READY=1", patience_s=_PATIENCE_S)
        return 0, ""

    async def _paused(self, verb: str) -> None:
        if verb in {"stop", "start"}:
            self._is_paused = verb == "stop"
        if verb == "stop":
            await self.update.part.end()

    def _shown(self, options: list[str]) -> str:
        ready = self._agent.is_ready
        runs = self._agent.part.returncode is None
        values = {
            "InvocationID": self._agent.invocation,
            "MainPID": str(self._agent.part.pid if runs else 0),
            "ActiveState": "active" if ready else "activating",
            "SubState": "running" if ready else "start" if runs else "auto-restart",
            "NRestarts": str(self.restarts),
            "Job": "",
        }
        (wanted,) = (each for each in options if each.startswith("--property="))
        return "".join(f"{each}={values[each]}\n" for each in wanted.partition("=")[2].split(","))

    def _log(self, words: tuple[str, ...]) -> str:
        said = dict(each.split("=", 1) for each in words if "=" in each)
        begins = sorted(self._begins.values())
        begin = self._begins[said["_SYSTEMD_INVOCATION_ID"]]
        later = [each for each in begins if each > begin]
        data = self._agent.part.log.read_bytes()[begin : later[0] if later else None]
        lines = data.decode("utf-8", "replace").splitlines(keepends=True)
        return "".join(lines[-int(said["--lines"]) :])

    async def _restart(self) -> None:
        async with self._turn:
            self._on_stop()
            await self._agent.part.end()
            self.restarts = 0
            await self._start()

    async def _start(self) -> None:
        begin = self._agent.part.log.stat().st_size
        await self._agent.start()
        self._begins[self._agent.invocation] = begin
