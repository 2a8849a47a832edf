"""`install` and `uninstall` on a host that lies in a folder; on whole Debians they run in tests/system/debian."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from service.install import environment
from service.install.environment import CannotInstallError, Environment, environment_of
from service.install.host import TargetHost
from service.install.product import AGENT, CLOUD, OF_ROOT, Product
from service.install.release import running
from service.install.steps import Installation, Step, check, removal
from tests.tools import require

TEXTS = dict.fromkeys(AGENT.programs, b"a page\n")


def source(folder: Path, version: str) -> Environment:
    packages = folder / f"packages-{version}"
    packages.mkdir(exist_ok=True)
    (packages / "deed.py").write_text("def done():\n    print('done')\n")
    (packages / "editable.pth").write_text("/somewhere\n")
    return Environment(
        version, Path(sys.executable).resolve(), packages, {"miner-agent": "deed:done"}
    )


def work(tmp_path: Path, host: TargetHost, version: str = "1.0.0") -> Installation:
    return Installation(AGENT, host, source(tmp_path, version), TEXTS, TEXTS)


def take(steps: Iterable[Step], *, but: str = "") -> list[str]:
    done: list[str] = []
    for step in steps:
        if (bool(done) if step.is_due is None else step.is_due()) and not (
            but and step.what.startswith(but)
        ):
            step.act()
            done.append(step.what)
    return done


@pytest.fixture
def host(tmp_path: Path) -> TargetHost:
    require("systemctl", "systemd-sysusers", "systemd-tmpfiles")
    root = tmp_path / "root"
    root.mkdir()
    return TargetHost(root)


def test_what_is_installed_is_installed_once_and_taken_away_but_for_what_is_kept(
    tmp_path: Path, host: TargetHost
) -> None:
    # Folders of users that only root can give away.
    not_here = "make the folders"
    first = take(work(tmp_path, host).steps(), but=not_here)
    assert f"make {AGENT.release('1.0.0')}" in first
    assert running(host.at(AGENT.current)) == "1.0.0"
    assert not [*host.at(AGENT.releases).rglob("*.pth")]
    assert host.at(OF_ROOT.units / "multi-user.target.wants/miner-agent.service").is_symlink()
    config = host.at(Path("/etc/miner-agent/config.toml"))
    config.write_text("mine")
    assert take(work(tmp_path, host).steps(), but=not_here) == []
    assert config.read_text() == "mine"
    gone = take(removal(AGENT, host, purge=False))
    assert f"remove {AGENT.home}" in gone
    assert config.read_text() == "mine"
    assert not host.at(OF_ROOT.programs / "miner-agent").is_symlink()
    assert take(removal(AGENT, host, purge=False)) == []
    take(removal(AGENT, host, purge=True))
    assert not config.exists()


def test_two_releases_stay_and_an_older_one_is_not_put_over_a_newer(
    tmp_path: Path, host: TargetHost
) -> None:
    for version in ("1.0.0", "1.1.0", "1.10.0"):
        take(work(tmp_path, host, version).steps(), but="make the folders")
        assert {running(host.at(each)) for each in (AGENT.current, AGENT.proven)} == {version}
    assert {each.name for each in host.at(AGENT.releases).iterdir()} == {"1.1.0", "1.10.0"}
    with pytest.raises(CannotInstallError, match=r"1\.10\.0 is installed, and 1\.2\.0 is older"):
        work(tmp_path, host, "1.2.0")


def test_one_link_that_a_power_cut_left_behind_follows(tmp_path: Path, host: TargetHost) -> None:
    take(work(tmp_path, host).steps(), but="make the folders")
    host.at(AGENT.proven).unlink()
    done = take(work(tmp_path, host).steps(), but="make the folders")
    assert done == [f"have {AGENT.current} and {AGENT.proven} lead to {AGENT.release('1.0.0')}"]
    assert running(host.at(AGENT.proven)) == "1.0.0"


def test_a_product_that_does_not_update_itself_has_one_link() -> None:
    assert CLOUD.leads == (CLOUD.current,)
    assert CLOUD.restarted == CLOUD.units


def test_a_disk_that_is_full_is_said_before_anything_is_written(
    tmp_path: Path, host: TargetHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr("service.install.steps.shutil.disk_usage", lambda _path: free)
    with pytest.raises(CannotInstallError, match="0 MB left"):
        work(tmp_path, host)
    assert [*host.root.iterdir()] == []


def test_what_is_not_ours_is_left_in_its_place(tmp_path: Path, host: TargetHost) -> None:
    other = host.at(OF_ROOT.programs / "miner-agent")
    other.parent.mkdir(parents=True)
    other.write_text("of another")
    with pytest.raises(CannotInstallError, match="/usr/local/bin/miner-agent is in the way"):
        work(tmp_path, host)
    take(removal(AGENT, host, purge=True))
    assert other.read_text() == "of another"


@pytest.mark.parametrize("product", [AGENT, CLOUD], ids=["agent", "cloud"])
def test_what_a_package_brought_is_left_to_the_package_manager(
    product: Product, host: TargetHost
) -> None:
    host.at(product.packaged).mkdir(parents=True)
    with pytest.raises(CannotInstallError, match=f"{product.name} is a package of this host"):
        check(product, host)


def test_a_checkout_is_not_what_root_s_service_runs() -> None:
    with pytest.raises(CannotInstallError, match="only leads to a checkout"):
        environment_of(AGENT)


def test_packages_of_the_system_are_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "base_prefix", sys.prefix)
    with pytest.raises(CannotInstallError, match="an environment of its own"):
        environment_of(AGENT)


def test_a_python_that_is_not_ours_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 0, "final", 0))
    with pytest.raises(CannotInstallError, match=r"Python 3\.11 to 3\.13 is needed"):
        environment_of(AGENT)


def test_a_host_without_systemd_is_said_to_be_one(
    host: TargetHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(CannotInstallError, match="is not run by systemd"):
        check(AGENT, host)


def a_python(folder: Path) -> Path:
    """A prefix with an interpreter in it."""
    python = folder / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    python.parent.mkdir()
    python.write_text("")
    return folder


def test_a_python_that_services_do_not_see_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "base_prefix", str(a_python(tmp_path)))
    monkeypatch.setattr(environment, "_HIDDEN", (tmp_path,))
    with pytest.raises(CannotInstallError, match="cannot be seen by a service"):
        environment.interpreter()


def test_a_python_that_others_can_change_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o777)
    monkeypatch.setattr(sys, "base_prefix", str(a_python(tmp_path)))
    monkeypatch.setattr(environment, "_HIDDEN", ())
    with pytest.raises(CannotInstallError, match="can be changed by others than root"):
        environment.interpreter()
