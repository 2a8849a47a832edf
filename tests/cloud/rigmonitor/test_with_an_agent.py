"""The agent's own client on a simulated farm, against this server: what it tells is shown, what is wished is done."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from cloud.config import CloudSettings
from cloud.server import create_app, create_runner
from cloud.store.access import admin
from cloud.store.engine import DATABASE_NAME, Store, sqlite_url
from cloud.store.miners import rigs
from contract.clock import SystemClock
from contract.rigmonitor.shared import MachineKind
from tests.agent.rigmonitor.rig_stage import NAME, rig_client
from tests.agent.rigmonitor.stage import Agent, agent_on, farm_of, monitor_config, switched
from tests.waiting import until


class Operator:
    """Asks the operator's API of a cloud whose clock is the host's."""

    def __init__(self, base: str, store: Store, http: aiohttp.ClientSession) -> None:
        self.base = base
        self.store = store
        self._http = http
        self.farm_id = self._farm_url = self._key = ""

    async def settle_in(self) -> None:
        now = SystemClock().now()
        workspace = await admin.create_workspace(self.store, "W", now)
        farm = await admin.create_farm(self.store, workspace["id"], "F", now)
        _, self._key = await admin.create_key(self.store, workspace["id"], "K", now)
        self.farm_id = farm["id"]
        self._farm_url = f"{self.base}/private-api/v1/{workspace['id']}/farms/{farm['id']}"

    async def ask(self, method: str, path: str, **more: Any) -> Any:
        headers = {"x-api-key": self._key}
        url = f"{self._farm_url}/{path}"
        async with self._http.request(method, url, headers=headers, **more) as answer:
            body = await answer.json()
            assert answer.status == 200, body
            return body["data"]


@pytest.fixture
async def operator(tmp_path: Path, empty_database: Path) -> AsyncIterator[Operator]:
    folder = tmp_path / "cloud"
    folder.mkdir()
    shutil.copy(empty_database, folder / DATABASE_NAME)
    store = Store.at(sqlite_url(folder))
    runner = create_runner(create_app(store, CloudSettings(data=folder), SystemClock()))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with aiohttp.ClientSession() as http:
        made = Operator(f"http://127.0.0.1:{runner.addresses[0][1]}", store, http)
        await made.settle_in()
        yield made
    await runner.cleanup()
    await store.close()


async def until_shown(
    agent: Agent, condition: Callable[[], Awaitable[bool]], *, within_s: float = 60.0
) -> None:
    """Look at the cloud again whenever it has taken another record."""

    def more_than(sent: int) -> Callable[[], bool]:
        return lambda: agent.monitor.sent > sent

    async with asyncio.timeout(within_s):
        is_told = more_than(agent.monitor.sent)
        while not await condition():
            await until(is_told, within_s=within_s)
            is_told = more_than(agent.monitor.sent)


async def test_what_the_agent_tells_is_shown_and_what_is_wished_is_done(
    operator: Operator, tmp_path: Path
) -> None:
    state = tmp_path / "agent"
    state.mkdir()
    async with farm_of("antminer/s21:1,whatsminer:2,iceriver/ks5l:1") as farm:
        config = monitor_config(farm, state, operator.base)
        ids, lines = {}, []
        for device in farm.miners:
            row, code = await rigs.create_rig(
                operator.store, operator.farm_id, device.ip, SystemClock().now()
            )
            ids[device.ip] = row["id"]
            lines.append(f"{device.mac} {code}")
        assert config.rigmonitor is not None
        assert config.rigmonitor.codes_file is not None
        config.rigmonitor.codes_file.write_text("\n".join(lines))
        async with agent_on(farm, config) as agent:

            async def all_told() -> bool:
                items = await operator.ask("GET", "miner/latest")
                return len(items) == len(farm) and all(
                    item["model"] and item["is_mining"] for item in items
                )

            await until_shown(agent, all_told)
            for item in await operator.ask("GET", "miner/latest"):
                seen = agent.site.fleet.at(item["ip"]).identity
                assert seen.model in item["model"]
                assert item["make"] == seen.make
                if seen.make != "IceRiver":  # whose system is numbered apart from its software
                    assert item["firmware_version"] == seen.firmware_version
                assert item["status"] == "online"
                assert item["unstable_reason"] == "no_mac"
                assert 1e12 < item["hashrate"] < 1e15
                assert item["power"] > 0
                assert any(pool["active"] for pool in item["pools"])
            first = farm.miners[0]
            await operator.ask(
                "PUT",
                f"rigs/{ids[first.ip]}/expected-status",
                json={"asic_expected_status": "off", "light_expected_status": "on"},
            )
            await until(lambda: first.state == "sleeping" and first.light, within_s=60)
            await operator.ask(
                "PUT",
                f"rigs/{ids[first.ip]}/expected-status",
                json={"asic_expected_status": "on", "light_expected_status": "off"},
            )
            await until(lambda: first.state == "mining" and not first.light, within_s=60)
            for other in farm.miners[1:]:
                assert other.state == "mining"
                assert switched(farm, other.ip) == []


async def test_a_rig_is_shown_and_mines_what_its_playbook_says(
    operator: Operator, tmp_path: Path
) -> None:
    row, code = await rigs.create_rig(
        operator.store, operator.farm_id, NAME, SystemClock().now(), kind=MachineKind.RIG
    )
    pace: dict[str, Any] = {"log_every_s": 1.0, "playbooks_every_s": 1.0, "seed": 139}
    ravencoin = {"gpu_1": {"coin_name": "Ravencoin", "algorithm": "KawPow"}}
    async with rig_client(
        tmp_path, operator.base, code=code, of_rig=ravencoin | {"playbooks": True}, **pace
    ) as at:
        at.see()

        async def item() -> dict[str, Any]:
            found = await operator.ask("GET", "miner/latest")
            return found[0] if found else {}

        async def is_shown() -> bool:
            return (await item()).get("model") == "RTX 3080 x2" and (await item())["hashrate"] > 0

        await until(is_shown, within_s=60, every_s=0.2)
        shown = await item()
        assert (shown["make"], shown["ip"], shown["status"]) == ("rig", "192.168.18.60", "online")
        assert shown["hashrate"] == pytest.approx(2 * 60.52e6)
        assert shown["power"] == 210
        assert at.service.applied == []
        playbook = await operator.ask(
            "POST",
            "playbooks",
            json={
                "software_name": "XMRig",
                "software_version": "6.22.2",
                "command_argument": "--url $CPU_POOL --user $CPU_WALLET --pass $WORKER_NAME",
                "cpu_coin_name": "Monero",
                "cpu_algorithm": "RandomX",
                "cpu_wallet_address": "48edf",
                "cpu_pool_address": "pool.hashvault.pro:443",
            },
        )
        place = f"rigs/{row['id']}/playbooks/{playbook['id']}"
        await operator.ask("PUT", place)
        await until(lambda: at.service.applied, within_s=60)
        (entry,) = at.service.applied[-1]
        assert entry.command_argument == "--url pool.hashvault.pro:443 --user 48edf --pass rig-7"

        async def wallet() -> Any:
            said = await operator.ask("GET", f"rigs/{row['id']}")
            return said["log"].get("cpu_wallet_address")

        async def is_told() -> bool:
            return await wallet() == "48edf"

        await until(is_told, within_s=60, every_s=0.2)
        await operator.ask(
            "PUT", f"rigs/{row['id']}/expected-status", json={"expected_status": "stop"}
        )
        await until(lambda: at.service.applied[-1][0].expected_status == "stop", within_s=60)
        await operator.ask("DELETE", place)
        await until(lambda: at.service.applied[-1] == (), within_s=60)
        assert at.monitor.state == "ok"
