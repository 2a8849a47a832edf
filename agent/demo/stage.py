"""The three processes of the demo, each started as an operator would start it, each ended by its own id."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec


class StageError(Exception):
    """A process of the demo did not start or died. The message ends with its last words."""


class SimulatedMiner(msgspec.Struct, frozen=True):
    """One line of the simulator's own list: the truth that the agent has to find out."""

    ip: str
    mac: str
    model: str
    generation: str
    key: str
    foreign: bool = False


class Stage(msgspec.Struct):
    """What is running, and how to reach it."""

    folder: Path
    cloud_url: str
    workspace_id: str
    farm_id: str
    api_key: str
    miners: tuple[SimulatedMiner, ...]
    simulator: Process
    cloud: Process
    agent: Process
    rpc_port: int
    ledger: Path
    firmware: Path  # a folder with an image for each simulated model, named by its key

    async def break_miners(self, faults: Mapping[str, Sequence[Any]]) -> None:
        """Give the simulated miners new faults, by address."""
        path = self.folder / "faults.json"
        part = path.with_suffix(".part")
        part.write_text(json.dumps(faults), "utf-8")
        part.replace(path)
        self.simulator.send_signal(signal.SIGHUP)

    def check(self) -> None:
        """Raise StageError when one of the three died."""
        for name in ("simulator", "cloud", "agent"):
            process: Process = getattr(self, name)
            if process.returncode is not None:
                raise StageError(_last_words(self.folder, name, process.returncode))


@asynccontextmanager
async def set_stage(folder: Path, *, miners: int, time_scale: float) -> AsyncIterator[Stage]:
    """Start simulator, cloud and agent (enrolled), in that order; end them in the other order.

    Raises StageError.
    """
    async with AsyncExitStack() as stack:
        faults, ledger, images = folder / "faults.json", folder / "ledger.jsonl", folder / "images"
        faults.write_text("{}", "utf-8")
        images.mkdir(exist_ok=True)
        simulator, ready = await _start(
            stack, folder, "simulator", "simulator.cli",
            "--make", f"antminer:{miners},foreign/braiins:1", "--base", "127.77.0.1", "--faults", faults,
            "--ledger", ledger, "--time-scale", time_scale, "--firmware", images, "--json",
        )  # fmt: skip
        data = folder / "cloud"
        workspace = await _ask("cloud.cli", "workspace", "create", "--name", "Demo", "--data", data)
        farm = await _ask(
            "cloud.cli", "farm", "create", "--workspace", workspace["id"], "--name", "Simulated farm",
            "--data", data,
        )  # fmt: skip
        key, code = await asyncio.gather(
            _ask("cloud.cli", "key", "create", "--workspace", workspace["id"], "--name", "demo", "--data", data),
            _ask("cloud.cli", "enroll-code", "--farm", farm["id"], "--data", data),
        )  # fmt: skip
        cloud, at = await _start(
            stack, folder, "cloud", "cloud.cli", "serve", "--data", data, "--port", 0, "--json"
        )
        config = folder / "config.toml"
        config.write_text(_agent_config(folder, at["url"], ready, time_scale), "utf-8")
        await _ask(
            "agent.cli", "enroll", "--cloud", at["url"], "--code", code["code"], "--config", config
        )
        agent, _ = await _start(stack, folder, "agent", "agent.cli", "run", "--config", config)
        yield Stage(
            folder=folder,
            cloud_url=at["url"],
            workspace_id=workspace["id"],
            farm_id=farm["id"],
            api_key=key["key"],
            miners=tuple(msgspec.convert(each, SimulatedMiner) for each in ready["miners"]),
            simulator=simulator,
            cloud=cloud,
            agent=agent,
            rpc_port=ready["rpc_port"],
            ledger=ledger,
            firmware=images,
        )


def _agent_config(folder: Path, url: str, ready: Mapping[str, Any], time_scale: float) -> str:
    """What config.example.toml documents, for a farm on loopback whose devices live faster."""
    first, last = ready["miners"][0]["ip"], ready["miners"][-1]["ip"]
    return f"""\
[cloud]
url = "{url}"

[state]
dir = "{folder / "agent"}"

[miners]
ranges = ["{first}-{last}"]
allowed = ["127.0.0.0/8"]
http_port = {ready["http_port"]}
rpc_port = {ready["rpc_port"]}
device_pace = {time_scale}
connect_timeout_s = 1.5

[scan]
at_start = false

[telemetry]
interval_s = 5

[log]
format = "json"
"""


async def _start(
    stack: AsyncExitStack, folder: Path, name: str, module: str, *args: object
) -> tuple[Process, dict[str, Any]]:
    """Start a process; for those that speak on stdout, wait for their line that says they are ready."""
    speaks = "--json" in args
    log = (folder / f"{name}.log").open("wb")
    stack.callback(log.close)
    process = await asyncio.create_subprocess_exec(
        *_command(module, args), stdin=DEVNULL, stdout=PIPE if speaks else log, stderr=log
    )
    stack.push_async_callback(_end, process)
    if not speaks:
        return process, {}
    assert process.stdout is not None
    line = await process.stdout.readline()
    if not line:
        raise StageError(_last_words(folder, name, await process.wait()))
    return process, dict(json.loads(line))


async def _ask(module: str, *args: object) -> dict[str, Any]:
    """Run a command to its end; give the JSON document of its last line."""
    process = await asyncio.create_subprocess_exec(
        *_command(module, (*args, "--json")), stdin=DEVNULL, stdout=PIPE, stderr=PIPE
    )
    out, err = await process.communicate()
    if process.returncode != 0:
        raise StageError(f"{module} {args[0]} failed: {err.decode(errors='replace')[-2000:]}")
    return dict(json.loads(out.splitlines()[-1]))


def _command(module: str, args: Sequence[object]) -> list[str]:
    return [sys.executable, "-c", f"from {module} import main; main()", *map(str, args)]


async def _end(process: Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), 10)
    except TimeoutError:
        process.kill()
        await process.wait()


def _last_words(folder: Path, name: str, code: int) -> str:
    log = (folder / f"{name}.log").read_bytes()[-2000:].decode(errors="replace")
    return f"the {name} ended with exit code {code}:\n{log}"
