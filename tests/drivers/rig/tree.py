"""Folders that look like the `/sys`, `/proc` and `/etc` of a rig, written from the field lists of the protocol page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

BOOT = "5b8f1c9e-2f5c-4a7e-9d58-0f3a6c1d2e4b"
MACHINE = "0f3a6c1d2e4b5b8f1c9e2f5c4a7e9d58"
MAC = "02:1A:2B:3C:4D:5E"
CPU = "AMD Ryzen 9 7950X 16-Core Processor"
ROUTE = (
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
    "wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n"
    "enp3s0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
    "enp3s0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n"
)
HOST: Mapping[str, str] = {
    "proc/net/route": ROUTE,
    "proc/uptime": "93784.25 1480000.10\n",
    "proc/sys/kernel/random/boot_id": f"{BOOT}\n",
    "proc/sys/kernel/osrelease": "6.1.0-28-amd64\n",
    "proc/sys/kernel/hostname": "rig-7\n",
    "proc/meminfo": "MemTotal:       32786316 kB\nMemFree:          401216 kB\n",
    "proc/cpuinfo": f"processor\t: 0\nmodel name\t: {CPU}\ncache size\t: 1024 KB\n",
    "etc/machine-id": f"{MACHINE}\n",
    "sys/class/net/enp3s0/address": f"{MAC.lower()}\n",
    "sys/class/net/wlan0/address": "02:00:00:00:00:99\n",
    "sys/class/dmi/id/board_vendor": "Supermicro\n",
    "sys/class/dmi/id/board_name": "X10DRL-i\n",
    "sys/class/dmi/id/board_version": "1.01\n",
    "sys/class/hwmon/hwmon0/name": "nvme\n",
    "sys/class/hwmon/hwmon0/temp1_label": "Composite\n",
    "sys/class/hwmon/hwmon0/temp1_input": "99000\n",
    "sys/class/hwmon/hwmon1/name": "k10temp\n",
    "sys/class/hwmon/hwmon1/temp1_label": "Tctl\n",
    "sys/class/hwmon/hwmon1/temp1_input": "84875\n",
    "sys/class/hwmon/hwmon1/temp3_label": "Tccd1\n",
    "sys/class/hwmon/hwmon1/temp3_input": "95000\n",
}


def amd_card(number: int, bus: str, **changed: str) -> dict[str, str]:
    """The files of one card of AMD at a bus (`0c`)."""
    card = f"sys/class/drm/card{number}/device"
    files = {
        "vendor": "0x1002\n",
        "class": "0x030000\n",
        "uevent": f"DRIVER=amdgpu\nPCI_CLASS=30000\nPCI_SLOT_NAME=0000:{bus}:00.0\n",
        "product_name": "Radeon RX 6800 XT\n",
        "hwmon/hwmon4/name": "amdgpu\n",
        # numbered otherwise than usual: the labels decide
        "hwmon/hwmon4/temp1_label": "junction\n",
        "hwmon/hwmon4/temp1_input": "81000\n",
        "hwmon/hwmon4/temp2_label": "edge\n",
        "hwmon/hwmon4/temp2_input": "63000\n",
        "hwmon/hwmon4/temp3_label": "mem\n",
        "hwmon/hwmon4/temp3_input": "78000\n",
        "hwmon/hwmon4/freq1_label": "sclk\n",
        "hwmon/hwmon4/freq1_input": "1320000000\n",
        "hwmon/hwmon4/freq2_label": "mclk\n",
        "hwmon/hwmon4/freq2_input": "1000000000\n",
        "hwmon/hwmon4/power1_average": "148000000\n",
        "hwmon/hwmon4/pwm1": "102\n",
    } | changed
    return {f"{card}/{name}": text for name, text in files.items()}


def plant(folder: Path, *parts: Mapping[str, str]) -> Path:
    """Write these files below a folder."""
    for part in parts:
        for path, text in part.items():
            place = folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
    return folder


def texts(*parts: Mapping[str, str]) -> dict[str, str]:
    """The same as a reach tells them."""
    return {f"/{path}": text for part in parts for path, text in part.items()}
