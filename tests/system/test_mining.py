"""Mining off and on through cloud and agent as whole processes: back to the mode before, though the agent knows nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from contract.task import TaskName
from tests.system.site import open_site
from tests.system.witness import shown

MAKES = "antminer/s21:1,antminer/s19xp:1,whatsminer/m60s-compat:1,iceriver/ks5l:1"


@pytest.mark.slow
@pytest.mark.parametrize("reads", [True, False], ids=["read", "not read"])
async def test_a_new_agent_brings_each_miner_back_to_the_mode_that_the_cloud_knows(
    tmp_path: Path, base: str, reads: bool
) -> None:
    telemetry = {"interval_s": 1.0, "slow_every_polls": 1} if reads else {"interval_s": 3600.0}
    async with open_site(
        tmp_path, makes=MAKES, base=base, settings={"telemetry": telemetry}
    ) as site:
        able = [each for each in site.miners if each.key in ("s21", "m60s-compat")]
        tasks: list[Any] = []

        async def done(name: TaskName, miners: Any, params: dict[str, Any]) -> None:
            batch_id = await site.order(name, miners, params)
            ended = await site.ended(batch_id)
            assert {each["status"] for each in ended} == {"succeed"}, ended
            tasks.extend(shown(batch_id, name, ended))

        await done(TaskName.POWER_MODE, able, {"mode": "low"})
        await done(TaskName.MINING, site.miners, {"action": "off"})
        await site.all_reported()
        await site.kill_agent()
        journal = site.rows()
        for path in site.journal.parent.glob("*.db*"):  # its disk is another one
            path.unlink()
        await site.stage.agent.start()
        await done(TaskName.MINING, site.miners, {"action": "on"})

        lines = [msgspec.json.decode(line) for line in site.stage.ledger.read_bytes().splitlines()]
        changes = {
            each.key: [
                (line["action"], *line["after"].values())
                for line in lines
                if line["miner"] == each.mac
                and line["phase"] == "applied"
                and line["before"] != line["after"]
            ]
            for each in site.miners
        }
        assert changes == {
            "s21": [("mode", "3"), ("mode", "1"), ("mode", "3")],
            "s19xp": [("mode", "1"), ("mode", "0")],
            "m60s-compat": [("mode", "low"), ("power_off", False), ("power_on", True)],
            "ks5l": [("mode", "sleep"), ("mode", "normal")],
        }
        assert len(tasks) == len(able) + 2 * len(site.miners)
        assert {row.status for row in journal} == {"succeed"}
