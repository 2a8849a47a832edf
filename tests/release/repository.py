"""A maker of releases for tests: its own keys, bundles of its own, and a repository that it signs as it pleases."""

from __future__ import annotations

import copy
import hashlib
import io
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    Metadata,
    MetaFile,
    Root,
    Signed,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from agent.journal.migrations import NEWEST
from release.bundle import wheel_of, write_bundle
from release.channels import ChannelFile, channel_path
from release.manifest import JournalSchema, Manifest
from release.verification import Anchors, Installed

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
BUILT = NOW - timedelta(days=30)
PLATFORM = "deb12_arm64"
INSTALLED = Installed("0.2.0", PLATFORM, BUILT)
ROLES = ("root", "targets", "snapshot", "timestamp")


def wheels_in(folder: Path, *sizes: int) -> Path:
    """A folder of files with the names of wheels; what is in them is nobody's business here."""
    folder.mkdir(exist_ok=True)
    for number, size in enumerate(sizes or (700, 3000)):
        (folder / f"part{number}-1.0-py3-none-any.whl").write_bytes(bytes([number + 65]) * size)
    return folder


def manifest_of(wheels: Path, version: str = "0.3.0", **other: Any) -> Manifest:
    values: dict[str, Any] = {
        "name": "miner-agent",
        "version": version,
        "platform": PLATFORM,
        "python": "3.11",
        "built_at": NOW - timedelta(days=1),
        "journal_schema": JournalSchema(reads=(NEWEST, NEWEST + 1), writes=NEWEST + 1),
        "link": (1,),
        "wheels": tuple(wheel_of(each) for each in sorted(wheels.iterdir())),
    }
    return Manifest(**(values | other))


def bundle_of(folder: Path, version: str = "0.3.0", *sizes: int, **other: Any) -> bytes:
    return bundle_in(wheels_in(folder, *sizes), version, **other)


def bundle_in(wheels: Path, version: str, **other: Any) -> bytes:
    """Of the wheels that lie there."""
    out = io.BytesIO()
    write_bundle(out, manifest_of(wheels, version, **other), wheels)
    return out.getvalue()


@dataclass
class Repository:
    """`files` is what a web server would give, by path; each `publish` signs all anew."""

    now: datetime = NOW
    signers: dict[str, list[CryptoSigner]] = field(
        default_factory=lambda: {role: [CryptoSigner.generate_ed25519()] for role in ROLES}
    )
    thresholds: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ROLES, 1))
    versions: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ROLES, 0))
    lives: dict[str, timedelta] = field(
        default_factory=lambda: {
            "root": timedelta(days=700),
            "targets": timedelta(days=365),
            "snapshot": timedelta(days=30),
            "timestamp": timedelta(days=7),
        }
    )
    targets: dict[str, TargetFile] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rotate_root()

    @property
    def first_root(self) -> bytes:
        return self.files["metadata/1.root.json"]

    def anchors(self, **other: Any) -> Anchors:
        return Anchors(root=self.first_root, **other)

    def snapshot_of(self) -> Repository:
        """As it is now; the one of today goes on."""
        return copy.deepcopy(self)

    def signed(self, content: Any, by: Iterable[CryptoSigner]) -> bytes:
        metadata: Metadata[Signed] = Metadata(content)
        for signer in by:
            metadata.sign(signer, append=True)
        return metadata.to_bytes()

    def _fresh(self, kind: type[Any], **content: Any) -> Any:
        role = kind.type
        self.versions[role] += 1
        return kind(
            version=self.versions[role],
            expires=self.now + self.lives[role],
            unrecognized_fields={"signed_at": self.now.isoformat()},
            **content,
        )

    def rotate_root(
        self,
        new: dict[str, list[CryptoSigner]] | None = None,
        *,
        by: list[CryptoSigner] | None = None,
    ) -> None:
        """The next root, by the old keys and the new ones, unless it is said who signs."""
        old = self.signers["root"]
        self.signers |= new or {}
        content = self._fresh(Root)
        for role, signers in self.signers.items():
            content.roles[role].threshold = self.thresholds[role]
            for signer in signers:
                content.add_key(signer.public_key, role)
        everyone = {each.public_key.keyid: each for each in (*old, *self.signers["root"])}
        data = self.signed(content, everyone.values() if by is None else by)
        self.files[f"metadata/{content.version}.root.json"] = data

    def offer(self, path: str, data: bytes) -> TargetFile:
        entry = TargetFile.from_data(path, data, ["sha256"])
        self.targets[path] = entry
        folder, _, name = path.partition("/")
        self.files[f"targets/{folder}/{entry.hashes['sha256']}.{name}"] = data
        return entry

    def release(
        self, data: bytes, version: str = "0.3.0", channel: str = "stable", platform: str = PLATFORM
    ) -> None:
        path = f"bundles/miner-agent-{version}-{platform}.tar"
        self.offer(path, data)
        newest = ChannelFile(version=version, bundles={platform: path})
        self.offer(channel_path(channel), json.dumps(_plain(newest)).encode())
        self.publish()

    def publish(self, change: Callable[[Any], None] | None = None) -> None:
        """Sign targets, snapshot and timestamp; `change` is shown each content before it is signed."""
        parts: list[tuple[str, Any]] = []
        targets = self._fresh(Targets, targets=dict(self.targets))
        parts.append((f"{targets.version}.targets.json", targets))
        data = self._put(*parts[-1], change)
        meta = MetaFile.from_data(targets.version, data, ["sha256"])
        snapshot = self._fresh(Snapshot, meta={"targets.json": meta})
        data = self._put(f"{snapshot.version}.snapshot.json", snapshot, change)
        self.stamp(MetaFile.from_data(snapshot.version, data, ["sha256"]), change)

    def stamp(self, meta: MetaFile, change: Callable[[Any], None] | None = None) -> None:
        timestamp = self._fresh(Timestamp, snapshot_meta=meta)
        self._put("timestamp.json", timestamp, change)

    def _put(self, name: str, content: Any, change: Callable[[Any], None] | None) -> bytes:
        if change is not None:
            change(content)
        data = self.signed(content, self.signers[content.type])
        self.files[f"metadata/{name}"] = data
        return data

    def metadata(self, name: str) -> bytes:
        """The newest file of that kind: `snapshot.json`, or `timestamp.json`."""
        role = name.removesuffix(".json")
        path = name if role == "timestamp" else f"{self.versions[role]}.{name}"
        return self.files[f"metadata/{path}"]

    def staged(self, folder: Path, bundle: bytes) -> Path:
        """A folder as the agent would leave it."""
        folder.mkdir(exist_ok=True)
        for version in range(2, self.versions["root"] + 1):
            name = f"{version}.root.json"
            (folder / name).write_bytes(self.files[f"metadata/{name}"])
        for name in ("timestamp.json", "snapshot.json", "targets.json"):
            (folder / name).write_bytes(self.metadata(name))
        (folder / "bundle.tar").write_bytes(bundle)
        return folder


def _plain(found: ChannelFile) -> dict[str, Any]:
    return {"version": found.version, "bundles": found.bundles}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
