"""NVIDIA's driver by both its doors: `nvidia-smi` as a program, `pynvml` as a module."""

from __future__ import annotations

import asyncio
import importlib.util
import threading
from types import ModuleType
from typing import Any

import pytest

from tests.simulator.rig.clients import applied

QUERY = (
    "--query-gpu=pci.bus_id,name,temperature.gpu,temperature.memory,clocks.current.graphics,"
    "clocks.current.memory,fan.speed,power.draw"
)


def nvml(rig: Any) -> ModuleType:
    """The rig's own `pynvml`."""
    spec = importlib.util.spec_from_file_location("rigs_pynvml", rig.folder / "python/pynvml.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def smi(rig: Any, *arguments: str, within_s: float = 30.0) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        rig.folder / "bin/nvidia-smi", *arguments, stdout=asyncio.subprocess.PIPE
    )
    try:
        out, _ = await asyncio.wait_for(process.communicate(), within_s)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, out.decode()


@pytest.mark.real_time
async def test_the_program_tells_a_line_for_each_gpu(start: Any) -> None:
    (rig,) = (await start("rig/6xrtx3080-trex")).miners
    status, out = await smi(rig, QUERY, "--format=csv")
    head, *rows = out.splitlines()
    assert status == 0
    assert head.startswith("pci.bus_id, name, temperature.gpu, temperature.memory, clocks.")
    assert head.endswith("[MHz], fan.speed [%], power.draw [W]")
    first = rows[0].split(", ")
    assert first[:2] == ["00000000:03:00.0", "NVIDIA GeForce RTX 3080"]
    assert first[3:6] == ["N/A", "1835 MHz", "9505 MHz"]
    assert (first[6].endswith(" %"), first[7].endswith(" W")) == (True, True)
    assert sorted(rows) == rows
    assert len(rows) == 6
    _, out = await smi(rig, QUERY, "--format=csv,noheader,nounits")
    bare = out.splitlines()[0].split(", ")
    assert (bare[0], bare[4]) == (first[0], "1835")
    assert float(bare[7]) == pytest.approx(225, rel=0.05)
    assert (await smi(rig, "--query-gpu=nonsense", "--format=csv"))[0] == 2


@pytest.mark.real_time
async def test_a_power_limit_is_refused_unless_it_is_allowed_and_holds_then(start: Any) -> None:
    (rig,) = (await start("rig/2xrtx2080-gminer")).miners
    status, out = await smi(rig, "-i", "0", "-pl", "150")
    assert status == 4
    assert "Insufficient Permissions" in out
    rig.may_limit = True
    rig.refresh()
    assert (await smi(rig, "-i", "0", "-pl", "900"))[0] == 2
    status, out = await smi(rig, "-i", "00000000:05:00.0", "-pl", "120")
    assert (status, out.splitlines()[-1]) == (0, "All done.")
    rig.refresh()
    _, out = await smi(rig, "--query-gpu=power.limit,power.draw", "--format=csv,noheader,nounits")
    limits, draws = zip(*(map(float, row.split(", ")) for row in out.splitlines()), strict=True)
    assert limits == (245.0, 120.0)
    assert draws[1] <= 120.0 < draws[0]
    (line,) = applied(rig, "power_limit")
    assert (line["bus_id"], line["after"]) == ("00000000:05:00.0", {"watts": 120.0})


@pytest.mark.real_time
async def test_a_driver_that_hangs_keeps_both(start: Any) -> None:
    (rig,) = (await start("rig/2xrtx2080-gminer")).miners
    driver = nvml(rig)
    driver.nvmlInit()
    rig.faults.add("nvml_hangs")
    with pytest.raises(TimeoutError):
        await smi(rig, "-L", within_s=0.5)
    told: list[int] = []
    thread = threading.Thread(target=lambda: told.append(driver.nvmlDeviceGetCount()))
    thread.start()
    await asyncio.sleep(0.2)
    assert thread.is_alive()
    rig.faults.clear()
    await asyncio.to_thread(thread.join, 10)
    assert told == [2]


async def test_the_module_tells_what_a_geforce_tells(start: Any) -> None:
    (rig,) = (await start("rig/6xrtx3080-trex")).miners
    driver = nvml(rig)
    with pytest.raises(driver.NVMLError) as failed:
        driver.nvmlDeviceGetCount()
    assert failed.value.value == 1
    driver.nvmlInit()
    assert driver.nvmlDeviceGetCount() == 6
    gpu = driver.nvmlDeviceGetHandleByIndex(5)
    assert driver.nvmlDeviceGetPciInfo(gpu).busId == "00000000:0D:00.0"
    assert driver.nvmlDeviceGetName(gpu) == "NVIDIA GeForce RTX 3080"
    assert 50 < driver.nvmlDeviceGetTemperature(gpu, driver.NVML_TEMPERATURE_GPU) < 70
    assert driver.nvmlDeviceGetTemperatureV(gpu, 0) == driver.nvmlDeviceGetTemperature(gpu, 0)
    assert driver.nvmlDeviceGetClockInfo(gpu, driver.NVML_CLOCK_GRAPHICS) == 1835
    assert driver.nvmlDeviceGetClockInfo(gpu, driver.NVML_CLOCK_MEM) == 9505
    assert driver.nvmlDeviceGetPowerUsage(gpu) == pytest.approx(225_000, rel=0.05)
    assert 0 < driver.nvmlDeviceGetFanSpeed(gpu) <= 100
    (memory,) = driver.nvmlDeviceGetFieldValues(gpu, [driver.NVML_FI_DEV_MEMORY_TEMP])
    assert memory.nvmlReturn == driver.NVML_ERROR_NOT_SUPPORTED
    driver.nvmlShutdown()


@pytest.mark.parametrize("value", [3, 9, 12])
async def test_an_error_of_the_driver_has_its_class_and_its_number(start: Any, value: int) -> None:
    (rig,) = (await start("rig/2xrtx2080-gminer")).miners
    driver = nvml(rig)
    classes = {
        3: driver.NVMLError_NotSupported,
        9: driver.NVMLError_DriverNotLoaded,
        12: driver.NVMLError_LibraryNotFound,
    }
    rig.faults.add("nvml_error", value=value)
    with pytest.raises(classes[value]) as failed:
        driver.nvmlInit()
    assert failed.value.value == value
    rig.faults.clear()
    rig.faults.add("nvml_error", value=value, figures=["fan"])
    driver.nvmlInit()
    gpu = driver.nvmlDeviceGetHandleByIndex(0)
    with pytest.raises(classes[value]):
        driver.nvmlDeviceGetFanSpeed(gpu)
    assert driver.nvmlDeviceGetPowerUsage(gpu) > 0


async def test_a_lost_gpu_is_an_error_and_a_gone_one_a_shorter_list(start: Any) -> None:
    (rig,) = (await start("rig/6xrtx3080-trex")).miners
    driver = nvml(rig)
    driver.nvmlInit()
    held = driver.nvmlDeviceGetHandleByIndex(1)
    rig.faults.add("gpu_falls_off", gpus=[1])
    assert driver.nvmlDeviceGetCount() == 6
    for call in (
        lambda: driver.nvmlDeviceGetHandleByIndex(1),
        lambda: driver.nvmlDeviceGetName(held),
    ):
        with pytest.raises(driver.NVMLError_GpuIsLost):
            call()
    rig.faults.clear()
    rig.faults.add("gpu_falls_off", gpus=[1], variant="gone")
    assert driver.nvmlDeviceGetCount() == 5


async def test_a_rig_without_nvidia_has_no_library(start: Any) -> None:
    (rig,) = (await start("rig/8xrx6800-trm")).miners
    driver = nvml(rig)
    with pytest.raises(driver.NVMLError_LibraryNotFound):
        driver.nvmlInit()
