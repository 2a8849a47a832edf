"""The console blocks of the pages that are marked as runnable, typed into a shell: simulator, cloud and agent as processes."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Final

import pytest

from tests.pages import ROOT, pages, sessions
from tests.waiting import until

README: Final = ROOT / "README.md"
OPERATIONS: Final = ROOT / "docs" / "operations.md"
RECIPES: Final = ROOT / "docs" / "recipes.md"
# Which page has which sessions; where a session is run elsewhere, by what.
RUN: Final = {
    (README, "by-hand"): "here",
    (README, "farm"): "here",
    (OPERATIONS, "backup"): "here",
    (ROOT / "docs" / "rig-monitor.md", "rig-monitor"): "tests/cloud/rigmonitor/test_live.py",
    (ROOT / "docs" / "rig-monitor.md", "rigs"): "tests/cloud/rigmonitor/test_rig_commands.py",
    (ROOT / "docs" / "releases.md", "release"): "tests/cloud/release/test_page.py",
    (ROOT / "docs" / "security.md", "every-key"): "tests/system/test_every_key.py",
    **{(RECIPES, name): "tests/system/test_recipes.py" for name in sessions(RECIPES)},
}
LIMIT_S: Final = 300
_READY: Final = 'listens on|agent.ready|"ready"'  # what those say that stay
_FREE_PORTS: Final = "--http-port 18080 --rpc-port 14028 --v3-port 14433 --daemon-port 14111"


def test_every_session_of_the_pages_is_run() -> None:
    assert {(page, name) for page in pages() for name in sessions(page)} == set(RUN)


@dataclass(frozen=True)
class Result:
    """What each command of a session printed, in order, and how the shell ended (0: it has not)."""

    answers: Sequence[str]
    code: int
    errors: str


@asynccontextmanager
async def typed(
    commands: Sequence[str], folder: Path, instead: Mapping[str, str]
) -> AsyncIterator[Result]:
    """Type them into one shell, with other names in place of some. What goes to the background stays until the block
    ends; a person would wait until it is ready, and so does the shell.
    """
    outputs = [folder / f"output-{number}" for number in range(len(commands))]
    lines = ["set -eu -o pipefail", "trap 'kill $(jobs -p) 2>/dev/null; wait; exit' TERM"]
    for command, output in zip(commands, outputs, strict=True):
        changed = reduce(lambda text, pair: text.replace(*pair), instead.items(), command)
        if changed.endswith("&"):
            lines.append(f"{changed.removesuffix('&')} >{output} 2>&1 &")
            lines.append(f"until grep -qE '{_READY}' {output}; do kill -0 $!; sleep 0.1; done")
        else:
            # In this shell, not in one of its own: a variable that is set stays set.
            lines.append(f"{{ {changed}\n}} >{output}")
    done, errors = folder / "done", folder / "errors"
    lines.append(f"touch {done}; wait")  # for what is in the background
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with errors.open("wb") as stderr:
        shell = await asyncio.create_subprocess_exec(
            "bash", "-c", "\n".join(lines), stdin=asyncio.subprocess.DEVNULL, stdout=stderr, stderr=stderr,
            cwd=ROOT, env={**os.environ, "PATH": path, "HOME": str(folder), "no_proxy": "*"}, start_new_session=True,
        )  # fmt: skip
    try:
        await until(
            lambda: done.exists() or shell.returncode is not None, within_s=LIMIT_S, every_s=0.05
        )
        yield Result(
            [each.read_text("utf-8") if each.exists() else "" for each in outputs],
            shell.returncode or 0,
            errors.read_text("utf-8"),
        )
    finally:
        with suppress(ProcessLookupError):
            shell.terminate()
        try:
            async with asyncio.timeout(30):
                await shell.wait()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)


def need(program: str) -> None:
    """Skip where it is not installed; in CI, where nothing may be missing, fail."""
    if shutil.which(program) is None:
        if os.environ.get("MINER_AGENT_REQUIRE_ALL") == "1":
            pytest.fail(f"{program} is needed: install it")
        pytest.skip(f"{program} is not installed")


def may_use_the_vendors_ports(address: str) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((address, 80))
        except PermissionError:
            return False
    return True


def ports_of(ready: str) -> dict[str, int]:
    """Where simulated miners listen, in the words of the agent's config."""
    document = json.loads(ready.splitlines()[0])
    return {name: document[name] for name in ("http_port", "rpc_port", "v3_port", "daemon_port")}


async def test_one_miner_by_hand(tmp_path: Path, base: str) -> None:
    commands = sessions(README)["by-hand"]
    if not may_use_the_vendors_ports(base):
        commands = [re.sub(r"^miner-agent .*", rf"\g<0> {_FREE_PORTS}", each) for each in commands]
    network = base.rpartition(".")[0]
    async with typed(commands, tmp_path, {"127.10.0.": f"{network}."}) as result:
        assert result.code == 0, (result.errors, result.answers)
        _, scan, read, light, reboot, _ = result.answers
    assert scan.count(f"{network}.") >= 6
    assert "make      Bitmain" in read
    assert f"miner.light.update at {base}: done" in light
    assert f"miner.system.reboot at {base}: done" in reboot


async def test_a_farm_in_ten_lines(tmp_path: Path, base: str) -> None:
    need("curl")
    commands = sessions(README)["farm"]
    assert len(commands) == 10
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    network = base.rpartition(".")[0]
    simulator = [f"miner-simulator --make antminer:2,whatsminer:1 --base {base} --time-scale 60 &"]
    folder = tmp_path / "simulator"
    folder.mkdir()
    async with typed(simulator, folder, {}) as farm:
        more = {"allowed": ["127.0.0.0/8"], "device_pace": 60, **ports_of(farm.answers[0])}
        section = "".join(f" '{name} = {json.dumps(value)}'" for name, value in more.items())
        instead = {
            "'ranges = [\"192.168.1.0/24\"]'": f"'ranges = [\"{base}-{network}.3\"]'{section}",
            "8443": str(port),
        }
        # It scans when it starts, so that sooner or later its three miners are listed.
        listed = f"until {commands[-1]} --silent | grep -q '\"total\":3'; do sleep 0.2; done"
        doctor = "miner-agent doctor --config agent.toml"
        async with typed([*commands, listed, doctor], tmp_path, instead) as result:
            assert result.code == 0, (result.errors, result.answers)
        assert json.loads(result.answers[9])["success"] is True
        serve, code, enroll = (result.answers[number] for number in (4, 5, 7))
        (known,) = set(re.findall(r"sha256 ([0-9a-f]{64})", serve + enroll))
        assert "listens on https://127.0.0.1" in serve
        assert f"known by the authority sha256 {known}" in enroll
        assert f"known by the authority sha256 {known}" in result.answers[-1]
        assert code == ""  # it is in a variable
        assert (tmp_path / "farm" / "agent" / "cloud-ca.pem").read_bytes() == (
            tmp_path / "farm" / "cloud" / "tls" / "ca.pem"
        ).read_bytes()


@pytest.mark.slow
async def test_the_cloud_is_backed_up_while_it_runs_and_put_back(tmp_path: Path) -> None:
    need("sqlite3")
    commands = sessions(OPERATIONS)["backup"]
    stop = commands.index("systemctl stop miner-cloud")
    serve = "miner-cloud serve --port 0 --data /var/lib/miner-cloud &"
    before, meanwhile, afterwards = (
        f"miner-cloud workspace create --name {name} --data /var/lib/miner-cloud"
        for name in ("Before", "Meanwhile", "Afterwards")
    )
    instead = {
        "systemctl stop miner-cloud": "kill %1; wait %1 || true",
        "systemctl start miner-cloud": serve,
        "chown -R miner-cloud:": "chown -R $(id -u)",
        "/var/lib/miner-cloud": str(tmp_path / "cloud"),
        "/var/backups": str(tmp_path / "backups"),
    }
    whole = [
        "miner-cloud tls init --name localhost --data /var/lib/miner-cloud",
        before,
        serve,
        meanwhile,
        *commands[:stop],
        afterwards,
        *commands[stop:],
        "miner-cloud workspace list --data /var/lib/miner-cloud",
    ]
    async with typed(whole, tmp_path, instead) as result:
        assert result.code == 0, (result.errors, result.answers)
    copied, cloud = tmp_path / "backups" / "miner-cloud", tmp_path / "cloud"
    assert copied.stat().st_mode & 0o077 == 0
    for name in ("authority.pem", "server.pem", "ca.pem"):
        assert (copied / "tls" / name).read_bytes() == (cloud / "tls" / name).read_bytes()
    assert (copied / "link-secret").read_bytes() == (cloud / "link-secret").read_bytes()
    named = [name for name in ("Before", "Meanwhile", "Afterwards") if name in result.answers[-1]]
    assert named == ["Before", "Meanwhile"]
