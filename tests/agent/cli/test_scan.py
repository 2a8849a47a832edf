"""`scan` as an operator sees it: its rows, its document, what it remembers, and names of ranges."""

from __future__ import annotations

import json
import sqlite3
from contextlib import suppress
from pathlib import Path

import pytest

from agent.host.databases import reading_of
from agent.scan.report.memory import ScanMemory
from contract.link import NamedRange
from simulator.farm import Farm
from tests.agent.cli.test_interrupted import mute
from tests.agent.commands import at, interrupted, miner_agent
from tests.agent.onfarm import free_base
from tests.waiting import until
from tests.warm import started

pytestmark = pytest.mark.real_time


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A config with a state folder of this user."""
    path = tmp_path / "config.toml"
    path.write_text("[state]\ndir = 'state'\n")
    (tmp_path / "state").mkdir(mode=0o700)
    return path


def net_of(farm: Farm) -> str:
    return next(iter(farm.miners)).ip.rpartition(".")[0]


async def test_each_address_stands_in_one_row_of_the_document(farm: Farm) -> None:
    net = net_of(farm)
    ran = await miner_agent("scan", f"{net}.0/24", *at(farm), "--json")
    told = ran.document
    assert len(told["miners"]) + sum(row["addresses"] for row in told["others"]) == 254
    (rest,) = told["others"]
    assert (rest["range"], rest["verdict"]) == (f"{net}.5-{net}.254", "refused")
    assert told["changes"] is None
    assert told["first_pass_s"] <= told["seconds"]
    assert told["connects"] >= 254


async def test_rows_come_as_lines_of_text_or_of_json_before_the_rest(farm: Farm) -> None:
    net = net_of(farm)
    ran = await miner_agent("scan", f"{net}.1-{net}.10", *at(farm), "--rows")
    lines = ran.out.splitlines()
    assert {line.split()[0] for line in lines[:4]} == {each.ip for each in farm.miners}
    assert lines[-1].startswith("10 addresses in ")
    assert f"(6): {net}.5-{net}.10" in lines[-2], "what is said of all others is said once"
    assert sum(f"{net}.1 " in line for line in lines) == 1
    ran = await miner_agent("scan", f"{net}.1-{net}.10", *at(farm), "--rows", "--json")
    *rows, document = map(json.loads, ran.out.splitlines())
    assert {row["ip"] for row in rows} == {each.ip for each in farm.miners}
    assert document["found"] == 4


async def test_the_first_row_comes_while_the_scan_still_waits_for_others(farm: Farm) -> None:
    first = next(iter(farm.miners))
    async with mute(first.http_port) as (ip, _, came):
        ranges = (f"{net_of(farm)}.1-{net_of(farm)}.4", ip)
        process = await started("agent.cli.app", "scan", *ranges, *at(farm), "--rows", "--json")
        try:
            assert process.stdout is not None
            rows = [json.loads(await process.stdout.readline()) for _ in farm.miners]
            assert {row["ip"] for row in rows} == {each.ip for each in farm.miners}
            await until(lambda: came)
            assert process.returncode is None, "it waits for the one that says nothing"
        finally:
            process.kill()
            await process.communicate()


async def test_what_changed_since_the_scan_before_is_told(farm: Farm, config: Path) -> None:
    net = net_of(farm)
    args = ("scan", f"{net}.1-{net}.6", *at(farm), "--config", config)
    assert "since the scan" not in (await miner_agent(*args)).out
    gone = next(iter(farm.miners))
    await gone.stop()
    ran = await miner_agent(*args)
    assert "0 new, 1 lost, 0 moved, 0 replaced" in ran.out
    (line,) = (each for each in ran.out.splitlines() if each.startswith("  lost"))
    assert gone.ip in line and gone.mac in line and line.endswith("now refused")
    assert ran.out.splitlines()[-1].endswith(
        " s: 3 miners, 3 addresses refused the connection, 0 silent"
    )
    told = (await miner_agent(*args, "--json")).document["changes"]
    assert (told["lost"], told["new"]) == ([], [])


async def test_a_scan_that_could_not_ask_everybody_is_no_success(config: Path) -> None:
    with config.open("a") as file:  # no host may be called at the second one
        file.write("[miners]\nranges = ['127.0.0.1', '255.255.255.255']\n")
    ran = await miner_agent("scan", "--config", config, "--json")
    assert (ran.code, ran.document["ok"], ran.document["not_asked"]) == (1, False, 1)
    ran = await miner_agent("scan", "--config", config)
    (line,) = (each for each in ran.out.splitlines() if each.startswith("not asked: "))
    assert " on this host: " in line and line.endswith(" (1): 255.255.255.255")


async def test_a_range_goes_by_its_name_in_the_config_or_in_the_cloud(
    farm: Farm, config: Path
) -> None:
    net = net_of(farm)
    with config.open("a") as file:
        file.write(f"[[ranges]]\nname = 'Hall 1'\nrange = '{net}.1-{net}.2'\n")
    async with ScanMemory(config.parent / "state" / "scans.db") as memory:
        named = {"hall-2": f"{net}.3-{net}.4", f"{net}.1-{net}.3": f"{net}.9"}
        await memory.keep_named(
            [NamedRange(id=name, name=name, range=text) for name, text in named.items()]
        )
    own = (f"{net}.1-{net}.3", 3)  # whatever a cloud calls so
    for name, addresses in (("hall 1", 2), ("hall-2", 2), (f"Hall 1,HALL-2,{net}.9", 5), own):
        ran = await miner_agent("scan", name, *at(farm), "--config", config, "--json")
        assert ran.document["addresses"] == addresses, name
    ran = await miner_agent("scan", "hall 3", *at(farm), "--config", config)
    assert ran.code == 2
    assert ran.err.rstrip().endswith("; ranges with a name, here: Hall 1, hall-2")
    alone = await miner_agent("scan", *at(farm), "--config", config, "--json")
    assert alone.document["addresses"] == 2, "all that are configured"


async def test_a_cut_scan_says_how_it_goes_on_and_does(farm: Farm, config: Path) -> None:
    with config.open("a") as file:
        file.write("[scan]\nidentify_at_once = 1\n")
    first = next(iter(farm.miners))
    async with mute(first.http_port) as (ip, _, came):
        far = ip.rpartition(".")[0]
        ranges = (f"{net_of(farm)}.1-{net_of(farm)}.4", f"{far}.1-{far}.250")
        args = ("scan", *ranges, *at(farm), "--config", config, "--json")
        ran = await interrupted(*args, when=lambda: came)
        assert ran.code == 130, ran.err
        assert "the same with --resume goes on" in ran.document["problem"]["message"]
        left = ran.document["not_asked"]
        assert left > 0
    ran = await miner_agent(*args, "--resume")
    assert ran.code == 0, ran.err
    assert ran.document["addresses"] == 254
    assert ran.document["not_asked"] == 0
    assert any("goes on where it was cut" in each for each in ran.document["notes"])
    again = await miner_agent(*args, "--resume")
    (note,) = again.document["notes"]
    assert note.startswith("--resume had nothing to go on with"), "it has ended by now"
    assert "was cut within the last hour" in note


@pytest.mark.slow
async def test_a_scan_that_was_killed_goes_on(farm: Farm, config: Path) -> None:
    first = next(iter(farm.miners))
    scans = config.parent / "state" / "scans.db"

    def is_kept() -> bool:
        with suppress(sqlite3.Error), reading_of(scans) as db:
            return bool(db.execute("SELECT 1 FROM cut").fetchall())
        return False

    async with mute(first.http_port) as (ip, _, _came):
        far = ip.rpartition(".")[0]
        ranges = (f"{net_of(farm)}.1-{net_of(farm)}.4", f"{far}.1-{far}.250")
        args = ("scan", *ranges, *at(farm), "--config", config, "--json")
        process = await started("agent.cli.app", *args)
        await until(is_kept, within_s=30.0)
        process.kill()
        await process.communicate()
    ran = await miner_agent(*args, "--resume")
    assert ran.code == 0, ran.err
    told = ran.document
    assert (told["addresses"], told["not_asked"], told["found"]) == (254, 0, 4)
    assert any("goes on where it was cut" in each for each in told["notes"])
    assert told["connects"] < 254, "of most of them it was said before what they are"


@pytest.mark.parametrize(
    ("range_", "words"),
    [
        ("0.0.0.0/0", "outside the addresses this agent may scan"),
        ("8.8.8.0/24", "outside the addresses this agent may scan"),
        ("10.0.0.9-10.0.0.1", "ends before it begins"),
        ("fd00::/64", "is not an IPv4 address"),
        ("10.0.0.0/8", "more than the 65536 this agent scans at once"),
        ("hall\x1b[2J", "is not an IPv4 address"),
    ],
)
async def test_what_is_no_range_of_ours_is_refused_in_words(range_: str, words: str) -> None:
    ran = await miner_agent("scan", range_, "--json")
    assert ran.code == 2
    assert words in ran.document["error"]["message"]
    assert "\x1b" not in ran.err


async def test_two_manners_do_not_go_together() -> None:
    ran = await miner_agent("scan", free_base(), "--fast", "--thorough", "--json")
    assert (ran.code, "do not go together" in ran.document["error"]["message"]) == (2, True)
