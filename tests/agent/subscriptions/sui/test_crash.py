"""The agent is killed at every step of a request: what the network took is known afterwards, once, and what it did not
take is not.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests import warm
from tests.agent.subscriptions.sui.fake.client import FakeSui, fake_sui

pytestmark = pytest.mark.real_time
LIFE = "tests.agent.subscriptions.sui.life"
# Where the agent dies: what it asks for then, and whether the network does it before or after, or never.
BEFORE_ANYTHING_IS_SIGNED = [
    pytest.param("multiGetObjects", "hold", marks=pytest.mark.slow),
    pytest.param("chainIdentifier", "hold", marks=pytest.mark.slow),
    pytest.param("address", "hold", marks=pytest.mark.slow),
    pytest.param("simulateTransaction", "hold", marks=pytest.mark.slow),
    ("simulateTransaction", "hold_after"),
]
AFTER = [
    ("executeTransaction", "hold", "drop"),  # it was sent, and never arrived
    ("executeTransaction", "hold", "answer"),  # it arrived when the agent was dead
    ("executeTransaction", "hold_after", "drop"),  # it was done, and nobody heard of it
]


async def life(*arguments: object) -> dict[str, Any]:
    process = await warm.started(LIFE, *arguments)
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return found


async def killed_at(
    fake: FakeSui, folder: Path, root: str, kind: str, how: str, *task: int, skip: int = 0
) -> None:
    """Live until this request is held, be killed, then let the network go on."""
    await fake.fault(root, *[""] * skip, kind)
    process = await warm.started(LIFE, fake.url, folder, *task)
    await fake.held(root)
    process.kill()
    await process.wait()
    await fake.order("release", how=how)


def statuses(folder: Path) -> dict[str, str]:
    with closing(sqlite3.connect(folder / "subscriptions.db")) as db:
        return dict(db.execute("SELECT tx_digest, status FROM ledger_tx").fetchall())


@pytest.mark.parametrize(("root", "kind"), BEFORE_ANYTHING_IS_SIGNED)
async def test_killed_before_it_is_signed_nothing_was_done(
    tmp_path: Path, root: str, kind: str
) -> None:
    async with fake_sui() as fake:
        skip = {"chainIdentifier": 1, "address": 1}.get(root, 0)  # the start asks for these, too
        await killed_at(fake, tmp_path, root, kind, "drop", 1, skip=skip)
        assert await life(fake.url, tmp_path) == {"said": None, "held": []}
        seen = await fake.look()
        assert seen["given"] == []
        assert statuses(tmp_path) == {}


@pytest.mark.parametrize(("root", "kind", "how"), AFTER)
async def test_killed_while_it_is_sent_it_is_done_once_and_known(
    tmp_path: Path, root: str, kind: str, how: str
) -> None:
    async with fake_sui() as fake:
        await killed_at(fake, tmp_path, root, kind, how, 1)
        assert list(statuses(tmp_path).values()) == ["pending"]
        found = await life(fake.url, tmp_path, 1)  # asked for again: settled first
        assert found["held"] == [1]
        assert found["said"].startswith("the node is subscribed to this class of work already")
        seen = await fake.look()
        assert len(set(seen["given"])) == 1
        assert seen["subscriptions"] == [[1, 1, 10, 20]]
        assert statuses(tmp_path) == dict.fromkeys(seen["given"], "success")


@pytest.mark.parametrize(
    "root",
    [
        pytest.param("multiGetObjects", marks=pytest.mark.slow),
        "transaction",
        pytest.param("executeTransaction", marks=pytest.mark.slow),
    ],
)
async def test_killed_again_while_it_is_found_out_it_is_still_done_once(
    tmp_path: Path, root: str
) -> None:
    async with fake_sui() as fake:
        await killed_at(fake, tmp_path, "executeTransaction", "hold", "drop", 1)
        skip = 1 if root == "multiGetObjects" else 0  # the start asks for the shared object
        await killed_at(fake, tmp_path, root, "hold_after", "drop", skip=skip)
        assert (await life(fake.url, tmp_path))["held"] == [1]
        seen = await fake.look()
        assert len(set(seen["given"])) == 1
        assert statuses(tmp_path) == dict.fromkeys(seen["given"], "success")


async def test_a_read_of_the_outcome_that_lags_behind_that_of_the_objects_does_no_harm(
    tmp_path: Path,
) -> None:
    async with fake_sui() as fake:
        await killed_at(fake, tmp_path, "executeTransaction", "hold_after", "drop", 1)
        await fake.order("set", outcome_lag=1)
        assert (await life(fake.url, tmp_path))["held"] == [1]
        assert list(statuses(tmp_path).values()) == ["success"]


async def test_what_ended_as_an_abort_while_nobody_looked_is_a_failure_with_its_code(
    tmp_path: Path,
) -> None:
    async with fake_sui() as fake:
        await fake.fault("executeTransaction", "hold")
        process = await warm.started(LIFE, fake.url, tmp_path, 1)
        await fake.held("executeTransaction")
        process.kill()
        await process.wait()
        await fake.order("deprecate", task=1)
        await fake.order("release", how="answer")
        assert (await life(fake.url, tmp_path))["held"] == []
        assert list(statuses(tmp_path).values()) == ["failure"]
        with closing(sqlite3.connect(tmp_path / "subscriptions.db")) as db:
            assert db.execute("SELECT abort_code FROM ledger_tx").fetchall() == [(312_012_015,)]


async def test_what_can_never_be_executed_any_more_is_a_failure(tmp_path: Path) -> None:
    async with fake_sui() as fake:
        (coin,) = [key for key in (await fake.look())["balances"] if key.endswith("c3")]
        await killed_at(fake, tmp_path, "executeTransaction", "hold", "drop", 1)
        await fake.order("touch", key=coin)  # somebody else with this key was quicker
        assert (await life(fake.url, tmp_path))["held"] == []
        assert list(statuses(tmp_path).values()) == ["failure"]
        assert (await life(fake.url, tmp_path, 1))["held"] == [1]
        await killed_at(fake, tmp_path, "executeTransaction", "hold", "drop", 2)
        await fake.order("remove", key=coin)  # or took the coin away
        assert (await life(fake.url, tmp_path))["held"] == [1]
        assert sorted(statuses(tmp_path).values()) == ["failure", "failure", "success"]
