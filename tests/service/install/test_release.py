"""Releases: their order, their stamp, the link to the one that runs."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from service.install.release import Stamp, digest, finish, flip, running, version_order

IN_ORDER = ("0.2.0", "0.2.0.1", "0.2.1", "0.3.0.dev1", "0.3.0a1", "0.3.0b2", "0.3.0rc1", "0.3.0rc2", "0.3.0", "0.3.0.post1", "0.3.1", "0.10.0", "1.0.0")  # fmt: skip


def a_release(folder: Path, place: Path, version: str = "1.0") -> Stamp:
    site = folder / f"lib/python3.{sys.version_info.minor}/site-packages"
    site.mkdir(parents=True)
    (site / "deed.py").write_text("import sys\n\n\ndef done():\n    print(sys.prefix, sys.path)\n")
    return finish(
        folder,
        place,
        name="miner-agent",
        version=version,
        platform="here",
        python=Path(sys.executable).resolve(),
        commands={"do": "deed:done"},
    )


def test_versions_are_compared_as_python_sorts_them() -> None:
    for older, newer in pairwise(IN_ORDER):
        assert version_order(older) < version_order(newer), (older, newer)
    assert version_order("0.3") == version_order("0.3.0")


@pytest.mark.parametrize(
    "text", ["", "1", "v1.0", "1.0/..", "..", "1.0 ", "1.0-1", "1.²", "1.٣", "9" * 7 + ".1"]
)
def test_what_is_no_version_of_ours_is_refused(text: str) -> None:
    if text == "1":
        assert version_order(text) == version_order("1.0")
        return
    with pytest.raises(ValueError, match="is no version"):
        version_order(text)


def test_its_commands_run_at_its_place_and_load_nothing_else(tmp_path: Path) -> None:
    place = tmp_path / "releases" / "1.0"
    made = tmp_path / "beside"
    a_release(made, place)
    place.parent.mkdir()
    made.rename(place)
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    (stranger / "deed.py").write_text("raise SystemExit('a stranger')\n")
    said = subprocess.run(
        [place / "bin" / "do"], capture_output=True, text=True, check=True, env={"PYTHONPATH": str(stranger)}, cwd=stranger
    ).stdout  # fmt: skip
    assert said.startswith(f"{place} ")
    assert str(place / "lib") in said
    assert str(stranger) not in said


def test_the_stamp_knows_every_byte_and_every_name_but_not_what_python_compiles(
    tmp_path: Path,
) -> None:
    stamp = a_release(tmp_path, tmp_path)
    assert Stamp.read(tmp_path) == stamp
    cache = tmp_path / "lib" / "__pycache__"
    cache.mkdir()
    (cache / "deed.pyc").write_bytes(b"1")
    assert digest(tmp_path) == stamp.sha256
    deed = next(tmp_path.rglob("deed.py"))
    text = deed.read_text()
    deed.write_text(text + "#")
    assert digest(tmp_path) != stamp.sha256
    deed.write_text(text)
    deed.rename(deed.with_name("other.py"))
    assert digest(tmp_path) != stamp.sha256


def test_half_a_release_is_none(tmp_path: Path) -> None:
    assert Stamp.read(tmp_path / "missing") is None
    (tmp_path / "release.json").write_text('{"name": "miner-agent", "ver')
    assert Stamp.read(tmp_path) is None


def test_the_link_is_changed_in_one_step_and_a_link_to_nothing_is_no_release(
    tmp_path: Path,
) -> None:
    current = tmp_path / "current"
    assert running(current) is None
    flip(current, "1.0")
    assert running(current) is None
    for version in ("1.0", "1.1"):
        a_release(tmp_path / "releases" / version, tmp_path / "releases" / version, version)
        (tmp_path / ".current.new").symlink_to("left by a power cut")
        flip(current, version)
        assert running(current) == version
        assert current.readlink() == Path("releases") / version
