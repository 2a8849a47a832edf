"""What the files of the amdgpu driver tell of its cards: sensors by their labels, never by their numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from drivers.protocol.values import number
from drivers.rig.protocol.figures import full_bus_id, mhz, percent, temp_c, watts, word_of
from drivers.rig.reading.cards import CardLook, CardSensors, SensorState
from drivers.rig.reading.host import Texts

AMD: Final = "amd"
_CARD: Final = "/sys/class/drm/card[0-9]*/device"
_HWMON: Final = f"{_CARD}/hwmon/hwmon*"
_NAMING: Final = (f"{_CARD}/vendor", f"{_CARD}/class", f"{_CARD}/uevent")
FILES: Final = (
    *_NAMING,
    f"{_CARD}/product_name",
    *(
        f"{_HWMON}/{file}"
        for file in (
            "name", "temp*_label", "temp*_input", "freq*_label", "freq*_input", "power1_average", "power1_input",
            "pwm1",
        )
    ),
)  # fmt: skip
_VENDOR: Final = "0x1002"
_DISPLAY: Final = "0x03"
_FOLDER: Final = re.compile(r"(/sys/class/drm/card\d+/device)/(?:hwmon/hwmon\d+/)?([^/]+)")
_FULL_PWM: Final = 255


def look_of(texts: Texts, missed: frozenset[str] = frozenset()) -> CardLook:
    """All cards of AMD that have a driver. Where files that name them were not read, who is missing is not known."""
    if missed.intersection(_NAMING):
        return CardLook(source=AMD, state=SensorState.FAILED, trouble="its files do not answer")
    found: dict[str, CardSensors] = {}
    for files in _by_card(texts).values():
        bus_id = full_bus_id(_uevent(files.get("uevent", "")).get("PCI_SLOT_NAME"))
        is_amd = files.get("vendor", "").strip() == _VENDOR
        if bus_id and is_amd and files.get("class", "").strip().startswith(_DISPLAY):
            found[bus_id] = _card(bus_id, files)
    cards = tuple(found[each] for each in sorted(found))
    return CardLook(
        source=AMD, state=SensorState.READ if cards else SensorState.ABSENT, cards=cards
    )


def _card(bus_id: str, files: dict[str, str]) -> CardSensors:
    temps, clocks = _labelled(files, "temp"), _labelled(files, "freq")
    power = number(files.get("power1_average") or files.get("power1_input"))
    pwm = number(files.get("pwm1"))
    return CardSensors(
        bus_id=bus_id,
        name=word_of(files.get("product_name")),
        temp_c=_scaled(temp_c, temps.get("edge"), 1e-3),
        temp_memory_c=_scaled(temp_c, temps.get("mem"), 1e-3),
        core_hz=_scaled(mhz, clocks.get("sclk"), 1e-6),
        memory_hz=_scaled(mhz, clocks.get("mclk"), 1e-6),
        fan_percent=None if pwm is None else percent(pwm * 100 / _FULL_PWM),
        power_w=None if power is None else watts(power / 1e6),
    )


def _by_card(texts: Texts) -> dict[str, dict[str, str]]:
    """The files of each card by their names; only one hwmon of a card is amdgpu's, and it has no other."""
    cards: dict[str, dict[str, str]] = {}
    for path, text in texts.items():
        if match := _FOLDER.fullmatch(path):
            cards.setdefault(match[1], {})[match[2]] = text
    return cards


def _uevent(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def _labelled(files: dict[str, str], kind: str) -> dict[str, str]:
    """`edge` -> what `temp1_input` says, by `temp1_label`."""
    return {
        text.strip(): files[value]
        for name, text in files.items()
        if name.startswith(kind)
        and name.endswith("_label")
        and (value := name.removesuffix("_label") + "_input") in files
    }


def _scaled(kind: Callable[[float], float | None], told: str | None, factor: float) -> float | None:
    found = number(told)
    return None if found is None else kind(found * factor)
