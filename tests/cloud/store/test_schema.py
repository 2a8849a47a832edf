from __future__ import annotations

import asyncio
import sqlite3
from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from cloud.store.engine import DATABASE_NAME, Store, sqlite_url
from cloud.store.schema.migrate import NewerDatabaseError, _config, migrate
from cloud.store.schema.rows import (
    AgentRow,
    BatchRow,
    FarmRow,
    FileRow,
    FirmwareRow,
    KeyRow,
    LogRow,
    MinerRow,
    NodeRow,
    PartStayRow,
    PlaybookRow,
    ProposalRow,
    RangeRow,
    RigRow,
    StackRow,
    SubscriptionRow,
    TaskClassRow,
    TaskRow,
)
from cloud.store.schema.tables import (
    agents,
    api_keys,
    farms,
    firmware,
    ip_ranges,
    metadata,
    miners,
    nodes,
    part_stays,
    playbooks,
    proposals,
    rigs,
    stacks,
    subscriptions,
    task_batches,
    task_classes,
    task_files,
    task_groups,
    task_logs,
    tasks,
    workspaces,
)


def test_migrating_gives_exactly_the_tables_the_code_expects(tmp_path):
    assert migrate(sqlite_url(tmp_path))[0] is None
    engine = sa.create_engine(f"sqlite:///{tmp_path / DATABASE_NAME}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = compare_metadata(context, metadata)
    engine.dispose()
    assert differences == []


@pytest.mark.parametrize(
    ("kind", "table"),
    [
        (FarmRow, farms),
        (KeyRow, api_keys),
        (AgentRow, agents),
        (FileRow, task_files),
        (BatchRow, task_batches),
        (TaskRow, tasks),
        (LogRow, task_logs),
        (MinerRow, miners),
        (RigRow, rigs),
        (PlaybookRow, playbooks),
        (TaskClassRow, task_classes),
        (NodeRow, nodes),
        (SubscriptionRow, subscriptions),
        (StackRow, stacks),
        (FirmwareRow, firmware),
        (PartStayRow, part_stays),
        (ProposalRow, proposals),
        (RangeRow, ip_ranges),
    ],
)
def test_the_rows_we_hand_on_have_the_columns_of_their_tables(kind, table):
    assert list(kind.__struct_fields__) == [column.name for column in table.c]


def test_migrating_twice_changes_nothing(tmp_path):
    _, after = migrate(sqlite_url(tmp_path))
    assert migrate(sqlite_url(tmp_path)) == (after, after)


def test_a_database_of_a_newer_version_is_refused_and_left_alone(tmp_path):
    migrate(sqlite_url(tmp_path))
    connection = sqlite3.connect(tmp_path / DATABASE_NAME)
    connection.execute("update alembic_version set version_num = '9999'")
    connection.commit()
    connection.close()
    with pytest.raises(NewerDatabaseError, match="9999"):
        migrate(sqlite_url(tmp_path))


def test_groups_of_an_earlier_version_stay_of_their_farm_and_others_may_be_of_none(tmp_path):
    engine = sa.create_engine(f"sqlite:///{tmp_path / DATABASE_NAME}")
    at = datetime(2026, 1, 1)  # noqa: DTZ001
    group = {"workspace_id": "w", "task_name": "miner.light.update", "created_at": at}
    group |= {"actor_type": "user", "actor_id": "u", "actor_metadata": {}, "canary": 3}
    with engine.begin() as connection:
        command.upgrade(_config(connection), "0011")
        known = sa.MetaData()
        known.reflect(connection)
        connection.execute(
            known.tables["workspaces"].insert().values(id="w", name="W", created_at=at)
        )
        common = {"workspace_id": "w", "created_at": at, "updated_at": at}
        connection.execute(known.tables["farms"].insert().values(id="f", **common))
        connection.execute(
            known.tables["task_groups"].insert().values(id="g", farm_id="f", **group)
        )
    migrate(sqlite_url(tmp_path))
    with engine.begin() as connection:
        of_none = group | {"created_at": at.replace(tzinfo=UTC), "turns": {"at_once": 1}}
        connection.execute(task_groups.insert().values(id="h", **of_none))
        columns = (
            task_groups.c.id,
            task_groups.c.farm_id,
            task_groups.c.canary,
            task_groups.c.turns,
        )
        found = connection.execute(sa.select(*columns).order_by(task_groups.c.id)).all()
    engine.dispose()
    assert [tuple(row) for row in found] == [("g", "f", 3, None), ("h", None, 3, {"at_once": 1})]


def test_miners_of_an_earlier_version_keep_the_status_they_were_given(tmp_path):
    engine = sa.create_engine(f"sqlite:///{tmp_path / DATABASE_NAME}")
    at = datetime(2026, 1, 1)  # noqa: DTZ001
    with engine.begin() as connection:
        command.upgrade(_config(connection), "0004")
        known = sa.MetaData()
        known.reflect(connection)
        connection.execute(
            known.tables["workspaces"].insert().values(id="w", name="W", created_at=at)
        )
        common = {"workspace_id": "w", "created_at": at, "updated_at": at}
        connection.execute(known.tables["farms"].insert().values(id="f", **common))
        for status in ("maintenance", None):
            row = {"id": f"{status}", "farm_id": "f", "identity": f"{status}", "ops_status": status}
            connection.execute(known.tables["miners"].insert().values(**row, **common))
    migrate(sqlite_url(tmp_path))
    with engine.connect() as connection:
        query = sa.select(miners.c.asset_status, miners.c.health, miners.c.auth_failed_at)
        found = connection.execute(query.order_by(miners.c.id)).all()
    engine.dispose()
    assert found == [(None, 0, None), ("maintenance", 0, None)]


def test_keys_of_an_earlier_version_are_managers(tmp_path):
    engine = sa.create_engine(f"sqlite:///{tmp_path / DATABASE_NAME}")
    at = datetime(2026, 1, 1)  # noqa: DTZ001
    with engine.begin() as connection:
        command.upgrade(_config(connection), "0007")
        known = sa.MetaData()
        known.reflect(connection)
        workspace = {"id": "w", "name": "W", "created_at": at}
        connection.execute(known.tables["workspaces"].insert().values(**workspace))
        key = {
            "id": "key_1",
            "workspace_id": "w",
            "name": "ops",
            "prefix": "p",
            "key_hash": "h",
            "actor_type": "apikey",
            "actor_id": "key_1",
            "actor_metadata": {},
            "created_at": at,
        }
        connection.execute(known.tables["api_keys"].insert().values(**key))
    migrate(sqlite_url(tmp_path))
    with engine.connect() as connection:
        assert connection.scalars(sa.select(api_keys.c.role)).all() == ["manager"]
    engine.dispose()


def test_every_table_can_be_made_on_postgresql_too():
    statements: list[str] = []
    engine = sa.create_mock_engine(
        "postgresql+asyncpg://",
        lambda ddl, *_a, **_k: statements.append(str(ddl.compile(dialect=engine.dialect))),
    )
    metadata.create_all(engine, checkfirst=False)
    assert len([each for each in statements if "CREATE TABLE" in each]) == len(metadata.tables)
    assert any("JSONB" in each for each in statements)


async def test_times_come_back_as_they_went_in_and_naive_ones_are_refused(tmp_path):
    migrate(sqlite_url(tmp_path))
    store = Store.at(sqlite_url(tmp_path))
    at = datetime(2026, 11, 21, 23, 59, 59, 123456, tzinfo=timezone(timedelta(hours=5)))
    async with store.write() as connection:
        await connection.execute(workspaces.insert().values(id="org_1", name="W", created_at=at))
    async with store.read() as connection:
        read = (await connection.execute(sa.select(workspaces.c.created_at))).scalar_one()
    assert read == at
    assert read.tzinfo is UTC
    with pytest.raises(sa.exc.StatementError, match="aware"):
        async with store.write() as connection:
            await connection.execute(workspaces.update().values(created_at=datetime(2026, 1, 1)))  # noqa: DTZ001
    await store.close()


async def test_a_write_that_raises_leaves_nothing_behind(tmp_path):
    migrate(sqlite_url(tmp_path))
    store = Store.at(sqlite_url(tmp_path))
    with pytest.raises(RuntimeError):
        async with store.write() as connection:
            await connection.execute(
                workspaces.insert().values(id="org_1", name="W", created_at=datetime.now(UTC))
            )
            raise RuntimeError
    async with store.read() as connection:
        assert (await connection.execute(workspaces.select())).first() is None
    await store.close()


async def test_two_processes_writing_at_once_never_find_the_database_locked(tmp_path):
    migrate(sqlite_url(tmp_path))
    one, two = Store.at(sqlite_url(tmp_path)), Store.at(sqlite_url(tmp_path))

    async def fill(store: Store, letter: str) -> None:
        for number in range(30):
            async with store.write() as connection:
                found = (await connection.execute(workspaces.select())).all()
                await connection.execute(
                    workspaces.insert().values(
                        id=f"org_{letter}{number}",
                        name=str(len(found)),
                        created_at=datetime.now(UTC),
                    )
                )

    await asyncio.gather(fill(one, "a"), fill(two, "b"), fill(one, "c"))
    async with two.read() as connection:
        names = sorted(int(row.name) for row in await connection.execute(workspaces.select()))
    assert names == list(range(90))
    await one.close()
    await two.close()
