"""The processes of the demo, each started as an operator would start it, each ended by its own id."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from agent.demo import host_rig, monitor, rigs
from agent.demo.host_rig import HostRig
from agent.demo.monitor import Monitor
from agent.demo.part import Part, StageError, ask, command
from agent.demo.rigs import SimulatedRig
from contract.miner import Make

__all__ = ["SimulatedMiner", "Stage", "StageError", "set_stage"]


BASE: Final = "127.77.0.1"  # the first address of the demo's farm
# WhatsMiners of each dialect: API v3, 4028 of v3 firmware, v2, v1, and one that takes no changes. IceRivers with a form
# of its own for the mode, with one form for all, and of another algorithm.
OTHERS: Final = ",".join(
    (
        *(f"whatsminer/{key}" for key in ("m60s", "m60s-compat", "m50s", "m20s", "m30s-legacy")),
        *(f"iceriver/{key}" for key in ("ks5l", "ks3m", "al3")),
        "foreign/braiins",
    )
)
# A rig with two programs, of which XMRig is paused and the other ended, and the one that is the agent's host.
RIGS: Final = ("rig/xmrig-and-lolminer", f"rig/{host_rig.KEY}")


class SimulatedMiner(msgspec.Struct, frozen=True):
    """One line of the simulator's own list: the truth that the agent has to find out."""

    ip: str
    mac: str
    make: str
    model: str  # "" where its firmware does not tell it
    generation: str | None
    key: str
    image: str
    foreign: bool = False
    power_limit_w: int | None = None  # the one its firmware comes with

    @property
    def is_rig(self) -> bool:
        """It is enrolled, and no scan finds it."""
        return self.make == Make.RIG


class Stage(msgspec.Struct):
    """What is running, and how to reach it."""

    folder: Path
    cloud_url: str
    workspace_id: str
    farm_id: str
    api_key: str
    miners: tuple[SimulatedMiner, ...]
    rigs: tuple[SimulatedRig, ...]  # of the miners those that are rigs
    simulator: Part
    cloud: Part
    agent: Part
    rpc_port: int
    ledger: Path
    firmware: Path  # a folder with the image of each simulated model
    monitor: Monitor | None
    host_rig: HostRig | None

    @property
    def span(self) -> str:
        """The addresses to be scanned."""
        return _span(each.ip for each in self.miners if not each.is_rig)

    async def break_miners(self, faults: Mapping[str, Sequence[Any]]) -> None:
        """Give the simulated miners new faults, by address."""
        path = self.folder / "faults.json"
        part = path.with_suffix(".part")
        part.write_text(json.dumps(faults), "utf-8")
        part.replace(path)
        self.simulator.signal(signal.SIGHUP)

    def check(self) -> None:
        """Raise StageError when one of them died."""
        services = () if self.host_rig is None else (self.host_rig.service,)
        for part in (self.simulator, self.cloud, self.agent, *services):
            if part.returncode is not None:
                raise StageError(part.last_words())


@asynccontextmanager
async def set_stage(
    folder: Path,
    *,
    miners: int,
    time_scale: float,
    makes: str | None = None,
    base: str = BASE,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    tap: Path | None = None,
) -> AsyncIterator[Stage]:
    """Start simulator, cloud and agent (enrolled), in that order; end them in the other order.

    `makes` is what the simulator is told to build (default: so many AntMiners, some of the other makes and a foreign
    one beside them, machines that a monitor is told of, and two rigs, one of them the agent's host), counting up from
    `base`; all rigs are enrolled. `settings` are laid over the agent's config, by section. `tap`: the file that
    holds, in the end, what hosts that are no miners of ours were sent. Raises StageError.
    """
    async with AsyncExitStack() as stack:
        faults, ledger, images = folder / "faults.json", folder / "ledger.jsonl", folder / "images"
        faults.write_text("{}", "utf-8")
        images.mkdir(exist_ok=True)
        monitored = () if makes else monitor.MONITORED
        makes = makes or ",".join((f"antminer:{miners},{OTHERS}", *monitored, *RIGS))
        simulator = Part(
            folder, "simulator", command(
                "simulator.cli", "--make", makes, "--base", base, "--faults", faults, "--ledger", ledger,
                "--time-scale", time_scale, "--firmware", images, "--json", *(("--tap", tap) if tap else ()),
            ), announces=True,
        )  # fmt: skip
        stack.push_async_callback(simulator.end)
        ready = await simulator.start()
        data = folder / "cloud"
        workspace = await ask("cloud.cli", "workspace", "create", "--name", "Demo", "--data", data)
        farm = await ask(
            "cloud.cli", "farm", "create", "--workspace", workspace["id"], "--name", "Simulated farm",
            "--data", data,
        )  # fmt: skip
        enrolled = rigs.rigs_of(ready["miners"])
        host = next((HostRig(folder, each) for each in enrolled if each.key == host_rig.KEY), None)
        codes_file = folder / "monitor-codes"
        macs = [
            each["mac"] for each in ready["miners"] if f"{each['make']}/{each['key']}" in monitored
        ]
        key, code, watched = await asyncio.gather(
            ask("cloud.cli", "key", "create", "--workspace", workspace["id"], "--name", "demo", "--data", data),
            ask("cloud.cli", "enroll-code", "--farm", farm["id"], "--data", data),
            monitor.set_up(data, workspace["id"], macs, host, codes_file),
        )  # fmt: skip
        # An address of its own: a cloud that is started again finds its port free, whatever ports the
        # connections of 127.0.0.1 hold.
        serve = ["serve", "--data", data, "--host", f"{base.rpartition('.')[0]}.254", "--json"]
        cloud = Part(folder, "cloud", command("cloud.cli", *serve, "--port", 0), announces=True)
        stack.push_async_callback(cloud.end)
        at = await cloud.start()
        cloud.program = command("cloud.cli", *serve, "--port", urlsplit(at["url"]).port)
        settings = dict(settings or {})
        entries = rigs.entries(
            (each for each in enrolled if host is None or each != host.rig), folder
        )
        if host is not None:
            settings["rigmonitor"] = monitor.settings(at["url"], codes_file) | host.monitored()
            entries.append(host.entry())
            stack.push_async_callback(host.end)
            await host.service.start()
        config = folder / "config.toml"
        text = _agent_config(folder, at["url"], ready, time_scale, settings)
        text += "\n".join(map(_rig_entry, entries))
        config.write_text(text, "utf-8")
        await ask(
            "agent.cli.app",
            "enroll",
            "--cloud",
            at["url"],
            "--code",
            code["code"],
            "--config",
            config,
        )
        environment = None if host is None else host.environment()
        agent = Part(
            folder,
            "agent",
            command("agent.cli.app", "run", "--config", config),
            environment=environment,
        )
        stack.push_async_callback(agent.end)
        await agent.start()
        yield Stage(
            folder=folder,
            cloud_url=at["url"],
            workspace_id=workspace["id"],
            farm_id=farm["id"],
            api_key=key["key"],
            miners=tuple(_miner(each, host) for each in ready["miners"]),
            rigs=enrolled,
            simulator=simulator,
            cloud=cloud,
            agent=agent,
            rpc_port=ready["rpc_port"],
            ledger=ledger,
            firmware=images,
            monitor=watched,
            host_rig=host,
        )


def _miner(told: Mapping[str, Any], host: HostRig | None) -> SimulatedMiner:
    """As the cloud will know it: the agent's host by its address in the network."""
    miner = msgspec.convert({**told, "model": told["model"] or ""}, SimulatedMiner)
    if host is None or miner.mac != host.rig.mac:
        return miner
    return msgspec.structs.replace(miner, ip=host.ip)


def _span(addresses: Iterable[str]) -> str:
    """From the first to the last."""
    every = list(addresses)
    return f"{every[0]}-{every[-1]}"


def _ranges(miners: Iterable[Mapping[str, Any]]) -> list[str]:
    """Of those that are scanned for: rigs are not."""
    every = [each["ip"] for each in miners if each["make"] != Make.RIG]
    return [_span(every)] if every else []


def _agent_config(
    folder: Path,
    url: str,
    ready: Mapping[str, Any],
    time_scale: float,
    settings: Mapping[str, Mapping[str, Any]],
) -> str:
    """What config.example.toml documents, for a farm on loopback whose devices live faster."""
    sections: dict[str, dict[str, Any]] = {
        "cloud": {"url": url},
        "state": {"dir": str(folder / "agent")},
        "miners": {
            "ranges": _ranges(ready["miners"]),
            "allowed": ["127.0.0.0/8"],
            "http_port": ready["http_port"],
            "rpc_port": ready["rpc_port"],
            "v3_port": ready["v3_port"],
            "daemon_port": ready["daemon_port"],
            "device_pace": time_scale,
            "connect_timeout_s": 1.5,
        },
        "firmware": {"allowed": ["127.0.0.0/8"]},  # where the images are served
        "limits": {"power_ons_per_10_s": 10_000},  # no breaker has to bear these miners
        "scan": {"at_start": False},
        "telemetry": {"interval_s": 5},
        "log": {"format": "json"},
    }
    for name, values in settings.items():
        sections.setdefault(name, {}).update(values)
    return "\n".join(_table(f"[{name}]", values) for name, values in sections.items())


def _rig_entry(values: Mapping[str, Any]) -> str:
    return _table("[[rigs]]", values)


def _table(head: str, values: Mapping[str, Any]) -> str:
    lines = (f"{key} = {_written(value)}" for key, value in values.items())
    return "\n".join((head, *lines, ""))


def _written(value: Any) -> str:
    """As TOML writes it, which writes text, numbers and booleans as JSON does."""
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{key} = {_written(each)}' for key, each in value.items())} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_written, value))}]"
    return json.dumps(value)
