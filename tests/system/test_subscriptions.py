"""Task subscriptions through agent and cloud as whole processes, asked for as the published API shows it: by curl."""

from __future__ import annotations

import asyncio
import json
import shlex
import shutil
from pathlib import Path
from typing import Any

from contract.task import TaskName
from tests.system.site import Site, open_site
from tests.warm import started

# As they were published, but for the address, which is this test's own.
SUBSCRIBE = """curl -X POST http://127.0.0.1:3001/task_subscribe -H "Content-Type: application/json" -d '{
    "task_small_id": 123, "node_badge_id": "0xab2..", "price_per_compute_unit": 10, "max_num_compute_units": 100,
    "gas": "0x789", "gas_budget": 1000, "gas_price": 10}'"""
UPDATE = """curl -X POST http://127.0.0.1:3001/task_update_subscription -H "Content-Type: application/json" -d '{
    "task_small_id": 123, "node_badge_id": "0xab2..", "price_per_compute_unit": 10, "max_num_compute_units": 100,
    "gas": "0x789", "gas_budget": 1000, "gas_price": 10}'"""
UNSUBSCRIBE = """curl -X POST http://127.0.0.1:3001/task_unsubscribe -H "Content-Type: application/json" -d '{
    "task_small_id": 123, "node_badge_id": "0xab2..", "gas": "0x789", "gas_budget": 1000, "gas_price": 10}'"""
LIGHT = "miner.light.update"


class Curl:
    """Commands against one agent, whose HTTP is at `address`."""

    def __init__(self, site: Site, address: str) -> None:
        self.site, self.address = site, address

    async def run(self, command: str, **instead: object) -> tuple[int, Any]:
        """Status and document. `instead` are texts in the command, by the words that they replace."""
        for word, text in {"127.0.0.1:3001": self.address, **instead}.items():
            command = command.replace(word, str(text))
        process = await asyncio.create_subprocess_exec(
            *shlex.split(command), "-s", "-w", "\n%{http_code}", stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
        body, _, status = out.decode().rpartition("\n")
        return int(status), json.loads(body) if body else None

    async def get(self, path: str) -> Any:
        status, document = await self.run(f"curl http://127.0.0.1:3001{path}")
        assert status == 200, document
        return document

    async def register(self) -> str:
        """Give the badge."""
        command = 'curl -X POST http://127.0.0.1:3001/register -H "Content-Type: application/json" -d "{}"'
        status, document = await self.run(command)
        assert status == 200, document
        return str(document["tx_digest"])

    async def up(self) -> None:
        async def serves() -> bool:
            status, _ = await self.run("curl http://127.0.0.1:3001/health")
            return status == 200

        await self.site.until(serves, "the agent to serve the subscriptions")

    async def cloud_up(self) -> None:
        """A life of the cloud begins and answers."""
        await self.site.stage.cloud.start()
        await self.site.until(self.site.operator.batches, "the cloud to answer")


async def by_command(site: Site, *words: object) -> tuple[int, Any]:
    config = site.stage.folder / "config.toml"
    process = await started("agent.cli.app", "subscription", *words, "--config", config, "--json")
    out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, json.loads(out)


async def test_the_published_examples_change_what_a_site_takes(tmp_path: Path, base: str) -> None:
    address = f"{base.rpartition('.')[0]}.253:3001"
    settings = {"subscriptions": {"listen": address, "timeout_s": 3.0}}
    async with open_site(tmp_path, makes="antminer/s21:2", base=base, settings=settings) as site:
        await site.warm()
        curl = Curl(site, address)
        await curl.up()
        await _examples(curl)
        await _outlasts_its_processes(curl)
        await _decides_what_is_dispatched(curl)


async def _examples(curl: Curl) -> None:
    examples = (SUBSCRIBE, UPDATE, UNSUBSCRIBE)
    for each in examples:  # an elision is no id
        status, document = await curl.run(each)
        assert (status, list(document)) == (422, ["error"])
        assert "node_badge_id" in document["error"]
    status, document = await curl.run(SUBSCRIBE, **{"0xab2..": "0xab2"})
    assert (status, document) == (
        500,
        {
            "error": "Failed to submit node task subscription tx",
            "detail": "node is not registered",
        },
    )
    first = await curl.register()
    classes = {each["operation"]: each["task_small_id"] for each in await curl.get("/tasks")}
    ours = {'"node_badge_id": "0xab2..", ': ""}
    digests = [first]
    for each in examples:
        status, document = await curl.run(each, **ours, **{"123": classes[LIGHT]})
        assert (status, list(document)) == (200, ["tx_digest"])
        digests.append(document["tx_digest"])
    assert len(set(digests)) == 4
    for digest, kind in zip(
        digests, ("register", "subscribe", "update", "unsubscribe"), strict=True
    ):
        told = await curl.get(f"/transactions/{digest}")
        assert (told["kind"], told["status"], told["ledger"]) == (kind, "success", "local")
    (row,) = await curl.get("/subscriptions")
    assert row["valid"] is False
    for each, words in zip(
        examples, ("subscription tx", "subscription", "unsubscription tx"), strict=True
    ):
        status, document = await curl.run(each, **ours)  # there is no class 123
        assert status == 500
        assert document["error"].startswith("Failed to submit node task ")
        assert document["error"].endswith(words)
        assert document["abort_code"] == 312_012_017


async def _outlasts_its_processes(curl: Curl) -> None:
    """Kills of the agent, a cloud that is away, and either side put back from a copy."""
    site = curl.site
    agent, cloud = site.stage.folder / "agent", site.stage.folder / "cloud"
    terms = ("--price", 7, "--max", 20)
    code, document = await by_command(site, "subscribe", LIGHT, *terms)
    assert (code, document["ok"]) == (0, True)
    await site.stage.agent.kill()
    await site.stage.cloud.kill()
    shutil.copytree(agent, agent.with_name("agent-then"), ignore=shutil.ignore_patterns("*.sock"))
    shutil.copytree(cloud, cloud.with_name("cloud-then"))
    await site.stage.agent.start()
    await curl.up()
    code, document = await by_command(site, "unsubscribe", LIGHT)
    assert code == 1  # the cloud is away, and nothing was signed
    assert "tx_digest" not in document
    await curl.cloud_up()
    code, document = await by_command(site, "update", LIGHT, "--price", 8, "--max", 20)
    assert code == 0
    later = document["tx_digest"]

    await site.stage.agent.kill()
    shutil.rmtree(agent)
    agent.with_name("agent-then").rename(agent)
    await site.stage.agent.start()
    await curl.up()

    async def learned() -> bool:
        status, _ = await curl.run(f"curl http://127.0.0.1:3001/transactions/{later}")
        return status == 200

    await site.until(learned, "what was signed after the copy")
    (row,) = await curl.get("/subscriptions")
    assert (row["price_per_compute_unit"], row["valid"]) == (8, True)

    await site.stage.cloud.kill()
    shutil.rmtree(cloud)
    cloud.with_name("cloud-then").rename(cloud)
    await curl.cloud_up()
    code, _ = await by_command(site, "subscribe", "miner.system.reboot", *terms)
    assert code == 0
    rows = await curl.get("/subscriptions")
    assert [each["price_per_compute_unit"] for each in rows] == [7, 8]


async def _decides_what_is_dispatched(curl: Curl) -> None:
    site = curl.site
    terms = ("--price", 9, "--max", 1)
    assert (await by_command(site, "unsubscribe", LIGHT))[0] == 0
    batch_id = await site.order(TaskName.LIGHT, site.miners, {"action": "on"})
    batch = await site.operator.batch(batch_id)
    assert (batch["status"], batch["held_reasons"]) == ("pending", {"not_subscribed": 2})
    assert await curl.get("/stacks") == []
    assert (await by_command(site, "subscribe", LIGHT, *terms))[0] == 0
    tasks = await site.ended(batch_id)
    assert [each["status"] for each in tasks] == ["succeed"] * 2
    batch = await site.operator.batch(batch_id)
    assert batch["amount"] == "18"
    rows = await curl.get("/stacks")  # of one miner each
    assert [each["batch_id"] for each in rows] == [batch_id] * 2
    assert {(each["price"], each["num_compute_units"]) for each in rows} == {(9, 1)}

    async def computed() -> bool:
        rows = await curl.get("/stacks")
        return all(each["already_computed_units"] == 1 for each in rows)

    await site.until(computed, "the units of both stacks")
