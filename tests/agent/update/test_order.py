"""An order for an update of the agent itself, through its restart to every end there is."""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
import sysconfig
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.config.file import PIN_NAME
from agent.journal.settlement import NO_CHANGE
from agent.journal.states import State
from contract.link import Event
from release.handover import (
    LOG_LINE_CHARACTERS,
    LOG_LINES_MOST,
    OUTCOMES,
    OUTCOMES_KEPT,
    PROGRESS,
    REQUEST,
    UpdateRequest,
)
from tests.agent.certificates import own_certificate
from tests.agent.fake_cloud import NO_CLOUD, code
from tests.agent.link.test_client import served
from tests.agent.update.host import NEW, OLD
from tests.agent.update.order import Bench, bench_in
from tests.release.repository import bundle_of, sha256
from tests.tools import require
from tests.waiting import until


@pytest.fixture
async def bench(tmp_path: Path, ca_file: Path) -> AsyncIterator[Bench]:
    async with bench_in(tmp_path, ca_file=ca_file) as bench:
        yield bench


def result(event: Event) -> dict[str, Any]:
    assert event.result is not None
    return event.result


def message(event: Event) -> str:
    return str(result(event)["error"]["message"])


def told(bench: Bench, version: str) -> dict[str, str]:
    return {"version": version, "release_sha256": bench.host.identity(version).sha256}


async def taken(bench: Bench, **params: Any) -> tuple[str, UpdateRequest]:
    """An order that root's installer has taken."""
    await bench.start()
    task = bench.order(**params)
    return task, await asyncio.wait_for(bench.installer.take(), 60.0)


async def test_the_next_process_ends_it_by_what_root_and_itself_say(bench: Bench) -> None:
    task, request = await taken(bench)
    assert (request.task, request.version) == (task, NEW)
    staged = bench.state / "update/staged" / NEW / "bundle.tar"
    assert request.sha256 == sha256(staged.read_bytes())
    await until(lambda: "Root's installer: taken" in bench.said(task))
    bench.installer.install(request)
    await bench.restart()
    await asyncio.sleep(10.0)
    assert bench.cloud.end(task) is None  # it runs, and is not proven yet
    bench.installer.done(request)
    event = await bench.ended(task)
    assert event.state == "succeed"
    evidence = result(event)["evidence"]
    assert (evidence["before"], evidence["after"]) == (told(bench, OLD), told(bench, NEW))
    assert evidence["signal"] == "self_told"
    assert result(event)["verified"]
    assert result(event)["update"] == {"version": NEW, "bundle_sha256": request.sha256}
    assert "Root's installer: flipped" in bench.said(task)
    assert not staged.parent.exists()  # of no use any more
    assert len(bench.host.taken) == 1


async def test_the_request_is_the_agents_own_file(bench: Bench) -> None:
    await bench.start()
    bench.order()
    path = bench.state / REQUEST
    await until(path.exists)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


async def test_the_intent_and_the_grant_come_before_the_request(bench: Bench) -> None:
    bench.cloud.report_error = lambda _: NO_CLOUD
    agent = await bench.start()
    task = bench.order()

    async def begun() -> bool:
        record = await agent.journal.find(task)
        return record is not None and record.state is State.INTENT

    await until(begun)
    await asyncio.sleep(30.0)
    assert not (bench.state / REQUEST).exists()
    bench.cloud.report_error = lambda _: None
    await until((bench.state / REQUEST).exists)
    record = await agent.journal.find(task)
    assert record is not None and record.plan is not None
    assert record.plan.before == told(bench, OLD)


async def test_what_the_cloud_does_not_grant_is_not_asked_for(bench: Bench) -> None:
    bench.cloud.ack_state = lambda event: "stale" if event.state == "pending" else "ok"
    await bench.start()
    event = await bench.ended(bench.order())
    assert result(event)["outcome"] == "unknown"
    assert code(event) == "lost_agent"
    assert not (bench.state / REQUEST).exists()


@pytest.mark.parametrize(
    ("verdict", "expected"), [("refused", "refused"), ("not_done", "not_verified")]
)
async def test_what_root_did_not_do_is_told_with_its_reason_and_log(
    bench: Bench, verdict: str, expected: str
) -> None:
    task, request = await taken(bench)
    lines = [f"line {number} \x1b[31m" for number in range(60)]
    lines.append("at https://user:hunter2@pool.example.com")
    bench.installer.end(
        request, verdict, reason="link", message="It had no link within 300 s.", log=lines
    )
    event = await bench.ended(task)
    assert (event.state, result(event)["outcome"]) == ("failed", "not_done")
    assert code(event) == expected
    assert message(event) == "link: It had no link within 300 s."
    log = result(event)["update"]["log"]
    assert log[0] == "line 11 ?[31m"
    assert log[-1] == "at https://user:***@pool.example.com"
    assert len(log) == 50
    assert log[-1] in bench.said(task)
    assert result(event)["evidence"]["after"] == told(bench, OLD)
    assert list((bench.state / "update/staged").iterdir()) == []


async def test_the_old_release_that_came_back_tells_the_end(bench: Bench) -> None:
    task, request = await taken(bench)
    bench.installer.install(request)
    await bench.restart()
    bench.installer.progress(request, "going_back")
    bench.host.flip("current", OLD)
    await bench.restart()
    bench.installer.end(request, "not_done", reason="crash_loop", message="It ended 4 times.")
    event = await bench.ended(task)
    assert (code(event), result(event)["outcome"]) == ("not_verified", "not_done")
    assert result(event)["evidence"]["after"] == told(bench, OLD)


@pytest.mark.parametrize("how", ["another release runs", "another bundle", "no release after it"])
async def test_done_by_root_alone_is_not_done(bench: Bench, how: str) -> None:
    task, request = await taken(bench)
    if how != "another release runs":
        bench.installer.install(request)
        await bench.restart()
    other = {"another bundle": {"bundle_sha256": "0" * 64}, "no release after it": {"after": None}}
    bench.installer.end(request, "done", **({"after": NEW} | other.get(how, {})))
    event = await bench.ended(task)
    assert (code(event), result(event)["outcome"]) == ("not_verified", "unknown")
    assert "root's installer says done, but" in message(event)


async def test_not_done_by_root_is_not_believed_of_the_release_that_runs(bench: Bench) -> None:
    task, request = await taken(bench)
    bench.installer.install(request)
    await bench.restart()
    bench.installer.end(request, "not_done", reason="link")
    event = await bench.ended(task)
    assert result(event)["outcome"] == "unknown"
    assert f"says not_done, but {NEW} runs here" in message(event)


@pytest.mark.parametrize("is_proven", [True, False])
async def test_without_a_word_of_root_the_process_itself_tells(
    bench: Bench, is_proven: bool
) -> None:
    task, request = await taken(bench)
    bench.installer.install(request)
    assert bench.agent is not None
    await bench.agent.stop()  # it would say that nobody knows of its order
    (bench.host.updates / PROGRESS).unlink()
    if is_proven:
        bench.host.flip("proven", NEW)
    await bench.start()
    event = await bench.ended(task)
    assert result(event)["outcome"] == ("done" if is_proven else "unknown")


async def test_a_request_that_nobody_takes_is_taken_back_at_the_limit(bench: Bench) -> None:
    await bench.start()
    task = bench.order()
    event = await bench.ended(task)
    assert result(event)["outcome"] == "unknown"
    assert "did not take the request; 0.2.0 runs here" in message(event)
    assert not (bench.state / REQUEST).exists()
    said = bench.said(task)
    assert any("systemctl status miner-agent-update.path" in each for each in said)
    assert "Nobody had taken the request, and it was taken back." in said


async def test_an_installer_that_is_still_at_it_leaves_the_end_unknown(bench: Bench) -> None:
    task, request = await taken(bench)
    bench.installer.progress(request, "self_tested")
    event = await bench.ended(task)
    assert result(event)["outcome"] == "unknown"
    assert "still at self_tested of 0.3.0" in message(event)


# --- crashes ---


async def test_an_agent_that_died_before_it_asked_never_asks(bench: Bench) -> None:
    bench.cloud.report_error = lambda _: NO_CLOUD
    agent = await bench.start()
    task = bench.order()

    async def begun() -> bool:
        record = await agent.journal.find(task)
        return record is not None and record.state is State.INTENT

    await until(begun)
    await bench.crash()
    bench.cloud.report_error = lambda _: None
    event = await bench.ended(task)
    assert result(event)["outcome"] == "not_done"
    assert "ends before it asks" in message(event)
    assert not (bench.state / REQUEST).exists()


async def test_an_agent_that_died_while_it_fetched_begins_again(bench: Bench) -> None:
    gate = asyncio.Event()

    async def slow(_: Any) -> Any:
        await gate.wait()

    path = next(each for each in bench.site.repository.files if "bundles/" in each)
    bench.site.answers[path] = slow
    await bench.start()
    task = bench.order()
    await until(lambda: path in bench.site.asked)
    await bench.crash()
    del bench.site.answers[path]
    request = await asyncio.wait_for(bench.installer.take(), 60.0)
    gate.set()
    assert request.task == task


async def test_an_agent_that_died_after_it_asked_goes_on_watching(bench: Bench) -> None:
    await bench.start()
    task = bench.order()
    await until((bench.state / REQUEST).exists)
    before = (bench.state / REQUEST).read_bytes()
    await bench.crash()
    await asyncio.sleep(10.0)
    assert (bench.state / REQUEST).read_bytes() == before
    request = await asyncio.wait_for(bench.installer.take(), 60.0)
    await bench.crash()
    bench.installer.install(request)
    await bench.crash()
    bench.installer.done(request)
    await bench.crash()
    assert (await bench.ended(task)).state == "succeed"
    assert len(bench.host.taken) == 1


async def test_an_outcome_that_was_there_before_the_process_is_told_once(bench: Bench) -> None:
    task, request = await taken(bench)
    assert bench.agent is not None
    await bench.agent.die()
    bench.installer.install(request)
    bench.installer.done(request)
    await bench.start()
    assert (await bench.ended(task)).state == "succeed"
    await bench.restart()
    await asyncio.sleep(20.0)
    assert [each.state for each in bench.cloud.of(task)].count("succeed") == 1


async def test_a_journal_put_back_from_a_copy_asks_for_nothing(bench: Bench) -> None:
    """The copy is of before the intent: the cloud grants no second beginning."""
    agent = await bench.start()
    bench.cloud.away = NO_CLOUD
    await agent.stop()
    bench.cloud.away = None
    kept = {each.name: each.read_bytes() for each in bench.state.glob("journal.db*")}
    task, request = await taken(bench)
    bench.installer.end(request, "refused", reason="disk", message="No room.")
    await bench.ended(task)
    assert bench.agent is not None
    await bench.agent.die()
    for each in bench.state.glob("journal.db*"):
        each.unlink()
    for name, data in kept.items():
        (bench.state / name).write_bytes(data)
    await bench.start()
    await asyncio.sleep(30.0)
    assert not (bench.state / REQUEST).exists()
    assert len(bench.host.taken) == 1


async def put_back(bench: Bench, kept: dict[str, bytes]) -> None:
    """The journal as it was; then the agent starts."""
    assert bench.agent is not None
    await bench.agent.die()
    for each in bench.state.glob("journal.db*"):
        each.unlink()
    for name, data in kept.items():
        (bench.state / name).write_bytes(data)
    await bench.start()


@pytest.mark.parametrize("verdict", ["done", "not_done", "refused"])
async def test_what_root_has_ended_is_said_in_a_journal_put_back_from_before(
    bench: Bench, verdict: str
) -> None:
    """The order is accepted again. What root did is neither repeated nor named in another way."""
    gate, wanted = asyncio.Event(), f"miner-agent-{NEW}-"

    async def slow(request: web.Request) -> web.StreamResponse:
        await gate.wait()
        return await bench.site.give(request)

    path = next(each for each in bench.site.repository.files if wanted in each)
    bench.site.answers[path] = slow
    await bench.start()
    task = bench.order()
    await until(lambda: path in bench.site.asked)
    kept = {each.name: each.read_bytes() for each in bench.state.glob("journal.db*")}
    del bench.site.answers[path]
    gate.set()
    request = await asyncio.wait_for(bench.installer.take(), 60.0)
    if verdict == "done":
        bench.installer.install(request)
        bench.installer.done(request)
        await bench.restart()
    else:
        bench.installer.end(request, verdict, reason="no_link", message="It had none.")
    first = await bench.ended(task)
    asked = len(bench.site.asked)
    await put_back(bench, kept)
    assert bench.agent is not None
    agent = bench.agent

    async def told_again() -> bool:
        record = await agent.journal.find(task)
        return record is not None and record.result is not None

    await until(told_again)
    record = await agent.journal.find(task)
    assert record is not None and record.result is not None
    before = result(first)
    assert (
        record.result["outcome"]
        == before["outcome"]
        == ("done" if verdict == "done" else "not_done")
    )
    assert record.result.get("error") == before.get("error")
    assert record.result["evidence"]["before"] == told(bench, OLD)
    assert record.result["update"]["bundle_sha256"] == request.sha256
    assert not (bench.state / REQUEST).exists()
    assert len(bench.site.asked) == asked


async def test_what_root_did_take_is_not_said_to_be_taken_back(bench: Bench) -> None:
    """Cut off when it had written down that it took it, and before it took it away."""
    await bench.start()
    task = bench.order()
    await until((bench.state / REQUEST).exists)
    request = msgspec.json.decode((bench.state / REQUEST).read_bytes(), type=UpdateRequest)
    bench.installer.progress(request, "taken")
    event = await bench.ended(task)
    assert result(event)["outcome"] == "unknown"
    assert "still at taken" in message(event)
    assert "Nobody had taken the request, and it was taken back." not in bench.said(task)


async def test_a_request_that_somebody_spoiled_ends_the_order_all_the_same(bench: Bench) -> None:
    await bench.start()
    task = bench.order()
    await until((bench.state / REQUEST).exists)
    (bench.state / REQUEST).write_text("[")
    event = await bench.ended(task)
    assert (code(event), result(event)["outcome"]) == ("not_verified", "unknown")


async def test_all_that_root_may_say_is_read(bench: Bench) -> None:
    task, request = await taken(bench)
    lines = ["\x01" * LOG_LINE_CHARACTERS] * LOG_LINES_MOST
    bench.installer.end(request, "not_done", reason="no_link", message="None.", log=lines)
    written = msgspec.json.decode((bench.host.updates / OUTCOMES).read_bytes())
    others = [written[0] | {"task": f"other-{each}"} for each in range(OUTCOMES_KEPT - 1)]
    (bench.host.updates / OUTCOMES).write_bytes(msgspec.json.encode([*written, *others]))
    event = await bench.ended(task)
    assert message(event) == "no_link: None."


# --- what is refused before anything is asked for ---


async def refused(bench: Bench, **params: Any) -> Event:
    event = await bench.ended(bench.order(**params))
    assert (event.state, result(event)["outcome"]) == ("failed", "not_done")
    assert not (bench.state / REQUEST).exists()
    return event


async def test_what_is_older_is_refused(bench: Bench) -> None:
    bench.site.repository.release(bundle_of(bench.folder / "older", "0.2.9"), "0.2.9", "canary")
    bench.host.release(NEW)
    await bench.start(NEW)
    event = await refused(bench, target_version="0.2.9")
    assert code(event) == "refused"
    assert message(event).startswith("not_newer: ")


@pytest.mark.parametrize("params", [{}, {"target_version": "v0.3.0"}])
async def test_what_runs_already_is_done_and_nobody_is_asked(
    bench: Bench, params: dict[str, str]
) -> None:
    bench.host.release(NEW)
    await bench.start(NEW)
    event = await bench.ended(bench.order(**params))
    _check_unchanged(bench, event)
    assert not (bench.state / REQUEST).exists()


@pytest.mark.parametrize(
    "version",
    ["0.9.0", "v", "vv0.3.0", "V0.3.0", "0.3.0 ", "\uff10.3.0", "../bundles/0.3.0", "0.3.0\\"],
)
async def test_a_version_that_is_not_offered_is_refused(bench: Bench, version: str) -> None:
    await bench.start()
    assert message(await refused(bench, target_version=version)).startswith("not_offered: ")
    assert not list(bench.state.glob("update/staged/*"))


async def test_an_md5_that_is_another_one_is_refused(bench: Bench) -> None:
    await bench.start()
    assert message(await refused(bench, md5="0" * 32)).startswith("mixed: ")


async def test_a_bundle_of_a_pinned_key_comes_from_any_url(bench: Bench, signed: Any) -> None:
    key, url, signature = signed(bench)
    await bench.start()
    event = await refused(bench, binary_url=url, signature=signature)
    assert code(event) == "policy_refused"
    assert "keys in [update]" in message(event)
    assert bench.agent is not None
    await bench.agent.die()
    bench.sections["update"] = {"keys": [key]}
    await bench.start()
    bench.order(binary_url=url, signature=signature)
    request = await asyncio.wait_for(bench.installer.take(), 60.0)
    assert request.version == NEW


@pytest.fixture
def signed(bench: Bench) -> Any:
    def serve(bench: Bench) -> tuple[str, str, str]:
        data = bundle_of(bench.folder / "signed")
        key = Ed25519PrivateKey.generate()

        async def give(_: web.Request) -> web.Response:
            return web.Response(body=data)

        bench.site.answers["elsewhere/agent.tar"] = give
        url = f"{bench.site.url}/releases/elsewhere/agent.tar"
        return key.public_key().public_bytes_raw().hex(), url, key.sign(data).hex()

    return serve


async def test_a_repository_that_this_site_does_not_fetch_from_is_refused(bench: Bench) -> None:
    bench.sections["firmware"] = {"allowed": ["10.0.0.0/8"]}
    await bench.start()
    assert code(await refused(bench)) == "policy_refused"


async def test_the_clouds_own_repository_is_known_by_the_authority_that_enrolling_left(
    bench: Bench,
) -> None:
    ca_file, identity = own_certificate(bench.folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity)
    async with served(bench.site.give, context) as url:
        bench.sections = {
            "cloud": {"url": url, "ca_file": None},
            "update": {"url": None},
            "firmware": {"allowed": []},  # of its own cloud none is needed
        }
        await bench.start()
        event = await refused(bench)
        assert code(event) == "unreachable"
        assert "certificate is not trusted" in message(event)
        assert bench.agent is not None
        await bench.agent.die()
        shutil.copy(ca_file, bench.state / PIN_NAME)
        await bench.start()
        bench.order()
        request = await asyncio.wait_for(bench.installer.take(), 60.0)
        assert request.version == NEW


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"read_only": True}, "read-only"),
        ({"forbidden_tasks": ["agent.self.update"]}, "does not allow agent.self.update"),
    ],
)
async def test_policy_of_the_site_holds(bench: Bench, rules: dict[str, Any], words: str) -> None:
    bench.rules = rules
    await bench.start()
    event = await refused(bench)
    assert code(event) == "policy_refused"
    assert words in message(event)
    assert bench.site.asked == []


async def test_one_that_was_cancelled_while_it_fetched_asks_for_nothing(bench: Bench) -> None:
    gate = asyncio.Event()

    async def slow(_: Any) -> Any:
        await gate.wait()

    path = next(each for each in bench.site.repository.files if "bundles/" in each)
    bench.site.answers[path] = slow
    await bench.start()
    task = bench.order()
    await until(lambda: path in bench.site.asked)
    bench.cloud.cancel.add(task)
    bench.cloud.poke()
    event = await bench.ended(task)
    gate.set()
    assert event.state == "cancelled"
    assert not (bench.state / REQUEST).exists()


async def test_one_that_was_cancelled_after_it_asked_ends_as_what_happens(bench: Bench) -> None:
    task, request = await taken(bench)
    bench.cloud.cancel.add(task)
    bench.cloud.poke()
    bench.installer.install(request)
    await bench.restart()
    bench.installer.done(request)
    assert (await bench.ended(task)).state == "succeed"


async def test_the_second_of_two_waits_for_the_first(bench: Bench) -> None:
    task, request = await taken(bench)
    second = bench.order()
    bench.installer.install(request)
    await bench.restart()
    await asyncio.sleep(10.0)
    assert bench.cloud.end(second) is None
    bench.installer.done(request)
    assert (await bench.ended(task)).state == "succeed"
    _check_unchanged(bench, await bench.ended(second))
    assert len(bench.host.taken) == 1


def _check_unchanged(bench: Bench, event: Event) -> None:
    told = {"version": NEW, "release_sha256": bench.host.identity(NEW).sha256}
    assert event.state == "succeed"
    evidence = result(event)["evidence"]
    assert (evidence["before"], evidence["after"]) == (told, told)
    assert result(event)["reason"] == NO_CHANGE


async def test_one_that_root_still_has_to_do_with_keeps_the_next_from_beginning(
    bench: Bench,
) -> None:
    task, request = await taken(bench)
    bench.installer.progress(request, "flipped")
    assert result(await bench.ended(task))["outcome"] == "unknown"
    event = await bench.ended(bench.order())
    assert code(event) == "busy"
    assert f"flipped of {NEW}, order {task}" in message(event)


# --- where nobody could install it ---


UNMANAGED = {
    "switched off": ({}, "sudo apt install ./miner-agent_VERSION+deb12_arm64.deb"),
    "another folder": ({"state": Path("/var/lib/miner-agent")}, "watches /var/lib/miner-agent"),
    "no unit": ({"units": ()}, "has no miner-agent-update.path"),
    "no debian": ({"os_release": Path("/nowhere")}, "sudo miner-agent install"),
    "checkout": ({"prefix": Path("/nowhere")}, "git pull, and start the agent again"),
    "container": (
        {"prefix": Path("/usr"), "environment": {"container": "podman"}},
        "docker compose pull && docker compose up -d",
    ),
    "no root": ({"root": lambda: None}, "without a root of trust"),
}


@pytest.mark.parametrize("where", UNMANAGED)
async def test_an_agent_that_is_not_managed_names_the_command(bench: Bench, where: str) -> None:
    facts, words = UNMANAGED[where]
    bench.sections["update"] = {"enabled": where != "switched off"}
    await bench.start(**facts)
    event = await refused(bench)
    assert code(event) == "unsupported"
    assert words in message(event)
    assert bench.site.asked == []


async def test_an_environment_of_ones_own_names_its_pip(bench: Bench, tmp_path: Path) -> None:
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(tmp_path / "an env")}))
    told = packages / "miner_agent-0.2.0.dist-info"
    told.mkdir(parents=True)
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: miner-agent\nVersion: 0.2.0\n")
    await bench.start(prefix=tmp_path / "an env")
    python, program = (f"'{tmp_path}/an env/bin/{each}'" for each in ("python3", "miner-agent"))
    wanted = f"{python} -m pip install --upgrade FOLDER && sudo {program} install, and"
    assert wanted in message(await refused(bench))


@pytest.mark.parametrize("leads", ["0.9.9", None])
async def test_a_host_whose_proven_release_is_missing_says_so(
    bench: Bench, leads: str | None
) -> None:
    if leads is None:
        (bench.host.home / "proven").unlink()
    else:
        bench.host.flip("proven", leads)
    await bench.start()
    event = await refused(bench)
    assert code(event) == "unsupported"
    assert "proven, from which root installs what was ordered, leads to no release" in message(
        event
    )
    assert "sudo apt install" in message(event)


async def test_a_unit_that_is_masked_is_none(bench: Bench, tmp_path: Path) -> None:
    masked = tmp_path / "etc"
    masked.mkdir()
    (masked / "miner-agent-update.path").symlink_to("/dev/null")
    await bench.start(units=(masked, bench.host.units))
    assert code(await refused(bench)) == "unsupported"


# --- files of root's installer that are none ---


@pytest.mark.parametrize(
    "what", ["link", "huge", "other owner", "writable", "shape", "deep", "fifo"]
)
async def test_odd_outcomes_are_not_used_and_that_is_said(bench: Bench, what: str) -> None:
    task, request = await taken(bench)
    bench.installer.install(request)
    await bench.restart()
    bench.installer.done(request)
    bench.host.flip("proven", OLD)  # nobody proved it: the outcome alone says so
    path = bench.host.updates / OUTCOMES
    data = path.read_bytes()
    path.unlink()
    match what:
        case "link":
            (bench.folder / "elsewhere").write_bytes(data)
            path.symlink_to(bench.folder / "elsewhere")
        case "fifo":
            os.mkfifo(path)
        case "huge":
            path.write_bytes(data + b" " * 2**22)  # which would be JSON all the same
        case "shape":
            path.write_bytes(b'[{"task": 5}]')
        case "deep":
            path.write_bytes(b"[" * 2**19)
        case _:
            path.write_bytes(data)
    if what == "other owner":
        require(root=True)
        os.chown(path, 65534, 65534)
    if what == "writable":
        path.chmod(0o666)
    event = await bench.ended(task)
    assert result(event)["outcome"] == "unknown"
    assert "cannot be believed" in message(event)
    assert any(f"{path} is not used: " in each for each in bench.said(task))


async def test_a_folder_of_another_user_is_not_roots(bench: Bench) -> None:
    bench.host.updates.chmod(0o777)
    await bench.start()
    event = await refused(bench)
    assert code(event) == "busy"
    assert "others than root's installer may write it" in message(event)


async def test_the_outcome_of_another_order_says_nothing_of_this_one(bench: Bench) -> None:
    task, request = await taken(bench)
    bench.installer.install(request)
    await bench.restart()
    bench.installer.done(msgspec.structs.replace(request, task="another"))
    bench.host.flip("proven", OLD)
    event = await bench.ended(task)
    assert result(event)["outcome"] == "unknown"
    assert "knows nothing of it" in message(event)
