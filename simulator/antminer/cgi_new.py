"""The CGI scripts of the new generations (NEW-BM and NEW-GOD)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from simulator.antminer import modern
from simulator.antminer.catalogue import Generation
from simulator.antminer.cgi_config import get_miner_conf, set_miner_conf
from simulator.antminer.cgi_service import (
    create_log_backup,
    dlog,
    history_log,
    log,
    network_info,
    passwd,
    set_network_conf,
    upgrade,
)
from simulator.antminer.output import Script, json_output, page, script_output
from simulator.http import WebRequest, WebResponse

if TYPE_CHECKING:
    from simulator.antminer.device import AntminerDevice

_BLINK: Final = re.compile(rb'"blink"\s*:\s*"?(true|false)')
_BLINK_TEXT: Final = re.compile(rb'"blink"\s*:\s*"(true|false)"')


async def get_system_info(miner: AntminerDevice, request: WebRequest) -> WebResponse:
    del request
    info = {
        "minertype": miner.web_type(),
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
        key = "serial_no" if "serial_no" in miner.faults else "serinum"
        info[key] = "Unknown" if "serial_unknown" in miner.faults else miner.serial
    return json_output(miner, info)


async def get_network_info(miner: AntminerDevice, request: WebRequest) -> WebResponse:
    del request
    info = network_info(miner)
    if miner.network["nettype"] != "Static":
        info |= dict.fromkeys(("conf_netmask", "conf_gateway", "conf_dnsservers"), "")
    return json_output(miner, info)


async def miner_type(miner: AntminerDevice, request: WebRequest) -> WebResponse:
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
    return json_output(miner, info)


async def blink(miner: AntminerDevice, request: WebRequest) -> WebResponse:
    if "no_blink" in miner.faults:
        return page(404, "404 - Not Found")
    pattern = _BLINK_TEXT if "blink_as_string" in miner.faults else _BLINK
    found = pattern.search(request.body)
    if found is None:
        miner.record("light", "rejected", reason="no blink in the body")
        if "blink_as_string" in miner.faults and _BLINK.search(request.body):
            return page(400, "400 - Bad Request")
        return json_output(miner, {"code": "B001"})
    on = found.group(1) == b"true"
    miner.record("light", "received", before={"on": miner.blinking}, after={"on": on})

    def order() -> None:
        miner.mailbox.put("light", lambda: miner.set_light(on), is_light=True)

    answer = json_output(miner, {"code": "B000" if on else "B100"})
    return miner.carry_out(["light"], order, answer)


async def get_blink_status(miner: AntminerDevice, request: WebRequest) -> WebResponse:
    del request
    if "no_blink_status" in miner.faults:
        return page(404, "404 - Not Found")
    return json_output(miner, {"blink": miner.blinking})


async def reboot(miner: AntminerDevice, request: WebRequest) -> WebResponse:
    wants_post = miner.faults.get("reboot_post_only")
    if wants_post is not None and request.method != "POST":
        status = int(wants_post.args.get("answer", 405))
        miner.record("reboot", "rejected", reason=f"{status}")
        return page(status, f"{status} - refused")
    miner.record("reboot", "received", before={"boot": miner.boot})
    return miner.carry_out(
        ["reboot"],
        lambda: miner.mailbox.put("reboot", miner.shut_down),
        script_output(miner, "Status 200\n"),
    )


async def reset_conf(miner: AntminerDevice, request: WebRequest) -> WebResponse:
    del request
    miner.record("factory_reset", "received")

    def wipe_and_reboot() -> None:
        miner.after(3.0, lambda: miner.power_cycle(factory_reset=True))

    answer = script_output(miner, "Status 200\n")
    return miner.carry_out(
        ["factory_reset"], lambda: miner.mailbox.put("factory_reset", wipe_and_reboot), answer
    )


async def read_summary(miner: AntminerDevice, request: WebRequest) -> WebResponse:
    """summary.cgi, stats.cgi, pools.cgi, chart.cgi, warning.cgi: each asks the API itself."""
    name = request.path.rpartition("/")[2].removesuffix(".cgi")
    if not miner.process.is_up or "refuses_4028" in miner.faults:
        return script_output(miner, "Socket connect failed: Connection refused\n")
    return json_output(miner, modern.reply(miner, "rate" if name == "chart" else name))


async def get_adjustment_params(miner: AntminerDevice, request: WebRequest) -> WebResponse:
    del request
    return json_output(miner, {"hashrate_percent_min": "65", "hashrate_percent_max": "100"})


async def pool_protect(miner: AntminerDevice, request: WebRequest) -> WebResponse:
    del request
    locked = miner.faults.get("locked_pools")
    status = "error"
    if locked is not None:  # a file whose signature is bad locks as well, but not by this word
        status = "warning" if locked.args.get("variant") == "spoilt" else "success"
    return json_output(miner, {"status": status, "msg": "pool.json"})


async def get_droa(miner: AntminerDevice, request: WebRequest) -> WebResponse:
    del request
    return script_output(miner, "0\n")


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
