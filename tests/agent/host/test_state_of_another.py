"""A state folder that belongs to another user ends the daemon at its start; a disk in trouble does not."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.local.socket import LocalServer
from service.hostuser import HostUser, acting_as
from service.ownfolder import ForeignFolderError, check_files, check_folder
from tests.agent.commands import Ran, miner_agent
from tests.agent.journal.test_disk import play

pytestmark = pytest.mark.real_time
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may act as another user")
AGENT = HostUser(54321, 54321, "54321")  # a number is enough to be a user
# All that is loaded is loaded as root: another user may not be able to read where Python is.
AS_AGENT = f"""
import csv, os, sys, agent.cli.app, agent.cli.commands, agent.daemon, agent.host.version, agent.link.enroll, agent.cli.doctor, agent.journal, service.notify
import agent.cli.many, agent.sinks.rigmonitor.checkup, uvloop, codecs
agent.host.version.agent_version()
for each in ("ascii", "idna", "latin-1"): codecs.lookup(each)
os.setgroups([]); os.setresgid(*[{AGENT.gid}] * 3); os.setresuid(*[{AGENT.uid}] * 3)
agent.cli.app.main()
"""


@pytest.fixture
def site() -> Iterator[Path]:
    """A folder that others may look into, with a config and a state folder of root."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    (folder / "state").mkdir(mode=0o700)
    (folder / "token").write_text("t")
    (folder / "token").chmod(0o600)
    if os.geteuid() == 0:
        os.chown(folder / "token", AGENT.uid, AGENT.gid)
    (folder / "config.toml").write_text(
        "[cloud]\nurl = 'http://127.0.0.1:9'\ntoken_file = 'token'\n[state]\ndir = 'state'\n"
    )
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


async def as_agent(*args: object) -> Ran:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", AS_AGENT, *map(str, args), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )  # fmt: skip
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    assert process.returncode is not None
    return Ran(process.returncode, out.decode(), err.decode())


def refused(folder: Path) -> str:
    with acting_as(AGENT), pytest.raises(ForeignFolderError) as raised:
        check_files(folder, {"journal", "work"})
    return str(raised.value)


@needs_root
async def test_a_state_folder_of_another_ends_the_daemon_before_anything_is_begun(
    site: Path,
) -> None:
    state = site / "state"
    words = (
        f"{state} cannot be written by 54321, it belongs to root; run: chown -R 54321:54321 {state}"
    )
    ran = await as_agent("run", "--config", site / "config.toml", "--json")
    assert ran.code == 1
    assert ran.document["error"]["message"] == words
    assert ran.err == words + "\n"
    assert list(state.iterdir()) == []
    enrolled = await as_agent(
        "enroll", "--state", state, "--cloud", "http://127.0.0.1:9", "--code", "c0de"
    )
    assert (enrolled.code, enrolled.err) == (1, words + "\n")
    checked = await as_agent("doctor", "--config", site / "config.toml")
    assert f"run: sudo miner-agent doctor --config {site / 'config.toml'}" in checked.out


@needs_root
def test_a_file_of_another_in_it_ends_the_daemon_too_if_the_daemon_writes_it(site: Path) -> None:
    state = site / "state"
    os.chown(state, AGENT.uid, AGENT.gid)
    for name in ("password", "lost+found"):  # what somebody else left there
        (state / name).touch(mode=0o600)
    with acting_as(AGENT):
        check_files(state, {"journal", "work"})
    for name in ("journal.db-wal", "work"):
        (state / name).touch(mode=0o600)
    words = f"journal.db-wal, work in {state} cannot be written by 54321; run: chown -R 54321:54321"
    assert refused(state) == f"{words} {state}"


@needs_root
def test_what_is_said_to_run_is_a_command_for_any_folder(site: Path) -> None:
    """A user without a name (as in a container) has no group by name, and a folder may have a blank in its."""
    state = site / "of a farm"
    state.mkdir(mode=0o700)
    command = refused(state).partition("; run: ")[2]
    subprocess.run(shlex.split(command), check=True)
    with acting_as(AGENT):
        check_files(state, {"journal", "work"})


@needs_root
def test_a_folder_in_it_that_nobody_may_enter_is_named(site: Path) -> None:
    state = site / "state"
    (state / "work").mkdir(mode=0o600)
    for each in (state, state / "work"):
        os.chown(each, AGENT.uid, AGENT.gid)
    words = f"work in {state} cannot be written by 54321; run: chmod -R u+rwX {state}"
    assert refused(state) == words


@needs_root
def test_a_folder_that_is_closed_to_its_own_owner_is_opened_and_not_given_away(site: Path) -> None:
    state = site / "state"
    os.chown(state, AGENT.uid, AGENT.gid)
    state.chmod(0o500)
    assert refused(state) == f"{state} cannot be written by 54321; run: chmod -R u+rwX {state}"


@needs_root
def test_a_folder_that_is_missing_is_no_trouble_where_it_can_be_made(site: Path) -> None:
    new = site / "state" / "new" / "deep"
    assert refused(new).startswith(f"{new} ")  # it cannot even be seen
    (site / "state").chmod(0o755)
    assert refused(new) == f"{new} is missing; run: install -d -m 0700 -o 54321 {new}"
    os.chown(site / "state", AGENT.uid, AGENT.gid)
    with acting_as(AGENT):
        check_folder(new)
    assert not new.exists()


@pytest.mark.parametrize("there", ["file", "link"])
def test_what_is_no_folder_has_to_make_room_for_one(tmp_path: Path, there: str) -> None:
    state = tmp_path / "state"
    state.touch() if there == "file" else state.symlink_to("nowhere")
    with pytest.raises(ForeignFolderError, match="is no folder, nor a link to one: move it away"):
        check_folder(state)


def test_a_disk_that_is_full_or_read_only_is_no_reason_not_to_start(tmp_path: Path) -> None:
    assert play("begins", tmp_path) == {"full": None, "read_only": None}


async def test_the_daemon_tells_how_to_enroll_with_the_config_that_it_was_given(site: Path) -> None:
    (site / "token").unlink()
    ran = await miner_agent("run", "--config", site / "config.toml")
    assert ran.code == 1
    command = f"miner-agent enroll --code CODE --config {site / 'config.toml'}"
    assert ran.err.endswith(f"run: {command}\n")


@needs_root
async def test_a_daemon_of_another_user_is_asked_as_that_user(site: Path) -> None:
    (site / "state").chmod(0o755)
    server = LocalServer(site / "state" / "agent.sock", lambda _: pytest.fail("was asked"))
    await server.start()
    try:
        ran = await as_agent(
            "act", "127.0.0.1", "miner.log.get", "--config", site / "config.toml", "--logs", "/tmp"
        )
    finally:
        await server.stop()
    assert ran.code == 1
    assert ran.err.startswith("the agent of this host listens to its own user and to root alone")
    assert "run: sudo -u root miner-agent act" in ran.err
