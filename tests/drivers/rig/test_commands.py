"""Commands that change a rig: what stands before their first byte, and what their end means."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.errors import (
    MinerError,
    OutcomeUnknownError,
    UnreachableError,
    UnsupportedError,
    WrongDeviceError,
)
from drivers.base import Timing
from drivers.rig.entry import RIG
from drivers.rig.protocol import xmrig
from drivers.rig.protocol.nvidia_limits import limits_of
from drivers.rig.protocol.orders import check_obeyed
from drivers.rig.protocol.rig_service import programs_of
from drivers.rig.protocol.systemd import process_of
from drivers.rig.spec import EnrolledRig
from drivers.rig.wire import RigWire
from tests.drivers.effects import MemoryEffect
from tests.drivers.rig import tree
from tests.drivers.rig.servers import SshRig, says, ssh_rig
from tests.virtual_time import loop_clock
from tests.waiting import until

ORDER = ("touch-the-rig", "now")


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[SshRig]:
    async with ssh_rig(tmp_path / "keys", tree.plant(tmp_path / "root", tree.HOST)) as found:
        found.commands[ORDER[0]] = says("done\n")
        yield found


@pytest.fixture
async def wire(rig: SshRig) -> AsyncIterator[RigWire]:
    spec = EnrolledRig(name="rig-7", reach=rig.spec())
    found = RIG.enrolled(spec, clock=loop_clock(), timing=Timing()).rig_wire
    yield found
    await found.reach.close()


class Witness(MemoryEffect):
    """Looks at what had come to the rig when the leave was asked for, and does something to it."""

    def __init__(self, rig: SshRig, act: Callable[[], Any] = lambda: None) -> None:
        super().__init__(loop_clock())
        self.seen: list[str] | None = None
        self._rig = rig
        self._act = act

    def sending(self, check: Callable[[], None] | None = None) -> Any:
        return self._watched(check)

    @asynccontextmanager
    async def _watched(self, check: Callable[[], None] | None) -> AsyncIterator[None]:
        self.seen = [*self._rig.seen]
        act = self._act()
        if act is not None:
            await act
        async with super()._sending(check):
            yield


@pytest.mark.real_time
async def test_the_leave_is_taken_once_connected_and_before_the_first_byte(
    rig: SshRig, wire: RigWire
) -> None:
    permit = Witness(rig)
    assert (await wire.run(ORDER, permit=permit)).output == "done\n"
    assert permit.seen == ["connection", "login"]
    assert rig.seen == ["connection", "login", ORDER[0]]
    assert (permit.sent, wire.exchanges) == (1, 1)


@pytest.mark.real_time
async def test_who_answers_is_asked_before_each_order_and_none_is_sent_to_another(
    rig: SshRig, wire: RigWire
) -> None:
    async def another() -> None:
        raise WrongDeviceError("another one")

    permit = Witness(rig)
    with wire.checking(another), pytest.raises(WrongDeviceError):
        await wire.run(ORDER, permit=permit)
    assert (permit.sent, rig.seen) == (0, [])


@pytest.mark.real_time
async def test_a_connection_that_goes_before_the_first_byte_has_sent_nothing(
    rig: SshRig, wire: RigWire
) -> None:
    async def hang_up() -> None:
        rig.connections[-1].abort()
        await until(lambda: not wire.reach.is_open)

    permit = Witness(rig, hang_up)
    with pytest.raises(UnreachableError, match="before anything was sent"):
        await wire.run(ORDER, permit=permit)
    assert (permit.sent, ORDER[0] in rig.seen) == (0, False)
    assert (await wire.run(ORDER, permit=Witness(rig))).status == 0


@pytest.mark.real_time
async def test_a_connection_that_goes_with_the_order_leaves_its_outcome_unknown(
    rig: SshRig, wire: RigWire
) -> None:
    async def go_down(process: asyncssh.SSHServerProcess[bytes]) -> None:
        del process
        rig.connections[-1].abort()

    rig.commands[ORDER[0]] = go_down
    permit = MemoryEffect(loop_clock())
    with pytest.raises(OutcomeUnknownError):
        await wire.run(ORDER, permit=permit)
    assert (permit.sent, rig.seen.count(ORDER[0])) == (1, 1)
    rig.commands[ORDER[0]] = says("", 127, f"sh: 1: {ORDER[0]}: not found")
    with pytest.raises(UnsupportedError):
        await wire.run(ORDER, permit=permit)
    rig.commands[ORDER[0]] = says("", 127)  # of a script: one of its steps is not there
    assert (await wire.run(ORDER, permit=permit)).status == 127


@pytest.mark.parametrize(
    ("status", "said", "code"),
    [
        (1, "sudo: a password is required", "refused"),
        (1, "Sorry, user miner is not allowed to execute '/usr/bin/systemctl' as root", "refused"),
        (1, 'sudo: The "no new privileges" flag is set, which prevents sudo', "refused"),
        (4, "Failed to stop x.service: Interactive authentication required.", "refused"),
        (5, "Failed to stop x.service: Unit x.service not loaded.", "refused"),
        (126, "sh: 1: wall: Exec format error", "not_verified"),
        (1, "sudo: systemctl: command not found", "unsupported"),
        (1, "Job for x.service failed because the control process exited", "not_verified"),
        (None, "", "not_verified"),
    ],
)
def test_what_the_end_of_a_command_means(status: int | None, said: str, code: str) -> None:
    argv = ("sudo", "-n", "systemctl", "stop", "x.service")
    with pytest.raises(MinerError) as found:
        check_obeyed(argv, status, "", said, user="miner")
    assert found.value.code == code
    assert "systemctl stop x.service" in str(found.value)


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (200, b'{"id":1,"result":{"status":"OK"}}', None),
        (200, b'{"id":1,"error":{"code":-32601,"message":"Method not found"}}', "refused"),
        (200, b"<html>", "not_verified"),
        (200, b"{}", "not_verified"),
        (401, b"", "auth_failed"),
        (403, b"", "refused"),
        (500, b"", "not_verified"),
    ],
)
def test_what_the_answer_of_xmrig_means(status: int, body: bytes, code: str | None) -> None:
    if code is None:
        xmrig.check_taken(status, body)
        return
    with pytest.raises(MinerError) as found:
        xmrig.check_taken(status, body)
    assert found.value.code == code


@pytest.mark.parametrize(
    ("output", "is_up", "pid"),
    [
        ("LoadState=loaded\nActiveState=active\nMainPID=77\n", True, 77),
        ("LoadState=loaded\nActiveState=failed\nMainPID=0\n", False, None),
        ("ActiveState=activating\n", None, None),
    ],
)
def test_what_systemd_tells_of_a_unit(output: str, is_up: bool | None, pid: int | None) -> None:
    process = process_of(0, output, "")
    assert (process.is_up, process.pid) == (is_up, pid)


@given(st.text(max_size=300), st.sampled_from([0, 1, 4, None]))
def test_nonsense_of_a_command_is_a_named_error_or_nothing(text: str, status: int | None) -> None:
    for read in (process_of, programs_of, limits_of):
        try:
            read(status, text, text)
        except MinerError:
            continue
