"""`doctor`: what is missing and what to do about it, in words."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.doctor import examine
from agent.inventory import Inventory
from contract.miner import Identity, Make
from simulator.farm import Farm
from tests.agent.commands import door, miner_agent
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
    assert " and 2 more; correct" in said["passwords"].text
    assert said[first.ip].text.startswith("auth_failed: ")
    assert str(tmp_path / "secret") in said[first.ip].text
