"""What a person sees of an error on a terminal, of agent and cloud."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

PROGRAM = """
import structlog
{set_up}
log = structlog.get_logger("test")

def work():
    password = "".join(("s3cret", "-of-", "a-miner"))
    raise ValueError("it broke")

try:
    work()
except ValueError:
    log.exception("test.broken")
"""
AGENT = """
from agent.config.host import LogSection
from agent.host.logs import set_up
set_up(LogSection(format="{format}"))
"""
CLOUD = "from cloud.logs import set_up_logs; set_up_logs()"


def on_terminal(set_up: str) -> str:
    """What the program writes to a terminal that is its stderr."""
    ours, theirs = pty.openpty()
    try:
        with subprocess.Popen(
            [sys.executable, "-c", PROGRAM.format(set_up=set_up)],
            stderr=theirs,
            env=os.environ | {"COLUMNS": "200"},
        ) as process:
            os.close(theirs)
            told = b""
            try:
                while some := os.read(ours, 65536):
                    told += some
            except OSError:  # how Linux tells the end of a terminal
                pass
            assert process.wait(60) == 0, told
    finally:
        os.close(ours)
    return told.decode()


@pytest.mark.parametrize(
    "set_up",
    [AGENT.format(format="text"), AGENT.format(format="json"), CLOUD],
    ids=["agent text", "agent json", "cloud"],
)
def test_the_trace_of_an_error_shows_no_local_variables(set_up: str) -> None:
    told = on_terminal(set_up)
    assert "it broke" in told and "in work" in told
    assert "s3cret" not in told
