"""The wheels that a package is made of: fetched once and known by their hashes; and the one of ourselves."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any, Final

from packages.platforms import Platform
from service.install.product import CLOUD, Product

ROOT: Final = Path(__file__).resolve().parent.parent
CONSTRAINTS: Final = ROOT / "constraints"
STAMP: Final = ".constraints"
_BESIDE: Final = ("pyproject.toml", "README.md", "LICENSE", "config.example.toml")


def version() -> str:
    return str(_declared()["project"]["version"])


def scripts() -> dict[str, str]:
    """Our commands, each with the function it calls."""
    return dict(_declared()["project"]["scripts"])


def pinned(product: Product) -> Path:
    """The file that names every package which a product needs, with its hashes."""
    return CONSTRAINTS / f"{'cloud' if product is CLOUD else 'agent'}.txt"


def fetch(platform: Platform, folder: Path) -> Path:
    """The wheels of both products for that platform, in a folder of its own below this one: fetched as pip is set up
    here, unless they lie there. Raises CalledProcessError.
    """
    held = folder / platform.name
    wanted = pinned(CLOUD)  # holds those of the agent, too (tests/test_distribution.py)
    digest = hashlib.sha256(wanted.read_bytes()).hexdigest()
    stamp = held / STAMP
    if stamp.exists() and stamp.read_text("ascii") == digest:
        return held
    shutil.rmtree(held, ignore_errors=True)
    held.mkdir(parents=True)
    pip(
        "download",
        "--dest",
        held,
        *platform.pip_options(),
        "--no-deps",
        "--require-hashes",
        "-r",
        wanted,
    )
    stamp.write_text(digest, "ascii")
    return held


def select(product: Product, platform: Platform, held: Path, folder: Path) -> list[Path]:
    """Copies of the wheels that a product needs, checked by their hashes. Nothing is fetched. Raises
    CalledProcessError.
    """
    folder.mkdir(parents=True)
    pip(
        "download", "--dest", folder, *platform.pip_options(), "--no-deps", "--no-index", "--find-links", held,
        "--require-hashes", "-r", pinned(product),
    )  # fmt: skip
    return sorted(folder.glob("*.whl"))


def our_wheel(folder: Path) -> Path:
    """A wheel of ourselves, for every platform, made of a copy so that nothing is left in the tree. Raises
    CalledProcessError.
    """
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name)
        for each in _rooms():
            shutil.copytree(ROOT / each, copy / each, ignore=shutil.ignore_patterns("__pycache__"))
        for each in _BESIDE:
            shutil.copy2(ROOT / each, copy / each)
        pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder, copy)
    (made,) = folder.glob("miner_agent-*.whl")
    return made


def pip(*words: object) -> None:
    """Raises CalledProcessError."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "--quiet",
        "--disable-pip-version-check",
        *map(str, words),
    ]
    environment = os.environ | {"SOURCE_DATE_EPOCH": str(built_at())}
    subprocess.run(command, check=True, env=environment)


def built_at() -> int:
    """When what is packed was committed, in seconds since 1970, so that the same tree makes the same package;
    `SOURCE_DATE_EPOCH` says otherwise. Raises CalledProcessError where neither is known.
    """
    told = os.environ.get("SOURCE_DATE_EPOCH")
    if told is not None:
        return int(told)
    words = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
    return int(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def _rooms() -> list[str]:
    """Our packages, as they are declared: one that is new is in every wheel."""
    patterns = _declared()["tool"]["setuptools"]["packages"]["find"]["include"]
    return [each.removesuffix("*") for each in patterns]


def _declared() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
