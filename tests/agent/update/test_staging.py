"""What is staged of an honest repository, and what this host and the order have to say."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.journal.migrations import NEWEST
from contract.errors import StorageFullError
from release.manifest import JournalSchema
from release.refusals import Refusal
from tests.agent.update.site import Site, bundle_path, site_in
from tests.release.repository import INSTALLED, bundle_of, sha256

A_DAY = timedelta(days=1)


async def test_the_newest_of_the_channel_is_staged_with_what_proves_it(site: Site) -> None:
    found = await site.stage()
    assert (found.version, found.clock_doubt) == ("0.3.0", None)
    assert found.sha256 == sha256(bundle_of(site.place / "wheels"))
    assert found.folder == site.folder / "staged" / "0.3.0"
    names = ["bundle.tar", "snapshot.json", "targets.json", "timestamp.json"]
    assert sorted(each.name for each in found.folder.iterdir()) == names
    assert found.folder.stat().st_mode & 0o777 == site.folder.stat().st_mode & 0o777 == 0o700
    assert site.staged() == ["0.3.0"]


async def test_each_channel_has_a_newest_of_its_own(site: Site) -> None:
    site.repository.release(bundle_of(site.place / "wheels", "0.4.0rc1"), "0.4.0rc1", "canary")
    assert (await site.stage()).version == "0.3.0"
    site.channel = "canary"
    assert (await site.stage()).version == "0.4.0rc1"
    assert site.staged() == ["0.4.0rc1"]  # one at a time


async def test_a_version_may_be_named(site: Site) -> None:
    site.repository.release(bundle_of(site.place / "wheels", "0.4.0"), "0.4.0", "canary")
    assert (await site.stage(target_version="v0.4.0")).version == "0.4.0"
    await site.refused(Refusal.NOT_OFFERED, target_version="0.5.0")
    await site.refused(Refusal.NOT_OFFERED, target_version="../0.3.0")


async def test_an_older_or_equal_version_is_not_even_fetched(site: Site) -> None:
    site.installed = INSTALLED._replace(version="0.3.0")
    assert await site.runs_already()
    assert await site.runs_already(target_version="0.3.0")
    site.installed = INSTALLED._replace(version="0.3.1")
    await site.refused(Refusal.NOT_NEWER)
    await site.refused(Refusal.NOT_NEWER, target_version="0.3.0")
    assert bundle_path(site) not in site.asked


async def test_md5_is_checked_beside_what_is_signed(site: Site) -> None:
    bundle = bundle_of(site.place / "wheels")
    await site.refused(Refusal.MIXED, md5="0" * 32)
    assert (await site.stage(md5=hashlib.md5(bundle).hexdigest())).version == "0.3.0"


async def test_a_second_look_fetches_only_the_timestamp(site: Site) -> None:
    await site.stage()
    site.asked.clear()
    await site.stage()
    assert [each for each in site.asked if "metadata" in each] == [
        "metadata/2.root.json",
        "metadata/timestamp.json",
    ]


async def test_a_platform_without_a_bundle_is_told_so(site: Site) -> None:
    site.installed = INSTALLED._replace(platform="deb13_arm64")
    assert "deb13_arm64" in await site.refused(Refusal.NOT_OFFERED)


async def test_a_release_that_would_leave_no_way_back_is_not_staged(site: Site) -> None:
    ahead = JournalSchema(reads=(NEWEST + 1, NEWEST + 2), writes=NEWEST + 2)
    bundle = bundle_of(site.place / "wheels", "0.4.0", journal_schema=ahead)
    site.repository.release(bundle, "0.4.0")
    said = await site.refused(Refusal.NO_WAY_BACK)
    assert f"works on journals of version {NEWEST + 1} and {NEWEST + 2}" in said
    assert "release in between" in said


# --- this host


async def test_a_disk_without_room_refuses_before_anything_is_fetched(site: Site) -> None:
    site.limits["disk_reserve_mb"] = 1_048_576
    with pytest.raises(StorageFullError, match="no room"):
        await site.stage()
    assert bundle_path(site) not in site.asked
    with pytest.raises(StorageFullError, match="no room"):
        await site.stage(binary_url=f"{site.url}/x", signature="00")


async def test_a_bundle_over_the_limit_is_not_fetched(tmp_path: Path) -> None:
    async with site_in(tmp_path) as site:
        site.limits["firmware_max_mb"] = 1
        site.repository.release(bundle_of(tmp_path / "big", "0.4.0", 2**20 + 1), "0.4.0")
        assert "firmware_max_mb" in await site.refused(Refusal.TOO_BIG)
        assert bundle_path(site, "0.4.0") not in site.asked


async def test_what_a_crash_left_behind_is_cleared(site: Site) -> None:
    (site.folder / "coming" / "ready").mkdir(parents=True)
    (site.folder / "coming" / "ready" / "bundle.tar").write_bytes(b"half")
    await site.stage()
    assert site.staged() == ["0.3.0"]


async def test_trust_that_was_damaged_is_fetched_again(site: Site) -> None:
    await site.stage()
    for each in (site.folder / "trust").iterdir():
        each.write_bytes(b"\0" * 300_000)
    await site.stage()
    (site.folder / "trust" / "timestamp.json").unlink()
    (site.folder / "trust" / "timestamp.json").mkdir()
    with pytest.raises(StorageFullError):
        await site.stage()


async def test_what_was_staged_before_stays_when_the_next_is_refused(site: Site) -> None:
    await site.stage()
    site.repository.release(b"no bundle at all", "0.4.0")
    await site.refused(Refusal.BAD_BUNDLE)
    assert site.staged() == ["0.3.0"]


# --- a url with a signature


async def test_a_bundle_by_its_url_needs_the_signature_of_a_pinned_key(site: Site) -> None:
    key = Ed25519PrivateKey.generate()
    site.keys = (key.public_key(),)
    bundle = bundle_of(site.place / "wheels", "0.4.0")
    site.repository.files["elsewhere/ready"] = bundle
    order = {
        "binary_url": f"{site.url}/releases/elsewhere/ready",
        "signature": key.sign(bundle).hex(),
    }
    found = await site.stage(**order, md5=hashlib.md5(bundle).hexdigest())
    assert found.version == "0.4.0"
    assert sorted(each.name for each in found.folder.iterdir()) == ["bundle.sig", "bundle.tar"]
    assert not any("metadata" in each for each in site.asked)
    await site.stage(**order, target_version="0.4.0")
    await site.refused(Refusal.NOT_OFFERED, **order, target_version="0.4.1")
    await site.refused(Refusal.MIXED, **order, md5="0" * 32)
    wrong = order | {"signature": Ed25519PrivateKey.generate().sign(bundle).hex()}
    await site.refused(Refusal.BAD_SIGNATURE, **wrong)
    site.keys = ()
    await site.refused(Refusal.BAD_SIGNATURE, **order)
    site.installed = INSTALLED._replace(version="0.4.0")
    site.keys = (key.public_key(),)
    await site.refused(Refusal.NOT_NEWER, **order)
