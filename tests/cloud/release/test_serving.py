"""The repository over HTTP: files by their names, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config.firmware import FirmwareSection
from agent.firmware.download import WebDownloader
from agent.firmware.servers import FileServers
from agent.update.staging import ReleaseSource, Staging
from contract.clock import SystemClock
from contract.link import RELEASES
from contract.task import SelfUpdateParams
from release.verification import Anchors
from tests.agent.policies import policy_with
from tests.cloud.conftest import Cloud
from tests.cloud.release.test_commands import Desk
from tests.release.repository import INSTALLED

NO_FILES = (
    "",
    "metadata",
    "metadata/",
    "targets/bundles/",
    "targets",
    "keys/",
    "metadata/..%2F..%2Fkeys",
    "metadata/%2E%2E/%2E%2E/keys/",
    "targets/bundles/..%2F..%2F..%2F..%2Fcloud.db",
    "targets/..%2F..%2Fkeys/x",
    "metadata/1.root.json%00",
    "metadata/1.root.json%0A",
    "metadata/2.root.json",
    "metadata/root.json",
    "metadata/timestamp.json.new",
    "targets/other/" + "0" * 64 + ".x",
)


@pytest.fixture
def desk(cloud: Cloud, tmp_path: Path) -> Desk:
    (tmp_path / "offline").mkdir()
    made = Desk(tmp_path / "offline")
    made.data = cloud.settings.data
    made.begin()
    made.release("0.3.0")
    return made


async def asked(cloud: Cloud, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes]:
    url = f"{cloud.base}{RELEASES}/{path}"
    async with cloud.http.request(method, url, headers=headers, allow_redirects=False) as response:
        return response.status, await response.read()


def bundle_path(desk: Desk) -> tuple[str, bytes]:
    (path,) = (desk.data / "release/repository/targets/bundles").iterdir()
    return f"targets/bundles/{path.name}", path.read_bytes()


async def test_nobody_needs_a_key_to_read_what_is_signed(cloud: Cloud, desk: Desk) -> None:
    for name in ("timestamp.json", "1.root.json", "1.snapshot.json"):
        assert await asked(cloud, f"metadata/{name}") == (200, (desk.metadata / name).read_bytes())
    path, content = bundle_path(desk)
    assert await asked(cloud, path) == (200, content)


async def test_a_range_may_be_asked_for_and_only_one(cloud: Cloud, desk: Desk) -> None:
    path, content = bundle_path(desk)
    assert await asked(cloud, path, Range="bytes=512-1023") == (206, content[512:1024])
    assert await asked(cloud, path, Range="bytes=-512") == (206, content[-512:])
    for wrong in ("bytes=0-1,4-5", f"bytes={len(content)}-", "bytes=0-0,-1" + ",0-0" * 500):
        assert (await asked(cloud, path, Range=wrong))[0] == 416


async def test_there_is_only_get(cloud: Cloud, desk: Desk) -> None:
    before = (desk.metadata / "timestamp.json").read_bytes()
    for method in ("HEAD", "POST", "PUT", "DELETE", "PATCH"):
        assert (await asked(cloud, "metadata/timestamp.json", method))[0] == 405
    assert (desk.metadata / "timestamp.json").read_bytes() == before


async def test_there_is_no_listing_and_no_way_out(cloud: Cloud, desk: Desk) -> None:
    for path in NO_FILES:
        assert (await asked(cloud, path))[0] == 404, path


async def test_no_link_is_followed(cloud: Cloud, desk: Desk) -> None:
    (desk.metadata / "7.root.json").symlink_to(desk.keys / "root-1.pem")
    assert (await asked(cloud, "metadata/7.root.json"))[0] == 404


async def test_an_agent_stages_what_is_published(cloud: Cloud, desk: Desk, tmp_path: Path) -> None:
    servers = FileServers(FirmwareSection(), cloud_url=cloud.base)  # its own cloud needs no entry
    source = ReleaseSource(
        f"{cloud.base}{RELEASES}",
        "stable",
        Anchors((desk.metadata / "1.root.json").read_bytes()),
        INSTALLED,
    )
    staging = Staging(
        tmp_path / "update", source, WebDownloader(servers), policy_with, SystemClock()
    )
    found = await staging.stage(SelfUpdateParams())
    assert (found.folder / "bundle.tar").read_bytes() == bundle_path(desk)[1]
    desk.offline("rotate-root", "--old-keys", desk.keys)
    desk.release("0.4.0")
    assert (await staging.stage(SelfUpdateParams())).version == "0.4.0"


async def test_a_cloud_without_releases_has_none(cloud: Cloud) -> None:
    assert (await asked(cloud, "metadata/timestamp.json"))[0] == 404
