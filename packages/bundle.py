"""A bundle: what an agent updates itself from, in the form that `release` reads."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from agent.journal.migrations import NEWEST, READS
from contract.link import PREFIX
from packages import wheels
from packages.platforms import Platform
from release.bundle import wheel_of, write_bundle
from release.manifest import JournalSchema, Manifest
from release.trusted_root import ROOT_FILE
from service.install.product import AGENT
from service.install.wheels import commands_of, unpack

_LINK: Final = int(PREFIX.rpartition("v")[2])


def doubt(tree: Path) -> str | None:
    """What is to be said of bundles of that tree: who takes one goes on with its root of trust, or without any."""
    if (tree / "release" / ROOT_FILE).exists():
        return None
    return "without release/root.json: an agent that updates itself from it takes no other update of a repository"


def build(platform: Platform, *, held: Path, ours: Path, work: Path, out: Path) -> Path:
    """The bundle in `out`; the arguments are those of a package. Raises CalledProcessError, OSError, and
    ReleaseRefusedError or BadWheelError for a wheel that no agent would take.
    """
    chosen = work / "wheels"
    wheels.select(AGENT, platform, held, chosen)
    shutil.copy2(ours, chosen)
    files = sorted(chosen.glob("*.whl"))
    trial = work / "trial"
    unpack(files, trial, machine=platform.elf_machine)
    commands_of(trial, AGENT.commands)
    manifest = Manifest(
        name="miner-agent",
        version=wheels.version(),
        platform=platform.name,
        python=platform.python_version,
        built_at=datetime.fromtimestamp(wheels.built_at(), UTC),
        journal_schema=JournalSchema(reads=READS, writes=NEWEST),
        link=(_LINK,),
        wheels=tuple(wheel_of(each) for each in files),
    )
    out.mkdir(parents=True, exist_ok=True)
    made = out / manifest.file_name
    with made.open("wb") as file:
        write_bundle(file, manifest, chosen)
    return made
