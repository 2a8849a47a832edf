"""Scripts around the miner: logs and archives, password, network, firmware upload."""

from __future__ import annotations

import ipaddress
import json
import re
from typing import TYPE_CHECKING, Any, Final

from simulator.antminer import firmware, logs
from simulator.antminer.catalogue import Generation
from simulator.antminer.output import code_output, json_output, page, script_output
from simulator.http import WebRequest, WebResponse

if TYPE_CHECKING:
    from simulator.antminer.device import AntminerDevice

ARCHIVE_S: Final = 3.0
FLASH_CHECK_S: Final = 20.0
PASSWORD_S: Final = 1.0
NETWORK_S: Final = 1.0
_HOSTNAME: Final = re.compile(r"[A-Za-z]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9-]+)*")


async def log(miner: AntminerDevice, request: WebRequest) -> WebResponse:
    """log.cgi of the new generations, get_kernel_log.cgi of the old; some builds swap them."""
    is_kernel = request.path.endswith("get_kernel_log.cgi")
    kernel_exists = miner.spec.generation is Generation.OLD
    if "logs_swapped" in miner.faults:
        kernel_exists = not kernel_exists
    if is_kernel is not kernel_exists:
        return page(404, "404 - Not Found")
    await miner.clock.sleep(0.5)
    return script_output(miner, logs.log_text(miner))


async def history_log(miner: AntminerDevice, request: WebRequest) -> WebResponse:
    del request
    return script_output(miner, logs.log_text(miner)[:4000])


async def dlog(miner: AntminerDevice, request: WebRequest) -> WebResponse:
    del request
    return json_output(miner, {"dlog": True, "log_list": logs.day_folders(miner)})


async def create_log_backup(miner: AntminerDevice, request: WebRequest) -> WebResponse:
    try:
        folders = json.loads(request.body)
    except ValueError:
        folders = None
    if not isinstance(folders, list) or not folders:
        return code_output(miner, "L002", "empty")
    known = logs.day_folders(miner)
    if any(folder not in known for folder in folders):
        return code_output(miner, "L001", "dir not found")
    name = logs.archive_name(folders)
    miner.record("log_archive", "received", after={"file": name})

    def pack() -> None:
        if not miner.spec.archive:  # these images have no such branch in their daemon
            return
        miner.archives.clear()
        miner.after(ARCHIVE_S, lambda: _store(miner, name, folders))

    answer = json_output(miner, {"stats": "success", "code": "L000", "msg": name})
    return miner.carry_out(["log_archive"], lambda: miner.mailbox.put("log_archive", pack), answer)


async def passwd(miner: AntminerDevice, request: WebRequest) -> WebResponse:
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
        return code_output(miner, code, "")
    miner.record("password", "received")

    def change() -> None:
        miner.password = new
        miner.record("password", "applied")

    answer = json_output(miner, {"stats": "success", "code": "P000", "msg": "OK!"})
    return miner.carry_out(["password"], lambda: miner.after(PASSWORD_S, change), answer)


async def set_network_conf(miner: AntminerDevice, request: WebRequest) -> WebResponse:
    try:
        asked = json.loads(request.body)
    except ValueError:
        asked = None
    code = _network_error(asked if isinstance(asked, dict) else {})
    if code != "N000":
        miner.record("network", "rejected", reason=code)
        return code_output(miner, code, "")
    after = {
        "nettype": "DHCP" if int(asked["ipPro"]) == 1 else "Static",
        "hostname": asked["ipHost"],
        "ipaddress": asked.get("ipAddress", ""),
        "netmask": asked.get("ipSub", ""),
        "gateway": asked.get("ipGateway", ""),
        "dnsservers": asked.get("ipDns", ""),
    }
    miner.record("network", "received", before=dict(miner.network), after=after)
    answer = json_output(miner, {"stats": "success", "code": "N000", "msg": "OK!"})
    return miner.carry_out(
        ["network"], lambda: miner.after(NETWORK_S, lambda: apply_network(miner, after)), answer
    )


def network_info(miner: AntminerDevice) -> dict[str, str]:
    """The network as it is (`...`) and as it is configured (`conf_...`)."""
    net = miner.network
    return {
        "nettype": net["nettype"],
        "netdevice": "eth0",
        "macaddr": miner.shown_mac(),
        "ipaddress": miner.ip,
        "netmask": net["netmask"],
        "conf_nettype": net["nettype"],
        "conf_hostname": net["hostname"],
        "conf_ipaddress": net["ipaddress"],
        "conf_netmask": net["netmask"],
        "conf_gateway": net["gateway"],
        "conf_dnsservers": net["dnsservers"],
    }


def apply_network(miner: AntminerDevice, after: dict[str, str]) -> None:
    """Restart the interface with these settings; a static loopback address moves the miner."""
    before = dict(miner.network)
    miner.network |= after
    miner.record("network", "applied", before=before, after=after)
    if after["nettype"] == "Static" and after["ipaddress"] != miner.ip:
        miner.move_to(after["ipaddress"])


async def upgrade(miner: AntminerDevice, request: WebRequest) -> WebResponse:
    clears = request.path.endswith("upgrade_clear.cgi")
    await miner.clock.sleep(FLASH_CHECK_S)
    miner.record("firmware", "received", before={"version": miner.version}, size=len(request.body))
    try:
        part_name, data = cut_upload(request.body)
        if "upgrade_needs_name_file" in miner.faults and part_name != "file":
            raise firmware.AntminerImageError(1, "no part named file")
        image = firmware.check_image(
            data,
            miner_type=miner.spec.name,
            subtype=miner.spec.subtype,
            current=miner.version,
        )
    except firmware.AntminerImageError as error:
        miner.record("firmware", "rejected", reason=str(error))
        if clears:
            return code_output(miner, f"U00{error.code}", "Fail!")
        return code_output(miner, "U001", str(error.code))
    plain = "upgrade_plain_reply" in miner.faults

    def install() -> None:
        miner.flash(image.version)
        if plain:
            return
        if clears:
            miner.mailbox.put("firmware", lambda: miner.power_cycle(factory_reset=True))
        else:
            miner.mailbox.put("firmware", miner.shut_down)

    done = {"stats": "success", "code": "U000", "msg": "OK!"}
    answer = (
        script_output(miner, "System Upgrade Successed\n") if plain else json_output(miner, done)
    )
    return miner.carry_out(["firmware"], install, answer)


def cut_upload(body: bytes) -> tuple[str, bytes]:
    """What the script takes for the image: by counting, not by parsing. Raises ImageError."""
    boundary, _, rest = body.partition(b"\r\n")
    headers, found, rest = rest.partition(b"\r\n\r\n")
    if not found or not boundary.startswith(b"--"):
        raise firmware.AntminerImageError(1, "no multipart body")
    name = re.search(rb'name="([^"]*)"', headers)
    return (name.group(1).decode("latin-1") if name else "", rest[: -(len(boundary) + 6)])


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


def _store(miner: AntminerDevice, name: str, folders: list[str]) -> None:
    miner.archives[name] = logs.build_archive(miner, folders)
    miner.record("log_archive", "applied", after={"file": name})
