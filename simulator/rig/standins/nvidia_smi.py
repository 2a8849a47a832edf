"""`nvidia-smi` of a simulated rig: it reads the rig's state and answers as the driver's own does.

Known: `--query-gpu=FIELDS --format=csv[,noheader][,nounits]` (documented, one line captured), `-L`, `-i GPU -pl WATTS`
(third-party). What a lost GPU looks like is unproven.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

OK: Final = 0
INVALID: Final = 2
NO_PERMISSION: Final = 4
NO_DEVICES: Final = 6
NO_DRIVER: Final = 9
LOST: Final = 15

FIELDS: Final = {
    "index": ("index", ""),
    "pci.bus_id": ("bus_id", ""),
    "gpu_bus_id": ("bus_id", ""),
    "name": ("name", ""),
    "gpu_name": ("name", ""),
    "uuid": ("uuid", ""),
    "gpu_uuid": ("uuid", ""),
    "driver_version": ("driver_version", ""),
    "temperature.gpu": ("core_temp", ""),
    "temperature.memory": ("mem_temp", ""),
    "clocks.current.graphics": ("core_clock", "MHz"),
    "clocks.gr": ("core_clock", "MHz"),
    "clocks.current.memory": ("mem_clock", "MHz"),
    "clocks.mem": ("mem_clock", "MHz"),
    "fan.speed": ("fan", "%"),
    "power.draw": ("power", "W"),
    "power.limit": ("power_limit", "W"),
    "power.min_limit": ("power_min", "W"),
    "power.max_limit": ("power_max", "W"),
    "power.default_limit": ("power_default", "W"),
}
_WORDS: Final = {3: "[N/A]", LOST: "[GPU is lost]"}
_FAILED: Final = (
    "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. "
    "Make sure that the latest NVIDIA driver is installed and running.\n"
)


def run(
    arguments: list[str], state: dict[str, Any], order: Callable[[str, float], None]
) -> tuple[int, str]:
    """Exit status and output. `order` is told a bus id and the watts that its limit is to be."""
    if state["nvml"]:
        return NO_DRIVER, _FAILED
    gpus = state["gpus"]
    if not gpus:
        return NO_DEVICES, "No devices were found\n"
    options = _options(arguments)
    if (wanted := options.get("-i") or options.get("--id")) is not None:
        gpus = [gpu for gpu in gpus if wanted in _names(gpu)]
        if not gpus:
            return NO_DEVICES, "No devices were found\n"
    if "-L" in options:
        lines = [f"GPU {gpu['index']}: {gpu['name']} (UUID: {gpu['uuid']})\n" for gpu in gpus]
        return OK, "".join(lines)
    if (watts := options.get("-pl") or options.get("--power-limit")) is not None:
        return _limit(gpus, watts, allowed=bool(state["may_limit"]), order=order)
    return _query(gpus, options, state)


def _query(
    gpus: list[dict[str, Any]], options: dict[str, str], state: dict[str, Any]
) -> tuple[int, str]:
    fields = [field.strip() for field in options.get("--query-gpu", "").split(",")]
    form = [part.strip() for part in options.get("--format", "").split(",")]
    if "csv" not in form or fields == [""]:
        return INVALID, "only --query-gpu with --format=csv is simulated\n"
    for field in fields:
        if field not in FIELDS:
            return INVALID, f'Field "{field}" is not a valid field to query.\n'
    units = "nounits" not in form
    lines = []
    if "noheader" not in form:
        marks = [FIELDS[field][1] for field in fields]
        lines = [
            ", ".join(
                f"{field} [{mark}]" if mark and units else field
                for field, mark in zip(fields, marks, strict=True)
            )
        ]
    driver = state["driver_version"]
    lines += [
        ", ".join(_shown({**gpu, "driver_version": driver}, field, units=units) for field in fields)
        for gpu in gpus
    ]
    is_lost = any(gpu["lost"] for gpu in gpus)
    return (LOST if is_lost else OK), "\n".join(lines) + "\n"


def _shown(gpu: dict[str, Any], field: str, *, units: bool) -> str:
    key, unit = FIELDS[field]
    if gpu["lost"] and key not in ("index", "bus_id"):
        return _WORDS[LOST]
    if (code := gpu["errors"].get(key)) is not None:
        return _WORDS.get(code, "[Unknown Error]")
    value = gpu[key]
    if value is None:
        return "N/A" if key == "mem_temp" else "[N/A]"
    text = f"{value:.2f}" if unit == "W" else str(value)
    return f"{text} {unit}" if unit and units else text


def _limit(
    gpus: list[dict[str, Any]], watts: str, *, allowed: bool, order: Callable[[str, float], None]
) -> tuple[int, str]:
    try:
        wanted = float(watts)
    except ValueError:
        return INVALID, f"Invalid power limit: {watts}\n"
    said: list[str] = []
    for gpu in gpus:
        bus, lowest, highest = gpu["bus_id"], gpu["power_min"], gpu["power_max"]
        if not allowed:
            text = f"Failed to set power management limit for GPU {bus}: Insufficient Permissions\n"
            return NO_PERMISSION, "".join(said) + text
        if not lowest <= wanted <= highest:
            return INVALID, "".join(said) + (
                f"Provided power limit {wanted:.2f} W is not a valid power limit which should be between "
                f"{lowest:.2f} W and {highest:.2f} W for GPU {bus}\n"
                "Terminating early due to previous errors.\n"
            )
        was = gpu["power_limit"]
        order(bus, wanted)
        said.append(f"Power limit for GPU {bus} was set to {wanted:.2f} W from {was:.2f} W.\n")
    return OK, "".join(said) + "All done.\n"


def _names(gpu: dict[str, Any]) -> tuple[str, ...]:
    bus = gpu["bus_id"]
    return (str(gpu["index"]), bus, bus.lower(), bus.removeprefix("0000"), gpu["uuid"])


def _options(arguments: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    rest = iter(arguments)
    for argument in rest:
        name, equals, value = argument.partition("=")
        takes_value = name in ("-i", "--id", "-pl", "--power-limit", "--query-gpu", "--format")
        found[name] = value if equals else (next(rest, "") if takes_value else "")
    return found


def main() -> int:
    """As a program in the folder's `bin`."""
    folder = Path(__file__).resolve().parent.parent / "run"
    path = folder / "state.json"
    state = json.loads(path.read_bytes())
    while state["nvml_hangs"]:  # a driver that hangs keeps whoever asks, for good
        time.sleep(0.05)
        state = json.loads(path.read_bytes())

    def order(bus_id: str, watts: float) -> None:
        event = {"event": "power_limit", "at": time.time(), "bus_id": bus_id, "watts": watts}
        line = json.dumps(event).encode() + b"\n"
        events = os.open(folder / "events.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.write(events, line)
        os.close(events)

    code, text = run(sys.argv[1:], state, order)
    sys.stdout.write(text)
    return code


if __name__ == "__main__":
    sys.exit(main())
