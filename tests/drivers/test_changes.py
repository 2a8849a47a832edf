"""How a change finds its way in any make, and to whom none leads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import pytest

from contract.errors import UnsupportedError
from contract.miner import Endpoint, Firmware, Identity, Make
from drivers.antminer.changes import logs
from drivers.antminer.changes import ways as antminer
from drivers.antminer.driver import Antminer
from drivers.base import AnyChange, Change, Light, Plan, Timing
from drivers.driver import Changes
from drivers.iceriver.changes import ways as iceriver
from drivers.registry import DRIVERS
from drivers.whatsminer.changes import ways as whatsminer
from drivers.wire import Wire
from tests.drivers.effects import MemoryEffect
from tests.virtual_time import VirtualClock

WAYS: Mapping[Make, Mapping[type[Change], Any]] = {
    Make.ANTMINER: antminer.WAYS,
    Make.WHATSMINER: whatsminer.WAYS,
    Make.ICERIVER: iceriver.WAYS,
}


def a_miner(*, drivable: bool) -> Antminer:
    identity = Identity(
        make=Make.ANTMINER,
        generation="NEW-GOD",
        firmware=Firmware.STOCK if drivable else Firmware.VNISH,
        drivable=drivable,
        reason=None if drivable else "runs vnish firmware",
    )
    clock, timing = VirtualClock(), Timing()
    endpoint = Endpoint(host="127.0.0.1", rpc_port=9, http_port=9)
    return Antminer(endpoint, Wire(endpoint, clock, timing), clock, timing, None, identity)


@pytest.mark.parametrize("entry", DRIVERS, ids=lambda entry: str(entry.MAKE))
def test_every_change_a_make_declares_has_a_way(entry: Any) -> None:
    ways = {kind.__struct_config__.tag for kind in WAYS[entry.MAKE]}
    for generation in entry.generations():
        assert set(generation.changes) <= ways, generation.generation
    assert set(WAYS[entry.MAKE]) <= set(get_args(AnyChange))


async def test_a_change_the_make_has_no_way_for_is_unsupported() -> None:
    changes = Changes(a_miner(drivable=True), {}, logs)
    with pytest.raises(UnsupportedError, match="miners cannot be asked for light"):
        await changes.plan(Light(on=True))


async def test_nothing_is_planned_written_or_fetched_on_a_miner_that_is_only_read(tmp_path) -> None:
    miner = a_miner(drivable=False)
    plan = Plan(change=Light(on=True), before={})
    with pytest.raises(UnsupportedError, match="is not driven: runs vnish firmware"):
        await miner.plan(plan.change)
    with pytest.raises(UnsupportedError, match="is not driven: runs vnish firmware"):
        await miner.apply(plan, MemoryEffect(VirtualClock()))
    with pytest.raises(UnsupportedError, match="is not driven: runs vnish firmware"):
        await miner.get_log(tmp_path, size_cap_bytes=1000)
