"""`miner-agent act` on IceRivers, for every task name: the proof says what the miner's ledger says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from contract.task import TaskName
from tests.system.acting import acting

# Firmware since September 2023 and from before, which writes all its settings by one form; another algorithm beside.
WRITABLE: Final = ("ks5l", "ks3m", pytest.param("al3", marks=pytest.mark.slow))


def as_shown(action: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The ledger's side of an effect, as the evidence words it. A password is only said to be there."""
    if action == "light":
        return {"light_on": facts["on"]}
    if action == "pools":
        slots = [slot for slot in facts["pools"] if slot["url"]]
        return {"pools": [{"url": s["url"], "user": s["user"], "password": "****"} for s in slots]}
    return dict(facts)


@pytest.mark.slow
@pytest.mark.parametrize("key", WRITABLE)
async def test_every_task_is_carried_out_and_its_proof_agrees_with_the_ledger(
    key: str, tmp_path: Path, base: str
) -> None:
    async with acting(f"iceriver/{key}", tmp_path, base, as_shown) as on:
        on.check("light", await on.done(TaskName.LIGHT, {"action": "on"}))
        await on.check_pools()
        await on.check_mode("sleep")
        await on.done(TaskName.POWER_MODE, {"mode": "normal"})
        await on.check_switch()

        await on.miner.clock.sleep(600)
        await on.check_reboot("elapsed_s")
        await on.check_log()

        evidence = (await on.check_firmware())["evidence"]
        (flashed,) = on.applied("flash")
        for side in ("before", "after"):
            assert evidence[side]["firmware_version"].startswith(flashed[side]["version"])

        await on.check_unsupported("low", "high")
        assert not on.applied("factory_reset")


@pytest.mark.parametrize("user", ['a"b', "a\\b", "a%sb", "x" * 300])
async def test_what_would_break_its_configuration_is_refused_before_a_byte_is_sent(
    user: str, tmp_path: Path, base: str
) -> None:
    async with acting("iceriver/ks5l", tmp_path, base) as on:
        pools = [{"url": "stratum+tcp://pool.example.com:3333", "user": user}]
        result = await on.act(TaskName.POOLS, {"pools": pools}, code=1)
        assert result["error"]["code"] == "bad_params"
        assert on.received() == 0
