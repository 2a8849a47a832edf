"""The rig's state as a file: `nvidia-smi`, `pynvml` and mining processes of the rig read it, wherever they run.

`run/state.json` is written by the rig alone. `run/events.jsonl` is what the others tell it, a line for each event;
`run/programs/<pid>.json` is there while that mining process runs.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from simulator.faults import Faults
from simulator.rig.catalogue import MODELS, NVIDIA, CpuModel, RigProduct
from simulator.rig.hardware import GpuChip, GpuFigures
from simulator.rig.work import GpuView

DRIVER_VERSION: Final = "550.54.14"
STATE: Final = "run/state.json"
EVENTS: Final = "run/events.jsonl"
PROGRAMS: Final = "run/programs"
_ABANDONED_S: Final = 60.0
_STARTED: Final = 19  # of what stands behind the name in /proc/<pid>/stat


def view_of(gpu: GpuChip, *, lost: bool) -> GpuView:
    """What a program sees of that GPU."""
    share = 0.0 if lost else gpu.strength * gpu.throttle * gpu.wobble(0.006)
    vendor = "nvidia" if gpu.model.vendor == NVIDIA else "amd"
    return GpuView(gpu.index, gpu.model.name, vendor, gpu.bus_number, share, gpu.figures())


def driver_entry(
    gpu: GpuChip, number: int, *, lost: bool, errors: dict[str, int]
) -> dict[str, Any]:
    """What NVIDIA's driver tells of that GPU, which is its number so many; `errors`: figure to NVML's number."""
    model, now = gpu.model, gpu.figures()
    return {
        "index": number,
        "bus_id": f"0000{gpu.bus}".upper(),
        "name": model.name,
        "uuid": gpu.uuid,
        "lost": lost,
        "errors": errors,
        "core_temp": now.core_c,
        "mem_temp": now.mem_c if model.shows_mem else None,
        "core_clock": now.core_mhz,
        "mem_clock": now.mem_mhz,
        "fan": now.fan_percent,
        "power": now.power_w,
        "power_limit": gpu.power_limit_w,
        "power_min": float(model.limits_w[0]),
        "power_max": float(model.limits_w[1]),
        "power_default": float(model.limits_w[1]),
    }


def view_entry(view: GpuView) -> dict[str, Any]:
    """A view as JSON."""
    figures = {name: getattr(view.figures, name) for name in GpuFigures.__slots__}
    plain = {name: getattr(view, name) for name in GpuView.__slots__ if name != "figures"}
    return plain | {"figures": figures}


class RigState:
    """The rig as a mining process of its own sees it: what its state says now."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.faults = Faults()
        self._stamp = -1
        self._specs: list[Any] = []
        self._state: dict[str, Any] = {}
        self.look()

    def look(self) -> None:
        """Read the state again if it changed."""
        path = self.folder / STATE
        stamp = path.stat().st_mtime_ns
        if stamp == self._stamp:
            return
        self._stamp, self._state = stamp, json.loads(path.read_bytes())
        if self._state["faults"] != self._specs:
            self._specs = self._state["faults"]
            self.faults.replace(self._specs)

    @property
    def is_abandoned(self) -> bool:
        """Nobody keeps it up any more: whoever did was killed."""
        return time.time_ns() - self._stamp > _ABANDONED_S * 1e9

    @property
    def product(self) -> RigProduct:
        return MODELS[self._state["key"]]

    @property
    def loopback(self) -> str:
        """Where its programs are heard."""
        return str(self._state["loopback"])

    @property
    def cpu(self) -> CpuModel:
        return self.product.cpu

    @property
    def worker(self) -> str:
        return str(self._state["worker"])

    def now(self) -> float:
        return time.monotonic() * float(self._state["time_scale"])

    def unix(self) -> int:
        return int(time.time())

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Do something so many seconds later."""
        loop = asyncio.get_running_loop()
        loop.call_later(seconds / float(self._state["time_scale"]), act)

    def gpus(self) -> Sequence[GpuView]:
        return [
            GpuView(**{**each, "figures": GpuFigures(**each["figures"])})
            for each in self._state["views"]
        ]


def started_ticks(pid: int | str) -> int | None:
    """When the kernel started that process, by which it is told from a later one of its pid; `None` for no process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return None
    return int(text.rpartition(")")[2].split()[_STARTED])


def tell(folder: Path, event: str, **more: Any) -> None:
    """Let the rig know: one line, written at once."""
    line = json.dumps({"event": event, "at": time.time(), **more}).encode() + b"\n"
    events = os.open(folder / EVENTS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(events, line)
    finally:
        os.close(events)
