"""What is believed of a repository whose keys somebody else may hold, without a network: see `tests/agent/update` for that."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import MetaFile

from release.refusals import Refusal, ReleaseRefusedError
from release.trust import ROTATIONS_MAX, SIGNED_AT, Refresh, Trusted
from release.trusted_root import trusted_root
from tests.release.repository import BUILT, NOW, PLATFORM, Repository

A_DAY = timedelta(days=1)


def look(
    repository: Repository,
    *,
    root: bytes | None = None,
    kept: Mapping[str, bytes] | None = None,
    clock: datetime = NOW,
    built_at: datetime = BUILT,
    asked: list[str] | None = None,
) -> Trusted:
    steps = Refresh(
        root or repository.first_root, kept or {}, built_at=built_at, clock=clock
    ).files()
    try:
        wanted = next(steps)
        while True:
            if asked is not None:
                asked.append(wanted.path)
            wanted = steps.send(repository.files.get(f"metadata/{wanted.path}"))
    except StopIteration as end:
        found: Trusted = end.value
        return found


def refused(reason: Refusal, repository: Repository, **how) -> str:
    with pytest.raises(ReleaseRefusedError) as raised:
        look(repository, **how)
    assert raised.value.reason is reason, raised.value
    return str(raised.value)


@pytest.fixture
def repository() -> Repository:
    made = Repository()
    made.release(b"a bundle")
    return made


def test_what_is_signed_by_all_is_believed(repository: Repository) -> None:
    found = look(repository)
    assert found.bundle("0.3.0", PLATFORM).length == 8
    assert sorted(found.files) == ["snapshot.json", "targets.json", "timestamp.json"]
    assert found.clock_doubt is None


def test_what_was_believed_before_is_not_fetched_again(repository: Repository) -> None:
    repository.rotate_root()
    kept = look(repository).files
    asked: list[str] = []
    again = look(repository, kept=kept, asked=asked)
    assert asked == ["3.root.json", "timestamp.json"]
    assert again.files == kept


def test_an_older_repository_is_refused(repository: Repository) -> None:
    old = repository.snapshot_of()
    repository.publish()
    kept = look(repository).files
    refused(Refusal.ROLLED_BACK, old, kept=kept)


def test_an_older_timestamp_is_refused_beside_the_same_snapshot(repository: Repository) -> None:
    old = repository.snapshot_of()
    version = repository.versions["snapshot"]
    repository.stamp(MetaFile.from_data(version, repository.metadata("snapshot.json"), ["sha256"]))
    kept = look(repository).files
    refused(Refusal.ROLLED_BACK, old, kept=kept)


@pytest.mark.parametrize("name", ["snapshot.json", "targets.json"])
def test_an_older_part_of_a_repository_is_refused(name: str, repository: Repository) -> None:
    """Its timestamp is signed by whoever holds the online keys, and goes up."""
    kept_at = repository.snapshot_of()
    repository.publish()
    kept = look(repository).files
    forged = repository.snapshot_of()
    if name == "snapshot.json":
        version = kept_at.versions["snapshot"]
        forged.stamp(MetaFile.from_data(version, kept_at.metadata(name), ["sha256"]))
    else:
        meta = MetaFile.from_data(kept_at.versions["targets"], kept_at.metadata(name), ["sha256"])
        forged.publish(lambda content: _with(content, "snapshot", "meta", {"targets.json": meta}))
    refused(Refusal.ROLLED_BACK, forged, kept=kept)


def _with(content, kind: str, field: str, value) -> None:
    if content.type == kind:
        setattr(content, field, value)


def test_a_repository_that_stands_still_is_refused_once_it_expires(repository: Repository) -> None:
    kept = look(repository).files
    assert look(repository, kept=kept, clock=NOW + 6 * A_DAY).files == kept
    assert "timestamp" in refused(Refusal.EXPIRED, repository, kept=kept, clock=NOW + 8 * A_DAY)


@pytest.mark.parametrize("role", ["root", "targets", "snapshot", "timestamp"])
def test_each_role_expires(role: str) -> None:
    repository = Repository()
    repository.lives[role] = timedelta(hours=1)
    repository.rotate_root()
    repository.publish()
    look(repository)
    assert role in refused(Refusal.EXPIRED, repository, clock=NOW + timedelta(hours=2))


@pytest.mark.parametrize("role", ["targets", "snapshot", "timestamp"])
def test_files_of_two_moments_do_not_mix(role: str, repository: Repository) -> None:
    before = repository.snapshot_of()
    repository.publish()
    name = "timestamp.json" if role == "timestamp" else f"{repository.versions[role]}.{role}.json"
    if role == "timestamp":
        del repository.files[f"metadata/{repository.versions['snapshot']}.snapshot.json"]
        refused(Refusal.MISSING, repository)
        return
    repository.files[f"metadata/{name}"] = before.metadata(f"{role}.json")
    refused(Refusal.MIXED, repository)


@pytest.mark.parametrize("role", ["targets", "snapshot", "timestamp"])
def test_a_key_that_root_does_not_name_counts_for_nothing(
    role: str, repository: Repository
) -> None:
    repository.signers[role] = [CryptoSigner.generate_ed25519()]
    repository.publish()
    refused(Refusal.UNSIGNED, repository)


@pytest.mark.parametrize("role", ["targets", "snapshot", "timestamp"])
def test_the_key_of_one_role_signs_for_no_other(role: str, repository: Repository) -> None:
    other = {"targets": "snapshot", "snapshot": "timestamp", "timestamp": "snapshot"}[role]
    repository.signers[role] = repository.signers[other]
    repository.publish()
    refused(Refusal.UNSIGNED, repository)


def test_too_few_keys_are_too_few_and_one_twice_is_one() -> None:
    repository = Repository()
    keys = [CryptoSigner.generate_ed25519() for _ in range(3)]
    repository.thresholds["targets"] = 2
    repository.rotate_root({"targets": keys})
    repository.publish()
    look(repository)
    repository.signers["targets"] = [keys[0], CryptoSigner.generate_ed25519()]
    repository.publish()
    refused(Refusal.UNSIGNED, repository)
    repository.signers["targets"] = [keys[0], keys[0]]
    repository.publish()
    refused(Refusal.UNSIGNED, repository)


def test_root_is_rotated_several_times_at_once(repository: Repository) -> None:
    for _ in range(5):
        repository.rotate_root(
            {role: [CryptoSigner.generate_ed25519()] for role in repository.signers}
        )
    repository.publish()
    found = look(repository)
    assert [name for name in found.files if "root" in name] == [
        f"{n}.root.json" for n in range(2, 7)
    ]
    middle = repository.files["metadata/4.root.json"]
    assert "4.root.json" not in look(repository, root=middle).files


def test_a_root_is_signed_by_the_one_before_and_by_itself(repository: Repository) -> None:
    old, new = repository.signers["root"], [CryptoSigner.generate_ed25519()]
    for signers in (old, new, [], [CryptoSigner.generate_ed25519()]):
        forged = repository.snapshot_of()
        forged.rotate_root({"root": new}, by=signers)
        forged.publish()
        refused(Refusal.UNSIGNED, forged)
    repository.rotate_root({"root": new}, by=[*old, *new])
    repository.publish()
    look(repository)


def test_no_root_is_left_out_or_taken_twice(repository: Repository) -> None:
    repository.rotate_root()
    repository.rotate_root()
    for place, other in (("2", "3"), ("3", "2"), ("2", "1")):
        forged = repository.snapshot_of()
        forged.files[f"metadata/{place}.root.json"] = repository.files[
            f"metadata/{other}.root.json"
        ]
        refused(Refusal.ROLLED_BACK, forged)


def test_roots_do_not_go_on_for_ever(repository: Repository) -> None:
    for _ in range(ROTATIONS_MAX):
        repository.rotate_root()
    assert "rotated" in refused(Refusal.TOO_BIG, repository)


def test_only_the_last_root_has_to_be_valid(repository: Repository) -> None:
    repository.lives["root"] = timedelta(hours=1)
    repository.rotate_root()
    repository.lives["root"] = timedelta(days=700)
    repository.rotate_root()
    look(repository, clock=NOW + timedelta(hours=2))


def test_keys_that_were_replaced_do_not_sign_any_more(repository: Repository) -> None:
    stolen = list(repository.signers["timestamp"])
    repository.rotate_root({"timestamp": [CryptoSigner.generate_ed25519()]})
    repository.publish()
    look(repository)
    repository.signers["timestamp"] = stolen
    repository.publish()
    refused(Refusal.UNSIGNED, repository)


def test_a_version_far_ahead_is_healed_by_rotating_the_key(repository: Repository) -> None:
    """Who held the key of timestamps once can make agents wait for that version, until the key is replaced."""
    ahead = repository.snapshot_of()
    ahead.versions["timestamp"] = 10**9
    ahead.publish()
    kept = look(ahead).files
    repository.publish()
    refused(Refusal.ROLLED_BACK, repository, kept=kept)
    new = {role: [CryptoSigner.generate_ed25519()] for role in ("timestamp", "snapshot")}
    repository.rotate_root(new)
    repository.publish()
    look(repository, kept=kept)


@pytest.mark.parametrize("year", [1970, 2000, 2099])
def test_a_clock_that_cannot_be_right_is_named_and_not_obeyed(
    year: int, repository: Repository
) -> None:
    found = look(repository, clock=datetime(year, 1, 1, tzinfo=UTC))
    assert found.clock_doubt is not None and f"{year}-01-01" in found.clock_doubt


@pytest.mark.parametrize("year", [1970, 2099])
def test_what_had_expired_before_it_was_signed_again_is_refused_by_any_clock(year: int) -> None:
    """Targets of long ago beside a timestamp of today: today has come, whatever the clock shows."""
    repository = Repository()
    repository.lives["targets"] = timedelta(days=2)
    repository.publish()
    repository.now += 3 * A_DAY
    targets = MetaFile.from_data(
        repository.versions["targets"], repository.metadata("targets.json"), ["sha256"]
    )
    repository.publish(
        lambda content: _with(content, "snapshot", "meta", {"targets.json": targets})
    )
    refused(Refusal.EXPIRED, repository, clock=datetime(year, 1, 1, tzinfo=UTC))


def test_a_clock_of_1970_does_not_keep_old_metadata_alive(repository: Repository) -> None:
    """The release was built after all of it had expired."""
    clock = datetime(1970, 1, 1, tzinfo=UTC)
    later = NOW + 800 * A_DAY
    refused(Refusal.EXPIRED, repository, clock=clock, built_at=later)
    kept = look(repository).files
    repository.now = NOW + 20 * A_DAY
    frozen = repository.snapshot_of()
    frozen.lives["timestamp"] = A_DAY
    frozen.publish()
    kept = look(frozen, kept=kept, clock=repository.now).files
    repository.now += 5 * A_DAY
    repository.publish()
    repository.publish()
    kept = look(repository, kept=kept, clock=clock).files
    refused(Refusal.ROLLED_BACK, frozen, kept=kept, clock=clock)


def test_a_signing_time_that_is_none_is_refused(repository: Repository) -> None:
    late = (NOW + 2000 * A_DAY).isoformat()
    for said in (7, "", "soon", "2026-11-30T12:00:00", late, None, [], {}):
        forged = repository.snapshot_of()
        forged.publish(
            lambda content, said=said: content.unrecognized_fields.update({SIGNED_AT: said})
        )
        if said is None:
            look(forged)
        else:
            refused(Refusal.MALFORMED, forged)


def test_what_is_in_a_file_and_not_signed_is_refused(repository: Repository) -> None:
    """The library has no field for a second snapshot, and leaves it out of what it checks the signature of."""
    found = json.loads(repository.metadata("timestamp.json"))
    found["signed"]["meta"]["other.json"] = {"version": 1}
    repository.files["metadata/timestamp.json"] = json.dumps(found).encode()
    assert "nobody signed" in refused(Refusal.MALFORMED, repository)


def test_a_version_or_platform_that_is_not_signed_for_is_not_offered(
    repository: Repository,
) -> None:
    found = look(repository)
    for version, platform in (("0.3.1", PLATFORM), ("0.3.0", "deb12_amd64")):
        with pytest.raises(ReleaseRefusedError) as raised:
            found.bundle(version, platform)
        assert raised.value.reason is Refusal.NOT_OFFERED


@pytest.mark.parametrize(
    "data", [b"", b"null", b"[]", b"{}", b"<html>", b"\xff\xfe", b"[" * 9000, b'{"signed":' * 900]
)
def test_what_is_no_metadata_is_refused(data: bytes, repository: Repository) -> None:
    for name in ("timestamp.json", "1.snapshot.json", "1.targets.json", "2.root.json"):
        forged = repository.snapshot_of()
        forged.files[f"metadata/{name}"] = data
        is_signed_for = name in ("1.snapshot.json", "1.targets.json")
        refused(Refusal.MIXED if is_signed_for else Refusal.MALFORMED, forged)
    with pytest.raises(ReleaseRefusedError):
        look(repository, root=data or b" ")


def test_the_root_that_a_build_ships_lies_beside_the_code(
    tmp_path: Path, repository: Repository
) -> None:
    assert trusted_root(tmp_path) is None
    (tmp_path / "root.json").write_bytes(repository.first_root)
    shipped = trusted_root(tmp_path)
    assert look(repository, root=shipped).bundle("0.3.0", PLATFORM)
    (tmp_path / "root.json").write_bytes(b" " * 100_000)
    refused(Refusal.MALFORMED, repository, root=trusted_root(tmp_path))
