"""`act` at many miners: nobody is asked before it is said how many are meant, and of each it is told what became."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from agent.cli.act import Logs
from agent.cli.commands import Reach
from agent.cli.survey import Wanted
from agent.config.file import parse
from agent.firmware.download import open_downloader
from agent.limits.policy import Policy
from agent.local.orders import LocalOrder, LocalOrders, alone
from agent.local.socket import LocalRequest, LocalServer, calling, show_way
from agent.miners.inventory import Inventory
from agent.miners.site import open_site
from agent.scan.scanner import FarmScanner
from contract.clock import SystemClock
from contract.expected import ExpectedCount
from contract.task import TaskName
from simulator.farm import Farm
from tests.agent.commands import Ran, at, door, interrupted, miner_agent
from tests.agent.link.test_client import served
from tests.agent.onfarm import free_base
from tests.waiting import until

pytestmark = pytest.mark.real_time
ON = ("--params", '{"action": "on"}')
SPECS = "antminer/s21,antminer/s21,whatsminer/m50s,iceriver/ks3,foreign/braiins,antminer/s21"


@pytest.fixture
async def mixed() -> AsyncIterator[Farm]:
    """Four that are well, one with firmware of others, one with another password."""
    async with await Farm.start(SPECS, base=free_base(), time_scale=100.0) as farm:
        farm.miners[5].faults.add("wrong_password")
        yield farm


def span(farm: Farm, *, more: int = 2) -> str:
    """All of them, and a few addresses where nobody is."""
    first = farm.miners[0].ip
    return f"{first}-{int(first.rpartition('.')[2]) + len(farm) - 1 + more}"


def ports(farm: Farm) -> list[str]:
    return [*at(farm), "--daemon-port", str(farm.ports["daemon"]), "--device-pace", "100"]


async def light(farm: Farm, *args: object) -> Ran:
    return await miner_agent("act", *args, TaskName.LIGHT, *ON, *ports(farm), "--json")


def effects(farm: Farm) -> list[str]:
    return sorted(each["miner"] for each in farm.ledger.entries if each["phase"] == "applied")


def left_out(ran: Ran) -> dict[str, list[str]]:
    return {each["code"]: each["addresses"] for each in ran.document["left_out"]}


async def test_a_dry_run_says_who_would_be_asked_and_why_others_would_not(mixed: Farm) -> None:
    ran = await light(mixed, span(mixed), "--dry-run")
    assert ran.code == 0, ran.err
    document = ran.document
    assert (document["ok"], document["dry_run"], document["number"]) == (True, True, 4)
    assert [each["ip"] for each in document["miners"]] == [each.ip for each in mixed.miners[:4]]
    silent = f"{mixed.miners[5].ip.rpartition('.')[0]}.7-{mixed.miners[5].ip.rpartition('.')[0]}.8"
    assert left_out(ran) == {
        "unreachable": [silent],
        "unsupported": [mixed.miners[4].ip],
        "auth_failed": [mixed.miners[5].ip],
    }
    assert mixed.ledger.entries == []


async def test_more_addresses_than_one_need_the_number_that_is_meant(mixed: Farm) -> None:
    without = await light(mixed, span(mixed))
    wrong = await light(mixed, span(mixed), "--expect", "6")
    assert (without.code, wrong.code) == (2, 2)
    assert "repeat with --expect 4" in without.document["error"]["message"]
    assert "4 miners would be asked, not 6" in wrong.document["error"]["message"]
    assert mixed.ledger.entries == []


async def test_each_is_done_with_proof_and_those_that_fail_are_told_with_their_reason(
    mixed: Farm,
) -> None:
    mixed.miners[1].faults.add("ignores")
    ran = await light(mixed, span(mixed), mixed.miners[0].ip, "--expect", "5~20%")
    assert ran.code == 1, ran.err
    document = ran.document
    states = {each["ip"]: each["state"] for each in document["miners"]}
    assert states == {
        each.ip: "failed" if each is mixed.miners[1] else "done" for each in mixed.miners[:4]
    }
    assert document["counts"] == {
        "done": 3, "no_change": 0, "failed": 1, "unknown": 0, "not_begun": 0
    }  # fmt: skip
    assert document["duplicates"] == 1
    for each in document["miners"]:
        is_done = each["state"] == "done"
        assert each["result"]["verified"] is True
        evidence = each["result"]["evidence"]
        assert (evidence["before"] != evidence["after"]) == is_done
    assert effects(mixed) == sorted(mixed.miners[each].mac for each in (0, 2, 3))
    assert "not_verified: the light stays off" in ran.err
    assert "1 address given more than once" in ran.err
    again = await light(mixed, span(mixed, more=0), "--expect", "4")
    assert again.document["counts"]["no_change"] == 3


async def test_a_file_names_the_miners_and_who_is_meant_there(mixed: Farm, tmp_path: Path) -> None:
    one, two = mixed.miners[:2]
    sheet = tmp_path / "miners.csv"
    sheet.write_bytes(
        f"\ufeffrack;ip;mac\r\nA1;{one.ip};{one.mac}\r\nA1;{one.ip};\r\nA2;{two.ip};{one.mac}\r\n".encode()
    )
    ran = await light(mixed, "--csv", sheet, "--expect", "1")
    assert ran.code == 0, ran.err
    assert effects(mixed) == [one.mac]
    assert left_out(ran) == {"wrong_device": [two.ip]}
    assert ran.document["duplicates"] == 1
    sheet.write_text(f"{one.ip}\n=cmd\n")
    refused = await light(mixed, "--csv", sheet, "--expect", "1")
    assert refused.code == 2
    assert "line 2: '=cmd' begins like a formula" in refused.document["error"]["message"]


async def test_who_is_in_maintenance_or_has_no_such_mode_is_left_out(
    mixed: Farm, tmp_path: Path
) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[state]\ndir = 'state'\n")
    (tmp_path / "state").mkdir()
    inventory = Inventory(tmp_path / "state" / "inventory.db")
    await inventory.open()
    inventory.keep_maintained(frozenset({mixed.miners[1].mac}))
    await inventory.close()
    asleep = ("--params", '{"mode": "sleep"}', "--config", config, *ports(mixed), "--json")
    ran = await miner_agent("act", span(mixed, more=0), TaskName.POWER_MODE, "--dry-run", *asleep)
    assert ran.document["number"] == 2
    reasons = {each["addresses"][0]: each["why"] for each in ran.document["left_out"]}
    assert reasons[mixed.miners[1].ip] == "it is in maintenance"
    assert reasons[mixed.miners[2].ip] == "it has no mode sleep; its modes: low, normal, high"
    allowed = '{"action": "on", "allow_maintenance": true}'
    ran = await miner_agent(
        "act", mixed.miners[1].ip, TaskName.LIGHT, "--params", allowed, "--expect", "1", *asleep[2:]
    )
    assert ran.code == 0, ran.err


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "give the miner that is meant, a range, or --csv FILE"),
        (["10.0.0.1", "--expect", "some"], "--expect: 'some' is not how many miners are meant: write 300"),
        (["10.0.0.1", "--expect", "100±5"], "--expect: "),
        (["10.0.0.1", "--csv", "-", "--params", "-"], "both take standard input"),
        (["10.0.0.1,10.0.0.300"], "10.0.0.300"),
        (["10.0.0.0/8", "--expect", "5"], "more than the 65536 this agent scans at once"),
        (["8.8.8.0/30", "--expect", "2"], "outside the addresses this agent may scan"),
    ],
)  # fmt: skip
async def test_what_is_asked_for_wrongly_is_said(args: list[str], words: str) -> None:
    ran = await miner_agent("act", *args[:1], TaskName.LIGHT, *ON, *args[1:], "--json")
    assert ran.code == 2, ran.out
    assert words in ran.document["error"]["message"]


async def test_logs_of_many_go_into_files_of_their_own(tmp_path: Path) -> None:
    """More than are kept where they are fetched to."""
    async with await Farm.start("antminer/s21:24", base=free_base(), time_scale=100.0) as farm:
        ran = await miner_agent(
            "act", span(farm, more=0), TaskName.LOG, "--expect", "24", "--logs", tmp_path / "here",
            *ports(farm), "--json",
        )  # fmt: skip
        assert ran.code == 0, ran.err
        files = {
            each["ip"]: Path(each["result"]["file"]["path"]) for each in ran.document["miners"]
        }
        assert set(files) == {each.ip for each in farm.miners}
        for ip, file in files.items():
            assert file.name.startswith(f"{ip}-")
            assert file.stat().st_size > 0
        assert sorted(files.values()) == sorted((tmp_path / "here").iterdir())


async def test_a_firmware_file_is_fetched_once_for_all(tmp_path: Path) -> None:
    fetched: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        fetched.append(request.path)
        return web.Response(body=b"no firmware" * 1000)

    config = tmp_path / "config.toml"
    config.write_text("[firmware]\nallowed = ['127.0.0.1']\n[state]\ndir = 'state'\n")
    async with (
        await Farm.start("antminer/s21:6", base=free_base(), time_scale=100.0) as farm,
        served(handle) as url,
    ):
        ran = await miner_agent(
            "act", span(farm, more=0), TaskName.FIRMWARE, "--expect", "6", "--config", config,
            "--params", json.dumps({"firmware_url": f"{url}/image.bmu"}), *ports(farm), "--json",
        )  # fmt: skip
        assert ran.code == 1, ran.err
        codes = {each["result"]["error"]["code"] for each in ran.document["miners"]}
        assert codes == {"bad_firmware"}
        assert fetched == ["/image.bmu"]
        assert farm.ledger.entries == []


@asynccontextmanager
async def daemon_at(
    folder: Path, farm: Farm, *, before: Callable[[], None] = lambda: None
) -> AsyncIterator[tuple[Path, LocalOrders]]:
    """The door of a real task path, and the config that leads to it. `before` each request something may happen."""

    def order(request: LocalRequest) -> LocalOrder:
        before()
        return here.order(request)

    first = farm.miners[0]
    sections: dict[str, Any] = {
        "ranges": [span(farm, more=0)],
        "allowed": ["127.0.0.0/8"],
        "http_port": first.http_port,
        "rpc_port": first.rpc_port,
        "v3_port": farm.ports["v3"],
        "daemon_port": farm.ports["daemon"],
    }
    (folder / "state").mkdir()
    config = folder / "config.toml"
    lines = [f"{key} = {json.dumps(value)}" for key, value in sections.items()]
    config.write_text("\n".join(["[state]", "dir = 'state'", "[miners]", *lines]))
    parsed, clock = parse({"miners": sections}), SystemClock()
    site = open_site(parsed, clock, Inventory(None))
    scanner = FarmScanner(site.fleet, site.territory, parsed.scan, site.scan_ports, clock)
    async with alone(site, scanner, open_downloader(parsed), Policy(), clock) as here:
        server = LocalServer(folder / "state" / "agent.sock", order)
        await server.start()
        try:
            yield config, here
        finally:
            await server.stop()


async def test_they_go_through_a_daemon_that_runs_here(tmp_path: Path) -> None:
    async with (
        await Farm.start("antminer/s21:5", base=free_base(), time_scale=1) as farm,
        daemon_at(tmp_path, farm) as (config, here),
    ):
        target = span(farm, more=1)
        ran = await miner_agent(
            "act", target, TaskName.LIGHT, *ON, "--expect", "5", "--config", config, "--json"
        )
        assert ran.code == 0, ran.err
        assert here.path.dispatcher.settled == 5
        assert effects(farm) == sorted(each.mac for each in farm.miners)


async def test_another_miner_that_came_to_an_address_meanwhile_is_not_asked(tmp_path: Path) -> None:
    async with await Farm.start("antminer/s21:3", base=free_base(), time_scale=1) as farm:
        one, two, three = farm.miners
        swaps = [one]

        def before() -> None:
            while swaps:
                swaps.pop().swap(three)

        async with daemon_at(tmp_path, farm, before=before) as (config, _):
            ran = await miner_agent(
                "act", span(farm, more=0), TaskName.LIGHT, *ON, "--expect", "3", "--config", config, "--json"
            )  # fmt: skip
        assert ran.code == 1, ran.err
        errors = [each["result"].get("error") or {} for each in ran.document["miners"]]
        assert [each.get("code") for each in errors] == ["wrong_device", None, "wrong_device"]
        assert effects(farm) == [two.mac]


def test_a_log_is_put_over_nothing_and_through_no_link(tmp_path: Path) -> None:
    fetched, elsewhere, here = tmp_path / "a.tar", tmp_path / "elsewhere", tmp_path / "here"
    fetched.write_text("log")
    here.mkdir()
    (here / "10.0.0.1-a.tar").symlink_to(elsewhere)
    logs = Logs(here, by_address=True)
    with pytest.raises(FileExistsError):
        logs.bring({"file": {"path": str(fetched)}}, "10.0.0.1")
    assert not elsewhere.exists()
    result = {"file": {"path": str(fetched)}}
    logs.bring(result, "10.0.0.2")
    assert Path(result["file"]["path"]).read_text() == "log"


async def test_what_was_not_begun_is_not_begun_once_it_is_interrupted(tmp_path: Path) -> None:
    """Of twelve reboots a daemon begins one every two seconds; the others wait for their turn there."""
    async with (
        await Farm.start("antminer/s21:12", base=free_base(), time_scale=1) as farm,
        daemon_at(tmp_path, farm) as (config, here),
    ):

        def reboots() -> list[str]:
            found = [each for each in farm.ledger.entries if each["action"] == "reboot"]
            return [each["miner"] for each in found if each["phase"] == "received"]

        ran = await interrupted(
            "act", span(farm, more=0), TaskName.REBOOT, "--params", '{"force": true}', "--expect",
            "12", "--config", config, "--json", when=reboots,
        )  # fmt: skip
        begun = reboots()
        assert ran.code == 3, ran.err
        unknown = [each for each in ran.document["miners"] if each["state"] == "unknown"]
        assert sorted(each["mac"] for each in unknown) == sorted(begun)
        assert all(each["result"]["sent"] for each in unknown)
        others = [each for each in ran.document["miners"] if each["state"] != "unknown"]
        assert {each["state"] for each in others} == {"not_begun"}
        assert {each["result"]["error"]["code"] for each in others} == {"cancelled"}
        held = {each.record.miner.mac for each in here.path.dispatcher.held if each.record.miner}
        assert held == set(begun), "the daemon goes on with what was begun, and with no other"


async def test_without_a_daemon_it_is_told_of_each_how_far_it_was(tmp_path: Path) -> None:
    async with await Farm.start("antminer/s21:8", base=free_base(), time_scale=1) as farm:
        ran = await interrupted(
            "act", span(farm, more=0), TaskName.REBOOT, "--params", '{"force": true}', "--expect", "8",
            *at(farm), "--json", when=lambda: farm.ledger.entries,
        )  # fmt: skip
        begun = {each["miner"] for each in farm.ledger.entries if each["phase"] == "received"}
        assert ran.code == 3, ran.err
        states = {each["mac"]: each["state"] for each in ran.document["miners"]}
        assert {mac for mac, state in states.items() if state == "unknown"} == begun
        assert set(states.values()) == {"unknown", "not_begun"}
        assert len(begun) < 8


async def test_one_that_waits_behind_another_task_says_so(tmp_path: Path) -> None:
    async with (
        await Farm.start("antminer/s21", base=free_base(), time_scale=1) as farm,
        daemon_at(tmp_path, farm),
    ):
        farm.miners[0].faults.add("ignores")
        light = LocalRequest(
            name=TaskName.LIGHT, params={"action": "on"}, host=farm.miners[0].ip, follows=True
        )
        said: list[str] = []
        path = tmp_path / "state" / "agent.sock"
        async with calling(path, light), calling(path, light) as second:
            answer = asyncio.create_task(second.answer(said.append))
            await until(
                lambda: (
                    said[-1:] == ["waiting behind miner.light.update, another task of this miner"]
                )
            )
            answer.cancel()


async def test_a_daemon_whose_config_lies_elsewhere_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    show_way(tmp_path / "state" / "agent.sock", tmp_path)
    standard = tmp_path / "agent.sock"
    monkeypatch.setattr("agent.cli.commands.STANDARD_SOCKET", standard)

    def reach(**more: Any) -> Reach:
        given: dict[str, Any] = {
            "ports": {},
            "user": None,
            "password_file": None,
            "timeout_s": None,
        }
        config = parse({"state": {"dir": str(tmp_path / "other")}})
        return Reach.make(config, **{**given, "daemon": True, "is_config_named": False, **more})

    (tmp_path / "state").mkdir()
    assert await reach().daemon_socket() is None, "where nobody listens, a link is no daemon"
    async with door(tmp_path / "state" / "agent.sock", {}):
        assert await reach().daemon_socket() == standard
        assert await reach(is_config_named=True).daemon_socket() is None
        assert await reach(daemon=False).daemon_socket() is None


async def test_a_login_of_the_command_line_is_corrected_there(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("wrong")
    password.chmod(0o600)
    async with await Farm.start("antminer/s21", base=free_base(), time_scale=100.0) as farm:
        (miner,) = farm.miners
        login = ("--user", "root", "--password-file", password)
        acted = await light(farm, miner.ip, *login)
        several = await light(farm, miner.ip, "--dry-run", *login)
        read = await miner_agent("read", miner.ip, *login, *ports(farm), "--json")
    error = acted.document["result"]["error"]
    assert error["code"] == "auth_failed"
    words = (
        error["message"],
        several.document["left_out"][0]["why"],
        read.document["problem"]["message"],
    )
    for each in words:
        assert "correct --user and --password-file" in each
        assert "[[credentials]]" not in each


def test_a_number_is_meant_exactly_or_within_a_percentage() -> None:
    assert [n for n in range(90, 111) if ExpectedCount.parse("100").holds(n)] == [100]
    held = [n for n in range(80, 121) if ExpectedCount.parse(" 100~5% ").holds(n)]
    assert (held[0], held[-1]) == (95, 105)
    assert ExpectedCount.parse("3~5%").holds(3) and not ExpectedCount.parse("3~5%").holds(4)
    assert Wanted.of(["10.0.0.0/30", "10.0.0.2"], None).duplicates == 1
