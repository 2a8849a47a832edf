"""What machines report, and where operators see it."""

from __future__ import annotations

from typing import Any

import pytest

from cloud.rigmonitor.asic_figures import state_of
from cloud.rigmonitor.casting import cast
from contract.condition.anomalies import flags_of
from contract.miner import Slow
from contract.rigmonitor.asic import AsicLog
from tests.cloud.rigmonitor.conftest import LOG, Machine

GH = 1e9


async def test_the_bodies_of_the_published_text_are_taken_and_read_back_by_the_nonce_api(
    machine: Machine,
) -> None:
    assert await machine.specs() == (200, None)
    assert await machine.logs() == (200, None)
    item = await machine.miner()
    board = {"serial_number": None, "hashrate": 1234.56 * GH, "chips": None, "chip_frequency": None}
    assert item["hashboards"] == [board] * 3
    assert item["pools"] == [
        {
            "index": index,
            "url": LOG["pool_1_address"],
            "user": LOG["pool_1_user"],
            "status": "unconnected" if index else "alive",
            "active": not index,
            "accepted": 0 if index else 100_000,
            "rejected": 0,
        }
        for index in range(3)
    ]
    shown = {
        name: item[name]
        for name in (
            "model", "make", "ip", "mac", "agent_id", "firmware_version", "firmware", "status", "is_mining",
            "hashrate", "hashrate_24h", "expected_hashrate", "power", "temp", "uptime", "errors", "anomaly_flags",
            "mining_mode", "unstable_reason", "last_check_succeed", "last_updated_at", "psus", "efficiency",
        )
    }  # fmt: skip
    assert shown == {
        "model": "Ice River KS5L", "make": "IceRiver", "ip": "192.168.18.50", "mac": "", "agent_id": None,
        "firmware_version": "BOOT_3_1_image_1.0", "firmware": None, "status": "online", "is_mining": True,
        "hashrate": 13135 * GH, "hashrate_24h": 13135 * GH, "expected_hashrate": 12e12, "power": 3500.0,
        "temp": 55.0, "uptime": 690_620.0, "errors": [], "anomaly_flags": 0, "mining_mode": "unknown",
        "unstable_reason": "no_mac", "last_check_succeed": True, "last_updated_at": "2026-11-21T12:00:00Z",
        "psus": [], "efficiency": pytest.approx(3500 / 13.135),
    }  # fmt: skip


async def test_every_search_of_the_nonce_api_finds_a_machine_that_reports(machine: Machine) -> None:
    await machine.specs()
    await machine.logs()
    for wanted in (
        {"status": {"eq": "online"}},
        {"status": {"ne": "stale"}},
        {"unstable": True},
        {"ip_ranges": ["192.168.18.0/24"]},
        {},
    ):
        status, body = await machine.ask(
            "POST", "miner/search", shape="SearchMiners", json={"limit": 5, **wanted}
        )
        assert (status, len(body["data"])) == (200, 1), wanted
    for status_word in ("offline", "stale"):
        _, body = await machine.ask(
            "GET", "miner/latest", shape="ListMiners", params={"status": status_word}
        )
        assert body["data"] == []


async def test_a_log_before_the_specs_is_taken_and_does_not_activate(machine: Machine) -> None:
    assert await machine.logs() == (200, None)
    item = await machine.miner()
    assert (item["model"], item["make"], item["hashrate"]) == (None, "unknown", 13135 * GH)
    assert (await machine.rig())["activated_at"] is None
    await machine.specs()
    assert (await machine.miner())["model"] == "Ice River KS5L"
    assert (await machine.rig())["activated_at"] == "2026-11-21T12:00:00Z"
    machine.cloud.clock.move(60)
    await machine.specs(firmware_version="BOOT_3_2_image_1.1")
    assert (await machine.miner())["firmware_version"] == "BOOT_3_2_image_1.1"
    assert (await machine.rig())["activated_at"] == "2026-11-21T12:00:00Z"


async def test_specs_alone_show_a_machine_that_is_offline(machine: Machine) -> None:
    await machine.specs()
    item = await machine.miner()
    assert (item["status"], item["last_check_succeed"], item["hashrate"]) == (
        "offline",
        False,
        None,
    )


async def test_a_machine_is_offline_after_150_s_without_a_log_and_back_with_the_next(
    machine: Machine,
) -> None:
    async def with_status(word: str) -> int:
        _, body = await machine.ask(
            "GET", "miner/latest", shape="ListMiners", params={"status": word}
        )
        return len(body["data"])

    await machine.specs()
    await machine.logs()
    machine.cloud.clock.move(150)
    assert (await machine.miner())["status"] == "online"
    machine.cloud.clock.move(1)
    await machine.specs()  # says nothing of how it does
    item = await machine.miner()
    assert (item["status"], item["is_mining"], item["hashrate"], item["power"]) == (
        "offline",
        False,
        None,
        None,
    )
    assert (item["stale"], item["last_check_succeed"]) == (False, False)
    assert [await with_status(word) for word in ("online", "offline", "stale")] == [0, 1, 0]
    await machine.logs()
    assert (await machine.miner())["status"] == "online"
    assert [await with_status(word) for word in ("online", "offline", "stale")] == [1, 0, 0]


async def test_what_was_said_last_is_kept_in_its_own_words(machine: Machine) -> None:
    await machine.specs()
    await machine.logs(coin_name="Kaspa classic", no_such_key={"a": [1]})
    rig = await machine.rig()
    assert rig["log"]["coin_name"] == "Kaspa classic"
    assert rig["log"]["wan_ip"] == LOG["wan_ip"]
    assert rig["log"]["pool_rejection_rate"] == 0.0001
    assert rig["spec"]["software_version"].startswith("ICM168_3_2_10_ks5L_miner")
    assert "no_such_key" not in rig["log"]
    assert rig["miner_id"] == (await machine.miner())["id"]


async def test_machines_are_told_apart_by_their_code_even_at_one_address(machine: Machine) -> None:
    other = await machine.another()
    await machine.logs(power=3000)
    await other.logs(power=4000)
    _, body = await machine.ask("GET", "miner/latest", shape="ListMiners")
    assert sorted(item["power"] for item in body["data"]) == [3000, 4000]
    await machine.logs(lan_ip="192.168.18.51", power=3001)  # it moved
    _, body = await machine.ask("GET", "miner/latest", shape="ListMiners")
    assert {(item["ip"], item["power"]) for item in body["data"]} == {
        ("192.168.18.50", 4000.0),
        ("192.168.18.51", 3001.0),
    }


async def test_a_machine_at_the_address_of_an_agents_miner_is_a_miner_of_its_own(
    machine: Machine,
) -> None:
    agent = await machine.cloud.agent()
    reading = {"at": "2026-11-21T11:59:00Z", "ip": LOG["lan_ip"], "moving": {"hashrate_hs": 1e12}}
    for seq, mac in enumerate((None, "02:00:00:00:00:01")):
        message = {"run_id": "r", "seq": seq, "readings": [reading | {"mac": mac}]}
        status, _ = await agent.call("POST", "readings", json=message)
        assert status == 200
        await machine.logs()
    _, body = await machine.ask("GET", "miner/latest", shape="ListMiners")
    assert {(item["mac"], item["agent_id"]) for item in body["data"]} == {
        ("", None),
        ("02:00:00:00:00:01", agent.agent_id),
    }


async def test_no_task_that_needs_an_agent_is_made_for_it_but_the_books_can_be_changed(
    machine: Machine,
) -> None:
    await machine.cloud.agent()
    await machine.logs()
    miner_id = (await machine.miner())["id"]
    for name, params in (
        ("miner.system.reboot", {"force": True}),
        ("miner.mining.update", {"action": "off"}),
        ("miner.log.get", None),
    ):
        order = {"task_name": name, "miner_ids": [miner_id], "params": params}
        status, body = await machine.ask(
            "POST", "tasks/batches", shape="CreateTaskBatch", json=order
        )
        assert (status, body["data"]) == (200, [])
        [skip] = body["meta"]["skipped"]
        assert (skip["reason"], skip["miner_ids"]) == ("unstable_miner", [miner_id])
    order = {
        "task_name": "miner.tags.update",
        "miner_ids": [miner_id],
        "params": {"add": ["kaspa"]},
    }
    await machine.ask("POST", "tasks/batches", shape="CreateTaskBatch", json=order)
    await machine.logs()
    assert (await machine.miner())["tags"] == ["kaspa"]


async def test_a_deleted_record_stays_deleted_and_an_erased_one_returns_as_a_new_miner(
    machine: Machine,
) -> None:
    async def books(task_name: str, miner_id: str) -> None:
        order = {"task_name": task_name, "miner_ids": [miner_id], "params": {"comment": "sold"}}
        status, body = await machine.ask("POST", "tasks/batches", json=order)
        assert (status, body["meta"]["summary"]["created_count"]) == (200, 1), body

    async def listed() -> list[str]:
        _, body = await machine.ask("GET", "miner/latest", shape="ListMiners")
        return [item["id"] for item in body["data"]]

    await machine.logs()
    [first] = await listed()
    await books("miner.asset.delete", first)
    machine.cloud.clock.move(60)
    assert await machine.logs() == (200, None)
    assert await listed() == []
    machine.cloud.clock.move(2 * 86_400)
    await machine.logs()  # it was away, and was put back
    assert await listed() == [first]
    _, found = await machine.ask(
        "POST",
        "tasks/search",
        shape="SearchTaskBatches",
        json={"actor_type": {"eq": "automation"}},
    )
    [event] = found["data"]
    assert (event["task_name"], event["metadata"]) == ("miner.asset.update", {"origin": "returned"})
    await books("miner.record.delete", first)
    rig = await machine.rig()
    assert (rig["miner_id"], rig["log"], rig["last_log_at"]) == (None, None, None)
    await machine.logs()
    [second] = await listed()
    assert second != first


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ({"hashrate_5_min": 13.135, "hashrate_uom": "TH/s"}, {"hashrate": pytest.approx(13135 * GH)}),
        ({"hashrate_uom": "gh/s"}, {"hashrate": 13135 * GH}),
        ({"hashrate_uom": "G"}, {"hashrate": 13135 * GH}),
        ({"hashrate_5_min": 21, "hashrate_uom": "ksol/s"}, {"hashrate": 21_000.0}),
        ({"hashrate_uom": "furlongs per fortnight" * 20}, {"hashrate": None, "is_mining": False}),
        ({"hashrate_5_min": 1e308}, {"hashrate": None}),
        ({"hashrate_5_min": 1e6, "hashrate_uom": "TH/s"}, {"hashrate": 1e18}),
        ({"hashrate_5_min": 0}, {"hashrate": 0.0, "is_mining": False, "status": "online"}),
        ({"uptime": "100:01:02:03"}, {"uptime": 8_643_723.0}),
        ({"uptime": "999999:00:00:00"}, {"uptime": None}),
        ({"uptime": "1234:00:00:00"}, {"uptime": 106_617_600.0}),
        ({"uptime": "up 3 weeks, 2 days"}, {"uptime": None}),
        ({"uptime": "1" * 4000}, {"uptime": None}),
        ({"power": 3499.5}, {"power": 3500.0}),
        ({"power": "3500"}, {"power": 3500.0}),
        ({"power": 100_000}, {"power": 1e5}),
        ({"pool_1_address": "-", "pool_2_address": "-", "pool_3_address": "-"}, {"pools": []}),
        ({"lan_ip": "192.168.18.50 255.255.255.0"}, {"ip": "192.168.18.50"}),
        ({"lan_ip": "fe80::1"}, {"ip": "fe80::1"}),
        ({"lan_ip": "the one in the corner"}, {"ip": ""}),
        ({"fan_2_speed": 0}, {"anomaly_flags": 1}),
        ({"pool_1_state": "Unconnected"}, {"anomaly_flags": 1 << 9}),
    ],
)  # fmt: skip
async def test_units_limits_and_oddities_end_as_the_right_value_or_none(
    machine: Machine, said: dict[str, Any], shown: dict[str, Any]
) -> None:
    assert await machine.logs(**said) == (200, None)
    item = await machine.miner()
    assert {name: item[name] for name in shown} == shown


@pytest.mark.parametrize(
    ("field", "value", "said", "shown"),
    [
        ("power", -1e9, "-1e+09 W", "power_w"),
        ("power", 5_000_000_000, "5e+09 W", "power_w"),
        ("power", 2**60, "1.15292e+18 W", "power_w"),
        ("power", "1e300", "1e+300 W", "power_w"),
        ("hashrate_5_min", -1, "-1e+09 H/s", "hashrate_hs"),
        ("hashrate_5_min", 1e10, "1e+19 H/s", "hashrate_hs"),
        ("hashrate_30_min", 1e308, "inf H/s", None),
        ("hashboard_1_hashrate_5_min", -0.5, "-5e+08 H/s", None),
        ("hashboard_2_temp_1", -274, "-274 degC", None),
        ("hashboard_1_temp_2", 10_000, "10000 degC", None),
        ("fan_1_speed", -1, "-1 rpm", None),
        ("fan_4_speed", 2**31, "2.14748e+09 rpm", None),
        ("pool_rejection_rate", 101, "101 %", None),
        ("pool_1_accepted_share", 10**30, "1e+30 shares", None),
        ("pool_2_rejected_share", -1, "-1 shares", None),
        ("uptime", "999999:00:00:00", "8.63999e+10 s", "uptime_s"),
    ],
)
def test_a_figure_no_machine_can_have_is_none_but_a_fault(
    field: str, value: Any, said: str, shown: str | None
) -> None:
    healthy, none = state_of(cast(AsicLog, LOG))
    moving, slow = state_of(cast(AsicLog, LOG | {field: value}))
    assert none == Slow()
    [fault] = slow.faults
    assert (fault.code, fault.text) == ("impossible_figure", f"{field}: {said} cannot be")
    assert flags_of(moving, slow, None) != 0
    assert moving != healthy
    if shown is not None:
        assert getattr(moving, shown) is None


async def test_a_log_with_impossible_figures_is_taken_and_shown_without_them(
    machine: Machine,
) -> None:
    await machine.specs()
    wrong = {"power": -1e9, "hashrate_5_min": -13135, "pool_1_accepted_share": 10**30}
    assert await machine.logs(**wrong) == (200, None)
    item = await machine.miner()
    assert (item["power"], item["hashrate"], item["is_mining"]) == (None, None, False)
    assert item["pools"][0]["accepted"] is None
    assert [error["code"] for error in item["errors"]] == ["impossible_figure"] * 3
    assert item["health_status"] == "error"
    assert (await machine.rig())["log"]["power"] == -(10**9)  # what it said stays to be seen
    machine.cloud.clock.move(60)
    assert await machine.logs() == (200, None)
    item = await machine.miner()
    assert (item["errors"], item["health_status"], item["power"]) == ([], None, 3500.0)


async def test_a_unit_nobody_knows_is_one_fault_however_many_rates_are_in_it(
    machine: Machine,
) -> None:
    assert await machine.logs(hashrate_uom="furlongs") == (200, None)
    [error] = (await machine.miner())["errors"]
    assert error["message"] == "hashrate_uom: 'furlongs' is no unit of a rate"


@pytest.mark.parametrize(
    ("variant", "expected"),
    [("999999EH", None), ("12TH", 12e12), ("12.5 Th/s", 12.5e12), ("unknown", None), ("", None), ("Pro", None), ("12T", None), ("12\u212aH", None)],
)  # fmt: skip
async def test_a_variant_that_is_a_rate_is_the_expected_rate(
    machine: Machine, variant: str, expected: float | None
) -> None:
    assert await machine.specs(model_variant=variant) == (200, None)
    assert (await machine.miner())["expected_hashrate"] == expected


@pytest.mark.parametrize(
    ("model", "make"),
    [
        ("Ice River KS5L", "IceRiver"), ("IceRiver AL3", "IceRiver"), ("Antminer KS5 Pro", "Bitmain"),
        ("WhatsMiner M60S", "MicroBT"), ("Goldshell KD6", "unknown"),
    ],
)  # fmt: skip
async def test_the_make_is_read_from_the_model(machine: Machine, model: str, make: str) -> None:
    await machine.specs(model=model)
    item = await machine.miner()
    assert (item["model"], item["make"]) == (model, make)
