"""`miner-agent act` on IceRivers, for every task name: the proof says what the miner's ledger says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from contract.task import TaskName
from tests.system.acting import acting

# Firmware since September 2023 and from before, which writes all its settings by one form; another algorithm beside.
WRITABLE: Final = ("ks5l", "ks3m", pytest.param("al3", marks=pytest.mark.slow))
POOLS: Final = [
    {"url": "stratum+tcp://pool.example.com:3333", "user": "farm.{ip4}", "password": "secret"},
    {"url": "stratum+tcp://backup.example.com:3333", "user": "farm.backup", "password": "x"},
]


def as_shown(action: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The ledger's side of an effect, as the evidence words it. A password is only said to be there."""
    if action == "light":
        return {"light_on": facts["on"]}
    if action == "pools":
        slots = [slot for slot in facts["pools"] if slot["url"]]
        return {"pools": [{"url": s["url"], "user": s["user"], "password": "****"} for s in slots]}
    return dict(facts)


@pytest.mark.parametrize("key", WRITABLE)
async def test_every_task_is_carried_out_and_its_proof_agrees_with_the_ledger(
    key: str, tmp_path: Path, base: str
) -> None:
    async with acting(f"iceriver/{key}", tmp_path, base) as on:
        lit = await on.act(TaskName.LIGHT, {"action": "on"})
        assert (lit["outcome"], lit["verified"]) == ("done", True)
        on.check("light", lit, as_shown)

        pools = await on.act(TaskName.POOLS, {"pools": POOLS})
        assert (pools["outcome"], pools["verified"]) == ("done", True)
        on.check("pools", pools, as_shown)
        assert "secret" not in json.dumps(pools)

        asleep = await on.act(TaskName.POWER_MODE, {"mode": "sleep"})
        assert (asleep["outcome"], asleep["verified"]) == ("done", True)
        on.check("mode", asleep, as_shown)
        received = on.received()
        again = await on.act(TaskName.POWER_MODE, {"mode": "sleep"})
        assert (again["outcome"], on.received()) == ("done", received)
        awake = await on.act(TaskName.POWER_MODE, {"mode": "normal"})
        assert (awake["outcome"], awake["verified"]) == ("done", True)

        await on.miner.clock.sleep(600)
        refused = await on.act(TaskName.REBOOT, code=1)
        assert refused["error"]["code"] == "policy_refused"
        rebooted = await on.act(TaskName.REBOOT, {"force": True})
        assert (rebooted["outcome"], rebooted["verified"]) == ("done", True)
        assert len(on.applied("reboot")) == 1
        assert (
            rebooted["evidence"]["after"]["elapsed_s"] < rebooted["evidence"]["before"]["elapsed_s"]
        )

        log = await on.act(TaskName.LOG)
        (file,) = (tmp_path / "logs").iterdir()
        assert file.stat().st_size == log["file"]["size_bytes"] > 0

        updated = await on.act(TaskName.FIRMWARE, {"firmware_url": on.image_url})
        assert (updated["outcome"], updated["verified"]) == ("done", True)
        (flashed,) = on.applied("flash")
        evidence = updated["evidence"]
        for side in ("before", "after"):
            assert evidence[side]["firmware_version"].startswith(flashed[side]["version"])
        assert len(on.applied("reboot")) == 2  # its own, and that of the update

        received = on.received()
        for mode in ("low", "high"):
            other = await on.act(TaskName.POWER_MODE, {"mode": mode}, code=1)
            assert other["error"]["code"] == "unsupported_mode"
        locked = await on.act(
            TaskName.POOL_LOCK, {"action": "lock", "url": "http://127.0.0.1/x"}, code=1
        )
        assert locked["error"]["code"] == "unsupported"
        assert on.received() == received
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
