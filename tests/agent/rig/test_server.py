"""Who may call, and what those cost who call for nothing good."""

from __future__ import annotations

import asyncio
import contextlib
import grp
import os
import resource
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.rig.client import NoRigServiceError, RigRefusedError, RigService, RigServiceLostError
from agent.rig.server import RigCallers, RigServer
from agent.rig.shapes import (
    REQUEST_MAX,
    RequestRefused,
    RigReply,
    RigRequest,
    RigStatus,
    TellStatus,
)
from tests.agent.rig.stage import RigStage, entry
from tests.waiting import until
from tests.warm import started

pytestmark = pytest.mark.real_time


async def said(stage: RigStage, *pieces: bytes, eof: bool = False) -> bytes:
    """All that it answers to those bytes, until it hangs up."""
    reader, writer = await asyncio.open_unix_connection(str(stage.socket))
    with contextlib.suppress(ConnectionError):
        for each in pieces:
            writer.write(each)
            await writer.drain()
        if eof:
            writer.write_eof()
    answer = b""
    with contextlib.suppress(ConnectionError):
        answer = await reader.read()
    writer.close()
    return answer


def test_root_our_own_user_and_who_is_named_may_call() -> None:
    group = grp.getgrgid(0).gr_name
    callers = RigCallers(("nobody", "no-such-user"), (group, "no-such-group"))
    assert callers.includes(0, ())
    assert callers.includes(os.geteuid(), ())
    assert callers.includes(65534, ())
    assert callers.includes(4711, (12, 0))
    assert not callers.includes(4711, (12,))
    assert not RigCallers((), ()).includes(4711, ())


async def test_its_file_is_for_its_user_and_group(stage: RigStage) -> None:
    with socket.socket(socket.AF_UNIX) as left:  # by a killed one
        left.bind(str(stage.socket))
    async with stage.running():
        await until(stage.answers)
        assert stage.socket.stat().st_mode & 0o777 == 0o660
    assert not stage.socket.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can call as another user")
async def test_another_user_is_told_so_and_heard_no_further() -> None:
    """The kernel says who calls, whatever the file's mode."""
    stranger = """
import os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
try:
    s.sendall(b'{"call":"status"}\\n')
except BrokenPipeError:  # it was quicker
    pass
print(s.recv(4096).decode(), end="")
"""
    heard = []

    async def answer(request: RigRequest) -> RigReply:
        heard.append(request)
        return _STATUS

    with tempfile.TemporaryDirectory() as folder:  # one that others may look into
        Path(folder).chmod(0o755)
        path = Path(folder) / "rig.sock"
        server = RigServer(path, RigCallers((), ()), answer)
        await server.start()
        path.chmod(0o666)
        life = await asyncio.create_subprocess_exec(
            sys.executable, "-IS", "-c", stranger, str(path), stdout=asyncio.subprocess.PIPE
        )
        out, _ = await life.communicate()
        await server.stop()
    assert "user 65534 may not call" in msgspec.json.decode(out, type=RequestRefused).message
    assert heard == []


async def test_what_is_no_request_is_refused_and_the_rest_goes_on(stage: RigStage) -> None:
    async with stage.running():
        pid = await stage.mines()
        for line in (
            b"\n", b"null\n", b"{}\n", b'{"call":"reboot"}\n', b'{"call":"stop"}\n', b"\xff\xfe\n", b"[" * 9000 + b"\n",
            b'{"call":"apply","entries":[{"id":1}]}\n', b"GET / HTTP/1.1\r\n\r\n",
        ):  # fmt: skip
            answer = msgspec.json.decode(await said(stage, line), type=RequestRefused)
            assert answer.message.startswith("not a request"), line
        assert await said(stage, b'{"call":"sta', eof=True) == b""
        assert (await stage.only()).pid == pid


async def test_ten_megabytes_cost_no_memory_and_are_refused_by_name(stage: RigStage) -> None:
    async with stage.running():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        answer = await said(stage, *([b"x" * 65536] * 160))
        if answer:  # where it was read before the connection was cut
            refused = msgspec.json.decode(answer, type=RequestRefused)
            assert str(REQUEST_MAX) in refused.message
        (verdict,) = await stage.apply(entry("--user " + "x" * 10_000_000))
        assert not verdict.accepted
        assert "command_argument: it is too long; 8192 bytes are the most" in (verdict.reason or "")
        grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert grown_kb < 80_000  # ours and theirs together, the ten megabytes among them


async def test_one_user_has_no_more_than_a_few_connections(stage: RigStage) -> None:
    async with stage.running():
        held = []
        try:
            held += [await asyncio.open_unix_connection(str(stage.socket)) for _ in range(8)]
            async with RigService(stage.socket) as service:
                with pytest.raises(RigRefusedError, match="too many connections"):
                    await service.status()
            # others are refused by the hundred, and cost nothing that stays
            for _ in range(200):
                _, writer = await asyncio.open_unix_connection(str(stage.socket))
                writer.transport.abort()
        finally:
            for _, writer in held:
                writer.close()
        await until(lambda: _is_heard(stage))


async def test_a_client_says_what_went_wrong(stage: RigStage, tmp_path: Any) -> None:
    with pytest.raises(NoRigServiceError, match="systemctl start miner-agent-rig"):
        async with RigService(stage.socket):
            pass
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(stage.socket))
        with pytest.raises(NoRigServiceError, match="no miner-agent-rig listens"):
            async with RigService(stage.socket):
                pass
        mute.listen()
        async with RigService(stage.socket, answer_s=0.05) as service:
            with pytest.raises(RigServiceLostError, match=r"said nothing in 0\.05 s"):
                await service.status()

    async def nonsense(request: RigRequest) -> RigReply:
        return RequestRefused(message="no") if isinstance(request, TellStatus) else _STATUS

    server = RigServer(stage.socket, RigCallers((), ()), nonsense)
    await server.start()
    async with RigService(stage.socket) as service:
        with pytest.raises(RigRefusedError, match=r"^no$"):
            await service.status()
        with pytest.raises(RigServiceLostError, match="answered with RigStatus"):
            await service.stop("x")
    await server.stop()


async def test_a_bug_is_told_and_ends_no_service(stage: RigStage) -> None:
    async def broken(_request: RigRequest) -> RigReply:
        raise ZeroDivisionError

    server = RigServer(stage.socket, RigCallers((), ()), broken)
    await server.start()
    for _ in range(2):
        async with RigService(stage.socket) as service:
            with pytest.raises(RigRefusedError, match="internal error in miner-agent-rig"):
                await service.status()
    await server.stop()


_STATUS = RigStatus(version="1", programs=())


async def _is_heard(stage: RigStage) -> bool:
    with contextlib.suppress(RigRefusedError):
        await stage.status()
        return True
    return False


async def test_a_second_service_takes_no_socket_from_the_first(
    stage: RigStage, tmp_path: Path
) -> None:
    async with stage.running():
        pid = await stage.mines()
        text = stage.config.read_text().replace('"state"', '"other"').replace('"log"', '"logs"')
        other = stage.folder / "other.toml"
        other.write_text(text)
        second = await started("agent.cli.rig_service", "run", "--config", other)
        _, errors = await second.communicate()
        assert second.returncode == 1
        assert b"another service listens at" in errors
        assert (await stage.only()).pid == pid


async def test_a_file_that_is_no_socket_is_not_taken_away(stage: RigStage) -> None:
    stage.socket.write_text("of a person")
    service = await started("agent.cli.rig_service", "run", "--config", stage.config)
    _, errors = await service.communicate()
    assert service.returncode == 1
    assert b"is no socket" in errors
    assert stage.socket.read_text() == "of a person"
