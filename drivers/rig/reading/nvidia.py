"""What nvidia-smi tells of its cards."""

from __future__ import annotations

from typing import Final

from drivers.rig.protocol.figures import mhz, percent, temp_c, watts, word_of
from drivers.rig.protocol.nvidia_smi import NO_DEVICES, NO_DRIVER, lost_cards, rows_of_cards
from drivers.rig.protocol.orders import brief
from drivers.rig.reading.cards import CardLook, CardSensors, SensorState

NVIDIA: Final = "nvidia"


def look_of(status: int | None, output: str, errors: str) -> CardLook:
    """One run of it. A value that is `[N/A]` or `[Unknown Error]` loses no other."""
    cards = tuple(
        CardSensors(
            bus_id=bus_id,
            name=word_of(name),
            temp_c=temp_c(temp),
            temp_memory_c=temp_c(temp_memory),
            core_hz=mhz(core),
            memory_hz=mhz(memory),
            fan_percent=percent(fan),
            power_w=watts(power),
        )
        for bus_id, (name, temp, temp_memory, core, memory, fan, power) in rows_of_cards(output)
        if "GPU is lost" not in name
    )
    told = f"{output}\n{errors}"
    lost = (
        *(bus_id for bus_id, values in rows_of_cards(output) if "GPU is lost" in values[0]),
        *lost_cards(told),
    )
    if cards or lost or NO_DEVICES in told:
        return CardLook(
            source=NVIDIA, state=SensorState.READ, cards=cards, lost=tuple(dict.fromkeys(lost))
        )
    if status == NO_DRIVER:
        return CardLook(source=NVIDIA, state=SensorState.ABSENT)
    # Also where it says that all went well: of no card, that would be an alarm for each that was there.
    return CardLook(
        source=NVIDIA,
        state=SensorState.FAILED,
        trouble=f"nvidia-smi ended with {status}: {brief(told)}",
    )
