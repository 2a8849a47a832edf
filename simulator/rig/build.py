"""One rig by its key, with a server behind each of its ports."""

from __future__ import annotations

from typing import Final

from simulator.device import DevicePlace
from simulator.net import ListeningPort
from simulator.rig.catalogue import MODELS
from simulator.rig.device import PROGRAM_PORTS, RigDevice

PORTS: Final = ("ssh", *PROGRAM_PORTS)


def build(key: str, place: DevicePlace) -> RigDevice:
    """`key` is one of the catalogue's."""
    from simulator.rig.ssh import (
        SshConnection,
    )  # its library takes a farm without rigs half a second

    rig = RigDevice(MODELS[key], place)
    for kind, unit in zip(PROGRAM_PORTS, rig.units, strict=False):
        if not unit.job.process:
            rig.listeners[kind] = ListeningPort(rig.loopback, unit.port, unit.connection)
    rig.listeners["ssh"] = ListeningPort(
        rig.ip, place.ports["ssh"], lambda listener: SshConnection(rig, listener)
    )
    return rig
