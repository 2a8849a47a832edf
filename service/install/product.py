"""What each of our two products has on a host: its programs, units, users' folders, and the files that go with them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from service.install.release import CURRENT, PROVEN, RELEASES

FILES: Final = Path(__file__).resolve().parent.parent / "systemd"  # as they come with us
OPT: Final = Path("/opt")


class Product(msgspec.Struct, frozen=True):
    """What is installed, upgraded and removed as one. Its folders are absolute, as on the host itself."""

    name: str
    about: str
    programs: tuple[str, ...]  # the first one is its own
    inner: tuple[str, ...]  # programs that its units alone call, and that are on nobody's path
    units: tuple[str, ...]
    begun: tuple[str, ...]  # of the units those that run from the day of the installation
    paused: tuple[str, ...]  # of the units those that change releases, and may not while we do
    config: tuple[tuple[str, Path], ...]  # which of our files lies where until a person changes it
    examples: tuple[str, ...]  # of what a person may set up besides
    sysctl: tuple[str, ...]
    # What it wrote itself, or holds secrets of: gone only when that is asked for.
    kept: tuple[Path, ...]
    next_step: str  # what to do after the first installation

    @property
    def home(self) -> Path:
        return OPT / self.name

    @property
    def current(self) -> Path:
        """A link to the release that its units run."""
        return self.home / CURRENT

    @property
    def proven(self) -> Path:
        """A link to the last release that proved itself on this host; whoever installs one by hand vouches for it."""
        return self.home / PROVEN

    @property
    def leads(self) -> tuple[Path, ...]:
        """The links to releases that it has: one that updates itself has its proven one, too."""
        return (self.current, self.proven) if self.paused else (self.current,)

    @property
    def commands(self) -> tuple[str, ...]:
        """Every program in a release."""
        return (*self.programs, *self.inner)

    @property
    def restarted(self) -> tuple[str, ...]:
        """Of the units those that run another release once they are restarted."""
        return tuple(each for each in self.units if each not in self.paused)

    @property
    def releases(self) -> Path:
        return self.home / RELEASES

    @property
    def packaged(self) -> Path:
        """What the package manager owns: releases are made from it, and it may take it away at any time."""
        return self.home / "packaged"

    def release(self, version: str) -> Path:
        return self.releases / version


AGENT: Final = Product(
    name="miner-agent",
    about="on-site agent for crypto-mining farms",
    programs=("miner-agent", "miner-agent-rig", "miner-simulator"),
    inner=("miner-agent-update",),
    units=(
        "miner-agent.service",
        "miner-agent-rig.service",
        "miner-agent-update.service",
        "miner-agent-update.path",
    ),
    begun=("miner-agent.service", "miner-agent-update.path"),
    paused=("miner-agent-update.path", "miner-agent-update.service"),
    config=(("config.example.toml", Path("/etc/miner-agent/config.toml")),),
    examples=("config.example.toml", "rig.example.toml"),
    sysctl=("60-miner-agent.conf",),
    kept=(
        Path("/var/lib/miner-agent"),
        Path("/var/lib/miner-agent-rig"),
        Path("/var/lib/miner-agent-update"),
        Path("/var/log/miner-agent-rig"),
        Path("/etc/miner-agent"),
    ),
    next_step=(
        "set url and ranges in /etc/miner-agent/config.toml, then run: miner-agent enroll --code CODE\n"
        "The unit miner-agent waits for that; nothing has to be started."
    ),
)
CLOUD: Final = Product(
    name="miner-cloud",
    about="control plane of miner-agent",
    programs=("miner-cloud",),
    inner=(),
    units=("miner-cloud.service",),
    begun=("miner-cloud.service",),
    paused=(),
    config=(),
    examples=(),
    sysctl=(),
    kept=(Path("/var/lib/miner-cloud"),),
    next_step=(
        "it serves on 127.0.0.1:8080, for a proxy that does TLS. Without one: miner-cloud tls init --name HOST "
        "--data /var/lib/miner-cloud, then --host and --port by systemctl edit miner-cloud.\n"
        "Next: miner-cloud workspace create --name NAME --data /var/lib/miner-cloud"
    ),
)


class FilePlaces(msgspec.Struct, frozen=True):
    """Where a host looks for each kind of file."""

    programs: Path
    units: Path
    sysusers: Path
    tmpfiles: Path
    sysctl: Path
    manuals: Path
    completions: Path
    examples: Path

    def of(
        self, product: Product, manuals: dict[str, bytes], completions: dict[str, bytes]
    ) -> dict[Path, bytes]:
        """Every file of the product but its releases, its links and its config, with what is in it. `manuals` and
        `completions` by the name of the program.
        """
        conf = f"{product.name}.conf"
        files = {self.units / each: (FILES / each).read_bytes() for each in product.units}
        files[self.sysusers / conf] = (FILES / "sysusers.d" / conf).read_bytes()
        files[self.tmpfiles / conf] = (FILES / "tmpfiles.d" / conf).read_bytes()
        for each in product.sysctl:
            files[self.sysctl / each] = (FILES / "sysctl.d" / each).read_bytes()
        for each in product.examples:
            files[self.examples / product.name / each] = (FILES / each).read_bytes()
        for program, text in manuals.items():
            files[self.manuals / f"{program}.1"] = text
        for program, text in completions.items():
            files[self.completions / program] = text
        return files

    def links(self, product: Product) -> dict[Path, Path]:
        """What puts the programs on everybody's path, each with what it leads to."""
        return {self.programs / each: product.current / "bin" / each for each in product.programs}


OF_PACKAGES: Final = FilePlaces(
    programs=Path("/usr/bin"),
    units=Path("/usr/lib/systemd/system"),
    sysusers=Path("/usr/lib/sysusers.d"),
    tmpfiles=Path("/usr/lib/tmpfiles.d"),
    sysctl=Path("/usr/lib/sysctl.d"),
    manuals=Path("/usr/share/man/man1"),
    completions=Path("/usr/share/bash-completion/completions"),
    examples=Path("/usr/share/doc"),
)
OF_ROOT: Final = FilePlaces(
    programs=Path("/usr/local/bin"),
    units=Path("/etc/systemd/system"),
    sysusers=Path("/etc/sysusers.d"),
    tmpfiles=Path("/etc/tmpfiles.d"),
    sysctl=Path("/etc/sysctl.d"),
    manuals=Path("/usr/local/share/man/man1"),
    completions=Path("/usr/local/share/bash-completion/completions"),
    examples=Path("/usr/local/share/doc"),
)
