"""Every fault of the simulator against every operation of a driver: a truth or a named error, in time, nothing left behind."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from simulator.faults import KNOWN
from tests.drivers.hostile import CHANGES, LINE, QUIRKS, Spec, Trial, Verdicts, open_files, run

KEYS = ("s21", "l7", "t17+")
_blocks = itertools.count(1)


def base() -> str:
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 10
    return f"127.{220 + worker}.{next(_blocks) % 31 * 8}.1"


async def settle(trials: Iterable[Trial], folder: Path) -> Verdicts:
    """Run them and see that no file and no task is left."""
    gc.collect()
    files, tasks = open_files(), len(asyncio.all_tasks())
    verdicts = await run(trials, folder, base=base())
    print(verdicts.table(), *verdicts.wrong, sep="\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        gc.collect()
    assert not verdicts.wrong
    assert len(asyncio.all_tasks()) == tasks
    assert open_files() <= files
    return verdicts


def some(specs: Sequence[Spec], change: str | None, moment: str = "plan") -> list[Trial]:
    """Each fault once, the generations taking turns."""
    keys = itertools.cycle(KEYS)
    return [Trial(next(keys), spec, change, moment) for spec in specs]


def test_no_fault_of_the_simulator_is_left_out() -> None:
    assert {spec["fault"] for spec in (*LINE, *QUIRKS)} == set(KNOWN)


async def test_looking_at_a_miner_whose_line_is_hostile_ends_in_time_with_a_named_error(
    tmp_path: Path,
) -> None:
    verdicts = await settle(some(LINE, None), tmp_path)
    assert verdicts.errors["MalformedError"] > len(LINE)


@pytest.mark.parametrize("moment", ["plan", "apply", "verify"])
async def test_a_light_on_a_hostile_line_is_a_truth_or_a_named_error(
    moment: str, tmp_path: Path
) -> None:
    await settle(some(LINE, "light", moment), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("key", KEYS)
async def test_looks_at_every_misbehaving_miner_end_in_time_with_a_named_error(
    key: str, tmp_path: Path
) -> None:
    await settle([Trial(key, spec) for spec in (*LINE, *QUIRKS)], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
async def test_changes_of_every_misbehaving_miner_are_a_truth_or_a_named_error(
    change: str, tmp_path: Path
) -> None:
    await settle(some((*LINE, *QUIRKS), change), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["apply", "verify"])
@pytest.mark.parametrize("change", CHANGES[1:])
async def test_a_line_that_turns_hostile_in_the_middle_of_a_change_leaves_a_truth_or_a_named_error(
    change: str, moment: str, tmp_path: Path
) -> None:
    await settle(some(LINE, change, moment), tmp_path)
