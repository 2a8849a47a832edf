"""A rig by SSH: one connection, the pinned key, a key file; and what a server there can do to us."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from contract.errors import (
    AuthFailedError,
    MalformedError,
    MinerError,
    RefusedError,
    ServiceAwayError,
    UnreachableError,
    WrongDeviceError,
)
from drivers.rig.reach.base import NO_COMMAND
from drivers.rig.reach.login import host_key_of
from drivers.rig.reach.ssh import SshReach, texts_of
from drivers.rig.spec import MiningProgram
from tests.drivers.rig import tree
from tests.drivers.rig.servers import SshRig, program, says, ssh_rig, website
from tests.drivers.servers import drips, endless, hangs, serving

pytestmark = pytest.mark.real_time  # its server runs commands
FILES = ("/proc/uptime", "/etc/machine-id", "/sys/class/net/*/address", "/etc/nothing")


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[SshRig]:
    root = tree.plant(tmp_path / "the root's", tree.HOST)
    async with ssh_rig(tmp_path / "keys", root) as found:
        yield found


@pytest.fixture
async def reach(rig: SshRig) -> AsyncIterator[SshReach]:
    found = SshReach(rig.spec())
    yield found
    await found.close()


async def test_files_are_told_by_one_command_on_one_connection(
    rig: SshRig, reach: SshReach
) -> None:
    for _ in range(2):
        assert (await reach.read_texts(FILES, deadline_s=20)).texts == {
            "/proc/uptime": "93784.25 1480000.10",
            "/etc/machine-id": tree.MACHINE,
            "/sys/class/net/enp3s0/address": tree.MAC.lower(),
            "/sys/class/net/wlan0/address": "02:00:00:00:00:99",
        }
    assert rig.seen == ["connection", "login", "sh", "sh"]


async def test_a_command_comes_to_the_rig_as_it_is(reach: SshReach) -> None:
    ran = await reach.run(("printf", "%s|", "a b", "$HOME", "; exit 3", "'"), deadline_s=20)
    assert (ran.status, ran.output) == (0, "a b|$HOME|; exit 3|'|")
    assert (await reach.run(("no-such-program",), deadline_s=20)).status == NO_COMMAND


async def test_a_program_is_asked_on_the_loopback_of_the_rig(rig: SshRig, reach: SshReach) -> None:
    from tests.drivers.rig.test_read import rig_of

    async with program(MiningProgram.TREX, website({"/summary": {"gpus": []}})) as spec:
        driver = rig_of(rig.spec(), spec)
        reading = await driver.read()
        assert [work.program for work in reading.moving.works] == ["T-Rex"]
        await driver.rig_wire.reach.close()


async def test_a_program_that_does_not_listen_is_away_and_the_connection_stays(
    rig: SshRig, reach: SshReach
) -> None:
    with pytest.raises(ServiceAwayError):
        await reach.connect(asyncio.Protocol, 1, deadline_s=20)
    await reach.run(("true",), deadline_s=20)
    assert rig.seen.count("connection") == 1


async def test_a_server_that_forwards_nothing_is_told_with_the_fix(rig: SshRig) -> None:
    rig.forwards = False
    reach = SshReach(rig.spec())
    with pytest.raises(RefusedError, match="AllowTcpForwarding"):
        await reach.connect(asyncio.Protocol, 1, deadline_s=20)
    await reach.close()


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ecdsa-sha2-nistp256"])
async def test_another_host_key_ends_every_call_and_nothing_is_sent(rig: SshRig, kind: str) -> None:
    spec = rig.spec()
    await rig.stop()
    rig.host_key = asyncssh.generate_private_key(kind)
    await rig.start()
    reach = SshReach(spec)
    calls: tuple[Callable[[], Awaitable[object]], ...] = (
        lambda: reach.read_texts(FILES, deadline_s=20),
        lambda: reach.run(("reboot",), deadline_s=20),
        lambda: reach.connect(asyncio.Protocol, 1, deadline_s=20),
    )
    for call in calls:
        with pytest.raises(WrongDeviceError, match="nothing was sent"):
            await call()
    assert set(rig.seen) == {"connection"}


async def test_the_key_that_is_shown_at_enrolment_is_the_one_to_pin(rig: SshRig) -> None:
    assert await host_key_of("127.0.0.1", rig.port, deadline_s=20) == rig.spec().host_key
    with pytest.raises(UnreachableError):
        await host_key_of("127.0.0.1", 1, deadline_s=20)


async def test_a_key_that_is_not_let_in_is_told(rig: SshRig, tmp_path: Path) -> None:
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(tmp_path / "other")
    for path in ("other", "none"):
        reach = SshReach(rig.spec(key_file=str(tmp_path / path)))
        with pytest.raises(AuthFailedError):
            await reach.run(("true",), deadline_s=20)
    assert "login" not in rig.seen


async def test_a_connection_that_is_gone_is_made_again(rig: SshRig, reach: SshReach) -> None:
    await reach.run(("true",), deadline_s=20)
    await rig.stop()
    with pytest.raises(MinerError):
        await reach.run(("true",), deadline_s=20)
    with pytest.raises(UnreachableError):
        await reach.run(("true",), deadline_s=20)
    await rig.start()
    assert (await reach.run(("true",), deadline_s=20)).status == 0


@pytest.mark.parametrize("behave", [hangs, drips, endless])
async def test_a_server_that_hangs_drips_or_floods_ends_by_the_deadline(
    rig: SshRig, behave: Any
) -> None:
    async with serving(behave) as endpoint:
        reach = SshReach(rig.spec(host=endpoint.host, port=endpoint.http_port))
        async with asyncio.timeout(20):
            with pytest.raises(UnreachableError):
                await reach.run(("true",), deadline_s=0.3)


async def silence(process: asyncssh.SSHServerProcess[bytes]) -> None:
    await asyncio.Event().wait()


async def flood(process: asyncssh.SSHServerProcess[bytes]) -> None:
    with suppress(BrokenPipeError, ConnectionError):
        while True:
            process.stdout.write(b"x" * 65536)
            await process.stdout.drain()


@pytest.mark.parametrize(
    ("answer", "deadline_s", "words"), [(silence, 0.5, "no answer"), (flood, 20.0, "wrote over")]
)
async def test_a_command_that_says_nothing_or_too_much_is_a_named_error(
    rig: SshRig, reach: SshReach, answer: Any, deadline_s: float, words: str
) -> None:
    await reach.run(("true",), deadline_s=20)  # so that it is logged in
    rig.commands["nvidia-smi"] = rig.commands["sh"] = answer
    with pytest.raises(MalformedError, match=words):
        await reach.run(("nvidia-smi",), deadline_s=deadline_s)
    await reach.run(("true",), deadline_s=20)
    with pytest.raises(MalformedError):
        await reach.read_texts(FILES, deadline_s=deadline_s)
    rig.commands.clear()
    assert (await reach.run(("true",), deadline_s=20)).status == 0


async def test_what_a_server_sends_and_nobody_asked_for_ends_its_connection(
    rig: SshRig, reach: SshReach
) -> None:
    """Packets of no channel cost us time, and no window of SSH bounds them."""
    await reach.run(("true",), deadline_s=20)
    (connection,) = rig.connections
    for _ in range(100):
        if not connection.is_closed():
            connection.send_debug("x" * 30_000)
        await asyncio.sleep(0)
    async with asyncio.timeout(20):
        await connection.wait_closed()
    with pytest.raises(MalformedError, match="far more than it was asked for"):
        await reach.run(("true",), deadline_s=20)
    assert (await reach.run(("true",), deadline_s=20)).status == 0


async def test_an_answer_as_long_as_may_be_is_taken_again_and_again(
    rig: SshRig, reach: SshReach
) -> None:
    rig.commands["journalctl"] = says("x" * 400_000)
    for _ in range(5):
        ran = await reach.run(("journalctl",), deadline_s=20, cap_bytes=400_000)
        assert len(ran.output) == 400_000
    assert rig.seen.count("connection") == 1


async def test_a_file_that_blocks_is_found_and_left_out(rig: SshRig, reach: SshReach) -> None:
    """It is found in two looks, each of which leaves a process behind on the rig."""
    answers = {
        "/proc/uptime": "12.5 8",
        "/etc/machine-id": None,
        "/sys/class/net/*/address": "02:00",
    }

    async def stuck(process: asyncssh.SSHServerProcess[bytes]) -> None:
        for path, text in answers.items():
            if path in (process.command or ""):
                if text is None:
                    await asyncio.Event().wait()
                process.stdout.write(f"{rig.root}{path}:{text}\n".encode())
        process.exit(0)

    await reach.run(("true",), deadline_s=20)
    rig.commands["sh"] = stuck
    cut = await reach.read_texts(FILES, deadline_s=0.5)
    assert (cut.texts, cut.missed) == ({"/proc/uptime": "12.5 8"}, frozenset(FILES))
    for _ in range(2):
        found = await reach.read_texts(FILES, deadline_s=3)
        assert found.texts == {"/proc/uptime": "12.5 8", "/sys/class/net/*/address": "02:00"}
        assert found.missed == {"/etc/machine-id"}
    assert rig.seen.count("sh") == 1 + (len(FILES) + 1) + 1
    assert rig.seen.count("connection") == 1


async def test_the_first_file_that_blocks_is_found_too(rig: SshRig, reach: SshReach) -> None:
    async def stuck(process: asyncssh.SSHServerProcess[bytes]) -> None:
        if "/proc/net/route" not in (process.command or ""):
            process.stdout.write(f"{rig.root}/proc/uptime:12.5 8\n".encode())
            process.exit(0)
        await asyncio.Event().wait()

    files = ("/proc/net/route", "/proc/uptime")
    rig.commands["sh"] = stuck
    with pytest.raises(MalformedError, match="blocks"):
        await reach.read_texts(files, deadline_s=0.5)
    for _ in range(2):
        found = await reach.read_texts(files, deadline_s=20)
        assert (found.texts, found.missed) == ({"/proc/uptime": "12.5 8"}, {"/proc/net/route"})


async def test_a_rig_far_away_is_read_as_a_whole_again_after_a_look_that_was_cut_off(
    rig: SshRig, reach: SshReach
) -> None:
    """So far that a question for each pattern takes longer than a look may."""

    many = (*FILES, *(f"/sys/far/{number}" for number in range(4)))

    async def cut_off(process: asyncssh.SSHServerProcess[bytes]) -> None:
        process.stdout.write(f"{rig.root}/proc/uptime:12.5 8\n".encode())
        await asyncio.Event().wait()

    async def late(process: asyncssh.SSHServerProcess[bytes]) -> None:
        await asyncio.sleep(0.4)
        asked = [each for each in many if each in (process.command or "")]
        with suppress(BrokenPipeError, ConnectionError):  # nobody waits for it any more
            process.stdout.write("".join(f"{rig.root}{each}:1\n" for each in asked).encode())
            process.exit(0)

    await reach.run(("true",), deadline_s=20)
    rig.commands["sh"] = cut_off
    assert (await reach.read_texts(many, deadline_s=0.5)).texts
    rig.commands["sh"] = late
    assert (await reach.read_texts(many, deadline_s=2.0)).missed
    assert (await reach.read_texts(many, deadline_s=2.0)).missed == set()


async def test_a_rig_that_tells_nothing_of_any_file_is_asked_little_and_each_look_says_so(
    rig: SshRig, reach: SshReach
) -> None:
    """What it was asked may be left there as processes that cannot be ended."""
    await reach.run(("true",), deadline_s=20)
    rig.commands["sh"] = silence
    for deadline_s in (0.5, 3.0):
        with pytest.raises(MalformedError, match="tells nothing"):
            await reach.read_texts(FILES, deadline_s=deadline_s)
    assert rig.seen.count("sh") == 1 + 2
    rig.commands.clear()
    for _ in range(2):
        assert len((await reach.read_texts(FILES, deadline_s=20)).texts) == 4
    assert rig.seen.count("sh") == 1 + 2 + 2 + 1


async def test_a_rig_without_grep_says_so(rig: SshRig, reach: SshReach) -> None:
    rig.commands["sh"] = says("", 127)
    with pytest.raises(MalformedError, match="grep"):
        await reach.read_texts(FILES, deadline_s=20)


def test_lines_that_are_no_files_are_left_out() -> None:
    output = "/r/proc/uptime:1\n/r/proc/a:x\n/r/proc/a:y:z\nnonsense\n/etc/passwd:root\n/r/b\n"
    assert texts_of(output, "/r") == {"/proc/uptime": "1", "/proc/a": "x\ny:z"}
