"""A database from before the lists of miners had an index of their own: who is online, and who is not, stays so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from alembic import command

from cloud.store.engine import DATABASE_NAME, sqlite_url
from cloud.store.schema.migrate import _config, migrate

SEEN = datetime(2026, 11, 21, 12, 0, 0, 250_000, tzinfo=UTC)
# By what the agent said of its intervals: how long after a look the miner was stale.
STALE_AFTER_S = {5.0: 60.0, 60.0: 180.0, None: 900.0, 1e9: 3 * 7 * 86_400.0}


def test_when_a_miner_is_stale_follows_from_its_last_look(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / DATABASE_NAME}")
    with engine.begin() as connection:
        command.upgrade(_config(connection), "0007")
        known = sa.MetaData()
        known.reflect(connection)
        at = SEEN.replace(tzinfo=None)
        made = {"workspace_id": "w", "created_at": at}
        connection.execute(
            known.tables["workspaces"].insert().values(id="w", name="W", created_at=at)
        )
        connection.execute(known.tables["farms"].insert().values(id="f", updated_at=at, **made))
        for number, interval_s in enumerate([*STALE_AFTER_S, "never seen"]):
            seen = interval_s != "never seen"
            connection.execute(
                known.tables["miners"].insert().values(
                    id=f"m{number}", farm_id="f", identity=f"i{number}", updated_at=at,
                    last_seen_at=at if seen else None, interval_s=interval_s if seen else None, **made,
                )
            )  # fmt: skip
    migrate(sqlite_url(tmp_path))
    with engine.begin() as connection:
        rows = connection.exec_driver_sql("SELECT stale_at FROM miners ORDER BY id").scalars().all()
    engine.dispose()
    *told, never = rows
    assert never is None
    assert [datetime.fromisoformat(text).replace(tzinfo=UTC) for text in told] == [
        SEEN + timedelta(seconds=seconds) for seconds in STALE_AFTER_S.values()
    ]
