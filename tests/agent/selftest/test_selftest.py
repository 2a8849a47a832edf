"""`self-test`: a release that would run here says so, one that would not says why, and nothing is changed by it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.journal.migrations import MIGRATIONS, NEWEST
from agent.journal.schema import migrate
from agent.selftest import stores
from agent.selftest.copies import private_folder
from contract.clock import SystemClock
from drivers.registry import open_driver
from service import hostuser
from service.hostuser import acting_as
from service.install.own import own_release
from service.install.product import OPT
from service.install.release import finish
from service.ownfolder import is_accessible
from tests.agent.commands import miner_agent
from tests.agent.host.test_state_of_another import AGENT, needs_root, site
from tests.agent.journals import accept, hold_back, opened, outbox, record
from tests.agent.selftest.stage import BATCHES, content, lived_in, said
from tests.tools import lacking

pytestmark = pytest.mark.real_time
__all__ = ["open_driver", "site"]  # loaded as root, and a fixture
ROOT = Path(__file__).resolve().parents[3]
GOOD = (
    "config",
    "release",
    "stores",
    "journal",
    "inventory",
    "buffer",
    "subscriptions",
    "loopback",
)


async def test_every_store_is_tried_in_a_copy_and_stays_as_it_is(tmp_path: Path) -> None:
    config = await lived_in(tmp_path)
    before = content(tmp_path / "state")
    found = await said(config)
    assert tuple(found) == GOOD
    assert all(ok for ok, _ in found.values()), found
    assert found["journal"][1] == (
        f"2 tasks are open, 5 events wait to be reported; version {NEWEST}"
    )
    assert found["inventory"][1].startswith("1 miners")
    assert found["buffer"][1].startswith("40 of the readings"), f"{BATCHES} batches, 20 of them"
    assert found["subscriptions"][1].startswith("1 transactions")
    assert "127.0.0.1" in found["loopback"][1]
    assert content(tmp_path / "state") == before


async def test_the_command_ends_with_one_document_while_an_agent_writes(tmp_path: Path) -> None:
    config = await lived_in(tmp_path)
    async with opened(tmp_path / "state", SystemClock()) as journal:
        await accept(journal, record("new"))
        held = await outbox(journal)
        ran = await miner_agent("self-test", "--config", config, "--json")
        assert ran.code == 0, ran.out + ran.err
        assert ran.document["ok"] is True
        assert ran.document["sha256"] is None
        checks = {each["check"]: each for each in ran.document["checks"]}
        assert tuple(checks) == GOOD
        assert checks["journal"]["text"].startswith("3 tasks are open"), "what is in the WAL, too"
        assert sum(each["seconds"] for each in checks.values()) < 10
        assert await outbox(journal) == held
        assert journal.mishap is None and journal.trouble is None
    told = await miner_agent("self-test", "--config", config)
    assert told.code == 0
    assert told.out.endswith("this release can run here\n")


async def test_a_host_without_any_state_is_well(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[state]\ndir = 'state'\n")
    found = await said(config)
    assert all(ok for ok, _ in found.values()), found
    assert not (tmp_path / "state").exists()


async def test_a_key_that_this_release_does_not_know_fails_it(tmp_path: Path) -> None:
    config = await lived_in(tmp_path)
    with config.open("a") as file:
        file.write("[health]\nheart = 7\n")
    ran = await miner_agent("self-test", "--config", config, "--json")
    assert ran.code == 1
    checks = {each["check"]: each for each in ran.document["checks"]}
    assert "health.heart" in checks["config"]["text"]
    assert ran.document["error"]["message"] == f"config: {checks['config']['text']}"
    assert ran.err == "", "whoever reads both streams as one has the document as its last line"
    assert {name: each["ok"] for name, each in checks.items()} == {
        "config": False,
        "release": True,
        "loopback": True,
    }


@pytest.mark.parametrize("store", ["journal", "inventory", "buffer", "subscriptions"])
async def test_a_damaged_store_fails_it_and_is_left_to_the_agent(
    tmp_path: Path, store: str
) -> None:
    config = await lived_in(tmp_path)
    path = tmp_path / "state" / f"{store}.db"
    data = bytearray(path.read_bytes())
    data[4096 : 2 * 4096] = b"\xff" * 4096
    path.write_bytes(data)
    before = content(tmp_path / "state")
    found = await said(config)
    assert [name for name, (ok, _) in found.items() if not ok] == [store], found
    assert content(tmp_path / "state") == before


async def test_a_journal_of_a_later_release_fails_it(tmp_path: Path) -> None:
    config = await lived_in(tmp_path)
    with closing(sqlite3.connect(tmp_path / "state" / "journal.db")) as db:
        db.execute(f"PRAGMA user_version = {NEWEST + 1}")
    ok, text = (await said(config))["journal"]
    assert not ok
    assert f"version {NEWEST + 1}, this agent knows {NEWEST}" in text


async def test_a_release_that_is_not_proven_is_tried_before_and_after_its_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold_back(monkeypatch)
    monkeypatch.setattr(stores, "is_here_to_stay", lambda: False)
    config = await lived_in(tmp_path)
    ok, text = (await said(config))["journal"]
    assert ok, text
    assert text.endswith(f"version {NEWEST - 1}, and {NEWEST} once this release is proven")
    path = tmp_path / "state" / "journal.db"
    path.unlink()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        migrate(db, MIGRATIONS[: NEWEST - 2])
    ok, text = (await said(config))["journal"]
    assert not ok
    assert "Install a release in between first" in text


async def test_open_tasks_that_it_cannot_read_fail_it(tmp_path: Path) -> None:
    config = await lived_in(tmp_path)
    with closing(sqlite3.connect(tmp_path / "state" / "journal.db")) as db, db:
        db.execute("UPDATE tasks SET name = 'miner.fly' WHERE task_id = 'waits'")
    ok, text = (await said(config))["journal"]
    assert not ok
    assert text.startswith("1 of 2 open tasks cannot be read, waits for one")


async def test_readings_that_it_would_drop_fail_it(tmp_path: Path) -> None:
    config = await lived_in(tmp_path)
    with closing(sqlite3.connect(tmp_path / "state" / "buffer.db")) as db, db:
        db.execute("UPDATE batches SET body = x'00' WHERE id = 3")
    ok, text = (await said(config))["buffer"]
    assert not ok
    assert "of 40 readings that wait for the cloud 38 can be read" in text


@needs_root
async def test_a_file_that_the_user_of_the_agent_cannot_read_fails_it(site: Path) -> None:
    (site / "state").rmdir()
    config = await lived_in(site)
    for each in (site / "state", *(site / "state").iterdir()):
        os.chown(each, AGENT.uid, AGENT.gid)
    with acting_as(AGENT):
        found = await said(config)
        assert all(ok for ok, _ in found.values()), found
    os.chown(site / "state" / "journal.db", 0, 0)
    with acting_as(AGENT):
        found = await said(config)
    assert [name for name, (ok, _) in found.items() if not ok] == ["journal"]
    assert "journal.db cannot be read" in found["journal"][1]
    config.chmod(0o600)
    with acting_as(AGENT):
        ok, text = (await said(config))["config"]
    assert not ok
    assert text == f"{config} cannot be read: permission denied"


@needs_root
async def test_root_leaves_nothing_of_its_own_to_the_user_of_the_agent(site: Path) -> None:
    with acting_as(AGENT):
        if not is_accessible(Path(hostuser.__file__), os.R_OK):
            lacking("the user of the agent has to be able to read this checkout")
    (site / "state").rmdir()
    config = await lived_in(site)
    for each in (site / "state", *(site / "state").iterdir()):
        os.chown(each, AGENT.uid, AGENT.gid)
    found = await said(config)
    assert all(ok for ok, _ in found.values()), found
    left = {each.name: each.stat().st_uid for each in (site / "state").iterdir()}
    assert set(left.values()) == {AGENT.uid}, left


async def test_what_a_killed_one_left_goes_and_what_another_one_has_stays(tmp_path: Path) -> None:
    (tmp_path / "self-test-4194305-x").mkdir()  # no process has such a number
    mine = tmp_path / f"self-test-{os.getpid()}-x"
    mine.mkdir()
    with private_folder(tmp_path) as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        assert sorted(tmp_path.iterdir()) == sorted([mine, folder])
    assert list(tmp_path.iterdir()) == [mine]


async def test_files_of_a_release_that_are_not_those_of_its_stamp_fail_it(tmp_path: Path) -> None:
    place = tmp_path / "opt" / "miner-agent" / "releases" / "0.3.0"
    (place / "lib").mkdir(parents=True)
    (place / "lib" / "module.py").write_text("1\n")
    made = finish(
        place,
        place,
        name="miner-agent",
        version="0.3.0",
        platform="deb12_amd64",
        python=Path("/usr/bin/python3"),
        commands={},
    )
    config = tmp_path / "config.toml"
    config.write_text("[state]\ndir = 'state'\n")
    own = own_release(place, tmp_path / "opt")
    assert (await said(config, own))["release"] == (
        True,
        f"0.3.0, sha256 {made.sha256}, not proven yet",
    )
    (place / "lib" / "module.py").write_text("2\n")
    ok, text = (await said(config, own))["release"]
    assert not ok
    assert text.startswith(f"files of {place} are not those that it was made of")
    (place / "release.json").unlink()
    ok, text = (await said(config, own_release(place, tmp_path / "opt")))["release"]
    assert not ok
    assert "no stamp" in text


def test_a_full_disk_fails_it_before_anything_is_copied(tmp_path: Path) -> None:
    seen = play("full_disk", tmp_path, tmp_path)
    assert seen["room"][0] is True
    ok, text = seen["full"]
    assert not ok
    assert text.startswith(f"the disk of {tmp_path}/state has ")
    assert text.endswith("MB are needed to try copies: free some space")
    assert seen["unchanged"] is True


def test_a_process_of_a_release_knows_by_itself_what_it_may_do(tmp_path: Path) -> None:
    if any(each.is_relative_to(OPT) for each in (Path(sys.base_prefix), Path(sys.prefix), ROOT)):
        lacking("needs /opt for itself")
    seen = play("in_a_release", OPT, tmp_path)
    assert [each["code"] for each in seen] == [0, 1]
    unproven, proven = (
        {each["check"]: (each["ok"], each["text"]) for each in run["checks"]} for run in seen
    )
    assert unproven["release"][1] == f"9.9.9, sha256 {seen[0]['sha256']}, not proven yet"
    assert unproven["journal"][1].endswith(
        f"version {NEWEST - 1}, and {NEWEST} once this release is proven"
    )
    assert proven["release"][0] is False, "a file was changed meanwhile"
    assert proven["journal"][1].endswith(f"version {NEWEST}")
    assert {name for name, (ok, _) in (unproven | proven).items() if not ok} == {"release"}


def play(scene: str, disk: Path, folder: Path) -> Any:
    """A scene of this folder with a little disk of its own, in a namespace of mounts. Needs user namespaces, as CI has."""
    script = 'mount -t tmpfs -o size=24m none "$1" && exec "$3" -m "tests.agent.selftest.$4" "$2"'
    ended = subprocess.run(
        ["unshare", "-Urm", "sh", "-ec", script, "sh", disk, folder, sys.executable, scene],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    if "unshare:" in ended.stderr:
        lacking("needs user namespaces")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return msgspec.json.decode(ended.stdout.splitlines()[-1])
