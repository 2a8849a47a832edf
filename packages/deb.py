"""A Debian package: a release made for its final place, what goes with it, and the scripts of the package manager."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from packages import wheels
from packages.platforms import Platform, debian_version
from service.install.pages import HelpPage, completion, manual
from service.install.product import AGENT, FILES, OF_PACKAGES, Product
from service.install.release import STAMP, finish
from service.install.wheels import commands_of, unpack

_MAINTAINER: Final = Path(__file__).resolve().parent / "maintainer"
_SCRIPTS: Final = ("preinst", "postinst", "prerm", "postrm")
SMALL: Final = ("-Zxz", "-z6")
_ABOUT: Final = {
    AGENT.name: (
        " It stands on a host in a farm's network, takes tasks from its cloud, carries them out on AntMiners,",
        " WhatsMiners, IceRivers and CPU/GPU rigs, and proves what it did.",
    ),
}


def build(
    product: Product,
    platform: Platform,
    pages: Mapping[str, tuple[HelpPage, ...]],
    *,
    held: Path,
    ours: Path,
    work: Path,
    out: Path,
    compress: tuple[str, ...] = SMALL,
) -> Path:
    """The package in `out`. `held` has the wheels of that platform, `ours` is the one of ourselves, `work` an empty
    folder. Fetches nothing. Raises BadWheelError for a wheel that no release is made of, CalledProcessError, OSError.
    """
    version = wheels.version()
    tree = work / "tree"
    packaged = tree / product.packaged.relative_to("/")
    chosen = [*wheels.select(product, platform, held, work / "wheels"), ours]
    _release(product, platform, packaged, chosen=chosen, version=version)
    manuals = {name: gzip.compress(manual(each, version), mtime=0) for name, each in pages.items()}
    completions = {name: completion(each) for name, each in pages.items()}
    for path, content in OF_PACKAGES.of(product, manuals, completions).items():
        is_manual = path.parent == OF_PACKAGES.manuals
        _put(tree, path.with_name(path.name + ".gz") if is_manual else path, content)
    for path, to in OF_PACKAGES.links(product).items():
        there = tree / path.relative_to("/")
        there.parent.mkdir(parents=True, exist_ok=True)
        there.symlink_to(to)
    for name, path in product.config:
        _put(tree, path, (FILES / name).read_bytes())
    docs = OF_PACKAGES.examples / product.name
    _put(tree, docs / "copyright", (wheels.ROOT / "LICENSE").read_bytes())
    for name in ("README.md", "CHANGELOG.md", "docs/operations.md"):
        content = gzip.compress((wheels.ROOT / name).read_bytes(), mtime=0)
        _put(tree, docs / f"{Path(name).name}.gz", content)
    _control(product, platform, tree, version)
    _settle(tree)
    made = out / f"{product.name}_{debian_version(version, platform)}_{platform.arch}.deb"
    out.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", *compress, "--build", tree, made],
        check=True, stdout=subprocess.DEVNULL,
        env=os.environ | {"SOURCE_DATE_EPOCH": str(wheels.built_at())},
    )  # fmt: skip
    return made


def _release(
    product: Product, platform: Platform, packaged: Path, *, chosen: list[Path], version: str
) -> None:
    site = packaged / platform.site_packages
    unpack(chosen, site, machine=platform.elf_machine)
    finish(
        packaged,
        product.release(version),
        name=product.name,
        version=version,
        platform=platform.name,
        python=platform.interpreter,
        commands=commands_of(site, product.commands),
        built_at=datetime.fromtimestamp(wheels.built_at(), UTC).isoformat(),
    )


def _put(tree: Path, path: Path, content: bytes) -> None:
    there = tree / path.relative_to("/")
    there.parent.mkdir(parents=True, exist_ok=True)
    there.write_bytes(content)


def _control(product: Product, platform: Platform, tree: Path, version: str) -> None:
    control = tree / "DEBIAN"
    control.mkdir()
    files = [each for each in tree.rglob("*") if each.is_file() and not each.is_symlink()]
    size_kb = sum(-(-each.stat().st_size // 1024) for each in files)
    major, minor = platform.python
    needed = [
        f"python3 (>= {major}.{minor}~)",
        f"python3 (<< {major}.{minor + 1}~)",
        "libc6 (>= 2.28)",
        "systemd",
        "ca-certificates",
    ]
    lines = [
        f"Package: {product.name}",
        f"Version: {debian_version(version, platform)}",
        f"Architecture: {platform.arch}",
        "Maintainer: The miner-agent developers <miner-agent@localhost>",
        f"Installed-Size: {size_kb}",
        f"Depends: {', '.join(needed)}",
        "Section: net",
        "Priority: optional",
        f"Description: {product.about}",
        *_ABOUT.get(
            product.name,
            (
                " It takes orders from operators and their tools, and hands them to the agents of farms.",
            ),
        ),
    ]
    (control / "control").write_text("\n".join(lines) + "\n", "utf-8")
    (control / "conffiles").write_text("".join(f"{path}\n" for _, path in product.config), "utf-8")
    sums = [
        f"{hashlib.md5(each.read_bytes()).hexdigest()}  {each.relative_to(tree)}\n"
        for each in sorted(files)
    ]
    (control / "md5sums").write_text("".join(sums), "utf-8")
    for name in _SCRIPTS:
        text = script(name, product, platform, version)
        (control / name).write_text(text, "utf-8")


def script(name: str, product: Product, platform: Platform, version: str) -> str:
    """One of the scripts that the package manager runs."""
    words = {
        "NAME": product.name,
        "VERSION": version,
        "PYTHON": str(platform.interpreter),
        "UNITS": " ".join(product.units),
        "BEGUN": " ".join(product.begun),
        "PAUSED": " ".join(product.paused),
        "RESTARTED": " ".join(product.restarted),
        "LEADS": " ".join(each.name for each in product.leads),
        "SYSCTL": " ".join(product.sysctl),
        "KEPT": " ".join(map(str, product.kept)),
        "NEXT": product.next_step.replace("\n", "\n    "),
        "STAMP": STAMP,
    }
    text = (_MAINTAINER / name).read_text("utf-8")
    return re.sub(r"@([A-Z]+)@", lambda found: words[found[1]], text)


def _settle(tree: Path) -> None:
    """The same modes and times whoever builds, and whenever."""
    when = wheels.built_at()
    for folder, folders, names in os.walk(tree, topdown=False):
        for each in (*(Path(folder, name) for name in (*names, *folders)), Path(folder)):
            if not each.is_symlink():
                runs = each.is_dir() or _is_program(each, tree)
                each.chmod(0o755 if runs else 0o644)
            os.utime(each, (when, when), follow_symlinks=False)


def _is_program(path: Path, tree: Path) -> bool:
    known = path.parent.name == "bin" or path.parent == tree / "DEBIAN"
    return known and path.read_bytes().startswith(b"#!")
