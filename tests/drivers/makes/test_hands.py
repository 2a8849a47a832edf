"""What every driver promises of whom it speaks to: nothing is planned for, sent to or claimed of another miner than the
one that is meant, though it came to the address a moment ago.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from contract.errors import MinerError, OutcomeUnknownError, WrongDeviceError
from drivers.base import AnyChange, Plan, Reboot
from drivers.changes import firmware
from tests.drivers.effects import MemoryEffect
from tests.drivers.makes.cases import (
    FORCE,
    MAKES,
    A,
    MakeCase,
    Need,
    each,
    each_change,
    pools,
)

CHANGES = (
    Need.LIGHT,
    Need.POOLS,
    Need.MODE,
    Need.POWER_LIMIT,
    Need.REBOOT,
    Need.FIRMWARE,
)


def change_of(make: MakeCase, need: Need, on: Any, folder: Path) -> AnyChange:
    """What is asked for; with a stranger that has the same, for it is one of a kind."""
    return on.newer(folder) if need is Need.FIRMWARE else make.change(need)


async def sent(on: Any, plan: Plan, permit: MemoryEffect) -> None:
    """The order given, whether it is answered or not."""
    with suppress(OutcomeUnknownError):
        await on.driver.apply(plan, permit)


@each_change(Need.LIGHT, Need.POOLS, Need.MODE, Need.POWER_LIMIT)
async def test_another_miner_that_is_as_wished_is_no_proof(
    make: MakeCase, key: str, need: Need
) -> None:
    async with make.begin(key, stranger=True) as on:
        change = make.change(need)
        on.change_hands()
        on.driver = await on.open_driver(on.stranger, on.driver.timing)
        assert (await on.carry_out(change)).outcome == "done"
        on.driver = on.another_driver()
        on.change_hands()
        with pytest.raises(WrongDeviceError, match=on.miner.mac):
            await on.driver.plan(change)
        assert {line["miner"] for line in on.ledger(phase="received")} == {on.stranger.mac}


@each(Need.LIGHT)
async def test_another_make_at_the_address_is_another_miner(make: MakeCase, key: str) -> None:
    other = next(each for each in MAKES if each is not make)
    async with make.begin(key) as on, other.begin(other.models[0]) as there:
        await on.miner.stop()
        for kind, listener in there.miner.listeners.items():
            listener.close()
            listener.port = on.farm.ports.get(kind, listener.port)
        there.miner.move_to(on.miner.ip)
        with pytest.raises(MinerError):
            await on.driver.plan(make.change(Need.LIGHT))
        assert not there.ledger(phase="received")


@each(Need.REBOOT)
async def test_what_another_miner_is_at_is_no_reason_to_refuse(make: MakeCase, key: str) -> None:
    async with make.begin(key, stranger=True) as on:
        on.change_hands()
        with pytest.raises(WrongDeviceError):  # and not, that it hashes
            await on.driver.plan(Reboot())


@each_change(*CHANGES)
async def test_nothing_is_planned_for_another_miner_or_sent_to_it(
    make: MakeCase, key: str, need: Need, tmp_path: Path
) -> None:
    async with make.begin(key, stranger=True) as on:
        change, permit = change_of(make, need, on, tmp_path), on.permit()
        plan = await on.planned(change)
        on.change_hands()
        with pytest.raises(WrongDeviceError, match=on.stranger.mac):
            await on.driver.apply(plan, permit)
        with pytest.raises(WrongDeviceError, match=on.stranger.mac):
            await on.driver.plan(change)
        assert permit.sent == 0
        assert not on.ledger(phase="received")


@each_change(*CHANGES)
async def test_what_another_miner_shows_afterwards_is_not_taken_for_the_outcome(
    make: MakeCase, key: str, need: Need, tmp_path: Path
) -> None:
    async with make.begin(key, stranger=True) as on:
        plan, permit = await on.planned(change_of(make, need, on, tmp_path)), on.permit()
        await sent(on, plan, permit)
        on.change_hands()
        with pytest.raises(WrongDeviceError, match=on.stranger.mac):
            await on.driver.verify(plan, permit)
        assert {line["miner"] for line in on.ledger(phase="received")} <= {on.miner.mac}


@each(Need.REBOOT)
async def test_a_plan_that_outlived_a_crash_knows_whose_it_is(make: MakeCase, key: str) -> None:
    async with make.begin(key, stranger=True) as on:
        plan, permit = await on.planned(FORCE), on.permit()
        await sent(on, plan, permit)
        on.change_hands()
        driver = await on.open_driver(on.stranger, on.driver.timing)  # all that the agent knows now
        with pytest.raises(WrongDeviceError, match=on.stranger.mac):
            await driver.verify(plan, on.permit(permit.notes))


class Relay(MemoryEffect):
    """Another miner comes to the address once the file is uploaded."""

    on: Any = None

    async def note(self, key: str, value: Any) -> None:
        await super().note(key, value)
        if key == firmware.UPLOADED_NOTE:
            self.on.change_hands()


@each(Need.FIRMWARE)
async def test_the_reboot_behind_an_upload_does_not_reach_another_miner(
    make: MakeCase, key: str, tmp_path: Path
) -> None:
    async with make.begin(key, stranger=True) as on:
        plan, permit = await on.planned(on.newer(tmp_path)), Relay(on.clock)
        permit.on = on
        try:
            await on.driver.apply(plan, permit)
        except WrongDeviceError:
            assert not make.can(Need.OWN_RESTART, key)
        else:
            assert make.can(Need.OWN_RESTART, key)
        assert on.stranger.boot == 1
        assert {line["miner"] for line in on.ledger(phase="received")} == {on.miner.mac}


@each(Need.LOG)
async def test_the_log_of_another_miner_is_not_taken(
    make: MakeCase, key: str, tmp_path: Path
) -> None:
    async with make.begin(key, stranger=True) as on:
        on.change_hands()
        with pytest.raises(WrongDeviceError, match=on.stranger.mac):
            await on.driver.get_log(tmp_path, size_cap_bytes=8_000_000)
        assert not [*tmp_path.iterdir()]


@each(Need.POOLS, without=Need.SERIAL)
async def test_a_miner_that_tells_no_mac_is_not_certain_to_be_the_one_that_is_meant(
    make: MakeCase, key: str
) -> None:
    async with make.begin(key) as on:
        plan, permit = await on.planned(pools(A)), on.permit()
        for told in ("00:00:00:00:00:00", "FF:FF:FF:FF:FF:FF", ""):
            on.faults.add("changes_mac", mac=told)
            with pytest.raises(WrongDeviceError, match="does not tell"):
                await on.driver.apply(plan, permit)
            on.faults.remove("changes_mac")
        on.faults.add("changes_mac", mac="")
        with pytest.raises(WrongDeviceError, match="does not tell"):
            await on.driver.plan(pools(A))
        assert not on.ledger(phase="received")
        on.faults.remove("changes_mac")
        await sent(on, plan, permit)
        on.faults.add("changes_mac", mac="")
        evidence = await on.driver.verify(plan, permit)
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
        assert "does not tell" in evidence.reason


@each(Need.SERIAL)
async def test_without_a_mac_the_serial_number_tells(make: MakeCase, key: str) -> None:
    async with make.begin(key, stranger=True) as on:
        for miner in (on.miner, on.stranger):
            miner.faults.add("changes_mac", mac="")
        assert (await on.carry_out(pools(A))).outcome == "done"
        on.change_hands()
        with pytest.raises(WrongDeviceError, match=on.stranger.serial):
            await on.driver.plan(pools(A))


@each(Need.POOLS)
async def test_how_a_mac_is_spelt_does_not_matter(make: MakeCase, key: str) -> None:
    async with make.begin(key) as on:
        on.faults.add("changes_mac", mac=on.miner.mac.lower().replace(":", "-"))
        evidence = await on.carry_out(pools(A))
        assert evidence.outcome == "done", evidence
        assert evidence.before["mac"] == evidence.after["mac"] == on.miner.mac
