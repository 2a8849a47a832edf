"""The environment that this process runs in, as the source of a release: what may be taken along, and what may not."""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
import sysconfig
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import msgspec

from service.install.product import Product
from service.install.release import COMPILED, site_packages

_DISTRIBUTION: Final = "miner-agent"
_PYTHONS: Final = ((3, 11), (3, 13))
# Hidden from our units by ProtectHome=, and gone with a restart of the host.
_HIDDEN: Final = (Path("/home"), Path("/root"), Path("/run"), Path("/tmp"), Path("/var/tmp"))  # noqa: S108
# What makes environments, and what only leads to code that lies elsewhere.
_LEFT: Final = ("pip", "pip-*", "setuptools", "setuptools-*", "wheel", "wheel-*", "*.pth", COMPILED)
_NEEDED: Final = {"miner-cloud": ("sqlalchemy", "aiosqlite", "alembic")}


class CannotInstallError(Exception):
    """Why not, and what to do."""


class Environment(msgspec.Struct, frozen=True):
    """What a release is made of: packages in a folder, and the interpreter that they are for."""

    version: str
    python: Path
    packages: Path
    commands: dict[str, str]

    def copy_to(self, release: Path) -> None:
        """Raises OSError."""
        shutil.copytree(
            self.packages, release / site_packages(), ignore=shutil.ignore_patterns(*_LEFT)
        )

    def size_bytes(self) -> int:
        return sum(path.stat().st_size for path in self.packages.rglob("*") if path.is_file())


def environment_of(product: Product) -> Environment:
    """What runs now. Raises CannotInstallError for what is no environment that a service may run from."""
    low, high = _PYTHONS
    if not low <= sys.version_info[:2] <= high:
        raise CannotInstallError(
            f"Python {low[0]}.{low[1]} to {high[0]}.{high[1]} is needed, and this is {sys.version.split()[0]}"
        )
    if sys.prefix == sys.base_prefix:
        raise CannotInstallError(
            f"{product.name} is installed among the packages of the system: install it into an environment of its own "
            "(python3 -m venv, pipx), and run that one's"
        )
    try:
        found = distribution(_DISTRIBUTION)
    except PackageNotFoundError:
        raise CannotInstallError(
            f"{product.name} runs from a folder, and is not installed"
        ) from None
    if is_editable(found):
        raise CannotInstallError(
            "this environment only leads to a checkout (pip install -e), which would be what root's service runs: "
            "install it with pip install ."
        )
    missing = [each for each in _NEEDED.get(product.name, ()) if find_spec(each) is None]
    if missing:
        raise CannotInstallError(
            f"{', '.join(missing)} are missing: pip install 'miner-agent[cloud]' in this environment"
        )
    python = interpreter()
    commands = {
        each.name: each.value
        for each in found.entry_points
        if each.group == "console_scripts" and each.name in product.commands
    }
    return Environment(found.version, python, Path(sysconfig.get_path("purelib")), commands)


def is_editable(found: Distribution) -> bool:
    """Whether it only leads to a checkout."""
    text = found.read_text("direct_url.json")
    return text is not None and bool(json.loads(text).get("dir_info", {}).get("editable"))


def interpreter() -> Path:
    """The one that the environment was made by. Raises CannotInstallError where a service cannot run it, or another
    user could change it.
    """
    major, minor = sys.version_info[:2]
    python = Path(sys.base_prefix) / "bin" / f"python{major}.{minor}"
    advice = f"make the environment with the python3 of the system, such as /usr/bin/python{major}.{minor}"
    if not python.is_file():
        raise CannotInstallError(f"{python} is missing: {advice}")
    whole = python.resolve()
    if any(whole.is_relative_to(each) for each in _HIDDEN):
        raise CannotInstallError(f"{whole} cannot be seen by a service of the system: {advice}")
    for each in _way(python):
        found = each.stat()
        if found.st_uid != 0 or stat.S_IMODE(found.st_mode) & (stat.S_IWGRP | stat.S_IWOTH):
            raise CannotInstallError(f"{each} can be changed by others than root: {advice}")
    return python


def _way(python: Path) -> Iterator[Path]:
    """The file, and every folder on the way to it; also of what it leads to."""
    for each in {python, python.resolve(), Path(os.path.realpath(sys.base_prefix))}:
        yield each
        yield from each.parents
