"""Switches guards off, one at a time, in a copy of the tree, and sees whether their tests fail."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from tests.borders.guards import Guard
from tests.borders.page import ROOT

_LEFT_OUT = (".git", ".venv*", ".*_cache", ".hypothesis", "__pycache__", "*.egg-info", "build")


class Verdict(StrEnum):
    FAILED = "failed as it should"
    SURVIVED = "SURVIVED"
    BROKEN = "could not be tried"  # its file cannot be read any more, or its test is not there


_VERDICTS = {0: Verdict.SURVIVED, 1: Verdict.FAILED}  # by what pytest ends with


def tried(guards: Sequence[Guard]) -> Iterator[tuple[Guard, Verdict]]:
    """Each guard with what became of its test, as soon as that is known. Raises CalledProcessError, which holds what pytest
    says, if one of the tests fails with all guards on.
    """
    with tempfile.TemporaryDirectory(prefix="borders-") as folder:
        Path(folder).chmod(0o755)  # some tests become a user who has to read the code
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(*_LEFT_OUT))
        _run(tree, *dict.fromkeys(each.test for each in guards)).check_returncode()
        for guard in guards:
            with _switched_off(tree / guard.file, guard):
                status = _run(tree, "-x", guard.test).returncode
            yield guard, _VERDICTS.get(status, Verdict.BROKEN)


@contextmanager
def _switched_off(path: Path, guard: Guard) -> Iterator[None]:
    whole = path.read_text("utf-8")
    path.write_text(whole.replace(guard.code, guard.off), "utf-8")
    try:
        yield
    finally:
        path.write_text(whole, "utf-8")


def _run(tree: Path, *args: str) -> subprocess.CompletedProcess[str]:
    # no bytecode on disk: it is told from newer text by its size and the second it was made in
    own = {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *args],
        cwd=tree, env=os.environ | own, capture_output=True, text=True, check=False,
    )  # fmt: skip
