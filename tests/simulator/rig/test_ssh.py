"""SSH in front of a rig: who gets in, what commands do, how a server misbehaves."""

from __future__ import annotations

import asyncio
import json
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from simulator.rig.catalogue import MODELS
from simulator.rig.folder import RigFolder
from tests.simulator.rig.clients import applied, known_hosts, logged_in, text
from tests.waiting import until

BOOT_ID = "/proc/sys/kernel/random/boot_id"


async def test_only_the_key_gets_in(start: Any) -> None:
    (rig,) = (await start("rig/xmrig-cpu")).miners
    async with await logged_in(rig) as client:
        assert (await client.run("true")).exit_status == 0
    other = asyncssh.generate_private_key("ssh-ed25519")
    for options in (
        {"client_keys": [other]},
        {"username": "root"},
        {"client_keys": None, "password": "miner"},
    ):
        with pytest.raises(asyncssh.PermissionDenied):
            await logged_in(rig, **options)
    with (rig.folder / "home/miner/.ssh/authorized_keys").open("a") as keys:
        keys.write(other.export_public_key("openssh").decode())
    async with await logged_in(rig, client_keys=[other]) as client:
        assert (await client.run("whoami")).stdout == "miner\n"


async def test_files_are_the_hosts(start: Any) -> None:
    (rig,) = (await start("rig/8xrx6800-trm")).miners
    async with await logged_in(rig) as client:
        assert (await client.run(f"cat {BOOT_ID}")).stdout == f"{rig.boot_id}\n"
        missing = await client.run("cat /sys/nothing /etc/machine-id")
        assert (missing.exit_status, missing.stdout) == (1, f"{rig.machine_id}\n")
        assert "No such file or directory" in str(missing.stderr)
        # as one who wants all files of a look in one command asks
        script = "grep -asH -m 200 --line-buffered '' /sys/class/drm/card*/device/uevent /etc/no"
        told = await client.run(shlex.join(["sh", "-c", f"{script} </dev/null 2>/dev/null"]))
        one_by_one = "grep -sH '' /etc/machine-id 2>/dev/null; echo next; tail -n 1 /proc/net/route"
        lines = str((await client.run(one_by_one)).stdout).splitlines()
        assert lines[:2] == [f"/etc/machine-id:{rig.machine_id}", "next"]
        assert lines[2].startswith("enp3s0\t0001A8C0")
        slots = [line for line in str(told.stdout).splitlines() if "PCI_SLOT_NAME" in line]
        assert slots[0] == "/sys/class/drm/card0/device/uevent:PCI_SLOT_NAME=0000:03:00.0"
        assert len(slots) == 8
        async with client.start_sftp_client() as files, files.open("/etc/machine-id") as file:
            assert await file.read() == f"{rig.machine_id}\n"


@pytest.mark.real_time
async def test_what_is_not_played_runs_in_the_folder(start: Any) -> None:
    (rig,) = (await start("rig/6xrtx3080-trex")).miners
    async with await logged_in(rig) as client:
        looked = await client.run("for f in /sys/class/net/*; do echo $f; done | sort -r | head -1")
        assert looked.stdout == "/sys/class/net/lo\n"
        smi = await client.run("nvidia-smi -L | wc -l")
        assert str(smi.stdout).strip() == "6"
        assert (await client.run("no-such-program --help")).exit_status == 127


async def test_its_loopback_is_reached_through_it_and_nothing_else(start: Any) -> None:
    (rig,) = (await start("rig/xmrig-cpu")).miners
    async with await logged_in(rig) as client:
        reader, writer = await client.open_connection("127.0.0.1", rig.units[0].port)
        writer.write(b"GET /2/summary HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 401 ")
        with pytest.raises(asyncssh.ChannelOpenError) as failed:
            await client.open_connection("127.0.0.1", 9)
        assert failed.value.code == asyncssh.OPEN_CONNECT_FAILED
        with pytest.raises(asyncssh.ChannelOpenError) as failed:
            await client.open_connection("192.0.2.1", 80)
        assert failed.value.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED


async def test_programs_are_stopped_started_and_looked_at(start: Any) -> None:
    (rig,) = (await start("rig/xmrig-cpu")).miners
    async with await logged_in(rig) as client:

        async def out(command: str) -> tuple[int | None, str]:
            done = await client.run(command)
            return done.exit_status, str(done.stdout).strip()

        assert await out("systemctl is-active xmrig") == (0, "active")
        _, pid = await out("systemctl show xmrig.service -p MainPID --value")
        assert (await out("pgrep -a xmrig"))[1].startswith(
            f"{pid} {rig.folder}/bin/xmrig --no-color"
        )
        assert await out("sudo -n systemctl stop xmrig.service") == (0, "")
        assert await out("systemctl is-active xmrig") == (3, "inactive")
        assert await out(f"kill -0 {pid}") == (1, "")
        assert await out("systemctl start xmrig") == (0, "")
        _, again = await out("systemctl show xmrig --property=MainPID,ActiveState")
        assert again.endswith("ActiveState=active")
        assert again.split("\n")[0] != f"MainPID={pid}"
        status, log = await out("journalctl -u xmrig.service -n 50 --no-pager")
        assert (status, "XMRig/6.22.2" in log) == (0, True)
        assert (await out("systemctl start nothing"))[0] == 5
    assert [len(applied(rig, each)) for each in ("stop", "start")] == [1, 1]
    assert applied(rig, "stop")[0]["pid"] == int(pid)
    lines = [
        (each["action"], each["phase"], each["before"], each["after"])
        for each in rig.ledger.entries
    ]
    on, off = {"active": True}, {"active": False}
    assert lines == [
        ("stop", "received", on, off),
        ("stop", "applied", on, off),
        ("start", "received", off, on),
        ("start", "applied", off, on),
    ]
    assert {each["program"] for each in rig.ledger.entries} == {"xmrig"}


async def test_a_reboot_is_answered_and_then_the_line_goes(start: Any, until: Any) -> None:
    (rig,) = (await start("rig/xmrig-cpu")).miners
    before = rig.boot_id
    async with await logged_in(rig) as client:
        assert (await client.run("sudo reboot")).exit_status == 0
        await client.wait_closed()
    with pytest.raises(OSError):
        await logged_in(rig)
    await until(lambda: rig.is_up)
    async with await logged_in(rig) as client:
        assert (await client.run(f"cat {BOOT_ID}")).stdout not in ("", f"{before}\n")
    assert [
        len(rig.ledger.of(action="reboot", phase=each)) for each in ("received", "applied")
    ] == [1, 1]


@pytest.mark.parametrize(
    ("fault", "args", "reboots", "answered"),
    [("ignores", {}, 0, True), ("silent_apply", {"close": True}, 1, False)],
)
async def test_an_order_may_be_ignored_or_its_answer_lost(
    start: Any, until: Any, fault: str, args: dict[str, Any], reboots: int, answered: bool
) -> None:
    (rig,) = (await start("rig/xmrig-cpu")).miners
    rig.faults.add(fault, actions=["reboot"], times=1, **args)
    async with await logged_in(rig) as client:
        done = await client.run("reboot")
    assert (done.exit_status == 0) is answered
    await until(lambda: len(applied(rig, "reboot")) == reboots)


async def test_nvidia_smi_answers_and_limits_where_it_may(start: Any) -> None:
    nvidia, amd = (await start("rig/6xrtx3080-trex,rig/8xrx6800-trm")).miners
    limits = "nvidia-smi --query-gpu=power.limit --format=csv,noheader,nounits"
    async with await logged_in(nvidia) as client:
        done = await client.run(limits)
        assert str(done.stdout).splitlines() == ["370.00"] * 6
        assert (await client.run("nvidia-smi -i 1 -pl 250")).exit_status == 4
        assert (await client.run("sudo nvidia-smi -i 1 -pl 250")).exit_status == 0
        assert str((await client.run(limits)).stdout).splitlines()[1] == "250.00"
        nvidia.faults.add("gpu_falls_off", gpus=[0])
        lost = await client.run(
            "nvidia-smi --query-gpu=pci.bus_id,power.draw --format=csv,noheader"
        )
        assert lost.exit_status == 15
        assert str(lost.stdout).splitlines()[0] == "00000000:03:00.0, [GPU is lost]"
    async with await logged_in(amd) as client:
        assert (await client.run("nvidia-smi -L")).exit_status == 127
    cards = [(each["phase"], each["bus_id"]) for each in nvidia.ledger.of(action="power_limit")]
    assert cards == [("received", "00000000:05:00.0"), ("applied", "00000000:05:00.0")]
    assert applied(nvidia, "power_limit")[0]["after"] == {"watts": 250.0}


async def test_another_host_key_is_shown_and_nothing_is_sent(start: Any) -> None:
    (rig,) = (await start("rig/xmrig-cpu")).miners
    rig.tapped = True
    rig.faults.add("changes_host_key")
    with pytest.raises(asyncssh.HostKeyNotVerifiable):
        await logged_in(rig)
    assert rig.wire_log == []
    rig.faults.clear()
    async with await logged_in(rig) as client:
        await client.run("true")
    assert b"true" in [entry.data for entry in rig.wire_log]


async def test_a_server_hangs_resets_floods_or_drips_at_whoever_connects(start: Any) -> None:
    (rig,) = (await start("rig/xmrig-cpu")).miners
    for fault, error in (("hangs", TimeoutError), ("resets", OSError), ("endless", asyncssh.Error)):
        rig.faults.add(fault, ports=["ssh"])
        with pytest.raises(error):
            async with asyncio.timeout(20):
                await logged_in(rig)
        rig.faults.clear()
    rig.faults.add("drips", ports=["ssh"], interval=2.0)
    began = asyncio.get_running_loop().time()
    reader, writer = await asyncio.open_connection(rig.ip, rig.ports["ssh"])
    assert await reader.readexactly(8) == b"SSH-2.0-"
    assert asyncio.get_running_loop().time() - began >= 14
    writer.close()
    rig.faults.clear()
    rig.faults.add("refuses_22")
    with pytest.raises(ConnectionRefusedError):
        await logged_in(rig)


async def test_a_command_hangs_drips_or_floods(start: Any) -> None:
    (rig,) = (await start("rig/xmrig-cpu")).miners
    loop = asyncio.get_running_loop()
    async with await logged_in(rig) as client:
        rig.faults.add("hangs", ports=["ssh"], match=["machine-id"])
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await client.run("cat /etc/machine-id")
        rig.faults.clear()
        rig.faults.add("drips", ports=["ssh"], match=["hostname"], interval=2.0)
        began = loop.time()
        assert (await client.run("cat /etc/hostname")).stdout == "xmrig-cpu\n"
        assert loop.time() - began >= 18
        rig.faults.add("endless", ports=["ssh"], match=["cat /proc/uptime"])
        process = await client.create_process("cat /proc/uptime")
        assert len(await process.stdout.readexactly(1 << 20)) == 1 << 20
        process.close()
        await process.wait_closed()
        assert (await client.run("true")).exit_status == 0


async def test_a_sensor_or_a_driver_that_blocks_keeps_the_command_alone(start: Any) -> None:
    (rig,) = (await start("rig/mixed-lolminer-dual")).miners
    rig.faults.add("sensor_blocks", files=["*card2/device/hwmon/*/temp1_input"])
    rig.faults.add("nvml_hangs")
    async with await logged_in(rig) as client:
        blocked = "grep -sH '' /etc/machine-id /sys/class/drm/card2/device/hwmon/hwmon*/temp1_input"
        process = await client.create_process(blocked)
        assert await process.stdout.readline() == f"/etc/machine-id:{rig.machine_id}\n"
        for waiting in (process.stdout.readline(), client.run("nvidia-smi -L")):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(20):
                    await waiting
        assert (await client.run("cat /etc/hostname")).exit_status == 0


@pytest.mark.real_time
async def test_openssh_gets_in_and_refuses_another_key(start: Any, tmp_path: Path) -> None:
    if shutil.which("ssh") is None:
        pytest.skip("there is no OpenSSH client here")
    (rig,) = (await start("rig/6xrtx3080-trex")).miners
    told = rig.describe()

    async def ssh(command: str) -> tuple[int | None, str, str]:
        process = await asyncio.create_subprocess_exec(
            "ssh", "-F", "none", "-T", "-p", str(told["ssh_port"]), "-i", told["ssh_key"],
            "-o", f"UserKnownHostsFile={known_hosts(rig, tmp_path)}", "-o", "GlobalKnownHostsFile=none",
            "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=yes",
            f"{told['ssh_user']}@{rig.ip}", command,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, error = await asyncio.wait_for(process.communicate(), 60)
        return process.returncode, out.decode(), error.decode()

    assert (await ssh("cat /etc/machine-id"))[:2] == (0, text(rig, "etc/machine-id"))
    assert (await ssh("cat /etc/nothing"))[0] == 1
    rig.faults.add("changes_host_key")
    status, out, error = await ssh("cat /etc/machine-id")
    assert (status, out) == (255, "")
    assert "HOST IDENTIFICATION HAS CHANGED" in error


@pytest.mark.real_time
async def test_the_command_announces_rigs_and_serves_them(base: str, tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from simulator.cli import main; main()",
        "--make", "rig/6xrtx3080-trex,rig/xmrig-process", "--base", base, "--http-port", "0",
        "--rpc-port", "0", "--v3-port", "0", "--daemon-port", "0", "--ledger", str(tmp_path / "ledger"),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        first, second = json.loads(await asyncio.wait_for(process.stdout.readline(), 30))["miners"]
        assert [each["bus_id"] for each in first["gpus"]][:2] == ["0000:03:00.0", "0000:05:00.0"]
        assert first["programs"][0]["software"] == "T-Rex"
        _, writer = await asyncio.open_connection(first["ip"], first["programs"][0]["port"])
        writer.close()
        async with asyncssh.connect(
            second["ip"], second["ssh_port"], username=second["ssh_user"],
            client_keys=[second["ssh_key"]], config=None,
            known_hosts=([asyncssh.import_public_key(second["host_key"])], [], []),
        ) as client:  # fmt: skip
            assert (await client.run("cat /etc/hostname")).stdout == "xmrig-process\n"
        process.terminate()
        await asyncio.wait_for(process.communicate(), 20)
        assert process.returncode == 0
        assert not Path(first["folder"]).exists()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


@pytest.mark.real_time
async def test_a_command_that_is_told_to_end_while_it_begins_leaves_nothing_behind(
    base: str, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from simulator.cli import main; main()",
        "--make", "rig:8", "--base", base, "--http-port", "0", "--rpc-port", "0", "--v3-port", "0",
        "--daemon-port", "0", "--ledger", str(ledger), stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        await until(ledger.exists, within_s=30)
        process.terminate()
        await asyncio.wait_for(process.communicate(), 20)
        assert process.returncode == 0
        network = base.rpartition(".")[0]
        states = RigFolder(MODELS["idle"]).path.parent.glob("miner-simulator-rig-*/run/state.json")
        assert [each for each in states if f'"{network}.' in each.read_text()] == []
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
