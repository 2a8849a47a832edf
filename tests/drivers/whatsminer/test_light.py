"""The light: on in every dialect, and what is said when the miner does not do as told."""

from __future__ import annotations

from datetime import timedelta

import pytest

from contract.clock import to_text
from contract.errors import UnsupportedError
from drivers.base import Light, Plan
from tests.drivers.whatsminer.stage import stage

TELLING = ("m50s", "m30s", "m60s-compat", "m60s", "m63s", "m70")


async def test_firmware_that_does_not_tell_its_light_is_done_but_not_verified() -> None:
    async with stage("m20s") as on:
        evidence = await on.carry_out(Light(on=True))
        assert (evidence.outcome, evidence.verified, evidence.signal) == ("done", False, "none")
        assert evidence.before == evidence.after == {"light_on": None, "mac": on.miner.mac}
        await on.miner.clock.sleep(5)  # a script in the background sets it
        assert on.miner.light


async def test_an_intent_outlived_by_a_slow_login_still_gives_the_order_its_time() -> None:
    async with stage("m20s") as on:
        plan = await on.planned(Light(on=True))
        long_ago = on.clock.now() - timedelta(seconds=60)  # a minute of the device
        permit = on.permit({"intent_at": to_text(long_ago)})
        await on.driver.apply(plan, permit)
        assert (await on.driver.verify(plan, permit)).outcome == "done"
        assert on.miner.light


async def test_firmware_that_does_not_tell_its_light_and_gave_no_answer_is_unknown() -> None:
    async with stage("m20s", {"fault": "silent_apply", "close": True}) as on:
        evidence = await on.carry_out(Light(on=True))
        assert (evidence.outcome, evidence.verified) == ("unknown", False)


@pytest.mark.parametrize("fault", ["wrong_key_reply", "wrong_padding", "empty_reply"])
async def test_an_answer_that_cannot_be_read_is_settled_by_looking(fault: str) -> None:
    async with stage("m50s", fault) as on:
        evidence = await on.carry_out(Light(on=True))
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert len(on.ledger("light", phase="received")) == 1


@pytest.mark.parametrize("key", ["m20s-legacy", "m30s-legacy"])
async def test_firmware_without_an_api_for_changes_is_refused_before_anything_is_sent(
    key: str,
) -> None:
    async with stage(key) as on:
        with pytest.raises(UnsupportedError, match="too old"):
            await on.driver.plan(Light(on=True))
        assert on.driver.capabilities is None


async def test_other_lights_set_by_hand_count_as_on() -> None:
    async with stage("m50s") as on:
        on.miner.set_leds({"green": (200, 100, 0)})
        assert isinstance(await on.driver.plan(Light(on=False)), Plan)
        assert (await on.carry_out(Light(on=False))).outcome == "done"
        assert not on.miner.light
