"""The CGI scripts of the new generations (NEW-BM and NEW-GOD)."""

from __future__ import annotations

import ipaddress
import json
import re
from typing import TYPE_CHECKING, Any, Final

from simulator.antminer import firmware, logs, modern
from simulator.antminer.catalogue import Generation
from simulator.antminer.config import config_text, mode_of, write_new
from simulator.antminer.web import Script, page, script_output
from simulator.http import Request, Response

if TYPE_CHECKING:
    from simulator.antminer.device import Antminer

ARCHIVE_S: Final = 3.0
FLASH_CHECK_S: Final = 20.0
PASSWORD_S: Final = 1.0
NETWORK_S: Final = 1.0
_HOSTNAME: Final = re.compile(r"[A-Za-z]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9-]+)*")
_BLINK: Final = re.compile(rb'"blink"\s*:\s*"?(true|false)')
_BLINK_TEXT: Final = re.compile(rb'"blink"\s*:\s*"(true|false)"')


async def get_system_info(miner: Antminer, request: Request) -> Response:
    del request
    info = {
        "minertype": miner.shown_type(),
        "nettype": miner.network["nettype"],
        "netdevice": "eth0",
        "macaddr": miner.shown_mac(),
        "hostname": miner.network["hostname"],
        "ipaddress": miner.ip,
        "netmask": miner.network["netmask"],
        "gateway": miner.network["gateway"],
        "dnsservers": miner.network["dnsservers"],
        "system_mode": "GNU/Linux",
        "system_kernel_version": f"Linux 4.9.113 #1 SMP PREEMPT {miner.compile_time}",
        "system_filesystem_version": miner.version,
        "firmware_type": "Release",
    }
    if miner.spec.generation is Generation.NEW_GOD:
        info["Algorithm"] = miner.spec.algo or ""
    if miner.spec.shows_serial:
        info["serinum"] = miner.serial
    return _json(miner, info)


async def get_network_info(miner: Antminer, request: Request) -> Response:
    del request
    net = miner.network
    info = {
        "nettype": net["nettype"],
        "netdevice": "eth0",
        "macaddr": miner.shown_mac(),
        "ipaddress": miner.ip,
        "netmask": net["netmask"],
        "conf_nettype": net["nettype"],
        "conf_hostname": net["hostname"],
        "conf_ipaddress": net["ipaddress"],
        "conf_netmask": net["netmask"] if net["nettype"] == "Static" else "",
        "conf_gateway": net["gateway"] if net["nettype"] == "Static" else "",
        "conf_dnsservers": net["dnsservers"] if net["nettype"] == "Static" else "",
    }
    return _json(miner, info)


async def miner_type(miner: Antminer, request: Request) -> Response:
    del request
    if "no_miner_type" in miner.faults:
        return page(404, "404 - Not Found")
    info = {
        "miner_type": miner.spec.name,
        "subtype": miner.spec.subtype,
        "fw_version": miner.version,
    }
    if miner.spec.product_type:
        info["product_type"] = miner.spec.product_type
    return _json(miner, info)


async def get_miner_conf(miner: Antminer, request: Request) -> Response:
    del request
    return script_output(miner, shown_config(miner))


def shown_config(miner: Antminer) -> str:
    """The config file's text, as its faults and builds show it."""
    conf = dict(miner.conf)
    if "unknown_conf_key" in miner.faults:
        conf["bitmain-unheard-of"] = "1"
    if "lists_set_pools_only" in miner.faults:
        conf["pools"] = [pool for pool in conf["pools"] if pool["url"]]
    bad = miner.faults.get("bad_config")
    variant = bad.args.get("variant", "missing_pools") if bad else ""
    if miner.config_corrupt:
        variant = "broken"
    if variant == "missing_pools":
        return json.dumps({k: v for k, v in conf.items() if k != "pools"})
    text = config_text(conf, miner.spec)
    if "mode_key_plain" in miner.faults:
        text = text.replace('"bitmain-work-mode"', '"miner-mode"')
    if variant == "broken":
        return text[: len(text) // 2]
    if variant == "colon_comma":
        return re.sub(r'("bitmain-freq" : )"[^"]*"', r"\1", text)
    return "" if variant == "empty" else text


async def set_miner_conf(miner: Antminer, request: Request) -> Response:
    faults, spec = miner.faults, miner.spec
    if request.method != "POST":
        return _code(miner, "M001", "Illegal request!")
    if faults.take("busy") or (spec.late_config and miner.config_lock):
        miner.record("config", "rejected", reason="busy")
        return _code(miner, "M001", "request busy")
    if "bad_config" in faults or miner.config_corrupt:
        miner.record("config", "rejected", reason="load conf err")
        return _code(miner, "M003", "load conf err")
    locked = None
    if "locked_pools" in faults:
        locked = [dict(pool) for pool in miner.conf["pools"]]
    write = write_new(
        miner.conf,
        request.body,
        spec,
        mode_as_string="mode_as_string" in faults,
        few_pools_refused="few_pools_refused" in faults,
        locked_pools=locked,
    )
    strict = faults.get("mode_as_string")
    refused = strict is not None and strict.args.get("answer") == 400
    if refused and not _mode_is_text(request.body):
        miner.record("config", "rejected", reason="mode is no text")
        return page(400, "400 - Bad Request")
    if write.conf is None:
        miner.record("config", "rejected", reason=write.message)
        return _code(miner, write.code, write.message)
    actions = ["mode"] * write.asks_mode + ["pools"] * write.asks_pools or ["config"]
    for action in actions:
        miner.record(action, "received", before=_view(miner.conf, action))
    boot = miner.boot
    corrupts, miner.config_lock = miner.config_lock, True
    try:
        await miner.clock.sleep(spec.set_conf_s / 2)

        def effect() -> None:
            before = miner.conf
            assert write.conf is not None
            miner.conf = write.conf
            miner.config_corrupt = corrupts
            for action in actions:
                miner.record(
                    action,
                    "applied",
                    before=_view(before, action),
                    after=_view(miner.conf, action),
                )
            if not write.restarts:
                miner.reload()
            elif spec.restart_by_mailbox:
                miner.post(miner.order("restart", miner.restart_process))
            else:
                miner.after(0.5, miner.restart_process)

        done = {"stats": "success", "code": "M000", "msg": "OK!"}
        answer = (
            _json(miner, {"success": True}) if "set_conf_success" in faults else _json(miner, done)
        )
        response = miner.carry_out(actions, effect, answer)
        await miner.clock.sleep(spec.set_conf_s / 2)
        return response
    finally:
        # a client that left early leaves the lock file behind where there is one
        if miner.boot == boot:
            miner.config_lock = spec.late_config and request.client_gone()


async def blink(miner: Antminer, request: Request) -> Response:
    if "no_blink" in miner.faults:
        return page(404, "404 - Not Found")
    pattern = _BLINK_TEXT if "blink_as_string" in miner.faults else _BLINK
    found = pattern.search(request.body)
    if found is None:
        miner.record("light", "rejected", reason="no blink in the body")
        if "blink_as_string" in miner.faults and _BLINK.search(request.body):
            return page(400, "400 - Bad Request")
        return _json(miner, {"code": "B001"})
    on = found.group(1) == b"true"
    miner.record("light", "received", before={"on": miner.blinking}, after={"on": on})
    order = miner.order("light", lambda: miner.set_light(on), is_light=True)
    answer = _json(miner, {"code": "B000" if on else "B100"})
    return miner.carry_out(["light"], lambda: miner.post(order), answer)


async def get_blink_status(miner: Antminer, request: Request) -> Response:
    del request
    if "no_blink_status" in miner.faults:
        return page(404, "404 - Not Found")
    return _json(miner, {"blink": miner.blinking})


async def reboot(miner: Antminer, request: Request) -> Response:
    wants_post = miner.faults.get("reboot_post_only")
    if wants_post is not None and request.method != "POST":
        status = int(wants_post.args.get("answer", 405))
        miner.record("reboot", "rejected", reason=f"{status}")
        return page(status, f"{status} - refused")
    miner.record("reboot", "received", before={"boot": miner.boot})
    order = miner.order("reboot", miner.shut_down)
    return miner.carry_out(
        ["reboot"], lambda: miner.post(order), script_output(miner, "Status 200\n")
    )


async def reset_conf(miner: Antminer, request: Request) -> Response:
    del request
    miner.record("factory_reset", "received")

    def wipe_and_reboot() -> None:
        miner.after(3.0, lambda: miner.power_cycle(factory_reset=True))

    order = miner.order("factory_reset", wipe_and_reboot)
    answer = script_output(miner, "Status 200\n")
    return miner.carry_out(["factory_reset"], lambda: miner.post(order), answer)


async def read_summary(miner: Antminer, request: Request) -> Response:
    """summary.cgi, stats.cgi, pools.cgi, chart.cgi, warning.cgi: each asks the API itself."""
    name = request.path.rpartition("/")[2].removesuffix(".cgi")
    if not miner.process.is_up or "refuses_4028" in miner.faults:
        return script_output(miner, "Socket connect failed: Connection refused\n")
    return _json(miner, modern.reply(miner, "rate" if name == "chart" else name))


async def get_adjustment_params(miner: Antminer, request: Request) -> Response:
    del request
    return _json(miner, {"hashrate_percent_min": "65", "hashrate_percent_max": "100"})


async def pool_protect(miner: Antminer, request: Request) -> Response:
    del request
    locked = "locked_pools" in miner.faults
    return _json(miner, {"status": "success" if locked else "error", "msg": "pool.json"})


async def log(miner: Antminer, request: Request) -> Response:
    is_kernel = request.path.endswith("get_kernel_log.cgi")
    if is_kernel != ("logs_swapped" in miner.faults):
        return page(404, "404 - Not Found")
    await miner.clock.sleep(0.5)
    return script_output(miner, logs.log_text(miner))


async def history_log(miner: Antminer, request: Request) -> Response:
    del request
    return script_output(miner, logs.log_text(miner)[:4000])


async def dlog(miner: Antminer, request: Request) -> Response:
    del request
    return _json(miner, {"dlog": True, "log_list": logs.day_folders(miner)})


async def create_log_backup(miner: Antminer, request: Request) -> Response:
    try:
        folders = json.loads(request.body)
    except ValueError:
        folders = None
    if not isinstance(folders, list) or not folders:
        return _code(miner, "L002", "empty")
    known = logs.day_folders(miner)
    if any(folder not in known for folder in folders):
        return _code(miner, "L001", "dir not found")
    name = logs.archive_name(folders)
    miner.record("log_archive", "received", after={"file": name})

    def pack() -> None:
        if not miner.spec.archive:  # these images have no such branch in their daemon
            return
        miner.archives.clear()
        miner.after(ARCHIVE_S, lambda: _store(miner, name, folders))

    order = miner.order("log_archive", pack)
    answer = _json(miner, {"stats": "success", "code": "L000", "msg": name})
    return miner.carry_out(["log_archive"], lambda: miner.post(order), answer)


async def get_droa(miner: Antminer, request: Request) -> Response:
    del request
    return script_output(miner, "0\n")


async def passwd(miner: Antminer, request: Request) -> Response:
    try:
        asked = json.loads(request.body)
        current, new, again = (str(asked[k]) for k in ("curPwd", "newPwd", "confirmPwd"))
    except (ValueError, KeyError, TypeError):
        current, new, again = "", "", ""
    code = "P000"
    if current != miner.password:
        code = "P001"
    elif not new:
        code = "P002"
    elif not again:
        code = "P003"
    elif new != again:
        code = "P004"
    if code != "P000":
        miner.record("password", "rejected", reason=code)
        return _code(miner, code, "")
    miner.record("password", "received")

    def change() -> None:
        miner.password = new
        miner.record("password", "applied")

    answer = _json(miner, {"stats": "success", "code": "P000", "msg": "OK!"})
    return miner.carry_out(["password"], lambda: miner.after(PASSWORD_S, change), answer)


async def set_network_conf(miner: Antminer, request: Request) -> Response:
    try:
        asked = json.loads(request.body)
    except ValueError:
        asked = None
    code = _network_error(asked if isinstance(asked, dict) else {})
    if code != "N000":
        miner.record("network", "rejected", reason=code)
        return _code(miner, code, "")
    after = {
        "nettype": "DHCP" if int(asked["ipPro"]) == 1 else "Static",
        "hostname": asked["ipHost"],
        "ipaddress": asked.get("ipAddress", ""),
        "netmask": asked.get("ipSub", ""),
        "gateway": asked.get("ipGateway", ""),
        "dnsservers": asked.get("ipDns", ""),
    }
    miner.record("network", "received", before=dict(miner.network), after=after)
    answer = _json(miner, {"stats": "success", "code": "N000", "msg": "OK!"})
    return miner.carry_out(
        ["network"], lambda: miner.after(NETWORK_S, lambda: apply_network(miner, after)), answer
    )


def apply_network(miner: Antminer, after: dict[str, str]) -> None:
    """Restart the interface with these settings; a static loopback address moves the miner."""
    before = dict(miner.network)
    miner.network |= after
    miner.record("network", "applied", before=before, after=after)
    if after["nettype"] == "Static" and after["ipaddress"] != miner.ip:
        miner.move_to(after["ipaddress"])


async def upgrade(miner: Antminer, request: Request) -> Response:
    clears = request.path.endswith("upgrade_clear.cgi")
    await miner.clock.sleep(FLASH_CHECK_S)
    miner.record("firmware", "received", before={"version": miner.version}, size=len(request.body))
    try:
        part_name, data = cut_upload(request.body)
        if "upgrade_needs_name_file" in miner.faults and part_name != "file":
            raise firmware.ImageError(1, "no part named file")
        image = firmware.check_image(
            data,
            miner_type=miner.spec.name,
            subtype=miner.spec.subtype,
            current=miner.version,
        )
    except firmware.ImageError as error:
        miner.record("firmware", "rejected", reason=str(error))
        if clears:
            return _code(miner, f"U00{error.code}", "Fail!")
        return _code(miner, "U001", str(error.code))
    plain = "upgrade_plain_reply" in miner.faults

    def install() -> None:
        miner.flash(image.version)
        if plain:
            return
        if clears:
            wipe = miner.order("firmware", lambda: miner.power_cycle(factory_reset=True))
            miner.post(wipe)
        else:
            miner.post(miner.order("firmware", miner.shut_down))

    done = {"stats": "success", "code": "U000", "msg": "OK!"}
    answer = script_output(miner, "System Upgrade Successed\n") if plain else _json(miner, done)
    return miner.carry_out(["firmware"], install, answer)


def cut_upload(body: bytes) -> tuple[str, bytes]:
    """What the script takes for the image: by counting, not by parsing. Raises ImageError."""
    boundary, _, rest = body.partition(b"\r\n")
    headers, found, rest = rest.partition(b"\r\n\r\n")
    if not found or not boundary.startswith(b"--"):
        raise firmware.ImageError(1, "no multipart body")
    name = re.search(rb'name="([^"]*)"', headers)
    return (name.group(1).decode("latin-1") if name else "", rest[: -(len(boundary) + 6)])


def _mode_is_text(body: bytes) -> bool:
    try:
        asked = json.loads(body)
    except ValueError:
        return False
    return isinstance(asked, dict) and isinstance(asked.get("miner-mode"), str)


def _view(conf: dict[str, Any], action: str) -> dict[str, Any]:
    if action == "mode":
        return {"mode": str(mode_of(conf))}
    if action == "pools":
        return {"pools": [dict(pool) for pool in conf["pools"]]}
    shown = ("bitmain-fan-ctrl", "bitmain-fan-pwm", "bitmain-freq-level", "bitmain-freq")
    return {key: conf[key] for key in shown if isinstance(conf.get(key), str | bool)}


def _network_error(asked: dict[str, Any]) -> str:
    if not _HOSTNAME.fullmatch(str(asked.get("ipHost", ""))):
        return "N001"
    if str(asked.get("ipPro")) == "1":
        return "N000"
    for key, code in (
        ("ipAddress", "N002"),
        ("ipSub", "N003"),
        ("ipGateway", "N004"),
        ("ipDns", "N005"),
    ):
        try:
            ipaddress.IPv4Address(str(asked.get(key)))
        except ValueError:
            return code
    return "N000" if ipaddress.IPv4Address(asked["ipAddress"]).is_loopback else "N002"


def _store(miner: Antminer, name: str, folders: list[str]) -> None:
    miner.archives[name] = logs.build_archive(miner, folders)
    miner.record("log_archive", "applied", after={"file": name})


def _json(miner: Antminer, document: Any) -> Response:
    return script_output(miner, json.dumps(document))


def _code(miner: Antminer, code: str, message: str) -> Response:
    return _json(miner, {"stats": "error", "code": code, "msg": message})


SCRIPTS: Final[dict[str, Script]] = {
    f"/cgi-bin/{name}.cgi": script
    for names, script in (
        ("get_system_info", get_system_info),
        ("get_network_info", get_network_info),
        ("miner_type", miner_type),
        ("get_miner_conf", get_miner_conf),
        ("set_miner_conf", set_miner_conf),
        ("blink", blink),
        ("get_blink_status", get_blink_status),
        ("reboot", reboot),
        ("reset_conf", reset_conf),
        ("summary stats pools chart warning", read_summary),
        ("get_adjustment_params", get_adjustment_params),
        ("pool_protect", pool_protect),
        ("log get_kernel_log", log),
        ("hlog", history_log),
        ("dlog", dlog),
        ("create_log_backup", create_log_backup),
        ("get_droa", get_droa),
        ("passwd", passwd),
        ("set_network_conf", set_network_conf),
        ("upgrade upgrade_clear", upgrade),
    )
    for name in names.split()
}
