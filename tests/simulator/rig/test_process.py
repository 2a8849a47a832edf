"""A mining program as a process of its own: real pid, real command line, real end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.simulator.rig.clients import applied, call, get, http, logged_in
from tests.waiting import until

pytestmark = pytest.mark.real_time


async def serves(rig: Any) -> bool:
    try:
        return bool(await get(rig, "/2/summary"))
    except OSError:
        return False


async def events(rig: Any, action: str, number: int = 1) -> list[Any]:
    """What the ledger has of that, once it is so much."""

    def there() -> bool:
        rig.refresh()
        return len(applied(rig, action)) >= number

    await until(there, within_s=20)
    return applied(rig, action)


@contextlib.asynccontextmanager
async def program(
    rig: Any, name: str, *arguments: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """One that somebody else starts, as a rig's own service does."""
    process = await asyncio.create_subprocess_exec(
        rig.folder / "bin" / name, *arguments, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_it_starts_serves_pauses_and_ends_as_xmrig_does(start: Any) -> None:
    (rig,) = (await start("rig/xmrig-process", time_scale=20.0)).miners
    await until(lambda: serves(rig), within_s=30)
    unit = rig.units[0]
    command = Path(f"/proc/{unit.pid}/cmdline").read_bytes().split(b"\0")
    assert str(rig.folder / "bin/xmrig").encode() in command
    assert (await http(rig, "/2/summary", token=None))[0] == 401
    assert (await call(rig, "pause"))["result"] == {"status": "OK"}
    assert (await get(rig, "/2/summary"))["paused"] is True
    assert (await call(rig, "resume"))["result"] == {"status": "OK"}
    (pause,) = await events(rig, "pause")
    assert (pause["pid"], pause["after"]["paused"]) == (unit.pid, True)
    await until(lambda: rig.refresh() or rig.processor.warmth.load == 1.0, within_s=20)
    assert f"proc/{unit.pid}/cmdline" in {
        str(each.relative_to(rig.folder)) for each in rig.folder.glob("proc/*/cmdline")
    }
    child, pid = unit.child, unit.pid
    os.kill(pid, signal.SIGTERM)
    assert await asyncio.to_thread(child.wait, 10) == 0
    (end,) = await events(rig, "stop")
    assert (end["pid"], end["status"]) == (pid, 0)
    await until(lambda: rig.refresh() or rig.processor.warmth.load < 0.1, within_s=20)
    assert "use pool pool.hashvault.pro:443" in (rig.folder / "var/log/xmrig.log").read_text()


async def test_one_that_others_start_is_the_rigs_too(start: Any) -> None:
    (rig,) = (await start("rig/idle")).miners
    port = rig.ports["program"]
    async with program(
        rig, "xmrig", "--url", "other.example.com:3333", "--algo", "rx/wow", "--user", "w",
        "--http-port", str(port), "--http-access-token", "own",
    ) as mining:  # fmt: skip

        async def summary() -> Any:
            with contextlib.suppress(OSError):
                return json.loads((await http(rig, "/2/summary", token="own", port=port))[1])
            return None

        await until(summary, within_s=30)
        told = await summary()
        assert (told["algo"], told["connection"]["pool"]) == ("rx/wow", "other.example.com:3333")
        assert told["restricted"] is True
        (begin,) = await events(rig, "start")
        assert (begin["pid"], begin["program"]) == (mining.pid, "xmrig")
        assert "--http-access-token" in begin["arguments"]
        # it tells nobody that it was killed: the rig finds out
        mining.kill()
        (end,) = await events(rig, "stop")
        assert (end["pid"], end["by"]) == (mining.pid, "kill")


async def test_one_that_is_executed_by_a_descriptor_is_the_rigs_too(start: Any) -> None:
    """As the service of a rig does it, whose command line then names no file of the rig."""
    (rig,) = (await start("rig/idle")).miners
    handle = os.open(rig.folder / "bin" / "xmrig", os.O_RDONLY)
    try:
        mining = await asyncio.create_subprocess_exec(
            f"/proc/self/fd/{handle}", "--url", "pool.example.com:3333", pass_fds=(handle,)
        )
        (begin,) = await events(rig, "start")
        # It says that it began, then it writes down what it is.
        await until(lambda: rig.refresh() or mining.pid in rig.processes(), within_s=20)
        assert (begin["pid"], applied(rig, "stop")) == (mining.pid, [])
        mining.terminate()
        (end,) = await events(rig, "stop")
        assert (end["pid"], end["status"]) == (mining.pid, 0)
    finally:
        os.close(handle)
        if mining.returncode is None:
            mining.kill()
        await mining.wait()


async def test_the_host_itself_is_heard_on_the_hosts_loopback(start: Any) -> None:
    (rig,) = (await start("rig/host")).miners
    assert rig.ip != "127.0.0.1"
    port = rig.ports["program"]
    async with program(rig, "xmrig", "--url", "pool.example.com:3333", "--http-port", str(port)):

        async def is_heard() -> bool:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                return False
            writer.close()
            return True

        await until(is_heard, within_s=30)


async def test_a_process_crashes_by_a_fault_and_its_unit_has_failed(start: Any) -> None:
    (rig,) = (await start("rig/xmrig-process")).miners
    await until(lambda: serves(rig), within_s=30)
    rig.faults.add("program_dies", after_s=0)
    (end,) = await events(rig, "stop")
    assert end["status"] == 134
    await until(lambda: rig.refresh() or not rig.units[0].is_active, within_s=20)
    assert rig.units[0].died


async def test_it_tells_its_version_and_refuses_to_mine_for_nobody(start: Any) -> None:
    (rig,) = (await start("rig/idle")).miners
    async with program(rig, "xmrig", "--version") as asked:
        out, _ = await asked.communicate()
    assert (asked.returncode, out) == (0, b"XMRig 6.22.2\n")
    async with program(rig, "xmrig", "--no-color") as asked:
        await asked.communicate()
    assert asked.returncode == 2
    assert rig.ledger.entries == []


async def test_its_unit_is_stopped_and_a_reboot_ends_every_process(start: Any) -> None:
    (rig,) = (await start("rig/xmrig-process", time_scale=20.0)).miners
    async with await logged_in(rig) as client:
        assert (await client.run("systemctl stop xmrig")).exit_status == 0
        assert (await client.run("systemctl is-active xmrig")).stdout == "inactive\n"
        rig.faults.add("ignores", actions=["stop"], times=1)
        await client.run("systemctl start xmrig")
        assert (await client.run("systemctl stop xmrig")).exit_status == 0
        assert rig.units[0].is_active
        (begin,) = applied(rig, "start")
        assert (begin["by"], begin["pid"]) == ("order", rig.units[0].pid)
    child = rig.units[0].child
    await until(lambda: rig.refresh() or len(rig.processes()) == 1, within_s=20)
    rig.power_cycle()
    assert child.returncode is not None
    ends = [(each["pid"], each["status"]) for each in applied(rig, "stop")]
    assert ends[-1] == (child.pid, -signal.SIGKILL)
    assert len({pid for pid, _ in ends}) == len(ends)
    await until(lambda: rig.is_up and rig.units[0].is_active, within_s=20)
    assert rig.units[0].pid != child.pid
