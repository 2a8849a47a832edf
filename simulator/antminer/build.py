"""One device by its key, with a server behind each of its ports."""

from __future__ import annotations

from simulator.antminer.catalogue import MODELS
from simulator.antminer.device import POWER_PORT, Antminer
from simulator.antminer.rpc import Queue, RpcConnection
from simulator.antminer.web import PowerConnection, WebServer
from simulator.device import Place
from simulator.http import HttpConnection
from simulator.net import Listener


def build(key: str, place: Place) -> Antminer:
    """`key` is one of the catalogue's."""
    miner = Antminer(MODELS[key], place)
    web, queue, ports = WebServer(miner), Queue(), place.ports
    miner.listeners["http"] = Listener(
        miner.ip,
        ports["http"],
        lambda listener: HttpConnection(miner, listener, web.handle),
    )
    miner.listeners["rpc"] = Listener(
        miner.ip, ports["rpc"], lambda listener: RpcConnection(miner, listener, queue)
    )
    if miner.spec.has_power and (ports["http"] == 80 or "power" in ports):
        miner.listeners["power"] = Listener(
            miner.ip,
            ports.get("power", POWER_PORT),
            lambda listener: PowerConnection(miner, listener, web.power),
        )
    return miner
