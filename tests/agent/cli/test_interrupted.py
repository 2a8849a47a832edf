"""Commands that a signal ends: what they say of what they did, with which exit code, and never a trace."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.config.file import parse
from agent.firmware.download import open_downloader
from agent.limits.policy import Policy
from agent.local.orders import alone
from agent.local.socket import Known, LocalServer
from agent.miners.inventory import Inventory
from agent.miners.site import open_site
from agent.scan.scanner import FarmScanner
from contract.clock import SystemClock, from_text
from contract.task import TaskName
from simulator.farm import Farm
from tests.agent.commands import Ran, at, door, interrupted
from tests.agent.onfarm import config_for, free_base

pytestmark = pytest.mark.real_time
FORCE = ("--params", '{"force": true}')
ON = ("--params", '{"action": "on"}')


@pytest.fixture
async def slow_farm() -> AsyncIterator[Farm]:
    """Miners that take as long to boot as hardware does."""
    async with await Farm.start("antminer/s21", base=free_base(), time_scale=1) as farm:
        yield farm


@asynccontextmanager
async def mute(port: int = 0) -> AsyncIterator[tuple[str, list[str], list[object]]]:
    """A host that accepts and says nothing: its address, the options for its port, and who asked it something."""
    came: list[object] = []
    held: list[asyncio.StreamWriter] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)
        if await reader.read(1):
            came.append(writer)
        await reader.read()
        writer.close()

    ip = free_base()
    server = await asyncio.start_server(accept, ip, port)
    free = str(server.sockets[0].getsockname()[1])
    try:
        yield ip, ["--http-port", free, "--rpc-port", free], came
    finally:
        server.close()
        for each in held:
            each.close()


def reboots(farm: Farm) -> list[dict[str, Any]]:
    return [each for each in farm.ledger.entries if each["action"] == "reboot"]


def says_nothing_odd(ran: Ran) -> bool:
    return "Traceback" not in ran.err and "Error" not in ran.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_what_was_sent_is_said_with_the_time_by_which_it_shows(
    slow_farm: Farm, number: signal.Signals
) -> None:
    miner = next(iter(slow_farm.miners))
    args = ("act", miner.ip, TaskName.REBOOT, *FORCE, *at(slow_farm))
    began = datetime.now(UTC)
    ran = await interrupted(*args, "--json", when=lambda: reboots(slow_farm), number=number)
    assert ran.code == 3, ran.err
    assert says_nothing_odd(ran)
    result = ran.document["result"]
    assert ran.document["ok"] is False
    assert (result["outcome"], result["verified"], result["sent"]) == ("unknown", False, True)
    ahead = from_text(result["proven_by"]) - began
    assert timedelta(seconds=60) < ahead < timedelta(seconds=900)
    assert result["proven_by"] in result["error"]["message"]
    assert "Nobody goes on watching" in result["error"]["message"]
    assert len([each for each in reboots(slow_farm) if each["phase"] == "received"]) == 1


@pytest.mark.parametrize(("number", "pause_s"), [(signal.SIGINT, 0.02), (signal.SIGTERM, 0.1)])
async def test_an_impatient_operator_is_told_all_the_same(
    slow_farm: Farm, number: signal.Signals, pause_s: float
) -> None:
    miner = next(iter(slow_farm.miners))
    args = ("act", miner.ip, TaskName.REBOOT, *FORCE, *at(slow_farm), "--json")
    again = [pause_s] * 20
    ran = await interrupted(*args, when=lambda: reboots(slow_farm), number=number, again=again)
    assert ran.code == 3, ran.err
    assert says_nothing_odd(ran)
    assert (ran.document["result"]["outcome"], ran.document["result"]["sent"]) == ("unknown", True)


async def test_before_anything_was_asked_for_it_ends_with_the_signals_own_code() -> None:
    """The signal comes while it puts its parts together."""
    program = (
        "import os, signal, sys\n"
        "from agent.cli import act, app\n"
        "made = act.FarmScanner\n"
        "def interrupted(*parts):\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    return made(*parts)\n"
        "act.FarmScanner = interrupted\n"
        "sys.exit(app.main())\n"
    )
    args = ("act", "127.0.0.1", TaskName.LIGHT, *ON, "--json")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, *args, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = await process.communicate()
    assert (process.returncode, b"interrupted" in out) == (130, True), err.decode()


async def test_before_anything_was_sent_nothing_was_done_and_that_is_said() -> None:
    async with mute() as (ip, ports, came):
        ran = await interrupted("act", ip, TaskName.LIGHT, *ON, *ports, when=lambda: came)
    assert ran.code == 1, ran.out + ran.err
    assert says_nothing_odd(ran)
    assert "before any change was sent" in ran.out
    assert "\n" in ran.out


async def test_the_daemon_goes_on_and_that_is_said(tmp_path: Path, slow_farm: Farm) -> None:
    """The door of a real task path: whoever asked leaves, the reboot is watched to its end."""
    miner = next(iter(slow_farm.miners))
    ports = {"http_port": miner.http_port, "rpc_port": miner.rpc_port}
    config = tmp_path / "config.toml"
    config.write_text("[state]\ndir = 'state'\n")
    (tmp_path / "state").mkdir()
    sections = {"ranges": [miner.ip], "allowed": ["127.0.0.0/8"], **ports}
    clock = SystemClock()
    parsed = parse({"miners": sections})
    site = open_site(parsed, clock, Inventory(None))
    scanner = FarmScanner(
        site.fleet, site.territory, config_for(slow_farm).scan, site.scan_ports, clock
    )
    loader = open_downloader(parsed)
    async with alone(site, scanner, loader, Policy(), clock) as here:
        server = LocalServer(tmp_path / "state" / "agent.sock", here.order)
        await server.start()
        try:
            ran = await interrupted(
                "act", miner.ip, TaskName.REBOOT, *FORCE, "--config", config, "--json",
                when=lambda: reboots(slow_farm),
            )  # fmt: skip
            assert ran.code == 3, ran.err
            assert says_nothing_odd(ran)
            result = ran.document["result"]
            assert (result["outcome"], result["sent"]) == ("unknown", True)
            assert result["proven_by"] in result["error"]["message"]
            assert "The daemon goes on with it" in result["error"]["message"]
            assert result["task_id"] in result["error"]["message"]
            held = [each.id for each in here.path.dispatcher.held]
            assert held == [result["task_id"]], "the daemon dropped what nobody waits for"
        finally:
            await server.stop()


async def test_a_daemon_that_has_sent_nothing_goes_on_all_the_same(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[state]\ndir = 'state'\n")
    (tmp_path / "state").mkdir()
    async with door(tmp_path / "state" / "agent.sock", None, Known(task_id="t-1")) as asked:
        ran = await interrupted(
            "act", "10.0.0.1", TaskName.REBOOT, "--config", config, when=lambda: asked
        )
    assert ran.code == 3, "it may be sent from now on"
    assert says_nothing_odd(ran)
    assert "before any change was sent" in ran.out
    assert "The daemon goes on with it and tells its cloud the outcome as task t-1" in ran.out


async def test_looks_end_with_the_signals_own_code_and_without_a_trace(tmp_path: Path) -> None:
    async with mute() as (ip, ports, came):
        read = await interrupted("read", ip, *ports, "--json", when=lambda: came)
        assert (read.code, read.document["ok"]) == (130, False)
        came.clear()
        ended = await interrupted("read", ip, *ports, when=lambda: came, number=signal.SIGTERM)
        assert (ended.code, ended.out) == (143, "")
        came.clear()
        url = f"http://{ip}:{ports[1]}"
        enroll = await interrupted(
            "enroll", "--cloud", url, "--code", "x", "--state", tmp_path, when=lambda: came
        )
    assert enroll.code == 3, "the cloud may have taken the code"
    assert "enroll-code" in enroll.err
    assert all(map(says_nothing_odd, (read, ended, enroll)))


async def test_a_scan_shows_what_it_has_found_by_then(farm: Farm, tmp_path: Path) -> None:
    first = next(iter(farm.miners))
    config = tmp_path / "config.toml"
    config.write_text("[scan]\nidentify_at_once = 1\n")
    near = first.ip.rpartition(".")[0]
    async with mute(first.http_port) as (ip, _, came):
        far = ip.rpartition(".")[0]
        ran = await interrupted(
            "scan", f"{near}.1-{near}.4", f"{far}.1-{far}.250", *at(farm),
            "--config", config, "--json", when=lambda: came,
        )  # fmt: skip
    assert ran.code == 130, ran.err
    assert says_nothing_odd(ran)
    assert ran.document["ok"] is False
    assert first.mac in {each["mac"] for each in ran.document["miners"]}
    assert (ran.document["addresses"], ran.document["not_asked"] > 0) == (254, True)
    assert "of 254 addresses were not looked at" in ran.document["problem"]["message"]
    assert first.mac in ran.err, "the table, beside the document"
