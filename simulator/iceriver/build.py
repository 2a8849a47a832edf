"""One device by its key, with a server behind each of its ports."""

from __future__ import annotations

from simulator.device import DevicePlace
from simulator.iceriver.catalogue import MODELS
from simulator.iceriver.daemon import DaemonConnection
from simulator.iceriver.device import ForeignIceriverDevice, IceriverDevice
from simulator.iceriver.web import IceriverWebServer
from simulator.net import ListeningPort


def build(key: str, place: DevicePlace) -> IceriverDevice:
    """`key` is one of the catalogue's."""
    model = MODELS[key]
    miner = ForeignIceriverDevice(model, place) if model.foreign else IceriverDevice(model, place)
    web, ports = IceriverWebServer(miner), place.ports
    miner.listeners["http"] = ListeningPort(miner.ip, ports["http"], web.connection)
    miner.listeners["daemon"] = ListeningPort(
        miner.ip, ports["daemon"], lambda listener: DaemonConnection(miner, listener)
    )
    return miner
