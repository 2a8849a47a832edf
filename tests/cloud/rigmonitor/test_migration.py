"""A database of the version before, with a farm at work in it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import sqlalchemy as sa
from alembic import command

from cloud.store.engine import DATABASE_NAME, Store, sqlite_url
from cloud.store.ids import secret_hash
from cloud.store.miners import rigs
from cloud.store.schema.migrate import _config, migrate
from contract.clock import SystemClock
from contract.rigmonitor.shared import MachineKind


def old_database(folder: Path) -> None:
    """As the first version left it: one farm with an agent and a miner."""
    engine = sa.create_engine(f"sqlite:///{folder / DATABASE_NAME}")
    with engine.begin() as connection:
        command.upgrade(_config(connection), "0001")
        for statement in (
            "insert into workspaces (id, name, created_at) values ('org_1', 'W', '2026-01-01')",
            (
                "insert into farms (id, workspace_id, name, created_at, updated_at)"
                " values ('farm-1', 'org_1', 'F', '2026-01-01', '2026-01-01')"
            ),
            (
                "insert into agents (id, farm_id, workspace_id, name, created_at)"
                " values ('agent-1', 'farm-1', 'org_1', 'pi', '2026-01-01')"
            ),
            (
                "insert into miners (id, farm_id, workspace_id, agent_id, identity, mac, ip, created_at, updated_at)"
                " values ('m1', 'farm-1', 'org_1', 'agent-1', '02:00:00:00:00:01', '02:00:00:00:00:01',"
                " '10.0.0.1', '2026-01-01', '2026-01-01')"
            ),
        ):
            connection.exec_driver_sql(statement)
    engine.dispose()


async def test_machines_of_a_version_that_knew_no_rigs_are_asics(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / DATABASE_NAME}")
    with engine.begin() as connection:
        command.upgrade(_config(connection), "0008")
        for statement in (
            "insert into workspaces (id, name, created_at) values ('org_1', 'W', '2026-01-01')",
            (
                "insert into farms (id, workspace_id, name, created_at, updated_at)"
                " values ('farm-1', 'org_1', 'F', '2026-01-01', '2026-01-01')"
            ),
            (
                "insert into rigs (id, farm_id, workspace_id, name, code_hash, code_prefix, asic_expected, created_at)"
                f" values ('rig-1', 'farm-1', 'org_1', 'KS-01', '{secret_hash('code')}', 'code', 'off', '2026-01-01')"
            ),
        ):
            connection.exec_driver_sql(statement)
    engine.dispose()
    migrate(sqlite_url(tmp_path))
    store = Store.at(sqlite_url(tmp_path))
    found = await rigs.find_rig(store, MachineKind.ASIC, "code")
    assert found is not None
    assert (found.id, found.asic_expected, found.mining_expected) == ("rig-1", "off", "mining")
    assert await rigs.find_rig(store, MachineKind.RIG, "code") is None
    await store.close()


async def test_a_database_of_the_version_before_keeps_its_data_and_takes_machines(
    tmp_path: Path,
) -> None:
    old_database(tmp_path)
    assert migrate(sqlite_url(tmp_path))[0] == "0001"
    store = Store.at(sqlite_url(tmp_path))
    row, code = await rigs.create_rig(store, "farm-1", "KS-01", SystemClock().now())
    found = await rigs.find_rig(store, MachineKind.ASIC, code)
    assert found is not None
    assert (found.id, found.workspace_id) == (row["id"], "org_1")
    await store.close()
    connection = sqlite3.connect(tmp_path / DATABASE_NAME)
    kept = connection.execute("select id, mac, ip, agent_id from miners").fetchall()
    farms = connection.execute("select id, name from farms").fetchall()
    connection.close()
    assert kept == [("m1", "02:00:00:00:00:01", "10.0.0.1", "agent-1")]
    assert farms == [("farm-1", "F")]
