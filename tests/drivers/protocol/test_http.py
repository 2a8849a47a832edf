"""Our HTTP client codec: tolerant of what CGI scripts print, strict about sizes."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.errors import MalformedError
from drivers.protocol.http import Response, ResponseDecoder, build_request

CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5;ext=1\r\nhello\r\n6\r\n world\r\n0\r\nTrailer: x\r\n\r\n"
)
LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world"


def decode(*pieces: bytes, cap: int = 1000, **options: object) -> Response | None:
    decoder = ResponseDecoder(body_cap_bytes=cap, **options)  # type: ignore[arg-type]
    response = None
    for piece in pieces:
        if piece and response is None:
            response = decoder.feed(piece)
    return response if response is not None else decoder.feed(b"")


@pytest.mark.parametrize("reply", [CHUNKED, LENGTH])
@given(cuts=st.lists(st.integers(0, 130), max_size=8))
def test_where_the_network_cuts_a_reply_does_not_matter(reply: bytes, cuts: list[int]):
    edges = [0, *sorted(cuts), len(reply)]
    response = decode(*(reply[a:b] for a, b in pairwise(edges)))
    assert response is not None
    assert response.body == b"hello world"


def test_without_a_length_the_body_ends_when_the_miner_hangs_up():
    response = decode(b"HTTP/1.1 200 OK\nContent-type: nonsense\n\n\n\n{}\n")
    assert response is not None
    assert response.body == b"\n\n{}\n"
    assert response.headers == {"content-type": "nonsense"}


def test_interim_replies_are_skipped():
    response = decode(b"HTTP/1.1 100 Continue\r\n\r\n" + LENGTH)
    assert response is not None
    assert response.status == 200


def test_no_content_needs_no_end():
    assert decode(b"HTTP/1.1 204 No Content\r\n\r\n") is not None


def test_what_follows_the_body_is_not_part_of_it():
    response = decode(LENGTH + b"garbage")
    assert response is not None
    assert response.body == b"hello world"


def test_repeated_headers_are_joined():
    response = decode(b"HTTP/1.1 401 X\r\nA: 1\r\na: 2\r\nContent-Length: 0\r\n\r\n")
    assert response is not None
    assert response.headers["a"] == "1, 2"


def test_nothing_is_unpacked():
    packed = b"\x1f\x8b" + b"\x00" * 30
    response = decode(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 32\r\n\r\n" + packed
    )
    assert response is not None
    assert response.body == packed


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"SSH-2.0-dropbear\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1001,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 300,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 100 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"b" * 20000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"b" * 20000,
    ],
)
def test_what_is_no_whole_reply_is_malformed(reply: bytes):
    with pytest.raises(MalformedError):
        decode(reply)


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n" + b"x" * 30,
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 30,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1e\r\n"
        + b"x" * 30
        + b"\r\n0\r\n\r\n",
    ],
)
def test_a_body_that_may_be_cut_is_cut_at_the_cap(reply: bytes):
    sink = Sink()
    response = decode(reply, cap=20, sink=sink, truncate=True)
    assert response is not None
    assert (response.truncated, response.size_bytes, sink.data) == (True, 20, b"x" * 20)
    assert response.body == b""


def test_only_a_success_goes_into_the_sink():
    sink = Sink()
    response = decode(b"HTTP/1.1 404 X\r\nContent-Length: 2\r\n\r\nno", sink=sink)
    assert response is not None
    assert (response.body, sink.data) == (b"no", b"")


def test_a_request_is_one_piece_with_its_length():
    request = build_request(
        "POST", "/cgi-bin/a.cgi?x=1", "10.0.0.1", headers={"X": "y"}, body=b"{}", more_bytes=10
    )
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.split(b"\r\n")[0] == b"POST /cgi-bin/a.cgi?x=1 HTTP/1.1"
    assert b"Content-Length: 12" in head.split(b"\r\n")
    assert b"Connection: close" in head.split(b"\r\n")
    assert body == b"{}"


@pytest.mark.parametrize(
    ("path", "value"), [("/a b", "x"), ("/a\r\nX: y", "x"), ("/", "x\r\ny: z")]
)
def test_nothing_breaks_out_of_its_line(path: str, value: str):
    with pytest.raises(ValueError, match="line"):
        build_request("GET", path, "h", headers={"X": value})


class Sink:
    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data
