"""A database from before cloud time, with tasks that are open: their lives go on, whatever the clocks said."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command

from cloud.store.engine import DATABASE_NAME, sqlite_url
from cloud.store.schema.migrate import _config, migrate

DAY_S = 86_400.0
LIMIT_S = 420.0  # with the grace


@contextmanager
def connected(folder: Path) -> Iterator[sa.Connection]:
    engine = sa.create_engine(f"sqlite:///{folder / DATABASE_NAME}")
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def old_database(folder: Path, last: datetime) -> None:
    """As 0.1 left it at that moment, by its own clock: a task that waits, one that runs, one that ended, its keys."""
    with connected(folder) as connection:
        command.upgrade(_config(connection), "0002")
        known = sa.MetaData()
        known.reflect(connection)

        def put(table: str, **values: Any) -> None:
            connection.execute(known.tables[table].insert().values(**values))

        at = last.replace(tzinfo=None)
        hour = timedelta(hours=1)
        put("workspaces", id="w", name="W", created_at=at - 48 * hour)
        common = {"workspace_id": "w", "created_at": at - 48 * hour}
        put("farms", id="f", updated_at=at, **common)
        put("agents", id="a", farm_id="f", last_online_at=at, **common)
        for name, made, stamps in (
            ("waits", at - 4 * hour, {}),
            ("runs", at - hour, {"pending_at": at - timedelta(seconds=120)}),
            ("expired", at - 25 * hour, {}),
            ("ended", at - 30 * hour, {"ended_at": at - 29 * hour}),
        ):
            put(
                "tasks",
                id=name,
                farm_id="f",
                workspace_id="w",
                agent_id="a",
                name="miner.system.reboot",
                kind="one_shot",
                status="queuing",
                params={"force": True},
                created_at=made,
                queue_expires_at=made + 24 * hour,
                limit_s=300.0,
                deadline_at=at + timedelta(seconds=LIMIT_S - 120) if name == "runs" else None,
                **stamps,
            )
        put(
            "task_events",
            task_id="ended",
            epoch=1,
            seq=1,
            journal_id="j",
            state="succeed",
            digest="d",
            received_at=at - 29 * hour,
        )
        put("reading_batches", agent_id="a", run_id="r", seq=1, received_at=at - hour)
        for name, age in (("old", 40), ("new", 3)):
            put(
                "task_files",
                task_id="ended",
                name=name,
                farm_id="f",
                size_bytes=1,
                sha256="0" * 64,
                created_at=at - age * hour,
            )


def carried_over(folder: Path) -> dict[str, dict[str, Any]]:
    """What the new columns hold: by table, by the row's name."""
    assert migrate(sqlite_url(folder))[0] == "0002"
    columns = {
        "lives": "select id, queue_expires_cloud_s from tasks",
        "deadlines": "select id, deadline_cloud_s from tasks where deadline_cloud_s is not null",
        "events": "select task_id, received_cloud_s from task_events",
        "readings": "select run_id, received_cloud_s from reading_batches",
        "files": "select name, created_cloud_s from task_files",
        "agents": "select id, last_online_cloud_s from agents",
        "time": "select id, seconds from cloud_time",
        "params": "select id, params from tasks where id = 'waits'",
    }
    with connected(folder) as connection:
        return {
            name: dict(connection.execute(sa.text(query)).all()) for name, query in columns.items()
        }


@pytest.mark.parametrize("away", [0, 3, 3650], ids=lambda days: f"{days} days before now")
def test_what_was_left_of_a_life_is_left_of_it(tmp_path: Path, away: int):
    old_database(tmp_path, datetime.now(UTC) - timedelta(days=away))
    found = carried_over(tmp_path)
    close = {"abs": 1.0}
    assert found["time"] == {1: 0.0}
    assert found["lives"]["waits"] == pytest.approx(20 * 3600, **close)
    assert found["lives"]["runs"] == pytest.approx(23 * 3600, **close)
    assert found["lives"]["expired"] == pytest.approx(-3600, **close)
    assert found["deadlines"] == {"runs": pytest.approx(LIMIT_S - 120, **close)}
    assert found["agents"] == {"a": pytest.approx(0.0, **close)}
    assert found["events"] == {"ended": pytest.approx(-29 * 3600, **close)}
    assert found["readings"] == {"r": pytest.approx(-3600, **close)}
    assert found["files"] == pytest.approx({"old": -40 * 3600, "new": -3 * 3600}, **close)
    assert found["params"] == {"waits": '{"force": true}'}


def test_stamps_of_a_clock_that_was_ahead_give_no_task_more_than_its_whole_life(tmp_path: Path):
    old_database(tmp_path, datetime.now(UTC) + timedelta(days=3650))
    found = carried_over(tmp_path)
    assert [*found["lives"].values()] == pytest.approx([DAY_S] * 4, abs=1.0)
    assert found["deadlines"] == {"runs": pytest.approx(LIMIT_S, abs=1.0)}
    for name in ("events", "readings", "files", "agents"):
        assert {*found[name].values()} == {0.0}
