"""The writes of 4028: from the unsealed command to an order."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from simulator.orders import Order, OrderError
from simulator.whatsminer import orders
from simulator.whatsminer.catalogue import NO_LIMIT_W

if TYPE_CHECKING:
    from simulator.whatsminer.device import WhatsminerDevice

Command = dict[str, Any]
UPLOAD: Final = "update_firmware"
LOGS: Final = "download_logs"
_POOL_KEYS: Final = tuple((f"pool{n}", f"worker{n}", f"passwd{n}") for n in (1, 2, 3))
_LETTERS: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")


def parse(miner: WhatsminerDevice, name: str, command: Command) -> Order | None:
    """The order in a write command, `None` for a command nobody knows. Raises OrderError."""
    build = _WRITES.get(name)
    return None if build is None else build(miner, command)


def action_of(name: str) -> str:
    """What the ledger calls a write that was refused before it was understood."""
    return _ACTIONS.get(name, name)


def knows(name: str) -> bool:
    return name in _WRITES or name in (UPLOAD, LOGS)


def _set_led(miner: WhatsminerDevice, command: Command) -> Order:
    if command.get("param") == "auto":
        return orders.light(miner, {})
    colour, times = orders.led(command)
    return orders.light(miner, {colour: times}, adds=True)


def _update_pools(miner: WhatsminerDevice, command: Command) -> Order:
    rows = []
    for keys in _POOL_KEYS:
        values = [command.get(key) for key in keys]
        if not all(isinstance(value, str) for value in values):
            raise OrderError("API parse pools param error")
        rows.append(dict(zip(("url", "user", "pass"), map(str, values), strict=True)))
    return orders.pools(miner, [row for row in rows if row["url"]])


def _power_off(miner: WhatsminerDevice, command: Command) -> Order:
    if command.get("respbefore") not in ("true", "false"):
        raise OrderError("API parse respbefore param error")
    return orders.power(miner, on=False)


def _update_pwd(miner: WhatsminerDevice, command: Command) -> Order:
    old, new = command.get("old"), command.get("new")
    if old != miner.password or not isinstance(new, str) or not 0 < len(new) <= 8:
        raise OrderError("API parse pwd param error")
    if not _LETTERS.issuperset(new):
        raise OrderError("API parse pwd param error")
    word = new

    def act() -> None:
        miner.accounts.set_password(word)
        miner.record("password", "applied")

    return Order("password", act, {}, {}, 0.5)


def _read(command: Command, key: str, low: int, high: int) -> int:
    try:
        value = int(command[key])
    except (KeyError, TypeError, ValueError) as error:
        raise OrderError(f"API parse {key} param error") from error
    if not low <= value <= high:
        raise OrderError(f"API parse {key} param error")
    return value


def _power_limit(miner: WhatsminerDevice, command: Command) -> Order:
    return orders.power_limit(miner, _read(command, "power_limit", 0, NO_LIMIT_W))


def _percent(most: int) -> Callable[[WhatsminerDevice, Command], Order]:
    def build(miner: WhatsminerDevice, command: Command) -> Order:
        return orders.power_percent(miner, _read(command, "percent", 0, most), restarts=False)

    return build


def _number(
    action: str, setting: str, key: str, low: int, high: int, *, restarts: bool
) -> Callable[[WhatsminerDevice, Command], Order]:
    def build(miner: WhatsminerDevice, command: Command) -> Order:
        value = _read(command, key, low, high)
        return orders.setting(miner, action, setting, value, restarts=restarts)

    return build


def _switch(setting: str, value: bool) -> Callable[[WhatsminerDevice, Command], Order]:
    return lambda miner, _: orders.setting(miner, setting, setting, value)


def _net_config(miner: WhatsminerDevice, command: Command) -> Order:
    if command.get("param") == "dhcp":
        return orders.network(miner, {"proto": "dhcp"})
    keys = ("ip", "mask", "gate", "dns", "host")
    if not all(isinstance(command.get(key), str) for key in keys):
        raise OrderError("API parse net param error")
    return orders.network(miner, {key: command[key] for key in keys} | {"proto": "static"})


def _set_hostname(miner: WhatsminerDevice, command: Command) -> Order:
    if not isinstance(command.get("hostname"), str):
        raise OrderError("API parse hostname param error")
    return orders.setting(miner, "hostname", "hostname", command["hostname"])


def _set_zone(miner: WhatsminerDevice, command: Command) -> Order:
    zone = {key: str(command.get(key, "")) for key in ("timezone", "zonename")}
    return orders.setting(miner, "zone", "zone", zone)


_WRITES: Final[dict[str, Callable[[WhatsminerDevice, Command], Order]]] = {
    "set_led": _set_led,
    "set_low_power": lambda miner, _: orders.mode(miner, "low"),
    "set_normal_power": lambda miner, _: orders.mode(miner, "normal"),
    "set_high_power": lambda miner, _: orders.mode(miner, "high"),
    "adjust_power_limit": _power_limit,
    "set_power_pct": _percent(100),
    "set_power_pct_v2": _percent(200),
    "restore_power_pct": lambda miner, _: orders.power_percent(miner, 100, restarts=False),
    "set_target_freq": _number("target_freq", "target_freq", "percent", -100, 100, restarts=True),
    "adjust_upfreq_speed": _number(
        "upfreq_speed", "upfreq_speed", "upfreq_speed", 0, 9, restarts=False
    ),
    "power_off": _power_off,
    "power_on": lambda miner, _: orders.power(miner, on=True),
    "restart_btminer": lambda miner, _: orders.restart(miner),
    "reboot": lambda miner, _: orders.reboot(miner),
    "update_pools": _update_pools,
    "update_pwd": _update_pwd,
    "net_config": _net_config,
    "set_hostname": _set_hostname,
    "set_zone": _set_zone,
    "enable_btminer_fast_boot": _switch("fast_boot", True),
    "disable_btminer_fast_boot": _switch("fast_boot", False),
    "enable_web_pools": _switch("web_pools", True),
    "disable_web_pools": _switch("web_pools", False),
    "enable_btminer_init": _switch("autostart", True),
    "disable_btminer_init": _switch("autostart", False),
    "factory_reset": lambda miner, _: orders.factory_reset(miner),
}
_ACTIONS: Final = {
    "set_led": "light",
    "set_low_power": "mode",
    "set_normal_power": "mode",
    "set_high_power": "mode",
    "adjust_power_limit": "power_limit",
    "set_power_pct": "power_percent",
    "set_power_pct_v2": "power_percent",
    "restore_power_pct": "power_percent",
    "update_pools": "pools",
    "update_firmware": "firmware",
    "download_logs": "log",
    "restart_btminer": "restart",
    "update_pwd": "password",
    "net_config": "network",
}
