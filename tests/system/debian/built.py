"""The packages under test: of this tree, and of the same tree under a higher version."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

from release.trusted_root import ROOT_FILE
from tests.system.conftest import ROOT

PROJECT: Final = ROOT / "pyproject.toml"
WHEELS: Final = ROOT / "build" / "wheels"
BROKEN: Final = "this release is broken"
_OF_AGENT: Final = ("--quick", "--product", "miner-agent")


def version() -> str:
    return str(tomllib.loads(PROJECT.read_text("utf-8"))["project"]["version"])


def next_version(steps: int = 1) -> str:
    """One minor release later, or more."""
    major, minor, _ = version().split(".")
    return f"{major}.{int(minor) + steps}.0"


def packages(platform: str, out: Path, *more: str) -> dict[str, Path]:
    """By the name of the product."""
    return _built(ROOT, "deb", platform, out, "--quick", *more)


def bundle(platform: str, out: Path) -> Path:
    """That of the agent."""
    (made,) = _built(ROOT, "bundle", platform, out).values()
    return made


def packages_of_next(platform: str, folder: Path) -> dict[str, Path]:
    """That of the agent alone."""
    tree = _tree(folder / "tree", next_version())
    return _built(tree, "deb", platform, folder / "dist", *_OF_AGENT)


def trusting(platform: str, folder: Path, number: str, root: bytes) -> Path:
    """The agent's package of that version, which believes a repository of releases that begins with this root."""
    tree = _tree(folder / number, number, root)
    (made,) = _built(tree, "deb", platform, folder / "dist", *_OF_AGENT).values()
    return made


def bundle_of_next(platform: str, folder: Path, root: bytes, *, is_broken: bool = False) -> Path:
    """What such an agent updates itself from, and which believes the same. A broken one ends each time that it is
    started as a service, and only then.
    """
    tree = _tree(folder / "bundled", next_version(), root)
    if is_broken:
        with (tree / "agent" / "daemon.py").open("a") as file:
            file.write(f"\nraise RuntimeError({BROKEN!r})\n")
    (made,) = _built(tree, "bundle", platform, folder / "dist").values()
    return made


def _tree(tree: Path, number: str, root: bytes | None = None) -> Path:
    """A copy of the checkout under that version, with that root of trust."""
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(words, cwd=ROOT, check=True, capture_output=True).stdout.decode()
    for name in names.split("\0"):
        if name and (ROOT / name).exists():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name, follow_symlinks=False)
    text = PROJECT.read_text("utf-8")
    changed = re.sub(r'^version = ".*"$', f'version = "{number}"', text, flags=re.MULTILINE)
    (tree / "pyproject.toml").write_text(changed, "utf-8")
    if root is not None:
        (tree / "release" / ROOT_FILE).write_bytes(root)
    return tree


def _built(tree: Path, what: str, platform: str, out: Path, *more: str) -> dict[str, Path]:
    words = [sys.executable, "-m", "packages", what, "--platform", platform]
    when = subprocess.run(
        ["git", "log", "-1", "--format=%ct"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()
    done = subprocess.run(
        [*words, "--wheels", str(WHEELS), "--out", str(out), *more],
        cwd=tree, check=True, capture_output=True, text=True, env=os.environ | {"SOURCE_DATE_EPOCH": when},
    )  # fmt: skip
    made = [Path(line) for line in done.stdout.splitlines()]
    return {each.name.partition("_")[0]: each for each in made}
