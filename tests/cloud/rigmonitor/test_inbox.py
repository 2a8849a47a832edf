"""Logs of many machines at once: few transactions, and nobody suffers from a neighbour."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from cloud.rigmonitor.inbox import Inbox
from cloud.store.engine import DatabaseError
from cloud.store.miners.rigs import Log, find_rig
from contract.miner import Moving, Slow
from contract.rigmonitor.shared import MachineKind
from tests.cloud.rigmonitor.conftest import Machine


@pytest.fixture
def inbox(machine: Machine) -> Inbox:
    cloud = machine.cloud
    return Inbox(cloud.store, cloud.settings, cloud.clock)


async def log_of(machine: Machine, hashrate_hs: float, **changes: Any) -> Log:
    rig = await find_rig(machine.cloud.store, MachineKind.ASIC, machine.code)
    assert rig is not None
    moving = Moving(hashrate_hs=hashrate_hs)
    return Log(
        rig=msgspec.structs.replace(rig, **changes),
        moving=moving,
        slow=Slow(),
        ip="127.0.0.9",
        said={},
    )


async def rates(machine: Machine) -> list[float]:
    _, body = await machine.ask("GET", "miner/latest", params={"pageSize": "100"})
    return sorted(item["hashrate"] for item in body["data"])


async def test_logs_that_come_together_are_stored_together(machine: Machine, inbox: Inbox) -> None:
    machines = [machine, *[await machine.another(f"KS-1{number}") for number in range(29)]]
    logs = [await log_of(each, float(number)) for number, each in enumerate(machines)]
    commits: list[object] = []
    sa.event.listen(machine.cloud.store.engine.sync_engine, "commit", commits.append)
    await asyncio.gather(*(inbox.put(log) for log in logs))
    assert len(commits) <= 2
    assert await rates(machine) == [float(number) for number in range(30)]


async def test_two_logs_of_one_machine_end_as_one_miner_with_the_later(
    machine: Machine, inbox: Inbox
) -> None:
    first, second = await log_of(machine, 1.0), await log_of(machine, 3.0)
    await asyncio.gather(inbox.put(first), inbox.put(second))
    item = await machine.miner()
    assert (item["hashrate"], item["hashrate_24h"]) == (3.0, 2.0)


async def test_a_log_that_cannot_be_stored_does_not_take_its_neighbours_along(
    machine: Machine, inbox: Inbox
) -> None:
    other = await machine.another()
    good, also_good = await log_of(machine, 1.0), await log_of(other, 2.0)
    bad = await log_of(machine, 3.0, id="no-such-machine", farm_id="no-such-farm")
    done = await asyncio.gather(
        *(inbox.put(log) for log in (good, bad, also_good)), return_exceptions=True
    )
    assert (done[0], done[2]) == (None, None)
    assert isinstance(done[1], DatabaseError)
    assert await rates(machine) == [1.0, 2.0]
    with pytest.raises(DatabaseError):
        await inbox.put(bad)


async def test_what_was_taken_is_stored_though_its_caller_went_away(
    machine: Machine, inbox: Inbox
) -> None:
    log = await log_of(machine, 5.0)
    async with machine.cloud.store.write():  # the writer has to wait
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):  # it ends when it waits for the first time
                await inbox.put(log)
    await inbox.close()
    assert await rates(machine) == [5.0]
    await inbox.put(await log_of(machine, 6.0))  # and it goes on
    assert await rates(machine) == [6.0]


async def test_what_could_not_be_stored_is_logged_when_nobody_is_left_to_be_told(
    machine: Machine, inbox: Inbox
) -> None:
    bad = await log_of(machine, 3.0, id="no-such-machine", farm_id="no-such-farm")
    with capture_logs() as said:
        async with machine.cloud.store.write():
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await inbox.put(bad)
        await inbox.close()
    [entry] = said
    assert (entry["event"], entry["rig"]) == ("rig_inbox.lost", "no-such-machine")
    assert isinstance(entry["exc_info"], DatabaseError)


async def test_a_bug_of_ours_is_raised_where_the_log_came_from_and_hangs_nobody(
    machine: Machine, inbox: Inbox
) -> None:
    good = await log_of(machine, 1.0)
    odd = replace(await log_of(machine, 2.0), rig=None)
    with capture_logs() as said:
        done = await asyncio.gather(inbox.put(good), inbox.put(odd), return_exceptions=True)
    assert done[0] is None
    assert isinstance(done[1], AttributeError)
    [entry] = said
    assert (entry["event"], entry["logs"], entry["exc_info"]) == ("rig_inbox.one_by_one", 2, True)


async def test_a_writer_that_is_cancelled_ends_as_cancelled(machine: Machine, inbox: Inbox) -> None:
    log = await log_of(machine, 5.0)
    async with machine.cloud.store.write():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await inbox.put(log)
        [writer] = [each for each in asyncio.all_tasks() if each.get_name() == "rig_inbox"]
        writer.cancel()
        await asyncio.wait({writer})
        assert writer.cancelled()
    assert await rates(machine) == []
