"""One host by its key, with a server behind each of its ports."""

from __future__ import annotations

from functools import partial

from simulator.antminer import build as antminer
from simulator.device import Device, DevicePlace
from simulator.hosts.catalogue import EVERYTHING, HOSTS
from simulator.hosts.device import EveryMaker, LanHost
from simulator.iceriver import build as iceriver
from simulator.whatsminer import build as whatsminer


def build(key: str, place: DevicePlace) -> Device:
    """`key` is one of the catalogue's."""
    if key != EVERYTHING:
        return LanHost(HOSTS[key], place)
    return EveryMaker(
        key,
        place,
        {
            "http": partial(antminer.build, "s19pro"),
            "rpc": partial(antminer.build, "s19pro"),
            "v3": partial(whatsminer.build, "m60s"),
            "daemon": partial(iceriver.build, "ks5l"),
        },
    )
