"""The check of NVIDIA's values, against a simulated driver: what it finds alike, what not, and what it cannot do."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from drivers.rig.nvml import find_nvml
from drivers.rig.reach.local import LocalReach
from drivers.rig.reading.cards import CardLook
from drivers.rig.spec import LocalSpec
from simulator.farm import Farm
from tests.device import nvml
from tests.simulator.rig.test_nvidia import nvml as pynvml_of


@pytest.fixture
async def rig(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """Its nvidia-smi and its library are this host's."""
    farm = await Farm.start("rig/2xrtx2080-gminer", base="127.0.0.1")
    (rig,) = farm.miners
    monkeypatch.setenv("PATH", f"{rig.folder}/bin:/usr/bin:/bin")
    monkeypatch.setitem(sys.modules, "pynvml", pynvml_of(rig))
    yield rig
    await farm.stop()


async def test_a_driver_that_tells_the_same_both_ways_agrees(
    rig: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await nvml.main(looks=1) == nvml.AGREES
    lines = capsys.readouterr().out.splitlines()
    named = [line.split() for line in lines if line.startswith("0000:05:00.0")]
    assert len(named) == 2 * (1 + len(nvml.VALUES))  # of nvidia-smi and of NVML
    assert all(line[-1] == "1/1" for line in named)
    assert ["0000:05:00.0", "temp_memory_c", "None", "None", "1/1"] in named


@pytest.mark.parametrize(
    "wrong",
    [{"power_w": 225_000.0}, {"temp_memory_c": 60.0}, {"name": "another"}, {"core_hz": None}, {"bus_id": "0000:09:00.0"}],
)  # fmt: skip
async def test_a_value_that_is_another_is_found(rig: Any, wrong: dict[str, Any]) -> None:
    module = find_nvml()
    assert module is not None
    right = nvml.nvml_look(module)

    async def look() -> CardLook:
        first, *others = (found := await right()).cards
        cards = (msgspec.structs.replace(first, **wrong), *others)
        return msgspec.structs.replace(found, cards=cards)

    assert await nvml.compare("x", look, LocalReach(LocalSpec()), looks=1) == nvml.DIFFERS


@pytest.mark.parametrize("missing", ["nvidia-smi", "nvidia-ml-py", "card"])
async def test_what_is_missing_is_said_and_nothing_was_shown(
    rig: Any, missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if missing == "nvidia-smi":
        monkeypatch.setenv("PATH", str(rig.folder))
    elif missing == "nvidia-ml-py":
        monkeypatch.setitem(sys.modules, "pynvml", None)
    else:
        (rig.folder / "bin/nvidia-smi").write_text(
            "#!/bin/sh\necho No devices were found\nexit 6\n"
        )
    assert await nvml.main(looks=1) == nvml.NOTHING_SHOWN
    assert (missing if missing != "card" else "No devices were found") in capsys.readouterr().out
