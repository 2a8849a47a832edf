"""What can be asked of the daemon: checked, named, with its effect."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

from simulator.orders import Order, OrderError
from simulator.pools import SLOTS

if TYPE_CHECKING:
    from simulator.iceriver.device import IceriverDevice
    from simulator.iceriver.firmware import IceriverImage

_LIGHT_S: Final = 1.0
_POOLS_S: Final = 2.0
_HARDWARE_S: Final = 1.0
_RESTART_S: Final = 2.0
_UNPACK_S: Final = 6.0


def light(miner: IceriverDevice, given: dict[str, Any]) -> Order:
    """Switch the light that shows where the miner stands. Raises OrderError."""
    on = given.get("on")
    if not isinstance(on, bool):
        raise OrderError("on")
    return Order("light", lambda: miner.set_light(on), {"on": miner.light}, {"on": on}, _LIGHT_S)


def pools(miner: IceriverDevice, given: dict[str, Any]) -> Order:
    """Replace all three pools. Raises OrderError."""
    rows = given.get("pools")
    if not isinstance(rows, list) or len(rows) != SLOTS:
        raise OrderError("pools")
    slots: dict[int, dict[str, str]] = {}
    for row in rows:
        if not isinstance(row, dict) or row.get("no") not in range(1, SLOTS + 1):
            raise OrderError("no")
        values = [row.get(key) for key in ("addr", "user", "pass")]
        if not all(isinstance(value, str) for value in values):
            raise OrderError("pool")
        names = ("url", "user", "pass")
        slots[int(row["no"])] = dict(zip(names, (str(v).strip(" ") for v in values), strict=True))
    if len(slots) != SLOTS:
        raise OrderError("no")
    wanted = [slots[n] for n in sorted(slots)]
    before, after = {"pools": copy.deepcopy(miner.pools)}, {"pools": wanted}
    return Order("pools", lambda: miner.set_pools(wanted), before, after, _POOLS_S)


def hardware(miner: IceriverDevice, given: dict[str, Any]) -> list[Order]:
    """Set fan and mode: an order for each that would change, the one for the fan if none would.

    A word that is no mode is answered like one, and changes nothing. Raises OrderError.
    """
    fan, word = given.get("fan"), given.get("mode")
    if not isinstance(fan, dict) or not isinstance(word, str):
        raise OrderError("fan")
    control, ratio = fan.get("control"), fan.get("ratio")
    if not isinstance(control, bool) or type(ratio) is not int or not 0 <= ratio <= 100:
        raise OrderError("ratio")
    before = {"control": miner.fan_control, "ratio": miner.fan_ratio}
    after = {"control": control, "ratio": ratio}
    found = []
    if word != miner.mode:
        found.append(
            Order(
                "mode",
                lambda: miner.set_mode(word),
                {"mode": miner.mode},
                {"mode": word},
                _HARDWARE_S,
            )
        )
    if before != after or not found:
        found.append(
            Order(
                "fan",
                lambda: miner.set_fan(control=control, ratio=ratio),
                before,
                after,
                _HARDWARE_S,
            )
        )
    return found


def network(miner: IceriverDevice, given: dict[str, Any]) -> Order:
    """Set the address, or ask for one. Raises OrderError."""
    names = ("ip", "netmask", "host", "gateway", "dns")
    if not isinstance(given.get("dhcp"), bool) or not all(
        isinstance(given.get(name), str) for name in names
    ):
        raise OrderError("net")
    wanted = {name: given[name] for name in ("dhcp", *names)}
    return Order(
        "network",
        lambda: miner.set_network(wanted),
        {"network": dict(miner.network)},
        {"network": wanted},
        _HARDWARE_S,
        later=True,
    )


def password(miner: IceriverDevice, word: str) -> Order:
    """Set the password that only the web page asks for."""
    return Order("password", lambda: miner.set_password(word), {}, {}, _HARDWARE_S)


def reboot(miner: IceriverDevice) -> Order:
    """Restart the control board."""
    return Order("reboot", miner.power_cycle, {"boot": miner.boot}, {}, _RESTART_S, later=True)


def factory_reset(miner: IceriverDevice) -> Order:
    """Back to factory settings: the maker's pools, the default password."""
    return Order(
        "factory_reset",
        lambda: miner.power_cycle(factory_reset=True),
        {"pools": copy.deepcopy(miner.pools), "mode": miner.mode},
        {},
        _RESTART_S,
        later=True,
    )


def install(miner: IceriverDevice, image: IceriverImage, *, keep_config: bool) -> Order:
    """Take an image that passed its check; the next boot is into it."""
    return Order(
        "firmware",
        lambda: miner.flash(image, keep_config=keep_config),
        {"version": miner.firmware_version},
        {"pending": image.build, "keepconfig": keep_config},
        _UNPACK_S,
    )
