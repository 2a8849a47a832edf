"""One scan of everything there is: every simulated miner of every make, dialect and generation, and every other host.

Nobody is taken for another, no host that is no miner is taken in, and what they are sent is a pure read.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest

from contract.miner import Make
from simulator.device import Device
from simulator.farm import Farm
from simulator.makes import MAKES
from tests.judges.pure_reads import SECRET, check_only_read
from tests.warm import started

MINERS: Final = ("antminer", "whatsminer", "iceriver", "foreign")
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
