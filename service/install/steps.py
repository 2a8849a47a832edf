"""`install` and `uninstall`: what is to be done, in order. Each step says what it does, and whether that is due."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from service.hostuser import is_root
from service.install.environment import CannotInstallError, Environment
from service.install.host import HostCommandError, TargetHost
from service.install.product import OF_ROOT, Product
from service.install.release import (
    Stamp,
    finish,
    flip,
    old_releases,
    running,
    settle,
    version_order,
)

SYSUSERS: Final = "systemd-sysusers"
TMPFILES: Final = "systemd-tmpfiles"
SYSTEMCTL: Final = "systemctl"
_SYSCTL: Final = "/usr/lib/systemd/systemd-sysctl"
_ROOM_FOR: Final = 2.5  # a release and what Python compiles of it, in sizes of what is copied


class Step(msgspec.Struct, frozen=True):
    """One thing to do. `is_due` is asked when those before it were taken; `None`: it is due where any of those was."""

    what: str
    is_due: Callable[[], bool] | None
    act: Callable[[], None]


def check(product: Product, host: TargetHost) -> None:
    """Raises CannotInstallError where nothing of ours may be installed or taken away by hand."""
    if sys.platform != "linux":
        raise CannotInstallError("services are installed on Linux alone")
    if host.is_this and not is_root():
        raise CannotInstallError("only root may do that: run it by sudo")
    if host.at(product.packaged).is_dir():
        raise CannotInstallError(
            f"{product.name} is a package of this host: apt install ./{product.name}_VERSION.deb upgrades it, "
            f"apt remove {product.name} takes it away"
        )
    if not all(map(host.has, (SYSTEMCTL, SYSUSERS, TMPFILES))):
        raise CannotInstallError(
            f"this host is not run by systemd: run {product.programs[0]} by whatever starts services here "
            "(docs/operations.md has the ways)"
        )


class Installation:
    """One product on one host."""

    def __init__(
        self,
        product: Product,
        host: TargetHost,
        source: Environment,
        manuals: dict[str, bytes],
        completions: dict[str, bytes],
    ) -> None:
        """Raises CannotInstallError for what would not do."""
        self._product, self._host, self._source = product, host, source
        self._files = OF_ROOT.of(product, manuals, completions)
        self._links = OF_ROOT.links(product)
        self._present = running(host.at(product.current))
        self._paused = [each for each in product.paused if host.at(OF_ROOT.units / each).exists()]
        check(product, host)
        self._check_version()
        self._check_way()
        self._check_room()

    def steps(self) -> Iterator[Step]:
        """In order; a step may be judged only after those before it were taken."""
        product, host = self._product, self._host
        if host.is_booted and self._paused:
            # It goes on afterwards, by what it wrote, and sees whose turn it was.
            yield Step(
                f"stop {', '.join(self._paused)}",
                lambda: self._lacks_release() or self._leads_elsewhere(),
                lambda: host.run(SYSTEMCTL, "stop", *self._paused),
            )
        for path, content in self._files.items():
            yield _written(host, path, content)
        conf = f"{product.name}.conf"
        yield Step(
            f"make the users of {OF_ROOT.sysusers / conf}",
            self._lacks_users,
            lambda: host.run(SYSUSERS, conf),
        )
        yield Step(
            f"make the folders of {OF_ROOT.tmpfiles / conf}",
            self._lacks_folders,
            lambda: host.run(TMPFILES, "--create", conf),
        )
        if product.sysctl and host.is_this and Path(_SYSCTL).exists():
            yield Step("set what sysctl.d says", None, self._set_sysctl)
        for name, path in product.config:
            yield _kept(host, OF_ROOT.examples / product.name / name, path)
        release = product.release(self._source.version)
        yield Step(f"make {release}", self._lacks_release, self._make_release)
        for path, to in self._links.items():
            yield _linked(host, path, to)
        yield Step(
            f"have {' and '.join(map(str, product.leads))} lead to {release}",
            self._leads_elsewhere,
            self._flip,
        )
        yield Step(
            f"enable {', '.join(product.begun)}",
            lambda: not all(map(self._is_enabled, product.begun)),
            lambda: host.run(SYSTEMCTL, "enable", "--quiet", *product.begun),
        )
        if host.is_booted:
            yield Step("restart what runs", None, self._start)
        yield Step("take away old releases", lambda: bool(self._old()), self._remove_old)

    def _check_version(self) -> None:
        wanted = self._source.version
        if self._present is not None and version_order(wanted) < version_order(self._present):
            raise CannotInstallError(
                f"{self._present} is installed, and {wanted} is older: journal and database are brought forward only"
            )

    def _check_way(self) -> None:
        for path, to in self._links.items():
            there = self._host.at(path)
            if (there.exists() or there.is_symlink()) and not _leads_to(there, to):
                raise CannotInstallError(f"{path} is in the way, and not ours: take it away first")

    def _check_room(self) -> None:
        home = self._host.at(self._product.home)
        nearest = next(each for each in (home, *home.parents) if each.exists())
        needed, free = int(self._source.size_bytes() * _ROOM_FOR), shutil.disk_usage(nearest).free
        if self._lacks_release() and free < needed:
            raise CannotInstallError(
                f"{nearest} has {free // 2**20} MB left, and {needed // 2**20} MB are needed"
            )

    def _lacks_users(self) -> bool:
        known = self._host.at(Path("/etc/passwd"))
        text = "\n" + (known.read_text("utf-8") if known.exists() else "")
        return not all(f"\n{each}:" in text for each in self._users())

    def _users(self) -> list[str]:
        conf = self._files[OF_ROOT.sysusers / f"{self._product.name}.conf"].decode()
        return [line.split()[1] for line in conf.splitlines() if line.startswith("u ")]

    def _lacks_folders(self) -> bool:
        conf = self._files[OF_ROOT.tmpfiles / f"{self._product.name}.conf"].decode()
        folders = [line.split()[1] for line in conf.splitlines() if line.startswith("d ")]
        return not all(self._host.at(Path(each)).is_dir() for each in folders)

    def _set_sysctl(self) -> None:
        # Of a container they are not ours to set.
        with contextlib.suppress(HostCommandError):
            self._host.run(_SYSCTL, *self._product.sysctl)

    def _lacks_release(self) -> bool:
        release = self._product.release(self._source.version)
        if Path(sys.prefix) == release:
            return False  # we run from it
        return Stamp.read(self._host.at(release)) is None

    def _make_release(self) -> None:
        """Beside its place, and moved there as a whole."""
        version = self._source.version
        place = self._product.release(version)
        made = self._host.at(place.with_name(f".{version}.new"))
        self._host.remove(place.with_name(f".{version}.new"))
        made.mkdir(parents=True, mode=0o755)
        self._source.copy_to(made)
        finish(
            made,
            place,
            name=self._product.name,
            version=version,
            platform=f"{platform.system().lower()}_{platform.machine()}",
            python=self._source.python,
            commands=self._source.commands,
        )
        settle(made, place)
        os.sync()
        self._host.remove(place)  # half of one
        made.rename(self._host.at(place))

    def _leads_elsewhere(self) -> bool:
        return any(
            running(self._host.at(each)) != self._source.version for each in self._product.leads
        )

    def _flip(self) -> None:
        for each in self._product.leads:
            flip(self._host.at(each), self._source.version)

    def _is_enabled(self, unit: str) -> bool:
        wants = OF_ROOT.units / "multi-user.target.wants" / unit
        return self._host.at(wants).is_symlink()

    def _start(self) -> None:
        self._host.run(SYSTEMCTL, "daemon-reload")
        begun, restarted = self._product.begun, self._product.restarted
        self._host.run(SYSTEMCTL, "restart", *(each for each in begun if each in restarted))
        others = [each for each in restarted if each not in begun]
        if others:
            self._host.run(SYSTEMCTL, "try-restart", *others)
        self._host.run(SYSTEMCTL, "start", *begun)

    def _old(self) -> list[str]:
        return old_releases(self._host.at(self._product.home), self._product.home)

    def _remove_old(self) -> None:
        for each in self._old():
            self._host.remove(self._product.release(each))


def removal(product: Product, host: TargetHost, *, purge: bool) -> Iterator[Step]:
    """The steps that take a product away: its programs and what goes with them, and with `purge` what it kept, too."""
    units = [each for each in product.units if host.at(OF_ROOT.units / each).exists()]
    if units and host.is_booted:
        yield Step(
            f"stop {', '.join(units)}", lambda: True, lambda: host.run(SYSTEMCTL, "stop", *units)
        )
    if units:
        yield Step(
            f"disable {', '.join(units)}",
            lambda: True,
            lambda: host.run(SYSTEMCTL, "disable", "--quiet", *units),
        )
    named = dict.fromkeys(product.programs, b"")
    for path in (*OF_ROOT.of(product, named, named), OF_ROOT.examples / product.name):
        yield _removed(host, path)
    for path, to in OF_ROOT.links(product).items():
        if _leads_to(host.at(path), to):
            yield _removed(host, path)
    yield _removed(host, product.home)
    if units and host.is_booted:
        yield Step(
            "have systemd read its units", None, lambda: host.run(SYSTEMCTL, "daemon-reload")
        )
    for path in product.kept if purge else ():
        yield _removed(host, path)


def _written(host: TargetHost, path: Path, content: bytes) -> Step:
    return Step(
        f"write {path}", lambda: not host.holds(path, content), lambda: host.write(path, content)
    )


def _kept(host: TargetHost, example: Path, path: Path) -> Step:
    """What a person changes is written once."""
    return Step(
        f"write {path}",
        lambda: not host.at(path).exists(),
        lambda: host.write(path, host.at(example).read_bytes()),
    )


def _linked(host: TargetHost, path: Path, to: Path) -> Step:
    return Step(
        f"have {path} lead to {to}",
        lambda: not _leads_to(host.at(path), to),
        lambda: _link(host.at(path), to),
    )


def _removed(host: TargetHost, path: Path) -> Step:
    there = host.at(path)
    return Step(
        f"remove {path}",
        lambda: there.exists() or there.is_symlink(),
        lambda: host.remove(path),
    )


def _leads_to(path: Path, to: Path) -> bool:
    return path.is_symlink() and path.readlink() == to


def _link(path: Path, to: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(to)
