"""Swapped control boards: what is proposed, what speaks against it, and what a confirmation does."""

from __future__ import annotations

from typing import Any

import pytest

from cloud.store.assets import proposals as stored
from cloud.store.schema.tables import miners, part_stays
from contract.miner import Make, Static
from contract.task import TaskName
from tests.cloud.assets.farm import Chassis, ControlBoard, Yard
from tests.cloud.conftest import Cloud

SILENT_S = 600.0  # nobody has looked for so long that a miner does not count as answering


@pytest.fixture
async def yard(cloud: Cloud) -> Yard:
    return await Yard.at(cloud)


async def swapped(yard: Yard) -> tuple[str, str]:
    """Miners 1 and 2 after their control boards changed places."""
    one, two = (await yard.push(yard.look(1, 1), yard.look(2, 2))).values()
    await yard.push(yard.look(1, 2), yard.look(2, 1), after_s=SILENT_S)
    return one, two


async def test_a_new_control_board_is_proposed_and_confirmed_as_the_same_asset(yard: Yard) -> None:
    (one,) = (await yard.push(yard.look(1, 1))).values()
    await yard.ask("POST", f"/miners/{one}/name", json={"name": "A-07"})
    tags = {"task_name": "miner.tags.update", "params": {"add": ["vip"]}, "miner_ids": [one]}
    await yard.ask("POST", "/tasks/batches", json=tags)
    new = yard.look(9, 1, ip="10.0.0.77")
    found = (await yard.push(new, after_s=SILENT_S))["02:00:00:00:00:09"]
    (proposal,) = await yard.proposals()
    assert (proposal["asset"]["id"], proposal["found"]["id"]) == (one, found)
    assert (proposal["score"], proposal["doubts"]) == (8, [])
    facts = {each["fact"]: each["agrees"] for each in proposal["evidence"]}
    assert facts == {
        "mac": False,
        "control_board": False,
        "hashboards": True,
        "psu": True,
        "model": True,
        "hostname": None,
        "address": False,
        "position": None,
    }
    body = {"task_name": "miner.tags.update", "params": {"add": ["new"]}, "miner_ids": [found]}
    await yard.ask("POST", "/tasks/batches", json=body)
    told = await yard.confirm(proposal)
    assert told == {
        "id": proposal["id"],
        "status": "confirmed",
        "miner_id": one,
        "swapped_with_id": None,
    }
    miners = await yard.miners()
    assert list(miners) == [one]
    shown = miners[one]
    assert (shown["mac"], shown["ip"], shown["name"]) == (
        "02:00:00:00:00:09",
        "10.0.0.77",
        "A-07",
    )
    assert (shown["tags"], shown["serial_number"]) == (["vip"], "CTRL0009")
    # Its next reading is that of this record, and nothing is proposed again.
    assert await yard.push(new, after_s=30) == {"02:00:00:00:00:09": one}
    assert await yard.proposals() == []
    # The history of both is one, and the parts never left.
    tasks = await yard.ask("GET", f"/miners/{one}/tasks")
    assert len(tasks) == 2
    (board,) = await yard.ask("GET", "/parts/HB0001-0")
    assert [each["miner_id"] for each in board["places"]] == [one]
    (board,) = await yard.ask("GET", "/parts/CTRL0001")
    assert [each["is_there"] for each in board["places"]] == [False]
    (row,) = [
        each
        for each in await yard.ask("GET", "/audit?pageSize=100")
        if each["action"] == "miner_proposal.confirm"
    ]
    assert (row["target_id"], row["before"]["mac"], row["after"]["mac"]) == (
        one,
        "02:00:00:00:00:01",
        "02:00:00:00:00:09",
    )


async def test_two_swapped_control_boards_are_proposals_that_fit_together(yard: Yard) -> None:
    one, two = await swapped(yard)
    await yard.ask("POST", f"/miners/{one}/name", json={"name": "A-01"})
    proposals = await yard.proposals()
    by_asset = {each["asset"]["id"]: each for each in proposals}
    assert {asset: each["found"]["id"] for asset, each in by_asset.items()} == {one: two, two: one}
    assert by_asset[one]["swap_with_id"] == by_asset[two]["id"]
    assert [each["doubts"] for each in proposals] == [[], []]
    told = await yard.confirm(by_asset[one])
    assert (told["miner_id"], told["swapped_with_id"]) == (one, two)
    miners = await yard.miners()
    assert {id_: (each["mac"], each["name"]) for id_, each in miners.items()} == {
        one: ("02:00:00:00:00:02", "A-01"),
        two: ("02:00:00:00:00:01", None),
    }
    assert await yard.proposals() == []
    assert len(await yard.proposals("confirmed")) == 2
    told_of = {
        each["target_id"]: each["after"]["mac"]
        for each in await yard.ask("GET", "/audit?pageSize=100")
        if each["action"] == "miner_proposal.confirm"
    }
    assert told_of == {one: "02:00:00:00:00:02", two: "02:00:00:00:00:01"}
    ids = await yard.push(yard.look(1, 2), yard.look(2, 1), after_s=30)
    assert ids == {"02:00:00:00:00:01": two, "02:00:00:00:00:02": one}
    assert await yard.proposals() == []
    for serial, asset in (("HB0001-2", one), ("HB0002-2", two), ("PSU0002", two)):
        (board,) = await yard.ask("GET", f"/parts/{serial}")
        assert [(each["miner_id"], each["is_there"]) for each in board["places"]] == [(asset, True)]
    (board,) = await yard.ask("GET", "/parts/CTRL0001")
    assert [(each["miner_id"], each["is_there"]) for each in board["places"]] == [
        (two, True),
        (one, False),
    ]


async def test_boards_that_are_swapped_back_are_proposed_again(yard: Yard) -> None:
    one, two = await swapped(yard)
    await yard.confirm((await yard.proposals())[0])
    await yard.push(yard.look(1, 1), yard.look(2, 2), after_s=SILENT_S)
    proposals = await yard.proposals()
    assert {each["asset"]["id"] for each in proposals} == {one, two}
    await yard.confirm(proposals[0])
    miners = await yard.miners()
    assert miners[one]["mac"] == "02:00:00:00:00:01"
    assert miners[two]["mac"] == "02:00:00:00:00:02"


async def test_boards_that_go_back_where_they_were_propose_nothing(yard: Yard) -> None:
    """Nobody decided meanwhile: each is in the case that it has always been in."""
    await swapped(yard)
    await yard.push(yard.look(1, 1), yard.look(2, 2), after_s=SILENT_S)
    assert await yard.proposals() == []


async def test_three_control_boards_that_went_round_find_their_cases(yard: Yard) -> None:
    looks = [yard.look(number, number) for number in (1, 2, 3)]
    ids = list((await yard.push(*looks)).values())
    turned = [yard.look(1, 2), yard.look(2, 3), yard.look(3, 1)]
    await yard.push(*turned, after_s=SILENT_S)
    proposals = await yard.proposals()
    assert len(proposals) == 3
    assert all(each["swap_with_id"] is None for each in proposals)
    # Each confirmation puts one right, and what is left is proposed of the records as they are then.
    for _ in range(2):
        told = await yard.confirm((await yard.proposals())[-1])
        assert told["swapped_with_id"] is not None
    assert await yard.proposals() == []
    macs = {id_: each["mac"][-2:] for id_, each in (await yard.miners()).items()}
    assert macs == dict(zip(ids, ("03", "01", "02"), strict=True))
    assert len(await yard.proposals("confirmed")) <= 3
    assert set((await yard.push(*turned, after_s=30)).values()) == set(ids)
    for number, id_ in enumerate(ids, 1):
        (board,) = await yard.ask("GET", f"/parts/HB000{number}-0")
        assert [each["miner_id"] for each in board["places"] if each["is_there"]] == [id_]


async def test_a_control_board_taken_from_another_miner_leaves_that_one_without(yard: Yard) -> None:
    """The chassis it was in keeps its record, which is found again by its hashboards."""
    one, two = (await yard.push(yard.look(1, 1), yard.look(2, 2))).values()
    await yard.push(yard.look(1, 2), after_s=SILENT_S)
    (proposal,) = await yard.proposals()
    assert (proposal["asset"]["id"], proposal["found"]["id"]) == (two, one)
    assert proposal["swap_with_id"] is None
    await yard.confirm(proposal)
    miners = await yard.miners()
    assert {id_: each["mac"] for id_, each in miners.items()} == {
        one: "",
        two: "02:00:00:00:00:01",
    }
    assert (miners[one]["model"], miners[one]["status"]) == ("Antminer S19", "stale")
    found = (await yard.push(yard.look(3, 1), after_s=60))["02:00:00:00:00:03"]
    (proposal,) = await yard.proposals()
    assert (proposal["asset"]["id"], proposal["found"]["id"]) == (one, found)
    await yard.confirm(proposal)
    miners = await yard.miners()
    assert {id_: each["mac"] for id_, each in miners.items()} == {
        one: "02:00:00:00:00:03",
        two: "02:00:00:00:00:01",
    }


async def test_a_miner_that_claims_the_serials_of_one_that_answers_gains_nothing(
    yard: Yard,
) -> None:
    one = (await yard.push(yard.look(1, 1)))["02:00:00:00:00:01"]
    liar = yard.look(6, 1)
    await yard.push(yard.look(1, 1), liar, after_s=60)
    await yard.push(yard.look(1, 1), liar, after_s=60)
    (proposal,) = await yard.proposals()
    (doubt,) = proposal["doubts"]
    assert doubt == (
        "10.0.0.1 02:00:00:00:00:01 was seen with HB0001-0, HB0001-1, HB0001-2, PSU0001 after 10.0.0.6 "
        "02:00:00:00:00:06 was, last at 2026-11-21T12:02:00Z: one of the two tells what is not so"
    )
    message = await yard.confirm(proposal, status=409)
    assert message == proposal["doubts"]
    # Nor does it once the honest one is switched off: what was seen of both stays seen.
    await yard.push(liar, after_s=SILENT_S)
    (proposal,) = await yard.proposals()
    assert "one of the two tells what is not so" in proposal["doubts"][0]
    assert (await yard.miners())[one]["mac"] == "02:00:00:00:00:01"


async def test_a_miner_that_answers_is_read_once_more_before_it_is_believed_gone(
    yard: Yard,
) -> None:
    await yard.push(yard.look(1, 1), yard.look(2, 2))
    await yard.push(yard.look(1, 2), after_s=20)
    (proposal,) = await yard.proposals()
    (doubt,) = proposal["doubts"]
    assert doubt == (
        "10.0.0.2 02:00:00:00:00:02 answers, and has not been read since 10.0.0.1 02:00:00:00:00:01 shows its parts: "
        "wait for its next reading"
    )
    assert await yard.confirm(proposal, status=409) == proposal["doubts"]
    await yard.push(yard.look(2, 1), after_s=20)
    assert [each["doubts"] for each in await yard.proposals()] == [[], []]


async def test_where_two_would_fit_neither_is_confirmed(yard: Yard) -> None:
    await yard.push(yard.look(1, 1))
    await yard.push(yard.look(8, 1), yard.look(9, 1), after_s=SILENT_S)
    proposals = await yard.proposals()
    of_asset = [each for each in proposals if each["asset"]["mac"] == "02:00:00:00:00:01"]
    assert len(of_asset) == 2
    for each in of_asset:
        assert any("would be 10.0.0.1 02:00:00:00:00:01, too" in word for word in each["doubts"])
        await yard.confirm(each, status=409)


async def test_what_was_rejected_is_not_proposed_again_for_the_same_parts(yard: Yard) -> None:
    await yard.push(yard.look(1, 1))
    await yard.push(yard.look(9, 1), after_s=SILENT_S)
    (proposal,) = await yard.proposals()
    await yard.ask("POST", f"/miner-proposals/{proposal['id']}/reject")
    await yard.push(yard.look(1, 3), after_s=60)  # which asks the question again
    await yard.push(yard.look(1, 3), yard.look(9, 1), after_s=60)
    assert await yard.proposals() == []
    assert [each["id"] for each in await yard.proposals("rejected")] == [proposal["id"]]
    await yard.confirm(proposal, status=409)


async def test_what_does_not_follow_any_more_is_taken_back(yard: Yard) -> None:
    await yard.push(yard.look(1, 1))
    await yard.push(yard.look(9, 1), after_s=SILENT_S)
    assert len(await yard.proposals()) == 1
    await yard.push(yard.look(9, 9), after_s=60)
    assert await yard.proposals() == []


async def test_parts_that_are_moved_for_themselves_are_no_other_miner(yard: Yard) -> None:
    await yard.push(yard.look(1, 1), yard.look(2, 2))
    spare = Chassis(2, hashboards=["HB0002-0", "HB0001-1", "HB0002-2"], psu="PSU0001")
    await yard.push(yard.look(2, spare), after_s=SILENT_S)
    assert await yard.proposals() == []


async def test_serials_that_many_miners_show_propose_nothing(yard: Yard) -> None:
    same = Chassis(1, hashboards=["SAME-0001", "SAME-0002", "SAME-0003"], psu="SAME-PSU")
    await yard.push(*(yard.look(number, same) for number in range(1, 5)))
    await yard.push(*(yard.look(number, same) for number in range(1, 5)), after_s=30)
    await yard.push(yard.look(9, same), after_s=30)
    assert await yard.proposals() == []


async def test_another_model_is_another_miner(yard: Yard) -> None:
    await yard.push(yard.look(1, 1))
    await yard.push(yard.look(9, 1, model="Antminer S21"), after_s=SILENT_S)
    assert await yard.proposals() == []


async def test_a_new_mac_on_the_same_control_board_is_proposed_by_its_serial(yard: Yard) -> None:
    bare = Static(make=Make.ANTMINER, model="Antminer S19", serial="CTRL0001", hostname="row-a-1")
    (one,) = (await yard.push(yard.look(1, 1, static=bare))).values()
    await yard.push(yard.look(ControlBoard(9), 9, static=bare), after_s=SILENT_S)
    (proposal,) = await yard.proposals()
    assert (proposal["asset"]["id"], proposal["score"]) == (one, 4)


async def test_open_tasks_of_the_two_come_first(yard: Yard) -> None:
    (one,) = (await yard.push(yard.look(1, 1))).values()
    await yard.push(yard.look(9, 1), after_s=SILENT_S)
    await yard.cloud.queue(TaskName.REBOOT, yard.agent.agent_id, miner_id=one)
    (proposal,) = await yard.proposals()
    message = await yard.confirm(proposal, status=409)
    assert message == "1 tasks of these two are open: wait for their end, or cancel them"


async def test_settings_are_fetched_again_as_agents_know_maintenance_by_mac(yard: Yard) -> None:
    (one,) = (await yard.push(yard.look(1, 1))).values()
    body: dict[str, Any] = {"task_name": "miner.asset.update", "miner_ids": [one]}
    await yard.ask("POST", "/tasks/batches", json=body | {"params": {"status": "maintenance"}})
    await yard.push(yard.look(9, 1), after_s=SILENT_S)
    _, before = await yard.agent.call("GET", "settings")
    assert before["maintenance"] == ["02:00:00:00:00:01"]
    await yard.confirm((await yard.proposals())[0])
    _, after = await yard.agent.call("GET", "settings")
    assert after["maintenance"] == ["02:00:00:00:00:09"]
    assert after["rev"] > before["rev"]


@pytest.mark.parametrize("number", ["0", "999", "abc", "9" * 30, "-1"])
async def test_a_proposal_that_is_none_is_404(yard: Yard, number: str) -> None:
    await yard.ask("POST", f"/miner-proposals/{number}/confirm", status=404)


async def test_a_status_that_is_none_is_refused(yard: Yard) -> None:
    message = await yard.ask("GET", "/miner-proposals?status=opne", status=400)
    assert message == "status: unknown word; did you mean open?"


async def test_a_farm_has_only_so_many_proposals(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "PROPOSALS_MOST", 3)
    await yard.push(*(yard.look(number, number) for number in range(1, 7)))
    await yard.push(*(yard.look(20 + number, number) for number in range(1, 7)), after_s=SILENT_S)
    assert len(await yard.proposals()) == 3


async def test_a_device_that_shows_the_mac_of_another_is_joined_with_nobody(yard: Yard) -> None:
    """A cloned MAC: nobody can say which of the two the record is."""
    await yard.push(yard.look(1, 1))
    twin = yard.look(9, 1, twin_ips=("10.0.0.66",))
    await yard.push(twin, after_s=SILENT_S)
    (proposal,) = await yard.proposals()
    assert proposal["doubts"] == ["several devices show the MAC of 10.0.0.9 02:00:00:00:00:09"]
    await yard.confirm(proposal, status=409)


async def test_records_from_before_parts_were_followed_are_followed_from_their_next_look(
    yard: Yard,
) -> None:
    (one,) = (await yard.push(yard.look(1, 1))).values()
    async with yard.cloud.store.write() as connection:
        await connection.execute(part_stays.delete())
        await connection.execute(miners.update().values(parts=None))
    await yard.push(yard.look(1, 1, static=None), after_s=30)
    mine = await yard.ask("GET", f"/miners/{one}/parts?pageSize=100")
    assert len(mine) == 5


async def put_into_maintenance(yard: Yard, miner_id: str) -> None:
    params = {"status": "maintenance"}
    order = {"task_name": "miner.asset.update", "params": params, "miner_ids": [miner_id]}
    await yard.ask("POST", "/tasks/batches", json=order)


async def maintained(yard: Yard) -> tuple[dict[str, str | None], set[str]]:
    """Of each miner on the lists its status, and what agents are to leave alone."""
    status, settings = await yard.agent.call("GET", "settings")
    assert status == 200
    return {key: each["ops_status"] for key, each in (await yard.miners()).items()}, {
        *settings["maintenance"]
    }


@pytest.mark.parametrize("which", ["asset", "found"])
async def test_a_confirmation_takes_no_miner_out_of_maintenance(yard: Yard, which: str) -> None:
    (one,) = (await yard.push(yard.look(1, 1))).values()
    (found,) = (await yard.push(yard.look(9, 1), after_s=SILENT_S)).values()
    await put_into_maintenance(yard, one if which == "asset" else found)
    (proposal,) = await yard.proposals()
    await yard.confirm(proposal)
    assert await maintained(yard) == ({one: "maintenance"}, {ControlBoard(9).mac})


@pytest.mark.parametrize("which", [0, 1])
async def test_of_two_that_were_swapped_both_stay_in_maintenance(yard: Yard, which: int) -> None:
    pair = await swapped(yard)
    await put_into_maintenance(yard, pair[which])
    await yard.confirm((await yard.proposals())[0])
    assert await maintained(yard) == (
        dict.fromkeys(pair, "maintenance"),
        {ControlBoard(1).mac, ControlBoard(2).mac},
    )


async def test_no_agent_gets_a_task_for_a_record_whose_board_is_in_another_case(yard: Yard) -> None:
    one, two = (await yard.push(yard.look(1, 1), yard.look(2, 2))).values()
    await yard.push(yard.look(2, 1), after_s=SILENT_S)
    (proposal,) = await yard.proposals()
    await yard.confirm(proposal)
    order = {"task_name": "miner.system.reboot", "params": {}, "miner_ids": [one, two]}
    await yard.ask("POST", "/tasks/batches", json=order)
    (task,) = (await yard.agent.claim())["tasks"]
    assert (task["miner"]["id"], task["miner"]["mac"]) == (one, ControlBoard(2).mac)
    assert await yard.ask("GET", f"/miners/{two}/tasks") == []
    # What is only written into the books needs no device. Once one is met in its case, it has one again.
    tags = {"task_name": "miner.tags.update", "params": {"add": ["spare"]}, "miner_ids": [two]}
    await yard.ask("POST", "/tasks/batches", json=tags)
    await yard.push(yard.look(1, 2), after_s=SILENT_S)
    (proposal,) = await yard.proposals()
    assert proposal["asset"]["id"] == two
    await yard.confirm(proposal)
    await yard.ask("POST", "/tasks/batches", json=order | {"miner_ids": [two]})
    tasks = (await yard.agent.claim())["tasks"]
    (mac,) = (each["miner"]["mac"] for each in tasks if each["miner"]["id"] == two)
    assert mac == ControlBoard(1).mac


@pytest.mark.parametrize("which", [0, 1])
async def test_nothing_is_proposed_any_more_of_what_is_off_the_lists(
    yard: Yard, which: int
) -> None:
    (one,) = (await yard.push(yard.look(1, 1))).values()
    (found,) = (await yard.push(yard.look(9, 1), after_s=SILENT_S)).values()
    (proposal,) = await yard.proposals()
    order = {"task_name": "miner.asset.delete", "params": {}, "miner_ids": [(one, found)[which]]}
    await yard.ask("POST", "/tasks/batches", json=order)
    assert await yard.proposals() == []
    assert (await yard.ask("GET", "/status"))["proposals"] == 0
    await yard.confirm(proposal, status=404)


async def test_what_comes_back_to_the_lists_is_proposed_again(yard: Yard) -> None:
    (one,) = (await yard.push(yard.look(1, 1))).values()
    new = yard.look(9, 1)
    (found,) = (await yard.push(new, after_s=SILENT_S)).values()
    order = {"task_name": "miner.asset.delete", "params": {}, "miner_ids": [found]}
    await yard.ask("POST", "/tasks/batches", json=order)
    assert await yard.proposals() == []
    await yard.push(new, after_s=3 * 86_400.0)
    (proposal,) = await yard.proposals()
    assert (proposal["asset"]["id"], proposal["found"]["id"]) == (one, found)
