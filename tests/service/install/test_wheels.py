"""Wheels become the packages of a release, and hostile ones do not."""

from __future__ import annotations

import base64
import hashlib
import stat
import struct
import sys
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.install import wheels
from service.install.wheel import BadWheelError
from service.install.wheels import commands_of, unpack, unpacked_bytes

CODE = {"deed/__init__.py": b"", "deed/done.py": b"def done():\n    print('done')\n" * 50}
ENTRY_POINTS = b"[console_scripts]\nminer-agent = deed.done:done\nother = deed.done:done\n"
AMD64, ARM64 = 62, 183


def a_library(machine: int, kind: bytes = b"\x02\x01") -> bytes:
    return b"\x7fELF" + kind + bytes(12) + machine.to_bytes(2, "little") + bytes(100)


def row(name: str, data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
    return f"{name},sha256={digest},{len(data)}"


def a_wheel(
    folder: Path,
    files: Mapping[str, bytes] = CODE,
    *,
    name: str = "deed-1.0",
    rows: Callable[[list[str]], list[str]] = list,
    entries: Iterable[tuple[zipfile.ZipInfo, bytes]] = (),
) -> Path:
    """A wheel of these files. `rows` makes the lines of RECORD something else, `entries` are written besides, and named
    in it.
    """
    path = folder / f"{name}-py3-none-any.whl"
    record = f"{name}.dist-info/RECORD"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        lines = []
        for each, data in {**files, f"{name}.dist-info/METADATA": b"Name: deed\n"}.items():
            archive.writestr(each, data)
            lines.append(row(each, data))
        for info, data in entries:
            archive.writestr(info, data)
            lines.append(row(info.filename, data))
        archive.writestr(record, "\n".join(rows([*lines, f"{record},,"])) + "\n")
    return path


def test_what_is_unpacked_is_what_the_wheels_hold(tmp_path: Path) -> None:
    more = {
        "deed/fast.so": a_library(AMD64),
        "two-2.data/purelib/two/here.py": b"1",
        "two-2.data/platlib/two/there.py": b"2",
        "two-2.data/headers/two.h": b"3",
        "two-2.data/scripts/two": b"#!python\n",
    }
    made = [a_wheel(tmp_path), a_wheel(tmp_path, more, name="two-2")]
    unpack(made, tmp_path / "site", machine=AMD64)
    found = {
        path.relative_to(tmp_path / "site").as_posix(): path.read_bytes()
        for path in (tmp_path / "site").rglob("*")
        if path.is_file()
    }
    assert found.pop("deed-1.0.dist-info/RECORD").startswith(b"deed/__init__.py,sha256=")
    assert found.pop("two-2.dist-info/RECORD").count(b"\n") == 7
    assert found == {
        **CODE,
        "deed/fast.so": a_library(AMD64),
        "two/here.py": b"1",
        "two/there.py": b"2",
        "deed-1.0.dist-info/METADATA": b"Name: deed\n",
        "two-2.dist-info/METADATA": b"Name: deed\n",
    }
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "site").rglob("*.py")} == {
        0o644
    }
    assert unpacked_bytes(made) > sum(map(len, found.values()))


@pytest.mark.parametrize(
    "name",
    [
        "../up.py", "deed/../../up.py", "/etc/cron.d/deed", "deed//twice.py", "./deed.py", "deed/.", "deed\\up.py", "C:deed.py",
        "deed/\nline.py", "deed/\u202eyp.py", "deed/ .py", f"{'a' * 101}.py", "/".join("a" * 17), "deed/new?.py",
    ],
)  # fmt: skip
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    made = a_wheel(tmp_path, {"deed.py": b"", name: b"hostile"})
    with pytest.raises(BadWheelError, match="is no plain name"):
        unpack([made], tmp_path / "site")
    assert [*(tmp_path / "site").iterdir()] == []


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFDIR])
def test_a_link_or_a_device_is_refused(tmp_path: Path, kind: int) -> None:
    info = zipfile.ZipInfo("deed/link.py")
    info.external_attr = (kind | 0o777) << 16
    with pytest.raises(BadWheelError, match=r"deed/link\.py is a link or a device"):
        unpack([a_wheel(tmp_path, entries=[(info, b"/etc/passwd")])], tmp_path / "site")


@pytest.mark.parametrize("name", ["evil.pth", "deed/__pycache__/done.py", "deed/done.pyc"])
def test_what_python_would_run_without_its_source_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadWheelError, match="would be run, and is no source"):
        unpack([a_wheel(tmp_path, {name: b"import os"})], tmp_path / "site")


@pytest.mark.parametrize("name", ["deed-1.0.data/data/etc/deed", "deed-1.0.data/deed.py"])
def test_a_file_for_another_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadWheelError, match="belongs into no folder of a release"):
        unpack([a_wheel(tmp_path, {name: b""})], tmp_path / "site")


@pytest.mark.parametrize(
    "others",
    [
        {"deed/done.py": b"another"},
        {"deed/done.py/below.py": b""},
        {"deed": b"a file"},
        {"two-2.data/purelib/deed/done.py": b""},
    ],
)
def test_no_wheel_writes_where_another_one_did(tmp_path: Path, others: dict[str, bytes]) -> None:
    made = [a_wheel(tmp_path), a_wheel(tmp_path, others, name="two-2")]
    with pytest.raises(BadWheelError, match=r"two-2.*in the way of another file"):
        unpack(made, tmp_path / "site")
    assert (tmp_path / "site/deed/done.py").read_bytes() == CODE["deed/done.py"]


def test_a_file_that_is_in_a_wheel_twice_is_refused(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        made = a_wheel(tmp_path, entries=[(zipfile.ZipInfo("deed/done.py"), b"another")])
    with pytest.raises(BadWheelError, match=r"deed/done\.py is in it twice"):
        unpack([made], tmp_path / "site")


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (lambda rows: rows[1:], "does not name each of its files once"),
        (lambda rows: [*rows, row("deed/missing.py", b"")], "does not name each of its files once"),
        (lambda rows: [*rows, rows[0]], "does not name each of its files once"),
        (lambda rows: [row("deed/__init__.py", b"x"), *rows[1:]], "not as long as its RECORD says"),
        (lambda rows: [rows[0].replace("sha256=", "md5="), *rows[1:]], "has no sha256"),
        (lambda rows: ["deed/__init__.py,sha256=AAAA,0", *rows[1:]], "has no sha256"),
        (lambda rows: ["deed/__init__.py,,", *rows[1:]], "has no sha256"),
        (lambda rows: [rows[0][:-1] + "none", *rows[1:]], "is no wheel"),
        (lambda rows: [*rows, '"open'], "is no wheel"),
        (lambda rows: [*rows, "a,b"], "is no wheel"),
        (lambda rows: [rows[0], row("deed/done.py", b"x" * len(CODE["deed/done.py"])), *rows[2:]],
         "deed/done.py is not the file of its RECORD"),
    ],
)  # fmt: skip
def test_what_is_in_a_wheel_is_what_its_record_says(
    tmp_path: Path, rows: Callable[[list[str]], list[str]], why: str
) -> None:
    with pytest.raises(BadWheelError, match=why):
        unpack([a_wheel(tmp_path, rows=rows)], tmp_path / "site")


def test_a_wheel_without_a_record_or_with_that_of_another_is_refused(tmp_path: Path) -> None:
    made = a_wheel(tmp_path)
    other = made.rename(tmp_path / "other-1.0-py3-none-any.whl")
    with pytest.raises(BadWheelError, match=r"it has no other-1.0.dist-info/RECORD"):
        unpack([other], tmp_path / "site")


@pytest.mark.parametrize("data", [a_library(ARM64), a_library(AMD64, b"\x01\x01"), b"\x7fELF\x02"])
def test_a_library_for_another_processor_is_refused(tmp_path: Path, data: bytes) -> None:
    made = a_wheel(tmp_path, {"deed/fast.so": data})
    with pytest.raises(BadWheelError, match=r"deed/fast\.so is for another processor"):
        unpack([made], tmp_path / "site", machine=AMD64)


def test_a_library_for_this_host_is_known_from_its_own_interpreter(tmp_path: Path) -> None:
    mine = Path(sys.executable).resolve().read_bytes()[:20]
    unpack([a_wheel(tmp_path, {"deed/fast.so": mine})], tmp_path / "site")
    assert (tmp_path / "site/deed/fast.so").read_bytes() == mine


def test_what_expands_beyond_all_measure_is_refused_before_it_fills_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wheels, "RELEASE_BYTES", 100_000)
    made = [a_wheel(tmp_path), a_wheel(tmp_path, {"zeros.py": bytes(99_000)}, name="two-2")]
    with pytest.raises(BadWheelError, match=r"two-2.*with it a release has over 100000 bytes"):
        unpack(made, tmp_path / "site")
    assert not (tmp_path / "site/zeros.py").exists()


def test_a_release_has_only_so_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheels, "RELEASE_FILES", 3)
    with pytest.raises(BadWheelError, match="3 files"):
        unpack([a_wheel(tmp_path)], tmp_path / "site")


def test_an_index_that_is_beyond_all_measure_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "deed-1.0-py3-none-any.whl"
    size = 5 * 2**20
    path.write_bytes(bytes(size) + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 9, 9, size, 0, 0))
    with pytest.raises(BadWheelError, match="has an index of over"):
        unpack([path], tmp_path / "site")


def test_an_archive_that_says_its_end_in_two_ways_is_refused(tmp_path: Path) -> None:
    data = a_wheel(tmp_path).read_bytes()
    path = tmp_path / "deed-1.0-py3-none-any.whl"
    for number, (changed, why) in enumerate(
        (
            (data[:-22] + b"PK\6\7" + bytes(16) + data[-22:], "does not end as a wheel does"),
            (data + b"more", "does not end as a wheel does"),
            (b"#!/bin/sh\n" + data, "none where it has to be"),
            (data[:10], "too short"),
        )
    ):
        path.write_bytes(changed)
        with pytest.raises(BadWheelError, match=why):
            unpack([path], tmp_path / f"site-{number}")


def test_a_file_that_is_encrypted_or_packed_in_another_way_is_refused(tmp_path: Path) -> None:
    data = bytearray(a_wheel(tmp_path).read_bytes())
    path = tmp_path / "deed-1.0-py3-none-any.whl"
    at = data.index(b"PK\1\2")
    for number, (offset, value) in enumerate(((8, 1), (10, 12))):
        changed = bytearray(data)
        changed[at + offset] = value
        path.write_bytes(changed)
        with pytest.raises(BadWheelError, match="is packed in a way that wheels are not"):
            unpack([path], tmp_path / f"site-{number}")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_whatever_is_changed_in_a_wheel_nothing_is_written_that_its_record_does_not_say(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("changed")
    made = a_wheel(folder)
    content = bytearray(made.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    made.write_bytes(content)
    try:
        unpack([made], folder / "site")
    except BadWheelError:
        pass
    else:
        for name, code in CODE.items():
            assert (folder / "site" / name).read_bytes() == code
    assert {each.name for each in folder.iterdir()} <= {"site", made.name}
    assert {each.name for each in (folder / "site").iterdir()} <= {"deed", "deed-1.0.dist-info"}


def test_commands_are_those_that_our_own_package_declares(tmp_path: Path) -> None:
    ours = {"miner_agent-1.0.dist-info/entry_points.txt": ENTRY_POINTS}
    made = [
        a_wheel(tmp_path, ours, name="miner_agent-1.0"),
        a_wheel(tmp_path, {"deed-1.0.dist-info/entry_points.txt": ENTRY_POINTS}),
    ]
    site = tmp_path / "site"
    unpack(made, site)
    assert commands_of(site, ("miner-agent",)) == {"miner-agent": "deed.done:done"}
    with pytest.raises(BadWheelError, match=r"declares no miner-agent-rig$"):
        commands_of(site, ("miner-agent", "miner-agent-rig"))


def test_a_release_without_our_own_package_is_none(tmp_path: Path) -> None:
    site = tmp_path / "site"
    unpack([a_wheel(tmp_path)], site)
    with pytest.raises(BadWheelError, match="miner_agent is among the packages 0 times"):
        commands_of(site, ("miner-agent",))
