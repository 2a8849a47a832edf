from __future__ import annotations

import os
import socket
from contextlib import closing
from pathlib import Path

import pytest

from service.notify import Notifier
from tests.service.ear import Ear


def test_systemd_hears_ready_status_and_stopping(tmp_path: Path) -> None:
    to = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})
    with closing(Ear(tmp_path / "notify")) as ear:
        to.ready("3 miners\nknown")
        to.status("fine")
        to.stopping()
        assert ear.heard() == ["READY=1\nSTATUS=3 miners known", "STATUS=fine", "STOPPING=1"]


def test_abstract_sockets_are_spoken_to() -> None:
    name = f"\0miner-agent-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(name)
        ear.settimeout(5)
        Notifier({"NOTIFY_SOCKET": "@" + name[1:]}).alive()
        assert ear.recv(100) == b"WATCHDOG=1"


def test_without_systemd_words_go_nowhere(tmp_path: Path) -> None:
    silent = Notifier({})
    assert not silent.is_heard
    silent.ready("x")
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")}).alive()


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({"WATCHDOG_USEC": "60000000"}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_ours_only_if_systemd_says_so(
    environment: dict[str, str], seconds: float | None
) -> None:
    assert Notifier(environment).watchdog_s == seconds
