"""What is in packages and bundles, also of those for hosts that are not at hand: files, and the processor they are for."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from packages import wheels
from packages.platforms import PLATFORMS, Platform
from release.bundle import check_bundle
from service.install.product import AGENT
from service.install.wheels import unpack
from tests.system.debian import built
from tests.tools import require

pytestmark = pytest.mark.slow
FOREIGN = PLATFORMS["deb12_arm64"]


def machines(folder: Path) -> set[int]:
    """Of every program and library, as the header of ELF has it."""
    found = set()
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            head = path.read_bytes()[:20]
            if head.startswith(b"\x7fELF"):
                found.add(int.from_bytes(head[18:20], "little"))
    return found


def content(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(entry)
    assert file is not None
    return file.read()


def check_release(release: Path, platform: Platform) -> None:
    assert machines(release) == {platform.elf_machine}
    assert (release / "bin/python3").readlink() == platform.interpreter
    assert [each.name for each in (release / "lib").iterdir()] == [
        f"python{platform.python_version}"
    ]
    tag = f"cpython-{platform.python[0]}{platform.python[1]}-"
    libraries = [each.name for each in release.rglob("*.so") if ".cpython-" in each.name]
    assert libraries
    assert [each for each in libraries if tag not in each] == []
    assert [*release.rglob("*.pyc")] == [], "it is compiled where it is installed"
    for script in (release / "bin").iterdir():
        if not script.is_symlink():
            first = script.read_text().splitlines()[0]
            assert first == f"#!/opt/miner-agent/releases/{built.version()}/bin/python3 -I"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    require("dpkg-deb")
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def test_a_package_for_another_processor_holds_what_runs_there(folder: Path) -> None:
    package = built.packages(FOREIGN.name, folder, "--product", "miner-agent")["miner-agent"]
    assert package.name == f"miner-agent_{built.version()}+deb12_arm64.deb"
    tree = folder / "tree"
    subprocess.run(["dpkg-deb", "-x", package, tree], check=True)
    check_release(tree / "opt/miner-agent/packaged", FOREIGN)
    told = subprocess.run(
        ["dpkg-deb", "-f", package], check=True, capture_output=True, text=True
    ).stdout
    assert "\nArchitecture: arm64\n" in told
    assert "python3 (>= 3.11~), python3 (<< 3.12~)" in told
    listed = subprocess.run(
        ["dpkg-deb", "-c", package], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    assert [line for line in listed if line.split()[1] != "root/root"] == []
    assert [line for line in listed if line[0] == "-" and (line[5] == "w" or line[8] == "w")] == []
    assert not any(" ./opt/miner-agent/current" in line for line in listed)


@pytest.mark.parametrize("name", ["deb12_arm64", "deb13_amd64"])
def test_a_release_holds_what_pip_would_install_of_the_same_wheels(name: str, folder: Path) -> None:
    platform = PLATFORMS[name]
    held = wheels.fetch(platform, built.WHEELS)
    work = folder / name
    chosen = wheels.select(AGENT, platform, held, work / "wheels")
    unpack(chosen, work / "ours", machine=platform.elf_machine)
    words = ("install", "--target", work / "pip", "--no-index", "--no-deps", "--no-compile")
    wheels.pip(*words, *platform.pip_options(), *chosen)
    shutil.rmtree(work / "pip/bin")  # commands that no release has
    assert contents(work / "ours") == contents(work / "pip")


def contents(folder: Path) -> dict[str, str]:
    """The sha256 of each file, but for what pip notes of its own doing."""
    notes = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"}
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and not (path.parent.suffix == ".dist-info" and path.name in notes)
    }


def test_a_bundle_is_its_manifest_and_the_wheels_it_names(folder: Path) -> None:
    bundle = built.bundle(FOREIGN.name, folder)
    assert bundle.name == f"miner-agent-{built.version()}-{FOREIGN.name}.tar"
    with tarfile.open(bundle, "r:") as tar:
        entries = tar.getmembers()
        assert all(each.isfile() for each in entries)
        contents = {each.name: content(tar, each) for each in entries}
    names = [each.name for each in entries]
    manifest = json.loads(contents["manifest.json"])
    assert names == ["manifest.json", *(each["file"] for each in manifest["wheels"])]
    assert (manifest["name"], manifest["version"]) == ("miner-agent", built.version())
    assert (manifest["platform"], manifest["python"]) == ("deb12_arm64", "3.11")
    assert manifest["journal_schema"]["writes"] == max(manifest["journal_schema"]["reads"])
    assert manifest["link"] == [1]
    for each in manifest["wheels"]:
        held = contents[each["file"]]
        assert (len(held), hashlib.sha256(held).hexdigest()) == (each["size"], each["sha256"])
        assert each["file"].endswith(("_aarch64.whl", "-none-any.whl")), each
    assert [each for each in names if each.startswith("miner_agent-")] == [
        f"miner_agent-{built.version()}-py3-none-any.whl"
    ]
    assert not any(each.startswith("sqlalchemy") for each in names), "nothing of the cloud's"
    with bundle.open("rb") as file:
        assert check_bundle(file).file_name == bundle.name, "an agent takes it"
