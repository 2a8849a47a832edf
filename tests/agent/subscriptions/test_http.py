"""The published API over HTTP: every status and every body."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvloop

from agent.config.file import ConfigError
from agent.config.subscriptions import SubscriptionsSection
from agent.subscriptions.api import SubscriptionApi
from agent.subscriptions.http import BODY_MAX, CONNECTIONS_MOST, IDLE_S, SubscriptionServer
from contract.subscription.entry import digest_of
from contract.subscription.ids import object_id_text
from contract.subscription.link import Stack
from tests.agent.certificates import own_certificate
from tests.agent.subscriptions.stage import REGISTER, TIMEOUT_S, Agent, agent
from tests.agent.subscriptions.strict_cloud import StrictCloud, linked
from tests.waiting import until

SUBSCRIBE = {"task_small_id": 1, "price_per_compute_unit": 10, "max_num_compute_units": 100}
FAILED = {
    "/task_subscribe": "Failed to submit node task subscription tx",
    "/task_update_subscription": "Failed to submit node task update subscription",
    "/task_unsubscribe": "Failed to submit node task unsubscription tx",
    "/register": "Failed to submit node registration tx",
}


class Answer:
    def __init__(self, status: int, body: bytes, headers: Any) -> None:
        self.status, self.body, self.headers = status, body, headers

    @property
    def document(self) -> Any:
        assert self.headers["Content-Type"].startswith("application/json")
        return json.loads(self.body)

    @property
    def error(self) -> str:
        assert next(iter(self.document)) == "error"
        return str(self.document["error"])


class Client:
    def __init__(
        self, here: Agent, api: SubscriptionApi, cloud: StrictCloud, url: str, session: Any
    ) -> None:
        self.agent, self.cloud, self.url, self.session = here, cloud, url, session
        self.api = api

    async def ask(self, method: str, path: str, **more: Any) -> Answer:
        async with self.session.request(method, self.url + path, **more) as response:
            return Answer(response.status, await response.read(), response.headers)

    async def post(self, path: str, document: Any) -> Answer:
        return await self.ask("POST", path, json=document)

    async def get(self, path: str) -> Answer:
        return await self.ask("GET", path)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def serving(
    folder: Path, *, registered: bool = True, secure: Any = None, **section: Any
) -> AsyncIterator[Client]:
    cloud = StrictCloud()
    async with linked(cloud) as link, agent(folder / "agent", link) as here:
        api = SubscriptionApi(here.ledger, here.store, here.catalogue, link, timeout_s=TIMEOUT_S)
        port = free_port()
        server = SubscriptionServer(
            api, SubscriptionsSection(listen=f"127.0.0.1:{port}", **section)
        )
        await server.start()
        scheme = "http" if secure is None else "https"
        try:
            if registered:
                await here.ledger.submit(REGISTER)
            async with aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=secure or True)
            ) as session:
                yield Client(here, api, cloud, f"{scheme}://127.0.0.1:{port}", session)
        finally:
            await server.stop()


async def test_the_calls_answer_with_a_digest_and_nothing_else(tmp_path: Path) -> None:
    async with serving(tmp_path, registered=False) as client:
        answers = [
            await client.post("/register", {}),
            await client.post("/task_subscribe", SUBSCRIBE),
            await client.post(
                "/task_update_subscription", SUBSCRIBE | {"price_per_compute_unit": 11}
            ),
            await client.post("/task_unsubscribe", {"task_small_id": 1}),
        ]
        assert [each.status for each in answers] == [200] * 4
        digests = [digest_of(each.data) for each in client.cloud.memory.chain]
        assert [each.document for each in answers] == [{"tx_digest": each} for each in digests]


async def test_calls_at_the_same_time_are_taken_one_after_the_other(tmp_path: Path) -> None:
    async with serving(tmp_path) as client:
        calls = [
            client.post("/task_subscribe", SUBSCRIBE | {"price_per_compute_unit": each})
            for each in range(1, 21)
        ]
        answers = await asyncio.gather(*calls)
        (taken,) = (each for each in answers if each.status == 200)
        assert {each.document["abort_code"] for each in answers if each is not taken} == {
            312_012_016
        }
        assert len(client.cloud.memory.chain) == 2
        (row,) = (await client.get("/subscriptions")).document
        assert row["price_per_compute_unit"] == answers.index(taken) + 1


async def test_who_does_not_wait_for_the_answer_undoes_nothing(tmp_path: Path) -> None:
    async with serving(tmp_path) as client:
        client.cloud.moods = ["late"]
        client.cloud.late_s = TIMEOUT_S / 2
        with pytest.raises(TimeoutError):
            await client.ask(
                "POST",
                "/task_subscribe",
                json=SUBSCRIBE,
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S / 4),
            )

        async def listed() -> bool:
            return bool((await client.get("/subscriptions")).document)

        await until(listed)
        assert await client.agent.store.pending("local") == []


async def test_all_fields_of_the_examples_are_taken(tmp_path: Path) -> None:
    async with serving(tmp_path) as client:
        ((node, badge),) = (await client.agent.ledger.nodes()).items()
        full = SUBSCRIBE | {
            "node_badge_id": object_id_text(badge),
            "node_small_id": node,
            "gas": "0x789",
            "gas_budget": 1000,
            "gas_price": 10,
        }
        assert (await client.post("/task_subscribe", full)).status == 200
        nulls = dict.fromkeys(full, None) | SUBSCRIBE
        assert (await client.post("/task_update_subscription", nulls)).status == 200


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"task_small_id": None}, "task_small_id: must be a whole number"),
        ({"task_small_id": 0}, "task_small_id: must be 1 or more"),
        ({"task_small_id": -1}, "task_small_id: must be 1 or more"),
        ({"task_small_id": 2**63}, "task_small_id: must be"),
        ({"task_small_id": True}, "task_small_id: must be a whole number"),
        ({"task_small_id": 1.0}, "task_small_id: must be a whole number"),
        ({"task_small_id": "1"}, "task_small_id: must be a whole number"),
        ({"price_per_compute_unit": 0}, "price_per_compute_unit: must be 1 or more"),
        ({"price_per_compute_unit": 2**63}, "price_per_compute_unit: must be"),
        ({"max_num_compute_units": 0}, "max_num_compute_units: must be 1 or more"),
        ({"max_num_compute_units": [100]}, "max_num_compute_units: must be a whole number"),
        ({"node_badge_id": "0xab2.."}, "node_badge_id: "),
        ({"node_badge_id": "789"}, "node_badge_id: "),
        ({"node_badge_id": "0x" + "1" * 65}, "node_badge_id: "),
        ({"node_badge_id": 7}, "node_badge_id: must be text"),
        ({"node_small_id": 0}, "node_small_id: must be 1 or more"),
        ({"gas": "coin"}, "gas: "),
        ({"gas_budget": 0}, "gas_budget: must be 1 or more"),
        ({"gas_budget": 1.5}, "gas_budget: must be a whole number"),
        ({"gas_price": 2**64}, "gas_price: must be"),
        ({"gas_fee": 1}, "gas_fee: unknown key; did you mean"),
        (
            {"max_compute_units": 1},
            "max_compute_units: unknown key; did you mean max_num_compute_units?",
        ),
    ],
)
async def test_a_field_that_is_wrong_is_named(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    async with serving(tmp_path) as client:
        for path in ("/task_subscribe", "/task_update_subscription"):
            answer = await client.post(path, SUBSCRIBE | change)
            assert answer.status == 422
            assert said in answer.error
        assert len(client.cloud.memory.chain) == 1
        assert await client.agent.store.pending("local") == []


@pytest.mark.parametrize("path", list(FAILED))
async def test_what_is_no_call_is_refused(tmp_path: Path, path: str) -> None:
    async with serving(tmp_path) as client:
        headers = {"Content-Type": "application/json"}

        async def status(body: bytes, **more: str) -> int:
            answer = await client.ask("POST", path, data=body, headers=headers | more)
            assert answer.error
            return answer.status

        assert await status(b"{") == 400
        assert await status(b"") == 400
        assert await status(b'{"task_small_id": NaN}') == 400
        assert await status(b"\xff{}") == 400
        assert await status(b"[" * 60_000) == 400
        assert await status(b"9" * 60_000) == 400
        assert await status(b"[]") == 422
        assert await status(b'{"gas_price": 1, "gas_price": 2}') == 422
        assert await status(b"{}", **{"Content-Type": "text/plain"}) == 415
        assert await status(b"{}", **{"Content-Type": "application/x-www-form-urlencoded"}) == 415
        assert await status(b"{}", **{"Content-Encoding": "gzip"}) == 415
        assert await status(b" " * (BODY_MAX + 1)) == 413
        assert len(client.cloud.memory.chain) == 1


async def test_a_body_in_pieces_without_end_is_cut(tmp_path: Path) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 1024
            await asyncio.sleep(0)

    async with serving(tmp_path) as client:
        headers = {"Content-Type": "application/json"}
        answer = await client.ask("POST", "/task_subscribe", data=endless(), headers=headers)
        assert answer.status == 413


async def test_missing_fields_are_named(tmp_path: Path) -> None:
    async with serving(tmp_path) as client:
        answer = await client.post("/task_subscribe", {})
        assert answer.status == 422
        for key in SUBSCRIBE:
            assert f"{key}: is missing" in answer.error
        answer = await client.post("/task_unsubscribe", {"price_per_compute_unit": 1})
        assert answer.status == 422
        assert "task_small_id: is missing" in answer.error
        assert "price_per_compute_unit: unknown key" in answer.error


async def test_nodes_that_are_not_ours_or_disagree_are_refused(tmp_path: Path) -> None:
    async with serving(tmp_path) as client:
        ((node, badge),) = (await client.agent.ledger.nodes()).items()
        ours = object_id_text(badge)
        for wrong in (
            {"node_badge_id": "0x789"},
            {"node_small_id": node + 1},
            {"node_badge_id": ours, "node_small_id": node + 1},
        ):
            answer = await client.post("/task_subscribe", SUBSCRIBE | wrong)
            assert answer.status == 422
            assert "another one is named" in answer.error
        assert len(client.cloud.memory.chain) == 1


async def test_what_was_not_submitted_has_the_published_text_first(tmp_path: Path) -> None:
    async with serving(tmp_path, registered=False) as client:
        for path, failed in FAILED.items():
            body = {"task_small_id": 1} if path == "/task_unsubscribe" else SUBSCRIBE
            if path != "/register":
                answer = await client.post(path, body)
                assert answer.status == 500
                assert answer.document == {"error": failed, "detail": "node is not registered"}
        client.cloud.is_away = True
        answer = await client.post("/register", {})
        assert answer.status == 500
        assert answer.error == FAILED["/register"]
        assert "503" in answer.document["detail"]
        client.cloud.is_away = False
        await client.post("/register", {})
        answer = await client.post("/task_subscribe", SUBSCRIBE | {"task_small_id": 99})
        assert answer.status == 500
        document = answer.document
        assert list(document) == ["error", "detail", "abort_code", "tx_digest"]
        assert document["error"] == FAILED["/task_subscribe"]
        assert document["abort_code"] == 312_012_017
        seen = await client.get(f"/transactions/{document['tx_digest']}")
        assert seen.document["status"] == "failure"
        assert seen.document["abort_code"] == 312_012_017


async def test_subscriptions_are_listed(tmp_path: Path) -> None:
    async with serving(tmp_path, registered=False) as client:
        answer = await client.get("/subscriptions")
        assert (answer.status, answer.document) == (404, {"error": "node is not registered"})
        await client.post("/register", {})
        assert (await client.get("/subscriptions")).document == []
        await client.post("/task_subscribe", SUBSCRIBE)
        row = {"node_small_id": 1, **SUBSCRIBE, "valid": True}
        assert (await client.get("/subscriptions")).document == [row]
        assert (await client.get("/subscriptions/1")).document == [row]
        await client.post("/task_unsubscribe", {"task_small_id": 1})
        assert (await client.get("/subscriptions")).document == [row | {"valid": False}]
        assert (await client.get("/subscriptions/2")).status == 404
        for wrong in ("0", "x", "1.0", "-1", "9" * 30, "%D9%A1"):
            assert (await client.get(f"/subscriptions/{wrong}")).status == 422


async def test_classes_of_work_are_listed_and_kept_for_when_the_cloud_is_away(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, registered=False) as client:
        client.cloud.is_away = True
        answer = await client.get("/tasks")
        assert answer.status == 503
        assert "503" in answer.error
        client.cloud.is_away = False
        first, second = (await client.get("/tasks")).document
        assert first == {
            "task_small_id": 1,
            "task_id": object_id_text(bytes([1]) * 32),
            "role": 0,
            "model_name": None,
            "is_deprecated": False,
            "valid_until_epoch": None,
            "deprecated_at_epoch": None,
            "security_level": 0,
            "minimum_reputation_score": 0,
            "operation": "miner.system.reboot",
            "deprecated_at": None,
        }
        client.cloud.is_away = True
        await asyncio.sleep(60)
        assert (await client.get("/tasks")).document == [first, second]


async def test_stacks_are_listed(tmp_path: Path) -> None:
    async with serving(tmp_path) as client:
        client.cloud.stacks = [
            Stack(
                stack_small_id=5,
                stack_id=bytes(31) + b"\x05",
                batch_id="batch",
                task_small_id=1,
                node_small_id=1,
                num_compute_units=20,
                price=10,
                max_num_compute_units=20,
                already_computed_units=3,
                ended_units=4,
                created_at="2026-11-21T00:00:00.000000Z",
            )
        ]
        expected = {
            "owner_address": None,
            "stack_small_id": 5,
            "stack_id": object_id_text(bytes(31) + b"\x05"),
            "task_small_id": 1,
            "selected_node_id": 1,
            "num_compute_units": 20,
            "price": 10,
            "already_computed_units": 3,
            "in_settle_period": False,
            "total_hash": None,
            "num_total_messages": 0,
            "batch_id": "batch",
            "max_num_compute_units": 20,
            "ended_units": 4,
            "created_at": "2026-11-21T00:00:00.000000Z",
        }
        assert (await client.get("/stacks")).document == [expected]
        assert (await client.get("/stacks/1")).document == [expected]
        client.cloud.is_away = True
        assert (await client.get("/stacks")).status == 503


async def test_what_became_of_a_transaction_is_told(tmp_path: Path) -> None:
    async with serving(tmp_path) as client:
        client.cloud.moods = ["lost"]
        answer = await client.post("/task_subscribe", SUBSCRIBE)
        assert answer.status == 500
        digest = answer.document["tx_digest"]
        client.cloud.is_away = True
        pending = await client.get(f"/transactions/{digest}")
        assert pending.document["status"] == "pending"
        client.cloud.is_away = False
        document = (await client.get(f"/transactions/{digest}")).document
        assert {key: document[key] for key in ("tx_digest", "ledger", "kind", "status")} == {
            "tx_digest": digest,
            "ledger": "local",
            "kind": "subscribe",
            "status": "success",
        }
        assert document["at"].endswith("Z")
        assert (await client.get("/transactions/" + "1" * 32)).status == 404
        assert (await client.get("/transactions/0x12")).status == 422


async def test_health_is_empty_and_other_paths_and_methods_are_refused_in_json(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as client:
        health = await client.get("/health")
        assert (health.status, health.body) == (200, b"")
        for path in (
            "/",
            "/task",
            "/tasks/1",
            "/subscriptions/",
            "/stacks/1/2",
            "/transactions",
            "/health/",
        ):
            answer = await client.get(path)
            assert answer.status == 404
            assert answer.error
        for method, path, allow in (
            ("GET", "/task_subscribe", "POST"),
            ("DELETE", "/task_unsubscribe", "POST"),
            ("PUT", "/register", "POST"),
            ("POST", "/subscriptions", "GET"),
            ("DELETE", "/tasks", "GET"),
            ("POST", "/health", "GET"),
        ):
            answer = await client.ask(method, path)
            assert (answer.status, answer.headers["Allow"]) == (405, allow)
            assert answer.error


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://127.0.0.1:3001"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "attacker.example"},
        {"Host": "127.0.0.1.attacker.example:3001"},
        {"Host": ""},
    ],
)
async def test_a_web_page_may_not_call_by_way_of_a_browser_here(
    tmp_path: Path, headers: dict[str, str]
) -> None:
    async with serving(tmp_path) as client:
        answer = await client.ask("POST", "/task_subscribe", json=SUBSCRIBE, headers=headers)
        assert answer.status == 403
        assert answer.error
        assert len(client.cloud.memory.chain) == 1
        allowed = {"Host": "localhost:3001", "Sec-Fetch-Site": "none"}
        assert (await client.ask("GET", "/health", headers=allowed)).status == 200


async def test_a_token_is_asked_for_where_one_is_set(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("geheim-ü\n")
    secret.chmod(0o600)
    async with serving(tmp_path, token_file=secret) as client:
        for shown in (None, "Bearer geheim", "Basic geheim-ü", "Bearer ", "geheim-ü"):
            headers = {} if shown is None else {"Authorization": shown}
            answer = await client.ask("GET", "/health", headers=headers)
            assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
            assert answer.error
        headers = {"Authorization": "bearer geheim-ü", "Host": "site.example"}
        assert (await client.ask("GET", "/health", headers=headers)).status == 200


async def test_with_a_certificate_it_speaks_tls(tmp_path: Path) -> None:
    ca, cert = own_certificate(tmp_path)
    trust = ssl.create_default_context(cafile=str(ca))
    async with serving(tmp_path, secure=trust, tls_cert=cert, tls_key=cert) as client:
        assert (await client.get("/health")).status == 200


async def test_as_many_connections_as_may_are_taken_and_idle_ones_go(tmp_path: Path) -> None:
    async with serving(tmp_path) as client:
        port = int(client.url.rpartition(":")[2])
        lines = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CONNECTIONS_MOST)]
        for _, writer in lines:
            writer.write(b"POST /task_subscribe HTTP/1.1\r\n")  # and no more
        await asyncio.sleep(0.1)
        begun_s = asyncio.get_running_loop().time()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
        assert asyncio.get_running_loop().time() - begun_s < IDLE_S / 2
        writer.close()
        await asyncio.sleep(IDLE_S + 1)
        assert (await client.get("/health")).status == 200
        for _, writer in lines:
            writer.close()


def test_one_connection_too_many_is_cut_on_the_loop_of_the_daemon_too(tmp_path: Path) -> None:
    """Whose transports are of other classes than those of asyncio."""

    async def play() -> None:
        async with serving(tmp_path) as client, asyncio.timeout(IDLE_S / 2):
            port = int(client.url.rpartition(":")[2])
            lines = [
                await asyncio.open_connection("127.0.0.1", port) for _ in range(CONNECTIONS_MOST)
            ]
            for _, writer in lines:
                writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            for reader, _ in lines:
                assert b" 200 " in await reader.readline()
            reader, one_more = await asyncio.open_connection("127.0.0.1", port)
            with suppress(ConnectionResetError):
                assert await reader.read() == b""
            for writer in (one_more, *(writer for _, writer in lines)):
                writer.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(play())


async def test_who_leaves_within_a_body_or_breaks_it_is_no_error_of_ours(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    head = b"POST /register HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    async with serving(tmp_path) as client:
        port = int(client.url.rpartition(":")[2])
        _, leaver = await asyncio.open_connection("127.0.0.1", port)
        leaver.write(head + b"Content-Length: 9\r\n\r\n{")
        await leaver.drain()
        assert (await client.get("/health")).status == 200
        leaver.close()
        reader, breaker = await asyncio.open_connection("127.0.0.1", port)
        breaker.write(head + b"Transfer-Encoding: chunked\r\n\r\nno number\r\n{}\r\n")
        answer = await reader.read()
        assert b" 400 " in answer.split(b"\r\n", 1)[0]
        assert list(json.loads(answer.partition(b"\r\n\r\n")[2])) == ["error"]
        breaker.close()
    assert caplog.records == []


async def test_a_client_that_waits_to_be_told_to_go_on_is_told(tmp_path: Path) -> None:
    async with serving(tmp_path) as client:
        port = int(client.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = b"POST /register HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
        writer.write(head + b"Expect: 100-continue\r\nConnection: close\r\n\r\n")
        async with asyncio.timeout(5):
            assert b" 100 " in await reader.readline()
        writer.write(b"{}")
        assert b" 200 " in await reader.read()
        writer.close()


async def test_what_is_not_http_is_refused_in_json(tmp_path: Path) -> None:
    async with serving(tmp_path) as client:
        port = int(client.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\x16\x03\x01 rubbish\r\n\r\n")
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        assert head.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400"))
        assert "error" in json.loads(body)
        writer.close()


async def test_a_body_that_does_not_come_is_not_waited_for(tmp_path: Path) -> None:
    async with serving(tmp_path) as client:
        port = int(client.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            b"POST /register HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
        )
        answer = await reader.read()
        assert b" 408 " in answer.split(b"\r\n", 1)[0]
        writer.close()


async def test_a_port_that_is_taken_names_its_key(tmp_path: Path) -> None:
    async with serving(tmp_path) as client:
        section = SubscriptionsSection(listen=client.url.removeprefix("http://"))
        second = SubscriptionServer(client.api, section)
        with pytest.raises(ConfigError, match=r"listen in \[subscriptions\]"):
            await second.start()
