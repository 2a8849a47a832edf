"""One device by its key, with a server behind each of its ports."""

from __future__ import annotations

from simulator.antminer.catalogue import MODELS
from simulator.antminer.device import POWER_PORT, AntminerDevice
from simulator.antminer.rpc import AntminerRpcConnection, Queue
from simulator.antminer.web import AntminerWebServer, PowerConnection
from simulator.device import DevicePlace
from simulator.http import HttpConnection
from simulator.net import ListeningPort


def build(key: str, place: DevicePlace) -> AntminerDevice:
    """`key` is one of the catalogue's."""
    miner = AntminerDevice(MODELS[key], place)
    web, queue, ports = AntminerWebServer(miner), Queue(), place.ports
    miner.listeners["http"] = ListeningPort(
        miner.ip,
        ports["http"],
        lambda listener: HttpConnection(miner, listener, web.handle),
    )
    miner.listeners["rpc"] = ListeningPort(
        miner.ip, ports["rpc"], lambda listener: AntminerRpcConnection(miner, listener, queue)
    )
    if miner.spec.has_power and (ports["http"] == 80 or "power" in ports):
        miner.listeners["power"] = ListeningPort(
            miner.ip,
            ports.get("power", POWER_PORT),
            lambda listener: PowerConnection(miner, listener, web.power),
        )
    return miner
