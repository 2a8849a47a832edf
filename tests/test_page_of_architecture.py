"""docs/architecture.md names what is there: the floors of the agent in their order, and every file of a task's way."""

from __future__ import annotations

import re
from itertools import chain
from typing import Final

from tests.pages import ROOT, links
from tests.test_architecture import FLOORS, ROOMS

PAGE: Final = ROOT / "docs" / "architecture.md"


def test_the_floors_stand_on_the_page_as_the_rules_have_them() -> None:
    section = (
        PAGE.read_text("utf-8").partition("### The floors of the agent")[2].partition("\n##")[0]
    )
    rows = re.findall(r"^\| (\[.+?) \|", section, re.MULTILINE)
    named = [*chain.from_iterable(re.findall(r"\[(\w+)(?:\.py|/)\]", row) for row in rows)]
    assert named == [each for each in FLOORS if each != "__main__"]


def test_every_room_and_every_file_of_the_way_of_a_task_is_named() -> None:
    linked = {(PAGE.parent / each).resolve() for each in links(PAGE)}
    rooms = {ROOT / room for room in ROOMS}
    files = {path for path in (ROOT / "agent/tasks").glob("*.py") if path.name != "__init__.py"}
    left_out = {ROOT / "agent/tasks/tasklog.py"}  # lines that any step may say
    assert (rooms | files - left_out) - linked == set()
