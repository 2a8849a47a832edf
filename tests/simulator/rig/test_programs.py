"""The nine programs' replies, read as monitors in the field read them: bus, rates in H/s, pools."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from simulator.rig.catalogue import MIX, MODELS
from tests.simulator.rig.clients import get, http, sgminer

Rows = list[tuple[int, list[float]]]


def lolminer(told: Any) -> Rows:
    parts = [
        [rate * each["Performance_Factor"] for rate in each["Worker_Performance"]]
        for each in told["Algorithms"]
    ]
    return [
        (int(each["PCIE_Address"].split(":")[0]), [part[each["Index"]] for part in parts])
        for each in told["Workers"]
    ]


def old_lolminer(told: Any) -> Rows:
    assert told["Mining"]["Algorithm"] == "Etchash"
    return [
        (int(each["PCIE_Address"].split(":")[0]), [each["Performance"] * 1e6])
        for each in told["GPUs"]
    ]


def trex(told: Any) -> Rows:
    return [(each["pci_bus"], [each["hashrate"]]) for each in told["gpus"]]


def rigel(told: Any) -> Rows:
    names = told["algorithm"].split("+")
    return [
        (int(each["pci_address"].split(":")[0], 16), [each["hashrate"][name] for name in names])
        for each in told["devices"]
        if each["selected"]
    ]


def bzminer(told: Any) -> Rows:
    assert told["method"] == "fullstatus"
    assert [each["id"] for each in told["pools"]] == [0, 1]
    return [(each["pci_bus_id"], each["hashrate"]) for each in told["devices"]]


def srbminer(told: Any) -> Rows:
    first, on_cpu = told["algorithms"]
    assert "gpu" not in on_cpu["hashrate"]
    assert on_cpu["hashrate"]["cpu"]["total"] == pytest.approx(13800, rel=0.05)
    rates = first["hashrate"]["gpu"]
    return [(each["bus_id"], [rates[f"gpu{each['id']}"]]) for each in told["gpu_devices"]]


def gminer(told: Any) -> Rows:
    assert told["speed_unit"] == "H/s"
    return [(int(each["bus_id"].split(":")[1], 16), [each["speed"]]) for each in told["devices"]]


def nbminer(told: Any) -> Rows:
    assert told["stratum"]["dual_mine"] is True
    return [
        (each["pci_bus_id"], [each["hashrate_raw"], each["hashrate2_raw"]])
        for each in told["miner"]["devices"]
    ]


@pytest.mark.parametrize(
    ("key", "target", "read"),
    [
        ("mixed-lolminer-dual", "/summary", lolminer),
        ("2xrx580-lolminer-old", "/", old_lolminer),
        ("6xrtx3080-trex", "/summary", trex),
        ("4xrtx4090-rigel-dual", "/", rigel),
        ("4xrtx3060-bzminer-dual", "/status", bzminer),
        ("4xrx7900-srbminer", "/", srbminer),
        ("10xrtx3060-gminer", "/stat", gminer),
        ("2xgtx1660-nbminer-dual", "/api/v1/status", nbminer),
    ],
)
async def test_every_gpu_is_told_with_its_bus_and_its_rates(
    start: Any, key: str, target: str, read: Callable[[Any], Rows]
) -> None:
    (rig,) = (await start(f"rig/{key}")).miners
    told = read(await get(rig, target))
    algorithms = [each for each in MODELS[key].jobs[0].algorithms if each.gpu_hs]
    assert [bus for bus, _ in told] == [3 + 2 * n for n in range(len(MODELS[key].gpus))]
    for index, (_, rates) in enumerate(told):
        nominal = [each.gpu_hs[min(index, len(each.gpu_hs) - 1)] for each in algorithms]
        assert rates == [pytest.approx(each, rel=0.03) for each in nominal]
    assert (await http(rig, "/nothing"))[0] == 404


async def test_teamredminer_answers_several_commands_at_once(start: Any) -> None:
    single, dual = (await start("rig/8xrx6800-trm,rig/4xrx6800-trm-dual")).miners
    told = await sgminer(dual, "devs+summary+pools+devs2+summary2+pools2")
    assert [len(told[name][0]["DEVS"]) for name in ("devs", "devs2")] == [4, 4]
    khs = [sum(row["KHS 30s"] for row in told[name][0]["DEVS"]) for name in ("devs", "devs2")]
    assert khs == [pytest.approx(4 * 58.3e3, rel=0.03), pytest.approx(4 * 265e3, rel=0.03)]
    assert told["pools2"][0]["POOLS"][0]["Algorithm"] == "kas"
    told = await sgminer(single, "devs+devs2")
    assert len(told["devs"][0]["DEVS"]) == 8
    assert told["devs2"][0]["STATUS"][0]["Msg"] == "Invalid command"
    config = (await sgminer(single, "config"))["CONFIG"][0]
    assert (config["GPU Count"], config["Algo Count"]) == (8, 1)
    details = (await sgminer(single, "devdetails"))["DEVDETAILS"]
    paths = [row["Device Path"] for row in details]
    assert paths == [f"{3 + 2 * n:02x}:00.0" for n in range(8)]
    assert (await sgminer(single, "version"))["VERSION"][0]["SGMiner"] == "5.5.0"


async def test_lolminers_workers_are_an_empty_text_until_they_are_ready(start: Any) -> None:
    (rig,) = (await start("rig/mixed-lolminer-dual")).miners
    await rig.accept(rig.stop_order(rig.units[0]))
    with pytest.raises(ConnectionRefusedError):
        await get(rig, "/")
    await rig.accept(rig.start_order(rig.units[0]))
    told = await get(rig, "/")
    assert (told["Workers"], told["Num_Workers"]) == ("", 4)
    assert told["Algorithms"][0]["Total_Performance"] == 0
    await asyncio.sleep(10)
    told = await get(rig, "/")
    assert len(told["Workers"]) == 4
    assert told["Algorithms"][0]["Total_Performance"] > 200


async def test_shares_of_the_gpus_add_up(start: Any) -> None:
    (rig,) = (await start("rig/6xrtx3080-trex")).miners
    told = await get(rig, "/summary")
    assert told["accepted_count"] > 100
    shares = sum(each["shares"]["accepted_count"] for each in told["gpus"])
    assert shares == told["accepted_count"]


async def test_a_gpu_off_the_bus_hashes_nothing_and_its_rate_decays_with_the_pool(
    start: Any,
) -> None:
    (rig,) = (await start("rig/6xrtx3080-trex")).miners
    rig.faults.add("gpu_falls_off", gpus=[2])
    rates = [each["hashrate"] for each in (await get(rig, "/summary"))["gpus"]]
    assert [rate > 0 for rate in rates] == [True, True, False, True, True, True]
    rig.faults.add("pools_dead")
    await asyncio.sleep(30)
    after = (await get(rig, "/summary"))["gpus"]
    assert 0 < after[0]["hashrate"] < rates[0] / 2


async def test_a_program_answers_as_wrongly_as_its_faults_want(start: Any) -> None:
    (rig,) = (await start("rig/2xrtx2080-gminer")).miners
    rig.faults.add("garbage", variant="html", times=1)
    assert b"<html>" in (await http(rig, "/stat"))[1]
    rig.faults.add("garbage", variant="nan", times=1)
    assert b"NaN" in (await http(rig, "/stat"))[1]
    rig.faults.add("huge_json", bytes=3 << 20, times=1)
    assert len((await http(rig, "/stat"))[1]) > 3 << 20
    rig.faults.add("no_api")
    with pytest.raises(ConnectionRefusedError):
        await http(rig, "/stat")
    rig.faults.clear()
    assert (await get(rig, "/stat"))["algorithm"] == "etchash"


async def test_the_default_mix_is_every_rig_once_without_processes(start: Any) -> None:
    farm = await start(f"rig:{len(MIX)}")
    assert [rig.key for rig in farm] == list(MIX)
    assert not any(job.process for key in MIX for job in MODELS[key].jobs)
    software = {job.software for each in MODELS.values() for job in each.jobs}
    assert len(software) == 9
    assert all(rig.describe()["ssh_port"] == farm.ports["ssh"] for rig in farm)


async def test_a_program_that_dies_is_gone_with_its_port_and_stays_in_the_ledger(
    start: Any, until: Any
) -> None:
    (rig,) = (await start("rig/2xrtx2080-gminer")).miners
    rig.faults.add("program_dies", after_s=0)
    await until(lambda: not rig.units[0].is_active)
    (end,) = rig.ledger.of(action="stop", phase="applied")
    assert (end["program"], end["by"]) == ("gminer", "itself")
    with pytest.raises(ConnectionRefusedError):
        await http(rig, "/stat")
