"""The packages on a clean Debian 12, with its Python 3.11."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system.debian import scenes, updates
from tests.system.debian.built import packages_of_next
from tests.system.debian.root import root_of, scratch

DEBIAN = 12
pytestmark = pytest.mark.slow


async def test_from_a_bare_host_to_a_first_reading_and_back(
    clean: Path, packages: dict[str, Path], base: str
) -> None:
    with scratch() as folder, root_of(clean, folder) as root:
        root.install(*packages.values())
        scenes.check_units(root)
        await scenes.first_reading(root, base, folder)


async def test_an_upgrade_with_tasks_in_flight_loses_nothing_and_does_nothing_twice(
    clean: Path, packages: dict[str, Path], base: str, tell: Callable[[str], None]
) -> None:
    with (
        scratch() as folder,
        scratch() as shared,
        root_of(clean, folder, shared=shared) as root,
    ):
        later = packages_of_next(f"deb{DEBIAN}_amd64", folder / "next")
        await scenes.upgrade_under_load(
            root, base, packages["miner-agent"], later["miner-agent"], tell
        )


async def test_what_root_does_for_an_update_reaches_no_further(
    clean: Path, packages: dict[str, Path]
) -> None:
    with scratch() as folder, scratch() as shared, root_of(clean, folder, shared=shared) as root:
        root.install(packages["miner-agent"])
        await updates.update_unit_is_closed(root)


async def test_an_agent_updates_itself_with_tasks_in_flight(
    clean: Path, base: str, tell: Callable[[str], None]
) -> None:
    with scratch() as folder, scratch() as shared, root_of(clean, folder, shared=shared) as root:
        releases = updates.Releases(f"deb{DEBIAN}_amd64", shared, folder / "releases")
        await updates.self_update_under_load(root, base, releases, tell)


async def test_a_release_that_dies_at_each_start_is_gone_back_from_with_tasks_in_flight(
    clean: Path, base: str, tell: Callable[[str], None]
) -> None:
    with scratch() as folder, scratch() as shared, root_of(clean, folder, shared=shared) as root:
        releases = updates.Releases(f"deb{DEBIAN}_amd64", shared, folder / "releases")
        await updates.broken_release_is_gone_back_from(root, base, releases, tell)


async def test_a_package_that_comes_while_a_release_is_tried_is_what_runs_then(
    clean: Path, base: str
) -> None:
    with scratch() as folder, scratch() as shared, root_of(clean, folder, shared=shared) as root:
        releases = updates.Releases(f"deb{DEBIAN}_amd64", shared, folder / "releases")
        await updates.package_overtakes_an_update(root, base, releases)


def test_an_environment_installs_itself_and_takes_itself_away(
    clean: Path, packages: dict[str, Path]
) -> None:
    with scratch() as folder, root_of(clean, folder) as root:
        scenes.installed_by_itself(root, packages["miner-agent"])
