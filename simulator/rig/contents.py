"""What the files of a rig's host hold, as far as a monitor looks: DMI, CPU, memory, sensors, network, boot.

Formats are those that the kernel documents. Nothing is written here: each function gives texts by their path below `/`.
"""

from __future__ import annotations

from typing import Final

from simulator.rig.catalogue import AMD, ASPEED, NVIDIA, RigProduct
from simulator.rig.hardware import CpuChip, GpuChip

INTERFACE: Final = "enp3s0"
GATEWAY: Final = "192.168.1.1"
_DRIVERS: Final = {NVIDIA: "nvidia", AMD: "amdgpu", ASPEED: "ast"}


def host_files(spec: RigProduct, *, mac: str, machine_id: str) -> dict[str, str]:
    """What never moves."""
    files = {
        "etc/machine-id": f"{machine_id}\n",
        "etc/hostname": f"{spec.key}\n",
        "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n',
        "proc/sys/kernel/hostname": f"{spec.key}\n",
        "proc/cpuinfo": _cpuinfo(spec),
        "proc/meminfo": f"MemTotal:       {spec.ram_kb} kB\nMemFree:         {spec.ram_kb // 2} kB\n"
        f"MemAvailable:    {spec.ram_kb // 2} kB\n",
        "sys/class/net/lo/address": "00:00:00:00:00:00\n",
        "sys/class/net/docker0/address": "02:42:1f:00:00:01\n",
        f"sys/class/net/{INTERFACE}/operstate": "up\n",
        "proc/net/route": _routes(),
    }
    files |= mac_files(mac)
    if spec.board is None:
        files["proc/device-tree/model"] = "Radxa ROCK 5B\0"
    else:
        vendor, name, version = spec.board
        dmi = "sys/class/dmi/id"
        files |= {
            f"{dmi}/sys_vendor": f"{vendor}\n",
            f"{dmi}/board_vendor": f"{vendor}\n",
            f"{dmi}/board_name": f"{name}\n",
            f"{dmi}/board_version": f"{version}\n",
        }
    return files


def mac_files(mac: str) -> dict[str, str]:
    """The address of the interface that the default route leaves by."""
    return {f"sys/class/net/{INTERFACE}/address": f"{mac.lower()}\n"}


def boot_files(boot_id: str, uptime_s: float, load: float) -> dict[str, str]:
    """What tells of the boot."""
    return {
        "proc/sys/kernel/random/boot_id": f"{boot_id}\n",
        "proc/uptime": f"{uptime_s:.2f} {uptime_s / 2:.2f}\n",
        "proc/loadavg": f"{load:.2f} {load:.2f} {load:.2f} 2/345 6789\n",
    }


def cpu_files(cpu: CpuChip) -> dict[str, str]:
    """The CPU's sensor: one hwmon for each package of an Intel, one for an AMD, a thermal zone for the rest."""
    model = cpu.model
    if not model.hwmon:
        zone = "sys/class/thermal/thermal_zone0"
        return {f"{zone}/type": "cpu-thermal\n", f"{zone}/temp": f"{_milli(cpu.temp_c(0))}\n"}
    files: dict[str, str] = {}
    for package in range(model.packages):
        hwmon = f"sys/class/hwmon/hwmon{package}"
        label = f"Package id {package}" if model.hwmon == "coretemp" else "Tctl"
        files |= {
            f"{hwmon}/name": f"{model.hwmon}\n",
            f"{hwmon}/temp1_label": f"{label}\n",
            f"{hwmon}/temp1_input": f"{_milli(cpu.temp_c(package))}\n",
        }
        if model.hwmon == "coretemp":
            files |= {
                f"{hwmon}/temp2_label": "Core 0\n",
                f"{hwmon}/temp2_input": f"{_milli(cpu.temp_c(package) - 2)}\n",
            }
    return files


def bmc_files(slot: str) -> dict[str, str]:
    """The graphics of a server's board management: a card, and no GPU."""
    return {
        f"{slot}/vendor": f"0x{ASPEED:04x}\n",
        f"{slot}/device": "0x2000\n",
        f"{slot}/class": "0x030000\n",
        f"{slot}/uevent": "DRIVER=ast\nPCI_CLASS=30000\nPCI_SLOT_NAME=0000:02:00.0\n",
    }


def gpu_files(gpu: GpuChip, slot: str, hwmon: str) -> dict[str, str]:
    """One GPU's device; NVIDIA's driver tells nothing more here, amdgpu all it measures."""
    model = gpu.model
    files = {
        f"{slot}/vendor": f"0x{model.vendor:04x}\n",
        f"{slot}/device": f"0x{model.device:04x}\n",
        f"{slot}/class": "0x030000\n",
        f"{slot}/uevent": f"DRIVER={_DRIVERS[model.vendor]}\nPCI_CLASS=30000\n"
        f"PCI_ID={model.vendor:04X}:{model.device:04X}\nPCI_SLOT_NAME={gpu.bus}\n",
    }
    if model.vendor != AMD:
        return files
    if model.product_name:
        files[f"{slot}/product_name"] = f"{model.name}\n"
    now = gpu.figures()
    power = "power1_average" if model.average_power else "power1_input"
    files |= {
        f"{hwmon}/name": "amdgpu\n",
        f"{hwmon}/temp1_label": "edge\n",
        f"{hwmon}/temp1_input": f"{_milli(now.core_c)}\n",
        f"{hwmon}/freq1_label": "sclk\n",
        f"{hwmon}/freq1_input": f"{now.core_mhz * 1_000_000}\n",
        f"{hwmon}/freq2_label": "mclk\n",
        f"{hwmon}/freq2_input": f"{now.mem_mhz * 1_000_000}\n",
        f"{hwmon}/{power}": f"{round(now.power_w) * 1_000_000}\n",
        f"{hwmon}/fan1_input": f"{now.fan_rpm}\n",
        f"{hwmon}/pwm1": f"{round(now.fan_percent * 255 / 100)}\n",
        f"{hwmon}/pwm1_max": "255\n",
    }
    if model.shows_mem:
        files |= {
            f"{hwmon}/temp2_label": "junction\n",
            f"{hwmon}/temp2_input": f"{_milli(now.hot_spot_c)}\n",
            f"{hwmon}/temp3_label": "mem\n",
            f"{hwmon}/temp3_input": f"{_milli(now.mem_c or 0)}\n",
        }
    return files


def _cpuinfo(spec: RigProduct) -> str:
    cpu = spec.cpu
    if not cpu.hwmon:  # ARM names no model there
        cores = "".join(f"processor\t: {n}\nBogoMIPS\t: 48.00\n\n" for n in range(cpu.threads))
        return f"{cores}Hardware\t: Rockchip RK3588\nModel\t\t: {cpu.name}\n"
    each = f"model name\t: {cpu.name}\ncpu MHz\t\t: 2400.000\ncpu cores\t: {cpu.cores // cpu.packages}\n"
    return "".join(f"processor\t: {number}\n{each}\n" for number in range(cpu.threads))


def _routes() -> str:
    """A default route, and that of containers."""
    head = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT"
    gateway = "".join(f"{int(part):02X}" for part in reversed(GATEWAY.split(".")))
    rows = (
        ("docker0", "000011AC", "00000000", "0001", "0000FFFF"),
        (INTERFACE, "00000000", gateway, "0003", "00000000"),
        (INTERFACE, "0001A8C0", "00000000", "0001", "00FFFFFF"),
    )
    lines = [
        f"{name}\t{to}\t{by}\t{flags}\t0\t0\t0\t{mask}\t0\t0\t0"
        for name, to, by, flags, mask in rows
    ]
    return "\n".join([head, *lines]) + "\n"


def _milli(degrees: float) -> int:
    return round(degrees * 8) * 125  # eighths of a degree, as k10temp counts
