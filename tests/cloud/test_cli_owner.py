"""Commands that root starts on the data directory of another user, and that user beside what root left there."""

from __future__ import annotations

import asyncio
import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import service.hostuser
from service.hostuser import HostUser, acting_as
from tests.cloud.test_cli import CLOUD, ask, run, serving

OWNER = HostUser(54321, 54321, "54321")  # a number is enough to be a user
OTHER = HostUser(54322, 54322, "54322")
# All that is imported is imported as root: another user may not be able to read it.
AS_OTHER = f"""
import csv, os, cloud.cli, cloud.cli.commands, cloud.cli.terminal, cloud.store.access.admin, cloud.store.schema.migrate
os.setgroups([]); os.setresgid(*[{OTHER.gid}] * 3); os.setresuid(*[{OTHER.uid}] * 3)
cloud.cli.main()
"""
CAP_SETGID, PR_CAPBSET_DROP = 6, 24


def _can_owner_read_us() -> bool:
    with acting_as(OWNER):
        return os.access(service.hostuser.__file__, os.R_OK, effective_ids=True)


pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not _can_owner_read_us(),
    reason="only root may act as another user, who has to be able to read this checkout",
)


@pytest.fixture
def data() -> Iterator[Path]:
    """The data directory of OWNER, in a folder that everybody may look into."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    (folder / "data").mkdir(mode=0o700)
    os.chown(folder / "data", OWNER.uid, OWNER.gid)
    try:
        yield folder / "data"
    finally:
        shutil.rmtree(folder)


def owners(folder: Path) -> dict[str, int]:
    return {each.name: each.lstat().st_uid for each in folder.rglob("*")}


@pytest.mark.parametrize("words", [("workspace", "create", "--name", "W"), ("migrate",)])
def test_what_root_makes_belongs_to_the_owner_of_the_directory(
    data: Path, words: tuple[str, ...]
) -> None:
    ask(data, *words)
    assert "cloud.db" in owners(data)
    assert set(owners(data).values()) == {OWNER.uid}
    assert (os.geteuid(), os.getegid()) == (0, 0)


async def test_what_a_server_of_root_makes_belongs_to_the_owner_too(data: Path) -> None:
    async with serving(data, program=CLOUD):
        await asyncio.to_thread(ask, data, "workspace", "create", "--name", "W")
        made = owners(data)
    assert {"cloud.db", "cloud.db-wal", "link-secret", "serve.lock", "files"} <= made.keys()
    assert set(made.values()) == {OWNER.uid}


@pytest.mark.parametrize("name", ["cloud.db", "cloud.db-wal", "cloud.db-shm"])
def test_root_follows_no_link_in_a_directory_of_another(data: Path, name: str) -> None:
    precious = data.parent / "precious"
    precious.write_text("of root")
    precious.chmod(0o600)
    (data / name).symlink_to(precious)
    _, err = run("workspace", "create", "--name", "W", "--data", str(data), status=1)
    assert len(err.splitlines()) == 1
    assert precious.read_text() == "of root"
    assert precious.stat().st_uid == 0


def test_root_goes_no_way_that_another_user_laid(data: Path) -> None:
    (data.parent / "etc").mkdir()
    (data / "sub").symlink_to(data.parent / "etc")
    os.chown(data / "sub", OWNER.uid, OWNER.gid, follow_symlinks=False)
    (data.parent / "mine").symlink_to(data / "sub")
    for folder in (data / "sub", data / "sub" / "new", data.parent / "mine"):
        _, err = run("workspace", "create", "--name", "W", "--data", str(folder), status=1)
        assert err == f"miner-cloud: {data / 'sub'}: is a link of another user\n"
    assert list((data.parent / "etc").iterdir()) == []


@pytest.mark.parametrize("name", ["cloud.db", "serve.lock"])
def test_a_file_that_root_left_is_named_with_its_owner_and_what_to_run(
    data: Path, name: str
) -> None:
    run("migrate", "--data", str(data))
    (data / name).touch(mode=0o600)
    os.chown(data / name, 0, 0)
    with acting_as(OWNER):
        _, err = run("workspace", "list", "--data", str(data), status=1)
    words = f"{name} in {data} cannot be written by 54321; run: chown -R 54321:54321 {data}"
    assert err == f"miner-cloud: {words}\n"


def test_releases_that_the_owner_cannot_read_are_said(data: Path) -> None:
    """As those below a folder of root."""
    folder = data.parent / "of-root" / "releases"
    folder.mkdir(parents=True)
    folder.parent.chmod(0o700)
    _, err = run("release", "publish", str(folder), "--data", str(data), status=1)
    words = f"cannot be read by 54321, whose {data} is: copy {folder} to where that user can, such as /srv"
    assert err == f"miner-cloud: {folder}/metadata: {words}\n"


@pytest.mark.parametrize("mode", [0o755, 0o700])
def test_a_directory_of_another_says_as_whom_to_run(data: Path, mode: int) -> None:
    run("migrate", "--data", str(data))
    data.chmod(mode)
    command = ("workspace", "list", "--data", str(data))
    ended = subprocess.run(
        [sys.executable, "-c", AS_OTHER, *command], capture_output=True, text=True, check=False
    )
    said = f"{data} cannot be written by 54322, it belongs to 54321; run it as 54321, or: chown "
    assert ended.returncode == 1
    assert said in ended.stderr


def test_a_root_that_may_be_nobody_else_says_so(data: Path) -> None:
    """As in a container without capabilities."""
    prctl = ctypes.CDLL(None).prctl
    ended = subprocess.run(
        [*CLOUD, "migrate", "--data", str(data)],
        preexec_fn=lambda: prctl(PR_CAPBSET_DROP, CAP_SETGID, 0, 0, 0),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    words = "root may not act as 54321 here (CAP_SETGID, CAP_SETUID): run it as that user"
    assert (ended.returncode, ended.stderr) == (1, f"miner-cloud: {words}\n")
    assert list(data.iterdir()) == []


def test_an_owner_who_cannot_get_to_the_directory_is_said(data: Path) -> None:
    data.parent.chmod(0o700)
    _, err = run("migrate", "--data", str(data), status=1)
    assert f"{data} belongs to 54321, who cannot read {data}: see that the folders above" in err
    assert os.geteuid() == 0
