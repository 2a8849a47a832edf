"""Fetching and staging over real HTTP, from a repository that is as bad as it likes."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner

from agent.config.firmware import FirmwareSection
from agent.firmware.download import WebDownloader
from agent.firmware.servers import FileServers
from agent.update.staging import ReleaseSource, StagedRelease, Staging
from contract.clock import BootTime
from contract.errors import BadFirmwareError, PolicyRefusedError, StorageFullError, UnreachableError
from contract.task import SelfUpdateParams
from release.refusals import Refusal, ReleaseRefusedError
from tests.agent.firmware.test_download_reach import identity
from tests.agent.link.test_client import served
from tests.agent.policies import policy_with
from tests.release.workshop import INSTALLED, NOW, Repository, bundle_of, sha256

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
A_DAY = timedelta(days=1)


class FixedClock:
    """Shows what it is set to."""

    def __init__(self) -> None:
        self.shown = NOW

    def now(self) -> datetime:
        return self.shown

    def mono(self) -> float:
        return asyncio.get_running_loop().time()

    def boot(self) -> BootTime:
        return BootTime("one boot", self.mono())

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass
class Site:
    """A repository behind a web server, and an agent's folder of updates."""

    place: Path
    repository: Repository = field(default_factory=Repository)
    answers: dict[str, Answer] = field(default_factory=dict)  # instead of a file, by its path
    asked: list[str] = field(default_factory=list)
    clock: FixedClock = field(default_factory=FixedClock)
    limits: dict[str, int] = field(default_factory=dict)
    channel: str = "stable"
    installed = INSTALLED
    keys: tuple = ()
    ca_file: Path | None = None  # of the host's many each fetch would read them all
    url: str = ""

    @property
    def folder(self) -> Path:
        return self.place / "state" / "update"

    async def give(self, request: web.Request) -> web.StreamResponse:
        path = request.path.removeprefix("/releases/")
        self.asked.append(path)
        if path in self.answers:
            return await self.answers[path](request)
        if path not in self.repository.files:
            return web.Response(status=404)
        return web.Response(body=self.repository.files[path])

    def staging(self, *allowed: str) -> Staging:
        servers = FileServers(
            FirmwareSection(allowed=allowed or ("127.0.0.1",)), cloud_url=None, local=lambda: ()
        )
        self.folder.parent.mkdir(exist_ok=True)
        source = ReleaseSource(
            f"{self.url}/releases/",
            self.channel,
            self.repository.anchors(keys=self.keys),
            self.installed,
        )
        return Staging(
            self.folder,
            source,
            WebDownloader(servers, ca_file=self.ca_file),
            lambda: policy_with(**self.limits),
            self.clock,
        )

    async def stage(self, **order: str) -> StagedRelease:
        return await self.staging().stage(SelfUpdateParams(**order))

    async def refused(self, reason: Refusal, **order: str) -> str:
        """Nothing but what is believed of metadata is left behind."""
        before = self.staged()
        with pytest.raises(ReleaseRefusedError) as raised:
            await self.stage(**order)
        assert raised.value.reason is reason, raised.value
        assert self.staged() == before
        return str(raised.value)

    def staged(self) -> list[str]:
        assert {each.name for each in self.folder.glob("*")} <= {"staged", "trust"}
        assert [each.name for each in self.folder.parent.glob("*")] in ([], ["update"])
        return sorted(each.name for each in (self.folder / "staged").glob("*"))


@asynccontextmanager
async def site_in(place: Path, **more) -> AsyncIterator[Site]:
    site = Site(place, **more)
    site.repository.release(bundle_of(place / "wheels"))
    async with served(site.give) as site.url:
        yield site


@pytest.fixture(scope="module")
def ca_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return identity(tmp_path_factory.mktemp("ca"), "releases.test")[0]


@pytest.fixture
async def site(tmp_path: Path, ca_file: Path) -> AsyncIterator[Site]:
    async with site_in(tmp_path, ca_file=ca_file) as site:
        yield site


def bundle_path(site: Site, version: str = "0.3.0") -> str:
    """Where the web server has the bundle."""
    (path,) = [p for p in site.repository.files if p.endswith(f"agent-{version}-deb12_arm64.tar")]
    return path


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


# --- attacks on the repository


async def test_rollback(site: Site) -> None:
    old = site.repository.snapshot_of()
    site.repository.publish()
    await site.stage()
    site.repository = old
    await site.refused(Refusal.ROLLED_BACK)


async def test_freeze(site: Site) -> None:
    await site.stage()
    site.clock.shown = NOW + 8 * A_DAY
    await site.refused(Refusal.EXPIRED)
    site.repository.now = site.clock.shown
    site.repository.publish()
    await site.stage()


async def test_mix_and_match(site: Site) -> None:
    old = site.repository.snapshot_of()
    site.repository.publish()
    for name in ("snapshot", "targets"):
        path = f"metadata/2.{name}.json"
        kept, site.repository.files[path] = (
            site.repository.files[path],
            old.metadata(f"{name}.json"),
        )
        await site.refused(Refusal.MIXED)
        site.repository.files[path] = kept
    await site.stage()


@pytest.mark.parametrize(
    "path",
    ["timestamp.json", "1.snapshot.json", "1.targets.json", "2.root.json", "channel", "bundle"],
)
async def test_endless_data(path: str, site: Site) -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 65536)
                sent += 65536
        except ConnectionError:
            return response

    site.answers[_path(site, path)] = endless
    await site.refused(Refusal.TOO_BIG)
    assert sent < 16 * 2**20


def _path(site: Site, name: str) -> str:
    if name == "bundle":
        return bundle_path(site)
    if name == "channel":
        (path,) = [each for each in site.repository.files if each.endswith("stable.json")]
        return path
    return f"metadata/{name}"


@pytest.mark.parametrize("path", ["timestamp.json", "1.targets.json", "bundle"])
async def test_a_slow_drip_ends_at_the_deadline(path: str, site: Site) -> None:
    """A byte now and then, so that no pause is ever long."""

    async def drip(request: web.Request) -> web.StreamResponse:
        whole = site.repository.files[_path(site, path)]
        response = web.StreamResponse(headers={"Content-Length": str(len(whole))})
        await response.prepare(request)
        try:
            for at in range(len(whole)):
                await response.write(whole[at : at + 1])
                await asyncio.sleep(20)
        except ConnectionError:
            pass
        return response

    site.answers[_path(site, path)] = drip
    begun = site.clock.mono()
    with pytest.raises(UnreachableError, match="did not come within"):
        await site.stage()
    assert site.clock.mono() - begun < 700
    assert site.staged() == []


async def test_wrong_keys(site: Site) -> None:
    for role in ("targets", "snapshot", "timestamp"):
        right = site.repository.signers[role]
        site.repository.signers[role] = [CryptoSigner.generate_ed25519()]
        site.repository.publish()
        await site.refused(Refusal.UNSIGNED)
        site.repository.signers[role] = right


async def test_too_few_keys(tmp_path: Path) -> None:
    repository = Repository()
    keys = [CryptoSigner.generate_ed25519() for _ in range(2)]
    repository.thresholds["targets"] = 2
    repository.rotate_root({"targets": keys})
    async with site_in(tmp_path, repository=repository) as site:
        await site.stage()
        repository.signers["targets"] = keys[:1]
        repository.publish()
        await site.refused(Refusal.UNSIGNED)


async def test_an_expired_root(site: Site) -> None:
    site.clock.shown = NOW + 701 * A_DAY
    site.repository.now = site.clock.shown
    site.repository.publish()
    assert "root" in await site.refused(Refusal.EXPIRED)
    site.repository.rotate_root()
    await site.stage()


async def test_root_rotation_several_at_once(site: Site) -> None:
    await site.stage()
    for _ in range(4):
        site.repository.rotate_root(
            {role: [CryptoSigner.generate_ed25519()] for role in site.repository.signers}
        )
    site.repository.publish()
    found = await site.stage()
    assert sorted(each.name for each in found.folder.glob("*root*")) == [
        f"{each}.root.json" for each in range(2, 6)
    ]
    site.asked.clear()
    await site.stage()
    assert [each for each in site.asked if "root" in each] == ["metadata/6.root.json"]


@pytest.mark.parametrize("year", [1970, 2099])
async def test_a_clock_that_cannot_be_right(year: int, site: Site) -> None:
    site.clock.shown = datetime(year, 1, 1, tzinfo=UTC)
    found = await site.stage()
    assert found.clock_doubt is not None and f"{year}-01-01" in found.clock_doubt


@pytest.mark.parametrize(
    "path", ["timestamp.json", "1.snapshot.json", "2.root.json", "channel", "bundle"]
)
async def test_a_page_instead_of_a_file(path: str, site: Site) -> None:
    """As a captive portal answers whatever is asked for."""

    async def page(_request: web.Request) -> web.Response:
        return web.Response(text="<html><body>Log in</body></html>", content_type="text/html")

    site.answers[_path(site, path)] = page
    with pytest.raises((ReleaseRefusedError, BadFirmwareError)) as raised:
        await site.stage()
    expected = {"channel": "bad_firmware", "bundle": "bad_firmware", "1.snapshot.json": "mixed"}
    found = getattr(raised.value, "reason", None) or raised.value.code
    assert found == expected.get(path, "malformed")
    assert site.staged() == []


async def test_a_redirect_is_followed_only_to_where_files_may_come_from(site: Site) -> None:
    async def away(_request: web.Request) -> web.Response:
        raise web.HTTPFound("http://127.0.0.2:9/timestamp.json")

    site.answers["metadata/timestamp.json"] = away
    with pytest.raises(PolicyRefusedError):
        await site.stage()

    async def aside(_request: web.Request) -> web.Response:
        raise web.HTTPFound(f"{site.url}/releases/metadata/elsewhere")

    site.answers["metadata/timestamp.json"] = aside
    site.repository.files["metadata/elsewhere"] = site.repository.metadata("timestamp.json")
    assert (await site.stage()).version == "0.3.0"


async def test_a_server_that_the_config_does_not_allow_is_not_asked(site: Site) -> None:
    with pytest.raises(PolicyRefusedError):
        await site.staging("10.0.0.0/8").stage(SelfUpdateParams())
    assert site.asked == []


async def test_a_missing_file_is_missing(site: Site) -> None:
    for name in ("timestamp.json", "1.snapshot.json", "channel", "bundle"):
        path = _path(site, name)
        kept = site.repository.files.pop(path)
        await site.refused(Refusal.MISSING)
        site.repository.files[path] = kept


async def test_what_is_signed_is_no_path_on_this_host(site: Site) -> None:
    """Even whoever holds the keys of targets writes nowhere else."""
    for version in ("../../0.9.0", "/tmp/0.9.0", "0.9.0/..", "0.9.0\0"):
        path = f"bundles/miner-agent-{version}-deb12_arm64.tar"
        bundles = json.dumps({"version": version, "bundles": {"deb12_arm64": path}})
        site.repository.offer(path, b"x")
        site.repository.offer("channels/stable.json", bundles.encode())
        site.repository.publish()
        await site.refused(Refusal.MALFORMED)
    assert sorted(each.name for each in site.place.iterdir()) == ["state", "wheels"]


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
