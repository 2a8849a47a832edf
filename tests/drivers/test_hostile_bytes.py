"""The costliest replies that fit under the caps: none may hold the loop, which every other miner shares."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import pytest

from contract.errors import MalformedError, MinerError
from drivers.antminer.changes import firmware
from drivers.antminer.identify import findings_of
from drivers.antminer.models import clean_model, spec_for
from drivers.antminer.protocol import conf
from drivers.antminer.protocol.blink import blink_state
from drivers.antminer.protocol.repair import decode_json
from drivers.antminer.protocol.rpc import (
    MOVING,
    REPLY_CAP_BYTES,
    AntminerReply,
    decode_joined,
    decode_reply,
)
from drivers.antminer.reading import figures as antminer_figures
from drivers.http_client import REPLY_CAP_BYTES as WEB_CAP
from drivers.iceriver import models
from drivers.iceriver.changes import state
from drivers.iceriver.identify import findings_of as iceriver_findings_of
from drivers.iceriver.protocol.replies import DaemonDecoder, checked, decode_web
from drivers.iceriver.reading import figures
from drivers.iceriver.reading.snapshot import snapshot_of
from drivers.protocol.digest import parse_challenge
from drivers.protocol.http import HEAD_CAP_BYTES, ResponseDecoder
from drivers.whatsminer.protocol import api as whatsminer
from drivers.whatsminer.protocol.repair import decode_json as decode_whatsminer

# Processor seconds of one decoding, best of three. Far over what is needed (10 ms here), far below what
# any step that grows with the square of the size takes (seconds).
BUDGET_S = 0.25
N = min(REPLY_CAP_BYTES, WEB_CAP, conf.MAX_CONFIG) - 100

TEXTS = {
    "brackets": b"[" * N,
    "objects": b'{"a":' * (N // 5),
    "quotes": b'{"a":' + b'"' * N,
    "escaped quotes": b'{"' + b'\\"' * (N // 2),
    "backslashes": b'{"' + b"\\" * N,
    "blanks": b'{"a":' + b" " * N,
    "blanks and closers": b"{" + b"} " * (N // 2),
    "commas": b'{"a":' + b", " * (N // 2),
    "colons": b"{" + b": " * (N // 2),
    "glued objects": b'{"STATUS":[],"STATS":[' + b"{}" * (N // 2 - 20) + b"]}",
    "rows": b'{"STATUS":[],"STATS":[' + b"{}," * (N // 3 - 20) + b"{}]}",
    "rows of one": b'{"STATUS":[],"STATS":[' + b'{"":1},' * (N // 7 - 20) + b"{}]}",
    "lower-case rows": b'{"status":[],"stats":[' + b'{"":1},' * (N // 7 - 20) + b"{}]}",
    "pools": b'{"STATUS":[],"POOLS":[' + b"{}," * (N // 3 - 20) + b"{}]}",
    "verdicts": b'{"STATUS":[' + b"{}," * (N // 3 - 20) + b"{}]}",
    "keys": b'{"STATUS":[],"STATS":[{' + b",".join(b'"%d":1' % n for n in range(N // 10)) + b"}]}",
    "digits": b'{"STATUS":[],"STATS":[{"a":' + b"1" * N + b"}]}",
    "decimals": b'{"STATUS":[],"STATS":[{"a":,"b":0.' + b"1" * N + b"}]}",
    "exponent": b'{"STATUS":[],"STATS":[{"a":,"b":' + b"1" * N + b"e-60000}]}",
    "bad utf-8": b'{"a":"' + b"\xff" * N + b'"}',
    "escapes": b'{"a":"' + b"\\u0041" * (N // 6) + b'"}',
    "half surrogates": b'{"a":"' + b"\\ud800" * (N // 6) + b'"}',
}  # fmt: skip
READERS: dict[str, Callable[[bytes], Any]] = {
    "one reply": decode_reply,
    "joined reply": lambda data: decode_joined(data, MOVING),
    "script": decode_json,
    "configuration": conf.parse,
    "light": lambda data: blink_state(data, "blink"),
    "upload": firmware.failure_text,
    "WhatsMiner reply": whatsminer.decode_reply,
    "WhatsMiner list that may be cut": lambda data: decode_whatsminer(data, may_be_cut=True),
    "IceRiver reply": decode_web,
    "IceRiver daemon's reply": lambda data: DaemonDecoder("fan").feed(data),
}
LONG_TEXTS = {
    "blanks": "1" + " " * N + "!",
    "leading blanks": " " * N + "1",
    "dashes": "-" * N,
    "sensors": "1-" * (N // 2),
    "digits": "1" * N,
    "model": "S9" + " " * N + "x",
    "family": "Antminer " * (N // 9),
    "vnish": "Antminer " + "(vnish " * (N // 7),
}


def seconds(work: Callable[[], object]) -> float:
    """Processor time of the best of three, so that a busy host does not count."""
    best = float("inf")
    for _ in range(3):
        began = time.thread_time()
        with contextlib.suppress(MinerError):
            work()
        best = min(best, time.thread_time() - began)
    return best


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("text", TEXTS)
def test_no_reply_under_the_cap_takes_long_to_read(text: str, reader: str) -> None:
    assert seconds(lambda: READERS[reader](TEXTS[text])) < BUDGET_S


@pytest.mark.parametrize("name", LONG_TEXTS)
def test_no_value_of_a_field_takes_long_to_understand(name: str) -> None:
    text = LONG_TEXTS[name]
    for understand in (
        antminer_figures.number, antminer_figures.whole, antminer_figures.rate_hs, antminer_figures.unit_hs, antminer_figures.temps_c, antminer_figures.hottest, antminer_figures.scaled,
        antminer_figures.ago_s, antminer_figures.watts, lambda value: spec_for(clean_model(value)),
        lambda value: findings_of(AntminerReply(VERSION=[{"Type": f"Antminer {value}"}])),
        lambda value: findings_of(AntminerReply(VERSION=[{"Type": f"(vnish 1) {value}"}])),
    ):  # fmt: skip
        assert seconds(lambda understand=understand: understand(text)) < BUDGET_S


@pytest.mark.parametrize("name", LONG_TEXTS)
def test_no_value_of_an_iceriver_takes_long_to_understand(name: str) -> None:
    text = LONG_TEXTS[name]
    for understand in (
        figures.temp_c, figures.runtime_s, figures.truth, figures.percent, figures.mode_of,
        models.firmware_of, lambda value: figures.rate_hs(value, value),
        lambda value: models.model_of(models.model_name(value, value)),
        lambda value: models.model_name(None, value),
        lambda value: iceriver_findings_of({"softver1": value, "mac": value, "model": value}),
    ):  # fmt: skip
        assert seconds(lambda understand=understand: understand(text)) < BUDGET_S


@pytest.mark.parametrize("row", [b"{}", b"1", b'{"no":1}', b'{"addr":"a"}', b"[[]]"])
@pytest.mark.parametrize("name", ["boards", "pools", "fans", "softver1", "unit"])
def test_no_panel_under_the_cap_takes_long_to_read(name: str, row: bytes) -> None:
    rows = b",".join([row] * (N // (len(row) + 1) - 40))
    body = b'{"error":0,"data":{"softver1":"5977449_ks3m_miner","%s":[%s]}}' % (name.encode(), rows)

    def read() -> None:
        fields = checked(decode_web(body), "userpanel 4")
        snapshot_of(fields, None)
        state.state_of(fields)
        iceriver_findings_of(fields)

    assert seconds(read) < BUDGET_S


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("step", [1, 100])
def test_no_reply_of_a_daemon_that_drips_takes_long(text: str, step: int) -> None:
    data = TEXTS[text]

    def read() -> None:
        decoder = DaemonDecoder("fan")
        for at in range(0, len(data), step):
            if decoder.feed(data[at : at + step]) is not None:
                return

    assert seconds(read) < BUDGET_S * (8 if step == 1 else 1)  # a feed for each byte is most of it


@pytest.mark.parametrize(
    "page",
    [b"<" * N, b"<script" * (N // 7), b"<style </style " * (N // 15), b"<script></script" * (N // 16)],
)  # fmt: skip
def test_no_page_takes_long_to_read_as_text(page: bytes) -> None:
    assert seconds(lambda: firmware.failure_text(page)) < BUDGET_S


@pytest.mark.parametrize(
    "fields",
    ["a" * N, "a=" * (N // 2), 'a="' * (N // 3), 'a="' + '\\"' * (N // 2), "a" + " " * N, 'a = "\\' * (N // 6)],
)  # fmt: skip
def test_no_challenge_takes_long_to_read(fields: str) -> None:
    assert seconds(lambda: parse_challenge("Digest " + fields[:HEAD_CAP_BYTES])) < BUDGET_S


HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n" * (2 * N // 25),
        HEAD + b"1\r\na\r\n" * (2 * N // 6),
        HEAD + b"\n" * (2 * N),
        HEAD + b"1\r\na\r\n" + b"\n" * (2 * N),
        HEAD + b"1;" + b"a" * N,
        b"HTTP/1.1 200 OK\r\n" + b"a:b\r\n" * (N // 5),
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"1" * 16_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"1," * 8_000 + b"\r\n\r\n",
    ],
    ids=[
        "interim replies", "chunks of one byte", "blank lines", "blank lines after a chunk", "chunk extension",
        "many headers", "long length", "many lengths",
    ],
)  # fmt: skip
def test_no_http_reply_takes_long_to_refuse(data: bytes) -> None:
    def read() -> None:
        decoder = ResponseDecoder(body_cap_bytes=N)
        if decoder.feed(data) is None:
            decoder.feed(b"")

    with pytest.raises(MalformedError):
        read()
    assert seconds(read) < BUDGET_S


def test_chunks_of_a_few_bytes_are_taken_as_long_as_they_are_few() -> None:
    decoder = ResponseDecoder(body_cap_bytes=N)
    response = decoder.feed(HEAD + b"1\r\na\r\n" * 4000 + b"0\r\n\r\n")
    assert response is not None
    assert response.body == b"a" * 4000
