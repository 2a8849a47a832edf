"""`miner-cloud rig` and `miner-cloud playbook` for CPU/GPU rigs, and the commands of docs/rig-monitor.md about them."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any, Final

import pytest

from tests.cloud.rigmonitor.test_live import PAGE, Site, shell
from tests.cloud.test_cli import ask, run, serving
from tests.pages import sessions

XMRIG: Final = (
    *("--software-name", "XMRig", "--software-version", "6.22.2"),
    *("--command-argument", "--user $CPU_WALLET --pass s3cret"),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A data directory of which each test has a copy, and the ids of its workspace and its farm."""
    data = tmp_path_factory.mktemp("data")
    workspace = ask(data, "workspace", "create", "--name", "W")["id"]
    farm = ask(data, "farm", "create", "--name", "F", "--workspace", workspace)["id"]
    ask(data, "tls", "init", "--name", "localhost")
    return data, workspace, farm


@pytest.fixture
def site(made: tuple[Path, str, str], tmp_path: Path) -> Site:
    data, workspace, farm = made
    shutil.copytree(data, tmp_path, dirs_exist_ok=True)
    return Site(workspace, farm, "")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_the_commands_of_the_page_do_what_it_says(tmp_path: Path, site: Site) -> None:
    lines = sessions(PAGE)["rigs"]
    words = {"FARM_ID": site.farm, "CODE": "", "RIG_ID": ""}
    trusted = shlex.quote(str(tmp_path / "tls" / "ca.pem"))
    answers: list[Any] = []
    async with serving(tmp_path) as (url, _):
        for line in lines:
            command = re.sub(
                r"(?<![A-Z_])(FARM_ID|RIG_ID|CODE)(?![A-Z_])", lambda match: words[match[0]], line
            )
            command = command.replace("/var/lib/miner-cloud", shlex.quote(str(tmp_path)))
            if command.startswith("miner-cloud "):
                asked = shlex.split(command.replace("\\\n", " "))[1:]
                out, _ = await asyncio.to_thread(run, *asked)
                if asked[:2] == ["rig", "create"]:
                    words["CODE"], words["RIG_ID"] = out.split()[0], out.split()[2].rstrip(";")
                continue
            command = command.replace("$C", f"{url}/api/v1").replace("ca.pem", trusted)
            curl = "curl --silent --show-error --fail-with-body --noproxy '*' "
            answers.append(json.loads(await shell(re.sub(r"^curl ", curl, command))))
        specs, logs, [entry] = answers
        headers = f"curl -sS --cacert {trusted} --noproxy '*' -H 'API_CODE: {words['CODE']}'"
        afterwards = json.loads(await shell(f"{headers} {url}/api/v1/cpu_gpu_miners/playbooks"))
    assert (specs, logs) == (None, None)
    assert entry["expected_status"] == "stop"
    filled = "--url pool.example.net:443 --algo rx/0 --user 48edf --pass Rig-1"
    assert entry["command_argument"] == filled
    assert afterwards == []


def test_a_playbook_from_its_making_to_its_end(tmp_path: Path, site: Site) -> None:
    rig = ask(tmp_path, "rig", "create", "--farm", site.farm, "--name", "R1", "--kind", "cpu-gpu")
    book = ask(tmp_path, "playbook", "create", "--farm", site.farm, *XMRIG)
    assert book["command_argument"] == "--user $CPU_WALLET --pass ***"
    number = str(book["id"])
    assert ask(tmp_path, "playbook", "assign", number, rig["code"])["rig_ids"] == [rig["id"]]
    [listed] = ask(tmp_path, "playbook", "list", "--workspace", site.workspace)
    assert (listed["id"], listed["rigs"]) == (book["id"], 1)
    assert "s3cret" not in run("playbook", "list", "--data", str(tmp_path))[0]
    assert ask(tmp_path, "playbook", "list", "--workspace", "org_other") == []
    _, err = run("playbook", "remove", number, "--data", str(tmp_path), status=1)
    assert f"playbook {number} is assigned to rigs (1, {rig['id']} among them)" in err
    assert ask(tmp_path, "playbook", "remove", number, "--rig", rig["id"])["rig_ids"] == []
    assert ask(tmp_path, "playbook", "remove", number) == {"id": book["id"], "removed": True}
    assert ask(tmp_path, "playbook", "list") == []


def test_a_rig_is_told_to_mine_or_not(tmp_path: Path, site: Site) -> None:
    rig = ask(tmp_path, "rig", "create", "--farm", site.farm, "--name", "R1", "--kind", "cpu-gpu")
    asic = ask(tmp_path, "rig", "create", "--farm", site.farm, "--name", "KS-01")
    assert (rig["kind"], asic["kind"]) == ("cpu-gpu", "asic")
    for word, wish in (("off", "stop"), ("on", "mining")):
        told = ask(tmp_path, "rig", "expect", rig["id"], "--mining", word)
        assert told == {"id": rig["id"], "expected_status": wish}
    for machine, option, said in ((asic, "--mining", "is an ASIC"), (rig, "--asic", "CPU/GPU rig")):
        _, err = run(
            "rig", "expect", machine["id"], option, "off", "--data", str(tmp_path), status=1
        )
        assert said in err
    ask(tmp_path, "rig", "revoke", rig["id"])
    _, err = run("rig", "expect", rig["id"], "--mining", "on", "--data", str(tmp_path), status=1)
    assert f"--farm {site.farm} --name NAME --kind cpu-gpu`" in err


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("create", "--farm", "nowhere", *XMRIG), 1, "there is no farm nowhere"),
        (("create", "--farm", "x", *XMRIG, "--cpu-coin-name", "Monero"), 2, "go together"),
        (("create", "--farm", "x", *XMRIG, "--cpu-wallet-address", "a b"), 2, "cpu_wallet_address"),
        (("assign", "1", "some-id"), 1, "there is no machine"),
        (("assign", "one", "some-id"), 2, "PLAYBOOK_ID"),
        (("remove", "7"), 1, "there is no playbook 7"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    tmp_path: Path, site: Site, words: tuple[str, ...], status: int, said: str
) -> None:
    assert site.farm
    _, err = run("playbook", *words, "--data", str(tmp_path), status=status)
    assert said in err
