"""The time an order is given counts from the order, whatever lay between it and the intent."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from contract.clock import to_text
from contract.errors import MinerError
from contract.miner import PowerMode
from drivers.base import AnyChange, Light, Mode, Pools, PoolSetting, Reboot
from tests.drivers.antminer import stage as antminer
from tests.drivers.effects import MemoryEffect
from tests.drivers.iceriver import stage as iceriver
from tests.drivers.whatsminer import stage as whatsminer

LOW, SLEEP = Mode(mode=PowerMode.LOW), Mode(mode=PowerMode.SLEEP)
NEW = Pools(pools=(PoolSetting(url="stratum+tcp://new.example.com:3333", user="u.w"),))


def begun_ago(on: Any, seconds: float) -> MemoryEffect:
    """An intent of so long ago, as after a crash before the first byte."""
    at = on.clock.now() - timedelta(seconds=seconds)
    return on.effect({"intent_at": to_text(at)})


@pytest.mark.parametrize(
    ("make", "key", "late_s", "change"),
    [
        (whatsminer, "m50s", 2.0, LOW),
        (whatsminer, "m60s", 20.0, Light(on=True)),
        (iceriver, "ks5m", 15.0, NEW),
        (antminer, "s19pro", 30.0, NEW),
    ],
)
async def test_a_setting_sent_anew_after_a_crash_has_all_its_time(
    make: Any, key: str, late_s: float, change: AnyChange
) -> None:
    late = {"fault": "late_apply", "seconds": late_s}
    async with make.stage(key, late, late=True) as on:
        plan, effect = await on.driver.plan(change), begun_ago(on, 400.0)
        await on.driver.apply(plan, effect)
        evidence = await on.driver.verify(plan, effect)
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert len(on.ledger(phase="applied")) == 1


@pytest.mark.parametrize(
    ("make", "key", "change"),
    [
        (iceriver, "ks5m", NEW),
        (iceriver, "ks5m", Light(on=True)),
        (iceriver, "ks5m", SLEEP),
        (antminer, "s19pro", Light(on=True)),
    ],
)
async def test_an_answer_that_does_not_come_leaves_the_order_its_time(
    make: Any, key: str, change: AnyChange
) -> None:
    async with make.stage(key, late=True, write_s=200.0) as on:
        tag = change.__struct_config__.tag
        looked_for_s = [p.latest_s for p in on.driver.capabilities.proofs if p.change == tag]
        assert max(looked_for_s) < 200.0
        plan, effect = await on.driver.plan(change), on.effect()
        slow = {"fault": "slow_cgi", "seconds": 208.0, "times": 1}
        on.faults.replace([slow | {"match": ["/user/", "POST /cgi-bin/blink.cgi"]}])
        with pytest.raises(MinerError):
            await on.driver.apply(plan, effect)
        evidence = await on.driver.verify(plan, effect)
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence


async def test_a_reboot_that_waited_for_a_free_token_has_all_its_time() -> None:
    async with whatsminer.stage("m50s") as on:
        await on.driver.tokens.write({"cmd": "set_led", "param": "auto"}, on.effect())
        on.miner.tokens.clear()  # what it holds is refused, and no other is to be had for three minutes
        late = {"fault": "late_apply", "actions": ["reboot"], "seconds": 30}
        on.faults.replace([{"fault": "busy_slots", "times": 1}, late])
        evidence = await on.carry_out(Reboot(force=True))
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert len(on.ledger("reboot")) == 1


async def test_a_script_that_begins_late_is_not_taken_for_a_firmware_without_low_power() -> None:
    late = {"fault": "late_apply", "seconds": 60}
    async with antminer.stage("l7", late, late=True) as on:
        plan, effect = await on.driver.plan(LOW), on.effect()
        with suppress(MinerError):
            await on.driver.apply(plan, effect)
        assert (await on.driver.verify(plan, effect)).outcome == "done"
