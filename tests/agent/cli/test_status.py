"""`status` and `top`: what the daemon of this host knows, as people and programs read it."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import subprocess
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from agent.cli.glance import glance
from agent.cli.render import drawn
from agent.local.socket import LocalRequest
from agent.local.status import STATUS
from tests.agent.commands import PROGRAM, door, miner_agent
from tests.waiting import until

pytestmark = pytest.mark.real_time
WELL: dict[str, Any] = {
    "ok": True,
    "at": "2026-11-21T12:00:00Z",
    "miners": {"total": 3, "wrong": 0, "states": {"hashing": 2, "sleeping": 1}, "troubles": {}},
    "rates": [
        {
            "kind": "sha256", "miners": 2, "hashrate_hs": 398e12, "expected_hs": 400e12, "compared_hs": 398e12,
            "unknown": 0, "metered_hs": 398e12, "metered_w": 7000.0, "realization": 0.995,
            "efficiency_j_per_th": 17.6,
        }
    ],
    "power": {"power_w": 7000.0, "metered": 2, "expected_w": 3500.0, "compared_w": 3400.0},
    "worst": [],
    "causes": [],
    "tasks": {"total": 0, "phases": {}, "oldest": []},
    "cloud": {
        "state": "ok", "heard_s": 4.0, "lease_left_s": 50.0, "reports_waiting": 0, "readings_waiting": 1,
        "readings_dropped": 0,
    },
    "sinks": {"rigmonitor": "ok"},
    "agent": {"version": "v0.3.0", "release_sha256": "ab" * 32},
    "read_only": False,
    "notices": [],
}  # fmt: skip
WRONG: dict[str, Any] = WELL | {
    "ok": False,
    "miners": {
        "total": 3, "wrong": 2, "states": {"hashing": 1, "unreachable": 1, "maintenance": 1},
        "troubles": {"unreachable": 1, "board lost": 1},
    },
    "worst": [
        {"ip": "10.0.0.7", "mac": None, "model": "S21 [bold]", "state": "unreachable", "troubles": ["unreachable"],
         "words": "does not answer for 5 h"},
        {"ip": "10.0.0.8", "mac": None, "model": None, "state": "hashing", "troubles": ["board lost"],
         "words": "board 2 of 3 hashes nothing"},
    ],
    "causes": ["all 12 unreachable miners are in 10.0.7.0/24"],
    "tasks": {
        "total": 2, "phases": {"waiting for its turn": 2},
        "oldest": [
            {"task_id": "t", "name": "miner.system.reboot", "ip": "10.0.0.7", "origin": "onsite",
             "since": "2026-11-21T11:59:00Z", "phase": "waiting for its turn"},
        ],
    },
    "notices": ["The disk is \x1b[2Jfull."],
}  # fmt: skip


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "config.toml").write_text("[state]\ndir = 'state'\n")
    (tmp_path / "state").mkdir()
    return tmp_path / "config.toml"


def socket_of(config: Path) -> Path:
    return config.parent / "state" / "agent.sock"


async def test_all_is_well_is_exit_0(config: Path) -> None:
    async with door(socket_of(config), WELL) as asked:
        ran = await miner_agent("status", "--config", config)
        as_json = await miner_agent("status", "--config", config, "--json")
    assert asked == [LocalRequest(name=STATUS)] * 2
    assert (ran.code, as_json.code) == (0, 0)
    assert as_json.document == WELL
    assert ran.out.splitlines() == [
        "3 miners: 2 hashing, 1 sleeping",
        "nothing is wrong with them",
        "sha256: 398 TH/s, 99.5 % of 400 TH/s expected, 17.6 J/TH",
        "power: 7 kW measured at 2 miners; 3.4 kW of 3.5 kW expected where that is known",
        "",
        "no task is under way",
        "cloud: heard 4 s ago; 0 reports of tasks and 1 reading wait for it",
        "miner-agent v0.3.0 (release abababababab)",
        "rigmonitor: ok",
    ]


async def test_what_is_wrong_is_exit_1_and_said_in_words(config: Path) -> None:
    async with door(socket_of(config), WRONG):
        ran = await miner_agent("status", "--config", config)
    assert ran.code == 1
    assert ran.err == ""
    for words in (
        "3 miners: 1 hashing, 1 unreachable, 1 maintenance",
        "2 are wrong: 1 unreachable, 1 board lost",
        "10.0.0.7  S21 [bold]  unreachable  does not answer for 5 h",
        "all 12 unreachable miners are in 10.0.7.0/24",
        "2 tasks under way: 2 waiting for its turn",
        "miner.system.reboot at 10.0.0.7, for 60 s: waiting for its turn (onsite)",
        "and 1 more",
        "notice: The disk is ?[2Jfull.",
    ):
        assert words in ran.out


HOSTILE = WRONG | {
    "worst": [WRONG["worst"][0] | {"model": "S21\x1b[2J", "words": "fan \x9b31m\u202e (code 1)"}],
    "causes": ["all 12 miners that tell a fault run firmware \x1b]0;own\x07"],
}


async def test_what_a_miner_tells_gives_no_orders_to_the_terminal(config: Path) -> None:
    async with door(socket_of(config), HOSTILE):
        ran = await miner_agent("status", "--config", config)
    assert "S21?[2J" in ran.out
    assert all(each.isprintable() for each in ran.out.replace("\n", ""))


def test_what_a_miner_tells_gives_no_orders_to_the_screen_of_top() -> None:
    assert all(each.isprintable() for each in drawn(glance(HOSTILE)).replace("\n", ""))


async def test_without_a_daemon_it_says_so(config: Path) -> None:
    ran = await miner_agent("status", "--config", config, "--json")
    assert ran.code == 1
    message = ran.document["error"]["message"]
    assert message.startswith(f"no daemon runs here: nobody listens at {socket_of(config)}")


async def test_top_without_a_terminal_points_to_status(config: Path) -> None:
    ran = await miner_agent("top", "--config", config)
    assert ran.code == 2
    assert "top needs a terminal; miner-agent status" in ran.err


@pytest.mark.parametrize("key", [b"q", None])
async def test_top_shows_it_again_and_again_until_q_or_an_interrupt(
    config: Path, key: bytes | None
) -> None:
    ours, theirs = pty.openpty()
    shown = bytearray()
    loop = asyncio.get_running_loop()

    def read() -> None:
        shown.extend(os.read(ours, 65536))

    async with AsyncExitStack() as stack:
        asked = await stack.enter_async_context(door(socket_of(config), WRONG))
        process = await asyncio.create_subprocess_exec(
            *PROGRAM, "top", "--config", str(config), "--every", "0.5",
            stdin=theirs, stdout=theirs, stderr=subprocess.PIPE,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "40"}, start_new_session=True,
        )  # fmt: skip
        loop.add_reader(ours, read)
        try:
            await until(lambda: len(asked) > 1 and b"does not answer for 5 h" in shown)
            await stack.aclose()
            await until(lambda: b"no daemon runs here" in shown)
            os.write(ours, b" " if key is None else key)
            if key is None:
                process.send_signal(signal.SIGINT)
            _, err = await asyncio.wait_for(process.communicate(), 20)
        finally:
            loop.remove_reader(ours)
            if process.returncode is None:
                process.kill()
            os.close(ours)
            os.close(theirs)
    assert process.returncode == 0, err.decode()
    assert err == b""
