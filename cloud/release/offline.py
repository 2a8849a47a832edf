"""Where releases are signed: a folder on a machine without a network, with roots, targets and bundles.

It is laid out as the repository is, less what the control plane signs itself: `metadata/2.root.json`,
`metadata/5.targets.json`, `targets/bundles/HASH.FILE`. Nothing in it is secret.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec
from securesystemslib.signer import CryptoSigner, Key
from tuf.api.metadata import (
    Metadata,
    Role,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from cloud.release.documents import newest, read, signed
from release.bundle import check_bundle
from release.channels import CHANNELS, ChannelFile, channel_path, read_channel
from release.manifest import Manifest, bundle_name
from release.refusals import ReleaseRefusedError
from release.trust import stored_path
from service.files import write_whole


class RootKeys(NamedTuple):
    """The keys of the next root, and how many of each offline role have to sign."""

    root: Sequence[CryptoSigner]
    targets: Sequence[CryptoSigner]  # none: those of the root before
    online: Mapping[str, Key] | None  # of snapshot and timestamp; `None`: those of the root before
    root_threshold: int = 1
    targets_threshold: int = 1


class OfflineRepository:
    """Every method raises ValueError for what cannot be signed, with the fix, and OSError; nothing is changed then."""

    def __init__(self, folder: Path) -> None:
        self._metadata = folder / "metadata"
        self._targets = folder / "targets"

    def rotate_root(self, keys: RootKeys, old: Sequence[CryptoSigner], now: datetime) -> int:
        """Sign the next root, by the new keys and by those of the root before; gives its version. Where keys of
        targets are given, targets are signed by them.
        """
        before = self._root()
        online = keys.online if before is None or keys.online is not None else _online(before)
        if online is None:
            raise ValueError("the first root needs the control plane's public keys: --online FILE")
        content = Root(version=1 if before is None else before.version + 1)
        _name(content, Root.type, [each.public_key for each in keys.root], keys.root_threshold)
        _name(content, Snapshot.type, [online[Snapshot.type]], 1)
        _name(content, Timestamp.type, [online[Timestamp.type]], 1)
        if keys.targets:
            held = [each.public_key for each in keys.targets]
            _name(content, Targets.type, held, keys.targets_threshold)
        elif before is not None:
            role = before.roles[Targets.type]
            _name(
                content, Targets.type, [before.keys[each] for each in role.keyids], role.threshold
            )
        else:
            raise ValueError("the first root needs keys of targets: no targets-*.pem in --keys")
        signers = {each.public_key.keyid: each for each in (*keys.root, *old)}
        data = signed(content, signers.values(), now)
        for judge in (content, *([] if before is None else [before])):
            _check(judge, content, data)
        files = {f"{content.version}.root.json": data}
        if keys.targets:
            files |= self._signed(content, self._content(), keys.targets, now)
        self._metadata.mkdir(mode=0o755, parents=True, exist_ok=True)
        for name, each in files.items():
            write_whole(self._metadata / name, each, mode=0o644)
        return content.version

    def sign(
        self, bundles: Sequence[Path], signers: Sequence[CryptoSigner], now: datetime
    ) -> list[Manifest]:
        """Take bundles in and sign targets; without any, targets live on. Gives what each of them says of itself."""
        targets, found = self._content(), []
        for path in bundles:
            try:
                with path.open("rb") as file:
                    manifest = check_bundle(file)
            except ReleaseRefusedError as error:
                raise ValueError(f"{path}: {error}") from None
            entry = TargetFile.from_file(f"bundles/{manifest.file_name}", str(path), ["sha256"])
            known = targets.targets.get(entry.path)
            if known is not None and known.hashes != entry.hashes:
                raise ValueError(
                    f"{manifest.file_name} is signed already, with other content: give it a new version"
                )
            self._keep(entry, path)
            targets.targets[entry.path] = entry
            found.append(manifest)
        self._sign(targets, signers, now)
        return found

    def promote(
        self, channel: str, version: str, signers: Sequence[CryptoSigner], now: datetime
    ) -> list[str]:
        """Make a signed version the newest of a channel; gives its platforms."""
        if channel not in CHANNELS:
            raise ValueError(f"there are the channels {' and '.join(CHANNELS)}")
        targets = self._content()
        begin, end = bundle_name(version, "|").split("|")
        bundles = {
            path.removeprefix(f"bundles/{begin}").removesuffix(end): path
            for path in sorted(targets.targets)
            if path.startswith(f"bundles/{begin}")
        }
        data = msgspec.json.encode(ChannelFile(version=version, bundles=bundles))
        try:
            read_channel(data)
        except ReleaseRefusedError:
            raise ValueError(
                f"no bundle of {version[:40]!r} is signed: `release sign` first"
            ) from None
        entry = TargetFile.from_data(channel_path(channel), data, ["sha256"])
        place = self._place(entry)
        place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        write_whole(place, data, mode=0o644)
        targets.targets[entry.path] = entry
        self._sign(targets, signers, now)
        return sorted(bundles)

    def drop(self, version: str, signers: Sequence[CryptoSigner], now: datetime) -> list[str]:
        """Offer a version no longer; gives the bundles that go. The newest of a channel stays."""
        targets = self._content()
        begin = f"bundles/{bundle_name(version, '|').partition('|')[0]}"
        gone = sorted(path for path in targets.targets if path.startswith(begin))
        if not gone:
            raise ValueError(f"no bundle of {version[:40]!r} is signed")
        for channel in CHANNELS:
            entry = targets.targets.get(channel_path(channel))
            if entry and read_channel(self._place(entry).read_bytes()).version == version:
                raise ValueError(f"{version} is newest of {channel}: promote another one first")
        for path in gone:
            self._place(targets.targets.pop(path)).unlink(missing_ok=True)
        self._sign(targets, signers, now)
        return gone

    def _root(self) -> Root | None:
        version = newest(self._metadata, Root.type)
        if not version:
            return None
        path = self._metadata / f"{version}.root.json"
        return read(Root, path.read_bytes(), str(path))

    def _content(self) -> Targets:
        """Targets as they are now; none in the beginning."""
        version = newest(self._metadata, Targets.type)
        if not version:
            return Targets(version=1)
        path = self._metadata / f"{version}.targets.json"
        found = read(Targets, path.read_bytes(), str(path))
        found.version = version + 1
        return found

    def _sign(self, targets: Targets, signers: Sequence[CryptoSigner], now: datetime) -> None:
        root = self._root()
        if root is None:
            raise ValueError("there is no root yet: `release rotate-root` first")
        for name, data in self._signed(root, targets, signers, now).items():
            write_whole(self._metadata / name, data, mode=0o644)

    def _signed(
        self, root: Root, targets: Targets, signers: Sequence[CryptoSigner], now: datetime
    ) -> dict[str, bytes]:
        data = signed(targets, signers, now)
        _check(root, targets, data)
        return {f"{targets.version}.targets.json": data}

    def _place(self, entry: TargetFile) -> Path:
        return self._targets / stored_path(entry)

    def _keep(self, entry: TargetFile, path: Path) -> None:
        place = self._place(entry)
        place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        if not place.exists():
            copied = shutil.copyfile(path, place.with_name(f"{place.name}.new"))
            with copied.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != entry.hashes["sha256"]:
                    raise ValueError(f"{path} changed while it was read")
            copied.rename(place)


def _online(before: Root) -> dict[str, Key]:
    return {
        role: before.keys[before.roles[role].keyids[0]] for role in (Snapshot.type, Timestamp.type)
    }


def _name(root: Root, role: str, keys: Sequence[Key], threshold: int) -> None:
    """Have a role signed by that many of these keys."""
    if not 1 <= threshold <= len(keys):
        raise ValueError(f"{role} cannot need {threshold} of {len(keys)} keys")
    root.roles[role] = Role([], threshold)
    for key in keys:
        root.add_key(key, role)


def _check(judge: Root, content: Root | Targets, data: bytes) -> None:
    """Raises ValueError where those who signed are not those whom that root asks for."""
    found = Metadata[Root].from_bytes(data)  # or targets: what matters is who signed it
    result = judge.get_verification_result(content.type, found.signed_bytes, found.signatures)
    if not result:
        raise ValueError(
            f"{content.type} is not signed by {judge.roles[content.type].threshold} of the keys that root "
            f"{judge.version} names for it: give their folders too (--keys, --old-keys)"
        )
