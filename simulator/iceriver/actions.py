"""What `/user/<action>` does for each selector `post`: commands to the daemon, and its answers glued together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from simulator.http import WebRequest
from simulator.iceriver import logs, reads
from simulator.iceriver.bridge import Bridge, WebError, parse
from simulator.iceriver.catalogue import Variant
from simulator.iceriver.firmware import PLAIN_NAME, md5
from simulator.iceriver.forms import upload
from simulator.iceriver.render import compose

if TYPE_CHECKING:
    from simulator.iceriver.device import IceriverDevice

Given = dict[str, str]
_INCOMPLETE: Final = "参数不完整"
_NO_FILE: Final = "没有文件"
_DIFFERENT: Final = "两次密码不一致"
_FIELDS: Final = tuple(f"pool{n}{name}" for n in (1, 2, 3) for name in ("address", "miner", "pwd"))
_POOL: Final = '{"no":%d,"addr":"%%s","user":"%%s","pass":"%%s"}'
_SETPOOL: Final = (
    '{"id":"setpool","pools":[' + ",".join(_POOL % number for number in (1, 2, 3)) + "]}"
)
_SETHW: Final = '{"id":"sethw","fan":{"control":%s,"ratio":%s},"mode":"%s"}'
_SETNET: Final = (
    '{"id":"setnet","dhcp":%s,"ip":"%s","netmask":"%s","host":"%s","gateway":"%s","dns":"%s"}'
)


@dataclass(frozen=True, slots=True)
class Result:
    """A reply that is no error."""

    data: Any
    message: str = ""


Work = Callable[[Bridge, Given, WebRequest], Awaitable[Result]]


@dataclass(frozen=True, slots=True)
class Action:
    """`unknown` is the data of the reply to a selector that does not exist."""

    unknown: str
    works: dict[str, Work]


async def _panel(bridge: Bridge, given: Given, request: WebRequest) -> Result:
    del given, request
    miner = bridge.miner
    data = await bridge.read("info")
    data |= await bridge.read("getnet")
    data["locate"] = (await bridge.read("getlocate", heeds_code=False))["on"]
    power = await bridge.read("boardpow")
    points = power.pop("pows")
    valid = [point for point in points if point >= 0]
    data |= power
    data["pows"] = {"board1": points if miner.variant is Variant.A else valid}
    data["pows_x"] = [f"{5 * n} mins" for n in range(len(valid))]
    data |= {f"{name}state": each for name, each in (await bridge.read("state")).items()}
    data |= await bridge.read("fan")
    data["pools"] = _rows(miner, (await bridge.read("getpool"))["pools"])
    data["boards"] = _rows(miner, (await bridge.read("board"))["boards"])
    return Result(data | {"refTime": reads.device_time(miner)})


async def _light(bridge: Bridge, given: Given, request: WebRequest) -> Result:
    del request
    if given.get("locate") not in ("0", "1"):
        raise WebError(1, _INCOMPLETE)
    on = "true" if given["locate"] == "1" else "false"
    return await _order(bridge, compose('{"id":"setlocate","on":%s}', on))


async def _restart(bridge: Bridge, given: Given, request: WebRequest) -> Result:
    del given, request
    return await _order(bridge, compose('{"id":"restart"}'))


async def _reset(bridge: Bridge, given: Given, request: WebRequest) -> Result:
    del given, request
    return await _order(bridge, compose('{"id":"resetfactory"}'))


async def _hello(bridge: Bridge, given: Given, request: WebRequest) -> Result:
    del given, request
    await bridge.read("hello")
    return Result({})


async def _login(bridge: Bridge, given: Given, request: WebRequest) -> Result:
    del request
    user, word = given.get("user", ""), given.get("pwd", "")
    await bridge.ret(compose('{"id":"login","user":"%s","pass":"%s"}', user, word))
    return Result({"id": "login"}, "(null)")


async def _machine(bridge: Bridge, given: Given, request: WebRequest) -> Result:
    del given, request
    miner = bridge.miner
    pools = _rows(miner, (await bridge.read("getpool"))["pools"])
    hardware = await bridge.read("gethw")
    data = {"pools": pools, "ratio": hardware["getratio"], "mode": hardware["getmode"]}
    if miner.spec.shows_locate:
        data["locate"] = int((await bridge.read("getlocate", heeds_code=False))["on"])
    return Result(data)


async def _set_pools(bridge: Bridge, given: Given, request: WebRequest) -> Result:
    if not all(name in given for name in _FIELDS):
        raise WebError(1, _INCOMPLETE)
    done = await _order(bridge, compose(_SETPOOL, *(given[name] for name in _FIELDS)))
    if bridge.miner.variant is Variant.A:  # one form for everything: what is left out is lost
        return await _set_hardware(bridge, given, request)
    return done


async def _set_hardware(bridge: Bridge, given: Given, request: WebRequest) -> Result:
    del request
    miner, word = bridge.miner, given.get("fanmode", "")
    if word == "sleep" and "garbles_sleep" in miner.faults and miner.variant is Variant.A:
        word = "sleeps"
    control = "true" if given.get("fancontrol") == "on" else "false"
    return await _order(bridge, compose(_SETHW, control, given.get("fanratio", ""), word))


async def _network(bridge: Bridge, given: Given, request: WebRequest) -> Result:
    del given, request
    return Result(await bridge.read("getnet"))


async def _set_network(bridge: Bridge, given: Given, request: WebRequest) -> Result:
    del request
    names = ("ip", "netmask", "host", "gateway")
    if given.get("agreement") not in ("dhcp", "static") or not all(map(given.get, names)):
        raise WebError(1, _INCOMPLETE)
    values = [given[name] for name in names]
    is_dynamic = "true" if given["agreement"] == "dhcp" else "false"
    return await _order(bridge, compose(_SETNET, is_dynamic, *values, given.get("dns", "")))


async def _set_password(bridge: Bridge, given: Given, request: WebRequest) -> Result:
    del request
    if not all(map(given.get, ("nowpwd", "newpwd", "compwd"))):
        raise WebError(1, _INCOMPLETE)
    if given["newpwd"] != given["compwd"]:
        raise WebError(1, _DIFFERENT)
    form = '{"id":"changepass","pass":"%s","newpass":"%s"}'
    return await _order(bridge, compose(form, given["nowpwd"], given["newpwd"]))


async def _install(bridge: Bridge, given: Given, request: WebRequest) -> Result:
    found = upload(request.headers, request.body)
    if found is None:
        raise WebError(1, _NO_FILE)
    name, content = found
    bridge.miner.uploads[name] = content
    total = md5(content) if PLAIN_NAME.fullmatch(name) else ""
    keep = "true" if given.get("keepconfig") == "true" else "false"
    form = '{"id":"firmupdate","keepconfig":%s,"file":"%s","filemd5":"%s"}'
    return await _order(bridge, compose(form, keep, name, total))


def _log(*, is_history: bool) -> Work:
    async def work(bridge: Bridge, given: Given, request: WebRequest) -> Result:
        del given, request
        which = "true" if is_history else "false"
        parts = await bridge.call(compose('{"id":"log","history":%s}', which))
        for head in parts[::2]:
            parse(head)
        log = b"".join(parts[1::2])
        return Result({"text": logs.mangle(log)}, str(len(log)))

    return work


async def _order(bridge: Bridge, command: bytes) -> Result:
    await bridge.ret(command)
    return Result({}, "(null)" if bridge.miner.variant is Variant.A else "")


def _rows(miner: IceriverDevice, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [_as_floats(row) for row in rows] if miner.spec.number_text else rows


def _as_floats(row: dict[str, Any]) -> dict[str, Any]:
    found = dict(row)
    for name, value in row.items():
        if name == "connect":
            found[name] = 1.0 if value else -1.0
        elif type(value) is int:
            found[name] = float(value)
    return found


ACTIONS: Final[dict[str, Action]] = {
    "userpanel": Action(
        "userpanel", {"2": _reset, "3": _restart, "4": _panel, "5": _light, "7": _hello}
    ),
    "loginpost": Action("loginpost", {"6": _login}),
    "machineconfig": Action("machineConfig", {"1": _machine, "2": _set_pools, "3": _set_hardware}),
    "ipconfig": Action("ipConfig2", {"1": _network, "2": _set_network}),
    "systemconfig": Action("systemConfig", {"2": _set_password}),
    "firconfig": Action("firConfig", {"2": _install}),
    "logconfig": Action("logConfig", {"1": _log(is_history=False), "2": _log(is_history=True)}),
}
