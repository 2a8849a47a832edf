"""Whatever is sent: the documented error body, never a 500, and nothing stored."""

from __future__ import annotations

import asyncio
import io
import json
import zlib
from contextlib import suppress
from typing import Any, Final
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from yarl import URL

from contract.nonce.filters import DateFilter
from contract.nonce.times import parse_time
from contract.task import TaskName
from tests.cases import case
from tests.waiting import until

HUGE = 10**400
DEEP = "[" * 200_000
POOL = {"url": "stratum+tcp://p:1", "user": "u"}


NO_BATCHES: Final = [
    {},
    {"task_name": "miner.teleport", "miner_ids": ["a"]},
    {"task_name": 7, "miner_ids": ["a"]},
    {"task_name": "miner.log.get"},
    {"task_name": "miner.log.get", "miner_ids": []},
    {"task_name": "miner.log.get", "miner_ids": "a"},
    {"task_name": "miner.log.get", "miner_ids": [1]},
    {"task_name": "miner.log.get", "miner_ids": [None]},
    {"task_name": "miner.log.get", "miner_ids": ["a"] * 101},
    {"task_name": "miner.log.get", "miner_ids": ["a\x00b"]},
    {"task_name": "miner.log.get", "miner_ids": ["a" * 201]},
    {"task_name": "miner.log.get", "miner_ids": ["a"], "params": []},
    {"task_name": "miner.light.update", "miner_ids": ["a"]},
    {"task_name": "miner.light.update", "miner_ids": ["a"], "params": {"action": "blink"}},
    {"task_name": "miner.light.update", "miner_ids": ["a"], "params": {"action": "on", "junk": "x" * 65_536}},
    {"task_name": "miner.power_mode.update", "miner_ids": ["a"], "params": {"mode": "turbo"}},
    {"task_name": "miner.power_mode.update", "miner_ids": ["a"], "params": {"mode": HUGE}},
    {"task_name": "miner.system.reboot", "miner_ids": ["a"], "params": {"force": "yes"}},
    {"task_name": "miner.pool.update", "miner_ids": ["a"], "params": {"pools": []}},
    {"task_name": "miner.pool.update", "miner_ids": ["a"], "params": {"pools": [{"url": "x"}]}},
    {"task_name": "miner.pool.update", "miner_ids": ["a"], "params": {"pools": [POOL] * 4}},
    {"task_name": "miner.firmware.update", "miner_ids": ["a"], "params": {"firmware_url": "file:///x"}},
    {"task_name": "miner.asset.update", "miner_ids": ["a"], "params": {"status": "lost"}},
    {"task_name": "miner.tags.update", "miner_ids": ["a"], "params": {"add": [" "]}},
    {"task_name": "miner.pool.lock", "miner_ids": ["a"], "params": {"action": "lock"}},
    {"task_name": "agent.scan.create", "params": {"ip_range": "10.0.0.0/99"}},
    {"task_name": "agent.scan.create", "params": {"ip_range": 5}},
    {"task_name": "agent.self.update", "params": {"binary_url": "https://x.test/a"}},
    {"task_name": "miner.rack_location.update"},
    {"task_name": "miner.rack_location.update", "updates": []},
    {"task_name": "miner.rack_location.update", "updates": [{"miner_id": "a"}]},
    {"task_name": "miner.rack_location.update", "updates": [{"miner_id": "a", "rack": "r", "position": -1}]},
    {"task_name": "miner.rack_location.update", "updates": [{"miner_id": "a", "rack": "r", "position": HUGE}]},
    {"task_name": "miner.rack_location.update", "updates": [{"miner_id": "a", "rack": "r" * 51, "position": 1}]},
    {"task_name": "miner.rack_location.update",
     "updates": [{"miner_id": "a", "rack": None, "position": None}] * 2},
]  # fmt: skip


async def test_a_batch_that_cannot_be_is_refused_and_not_stored(stage: Any) -> None:
    for body in NO_BATCHES:
        with case(body):
            answer = await stage.ask(
                "POST", f"{stage.at_farm}/tasks/batches", json=body, status=400
            )
            assert answer["error"] == "Bad Request"
            assert answer["message"]
            assert await stage.count("task_batches") == await stage.count("tasks") == 0


NO_OBJECTS: Final = [
    (b"", 400),
    (b"{", 400),
    (b"null", 400),
    (b"[]", 400),
    (b'"x"', 400),
    (b"\xff\xfe", 400),
    (b'{"task_name": NaN}', 400),
    (b'{"task_name": "miner.log.get", "miner_ids": ["\\ud800"]}', 400),
    (b'{"task_name": 1e999}', 400),
    (DEEP.encode(), 400),
    (('{"a":' * 100_000).encode(), 400),
    (b'{"task_name": "' + b"x" * 10_000_000 + b'"}', 413),
]


async def test_a_body_that_is_no_json_object_is_refused(stage: Any) -> None:
    for body, status in NO_OBJECTS:
        with case(body, status):
            for path in ("tasks/batches", "tasks/search", "miner/search"):
                if body or path == "tasks/batches":
                    await stage.ask(
                        "POST", f"{stage.at_farm}/{path}", data=io.BytesIO(body), status=status
                    )
            assert await stage.count("task_batches") == 0


async def test_a_compressed_bomb_is_cut_off(stage: Any) -> None:
    bomb = zlib.compress(b" " * 50_000_000)
    await stage.ask(
        "POST", f"{stage.at_farm}/tasks/batches", data=bomb, status=413,
        headers={"x-api-key": stage.key, "Content-Encoding": "deflate"},
    )  # fmt: skip
    await stage.ask(
        "POST", f"{stage.at_farm}/tasks/batches", data=b"not gzip", status=400,
        headers={"x-api-key": stage.key, "Content-Encoding": "gzip"},
    )  # fmt: skip


async def test_an_encoding_that_is_not_spoken_is_refused_in_the_documented_body(stage: Any) -> None:
    for path in ("tasks/batches", "tasks/search", "miner/search"):
        answer = await stage.ask(
            "POST", f"{stage.at_farm}/{path}", data=b"{}", status=415,
            headers={"x-api-key": stage.key, "Content-Encoding": "br"},
        )  # fmt: skip
        assert answer["error"] == "Unsupported Media Type"
        assert "br is not spoken here" in answer["message"]


NO_SEARCHES: Final = [
    ("tasks/search", {"status": {}}),
    ("tasks/search", {"status": {"eq": None}}),
    ("tasks/search", {"status": "failed"}),
    ("tasks/search", {"status": {"like": "f"}}),
    ("tasks/search", {"status": {"eq": 5}}),
    ("tasks/search", {"status": {"in": "failed"}}),
    ("tasks/search", {"status": {"in": ["x"] * 1001}}),
    ("tasks/search", {"created_at": {"eq": "yesterday"}}),
    ("tasks/search", {"created_at": {"gt": "2026-11-21T00:00:00"}}),
    ("tasks/search", {"created_at": {"gt": 5}}),
    ("tasks/search", {"created_at": {"gt": "0001-01-01T00:00:00+14:00"}}),
    ("tasks/search", {"actor_type": {"in": ["user"]}}),
    ("tasks/search", {"page": 0}),
    ("tasks/search", {"page": 2**53}),
    ("tasks/search", {"page": 1.5}),
    ("tasks/search", {"page": "1"}),
    ("tasks/search", {"page": True}),
    ("tasks/search", {"page": HUGE}),
    ("tasks/search", {"limit": 0}),
    ("tasks/search", {"limit": 10_001}),
    ("miner/search", {"ip_ranges": ["10.0.0.1"] * 11}),
    ("miner/search", {"ip_ranges": ["10.0.0.300"]}),
    ("miner/search", {"ip_ranges": [""]}),
    ("miner/search", {"unstable": "true"}),
    ("miner/search", {"mac": {"contains": "\x00"}}),
    ("miner/search", {"sn": {"eq": "x" * 2000}}),
]


async def test_a_search_that_makes_no_sense_is_refused(stage: Any) -> None:
    for path, body in NO_SEARCHES:
        with case(path, body):
            await stage.ask("POST", f"{stage.at_farm}/{path}", json=body, status=400)


BAD_QUERIES: Final = ["page=0", "page=-1", "page=x", "page=1.5", "page=1e3", "page=" + "9" * 30, "pageSize=10001", "pageSize=0",
 "page=%D9%A1", "unstable=perhaps", "hashrate_realization_min=nan", "hashrate_realization_min=-1",
 "hashrate_realization_max=inf", "ip_ranges=10.0.0.0/99", "mac=%00", "sn=" + "x" * 2000,
 "status=" + "a," * 1500]  # fmt: skip


async def test_a_list_with_bad_parameters_is_refused(stage: Any) -> None:
    for query in BAD_QUERIES:
        with case(query):
            await stage.ask("GET", f"{stage.at_farm}/miner/latest?{query}", status=400)


async def test_the_wrong_key_and_the_wrong_place_are_told_apart(stage: Any) -> None:
    url = f"{stage.at_farm}/tasks/batches"
    body = {"task_name": "miner.log.get", "miner_ids": [stage.miners[1]]}

    async def refused(status: int, url: str, headers: dict[str, str] | None = None) -> str:
        answer = await stage.ask("POST", url, json=body, status=status, headers=headers)
        return str(answer["message"])

    assert await refused(401, url, {}) == "Missing x-api-key header"
    assert await refused(401, url, {"x-api-key": "wrong"}) == "Invalid or missing API key"
    assert (
        await refused(401, url, {"Authorization": "Bearer wrong"}) == "Invalid or missing API key"
    )
    assert await refused(401, url, {"Authorization": "Basic eA=="}) == "Invalid or missing API key"
    other = f"{stage.url}/private-api/v1/{stage.other_workspace}/farms/{stage.other_farm}"
    await refused(403, f"{other}/tasks/batches")
    await refused(404, f"{stage.base}/farms/{stage.other_farm}/tasks/batches")
    await refused(404, f"{stage.base}/farms/nonsense/tasks/batches")
    await refused(405, f"{stage.at_farm}/miner/latest")
    await refused(404, f"{stage.at_farm}/nothing/here")
    assert await stage.count("task_batches") == 0


@pytest.mark.parametrize("path", ["", "/tasks"])
async def test_a_batch_or_miner_of_another_farm_is_not_found(stage: Any, path: str) -> None:
    for name in ("nonsense", "00000000-0000-4000-8000-000000000000"):
        await stage.ask("GET", f"{stage.at_farm}/tasks/batches/{name}{path}", status=404)
    with_nul = URL(f"{stage.at_farm}/tasks/batches/x%00y{path}", encoded=True)
    await stage.ask("GET", with_nul, status=400)
    for action in ("cancel", "retry"):
        await stage.ask("POST", f"{stage.at_farm}/tasks/batches/nonsense/{action}", status=404)
    await stage.ask("GET", f"{stage.at_farm}/miners/{'f' * 32}/tasks", status=404)


async def test_a_scan_of_a_farm_without_agents_says_what_to_do(stage: Any) -> None:
    async with stage.store.write() as connection:
        await connection.exec_driver_sql("UPDATE agents SET revoked_at = '2026-01-01 00:00:00'")
    url = f"{stage.at_farm}/tasks/batches"
    answer = await stage.ask("POST", url, json={"task_name": "agent.scan.create"}, status=409)
    assert "enroll" in answer["message"]
    # A miner's task waits for whichever agent comes.
    made = await stage.create("miner.log.get", 1)
    shown = await stage.batch(made["data"][0]["batch_id"])
    assert shown["created_count"] == 1


async def test_several_faults_are_told_at_once(stage: Any) -> None:
    body = {"task_name": "miner.pool.update", "miner_ids": ["a"], "params": {"pools": [{}]}}
    answer = await stage.ask("POST", f"{stage.at_farm}/tasks/batches", json=body, status=400)
    assert "params.pools.0.url: is missing" in answer["message"]
    assert "params.pools.0.user: is missing" in answer["message"]


async def test_raw_bytes_in_the_request_line_are_no_internal_error(stage: Any) -> None:
    host, port = stage.url.removeprefix("http://").split(":")
    for target in (b"/\xff\xfe", b"?mac=\xff", b"?mac=%ED%A0%80", b"/%00"):
        reader, writer = await asyncio.open_connection(host, int(port))
        path = stage.at_farm.removeprefix(stage.url).encode()
        writer.write(
            b"GET " + path + b"/miner/latest" + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            b"x-api-key: " + stage.key.encode() + b"\r\n\r\n"
        )  # fmt: skip
        line = await reader.readline()
        assert int(line.split()[1]) < 500, (target, line)
        writer.close()
        await writer.wait_closed()


# --- whatever -----------------------------------------------------------------------------------

WORDS = st.sampled_from(
    [*TaskName, "eq", "in", "status", "online", "", "\x00", "\ud800", "10.0.0.0/8"]
)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), WORDS,
    st.sampled_from([HUGE, -HUGE, 2**63, 2**53, 1e308]),
)  # fmt: skip
KEYS = st.sampled_from(
    ["task_name", "miner_ids", "params", "updates", "miner_id", "rack", "position", "pools", "url", "user",
     "mode", "action", "status", "created_at", "actor_type", "page", "limit", "eq", "ne", "in", "nin", "gt",
     "lte", "contains", "sn", "mac", "unstable", "ip_ranges", "include_unknown", "add", "remove", "force"]
) | st.text(max_size=4)  # fmt: skip
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=20,
)
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "task_name": st.sampled_from([*TaskName]) | ANYTHING,
        "miner_ids": st.lists(st.sampled_from(["a", "f" * 32]), max_size=3) | ANYTHING,
        "params": st.dictionaries(KEYS, ANYTHING, max_size=4) | ANYTHING,
        "updates": ANYTHING,
        "status": ANYTHING,
        "created_at": ANYTHING,
        "actor_type": ANYTHING,
        "page": ANYTHING,
        "limit": ANYTHING,
        "sn": ANYTHING,
        "mac": ANYTHING,
        "ip_ranges": ANYTHING,
        "farm_id": ANYTHING,
        "include_unknown": ANYTHING,
    },
)
POSTS = (
    "tasks/batches",
    "tasks/search",
    "miner/search",
    "../../agents/search",
    "tasks/batches/x/retry",
)


async def test_no_body_makes_an_internal_error(stage: Any) -> None:
    await run_fuzz(stage, 150)


@pytest.mark.slow
async def test_no_body_in_very_many_makes_an_internal_error(stage: Any) -> None:
    await run_fuzz(stage, 3000)


async def run_fuzz(stage: Any, examples: int) -> None:
    """Hypothesis runs in a thread; the requests go through the loop the server lives on."""
    loop = asyncio.get_running_loop()

    async def post(path: str, raw: bytes) -> tuple[int, Any]:
        base = stage.base if path.startswith("../") else stage.at_farm
        url = f"{base}/{path.removeprefix('../../')}"
        async with stage.http.post(url, data=raw, headers={"x-api-key": stage.key}) as answer:
            return answer.status, await answer.json()

    @settings(
        max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(body=BODIES | ANYTHING, path=st.sampled_from(POSTS))
    def attempt(body: Any, path: str) -> None:
        raw = json.dumps(body).encode("utf-8", "surrogatepass")
        raw = raw.replace(b'"a"', f'"{stage.miners[1]}"'.encode())  # a miner that exists
        status, answer = asyncio.run_coroutine_threadsafe(post(path, raw), loop).result(60)
        assert status in (200, 400, 404, 409), (status, body, answer)
        if status >= 400:
            assert set(answer) == {"statusCode", "message", "error"}

    await asyncio.to_thread(attempt)


async def test_no_query_makes_an_internal_error(stage: Any) -> None:
    loop = asyncio.get_running_loop()
    lists = ("miner/latest", "tasks/batches", f"miners/{stage.miners[1]}/tasks")
    names = st.sampled_from(
        ["page", "pageSize", "sn", "mac", "status", "ops_status", "unstable", "anomaly_filters",
         "anomaly_filters[]", "mining_modes_in", "ip_ranges", "hashrate_realization_min", "task_name",
         "from_time", "to_time", "agent_id"]
    )  # fmt: skip
    values = st.text(max_size=12).map(
        lambda text: text.encode("utf-8", "replace").decode()
    ) | WORDS.map(lambda text: text.encode("utf-8", "replace").decode())

    async def get(url: str) -> int:
        async with stage.http.get(url, headers={"x-api-key": stage.key}) as answer:
            await answer.json()
            return int(answer.status)

    @settings(
        max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(query=st.lists(st.tuples(names, values), max_size=4), path=st.sampled_from(lists))
    def attempt(query: list[tuple[str, str]], path: str) -> None:
        text = "&".join(f"{quote(name)}={quote(value)}" for name, value in query)
        url = f"{stage.at_farm}/{path}?{text}"
        status = asyncio.run_coroutine_threadsafe(get(url), loop).result(60)
        assert status in (200, 400), (status, text)

    await asyncio.to_thread(attempt)


# --- the filters alone ---------------------------------------------------------------------------


@given(st.text() | st.dates().map(str) | st.datetimes().map(str))
def test_any_text_as_a_time_is_a_time_or_a_value_error(text: str) -> None:
    with suppress(ValueError):
        assert parse_time(text).tzinfo is not None


def test_the_ends_of_time_can_be_asked_for() -> None:
    last = "9999-12-31T23:59:59.5Z"
    for operators in ({"gt": last}, {"gte": last}, {"lte": last}, {"eq": last}):
        bounds = DateFilter.model_validate(operators).bounds()
        assert bounds is None or bounds[0] < bounds[1]


async def test_a_client_that_leaves_half_way_leaves_nothing_behind(stage: Any) -> None:
    host, port = stage.url.removeprefix("http://").split(":")
    before = asyncio.all_tasks()
    _, writer = await asyncio.open_connection(host, int(port))
    await until(lambda: asyncio.all_tasks() > before)  # the server has taken it
    path = stage.at_farm.removeprefix(stage.url)
    writer.write(
        f"POST {path}/tasks/batches HTTP/1.1\r\nHost: x\r\nx-api-key: {stage.key}\r\n"
        'Content-Length: 1000\r\n\r\n{"task_name"'.encode()
    )
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    await until(lambda: asyncio.all_tasks() <= before)  # and is done with it
    assert await stage.count("task_batches") == 0
