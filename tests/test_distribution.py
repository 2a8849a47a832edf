"""What is installed beside us: each package that is imported is declared, each that is declared is imported, and the
files of constraints hold them all."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "constraints"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PACKAGES = ("agent", "cloud", "contract", "drivers", "release", "service", "simulator")
OURS = {*PACKAGES, "bench", "packages", "tests"}
# Declared, and imported by nothing of ours, each with the reason.
NOT_IMPORTED = {
    "pyasic": "other makes are reached by it; until then the tests judge by it",
    "mypy": "a command",
    "ruff": "a command",
    "pytest-asyncio": "a plugin of pytest",
    "pytest-xdist": "a plugin of pytest",
}
# Of extras that are installed where they are of use: nothing of ours needs them elsewhere.
OPTIONAL = {"pynvml": "nvidia-ml-py"}
_PINNED = re.compile(r"([a-z0-9-]+)==(\S+)(?: ; (.+))? \\")
_HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}(?: \\)?")


def _declared(*extras: str) -> dict[str, Requirement]:
    """What is asked for by name, with that of these extras."""
    project = PROJECT["project"]
    lines = [*project["dependencies"]]
    for extra in extras:
        lines += project["optional-dependencies"][extra]
    found = [Requirement(line) for line in lines]
    return {canonicalize_name(each.name): each for each in found if each.name != "miner-agent"}


@cache
def _imported(*folders: str) -> set[str]:
    """The distributions of what is imported in these folders."""
    by_module = packages_distributions()
    return {
        canonicalize_name(by_module[module][0])
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        for module in _modules(ast.parse(path.read_text("utf-8")))
        if module not in OURS and module not in sys.stdlib_module_names and module not in OPTIONAL
    }


def _modules(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize(
    ("folders", "extras"),
    [
        (("agent", "contract", "drivers", "release", "service", "simulator"), ()),
        (("cloud",), ("cloud",)),
        (("bench", "packages", "tests"), ("cloud", "dev")),
    ],
)
def test_what_is_imported_is_declared(folders: tuple[str, ...], extras: tuple[str, ...]) -> None:
    assert _imported(*folders) - _declared(*extras).keys() == set()


def test_what_is_declared_is_imported() -> None:
    used = _imported(*PACKAGES)
    assert _declared("cloud", "simulator").keys() - used == {"pyasic"}
    everywhere = _imported(*PACKAGES, "bench", "packages", "tests") | NOT_IMPORTED.keys()
    assert _declared("cloud", "simulator", "dev").keys() - everywhere == set()


def test_what_is_optional_is_declared() -> None:
    assert set(OPTIONAL.values()) <= _declared("rig").keys()


@pytest.mark.parametrize(
    ("name", "extras"),
    [("agent", ()), ("cloud", ("cloud",)), ("dev", ("cloud", "simulator", "dev"))],
)
def test_the_constraints_hold_what_is_declared(name: str, extras: tuple[str, ...]) -> None:
    pinned = _pinned(name)
    missing = {
        distribution: str(wanted)
        for distribution, wanted in _declared(*extras).items()
        if distribution not in pinned or not wanted.specifier.contains(pinned[distribution])
    }
    assert missing == {}, "run `make constraints`"


def test_the_constraints_build_us_with_what_the_project_asks_for() -> None:
    for line in PROJECT["build-system"]["requires"]:
        wanted = Requirement(line)
        for name in ("build", "dev"):
            assert wanted.specifier.contains(_pinned(name)[canonicalize_name(wanted.name)])


def test_what_is_tested_is_what_the_images_hold() -> None:
    tested = _pinned("dev").items()
    for name in ("agent", "cloud", "build"):
        assert _pinned(name).items() <= tested


@pytest.mark.parametrize("name", ["agent", "build", "cloud", "dev"])
def test_each_file_is_known_by_its_hash_and_no_index_is_named(name: str) -> None:
    lines = (CONSTRAINTS / f"{name}.txt").read_text("utf-8").splitlines()
    wrong = [
        line
        for line in lines
        if not line.startswith("#") and not _PINNED.fullmatch(line) and not _HASH.fullmatch(line)
    ]
    assert wrong == []


def _pinned(name: str) -> dict[str, str]:
    lines = (CONSTRAINTS / f"{name}.txt").read_text("utf-8").splitlines()
    return {found[1]: found[2] for line in lines if (found := _PINNED.fullmatch(line))}
