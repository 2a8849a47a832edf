"""What a filter finds is what the items say: every word and range of the miner lists, on miners in every state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from contract.miner import MinerFault, Moving, PowerMode, Slow, Static
from contract.nonce.miners import ANOMALY_BITS, OPS_STATUSES

TH = 1e12
HASHING: dict[str, Any] = {"hashrate_hs": 100 * TH, "uptime_s": 86_400.0, "power_w": 3000.0}
# In every way.
WRONG: dict[str, Any] = {"hashrate_hs": 10 * TH, "power_w": 9000.0, "temp_chip_c": 120.0}
Item = dict[str, Any]


def has(word: str) -> Callable[[Item], bool]:
    return lambda item: word in (item["health_status"] or "").split(",")


def flagged(name: str) -> Callable[[Item], bool]:
    return lambda item: bool(item["anomaly_flags"] >> ANOMALY_BITS[name] & 1)


def runs_in(mode: str) -> Callable[[Item], bool]:
    return lambda item: mode in (item["mining_mode"], item["mining_mode_preset"])


def realizes(least: float, most: float) -> Callable[[Item], bool]:
    def holds(item: Item) -> bool:
        rate, expected = item["hashrate"], item["expected_hashrate"]
        return rate is not None and bool(expected) and least <= rate / expected <= most

    return holds


HEALTH = ("error", "low_hashrate", "overheated", "overpower", "underpower", "auth_failed")
BOOLEANS = {
    "overheated": "overheat",
    "low_hashrate": "low_hashrate",
    "overpower": "overpower",
    "underpower": "underpower",
}
FILTERS: dict[str, Callable[[Item], bool]] = (
    {f"status={word}": (lambda item, word=word: item["status"] == word) for word in ("online", "offline", "stale")}
    | {f"status={word}": has(word) for word in HEALTH}
    | {f"status={word}": (lambda item, word=word: item["ops_status"] == word) for word in OPS_STATUSES}
    | {f"asset_status={word}": (lambda item, word=word: item["asset_status"] == word)
       for word in ("online", "on_rack", "maintenance", "transit", "lost")}
    | {f"anomaly_filters={name}": flagged(name) for name in ANOMALY_BITS}
    | {f"mining_modes_in={mode}": runs_in(mode) for mode in ("sleep", "low", "normal", "unknown", "5600W")}
    | {"hashrate_realization_min=0.5": realizes(0.5, 1e9), "hashrate_realization_max=0.5": realizes(0.0, 0.5),
       "unstable=true": lambda item: item["unstable_reason"] is not None,
       "unstable=false": lambda item: item["unstable_reason"] is None}
)  # fmt: skip


@pytest.fixture
async def farm(stage: Any, readings: Any) -> Any:
    """Seventeen miners: healthy and wrong ones, online, offline and stale; in service and out of it."""
    healthy = readings.healthy
    limited = Slow(mode=PowerMode.NORMAL, power_limit_w=3000.0)
    hot_words = Slow(faults=(MinerFault(code="1", text="chip temperature too high"),))
    await stage.look_at(
        healthy(6, moving=Moving(**HASHING | WRONG), slow=limited),
        healthy(7, moving=Moving(**HASHING | WRONG), slow=limited),
        healthy(16, mac=None, static=Static(make="Bitmain")),
    )
    stage.clock.forward(200)  # what is not looked at from here on is stale: 1, 6, 16
    await stage.look_at(readings.unreachable(7))
    for number, changes in {
        2: {"moving": Moving(**HASHING | WRONG), "slow": limited},
        3: {"slow": hot_words},
        4: {"moving": Moving(**HASHING | {"power_w": 900.0}), "slow": limited},
        5: {"moving": Moving(hashrate_hs=0.0, power_w=30.0), "slow": Slow(mode=PowerMode.SLEEP)},
        8: {"slow": None},
        9: {"slow": Slow(mode=PowerMode.LOW, mode_preset="5600W")},
        10: {"slow": None, "error": "auth_failed"},
        11: {"moving": Moving(**HASHING | {"temp_board_c": 86.0})},
        12: {"moving": Moving(**HASHING | WRONG | {"power_w": None}), "slow": limited},
        13: {"moving": Moving(fan_rpm=(0,), **HASHING)},
        14: {},
        15: {},
        17: {"static": None},
    }.items():
        await stage.look_at(healthy(number, **changes))
    stage.clock.forward(1)
    await stage.look_at(
        readings.unreachable(12), readings.unreachable(13), readings.refused(14), readings.unreachable(15)
    )  # fmt: skip
    for number, status in {3: "maintenance", 4: "on_rack", 5: "online", 15: "transit"}.items():
        await stage.create("miner.asset.update", number, params={"status": status})
    await stage.create("miner.asset.update", 4, params={"status": "maintenance"})
    await stage.create("miner.asset.update", 4, params={"status": "on_rack"})
    return stage


async def items_of(stage: Any, query: str) -> dict[str, Item]:
    url = f"{stage.at_farm}/miner/latest?pageSize=100&{query}"
    body = await stage.ask("GET", url, shape="ListMiners")
    assert body["pagination"]["total"] == len(body["data"])  # which is how they are counted
    return {item["id"]: item for item in body["data"]}


async def test_a_filter_finds_the_miners_whose_field_says_so_and_no_other(farm: Any) -> None:
    everyone = await items_of(farm, "")
    assert len(everyone) == 17
    nobody = set()
    for query, holds in FILTERS.items():
        expected = {id_ for id_, item in everyone.items() if holds(item)}
        assert set(await items_of(farm, query)) == expected, query
        name, _, word = query.partition("=")
        if name in ("status", "asset_status"):
            body = {"limit": 100, name: {"ne": word}}
            url = f"{farm.at_farm}/miner/search"
            others = (await farm.ask("POST", url, json=body, shape="SearchMiners"))["data"]
            assert {item["id"] for item in others} == set(everyone) - expected, query
        if not expected:
            nobody.add(query)
    for word, field in BOOLEANS.items():
        assert all(has(word)(item) == item[field] for item in everyone.values()), word
    # Each of the others was put to the test by some miner.
    assert nobody == {
        "status=retired", "status=off_rack", "status=archived", "asset_status=lost", "anomaly_filters=power",
        "anomaly_filters=network", "anomaly_filters=firmware", "anomaly_filters=unknown",
        "anomaly_filters=control_board", "anomaly_filters=pool", "anomaly_filters=hashboard",
    }  # fmt: skip


async def test_nothing_is_judged_by_figures_that_are_not_shown(farm: Any) -> None:
    everyone = await items_of(farm, "")
    for number in (7, 12):  # wrong in every way when they were last seen; now they do not answer
        item = everyone[farm.miners[number]]
        assert (item["status"], item["hashrate"], item["power"]) == ("offline", None, None)
        assert not any(item[field] for field in BOOLEANS.values())
        assert item["health_status"] == "error"  # the temperature was an anomaly
    item = everyone[farm.miners[3]]  # its own words, and no figure
    assert (item["overheat"], flagged("temperature")(item)) == (False, True)
