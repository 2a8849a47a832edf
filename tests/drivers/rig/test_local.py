"""The rig we run on: files that block, commands that do not end."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from contract.errors import MalformedError, ServiceAwayError, UnsupportedError
from drivers.rig.reach.base import FILE_CAP_BYTES, OUTPUT_CAP_BYTES
from drivers.rig.reach.local import LocalReach, ReadFile, read_file
from drivers.rig.spec import LocalSpec
from tests.drivers.rig import tree
from tests.waiting import until


def reach(root: Path | str = "/", *, read: ReadFile = read_file) -> LocalReach:
    return LocalReach(LocalSpec(root=str(root)), read=read)


async def test_files_are_told_by_the_paths_they_have_on_the_rig(tmp_path: Path) -> None:
    root = tree.plant(tmp_path / "a[b]", tree.HOST)  # as a root may be called
    found = await reach(root).read_texts(
        ("/proc/uptime", "/sys/class/net/*/address", "/etc/nothing", "/proc/up*"), deadline_s=20
    )
    assert found.missed == frozenset()
    assert found.texts == {
        "/proc/uptime": "93784.25 1480000.10\n",
        "/sys/class/net/enp3s0/address": "02:1a:2b:3c:4d:5e\n",
        "/sys/class/net/wlan0/address": "02:00:00:00:00:99\n",
    }


async def test_what_is_no_plain_file_or_not_to_be_read_is_left_out(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "broken").symlink_to("/proc/self/mem")
    (tmp_path / "folder").mkdir()
    (tmp_path / "long").write_bytes(b"\xff" * FILE_CAP_BYTES * 2)
    found = await reach(tmp_path).read_texts(("/*",), deadline_s=20)
    assert [(path, len(text)) for path, text in found.texts.items()] == [("/long", FILE_CAP_BYTES)]


@pytest.mark.real_time
async def test_a_file_that_blocks_costs_a_second_once_and_loses_no_other(tmp_path: Path) -> None:
    released = threading.Event()
    asked: list[str] = []

    def read(path: str) -> bytes:
        asked.append(path[-2:])
        if path.endswith("/b"):
            released.wait(120)
        return read_file(path)

    async def all_are_told() -> bool:
        return (await rig.read_texts(("/*",), deadline_s=20)).texts == {
            "/a": "a",
            "/b": "b",
            "/c": "c",
        }

    for name in "abc":
        (tmp_path / name).write_text(name)
    rig = reach(tmp_path, read=read)
    assert (await rig.read_texts(("/*",), deadline_s=20)).texts == {"/a": "a", "/c": "c"}
    assert (await rig.read_texts(("/a", "/b"), deadline_s=20)).missed == {"/b"}
    assert (await rig.read_texts(("/*",), deadline_s=20)).texts == {"/a": "a", "/c": "c"}
    assert asked.count("/b") == 1  # by the one thread that hangs
    released.set()
    await until(all_are_told)


def a_zombie() -> int:
    """A process that has ended, and that nobody has buried yet."""
    process = os.fork()
    if not process:
        os._exit(0)
    os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
    return process


def bury(zombie: int) -> None:
    os.waitpid(zombie, 0)


@pytest.mark.real_time
async def test_a_folder_that_cannot_be_listed_loses_no_other_file(tmp_path: Path) -> None:
    zombie = a_zombie()
    (tmp_path / "a").write_text("a")
    (tmp_path / "hwmon").symlink_to(f"/proc/{zombie}/net")  # EINVAL
    found = await reach(tmp_path).read_texts(("/a", "/hwmon/h*/name"), deadline_s=20)
    bury(zombie)
    assert (found.texts, found.missed) == ({"/a": "a"}, {"/hwmon/h*/name"})


@pytest.mark.real_time
async def test_folders_that_block_cost_one_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()
    rig = reach(tmp_path)
    matching = rig._matching

    asked: list[int] = []

    def blocks(patterns: Any) -> Any:
        asked.append(threading.get_ident())
        released.wait(30)
        return matching(patterns)

    monkeypatch.setattr(rig, "_matching", blocks)
    for _ in range(3):
        with pytest.raises(MalformedError, match="do not answer"):
            await rig.read_texts(("/*",), deadline_s=0.05)
    assert len(asked) == 1, "the one that hangs is waited for, no other is begun"
    released.set()


@pytest.mark.real_time
async def test_a_look_at_files_ends_by_its_deadline(tmp_path: Path) -> None:
    released = threading.Event()
    (tmp_path / "a").write_text("a")
    rig = reach(tmp_path, read=lambda _: bytes(released.wait(30)))
    assert (await rig.read_texts(("/*",), deadline_s=0.05)).texts == {}
    released.set()


@pytest.mark.real_time
async def test_a_command_is_run_without_a_shell() -> None:
    ran = await reach().run(("printf", "%s|", "a b", "$HOME", ";"), deadline_s=20)
    assert (ran.status, ran.output, ran.errors) == (0, "a b|$HOME|;|", "")


@pytest.mark.real_time
@pytest.mark.parametrize(
    ("argv", "error"),
    [(("/no/such/program",), UnsupportedError), (("sleep", "30"), MalformedError), (("yes",), MalformedError)],
)  # fmt: skip
async def test_a_command_that_goes_wrong_is_a_named_error(
    argv: tuple[str, ...], error: type[Exception]
) -> None:
    with pytest.raises(error) as found:
        await reach().run(argv, deadline_s=20 if argv[0] == "yes" else 0.1)
    if argv[0] == "yes":
        assert str(OUTPUT_CAP_BYTES) in str(found.value)


@pytest.mark.real_time
async def test_a_command_that_is_killed_is_seen_off(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    with pytest.raises(MalformedError):
        await reach().run(("sh", "-c", f"echo $$ > {note}; exec sleep 30"), deadline_s=0.3)
    assert not Path(f"/proc/{note.read_text().strip()}").exists()


async def test_a_program_that_does_not_listen_is_away() -> None:
    with pytest.raises(ServiceAwayError):
        await reach().connect(asyncio.Protocol, 1, deadline_s=5)
