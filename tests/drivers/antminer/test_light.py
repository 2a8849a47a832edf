"""The light: on every generation, and what is said when the miner does not do as told."""

from __future__ import annotations

import pytest

from contract.errors import UnsupportedError
from drivers.base import Light
from tests.drivers.antminer.stage import stage

EVERY = ("s21", "s19pro", "l7", "ks5", "s9", "t17+")


async def test_an_early_s9_has_no_light() -> None:
    async with stage("s9-early") as on:
        with pytest.raises(UnsupportedError, match="blink"):
            await on.driver.plan(Light(on=True))


async def test_without_a_status_script_it_is_done_but_not_verified() -> None:
    async with stage("s21", "no_blink_status") as on:
        evidence = await on.carry_out(Light(on=True))
        assert (evidence.outcome, evidence.verified) == ("done", False)
        assert evidence.reason
        assert on.miner.light


async def test_without_a_status_script_a_lost_answer_is_unknown() -> None:
    async with stage("s21", "no_blink_status", {"fault": "silent_apply", "close": True}) as on:
        evidence = await on.carry_out(Light(on=True))
        assert (evidence.outcome, evidence.verified) == ("unknown", False)
