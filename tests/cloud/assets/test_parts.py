"""Parts are followed across miners: where a board is, and where it was before."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from cloud.store.assets.parts import STAYS_MOST
from cloud.store.schema.tables import part_stays
from contract.miner import Board, Moving
from tests.cloud.assets.farm import Chassis, Yard
from tests.cloud.conftest import Cloud


@pytest.fixture
async def yard(cloud: Cloud) -> Yard:
    return await Yard.at(cloud)


async def rows_of(yard: Yard) -> int:
    async with yard.cloud.store.read() as connection:
        return int(await connection.scalar(sa.select(sa.func.count()).select_from(part_stays)) or 0)


async def test_where_was_this_board_before(yard: Yard) -> None:
    ids = await yard.push(yard.look(1, 1), yard.look(2, 2))
    one, two = ids.values()
    await yard.push(yard.look(1, 1), yard.look(2, 2), after_s=60)
    mended = Chassis(1, hashboards=["HB0001-0", "SPARE-1", "HB0001-2"])
    taken = Chassis(2, hashboards=["HB0002-0", "HB0002-1", "HB0001-1"])
    await yard.push(yard.look(1, mended), yard.look(2, taken), after_s=60)
    (board,) = await yard.ask("GET", "/parts/HB0001-1")
    assert (board["kind"], board["doubt"]) == ("hashboard", None)
    told = [
        (each["miner_id"], each["slot"], each["first_seen_at"], each["last_seen_at"], each["is_there"])
        for each in board["places"]
    ]  # fmt: skip
    assert told == [
        (two, 2, "2026-11-21T12:02:00Z", "2026-11-21T12:02:00Z", True),
        (one, 1, "2026-11-21T12:00:00Z", "2026-11-21T12:01:00Z", False),
    ]
    mine = await yard.ask("GET", f"/miners/{two}/parts?pageSize=100")
    shown = [(each["serial"], each["is_there"], each["before_miner_id"]) for each in mine]
    assert shown == [
        ("CTRL0002", True, None),
        ("HB0002-0", True, None),
        ("HB0002-1", True, None),
        ("HB0001-1", True, one),
        ("PSU0002", True, None),
        ("HB0002-2", False, None),
    ]


async def test_a_board_of_a_miner_that_is_off_is_where_it_was_seen_last(yard: Yard) -> None:
    """The other one does not answer any more, so that nothing tells that it lacks the board."""
    await yard.push(yard.look(1, 1))
    ids = await yard.push(
        yard.look(2, Chassis(2, hashboards=["HB0001-0", "HB0002-1", "HB0002-2"])), after_s=600
    )
    (board,) = await yard.ask("GET", "/parts/HB0001-0")
    there = {each["miner_id"]: each["is_there"] for each in board["places"]}
    assert list(there.values()) == [True, False]
    assert there[ids["02:00:00:00:00:02"]] is True
    assert board["doubt"] is None


async def test_one_board_in_two_miners_that_answer_is_doubted(yard: Yard) -> None:
    await yard.push(yard.look(1, 1))
    liar = Chassis(2, hashboards=["HB0001-0"])
    await yard.push(yard.look(1, 1), yard.look(2, liar), after_s=60)
    await yard.push(yard.look(1, 1), yard.look(2, liar), after_s=60)
    (board,) = await yard.ask("GET", "/parts/HB0001-0")
    assert board["doubt"] == (
        "2 miners show it at once (02:00:00:00:00:02, 02:00:00:00:00:01): it is no serial number, or one of them "
        "tells what is not so"
    )


async def test_looks_that_show_the_same_parts_write_nothing(yard: Yard) -> None:
    await yard.push(yard.look(1, 1))
    statements: list[str] = []

    def note(_1: object, _2: object, statement: str, *_: object) -> None:
        if "part_stays" in statement or "proposals" in statement:
            statements.append(statement)

    engine = yard.cloud.store.engine.sync_engine
    sa.event.listen(engine, "before_cursor_execute", note)
    await yard.push(yard.look(1, 1), after_s=60)
    assert statements == []
    await yard.push(yard.look(1, 2), after_s=60)
    assert statements != []
    sa.event.remove(engine, "before_cursor_execute", note)


async def test_what_a_look_does_not_tell_says_nothing(yard: Yard) -> None:
    (one,) = (await yard.push(yard.look(1, 1))).values()
    mute = Moving(boards=(Board(index=0), Board(index=1), Board(index=2)))
    await yard.push(yard.look(1, 1, moving=mute), after_s=60)
    half = Moving(boards=(Board(index=0, serial="HB0001-0"), Board(index=1), Board(index=2)))
    await yard.push(yard.look(1, 1, moving=half), after_s=60)
    mine = await yard.ask("GET", f"/miners/{one}/parts?pageSize=100")
    assert [each["is_there"] for each in mine] == [True] * 5
    lost = Moving(boards=(Board(index=0, serial="HB0001-0"), Board(index=2, serial="HB0001-2")))
    await yard.push(yard.look(1, 1, moving=lost), after_s=60)
    (board,) = await yard.ask("GET", "/parts/HB0001-1")
    assert board["places"][0]["is_there"] is False
    # It is there again, and was nowhere else: that is one stay.
    await yard.push(yard.look(1, 1), after_s=60)
    (board,) = await yard.ask("GET", "/parts/HB0001-1")
    assert [each["is_there"] for each in board["places"]] == [True]


async def test_placeholders_are_followed_nowhere(yard: Yard) -> None:
    blank = Chassis(1, hashboards=["0000000000", "unknown", "A\x1b[31mB12"], psu="N/A")
    await yard.push(yard.look(1, blank))
    assert await rows_of(yard) == 1  # the control board
    await yard.ask("GET", "/parts/unknown", status=404)


async def test_a_miner_that_shows_ever_new_parts_fills_no_disk(yard: Yard) -> None:
    for step in range(40):
        case = Chassis(1, hashboards=[f"NEW{step}-{slot}" for slot in range(3)])
        await yard.push(yard.look(1, case), after_s=30)
    assert await rows_of(yard) <= STAYS_MOST


async def test_of_a_miner_that_was_forgotten_no_part_is_known(yard: Yard) -> None:
    (one,) = (await yard.push(yard.look(1, 1))).values()
    body = {"task_name": "miner.record.delete", "params": {}, "miner_ids": [one]}
    await yard.ask("POST", "/tasks/batches", json=body)
    assert await rows_of(yard) == 0
