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
    assert {*product.programs} <= wheels.scripts().keys()
    units = [content.decode() for path, content in files.items() if path.suffix == ".service"]
    assert len(units) == len(product.units)
    for text in units:
        assert f"\nExecStart={product.current}/bin/" in text


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
