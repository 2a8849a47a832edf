"""From keys to an agent that takes the release, by the commands of docs/releases.md."""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from typer.testing import CliRunner

from cloud.cli.host.release import releases
from cloud.release.documents import newest
from cloud.release.online import OnlineRepository
from cloud.release.renewal import Renewal
from contract.clock import SystemClock
from release.refusals import Refusal, ReleaseRefusedError
from release.trust import Refresh, Trusted
from service.files import FolderLock
from tests.cloud.test_cli import run
from tests.release.repository import PLATFORM, bundle_of

A_DAY = timedelta(days=1)


class Desk:
    """An offline machine, a control plane's folder, and what an agent makes of what is published."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.keys, self.data, self.folder = place / "keys", place / "data", place / "folder"
        self.online = place / "online.json"
        self.data.mkdir(exist_ok=True)

    def __call__(self, *words: object, status: int = 0) -> str:
        """Without the commands that have nothing to do with it: each call would make them all."""
        done = CliRunner().invoke(releases, [*map(str, words)])
        assert done.exit_code == status, (done.output, done.exception)
        return done.stdout + done.stderr

    def offline(self, *words: object, status: int = 0) -> str:
        return self(*words, "--folder", self.folder, "--keys", self.keys, status=status)

    def begin(self, *options: object) -> None:
        self("keygen", "--keys", self.keys, "--plain", *options)
        self.online_keys()
        self.offline("rotate-root", "--online", self.online)

    def online_keys(self) -> None:
        self.online.write_text(self("keygen", "--data", self.data, "--json"))

    def publish(self, status: int = 0) -> str:
        return self("publish", self.folder, "--data", self.data, status=status)

    def bundle(self, version: str, platform: str = PLATFORM) -> Path:
        path = self.place / f"{version}-{platform}.tar"
        path.write_bytes(bundle_of(self.place / "wheels", version, platform=platform))
        return path

    def release(self, version: str) -> None:
        self.offline("sign", self.bundle(version))
        self.offline("promote", "stable", version)
        self.publish()

    @property
    def metadata(self) -> Path:
        return self.data / "release" / "repository" / "metadata"

    def seen(self, kept: Mapping[str, bytes] | None = None, *, root: int = 1) -> Trusted:
        now = datetime.now(UTC)
        trusted = (self.metadata / f"{root}.root.json").read_bytes()
        steps = Refresh(trusted, kept or {}, built_at=now - A_DAY, clock=now).files()
        try:
            wanted = next(steps)
            while True:
                path = self.metadata / wanted.path
                wanted = steps.send(path.read_bytes() if path.exists() else None)
        except StopIteration as end:
            found: Trusted = end.value
            return found


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = Desk(tmp_path)
    made.begin()
    return made


def test_a_release_is_signed_promoted_and_published(desk: Desk) -> None:
    bundles = [desk.bundle("0.3.0"), desk.bundle("0.3.0", "deb13_amd64")]
    assert desk.offline("sign", *bundles).split() == [
        "miner-agent-0.3.0-deb12_arm64.tar",
        "miner-agent-0.3.0-deb13_amd64.tar",
    ]
    assert "deb12_arm64, deb13_amd64" in desk.offline("promote", "canary", "0.3.0")
    desk.publish()
    target = desk.seen().bundle("0.3.0", PLATFORM)
    stored = (
        desk.data
        / "release/repository/targets/bundles"
        / (f"{target.hashes['sha256']}.miner-agent-0.3.0-deb12_arm64.tar")
    )
    assert stored.read_bytes() == bundles[0].read_bytes()


def test_private_keys_are_closed_and_public_files_are_not(desk: Desk) -> None:
    desk.release("0.3.0")
    private = [*desk.keys.iterdir(), *(desk.data / "release" / "keys").iterdir()]
    assert len(private) == 4
    assert {stat.S_IMODE(each.stat().st_mode) for each in private} == {0o600}
    shown = [each for each in (desk.data / "release" / "repository").rglob("*") if each.is_file()]
    assert b"PRIVATE" not in b"".join(each.read_bytes() for each in shown)
    assert b"PRIVATE" not in b"".join(p.read_bytes() for p in desk.folder.rglob("*") if p.is_file())


def test_lost_keys_of_the_control_plane_are_made_again_as_it_says(desk: Desk) -> None:
    desk.release("0.3.0")
    for each in (desk.data / "release" / "keys").iterdir():
        each.unlink()
    said = desk.publish(status=1)
    assert "`release keygen --data`" in said
    assert "`release rotate-root --online`" in said
    desk.online_keys()
    desk.offline("rotate-root", "--old-keys", desk.keys, "--online", desk.online)
    desk.publish()
    assert (desk.metadata / "2.root.json").exists()
    desk.seen()


def test_keys_may_be_encrypted(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    words = tmp_path / "passphrase"
    words.write_text("five random words of ours\n")
    words.chmod(0o600)
    desk("keygen", "--keys", desk.keys, "--passphrase-file", words)
    with pytest.raises(TypeError):
        load_pem_private_key((desk.keys / "root-1.pem").read_bytes(), None)
    desk.online_keys()
    again = ("--passphrase-file", words)
    other = tmp_path / "other"
    other.write_text("five other words of ours\n")
    other.chmod(0o600)
    desk("keygen", "--keys", tmp_path / "new", "--passphrase-file", other)
    said = desk.offline("rotate-root", "--online", desk.online, *again)
    assert f"{desk.folder}/metadata/1.root.json first: packages are built with it" in said
    desk.offline("sign", desk.bundle("0.3.0"), *again)
    assert "no terminal" in desk.offline("sign", status=2)
    rotate = ("rotate-root", "--folder", desk.folder, "--keys", tmp_path / "new")
    rotate += ("--old-keys", desk.keys, "--passphrase-file", other)
    assert "not its own" in desk(*rotate, status=1)
    desk(*rotate, "--old-passphrase-file", words)
    words.write_text("other words, as many characters")
    assert "passphrase is not its own" in desk.offline("sign", *again, status=1)
    words.write_text("short")
    assert "20 characters" in desk("keygen", "--keys", tmp_path / "b", *again, status=1)
    words.chmod(0o644)
    assert f"chmod 0600 {words}" in desk("keygen", "--keys", tmp_path / "b", *again, status=2)


def test_a_key_that_lies_open_is_not_used(desk: Desk) -> None:
    (desk.keys / "targets-1.pem").chmod(0o644)
    assert "chmod 0600" in desk.offline("sign", status=1)


def test_a_misspelt_data_folder_is_not_made(tmp_path: Path, desk: Desk) -> None:
    wrong = tmp_path / "dato"
    for words in (("keygen",), ("renew",), ("publish", desk.folder)):
        assert "dato" in desk(*words, "--data", wrong, status=1)
    assert not wrong.exists()


def test_no_key_is_written_over(desk: Desk) -> None:
    before = (desk.keys / "root-1.pem").read_bytes()
    assert "exists already" in desk("keygen", "--keys", desk.keys, "--plain", status=1)
    assert (desk.keys / "root-1.pem").read_bytes() == before


def test_what_is_no_bundle_is_not_signed(desk: Desk) -> None:
    bad = desk.place / "bad.tar"
    bad.write_bytes(desk.bundle("0.3.0").read_bytes()[:-700])
    assert "bad.tar" in desk.offline("sign", bad, status=1)
    assert newest(desk.folder / "metadata", "targets") == 1


def test_a_version_has_one_content(desk: Desk) -> None:
    desk.offline("sign", desk.bundle("0.3.0"))
    (desk.place / "wheels" / "part0-1.0-py3-none-any.whl").write_bytes(b"")
    other = desk.place / "other.tar"
    other.write_bytes(bundle_of(desk.place / "wheels", "0.3.0", 5, 6))
    assert "new version" in desk.offline("sign", other, status=1)
    desk.offline("sign", desk.place / f"0.3.0-{PLATFORM}.tar")  # the same again


def test_what_is_not_signed_is_not_promoted(desk: Desk) -> None:
    assert "release sign" in desk.offline("promote", "stable", "0.3.0", status=1)
    desk.offline("sign", desk.bundle("0.3.0"))
    assert "stable and canary" in desk.offline("promote", "nightly", "0.3.0", status=1)


def test_a_bad_release_is_dropped(desk: Desk) -> None:
    desk.release("0.3.0")
    desk.release("0.4.0")
    assert "promote another" in desk.offline("drop", "0.4.0", status=1)
    desk.offline("promote", "stable", "0.3.0")
    assert "0.4.0" in desk.offline("drop", "0.4.0")
    desk.publish()
    with pytest.raises(ReleaseRefusedError) as raised:
        desk.seen().bundle("0.4.0", PLATFORM)
    assert raised.value.reason is Refusal.NOT_OFFERED
    bundles = desk.data / "release/repository/targets/bundles"
    assert [each.name.partition(".")[2] for each in bundles.iterdir()] == [
        "miner-agent-0.3.0-deb12_arm64.tar"
    ]


def test_every_key_is_rotated(desk: Desk) -> None:
    desk.release("0.3.0")
    kept = desk.seen().files
    new = desk.place / "new"
    desk("keygen", "--keys", new, "--plain", "--root", 2, "--targets", 2)
    desk.online_keys()
    words = ("rotate-root", "--folder", desk.folder, "--keys", new, "--online", desk.online)
    thresholds = ("--root-threshold", 2, "--targets-threshold", 2)
    assert "--old-keys" in desk(*words, *thresholds, status=1)
    assert newest(desk.folder / "metadata", "root") == 1
    desk(*words, *thresholds, "--old-keys", desk.keys)
    desk.publish()
    found = desk.seen(kept)
    assert "2.root.json" in found.files
    assert found.bundle("0.3.0", PLATFORM).length
    assert "not signed by 2" in desk.offline("sign", status=1)  # the old keys
    desk.keys = new
    desk.release("0.4.0")
    assert desk.seen(found.files).bundle("0.4.0", PLATFORM).length
    (new / "root-2.pem").unlink()
    assert "cannot need 2 of 1" in desk.offline("rotate-root", *thresholds, status=1)


def test_root_is_rotated_without_the_keys_of_targets(desk: Desk) -> None:
    desk.release("0.3.0")
    new = desk.place / "new"
    desk("keygen", "--keys", new, "--plain")
    (new / "targets-1.pem").unlink()
    desk("rotate-root", "--folder", desk.folder, "--keys", new, "--old-keys", desk.keys)
    desk.publish()
    desk.offline("sign")
    desk.publish()
    assert desk.seen().bundle("0.3.0", PLATFORM).length


def test_lost_online_keys_are_replaced_by_a_root(desk: Desk) -> None:
    desk.release("0.3.0")
    for each in (desk.data / "release" / "keys").iterdir():
        each.unlink()
    assert "release keygen" in desk.publish(status=1)
    desk.online_keys()
    desk.offline("rotate-root", "--old-keys", desk.keys, "--online", desk.online)
    desk.publish()
    assert desk.seen().bundle("0.3.0", PLATFORM).length


def test_an_older_folder_is_not_published(desk: Desk) -> None:
    desk.release("0.3.0")
    (desk.folder / "metadata" / "3.targets.json").unlink()
    assert "older" in desk.publish(status=1)


def test_another_repository_does_not_take_the_place_of_the_first(desk: Desk) -> None:
    """Agents would be lost that trust the first root."""
    desk.release("0.3.0")
    (desk.place / "other").mkdir()
    other = Desk(desk.place / "other")
    other.data = desk.data
    other.begin()
    for version in range(4, 7):
        other.offline("sign", other.bundle(f"0.{version}.0"))
    assert "another 1.root.json" in other.publish(status=1)
    assert desk.seen().bundle("0.3.0", PLATFORM)


def test_what_no_agent_would_believe_is_not_published(desk: Desk) -> None:
    desk.release("0.3.0")
    before = {each.name: each.read_bytes() for each in desk.metadata.iterdir()}
    (desk.place / "forged").mkdir()
    forged = Desk(desk.place / "forged")
    forged.begin()
    for _ in range(4):
        forged.offline("sign")
    data = (forged.folder / "metadata" / "5.targets.json").read_bytes()
    (desk.folder / "metadata" / "5.targets.json").write_bytes(data)
    assert "no agent would believe" in desk.publish(status=1)
    assert {each.name: each.read_bytes() for each in desk.metadata.iterdir()} == before


def test_a_bundle_that_is_not_there_or_was_damaged_is_not_published(desk: Desk) -> None:
    desk.offline("sign", desk.bundle("0.3.0"))
    (path,) = (desk.folder / "targets" / "bundles").iterdir()
    whole = path.read_bytes()
    path.unlink()
    assert path.name in desk.publish(status=1)
    path.write_bytes(whole[:-1] + b"x")
    assert "not the file that was signed for" in desk.publish(status=1)
    assert not desk.metadata.exists()
    path.write_bytes(whole)
    desk.publish()


def test_two_do_not_sign_at_one_time(desk: Desk) -> None:
    desk.release("0.3.0")
    lock = FolderLock(desk.data / "release" / "lock", "")
    lock.take()
    assert "another process" in desk.publish(status=1)
    assert "another process" in desk("renew", "--data", desk.data, status=1)
    lock.release()
    desk.publish()


def test_timestamp_and_snapshot_are_renewed_and_only_when_they_are_due(desk: Desk) -> None:
    desk.release("0.3.0")
    published = OnlineRepository(desk.data)
    now = datetime.now(UTC)
    assert not published.renew(now + timedelta(hours=20))
    assert "nothing is due" in desk("renew", "--data", desk.data)
    days, snapshots = 0, newest(desk.metadata, "snapshot")
    while newest(desk.metadata, "snapshot") == snapshots:
        days += 1
        assert published.renew(now + days * A_DAY)
    assert days == 15  # of 30, once less than half are left
    for day in range(days, 250, 9):
        published.renew(now + day * A_DAY)
    assert len(list(desk.metadata.glob("*.snapshot.json"))) == 8
    steps = Refresh(
        (desk.metadata / "1.root.json").read_bytes(), {}, built_at=now, clock=now + 250 * A_DAY
    ).files()
    wanted = next(steps)
    with pytest.raises(StopIteration):
        while True:
            path = desk.metadata / wanted.path
            wanted = steps.send(path.read_bytes() if path.exists() else None)


def test_a_clock_that_went_back_signs_nothing(desk: Desk) -> None:
    desk.release("0.3.0")
    with pytest.raises(ValueError, match="1970-01-01"):
        OnlineRepository(desk.data).renew(datetime(1970, 1, 1, tzinfo=UTC))


def test_what_only_offline_keys_can_renew_is_told_in_time(desk: Desk) -> None:
    desk.release("0.3.0")
    published, now = OnlineRepository(desk.data), datetime.now(UTC)
    assert published.ends_soon(now) == []
    assert [kind for kind, _ in published.ends_soon(now + 320 * A_DAY)] == ["targets"]
    assert [kind for kind, _ in published.ends_soon(now + 700 * A_DAY)] == ["root", "targets"]


async def test_serving_renews_what_is_there_and_minds_nothing_that_is_not(desk: Desk) -> None:
    class Tomorrow(SystemClock):
        def now(self) -> datetime:
            return super().now() + 2 * A_DAY

    renewal = Renewal(desk.data, Tomorrow())
    await renewal.once()
    assert not desk.metadata.exists()
    desk.release("0.3.0")
    before = (desk.metadata / "timestamp.json").read_bytes()
    await renewal.once()
    after = (desk.metadata / "timestamp.json").read_bytes()
    assert json.loads(after)["signed"]["version"] == json.loads(before)["signed"]["version"] + 1
    for each in (desk.data / "release" / "keys").iterdir():
        each.write_text("damaged")
    await Renewal(desk.data, SystemClock()).once()
    assert (desk.metadata / "timestamp.json").read_bytes() == after


def test_the_commands_are_among_those_of_the_control_plane(tmp_path: Path) -> None:
    out, _ = run("release", "keygen", "--data", str(tmp_path), "--json")
    assert sorted(json.loads(out)) == ["snapshot", "timestamp"]


def test_keygen_is_either_offline_or_online(desk: Desk) -> None:
    assert "either" in desk("keygen", status=2)
    assert "either" in desk("keygen", "--keys", desk.keys, "--data", desk.data, status=2)


@pytest.mark.parametrize("text", ["", "{}", '{"snapshot": "00", "timestamp": "00"}', "[]"])
def test_public_keys_that_are_none_are_refused(text: str, desk: Desk) -> None:
    desk.online.write_text(text)
    said = desk.offline("rotate-root", "--old-keys", desk.keys, "--online", desk.online, status=1)
    assert "keygen" in said
