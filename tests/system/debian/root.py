"""A clean Debian in a folder, made by mmdebstrap, and what is run in it.

Systemd does not boot there. What it would do, `tests.system.debian.unit` does from the units' own lines; what a package
asks of it is written down by a `systemctl` that stands in its place. Everything that is mounted for a command is mounted in
a namespace of that command alone, so nothing is left behind whatever becomes of us.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

SUITES: Final = {12: "bookworm", 13: "trixie"}
_ROOM_BYTES: Final = 3 * 2**30  # two roots, their packages and what is installed of them
_CALLS: Final = "var/log/systemctl-calls"
_INCLUDED: Final = ("ca-certificates", "python3", "systemd")
# /proc/sys is read-only: the kernel is the host's, and sysctl.d of a root is not for it.
_ENTER: Final = """
set -e
root=$1 shared=$2 writable=$3
shift 3
if [ -n "$writable" ]; then mount --bind "$root" "$root" && ip link set lo up; fi
for each in $writable; do mount --bind "$root$each" "$root$each"; done
mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount --rbind /dev "$root/dev"
if [ -n "$shared" ]; then mkdir -p "$root$shared" && mount --bind "$shared" "$root$shared"; fi
if [ -n "$writable" ]; then mount -t tmpfs tmpfs "$root/tmp" && mount -o remount,bind,ro "$root"; fi
exec /usr/sbin/chroot "$root" "$@"
"""
_SYSTEMCTL: Final = f"""#!/bin/sh
echo "$*" >>/{_CALLS}
for each in "$@"; do
    case "$each" in enable | disable | preset | is-enabled) SYSTEMD_OFFLINE=1 exec /usr/bin/systemctl.real "$@" ;; esac
done
"""


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder with a short name, since sockets lie in it: in memory where there is room, for packages are synced file by
    file.
    """
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > _ROOM_BYTES
    with tempfile.TemporaryDirectory(dir=memory if roomy else None) as name:
        yield Path(name)


class Root(msgspec.Struct, frozen=True):
    """One Debian. `shared` is a folder of the host that is seen in it, at the same place."""

    path: Path
    shared: Path | None = None

    def at(self, path: str | Path) -> Path:
        return self.path / str(path).lstrip("/")

    def words(self, *command: object, writable: Sequence[str] = ()) -> list[str]:
        """How a command is run in it: as one process, which a signal reaches. With `writable` it can write in these
        folders, in what is shared and in a /tmp of its own, and has no network but a loopback of its own.
        """
        own = ["unshare", "--mount", "--propagation", "private", *(["--net"] if writable else [])]
        places = [str(self.path), str(self.shared or ""), " ".join(writable)]
        return [*own, "sh", "-c", _ENTER, "sh", *places, *map(str, command)]

    def run(self, *command: object, code: int = 0, text: str | None = None) -> str:
        """What it says on stdout; it has to end with that code."""
        environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LC_ALL": "C.UTF-8",
        }
        done = subprocess.run(
            self.words(*command), capture_output=True, text=True, check=False, input=text,
            env=environment | {"DEBIAN_FRONTEND": "noninteractive", "HOME": "/root"},
        )  # fmt: skip
        assert done.returncode == code, (
            command,
            done.returncode,
            done.stdout[-3000:],
            done.stderr[-3000:],
        )
        return done.stdout

    def ask(self, *command: object) -> Any:
        """The JSON document of its last line."""
        return msgspec.json.decode(self.run(*command, "--json").splitlines()[-1])

    def install(self, *packages: Path, options: Sequence[str] = ()) -> str:
        """As `apt install ./*.deb` does. No network is needed: what they depend on is here."""
        for each in packages:
            shutil.copy2(each, self.at("/root"))
        return self.run(
            "apt-get", "install", "-y", *options, *(f"/root/{each.name}" for each in packages)
        )

    def asked_of_systemd(self) -> list[str]:
        """Since the last call."""
        path = self.at(_CALLS)
        said = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return said

    def uid(self, user: str) -> tuple[int, int]:
        """The numbers of a user, and of its group."""
        lines = self.at("/etc/passwd").read_text().splitlines()
        (found,) = (each.split(":") for each in lines if each.startswith(f"{user}:"))
        return int(found[2]), int(found[3])


def made(debian: int, folder: Path, *more: str) -> Path:
    """A tar of a clean root, with `more` packages; it stays there and is made once."""
    tar = folder / f"{'-'.join((SUITES[debian], *more))}.tar"
    if not tar.exists():
        folder.mkdir(parents=True, exist_ok=True)
        beside = tar.with_suffix(".part.tar")
        subprocess.run(
            ["mmdebstrap", "--quiet", "--variant=minbase", "--dpkgopt=force-unsafe-io",
             "--dpkgopt=path-exclude=/usr/share/locale/*", f"--include={','.join((*_INCLUDED, *more))}", SUITES[debian], beside],
            check=True,
        )  # fmt: skip
        beside.rename(tar)
    return tar


@contextmanager
def root_of(tar: Path, folder: Path, *, shared: Path | None = None) -> Iterator[Root]:
    """A root of its own, gone afterwards. A systemd seems to run in it."""
    path = folder / "root"
    path.mkdir()
    subprocess.run(["tar", "-C", path, "-xf", tar], check=True)
    root = Root(path, shared)
    root.at("/run/systemd/system").mkdir(parents=True, exist_ok=True)
    systemctl = root.at("/usr/bin/systemctl")
    systemctl.rename(systemctl.with_name("systemctl.real"))
    systemctl.write_text(_SYSTEMCTL)
    systemctl.chmod(0o755)
    try:
        yield root
    finally:
        shutil.rmtree(path)
