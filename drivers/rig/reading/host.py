"""What the files of a Linux host tell: who it is, what it is made of, how warm its processor is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from contract.miner import Frozen, normalize_mac
from drivers.rig.protocol.figures import temp_c

Texts = Mapping[str, str]

BOOT_ID: Final = "/proc/sys/kernel/random/boot_id"
WHO: Final = ("/proc/net/route", "/sys/class/net/*/address", "/etc/machine-id")
MOVING: Final = (
    *WHO,
    BOOT_ID,
    "/proc/uptime",
    "/sys/class/hwmon/hwmon*/name",
    "/sys/class/hwmon/hwmon*/temp*_label",
    "/sys/class/hwmon/hwmon*/temp*_input",
    "/sys/class/thermal/thermal_zone*/type",
    "/sys/class/thermal/thermal_zone*/temp",
)
STATIC: Final = (
    "/sys/class/dmi/id/board_vendor",
    "/sys/class/dmi/id/board_name",
    "/sys/class/dmi/id/board_version",
    "/proc/device-tree/model",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/sys/kernel/osrelease",
    "/proc/sys/kernel/hostname",
)
# What boards say whose maker filled nothing in.
_FILLERS: Final = frozenset(
    {
        "to be filled by o.e.m.", "to be filled by oem", "default string", "system manufacturer", "system product name",
        "system version", "base board", "base board version", "not specified", "not applicable", "unknown", "none",
        "n/a", "o.e.m.", "oem", "x.x", "0", "invalid",
    }
)  # fmt: skip
_CPU_CHIPS: Final = {
    "coretemp": re.compile(r"Package id \d+"),
    "k10temp": re.compile(r"Tctl|Tdie"),
    "zenpower": re.compile(r"Tctl|Tdie"),
}
# ARM boards name no model of theirs, but the board's, or else the chip's.
_CPU_NAMES: Final = tuple(
    re.compile(rf"^{key}\s*:\s*(\S.*)$", re.MULTILINE)
    for key in ("model name", "Model", "Hardware")
)
_BOOT_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_RAM: Final = re.compile(r"^MemTotal:\s*(\d{1,15}) kB", re.MULTILINE)
_UP: Final = 0x1  # RTF_UP of linux/route.h
_LONGEST: Final = 200


class HostFacts(Frozen, frozen=True, kw_only=True):
    """One look at a host. `serial` is its machine-id, `mac` that of the interface of its default route."""

    mac: str | None = None
    serial: str | None = None
    boot_id: str | None = None
    uptime_s: float | None = None
    temp_cpu_c: float | None = None
    motherboard: str | None = None
    cpu_name: str | None = None
    ram_bytes: int | None = None
    kernel: str | None = None
    hostname: str | None = None


def host_of(texts: Texts) -> HostFacts:
    """What these files tell."""
    return HostFacts(
        mac=mac_of(texts),
        serial=_hex(texts.get("/etc/machine-id"), 32),
        boot_id=_boot_id(texts.get(BOOT_ID)),
        uptime_s=_seconds(texts.get("/proc/uptime")),
        temp_cpu_c=cpu_temp_c(texts),
        motherboard=motherboard_of(texts),
        cpu_name=cpu_name_of(texts.get("/proc/cpuinfo", "")),
        ram_bytes=_ram(texts.get("/proc/meminfo")),
        kernel=_line(texts.get("/proc/sys/kernel/osrelease")),
        hostname=_line(texts.get("/proc/sys/kernel/hostname")),
    )


def mac_of(texts: Texts) -> str | None:
    """The MAC of the interface of the default route, of several the one with the lowest metric."""
    routes = []
    for line in texts.get("/proc/net/route", "").splitlines()[1:]:
        words = line.split()
        # Iface, Destination, Gateway, Flags, RefCnt, Use, Metric, Mask
        if len(words) < 8 or words[1] != "00000000" or words[7] != "00000000":
            continue
        flags, metric = words[3], words[6]
        if metric.isdecimal() and _is_up(flags):
            routes.append((int(metric[:12]), words[0]))
    for _, interface in sorted(routes):
        if mac := normalize_mac(texts.get(f"/sys/class/net/{interface}/address")):
            return mac
    return None


def motherboard_of(texts: Texts) -> str | None:
    """`Supermicro X10DRL-i 1.01` of DMI, without what says nothing; of boards without DMI that of the device tree."""
    told = [
        _line(texts.get(f"/sys/class/dmi/id/board_{part}"))
        for part in ("vendor", "name", "version")
    ]
    words = [each for each in told if each is not None and each.lower() not in _FILLERS]
    return " ".join(words) or _line(texts.get("/proc/device-tree/model"))


def cpu_name_of(text: str) -> str | None:
    """What `/proc/cpuinfo` calls the processor."""
    told = (_line(match[1]) for each in _CPU_NAMES if (match := each.search(text)) is not None)
    return next((name for name in told if name is not None), None)


def cpu_temp_c(texts: Texts) -> float | None:
    """The hottest of the processors, by the labels of their sensors; of boards without those the thermal zones."""
    temps = [
        _temp(texts.get(f"{folder}/{sensor}_input"))
        for folder, sensor, label in _labels(texts)
        if (wanted := _CPU_CHIPS.get(texts.get(f"{folder}/name", "").strip())) is not None
        if wanted.fullmatch(label)
    ] or [
        _temp(texts.get(f"{folder}/temp"))
        for folder, kind in _named(texts, "/sys/class/thermal/", "/type")
        if kind.startswith("cpu")
    ]
    return max((each for each in temps if each is not None), default=None)


# --- private -------------------------------------------------------------------------------------


def _named(texts: Texts, root: str, file: str) -> Iterator[tuple[str, str]]:
    """Paths below a root that end with `file`, without it, and what stands there."""
    for path, text in texts.items():
        if path.startswith(root) and path.endswith(file):
            yield path.removesuffix(file), text.strip()


def _labels(texts: Texts) -> Iterator[tuple[str, str, str]]:
    """Folders of hwmon, with their sensors and what each of these is called."""
    for path, label in _named(texts, "/sys/class/hwmon/", "_label"):
        folder, _, sensor = path.rpartition("/")
        if sensor.startswith("temp"):
            yield folder, sensor, label


def _temp(text: str | None) -> float | None:
    found = _figure(text)
    return None if found is None else temp_c(found / 1000)


def _figure(text: str | None) -> float | None:
    words = (text or "").split()
    try:
        return float(words[0][:32]) if words else None
    except ValueError:
        return None


def _seconds(text: str | None) -> float | None:
    found = _figure(text)
    return found if found is not None and 0 <= found < 1e10 else None


def _line(text: str | None) -> str | None:
    """The first line of a file, printable; `None` for one that says nothing."""
    first = (text or "").replace("\0", "").strip().partition("\n")[0][:_LONGEST]
    return " ".join("".join(c for c in first if c.isprintable()).split()) or None


def _ram(text: str | None) -> int | None:
    match = _RAM.search(text or "")
    return int(match[1]) * 1024 if match else None


def _hex(text: str | None, digits: int) -> str | None:
    found = (text or "").strip().lower()
    is_id = len(found) == digits and all(c in "0123456789abcdef" for c in found)
    return found if is_id and found.strip("0") else None


def _boot_id(text: str | None) -> str | None:
    """As the kernel draws it; what else stands there is no proof of anything."""
    found = (text or "").strip()
    return found if _BOOT_ID.fullmatch(found) and found.strip("0-") else None


def _is_up(flags: str) -> bool:
    try:
        return bool(int(flags[:8], 16) & _UP)
    except ValueError:
        return False
