"""What a farm's owner does with the packages, from a bare Debian on. The same on every Debian (`test_debian_*.py`)."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from agent.demo.part import Part, command
from service.install.product import AGENT, CLOUD
from tests.system.debian.built import next_version, version
from tests.system.debian.root import Root
from tests.system.debian.unit import Unit
from tests.system.gates.onsite import Hands
from tests.system.site import load_of, open_site
from tests.system.witness import take_kill

EXPOSURE_MOST: Final = {
    "miner-agent": 1.5,
    "miner-cloud": 1.5,
    "miner-agent-rig": 2.5,
    "miner-agent-update": 2.3,  # it is root
}
MAKES: Final = "antminer:3,whatsminer:2,iceriver:1"
SCALE: Final = 60.0
CONFIG: Final = "/etc/miner-agent/config.toml"
DATA: Final = ("--data", "/var/lib/miner-cloud")
SEED: Final = 20_261_130


def check_units(root: Root) -> None:
    """What was installed is what systemd takes, and as closed as it is meant to be."""
    names = [f"{each}.service" for each in EXPOSURE_MOST]
    names.append("miner-agent-update.path")
    assert root.run("systemd-analyze", "verify", "--man=no", *names) == ""
    for name, most in EXPOSURE_MOST.items():
        said = root.run(
            "systemd-analyze", "security", "--offline=true", "--no-pager", f"{name}.service"
        )
        exposure = re.search(r"exposure level for \S+: ([\d.]+)", said)
        assert exposure is not None, said
        assert float(exposure[1]) <= most, name
    wanted = root.at("/etc/systemd/system/multi-user.target.wants")
    assert {each.name for each in wanted.glob("miner-*")} == {*AGENT.begun, *CLOUD.begun}
    for name in (*AGENT.programs[:2], CLOUD.name):
        assert root.at(f"/usr/share/man/man1/{name}.1.gz").is_file()


def installed_by_itself(root: Root, package: Path) -> None:
    """`miner-agent install` from an environment, as pip makes it: the same in one command, and taken back by another."""
    prefix = "/opt/trial"
    root.run("python3", "-m", "venv", "--without-pip", prefix)
    (site,) = root.at(prefix).glob("lib/python3*/site-packages")
    unpacked = root.at("/root/unpacked")
    subprocess.run(["dpkg-deb", "-x", package, unpacked], check=True)
    (wheels,) = unpacked.glob("opt/miner-agent/packaged/lib/*/site-packages")
    shutil.copytree(wheels, site, dirs_exist_ok=True)
    start = "from service.start import miner_agent; miner_agent()"
    ours = (f"{prefix}/bin/python3", "-c", start)
    before = _everything(root)
    would = root.ask(*ours, "install", "--dry-run")
    assert _everything(root) == before, "a dry run writes nothing"
    assert root.ask(*ours, "install")["steps"] == would["steps"]
    assert (
        root.run("/usr/local/bin/miner-agent", "--version").strip() == f"miner-agent v{version()}"
    )
    assert root.at("/etc/systemd/system/multi-user.target.wants/miner-agent.service").is_symlink()
    assert root.run("systemd-analyze", "verify", "--man=no", "miner-agent.service") == ""
    asked = root.asked_of_systemd()
    assert "restart miner-agent.service" in asked
    assert f"start {' '.join(AGENT.begun)}" in asked
    assert not any("stop" in each for each in asked), "nothing was there that could be at work"
    assert leads(root) == {version()}
    assert root.ask(*ours, "install")["steps"] == []
    root.at(AGENT.proven).unlink()
    (stopped, *_) = root.ask(*ours, "install")["steps"]
    assert stopped == f"stop {', '.join(AGENT.paused)}", "before a link is changed"
    assert leads(root) == {version()}
    root.asked_of_systemd()
    shutil.copy2(package, root.at("/root"))
    root.run("dpkg", "--install", f"/root/{package.name}", code=1)
    kept = root.at("/var/lib/miner-agent/token")
    kept.write_text("a token")
    root.ask("/usr/local/bin/miner-agent", "uninstall")
    assert kept.exists()
    assert root.ask(*ours, "uninstall")["steps"] == []
    root.ask(*ours, "uninstall", "--purge")
    left = _everything(root) - before
    # The package's own try, what systemd-sysusers keeps of before, and folders that are everybody's.
    ours_left = {each for each in left if "miner" in each and "/trial/" not in each}
    assert ours_left <= {f"/root/{package.name}"}, ours_left
    root.install(package)
    said = msgspec.json.decode(root.run(*ours, "install", "--json", code=1).splitlines()[-1])
    assert "is a package of this host" in said["error"]["message"]


def _everything(root: Root) -> set[str]:
    """Each file and folder, but for what Python compiles and what the kernel shows."""
    passing = {"proc", "dev", "sys", "run", "tmp", "var"}
    found = set()
    for path in root.path.rglob("*"):
        inside = path.relative_to(root.path)
        if inside.parts[0] not in passing and "__pycache__" not in inside.parts:
            found.add(f"/{inside}")
    return found


async def first_reading(root: Root, base: str, folder: Path) -> None:
    """From the two packages just installed to a reading, each step as the manual has it; then removal, then purge."""
    cloud_at = f"{base.rpartition('.')[0]}.254"
    override = root.at("/etc/systemd/system/miner-cloud.service.d/override.conf")
    override.parent.mkdir(parents=True)
    override.write_text(
        "[Service]\nExecStart=\n"
        f"ExecStart=/opt/miner-cloud/current/bin/miner-cloud serve {' '.join(DATA)} --host {cloud_at} --port 8080\n"
    )
    cloud, agent = Unit(root, "miner-cloud", folder), Unit(root, "miner-agent", folder)
    assert cloud.is_enabled
    assert agent.is_enabled
    assert not Unit(root, "miner-agent-rig", folder).is_enabled
    async with _miners(base, folder) as ready:
        try:
            await agent.start()
            await agent.says("waits for: miner-agent enroll")
            await cloud.start()
            await cloud.says("READY=1")
            workspace = root.ask("miner-cloud", "workspace", "create", "--name", "W", *DATA)["id"]
            farm = root.ask(
                "miner-cloud", "farm", "create", "--workspace", workspace, "--name", "F", *DATA
            )["id"]
            key = root.ask(
                "miner-cloud", "key", "create", "--workspace", workspace, "--name", "K", *DATA
            )["key"]
            code = root.ask("miner-cloud", "enroll-code", "--farm", farm, *DATA)["code"]
            _set_up(root, f"http://{cloud_at}:8080", ready)
            root.run("miner-agent", "enroll", "--code", code)
            await agent.says("READY=1\nSTATUS=", patience_s=90.0)
            rows = await _miners_known(f"http://{cloud_at}:8080", workspace, farm, key)
            assert {row["ip"] for row in rows} == {each["ip"] for each in ready["miners"]}
            assert all(row["hashrate"] for row in rows), rows
        finally:
            await agent.stop()
            await cloud.stop()
    _remove(root)


def _set_up(root: Root, url: str, ready: dict[str, Any]) -> None:
    """What the manual has a person set in the config, and where these miners listen and how fast they live."""
    path = root.at(CONFIG)
    addresses = [each["ip"] for each in ready["miners"]]
    ports = {f"{name}_port": ready[f"{name}_port"] for name in ("http", "rpc", "v3", "daemon")}
    lines = [f"ranges = [{', '.join(map(json.dumps, addresses))}]", f"device_pace = {SCALE}"]
    lines += [f"{name} = {port}" for name, port in ports.items()]
    text = re.sub(r'^url = ".*"$', f'url = "{url}"', path.read_text(), flags=re.MULTILINE)
    path.write_text(re.sub(r"^ranges = .*$", "\n".join(lines), text, flags=re.MULTILINE))


@asynccontextmanager
async def _miners(base: str, folder: Path) -> AsyncIterator[dict[str, Any]]:
    words = ("--make", "antminer:1,whatsminer:1", "--base", base, "--time-scale", SCALE, "--json")
    simulator = Part(folder, "simulator", command("simulator.cli", *words), announces=True)
    try:
        yield await simulator.start()
    finally:
        await simulator.end()


async def _miners_known(url: str, workspace: str, farm: str, key: str) -> list[dict[str, Any]]:
    """The miners of the farm, once each has a rate."""
    ask = urllib.request.Request(
        f"{url}/private-api/v1/{workspace}/farms/{farm}/miner/latest", headers={"x-api-key": key}
    )
    loop = asyncio.get_running_loop()
    give_up = loop.time() + 60

    def look() -> Any:
        with urllib.request.urlopen(ask, timeout=10) as answer:
            return json.load(answer)

    while True:
        found = await asyncio.to_thread(look)
        rows: list[dict[str, Any]] = found["data"] if isinstance(found, dict) else found
        if len(rows) > 1 and all(row.get("hashrate") for row in rows):
            return rows
        assert loop.time() < give_up, found
        await asyncio.sleep(0.2)


def _remove(root: Root) -> None:
    """Removal keeps what cannot be made again; purge does not. Both may be asked for twice."""
    token, database = (
        root.at("/var/lib/miner-agent/token"),
        root.at("/var/lib/miner-cloud/cloud.db"),
    )
    root.asked_of_systemd()
    root.run("apt-get", "remove", "-y", "miner-agent", "miner-cloud")
    asked = root.asked_of_systemd()
    assert any("stop" in each and "miner-agent.service" in each for each in asked), asked
    assert token.exists()
    assert database.exists()
    assert root.at(CONFIG).exists()
    gone = ("/opt/miner-agent", "/opt/miner-cloud", "/lib/systemd/system/miner-agent.service")
    assert [each for each in gone if root.at(each).exists()] == []
    assert [
        each for each in ("miner-agent", "miner-cloud") if root.at(f"/usr/bin/{each}").is_symlink()
    ] == []
    for _ in range(2):
        root.run("dpkg", "--purge", "miner-agent", "miner-cloud")
    kept = (*AGENT.kept, *CLOUD.kept)
    assert [each for each in kept if root.at(each).exists()] == []
    wanted = root.at("/etc/systemd/system/multi-user.target.wants")
    assert [each.name for each in wanted.iterdir() if each.name.startswith("miner-")] == []


async def upgrade_under_load(root: Root, base: str, now: Path, later: Path, tell: Any) -> None:
    """A whole site, whose agent is the one of the package: it is upgraded with tasks in flight, and the checker of the crash
    gate says that nothing was lost and nothing done twice. Then what apt may not do is tried.
    """
    assert root.shared is not None
    root.install(now)
    async with open_site(
        root.shared, makes=MAKES, base=base, time_scale=SCALE, settings={"log": {"level": "info"}}
    ) as site:
        await site.stage.agent.end()
        unit = Unit(root, "miner-agent", root.shared)
        give(root.shared, root.uid("miner-agent"))
        config = root.shared / "config.toml"
        program = [*unit.program[:-1], str(config)]
        assert unit.program[-1] == CONFIG
        await unit.start(program=program)
        site.stage.agent = unit.part
        await unit.says("READY=1\nSTATUS=")
        running_of = release_of(unit.part.pid)
        load = load_of(site, seed=SEED, open_tasks=24)
        hands = Hands(site, seed=SEED)
        working = [asyncio.create_task(each) for each in (load.run(), hands.run())]
        try:
            await site.until(lambda: in_flight(site.rows()) >= 4, "tasks in flight")
            root.asked_of_systemd()
            await asyncio.to_thread(root.install, later)
            asked = [each.removeprefix("--quiet --system ") for each in root.asked_of_systemd()]
            order = [
                f"stop {' '.join(AGENT.paused)}",
                f"restart {' '.join(AGENT.restarted)}",
                f"start {' '.join(AGENT.begun)}",
            ]
            assert [each for each in asked if each in order] == order, asked
            assert leads(root) == {next_version()}
            assert release_of(unit.part.pid) == running_of, "what runs goes on from its own release"
            assert root.at(f"{running_of}/release.json").is_file(), "and nobody took it away"
            before = take_kill(site.journal, 0.0, site.stage.ledger)
            await unit.stop()
            await unit.start(program=program)
            await unit.says("READY=1\nSTATUS=")
            assert release_of(unit.part.pid) == f"/opt/miner-agent/releases/{next_version()}"
            size = site.stage.ledger.stat().st_size
            await site.until(
                lambda: site.stage.ledger.stat().st_size > size, "work of the new release"
            )
        finally:
            for each in working:
                each.cancel()
            await asyncio.gather(*working, return_exceptions=True)
        await load.all_ended()
        await site.all_reported()
        figures = await site.verdict(await load.seen(), [before], load.promised)
        tell(
            figures.table(f"{root.run('cat', '/etc/debian_version').strip()}: upgraded under load")
        )
        assert figures.wrongs == 0, figures.findings
        assert figures.effects > 0
        assert before.in_flight, "tasks were in flight when it was restarted"
        await unit.stop()
    _go_back(root, now, later)


def _go_back(root: Root, now: Path, later: Path) -> None:
    """An older package leaves the newer release at work, and the same one twice changes nothing."""
    said = root.install(now, options=("--allow-downgrades",))
    assert f"goes on with release {next_version()}, which is newer than {version()}" in said
    assert leads(root) == {next_version()}
    assert root.at(f"/opt/miner-agent/releases/{next_version()}/release.json").is_file()
    root.install(later)
    before = _releases(root)
    root.install(later, options=("--reinstall",))
    assert _releases(root) == before == {version(), next_version()}
    assert root.run("miner-agent", "--version").strip() == f"miner-agent v{next_version()}"


def leads(root: Root) -> set[str]:
    """The releases that links of the agent lead to."""
    return {root.at(each).readlink().name for each in AGENT.leads}


def _releases(root: Root) -> set[str]:
    return {each.name for each in root.at("/opt/miner-agent/releases").iterdir()}


def release_of(pid: int) -> str:
    """Where the process was started from, as it says itself."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return words[0].decode().removesuffix("/bin/python3")


def in_flight(rows: Any) -> int:
    return sum(row.state in {"accepted", "intent"} for row in rows)


def give(folder: Path, owner: tuple[int, int]) -> None:
    """The agent's files to the user of its unit."""
    folder.chmod(0o755)
    for each in ((folder / "agent"), *(folder / "agent").rglob("*"), folder / "config.toml"):
        shutil.chown(each, *owner)
