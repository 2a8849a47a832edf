"""The hosts that packages are made for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import msgspec

from service.install.release import site_packages


class Platform(msgspec.Struct, frozen=True):
    """One Debian on one kind of processor, with the Python that it comes with."""

    debian: int
    arch: str  # as Debian calls it
    machine: str  # as wheels and the kernel call it
    elf_machine: int  # as the header of its programs calls it
    python: tuple[int, int]
    glibc_minor: int

    @property
    def name(self) -> str:
        return f"deb{self.debian}_{self.arch}"

    @property
    def python_version(self) -> str:
        return "{}.{}".format(*self.python)

    @property
    def interpreter(self) -> Path:
        return Path(f"/usr/bin/python{self.python_version}")

    @property
    def site_packages(self) -> str:
        return site_packages(self.python_version)

    def pip_options(self) -> list[str]:
        """How pip is told to take the wheels of that host, whatever it runs on: newer C libraries first."""
        # The names from before they told the version of the C library.
        older = (
            ["manylinux2014"]
            if self.arch != "amd64"
            else ["manylinux2014", "manylinux2010", "manylinux1"]
        )
        names = [f"manylinux_2_{minor}" for minor in range(self.glibc_minor, 4, -1)]
        tags = [f"--platform={name}_{self.machine}" for name in (*names, *older)]
        return [
            "--implementation=cp",
            f"--python-version={self.python_version}",
            "--only-binary=:all:",
            *tags,
        ]


# 32 bit are not among them: of msgspec, uvloop, psutil, cffi, greenlet and pyyaml nobody publishes
# wheels for armhf.
PLATFORMS: Final = {
    each.name: each
    for each in (
        Platform(12, "amd64", "x86_64", 62, (3, 11), 36),
        Platform(12, "arm64", "aarch64", 183, (3, 11), 36),
        Platform(13, "amd64", "x86_64", 62, (3, 13), 41),
        Platform(13, "arm64", "aarch64", 183, (3, 13), 41),
    )
}


def debian_version(version: str, platform: Platform) -> str:
    """Of a package: sorted by Debian as Python sorts ours, and upgraded when the host is to the next Debian."""
    return f"{sorted_by_debian(version)}+deb{platform.debian}"


def sorted_by_debian(version: str) -> str:
    """With a tilde before what comes before a release, as Debian has it. The maintainer scripts do the same."""
    text = re.sub(r"\.dev", "~~dev", version)
    return re.sub(r"(?<=\d)(a|b|rc)(?=\d)", r"~\1", text)
