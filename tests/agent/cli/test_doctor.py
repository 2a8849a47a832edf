"""`doctor`: what is missing and what to do about it, in words."""

from __future__ import annotations

import asyncio
import shlex
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from agent.cli.doctor import examine
from agent.miners.inventory import Inventory
from contract.link import NamedRange, Settings
from contract.miner import Identity, Make
from simulator.farm import Farm
from tests.agent.commands import PROGRAM, door, miner_agent
from tests.agent.link.test_client import said, served
from tests.agent.onfarm import simulated
from tests.virtual_time import loop_clock

pytestmark = pytest.mark.real_time


async def test_doctor_names_what_is_missing_and_what_to_do(tmp_path: Path) -> None:
    ran = await miner_agent("doctor", "--config", tmp_path / "none.toml", "--json")
    assert ran.code == 1
    config = tmp_path / "config.toml"
    config.write_text("[cloud]\nurl = 'https://cloud.example.net'\n[state]\ndir = 'state'\n")
    assert "copy config.example.toml" in ran.document["checks"][0]["text"]
    findings = {each.subject: each for each in await examine(config, loop_clock())}
    assert findings["config"].level == "ok"
    assert findings["daemon"].level == "warning"
    assert "before this agent is enrolled" in findings["daemon"].text
    assert f"--config {config}" in findings["cloud"].text
    assert "install -d" in findings["state folder"].text
    assert "miner-agent enroll" in findings["cloud"].text
    assert findings["ranges"].level == "warning"
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "state" / "journal.db").write_bytes(b"x" * 5000)
    findings = {each.subject: each for each in await examine(config, loop_clock())}
    assert findings["state folder"].level != "problem" or "free" in findings["state folder"].text
    assert findings["journal"].level == "problem"


async def test_doctor_looks_at_sample_miners(farm: Farm, tmp_path: Path) -> None:
    first = next(iter(farm.miners))
    config = tmp_path / "config.toml"
    config.write_text(
        f"[state]\ndir = 'state'\n[miners]\nallowed = ['127.0.0.0/8']\n"
        f"http_port = {first.http_port}\nrpc_port = {first.rpc_port}\n"
    )
    (tmp_path / "state").mkdir(mode=0o700)
    inventory = Inventory(tmp_path / "state" / "inventory.db")
    await inventory.open()
    inventory.seen(first.ip, Identity(make=Make.ANTMINER), datetime(2026, 11, 21, tzinfo=UTC))
    await inventory.close()
    findings = {each.subject: each for each in await examine(config, loop_clock())}
    assert findings[first.ip].level == "ok"
    assert "S21" in findings[first.ip].text
    (tmp_path / "secret").write_text("wrong")
    (tmp_path / "secret").chmod(0o600)
    with config.open("a") as file:
        file.write(f"[[credentials]]\nrange = '{first.ip}'\npassword_file = 'secret'\n")
    async with door(tmp_path / "state" / "agent.sock", {}):
        findings = {each.subject: each for each in await examine(config, loop_clock())}
    assert findings["daemon"].level == "ok"
    assert findings[first.ip].level == "warning"
    assert f"[[credentials]] range {first.ip}" in findings[first.ip].text
    assert str(tmp_path / "secret") in findings[first.ip].text


@pytest.mark.parametrize(
    ("proxy", "mode", "is_said"),
    [
        ("http://farm:s3cret@127.0.0.1:1", 0o644, True),
        ("http://farm:s3cret@127.0.0.1:1", 0o640, False),
        ("http://127.0.0.1:1", 0o644, False),
    ],
)
async def test_doctor_says_that_everybody_can_read_the_password_of_a_proxy(
    tmp_path: Path, proxy: str, mode: int, is_said: bool
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f"[state]\ndir = 'state'\n[cloud]\nproxy = '{proxy}'\n")
    config.chmod(mode)
    (tmp_path / "state").mkdir(mode=0o700)
    said = [each.text for each in await examine(config, loop_clock()) if each.subject == "config"]
    assert any("chmod 0640" in text for text in said) is is_said
    assert "s3cret" not in " ".join(said)


async def test_doctor_says_where_reading_tries_no_password(tmp_path: Path) -> None:
    async with simulated("whatsminer/m50s,antminer/s21") as (farm, _, _):
        config = tmp_path / "config.toml"
        first, *_ = farm.miners
        config.write_text(
            f"[state]\ndir = 'state'\n[miners]\nallowed = ['127.0.0.0/8']\n"
            f"http_port = {first.http_port}\nrpc_port = {first.rpc_port}\nv3_port = {farm.ports['v3']}\n"
        )
        (tmp_path / "state").mkdir(mode=0o700)
        inventory = Inventory(tmp_path / "state" / "inventory.db")
        await inventory.open()
        for miner, make in zip(farm.miners, (Make.WHATSMINER, Make.ANTMINER), strict=True):
            inventory.seen(miner.ip, Identity(make=make), datetime(2026, 11, 21, tzinfo=UTC))
        await inventory.close()
        findings = {each.subject: each for each in await examine(config, loop_clock())}
        untried, tried = (findings[miner.ip].text for miner in farm.miners)
        assert untried.endswith(" reads well; its password is not tried by reading")
        assert tried.endswith(" reads well")


@pytest.mark.parametrize(
    ("ranges", "level", "words"),
    [
        ("['10.0.0.0/24', '10.0.0.128-10.0.1.9']", "ok", "265 addresses"),
        ("['10.0.0.0/8']", "problem", "16777214 addresses are more than the 65536"),
        ("['192.168.1.1']", "problem", "every address of 192.168.1.1 is denied"),
    ],
)
async def test_ranges_are_a_problem_to_the_doctor_as_to_the_scan(
    ranges: str, level: str, words: str, tmp_path: Path
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        f"[state]\ndir = 'state'\n[miners]\nranges = {ranges}\ndenied = ['192.168.1.1']\n"
    )
    findings = {each.subject: each for each in await examine(config, loop_clock())}
    assert findings["ranges"].level == level
    assert words in findings["ranges"].text


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("[miners]\nranges = ['10.0.0.0/30']", "the agent scans the ranges of [miners] when it starts"),
        ("[miners]\nranges = ['10.0.0.0/30']\n[scan]\nat_start = false", "have the cloud order a scan, or set at_start"),
        ("[miners]", "set ranges in [miners], or have the cloud order a scan"),
    ],
)  # fmt: skip
async def test_doctor_says_which_scan_finds_the_first_miners(
    config: str, words: str, tmp_path: Path
) -> None:
    (tmp_path / "config.toml").write_text(f"[state]\ndir = 'state'\n{config}\n")
    findings = {
        each.subject: each for each in await examine(tmp_path / "config.toml", loop_clock())
    }
    assert findings["miners"].text.startswith(f"none is known yet: {words}")


async def test_a_range_of_the_cloud_that_no_scan_takes_is_told(tmp_path: Path) -> None:
    async def handle(_request: web.Request) -> web.Response:
        hall = NamedRange(id="1", name="hall", range="10.0.0.0/8")
        return said(Settings(rev=1, ranges=("10.0.0.0/24", "8.8.8.0/24"), named=(hall,)))

    (tmp_path / "token").write_text("t")
    (tmp_path / "token").chmod(0o600)
    config = tmp_path / "config.toml"
    async with served(handle) as url:
        config.write_text(f"[cloud]\nurl = '{url}'\ntoken_file = 'token'\n[state]\ndir = 'state'\n")
        found = [each for each in await examine(config, loop_clock()) if each.subject == "ranges"]
    assert [each.level for each in found] == ["warning", "warning"]
    assert "8.8.8.0/24 of the cloud is not scanned: range" in found[0].text
    assert found[1].text.startswith("hall (10.0.0.0/8) of the cloud is not scanned: 16777214")


async def test_a_metrics_port_that_is_taken_is_a_problem_unless_the_daemon_has_it(
    tmp_path: Path,
) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    config = tmp_path / "config.toml"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config.write_text(f"[state]\ndir = 'state'\n[health]\nmetrics_port = {port}\n")
        findings = {each.subject: each for each in await examine(config, loop_clock())}
        assert findings["metrics"].level == "problem"
        assert "metrics_port in [health]" in findings["metrics"].text
        async with door(tmp_path / "state" / "agent.sock", {}):
            findings = {each.subject: each for each in await examine(config, loop_clock())}
        assert "metrics" not in findings
    findings = {each.subject: each for each in await examine(config, loop_clock())}
    assert findings["metrics"].level == "ok"


async def test_what_serving_subscriptions_needs_is_checked(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    config = tmp_path / "config.toml"

    async def found(rest: str = "") -> Any:
        text = f"[state]\ndir = 'state'\n[subscriptions]\nlisten = '127.0.0.1:{port}'\n{rest}"
        config.write_text(text)
        return next(
            each for each in await examine(config, loop_clock()) if each.subject == "subscriptions"
        )

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        finding = await found()
        assert finding.level == "problem"
        assert "listen in [subscriptions]" in finding.text
        async with door(tmp_path / "state" / "agent.sock", {}):
            assert (await found()).level == "ok"
    assert (await found()).level == "ok"
    assert "cannot be read" in (await found("token_file = 'missing'")).text
    (tmp_path / "empty.pem").touch()
    finding = await found("tls_cert = 'empty.pem'\ntls_key = 'empty.pem'")
    assert "no certificate with its key" in finding.text


async def test_doctor_names_the_miners_that_refused_the_login_of_the_daemon(
    farm: Farm, tmp_path: Path
) -> None:
    first, *_ = farm.miners
    config = tmp_path / "config.toml"
    (tmp_path / "secret").write_text("wrong")
    (tmp_path / "secret").chmod(0o600)
    config.write_text(
        f"[state]\ndir = 'state'\n[miners]\nallowed = ['127.0.0.0/8']\n"
        f"http_port = {first.http_port}\nrpc_port = {first.rpc_port}\n"
        f"[[credentials]]\nrange = '{first.ip}'\npassword_file = 'secret'\n"
    )
    (tmp_path / "state").mkdir(mode=0o700)
    inventory = Inventory(tmp_path / "state" / "inventory.db")
    await inventory.open()
    at = datetime(2026, 11, 21, tzinfo=UTC)
    # One that refuses among many that cannot be asked: a sample alone would hardly meet it.
    inventory.seen(first.ip, Identity(make=Make.ANTMINER), at)
    for number in range(1, 41):
        inventory.seen(f"198.51.100.{number}", Identity(make=Make.ANTMINER), at)
    for number in range(1, 12):
        inventory.note_login(f"198.51.100.{number}", refused=True)
    inventory.note_login(first.ip, refused=True)
    await inventory.close()
    findings = await examine(config, loop_clock())
    said = {each.subject: each for each in findings}
    assert said["passwords"].level == "warning"
    assert said["passwords"].text.startswith(
        f"auth_failed at 12 miners when the agent last looked: {first.ip}, "
    )
    assert " and 2 more; set the right user and password in" in said["passwords"].text
    # Correcting the file alone does nothing: the daemon goes on with what it read.
    assert said["passwords"].text.endswith(
        "then restart the agent: it reads passwords when it starts"
    )
    assert said[first.ip].text.startswith("auth_failed: ")
    assert str(tmp_path / "secret") in said[first.ip].text


@pytest.mark.parametrize(
    ("streams", "words"),
    [("> /dev/full", "could not be written: No space left"), ("<&- >&-", ""), ("<&- >&- 2>&-", "")],
)
async def test_an_answer_that_goes_nowhere_is_no_traceback(
    streams: str, words: str, tmp_path: Path
) -> None:
    command = shlex.join([*PROGRAM, "doctor", "--config", str(tmp_path / "none.toml")])
    process = await asyncio.create_subprocess_shell(
        f"exec {command} {streams}", stderr=asyncio.subprocess.PIPE
    )
    _, err = await process.communicate()
    assert (process.returncode, b"Traceback" in err) == (1, False)
    assert words in err.decode()
