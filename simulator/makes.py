"""Which makes can be simulated. A new make adds its one line here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from simulator import decoys, foreign
from simulator.antminer import build as antminer
from simulator.antminer import catalogue as antminers
from simulator.device import Device, DevicePlace
from simulator.hosts import build as hosts
from simulator.hosts import catalogue as hosts_known
from simulator.iceriver import build as iceriver
from simulator.iceriver import catalogue as icerivers
from simulator.rig import build as rig
from simulator.rig import catalogue as rigs
from simulator.whatsminer import build as whatsminer
from simulator.whatsminer import catalogue as whatsminers


class SpecError(ValueError):
    """A list of miners that cannot be built."""


@dataclass(frozen=True, slots=True)
class SimulatedMake:
    """One make: its default mix in order, all keys it knows, and how one device is built."""

    mix: Sequence[str]
    keys: Sequence[str]
    build: Callable[[str, DevicePlace], Device]
    ports: Sequence[str] = ()
    """The kinds of its services that no other make has."""


MAKES: Final[dict[str, SimulatedMake]] = {
    "antminer": SimulatedMake(antminers.MIX, tuple(antminers.MODELS), antminer.build),
    "whatsminer": SimulatedMake(whatsminers.MIX, tuple(whatsminers.MODELS), whatsminer.build),
    "iceriver": SimulatedMake(icerivers.MIX, tuple(icerivers.MODELS), iceriver.build),
    "rig": SimulatedMake(rigs.MIX, tuple(rigs.MODELS), rig.build, rig.PORTS),
    "foreign": SimulatedMake(decoys.MIX, tuple(decoys.DECOYS), foreign.build),
    "host": SimulatedMake(hosts_known.MIX, hosts_known.MIX, hosts.build, hosts_known.SERVICES),
}


def parse_specs(specs: str | Sequence[str]) -> list[tuple[str, str]]:
    """Turn `antminer:12,foreign/vnish:2,antminer/s21` into (make, key) per device.

    Raises SpecError, naming what is known.
    """
    wanted: list[tuple[str, str]] = []
    texts = specs.split(",") if isinstance(specs, str) else list(specs)
    for text in (part.strip() for part in texts):
        name, colon, count = text.partition(":")
        make_name, slash, key = name.partition("/")
        make = MAKES.get(make_name)
        if make is None:
            raise SpecError(f"unknown make {make_name!r}; known: {', '.join(MAKES)}")
        if colon and not count.isdigit():
            raise SpecError(f"not a number of miners: {text!r}")
        number = int(count) if colon else 1
        if slash and key not in make.keys:
            raise SpecError(f"unknown {make_name} {key!r}; known: {', '.join(make.keys)}")
        wanted += [
            (make_name, key if slash else make.mix[index % len(make.mix)])
            for index in range(number)
        ]
    if not wanted:
        raise SpecError("no miners asked for")
    return wanted
