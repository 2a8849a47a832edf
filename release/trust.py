"""Which metadata of a release repository is believed: the rules of TUF, as ngclient has them, without its input and
output.

Whoever drives `Refresh.files` is asked for one file after the other and hands its bytes back, or `None` where there is
none: the agent fetches them under its own rules, the check of a staged copy reads them from a folder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Final, NamedTuple

from tuf.api.exceptions import (
    BadVersionNumberError,
    EqualVersionNumberError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    RepositoryError,
    UnsignedMetadataError,
)
from tuf.api.metadata import Signed, TargetFile
from tuf.ngclient._internal.trusted_metadata_set import TrustedMetadataSet
from tuf.ngclient.config import EnvelopeType

from release.manifest import bundle_name
from release.moment import Moment
from release.refusals import Refusal, ReleaseRefusedError

TIMESTAMP: Final = "timestamp.json"
SNAPSHOT: Final = "snapshot.json"
TARGETS: Final = "targets.json"
# Parsing takes about twenty times as much memory.
ROOT_BYTES: Final = 64 * 1024
TIMESTAMP_BYTES: Final = 16 * 1024
SNAPSHOT_BYTES: Final = 64 * 1024
TARGETS_BYTES: Final = 192 * 1024
ROTATIONS_MAX: Final = 64  # of root, in one refresh
SIGNED_AT: Final = "signed_at"  # ours, in all metadata; see `release.moment`

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_REASONS: Final[tuple[tuple[type[RepositoryError], Refusal, str], ...]] = (
    (UnsignedMetadataError, Refusal.UNSIGNED, "has fewer good signatures than it needs"),
    (ExpiredMetadataError, Refusal.EXPIRED, "has expired"),
    (BadVersionNumberError, Refusal.ROLLED_BACK, "has another version than it may have"),
    (LengthOrHashMismatchError, Refusal.MIXED, "is not the file that was signed for"),
    (RepositoryError, Refusal.MALFORMED, "is no metadata of a release"),
)


class WantedFile(NamedTuple):
    """A file of metadata: its name in the repository, how it is called where it is kept, and its most bytes."""

    path: str
    kept_as: str
    most: int


class Refresh:
    """One look at a repository, from a root that is trusted to targets that are."""

    def __init__(
        self, trusted_root: bytes, kept: Mapping[str, bytes], *, built_at: datetime, clock: datetime
    ) -> None:
        """`kept` is what `Trusted.files` held last time, by name; what does not verify any more is passed over. Raises
        ReleaseRefusedError for a root that is none.
        """
        self._moment = Moment(clock, built_at)
        self._kept = kept
        self._files: dict[str, bytes] = {}
        with _refused("the trusted root"):
            self._set = TrustedMetadataSet(trusted_root, EnvelopeType.METADATA)
            self._seen(self._set.root, trusted_root)

    def files(self) -> Generator[WantedFile, bytes | None, Trusted]:
        """Asks for files and is sent them; returns what is trusted then. Raises ReleaseRefusedError."""
        yield from self._roots()
        yield from self._timestamp()
        yield from self._snapshot()
        yield from self._targets()
        for name, signed in self._roles():
            if signed.is_expired(self._moment.now):
                raise ReleaseRefusedError(Refusal.EXPIRED, f"{name} has expired")
        return Trusted(self._set, self._files, self._moment.doubt)

    def _roots(self) -> Generator[WantedFile, bytes | None, None]:
        for _ in range(ROTATIONS_MAX):
            name = f"{self._set.root.version + 1}.root.json"
            data = self._kept.get(name)
            if data is not None:
                with suppress(ReleaseRefusedError):
                    self._take_root(name, data)
                    continue
            data = yield WantedFile(name, name, ROOT_BYTES)
            if data is None:
                return
            self._take_root(name, data)
        raise ReleaseRefusedError(Refusal.TOO_BIG, f"root was rotated over {ROTATIONS_MAX} times")

    def _take_root(self, name: str, data: bytes) -> None:
        with _refused(name):
            _bounded(name, data, ROOT_BYTES)
            self._seen(self._set.update_root(data), data)
        self._files[name] = data

    def _timestamp(self) -> Generator[WantedFile, bytes | None, None]:
        kept = self._kept.get(TIMESTAMP)
        if kept is not None:
            with suppress(ReleaseRefusedError), _refused(TIMESTAMP):
                try:
                    self._set.update_timestamp(kept)
                finally:  # one that has expired still tells what is older than it
                    if "timestamp" in self._set:
                        self._files[TIMESTAMP] = kept
                        self._seen(self._set.timestamp, kept)
        data = yield from _needed(WantedFile(TIMESTAMP, TIMESTAMP, TIMESTAMP_BYTES))
        with _refused(TIMESTAMP):
            try:
                self._seen(self._set.update_timestamp(data), data)
            except EqualVersionNumberError:
                return
        self._files[TIMESTAMP] = data

    def _snapshot(self) -> Generator[WantedFile, bytes | None, None]:
        kept = self._kept.get(SNAPSHOT)
        if kept is not None:
            with suppress(ReleaseRefusedError), _refused(SNAPSHOT):
                self._seen(self._set.update_snapshot(kept, trusted=True), kept)
                self._files[SNAPSHOT] = kept
                return
        version = self._set.timestamp.snapshot_meta.version
        data = yield from _needed(WantedFile(f"{version}.{SNAPSHOT}", SNAPSHOT, SNAPSHOT_BYTES))
        with _refused(SNAPSHOT):
            self._seen(self._set.update_snapshot(data), data)
        self._files[SNAPSHOT] = data

    def _targets(self) -> Generator[WantedFile, bytes | None, None]:
        kept = self._kept.get(TARGETS)
        if kept is not None:
            with suppress(ReleaseRefusedError), _refused(TARGETS):
                self._seen(self._set.update_targets(kept), kept)
                self._files[TARGETS] = kept
                return
        meta = self._set.snapshot.meta.get(TARGETS)
        if meta is None:
            raise ReleaseRefusedError(Refusal.MIXED, f"{SNAPSHOT} names no {TARGETS}")
        data = yield from _needed(WantedFile(f"{meta.version}.{TARGETS}", TARGETS, TARGETS_BYTES))
        with _refused(TARGETS):
            self._seen(self._set.update_targets(data), data)
        self._files[TARGETS] = data

    def _seen(self, signed: Signed, data: bytes) -> None:
        """It is signed by all who have to, at a moment that has passed. The library checks the signatures of what it
        made of a file, and passes over what it has no field for.
        """
        if signed.to_dict() != json.loads(data)["signed"]:
            raise RepositoryError("it holds what nobody signed")
        said = signed.unrecognized_fields.get(SIGNED_AT)
        if said is not None:
            moment = _moment_of(said)
            if moment > signed.expires:
                raise RepositoryError("it was signed after it expired")
            self._moment.has_passed(moment)
        self._set.reference_time = self._moment.now

    def _roles(self) -> Iterator[tuple[str, Signed]]:
        yield "root", self._set.root
        yield TIMESTAMP, self._set.timestamp
        yield SNAPSHOT, self._set.snapshot
        yield TARGETS, self._set.targets


class Trusted:
    """What a repository offers, signed by all who have to."""

    def __init__(
        self, found: TrustedMetadataSet, files: Mapping[str, bytes], doubt: str | None
    ) -> None:
        """`files` by name: the metadata that leads from the trusted root to here. `doubt` as of `Moment`."""
        self.files = files
        self.clock_doubt = doubt
        self._targets = found.targets.targets

    def bundle(self, version: str, platform: str) -> TargetFile:
        """Raises ReleaseRefusedError where none is offered."""
        return self.target(
            bundle_path(version, platform), f"{version} for {platform} is not offered"
        )

    def signed_bundle(self, sha256: str, length: int) -> str:
        """The path of the bundle that has this content. Raises ReleaseRefusedError where none has."""
        for path, target in self._targets.items():
            is_that = target.hashes.get("sha256") == sha256 and target.length == length
            if is_that and path.startswith("bundles/"):
                return path
        raise ReleaseRefusedError(Refusal.MIXED, "the bundle is not a file that was signed for")

    def target(self, path: str, if_none: str) -> TargetFile:
        """The target of that path, with its sha256. Raises ReleaseRefusedError with these words where there is none."""
        found = self._targets.get(path)
        if found is None:
            raise ReleaseRefusedError(Refusal.NOT_OFFERED, if_none)
        if not _SHA256.fullmatch(found.hashes.get("sha256", "")):
            raise ReleaseRefusedError(Refusal.MALFORMED, f"{path} is signed for without a sha256")
        return found


def bundle_path(version: str, platform: str) -> str:
    """The target that is the bundle of that version for that platform."""
    return f"bundles/{bundle_name(version, platform)}"


def stored_path(target: TargetFile) -> str:
    """Where a repository keeps the file: with its hash in front of its name, so that none takes another's place."""
    folder, _, name = target.path.rpartition("/")
    return f"{folder}/{target.hashes['sha256']}.{name}"


def _needed(wanted: WantedFile) -> Generator[WantedFile, bytes | None, bytes]:
    data = yield wanted
    if data is None:
        raise ReleaseRefusedError(Refusal.MISSING, f"{wanted.path} is missing")
    _bounded(wanted.path, data, wanted.most)
    return data


def _bounded(name: str, data: bytes, most: int) -> None:
    if len(data) > most:
        raise ReleaseRefusedError(Refusal.TOO_BIG, f"{name} has more than {most} bytes")


def _moment_of(said: object) -> datetime:
    try:
        moment = datetime.fromisoformat(said) if isinstance(said, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise RepositoryError(f"{SIGNED_AT} is no time with an offset")
    return moment.astimezone(UTC)


@contextmanager
def _refused(name: str) -> Iterator[None]:
    """What the library finds wrong with a file, as one of our refusals."""
    try:
        yield
    except EqualVersionNumberError:
        raise
    except RepositoryError as error:
        reason, words = next(each[1:] for each in _REASONS if isinstance(error, each[0]))
        raise ReleaseRefusedError(reason, f"{name} {words}: {str(error)[:200]}") from None
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        what = f"{name} is no metadata of a release: {type(error).__name__}"
        raise ReleaseRefusedError(Refusal.MALFORMED, what) from None
