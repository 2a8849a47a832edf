"""What every simulated device has: who it is, its sockets, its faults, its entry in the listing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, ClassVar

from simulator.clock import DeviceClock
from simulator.faults import Faults
from simulator.ledger import Ledger, Phase
from simulator.net import TAP_LIMIT, ListeningPort, WireEntry


@dataclass(frozen=True, slots=True)
class DevicePlace:
    """Where a device stands: what the farm gives to each device it builds."""

    ip: str
    index: int
    seed: int
    ports: dict[str, int]
    """Kind of service (`http`, `rpc`, ...) to port number, shared by the whole farm."""
    clock: DeviceClock
    ledger: Ledger


class Device:
    """Base of all simulated devices. A make adds its listeners in `__init__` by `listen`."""

    make: ClassVar[str] = ""
    foreign: ClassVar[bool] = False

    key: str = ""
    model: str = ""
    generation: str | None = None
    firmware: str = "stock"
    hashrate_hs: float = 0.0

    def __init__(self, place: DevicePlace) -> None:
        self.ip = place.ip
        self.index = place.index
        self.clock = place.clock
        self.ledger = place.ledger
        self.ports = place.ports
        self.random = random.Random(f"{place.seed}/{place.index}")
        self.mac = "02:" + ":".join(f"{self.random.randrange(256):02X}" for _ in range(5))
        self.serial = f"SIM{place.index:05d}{self.random.randrange(16**6):06X}"
        self.faults = Faults(self._faults_changed)
        self.listeners: dict[str, ListeningPort] = {}
        self.wire_log: list[WireEntry] = []
        self.tapped = False
        self.connections = 0
        self.boot = 1
        self._tasks: set[asyncio.Task[Any]] = set()
        self._running = False

    @property
    def firmware_version(self) -> str:
        """The version this device shows now."""
        raise NotImplementedError

    @property
    def http_port(self) -> int:
        return self.ports["http"]

    @property
    def rpc_port(self) -> int:
        return self.ports["rpc"]

    async def start(self) -> None:
        """Listen on every port that is to be open."""
        self._running = True
        for kind, listener in self.listeners.items():
            if self.wants_open(kind):
                await listener.open()

    async def stop(self) -> None:
        """Close everything; the device is gone for good."""
        self._running = False
        for listener in self.listeners.values():
            listener.close()
        await self.kill_tasks()

    def wants_open(self, kind: str) -> bool:
        """True when that service should be listening now."""
        if not self._running or "dead" in self.faults:
            return False
        return not (kind == "rpc" and "refuses_4028" in self.faults)

    def sync_listeners(self) -> None:
        """Open and close the sockets so that they match the device's state and faults."""
        for kind, listener in self.listeners.items():
            if self.wants_open(kind):
                listener.open_soon()
            elif listener.is_open:
                listener.close()

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run something on the device's own board: it ends when the device loses power."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    async def kill_tasks(self) -> None:
        """End everything that runs on the device."""
        await asyncio.gather(*self.cancel_tasks(), return_exceptions=True)

    def cancel_tasks(self) -> list[asyncio.Task[Any]]:
        """Cancel everything that runs on the device, but for who asks; these are ending now."""
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        return tasks

    def tap(self, port: int, kind: str, data: bytes, *, had_credentials: bool) -> None:
        """Keep what a client sent, when somebody listens in."""
        if self.tapped:
            self.wire_log.append(WireEntry(port, data[:TAP_LIMIT], had_credentials, kind))

    def record(
        self,
        action: str,
        phase: Phase,
        *,
        before: dict[str, Any] | None = None,
        after: dict[str, Any] | None = None,
        **more: Any,
    ) -> None:
        """One line in the ledger about this device."""
        self.ledger.write(
            miner=self.mac,
            ip=self.ip,
            action=action,
            phase=phase,
            before=before,
            after=after,
            boot=self.boot,
            **more,
        )

    @property
    def image_name(self) -> str:
        """What the file of `newer_image` is called."""
        return self.key

    def newer_image(self) -> bytes | None:
        """A firmware file that updates this device, `None` where that is not simulated."""
        return None

    def describe(self) -> dict[str, Any]:
        """The device's entry in the farm's listing."""
        return {
            "ip": self.ip,
            "mac": self.mac,
            "serial": self.serial,
            "make": self.make,
            "model": self.model,
            "firmware": self.firmware,
            "firmware_version": self.firmware_version,
            "generation": self.generation,
            "hashrate_hs": self.hashrate_hs,
            "foreign": self.foreign,
            "key": self.key,
            "image": self.image_name,
            "http_port": self.http_port,
            "rpc_port": self.rpc_port,
        }

    def _faults_changed(self) -> None:
        if self._running:
            self.sync_listeners()

    def _task_done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"simulated device {self.ip} failed", "exception": error, "task": task}
            )
