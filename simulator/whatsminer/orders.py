"""What can be asked of a device, whichever way it was asked: checked, named, with its effect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from simulator.orders import Order, OrderError
from simulator.pools import SLOTS, Pool, blank
from simulator.whatsminer.catalogue import NO_LIMIT_W
from simulator.whatsminer.firmware import WhatsminerImage
from simulator.whatsminer.process import MODES
from simulator.whatsminer.settings import Led

if TYPE_CHECKING:
    from simulator.whatsminer.device import WhatsminerDevice

COLOURS: Final = ("red", "green")
_LIGHT_S: Final = 1.0
_SCRIPT_S: Final = 2.0
_OFF_S: Final = 8.0


def led(given: dict[str, Any]) -> tuple[str, Led]:
    """One colour's setting. Raises OrderError."""
    colour = given.get("color")
    try:
        times = tuple(int(given[name]) for name in ("period", "duration", "start"))
    except (KeyError, TypeError, ValueError) as error:
        raise OrderError("led times") from error
    if colour not in COLOURS or min(times) < 0:
        raise OrderError("led colour")
    return str(colour), (times[0], times[1], times[2])


def light(miner: WhatsminerDevice, leds: dict[str, Led], *, adds: bool = False) -> Order:
    """Set the lights by hand, or give them back to the firmware (no settings).

    `adds`: the colours not named stay as they are then.
    """
    before, after = {"on": miner.light}, {"on": bool(leds)}

    def act() -> None:
        miner.set_leds(miner.leds | leds if adds else leds)

    return Order("light", act, before, after, _LIGHT_S)


def mode(miner: WhatsminerDevice, wanted: object) -> Order:
    """Set the power mode; the process restarts, even into the same mode. Raises OrderError."""
    if wanted not in MODES:
        raise OrderError("mode")
    name = str(wanted)
    return Order(
        "mode", lambda: miner.set_mode(name), {"mode": miner.mode}, {"mode": name}, _SCRIPT_S
    )


def pools(miner: WhatsminerDevice, wanted: list[Pool]) -> Order:
    """Replace the list of pools: `url`, `user`, `pass`. Raises OrderError."""
    if len(wanted) > SLOTS:
        raise OrderError("too many pools")
    slots = [*wanted, *(blank() for _ in range(SLOTS - len(wanted)))]
    return Order(
        "pools", lambda: miner.set_pools(slots), {"pools": miner.pools}, {"pools": slots}, 1.0
    )


def power(miner: WhatsminerDevice, *, on: bool) -> Order:
    """Stop hashing or begin again; the control board stays up."""
    return Order(
        "power_on" if on else "power_off",
        miner.power_on if on else miner.power_off,
        {"mining": not miner.is_off},
        {"mining": on},
        _SCRIPT_S if on else _OFF_S,
    )


def restart(miner: WhatsminerDevice) -> Order:
    """Restart the process alone."""
    return Order("restart", miner.restart_process, {}, {}, _SCRIPT_S)


def reboot(miner: WhatsminerDevice) -> Order:
    """Restart the control board."""
    return Order("reboot", miner.power_cycle, {"boot": miner.boot}, {}, 3.0)


def install(miner: WhatsminerDevice, image: WhatsminerImage) -> Order:
    """Write an image that passed its check; the device then boots into it."""
    return Order(
        "firmware",
        lambda: miner.flash(image),
        {"version": miner.version},
        {"pending": image.version},
        _SCRIPT_S,
    )


def factory_reset(miner: WhatsminerDevice) -> Order:
    """Back to factory settings: no pools, the default password, no API writes."""
    return Order("factory_reset", lambda: miner.power_cycle(factory_reset=True), {}, {}, 3.0)


def power_limit(miner: WhatsminerDevice, limit_w: int) -> Order:
    """Limit what it draws, in watts; NO_LIMIT_W gives back the limit of the firmware. The process restarts into it."""
    kept = 0 if limit_w == NO_LIMIT_W else limit_w
    return Order(
        "power_limit",
        lambda: miner.set_limit(kept),
        {"power_limit": miner.settings["power_limit"]},
        {"power_limit": kept},
        _SCRIPT_S,
    )


def power_percent(miner: WhatsminerDevice, percent: int, *, restarts: bool) -> Order:
    """Limit what it draws to a part of what it would."""
    return Order(
        "power_percent",
        lambda: miner.set_percent(percent, restarts=restarts),
        {"power_percent": miner.settings["power_percent"]},
        {"power_percent": percent},
        _SCRIPT_S,
    )


def setting(
    miner: WhatsminerDevice, action: str, name: str, value: Any, *, restarts: bool = False
) -> Order:
    """One value of the device's settings; those of tuning restart the process."""

    def act() -> None:
        miner.set_setting(action, name, value)
        if restarts:
            miner.restart_process()

    return Order(action, act, {name: miner.settings[name]}, {name: value}, _SCRIPT_S)


def network(miner: WhatsminerDevice, wanted: dict[str, str]) -> Order:
    """Set the address; the device boots to take it."""

    def act() -> None:
        miner.set_setting("network", "network", wanted)
        miner.power_cycle()

    return Order(
        "network", act, {"network": miner.settings["network"]}, {"network": wanted}, _SCRIPT_S
    )
