"""The host in a folder: its files, how they move, what boots and faults do to them."""

from __future__ import annotations

import asyncio
import os
import re
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.simulator.rig.clients import applied, text

BOOT_ID = "proc/sys/kernel/random/boot_id"


def amd_cards(folder: Path) -> dict[str, Path]:
    """The hwmon folder of each AMD GPU by its PCI address, found as a monitor finds it."""
    found = {}
    for device in sorted(folder.glob("sys/class/drm/card*/device")):
        if (device / "vendor").read_text() != "0x1002\n":
            continue
        assert (device / "class").read_text().startswith("0x03")
        slot = re.search(r"PCI_SLOT_NAME=(\S+)", (device / "uevent").read_text())
        (sensors,) = [
            each
            for each in device.glob("hwmon/hwmon*")
            if (each / "name").read_text() == "amdgpu\n"
        ]
        assert slot is not None
        found[slot[1]] = sensors
    return found


def labelled(sensors: Path) -> dict[str, int]:
    """The temperatures by their labels, in millidegrees."""
    return {
        label.read_text().strip(): int(
            label.with_name(label.name.replace("label", "input")).read_text()
        )
        for label in sensors.glob("temp*_label")
    }


async def test_a_server_names_board_cpu_memory_and_itself(start: Any) -> None:
    (rig,) = (await start("rig/xmrig-cpu")).miners
    dmi = [text(rig, f"sys/class/dmi/id/board_{each}") for each in ("vendor", "name", "version")]
    assert dmi == ["Supermicro\n", "X10DRL-i\n", "1.01\n"]
    models = re.findall(r"^model name\t: (.+)$", text(rig, "proc/cpuinfo"), re.MULTILINE)
    assert models == ["Intel(R) Xeon(R) CPU E5-2680 v4 @ 2.40GHz"] * 56
    kb = int(re.search(r"MemTotal:\s+(\d+) kB", text(rig, "proc/meminfo"))[1])  # type: ignore[index]
    assert kb >> 20 == 125
    assert re.fullmatch(r"[0-9a-f]{32}\n", text(rig, "etc/machine-id"))
    routes = [line.split("\t") for line in text(rig, "proc/net/route").splitlines()]
    (interface,) = [row[0] for row in routes[1:] if row[1] == "00000000"]
    assert text(rig, f"sys/class/net/{interface}/address").strip().upper() == rig.mac
    assert {each.name for each in rig.folder.glob("sys/class/net/*")} > {interface, "lo"}
    packages = sorted(rig.folder.glob("sys/class/hwmon/hwmon*"))
    assert [(each / "name").read_text() for each in packages] == ["coretemp\n"] * 2
    assert [(each / "temp1_label").read_text() for each in packages] == [
        "Package id 0\n",
        "Package id 1\n",
    ]
    assert 60_000 < int((packages[0] / "temp1_input").read_text()) < 72_000


async def test_other_hosts_have_other_sensors(start: Any) -> None:
    ryzen, arm = (await start("rig/xmrig-restricted,rig/xmrig-arm")).miners
    sensor = "sys/class/hwmon/hwmon0"
    names = [text(ryzen, f"{sensor}/{name}") for name in ("name", "temp1_label")]
    assert names == ["k10temp\n", "Tctl\n"]
    assert text(arm, "proc/device-tree/model").endswith("\0")
    assert not (arm.folder / "sys/class/dmi").exists()
    assert text(arm, "sys/class/thermal/thermal_zone0/type").startswith("cpu")
    assert "model name" not in text(arm, "proc/cpuinfo")


async def test_amd_cards_tell_labels_millidegrees_microwatts_and_hertz(start: Any) -> None:
    new, old, mixed = (
        await start("rig/8xrx6800-trm,rig/2xrx580-lolminer-old,rig/mixed-lolminer-dual")
    ).miners
    cards = amd_cards(new.folder)
    assert list(cards) == [f"0000:{3 + 2 * n:02x}:00.0" for n in range(8)]
    first = cards["0000:03:00.0"]
    warmth = labelled(first)
    assert warmth.keys() == {"edge", "junction", "mem"}
    assert 55_000 < warmth["edge"] < warmth["junction"] < 80_000
    assert int((first / "power1_input").read_text()) == pytest.approx(118e6, rel=0.05)
    assert int((first / "freq1_input").read_text()) == 1_250_000_000
    assert (first / "freq2_label").read_text() == "mclk\n"
    assert 0 < int((first / "pwm1").read_text()) <= 255
    assert (first.parent.parent / "product_name").read_text() == "AMD Radeon RX 6800\n"
    link = new.folder / "sys/class/hwmon" / first.name
    assert link.is_symlink()
    assert link.samefile(first)
    old_first = amd_cards(old.folder)["0000:03:00.0"]
    assert labelled(old_first).keys() == {"edge"}
    assert (old_first / "power1_average").exists()
    assert not (old_first / "power1_input").exists()
    assert not (old_first.parent.parent / "product_name").exists()
    # the board's own graphics come first, and NVIDIA's driver tells nothing here
    assert (mixed.folder / "sys/class/drm/card0/device/vendor").read_text() == "0x1a03\n"
    assert list(amd_cards(mixed.folder)) == ["0000:05:00.0", "0000:09:00.0"]


async def test_figures_follow_the_load(start: Any, until: Any) -> None:
    (rig,) = (await start("rig/8xrx6800-trm")).miners
    sensors = amd_cards(rig.folder)["0000:03:00.0"]

    def figures() -> tuple[int, int, int]:
        names = ("temp1_input", "power1_input", "freq1_input")
        edge, power, clock = (int((sensors / name).read_text()) for name in names)
        return edge, power, clock

    loaded = figures()
    await rig.accept(rig.stop_order(rig.units[0]))
    edge, power, clock = figures()
    assert edge > 50_000
    assert (power, clock) < (20_000_000, 300_000_000)
    await until(lambda: figures()[0] < 40_000)
    await rig.accept(rig.start_order(rig.units[0]))
    await until(lambda: figures()[0] > loaded[0] - 3000)
    assert [(each["action"], each["program"]) for each in rig.ledger.of(phase="applied")] == [
        ("stop", "teamredminer"),
        ("start", "teamredminer"),
    ]


async def test_a_boot_changes_its_id_and_begins_its_uptime_anew(start: Any, until: Any) -> None:
    (rig,) = (await start("rig/xmrig-cpu")).miners
    before, machine = text(rig, BOOT_ID), text(rig, "etc/machine-id")
    assert float(text(rig, "proc/uptime").split()[0]) > 3600
    pids = set(rig.processes())
    await rig.accept(rig.reboot_order())
    await until(lambda: not rig.is_up)
    assert not any(listener.is_open for listener in rig.listeners.values())
    await until(lambda: rig.is_up)
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\n", text(rig, BOOT_ID))
    assert text(rig, BOOT_ID) != before
    assert text(rig, "etc/machine-id") == machine
    await asyncio.sleep(20)
    assert 15 <= float(text(rig, "proc/uptime").split()[0]) <= 25
    assert set(rig.processes()).isdisjoint(pids)
    assert (len(applied(rig, "reboot")), rig.boot) == (1, 2)
    assert [each["by"] for each in applied(rig, "start")] == ["boot"]


async def test_a_boot_takes_power_limits_away(start: Any, until: Any) -> None:
    (rig,) = (await start("rig/2xrtx2080-gminer")).miners
    await rig.accept(rig.limit_order("00000000:03:00.0", 150.0))
    assert [gpu.power_limit_w for gpu in rig.cards] == [150.0, 245.0]
    assert [each["limit_w"] for each in rig.describe()["gpus"]] == [245.0, 245.0]
    await rig.accept(rig.reboot_order())
    await until(lambda: not rig.is_up)
    await until(lambda: rig.is_up)
    assert [gpu.power_limit_w for gpu in rig.cards] == [245.0, 245.0]


async def test_an_uptime_may_be_a_lie_and_the_boot_id_not(start: Any, until: Any) -> None:
    (rig,) = (await start("rig/xmrig-cpu")).miners
    rig.faults.add("lies_uptime")
    before = float(text(rig, "proc/uptime").split()[0]), text(rig, BOOT_ID)
    rig.power_cycle()
    await until(lambda: rig.is_up)
    assert float(text(rig, "proc/uptime").split()[0]) > before[0]
    assert text(rig, BOOT_ID) != before[1]


async def test_mining_programs_have_their_place_in_proc(start: Any) -> None:
    (rig,) = (await start("rig/xmrig-and-lolminer")).miners
    found = {
        each.parent.name: each.read_bytes().split(b"\0")[:-1]
        for each in rig.folder.glob("proc/*/cmdline")
    }
    assert len(found) == 2
    names = sorted(parts[0].decode().rpartition("/")[2] for parts in found.values())
    assert names == ["lolminer", "xmrig"]
    xmrig = next(parts for parts in found.values() if parts[0].endswith(b"xmrig"))
    assert xmrig[1:5] == [b"--no-color", b"--url", b"pool.hashvault.pro:443", b"--algo"]
    await rig.accept(rig.stop_order(rig.units[0]))
    assert len(list(rig.folder.glob("proc/*/cmdline"))) == 1
    log = text(rig, "var/log/xmrig.log")
    assert "XMRig/6.22.2" in log


async def test_a_sensor_blocks_or_fails_and_the_others_go_on(start: Any) -> None:
    (rig,) = (await start("rig/2xrx580-lolminer-old")).miners
    first, second = amd_cards(rig.folder).values()
    path = str(first.relative_to(rig.folder) / "temp1_input")
    rig.faults.add("sensor_blocks", files=[f"/{path}"])
    assert stat.S_ISFIFO((rig.folder / path).stat().st_mode)
    with pytest.raises(BlockingIOError):
        _read_some(rig.folder / path)
    assert int((second / "temp1_input").read_text()) > 0
    rig.faults.add("sensor_fails", files=["*pwm1"])
    with pytest.raises(OSError, match="Input/output error"):
        (first / "pwm1").read_text()
    rig.faults.clear()
    assert int((first / "temp1_input").read_text()) > 0
    assert int((first / "pwm1").read_text()) > 0


async def test_a_gpu_that_fell_off_is_missing_from_the_bus(start: Any) -> None:
    (rig,) = (await start("rig/8xrx6800-trm")).miners
    rig.faults.add("gpu_falls_off", gpus=[1], variant="gone")
    assert "0000:05:00.0" not in amd_cards(rig.folder)
    assert len(amd_cards(rig.folder)) == 7
    assert not any(each.is_symlink() and not each.exists() for each in rig.folder.rglob("hwmon*"))
    rig.faults.clear()
    assert len(amd_cards(rig.folder)) == 8


async def test_the_folder_goes_with_the_rig(start: Any) -> None:
    farm = await start("rig/xmrig-cpu")
    folder = farm.miners[0].folder
    await farm.stop()
    assert not folder.exists()


async def test_the_same_seed_is_the_same_rig(start: Any) -> None:
    first = (await start("rig/idle", seed=7)).miners[0]
    told = [first.describe()[key] for key in ("mac", "machine_id", "host_key")]
    await first.stop()
    again = (await start("rig/idle", seed=7)).miners[0]
    assert [again.describe()[key] for key in ("mac", "machine_id", "host_key")] == told


def _read_some(path: Path) -> bytes:
    """As much as is there, without waiting: a FIFO that somebody could write to has nothing yet."""
    ends = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        return os.read(ends, 1)
    finally:
        os.close(ends)
