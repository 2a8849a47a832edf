"""A database of the version before, whose ended tasks still have their passwords."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa
from alembic import command

from cloud.store.engine import DATABASE_NAME, sqlite_url
from cloud.store.schema.migrate import _config, migrate

SECRET = {"pools": [{"url": "tcp://w:hunter2@p:1", "user": "u", "password": "hunter2"}]}
SHOWN = {"pools": [{"url": "tcp://w:***@p:1", "user": "u", "password": "***"}]}
AT = "2026-01-01"


def test_passwords_of_what_has_ended_leave_the_database_and_others_stay(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / DATABASE_NAME}")
    with engine.begin() as connection:
        command.upgrade(_config(connection), "0004")
    engine.dispose()
    with closing(sqlite3.connect(tmp_path / DATABASE_NAME)) as db:
        db.execute("INSERT INTO workspaces (id, name, created_at) VALUES ('w', 'W', ?)", [AT])
        db.execute(
            "INSERT INTO farms (id, workspace_id, created_at, updated_at) VALUES ('f', 'w', ?, ?)",
            [AT, AT],
        )
        many = {f"m{number}": AT for number in range(2500)}  # more than are looked at at once
        for batch, tasks in (
            ("over", {"t1": AT}),
            ("under_way", {"t2": AT, "t3": None}),
            ("large", many),
        ):
            db.execute(
                "INSERT INTO task_batches (id, farm_id, workspace_id, task_name, params, task_count, actor_type, "
                "actor_id, actor_metadata, created_at) VALUES (?, 'f', 'w', 'miner.pool.update', ?, 1, 'user', 'a', '{}', ?)",
                [batch, json.dumps(SECRET), AT],
            )
            for task, ended_at in tasks.items():
                db.execute(
                    "INSERT INTO tasks (id, batch_id, farm_id, workspace_id, name, kind, params, status, created_at, "
                    "queue_expires_cloud_s, limit_s, ended_at) VALUES (?, ?, 'f', 'w', 'miner.pool.update', 'setting', ?, "
                    "'failed', ?, 0, 0, ?)",
                    [task, batch, json.dumps(SECRET), AT, ended_at],
                )  # fmt: skip
        db.commit()
    migrate(sqlite_url(tmp_path))
    with closing(sqlite3.connect(tmp_path / DATABASE_NAME)) as db:
        rows = dict(
            db.execute("SELECT id, params FROM tasks UNION SELECT id, params FROM task_batches")
        )
    shown = {name: json.loads(params) for name, params in rows.items()}
    assert shown == {
        "over": SHOWN, "t1": SHOWN,
        "under_way": SECRET, "t2": SHOWN, "t3": SECRET,
        "large": SHOWN, **dict.fromkeys(many, SHOWN),
    }  # fmt: skip
