"""Commands that root starts for the agent's own user: whose the files are, and whom they are checked for."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.cli.checks.findings import Finding
from agent.cli.doctor import examine
from agent.link.enroll import enroll
from contract.link import EnrollReply
from service.hostuser import HostUser, acting_as, find_user, myself, owner_of
from tests.agent.commands import miner_agent
from tests.agent.link.test_client import said, served
from tests.virtual_time import loop_clock

pytestmark = pytest.mark.real_time
AGENT = HostUser(54321, 54321, "54321")  # a number is enough to be a user
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may act as another user")


@pytest.fixture
def site() -> Iterator[Path]:
    """A folder that others may look into, with a config and the agent's own state folder."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    (folder / "state").mkdir(mode=0o700)
    (folder / "config.toml").write_text("[state]\ndir = 'state'\n")
    if os.geteuid() == 0:
        os.chown(folder / "state", AGENT.uid, AGENT.gid)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


async def enrolled(site: Path, folder: str = "state") -> None:
    async def handle(_request) -> object:
        return said(EnrollReply(agent_id="a", workspace_id="w", farm_id="f", token="t0p"))

    async with served(handle) as url:
        await enroll(
            url,
            "c0de",
            site / folder / "token",
            pin_file=site / "state" / "cloud-ca.pem",
            owner=owner_of(site / "state"),
        )


async def problems(site: Path, user: HostUser | None = None) -> dict[str, list[str]]:
    findings: list[Finding] = await examine(site / "config.toml", loop_clock(), user)
    told: dict[str, list[str]] = {}
    for each in findings:
        if each.level == "problem":
            told.setdefault(each.subject, []).append(each.text)
    return told


@needs_root
async def test_root_enrolls_for_the_owner_of_the_state_folder(site: Path) -> None:
    await enrolled(site)
    for name in ("token", "membership.json"):
        found = (site / "state" / name).stat()
        assert (found.st_uid, found.st_gid) == (AGENT.uid, AGENT.gid)
        assert found.st_mode & 0o777 == 0o600
    with acting_as(AGENT):
        assert (site / "state" / "token").read_text() == "t0p\n"
    assert {"user", "state folder"}.isdisjoint(await problems(site))


@needs_root
@pytest.mark.parametrize("name", ["token.new", "membership.json.new", "token.probe.new", "token"])
async def test_root_follows_no_link_in_a_folder_of_another(name: str, site: Path) -> None:
    precious = site / "precious"
    precious.write_text("of root")
    (site / "state" / name).symlink_to(precious)
    await enrolled(site)
    assert precious.read_text() == "of root"
    assert precious.stat().st_uid == 0
    assert not (site / "state" / "token").is_symlink()


@needs_root
async def test_root_goes_no_way_that_another_user_laid(site: Path) -> None:
    async def handle(_request) -> object:
        raise AssertionError("the code was used")

    (site / "etc").mkdir()
    (site / "state" / "sub").symlink_to(site / "etc")
    os.chown(site / "state" / "sub", AGENT.uid, AGENT.gid, follow_symlinks=False)
    async with served(handle) as url:
        for name in ("sub", "sub/new"):
            with pytest.raises(PermissionError, match="is a link of another user"):
                await enroll(
                    url,
                    "c0de",
                    site / "state" / name / "token",
                    pin_file=site / "state" / "cloud-ca.pem",
                    owner=AGENT,
                )
    assert list((site / "etc").iterdir()) == []


@needs_root
async def test_a_folder_that_enrolling_makes_belongs_to_the_agent_too(site: Path) -> None:
    await enrolled(site, "secrets")
    assert owner_of(site / "secrets") == AGENT


@needs_root
async def test_doctor_checks_what_the_agents_user_may_do(site: Path) -> None:
    state = site / "state"
    (state / "token").write_text("t")  # of root, as earlier versions left it
    (state / "token").chmod(0o600)
    (site / "password").write_text("p")
    (site / "password").chmod(0o600)
    with (site / "config.toml").open("a") as file:
        file.write("[[credentials]]\nrange = '10.0.0.1'\npassword_file = 'password'\n")
    told = await problems(site)
    assert told["state folder"] == [
        f"token in {state} cannot be written by 54321; run: chown -R 54321:54321 {state}"
    ]
    assert len(told["user"]) == 1
    words = f"{site / 'password'} cannot be read by 54321; run: chown 54321 {site / 'password'}"
    assert words in told["user"][0]
    # another user is checked for when one is named; root itself may do everything
    assert {"user", "state folder"}.isdisjoint(await problems(site, find_user("root")))
    other = await problems(site, HostUser(54322, 54322, "other"))
    assert f"{state} cannot be written by other" in other["state folder"][0]
    (site / "config.toml").chmod(0o600)
    told = await problems(site)
    assert any(f"run: chmod a+r {site / 'config.toml'}" in each for each in told["user"])


@needs_root
async def test_doctor_leaves_no_files_of_root_behind(site: Path) -> None:
    await enrolled(site)
    await examine(site / "config.toml", loop_clock())
    assert {each.stat().st_uid for each in (site / "state").iterdir()} == {AGENT.uid}
    assert os.geteuid() == 0
    assert os.getegid() == 0


async def test_only_root_may_check_for_another_user(site: Path) -> None:
    who = myself()
    assert find_user(str(who.uid)) == find_user(who.name)
    with acting_as(AGENT) if who.uid == 0 else acting_as(who):
        with pytest.raises(ValueError, match="only root may act as"):
            find_user("root")
        with pytest.raises(ValueError, match="no user of this host"):
            find_user("no-such-user")


@needs_root
async def test_a_folder_of_another_is_a_problem_to_whoever_is_not_root(site: Path) -> None:
    os.chown(site / "state", 54322, 54322)
    with acting_as(AGENT):
        told = await problems(site)
    assert "only root may check it for that user; run: sudo miner-agent doctor" in told["user"][0]


async def test_no_fault_of_a_check_ends_the_doctor(site: Path) -> None:
    class Broken:
        def now(self) -> object:
            raise OverflowError("date value out of range")

    findings = await examine(site / "config.toml", Broken())  # type: ignore[arg-type]
    (host,) = [each for each in findings if each.subject == "host"]
    assert host.level == "problem"
    assert "OverflowError: date value out of range" in host.text
    assert "report it" in host.text
    assert "cloud" in {each.subject for each in findings}


async def test_whatever_lies_in_the_state_folder_is_told_in_words(site: Path) -> None:
    state = site / "state"
    (site / "config.toml").write_text(
        "[cloud]\nurl = 'http://127.0.0.1:9'\n[state]\ndir = 'state'\n"
    )
    (state / "journal.db").mkdir()
    (state / "token").write_text("t")
    (state / "token").chmod(0o600)
    (state / "membership.json").write_text("{")
    (state / "inventory.db").write_text("x" * 5000)
    (state / "agent.sock").write_text("")
    if os.geteuid() == 0:
        for each in state.iterdir():
            os.chown(each, AGENT.uid, AGENT.gid)
    told = await problems(site)
    assert "journal.db: cannot be read" in told["journal"][0]
    assert told["cloud"] == [f"{state / 'membership.json'} is damaged: enroll again"]
    assert not any("report it" in each for texts in told.values() for each in texts)
    shutil.rmtree(state)
    state.write_text("")
    told = await problems(site)
    assert "is no folder" in told["state folder"][0]


async def test_what_lies_in_the_state_folder_need_not_be_a_file_nor_its_name_text(
    site: Path,
) -> None:
    """Nothing of it is waited for, and what is not there is no fault."""
    state = site / "state"
    os.mkfifo(state / "journal.db")
    os.mkfifo(state / "inventory.db")
    (state / "gone").symlink_to(site / "nowhere")
    (state / "loop").symlink_to(state / "loop")
    odd = (os.fsdecode(b"\xff\xfe"), "\x1b[2J")
    for each in odd:
        (state / each).mkdir(mode=0o000)
    if os.geteuid() == 0:
        for each in state.iterdir():
            os.chown(each, AGENT.uid, AGENT.gid, follow_symlinks=False)
    told = await problems(site)
    assert "it is no file" in told["journal"][0]
    (foreign,) = told["state folder"]
    assert foreign.startswith(r"'\x1b[2J', loop, '\udcff\udcfe' in ")
    ran = await miner_agent("doctor", "--config", site / "config.toml")
    assert (ran.code, "Traceback" in ran.err) == (1, False)
    assert r"\udcff\udcfe" in ran.out
    for each in odd:
        (state / each).chmod(0o700)
