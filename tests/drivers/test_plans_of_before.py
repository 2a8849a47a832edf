"""Plans as agents wrote them into their journals when a plan's data was a dict: `plans.jsonl` has one for each way of each
make, to the letter, and `plans_0_1_0.jsonl` those of version 0.1.0, which did not yet say whose a plan is nor whether it
raises power. A crash may have left any of them in an intent that this version has to judge.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from contract.errors import OutcomeUnknownError
from drivers.base import FirmwareUpdate, Plan, Resume, Suspend, TypedPlan
from drivers.changes.way import Way
from drivers.registry import DRIVERS
from drivers.rig.changes.mining import RigMining
from drivers.rig.changes.power_limit import RigPowerLimit
from drivers.rig.changes.reboot import RigReboot
from drivers.whatsminer.changes.power_limit import WhatsminerPowerLimit
from tests.drivers.makes.cases import MAKES, MakeCase


class Row(NamedTuple):
    make: MakeCase
    model: str
    text: str

    @property
    def plan(self) -> Plan:
        """As the journal reads it."""
        return msgspec.json.decode(self.text, type=Plan)

    @property
    def way(self) -> Way[Any, Any]:
        way = self.make.stage.entry.ways.of(self.plan.change)
        assert way is not None
        return way

    @property
    def name(self) -> str:
        return f"{self.make.name}-{self.model}-{type(self.plan.change).__name__.lower()}"


def _rows(file_name: str) -> list[Row]:
    lines = Path(__file__).with_name(file_name).read_text("utf-8").splitlines()
    return [_row(line) for line in lines]


def _row(line: str) -> Row:
    fields = msgspec.json.decode(line)
    (make,) = (each for each in MAKES if each.name == fields["make"])
    return Row(make, fields["model"], fields["plan"])


LATER = {WhatsminerPowerLimit, RigMining, RigPowerLimit, RigReboot}  # ways that there were not then
ROWS = _rows("plans.jsonl")
FIRST_ROWS = _rows("plans_0_1_0.jsonl")
each_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
each_first_row = pytest.mark.parametrize("row", FIRST_ROWS, ids=lambda row: row.name)


@pytest.mark.parametrize("rows", [ROWS, FIRST_ROWS], ids=["0.2.0", "0.1.0"])
def test_there_is_one_of_every_way(rows: list[Row]) -> None:
    ways = {type(way) for entry in DRIVERS for way in entry.ways}
    assert {type(row.way) for row in rows} == ways - LATER


@each_row
def test_it_is_read_by_its_way_and_written_again_to_the_letter(row: Row) -> None:
    typed = row.way.typed(row.plan)
    assert isinstance(typed, TypedPlan)
    assert isinstance(typed.data, row.way.data)
    assert msgspec.json.encode(typed).decode() == row.text
    assert row.way.typed(typed) == typed


@each_row
async def test_it_is_judged_after_a_crash_as_one_of_today(row: Row, tmp_path: Path) -> None:
    await _judge(row, tmp_path)


@each_first_row
async def test_one_of_the_first_version_is_judged_as_well(row: Row, tmp_path: Path) -> None:
    assert row.plan.raises_power
    assert (row.plan.mac, row.plan.serial) == (None, None)
    await _judge(row, tmp_path)


def test_one_that_cannot_be_read_leaves_nothing_to_judge_by() -> None:
    for row in ROWS + FIRST_ROWS:
        if msgspec.structs.fields(row.way.data):
            plan = msgspec.structs.replace(row.plan, data={"of": "another version"})
            with pytest.raises(OutcomeUnknownError, match="another version of the agent"):
                row.way.typed(plan)


# --- private -------------------------------------------------------------------------------------


async def _judge(row: Row, folder: Path) -> None:
    async with row.make.begin(row.model) as on:
        old, change = row.plan, row.plan.change
        if isinstance(change, FirmwareUpdate):
            change = on.newer(folder)
        if isinstance(change, Resume):
            await on.carry_out(Suspend())
        now, permit = await on.planned(change), on.permit()
        with suppress(OutcomeUnknownError):
            await on.driver.apply(now, permit)
        if old.mac is not None:
            # Of this miner: its address, and so its MAC, is another in every test.
            old = msgspec.structs.replace(old, mac=now.mac, serial=now.serial)
        evidence = await on.after_a_crash(old, permit)
        assert evidence.outcome == "done", evidence
        assert evidence.before == old.before
