"""An update that is ended at each of its steps, by a kill or by a power cut: see `sweep`, which is a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest


def swept(*words: str) -> str:
    """The table. By hand with other numbers."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.agent.installer.sweep", *words],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("words", [("kills", "11", "0"), ("cuts", "11")], ids=lambda each: each[0])
def test_it_ends_on_a_release_that_runs_and_with_a_true_outcome(words: tuple[str, ...]) -> None:
    assert "| proves itself | flipped |" in swept(*words)


@pytest.mark.slow
@pytest.mark.parametrize("words", [("kills", "2", "23"), ("cuts", "1")], ids=lambda each: each[0])
def test_so_it_does_wherever_it_is_ended(words: tuple[str, ...]) -> None:
    table = swept(*words)
    for step in ("asked", "taken", "verified", "installed", "flipped", "proven", "ended"):
        assert f"| proves itself | {step} |" in table
