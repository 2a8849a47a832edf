"""Whether releases of this host are ours to change; where they are not, the command that does it there."""

from __future__ import annotations

import os
import shlex
import sys
import sysconfig
from collections.abc import Callable, Mapping
from importlib.metadata import distributions
from pathlib import Path
from typing import Final, NamedTuple

from release.handover import UPDATE_FOLDER, WATCHED
from release.host import OS_RELEASE, host_platform
from service.install.environment import is_editable
from service.install.own import OwnRelease, own_release
from service.install.product import AGENT, OF_PACKAGES, OF_ROOT, OPT
from service.install.release import PROVEN, running

PATH_UNIT: Final = "miner-agent-update.path"
NO_ROOT: Final = "This release came without a root of trust, so that it takes no repository's word"
_MASKED: Final = Path("/dev/null")
_CONTAINERS: Final = (Path("/.dockerenv"), Path("/run/.containerenv"))


def _root_of_trust() -> bytes | None:
    from release.trusted_root import trusted_root

    return trusted_root()


class ReleaseHost(NamedTuple):
    """Where on this host the things of releases are. The defaults are those of a host itself."""

    prefix: Path = Path(sys.prefix)
    opt: Path = OPT
    state: Path = WATCHED
    update_folder: Path = UPDATE_FOLDER  # of root's installer
    root_uid: int = 0  # whose the files in it are
    # The first one that has a unit wins, as systemd looks for them.
    units: tuple[Path, ...] = (OF_ROOT.units, OF_PACKAGES.units)
    os_release: Path = OS_RELEASE
    machine: str | None = None  # as the kernel calls it; `None`: asked
    containers: tuple[Path, ...] = _CONTAINERS
    environment: Mapping[str, str] = os.environ
    # Of trust, as it came with the release that runs. Raises OSError.
    root: Callable[[], bytes | None] = _root_of_trust

    def own(self) -> OwnRelease | None:
        """The release that this process runs from, as its stamp and the links are now."""
        return own_release(self.prefix, self.opt)


def unmanaged(
    host: ReleaseHost, own: OwnRelease | None, state: Path, *, enabled: bool
) -> str | None:
    """Why an order cannot update the agent of that state folder, with what does it there; `None` where an order can.
    Raises OSError.
    """
    if own is None:
        return f"This agent is not installed as a release that it could change. {_by_hand(host)}"
    platform = host_platform(host.os_release, host.machine)
    if platform is None:
        return (
            "Releases are made for Debian 12 and 13 on amd64 and arm64, which this host is not. Install the new "
            "version from its source, then: sudo miner-agent install"
        )
    package = _with_package(platform)
    if not own.sha256:
        return f"The release that runs here has no stamp, so that nothing could be proven of it. {package}"
    if not enabled:
        return f"Updates by order are switched off here ([update] enabled = false). {package}"
    if not _has_unit(host):
        return f"This host has no {PATH_UNIT}, by which root installs what was ordered. {package}"
    proven = host.opt / AGENT.name / PROVEN
    if running(proven) is None:
        return (
            f"{proven}, from which root installs what was ordered, leads to no release. {package}"
        )
    if state.resolve() != host.state.resolve():
        return f"{PATH_UNIT} watches {host.state}, and the state of this agent lies in {state}. {package}"
    return None


def _has_unit(host: ReleaseHost) -> bool:
    for folder in host.units:
        unit = folder / PATH_UNIT
        if unit.is_symlink() and unit.readlink() == _MASKED:
            return False
        if unit.is_file():
            return True
    return False


def _with_package(platform: str) -> str:
    debian, _, architecture = platform.partition("_")
    return f"Install the new package on its host: sudo apt install ./miner-agent_VERSION+{debian}_{architecture}.deb"


def _by_hand(host: ReleaseHost) -> str:
    """The command for what runs here instead of a release."""
    if "container" in host.environment or any(each.exists() for each in host.containers):
        return (
            "It runs in a container; on its host, in the folder of compose.yaml: docker compose pull && docker compose "
            "up -d (where the image is built there: git pull && docker compose up -d --build)"
        )
    python = shlex.quote(str(host.prefix / "bin" / "python3"))
    program = shlex.quote(str(host.prefix / "bin" / "miner-agent"))
    if _is_installed(host.prefix):
        return (
            f"With the new version in a folder: {python} -m pip install --upgrade FOLDER && sudo {program} install, "
            "and start the agent again"
        )
    return "It runs from a checkout; there: git pull, and start the agent again"


def _is_installed(prefix: Path) -> bool:
    """Whether that environment holds the agent itself, and does not only lead to a checkout."""
    packages = sysconfig.get_path("purelib", vars={"base": str(prefix)})
    found = next(iter(distributions(name=AGENT.name, path=[packages])), None)
    return found is not None and not is_editable(found)
