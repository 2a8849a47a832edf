"""One device by its key, with a server behind each of its ports."""

from __future__ import annotations

from simulator.device import DevicePlace
from simulator.net import ListeningPort
from simulator.whatsminer.catalogue import MODELS
from simulator.whatsminer.device import WhatsminerDevice
from simulator.whatsminer.framed import FramedConnection
from simulator.whatsminer.rpc import WhatsminerRpcConnection
from simulator.whatsminer.web import TLS_PORT, web_connection


def build(key: str, place: DevicePlace) -> WhatsminerDevice:
    """`key` is one of the catalogue's."""
    miner, ports = WhatsminerDevice(MODELS[key], place), place.ports
    miner.listeners["rpc"] = ListeningPort(
        miner.ip, ports["rpc"], lambda listener: WhatsminerRpcConnection(miner, listener)
    )
    miner.listeners["v3"] = ListeningPort(
        miner.ip, ports["v3"], lambda listener: FramedConnection(miner, listener)
    )
    miner.listeners["http"] = ListeningPort(
        miner.ip, ports["http"], lambda listener: web_connection(miner, listener)
    )
    if ports["http"] == 80:  # the other ports of a farm on high ports stay free
        miner.listeners["https"] = ListeningPort(
            miner.ip,
            TLS_PORT,
            lambda listener: web_connection(miner, listener, is_tls=True),
            tls=True,
        )
    return miner
