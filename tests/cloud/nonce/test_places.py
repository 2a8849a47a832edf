"""Names, places and tags of many miners are changed at once, or not at all."""

from __future__ import annotations

from typing import Any

import pytest


async def change(stage: Any, *updates: dict[str, Any], status: int = 200, **body: Any) -> Any:
    url = f"{stage.at_farm}/miners/places"
    answer = await stage.ask("POST", url, json={"updates": updates, **body}, status=status)
    return answer["data"] if status == 200 else answer["message"]


async def placed(stage: Any) -> dict[str, tuple[Any, ...]]:
    body = await stage.ask("GET", f"{stage.at_farm}/miner/latest?pageSize=100", shape="ListMiners")
    names = ("name", "hall", "row", "rack", "position", "tags")
    return {item["ip"]: tuple(item[name] for name in names) for item in body["data"]}


NOTHING = (None, None, None, None, None, [])


async def test_what_is_told_changes_what_is_left_out_stays_and_null_clears(stage: Any) -> None:
    full = {
        "name": "a",
        "hall": "H",
        "row": "R",
        "rack": "A1",
        "position": 3,
        "tags": ["hot", "hot"],
    }
    found = await change(stage, {"miner": "10.0.0.1", **full}, {"miner": "SN2", "rack": "A1"})
    assert (found["changed_count"], found["unchanged_count"]) == (2, 0)
    assert found["changes"][1] == {
        "index": 1, "miner_id": stage.miners[2], "ip": "10.0.0.2", "name": None,
        "before": {"rack": None}, "after": {"rack": "A1"},
    }  # fmt: skip
    now = await placed(stage)
    assert now["10.0.0.1"] == ("a", "H", "R", "A1", 3, ["hot"])
    assert now["10.0.0.2"] == (None, None, None, "A1", None, [])
    await change(stage, {"miner": "a", "name": None, "position": None, "tags": None})
    assert (await placed(stage))["10.0.0.1"] == (None, "H", "R", "A1", None, [])


async def test_the_audit_says_of_each_miner_what_was_before_and_after(stage: Any) -> None:
    await change(
        stage, {"miner": "SN1", "rack": "A1"}, {"miner": "SN2", "rack": "A2"}, {"miner": "SN3"}
    )
    await change(stage, {"miner": "SN1", "rack": "A2", "name": "a"})
    await change(stage, {"miner": "SN1", "rack": "A3"}, dry_run=True)
    rows = (await stage.ask("GET", f"{stage.at_farm}/audit?action=miner.place.update"))["data"]
    assert [row["target_id"] for row in rows].count(stage.miners[1]) == 2
    assert len(rows) == 3
    url = f"{stage.at_farm}/audit?miner={stage.miners[1]}"
    told = (await stage.ask("GET", url))["data"]
    assert [(row["action"], row["before"], row["after"]) for row in told] == [
        ("miner.place.update", {"name": None, "rack": "A1"}, {"name": "a", "rack": "A2"}),
        ("miner.place.update", {"rack": None}, {"rack": "A1"}),
    ]
    assert (await stage.ask("GET", f"{stage.at_farm}/audit?miner=10.0.0.1"))["data"] == told


async def test_the_same_again_changes_nothing_and_a_dry_run_never_does(stage: Any) -> None:
    updates = [{"miner": f"10.0.0.{number}", "hall": "H"} for number in range(1, 6)]
    shown = await change(stage, *updates, dry_run=True)
    assert (shown["dry_run"], shown["changed_count"]) == (True, 5)
    assert set(map(str, (await placed(stage)).values())) == {str(NOTHING)}
    done = await change(stage, *updates)
    assert done["changes"] == shown["changes"]
    again = await change(stage, *updates)
    assert (again["changed_count"], again["unchanged_count"], again["changes"]) == (0, 5, [])


async def test_with_one_fault_nothing_is_changed_and_each_is_told_by_its_number(stage: Any) -> None:
    updates: list[dict[str, Any]] = [
        {"miner": "10.0.0.1", "rack": "A1"},
        {"miner": "10.0.0.77", "rack": "A1"},
        {"miner": "SN1", "rack": "A2"},
        {"miner": "SN2", "position": -1},
        {"miner": "SN3", "positon": 1},
        {"miner": "SN4", "name": "10.0.0.9"},
        {"rack": "A1"},
    ]
    faults = {
        1: "10.0.0.77: no miner of this farm is called so",
        2: "SN1: the same miner is in number 1 of the list",
        3: "position: must be 0 or more",
        4: "positon: unknown key; did you mean position?",
        5: "name: 10.0.0.9 reads as an id, an address or a MAC; take another",
        6: "miner: is missing",
    }
    shown = await change(stage, *updates, dry_run=True)
    assert {fault["index"]: fault["message"] for fault in shown["faults"]} == faults
    refusal = await change(stage, *updates, status=400)
    assert refusal == [f"updates.{index}: {words}" for index, words in faults.items()]
    assert (await placed(stage))["10.0.0.1"] == NOTHING


async def test_names_may_be_swapped_and_may_not_be_given_twice(stage: Any) -> None:
    await change(stage, {"miner": "SN1", "name": "a"}, {"miner": "SN2", "name": "b"})
    await change(stage, {"miner": "a", "name": "b"}, {"miner": "b", "name": "a"})
    assert [row[0] for row in (await placed(stage)).values()] == ["b", "a", None, None, None]
    for updates, words in (
        ([{"miner": "SN3", "name": "A"}], "name: the miner at 10.0.0.2 is called A"),
        ([{"miner": "SN3", "name": "c"}, {"miner": "SN4", "name": "C"}], "name: the miner at 10.0.0.3 is called C"),
    ):  # fmt: skip
        refusal = await change(stage, *updates, status=400)
        assert refusal == f"updates.{len(updates) - 1}: {words}"


async def test_a_reading_leaves_names_and_places_as_they_are(stage: Any, readings: Any) -> None:
    await change(stage, {"miner": "SN1", "name": "a", "hall": "H", "row": "R", "position": 1})
    stage.clock.forward(1)
    await stage.look_at(readings.healthy(1))
    assert (await placed(stage))["10.0.0.1"] == ("a", "H", "R", None, 1, [])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"updates": []}, "updates: needs at least 1 entry"),
        ({"updates": [{}] * 100_001}, "updates: takes at most 100000 entries"),
        ({"updates": "all"}, "updates: must be a list"),
        ({"updates": [{"miner": "SN1"}], "dry_run": "yes"}, "dry_run: must be true or false"),
        ({"update": []}, "update: unknown key; did you mean updates?"),
    ],
)
async def test_what_is_no_list_of_places_is_refused(stage: Any, body: Any, words: str) -> None:
    url = f"{stage.at_farm}/miners/places"
    assert (await stage.ask("POST", url, json=body, status=400))["message"] == words


async def test_a_thousand_miners_of_whom_none_is_known_are_a_thousand_faults(stage: Any) -> None:
    updates = [{"miner": f"10.9.{n // 250}.{n % 250}", "rack": "A"} for n in range(1500)]
    shown = await change(stage, *updates, dry_run=True)
    assert (shown["fault_count"], len(shown["faults"])) == (1500, 1000)
