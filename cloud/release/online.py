"""The repository as agents see it: what was signed offline, with snapshot and timestamp signed here.

It is a folder of plain files that any web server can give; `DATA/release/repository`. The keys lie beside it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec
from securesystemslib.signer import CryptoSigner
from tuf.api.exceptions import LengthOrHashMismatchError
from tuf.api.metadata import MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp

from cloud.release.documents import LIVES, newest, read, signed, signed_at, versions
from cloud.release.keys import PublicKeys, make_key, public_text, read_signer
from release.channels import CHANNELS, channel_path, read_channel
from release.refusals import ReleaseRefusedError
from release.trust import SNAPSHOT, TARGETS, TIMESTAMP, Refresh, Trusted, WantedFile, stored_path
from service.files import FolderLock, sync, write_whole

_TIMESTAMP_EVERY: Final = timedelta(days=1)
_SNAPSHOTS_KEPT: Final = 8
_ENDS_SOON: Final = timedelta(days=60)


class OnlineRepository:
    """Methods block, and raise ValueError and FolderLockedError, which say what to do, and OSError."""

    def __init__(self, data: Path) -> None:
        """`data` is the control plane's folder."""
        self._place = data / "release"
        self._keys = data / "release" / "keys"
        self.folder = data / "release" / "repository"
        self._metadata = self.folder / "metadata"

    def make_keys(self) -> PublicKeys:
        """New keys for snapshot and timestamp. They sign as soon as a root that names them is published."""
        for each in (self._place, self._keys):  # and not the data folder, which may be misspelt
            each.mkdir(mode=0o700, exist_ok=True)
        made: dict[str, str] = {}
        for role in (Snapshot.type, Timestamp.type):
            coming = self._keys / f"{role}.new"
            coming.unlink(missing_ok=True)
            key = make_key(coming, None)
            coming.rename(self._key_path(role, key.keyid))
            made[role] = public_text(key)
        return PublicKeys(snapshot=made[Snapshot.type], timestamp=made[Timestamp.type])

    def is_there(self) -> bool:
        """Whether anything was ever published here."""
        return (self._metadata / TIMESTAMP).exists()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Publishing and renewing do not cross. Raises FolderLockedError."""
        self._place.mkdir(mode=0o700, exist_ok=True)
        lock = FolderLock(
            self._place / "lock", "another process signs these releases: try again when it is done"
        )
        lock.take()
        try:
            yield
        finally:
            lock.release()

    def publish(self, signed_in: Path, now: datetime) -> int:
        """Take in what was signed offline, sign for it, and show it; gives the version of targets. What an agent would
        not believe is refused before anything is changed.
        """
        with self._alone():
            return self._publish(signed_in, now)

    def _publish(self, signed_in: Path, now: datetime) -> int:
        metadata = signed_in / "metadata"
        roots = versions(metadata, Root.type)
        number = newest(metadata, Targets.type)
        if not roots or not number:
            raise ValueError(
                f"{signed_in} holds no root and targets: is it the folder of `release sign`?"
            )
        if number < newest(self._metadata, Targets.type) or roots[-1] < newest(
            self._metadata, Root.type
        ):
            raise ValueError(f"{signed_in} is older than what is published")
        files = {
            name: (metadata / name).read_bytes()
            for name in (*(f"{each}.root.json" for each in roots), f"{number}.targets.json")
        }
        for name, content in files.items():
            shown = self._metadata / name
            if shown.exists() and shown.read_bytes() != content:
                raise ValueError(
                    f"another {name} is published: {signed_in} is not where it was signed"
                )
        root = read(Root, files[f"{roots[-1]}.root.json"], "root")
        targets = read(Targets, files[f"{number}.targets.json"], TARGETS)
        for entry in targets.targets.values():
            if not (self.folder / "targets" / stored_path(entry)).exists():
                _check_file(signed_in / "targets" / stored_path(entry), entry)
        fresh = self._fresh(root, files[f"{number}.targets.json"], targets, now)
        self._believed(files | fresh, roots[0], now)
        for entry in targets.targets.values():
            self._copy(signed_in / "targets", stored_path(entry))
        self._write(files | fresh)
        kept = {stored_path(each) for each in targets.targets.values()}
        for path in (self.folder / "targets").glob("*/*"):
            if path.relative_to(self.folder / "targets").as_posix() not in kept:
                path.unlink()
        return number

    def renew(self, now: datetime) -> bool:
        """Sign timestamp and snapshot again where they have to be; tells whether."""
        with self._alone():
            root, targets, data = self._current()
            fresh = self._fresh(root, data, targets, now)
            self._write(fresh)
            for number in versions(self._metadata, Snapshot.type)[:-_SNAPSHOTS_KEPT]:
                (self._metadata / f"{number}.{SNAPSHOT}").unlink()
            return bool(fresh)

    def newest(self) -> dict[str, str]:
        """The newest version of each channel that has one."""
        _, targets, _ = self._current()
        found: dict[str, str] = {}
        for channel in CHANNELS:
            entry = targets.targets.get(channel_path(channel))
            if entry is not None:
                data = (self.folder / "targets" / stored_path(entry)).read_bytes()
                found[channel] = read_channel(data).version
        return found

    def ends_soon(self, now: datetime) -> list[tuple[str, datetime]]:
        """What only the offline keys can renew and has to be, with when it ends."""
        root, targets, _ = self._current()
        return [
            (each.type, each.expires) for each in (root, targets) if each.expires < now + _ENDS_SOON
        ]

    def _current(self) -> tuple[Root, Targets, bytes]:
        root = self._metadata / f"{newest(self._metadata, Root.type)}.root.json"
        targets = self._metadata / f"{newest(self._metadata, Targets.type)}.targets.json"
        data = targets.read_bytes()
        return read(Root, root.read_bytes(), str(root)), read(Targets, data, str(targets)), data

    def _fresh(self, root: Root, data: bytes, targets: Targets, now: datetime) -> dict[str, bytes]:
        """Snapshot and timestamp for that content, by name, as far as those that are shown do not fit any more."""
        files: dict[str, bytes] = {}
        signer = self._signer(root, Snapshot.type)
        meta = MetaFile.from_data(targets.version, data, ["sha256"])
        number = newest(self._metadata, Snapshot.type)
        shown, shown_data = None, b""
        if number:
            shown_data = (self._metadata / f"{number}.{SNAPSHOT}").read_bytes()
            shown = read(Snapshot, shown_data, SNAPSHOT)
            _not_back(shown, now)
        is_new = (
            shown is None
            or shown.meta != {TARGETS: meta}
            or shown.expires < now + LIVES[Snapshot.type] / 2
            or not _is_by(shown_data, signer)
        )
        if shown is None or is_new:
            shown = Snapshot(version=number + 1, meta={TARGETS: meta})
            shown_data = files[f"{number + 1}.{SNAPSHOT}"] = signed(shown, [signer], now)
        timestamp = self._timestamp(root, shown, shown_data, now)
        return files if timestamp is None else {**files, TIMESTAMP: timestamp}

    def _timestamp(
        self, root: Root, snapshot: Snapshot, data: bytes, now: datetime
    ) -> bytes | None:
        signer = self._signer(root, Timestamp.type)
        meta = MetaFile.from_data(snapshot.version, data, ["sha256"])
        path = self._metadata / TIMESTAMP
        number = 1
        if path.exists():
            shown_data = path.read_bytes()
            shown = read(Timestamp, shown_data, TIMESTAMP)
            _not_back(shown, now)
            is_fit = shown.snapshot_meta == meta and _is_by(shown_data, signer)
            if is_fit and signed_at(shown) > now - _TIMESTAMP_EVERY:
                return None
            number = shown.version + 1
        return signed(Timestamp(version=number, snapshot_meta=meta), [signer], now)

    def _signer(self, root: Root, role: str) -> CryptoSigner:
        for keyid in root.roles[role].keyids:
            path = self._key_path(role, keyid)
            if path.exists():
                return read_signer(path, _no_passphrase)
        raise ValueError(
            f"the key of {role} that root {root.version} names is not in {self._keys}: make new ones with "
            "`release keygen --data`, and have a root signed that names them with `release rotate-root --online`"
        )

    def _believed(self, files: dict[str, bytes], first_root: int, now: datetime) -> Trusted:
        """What an agent makes of these files, and of what is shown already. Raises ValueError."""

        def content(wanted: WantedFile) -> bytes | None:
            path = self._metadata / wanted.path
            return files.get(wanted.path) or (path.read_bytes() if path.exists() else None)

        begin = files[f"{first_root}.root.json"]
        try:
            steps = Refresh(begin, {}, built_at=now, clock=now).files()
            wanted = next(steps)
            while True:
                wanted = steps.send(content(wanted))
        except StopIteration as end:
            found: Trusted = end.value
            return found
        except ReleaseRefusedError as error:
            raise ValueError(f"no agent would believe this: {error}") from None

    def _copy(self, source: Path, name: str) -> None:
        place = self.folder / "targets" / name
        place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        if place.exists():
            return
        coming = place.with_name(f"{place.name}.new")
        shutil.copyfile(source / name, coming)
        sync(coming)
        coming.rename(place)
        sync(place.parent)  # metadata that names it may be on the disk soon

    def _write(self, files: dict[str, bytes]) -> None:
        """The timestamp last: it is what leads to all else."""
        self._metadata.mkdir(mode=0o755, parents=True, exist_ok=True)
        for name in sorted(files, key=lambda each: (each == TIMESTAMP, each)):
            write_whole(self._metadata / name, files[name], mode=0o644)

    def _key_path(self, role: str, keyid: str) -> Path:
        return self._keys / f"{role}-{keyid}.pem"


def _check_file(path: Path, entry: TargetFile) -> None:
    """Raises ValueError where it is not the file that was signed for."""
    try:
        with path.open("rb") as file:
            entry.verify_length_and_hashes(file)
    except LengthOrHashMismatchError as error:
        raise ValueError(f"{path} is not the file that was signed for: {error}") from None


def _not_back(shown: Snapshot | Timestamp, now: datetime) -> None:
    """A clock that went back would sign what agents take for expired."""
    if signed_at(shown) > now + timedelta(hours=1):
        raise ValueError(
            f"the clock shows {now:%Y-%m-%d}, and {shown.type} was signed on {signed_at(shown):%Y-%m-%d}: set it"
        )


def _is_by(data: bytes, signer: CryptoSigner) -> bool:
    signatures = msgspec.json.decode(data)["signatures"]
    return any(each["keyid"] == signer.public_key.keyid for each in signatures)


def _no_passphrase(path: Path) -> bytes:
    raise ValueError(f"{path} is encrypted: the control plane cannot ask for a passphrase")
