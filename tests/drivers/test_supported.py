"""The README says of each make exactly what its driver declares."""

from __future__ import annotations

from pathlib import Path

import pytest

from contract.miner import Make
from contract.nonce.miners import POWER_LIMITED
from drivers.supported import generations, refreshed, table

README = Path(__file__).resolve().parents[2] / "README.md"


def test_the_readme_holds_the_table_of_the_drivers() -> None:
    text = README.read_text("utf-8")
    assert refreshed(text) == text, "run `make readme`"


def test_every_make_has_its_generations_and_every_generation_its_row() -> None:
    found = generations()
    assert {each.make for each in found} >= {Make.ANTMINER, Make.WHATSMINER}
    rows = [line for line in table().splitlines() if line.startswith("| ")][2:]
    assert len(rows) == len(found)
    for row, each in zip(rows, found, strict=True):
        assert each.generation in row
        assert all(mode in row for mode in each.modes)


def test_a_generation_that_is_only_read_promises_nothing() -> None:
    legacy = next(each for each in generations() if each.generation == "legacy")
    assert (legacy.changes, legacy.modes, legacy.log) == ((), (), False)


def test_a_text_without_the_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="no place"):
        refreshed("# nothing")


def test_the_cloud_knows_who_takes_a_power_limit() -> None:
    takes: dict[str, set[str]] = {}
    for each in generations():
        if "power_limit" in each.changes:
            takes.setdefault(each.make, set()).add(each.generation)
    assert takes == POWER_LIMITED
