"""A staged folder, judged from itself alone: whatever the one who staged it did to it since."""

from __future__ import annotations

import base64
import os
import socket
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner

from release.refusals import Refusal, ReleaseRefusedError
from release.verification import STAGED, Verified, verify_staged
from service.opening import opened_folder
from tests.release.repository import BUILT, INSTALLED, NOW, Repository, bundle_of, sha256

A_DAY = timedelta(days=1)


class Bench:
    """A repository with one release, and a folder where it is staged."""

    def __init__(self, place: Path) -> None:
        self.repository = Repository()
        self.bundle = bundle_of(place / "wheels")
        self.repository.release(self.bundle)
        self.place = place
        self.folder = self.repository.staged(place / "staged", self.bundle)

    def verify(self, **other) -> Verified:
        given = {"anchors": self.repository.anchors(), "installed": INSTALLED, "clock": NOW} | other
        with opened_folder(self.folder) as handle:
            return verify_staged(handle, given.pop("anchors"), given.pop("installed"), **given)

    def refused(self, reason: Refusal, **other) -> str:
        with pytest.raises(ReleaseRefusedError) as raised:
            self.verify(**other)
        assert raised.value.reason is reason, raised.value
        return str(raised.value)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_staged_release_is_verified_without_a_network(bench: Bench) -> None:
    found = bench.verify()
    assert (found.manifest.version, found.sha256) == ("0.3.0", sha256(bench.bundle))
    assert found.clock_doubt is None
    assert all(STAGED.fullmatch(each.name) for each in bench.folder.iterdir())


def test_roots_on_the_way_come_along(bench: Bench) -> None:
    bench.repository.rotate_root({"targets": [CryptoSigner.generate_ed25519()]})
    bench.repository.rotate_root({"root": [CryptoSigner.generate_ed25519()]})
    bench.repository.publish()
    bench.repository.staged(bench.folder, bench.bundle)
    assert sorted(bench.verify().kept)[:2] == ["2.root.json", "3.root.json"]
    (bench.folder / "2.root.json").unlink()
    bench.refused(Refusal.UNSIGNED)


def test_a_bundle_swapped_after_the_first_check_is_refused(bench: Bench) -> None:
    bench.verify()
    other = bench.place / "other"
    for swapped in (
        bundle_of(other, "0.3.0", 701, 3000),
        bundle_of(other, "0.4.0"),
        bench.bundle[:-512],
        bench.bundle.replace(b"AAAA", b"AAAB", 1),
        b"#!/bin/sh\n",
    ):
        (bench.folder / "bundle.tar").write_bytes(swapped)
        assert "not a file that was signed for" in bench.refused(Refusal.MIXED)


def test_metadata_swapped_after_the_first_check_is_refused(bench: Bench) -> None:
    forged = Repository()
    forged.release(bench.bundle)
    for name in ("timestamp.json", "snapshot.json", "targets.json"):
        before = (bench.folder / name).read_bytes()
        (bench.folder / name).write_bytes(forged.metadata(name))
        bench.refused(Refusal.UNSIGNED if name == "timestamp.json" else Refusal.MIXED)
        (bench.folder / name).unlink()
        bench.refused(Refusal.MISSING)
        (bench.folder / name).write_bytes(before)
    (bench.folder / "2.root.json").write_bytes(forged.first_root)
    bench.refused(Refusal.UNSIGNED)


def test_an_older_state_of_the_repository_is_refused_by_who_saw_a_newer_one(bench: Bench) -> None:
    """The agent holds back that a release was dropped: whoever installs has memory of its own."""
    old = bench.repository.snapshot_of()
    bench.repository.targets.clear()
    bench.repository.release(bundle_of(bench.place / "wheels", "0.4.0"), "0.4.0")
    bench.repository.staged(bench.folder, bundle_of(bench.place / "wheels", "0.4.0"))
    seen = bench.verify().kept
    old.staged(bench.folder, bench.bundle)
    assert bench.verify().manifest.version == "0.3.0"
    bench.refused(Refusal.ROLLED_BACK, kept=seen)


@pytest.mark.parametrize(
    ("version", "is_newer"), [("0.3.0", False), ("0.4", False), ("0.3.0rc1", True)]
)
def test_only_a_newer_release_is_taken(version: str, is_newer: bool, bench: Bench) -> None:
    installed = INSTALLED._replace(version=version)
    if is_newer:
        bench.verify(installed=installed)
    else:
        bench.refused(Refusal.NOT_NEWER, installed=installed)


def test_a_bundle_for_another_platform_is_refused(bench: Bench) -> None:
    bench.refused(Refusal.WRONG_PLATFORM, installed=INSTALLED._replace(platform="deb13_arm64"))


def test_a_bundle_that_is_signed_under_the_name_of_another_is_refused(bench: Bench) -> None:
    """Even targets' keys cannot make an agent take a version for another one."""
    bench.repository.release(bench.bundle, "0.9.0")
    del bench.repository.targets["bundles/miner-agent-0.3.0-deb12_arm64.tar"]
    bench.repository.publish()
    bench.repository.staged(bench.folder, bench.bundle)
    assert "says that it is" in bench.refused(Refusal.MIXED)


@pytest.mark.parametrize("name", ["bundle.tar", "timestamp.json", "2.root.json", "bundle.sig"])
def test_a_link_is_not_followed(name: str, bench: Bench) -> None:
    aside = bench.place / "aside"
    if (bench.folder / name).exists():
        (bench.folder / name).rename(aside)
    else:
        aside.write_bytes(b"anything")
    (bench.folder / name).symlink_to(aside)
    with pytest.raises(OSError, match="symbolic"):
        bench.verify()


def test_what_is_no_plain_file_is_refused_at_once(bench: Bench) -> None:
    (bench.folder / "timestamp.json").unlink()
    os.mkfifo(bench.folder / "timestamp.json")
    bench.refused(Refusal.TOO_BIG)
    (bench.folder / "timestamp.json").unlink()
    (bench.folder / "timestamp.json").mkdir()
    bench.refused(Refusal.TOO_BIG)
    (bench.folder / "timestamp.json").rmdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(bench.folder / "timestamp.json"))
        with pytest.raises(OSError, match="No such device"):
            bench.verify()


def test_files_are_bounded(bench: Bench) -> None:
    for name, size in (
        ("timestamp.json", 17_000),
        ("targets.json", 200_000),
        ("2.root.json", 70_000),
    ):
        before = (bench.folder / name).read_bytes() if (bench.folder / name).exists() else None
        (bench.folder / name).write_bytes(b" " * size)
        bench.refused(Refusal.TOO_BIG)
        (bench.folder / name).unlink()
        if before is not None:
            (bench.folder / name).write_bytes(before)
    with (bench.folder / "bundle.tar").open("r+b") as file:
        file.truncate(2**40)  # takes no room
    bench.refused(Refusal.TOO_BIG)
    (bench.folder / "bundle.tar").write_bytes(b"")
    bench.refused(Refusal.TOO_BIG)


def test_the_check_writes_nothing(bench: Bench) -> None:
    before = {each.name: each.stat() for each in bench.folder.iterdir()}
    bench.verify()
    after = {each.name: each.stat() for each in bench.folder.iterdir()}
    assert {k: (v.st_mtime_ns, v.st_size) for k, v in before.items()} == {
        k: (v.st_mtime_ns, v.st_size) for k, v in after.items()
    }


def test_expiry_is_judged_again(bench: Bench) -> None:
    bench.refused(Refusal.EXPIRED, clock=NOW + 8 * A_DAY)
    bench.refused(Refusal.EXPIRED, installed=INSTALLED._replace(built_at=BUILT + 60 * A_DAY))


def test_a_bundle_signed_by_a_pinned_key_needs_no_metadata(bench: Bench) -> None:
    key, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    for name in ("timestamp.json", "snapshot.json", "targets.json"):
        (bench.folder / name).unlink()
    pinned = bench.repository.anchors(keys=[other.public_key(), key.public_key()])
    signature = key.sign(bench.bundle)
    for text in (
        signature.hex(),
        base64.b64encode(signature).decode(),
        signature.hex().upper() + "\n",
    ):
        (bench.folder / "bundle.sig").write_text(text)
        assert bench.verify(anchors=pinned).sha256 == sha256(bench.bundle)
        bench.refused(Refusal.BAD_SIGNATURE)  # nothing is pinned
    bench.refused(Refusal.NOT_NEWER, anchors=pinned, installed=INSTALLED._replace(version="0.3.0"))
    strange = Ed25519PrivateKey.generate().sign(bench.bundle).hex()
    for text in (strange, key.sign(b"").hex(), signature.hex()[:-2], "x", "é" * 64, "0" * 128):
        (bench.folder / "bundle.sig").write_text(text)
        bench.refused(Refusal.BAD_SIGNATURE, anchors=pinned)
    (bench.folder / "bundle.sig").write_text(signature.hex())
    (bench.folder / "bundle.tar").write_bytes(bundle_of(bench.place / "other", "0.9.0"))
    bench.refused(Refusal.BAD_SIGNATURE, anchors=pinned)
