"""Hosts that are to be left alone: they keep every byte that they are sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import ClassVar

from simulator.device import Device, DevicePlace
from simulator.hosts.catalogue import LanHostKind
from simulator.hosts.speakers import door


class LanHost(Device):
    """One host; its `wire_log` is the evidence."""

    make: ClassVar[str] = "host"
    foreign: ClassVar[bool] = True

    def __init__(self, kind: LanHostKind, place: DevicePlace) -> None:
        super().__init__(place)
        self.key, self.model, self.firmware = kind.key, kind.name, "none"
        self.tapped = True
        self.listeners |= {each: door(self, each, said) for each, said in kind.says.items()}

    @property
    def firmware_version(self) -> str:
        return ""


class EveryMaker(Device):
    """One address at which miners of several makers seem to be: each kind of port is that of another one."""

    make: ClassVar[str] = "host"
    foreign: ClassVar[bool] = True

    def __init__(
        self,
        key: str,
        place: DevicePlace,
        doors: Mapping[str, Callable[[DevicePlace], Device]],
    ) -> None:
        """`doors`: kind of port -> who builds the miner behind it."""
        super().__init__(place)
        self.key, self.model, self.firmware = key, "a miner of every maker", "none"
        self.tapped = True
        self._parts = [build(place) for build in doors.values()]
        for kind, part in zip(doors, self._parts, strict=True):
            part.listeners = {kind: part.listeners[kind]}
            part.wire_log, part.tapped = self.wire_log, True

    @property
    def firmware_version(self) -> str:
        return ""

    async def start(self) -> None:
        await super().start()
        await asyncio.gather(*(part.start() for part in self._parts))

    async def stop(self) -> None:
        await super().stop()
        await asyncio.gather(*(part.stop() for part in self._parts))
