"""A rig that mines what a monitor says: the strict server, the agent's client of it, and the service with a real process."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.agent.rig.stage import RigStage
from tests.agent.rigmonitor.rig_stage import rig_client
from tests.agent.rigmonitor.strict_rigs import playbook
from tests.agent.rigmonitor.strict_server import strict_server
from tests.waiting import until

pytestmark = pytest.mark.real_time

CODE = "code-of-the-rig"
MINE = "--no-color --url pool.example.com:3333 --algo rx/0 --user wallet --pass x"


async def test_mining_begins_and_ends_by_what_a_monitor_says_and_by_nothing_else(
    stage: RigStage, tmp_path: Path
) -> None:
    agent = tmp_path / "agent"
    agent.mkdir()
    more = {
        "code": CODE,
        "of_rig": {"playbooks": True},
        "has_service": False,
        "rig_service_socket": str(stage.socket),
        "playbooks_every_s": 1.0,
        "seed": 139,  # with which the first question is asked at once
    }

    async def pid() -> int | None:
        status = await stage.status()
        return None if status is None else status.pid

    async def asked(times: int) -> None:
        wanted = len(rig.asked_times) + times
        await until(lambda: len(rig.asked_times) >= wanted)

    async with stage.running(), strict_server() as server:
        rig = server.rigs.add(CODE, playbooks=[playbook(command_argument=MINE)])
        async with rig_client(agent, server.url, **more) as at:
            await until(pid)
            mining = await pid()
            rig.playbooks = {"errors": {"detail": "Internal Server Error"}}
            await asked(2)
            rig.playbooks = [playbook(command_argument=MINE + " ; rm -rf /")]
            await until(lambda: "a playbook is refused by this host" in at.monitor.state)
            assert await pid() == mining
        rig.playbooks = []  # which the next client hears once, before it hears of something else
        async with rig_client(agent, server.url, **more) as at:
            await asked(1)
            rig.playbooks = [playbook(command_argument=MINE)]
            await asked(2)
            assert await pid() == mining
            assert at.monitor.state == "ok"
            rig.playbooks = [playbook(command_argument=MINE, expected_status="stop")]

            async def is_ended() -> bool:
                return await pid() is None

            await until(is_ended)
        assert server.faults == []
