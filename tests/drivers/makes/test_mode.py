"""What every driver promises of the power mode of a miner, whatever the make. See `makes.py`."""

from __future__ import annotations

import msgspec

from contract.condition.judgement import MinerState, MinerTrouble, look_of
from contract.miner import PowerMode
from drivers.base import Depth, Mode
from tests.drivers.makes.cases import MakeCase, Need, each


@each(Need.MODE)
async def test_a_mode_that_is_as_wished_is_not_written(make: MakeCase, key: str) -> None:
    async with make.begin(key) as on:
        found = await on.no_change(Mode(mode=PowerMode.NORMAL))
        assert found.before[make.mode_field] == "normal"
        assert not on.ledger(phase="received")


@each(Need.MODE)
async def test_a_liar_is_found_out(make: MakeCase, key: str) -> None:
    async with make.begin(key, "ignores") as on:
        evidence = await on.carry_out(make.mode)
        assert (evidence.outcome, evidence.verified) == ("not_done", True), evidence
        assert make.ignored_mode in evidence.reason
        assert not on.ledger("mode")


@each(Need.MODE)
async def test_a_mode_that_comes_late_is_still_done(make: MakeCase, key: str) -> None:
    async with make.begin(key, {"fault": "late_apply", "seconds": make.mode_late_s}) as on:
        assert (await on.carry_out(make.mode)).outcome == "done"


@each(Need.MODE)
async def test_no_password_is_in_the_evidence(make: MakeCase, key: str) -> None:
    async with make.begin(key) as on:
        on.slots[0]["pass"] = "verysecret"
        evidence = await on.carry_out(make.mode)
        assert on.slots[0]["pass"] == "verysecret"
        assert "verysecret" not in repr((evidence.before, evidence.after, evidence.reason))


@each(Need.LOW)
async def test_in_mode_low_it_is_not_called_broken(make: MakeCase, key: str) -> None:
    async with make.begin(key) as on:
        assert (await on.carry_out(Mode(mode=PowerMode.LOW))).outcome == "done"
        await on.clock.sleep(3600.0)
        reading = await on.driver.read(Depth.FULL)
        look = look_of(reading.moving, reading.slow, reading.static)
        assert (look.state, look.symptoms) == (MinerState.HASHING, ())
        assert look.expected_hs is not None
        # That it is low is no excuse for everything.
        broken = msgspec.structs.replace(reading.moving, hashrate_hs=0.7 * look.expected_hs)
        symptoms = look_of(broken, reading.slow, reading.static).symptoms
        assert [each.trouble for each in symptoms] == [MinerTrouble.LOW_RATE]
