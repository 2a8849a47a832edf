"""Every field of every file that speaks of a release, changed in every way: only documented refusals may come of it.

    python -m tests.release.mutations 100000      # by hand; the table of docs/releases.md

Half of the changes are made by a stranger, half by whoever holds the keys of that file, so that what is behind the signature
is reached too.
"""

from __future__ import annotations

import copy
import io
import json
import os
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from securesystemslib.exceptions import FormatError
from securesystemslib.formats import encode_canonical
from tuf.api.metadata import MetaFile

from release.archive import header, padding
from release.bundle import check_bundle
from release.channels import read_channel
from release.manifest import MANIFEST
from release.refusals import Refusal, ReleaseRefusedError
from release.verification import verify_staged
from tests.release.repository import INSTALLED, NOW, Repository, bundle_of

ROLES = {
    "2.root.json": "root",
    "timestamp.json": "timestamp",
    "snapshot.json": "snapshot",
    "targets.json": "targets",
}
FILES = (*ROLES, "channel", MANIFEST, "bundle.tar")
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 3, 2**31, 2**53, 2**63, 2**64, 10**40, 1.5, 1e308, "", " ", "0", "1", "a", "x" * 5000,
    "\0", "é", "\ud800", "../../etc/passwd", "/etc/passwd", "-rf", "a\nb", "*", "root", "targets", "ed25519", "rsa", "ecdsa",
    "sigstore-oidc", "gpg", "1970-01-01T00:00:00Z", "2099-01-01T00:00:00Z", "2026-13-45T99:99:99Z", "0" * 64, "f" * 128, [], {},
    [None], [[]], {"": None}, {"a": {}}, [0] * 300,
)  # fmt: skip


class Mutations:
    """`one` makes one change and judges the release; the same seed makes the same ones."""

    def __init__(self, place: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.repository = Repository()
        self.bundle = bundle_of(place / "wheels")
        self.repository.release(self.bundle)
        self.repository.rotate_root()
        # Without hashes, so that what is signed anew is reached.
        self.repository.publish(_without_hashes)
        self.folder = self.repository.staged(place / "staged", self.bundle)
        self.channel = next(
            data for path, data in self.repository.files.items() if path.endswith("stable.json")
        )
        self.found: Counter[tuple[str, str]] = Counter()
        self._handle = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        size = int(self.bundle[124:135], 8)
        self._manifest = json.loads(self.bundle[512 : 512 + size])
        self._wheels = self.bundle[512 + size + len(padding(size)) :]

    def close(self) -> None:
        os.close(self._handle)

    def one(self) -> None:
        """Raises whatever is no refusal, and AssertionError for a release that should have been refused."""
        name = self.random.choice(FILES)
        try:
            self._try(name)
        except ReleaseRefusedError as error:
            self.found[name, error.reason] += 1
        else:
            self.found[name, "taken"] += 1

    def _try(self, name: str) -> None:
        if name in ROLES:
            self._metadata(name)
        elif name == "channel":
            read_channel(self._text(json.loads(self.channel)))
        else:
            check_bundle(io.BytesIO(self.changed_bundle(name)))

    def changed_bundle(self, name: str) -> bytes:
        """A bundle with another manifest, or with other bytes anywhere."""
        if name != MANIFEST:
            return self._bytes(self.bundle)
        data = self._text(copy.deepcopy(self._manifest))
        return header(MANIFEST, len(data), 0) + data + padding(len(data)) + self._wheels

    def changed_metadata(self, name: str, whole: bytes) -> tuple[bytes, bool]:
        """Another file in the place of one, and whether it was made by whoever holds the keys of its role."""
        document = json.loads(whole)
        if self.random.random() < 0.5:
            return self._signed_anew(document, ROLES[name]), True
        return self._text(document), False

    def _metadata(self, name: str) -> None:
        path = self.folder / name
        whole = path.read_bytes()
        data, holds_keys = self.changed_metadata(name, whole)
        path.write_bytes(data)
        try:
            verify_staged(self._handle, self.repository.anchors(), INSTALLED, clock=NOW)
            if not holds_keys:
                assert _meaning(data) == _meaning(whole), data[:2000]
        finally:
            path.write_bytes(whole)

    def _signed_anew(self, document: Any, role: str) -> bytes:
        content = document["signed"]
        self._change(content)
        try:
            payload = encode_canonical(content).encode()
            made = [each.sign(payload) for each in self.repository.signers[role]]
        except (FormatError, UnicodeEncodeError, AttributeError):
            return json.dumps(document).encode()  # it has no canonical form, and no good signature
        document["signatures"] = [{"keyid": each.keyid, "sig": each.signature} for each in made]
        return json.dumps(document).encode()

    def _text(self, document: Any) -> bytes:
        """A changed document; now and then one that is damaged beneath the level of JSON."""
        if self.random.random() < 0.8:
            self._change(document)
            return json.dumps(document).encode()
        return self._bytes(json.dumps(document).encode())

    def _change(self, document: Any) -> None:
        """Change one to three places of it."""
        for _ in range(self.random.choice((1, 1, 2, 3))):
            holder, key = self.random.choice([*_places(document)] or [({}, "")])
            if not holder:
                return
            self._change_at(holder, key)

    def _change_at(self, holder: Any, key: Any) -> None:
        match self.random.randrange(8):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[self.random.choice(("", "x", "../x", key.upper(), key + " "))] = holder.pop(
                    key
                )
            case 1:
                holder.append(copy.deepcopy(holder[key]))
            case 2 if isinstance(holder, dict):
                holder[f"more{self.random.randrange(99)}"] = copy.deepcopy(
                    self.random.choice(VALUES)
                )
            case 3 if isinstance(holder[key], str) and holder[key]:
                text = [*holder[key]]
                text[self.random.randrange(len(text))] = self.random.choice("0aZ/.\0é-")
                holder[key] = "".join(text)
            case 3 if isinstance(holder[key], int):
                holder[key] += self.random.choice((-1, 1, 10**6, -(10**6)))
            case 4:
                holder[key] = [holder[key]]
            case 5 | 6:
                alike = [each for each in VALUES if type(each) is type(holder[key])]
                holder[key] = copy.deepcopy(self.random.choice(alike or VALUES))
            case _:
                holder[key] = copy.deepcopy(self.random.choice(VALUES))

    def _bytes(self, data: bytes) -> bytes:
        at = self.random.randrange(len(data))
        match self.random.randrange(6):
            case 0:
                return data[:at]
            case 1:
                return (
                    data[:at] + bytes([data[at] ^ 1 << self.random.randrange(8)]) + data[at + 1 :]
                )
            case 2:
                return data[:at] + data[at : at + 512] + data[at:]
            case 3:
                return data[:at] + self.random.randbytes(self.random.randrange(1, 40)) + data[at:]
            case 4:
                return data[:at] + b"[" * 4000 + data[at:]
            case _:
                return data + self.random.choice((b"\0", b" ", b"{}", b"\n\n", bytes(512)))


def _without_hashes(content: Any) -> None:
    if content.type == "snapshot":
        content.meta = {"targets.json": MetaFile(content.meta["targets.json"].version)}
    if content.type == "timestamp":
        content.snapshot_meta = MetaFile(content.snapshot_meta.version)


def _places(document: Any) -> Iterator[tuple[Any, Any]]:
    """Every field, at every depth."""
    pairs: Any = ()
    if isinstance(document, dict):
        pairs = document.items()
    elif isinstance(document, list):
        pairs = enumerate(document[:20])
    for key, value in pairs:
        yield document, key
        yield from _places(value)


def _meaning(data: bytes) -> Any:
    """What was signed."""
    return json.loads(data)["signed"]


def run(place: Path, number: int, seed: int, each: Callable[[], None] | None = None) -> Mutations:
    """So many changes."""
    made = Mutations(place, seed)
    try:
        for _ in range(number):
            made.one()
            if each is not None:
                each()
    finally:
        made.close()
    return made


def _peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    """Print the table, the time, and by how much this process grew."""
    number = int(sys.argv[1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    memory = Path("/dev/shm")  # a disk would be most of the time
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as text:
        place = Path(text)
        (place / "warm").mkdir()
        run(place / "warm", 200, seed)
        before, begun = _peak_kib(), time.monotonic()
        (place / "run").mkdir()
        made = run(place / "run", number, seed)
        spent, grown = time.monotonic() - begun, _peak_kib() - before
        outside = {each.name for each in place.iterdir()} - {"warm", "run"}
    columns = [*Refusal, "taken"]
    used = [each for each in columns if any(made.found[name, each] for name in FILES)]
    sys.stdout.write(f"| file | {' | '.join(used)} |\n|---|{'---:|' * len(used)}\n")
    for name in FILES:
        sys.stdout.write(f"| {name} | {' | '.join(str(made.found[name, e]) for e in used)} |\n")
    sys.stdout.write(f"{number} changes, {spent:.0f} s, {grown} KiB more than before\n")
    assert outside == set() and grown < 16 * 1024


if __name__ == "__main__":
    main()
