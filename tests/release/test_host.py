"""What a newer release is compared with: the platform of a host, and when what runs there was built."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from release.host import EARLIEST, built_at, host_platform
from service.install.release import Stamp

BOOKWORM = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\nID=debian\n'


@pytest.mark.parametrize(
    ("text", "machine", "platform"),
    [
        (BOOKWORM, "aarch64", "deb12_arm64"),
        (BOOKWORM, "x86_64", "deb12_amd64"),
        ("ID='debian'\nVERSION_ID=13\n", "x86_64", "deb13_amd64"),
        (BOOKWORM, "armv7l", None),
        (BOOKWORM.replace("ID=debian", "ID=ubuntu"), "x86_64", None),
        ("ID=debian\nVERSION_CODENAME=forky\n", "x86_64", None),  # the one that is no release yet
        ("\0\xff=", "x86_64", None),
    ],
)
def test_the_platform_is_told_by_the_host(
    tmp_path: Path, text: str, machine: str, platform: str | None
) -> None:
    (tmp_path / "os-release").write_text(text)
    assert host_platform(tmp_path / "os-release", machine) == platform


def test_a_host_that_does_not_tell_is_none_of_ours(tmp_path: Path) -> None:
    assert host_platform(tmp_path / "nowhere", "x86_64") is None


def test_a_debian_of_32_bits_on_a_larger_processor_takes_no_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "os-release").write_text(BOOKWORM)
    monkeypatch.setattr(sys, "maxsize", 2**31 - 1)
    assert host_platform(tmp_path / "os-release", "aarch64") is None


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        ("2026-11-30T12:00:00+00:00", datetime(2026, 11, 30, 12, tzinfo=UTC)),
        ("", EARLIEST),
        ("2026-11-30T12:00:00", EARLIEST),
        ("yesterday", EARLIEST),
    ],
)
def test_a_stamp_that_does_not_say_when_it_was_built_is_taken_for_old(
    told: str, wanted: datetime
) -> None:
    stamp = Stamp(name="a", version="1", platform="p", sha256="s", built_at=told)
    assert built_at(stamp) == wanted
