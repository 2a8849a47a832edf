"""`scan` and `read`: what a farm says of itself, for programs and for people."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.farm import Farm
from tests.agent.commands import at, miner_agent
from tests.agent.onfarm import free_base

pytestmark = pytest.mark.real_time


async def test_scan_finds_every_miner_and_stdout_is_one_document(farm: Farm) -> None:
    net = next(iter(farm.miners)).ip.rpartition(".")[0]
    ran = await miner_agent("scan", f"{net}.1-{net}.10", *at(farm), "--json")
    assert ran.code == 0
    assert (ran.document["found"], ran.document["addresses"]) == (4, 10)
    assert {row["mac"] for row in ran.document["miners"]} >= {
        each.mac for each in farm.miners if not each.foreign
    }
    for_people = await miner_agent("scan", f"{net}.1-{net}.10", *at(farm))
    assert "10 addresses" in for_people.out
    assert all(each.ip in for_people.out for each in farm.miners)


async def test_read_gives_one_full_reading(farm: Farm) -> None:
    miner = next(iter(farm.miners))
    ran = await miner_agent("read", miner.ip, *at(farm), "--json")
    assert ran.code == 0
    assert ran.document["identity"]["mac"] == miner.mac
    assert ran.document["reading"]["moving"]["hashrate_hs"] > 1e12
    assert ran.document["reading"]["static"]["model"]
    assert "sleep" in ran.document["modes"]
    for_people = await miner_agent("read", miner.ip, *at(farm))
    assert "TH/s" in for_people.out
    assert miner.mac in for_people.out


async def test_a_miner_that_is_limited_says_so() -> None:
    async with await Farm.start("whatsminer/m60s", base=free_base()) as farm:
        (miner,) = farm.miners
        miner.set_percent(60, restarts=False)
        ports = [*at(farm), "--v3-port", str(farm.ports["v3"])]
        ran = await miner_agent("read", miner.ip, *ports)
        (line,) = (each for each in ran.out.splitlines() if each.startswith("limited to"))
        assert "2160 W, 60 % of its full power" in line
        boards = [each for each in ran.out.splitlines() if each.startswith("board ")]
        for shown, serial in zip(boards, miner.board_serials, strict=True):
            assert serial in shown, "by it miner-cloud part says where the part was before"
        (supply,) = (each for each in ran.out.splitlines() if each.startswith("supply"))
        assert miner.psu_serial in supply
        miner.set_percent(100, restarts=False)
        ran = await miner_agent("read", miner.ip, *ports)
        assert "limited to" not in ran.out


async def test_read_of_nobody_is_exit_1_with_its_code() -> None:
    ran = await miner_agent("read", free_base(), "--timeout", "1", "--json")
    assert ran.code == 1
    assert ran.document["error"]["code"] == "unreachable"


async def test_a_closed_port_says_which_option_names_another(farm: Farm) -> None:
    ran = await miner_agent("read", free_base(), "--timeout", "1")
    assert ran.code == 1
    assert "--http-port and --rpc-port" in ran.err


async def test_a_wrong_password_still_reads_what_needs_none(farm: Farm, tmp_path: Path) -> None:
    secret = tmp_path / "p"
    secret.write_text("hush-hush")
    secret.chmod(0o600)
    miner = next(iter(farm.miners))
    ran = await miner_agent(
        "read", miner.ip, *at(farm), "--user", "root", "--password-file", secret, "--json"
    )
    assert ran.code == 1, "not everything asked for was read"
    assert ran.document["ok"] is False
    assert ran.document["problem"]["code"] == "auth_failed"
    assert "user 'root'" in ran.document["problem"]["message"]
    assert str(secret) in ran.document["problem"]["message"]
    assert "correct --user and --password-file" in ran.document["problem"]["message"]
    assert "[[credentials]]" not in ran.document["problem"]["message"]
    assert "moment" not in ran.document["problem"]["message"]
    assert ran.document["reading"]["moving"]["hashrate_hs"] > 1e12
    assert "hush-hush" not in ran.out
    for_people = await miner_agent(
        "read", miner.ip, *at(farm), "--user", "root", "--password-file", secret
    )
    assert "TH/s" in for_people.out
    assert "auth_failed" in for_people.out


async def test_a_reading_says_which_pool_is_in_use_and_for_how_long_it_runs(farm: Farm) -> None:
    ran = await miner_agent("read", next(iter(farm.miners)).ip, *at(farm))
    (pool,) = (line for line in ran.out.splitlines() if "in use" in line)
    assert pool.startswith("pool ")
    (uptime,) = (line for line in ran.out.splitlines() if line.startswith("uptime"))
    assert uptime.split()[2] in {"day", "days", "h", "min", "s"}
    assert ran.err == ""
