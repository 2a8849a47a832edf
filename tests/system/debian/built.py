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

from tests.system.conftest import ROOT

PROJECT: Final = ROOT / "pyproject.toml"
WHEELS: Final = ROOT / "build" / "wheels"


def version() -> str:
    return str(tomllib.loads(PROJECT.read_text("utf-8"))["project"]["version"])


def next_version() -> str:
    """One minor release later."""
    major, minor, _ = version().split(".")
    return f"{major}.{int(minor) + 1}.0"


def packages(platform: str, out: Path, *more: str) -> dict[str, Path]:
    """By the name of the product."""
    return _built(ROOT, "deb", platform, out, "--quick", *more)


def bundle(platform: str, out: Path) -> Path:
    """That of the agent."""
    (made,) = _built(ROOT, "bundle", platform, out).values()
    return made


def packages_of_next(platform: str, folder: Path) -> dict[str, Path]:
    """That of the agent alone."""
    tree = folder / "tree"
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(words, cwd=ROOT, check=True, capture_output=True).stdout.decode()
    for name in names.split("\0"):
        if name and (ROOT / name).exists():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name, follow_symlinks=False)
    text = PROJECT.read_text("utf-8")
    changed = re.sub(r'^version = ".*"$', f'version = "{next_version()}"', text, flags=re.MULTILINE)
    (tree / "pyproject.toml").write_text(changed, "utf-8")
    return _built(tree, "deb", platform, folder / "dist", "--quick", "--product", "miner-agent")


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
