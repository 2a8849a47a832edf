"""The monitor's client over real sockets: simulated miners on one side, the strict server on the other."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from agent.sinks.rigmonitor.reports import REFUSED_WAIT_S
from contract.link import MinerRef
from contract.miner import PowerMode
from contract.task import TaskName
from tests.agent.rigmonitor.stage import (
    agent_on,
    codes_for,
    farm_of,
    monitor_config,
    switched,
)
from tests.agent.rigmonitor.strict_server import strict_server
from tests.virtual_time import VirtualClock, run_virtually
from tests.waiting import until

MIX = "antminer/s21:1,whatsminer:2,iceriver/ks5l:1"


async def test_each_miner_is_told_of_as_the_strict_server_wants_it(tmp_path: Path) -> None:
    async with farm_of("antminer:6,whatsminer:5,iceriver:4") as farm, strict_server() as server:
        _, codes = codes_for(farm, tmp_path)
        machines = {ip: server.add(code) for ip, code in codes.items()}
        config = monitor_config(farm, tmp_path, server.url + "/api/v1/")
        async with agent_on(farm, config) as agent:
            await until(lambda: all(len(each.logs) > 1 for each in machines.values()), within_s=40)
            for ip, machine in machines.items():
                device = farm[ip]
                identity = agent.site.fleet.at(ip).identity
                assert machine.activated
                assert len(machine.specs) == 1, machine.specs
                spec = machine.specs[0]
                # an IceRiver tells its system apart from its software
                own = "software_version" if identity.make == "IceRiver" else "firmware_version"
                assert identity.firmware_version in spec[own]
                assert identity.model in machine.specs[0]["model"]
                last = machine.logs[-1]
                assert last["lan_ip"] == device.ip
                assert last["coin_name"]
                assert last["power"] > 0
                assert last["hashrate_uom"] == "GH/s"
            assert agent.monitor.state == "ok"
            assert agent.monitor.sent >= 2 * len(machines)
        assert server.faults == []
        assert set(server.replies) == {
            ("specs", 200),
            ("logs", 200),
            ("expected_status_bulk", 200),
        }
        assert max(server.most_at_once[code] for code in codes.values()) == 1
        assert server.header_names == {"API_CODE"}


async def test_light_and_mining_follow_the_monitor_and_come_back_to_the_mode_before(
    tmp_path: Path,
) -> None:
    async with farm_of(MIX) as farm, strict_server() as server:
        _, codes = codes_for(farm, tmp_path)
        machines = [server.add(code) for code in codes.values()]
        config = monitor_config(farm, tmp_path, server.url)
        async with agent_on(farm, config) as agent:
            await until(lambda: all(each.logs for each in machines), within_s=40)
            for each in machines:
                each.asic, each.light = "off", "on"
            await until(lambda: all(device.state == "sleeping" for device in farm), within_s=60)
            await until(lambda: all(device.light for device in farm), within_s=60)
            await _quiet(agent)
            told = [len(each.logs) for each in machines]
            for each in machines:
                each.asic, each.light = "on", "off"
            await until(lambda: all(device.state == "mining" for device in farm), within_s=60)
            await until(lambda: not any(device.light for device in farm), within_s=60)
            await _quiet(agent)
            await until(
                lambda: all(len(each.logs) > n for each, n in zip(machines, told, strict=True)),
                within_s=40,
            )
            assert agent.monitor.state == "ok"
            for task in agent.tasks:
                assert task["origin"] == "rigmonitor"
                assert task["status"] == "succeed", task
                assert task["state"] in ("settled", "reported")
        for device in farm:
            done = switched(farm, device.ip)
            assert len(done) == 4, done
        assert server.faults == []


async def _quiet(agent: Any) -> None:
    """Until every task of the monitor has ended."""
    await until(lambda: not agent.path.dispatcher.tasks, within_s=60)


async def test_a_miner_in_maintenance_is_left_as_it_is_and_followed_again_afterwards(
    tmp_path: Path,
) -> None:
    async with farm_of("antminer/s21:2") as farm, strict_server() as server:
        _, codes = codes_for(farm, tmp_path)
        machines = [server.add(code) for code in codes.values()]
        config = monitor_config(farm, tmp_path, server.url)
        async with agent_on(farm, config) as agent:
            await until(lambda: all(each.logs for each in machines), within_s=40)
            worked_on, other = farm.miners
            agent.path.maintenance.follow((worked_on.mac,))
            for each in machines:
                each.asic, each.light = "off", "on"
            await until(lambda: other.state == "sleeping" and other.light, within_s=60)
            await _quiet(agent)
            asked = server.replies["expected_status_bulk", 200]
            await until(lambda: server.replies["expected_status_bulk", 200] > asked + 5)
            assert switched(farm, worked_on.ip) == []
            assert agent.monitor.state == "ok"
            agent.path.maintenance.follow(())
            await until(lambda: worked_on.state == "sleeping" and worked_on.light, within_s=60)
            await _quiet(agent)
        assert len(switched(farm, worked_on.ip)) == 2


def test_one_miner_is_asked_about_by_the_single_call(tmp_path: Path) -> None:
    async def script() -> None:
        clock = VirtualClock()
        async with farm_of("antminer/s21:1", time_scale=1.0) as farm, strict_server() as server:
            _, codes = codes_for(farm, tmp_path)
            (code,) = codes.values()
            machine = server.add(code, light="on")
            config = monitor_config(farm, tmp_path, server.url, device_pace=1.0)
            async with agent_on(farm, config, clock):
                await until(lambda: farm.miners[0].light, within_s=60)
                assert server.bulk_sizes == []
                del server.machines[code]
                machine.asic = "off"

                def refused() -> int:
                    return sum(n for (_, status), n in server.replies.items() if status == 401)

                await until(refused)
                await clock.sleep(0.8 * REFUSED_WAIT_S)
                assert refused() <= 2  # the two that may have been under way: then peace
                await clock.sleep(0.5 * REFUSED_WAIT_S)
                assert 2 <= refused() <= 4  # it may have been put right meanwhile
            assert switched(farm, farm.miners[0].ip) == ["light"]
            assert server.faults == []

    run_virtually(script())


async def test_a_miner_the_list_leaves_out_is_left_alone(tmp_path: Path) -> None:
    async with farm_of("antminer/s21:2") as farm, strict_server() as server:
        _, codes = codes_for(farm, tmp_path)
        first, second = (server.add(code, asic="off") for code in codes.values())
        del server.machines[second.code]
        async with agent_on(farm, monitor_config(farm, tmp_path, server.url)) as agent:
            await until(lambda: farm.miners[0].state == "sleeping", within_s=60)
            assert "leaves it out" in agent.monitor.state
            await until(lambda: "401" in agent.monitor.state)
            await until(lambda: first.activated)
        assert switched(farm, farm.miners[1].ip) == []


async def test_what_the_monitor_refuses_is_dropped_said_once_and_not_sent_again(
    tmp_path: Path,
) -> None:
    async with farm_of("antminer/s21:1,whatsminer:1") as farm, strict_server() as server:
        _, codes = codes_for(farm, tmp_path)
        for code in codes.values():
            server.add(code)
        server.reject = {"power": ["is invalid"]}
        async with agent_on(farm, monitor_config(farm, tmp_path, server.url)) as agent:
            await until(lambda: server.replies["logs", 422] >= 4, within_s=40)
            assert "record refused by the monitor" in agent.monitor.state
            assert "is invalid" in agent.monitor.state
            assert not any(code in agent.monitor.state for code in codes.values())
            assert server.replies["specs", 200] == 2
            server.reject = None
            await until(lambda: server.replies["logs", 200] >= 2, within_s=40)
            await until(lambda: agent.monitor.state == "ok")


async def test_in_read_only_mode_the_monitor_is_told_and_not_followed(tmp_path: Path) -> None:
    async with farm_of("antminer/s21:2") as farm, strict_server() as server:
        _, codes = codes_for(farm, tmp_path)
        machines = [server.add(code, asic="off", light="on") for code in codes.values()]
        config = monitor_config(farm, tmp_path, server.url, policy={"read_only": True})
        async with agent_on(farm, config) as agent:
            await until(lambda: all(len(each.logs) > 2 for each in machines), within_s=40)
            await until(lambda: len(server.bulk_sizes) > 4, within_s=40)
            assert "read-only" in agent.monitor.state
            assert agent.tasks == []
        assert farm.ledger.of(phase="received") == []


async def test_what_a_site_forbids_is_not_done_for_the_monitor_either(tmp_path: Path) -> None:
    async with farm_of("antminer/s21:2") as farm, strict_server() as server:
        _, codes = codes_for(farm, tmp_path)
        for code in codes.values():
            server.add(code, asic="off", light="on")
        forbidden = {"forbidden_tasks": ["miner.power_mode.update"]}
        config = monitor_config(farm, tmp_path, server.url, policy=forbidden)
        async with agent_on(farm, config) as agent:
            await until(lambda: all(device.light for device in farm), within_s=40)
            words = "does not allow miner.mining.update (policy.forbidden_tasks)"
            await until(lambda: words in agent.monitor.state)
        assert all(device.state == "mining" for device in farm)


async def test_a_miner_without_a_way_to_stop_is_said_once_and_its_light_still_works(
    tmp_path: Path,
) -> None:
    async with farm_of("antminer/s9:1,antminer/s21:1") as farm, strict_server() as server:
        _, codes = codes_for(farm, tmp_path)
        for code in codes.values():
            server.add(code, asic="off", light="on")
        async with agent_on(farm, monitor_config(farm, tmp_path, server.url)) as agent:
            await until(lambda: farm.miners[1].state == "sleeping", within_s=60)
            await until(lambda: farm.miners[0].light, within_s=60)
            await until(lambda: "cannot be switched" in agent.monitor.state, within_s=60)
            polls = len(server.bulk_sizes)
            await until(lambda: len(server.bulk_sizes) > polls + 3)
            await until(lambda: all(task["status"] for task in agent.tasks))
            failed = [task for task in agent.tasks if task["status"] not in {"succeed", None}]
            assert len(failed) == 1, failed
            assert "unsupported_mode" in failed[0]["result"]
            for machine in server.machines.values():
                machine.asic = "on"
            await until(lambda: agent.monitor.state == "ok", within_s=60)


async def test_power_comes_back_a_few_miners_at_a_time(tmp_path: Path) -> None:
    now = asyncio.get_running_loop().time
    async with farm_of("whatsminer/m50s:8", ledger_now=now) as farm, strict_server() as server:
        _, codes = codes_for(farm, tmp_path)
        machines = [server.add(code, asic="off") for code in codes.values()]
        config = monitor_config(farm, tmp_path, server.url, limits={"power_ons_per_10_s": 3})
        async with agent_on(farm, config) as agent:
            await until(lambda: all(device.state == "sleeping" for device in farm), within_s=60)
            await _quiet(agent)
            for each in machines:
                each.asic = "on"
            await until(
                lambda: len(farm.ledger.of(action="power_on", phase="applied")) >= 8, within_s=60
            )
            await _quiet(agent)
        begun = [entry["t"] for entry in farm.ledger.of(action="power_on", phase="applied")]
        assert len(begun) == 8
        begun.sort()
        for early, late in zip(begun, begun[3:], strict=False):
            # ten seconds between their orders, less the times miners take to act on them
            assert late - early > 9.0, begun


async def test_how_a_miner_ran_before_is_remembered_through_a_restart(tmp_path: Path) -> None:
    async with farm_of("antminer/s21:2") as farm, strict_server() as server:
        _, codes = codes_for(farm, tmp_path)
        machines = [server.add(code) for code in codes.values()]
        config = monitor_config(farm, tmp_path, server.url)
        first: Any = farm.miners[0]
        async with agent_on(farm, config) as agent:
            ref = _ref(agent, first.ip)
            low = await agent.path.submit_local(TaskName.POWER_MODE, {"mode": "low"}, ref, "onsite")
            assert low["status"] == "succeed"
            await until(lambda: agent.monitor._newest[first.mac].mode is PowerMode.LOW, within_s=40)
            machines[0].asic = "off"
            await until(lambda: first.state == "sleeping", within_s=60)
            await _quiet(agent)
        async with agent_on(farm, config) as agent:
            machines[0].asic = "on"
            await until(lambda: first.state == "mining", within_s=60)
            await _quiet(agent)
            modes = [
                entry["after"]["mode"] for entry in farm.ledger.of(action="mode", phase="applied")
            ]
            assert modes == ["3", "1", "3"]
            await until(lambda: agent.monitor._newest[first.mac].mode is PowerMode.LOW, within_s=40)


async def test_what_an_agent_of_before_remembered_of_a_miner_that_is_off_is_not_lost(
    tmp_path: Path,
) -> None:
    async with farm_of("antminer/s21:1") as farm, strict_server() as server:
        _, codes = codes_for(farm, tmp_path)
        (machine,) = [server.add(code, asic="off") for code in codes.values()]
        config = monitor_config(farm, tmp_path, server.url)
        first: Any = farm.miners[0]
        async with agent_on(farm, config) as agent:
            await until(lambda: first.state == "sleeping", within_s=60)
            await _quiet(agent)
        (tmp_path / "inventory.db").unlink()
        kept = {first.mac: {"at": "2026-01-01T00:00:00.000Z", "off": True, "mode": "low"}}
        (tmp_path / "rigmonitor.json").write_text(json.dumps(kept))
        machine.asic = "on"
        async with agent_on(farm, config) as agent:
            await until(lambda: first.state == "mining", within_s=60)
            await _quiet(agent)
        modes = [entry["after"]["mode"] for entry in farm.ledger.of(action="mode", phase="applied")]
        assert modes == ["1", "3"]


async def test_a_crash_between_the_intent_and_the_proof_leaves_one_transition(
    tmp_path: Path,
) -> None:
    async with farm_of("whatsminer/m50s:2") as farm, strict_server() as server:
        _, codes = codes_for(farm, tmp_path)
        machines = [server.add(code) for code in codes.values()]
        config = monitor_config(farm, tmp_path, server.url)
        async with agent_on(farm, config):
            await until(lambda: machines[0].logs, within_s=40)
            machines[0].asic = "off"
            await until(lambda: farm.ledger.of(action="power_off", phase="applied"), within_s=60)
        async with agent_on(farm, config) as agent:
            await until(
                lambda: [task["status"] for task in agent.tasks] == ["succeed"], within_s=60
            )
            polls = len(server.bulk_sizes)
            await until(lambda: len(server.bulk_sizes) > polls + 3)
        assert [entry["action"] for entry in farm.ledger.of(phase="applied")] == ["power_off"]


def _ref(agent: Any, ip: str) -> MinerRef:
    identity = agent.site.fleet.at(ip).identity
    return MinerRef(id=identity.mac, mac=identity.mac, last_ip=ip)


async def test_a_new_firmware_is_told_as_soon_as_it_is_seen(tmp_path: Path) -> None:
    async with farm_of("whatsminer/m50s:1") as farm, strict_server() as server:
        _, codes = codes_for(farm, tmp_path)
        (code,) = codes.values()
        machine = server.add(code)
        miner: Any = farm.miners[0]
        async with agent_on(farm, monitor_config(farm, tmp_path, server.url)) as agent:
            await until(lambda: machine.logs, within_s=40)
            old = machine.specs[0]["firmware_version"]
            miner.version = "20991231.10.Rel"
            await agent.site.fleet.look_at(miner.ip)
            await until(lambda: len(machine.specs) > 1, within_s=40)
            assert machine.specs[1]["firmware_version"] == "20991231.10.Rel" != old
            logs = len(machine.logs)
            await until(lambda: len(machine.logs) > logs + 2)
            assert len(machine.specs) == 2


async def test_a_server_that_breaks_on_one_miner_is_not_called_away(tmp_path: Path) -> None:
    async with farm_of("antminer/s21:3") as farm, strict_server() as server:
        _, codes = codes_for(farm, tmp_path)
        machines = [server.add(code) for code in codes.values()]
        server.breaks_on = machines[0].code
        async with agent_on(farm, monitor_config(farm, tmp_path, server.url)) as agent:
            await until(lambda: "gives no answer for it" in agent.monitor.state, within_s=40)
            assert farm.miners[0].mac in agent.monitor.state
            assert farm.miners[1].mac not in agent.monitor.state
            assert all(each.logs for each in machines[1:])
            server.breaks_on = None
            await until(lambda: machines[0].logs, within_s=40)
            await until(lambda: agent.monitor.state == "ok")


async def test_of_two_with_one_mac_neither_is_reported_or_switched_until_one_is_left(
    tmp_path: Path,
) -> None:
    async with farm_of("antminer/s21:2") as farm, strict_server() as server:
        real, false = farm.miners
        _, codes = codes_for(farm, tmp_path)
        machine = server.add(codes[real.ip])
        server.add(codes[false.ip])
        false.faults.add("changes_mac", mac=real.mac)
        machine.asic = "off"
        async with agent_on(farm, monitor_config(farm, tmp_path, server.url)) as agent:
            await until(
                lambda: f"{real.mac} ({real.ip} and {false.ip})" in agent.monitor.state, within_s=40
            )
            polls, logs = len(server.bulk_sizes), len(machine.logs)
            await until(lambda: len(server.bulk_sizes) > polls + 5)
            assert len(machine.logs) <= logs + 1
            assert farm.ledger.entries == []
            false.faults.remove("changes_mac")
            await until(lambda: farm.ledger.of(phase="applied"), within_s=60)
            assert {entry["ip"] for entry in farm.ledger.entries} == {real.ip}
            await until(lambda: real.mac not in agent.monitor.state)
