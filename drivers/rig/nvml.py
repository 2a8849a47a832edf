"""NVIDIA cards of this host by its own library (NVML), asked in a thread with a deadline: it blocks, and a card that
fell off the bus can hold it up for good.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Final, Protocol

from drivers.rig.protocol.figures import full_bus_id, mhz, percent, temp_c, watts, word_of
from drivers.rig.reach.thread import OwnThread
from drivers.rig.reading.cards import CardLook, CardSensors, SensorState
from drivers.rig.reading.nvidia import NVIDIA

# Numbers of nvml.h.
_NO_DRIVER: Final = (9, 12)  # not loaded; no library: there is no NVIDIA here
_LOST: Final = 15
_TEMP_GPU: Final = 0
_CLOCK_CORE, _CLOCK_MEMORY = 0, 2
_FIELD_TEMP_MEMORY: Final = 82


class Nvml(Protocol):
    """As much of the module `pynvml` (package nvidia-ml-py) as is used."""

    NVMLError: type[Exception]

    def __getattr__(self, name: str) -> Callable[..., Any]: ...


def find_nvml() -> Nvml | None:
    """The module; `None` where the extra `rig` is not installed."""
    try:
        import pynvml
    except ImportError:
        return None
    module: Nvml = pynvml
    return module


class NvmlReader:
    """Looks by the library. One look at a time: while a thread of an earlier look hangs, none is begun."""

    def __init__(self, nvml: Nvml) -> None:
        self._nvml = nvml
        self._is_begun = False
        self._thread: asyncio.Future[CardLook] | None = None

    async def look(self, *, deadline_s: float) -> CardLook:
        """All cards now. Never raises: what goes wrong is in the look."""
        if self._thread is None or self._thread.done():
            loop = asyncio.get_running_loop()
            self._thread = loop.run_in_executor(OwnThread(), self._look)
        done, _ = await asyncio.wait((self._thread,), timeout=deadline_s)
        if not done:
            return _failed(
                f"NVML does not answer within {deadline_s:g} s; a card may have fallen off"
            )
        thread, self._thread = self._thread, None
        return thread.result()

    # --- in the thread ---------------------------------------------------------------------------

    def _look(self) -> CardLook:
        nvml = self._nvml
        try:
            if not self._is_begun:
                nvml.nvmlInit()
                self._is_begun = True
            handles = [self._handle(at) for at in range(nvml.nvmlDeviceGetCount())]
        except nvml.NVMLError as error:
            self._restart()
            if getattr(error, "value", None) in _NO_DRIVER:
                return CardLook(source=NVIDIA, state=SensorState.ABSENT)
            return _failed(f"NVML says: {error}")
        cards: list[CardSensors] = []
        lost: list[str] = []
        for handle in handles:
            bus_id = None if handle is None else self._bus_id(handle)
            if bus_id is None:
                self._restart()  # missed by its bus id, if it was ever seen
                continue
            try:
                cards.append(self._card(handle, bus_id))
            except nvml.NVMLError:
                lost.append(bus_id)
                self._restart()
        return CardLook(
            source=NVIDIA,
            state=SensorState.READ,
            cards=tuple(sorted(cards, key=lambda card: card.bus_id)),
            lost=tuple(lost),
        )

    def _handle(self, at: int) -> Any | None:
        """`None` for a card that cannot be spoken to."""
        try:
            return self._nvml.nvmlDeviceGetHandleByIndex(at)
        except self._nvml.NVMLError:
            return None

    def _bus_id(self, handle: Any) -> str | None:
        try:
            return full_bus_id(_text(self._nvml.nvmlDeviceGetPciInfo(handle).busId))
        except self._nvml.NVMLError:
            return None

    def _card(self, handle: Any, bus_id: str) -> CardSensors:
        """Raises NVMLError when the card is lost."""
        nvml = self._nvml
        milliwatts = self._asked(lambda: nvml.nvmlDeviceGetPowerUsage(handle))
        return CardSensors(
            bus_id=bus_id,
            name=_text(self._asked(lambda: nvml.nvmlDeviceGetName(handle))),
            temp_c=temp_c(self._temp(handle)),
            temp_memory_c=temp_c(self._asked(lambda: self._memory_temp(handle))),
            core_hz=mhz(self._asked(lambda: nvml.nvmlDeviceGetClockInfo(handle, _CLOCK_CORE))),
            memory_hz=mhz(self._asked(lambda: nvml.nvmlDeviceGetClockInfo(handle, _CLOCK_MEMORY))),
            fan_percent=percent(self._asked(lambda: nvml.nvmlDeviceGetFanSpeed(handle))),
            power_w=None if milliwatts is None else watts(milliwatts / 1000),
        )

    def _temp(self, handle: Any) -> Any:
        """By the newer call, which older drivers and packages lack, else by the older one, which is to go."""
        nvml = self._nvml
        newer = self._asked(lambda: nvml.nvmlDeviceGetTemperatureV(handle, _TEMP_GPU))
        if newer is not None:
            return newer
        return self._asked(lambda: nvml.nvmlDeviceGetTemperature(handle, _TEMP_GPU))

    def _memory_temp(self, handle: Any) -> Any:
        """Most cards for games have no such sensor."""
        value = self._nvml.nvmlDeviceGetFieldValues(handle, [_FIELD_TEMP_MEMORY])[0]
        return value.value.uiVal if value.nvmlReturn == 0 else None

    def _asked(self, ask: Callable[[], Any]) -> Any:
        """One value; `None` where this card, driver or package has none, so that the others are not lost. Raises
        NVMLError when the card is.
        """
        try:
            return ask()
        except self._nvml.NVMLError as error:
            if getattr(error, "value", None) == _LOST:
                raise
            return None
        except (AttributeError, IndexError, TypeError, ValueError):
            return None

    def _restart(self) -> None:
        """Of cards that came or went the library learns when it is begun again."""
        if self._is_begun:
            self._is_begun = False
            with contextlib.suppress(self._nvml.NVMLError):
                self._nvml.nvmlShutdown()


def _failed(trouble: str) -> CardLook:
    return CardLook(source=NVIDIA, state=SensorState.FAILED, trouble=trouble)


def _text(told: Any) -> str | None:
    """Old versions of the package give bytes."""
    text = told.decode("utf-8", "replace") if isinstance(told, bytes) else told
    return word_of(text)
