"""`miner-cloud status` against a cloud that runs."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from cloud.cli.commands import app
from cloud.cli.status_page import WIDTH, farm_page
from cloud.store.schema import tables
from contract.link import Heartbeat
from tests.cloud.nonce.conftest import TH, Stage, dead, refused
from tests.cloud.nonce.test_status import changed, pool
from tests.warm import started


@pytest.fixture
async def key_file(stage: Stage, tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(stage.key, "utf-8")
    return path


async def command(stage: Stage, key_file: Path, *words: str, status: int = 0) -> tuple[str, str]:
    def run() -> Any:
        base = ("status", "--url", stage.url, "--key-file", str(key_file))
        return CliRunner().invoke(app, [*base, *words])

    done = await asyncio.to_thread(run)
    assert done.exit_code == status, (done.output, done.exception)
    return done.stdout, done.stderr


async def name_farm(stage: Stage, name: str) -> None:
    async with stage.store.write() as connection:
        await connection.execute(
            tables.farms.update().where(tables.farms.c.id == stage.farm).values(name=name)
        )


async def test_a_farm_in_order_is_told_on_one_screen_and_ends_with_0(stage: Stage, key_file: Path):
    await stage.look_at(*(changed(number) for number in range(1, 6)))
    await name_farm(stage, "Kiruna")
    await stage.change_agent(name="pi")
    out, err = await command(stage, key_file)
    assert err == ""
    assert out == (
        "farm     Kiruna, 2026-11-21T12:00:00Z: all is well\n"
        "miners   5: 5 hashing\n"
        "wrong    none\n"
        "rate     sha256: 500 TH/s of 500 TH/s (100 %), 30 J/TH\n"
        "power    15 kW, told by 5 of 5\n"
        "agents   pi: online, knows 0 miners\n"
    )


async def test_what_is_wrong_is_told_in_words_and_ends_with_1(stage: Stage, key_file: Path):
    token = await stage.token()
    beat = Heartbeat(version="v1", uptime_s=1.0, host={}, journal_depth=2, buffer_depth=7,
                     miners_known=5, sinks={"cloud": "ok", "mqtt": "away"}, notices=("Disk \x1b[2Jfull",))  # fmt: skip
    await stage.ask("POST", f"{stage.url}/link/v1/heartbeat", json=msgspec.to_builtins(beat),
                    headers={"Authorization": f"Bearer {token}"})  # fmt: skip
    await name_farm(stage, "Kiruna")
    await stage.change_agent(name="pi")
    await stage.look_at(changed(3), changed(4))
    stage.clock.forward(20.0)
    await stage.look_at(
        changed(1, moving={"temp_chip_c": 97.0}),
        changed(2, moving={"hashrate_hs": 61 * TH}),
        refused(3),
        dead(4),
        *(changed(number) for number in range(5, 40)),
        changed(40, moving={"pools": pool("a-very-long-name-of-a-pool.example.com", "somebody")}),
    )
    async with stage.store.write() as connection:
        await connection.execute(
            tables.miners.update()
            .where(tables.miners.c.id == stage.miners[2])
            .values(rack="A3", position=7, hall="B", name="m-two")
        )
    await stage.create("miner.light.update", 5, params={"action": "on"})
    out, _ = await command(stage, key_file, status=1)
    lines = out.splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert lines == [
        "farm     Kiruna, 2026-11-21T12:00:20Z: something is wrong",
        "miners   40: 38 hashing, 2 unreachable",
        "wrong    5: 1 unreachable, 1 wrong password, 1 hot, 1 low rate, 1 wrong pool",
        "rate     sha256: 3.76 PH/s of 4 PH/s (94 %), 30.3 J/TH",
        "power    114 kW, told by 38 of 40",
        "worst    10.0.0.1                  chip 97 degC",
        "         10.0.0.4                  cannot be read for 20 s: no route",
        "         10.0.0.3                  its login was refused",
        "         10.0.0.40                 hashes to a-very-long-name-of-a-pool.example.",
        "                                   com/somebody, 98 % of all hash to...",
        "         10.0.0.2   m-two  B/A3/7  61 % of 100 TH/s",
        "tasks    1 queuing: miner.light.update",
        "agents   pi: online, knows 5 miners, 2 tasks to report, 7 readings wait, mqtt:",
        "         away",
        "           Disk ?[2Jfull",
    ]


async def test_a_script_reads_one_document(stage: Stage, key_file: Path):
    await stage.look_at(dead(1))
    out, _ = await command(stage, key_file, "--json", status=1)
    (line,) = out.splitlines()
    found = json.loads(line)
    assert (found["is_fine"], found["farms"][0]["wrong"]) == (False, 1)
    assert found["farms"][0]["worst"][0]["ip"] == "10.0.0.1"


async def test_a_selection_is_that_of_a_search(stage: Stage, key_file: Path):
    await stage.look_at(dead(1))
    out, _ = await command(stage, key_file, "--select", "sn=SN2")
    assert "miners   1: 1 hashing" in out.splitlines()
    _, err = await command(stage, key_file, "--select", "nothing", status=2)
    assert err.startswith("miner-cloud: --select: ")
    _, err = await command(stage, key_file, "--select", "modle=S21", status=2)
    assert "modle" in err


async def test_several_farms_have_a_line_each(stage: Stage, key_file: Path):
    now = stage.clock.now()
    async with stage.store.write() as connection:
        await connection.execute(
            tables.farms.insert().values(
                id="second", workspace_id=stage.workspace, name="Second", created_at=now,
                updated_at=now,
            )
        )  # fmt: skip
    await name_farm(stage, "First")
    await stage.look_at(dead(1))
    out, _ = await command(stage, key_file, status=1)
    header, first, second = out.splitlines()
    assert header.split() == ["FARM", "MINERS", "WRONG", "RATE", "WHAT"]
    assert first.startswith("First   5       1")
    assert "1 of 5 miners has something wrong" in first
    assert second.split() == ["Second", "0", "0", "-", "all", "is", "well"]
    out, _ = await command(stage, key_file, "--farm", "Second")
    assert out.startswith("farm     Second")
    _, err = await command(stage, key_file, "--farm", "third", status=2)
    assert "third" in err


async def test_a_cloud_that_does_not_answer_is_named(stage: Stage, key_file: Path):
    _, err = await command(stage, key_file, "--url", "http://127.0.0.1:1", status=1)
    assert err == (
        "miner-cloud: no cloud answers at http://127.0.0.1:1: connection refused; "
        "--url says where it listens\n"
    )


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8080", "localhost", "", "http://", "ftp://a", "http://[", "http://a:99999"]
)
async def test_what_is_no_address_of_a_cloud_is_told(stage: Stage, key_file: Path, url: str):
    _, err = await command(stage, key_file, "--url", url, status=2)
    assert err == f"miner-cloud: --url {url} is no address such as http://127.0.0.1:8080\n"


async def test_it_is_told_again_and_again_until_it_is_stopped(stage: Stage, key_file: Path):
    words = ("--url", stage.url, "--key-file", str(key_file), "--json", "--watch", "--every", "1")
    process = await started("cloud.cli", "status", *words)
    assert process.stdout is not None
    async with asyncio.timeout(60):
        assert json.loads(await process.stdout.readline())["is_fine"] is True
        await stage.look_at(dead(1))
        while json.loads(await process.stdout.readline())["is_fine"]:
            pass
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0


def status_document(**more: Any) -> dict[str, Any]:
    empty: dict[str, Any] = {
        "farm": {"id": "f", "name": None}, "at": "2026-11-21T12:00:00Z", "is_fine": True, "total": 0, "wrong": 0,
        "states": {}, "troubles": {}, "rates": [], "causes": [], "worst": [], "agents": [],
        "power": {"power": 0.0, "metered": 0, "compared_power": 0.0, "expected_power": None}, "tasks": {"open": [], "failed": []},
    }  # fmt: skip
    return empty | more


def test_a_farm_without_miners_fits_four_lines_and_says_how_an_agent_joins():
    assert farm_page(status_document()).splitlines() == [
        "farm     f, 2026-11-21T12:00:00Z: all is well",
        "miners   none",
        "wrong    none",
        "agents   none: one joins with a code of miner-cloud enroll-code",
    ]


def test_rates_have_a_line_each_with_their_own_unit():
    rates = {
        "miners": 1,
        "unknown": 1,
        "compared_hashrate": 0.0,
        "realization": None,
        "expected_hashrate": None,
        "efficiency": None,
    }
    page = farm_page(
        status_document(
            total=3,
            rates=[
                rates | {"algorithm": "equihash", "hashrate": 420e3, "efficiency": 3.6e9},
                rates | {"algorithm": "unknown (X1)", "hashrate": 1e12},
            ],
        )
    )  # fmt: skip
    assert page.splitlines()[3:] == [
        "rate     equihash: 420 ksol/s of 1 not rated",
        "         unknown (X1): 1 TH/s of 1 not rated",
        "power    no miner tells it",
    ]


def test_a_part_that_is_not_rated_is_told_beside_the_others():
    rates = {
        "algorithm": "sha256", "miners": 9, "hashrate": 10.4e15, "compared_hashrate": 9.62e15,
        "expected_hashrate": 9.92e15, "realization": 0.97, "unknown": 12, "efficiency": 23.13,
    }  # fmt: skip
    power = {"power": 152.7e3, "metered": 40, "compared_power": 98e3, "expected_power": 100e3}
    lines = farm_page(status_document(total=119, rates=[rates], power=power)).splitlines()
    assert lines[3:] == [
        "rate     sha256: 9.62 PH/s of 9.92 PH/s (97 %) and 780 TH/s of 12 not rated,",
        "         23.1 J/TH",
        "power    152.7 kW, told by 40 of 119; 98 kW of 100 kW expected (98 %)",
    ]


def test_miners_of_which_the_same_is_said_share_a_line():
    def wrong(last: int, words: str) -> dict[str, Any]:
        miner = dict.fromkeys(("name", "mac", "hall", "row", "rack", "position"))
        troubles = [{"trouble": "hot", "words": words}]
        return miner | {"ip": f"10.0.0.{last}", "id": f"m{last}", "troubles": troubles}

    worst = [wrong(1, "chip 99 degC"), wrong(2, "hot"), wrong(3, "hot"), wrong(4, "hot")]
    lines = farm_page(status_document(total=4, worst=worst)).splitlines()
    assert lines[4:] == ["worst    10.0.0.1     chip 99 degC", "         10.0.0.2 +2  hot"]


def test_long_lists_end_where_the_screen_does():
    open_ = [{"task_name": f"t{number}", "status": "queuing", "count": 1} for number in range(50)]
    agent = {
        "id": "a", "name": "x" * 200, "status": "online", "last_online_at": None, "miners_known": 1,
        "journal_depth": 0, "buffer_depth": 0, "sinks": {}, "notices": ["n"] * 50,
    }  # fmt: skip
    lines = farm_page(
        status_document(tasks={"open": open_, "failed": []}, agents=[agent])
    ).splitlines()
    assert len(lines) == 3 + 6 + 10
    assert "         ... and 45 lines more, see --json" in lines
    assert max(map(len, lines)) <= WIDTH
