"""What the link says to calls that make no sense."""

from __future__ import annotations

import io
from typing import Any

import pytest

from tests.cases import case
from tests.cloud.conftest import Cloud

JSON_CALLS = ("claims", "reports", "readings", "heartbeat")
GARBAGE = [
    b"",
    b"\x00",
    b"nonsense",
    b"[]",
    b"null",
    b"{}",
    b"{" * 100_000,
    b"[" * 100_000,
    b'{"journal_id": 1}',
    b'{"journal_id": "a", "last_seq": 1e999}',
    b'{"journal_id": "a", "last_seq": NaN}',
    b'{"journal_id": "\\ud800", "last_seq": 1}',
    b'{"journal_id": "\xff", "last_seq": 1}',
    b'{"journal_id": "", "last_seq": 1}',
    b'{"journal_id": "a", "last_seq": -5}',
    b'{"journal_id": "a", "last_seq": 99999999999999999999999999}',
    b'{"journal_id": "a", "events": [{}]}',
    b'{"run_id": "", "seq": 1, "readings": []}',
    b'{"run_id": "r", "seq": -1, "readings": []}',
    b'{"run_id": "r", "seq": 1, "readings": [{"at": 5}]}',
]


def is_error(answer: Any, status: int) -> bool:
    return set(answer) == {"statusCode", "message", "error"} and answer["statusCode"] == status


async def test_garbage_is_a_400_in_the_one_form(cloud: Cloud):
    agent = await cloud.agent()
    for body in GARBAGE:
        expected = 413 if len(body) > 16_384 else 400  # nobody needs that much to enroll
        with case(body):
            for path in JSON_CALLS:
                status, answer = await agent.call("POST", path, data=body)
                assert status == 400, (path, answer)
                assert is_error(answer, 400)
            async with cloud.http.post(f"{cloud.base}/link/v1/enroll", data=body) as response:
                assert (response.status, is_error(await response.json(), expected)) == (
                    expected,
                    True,
                )


async def test_a_body_of_ten_megabytes_is_a_413_in_the_one_form(cloud: Cloud):
    agent = await cloud.agent()
    body = b'{"journal_id": "' + b"x" * 10_000_000 + b'", "last_seq": 1}'
    for path in ("claims", "reports", "heartbeat", "enroll"):
        status, answer = await agent.call("POST", path, data=io.BytesIO(body))
        assert status == 413, (path, answer)
        assert is_error(answer, 413)


async def test_a_large_body_without_a_length_is_cut_off_too(cloud: Cloud):
    agent = await cloud.agent()

    async def drip():
        for _ in range(10):
            yield b" " * 1_000_000

    status, answer = await agent.call("POST", "claims", data=drip())
    assert (status, is_error(answer, 413)) == (413, True)


async def test_unknown_paths_and_methods_answer_in_the_one_form(cloud: Cloud):
    agent = await cloud.agent()
    status, answer = await agent.call("GET", "nothing")
    assert (status, is_error(answer, 404)) == (404, True)
    status, answer = await agent.call("GET", "claims")
    assert (status, is_error(answer, 405)) == (405, True)
    async with cloud.http.get(f"{cloud.base}/") as response:
        assert (response.status, is_error(await response.json(), 404)) == (404, True)
    async with cloud.http.delete(f"{cloud.base}/health") as response:
        assert (response.status, response.headers["Allow"]) == (405, "GET,HEAD")


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Basic abc", "Bearer \xe4\xff", "Bearer agt_wrong"]
)
async def test_without_a_good_token_there_is_nothing_to_be_had(cloud: Cloud, header: str | None):
    headers = {} if header is None else {"Authorization": header}
    for method, path in (("POST", "claims"), ("PUT", "files/x"), ("GET", "settings")):
        url = f"{cloud.base}/link/v1/{path}"
        async with cloud.http.request(method, url, headers=headers) as response:
            assert (response.status, is_error(await response.json(), 401)) == (401, True)


async def test_a_key_of_an_operator_is_no_token_of_an_agent_nor_the_other_way(cloud: Cloud):
    agent = await cloud.agent()
    token, agent.token = agent.token, cloud.key
    assert (await agent.call("GET", "settings"))[0] == 401
    url = f"{cloud.base}/private-api/v1/{cloud.workspace_id}/farms"
    async with cloud.http.get(url, headers={"x-api-key": token}) as response:
        assert response.status == 401


async def test_keys_of_a_newer_agent_are_ignored(cloud: Cloud):
    agent = await cloud.agent()
    assert (await agent.claim(invented_later=[1, 2]))["tasks"] == []
