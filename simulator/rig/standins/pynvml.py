"""`pynvml` of a simulated rig: names and errors of nvidia-ml-py, figures of the rig's state.

It looks for the rig where it was written to. A driver that hangs keeps its callers until the rig's state says
otherwise, or the rig is gone.
"""
# ruff: noqa: N802, N801

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, Final

NVML_TEMPERATURE_GPU: Final = 0
NVML_CLOCK_GRAPHICS: Final = 0
NVML_CLOCK_SM: Final = 1
NVML_CLOCK_MEM: Final = 2
NVML_FI_DEV_MEMORY_TEMP: Final = 82

NVML_SUCCESS: Final = 0
NVML_ERROR_UNINITIALIZED: Final = 1
NVML_ERROR_INVALID_ARGUMENT: Final = 2
NVML_ERROR_NOT_SUPPORTED: Final = 3
NVML_ERROR_NO_PERMISSION: Final = 4
NVML_ERROR_DRIVER_NOT_LOADED: Final = 9
NVML_ERROR_LIBRARY_NOT_FOUND: Final = 12
NVML_ERROR_GPU_IS_LOST: Final = 15
NVML_ERROR_UNKNOWN: Final = 999

_RUN: Final = Path(__file__).resolve().parent.parent / "run"


class NVMLError(Exception):
    """`value` is NVML's own number."""

    kinds: ClassVar[dict[int, type[NVMLError]]] = {}

    def __new__(cls, value: int) -> NVMLError:  # noqa: PYI034 -- the number says of which kind
        return super().__new__(cls.kinds.get(value, cls))

    def __init__(self, value: int) -> None:
        super().__init__(value)
        self.value = value


class NVMLError_Uninitialized(NVMLError): ...


class NVMLError_InvalidArgument(NVMLError): ...


class NVMLError_NotSupported(NVMLError): ...


class NVMLError_NoPermission(NVMLError): ...


class NVMLError_DriverNotLoaded(NVMLError): ...


class NVMLError_LibraryNotFound(NVMLError): ...


class NVMLError_GpuIsLost(NVMLError): ...


class NVMLError_Unknown(NVMLError): ...


NVMLError.kinds.update(
    {
        NVML_ERROR_UNINITIALIZED: NVMLError_Uninitialized,
        NVML_ERROR_INVALID_ARGUMENT: NVMLError_InvalidArgument,
        NVML_ERROR_NOT_SUPPORTED: NVMLError_NotSupported,
        NVML_ERROR_NO_PERMISSION: NVMLError_NoPermission,
        NVML_ERROR_DRIVER_NOT_LOADED: NVMLError_DriverNotLoaded,
        NVML_ERROR_LIBRARY_NOT_FOUND: NVMLError_LibraryNotFound,
        NVML_ERROR_GPU_IS_LOST: NVMLError_GpuIsLost,
        NVML_ERROR_UNKNOWN: NVMLError_Unknown,
    }
)

_inits: list[int] = []


def nvmlInit() -> None:
    code = _state()["nvml"]
    if code:
        raise NVMLError(code)
    _inits.append(1)


def nvmlShutdown() -> None:
    if not _inits:
        raise NVMLError(NVML_ERROR_UNINITIALIZED)
    _inits.pop()


def nvmlSystemGetDriverVersion() -> str:
    return str(_live()["driver_version"])


def nvmlDeviceGetCount() -> int:
    return len(_live()["gpus"])


def nvmlDeviceGetHandleByIndex(index: int) -> str:
    """A handle is the GPU's uuid."""
    gpus = _live()["gpus"]
    if not 0 <= index < len(gpus):
        raise NVMLError(NVML_ERROR_INVALID_ARGUMENT)
    if gpus[index]["lost"]:
        raise NVMLError(NVML_ERROR_GPU_IS_LOST)
    return str(gpus[index]["uuid"])


def nvmlDeviceGetPciInfo(handle: str) -> SimpleNamespace:
    bus_id = _figure(handle, "bus_id")
    bus = int(str(bus_id).split(":")[1], 16)
    return SimpleNamespace(busId=bus_id, domain=0, bus=bus, device=0)


def nvmlDeviceGetName(handle: str) -> str:
    return str(_figure(handle, "name"))


def nvmlDeviceGetUUID(handle: str) -> str:
    return str(_figure(handle, "uuid"))


def nvmlDeviceGetTemperature(handle: str, sensor: int) -> int:
    if sensor != NVML_TEMPERATURE_GPU:
        raise NVMLError(NVML_ERROR_INVALID_ARGUMENT)
    return int(_figure(handle, "core_temp"))


def nvmlDeviceGetTemperatureV(handle: str, sensor: int) -> int:
    return nvmlDeviceGetTemperature(handle, sensor)


def nvmlDeviceGetFieldValues(handle: str, fields: Sequence[int]) -> list[SimpleNamespace]:
    return [_field(handle, field) for field in fields]


def nvmlDeviceGetClockInfo(handle: str, kind: int) -> int:
    return int(_figure(handle, "mem_clock" if kind == NVML_CLOCK_MEM else "core_clock"))


def nvmlDeviceGetPowerUsage(handle: str) -> int:
    """Milliwatts."""
    return int(1000 * _figure(handle, "power"))


def nvmlDeviceGetFanSpeed(handle: str) -> int:
    return int(_figure(handle, "fan"))


def nvmlDeviceGetNumFans(handle: str) -> int:
    _figure(handle, "fan")
    return 2


def nvmlDeviceGetFanSpeed_v2(handle: str, fan: int) -> int:
    if fan not in (0, 1):
        raise NVMLError(NVML_ERROR_INVALID_ARGUMENT)
    return int(_figure(handle, "fan"))


def nvmlDeviceGetPowerManagementLimit(handle: str) -> int:
    """Milliwatts."""
    return int(1000 * _figure(handle, "power_limit"))


def nvmlDeviceGetPowerManagementLimitConstraints(handle: str) -> list[int]:
    """The least and the highest, in milliwatts."""
    return [round(1000 * _figure(handle, key)) for key in ("power_min", "power_max")]


def nvmlDeviceSetPowerManagementLimit(handle: str, limit: int) -> None:
    lowest, highest = nvmlDeviceGetPowerManagementLimitConstraints(handle)
    if not _live()["may_limit"]:
        raise NVMLError(NVML_ERROR_NO_PERMISSION)
    if not lowest <= limit <= highest:
        raise NVMLError(NVML_ERROR_INVALID_ARGUMENT)
    bus_id = _figure(handle, "bus_id")
    event = {"event": "power_limit", "at": time.time(), "bus_id": bus_id, "watts": limit / 1000}
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    events = os.open(_RUN / "events.jsonl", flags, 0o644)
    os.write(events, json.dumps(event).encode() + b"\n")
    os.close(events)


def _field(handle: str, field: int) -> SimpleNamespace:
    value = SimpleNamespace(uiVal=0)
    told = SimpleNamespace(fieldId=field, nvmlReturn=NVML_ERROR_NOT_SUPPORTED, value=value)
    if field == NVML_FI_DEV_MEMORY_TEMP:
        try:
            value.uiVal = int(_figure(handle, "mem_temp"))
            told.nvmlReturn = NVML_SUCCESS
        except NVMLError as error:
            told.nvmlReturn = error.value
    return told


def _figure(handle: str, key: str) -> Any:
    for gpu in _live()["gpus"]:
        if gpu["uuid"] == handle:
            if gpu["lost"]:
                raise NVMLError(NVML_ERROR_GPU_IS_LOST)
            if (code := gpu["errors"].get(key)) is not None:
                raise NVMLError(code)
            if gpu[key] is None:
                raise NVMLError(NVML_ERROR_NOT_SUPPORTED)
            return gpu[key]
    raise NVMLError(NVML_ERROR_GPU_IS_LOST)


def _live() -> dict[str, Any]:
    if not _inits:
        raise NVMLError(NVML_ERROR_UNINITIALIZED)
    state = _state()
    if state["nvml"]:
        raise NVMLError(state["nvml"])
    return state


def _state() -> dict[str, Any]:
    while True:
        try:
            state: dict[str, Any] = json.loads((_RUN / "state.json").read_bytes())
        except OSError as error:
            raise NVMLError(NVML_ERROR_UNKNOWN) from error
        if not state["nvml_hangs"]:
            return state
        time.sleep(0.05)
