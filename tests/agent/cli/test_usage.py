"""What is asked for wrongly, or is not to be touched, is answered with what to do instead."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from agent.cli.app import _task_params
from agent.cli.commands import Reach
from agent.cli.given import config_of
from agent.config.file import parse
from agent.tasks.actions import ACTIONS, UnsupportedAction
from contract.task import SPECS, TaskName, parse_params
from tests.agent.commands import PROGRAM, miner_agent

pytestmark = pytest.mark.real_time


@pytest.mark.parametrize(
    "args",
    [
        ["scan", "10.0.0.300"],
        ["scan", "--http-port", "0", "10.0.0.1"],
        ["read", "miner.invalid"],
        ["scan", "10.0.0.0/24,10.0.1.300"],
        ["read", "10.0.0.0/24"],
        ["doctor", "--user", "no-such-user"],
        ["read", "10.0.0.1", "--user", "root"],
        ["act", "10.0.0.1", "miner.light.update", "--params", "{"],
        ["act", "10.0.0.1", "miner.light.update", "--params", "[]"],
        ["act", "10.0.0.1", "miner.light.update", "--params", '{"action": "blink"}'],
        ["act", "10.0.0.1", "miner.paint"],
        ["act", "10.0.0.1", "miner.tags.update"],
        ["nonsense"],
    ],
)
async def test_wrong_usage_is_exit_2_with_a_sentence(args: list[str]) -> None:
    ran = await miner_agent(*args, "--json")
    assert ran.code == 2
    assert ran.err
    assert ran.document["ok"] is False
    assert ran.document["error"]["message"]
    assert "Traceback" not in ran.err
    assert "Input should" not in ran.err + ran.out


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["read", "8.8.8.8"], 1, "outside the addresses this agent may touch"),
        (["scan", "8.8.8.0/30"], 2, "outside the addresses this agent may scan"),
        (["act", "8.8.8.8", TaskName.LOG], 1, "outside the addresses"),
        (["read", "127.0.0.9"], 1, "is denied to this agent"),
        (["scan", "127.0.0.9-127.0.0.10"], 2, "every address of 127.0.0.9-127.0.0.10 is denied"),
    ],
)
async def test_public_and_denied_addresses_are_refused_by_hand(
    args: list[str], code: int, words: str, tmp_path: Path
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        "[miners]\nallowed = []\ndenied = ['127.0.0.8-127.0.0.15']\n[state]\ndir = 's'\n"
    )
    ran = await miner_agent(*args, "--config", config, "--timeout", "1")
    assert ran.code == code
    assert words in ran.out + ran.err


async def test_a_public_address_that_the_config_names_is_touched(tmp_path: Path) -> None:
    reach = Reach.make(
        parse({"miners": {"allowed": ["203.0.113.0/24"]}}),
        ports={}, user=None, password_file=None, timeout_s=None, daemon=False,
    )  # fmt: skip
    territory = reach.site(("203.0.113.7",)).territory
    for ip in ("203.0.113.7", "10.0.0.1", "192.168.1.1", "127.0.0.1", "100.64.0.1"):
        assert ip in territory
    for ip in ("8.8.8.8", "198.51.100.1"):
        assert ip not in territory


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["miner.light.update"], 2, "params.action: is missing"),
        (["miner.light.update"], 2, """--params '{"action": "on"}'"""),
        (["miner.light.update", "--params", "{'action': 'on'}"], 2, "--params is not JSON"),
        (["miner.light.update", "--params", "7"], 2, "for example: miner-agent act 10.0.0.1 miner.light"),
        (["miner.pool.update", "--params", '{"pools": []}'], 2, "needs at least 1 entry"),
        (["miner.pool.update", "--params", '{"pools": [{"url": "notaurl", "user": "u"}]}'], 2, "scheme://"),
        (["miner.firmware.update", "--params", '{"firmware_url":"https://x.example/y","sha265":"0"}'], 2,
         "--params: params.sha265: unknown key; did you mean sha256?"),
        (["miner.pool.update", "--params", '{"pools": [{"url": "tcp://a:1", "user": "u", "pass": "x"}]}'], 2,
         "params.pools.0.pass: unknown key; did you mean password?"),
        (["miner.pool.update", "--params", '{"pools": [{"url": "javascript://x", "user": ""}]}'], 2, "scheme must be one of"),
        (["miner.light.update", "--params", "@/nowhere/params.json"], 2, "no such file"),
        (["miner.light.update", "--params", "README.md"], 2, "(char 0); did you mean @README.md?"),
        (["miner.light.update", "--params", "nowhere.json"], 2, "(char 0)\nminer.light.update takes"),
        (["miner.light.update", "--params", "x" * 5000], 2, "(char 0)\nminer.light.update takes"),
        (["miner.pool.update", "--params", '{"pools": [{"url": "tcp://a:1", "user": "\\ud800"}]}'], 2,
         "params.pools.0.user: must be text that can be written as UTF-8"),
        (["miner.paint"], 2, "miner.power_mode.update"),
        (["light"], 2, "did you mean miner.light.update?"),
        (["reboot"], 2, "did you mean miner.system.reboot?"),
        (["power"], 2, "there are: miner.system.reboot, "),
        (["miner.light.updte"], 2, "did you mean miner.light.update?"),
        (["agent.scan.create"], 2, "miner-agent scan RANGE"),
        (["agent.self.update"], 2, "install the new package on this host"),
        (["agent.ip_diagnosis.create"], 1, "unsupported"),
        (["miner.pool.lock"], 1, "unsupported"),
        (["miner.tags.update"], 2, "by the cloud"),
    ],
)  # fmt: skip
async def test_a_task_asked_for_wrongly_is_answered_with_how_to_ask(
    args: list[str], code: int, words: str
) -> None:
    ran = await miner_agent("act", "10.0.0.1", *args)
    assert ran.code == code
    assert words in ran.err
    assert "Value error" not in ran.err


def test_parameters_come_from_a_file_or_from_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no list of processes shows a password of theirs."""
    text = '{"pools": [{"url": "stratum+tcp://p.example:1", "user": "u", "password": "s3cret"}]}'
    (tmp_path / "pools.json").write_text(text)
    (tmp_path / "marked.json").write_text(text, "utf-8-sig")  # as some editors begin a file
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    for given in (text, f"@{tmp_path / 'pools.json'}", f"@{tmp_path / 'marked.json'}", "-"):
        assert _task_params("10.0.0.1", TaskName.POOLS, given, True) == json.loads(text)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ("@/dev/zero", "--params @/dev/zero: file too large"),
        ("@/", "--params @/: is a directory"),
        ("@", "--params @: "),
        ("@/dev/null", "--params is not JSON"),
        ('{"pools": [{"url": "tcp://a:1", "user": "\\ud800"}]}', "--params: params.pools.0.user"),
    ],
)
def test_parameters_that_cannot_be_taken_are_refused_in_words(
    params: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as ended:
        _task_params("10.0.0.1", TaskName.POOLS, params, False)
    assert ended.value.exit_code == 2
    assert words in capsys.readouterr().err


def test_every_hint_is_of_a_task_and_its_example_is_right() -> None:
    wanted = {name for name, spec in SPECS.items() if spec.by_agent and spec.wants_miner}
    unsupported = {name for name, each in ACTIONS.items() if isinstance(each, UnsupportedAction)}
    told = {name: spec.usage for name, spec in SPECS.items() if spec.usage is not None}
    assert set(told) == wanted - unsupported
    for name, usage in told.items():
        parse_params(name, json.loads(usage.example or "{}"))


@pytest.mark.parametrize("option", ["--config", "--password-file"])
async def test_a_missing_file_on_the_command_line_is_wrong_usage(
    option: str, tmp_path: Path
) -> None:
    more = ["--user", "root"] if option == "--password-file" else []
    ran = await miner_agent("read", "127.0.0.1", *more, option, tmp_path / "nowhere")
    assert ran.code == 2
    assert ran.err.count("nowhere") == 1
    assert "Errno" not in ran.err


async def test_the_daemon_without_a_config_says_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = tmp_path / "config.toml"
    monkeypatch.setattr("agent.cli.given.DEFAULT_CONFIG", nowhere)
    with pytest.raises(typer.Exit) as ended:
        config_of(None, required=True, as_json=False)
    assert ended.value.exit_code == 2
    words = "is missing: copy config.example.toml there and set what differs; or give --config FILE"
    assert capsys.readouterr().err == f"{nowhere} {words}\n"


async def test_the_version_is_told() -> None:
    """By the program as it is started outside of tests."""
    process = await asyncio.create_subprocess_exec(*PROGRAM, "--version", stdout=subprocess.PIPE)
    out, _ = await process.communicate()
    name, version = out.decode().split()
    assert (process.returncode, name) == (0, "miner-agent")
    assert version.startswith("v")
    assert "miner.pool.update" in (await miner_agent("act", "--help")).out
    assert "..." not in (await miner_agent("--help")).out.partition("Commands:")[2]


async def test_help_needs_none_of_the_heavy_libraries() -> None:
    code = "import sys, agent.cli.app; print(*(m for m in ('aiohttp','pyasic','rich','uvloop','pydantic','structlog','sqlite3') if m in sys.modules))"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert out.decode().split() == []
