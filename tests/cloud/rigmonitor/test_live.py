"""The commands of docs/rig-monitor.md, run as they stand against a real server process."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from contract.rigmonitor.asic import BULK_MAX
from tests.cloud.test_cli import ask, run, serving
from tests.pages import ROOT, sessions

PAGE: Final = ROOT / "docs" / "rig-monitor.md"


@dataclass(frozen=True)
class Site:
    workspace: str
    farm: str
    key: str


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Site]:
    """A farm made by command, before any loop runs; and its data directory, which each test has a copy of."""
    data = tmp_path_factory.mktemp("data")
    workspace = ask(data, "workspace", "create", "--name", "W")["id"]
    farm = ask(data, "farm", "create", "--name", "F", "--workspace", workspace)["id"]
    key = ask(data, "key", "create", "--name", "K", "--workspace", workspace)["key"]
    ask(data, "tls", "init", "--name", "localhost")
    return data, Site(workspace, farm, key)


@pytest.fixture
def site(made: tuple[Path, Site], tmp_path: Path) -> Site:
    data, site = made
    shutil.copytree(data, tmp_path, dirs_exist_ok=True)
    return site


async def shell(line: str) -> str:
    """What a command says; it must succeed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    process = await asyncio.create_subprocess_exec(
        "/bin/sh",
        "-c",
        line,
        env={**os.environ, "PATH": path},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode == 0, (line, out, err)
    return out.decode()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_the_commands_of_the_page_do_what_it_says(tmp_path: Path, site: Site) -> None:
    lines = sessions(PAGE)["rig-monitor"]
    assert len([line for line in lines if line.startswith("curl ")]) == 7
    answers: list[Any] = []
    async with serving(tmp_path) as (url, _):
        at_farm = f"{url}/private-api/v1/{site.workspace}/farms/{site.farm}"
        words = {"FARM_ID": site.farm, "KEY": site.key, "CODE": "", "RIG_ID": ""}
        places = {
            "ca.pem": shlex.quote(str(tmp_path / "tls" / "ca.pem")),
            "/var/lib/miner-cloud": shlex.quote(str(tmp_path)),
            "$C": f"{url}/api/v1",
            "$F": at_farm,
        }
        for line in lines:
            if line.startswith("C="):
                assert line == "C=https://cloud.example.net:8443/api/v1"
                continue
            # Words that stand alone: `API_CODE` is a name, not a place for a code.
            command = re.sub(
                r"(?<![A-Z_])(FARM_ID|RIG_ID|KEY|CODE)(?![A-Z_])", lambda m: words[m[0]], line
            )
            for old, new in places.items():
                command = command.replace(old, new)
            curl = "curl --silent --show-error --fail-with-body --noproxy '*' "
            out = await shell(re.sub(r"^curl ", curl, command))
            if line.startswith("miner-cloud rig create"):
                words["CODE"] = out.split()[0]
                words["RIG_ID"] = out.split()[2].rstrip(";")
            elif line.startswith("curl "):
                answers.append(json.loads(out))
        assert url.startswith("https://")
        miners = f"curl -sS --cacert {places['ca.pem']} --noproxy '*' -H 'x-api-key: {site.key}' {at_farm}/miner/latest"
        [miner] = json.loads(await shell(miners))["data"]
    ping, specs, logs, rigs, wished, expected, bulk = answers
    assert (ping, specs, logs) == ({"message": "pong"}, None, None)
    assert rigs["data"][0]["asic_expected_status"] == "off"
    assert wished["data"]["asic_expected_status"] == "on"
    assert expected == {
        "asic_expected_status": "on",
        "light_expected_status": "on",
        "name": "KS5 no. 1",
    }
    assert bulk == {words["CODE"]: expected}
    assert (miner["model"], miner["hashrate"], miner["status"]) == (
        "Ice River KS5L",
        13135e9,
        "online",
    )
    assert miner["id"] == rigs["data"][0]["miner_id"]


async def test_a_server_with_the_alias_takes_the_other_header_and_logs_no_code(
    tmp_path: Path,
    site: Site,
) -> None:
    made = await asyncio.to_thread(
        ask, tmp_path, "rig", "create", "--farm", site.farm, "--name", "KS-01"
    )
    code = made["code"]
    said = tmp_path / "said"
    with said.open("wb") as log:
        async with serving(tmp_path, "--insecure-http", "--rig-header-alias", log=log) as (url, _):
            base = f"curl -sS --noproxy '*' {url}/api/v1/asic_miners"
            wished = json.loads(await shell(f"{base}/expected_status -H 'API-CODE: {code}'"))
            assert wished["asic_expected_status"] == "on"
            for path, body in (("specs", "{"), ("specs", "{}"), ("logs", '{"power": "x"}')):
                for header in ("API_CODE", "API-CODE"):
                    await shell(f"{base}/{path} -H '{header}: {code}' -d '{body}'")
            specs = '{"model": "m", "firmware_version": "1", "software_version": "2"}'
            answer = await shell(
                f"{base}/specs -H 'API_CODE: {code}' -H 'Content-Type: application/json' -d '{specs}'"
            )
            assert answer == "null"
    logged = said.read_text("utf-8")
    assert "rig.activated" in logged
    assert code not in logged


def test_a_code_is_shown_once_and_never_listed(tmp_path: Path, site: Site) -> None:
    out, _ = run("rig", "create", "--farm", site.farm, "--name", "KS-01", "--data", str(tmp_path))
    code = out.split()[0]
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", code)
    listed, _ = run("rig", "list", "--data", str(tmp_path))
    as_json, _ = run("rig", "list", "--data", str(tmp_path), "--json")
    assert code not in listed + as_json
    assert "code_hash" not in as_json
    [row] = json.loads(as_json)
    assert (row["name"], row["asic_expected"], row["light_expected"]) == ("KS-01", "on", "off")
    assert ask(tmp_path, "rig", "list", "--workspace", "org_other") == []


def test_a_machine_is_told_what_to_do_by_its_id_or_its_code(tmp_path: Path, site: Site) -> None:
    made = ask(tmp_path, "rig", "create", "--farm", site.farm, "--name", "KS-01")
    assert ask(tmp_path, "rig", "expect", made["id"], "--asic", "off") == {
        "id": made["id"],
        "asic_expected_status": "off",
        "light_expected_status": "off",
    }
    assert ask(tmp_path, "rig", "expect", made["code"], "--light", "on") == {
        "id": made["id"],
        "asic_expected_status": "off",
        "light_expected_status": "on",
    }
    [row] = ask(tmp_path, "rig", "list")
    assert row["expected_set_by"] == "command line"


@pytest.mark.parametrize("by", ["id", "code"])
def test_of_a_machine_whose_code_is_revoked_that_is_said_and_what_to_do(
    tmp_path: Path, site: Site, by: str
) -> None:
    other = ask(tmp_path, "rig", "create", "--farm", site.farm, "--name", "KS-02")
    made = ask(tmp_path, "rig", "create", "--farm", site.farm, "--name", "KS-01")
    assert ask(tmp_path, "rig", "revoke", made["code"])["id"] == made["id"]
    _, err = run("rig", "expect", made[by], "--asic", "off", "--data", str(tmp_path), status=1)
    assert f"of machine {made['id']} (KS-01) was revoked on 20" in err
    assert f"miner-cloud rig create --farm {site.farm} --name" in err
    assert made["code"] not in err
    wishes = {row["id"]: row["asic_expected"] for row in ask(tmp_path, "rig", "list")}
    assert wishes == {made["id"]: "on", other["id"]: "on"}
    _, err = run("rig", "expect", "another", "--asic", "off", "--data", str(tmp_path), status=1)
    assert "there is no machine with this id or API code" in err


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("create", "--farm", "nowhere", "--name", "KS-01"), 1, "there is no farm nowhere"),
        (("create", "--farm", "FARM", "--name", " K "), 1, "2 to 255 characters"),
        (("create", "--farm", "FARM", "--name", "K" * 256), 1, "2 to 255 characters"),
        (
            ("create", "--farm", "FARM", "--name", "K\n1"),
            1,
            "the name of a machine must hold no control characters",
        ),
        (("expect", "some-id"), 2, "give --asic or --light"),
        (("expect", "some-id", "--asic", "ON"), 2, "--asic"),
        (("revoke", "some-id"), 1, "there is no machine"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    tmp_path: Path, site: Site, words: tuple[str, ...], status: int, said: str
) -> None:
    swapped = [site.farm if word == "FARM" else word for word in words]
    _, err = run("rig", *swapped, "--data", str(tmp_path), status=status)
    assert said in err


def test_a_machine_of_an_archived_farm_cannot_be_made(tmp_path: Path, site: Site) -> None:
    ask(tmp_path, "farm", "revoke", site.farm)
    _, err = run(
        "rig", "create", "--farm", site.farm, "--name", "KS", "--data", str(tmp_path), status=1
    )
    assert "archived" in err


def test_the_bulk_of_a_client_fits_the_body_that_is_taken(tmp_path: Path) -> None:
    from cloud.config import CloudSettings

    longest = json.dumps({"api_code_list": ["x" * 255] * BULK_MAX}) * 2
    assert len(longest) < CloudSettings(data=tmp_path).rig_body_bytes
