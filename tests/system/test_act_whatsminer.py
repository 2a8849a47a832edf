"""`miner-agent act` on a WhatsMiner of each dialect, for every task name: the proof says what the miner's ledger says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from contract.task import TaskName
from tests.system.acting import POOLS, acting

# v2 and v3 each time, v1 and v2-compat with the slow ones: each case starts a dozen processes.
WRITABLE: Final = (
    "m50s",
    "m60s",
    pytest.param("m20s", marks=pytest.mark.slow),
    pytest.param("m60s-compat", marks=pytest.mark.slow),
)


def as_shown(action: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The ledger's side of an effect, as the evidence words it. What a miner never tells is not in there."""
    if action == "light":
        return {"light_on": facts["on"]}
    if action == "pools":
        return {"pools": [{"url": s["url"], "user": s["user"]} for s in facts["pools"] if s["url"]]}
    if action == "power_limit":  # 0 is the limit of the firmware, which not all tell as such
        return {"watts": facts["power_limit"]} if facts["power_limit"] else {}
    if action == "flash":
        return {"firmware_version": facts["version"]}
    return dict(facts)


@pytest.mark.slow
@pytest.mark.parametrize("key", WRITABLE)
async def test_every_task_is_carried_out_and_its_proof_agrees_with_the_ledger(
    key: str, tmp_path: Path, base: str
) -> None:
    async with acting(f"whatsminer/{key}", tmp_path, base, as_shown) as on:
        lit = await on.act(TaskName.LIGHT, {"action": "on"})
        assert lit["outcome"] == "done"
        if key == "m20s":  # this firmware does not tell: said so, and not called verified
            assert not lit["verified"]
            await on.miner.clock.sleep(5)
            assert on.applied("light")[0]["after"] == {"on": True}
        else:
            assert lit["verified"]
            on.check("light", lit)

        await on.check_pools()
        limit = {"watts": 2800}
        if key == "m20s":
            refused = await on.act(TaskName.POWER_LIMIT, limit, code=1)
            assert refused["error"]["code"] == "unsupported"
            assert "power mode: low, normal, high" in refused["error"]["message"]
        else:
            limited = await on.done(TaskName.POWER_LIMIT, limit)
            on.check("power_limit", limited)
            assert "measured watts" in limited["evidence"]["signal"]
        await on.check_mode("low")
        await on.check_switch()
        assert on.miner.mode == "low"

        await on.miner.clock.sleep(300)
        await on.check_reboot("uptime_s")
        await on.check_log()
        on.check("flash", await on.check_firmware())
        await on.check_unsupported("sleep")


async def test_on_legacy_firmware_every_change_is_refused_with_the_way_out(
    tmp_path: Path, base: str
) -> None:
    async with acting("whatsminer/m30s-legacy", tmp_path, base) as on:
        for name, params in (
            (TaskName.LIGHT, {"action": "on"}),
            (TaskName.POWER_MODE, {"mode": "low"}),
            (TaskName.MINING, {"action": "off"}),
            (TaskName.POWER_LIMIT, {"watts": 2800}),
            (TaskName.POOLS, {"pools": POOLS}),
            (TaskName.REBOOT, {"force": True}),
            (TaskName.LOG, None),
        ):
            result = await on.act(name, params, code=1)
            assert result["error"]["code"] == "unsupported"
            assert "WhatsMinerTool" in result["error"]["message"]
        assert not on.farm.ledger.entries


@pytest.mark.parametrize(
    ("key", "fault", "code", "word"),
    [
        ("m50s", "write_disabled", "write_disabled", "WhatsMinerTool"),
        ("m60s", "write_disabled", "write_disabled", "WhatsMinerTool"),
        ("m50s", "wrong_password", "auth_failed", "credentials"),
        ("m60s", "wrong_password", "auth_failed", "credentials"),
        ("m60s", "locked_account", "auth_failed", "locked"),
        ("m50s", "busy_slots", "busy", "token"),
        ("m50s", "ignores", "not_verified", "light stays off"),
        ("m60s", "ignores", "not_verified", "light stays off"),
    ],
)
async def test_each_trouble_has_its_own_code_and_tells_the_fix(
    key: str, fault: str, code: str, word: str, tmp_path: Path, base: str
) -> None:
    async with acting(f"whatsminer/{key}", tmp_path, base) as on:
        on.miner.faults.add(fault)
        result = await on.act(TaskName.LIGHT, {"action": "on"}, code=1)
        assert result["error"]["code"] == code
        assert word in result["error"]["message"]
        assert not on.applied("light")
