"""The simulated rigs of a stage, enrolled by SSH as the config of an agent has it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import msgspec

from drivers.rig.spec import MiningProgram

_REBOOT: Final = ("sudo", "-n", "systemctl", "reboot")


class SimulatedCard(msgspec.Struct, frozen=True):
    """One graphics card; `limit_w` is the power limit that it comes with, where it takes one."""

    bus_id: str
    limit_w: float | None = None


class SimulatedProgram(msgspec.Struct, frozen=True):
    """One mining program: its unit, the port of its API, and the token that it wants."""

    unit: str
    port: int
    token: str | None = None

    @property
    def slug(self) -> str:
        """As the ledger calls it."""
        return self.unit.removesuffix(".service")

    @property
    def kind(self) -> MiningProgram:
        """As the config calls it."""
        return next(each for each in MiningProgram if self.slug.startswith(each))


class SimulatedRig(msgspec.Struct, frozen=True):
    """What the simulator's list has of a rig alone; its `folder` stands for `/`."""

    ip: str
    mac: str
    key: str
    folder: str
    ssh_port: int
    ssh_user: str
    ssh_key: str
    host_key: str
    gpus: tuple[SimulatedCard, ...]
    programs: tuple[SimulatedProgram, ...]


def rigs_of(miners: Iterable[dict[str, Any]]) -> tuple[SimulatedRig, ...]:
    """Those of the simulator's list that are rigs."""
    return tuple(msgspec.convert(each, SimulatedRig) for each in miners if each["make"] == "rig")


def entries(rigs: Iterable[SimulatedRig], folder: Path) -> list[dict[str, Any]]:
    """The entries of `[[rigs]]`; the tokens are written into `folder`, a file each."""
    return [
        {
            "name": f"{each.key}-{each.ip}",
            "reach": "ssh",
            "host": each.ip,
            "port": each.ssh_port,
            "user": each.ssh_user,
            "key_file": each.ssh_key,
            "host_key": each.host_key,
            "reboot": _REBOOT,
            "programs": [_program(program, each, folder) for program in each.programs],
        }
        for each in rigs
    ]


def _program(program: SimulatedProgram, rig: SimulatedRig, folder: Path) -> dict[str, Any]:
    found = {"kind": program.kind.value, "port": program.port, "unit": program.unit}
    if program.token is not None:
        file = folder / f"token-{rig.ip}-{program.port}"
        file.write_text(program.token, "utf-8")
        file.chmod(0o600)
        found["token_file"] = str(file)
    return found
