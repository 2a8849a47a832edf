"""`enroll` and `run`: from a code to a daemon that tells systemd of itself and listens at its door."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from aiohttp import web

from agent.local.socket import LocalRefusedError, LocalReply, LocalRequest, NoDaemonError, ask
from tests.agent.commands import PROGRAM, door, miner_agent
from tests.agent.link.test_client import served
from tests.service.ear import Ear
from tests.waiting import until

pytestmark = pytest.mark.real_time


async def test_enroll_works_without_a_config_and_tells_where_the_token_is(tmp_path: Path) -> None:
    async def handle(request: web.Request) -> web.Response:
        code = (await request.json())["code"]
        if code not in {"c0de", "c0de-2"}:
            return web.json_response({"message": "This code is not valid"}, status=401)
        agent = "a" if code == "c0de" else "b"
        return web.json_response(
            {"agent_id": agent, "workspace_id": "w", "farm_id": "f", "token": "t0p-secret"}
        )

    async with served(handle) as url:
        given = ("enroll", "--cloud", url, "--state", tmp_path / "s", "--json")
        refused = await miner_agent(*given, "--code", "no")
        done = await miner_agent(*given, "--code", "c0de")
        once_more = await miner_agent(*given[:-1], "--code", "c0de-2")
    assert "before, this host was agent a of farm f: a daemon that runs goes on" in once_more.out
    assert "before" not in done.out
    assert (refused.code, done.code) == (1, 0)
    assert "not valid" in refused.document["error"]["message"]
    assert refused.document["error"]["message"].endswith(
        "; codes are made by: miner-cloud enroll-code"
    )
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


async def test_run_without_enrolment_says_how_to_enroll(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[cloud]\nurl = 'https://cloud.example.net'\n[state]\ndir = 'state'\n")
    ran = await miner_agent("run", "--config", config, "--json")
    assert ran.code == 1
    assert "miner-agent enroll" in ran.document["error"]["message"]


async def test_a_port_that_is_taken_ends_the_daemon_with_its_key(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t")
    (tmp_path / "token").chmod(0o600)
    config = tmp_path / "config.toml"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config.write_text(
            "[cloud]\nurl = 'http://127.0.0.1:9'\ntoken_file = 'token'\n[state]\ndir = 'state'\n"
            f"[health]\nmetrics_port = {port}\n"
        )
        ran = await miner_agent("run", "--config", config, "--json")
    assert ran.code == 1
    assert "metrics_port in [health]" in ran.document["error"]["message"]
    assert "Traceback" not in ran.err


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

    def is_up() -> bool:
        heard.extend(ear.heard())
        return any("READY=1" in each for each in heard) and "WATCHDOG=1" in heard

    await until(is_up, within_s=30.0)
    second = await miner_agent("run", "--config", config, "--json")
    assert second.code == 1
    assert second.document["ok"] is False
    reply = await ask(
        state / "agent.sock",
        LocalRequest(name="miner.light.update", params={"action": "on"}, host="127.0.0.1"),
    )
    assert reply.result is not None
    assert reply.result["error"]["code"] == "policy_refused"  # not an address of this site
    ear.heard()  # a queue of ten that is full takes no more
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    assert json.loads(out) == {"ok": True}
    assert "STOPPING=1" in ear.heard()
    assert b"Traceback" not in err
    assert not (state / "agent.sock").exists()
    ear.close()


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
