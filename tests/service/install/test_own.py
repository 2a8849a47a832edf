"""What a process finds out about its own release."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from service.install.own import OwnRelease, is_here_to_stay, own_release
from service.install.release import PROVEN, STAMP, Stamp, finish, flip


@pytest.fixture
def opt(tmp_path: Path) -> Path:
    """A host with two releases, the older one proven, the newer one current."""
    home = tmp_path / "opt" / "miner-agent"
    for version in ("0.2.0", "0.3.0"):
        place = home / "releases" / version
        place.mkdir(parents=True)
        finish(
            place,
            place,
            name="miner-agent",
            version=version,
            platform="deb12_amd64",
            python=Path("/usr/bin/python3"),
            commands={},
        )
    flip(home / "current", "0.3.0")
    flip(home / PROVEN, "0.2.0")
    return tmp_path / "opt"


def at(opt: Path, name: str) -> OwnRelease | None:
    return own_release(opt / "miner-agent" / name, opt)


def test_a_release_is_what_its_stamp_says_and_proven_by_the_link_alone(opt: Path) -> None:
    place = opt / "miner-agent" / "releases" / "0.3.0"
    stamp = Stamp.read(place)
    assert stamp is not None
    assert at(opt, "releases/0.3.0") == OwnRelease(
        version="0.3.0", sha256=stamp.sha256, place=place, is_proven=False
    )
    older = at(opt, "releases/0.2.0")
    assert older is not None and older.is_proven
    flip(opt / "miner-agent" / PROVEN, "0.3.0")
    newer = at(opt, "releases/0.3.0")
    assert newer is not None and newer.is_proven


def test_a_process_started_by_the_link_belongs_to_what_it_leads_to(opt: Path) -> None:
    assert at(opt, "current") == at(opt, "releases/0.3.0")


def test_without_the_link_nothing_is_proven(opt: Path) -> None:
    (opt / "miner-agent" / PROVEN).unlink()
    found = at(opt, "releases/0.2.0")
    assert found is not None and not found.is_proven


def test_a_link_that_leads_nowhere_proves_nothing(opt: Path) -> None:
    shutil.rmtree(opt / "miner-agent" / "releases" / "0.2.0")
    found = at(opt, "releases/0.3.0")
    assert found is not None and not found.is_proven


@pytest.mark.parametrize("content", [None, b"", b"{", b"[1]"])
def test_a_broken_stamp_is_equal_to_no_release(opt: Path, content: bytes | None) -> None:
    stamp = opt / "miner-agent" / "releases" / "0.3.0" / STAMP
    stamp.unlink()
    if content is not None:
        stamp.write_bytes(content)
    found = at(opt, "releases/0.3.0")
    assert found is not None
    assert (found.version, found.sha256, found.is_proven) == ("0.3.0", "", False)


def test_a_checkout_and_an_environment_of_ones_own_are_no_release(
    opt: Path, tmp_path: Path
) -> None:
    assert own_release() is None  # where these tests run
    assert own_release(tmp_path / "venv", opt) is None
    assert at(opt, "packaged") is None
    assert at(opt, "releases/0.3.0/lib") is None
    assert own_release(tmp_path / "other" / "releases" / "0.3.0", opt) is None


def test_what_the_release_before_could_not_read_is_written_by_what_is_here_to_stay(
    opt: Path,
) -> None:
    releases = opt / "miner-agent" / "releases"
    assert is_here_to_stay()  # where these tests run nobody goes back by himself
    assert is_here_to_stay(releases / "0.2.0", opt)
    assert not is_here_to_stay(releases / "0.3.0", opt)
    flip(opt / "miner-agent" / PROVEN, "0.3.0")
    assert is_here_to_stay(releases / "0.3.0", opt)
