"""`miner-cloud update`, as a person and as a script use it, and what `agent list` shows."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cloud.cli.commands import app
from tests.cloud.conftest import Cloud
from tests.cloud.release.test_commands import Desk
from tests.cloud.updates.fleet import BACK, DONE, UNKNOWN, Fleet, fleet_of
from tests.waiting import until


@pytest.fixture
async def fleet(cloud: Cloud) -> Fleet:
    return await fleet_of(cloud, 3)


async def run(fleet: Fleet, *words: str, status: int = 0) -> tuple[str, str]:
    """Beside the cloud that the test serves: a command has a loop of its own."""
    env = {"MINER_CLOUD_URL": fleet.cloud.base, "MINER_CLOUD_KEY": fleet.cloud.key}
    done = await asyncio.to_thread(CliRunner().invoke, app, words, env=env)
    assert done.exit_code == status, (done.output, done.exception)
    return done.stdout, done.stderr


async def told(fleet: Fleet, *words: str, status: int = 0) -> Any:
    out, _ = await run(fleet, *words, "--json", status=status)
    return json.loads(out)


START = ("update", "start", "--to", "0.3.0")
SKIPPED = (
    "skipped, unsupported_agent: Task skipped: no release of its own: a container, a checkout, or a version that takes no "
    "updates yet; update it on its host: pi-2 (v0.2.0) (1)"
)


async def test_what_is_meant_is_shown_first_and_the_command_that_does_it_is_told(
    fleet: Fleet,
) -> None:
    fleet.agents["pi-2"].release = None
    await fleet.agents["pi-2"].beat()
    shown, _ = await run(fleet, *START, "--at-once", "2", "--first", "pi-3", "--dry-run")
    assert shown.splitlines() == [
        "3 agents are meant, 1 is skipped",
        "2 are updated, 2 at a time after the first",
        "  pi-3 of farm-3  v0.2.0  first",
        "  pi-1 of farm-1  v0.2.0",
        SKIPPED,
        "",
        "To do it:",
        "  miner-cloud update start --to 0.3.0 --first pi-3 --at-once 2 --expect 3",
    ]
    out, err = await run(fleet, *START, status=2)
    assert out == ""
    assert "miner-cloud update start --to 0.3.0 --expect 3" in err
    assert "nothing was done" in err
    _, err = await run(fleet, *START, "--expect", "2", status=1)
    assert "3 agents are meant now, and expect_count is 2" in err
    _, err = await run(fleet, *START, "--agent", "pi-1", "--farm", "farm-1", status=2)
    assert "--agent names the agents" in err
    assert await fleet.cloud.count_tasks() == 0
    shown, _ = await run(fleet, *START, "--agent", "pi-1", "--dry-run")
    assert shown.splitlines()[:2] == ["1 agent is meant, 0 are skipped", "1 is updated"]
    assert shown.endswith("To do it:\n  miner-cloud update start --to 0.3.0 --agent pi-1\n")
    plan = await told(fleet, "update", "start", "--farm", "farm-1", "--farm", "farm-3", "--dry-run")
    assert [each["name"] for each in plan["agents"]] == ["pi-1", "pi-3"]
    assert plan["task_params"] is None


async def ended(fleet: Fleet, name: str, state: str, result: dict[str, Any]) -> None:
    """That agent is given its task, sooner or later, and ends it so."""

    async def has_it() -> bool:
        await fleet.cloud.sweeper.sweep()
        return bool(await fleet.agents[name].ask())

    await until(has_it)
    await fleet.end(name, state, result)


@pytest.mark.parametrize(
    ("state", "result", "status", "word"),
    [
        ("succeed", DONE, 0, "done"),
        ("failed", BACK, 1, "stopped"),
        ("failed", UNKNOWN, 3, "stopped"),
    ],
)
async def test_it_is_followed_to_its_end(
    fleet: Fleet, state: str, result: dict[str, Any], status: int, word: str
) -> None:
    words = (*START, "--agent", "pi-1", "--agent", "pi-2", "--wait")
    following = asyncio.create_task(run(fleet, *words, status=status))
    await ended(fleet, "pi-1", "succeed", DONE)
    await ended(fleet, "pi-2", state, result)
    out, _ = await following
    # Lines of the log of the cloud that serves beside it are among them.
    lines = out.splitlines()
    assert "2 agents, 0 skipped" in lines
    assert any(line.startswith(f"{word}: ") for line in lines)
    [update] = [line for line in lines if line.startswith("update ")]
    shown, _ = await run(fleet, "update", "show", update.removeprefix("update "))
    assert "pi-1   farm-1  succeed  0.2.0 aaaaaaaaaaaa  0.3.0 bbbbbbbbbbbb" in shown
    listed, _ = await run(fleet, "update", "list")
    assert f"  {word}" in listed.splitlines()[1]


async def test_one_agent_by_itself_is_told_of_as_one(fleet: Fleet) -> None:
    following = asyncio.create_task(run(fleet, *START, "--agent", "pi-1", "--wait"))
    await ended(fleet, "pi-1", "succeed", DONE)
    out, _ = await following
    assert {"1 agent, 0 skipped", "done: The agent is updated"} <= set(out.splitlines())


async def test_why_an_agent_failed_is_said_without_a_miner(fleet: Fleet) -> None:
    words = ("task", "agent.self.update", "--farm", "farm-1", "--wait")
    following = asyncio.create_task(run(fleet, *words, status=1))
    await ended(fleet, "pi-1", "failed", BACK)
    out, _ = await following
    assert "1 not_verified: It did not reach its cloud within 300 s" in out.splitlines()


async def test_one_that_is_under_way_is_called_off(fleet: Fleet) -> None:
    answer = await told(fleet, *START, "--expect", "3", "--begin-within", "60")
    group_id = answer["meta"]["group_id"]
    assert (await fleet.shown(group_id))["update"]["begin_within_s"] == 60
    shown, _ = await run(fleet, "update", "show", group_id)
    assert shown.splitlines()[0] == "first: pi-1 goes first; 2 wait for it"
    assert "pi-2   farm-2  waits" in shown
    words, _ = await run(fleet, "update", "cancel", group_id)
    assert words == "3 ended, 0 asked to end\n"


async def test_which_agents_are_behind_is_shown_where_the_cloud_has_releases(
    fleet: Fleet, tmp_path_factory: pytest.TempPathFactory
) -> None:
    desk = Desk(tmp_path_factory.mktemp("desk"))
    desk.data = fleet.cloud.settings.data
    desk.begin()
    desk.release("0.3.0")
    fleet.agents["pi-1"].version = "v0.3.0"
    await fleet.agents["pi-1"].beat()
    listed = await fleet.ask("GET", f"/private-api/v1/{fleet.cloud.workspace_id}/agents")
    newer = [each["newer_version"] for each in listed["data"]]
    assert newer == [None, "0.3.0", "0.3.0"]
    data = str(fleet.cloud.settings.data)
    rows = await told(fleet, "agent", "list", "--data", data)
    shown = {each["name"]: (each["release"], each["newer_version"]) for each in rows}
    assert shown == {
        "pi-1": ("a" * 64, None),
        "pi-2": ("a" * 64, "0.3.0"),
        "pi-3": ("a" * 64, "0.3.0"),
    }
    # The one that runs it already would prove nothing, so it does not go first.
    assert (await fleet.plan())["agents"][0]["name"] == "pi-2"
    for path in Path(data, "release", "repository", "targets", "channels").iterdir():
        path.write_text("{}")
    listed = await fleet.ask("GET", f"/private-api/v1/{fleet.cloud.workspace_id}/agents")
    assert {each["newer_version"] for each in listed["data"]} == {None}
