"""One scan of everything there is: every simulated miner of every make, dialect and generation, and every other host.

Nobody is taken for another, no host that is no miner is taken in, and what they are sent is a pure read.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import pytest

from agent.demo.operator import Operator
from agent.demo.stage import set_stage
from agent.miners.known import known_miners
from contract.miner import Make
from contract.task import TaskName
from simulator.device import Device
from simulator.farm import Farm
from simulator.makes import MAKES
from simulator.net import WireEntry
from tests.judges.pure_reads import SECRET, check_only_read
from tests.waiting import until
from tests.warm import ask, started

SPECS: Final = [
    f"{make}/{key}" for make, known in MAKES.items() if make != "rig" for key in known.keys
]
MAKE: Final = {
    "antminer": Make.ANTMINER,
    "whatsminer": Make.WHATSMINER,
    "iceriver": Make.ICERIVER,
}


@pytest.fixture
async def farm(base: str) -> AsyncIterator[Farm]:
    async with await Farm.start(SPECS, base=base) as farm:
        farm.tap(True)
        yield farm


async def scanned(farm: Farm, tmp_path: Path, *more: object) -> Any:
    """What the command says, with a password at hand."""
    secret = tmp_path / "password"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    hosts = [each.ip for each in farm]
    ports = [f"--{name}-port={farm.ports[name]}" for name in ("http", "rpc", "v3", "daemon")]
    process = await started(
        "agent.cli.app", "scan", f"{hosts[0]}-{hosts[-1]}", *ports,
        "--user", "root", "--password-file", secret, "--timeout", 3, "--json", *more,
    )  # fmt: skip
    out, err = await process.communicate()
    assert out, err.decode()
    return json.loads(out.splitlines()[-1])


def wrong(device: Device, row: dict[str, Any]) -> list[str]:
    """In what this row is not that device."""
    truth = device.describe()
    odd = [
        (row["make"], MAKE[device.make]),
        (row["firmware"] == "stock", truth["firmware"] == "stock"),
    ]
    if row["mac"] is not None:
        odd.append((row["mac"], device.mac))
    if row["model"] is not None and truth["model"] is not None:
        odd.append((truth["model"].endswith(row["model"]), True))
    return [f"{said} for {true}" for said, true in odd if said != true]


async def test_nobody_is_taken_for_another_and_no_decoy_is_taken_in_or_ordered(
    farm: Farm, tmp_path: Path
):
    document = await scanned(farm, tmp_path)
    rows = {row["ip"]: row for row in document["miners"]}
    miners = {each.ip: each for each in farm if each.make != "host"}
    hosts = [each for each in farm if each.make == "host"]
    assert sorted(rows.keys() - miners.keys()) == []
    assert sorted(miners[ip].key for ip in miners.keys() - rows.keys()) == []
    said = {f"{each.make}/{each.key}": wrong(each, rows[ip]) for ip, each in miners.items()}
    assert {key: odd for key, odd in said.items() if odd} == {}
    assert len(hosts) == len(MAKES["host"].keys)
    for each in farm:
        if each.foreign:
            check_only_read(each.wire_log)
    assert [each for each in farm.ledger.entries if each["action"] == "foreign_write"] == []


@pytest.mark.slow
async def test_what_agent_and_cloud_know_after_it_are_the_miners_and_nobody_else(
    base: str, tmp_path: Path
):
    tap = tmp_path / "tap.jsonl"
    settings = {"miners": {"read_timeout_s": 3.0}}
    with patch("agent.demo.stage.ask", ask):
        async with (
            set_stage(
                tmp_path, miners=0, makes=",".join(SPECS), base=base, time_scale=1.0, settings=settings, tap=tap,
            ) as stage,
            Operator(stage) as operator,
        ):  # fmt: skip
            batch_id, _ = await operator.create(TaskName.SCAN, None, {"ip_range": stage.span})
            assert batch_id is not None

            async def ended() -> bool:
                return (await operator.batch(batch_id))["status"] != "pending"

            await until(ended, within_s=120, every_s=0.2)
            (task,) = await operator.tasks(batch_id)
            assert task["status"] == "succeed", task
            miners = {each.ip for each in stage.miners if each.make != "host"}

            # Neither model nor MAC nor any figure is read of it: there is nothing to show.
            unread = {each.ip for each in stage.miners if each.key == "epic"}
            shown: set[str] = set()

            async def all_shown() -> bool:
                shown.update(row["ip"] for row in await operator.miners())
                return shown >= miners - unread

            with suppress(TimeoutError):  # then who is missing is told below
                await until(all_shown, within_s=30, every_s=0.2)
            await stage.agent.end()
            known = known_miners(tmp_path / "agent" / "inventory.db").keys()
    assert (shown, set(known)) == (miners - unread, miners)
    foreign = {each.ip for each in stage.miners if each.foreign}
    heard = [json.loads(line) for line in tap.read_text("utf-8").splitlines()]
    assert {each["ip"] for each in heard} <= foreign
    check_only_read(
        WireEntry(
            each["port"], each["data"].encode("latin-1"), each["had_credentials"], each["kind"]
        )
        for each in heard
    )
    assert "foreign_write" not in stage.ledger.read_text("utf-8")
