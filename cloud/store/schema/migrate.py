"""Bringing a database to the schema of this version. Safe to call at every start; other processes wait."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

_SCRIPTS: Final = Path(__file__).parent / "migrations"


class NewerDatabaseError(Exception):
    """The database was written by a newer version of this program."""


def migrate(url: str) -> tuple[str | None, str]:
    """Blocking. Returns the revision before (None for a new database) and after.

    Raises NewerDatabaseError; nothing has been changed then.
    """
    engine = sa.create_engine(url.replace("+aiosqlite", ""))
    try:
        with engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("PRAGMA busy_timeout=30000")
                connection.exec_driver_sql("PRAGMA journal_mode=WAL")
                connection.exec_driver_sql("PRAGMA secure_delete=ON")
                connection.commit()
                # Two servers starting at once take turns.
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            before = MigrationContext.configure(connection).get_current_revision()
            config = _config(connection)
            scripts = ScriptDirectory.from_config(config)
            known = {script.revision for script in scripts.walk_revisions()}
            if before is not None and before not in known:
                raise NewerDatabaseError(
                    f"this database has revision {before}, which this version does not know: "
                    "start the version that wrote it, or a newer one"
                )
            after = scripts.get_current_head()
            assert after is not None  # there is a first migration
            if before != after:
                command.upgrade(config, "head")
            connection.commit()
        return before, after
    finally:
        engine.dispose()


def _config(connection: sa.Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
