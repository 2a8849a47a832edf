"""Manual pages and completion say what the commands say."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from agent.cli.app import app
from agent.cli.installing import manuals
from cloud.cli.commands import app as cloud_app
from service.install.pages import completion, manual, of_app, of_parser
from simulator.cli import parser
from tests.tools import require

PAGES = {
    **manuals(app),
    "miner-cloud": of_app(cloud_app, "miner-cloud"),
    "miner-simulator": of_parser(parser()),
}


def completed(tmp_path: Path, program: str, *words: str) -> list[str]:
    """What bash offers after these words, of which the last is being typed."""
    script = tmp_path / program
    script.write_bytes(completion(PAGES[program]))
    typed = " ".join(f"'{each}'" for each in (program, *words))
    text = (
        f"source {script}; COMP_WORDS=({typed}); COMP_CWORD={len(words)}; "
        f'_{program.replace("-", "_")}; printf "%s\\n" "${{COMPREPLY[@]}}"'
    )
    done = subprocess.run(["bash", "-c", text], capture_output=True, text=True, check=True)
    return sorted(done.stdout.split())


@pytest.mark.parametrize("program", PAGES)
def test_every_command_has_its_help_on_the_page(program: str) -> None:
    text = manual(PAGES[program], "1.2.3").decode()
    assert text.startswith(f'.TH "{program.upper()}" 1 "" "{program} 1.2.3"'.replace("-", "\\-"))
    for page in PAGES[program]:
        assert page.help.strip()
        for option in page.options:
            assert option.replace("-", "\\-") in text
    assert "\n.SH NAME\n" in text


@pytest.mark.parametrize("program", PAGES)
def test_man_finds_no_fault_with_it(program: str, tmp_path: Path) -> None:
    require("man")
    page = tmp_path / f"{program}.1"
    page.write_bytes(manual(PAGES[program], "1.2.3"))
    done = subprocess.run(
        ["man", "--warnings", "-l", page], capture_output=True, text=True, check=True, env={"MANWIDTH": "120", "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    )  # fmt: skip
    assert done.stderr == ""
    assert f"Usage: {program}".lower() in done.stdout.lower()


def test_what_may_follow_is_offered(tmp_path: Path) -> None:
    assert completed(tmp_path, "miner-agent", "en") == ["enroll"]
    assert completed(tmp_path, "miner-agent", "rig", "") == ["add", "list", "remove"]
    assert completed(tmp_path, "miner-agent", "rig", "add", "--ho") == ["--host-key"]
    assert completed(tmp_path, "miner-agent", "run", "--w") == ["--wait"]
    assert completed(tmp_path, "miner-cloud", "key", "re") == ["revoke"]
    assert completed(tmp_path, "miner-simulator", "--led") == ["--ledger"]
