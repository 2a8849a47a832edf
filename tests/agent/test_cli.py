"""The commands as an operator starts them: real processes, stdout and exit codes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from agent.actions import UNSUPPORTED
from agent.commands import Reach
from agent.config import parse
from agent.doctor import examine
from agent.hints import USAGE
from agent.local import (
    LocalRefusedError,
    LocalReply,
    LocalRequest,
    LocalServer,
    NoDaemonError,
    ask,
)
from contract.clock import SystemClock
from contract.task import SPECS, TaskName, parse_params
from simulator.farm import Farm
from tests.agent.onfarm import free_base, simulated
from tests.agent.test_health import Ear
from tests.agent.test_link import served

PROGRAM = (sys.executable, "-m", "agent")


class Ran:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def document(self) -> Any:
        lines = self.out.splitlines()
        assert len(lines) == 1, self.out
        return json.loads(lines[0])


async def miner_agent(*args: object) -> Ran:
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, *map(str, args), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return Ran(process.returncode, out.decode(), err.decode())


def at(farm: Farm) -> list[str]:
    first = next(iter(farm.miners))
    return ["--http-port", str(first.http_port), "--rpc-port", str(first.rpc_port)]


@pytest.fixture
async def farm() -> AsyncIterator[Farm]:
    async with simulated("antminer/s21,antminer/s9,antminer/l7,foreign/braiins") as (farm, _, _):
        yield farm


@pytest.mark.parametrize(
    "args",
    [
        ["scan", "10.0.0.300"],
        ["scan", "--http-port", "0", "10.0.0.1"],
        ["read", "miner.example.net"],
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


async def test_read_of_nobody_is_exit_1_with_its_code() -> None:
    ran = await miner_agent("read", free_base(), "--timeout", "1", "--json")
    assert ran.code == 1
    assert ran.document["error"]["code"] == "unreachable"


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
    assert "moment" not in ran.document["problem"]["message"]
    assert ran.document["reading"]["moving"]["hashrate_hs"] > 1e12
    assert "hush-hush" not in ran.out
    for_people = await miner_agent(
        "read", miner.ip, *at(farm), "--user", "root", "--password-file", secret
    )
    assert "TH/s" in for_people.out
    assert "auth_failed" in for_people.out


async def test_act_changes_one_thing_and_shows_the_proof(farm: Farm) -> None:
    miner = next(iter(farm.miners))
    ran = await miner_agent(
        "act", miner.ip, TaskName.LIGHT, "--params", '{"action": "on"}', *at(farm), "--json"
    )
    assert ran.code == 0, ran.err
    result = ran.document["result"]
    assert (result["outcome"], result["verified"]) == ("done", True)
    assert result["evidence"]["before"] != result["evidence"]["after"]
    effects = [each for each in farm.ledger.entries if each["phase"] == "applied"]
    assert [(each["action"], each["miner"]) for each in effects] == [("light", miner.mac)]


async def test_act_that_is_refused_is_exit_1_and_touches_nothing(farm: Farm) -> None:
    miner = next(iter(farm.miners))
    ran = await miner_agent("act", miner.ip, TaskName.REBOOT, *at(farm), "--json")
    assert ran.code == 1
    assert ran.document["result"]["error"]["code"] == "policy_refused"
    assert not [each for each in farm.ledger.entries if each["action"] == "reboot"]


async def test_act_on_foreign_firmware_is_refused(farm: Farm) -> None:
    foreign = next(each for each in farm.miners if each.foreign)
    ran = await miner_agent(
        "act", foreign.ip, TaskName.LIGHT, "--params", '{"action": "on"}', *at(farm), "--json"
    )
    assert ran.code == 1
    assert ran.document["result"]["error"]["code"] == "unsupported"


async def test_act_leaves_a_log_where_it_was_asked_to(farm: Farm, tmp_path: Path) -> None:
    miner = next(iter(farm.miners))
    ran = await miner_agent(
        "act", miner.ip, TaskName.LOG, "--logs", tmp_path / "here", *at(farm), "--json"
    )
    assert ran.code == 0, ran.err
    (log,) = (tmp_path / "here").iterdir()
    assert log.stat().st_size == ran.document["result"]["file"]["size_bytes"] > 0
    assert ran.document["result"]["file"]["path"] == str(log)


async def test_a_log_fetched_by_the_daemon_ends_up_where_it_was_asked_to(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[state]\ndir = 'state'\n")
    kept = tmp_path / "state" / "logs" / "20261121-miner.log"
    kept.parent.mkdir(parents=True)
    kept.write_text("all is well")
    done = {"outcome": "done", "verified": True, "evidence": {}, "file": {"path": str(kept)}}
    async with door(tmp_path / "state" / "agent.sock", done):
        ran = await miner_agent(
            "act", "10.0.0.1", TaskName.LOG, "--logs", tmp_path / "here", "--config", config
        )
    assert ran.code == 0, ran.err
    copy = tmp_path / "here" / kept.name
    assert copy.read_text() == "all is well"
    assert str(copy) in ran.out


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
        (["miner.paint"], 2, "miner.power_mode.update"),
        (["agent.scan.create"], 2, "miner-agent scan RANGE"),
        (["agent.self.update"], 1, "Install the new version"),
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


def test_every_hint_is_of_a_task_and_its_example_is_right() -> None:
    wanted = {name for name, spec in SPECS.items() if spec.by_agent and spec.wants_miner}
    assert set(USAGE) == wanted - set(UNSUPPORTED)
    for name, usage in USAGE.items():
        parse_params(TaskName(name), json.loads(usage.example or "{}"))


async def test_a_task_that_takes_its_time_says_what_it_waits_for() -> None:
    async with await Farm.start("antminer/s21", base=free_base(), time_scale=30) as farm:
        miner = next(iter(farm.miners))
        args = ("act", miner.ip, TaskName.REBOOT, "--params", '{"force": true}', *at(farm))
        ran = await miner_agent(*args, "--device-pace", "30")
    assert ran.code == 0, ran.out + ran.err
    assert "waiting for the miner to come back ... " in ran.err
    assert "waiting" not in ran.out
    assert "\x1b" not in ran.err


async def test_what_became_of_a_task_is_told_in_words(farm: Farm) -> None:
    first = next(iter(farm.miners))
    foreign = next(each for each in farm.miners if each.foreign)
    on = ("--params", '{"action": "on"}', *at(farm))
    done = await miner_agent("act", first.ip, TaskName.LIGHT, *on)
    assert "    light_on: no" in done.out
    assert "    light_on: yes" in done.out
    refused = await miner_agent("act", foreign.ip, TaskName.LIGHT, *on)
    assert refused.code == 1
    assert "none" not in refused.out
    assert refused.out.count("only read") == 1
    image = ("--params", '{"firmware_url": "http://127.0.0.1:9/never-asked"}', *at(farm))
    firmware = await miner_agent("act", foreign.ip, TaskName.FIRMWARE, *image, "--json")
    assert firmware.document["result"]["error"]["code"] == "unsupported"


async def test_a_reading_says_which_pool_is_in_use_and_for_how_long_it_runs(farm: Farm) -> None:
    ran = await miner_agent("read", next(iter(farm.miners)).ip, *at(farm))
    (pool,) = (line for line in ran.out.splitlines() if "in use" in line)
    assert pool.startswith("pool ")
    (uptime,) = (line for line in ran.out.splitlines() if line.startswith("uptime"))
    assert uptime.split()[2] in {"day", "days", "h", "min", "s"}
    assert ran.err == ""


async def test_an_iceriver_shows_how_warm_it_is_and_a_missing_file_is_not_called_a_missing_miner() -> (
    None
):
    async with simulated("iceriver/ks3") as (farm, _, _):
        (miner,) = farm.miners
        ports = (*at(farm), "--daemon-port", str(farm.ports["daemon"]))
        ran = await miner_agent("read", miner.ip, *ports)
        warm = [line for line in ran.out.splitlines() if "degC" in line]
        assert [line.split()[0] for line in warm] == ["boards", "outlet", *["board"] * 3]
        image = ("--params", '{"firmware_url": "http://127.0.0.1:9/ks3.bgz"}')
        ran = await miner_agent("act", miner.ip, TaskName.FIRMWARE, *image, *ports)
        assert ran.code == 1
        assert "http://127.0.0.1:9/ks3.bgz could not be downloaded" in ran.out + ran.err
        assert "--http-port" not in ran.out + ran.err


async def test_a_closed_port_says_which_option_names_another(farm: Farm) -> None:
    ran = await miner_agent("read", free_base(), "--timeout", "1")
    assert ran.code == 1
    assert "--http-port and --rpc-port" in ran.err


@pytest.mark.parametrize("option", ["--config", "--password-file"])
async def test_a_missing_file_on_the_command_line_is_wrong_usage(
    option: str, tmp_path: Path
) -> None:
    more = ["--user", "root"] if option == "--password-file" else []
    ran = await miner_agent("read", "127.0.0.1", *more, option, tmp_path / "nowhere")
    assert ran.code == 2
    assert ran.err.count("nowhere") == 1
    assert "Errno" not in ran.err


async def test_the_version_is_told() -> None:
    ran = await miner_agent("--version")
    assert (ran.code, ran.out.split()[0]) == (0, "miner-agent")
    assert ran.out.split()[1].startswith("v")
    assert "miner.pool.update" in (await miner_agent("act", "--help")).out


@asynccontextmanager
async def door(path: Path, answer: dict[str, Any] | Exception) -> AsyncIterator[list[LocalRequest]]:
    asked: list[LocalRequest] = []

    async def handle(request: LocalRequest) -> dict[str, Any]:
        asked.append(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    server = LocalServer(path, handle)
    await server.start()
    try:
        yield asked
    finally:
        await server.stop()


async def test_act_goes_through_a_daemon_that_runs_here(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[state]\ndir = 'state'\n")
    (tmp_path / "state").mkdir()
    done = {"outcome": "unknown", "verified": False, "evidence": {}}
    async with door(tmp_path / "state" / "agent.sock", done) as asked:
        ran = await miner_agent(
            "act",
            "10.0.0.1",
            TaskName.REBOOT,
            "--params",
            '{"force": true}',
            "--config",
            config,
            "--json",
        )
    assert ran.code == 3  # the outcome is unknown
    assert asked == [LocalRequest(name=TaskName.REBOOT, params={"force": True}, host="10.0.0.1")]


async def test_the_door_is_for_its_owner_and_survives_nonsense(tmp_path: Path) -> None:
    path = tmp_path / "agent.sock"
    path.write_text("left by a killed daemon")
    path.unlink()
    request = LocalRequest(name="x")
    with pytest.raises(NoDaemonError):
        await ask(path, request)
    async with door(path, LocalRefusedError("not now")):
        assert path.stat().st_mode & 0o777 == 0o600
        assert await ask(path, request) == LocalReply(refused="not now")
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(b"[" * 1000 + b"\n")
        assert b"not a request" in await reader.readline()
        writer.close()
        await writer.wait_closed()
    async with door(path, RuntimeError("bug")):
        assert "internal" in ((await ask(path, request)).refused or "")
    assert not path.exists()


async def test_run_without_enrolment_says_how_to_enroll(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[cloud]\nurl = 'https://cloud.example.net'\n[state]\ndir = 'state'\n")
    ran = await miner_agent("run", "--config", config, "--json")
    assert ran.code == 1
    assert "miner-agent enroll" in ran.document["error"]["message"]


async def test_the_daemon_starts_stops_and_keeps_its_folder_to_itself(tmp_path: Path) -> None:
    """With a cloud that is away: that is no reason not to run."""
    state = tmp_path / "state"
    state.mkdir()
    (state / "token").write_text("t")
    (state / "token").chmod(0o600)
    config = tmp_path / "config.toml"
    config.write_text(
        "[cloud]\nurl = 'http://127.0.0.1:9'\n[state]\ndir = 'state'\n[health]\nheartbeat_s = 1\n"
    )
    ear = Ear(tmp_path / "notify")
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, "run", "--config", str(config), "--json",
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "2000000"},
    )  # fmt: skip
    heard: list[str] = []
    async with asyncio.timeout(30):
        while not (any("READY=1" in each for each in heard) and "WATCHDOG=1" in heard):
            heard += ear.heard()
            await asyncio.sleep(0.02)
    second = await miner_agent("run", "--config", config, "--json")
    assert second.code == 1
    assert second.document["ok"] is False
    reply = await ask(
        state / "agent.sock",
        LocalRequest(name="miner.light.update", params={"action": "on"}, host="127.0.0.1"),
    )
    assert reply.result is not None
    assert reply.result["error"]["code"] == "policy_refused"  # not an address of this site
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    assert json.loads(out) == {"ok": True}
    assert "STOPPING=1" in ear.heard()
    assert b"Traceback" not in err
    assert not (state / "agent.sock").exists()
    ear.close()


async def test_doctor_names_what_is_missing_and_what_to_do(tmp_path: Path) -> None:
    ran = await miner_agent("doctor", "--config", tmp_path / "none.toml", "--json")
    assert ran.code == 1
    config = tmp_path / "config.toml"
    config.write_text("[cloud]\nurl = 'https://cloud.example.net'\n[state]\ndir = 'state'\n")
    assert "copy config.example.toml" in ran.document["checks"][0]["text"]
    findings = {each.subject: each for each in await examine(config, SystemClock())}
    assert findings["config"].level == "ok"
    assert findings["daemon"].level == "warning"
    assert f"--config {config}" in findings["cloud"].text
    assert "install -d" in findings["state folder"].text
    assert "miner-agent enroll" in findings["cloud"].text
    assert findings["ranges"].level == "warning"
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "state" / "journal.db").write_bytes(b"x" * 5000)
    findings = {each.subject: each for each in await examine(config, SystemClock())}
    assert findings["state folder"].level != "problem" or "free" in findings["state folder"].text
    assert findings["journal"].level == "problem"


async def test_doctor_looks_at_sample_miners(farm: Farm, tmp_path: Path) -> None:
    from datetime import UTC, datetime

    from agent.inventory import Inventory
    from contract.miner import Identity, Make

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
    findings = {each.subject: each for each in await examine(config, SystemClock())}
    assert findings[first.ip].level == "ok"
    assert "S21" in findings[first.ip].text
    (tmp_path / "secret").write_text("wrong")
    (tmp_path / "secret").chmod(0o600)
    with config.open("a") as file:
        file.write(f"[[credentials]]\nrange = '{first.ip}'\npassword_file = 'secret'\n")
    async with door(tmp_path / "state" / "agent.sock", {}):
        findings = {each.subject: each for each in await examine(config, SystemClock())}
    assert findings["daemon"].level == "ok"
    assert findings[first.ip].level == "warning"
    assert f"[[credentials]] range {first.ip}" in findings[first.ip].text
    assert str(tmp_path / "secret") in findings[first.ip].text


async def test_help_needs_none_of_the_heavy_libraries() -> None:
    code = "import sys, agent.cli; print(*(m for m in ('aiohttp','pyasic','rich','uvloop','pydantic','structlog','sqlite3') if m in sys.modules))"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert out.decode().split() == []


async def test_enroll_works_without_a_config_and_tells_where_the_token_is(tmp_path: Path) -> None:
    async def handle(request: web.Request) -> web.Response:
        code = (await request.json())["code"]
        if code != "c0de":
            return web.json_response({"message": "This code is not valid"}, status=401)
        return web.json_response(
            {"agent_id": "a", "workspace_id": "w", "farm_id": "f", "token": "t0p-secret"}
        )

    async with served(handle) as url:
        given = ("enroll", "--cloud", url, "--state", tmp_path / "s", "--json")
        refused = await miner_agent(*given, "--code", "no")
        done = await miner_agent(*given, "--code", "c0de")
    assert (refused.code, done.code) == (1, 0)
    assert "not valid" in refused.document["error"]["message"]
    assert "enroll-code" in refused.document["error"]["message"]
    away = await miner_agent(*given, "--code", "c0de")
    assert away.code == 1
    assert "ssl:" not in away.err
    assert "Errno" not in away.err
    assert f"check that {url}" in away.err
    nowhere = await miner_agent("enroll", "--state", tmp_path / "s", "--code", "c0de")
    assert nowhere.code == 2
    assert "--cloud" in nowhere.err
    authority = await miner_agent(*given, "--code", "x", "--ca-file", tmp_path / "ca.pem")
    assert authority.code == 2
    assert "ca.pem" in authority.err
    assert done.document["agent_id"] == "a"
    assert Path(done.document["token_file"]).read_text() == "t0p-secret\n"
    assert "t0p-secret" not in done.out + done.err
