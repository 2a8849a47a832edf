"""How a change finds its way in any make, and to whom none leads."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import pytest

from contract.errors import UnsupportedError
from contract.miner import Endpoint, Firmware, Identity, Make
from drivers.antminer.changes.logs import fetch_log
from drivers.antminer.driver import Antminer
from drivers.antminer.entry import ANTMINER
from drivers.antminer.generations import GENERATIONS
from drivers.base import AnyChange, Light, Plan, PowerLimit, Timing
from drivers.changes.way import Ways
from drivers.registry import DRIVERS
from drivers.rig.entry import RIG, reach_of
from drivers.rig.spec import EnrolledRig
from drivers.rig.wire import RigWire
from drivers.wire import Wire
from tests.drivers.effects import MemoryEffect
from tests.virtual_time import VirtualClock


def a_miner(*, drivable: bool, ways: Ways[Antminer] = ANTMINER.ways) -> Antminer:
    identity = Identity(
        make=Make.ANTMINER,
        generation="NEW-GOD",
        firmware=Firmware.STOCK if drivable else Firmware.VNISH,
        drivable=drivable,
        reason=None if drivable else "runs vnish firmware",
    )
    endpoint = Endpoint(host="127.0.0.1", rpc_port=9, http_port=9)
    wire = Wire(endpoint, VirtualClock(), Timing())
    return Antminer(ways, wire, lambda _: None, identity)


def wire_of(entry: Any) -> Wire:
    """One that leads nowhere."""
    if entry is RIG:
        spec = EnrolledRig(name="rig")
        return RigWire(spec, reach_of(spec), VirtualClock(), Timing())
    return Wire(Endpoint(host="127.0.0.1"), VirtualClock(), Timing())


@pytest.mark.parametrize("entry", DRIVERS, ids=lambda entry: str(entry.make))
def test_every_change_a_make_declares_has_a_way(entry: Any) -> None:
    ways = {kind.__struct_config__.tag for kind in entry.ways.changes}
    for generation in entry.generations.values():
        assert set(generation.changes) <= ways, generation.generation
    assert entry.ways.changes <= set(get_args(AnyChange))


@pytest.mark.parametrize("entry", DRIVERS, ids=lambda entry: str(entry.make))
async def test_what_is_only_read_or_not_known_can_do_nothing(entry: Any) -> None:
    wire = wire_of(entry)
    declared = {name: each for name, each in entry.generations.items() if each.changes}
    for generation in (*entry.generations, None, "v9"):
        for drivable in (True, False):
            identity = Identity(make=entry.make, generation=generation, drivable=drivable)
            driver = entry.open_driver(wire, lambda _: None, identity)
            expected = declared.get(generation) if drivable else None
            assert driver.capabilities is expected


async def test_a_change_the_make_has_no_way_for_is_unsupported() -> None:
    miner = a_miner(drivable=True, ways=Ways((), generations=GENERATIONS, fetch_log=fetch_log))
    with pytest.raises(UnsupportedError, match="miners cannot be asked for light"):
        await miner.plan(Light(on=True))


@pytest.mark.parametrize(
    ("entry", "name", "modes"),
    [
        (entry, name, ", ".join(declared.modes))
        for entry in DRIVERS
        for name, declared in entry.generations.items()
        if declared.changes and "power_limit" not in declared.changes
    ],
)
async def test_who_takes_no_power_limit_says_what_it_has_in_its_place(
    entry: Any, name: str, modes: str
) -> None:
    assert modes
    wire = wire_of(entry)
    identity = Identity(make=entry.make, generation=name, drivable=True)
    miner = entry.open_driver(wire, lambda _: None, identity)
    words = f"{name} miners cannot be asked for power limit; set its power mode: {modes}"
    with pytest.raises(UnsupportedError, match=re.escape(words)):
        await miner.plan(PowerLimit(percent=80))
    assert wire.exchanges == 0


WAY_OF_TINT = """
from drivers.base import Change, NoData, Proof, Strength
from drivers.changes.way import Way

class Tint(Change, frozen=True, kw_only=True, tag="tint"):
    pass

class ToyTint(Way):
    changes = (Tint,)
    data = NoData
    proofs = {"NEW-BM": (Proof("tint", "its colour", Strength.STATE, 1.0, 5.0),)}
    plan = apply = verify = None

WAY = ToyTint()
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A make's `changes/` with one way and a module that helps."""
    folder = tmp_path / "ways_of_a_toy"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "colours.py").write_text("RED = 1")
    (folder / "tint.py").write_text(WAY_OF_TINT)
    monkeypatch.syspath_prepend(tmp_path)
    yield import_module(folder.name)
    for name in [each for each in sys.modules if each.startswith(folder.name)]:
        del sys.modules[name]


def in_package(package: ModuleType) -> Ways[Antminer]:
    return Ways[Antminer].in_package(package, generations=GENERATIONS, fetch_log=fetch_log)


def test_a_way_of_a_new_change_is_one_file(package: ModuleType) -> None:
    """That it is there registers it; the generations it has proofs for can be changed so, and the others cannot."""
    ways = in_package(package)
    assert [type(way).__name__ for way in ways] == ["ToyTint"]
    for name, stated in GENERATIONS.items():
        found = ways.generations[name]
        assert found.changes == (("tint",) if name == "NEW-BM" else ())
        assert [proof.signal for proof in found.proofs] == ["its colour"] * len(found.changes)
        assert (found.models, found.modes, found.log) == (stated.models, stated.modes, stated.log)


def test_two_ways_of_one_change_are_refused_when_they_are_read(package: ModuleType) -> None:
    second = Path(str(package.__file__)).with_name("tint_again.py")
    second.write_text(f"from {package.__name__}.tint import WAY")
    with pytest.raises(ValueError, match="two ways of Tint"):
        in_package(package)


def test_proofs_for_a_generation_that_there_is_not_are_refused(package: ModuleType) -> None:
    module = Path(str(package.__file__)).with_name("tint.py")
    module.write_text(WAY_OF_TINT.replace("NEW-BM", "NEW-BN"))
    with pytest.raises(ValueError, match="ToyTint has proofs for no generation: NEW-BN"):
        in_package(package)


async def test_nothing_is_planned_written_or_fetched_on_a_miner_that_is_only_read(tmp_path) -> None:
    miner = a_miner(drivable=False)
    plan = Plan(change=Light(on=True), before={})
    with pytest.raises(UnsupportedError, match="is not driven: runs vnish firmware"):
        await miner.plan(plan.change)
    with pytest.raises(UnsupportedError, match="is not driven: runs vnish firmware"):
        await miner.apply(plan, MemoryEffect(VirtualClock()))
    with pytest.raises(UnsupportedError, match="is not driven: runs vnish firmware"):
        await miner.get_log(tmp_path, size_cap_bytes=1000)
