"""Whether a staged release may be installed: judged from its folder alone, and from what the judge itself trusts.

The agent calls this when it has staged a release, to know that it would be taken. What counts is the second call, by
the one who installs it, on a copy that the agent's user cannot write.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from release.bundle import BUNDLE_BYTES, check_bundle
from release.manifest import Manifest
from release.refusals import Refusal, ReleaseRefusedError
from release.signature import SIGNATURE_CHARACTERS, check_signature, signature_of
from release.trust import Refresh, Trusted, bundle_path
from service.install.release import version_order
from service.opening import opened_file

BUNDLE: Final = "bundle.tar"
SIGNATURE: Final = "bundle.sig"  # instead of metadata: a pinned key signed the bundle itself
# All that a staged folder holds; whoever copies one copies no other file.
STAGED: Final = re.compile(
    r"bundle\.(tar|sig)|[0-9]{1,9}\.root\.json|(timestamp|snapshot|targets)\.json"
)


class Installed(NamedTuple):
    """The release that runs: no older or equal one is taken, nor one for another platform."""

    version: str
    platform: str
    built_at: datetime


class Anchors(NamedTuple):
    """What the judge trusts by itself: the root that came with the release that runs, and pinned keys of bundles."""

    root: bytes
    keys: Collection[Ed25519PublicKey] = ()


class Verified(NamedTuple):
    """A staged release that may be installed."""

    manifest: Manifest
    sha256: str  # of the bundle, in hex
    # Metadata, by name, to hand in next time: so an older repository is recognised.
    kept: Mapping[str, bytes]
    clock_doubt: str | None


def verify_staged(
    folder: int,
    anchors: Anchors,
    installed: Installed,
    *,
    clock: datetime,
    kept: Mapping[str, bytes] | None = None,
) -> Verified:
    """Judge the folder of that descriptor. Its files are opened without following links, hashed before they are
    parsed, and never written. `clock` is what the host's clock shows, `kept` as of the last `Verified`.

    Raises ReleaseRefusedError, OSError.
    """
    before = kept or {}
    with _opened(folder, BUNDLE, BUNDLE_BYTES) as bundle:
        sha256 = _sha256(bundle)
        signature = _content(folder, SIGNATURE, SIGNATURE_CHARACTERS)
        if signature is None:
            trusted = trusted_in(folder, anchors, installed, clock=clock, kept=before)
            path = trusted.signed_bundle(sha256, os.fstat(bundle).st_size)
            manifest = _checked(bundle)
            if path != bundle_path(manifest.version, manifest.platform):
                raise ReleaseRefusedError(
                    Refusal.MIXED, f"{path} is signed for, and says that it is {manifest.file_name}"
                )
            files, doubt = trusted.files, trusted.clock_doubt
        else:
            check_signature(
                bundle, signature_of(signature.decode("ascii", "replace")), anchors.keys
            )
            manifest = _checked(bundle)
            files, doubt = before, None
    check_fits(manifest.version, manifest.platform, installed)
    return Verified(manifest, sha256, files, doubt)


def trusted_in(
    folder: int,
    anchors: Anchors,
    installed: Installed,
    *,
    clock: datetime,
    kept: Mapping[str, bytes],
) -> Trusted:
    """What the metadata in that folder makes of the trusted root. Raises ReleaseRefusedError, OSError."""
    steps = Refresh(anchors.root, kept, built_at=installed.built_at, clock=clock).files()
    wanted = next(steps)
    while True:
        try:
            wanted = steps.send(_content(folder, wanted.kept_as, wanted.most))
        except StopIteration as end:
            found: Trusted = end.value
            return found


def check_fits(version: str, platform: str, installed: Installed) -> None:
    """That a release of that version is newer than the installed one, and made for its platform. Raises
    ReleaseRefusedError.
    """
    if platform != installed.platform:
        raise ReleaseRefusedError(
            Refusal.WRONG_PLATFORM,
            f"the bundle is for {platform}, this host is {installed.platform}",
        )
    if version_order(version) <= version_order(installed.version):
        raise ReleaseRefusedError(
            Refusal.NOT_NEWER,
            f"{version} is not newer than {installed.version}, which is installed",
        )


def _checked(bundle: int) -> Manifest:
    os.lseek(bundle, 0, os.SEEK_SET)
    with os.fdopen(os.dup(bundle), "rb", buffering=0) as file:
        return check_bundle(file)


def _sha256(file: int) -> str:
    with os.fdopen(os.dup(file), "rb", buffering=0) as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _content(folder: int, name: str, most: int) -> bytes | None:
    """The whole of a file of metadata; `None` where there is none."""
    try:
        with _opened(folder, name, most) as file, os.fdopen(os.dup(file), "rb") as opened:
            return opened.read(most)
    except FileNotFoundError:
        return None


@contextmanager
def _opened(folder: int, name: str, most: int) -> Iterator[int]:
    """A plain file of that folder, of at most that many bytes, and not empty."""
    with opened_file(folder, name) as (file, found):
        if not stat.S_ISREG(found.st_mode) or not 0 < found.st_size <= most:
            raise ReleaseRefusedError(
                Refusal.TOO_BIG, f"{name} is no plain file of 1 to {most} bytes"
            )
        yield file
