"""What root reads of the agent's folder, when somebody has taken the agent over."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from agent.installer.agentfolder import AgentFolder, OddRequestError
from release.handover import REQUEST, RUNNING, UpdateRequest
from release.refusals import ReleaseRefusedError
from release.verification import BUNDLE
from service.disk import DISK, Disk
from tests.agent.installer.trial import NEW, OLD, TASK, Trial

SHA256 = "a" * 64


def request(**other: str) -> UpdateRequest:
    said = {"task": TASK, "version": NEW, "sha256": SHA256, "requested_at": "now"}
    return UpdateRequest(**(said | other))


@pytest.fixture
def state(tmp_path: Path) -> Path:
    staged = tmp_path / "state/update/staged" / NEW
    staged.mkdir(parents=True)
    for name in (BUNDLE, "timestamp.json", "snapshot.json", "targets.json", "2.root.json"):
        (staged / name).write_text(f"of {name}")
    (tmp_path / "state" / REQUEST).write_bytes(msgspec.json.encode(request()))
    return tmp_path / "state"


def staged(state: Path) -> dict[str, bytes]:
    return {
        each.name: os.read(each.file, each.size) for each in AgentFolder(state).staged(request())
    }


def test_what_lies_ready_is_read_the_bundle_first(state: Path) -> None:
    (state / "update/staged" / NEW / "notes.txt").write_text("of nobody")
    found = staged(state)
    assert [*found] == [
        BUNDLE, "2.root.json", "snapshot.json", "targets.json", "timestamp.json"
    ]  # fmt: skip
    assert found[BUNDLE] == b"of bundle.tar"


def _linked(path: Path) -> None:
    """The same, behind a link."""
    moved = path.with_name(f"{path.name}.moved")
    path.rename(moved)
    path.symlink_to(moved)


def _second_name(path: Path) -> None:
    path.with_name("another").hardlink_to(path)


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _huge(path: Path) -> None:
    os.truncate(path, 513 * 1024 * 1024)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


TRAPS = (_linked, _second_name, _fifo, _folder, _huge, _empty)


@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.parametrize("name", [BUNDLE, "timestamp.json"])
def test_nothing_but_plain_files_of_their_own_is_taken(
    state: Path, name: str, trap: Callable[[Path], None]
) -> None:
    trap(state / "update/staged" / NEW / name)
    with pytest.raises((ReleaseRefusedError, OSError)):
        staged(state)


@pytest.mark.parametrize("trap", TRAPS)
def test_what_is_no_plain_file_is_no_request_and_is_taken_away(
    state: Path, trap: Callable[[Path], None]
) -> None:
    trap(state / REQUEST)
    agent = AgentFolder(state)
    with pytest.raises(OddRequestError) as raised:
        agent.request()
    assert raised.value.task is None
    agent.drop_request(DISK)
    assert agent.request() is None


@pytest.mark.parametrize("where", ["update", "update/staged", f"update/staged/{NEW}"])
def test_no_link_is_followed_on_the_way(state: Path, where: str) -> None:
    _linked(state / where)
    with pytest.raises(OSError, match=Path(where).name):
        staged(state)


def test_a_link_to_another_folder_has_nothing_unlinked_there(state: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "request.json").write_text("of another")

    class Swapping(Disk):
        def unlink(self, path: Path, *, folder: int | None = None) -> bool:
            (state / "update").rename(state / "moved")
            (state / "update").symlink_to(theirs)
            return super().unlink(path, folder=folder)

    AgentFolder(state).drop_request(Swapping())
    assert (theirs / "request.json").exists()
    assert not (state / "moved/request.json").exists()
    with pytest.raises(OSError, match="update"):
        AgentFolder(state).drop_request(DISK)
    assert (theirs / "request.json").exists()


def test_a_folder_without_an_end_is_not_listed_to_its_end(state: Path) -> None:
    for number in range(1100):
        (state / "update/staged" / NEW / f"x{number}").touch()
    with pytest.raises(ReleaseRefusedError, match="more than a release"):
        staged(state)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[" * 10_000, b'{"task": 7}', b"\xff" * 40, b" " * 20_000]
    + [
        msgspec.json.encode(request(task=each))
        for each in ("", "../../x", "a\nb", "x y", "x" * 129, "\u0663")
    ],
)
def test_what_is_no_request_names_no_task(state: Path, data: bytes) -> None:
    (state / REQUEST).write_bytes(data)
    with pytest.raises(OddRequestError) as raised:
        AgentFolder(state).request()
    assert raised.value.task is None


@pytest.mark.parametrize(
    "change",
    [{"version": each} for each in ("", "..", "../../x", "/etc", "1.0/..", "1.0\n", "v1.0", "1.\u0663")]
    + [{"sha256": each} for each in ("", "A" * 64, "a" * 63, "a" * 64 + "\n")],
)  # fmt: skip
def test_a_task_whose_request_leads_elsewhere_is_refused(
    tmp_path: Path, change: dict[str, str]
) -> None:
    trial = Trial.made(tmp_path)
    (trial.state / REQUEST).write_bytes(msgspec.json.encode(request(**change)))
    trial.run()
    assert (trial.outcome.verdict, trial.outcome.reason) == ("refused", "bad_request")
    assert (trial.outcome.task, trial.current, trial.installed) == (TASK, OLD, [OLD])
    assert not (trial.state / REQUEST).exists()


@pytest.mark.parametrize("trap", TRAPS)
def test_a_process_that_says_nothing_plain_of_itself_says_nothing(
    state: Path, trap: Callable[[Path], None]
) -> None:
    (state / RUNNING).write_text("{}")
    trap(state / RUNNING)
    assert AgentFolder(state).running() is None


def test_where_there_is_nothing_there_is_no_request(tmp_path: Path) -> None:
    assert AgentFolder(tmp_path / "missing").request() is None
    AgentFolder(tmp_path / "missing").drop_request(DISK)
