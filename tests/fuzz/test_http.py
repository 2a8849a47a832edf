"""Whatever answers on port 80: a response, a request for more bytes, or MalformedError."""

from __future__ import annotations

import random

import pytest
from hypothesis import strategies as st

from contract.errors import MalformedError
from drivers.protocol.digest import parse_challenge
from drivers.protocol.http import Response, ResponseDecoder
from tests.fuzz.harness import given_at_both_sizes
from tests.fuzz.mutations import mutants

SEEDS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\nContent-Type: text/plain\r\n\r\nhello world",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nX: y\r\n\r\n",
    b"HTTP/1.0 200 OK\nConnection: close\n\n\n\n{}\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno",
    b'HTTP/1.1 401 X\r\nWWW-Authenticate: Digest realm="antMiner", nonce="abc", qop="auth", opaque="x"\r\n\r\n',
    b"HTTP/1.1 204 No Content\r\n\r\n",
]
CAP = 4096


def decode(data: bytes, dice: random.Random) -> Response | None:
    truncate = dice.random() < 0.3
    decoder = ResponseDecoder(body_cap_bytes=dice.choice((5, CAP)), truncate=truncate)
    at = 0
    while at < len(data):
        size = dice.choice((1, 3, 17, 1000))
        response = decoder.feed(data[at : at + size])
        if response is not None:
            return response
        at += size
    return decoder.feed(b"")


def fuzz(number: int, seed: int) -> None:
    dice = random.Random(seed)
    for data in mutants(SEEDS, number, seed):
        try:
            response = decode(data, dice)
        except MalformedError:
            continue
        assert response is not None
        assert 100 <= response.status <= 999
        assert len(response.body) == response.size_bytes <= CAP
        parse_challenge(response.headers.get("www-authenticate"))


def test_mutated_responses_raise_only_documented_errors() -> None:
    fuzz(10_000, seed=1)


@pytest.mark.slow
def test_a_hundred_thousand_mutated_responses_raise_only_documented_errors() -> None:
    fuzz(100_000, seed=2)


@given_at_both_sizes(
    status=st.integers(-1, 2000),
    headers=st.lists(st.tuples(st.text(max_size=20), st.text(max_size=40)), max_size=10),
    body=st.binary(max_size=200),
)
def test_any_headers_are_a_response_or_malformed(
    status: int, headers: list[tuple[str, str]], body: bytes
) -> None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    data = f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode("utf-8", "replace") + body
    try:
        decode(data, random.Random(1))
    except MalformedError:
        return


@given_at_both_sizes(st.text(max_size=200))
def test_any_challenge_is_one_or_none(text: str) -> None:
    parse_challenge(text)
    parse_challenge(f"Digest {text}")
