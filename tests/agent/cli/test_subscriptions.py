"""`miner-agent subscription`: what is said to the daemon, what of its answers is shown, and with which exit code."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.config.file import parse
from agent.local.socket import LocalRequest, LocalServer
from agent.subscriptions.room import Subscriptions
from contract.clock import SystemClock
from tests.agent.commands import Ran, door, miner_agent
from tests.agent.subscriptions.strict_cloud import StrictCloud, linked

pytestmark = pytest.mark.real_time


class Host:
    """A daemon's door, with its subscriptions alone, and a strict cloud behind them."""

    def __init__(self, folder: Path, cloud: StrictCloud) -> None:
        self.config, self.cloud = folder / "config.toml", cloud

    async def run(self, *words: object) -> Ran:
        return await miner_agent("subscription", *words, "--config", self.config)


@asynccontextmanager
async def host(folder: Path) -> AsyncIterator[Host]:
    cloud = StrictCloud()
    (folder / "state").mkdir(mode=0o700)
    text = f"[state]\ndir = '{folder / 'state'}'\n"
    (folder / "config.toml").write_text(text)
    config = parse({"state": {"dir": str(folder / "state")}, "subscriptions": {"timeout_s": 1.0}})
    async with linked(cloud) as link:
        room = Subscriptions(config, link, SystemClock())
        server = LocalServer(config.socket_path, room.asked)
        async with room.opened():
            await server.start()
            try:
                yield Host(folder, cloud)
            finally:
                await server.stop()


async def test_from_registering_to_unsubscribing(tmp_path: Path) -> None:
    async with host(tmp_path) as here:
        fresh = await here.run("list", "--json")
        assert (fresh.code, fresh.document["registered"]) == (0, False)
        assert [each["task_small_id"] for each in fresh.document["tasks"]] == [1, 2]
        early = await here.run("subscribe", 1, "--price", 10, "--max", 20)
        assert early.code == 1
        assert "node is not registered; see: miner-agent subscription register" in early.err
        done = await here.run("register", "--json")
        assert done.code == 0
        assert done.document["ok"] is True
        for words in (
            ("subscribe", "miner.light.update", "--price", 10, "--max", 20),
            ("update", 2, "--price", 11, "--max", 5, "--node", 1),
        ):
            ran = await here.run(*words, "--json")
            assert (ran.code, set(ran.document)) == (0, {"ok", "tx_digest"})
        shown = await here.run("list")
        assert shown.code == 0
        assert "miner.light.update" in shown.out
        assert "subscribed" in shown.out
        assert (await here.run("unsubscribe", 2)).code == 0
        (row,) = (await here.run("list", "--json")).document["subscriptions"]
        assert row == {
            "node_small_id": 1,
            "task_small_id": 2,
            "price_per_compute_unit": 11,
            "max_num_compute_units": 5,
            "valid": False,
        }
        before = here.cloud.memory.public_key
        assert (await here.run("register", "--new-key")).code == 0
        assert here.cloud.memory.public_key != before


async def test_what_is_refused_and_what_is_not_known_have_codes_of_their_own(
    tmp_path: Path,
) -> None:
    async with host(tmp_path) as here:
        await here.run("register")
        usage = [
            await here.run("subscribe", 1, "--price", 0, "--max", 20, "--json"),
            await here.run("subscribe", "miner.lihgt.update", "--price", 1, "--max", 20, "--json"),
            await here.run("subscribe", 1, "--price", 1, "--max", 20, "--node", 7, "--json"),
            await here.run("subscribe", 1, "--price", 1, "--json"),
        ]
        assert [each.code for each in usage] == [2] * 4
        assert "price_per_compute_unit" in usage[0].document["error"]["message"]
        assert "did you mean miner.light.update?" in usage[1].document["error"]["message"]
        refused = await here.run("unsubscribe", 1, "--json")
        assert refused.code == 1
        assert refused.document["abort_code"] == 312_012_018
        assert refused.document["status"] == "failure"
        assert refused.document["error"]["message"].endswith(
            "not subscribed to this class of work; see: miner-agent subscription subscribe"
        )
        here.cloud.moods = ["lost"]  # it had arrived
        late = await here.run("subscribe", 1, "--price", 1, "--max", 2, "--json")
        assert late.code == 0
        here.cloud.moods = ["gone"]
        unknown = await here.run("subscribe", 2, "--price", 1, "--max", 2, "--json")
        assert unknown.code == 3
        assert unknown.document["status"] == "pending"
        away = await here.run("list", "--json")
        assert away.code == 0  # of what is kept here
        assert (await here.run("unsubscribe", 1, "--json")).code == 1


async def test_without_a_daemon_it_says_so(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f"[state]\ndir = '{tmp_path / 'state'}'\n")
    for words in (("list",), ("register",), ("unsubscribe", 1)):
        ran = await miner_agent("subscription", *words, "--config", config, "--json")
        assert ran.code == 1
        said = ran.document["error"]["message"]
        assert "no daemon runs here" in said
        assert "--config" in said


async def test_a_daemon_that_goes_away_leaves_the_outcome_unknown(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f"[state]\ndir = '{tmp_path}'\n")

    async def gone(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_unix_server(gone, str(tmp_path / "agent.sock"))
    async with server:
        ran = await miner_agent("subscription", "register", "--config", config, "--json")
    assert ran.code == 3


async def test_a_door_that_knows_no_subscriptions_is_told(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f"[state]\ndir = '{tmp_path}'\n")
    answer: dict[str, Any] = {"status": 200, "body": {"tx_digest": "d"}}
    async with door(tmp_path / "agent.sock", answer) as asked:
        ran = await miner_agent("subscription", "register", "--config", config)
        assert ran.code == 0
        assert "done: d" in ran.out
    assert asked == [
        LocalRequest(
            name="agent.subscriptions", params={"method": "POST", "path": "/register", "body": "{}"}
        )
    ]
