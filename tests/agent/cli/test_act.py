"""`act`: one task at one miner, with its proof in words, straight or through the daemon."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.local.hints import all_the_same
from agent.local.socket import LocalRequest
from agent.miners.inventory import Inventory
from contract.clock import SystemClock
from contract.errors import PolicyRefusedError
from contract.task import TaskName
from drivers.base import Reboot
from drivers.stranger import Stranger
from simulator.farm import Farm
from tests.agent.commands import at, door, miner_agent
from tests.agent.onfarm import free_base, simulated

pytestmark = pytest.mark.real_time


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
    assert ran.document["advice"] == """here that is: --params '{"force": true}'"""
    assert not [each for each in farm.ledger.entries if each["action"] == "reboot"]


async def test_what_every_make_refuses_unless_forced_is_answered_with_how_to_force_it() -> None:
    async with simulated("antminer/s21,whatsminer/m50s,iceriver/ks3") as (farm, site, _):
        for miner in farm.miners:
            driver, _ = await site.fleet.look_at(miner.ip)
            assert not isinstance(driver, Stranger)
            with pytest.raises(PolicyRefusedError) as refused:
                await driver.plan(Reboot())
            result = {"error": {"code": refused.value.code, "message": str(refused.value)}}
            assert """--params '{"force": true}'""" in all_the_same(TaskName.REBOOT, result)
    result = {"error": {"code": "policy_refused", "message": "This site is read-only."}}
    assert all_the_same(TaskName.REBOOT, result) == ""


async def test_act_on_foreign_firmware_is_refused(farm: Farm) -> None:
    foreign = next(each for each in farm.miners if each.foreign)
    ran = await miner_agent(
        "act", foreign.ip, TaskName.LIGHT, "--params", '{"action": "on"}', *at(farm), "--json"
    )
    assert ran.code == 1
    assert ran.document["result"]["error"]["code"] == "unsupported"


async def test_act_refuses_one_of_two_that_the_daemon_met_with_one_mac(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[state]\ndir = 'state'\n")
    (tmp_path / "state").mkdir()
    async with simulated("antminer/s21,antminer/s21") as (farm, site, _):
        real, false = farm.miners
        false.faults.add("changes_mac", mac=real.mac)
        driver, _ = await site.fleet.look_at(real.ip)
        assert not isinstance(driver, Stranger)
        inventory = Inventory(tmp_path / "state" / "inventory.db")
        await inventory.open()
        inventory.seen(real.ip, driver.identity, SystemClock().now())
        await inventory.close()
        light = ("act", false.ip, TaskName.LIGHT, "--params", '{"action": "on"}')
        ran = await miner_agent(*light, *at(farm), "--config", config, "--json")
        assert ran.code == 1, ran.out
        error = ran.document["result"]["error"]
        assert error["code"] == "wrong_device"
        assert real.ip in error["message"]
        assert farm.ledger.entries == []


async def test_act_leaves_a_miner_alone_that_the_daemon_knows_to_be_in_maintenance(
    farm: Farm, tmp_path: Path
) -> None:
    config, miner = tmp_path / "config.toml", next(iter(farm.miners))
    config.write_text("[state]\ndir = 'state'\n")
    (tmp_path / "state").mkdir()
    inventory = Inventory(tmp_path / "state" / "inventory.db")
    await inventory.open()
    inventory.keep_maintained(frozenset({miner.mac}))
    await inventory.close()
    light = ("act", miner.ip, TaskName.LIGHT, *at(farm), "--config", config, "--json", "--params")
    ran = await miner_agent(*light, '{"action": "on"}')
    assert ran.code == 1, ran.out
    assert ran.document["result"]["error"]["code"] == "policy_refused"
    assert "params.allow_maintenance = true" in ran.document["result"]["error"]["message"]
    assert farm.ledger.entries == []
    ran = await miner_agent(*light, '{"action": "on", "allow_maintenance": true}')
    assert ran.code == 0, ran.out


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


async def test_an_iceriver_shows_how_warm_it_is_and_a_missing_file_is_not_called_a_missing_miner(
    tmp_path: Path,
) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[firmware]\nallowed = ['127.0.0.1']\n")
    async with simulated("iceriver/ks3") as (farm, _, _):
        (miner,) = farm.miners
        ports = (*at(farm), "--daemon-port", str(farm.ports["daemon"]))
        ran = await miner_agent("read", miner.ip, *ports)
        warm = [line for line in ran.out.splitlines() if "degC" in line]
        assert [line.split()[0] for line in warm] == ["boards", "outlet", *["board"] * 3]
        image = ("--params", '{"firmware_url": "http://127.0.0.1:9/ks3.bgz"}')
        ran = await miner_agent("act", miner.ip, TaskName.FIRMWARE, *image, *ports)
        assert ran.code == 1
        assert "policy_refused" in ran.out and "[firmware]" in ran.out
        image = (*image, "--config", config)
        ran = await miner_agent("act", miner.ip, TaskName.FIRMWARE, *image, *ports)
        assert ran.code == 1
        assert "http://127.0.0.1:9/ks3.bgz could not be downloaded" in ran.out + ran.err
        assert "--http-port" not in ran.out + ran.err
