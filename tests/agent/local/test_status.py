"""What the daemon tells of its farm at its door: from what it knows, judged and bounded."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from agent.config.file import Config
from agent.daemon import Daemon
from agent.local.socket import LocalRequest, ask
from agent.local.status import STATUS
from contract.clock import to_text
from contract.link import MinerReading
from contract.miner import Algorithm, Board, Identity, Make, Moving, Pool, Slow, Static
from contract.task import TaskName
from service.notify import Notifier
from simulator.farm import Farm
from tests.agent.onfarm import config_for, free_base
from tests.agent.rigs import entry_of
from tests.virtual_time import loop_clock
from tests.waiting import until


def config_of(farm: Farm | None, folder: Path, **more: Any) -> Config:
    """A daemon whose cloud is away; `more` are other sections."""
    (folder / "token").write_text("t")
    (folder / "token").chmod(0o600)
    sections: dict[str, Any] = {
        "cloud": {"url": "http://127.0.0.1:9"},
        "state": {"dir": str(folder)},
        "telemetry": {"interval_s": 5.0, "min_interval_s": 1.0, "slow_every_polls": 1},
        **more,
    }
    if farm is not None:
        return config_for(farm, **sections)
    return Config.model_validate(sections)


@asynccontextmanager
async def running(farm: Farm, folder: Path, **more: Any) -> AsyncIterator[Callable[[], Any]]:
    """A daemon that looks after these miners; gives what asks it for its status."""
    config = config_of(farm, folder, **more)
    daemon = Daemon(config, loop_clock(), Notifier({}))
    life = asyncio.create_task(daemon.run())

    async def status() -> dict[str, Any]:
        reply = await ask(config.socket_path, LocalRequest(name=STATUS))
        assert reply.result is not None, reply.refused
        return reply.result

    try:
        await until(config.socket_path.exists)
        yield status
    finally:
        daemon.stop()
        await life


async def test_what_is_wrong_is_counted_and_told_in_words(tmp_path: Path) -> None:
    specs = "antminer/s21:8,whatsminer/m50s:3"
    async with await Farm.start(specs, base=free_base(), time_scale=100.0) as farm:
        one, two, three, four, five = farm.miners[:5]
        two.faults.add("board_missing", chains=[0])
        three.faults.add("wrong_password")
        four.faults.add("pools_dead")
        async with running(farm, tmp_path) as status:

            async def all_are_judged() -> bool:
                states = (await status())["miners"]["states"]
                return set(states) == {"hashing"} and sum(states.values()) == len(farm)

            await until(all_are_judged, within_s=600, every_s=1.0)
            five.faults.add("dead")
            sleep = {"mode": "sleep"}
            request = LocalRequest(name=TaskName.POWER_MODE, params=sleep, host=one.ip)
            assert (await ask(tmp_path / "agent.sock", request)).result["outcome"] == "done"

            async def is_told() -> bool:
                states = (await status())["miners"]["states"]
                return states.get("unreachable") == states.get("sleeping") == 1

            await until(is_told, within_s=120, every_s=1.0)
            document = await status()
    assert document["ok"] is False
    states, troubles = document["miners"]["states"], document["miners"]["troubles"]
    assert states == {"hashing": 9, "sleeping": 1, "unreachable": 1}
    assert troubles.keys() >= {"board lost", "wrong password", "no pool", "unreachable"}
    assert document["miners"]["wrong"] == 4, document["worst"]
    worst = {each["ip"]: each for each in document["worst"]}
    assert set(worst) == {each.ip for each in (two, three, four, five)}, "who sleeps is not broken"
    assert worst[three.ip]["words"] == "its login was refused"
    assert worst[five.ip]["words"].startswith("does not answer")
    assert "board" in worst[two.ip]["words"]
    (rates,) = (each for each in document["rates"] if each["kind"] == "sha256")
    assert 0 < rates["realization"] < 1
    assert rates["efficiency_j_per_th"] > 5
    assert document["power"]["metered"]
    assert document["cloud"]["state"] != "ok"
    assert document["cloud"]["heard_s"] is None
    assert document["cloud"]["readings_waiting"] > 0
    assert document["tasks"]["total"] == 0
    assert document["sinks"] == {}


async def test_a_rig_whose_key_is_open_to_everybody_is_said_and_the_others_are_looked_after(
    tmp_path: Path,
) -> None:
    specs = "antminer/s21,rig/xmrig-cpu"
    async with await Farm.start(specs, base=free_base(), time_scale=100.0) as farm:
        _, rig = farm.miners
        entry = entry_of(rig)
        Path(entry["key_file"]).chmod(0o644)
        async with running(farm, tmp_path, rigs=[entry]) as status:

            async def both_are_judged() -> bool:
                states = (await status())["miners"]["states"]
                return bool(states == {"hashing": 1, "unreachable": 1})

            await until(both_are_judged, within_s=600, every_s=1.0)
            document = await status()
    (notice,) = document["notices"]
    assert notice.startswith(f"rig {entry['name']}: {entry['key_file']}: everybody on this host")
    assert [each["words"] for each in document["worst"]] == ["its login was refused"]


async def test_rigs_are_told_of_as_all_miners_are(tmp_path: Path) -> None:
    specs = "antminer/s21,rig/6xrtx3080-trex,rig/xmrig-cpu,rig/xmrig-restricted"
    async with await Farm.start(specs, base=free_base(), time_scale=100.0) as farm:
        _, lost, paused, other = farm.miners
        rigs = [entry_of(each) for each in farm.miners[1:]]
        other.faults.add("changes_host_key")
        async with running(farm, tmp_path, rigs=rigs) as status:

            async def all_are_seen() -> bool:
                states = (await status())["miners"]["states"]
                return bool(states == {"hashing": 3, "unreachable": 1})

            await until(all_are_seen, within_s=1200, every_s=5.0)
            assert (await status())["miners"]["wrong"] == 1, (await status())["worst"]
            lost.faults.add("gpu_falls_off", gpus=[1])
            paused.units[0].run.pause(True)

            async def is_told() -> bool:
                found = (await status())["miners"]
                return "board lost" in found["troubles"] and "sleeping" in found["states"]

            await until(is_told, within_s=600, every_s=5.0)
            document = await status()
    worst = {each["ip"]: each for each in document["worst"]}
    assert set(worst) == {lost.ip, other.ip}, "who was told to pause is not broken"
    assert worst[other.ip]["words"].startswith("cannot be read")
    assert worst[other.ip]["words"].endswith("wrong device")
    assert worst[lost.ip]["model"] == "RTX 3080 x6"
    assert "low rate" not in document["miners"]["troubles"]


async def test_who_is_limited_on_purpose_is_not_wrong(tmp_path: Path) -> None:
    specs = "whatsminer/m50s:2,whatsminer/m60s:2"
    async with await Farm.start(specs, base=free_base(), time_scale=100.0) as farm:
        orders: tuple[dict[str, Any], ...] = ({"watts": 2400}, {"percent": 60}) * 2
        for miner in farm.miners:
            miner.settings["fast_boot"] = True

        async def is_fine(status: Callable[[], Any]) -> bool:
            miners = (await status())["miners"]
            return miners["states"] == {"hashing": len(farm)} and not miners["wrong"]

        async with running(farm, tmp_path) as status:
            await until(lambda: is_fine(status), within_s=600, every_s=1.0)
            for miner, params in zip(farm.miners, orders, strict=True):
                request = LocalRequest(name=TaskName.POWER_LIMIT, params=params, host=miner.ip)
                reply = await ask(tmp_path / "agent.sock", request)
                assert reply.result is not None, reply
                assert reply.result["outcome"] == "done", reply
            await asyncio.sleep(30.0)  # of the loop: until all of their rates are judged
            document = await status()
            assert await is_fine(status), document["worst"]
            [rates] = document["rates"]
            assert rates["hashrate_hs"] < 0.8 * sum(miner.hashrate_hs for miner in farm.miners)
            assert 0.9 < rates["realization"] < 1.3
            assert document["power"]["compared_w"] < 1.05 * document["power"]["expected_w"]
        # The next agent has to find it out again.
        async with running(farm, tmp_path) as status:
            await asyncio.sleep(60.0)
            assert await is_fine(status), (await status())["worst"]


async def test_tasks_under_way_are_told_with_what_they_wait_for(tmp_path: Path) -> None:
    async with (
        await Farm.start("antminer/s21:12", base=free_base(), time_scale=1.0) as farm,
        running(farm, tmp_path) as status,
    ):
        requests = [
            LocalRequest(name=TaskName.REBOOT, params={"force": True}, host=each.ip)
            for each in farm.miners
        ]
        wishes = [asyncio.create_task(ask(tmp_path / "agent.sock", each)) for each in requests]

        tasks: dict[str, Any] = {}

        async def some_wait() -> bool:
            tasks.update((await status())["tasks"])
            return tasks["phases"].get("waiting for its turn", 0) > 2

        await until(some_wait)
        assert tasks["total"] == sum(tasks["phases"].values()) > 2
        assert len(tasks["oldest"]) == min(10, tasks["total"])
        first = tasks["oldest"][0]
        assert (first["name"], first["origin"]) == ("miner.system.reboot", "onsite")
        assert first["ip"] in {each.ip for each in farm.miners}
        for each in wishes:
            each.cancel()


async def test_thousands_are_told_of_at_once_and_in_few_words(tmp_path: Path) -> None:
    clock = loop_clock()
    config = config_of(None, tmp_path)
    daemon = Daemon(config, clock, Notifier({}))
    fleet, inventory = daemon._site.fleet, daemon._site.inventory
    number = 5000
    static = Static(
        make=Make.ANTMINER,
        model="S21",
        algorithm=Algorithm.SHA256,
        hashrate_ideal_hs=200e12,
    )
    for index in range(number):
        ip = f"10.0.{index // 250}.{index % 250 + 1}"
        mac = f"02:00:00:00:{index >> 8:02X}:{index & 255:02X}"
        identity = Identity(
            make=Make.ANTMINER, model="S21", generation="new", mac=mac, drivable=True
        )
        inventory.seen(ip, identity, clock.now())
    fleet.restore()
    assert len(fleet) == number
    for index, ip in enumerate(fleet):
        dead = index // 250 == 7  # a whole subnet
        rate = 100e12 if index % 50 == 3 else 198e12
        boards = tuple(
            Board(index=n, hashrate_hs=rate / 3, chips=100, chips_expected=100) for n in range(3)
        )
        pool = Pool(
            index=0, url="stratum+tcp://pool.example.com:3333", user="farm.x", status="alive"
        )
        moving = Moving(
            hashrate_hs=rate,
            power_w=3500.0,
            boards=boards,
            pools=(pool,),
            uptime_s=9e4,
            fan_rpm=(5000,) * 4,
        )
        reading = MinerReading(
            at=to_text(clock.now()),
            ip=ip,
            moving=moving,
            slow=Slow(),
            static=static,
            interval_s=30.0,
        )
        daemon._tell_sinks(reading)
        if dead:
            at = to_text(clock.now() + timedelta(seconds=1))
            daemon._tell_sinks(MinerReading(at=at, ip=ip, ok=False, error="unreachable"))
    daemon._path.maintenance.follow(["02:00:00:00:06:D6"])  # one of that subnet
    began = time.perf_counter()
    document = await daemon._status.document()
    took_s = time.perf_counter() - began
    print(f"{number} miners in {took_s * 1000:.0f} ms, {len(json.dumps(document))} bytes")
    assert document["miners"]["total"] == number
    assert document["miners"]["states"]["maintenance"] == 1
    assert document["miners"]["troubles"]["unreachable"] == 249
    assert len(document["worst"]) == 10
    assert any("10.0.7.0/24" in each for each in document["causes"])
    assert len(json.dumps(document)) < 16_000
    assert took_s < 5.0, "ten times what it takes on a slow machine"
    await daemon._buffer.close()
