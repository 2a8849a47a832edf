from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import pytest

from cloud.context import FILES, TIME
from cloud.link.files import Files, safe_name
from contract.task import TaskName
from tests.cloud.conftest import AgentClient, Cloud

LOG = bytes(range(256)) * 400


async def held(cloud: Cloud) -> tuple[AgentClient, str]:
    agent = await cloud.agent()
    (task_id,) = await cloud.queue(TaskName.LOG, agent.agent_id)
    await agent.claim()
    return agent, task_id


async def put(
    agent: AgentClient,
    task_id: str,
    body: bytes,
    *,
    span: str | None = None,
    name: str = "miner.log",
    sha256: str = hashlib.sha256(LOG).hexdigest(),
) -> tuple[int, Any]:
    headers = {"X-Sha256": sha256, "X-File-Name": name}
    if span is not None:
        headers["Content-Range"] = f"bytes {span}"
    return await agent.call("PUT", f"files/{task_id}", data=body, headers=headers)


async def fetch(cloud: Cloud, url: str) -> tuple[int, bytes, Any]:
    async with cloud.http.get(url) as response:
        return response.status, await response.read(), response.headers


async def test_a_file_sent_whole_is_fetched_whole_by_its_signed_link(cloud: Cloud):
    agent, task_id = await held(cloud)
    assert await put(agent, task_id, LOG) == (200, {"received": len(LOG), "complete": True})
    url = cloud.app[FILES].sign_url(task_id, "miner.log", cloud.app[TIME].now())
    assert url.startswith(cloud.base)
    status, body, headers = await fetch(cloud, url)
    assert (status, body) == (200, LOG)
    assert headers["Content-Disposition"] == 'attachment; filename="miner.log"'
    assert headers["X-Content-Type-Options"] == "nosniff"


async def test_a_broken_upload_goes_on_from_what_was_received(cloud: Cloud):
    agent, task_id = await held(cloud)
    size = len(LOG)
    assert await put(agent, task_id, b"", span=f"*/{size}") == (
        200,
        {"received": 0, "complete": False},
    )
    _, answer = await put(agent, task_id, LOG[:1000], span=f"0-999/{size}")
    assert answer == {"received": 1000, "complete": False}
    _, answer = await put(agent, task_id, b"", span=f"*/{size}")
    assert answer == {"received": 1000, "complete": False}
    # A gap is not taken, an overlap is.
    _, answer = await put(agent, task_id, LOG[5000:], span=f"5000-{size - 1}/{size}")
    assert answer == {"received": 1000, "complete": False}
    _, answer = await put(agent, task_id, LOG[500:], span=f"500-{size - 1}/{size}")
    assert answer == {"received": size, "complete": True}
    _, answer = await put(agent, task_id, LOG[500:], span=f"500-{size - 1}/{size}")
    assert answer == {"received": size, "complete": True}


async def test_a_file_that_is_not_what_was_announced_is_thrown_away(cloud: Cloud):
    agent, task_id = await held(cloud)
    status, answer = await put(agent, task_id, LOG[:-1] + b"!")
    assert status == 422
    assert answer["error"] == "Unprocessable Entity"
    assert (await put(agent, task_id, LOG))[1]["complete"] is True


async def test_another_content_under_the_same_name_starts_anew(cloud: Cloud):
    agent, task_id = await held(cloud)
    await put(agent, task_id, LOG[:1000], span=f"0-999/{len(LOG)}")
    other = b"another log"
    _, answer = await put(agent, task_id, other, sha256=hashlib.sha256(other).hexdigest())
    assert answer == {"received": len(other), "complete": True}


async def test_a_file_of_no_bytes_is_a_file(cloud: Cloud):
    agent, task_id = await held(cloud)
    empty = hashlib.sha256(b"").hexdigest()
    _, answer = await put(agent, task_id, b"", span="*/0", sha256=empty)
    assert answer == {"received": 0, "complete": True}


@pytest.mark.parametrize(
    ("span", "sha256", "status"),
    [
        ("0-9/5", None, 400),
        ("9-3/20", None, 400),
        ("words", None, 400),
        (None, "abc", 400),
        (f"0-9/{2**40}", None, 413),
    ],
)
async def test_an_upload_that_makes_no_sense_is_refused(
    cloud: Cloud, span: str | None, sha256: str | None, status: int
):
    agent, task_id = await held(cloud)
    got, answer = await put(
        agent, task_id, b"0123456789", span=span, sha256=sha256 or hashlib.sha256(LOG).hexdigest()
    )
    assert got == status
    assert answer["statusCode"] == status


async def test_a_file_comes_as_it_is(cloud: Cloud):
    agent, task_id = await held(cloud)
    headers = {"X-Sha256": hashlib.sha256(LOG).hexdigest(), "Content-Encoding": "gzip"}
    status, answer = await agent.call("PUT", f"files/{task_id}", data=LOG, headers=headers)
    assert (status, answer["error"]) == (415, "Unsupported Media Type")


async def test_more_bytes_than_announced_are_refused(cloud: Cloud):
    agent, task_id = await held(cloud)
    status, _ = await put(agent, task_id, LOG, span="0-9/10")
    assert status == 400


async def test_only_the_agent_that_was_given_the_task_may_upload(cloud: Cloud):
    _, task_id = await held(cloud)
    other = await cloud.agent()
    assert (await put(other, task_id, LOG))[0] == 404


async def test_a_link_that_is_forged_or_old_opens_nothing(cloud: Cloud):
    agent, task_id = await held(cloud)
    await put(agent, task_id, LOG)
    url = cloud.app[FILES].sign_url(task_id, "miner.log", cloud.app[TIME].now())
    for bad in (
        url[:-1] + ("0" if url[-1] != "0" else "1"),
        url.replace("expires=1", "expires=2"),
        url.replace("miner.log", "other.log"),
        url.split("&sig=")[0],
        f"{cloud.base}/files/{task_id}/miner.log?expires=%00&sig=%ff",
        f"{cloud.base}/files/{task_id}/miner.log?expires={'9' * 5000}&sig=x",
    ):
        status, body, _ = await fetch(cloud, bad)
        assert (status, b'"statusCode":403' in body) == (403, True)
    cloud.clock.move(14 * 86_400 + 1)
    assert (await fetch(cloud, url))[0] == 403


async def test_old_files_go_and_then_the_oldest_until_the_rest_fits(cloud: Cloud):
    agent, task_id = await held(cloud)
    files = cloud.app[FILES]
    await put(agent, task_id, LOG, name="old.log")
    cloud.clock.move(10 * 86_400)
    await put(agent, task_id, LOG, name="new.log")
    await cloud.sweeper.tidy()
    assert files.path(task_id, "old.log").exists()
    cloud.clock.move(5 * 86_400)
    await cloud.sweeper.tidy()
    assert not files.path(task_id, "old.log").exists()
    assert files.path(task_id, "new.log").exists()
    url = files.sign_url(task_id, "old.log", cloud.app[TIME].now())
    assert (await fetch(cloud, url))[0] == 404


def test_no_name_leaves_its_folder(tmp_path):
    files = Files(tmp_path, days=14)
    root = tmp_path / "files"
    for name in ("../../etc/passwd", "..", ".", "", "/etc/passwd", "a\x00b", "x" * 5000, "..\\x"):
        assert files.path("task", name).resolve().is_relative_to(root / "task")
        assert files.path(name, "log").resolve().is_relative_to(root)
        assert safe_name(name) not in ("", ".", "..")


def test_links_survive_a_restart_and_are_not_those_of_another_cloud(tmp_path):
    def parts(url: str) -> tuple[str, str]:
        expires, signature = url.split("expires=")[1].split("&sig=")
        return expires, signature

    one = Files(tmp_path / "one", days=14)
    expires, signature = parts(one.sign_url("t", "n", 0.0))
    assert Files(tmp_path / "one", days=14).check("t", "n", expires, signature, 0.0)
    assert not Files(tmp_path / "two", days=14).check("t", "n", expires, signature, 0.0)


async def test_three_uploads_of_one_task_take_turns_and_the_table_of_turns_stays_empty(tmp_path):
    files = Files(tmp_path, days=14)
    inside: list[int] = []
    most = 0

    async def upload(number: int) -> None:
        nonlocal most
        async with files.turn("task"):
            inside.append(number)
            most = max(most, len(inside))
            for _ in range(5):  # long enough for somebody to come in
                await asyncio.sleep(0)
            inside.remove(number)

    uploads = [asyncio.create_task(upload(n)) for n in range(2)]
    await asyncio.sleep(0)
    # One holds it, one waits; others come at every moment of the change of hands.
    for n in range(2, 40):
        uploads.append(asyncio.create_task(upload(n)))
        await asyncio.sleep(0)
    waiting = asyncio.create_task(upload(99))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(*uploads)
    assert most == 1
    assert files._turns == {}
