"""How a change finds its way in any make, and to whom none leads."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from contract.errors import UnsupportedError
from contract.miner import Endpoint, Firmware, Identity, Make
from drivers.antminer.changes.logs import fetch_log
from drivers.antminer.driver import Antminer
from drivers.antminer.entry import ANTMINER
from drivers.base import AnyChange, Light, Plan, Timing
from drivers.changes.way import Ways
from drivers.registry import DRIVERS
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


@pytest.mark.parametrize("entry", DRIVERS, ids=lambda entry: str(entry.make))
def test_every_change_a_make_declares_has_a_way(entry: Any) -> None:
    ways = {kind.__struct_config__.tag for kind in entry.ways.changes}
    for generation in entry.generations.values():
        assert set(generation.changes) <= ways, generation.generation
    assert entry.ways.changes <= set(get_args(AnyChange))


@pytest.mark.parametrize("entry", DRIVERS, ids=lambda entry: str(entry.make))
async def test_what_is_only_read_or_not_known_can_do_nothing(entry: Any) -> None:
    wire = Wire(Endpoint(host="127.0.0.1"), VirtualClock(), Timing())
    declared = {name: each for name, each in entry.generations.items() if each.changes}
    for generation in (*entry.generations, None, "v9"):
        for drivable in (True, False):
            identity = Identity(make=entry.make, generation=generation, drivable=drivable)
            driver = entry.open_driver(wire, lambda _: None, identity)
            expected = declared.get(generation) if drivable else None
            assert driver.capabilities is expected


async def test_a_change_the_make_has_no_way_for_is_unsupported() -> None:
    miner = a_miner(drivable=True, ways=Ways(fetch_log=fetch_log))
    with pytest.raises(UnsupportedError, match="miners cannot be asked for light"):
        await miner.plan(Light(on=True))


async def test_nothing_is_planned_written_or_fetched_on_a_miner_that_is_only_read(tmp_path) -> None:
    miner = a_miner(drivable=False)
    plan = Plan(change=Light(on=True), before={})
    with pytest.raises(UnsupportedError, match="is not driven: runs vnish firmware"):
        await miner.plan(plan.change)
    with pytest.raises(UnsupportedError, match="is not driven: runs vnish firmware"):
        await miner.apply(plan, MemoryEffect(VirtualClock()))
    with pytest.raises(UnsupportedError, match="is not driven: runs vnish firmware"):
        await miner.get_log(tmp_path, size_cap_bytes=1000)
