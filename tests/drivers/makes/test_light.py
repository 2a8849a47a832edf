"""What every driver promises of the light."""

from __future__ import annotations

from drivers.base import Light
from tests.drivers.makes.cases import (
    MakeCase,
    Need,
    each,
)


@each(Need.LIGHT, every=True)
async def test_the_light_goes_on_and_off_and_is_seen_to(make: MakeCase, key: str) -> None:
    async with make.begin(key) as on:
        for wish in (True, False):
            evidence = await on.carry_out(Light(on=wish))
            assert (evidence.outcome, evidence.verified) == ("done", True), evidence
            who = {"mac": on.miner.mac}
            assert evidence.before == {"light_on": not wish} | who
            assert evidence.after == {"light_on": wish} | who
            assert on.miner.light is wish
            line = on.ledger("light")[-1]
            assert (line["before"], line["after"]) == ({"on": not wish}, {"on": wish})
        assert len(on.ledger("light")) == len(on.ledger("light", phase="received")) == 2
        assert on.miner.boot == 1


@each(Need.LIGHT, every=True)
async def test_a_light_that_is_as_wished_is_left_alone(make: MakeCase, key: str) -> None:
    async with make.begin(key) as on:
        assert (await on.no_change(Light(on=False))).before["light_on"] is False
        await on.carry_out(Light(on=True))
        assert (await on.no_change(Light(on=True))).before["light_on"] is True
        assert len(on.ledger("light", phase="received")) == 1


@each(Need.LIGHT)
async def test_a_miner_that_says_ok_and_does_nothing_is_found_out(make: MakeCase, key: str) -> None:
    async with make.begin(key, "ignores") as on:
        evidence = await on.carry_out(Light(on=True))
        assert (evidence.outcome, evidence.verified) == ("not_done", True), evidence
        assert evidence.reason == "the light stays off"
        assert not on.ledger("light")


@each(Need.LIGHT)
async def test_a_light_that_comes_late_is_still_done(make: MakeCase, key: str) -> None:
    async with make.begin(key, {"fault": "late_apply", "seconds": make.light_late_s}) as on:
        assert (await on.carry_out(Light(on=True))).outcome == "done"
