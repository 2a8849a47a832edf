"""`miner-agent rig`: a rig is enrolled once it was read, under the key that a person took for right."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.cli.doctor import examine
from agent.cli.rigs import fingerprint
from agent.config.file import load
from agent.miners.rigs import rig_of
from simulator.farm import Farm
from tests.agent.commands import miner_agent
from tests.agent.onfarm import free_base
from tests.agent.rigs import entry_of
from tests.virtual_time import loop_clock

pytestmark = pytest.mark.real_time


@asynccontextmanager
async def a_rig(key: str = "xmrig-cpu") -> AsyncIterator[Any]:
    async with await Farm.start(f"rig/{key}", base=free_base()) as farm:
        yield farm.miners[0]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir(mode=0o700)
    path = tmp_path / "config.toml"
    path.write_text("[state]\ndir = 'state'\n[miners]\ndenied = ['10.0.0.9']\n")
    return path


def options(rig: Any, config: Path) -> list[object]:
    entry = entry_of(rig)
    options: list[object] = [
        "--ssh",
        f"{entry['user']}@{rig.ip}:{entry['port']}",
        "--key",
        entry["key_file"],
    ]
    for each in entry["programs"]:
        options += ["--program", ":".join(map(str, each.values()))]
    return [*options, "--config", config]


async def add(rig: Any, config: Path, *more: object) -> Any:
    return await miner_agent("rig", "add", "rig-1", *options(rig, config), *more, "--json")


async def test_a_rig_is_enrolled_listed_and_taken_away(config: Path) -> None:
    async with a_rig() as rig:
        added = await add(rig, config, "--yes", "--reboot", "sudo -n systemctl reboot")
        assert added.code == 0, added.err
        document = added.document
        assert (document["identity"]["mac"], document["ip"]) == (rig.mac, rig.ip)
        assert document["reading"]["slow"].get("faults", []) == []
        file = config.parent / "rigs.d" / "rig-1.toml"
        assert document["file"] == str(file)
        found = load(config).rigs
        spec = rig_of(found[0])
        assert (spec.name, spec.host) == ("rig-1", rig.ip)
        assert spec.reboot_argv == ("sudo", "-n", "systemctl", "reboot")
        assert [each.token for each in spec.programs] == ["simulated-token"]
        assert "simulated-token" not in file.read_text() + added.out + added.err
        listed = await miner_agent("rig", "list", "--config", config, "--json")
        assert [each["name"] for each in listed.document["rigs"]] == ["rig-1"]
        again = await miner_agent("rig", "add", "rig-1", *options(rig, config))
        assert again.code == 2
        assert "rig remove rig-1" in again.err
        assert "Is this the rig?" not in again.err  # a name that is taken needs nobody's word
        beside = await miner_agent("rig", "add", "rig-2", *options(rig, config))
        assert (beside.code, f"are both at {rig.ip}" in beside.err) == (2, True)
    removed = await miner_agent("rig", "remove", "RIG-1", "--config", config, "--json")
    assert removed.code == 0, removed.err
    assert load(config).rigs == ()
    assert (await miner_agent("rig", "remove", "rig-1", "--config", config)).code == 2


async def test_the_key_of_the_host_is_shown_and_a_person_has_to_take_it(config: Path) -> None:
    async with a_rig() as rig:
        sha = fingerprint(rig.describe()["host_key"])
        refused = await miner_agent("rig", "add", "rig-1", *options(rig, config))
        assert (refused.code, "give --host-key" in refused.err) == (2, True)  # nobody answers
        assert sha in refused.err
        other = await add(rig, config, "--host-key", "SHA256:" + "A" * 43)
        assert (other.code, other.document["error"]["code"]) == (1, "wrong_device")
        silent = await add(rig, config)
        assert silent.code == 2
        assert not (config.parent / "rigs.d").exists()
        assert (await add(rig, config, "--host-key", sha)).code == 0


async def test_a_file_that_holds_other_rigs_is_not_written_over(config: Path) -> None:
    """Or they would be no miners of this farm any more, in silence."""
    keys = ["rig/xmrig-cpu", "rig/xmrig-cpu"]
    async with await Farm.start(keys, base=free_base()) as farm:
        here, there = farm.miners
        assert (await add(here, config, "--yes")).code == 0
        file = config.parent / "rigs.d" / "rig-1.toml"
        file.write_text(file.read_text().replace('"rig-1"', '"by-hand"'))
        before = file.read_text()
        added = await add(there, config, "--yes")
        assert added.code == 1
        assert "rig-1.toml" in added.err
        assert file.read_text() == before
        assert [each.name for each in file.parent.iterdir()] == ["rig-1.toml"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--local", "--ssh", "a@10.0.0.1"), "give one of --ssh USER@HOST and --local"),
        ((), "give one of --ssh USER@HOST and --local"),
        (("--ssh", "10.0.0.1", "--yes"), "give USER@HOST or USER@HOST:PORT"),
        (("--ssh", "a@10.0.0.1", "--yes"), "needs --key FILE"),
        (("--local", "--key", "k"), "--key and --host-key go with --ssh"),
        (("--local", "--program", "xmrig"), "give KIND:PORT or KIND:PORT:TOKEN_FILE"),
        (("--local", "--program", "xmrig:1", "--program", "rigel:1"), "has two programs at port 1"),
        (("--local", "--root", "proc"), "is not a path from / on"),
        (
            (
                "--ssh",
                "a@10.0.0.9",
                "--key",
                "k",
                "--host-key",
                "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA",
            ),
            "which [miners] denied forbids",
        ),
        (("--ssh", "a@10.0.0.1", "--key", "k", "--host-key", "AAAA"), "is not a public key"),
    ],
)
async def test_what_cannot_be_is_said(config: Path, args: tuple[str, ...], words: str) -> None:
    ran = await miner_agent("rig", "add", "rig-1", *args, "--config", config, "--json")
    assert ran.code == 2, ran.out
    assert words in ran.err


async def test_the_doctor_looks_at_each_rig(config: Path) -> None:
    async with a_rig("8xrx6800-trm") as rig:
        assert (await add(rig, config, "--yes")).code == 0
        finding = await of_rig(config)
        assert (finding.level, finding.text[-10:]) == ("ok", "reads well")
        rig.faults.add("no_api")
        finding = await of_rig(config)
        assert finding.level == "warning"
        assert "teamredminer" in finding.text
        rig.faults.add("changes_host_key")
        finding = await of_rig(config)
        assert finding.level == "problem"
        assert "another SSH key" in finding.text


async def test_the_doctor_says_once_that_a_key_is_open_to_everybody(config: Path) -> None:
    async with a_rig() as rig:
        assert (await add(rig, config, "--yes")).code == 0
        Path(entry_of(rig)["key_file"]).chmod(0o644)
        found = [
            each
            for each in await examine(config, loop_clock())
            if "chmod o-rwx" in each.text or each.subject in ("miners", "passwords")
        ]
        assert [(each.level, each.subject) for each in found] == [("problem", "rig rig-1")]


async def test_a_rig_is_shown_without_noise(config: Path) -> None:
    async with a_rig("6xrtx3080-trex") as rig:
        shown = await miner_agent("rig", "add", "rig-1", *options(rig, config), "--yes")
        lines = dict(line.split(maxsplit=1) for line in shown.out.splitlines() if " " in line)
        assert lines["firmware"].startswith("linux")
        assert len(lines["power"].split()[0]) <= 7


async def of_rig(config: Path) -> Any:
    (found, *_) = [
        each for each in await examine(config, loop_clock()) if each.subject == "rig rig-1"
    ]
    return found
