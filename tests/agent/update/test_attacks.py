"""A repository over real HTTP that is as bad as it likes."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from securesystemslib.signer import CryptoSigner

from contract.errors import BadFirmwareError, PolicyRefusedError, UnreachableError
from contract.task import SelfUpdateParams
from release.refusals import Refusal, ReleaseRefusedError
from tests.agent.update.site import Site, bundle_path, site_in
from tests.release.mutations import FILES, ROLES, Mutations
from tests.release.repository import NOW, Repository

A_DAY = timedelta(days=1)


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


@pytest.mark.parametrize("number", [25, pytest.param(300, marks=pytest.mark.slow)])
async def test_whatever_is_changed_nothing_is_written_elsewhere(number: int, site: Site) -> None:
    """Over HTTP, with all that staging writes."""
    aside = site.place / "mutations"
    aside.mkdir()
    made = Mutations(aside, 3)
    made.close()
    known = re.compile(
        r"trust(/[a-z0-9.]+\.json)?|staged(/[0-9.]+(/(bundle\.tar|[a-z0-9.]+\.json))?)?"
    )
    for turn in range(number):
        name = made.random.choice(FILES)
        site.repository = made.repository.snapshot_of()
        if name in ROLES:
            role = ROLES[name]
            number_of = "" if role == "timestamp" else f"{site.repository.versions[role]}."
            path = f"metadata/{number_of}{role}.json"
            whole = site.repository.files[path]
            site.repository.files[path], _ = made.changed_metadata(name, whole)
        else:
            site.repository.release(made.changed_bundle(name), f"1.{turn}.0")
        with suppress(ReleaseRefusedError):
            await site.stage()
        found = [each.relative_to(site.folder).as_posix() for each in site.folder.rglob("*")]
        assert [each for each in found if not known.fullmatch(each)] == []
        shutil.rmtree(site.folder)
    assert {each.name for each in site.place.iterdir()} == {"mutations", "state", "wheels"}
