"""The example of docs/add-a-make.md works: it is taken from the page as a reader would, and read and changed."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, Final

import pytest

from drivers.base import Depth, Light
from simulator.makes import MAKES, SimulatedMake

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "add-a-make.md"
_BLOCK: Final = re.compile(
    r"^`([\w/]+\.py)`[^\n]*\n\n```python\n(.+?)^```$", re.MULTILINE | re.DOTALL
)
_FOLDERS: Final = ("drivers/toyminer/", "simulator/toyminer/", "tests/drivers/toyminer/")


def files() -> dict[str, str]:
    """The files of the example's own folders, by path; each stands on the page once, and whole."""
    blocks = [
        (path, text)
        for path, text in _BLOCK.findall(PAGE.read_text("utf-8"))
        if path.startswith(_FOLDERS)
    ]
    found = dict(blocks)
    assert len(found) == len(blocks)
    return found


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The example's stage. Its make has no name in the contract here, so it goes by that of the unknown ones."""
    for path, text in files().items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text.replace("Make.TOYMINER", "Make.UNKNOWN"), "utf-8")
    for room in ("drivers", "simulator"):
        module = import_module(room)
        monkeypatch.setattr(module, "__path__", [*module.__path__, str(tmp_path / room)])
    build = import_module("simulator.toyminer.device").build
    monkeypatch.setitem(MAKES, "toyminer", SimulatedMake(("t1",), ("t1",), build))
    spec = spec_from_file_location("stage", tmp_path / "tests/drivers/toyminer/stage.py")
    assert spec is not None
    assert spec.loader is not None
    found = module_from_spec(spec)
    spec.loader.exec_module(found)
    yield found.Stage
    for name in [each for each in sys.modules if ".toyminer" in each]:
        del sys.modules[name]


async def test_the_example_of_the_page_is_read_and_changed(stage: Any) -> None:
    async with stage.begin("t1") as on:
        reading = await on.driver.read(Depth.FULL)
        assert (reading.moving.hashrate_hs, reading.moving.power_w) == (1e14, 3000.0)
        assert (reading.mac, reading.static.model) == (on.miner.mac, "T1")
        for wish in (True, False):
            evidence = await on.carry_out(Light(on=wish))
            assert (evidence.outcome, evidence.verified) == ("done", True), evidence
            assert on.miner.light is wish
        assert len(on.ledger("light")) == 2
        on.faults.add("ignores")
        assert (await on.carry_out(Light(on=True))).outcome == "not_done"
