"""One device by its key, with a server behind each of its ports."""

from __future__ import annotations

from simulator.device import Place
from simulator.net import Listener
from simulator.whatsminer.catalogue import MODELS
from simulator.whatsminer.device import Whatsminer
from simulator.whatsminer.framed import FramedConnection
from simulator.whatsminer.rpc import RpcConnection
from simulator.whatsminer.web import TLS_PORT, web_connection


def build(key: str, place: Place) -> Whatsminer:
    """`key` is one of the catalogue's."""
    miner, ports = Whatsminer(MODELS[key], place), place.ports
    miner.listeners["rpc"] = Listener(
        miner.ip, ports["rpc"], lambda listener: RpcConnection(miner, listener)
    )
    miner.listeners["v3"] = Listener(
        miner.ip, ports["v3"], lambda listener: FramedConnection(miner, listener)
    )
    miner.listeners["http"] = Listener(
        miner.ip, ports["http"], lambda listener: web_connection(miner, listener)
    )
    if ports["http"] == 80:  # the other ports of a farm on high ports stay free
        miner.listeners["https"] = Listener(
            miner.ip,
            TLS_PORT,
            lambda listener: web_connection(miner, listener, is_tls=True),
            tls=True,
        )
    return miner
