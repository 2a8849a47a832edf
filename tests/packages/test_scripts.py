"""The scripts of the package manager, the platforms, and the order of versions as Debian has it."""

from __future__ import annotations

import subprocess
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

from packages import wheels
from packages.deb import script
from packages.platforms import PLATFORMS, debian_version, sorted_by_debian
from service.install.product import AGENT, CLOUD, FILES, OF_PACKAGES, Product
from tests.service.install.test_release import IN_ORDER
from tests.tools import require

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ("preinst", "postinst", "prerm", "postrm")


@pytest.mark.parametrize("product", [AGENT, CLOUD], ids=["agent", "cloud"])
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_shell_takes_each_script(name: str, product: Product, tmp_path: Path) -> None:
    text = script(name, product, PLATFORMS["deb12_amd64"], "1.2.3")
    assert "@" not in text.replace("-V", "")
    path = tmp_path / name
    path.write_text(text)
    subprocess.run(["sh", "-n", path], check=True)
    assert product.name in text


def test_debian_sorts_versions_as_python_does() -> None:
    require("dpkg")
    for older, newer in pairwise(IN_ORDER):
        words = [
            "dpkg",
            "--compare-versions",
            sorted_by_debian(older),
            "lt",
            sorted_by_debian(newer),
        ]
        assert subprocess.run(words, check=False).returncode == 0, (older, newer)


def test_the_script_sorts_as_the_builder_does(tmp_path: Path) -> None:
    text = script("postinst", AGENT, PLATFORMS["deb12_amd64"], "1.2.3")
    function = text[text.index("sortable() {") : text.index("present() {")]
    words = "".join(f"sortable {each}; echo; " for each in IN_ORDER)
    done = subprocess.run(
        ["sh", "-c", function + words], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [sorted_by_debian(each) for each in IN_ORDER]


def test_a_host_that_is_upgraded_to_the_next_debian_gets_the_next_package() -> None:
    older, newer = (
        debian_version("1.0", PLATFORMS[each]) for each in ("deb12_arm64", "deb13_arm64")
    )
    assert (older, newer) == ("1.0+deb12", "1.0+deb13")


def test_every_python_of_ours_is_one_that_we_support() -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert wanted == ">=3.11"
    assert {each.python for each in PLATFORMS.values()} == {(3, 11), (3, 13)}


@pytest.mark.parametrize("product", [AGENT, CLOUD], ids=["agent", "cloud"])
def test_every_file_of_a_product_comes_with_us(product: Product) -> None:
    files = OF_PACKAGES.of(product, {}, {})
    assert all(files.values())
    assert all((FILES / name).is_file() for name, _ in product.config)
    assert product.programs[0] == product.name
    assert {*product.commands} <= wheels.scripts().keys()
    units = {
        path.name: content.decode()
        for path, content in files.items()
        if path.suffix in {".service", ".path"}
    }
    assert units.keys() == {*product.units}
    for name, text in units.items():
        if name.endswith(".service"):
            lead = product.proven if name in product.paused else product.current
            assert f"\nExecStart={lead}/bin/" in text


def test_an_update_is_begun_for_a_wish_and_for_what_is_not_ended() -> None:
    watched, run = ((FILES / each).read_text() for each in AGENT.paused)
    said = dict(line.split("=", 1) for line in run.splitlines() if "=" in line and line[0] != "#")
    paths = [line.partition("=")[2] for line in watched.splitlines() if "PathExists=" in line]
    state, own = f"/var/lib/{AGENT.name}", f"/var/lib/{said['StateDirectory']}"
    assert paths == [f"{state}/update/request.json", f"{own}/progress.json"]
    assert {Path(state), Path(own)} <= {*AGENT.kept}
    assert (
        f"d      {own}          {said['StateDirectoryMode']} root"
        in (FILES / "tmpfiles.d" / "miner-agent.conf").read_text()
    )


def lines_of(name: str, text: str) -> str:
    """The part of a script that sets links, with what it calls."""
    functions = text[text.index("sortable() {") : text.index("systemd-sysusers ")]
    return f"version={name}\n{functions}{text[text.index('now=$(present current)') : text.index('for unit in')]}"


@pytest.mark.parametrize(
    ("current", "proven", "installed", "after"),
    [
        (None, None, "1.0", ("1.0", "1.0")),
        ("1.0", "1.0", "1.1", ("1.1", "1.1")),
        ("1.0", None, "1.1", ("1.1", "1.1")),  # of before there were two links
        ("1.1", "1.1", "1.0", ("1.1", "1.1")),
        ("1.1", None, "1.0", ("1.1", "1.1")),
        # An update is in progress: from 1.0 to 1.2
        ("1.2", "1.0", "1.1", ("1.2", "1.0")),
        ("1.2", "1.0", "1.2", ("1.2", "1.2")),
        ("1.2", "1.0", "1.10", ("1.10", "1.10")),
        ("1.0", "1.0", "1.10", ("1.10", "1.10")),
        ("1.2", "1.0", "1.2rc1", ("1.2", "1.0")),
    ],
)
def test_no_package_takes_a_host_back_to_an_older_release(
    current: str | None,
    proven: str | None,
    installed: str,
    after: tuple[str, str],
    tmp_path: Path,
) -> None:
    require("dpkg")
    for each in ("1.0", "1.1", "1.10", "1.2rc1", "1.2"):
        (tmp_path / "releases" / each).mkdir(parents=True)
        (tmp_path / "releases" / each / "release.json").write_text("{}")
    for link, version in (("current", current), ("proven", proven)):
        if version is not None:
            (tmp_path / link).symlink_to(f"releases/{version}")
    (tmp_path / ".proven.new").symlink_to("left by a power cut")
    text = script("postinst", AGENT, PLATFORMS["deb12_amd64"], installed)
    words = f"set -e\nhome={tmp_path}\n{lines_of(installed, text)}"
    done = subprocess.run(["sh", "-c", words], capture_output=True, text=True, check=True)
    assert tuple((tmp_path / each).readlink().name for each in ("current", "proven")) == after
    assert ("goes on with release" in done.stdout) == (after[0] != installed)


def test_the_neighbour_table_has_room_for_a_farm() -> None:
    text = (FILES / "sysctl.d" / "60-miner-agent.conf").read_text()
    lines = [each for each in text.splitlines() if each and not each.startswith("#")]
    assert lines == [
        f"net.ipv4.neigh.default.gc_thresh{number} = {size}"
        for number, size in ((1, 4096), (2, 16384), (3, 32768))
    ]


def test_what_comes_with_us_is_in_the_wheel() -> None:
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"][
        "package-data"
    ]
    found = {each.relative_to(ROOT / "service") for each in FILES.rglob("*") if each.is_file()}
    held = {
        path.relative_to(ROOT / "service")
        for each in data["service"]
        for path in (ROOT / "service").glob(each)
    }
    assert found <= held
