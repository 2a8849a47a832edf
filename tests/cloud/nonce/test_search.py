"""A search of miners finds, by each of its filters, the miners whose item says so, and sorts them."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any, get_args

import pytest
import sqlalchemy as sa

from cloud.nonce.miners import query_of
from cloud.store.miners.conditions import listed, ordered
from cloud.store.schema.tables import miners, selections
from contract.miner import Make, Moving, PowerMode, Slow, Static
from contract.nonce.miners import MinerFilters, SortField, SortKey
from contract.selection import parse_selection

TH = 1e12
Item = dict[str, Any]
Holds = Callable[[Item], bool]


def like(field: str, *patterns: str) -> Holds:
    return lambda item: any(
        fnmatchcase((item[field] or "").lower(), pattern.lower()) for pattern in patterns
    )


def over(field: str, least: float) -> Holds:
    return lambda item: item[field] is not None and item[field] > least


def not_(holds: Holds) -> Holds:
    return lambda item: not holds(item)


def realizes_less_than(share: float) -> Holds:
    return lambda item: (
        item["hashrate"] is not None and item["hashrate"] / item["expected_hashrate"] < share
    )


# As a person writes it -> what the items that are found have in common.
SELECTIONS: dict[str, Holds] = {
    "make=antminer": like("make", "Bitmain"),
    "make=MICROBT": like("make", "MicroBT"),
    "make!=antminer": not_(like("make", "Bitmain")),
    "model=S21": like("model", "Antminer S21"),
    "model=antminer s21": like("model", "Antminer S21"),
    "model=S21*": like("model", "Antminer S21*"),
    "model!=S21*": not_(like("model", "Antminer S21*")),
    "model=S19|M50*": like("model", "Antminer S19", "M50*"),
    "model=*s?1*": like("model", "*s?1*"),
    "firmware=stock": like("firmware", "stock"),
    "firmware_version=2024*": like("firmware_version", "2024*"),
    "tags=hot": lambda item: "hot" in item["tags"],
    "tags=hot|new": lambda item: bool({"hot", "new"} & set(item["tags"])),
    "tags!=hot": lambda item: "hot" not in item["tags"],
    "rack=a1": like("rack", "A1"),
    "rack=A*": like("rack", "A*"),
    "rack!=A1": not_(like("rack", "A1")),
    "rack=50%": like("rack", "50%"),
    "rack=5_%": lambda item: False,
    "position>1": over("position", 1),
    "position=1": lambda item: item["position"] == 1,
    "mac=02-00-00-00-00-0*": like("mac", "02:00:00:00:00:0*"),
    "mac=020000000003": like("mac", "02:00:00:00:00:03"),
    "serial=SN*": lambda item: True,
    "serial=board1": lambda item: item["ip"] == "10.0.0.1",
    "serial!=SN1|SN2": lambda item: item["ip"] not in ("10.0.0.1", "10.0.0.2"),
    "agent=PI": lambda item: True,
    "agent!=p*": lambda item: False,
    "mode=sleep": like("mining_mode", "sleep"),
    "mode=unknown|5600W": lambda item: (
        item["mining_mode"] == "unknown" or item["mining_mode_preset"] == "5600W"
    ),
    "health=overheated": lambda item: item["overheat"],
    "health!=overheated": lambda item: not item["overheat"],
    "health=online": lambda item: False,
    "anomalies=temperature|fan": lambda item: bool(item["anomaly_flags"] & 0b101),
    "status!=offline": not_(like("status", "offline")),
    "hashrate<90T": lambda item: item["hashrate"] is not None and item["hashrate"] < 90 * TH,
    "hashrate>=0": lambda item: item["hashrate"] is not None,
    "hashrate_realization<80%": realizes_less_than(0.8),
    "power>3k": over("power", 3000),
    "efficiency>30": over("efficiency", 30),
    "temperature>=80": lambda item: item["temp"] is not None and item["temp"] >= 80,
    "uptime<1000": lambda item: item["uptime"] is not None and item["uptime"] < 1000,
    "ip=10.0.0.2-10.0.0.3": like("ip", "10.0.0.2", "10.0.0.3"),
    "model=S21*,power>3000,status=online": lambda item: (
        like("model", "*S21*")(item) and over("power", 3000)(item) and item["status"] == "online"
    ),
    "power>1,power<0": lambda item: False,
}
NOBODY = {"rack=5_%", "agent!=p*", "health=online", "power>1,power<0"}


@pytest.fixture
async def farm(stage: Any, readings: Any) -> Any:
    """Nine miners of three makes: one asleep, one hot, one slow, one that does not answer."""

    def static(number: int, make: Make, model: str | None) -> Static:
        return Static(
            make=make, model=model, firmware="stock", firmware_version="2024.02", serial=f"SN{number}",
            hashrate_ideal_hs=100 * TH,
        )  # fmt: skip

    moving = {"hashrate_hs": 100 * TH, "power_w": 3000.0, "uptime_s": 86_400.0}
    stage.clock.forward(1)
    await stage.look_at(
        readings.healthy(1, static=static(1, Make.ANTMINER, "Antminer S21")),
        readings.healthy(2, moving=Moving(**moving | {"power_w": 3500.0}),
                         static=static(2, Make.ANTMINER, "Antminer S21 Pro")),
        readings.healthy(3, moving=Moving(**moving | {"temp_chip_c": 99.0})),
        readings.healthy(4, moving=Moving(**moving | {"hashrate_hs": 50 * TH, "uptime_s": 60.0})),
        readings.healthy(6, moving=Moving(hashrate_hs=0.0, power_w=30.0), slow=Slow(mode=PowerMode.SLEEP),
                         static=static(6, Make.WHATSMINER, "M50S_VH10")),
        readings.healthy(7, slow=Slow(mode=PowerMode.LOW, mode_preset="5600W"),
                         static=static(7, Make.ICERIVER, "KS3M")),
        readings.healthy(8, slow=None, static=static(8, Make.UNKNOWN, None)),
    )  # fmt: skip
    await stage.look_at(readings.unreachable(5))
    await stage.create("miner.tags.update", 1, 2, params={"add": ["hot", "hall b"]})
    await stage.create("miner.tags.update", 3, params={"add": ["new"]})
    await stage.create("miner.tags.update", 4, params={"add": ['x","hot', "[hot"]})
    places = {1: ("A1", 1), 2: ("A2", 2), 3: ("B1", None), 4: ("50%", 7)}
    updates = [
        {"miner_id": stage.miners[number], "rack": rack, "position": position}
        for number, (rack, position) in places.items()
    ]
    await stage.create("miner.rack_location.update", updates=updates)
    return stage


async def search(stage: Any, **body: Any) -> list[Item]:
    url = f"{stage.at_farm}/miner/search"
    answer = await stage.ask("POST", url, json={"limit": 100, **body}, shape="SearchMiners")
    assert answer["pagination"]["total"] == len(answer["data"])
    return list(answer["data"])


async def test_a_selection_finds_the_miners_whose_item_says_so_and_no_other(farm: Any) -> None:
    everyone = await search(farm)
    assert len(everyone) == 8
    for text, holds in SELECTIONS.items():
        found = {item["ip"] for item in await search(farm, **parse_selection(text))}
        assert found == {item["ip"] for item in everyone if holds(item)}, text
        assert bool(found) != (text in NOBODY), text


async def test_what_a_saved_selection_asks_must_hold_besides(farm: Any) -> None:
    async def save(name: str, filters: dict[str, Any]) -> None:
        async with farm.store.write() as connection:
            await connection.execute(
                selections.insert().values(
                    farm_id=farm.farm, name=name, filters=filters, actor_id="a", created_at=farm.clock.now()
                )
            )  # fmt: skip

    await save("new ones", parse_selection("model=S21*"))
    await save("of another version", {"colour": {"eq": "red"}})
    await save("of itself", {"saved": "of itself"})
    found = await search(farm, saved="new ones", model={"unlike": "*Pro"})
    assert [item["ip"] for item in found] == ["10.0.0.1"]
    url = f"{farm.at_farm}/miner/search"
    for name, words in {
        "new one": "saved: unknown selection; did you mean new ones?",
        "of another version": "saved of another version.colour: unknown key; known here: ",
        "of itself": "saved: a saved selection cannot be named here",
    }.items():
        refusal = await farm.ask("POST", url, json={"saved": name}, status=400)
        assert refusal["message"].startswith(words)


async def test_all_of_some_tags_are_asked_for_in_a_body(farm: Any) -> None:
    found = await search(farm, tags={"all": ["Hot", "hall b"], "none": ["new"]})
    assert [item["ip"] for item in found] == ["10.0.0.1", "10.0.0.2"]


async def test_miners_are_sorted_and_those_that_have_none_of_it_come_last(farm: Any) -> None:
    async def order(*keys: str) -> list[int]:
        sort = [
            {"field": key.lstrip("-"), "direction": "desc" if key.startswith("-") else "asc"}
            for key in keys
        ]
        return [int(item["ip"].rpartition(".")[2]) for item in await search(farm, sort=sort)]

    assert await order("rack") == [4, 1, 2, 3, 5, 6, 7, 8]
    assert await order("-rack") == [3, 2, 1, 4, 5, 6, 7, 8]
    assert await order("-power", "model") == [2, 3, 4, 1, 7, 8, 6, 5]  # the last does not answer
    assert await order("-ip") == [8, 7, 6, 5, 4, 3, 2, 1]
    body = {"sort": [{"field": "rack"}], "limit": 2, "page": 2}
    url = f"{farm.at_farm}/miner/search"
    page = (await farm.ask("POST", url, json=body, shape="SearchMiners"))["data"]
    assert [item["rack"] for item in page] == ["A2", "B1"]


async def test_no_filter_looks_at_the_wide_rows(farm: Any) -> None:
    """All that is searched for lies in one index: of a hundred thousand miners the rows are 400 MB."""
    texts = (*SELECTIONS, "wrong_since>2026-01-01T00:00:00Z")
    searched = [query_of(MinerFilters.model_validate(parse_selection(text))) for text in texts]
    now = farm.clock.now()
    sorts = [[SortKey(field=field)] for field in get_args(SortField)]
    queries = [
        sa.select(miners.c.id).where(listed(farm.farm, wanted, now)).order_by(*ordered(keys, now))
        for wanted, keys in [*((each, ()) for each in searched), *((searched[0], s) for s in sorts)]
    ]
    async with farm.store.read() as connection:
        for query in queries:
            written = query.compile(farm.store.engine, compile_kwargs={"literal_binds": True})
            plan = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {written}")
            assert "miners USING COVERING INDEX ix_miners_lists" in str(plan.all()), written


async def test_every_filter_is_put_to_the_test_here_or_beside() -> None:
    beside = {"sn", "agent_id", "ops_status", "asset_status", "unstable", "lifecycle_statuses",
              "health_statuses", "saved", "name", "hall", "row", "power_limit", "wrong_since"}  # fmt: skip
    asked = {key for text in SELECTIONS for key in parse_selection(text)}
    assert asked | beside == set(MinerFilters.model_fields)


@pytest.mark.parametrize("words", ["tags", "like", "mode", "anomalies", "name"])
async def test_a_filter_as_long_as_may_be_is_answered(farm: Any, words: str) -> None:
    many = [f"W{number}" for number in range(1000)]
    body: dict[str, Any] = {
        "tags": {"tags": {"any": many[:50], "all": many[:50], "none": many[:50]}},
        "like": {"model": {"like": [f"{word}*" for word in many[:100]]}},
        "mode": {"mode": {"in": many}},
        "anomalies": {"anomalies": {"nin": many, "in": many}},
        "name": {"model": {"in": many, "nin": many}, "agent": {"in": many}},
    }[words]
    assert await search(farm, **body) == []
