"""The agent's cloud may be broken, replaced or hostile: the agent goes on, says why, asks seldom, keeps its token and memory."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import resource
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from agent.config.file import parse
from agent.daemon import Daemon
from agent.link.client import CloudLink
from agent.link.client import enroll as ask_to_enroll
from agent.ports import CloudError
from contract.link import (
    ClaimReply,
    ClaimRequest,
    EnrollRequest,
    HeartbeatReply,
    ReadingsReply,
    ReportReply,
    Settings,
)
from drivers.base import LogFile
from service.notify import Notifier
from tests.agent.link.test_client import served
from tests.virtual_time import loop_clock
from tests.waiting import until

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
TOKEN = "t0ken-of-this-agent"
# The longest answer taken is 8 MB, and it is looked at as text and as objects.
MEMORY_KB = 64 * 1024
TASK = {
    "task_id": "t",
    "batch_id": None,
    "epoch": 1,
    "name": "miner.light.update",
    "params": {"action": "on"},
    "miner": {"id": "m", "last_ip": "10.0.0.1"},
    "queue_ttl_s": 60,
    "limit_s": 60,
}


def says(body: bytes | str, status: int = 200, **headers: str) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        await request.read()
        data = body if isinstance(body, bytes) else body.encode()
        return web.Response(body=data, status=status, headers=headers)

    return handle


def claims(*tasks: object, **more: object) -> Handler:
    return says(json.dumps({"tasks": tasks, **more}))


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):
        while True:
            await response.write(b" " * 65536)
    return response


async def many_tasks(request: web.Request) -> web.StreamResponse:
    """A million tasks, each sound."""
    response = web.StreamResponse()
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):
        await response.write(b'{"tasks":[')
        for start in range(0, 1_000_000, 1000):
            some = (json.dumps({**TASK, "task_id": f"t{n}"}) for n in range(start, start + 1000))
            await response.write(",".join(some).encode() + b",")
        await response.write(json.dumps(TASK).encode() + b"]}")
    return response


async def drips(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.05)
    return response


async def hangs_up(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def speaks_no_http(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.write(b"\x16\x03\x01" + b"\x00" * 10_000)
    request.transport.close()
    return web.Response()


HOSTILE: dict[str, Handler] = {
    "garbage": says(b"\x00\xff\xfe" * 1000),
    "a page": says("<html><body>Welcome to the hotel's network</body></html>"),
    "nothing": says(b""),
    "text that is no text": says(b'{"cancel":["\xff\xfe"],"state":"\xff"}'),
    "deep": says(b"[" * 1_000_000),
    "deep in a task": says(b'{"tasks":[{"params":' + b'{"a":' * 200_000),
    "another type": says(b'{"tasks": 5, "acks": 5, "state": 5, "settings_rev": "x", "rev": []}'),
    "a list": says(b"[1, 2, 3]"),
    "numbers beyond": says(b'{"lease_s": 1e999, "settings_rev": 1e999, "state": 1, "acks": 1}'),
    "endless": endless,
    "a million tasks": many_tasks,
    "a bomb": says(gzip.compress(bytes(256 * 2**20)), **{"Content-Encoding": "gzip"}),
    "a false bomb": says(b"no gzip at all", **{"Content-Encoding": "gzip"}),
    "drips": drips,
    "hangs up": hangs_up,
    "no http": speaks_no_http,
    "long headers": says(b"[]", **{f"X-{n}": "x" * 8000 for n in range(50)}),
    "500": says(b"\xff" * 10_000, 500),
    "502": says("<html>Bad Gateway</html>", 502),
    "503": says(b"", 503),
    "429": says(b"", 429),
    "folder as an id": claims({**TASK, "task_id": "../../../../tmp/gone"}),
    "an id too long": claims({**TASK, "task_id": "x" * 100_000}),
    "an epoch beyond": claims({**TASK, "epoch": 10**30}),
    "times beyond": claims({**TASK, "queue_ttl_s": 1e308, "limit_s": 1e308}, lease_s=1e308),
}
DENIED: dict[str, Handler] = {
    str(status): says(json.dumps({"message": "no"}), status) for status in (400, 401, 403, 404, 410)
}


class Cloud:
    """Behaves as told; counts what it is asked."""

    def __init__(self, behave: Handler) -> None:
        self.behave: Handler | None = behave
        self.asked = 0
        self.served_well = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        if self.behave is not None:
            return await self.behave(request)
        await request.read()
        what = request.path.rpartition("/")[2]
        if what == "claims":
            await asyncio.sleep(0.1)
            self.served_well += 1
        replies: dict[str, object] = {
            "claims": ClaimReply(),
            "reports": ReportReply(acks=()),
            "readings": ReadingsReply(state="ok"),
            "heartbeat": HeartbeatReply(settings_rev=1),
            "settings": Settings(rev=1),
        }
        return web.Response(body=msgspec.json.encode(replies[what]))


@asynccontextmanager
async def agent_of(cloud: Cloud, folder: Path) -> AsyncIterator[asyncio.Task[None]]:
    """A whole daemon, its token in place."""
    state = folder / "state"
    state.mkdir()
    (state / "token").write_text(TOKEN)
    (state / "token").chmod(0o600)
    async with served(cloud.handle) as url:
        config = parse(
            {
                "cloud": {"url": url, "request_timeout_s": 0.5},
                "state": {"dir": str(state)},
                "miners": {"ranges": ["10.0.0.0/30"]},
                "scan": {"at_start": False},
                "health": {"heartbeat_s": 1.0},
            }
        )
        daemon = Daemon(config, loop_clock(), Notifier({}))
        running = asyncio.create_task(daemon.run())
        try:
            yield running
        finally:
            daemon.stop()
            async with asyncio.timeout(30):
                await running


def rows(folder: Path) -> int:
    with contextlib.closing(sqlite3.connect(folder / "state" / "journal.db")) as db:
        return int(db.execute("SELECT count(*) FROM tasks").fetchone()[0])


@pytest.mark.parametrize("name", HOSTILE)
async def test_the_agent_outlives_a_hostile_cloud_and_works_on_with_a_good_one(
    name: str, tmp_path: Path
) -> None:
    cloud = Cloud(HOSTILE[name])
    loop = asyncio.get_running_loop()
    with capture_logs() as said:
        async with agent_of(cloud, tmp_path) as running:
            memory_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            began = loop.time()
            await until(lambda: cloud.asked >= 6 or running.done(), within_s=60.0)
            assert not running.done()
            assert cloud.asked < 20 + 20 * (loop.time() - began)
            grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory_kb
            cloud.behave = None
            await until(lambda: cloud.served_well >= 2 or running.done(), within_s=60.0)
            assert not running.done()
    assert grown_kb < MEMORY_KB
    assert rows(tmp_path) == 0
    events = {each["event"] for each in said}
    assert events & {"cloud.retry", "heartbeat.unheard"}
    assert not [each for each in said if "bug" in each["event"] or each.get("exc_info")]
    assert TOKEN not in str(said)
    assert max(len(str(each)) for each in said) < 2000


@pytest.mark.parametrize("name", DENIED)
async def test_a_cloud_that_does_not_want_the_agent_is_asked_seldom(
    name: str, tmp_path: Path
) -> None:
    cloud = Cloud(DENIED[name])
    with capture_logs() as said:
        async with agent_of(cloud, tmp_path) as running:
            await until(lambda: cloud.asked >= 4 or running.done(), within_s=30.0)
            assert not running.done()
    # one claim in half a minute; the rest are heartbeats, which show when it comes to its senses
    assert sum(each["event"] == "claim.denied" for each in said) == 1
    assert name in str([each for each in said if each["event"] == "claim.denied"])


async def test_more_tasks_than_were_asked_for_are_left_where_they_are(tmp_path: Path) -> None:
    tasks = [{**TASK, "task_id": f"t{n}", "miner": None} for n in range(5000)]
    given = 0

    async def generous(request: web.Request) -> web.StreamResponse:
        nonlocal given
        if request.path.endswith("claims"):
            given += 1
            return await claims(*tasks)(request)
        return await says(b"{}", 503)(request)

    with capture_logs() as said:
        async with agent_of(Cloud(generous), tmp_path):
            await until(lambda: given >= 8, within_s=60.0)
    assert "claim.too_many" in {each["event"] for each in said}
    assert rows(tmp_path) <= 2000


async def test_what_comes_with_a_task_and_is_not_understood_does_not_fill_the_disk(
    tmp_path: Path,
) -> None:
    given = 0

    async def heavy(request: web.Request) -> web.StreamResponse:
        nonlocal given
        if not request.path.endswith("claims"):
            return await says(b"{}", 503)(request)
        given += 1
        large = {"action": "on", "junk": "x" * 7_500_000}
        small = {"action": "on", "junk": "x" * 60_000}
        tasks = (
            {**TASK, "task_id": f"large{given}", "params": large},
            {**TASK, "task_id": f"small{given}", "params": small, "miner": None},
        )
        return await claims(*tasks)(request)

    async with agent_of(Cloud(heavy), tmp_path):
        await until(lambda: given > 6, within_s=60.0)
    state = tmp_path / "state"
    with contextlib.closing(sqlite3.connect(state / "journal.db")) as db:
        kept = dict(
            db.execute("SELECT substr(task_id, 1, 5), max(length(params)) FROM tasks GROUP BY 1")
        )
        (result,) = db.execute("SELECT result FROM tasks WHERE task_id = 'large1'").fetchone()
    assert set(kept) == {"large", "small"}
    assert max(kept.values()) < 100
    error = json.loads(result)["error"]
    assert error["code"] == "bad_params"
    assert "65536" in error["message"]
    assert (
        sum(each.stat().st_size for each in state.glob("journal.db*") if "ballast" not in each.name)
        < 2**20
    )


@pytest.mark.parametrize(
    "long",
    [
        {"batch_id": "x" * 100_000},
        {"miner": {"id": "x" * 100_000}},
        {"miner": {"id": "m", "model": "x" * 100_000}},
    ],
)
async def test_no_text_of_a_task_is_kept_at_any_length(
    long: dict[str, object], tmp_path: Path
) -> None:
    cloud = Cloud(claims({**TASK, **long}))
    async with agent_of(cloud, tmp_path):
        await until(lambda: cloud.asked >= 4, within_s=60.0)
    assert rows(tmp_path) == 0


async def test_the_token_does_not_follow_a_redirect(tmp_path: Path) -> None:
    heard: list[dict[str, str]] = []

    async def stranger(request: web.Request) -> web.StreamResponse:
        heard.append(dict(request.headers))
        return web.Response(body=b"{}")

    async with served(stranger) as elsewhere:
        target = elsewhere.replace("127.0.0.1", "localhost")
        for status in (301, 302, 303, 307, 308):
            folder = tmp_path / str(status)
            folder.mkdir()
            cloud = Cloud(says(b"", status, Location=f"{target}/link/v1/claims"))
            async with agent_of(cloud, folder) as running:
                await until(lambda cloud=cloud: cloud.asked >= 3, within_s=30.0)
                assert not running.done()
    assert heard == []


async def test_no_token_that_would_break_out_of_its_header_is_kept() -> None:
    reply = {"agent_id": "a", "workspace_id": "w", "farm_id": "f", "token": "x\r\nHost: other"}
    async with served(says(json.dumps(reply))) as url:
        with pytest.raises(CloudError, match="agreed"):
            await ask_to_enroll(
                url, EnrollRequest(code="c", hostname="h", version="v", platform="p")
            )


@pytest.mark.parametrize("received", [-1, 10**30, 2**40, "x", 1.5])
async def test_a_cloud_that_counts_wrongly_ends_the_upload_with_a_named_error(
    received: object, tmp_path: Path
) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * 10_000)
    file = LogFile(path=str(path), name="log", size_bytes=10_000, sha256="0" * 64)
    async with served(says(json.dumps({"received": received, "complete": False}))) as url:
        link = CloudLink(url, TOKEN, chunk_bytes=4096)
        with pytest.raises(CloudError):
            await link.upload("task", file)
        await link.close()


@pytest.mark.parametrize("name", [*HOSTILE, *DENIED])
async def test_every_call_of_the_link_ends_in_a_named_error(name: str, tmp_path: Path) -> None:
    behave = {**HOSTILE, **DENIED}[name]
    async with served(behave) as url:
        link = CloudLink(url, TOKEN, timeout_s=0.5)
        for call in (
            lambda: link.claim(ClaimRequest(journal_id="j", last_seq=0, wait_s=0.0)),
            link.settings,
        ):
            with contextlib.suppress(CloudError):
                async with asyncio.timeout(10):
                    reply = await call()
                assert isinstance(reply, ClaimReply | Settings)
        await link.close()
