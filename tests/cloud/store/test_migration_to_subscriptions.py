"""Databases from before task subscriptions: their work goes on as it was, and each workspace has its catalogue."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command

from cloud.store.engine import DATABASE_NAME, sqlite_url
from cloud.store.schema.migrate import _config, migrate
from cloud.store.schema.tables import farms, task_batches, task_classes, tasks
from contract.subscription.catalogue import BUILT_IN

AT = datetime(2026, 1, 1)  # noqa: DTZ001


@pytest.mark.parametrize("revision", [f"{number:04}" for number in range(1, 10)])
def test_every_earlier_version_comes_to_subscriptions(tmp_path: Path, revision: str) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / DATABASE_NAME}")
    with engine.begin() as connection:
        command.upgrade(_config(connection), revision)
        known = sa.MetaData()
        known.reflect(connection)
        for each in ("v", "w"):
            connection.execute(
                known.tables["workspaces"].insert().values(id=each, name=each, created_at=AT)
            )
        of_w = {"workspace_id": "w", "created_at": AT}
        connection.execute(known.tables["farms"].insert().values(id="f", updated_at=AT, **of_w))
        actor = {"actor_type": "system", "actor_id": "test", "actor_metadata": {}}
        batch = {"id": "b", "farm_id": "f", "task_name": "miner.log.get", "task_count": 1}
        connection.execute(known.tables["task_batches"].insert().values(**batch, **actor, **of_w))
        table = known.tables["tasks"]
        life = [name for name in table.c.keys() if name.startswith("queue_expires")]  # noqa: SIM118
        task = {
            "id": "t",
            "batch_id": "b",
            "farm_id": "f",
            "name": "miner.log.get",
            "kind": "look",
            "status": "queuing",
            "limit_s": 300.0,
        }
        values = {life[0]: 1000.0 if life[0].endswith("_s") else AT} if life else {}
        connection.execute(table.insert().values(**task, **values, **of_w))
    migrate(sqlite_url(tmp_path))
    with engine.connect() as connection:
        query = sa.select(
            task_classes.c.workspace_id, task_classes.c.task_small_id, task_classes.c.operation
        )
        rows = connection.execute(query.order_by(*query.selected_columns)).all()
        assert connection.scalars(sa.select(farms.c.dispatch_policy)).all() == ["open"]
        batches = connection.execute(sa.select(task_batches.c.max_price, task_batches.c.may_split))
        assert batches.all() == [(None, True)]
        assert connection.scalars(sa.select(tasks.c.stack_id)).all() == [None]
    engine.dispose()
    catalogue = [(number, name.value) for number, name in enumerate(BUILT_IN, start=1)]
    assert rows == [(each, *row) for each in ("v", "w") for row in catalogue]
