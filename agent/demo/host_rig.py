"""The rig that is the host of the demo's agent: its files are the simulator's, and it mines by a playbook of the
monitor, which the service `miner-agent-rig` carries out.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shlex
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from agent.demo.part import Part, command
from agent.demo.rigs import SimulatedRig
from agent.host.lan import lan_address
from agent.rig.client import (
    NoRigServiceError,
    RigRefusedError,
    RigService,
    RigServiceLostError,
)
from agent.rig.shapes import ProgramStatus
from drivers.rig.spec import MiningProgram

KEY: Final = "host"  # among the simulator's rigs
NAME: Final = "this-host"
_SOFTWARE: Final = {"software_name": "XMRig", "software_version": "6.22.2"}
_POOL: Final = "pool.example.com"
PLAYBOOK: Final = _SOFTWARE | {
    "command_argument": "--no-color --url $CPU_POOL --algo rx/0 --user $CPU_WALLET --pass $WORKER_NAME",
    "cpu_coin_name": "Monero",
    "cpu_algorithm": "RandomX",
    "cpu_wallet_address": "wallet-of-the-demo",
    "cpu_pool_address": f"{_POOL}:3333",
}
_TOKEN: Final = "token-of-the-demo"
_LOOPBACK: Final = "127.0.0.1"
_SILENT: Final = (NoRigServiceError, RigRefusedError, RigServiceLostError)
# Below those that connections take for themselves, so that it is free again whenever the program starts again.
_PORTS: Final = range(20_000, 30_000)


class HostRig:
    """With the service that owns its mining, from `start` to `end`."""

    def __init__(self, folder: Path, rig: SimulatedRig) -> None:
        """`folder` is the stage's; the service has one in it."""
        self.rig = rig
        self._root = Path(rig.folder)
        self.ip = lan_address() or _LOOPBACK  # by which the agent knows its own host
        self._port = _free_port()
        self._folder = folder / "rig"
        self._socket, self._token = self._folder / "rig.sock", self._folder / "token"
        config = self._folder / "rig.toml"
        self.service = Part(
            folder, "rig-service", command("agent.cli.rig_service", "run", "--config", config)
        )
        self._folder.mkdir(exist_ok=True)
        self._token.touch(mode=0o600)
        self._token.write_text(_TOKEN, "utf-8")
        config.write_text(self._service_config(), "utf-8")

    def entry(self) -> dict[str, Any]:
        """Of `[[rigs]]`: the agent's own host."""
        program = {"kind": MiningProgram.XMRIG, "port": self._port, "token_file": str(self._token)}
        return {"name": NAME, "reach": "local", "root": self.rig.folder, "programs": [program]}

    def monitored(self) -> dict[str, Any]:
        """What the agent's section `[rigmonitor]` says of it: that it mines as the monitor says."""
        return {
            "playbooks_every_s": 1,
            "rig_service_socket": str(self._socket),
            "rig": [{"name": NAME, "playbooks": True}],
        }

    def environment(self) -> dict[str, str]:
        """What the agent finds on its host: the rig's `nvidia-smi` and NVML, and the command of the service."""
        commands = self._folder / "bin"
        commands.mkdir(exist_ok=True)
        asks = commands / "miner-agent-rig"
        words = shlex.join(command("agent.cli.rig_service"))
        asks.write_text(f'#!/bin/sh\nexec {words} "$@" --socket {shlex.quote(str(self._socket))}\n')
        asks.chmod(0o755)
        return os.environ | {
            "PATH": _before("PATH", commands, self._root / "bin"),
            "PYTHONPATH": _before("PYTHONPATH", self._root / "python"),
        }

    async def status(self) -> ProgramStatus | None:
        """How the service says that its program is; `None` before the first playbook, and while it does not answer."""
        with suppress(*_SILENT):
            for each in await self._programs():
                return each
        return None

    async def end(self) -> None:
        """End what mines, and then the service, which by itself would leave it mining."""
        with suppress(*_SILENT):
            for each in await self._programs():
                async with RigService(self._socket) as service:
                    await service.stop(each.software_name)
        await self.service.end()

    async def _programs(self) -> Sequence[ProgramStatus]:
        async with RigService(self._socket) as service:
            return (await service.status()).programs

    def _service_config(self) -> str:
        executable = self._root / "bin" / "xmrig"
        service = {
            "socket": self._socket.name, "state_dir": "state", "log_dir": "log", "users": [], "pools": [_POOL],
        }  # fmt: skip
        program = _SOFTWARE | {
            "path": str(executable),
            "sha256": hashlib.sha256(executable.read_bytes()).hexdigest(),
            "arguments": [
                "--http-enabled", "--http-host", _LOOPBACK, "--http-port", str(self._port),
                "--http-access-token", _TOKEN, "--http-no-restricted",
            ],
        }  # fmt: skip
        return "\n".join((*_lines(service), "[[programs]]", *_lines(program), ""))


def _lines(entry: Mapping[str, Any]) -> list[str]:
    """Text, numbers and lists of them are written alike in JSON and in TOML."""
    return [f"{key} = {json.dumps(value)}" for key, value in entry.items()]


def _before(variable: str, *folders: Path) -> str:
    """That variable of the environment with these folders first."""
    rest = [os.environ[variable]] if variable in os.environ else []
    return os.pathsep.join((*map(str, folders), *rest))


def _free_port() -> int:
    """A port of the host's loopback that nobody listens at."""
    draw = random.SystemRandom()
    while True:
        port = draw.choice(_PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind((_LOOPBACK, port))
            return port
