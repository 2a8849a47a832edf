"""One device by its key, with a server behind each of its ports."""

from __future__ import annotations

from simulator.device import Place
from simulator.iceriver.catalogue import MODELS
from simulator.iceriver.daemon import DaemonConnection
from simulator.iceriver.device import ForeignIceriver, Iceriver
from simulator.iceriver.web import WebServer
from simulator.net import Listener


def build(key: str, place: Place) -> Iceriver:
    """`key` is one of the catalogue's."""
    model = MODELS[key]
    miner = ForeignIceriver(model, place) if model.foreign else Iceriver(model, place)
    web, ports = WebServer(miner), place.ports
    miner.listeners["http"] = Listener(miner.ip, ports["http"], web.connection)
    miner.listeners["daemon"] = Listener(
        miner.ip, ports["daemon"], lambda listener: DaemonConnection(miner, listener)
    )
    return miner
