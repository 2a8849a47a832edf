"""The writes of 4433: from the proved request to an order."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from simulator.orders import Order, OrderError
from simulator.pools import SLOTS
from simulator.whatsminer import orders
from simulator.whatsminer.catalogue import NO_LIMIT_W
from simulator.whatsminer.crypto import SealError, unseal

if TYPE_CHECKING:
    from simulator.whatsminer.device import WhatsminerDevice

UPLOAD: Final = "set.system.update_firmware"
SEALED: Final = frozenset({"set.miner.pools", "set.user.change_passwd"})


def parse(miner: WhatsminerDevice, command: str, param: Any, digest: bytes) -> Order | None:
    """The order in a write, `None` for a command nobody knows. Raises OrderError."""
    build = _WRITES.get(command)
    if build is None:
        return None
    if command in SEALED:
        try:
            param = json.loads(unseal(param, digest)) if isinstance(param, str) else None
        except (SealError, ValueError) as error:
            raise OrderError("param cannot be unsealed") from error
    return build(miner, param)


def knows(command: str) -> bool:
    return command in _WRITES or command == UPLOAD


def action_of(command: str) -> str:
    """What the ledger calls a write that was refused before it was understood."""
    return _ACTIONS.get(command, command)


def _led(miner: WhatsminerDevice, param: Any) -> Order:
    if param == "auto":
        return orders.light(miner, {})
    if not isinstance(param, list) or not param or not all(isinstance(x, dict) for x in param):
        raise OrderError("led")
    return orders.light(miner, dict(orders.led(each) for each in param))


def _service(miner: WhatsminerDevice, param: Any) -> Order:
    match param:
        case "start" | "stop":
            return orders.power(miner, on=param == "start")
        case "restart":
            return orders.restart(miner)
        case "enable" | "disable":
            return orders.setting(miner, "autostart", "autostart", param == "enable")
    raise OrderError("service")


def _pools(miner: WhatsminerDevice, param: Any) -> Order:
    keys = ("pool", "worker", "passwd")
    if not isinstance(param, list) or not 1 <= len(param) <= SLOTS:
        raise OrderError("pools")
    rows = []
    for each in param:
        if not isinstance(each, dict) or not all(isinstance(each.get(key), str) for key in keys):
            raise OrderError("pools")
        rows.append(dict(zip(("url", "user", "pass"), (each[key] for key in keys), strict=True)))
    return orders.pools(miner, [row for row in rows if row["url"]])


def _limit(miner: WhatsminerDevice, param: Any) -> Order:
    if type(param) is not int or not 0 <= param <= NO_LIMIT_W:
        raise OrderError("power limit")
    return orders.power_limit(miner, param)


def _percent(miner: WhatsminerDevice, param: Any) -> Order:
    # the number is read as text, whatever the manual says
    told = param if isinstance(param, dict) else {}
    given = told.get("percent")
    if not isinstance(given, str) or not given.isdigit() or int(given) > 200:
        raise OrderError("percent")
    if told.get("mode") not in ("fast", "normal"):
        raise OrderError("mode")
    # only with a fast boot it takes one while it runs
    return orders.power_percent(miner, int(given), restarts=not miner.settings["fast_boot"])


def _integer(action: str, low: int, high: int, *, restarts: bool) -> Any:
    def build(miner: WhatsminerDevice, param: Any) -> Order:
        if type(param) is not int or not low <= param <= high:
            raise OrderError(action)
        return orders.setting(miner, action, action, param, restarts=restarts)

    return build


def _enabled(setting: str) -> Any:
    def build(miner: WhatsminerDevice, param: Any) -> Order:
        if param not in ("enable", "disable"):
            raise OrderError(setting)
        return orders.setting(miner, setting, setting, param == "enable")

    return build


def _network(miner: WhatsminerDevice, param: Any) -> Order:
    if param == "dhcp":
        return orders.network(miner, {"proto": "dhcp"})
    keys = ("ip", "netmask", "gateway", "dns")
    if not isinstance(param, dict) or not all(isinstance(param.get(key), str) for key in keys):
        raise OrderError("network")
    return orders.network(miner, {key: param[key] for key in keys} | {"proto": "static"})


def _hostname(miner: WhatsminerDevice, param: Any) -> Order:
    name = param.get("hostname") if isinstance(param, dict) else None
    if not isinstance(name, str):
        raise OrderError("hostname")
    return orders.setting(miner, "hostname", "hostname", name)


def _timezone(miner: WhatsminerDevice, param: Any) -> Order:
    if not isinstance(param, dict):
        raise OrderError("timezone")
    zone = {key: str(param.get(key, "")) for key in ("timezone", "zonename")}
    return orders.setting(miner, "zone", "zone", zone)


def _custom(miner: WhatsminerDevice, param: Any) -> Order:
    if not isinstance(param, dict) or not isinstance(param.get("key"), str):
        raise OrderError("custom data")
    data = {**miner.settings["custom"], param["key"]: str(param.get("value", ""))}
    return orders.setting(miner, "custom", "custom", data)


def _change_passwd(miner: WhatsminerDevice, param: Any) -> Order:
    given = param if isinstance(param, dict) else {}
    account, new = given.get("account"), given.get("new")
    if not isinstance(account, str) or not isinstance(new, str) or not new:
        raise OrderError("password")
    if not miner.accounts.knows(account, given.get("old")):
        raise OrderError("old password")
    name, word = account, new

    def act() -> None:
        miner.accounts.set_account(name, word)
        miner.record("password", "applied")

    return Order("password", act, {}, {}, 0.5)


def _permission(miner: WhatsminerDevice, param: Any) -> Order:
    given = param if isinstance(param, dict) else {}
    user, text = given.get("user"), given.get("permission")
    if user not in miner.accounts.permissions or not isinstance(text, str):
        raise OrderError("permission")
    name, commands = str(user), {part for part in text.split(",") if part}

    def act() -> None:
        miner.accounts.permissions[name] = commands
        miner.record("permission", "applied")

    return Order("permission", act, {}, {}, 0.5)


_WRITES: Final[dict[str, Callable[[WhatsminerDevice, Any], Order]]] = {
    "set.system.led": _led,
    "set.miner.power_mode": orders.mode,
    "set.miner.service": _service,
    "set.miner.pools": _pools,
    "set.miner.power_limit": _limit,
    "set.miner.power_percent": _percent,
    "set.miner.target_freq": _integer("target_freq", -100, 100, restarts=True),
    "set.miner.upfreq_speed": _integer("upfreq_speed", 0, 10, restarts=False),
    "set.miner.fastboot": _enabled("fast_boot"),
    "set.system.reboot": lambda miner, _: orders.reboot(miner),
    "set.system.factory_reset": lambda miner, _: orders.factory_reset(miner),
    "set.system.webpools": _enabled("web_pools"),
    "set.system.net_config": _network,
    "set.system.hostname": _hostname,
    "set.system.timezone": _timezone,
    "set.device.custom_data": _custom,
    "set.user.change_passwd": _change_passwd,
    "set.user.permission": _permission,
}
_ACTIONS: Final = {
    "set.system.led": "light",
    "set.miner.power_mode": "mode",
    "set.miner.power_limit": "power_limit",
    "set.miner.power_percent": "power_percent",
    "set.miner.pools": "pools",
    "set.system.reboot": "reboot",
    "set.system.update_firmware": "firmware",
    "set.user.change_passwd": "password",
}
