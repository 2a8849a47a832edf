"""When a miner that is not where it was is to be looked for."""

from __future__ import annotations

import asyncio

import pytest

from agent.miners.missing import (
    AGAIN_S,
    AT_MOST_S,
    AT_ONE_MOST,
    BOOT_S,
    GATHER_S,
    GIVE_UP_S,
    Missing,
)
from contract.clock import Clock
from contract.errors import UnreachableError
from contract.link import MinerRef
from contract.miner import Identity, Make
from tests.agent.miners.test_fleet import MACS, fleet_over, miner
from tests.virtual_time import loop_clock

WHO = Identity(make=Make.ANTMINER)
A, B = MACS[1], MACS[2]


def table() -> tuple[Missing, Clock]:
    clock = loop_clock()
    return Missing(clock), clock


async def waited_for(missing: Missing, clock: Clock) -> tuple[list[str], float]:
    """Which are due next, and after how long."""
    began = clock.mono()
    due = await missing.due()
    return [each.mac for each in due], round(clock.mono() - began, 1)


async def test_what_is_lost_together_is_looked_for_together_and_soon() -> None:
    missing, clock = table()
    waiting = asyncio.create_task(waited_for(missing, clock))
    await asyncio.sleep(100.0)
    missing.lose(A, "10.0.0.1", WHO)
    await asyncio.sleep(GATHER_S / 2)
    missing.lose(B, "10.0.0.2", WHO)
    assert await waiting == ([A, B], 100.0 + GATHER_S)
    assert missing.addresses == {"10.0.0.1", "10.0.0.2"}
    missing.find(B, "10.0.0.9")
    assert (A in missing, B in missing, len(missing)) == (True, False, 1)


async def test_what_is_not_found_is_looked_for_ever_more_seldom_and_then_no_more() -> None:
    missing, clock = table()
    missing.lose(A, "10.0.0.1", WHO)
    lost_mono, waits = clock.mono(), []
    while clock.mono() - lost_mono <= GIVE_UP_S:
        due = await missing.due()
        waits.append(clock.mono() - lost_mono - sum(waits))
        missing.tried(due)
    assert [round(each, 1) for each in waits[:5]] == [GATHER_S, *[AGAIN_S * 2**n for n in range(4)]]
    assert set(map(round, waits[10:])) == {AT_MOST_S}
    missing.lose(B, "10.0.0.2", WHO)
    assert (await waited_for(missing, clock))[0] == [B]
    assert A in missing  # and is found by whoever meets it
    missing.find(B, "10.0.0.9")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(10 * AT_MOST_S):
            await missing.due()
    missing.find(A, "10.0.0.9")
    assert A not in missing


async def test_one_that_only_restarts_is_looked_for_less_each_time() -> None:
    missing, clock = table()
    waits = []
    for _ in range(4):
        missing.lose(A, "10.0.0.1", WHO)
        waits.append((await waited_for(missing, clock))[1])
        missing.tried(await missing.due())
        missing.find(A, "10.0.0.1")
        assert not missing.addresses
    assert waits == [GATHER_S, AGAIN_S, 2 * AGAIN_S, 4 * AGAIN_S]
    await asyncio.sleep(AT_MOST_S + 1)
    missing.lose(A, "10.0.0.1", WHO)
    assert await waited_for(missing, clock) == ([A], GATHER_S)


async def test_one_that_was_ordered_about_has_the_time_of_a_boot_to_be_back() -> None:
    missing, clock = table()
    missing.expect("10.0.0.1")
    missing.lose(A, "10.0.0.1", WHO)
    assert await waited_for(missing, clock) == ([A], BOOT_S)


async def test_the_fleet_knows_whom_it_misses() -> None:
    world = {f"10.0.0.{n}": miner(MACS[n]) for n in (1, 2, 3, 4, 5)}
    world["10.0.0.6"] = miner(None)
    fleet = fleet_over(world)
    for ip in (*world, "10.0.0.6"):
        await fleet.look_at(ip)
    assert not fleet.members.missing.addresses
    # One does not answer, at another's address a third one is met, at the next something that is no miner.
    del world["10.0.0.1"], world["10.0.0.6"]
    world |= {"10.0.0.2": miner(MACS[8]), "10.0.0.3": None}
    for ip in ("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.6"):
        try:
            await fleet.look_at(ip)
        except UnreachableError:
            assert ip in {"10.0.0.1", "10.0.0.6"}
    assert [mac in fleet.members.missing for mac in MACS[:9]] == [
        False,
        True,
        True,
        True,
        *[False] * 5,
    ]
    # It answers again; it is met elsewhere.
    world |= {"10.0.0.1": miner(MACS[1]), "10.0.0.20": miner(MACS[2])}
    await fleet.look_at("10.0.0.1")
    await fleet.look_at("10.0.0.20")
    assert fleet.members.missing.addresses == {"10.0.0.3"}
    # Two that changed places miss nobody.
    world["10.0.0.4"], world["10.0.0.5"] = world["10.0.0.5"], world["10.0.0.4"]
    await fleet.look_at("10.0.0.4")
    assert fleet.members.missing.addresses == {"10.0.0.3"}


async def test_a_task_gives_its_miner_time_to_come_back_by_itself() -> None:
    world = {"10.0.0.1": miner(A)}
    fleet, clock = fleet_over(world), loop_clock()
    await fleet.driver_for(MinerRef(id="a", mac=A, last_ip="10.0.0.1"), max_age_s=60.0)
    fleet.members.note_silence("10.0.0.1")
    assert await waited_for(fleet.members.missing, clock) == ([A], BOOT_S)
    fleet.members.note_answer("10.0.0.1")
    assert A not in fleet.members.missing


async def test_of_many_that_were_lost_at_one_address_the_first_are_looked_for() -> None:
    missing, clock = table()
    liars = [f"02:AA:00:00:00:{number:02X}" for number in range(AT_ONE_MOST + 2)]
    missing.lose(A, "10.0.0.1", WHO)
    for mac in liars:
        missing.lose(mac, "10.0.0.1", WHO)
    missing.lose(B, "10.0.0.2", WHO)
    wanted = [A, *liars[: AT_ONE_MOST - 1], B]
    assert (await waited_for(missing, clock))[0] == wanted
    # One of them is met elsewhere: there is room for another. So there is a day later, when they are given up.
    missing.find(liars[0], "10.0.0.9")
    missing.lose(liars[-1], "10.0.0.1", WHO)
    assert (liars[0] in missing, liars[-1] in missing) == (False, True)
    await asyncio.sleep(GIVE_UP_S + 1)
    missing.tried(await missing.due())
    missing.lose(liars[-2], "10.0.0.1", WHO)
    assert [mac in missing for mac in (A, liars[-1], liars[-2], B)] == [False, False, True, True]
    # One that comes back each time under another name takes no more room than that.
    for number in range(100):
        mac = f"02:BB:00:00:00:{number:02X}"
        missing.lose(mac, "10.0.0.3", WHO)
        missing.find(mac, "10.0.0.3")
    assert len(missing) == 2
    missing.lose("02:CC:00:00:00:01", "10.0.0.3", WHO)
    assert "02:CC:00:00:00:01" not in missing
    await asyncio.sleep(AT_MOST_S + 1)
    missing.lose("02:CC:00:00:00:01", "10.0.0.3", WHO)
    assert "02:CC:00:00:00:01" in missing
