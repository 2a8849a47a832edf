"""The part of the Mining Rig Monitor: machines that report to the demo's own cloud, and what it wishes of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from agent.demo import host_rig
from agent.demo.host_rig import HostRig
from agent.demo.part import ask
from contract.task import TaskName

# Kinds of simulated miners that also report to the monitor. They take part in nothing else: what it wishes holds, and
# would undo what others ask of them.
MONITORED: Final = ("iceriver/ks5m", "whatsminer/m63s")
OFF: Final = {"asic_expected_status": "off", "light_expected_status": "on"}
ON: Final = {"asic_expected_status": "on"}


class Machine(msgspec.Struct, frozen=True):
    """A miner, by its MAC, as the monitor knows it."""

    mac: str
    rig_id: str


class Monitor(msgspec.Struct, frozen=True):
    """The farm its machines are shown in: miners of which it wishes tasks, and the rig of which it wishes playbooks."""

    farm_id: str
    machines: tuple[Machine, ...]
    rig: Machine


class Expectation(msgspec.Struct, frozen=True, kw_only=True):
    """What the monitor expects of all its machines from now on, and the tasks that the agent makes of it."""

    expected: dict[str, str]
    tasks: tuple[tuple[TaskName, str], ...]  # with a note for the table


EXPECTATIONS: Final = (
    Expectation(
        expected=OFF,
        tasks=(
            (TaskName.MINING, "the monitor wishes: stop mining"),
            (TaskName.LIGHT, "the monitor wishes: light on"),
        ),
    ),
    Expectation(expected=ON, tasks=((TaskName.MINING, "the monitor wishes: mine again"),)),
)


async def set_up(
    data: Path, workspace_id: str, macs: Sequence[str], host: HostRig | None, codes_file: Path
) -> Monitor | None:
    """Make the machines known to the cloud in a farm of their own; write their codes down for the agent.

    `None` where the agent's host is no rig.
    """
    if host is None:
        return None
    farm = await ask(
        "cloud.cli", "farm", "create", "--workspace", workspace_id, "--name", "Monitored machines", "--data", data,
    )  # fmt: skip
    create = ("rig", "create", "--data", data, "--farm", farm["id"], "--name")
    rig, *miners = await asyncio.gather(
        ask("cloud.cli", *create, "The agent's host", "--kind", "cpu-gpu"),
        *(ask("cloud.cli", *create, f"Machine {mac}") for mac in macs),
    )
    codes = {host_rig.NAME: rig["code"]}
    codes |= {mac: each["code"] for mac, each in zip(macs, miners, strict=True)}
    codes_file.touch(0o600)
    codes_file.write_text("".join(f"{whose} {code}\n" for whose, code in codes.items()), "utf-8")
    machines = (Machine(mac, each["id"]) for mac, each in zip(macs, miners, strict=True))
    return Monitor(farm["id"], tuple(machines), Machine(host.rig.mac, rig["id"]))


def settings(url: str, codes_file: Path) -> dict[str, Any]:
    """The agent's section of it. Its miners live faster than others, so they are asked about more often."""
    return {
        "url": url,
        "codes_file": str(codes_file),
        "official": False,
        "log_every_s": 2,
        "expected_every_s": 1,
        "power_gap_s": 1,
        "default_power_w": 3400,
    }
