"""Farms, agents, miners and the tasks of a miner: items and filters."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from contract.miner import Board, Make, MinerFault, Moving, Pool, PowerMode, Slow, Static

TH = 1e12


async def listed(stage: Any, **params: Any) -> list[int]:
    """ListMiners; the numbers of the miners found, in the order of the answer."""
    body = await stage.ask(
        "GET",
        f"{stage.at_farm}/miner/latest",
        params={"pageSize": "100", **params},
        shape="ListMiners",
    )
    return [int(item["ip"].rpartition(".")[2]) for item in body["data"]]


async def searched(stage: Any, **body: Any) -> list[int]:
    answer = await stage.ask(
        "POST", f"{stage.at_farm}/miner/search", json={"limit": 100, **body}, shape="SearchMiners"
    )
    return [int(item["ip"].rpartition(".")[2]) for item in answer["data"]]


async def item(stage: Any, number: int) -> dict[str, Any]:
    body = await stage.ask(
        "GET", f"{stage.at_farm}/miner/latest", params={"mac": f"02-00-00-00-00-{number:02x}"},
        shape="ListMiners",
    )  # fmt: skip
    [found] = body["data"]
    return found


async def test_a_healthy_miner_shows_all_published_fields_in_their_units(stage: Any) -> None:
    found = await item(stage, 1)
    expected = {
        "id": stage.miners[1], "farm_id": stage.farm, "farm": {"id": stage.farm, "name": "North"},
        "workspace_id": stage.workspace, "agent_id": stage.agent, "serial_number": "SN1", "make": "Bitmain",
        "model": "Antminer S19", "ip": "10.0.0.1", "mac": "02:00:00:00:00:01", "firmware": "stock",
        "firmware_version": "2024.01", "hostname": None, "name": None, "hall": None, "row": None, "rack": None, "position": None, "tags": [],
        "is_mining": True, "last_check_succeed": True, "stale": False, "overheat": False,
        "low_hashrate": False, "overpower": False, "underpower": False, "status": "online",
        "asset_status": None, "ops_status": None, "lifecycle_status": "online", "health_status": None,
        "unstable_reason": None,
        "mining_mode": "normal", "mining_mode_preset": None, "hashrate": 100 * TH, "hashrate_24h": 100 * TH,
        "expected_hashrate": 100 * TH, "power": 3000.0, "temp": 70.0, "efficiency": 30.0, "uptime": 86_400.0,
        "last_updated_at": "2026-11-21T12:00:00Z", "errors": [],
        "hashboards": [
            {"serial_number": "BOARD1", "hashrate": 100 * TH, "chips": 110, "chip_frequency": 500.0}
        ],
        "total_chips": 110, "expected_chips": 110, "anomaly_flags": 0,
        "pools": [
            {"index": 0, "url": "stratum+tcp://pool.test:3333", "user": "farm.1", "status": "alive",
             "active": True, "accepted": None, "rejected": None}
        ],
        "psus": [{"serial_number": "PSU1", "model": "APW12", "version": None, "temp": None}],
    }  # fmt: skip
    assert found == expected


async def test_a_miner_is_offline_when_it_does_not_answer_and_stale_when_nobody_looks(
    stage: Any, readings: Any
) -> None:
    stage.clock.forward(30)
    await stage.look_at(readings.unreachable(2), readings.healthy(1))
    assert (await item(stage, 2))["status"] == "offline"
    gone = await item(stage, 2)
    assert gone["hashrate"] is None
    assert gone["is_mining"] is gone["last_check_succeed"] is gone["stale"] is False
    assert gone["errors"] == [{"code": "read_failed", "message": "no route"}]
    assert await listed(stage, status="offline") == [2]
    assert await listed(stage, status="online") == [1, 3, 4, 5]
    stage.clock.forward(61)  # three intervals after the first look, two after the second
    assert await listed(stage, status="stale") == [3, 4, 5]
    assert (await item(stage, 3))["stale"] is True
    assert (await item(stage, 3))["hashrate"] == 100 * TH
    assert (await item(stage, 3))["is_mining"] is False
    assert await listed(stage, status="online") == [1]
    assert await searched(stage, status={"ne": "stale"}) == [1, 2]
    assert await searched(stage, status={"nin": ["stale", "offline"]}) == [1]


async def test_run_and_ops_states_are_asked_for_in_one_list_or_apart(stage: Any) -> None:
    await stage.create("miner.asset.update", 1, params={"status": "maintenance"})
    await stage.create("miner.asset.update", 2, params={"status": "archived"})
    assert await listed(stage, status="maintenance") == [1]
    assert await listed(stage, status="maintenance,archived") == [1, 2]
    assert await listed(stage, ops_status="archived") == [2]
    assert await searched(stage, ops_status={"in": ["maintenance"]}) == [1]
    assert await searched(stage, ops_status={"nin": ["maintenance"]}) == [2, 3, 4, 5]
    assert await searched(stage, lifecycle_statuses={"eq": "archived"}) == [2]
    assert await searched(stage, health_statuses={"eq": "error"}) == [1, 2, 3, 4, 5]
    assert await listed(stage, status="no-such-word") == []


async def test_a_meter_asked_seldom_tells_the_power_until_it_is_asked_again(
    stage: Any, readings: Any
) -> None:
    async def power_at(moving: Moving, slow: Slow | None = None) -> tuple[Any, Any]:
        stage.clock.forward(1)
        await stage.look_at(readings.healthy(1, moving=moving, slow=slow))
        found = await item(stage, 1)
        return found["power"], found["efficiency"]

    hashing = Moving(hashrate_hs=100 * TH, uptime_s=86_400.0)
    metered = Slow(power_limit_w=3000.0, metered_power_w=4000.0)
    assert await power_at(msgspec.structs.replace(hashing, power_w=4000.0), metered) == (4000, 40)
    assert await power_at(hashing) == (4000, 40)
    assert (await item(stage, 1))["overpower"] is True
    assert await listed(stage, status="overpower") == [1]
    assert await power_at(Moving(hashrate_hs=0.0, uptime_s=9.0)) == (None, None)
    assert await listed(stage, status="overpower") == []
    assert await power_at(hashing, Slow(power_limit_w=3000.0)) == (None, None)


async def test_what_is_wrong_with_a_miner_shows_as_flags_words_and_filters(
    stage: Any, readings: Any
) -> None:
    def moving(**changes: Any) -> Moving:
        base: dict[str, Any] = {"hashrate_hs": 100 * TH, "uptime_s": 86_400.0}
        return Moving(**base | changes)

    stage.clock.forward(1)
    await stage.look_at(
        readings.healthy(1, moving=moving(fan_rpm=(6000, 0))),
        readings.healthy(2, moving=moving(hashrate_hs=50 * TH)),
        readings.healthy(3, moving=moving(temp_chip_c=99.0, power_w=4000.0), slow=Slow(power_limit_w=3000.0)),
        readings.healthy(4, slow=Slow(faults=(MinerFault(code="R:1", text="EEPROM of board 2 unreadable"),))),
        readings.healthy(5, moving=moving(pools=(Pool(index=0, url="u", status="dead"),),
                                          boards=(Board(index=0, chips=100, chips_expected=110),))),
    )  # fmt: skip
    flags = {number: (await item(stage, number))["anomaly_flags"] for number in range(1, 6)}
    assert flags == {1: 1 << 0, 2: 1 << 10, 3: 1 << 2, 4: 1 << 3, 5: 1 << 9 | 1 << 3}
    words = {number: (await item(stage, number))["health_status"] for number in range(1, 6)}
    assert words == {
        1: "error", 2: "low_hashrate", 3: "error,overheated,overpower", 4: "error", 5: "error",
    }  # fmt: skip
    assert (await item(stage, 4))["errors"] == [
        {"code": "R:1", "message": "EEPROM of board 2 unreadable"}
    ]
    assert await listed(stage, **{"anomaly_filters[]": "fan"}) == [1]
    url = f"{stage.at_farm}/miner/latest?anomaly_filters[]=fan&anomaly_filters[]=pool"
    body = await stage.ask("GET", url, shape="ListMiners")
    assert len(body["data"]) == 2
    assert await listed(stage, anomaly_filters="hashboard,temperature") == [3, 4, 5]
    assert await listed(stage, anomaly_filters="nothing-known") == []
    assert await listed(stage, status="overheated") == [3]
    assert await listed(stage, status="overpower") == [3]
    assert await listed(stage, status="low_hashrate") == [2]
    assert await listed(stage, status="error") == [1, 3, 4, 5]
    assert await searched(stage, status={"ne": "error"}) == [2]
    assert await listed(stage, hashrate_realization_max="0.6") == [2]
    assert await listed(stage, hashrate_realization_min="0.6") == [1, 3, 4, 5]


@pytest.mark.parametrize(
    "changes",
    [
        {"interval_s": 1e300},
        {"interval_s": -1e300},
        {"moving": Moving(hashrate_hs=1e308, power_w=1e308)},
        {"moving": Moving(hashrate_hs=1e-320, power_w=1e308)},
        {"moving": Moving(hashrate_hs=-1e308, uptime_s=-1e308)},
    ],
)
async def test_no_figure_of_an_agent_hides_the_miners_of_its_farm(
    stage: Any, readings: Any, changes: dict[str, Any]
) -> None:
    """Whoever stole a token says anything: the lists are answered, and what comes next is taken."""
    for _ in range(3):
        await stage.look_at(readings.healthy(1, **changes))
        for query in ("", "?status=online", "?hashrate_realization_max=9"):
            url = f"{stage.at_farm}/miner/latest{query}"
            await stage.ask("GET", url, shape="ListMiners")
    await stage.look_at(readings.healthy(1))
    found = await stage.ask("GET", f"{stage.at_farm}/miner/latest?sn=SN1", shape="ListMiners")
    assert 0 < found["data"][0]["hashrate_24h"] <= 100e12
    assert found["data"][0]["status"] == "online"


async def test_a_farm_may_have_miners_with_ever_so_many_intervals(
    stage: Any, readings: Any
) -> None:
    many = [
        msgspec.structs.replace(
            readings.healthy(1),
            ip=f"10.1.{number // 256}.{number % 256}",
            mac=f"02:00:00:01:{number // 256:02X}:{number % 256:02X}",
            interval_s=60.0 + number,
        )
        for number in range(1100)
    ]
    await stage.look_at(*many)
    for query in (
        "status=online",
        "status=offline,overheated,low_hashrate&hashrate_realization_min=0.5",
    ):
        await stage.ask("GET", f"{stage.at_farm}/miner/latest?{query}", shape="ListMiners")


async def test_a_filter_may_list_a_thousand_values(stage: Any) -> None:
    url, names = f"{stage.at_farm}/miner/search", [f"NONE{number}" for number in range(998)]
    for wanted, number in (("in", 2), ("nin", 3)):
        body = {"sn": {wanted: [*names, "SN1", "BOARD2"]}}
        found = await stage.ask("POST", url, json=body, shape="SearchMiners")
        assert found["pagination"]["total"] == number
    ranges = ",".join(["1.1.1.1"] * 999)
    found = await stage.ask("GET", f"{stage.at_farm}/miner/latest?ip_ranges={ranges},10.0.0.1")
    assert found["pagination"]["total"] == 1


async def test_a_sleeping_miner_is_not_called_slow(stage: Any, readings: Any) -> None:
    stage.clock.forward(1)
    await stage.look_at(
        readings.healthy(
            1, moving=Moving(hashrate_hs=0.0, power_w=40.0), slow=Slow(mode=PowerMode.SLEEP)
        )
    )
    found = await item(stage, 1)
    assert (found["anomaly_flags"], found["is_mining"], found["efficiency"]) == (0, False, None)
    assert await listed(stage, mining_modes_in="sleep") == [1]
    assert await listed(stage, **{"mining_modes_in[]": "normal"}) == [2, 3, 4, 5]


async def test_miners_are_found_by_any_serial_mac_agent_and_range(stage: Any) -> None:
    assert await listed(stage, sn="SN3") == [3]
    assert await listed(stage, sn="BOARD3") == [3]
    assert await listed(stage, sn="PSU3") == [3]
    assert await listed(stage, sn="PSU") == []
    assert await listed(stage, sn="SN3|PSU3") == []  # that is no serial
    assert await searched(stage, sn={"contains": "psu"}) == [1, 2, 3, 4, 5]
    assert await searched(stage, sn={"contains": "%"}) == []
    assert await searched(stage, mac={"contains": "00:04"}) == [4]
    assert await searched(stage, mac={"eq": "020000000004"}) == [4]
    assert await searched(stage, mac={"nin": ["020000000004"]}) == [1, 2, 3, 5]
    assert await listed(stage, agent_id=stage.agent) == [1, 2, 3, 4, 5]
    assert await listed(stage, agent_id="nobody") == []
    assert await listed(stage, ip_ranges="10.0.0.2-10.0.0.3") == [2, 3]
    assert await listed(stage, ip_ranges="10.0.0.4/30,10.0.0.1") == [1, 5]
    assert await searched(stage, ip_ranges=["10.0.0.5"]) == [5]
    assert await listed(stage, unstable="true") == []
    assert await searched(stage, unstable=False) == [1, 2, 3, 4, 5]


async def test_pages_do_not_overlap_and_cover_all(stage: Any) -> None:
    seen = []
    for page in (1, 2, 3):
        seen += await listed(stage, page=str(page), pageSize="2")
    assert seen == [1, 2, 3, 4, 5]
    assert await listed(stage, page="1.0", pageSize="2") == [1, 2]
    assert await listed(stage, page=str(2**53 - 1), pageSize="10000") == []


async def test_a_miner_nobody_has_fully_read_still_has_every_required_field(
    stage: Any, readings: Any
) -> None:
    await stage.look_at(
        readings.healthy(
            8, mac=None, moving=None, slow=None, static=Static(make=Make.UNKNOWN), interval_s=None
        )
    )
    body = await stage.ask(
        "GET", f"{stage.at_farm}/miner/latest", params={"unstable": "true"}, shape="ListMiners"
    )
    assert body["data"][0]["unstable_reason"] == "no_mac"
    assert body["data"][0]["mac"] == ""


async def test_farms_and_agents_are_listed_with_their_host_and_state(stage: Any) -> None:
    body = await stage.ask("GET", f"{stage.base}/farms", shape="ListFarms")
    assert [farm["id"] for farm in body["data"]] == [stage.farm]
    assert body["data"][0]["status"] == "running"
    body = await stage.ask("GET", f"{stage.base}/agents", shape="ListAgents")
    [agent] = body["data"]
    assert agent["status"] == "online"
    assert agent["farm"] == {"id": stage.farm, "name": "North"}
    assert agent["host"]["cpu_count"] == 4

    async def search(**wanted: Any) -> int:
        found = await stage.ask(
            "POST", f"{stage.base}/agents/search", json=wanted, shape="SearchAgents"
        )
        assert found["pagination"]["total"] == len(found["data"])
        return len(found["data"])

    assert await search(status={"eq": "online"}, farm_id={"in": [stage.farm]}) == 1
    assert await search(farm_id={"eq": stage.other_farm}) == 0
    assert await search(status={"eq": "asleep"}) == 0
    stage.clock.forward(91)
    assert await search(status={"eq": "online"}) == 0
    assert await search(status={"ne": "online"}) == 1


# --- tasks of a miner ----------------------------------------------------------------------------


async def test_the_tasks_of_a_miner_are_camel_case_around_a_snake_case_miner(stage: Any) -> None:
    made = await stage.create("miner.system.reboot", 1, params={"force": True})
    url = f"{stage.at_farm}/miners/{stage.miners[1]}/tasks"
    [task] = (await stage.ask("GET", url, shape="ListMinerTasks"))["data"]
    assert task["batchId"] == made["data"][0]["batch_id"]
    assert task["createdAt"] == task["queuingAt"] == "2026-11-21T12:00:00Z"
    assert "pendingAt" not in task
    assert task["payload"] == {"force": True}
    assert task["logs"] == []
    assert task["miner"] == {
        "id": stage.miners[1], "status": ["online"], "lifecycle_status": "online", "health_status": [],
        "mining_mode": "normal",
        "metadata": {
            "ip": "10.0.0.1", "mac": "02:00:00:00:00:01", "serial_number": "SN1", "firmware": "stock",
            "firmware_version": "2024.01", "make": "Bitmain", "model": "Antminer S19",
            "farm_name": "North", "farm_location": "Hall 1",
        },
        "hashboards": [{"status": "ok", "serial_number": "BOARD1"}],
    }  # fmt: skip
    await stage.settle(task["id"], "failed", {"outcome": "unknown", "error": {"message": "lost"}})
    await stage.change_task(task["id"], late=[{"outcome": "done"}])
    [task] = (await stage.ask("GET", url, shape="ListMinerTasks"))["data"]
    assert task["result"]["late"] == [{"outcome": "done"}]
    assert task["failedAt"]


async def test_a_task_remembers_the_miner_as_it_was(stage: Any, readings: Any) -> None:
    await stage.create("miner.log.get", 1)
    stage.clock.forward(1)
    static = Static(make=Make.ANTMINER, mac="02:00:00:00:00:01", firmware_version="2025.09")
    await stage.look_at(readings.healthy(1, static=static))
    url = f"{stage.at_farm}/miners/{stage.miners[1]}/tasks"
    [task] = (await stage.ask("GET", url, shape="ListMinerTasks"))["data"]
    assert task["miner"]["metadata"]["firmware_version"] == "2024.01"


async def test_the_tasks_of_a_miner_are_filtered_within_seven_days(stage: Any) -> None:
    await stage.create("miner.log.get", 1)
    stage.clock.forward(3600)
    await stage.create("miner.system.reboot", 1)
    url = f"{stage.at_farm}/miners/{stage.miners[1]}/tasks"

    async def names(**params: str) -> list[str]:
        body = await stage.ask("GET", url, params=params, shape="ListMinerTasks")
        return [task["name"] for task in body["data"]]

    log, reboot = "miner.log.get", "miner.system.reboot"
    assert await names() == [reboot, log]
    assert await names(task_name=log) == [log]
    assert await names(status="queuing") == [reboot, log]
    assert await names(status="failed") == []
    assert await names(from_time="2026-11-21T12:30:00Z") == [reboot]
    assert await names(to_time="2026-11-21T13:30:00+01:00") == [log]
    [name] = await names(pageSize="1", page="2")
    assert name == log
    # An offset whose plus was not escaped reaches us as a blank.
    body = await stage.ask("GET", f"{url}?from_time=2026-11-21T13:30:00+01:00")
    assert len(body["data"]) == 1
    stage.clock.forward(7 * 86_400 + 1)
    assert await names() == []


@pytest.mark.parametrize(
    "query",
    ["task_name=nonsense", "status=nonsense", "from_time=yesterday", "from_time=2026-11-21T12:00:00",
     "from_time=2020-01-01T00:00:00Z", "to_time=2030-01-01T00:00:00Z", "from_time=0001-01-01T00:00:00%2B14:00",
     "from_time=2026-11-21T11:00:00Z&to_time=2026-11-21T10:00:00Z"],
)  # fmt: skip
async def test_a_bad_filter_on_the_tasks_of_a_miner_is_refused(stage: Any, query: str) -> None:
    await stage.ask("GET", f"{stage.at_farm}/miners/{stage.miners[1]}/tasks?{query}", status=400)


async def test_two_with_one_mac_are_both_shown_each_with_where_the_other_is(
    stage: Any, readings: Any
) -> None:
    first, second = readings.healthy(1), readings.healthy(9)
    twin = {"mac": first.mac, "twin_ips": (first.ip,)}
    await stage.look_at(
        msgspec.structs.replace(second, **twin),
        msgspec.structs.replace(first, twin_ips=(second.ip,)),
    )
    for number, other in ((1, second.ip), (9, first.ip)):
        address = {"ip_ranges": (first if number == 1 else second).ip}
        body = await stage.ask("GET", f"{stage.at_farm}/miner/latest", params=address)
        (shown,) = body["data"]
        assert (shown["mac"], shown["unstable_reason"]) == (first.mac, "duplicate_mac")
        assert shown["hashrate"] is not None
        (error,) = [each for each in shown["errors"] if each["code"] == "duplicate_mac"]
        assert other in error["message"]
        made = await stage.create("miner.light.update", number, params={"action": "on"})
        assert made["meta"]["skipped"][0]["reason"] == "unstable_miner"
    assert await listed(stage, unstable="true") == [1, 9]
    assert await listed(stage, mac=first.mac) == [1, 9]
    await stage.look_at(readings.healthy(1))
    assert await listed(stage, mac=first.mac) == [1]
    shown = await item(stage, 1)
    assert (shown["unstable_reason"], shown["errors"]) == (None, [])
    made = await stage.create("miner.light.update", 1, params={"action": "on"})
    assert made["meta"]["summary"]["created_count"] == 1
