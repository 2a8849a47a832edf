"""A bundle: what an agent updates itself from. One tar: a manifest, then the wheels that it names."""

from __future__ import annotations

import hashlib
import io
import shutil
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from agent.journal.schema import MIGRATIONS
from contract.link import PREFIX
from packages import wheels
from packages.platforms import Platform
from service.install.product import AGENT

MANIFEST: Final = "manifest.json"
_LINK: Final = int(PREFIX.rpartition("v")[2])


def build(platform: Platform, *, held: Path, ours: Path, work: Path, out: Path) -> Path:
    """The bundle in `out`; the arguments are those of a package. Raises CalledProcessError, OSError."""
    version = wheels.version()
    chosen = work / "wheels"
    wheels.select(AGENT, platform, held, chosen)
    shutil.copy2(ours, chosen)
    files = sorted(chosen.glob("*.whl"))
    manifest = msgspec.json.encode(_manifest(platform, version, files))
    out.mkdir(parents=True, exist_ok=True)
    made = out / f"{AGENT.name}-{version}-{platform.name}.tar"
    with tarfile.open(made, "w", format=tarfile.USTAR_FORMAT) as tar:
        _add(tar, MANIFEST, manifest)
        for each in files:
            _add(tar, each.name, each.read_bytes())
    return made


def _manifest(platform: Platform, version: str, files: list[Path]) -> dict[str, Any]:
    return {
        "name": AGENT.name,
        "version": version,
        "platform": platform.name,
        "python": platform.python_version,
        "built_at": datetime.fromtimestamp(wheels.built_at(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        # It takes every step from the first journal there was.
        "journal_schema": {"reads": [*range(1, len(MIGRATIONS) + 1)], "writes": len(MIGRATIONS)},
        "link": [_LINK],
        "wheels": [
            {
                "file": each.name,
                "sha256": hashlib.sha256(each.read_bytes()).hexdigest(),
                "size": each.stat().st_size,
            }
            for each in files
        ],
    }


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = len(content), 0o644, wheels.built_at()
    tar.addfile(entry, io.BytesIO(content))
