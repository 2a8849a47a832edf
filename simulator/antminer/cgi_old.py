"""The CGI scripts of the old generation."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

from simulator.antminer import firmware, legacy
from simulator.antminer.cgi_config import apply_write, shown_config
from simulator.antminer.cgi_service import apply_network, cut_upload, log, network_info
from simulator.antminer.config import Conf, Write, mode_of, write_old
from simulator.antminer.output import Script, page, script_output
from simulator.antminer.pools import pool_states
from simulator.http import WebRequest, WebResponse

if TYPE_CHECKING:
    from simulator.antminer.device import AntminerDevice

INFO_S: Final = 1.5
REBOOT_S: Final = 2.0
BLINK_S: Final = 300.0
BLINK_STEP_S: Final = 0.6
NETWORK_S: Final = 10.0
FLASH_S: Final = 30.0
_PAGE: Final = "<html><body><pre>{}</pre></body></html>\n"


async def get_system_info(miner: AntminerDevice, request: WebRequest) -> WebResponse:
    del request
    await miner.clock.sleep(INFO_S)  # it runs the API's client twice
    net = miner.network
    up_s = miner.clock.now() - miner.booted_at
    info = {
        "minertype": miner.spec.name,
        "nettype": net["nettype"],
        "netdevice": "eth0",
        "macaddr": miner.shown_mac(),
        "hostname": net["hostname"],
        "ipaddress": miner.ip,
        "netmask": net["netmask"],
        "gateway": net["gateway"],
        "dnsservers": net["dnsservers"],
        "curtime": f"{int(up_s) // 3600 % 24:02d}:{int(up_s) // 60 % 60:02d}:{int(up_s) % 60:02d}",
        "uptime": uptime_text(up_s),
        "loadaverage": "0.62, 0.18, 0.08",
        "mem_total": "233744",
        "mem_used": "113632",
        "mem_free": "120112",
        "mem_buffers": "764",
        "mem_cached": "0",
        "system_mode": "GNU/Linux",
        "ant_hwv": miner.spec.miner,
        "system_kernel_version": "Linux 3.14.0-xilinx #48 SMP PREEMPT",
        "system_filesystem_version": miner.version,
        "cgminer_version"
        if miner.spec.software_key == "CGMiner"
        else "bmminer_version": miner.spec.software,
    }
    return script_output(miner, "{\n" + ",\n".join(f'"{k}":"{v}"' for k, v in info.items()) + "\n}")


def uptime_text(up_s: float) -> str:
    """The third word of `uptime`: minutes, hours:minutes, or days."""
    minutes = int(up_s // 60)
    if minutes < 60:
        return str(minutes)
    if minutes < 24 * 60:
        return f"{minutes // 60}:{minutes % 60:02d}"
    return str(minutes // (24 * 60))


async def get_network_info(miner: AntminerDevice, request: WebRequest) -> WebResponse:
    del request
    return script_output(miner, json.dumps(network_info(miner)))


async def get_miner_conf(miner: AntminerDevice, request: WebRequest) -> WebResponse:
    del request
    return script_output(miner, shown_config(miner))


async def set_miner_conf(miner: AntminerDevice, request: WebRequest) -> WebResponse:
    if request.method != "POST":
        return script_output(miner, "")
    write = write_old(miner.conf, request.body, miner.spec)
    actions = ["mode"] * write.asks_mode + ["pools"] * write.asks_pools or ["config"]
    for action in actions:
        miner.record(action, "received", before=_view(miner.conf, action))
    corrupts, miner.config_lock = miner.config_lock, True
    try:
        return await _write_config(miner, write, actions, corrupts=corrupts)
    finally:
        miner.config_lock = False


async def _write_config(
    miner: AntminerDevice, write: Write, actions: list[str], *, corrupts: bool
) -> WebResponse:
    await miner.clock.sleep(miner.spec.set_conf_s / 3)

    def effect() -> None:
        apply_write(miner, write, actions, _view, corrupts=corrupts)
        miner.restart_process()

    response = miner.carry_out(actions, effect, script_output(miner, "ok"))
    await miner.clock.sleep(miner.spec.set_conf_s * 2 / 3)
    return response


async def get_miner_status(miner: AntminerDevice, request: WebRequest) -> WebResponse:
    del request
    await miner.clock.sleep(1.0)
    if not miner.process.is_up:
        return script_output(miner, "Socket connect failed: Connection refused\n")
    summary, process = legacy.reply(miner, "summary"), miner.process
    assert summary is not None
    row = summary["SUMMARY"][0]
    document = {
        "summary": {
            "elapsed": str(row["Elapsed"]),
            "ghs5s": f"{miner.units.legacy(process.rate_5s()):.2f}",
            "ghsav": f"{miner.units.legacy(process.rate_avg()):.2f}",
            "foundblocks": "0",
            "getworks": str(row["Getwork"]),
            "accepted": str(row["Accepted"]),
            "rejected": str(row["Rejected"]),
            "hw": str(row["Hardware Errors"]),
        },
        "pools": [
            {
                "index": str(index),
                "url": pool.url,
                "user": pool.user,
                "status": pool.status,
                "priority": str(index),
                "lstime": pool.last_share,
            }
            for index, pool in enumerate(pool_states(miner))
        ],
        "devs": [
            {
                "index": str(miner.spec.chains[index]),
                "chain_acn": str(miner.spec.chips),
                "freq": str(miner.spec.frequency),
                "temp": str(max(miner.board_temps(index))),
                "temp2": str(max(miner.chip_temps(index))),
                "rate": f"{miner.units.legacy(process.board_rate(index)):.2f}",
            }
            for index in miner.boards()
        ],
    }
    return script_output(miner, json.dumps(document))


async def api_reply(miner: AntminerDevice, request: WebRequest) -> WebResponse:
    """miner_summary.cgi, miner_pools.cgi, miner_stats.cgi: the API's reply, passed on."""
    if not miner.process.is_up:
        return script_output(miner, "Socket connect failed: Connection refused\n")
    name = request.path.rpartition("miner_")[2].removesuffix(".cgi")
    reply = legacy.reply(miner, name)
    assert reply is not None
    return script_output(miner, legacy.encode(miner, reply).decode())


async def get_status_api(miner: AntminerDevice, request: WebRequest) -> WebResponse:
    del request
    if not miner.process.is_up:
        return script_output(miner, "Socket connect failed: Connection refused\n")
    reply = legacy.reply(miner, "summary")
    assert reply is not None
    return script_output(miner, legacy.as_text(reply).decode())


async def blink(miner: AntminerDevice, request: WebRequest) -> WebResponse:
    if "no_blink" in miner.faults:
        return page(404, "404 - Not Found")
    action = parse_qs(request.body.decode("latin-1")).get("action", [""])[0]
    if action == "onPageLoaded":
        return _blink_state(miner)
    if action not in ("startBlink", "stopBlink"):
        miner.record("light", "rejected", reason="unknown action")
        return script_output(miner, "")
    on = action == "startBlink"
    miner.record("light", "received", before={"on": miner.blinking}, after={"on": on})
    response = miner.carry_out(["light"], lambda: miner.set_light(on), _blink_state(miner, on=on))
    if not on or not miner.blinking:
        return response
    # the script itself is the blink loop: it answers only when the loop has ended
    end = miner.clock.now() + BLINK_S
    while miner.blinking and miner.clock.now() < end:
        await miner.clock.sleep(BLINK_STEP_S)
    if miner.blinking:
        miner.set_light(False, action="light_timeout")
    return response if response.hold or response.drop else _blink_state(miner)


async def reboot(miner: AntminerDevice, request: WebRequest) -> WebResponse:
    del request
    miner.record("reboot", "received", before={"boot": miner.boot})
    return miner.carry_out(
        ["reboot"], lambda: miner.after(REBOOT_S, miner.power_cycle), WebResponse(drop=True)
    )


async def reset_conf(miner: AntminerDevice, request: WebRequest) -> WebResponse:
    del request
    miner.record("factory_reset", "received")
    return miner.carry_out(
        ["factory_reset"],
        lambda: miner.after(REBOOT_S, lambda: miner.power_cycle(factory_reset=True)),
        WebResponse(drop=True),
    )


async def passwd(miner: AntminerDevice, request: WebRequest) -> WebResponse:
    asked = parse_qs(request.query)
    current, new, again = (
        asked.get(key, [""])[0] for key in ("current_pw", "new_pw", "new_pw_ctrl")
    )
    if current != miner.password or not new or new != again:
        miner.record("password", "rejected", reason="does not fit")
        return script_output(miner, _PAGE.format("Password not changed"))
    miner.record("password", "received")

    def change() -> None:
        miner.password = new
        miner.record("password", "applied")

    answer = script_output(miner, _PAGE.format("Password changed"))
    return miner.carry_out(["password"], lambda: miner.after(1.0, change), answer)


async def set_network_conf(miner: AntminerDevice, request: WebRequest) -> WebResponse:
    values = [p.partition("=")[2] for p in request.body.decode("latin-1").split("&")]
    if len(values) < 6:
        miner.record("network", "rejected", reason="fields missing")
        return script_output(miner, "")
    names = ("nettype", "hostname", "ipaddress", "netmask", "gateway", "dnsservers")
    after = dict(zip(names, values, strict=False))
    miner.record("network", "received", before=dict(miner.network), after=after)
    await miner.clock.sleep(NETWORK_S)
    return miner.carry_out(
        ["network"], lambda: apply_network(miner, after), script_output(miner, "ok")
    )


async def upgrade(miner: AntminerDevice, request: WebRequest) -> WebResponse:
    await miner.clock.sleep(FLASH_S)
    miner.record("firmware", "received", before={"version": miner.version}, size=len(request.body))
    try:
        _, data = cut_upload(request.body)
        version = firmware.check_tar(data, miner_type=miner.spec.name, current=miner.version)
    except firmware.AntminerImageError as error:
        miner.record("firmware", "rejected", reason=str(error))
        return script_output(miner, _PAGE.format("Upgrade failed: not a valid image"))
    # nothing restarts by itself: the page has a button for that
    answer = script_output(miner, _PAGE.format("System Upgrade Successed. Please reboot."))
    return miner.carry_out(["firmware"], lambda: miner.flash(version), answer)


async def create_conf_backup(miner: AntminerDevice, request: WebRequest) -> WebResponse:
    del request
    return script_output(miner, _PAGE.format("Backup created"))


def _blink_state(miner: AntminerDevice, *, on: bool | None = None) -> WebResponse:
    return script_output(miner, json.dumps({"isBlinking": miner.blinking if on is None else on}))


def _view(conf: Conf, action: str) -> Conf:
    if action == "mode":
        return {"mode": str(mode_of(conf))}
    if action == "pools":
        return {"pools": [dict(pool) for pool in conf["pools"]]}
    return {key: conf[key] for key in ("bitmain-freq", "bitmain-voltage") if key in conf}


SCRIPTS: Final[dict[str, Script]] = {
    f"/cgi-bin/{name}.cgi": script
    for names, script in (
        ("get_system_info", get_system_info),
        ("get_network_info", get_network_info),
        ("get_miner_conf", get_miner_conf),
        ("set_miner_conf", set_miner_conf),
        ("get_miner_status", get_miner_status),
        ("miner_summary miner_pools miner_stats", api_reply),
        ("get_status_api", get_status_api),
        ("blink", blink),
        ("reboot", reboot),
        ("reset_conf", reset_conf),
        ("log get_kernel_log", log),
        ("monitor", get_status_api),
        ("passwd", passwd),
        ("set_network_conf", set_network_conf),
        ("upgrade upgrade_clear", upgrade),
        ("create_conf_backup", create_conf_backup),
    )
    for name in names.split()
}
