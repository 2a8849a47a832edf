"""Who did what: every write leaves a row in its own transaction, with who, from where, before and after."""

from __future__ import annotations

import sqlite3
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from cloud.config import CloudSettings
from cloud.store.access import admin, audit
from cloud.store.access.actors import Actor, command_line
from cloud.store.engine import DATABASE_NAME
from cloud.store.miners import rigs
from contract.rigmonitor.asic import Switch
from contract.roles import Role
from contract.task import TaskName
from tests.cloud.conftest import Cloud, done

DAY_S = 86_400.0
ROOT = Path(__file__).resolve().parents[2]


async def ask(cloud: Cloud, method: str, path: str, *, status: int = 200, **more: Any) -> Any:
    headers = {"x-api-key": more.pop("key", cloud.key)} | more.pop("headers", {})
    url = f"{cloud.base}/private-api/v1/{cloud.workspace_id}/{path}"
    async with cloud.http.request(method, url, headers=headers, **more) as answer:
        body = await answer.json()
        assert answer.status == status, body
        return body


def farm(cloud: Cloud) -> str:
    return f"farms/{cloud.farm_id}"


async def create(cloud: Cloud, name: str, *miner_ids: str, **more: Any) -> Any:
    params, key = more.pop("params", {}), more.pop("key", cloud.key)
    body = {"task_name": name, "params": params, **more}
    if miner_ids:
        body["miner_ids"] = list(miner_ids)
    made = await ask(cloud, "POST", f"{farm(cloud)}/tasks/batches", json=body, key=key)
    return made["data"][0]["batch_id"]


async def listed(cloud: Cloud, at: str | None = None, **filters: str) -> list[Any]:
    answer = await ask(cloud, "GET", f"{at or farm(cloud)}/audit", params=filters)
    items: list[Any] = answer["data"]
    return items


async def workspace_rows(cloud: Cloud, action: str) -> list[Any]:
    answer = await ask(cloud, "GET", "audit", params={"action": action, "pageSize": "100"})
    return list(answer["data"])


async def test_a_batch_leaves_who_asked_for_it_with_which_key_and_from_where(
    cloud: Cloud,
) -> None:
    row, key = await admin.create_key(
        cloud.store, cloud.workspace_id, "night shift", cloud.clock.now(), user="Ann", role=Role.OPERATOR
    )  # fmt: skip
    miner_id = await cloud.miner(None)
    batch_id = await create(cloud, "miner.system.reboot", miner_id, params={"force": True}, key=key)
    item, *_ = await listed(cloud)
    assert item == {
        "id": item["id"],
        "at": "2026-11-21T12:00:00Z",
        "actor": {
            "type": "user",
            "id": row["actor_id"],
            "name": "Ann",
            "avatar": None,
            "metadata": {},
        },
        "key_id": row["id"],
        "address": "127.0.0.1",
        "action": "miner.system.reboot",
        "target_kind": "batch",
        "target_id": batch_id,
        "farm_id": cloud.farm_id,
        "before": None,
        "after": {"tasks": 1, "params": {"force": True}},
    }


async def test_no_password_is_ever_in_it(cloud: Cloud) -> None:
    miner_id = await cloud.miner(None)
    pool = {
        "url": "stratum+tcp://me:s3cret@pool.test:3333",
        "user": "farm.1",
        "password": "s3cret",
    }
    batch_id = await create(cloud, "miner.pool.update", miner_id, params={"pools": [pool]})
    await ask(cloud, "POST", f"{farm(cloud)}/tasks/batches/{batch_id}/cancel")
    firmware = {"firmware_url": "https://me:s3cret@files.example.com/a.bmu"}
    await create(cloud, "miner.firmware.update", miner_id, params=firmware)
    row, secret = await admin.create_key(
        cloud.store, cloud.workspace_id, "K2", cloud.clock.now(), user="s", email="s@example.com"
    )
    code, _ = await admin.create_enroll_code(
        cloud.store, cloud.farm_id, None, cloud.clock.now(), hours=1
    )
    _, rig_code = await rigs.create_rig(cloud.store, cloud.farm_id, "KS-01", cloud.clock.now())
    agent = await cloud.agent()
    assert row["id"]
    shown = str(await workspace_rows(cloud, "")) + str(await listed(cloud, miner=miner_id))
    with sqlite3.connect(cloud.settings.data / DATABASE_NAME) as db:
        stored = str(db.execute("SELECT * FROM audit").fetchall())
    db.close()
    for text in (shown, stored):
        assert "s3cret" not in text
        assert not [each for each in (secret, code, rig_code, agent.token) if each in text]
    assert "me:***@pool.test" in stored


async def test_cancelling_and_making_again_are_written_down(cloud: Cloud) -> None:
    agent = await cloud.agent()
    miner_id = await cloud.miner(agent.agent_id)
    batch_id = await create(cloud, "miner.system.reboot", miner_id)
    (task,) = (await agent.claim())["tasks"]
    failed = {"outcome": "not_done", "verified": True, "evidence": {}}
    now = cloud.clock.now()
    await agent.report(agent.event(task, "pending", now, begin_id="b" * 32))
    await agent.report(agent.event(task, "failed", now, result=failed, begin_id="b" * 32))
    again = await ask(cloud, "POST", f"{farm(cloud)}/tasks/batches/{batch_id}/retry")
    again_id = again["data"][0]["batch_id"]
    await ask(cloud, "POST", f"{farm(cloud)}/tasks/batches/{again_id}/cancel")
    cancelled, retried, *_ = await listed(cloud)
    assert (retried["target_id"], retried["after"]["retry_of"]) == (again_id, batch_id)
    assert (cancelled["action"], cancelled["target_id"]) == ("batch.cancel", again_id)
    assert cancelled["before"] == {"status": "pending"}
    assert cancelled["after"] == {
        "status": "failed",
        "cancelled_count": 1,
        "cancel_requested_count": 0,
    }


async def test_who_changed_the_rack_of_this_miner_among_a_thousand(cloud: Cloud) -> None:
    ids = [await cloud.miner(None, f"127.1.{n // 250}.{n % 250 + 1}") for n in range(20)]
    moved = [{"miner_id": each, "rack": "A1", "position": n} for n, each in enumerate(ids)]
    batch_id = await create(cloud, "miner.rack_location.update", updates=moved)
    await create(cloud, "miner.tags.update", ids[1], params={"add": ["hot"]})
    [of_all] = await listed(cloud, action="miner.rack_location.update")
    assert of_all["after"] == {"tasks": 20, "params": {}}  # one row, whatever the number
    [item] = await listed(cloud, miner=ids[7])
    assert (item["target_id"], item["actor"]["name"]) == (batch_id, "K")
    assert item["task"] == {
        "id": item["task"]["id"],
        "status": "succeed",
        "begun_at": "2026-11-21T12:00:00Z",
        "ended_at": "2026-11-21T12:00:00Z",
        "params": {"rack": "A1", "position": 7},
        "outcome": "done",
        "error": None,
        "before": {"place": [None, None]},
        "after": {"place": ["A1", 7]},
    }


async def test_what_was_wished_of_a_machine_is_there_before_and_after(cloud: Cloud) -> None:
    now = cloud.clock.now()
    row, code = await rigs.create_rig(cloud.store, cloud.farm_id, "KS-01", now)
    path = f"{farm(cloud)}/rigs/{row['id']}/expected-status"
    await ask(cloud, "PUT", path, json={"asic_expected_status": "off"})
    await rigs.expect(cloud.store, code, now, by=command_line(), light=Switch.ON)
    await rigs.revoke_rig(cloud.store, code, now)
    revoked, by_command, by_key, made = await listed(cloud, target=row["id"])
    assert made["after"] == {"name": "KS-01", "code_prefix": code[:8], "kind": "asic"}
    assert (by_key["before"], by_key["after"]) == (
        {"asic_expected": "on"},
        {"asic_expected": "off"},
    )
    assert (by_key["address"], by_key["key_id"] is None) == ("127.0.0.1", False)
    assert (by_command["before"], by_command["after"]) == (
        {"light_expected": "off"},
        {"light_expected": "on"},
    )
    assert by_command["actor"]["id"] == "command line"
    assert (revoked["action"], revoked["before"]) == (
        "rig.revoke",
        {"name": "KS-01", "revoked_at": None},
    )


async def test_every_command_on_the_records_leaves_the_user_of_the_host(cloud: Cloud) -> None:
    store, now = cloud.store, cloud.clock.now()
    key, _ = await admin.create_key(store, cloud.workspace_id, "K2", now, role=Role.VIEWER)
    agent = await admin.create_agent(store, cloud.farm_id, "pi", now, ranges=("10.0.0.0/24",))
    await admin.create_enroll_code(store, cloud.farm_id, agent["id"], now, hours=24)
    await admin.revoke_key(store, key["id"], now)
    await admin.revoke_agent(store, agent["id"], now)
    other = await admin.create_farm(store, cloud.workspace_id, "G", now)
    await admin.archive_farm(store, other["id"], now)
    rows = await workspace_rows(cloud, "")
    assert [each["action"] for each in reversed(rows)] == [
        *("workspace.create", "farm.create", "key.create"),
        *("key.create", "agent.create", "enroll_code.create", "key.revoke", "agent.revoke"),
        *("farm.create", "farm.revoke"),
    ]
    assert {(each["actor"]["id"], each["actor"]["name"]) for each in rows} == {
        ("command line", command_line().name)
    }
    assert {(each["key_id"], each["address"]) for each in rows} == {(None, None)}
    by_action = {each["action"]: each for each in reversed(rows)}
    assert by_action["key.create"]["after"]["role"] == "viewer"
    assert by_action["key.revoke"]["target_id"] == key["id"]
    assert by_action["enroll_code.create"]["after"] == {
        "agent_id": agent["id"],
        "expires_at": "2026-11-22T12:00:00Z",
    }
    assert by_action["farm.revoke"]["before"] == {"archived": False}


async def test_the_end_of_a_workspace_is_written_down(cloud: Cloud) -> None:
    await admin.revoke_workspace(cloud.store, cloud.workspace_id, cloud.clock.now())
    wanted = audit.AuditQuery(workspace_id=cloud.workspace_id, actions=("workspace.revoke",))
    async with cloud.store.read() as connection:
        query = sa.select(sa.func.count()).where(*audit._conditions(wanted))
        assert await connection.scalar(query) == 1


async def test_an_agent_that_enrols_is_written_down_with_its_address(cloud: Cloud) -> None:
    agent = await cloud.agent()
    await cloud.agent(agent_id=agent.agent_id)
    again, first = await listed(cloud, target=agent.agent_id)
    assert (first["action"], first["address"]) == ("agent.enroll", "127.0.0.1")
    assert first["after"] == {"hostname": "pi", "again": False}
    assert again["after"] == {"hostname": "pi", "again": True}


async def test_what_was_done_on_site_is_there_too_but_not_what_was_only_looked_at(
    cloud: Cloud,
) -> None:
    agent = await cloud.agent()
    miner_id = await cloud.miner(agent.agent_id)
    mac = "02:00:00:00:00:01"
    for number, name in enumerate(("miner.light.update", "miner.log.get")):
        arose = {
            "name": name,
            "params": {"action": "on"} if number == 0 else {},
            "miner": {"mac": mac},
            "origin": "rigmonitor",
            "accepted_at": "2026-11-21T11:59:00Z",
        }
        task = {"task_id": f"00000000-0000-4000-8000-00000000000{number}", "epoch": 0}
        event = agent.event(task, "succeed", cloud.clock.now(), result=done(), arose=arose)
        status, answer = await agent.report(event)
        assert status == 200, answer
    [item] = await listed(cloud, miner=miner_id)
    assert (item["action"], item["actor"]["id"]) == ("miner.light.update", "rigmonitor-system")
    assert (item["actor"]["type"], item["task"]["outcome"]) == ("system", "done")


@pytest.mark.parametrize("settings", [None], indirect=True)
async def test_behind_a_proxy_it_is_the_client_that_is_written_down(cloud: Cloud) -> None:
    miner_id = await cloud.miner(None)
    body = {"task_name": "miner.system.reboot", "miner_ids": [miner_id]}
    forwarded = {"X-Forwarded-For": "198.51.100.9, 203.0.113.7"}
    await ask(cloud, "POST", f"{farm(cloud)}/tasks/batches", json=body, headers=forwarded)
    item, *_ = await listed(cloud)
    assert item["address"] == "203.0.113.7"


@pytest.fixture
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> CloudSettings:
    proxies = (IPv4Network("127.0.0.1/32"),) if hasattr(request, "param") else ()
    return CloudSettings(data=tmp_path, proxies=proxies)


async def test_it_is_found_by_actor_key_action_target_miner_and_time(cloud: Cloud) -> None:
    row, key = await admin.create_key(
        cloud.store, cloud.workspace_id, "K2", cloud.clock.now(), user="Ann"
    )
    first, second = await cloud.miner(None), await cloud.miner(None)
    await create(cloud, "miner.system.reboot", first)
    cloud.clock.move(3600)
    batch_id = await create(cloud, "miner.light.update", second, params={"action": "on"}, key=key)

    async def actions(**filters: str) -> list[str]:
        return [each["action"] for each in await listed(cloud, **filters)]

    reboot, light = "miner.system.reboot", "miner.light.update"
    assert await actions() == [light, reboot, "farm.create"]
    assert await actions(actor="Ann") == await actions(actor=row["actor_id"]) == [light]
    assert await actions(key=row["id"]) == [light]
    assert await actions(action=f"{light},{reboot}") == [light, reboot]
    assert await actions(target=batch_id) == [light]
    assert await actions(miner=first) == [reboot]
    assert await actions(from_time="2026-11-21T12:30:00Z") == [light]
    assert await actions(to_time="2026-11-21T12:30:00Z") == [reboot, "farm.create"]
    assert await actions(page="2", pageSize="1") == [reboot]
    assert await listed(cloud, at=".", miner=second) == await listed(cloud, miner=second)


async def test_what_is_asked_wrongly_is_said_with_its_name(cloud: Cloud) -> None:
    async def refused(status: int = 400, **filters: str) -> str:
        answer = await ask(cloud, "GET", f"{farm(cloud)}/audit", params=filters, status=status)
        return str(answer["message"])

    assert (await refused(who="Ann")).startswith("who: unknown query parameter")
    assert (await refused(from_time="noon")).startswith("from_time must be an ISO 8601 time")
    late, early = "2026-11-21T12:00:00Z", "2026-11-21T11:00:00Z"
    assert await refused(from_time=late, to_time=early) == "from_time must not be after to_time"
    assert await refused(404, miner="f" * 32) == "miner: no miner here has this id"


async def test_others_never_read_it(cloud: Cloud) -> None:
    other = await admin.create_workspace(cloud.store, "other", cloud.clock.now())
    there = await admin.create_farm(cloud.store, other["id"], "G", cloud.clock.now())
    _, key = await admin.create_key(cloud.store, other["id"], "K", cloud.clock.now())
    miner_id = await cloud.miner(None)
    await create(cloud, "miner.system.reboot", miner_id)
    url = f"{cloud.base}/private-api/v1/{other['id']}"
    for path, status in (
        (f"{url}/audit?miner={miner_id}", 404),
        (f"{url}/farms/{there['id']}/audit?miner={miner_id}", 404),
        (f"{url}/farms/{cloud.farm_id}/audit", 404),
        (f"{cloud.base}/private-api/v1/{cloud.workspace_id}/audit", 403),
    ):
        async with cloud.http.get(path, headers={"x-api-key": key}) as answer:
            assert answer.status == status
    async with cloud.http.get(f"{url}/audit", headers={"x-api-key": key}) as answer:
        actions = [each["action"] for each in (await answer.json())["data"]]
    assert actions == ["key.create", "farm.create", "workspace.create"]


async def test_a_write_that_fails_leaves_nothing(cloud: Cloud) -> None:
    class BrokenError(Exception):
        pass

    before = await cloud.changes()
    with pytest.raises(BrokenError):
        async with cloud.store.write() as connection:
            await audit.record(
                connection,
                Actor(type="system", id="x"),
                cloud.clock.now(),
                "miner.light.update",
                ("batch", "b"),
                workspace_id=cloud.workspace_id,
            )
            raise BrokenError
    assert await cloud.changes() == before


async def test_no_row_is_longer_than_it_may_be(cloud: Cloud) -> None:
    async with cloud.store.write() as connection:
        await audit.record(
            connection,
            Actor(type="user", id="u", address="f" * 200),
            cloud.clock.now(),
            "x",
            ("batch", "b"),
            workspace_id=cloud.workspace_id,
            farm_id=cloud.farm_id,
            after={"names": ["a" * 1000] * 100},
        )
    item, *_ = await listed(cloud)
    assert (item["after"], len(item["address"])) == ({"left_out": "100311 bytes"}, 64)


async def test_it_is_kept_as_long_as_tasks_whatever_the_clock_on_the_wall_says(
    cloud: Cloud,
) -> None:
    miner_id = await cloud.miner(None)
    await cloud.sweeper.sweep()
    await create(cloud, "miner.system.reboot", miner_id)
    cloud.clock.step(days=1000)
    await cloud.sweeper.tidy()
    assert len(await workspace_rows(cloud, "")) == 4
    cloud.clock.step(days=-1000)
    cloud.clock.move(200 * DAY_S)
    await cloud.sweeper.sweep()
    await create(cloud, "miner.light.update", miner_id, params={"action": "on"})
    cloud.clock.move(201 * DAY_S)
    await cloud.sweeper.tidy()
    assert [each["action"] for each in await workspace_rows(cloud, "")] == ["miner.light.update"]


@pytest.mark.parametrize(
    ("uid", "sudo", "name"),
    [
        (0, "ann", "root for ann"),
        (0, None, "root"),
        (0, "root", "root"),
        (0, "a\nb", "root"),
        (4_000_000, "ann", "4000000"),
    ],
)
def test_the_command_line_is_whoever_runs_it(
    monkeypatch: pytest.MonkeyPatch, uid: int, sudo: str | None, name: str
) -> None:
    """Only root, who may be anybody, is asked for whom."""
    monkeypatch.setattr("os.getuid", lambda: uid)
    monkeypatch.delenv("SUDO_USER", raising=False)
    if sudo is not None:
        monkeypatch.setenv("SUDO_USER", sudo)
    assert command_line() == Actor(type="system", id="command line", name=name)


def test_nothing_but_the_sweep_by_age_touches_a_row() -> None:
    """Rows are added; no statement of ours changes one."""
    texts = {
        path.relative_to(ROOT).as_posix(): path.read_text("utf-8")
        for path in (ROOT / "cloud").rglob("*.py")
    }
    assert [path for path, text in texts.items() if "audit.update(" in text] == []
    assert [path for path, text in texts.items() if "audit.delete(" in text] == [
        "cloud/store/access/audit.py"
    ]
    assert texts["cloud/store/access/audit.py"].count("audit.delete(") == 1


def test_no_task_name_is_too_long_for_its_column() -> None:
    assert max(map(len, TaskName)) <= 64
