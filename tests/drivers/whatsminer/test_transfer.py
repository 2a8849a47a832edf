"""Uploads and logs, as bytes: where a message ends and the rest begins, wherever the network cuts."""

from __future__ import annotations

import base64
import gzip
import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.errors import MalformedError, MinerError, RefusedError
from drivers.changes.logfile import FileSink
from drivers.protocol.log import EmptyLogError
from drivers.protocol.objects import ObjectReader
from drivers.whatsminer.protocol.envelope import encrypt, padded, token_of
from drivers.whatsminer.protocol.frames import frame
from drivers.whatsminer.protocol.transfer import (
    Framed4433,
    PackedLogDecoder,
    Sealed4028,
    UploadTalk,
)
from tests.fuzz.mutations import mutants

TOKEN = token_of("admin", "BQ5hoXV9", "jbzkfQls", "5626")
LOG = gzip.compress(b"a line of a log\n" * 50, mtime=0)


def sealed(msg: Any, *, code: int = 131, status: str = "S") -> bytes:
    plain = json.dumps({"STATUS": status, "When": 1, "Code": code, "Msg": msg}).encode()
    return json.dumps(
        {"enc": base64.b64encode(encrypt(padded(plain), TOKEN.aes_key)).decode()}
    ).encode()


def framed(msg: Any, *, code: int = 0, desc: str = "set.system.update_firmware") -> bytes:
    return frame(json.dumps({"code": code, "when": 1, "msg": msg, "desc": desc}).encode())


class Memory(FileSink):
    """A sink without a disk."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(places) if a != b]


def talk(dialect: str, size: int = 9) -> UploadTalk:
    answers = Sealed4028(TOKEN) if dialect == "4028" else Framed4433("set.system.update_firmware")
    return UploadTalk(answers, size)


READY = {"4028": sealed("ready"), "4433": framed("ready")}
DONE = {"4028": sealed("Updated"), "4433": framed("ok")}


@pytest.mark.parametrize("dialect", ["4028", "4433"])
@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(0, 2000), max_size=6))
def test_the_size_is_said_once_when_the_miner_is_ready_and_not_before(
    dialect: str, cuts: list[int]
) -> None:
    upload = talk(dialect)
    said = []
    for piece in pieces(READY[dialect], cuts):
        assert not upload.is_ready
        assert upload.feed(piece) is None
        said.append(upload.say())
    assert [word for word in said if word] == [b"\x09\0\0\0"]
    assert said[-1]
    assert upload.feed(DONE[dialect]) is not None


@pytest.mark.parametrize("dialect", ["4028", "4433"])
def test_a_miner_that_is_not_ready_is_sent_nothing(dialect: str) -> None:
    upload = talk(dialect)
    with pytest.raises(RefusedError, match="does not take a file"):
        upload.feed(sealed("busy") if dialect == "4028" else framed("wait"))
    assert upload.say() is None
    upload = talk(dialect)
    with pytest.raises(MinerError):
        upload.feed(
            sealed("no", code=132, status="E") if dialect == "4028" else framed("no", code=-1)
        )
    assert not upload.is_ready


@pytest.mark.parametrize("end", [b"", b"\0", b"\n", b"\r\n\0"])
def test_what_some_builds_put_behind_an_answer_is_skipped(end: bytes) -> None:
    upload = talk("4028")
    assert upload.feed(READY["4028"] + end) is None
    assert upload.say()
    assert upload.feed(DONE["4028"] + end) is not None


@pytest.mark.parametrize("dialect", ["4028", "4433"])
def test_a_line_that_ends_early_is_malformed_at_each_step(dialect: str) -> None:
    upload = talk(dialect)
    with pytest.raises(MalformedError):
        upload.feed(b"")
    upload = talk(dialect)
    upload.feed(READY[dialect])
    with pytest.raises(MalformedError):
        upload.feed(b"")


def stream(dialect: str, log: bytes, size: int | None = None) -> tuple[bytes, str]:
    length = str(len(log) if size is None else size)
    if dialect == "4028":
        return sealed({"logfilelen": length}) + log, "logfilelen"
    if dialect == "4433":
        return framed({"logsize": length}, desc="get.log.download") + log, "logsize"
    return frame(json.dumps({"logsize": length}).encode()) + log, "logsize"


def log_decoder(dialect: str, key: str, sink: Memory, cap: int = 1 << 20) -> PackedLogDecoder:
    answers = Sealed4028(TOKEN) if dialect == "4028" else Framed4433("get.log.download")
    return PackedLogDecoder(answers, key, sink, cap)


@pytest.mark.parametrize("dialect", ["4028", "4433", "4433 bare"])
@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(0, 3000), max_size=6))
def test_a_log_is_whole_wherever_the_network_cuts_it(dialect: str, cuts: list[int]) -> None:
    data, key = stream(dialect, LOG)
    sink = Memory()
    decoder = log_decoder(dialect, key, sink)
    answers = [decoder.feed(piece) for piece in pieces(data, cuts)]
    assert answers[-1] is False
    assert answers[:-1] == [None] * (len(answers) - 1)
    assert sink.data == LOG


@pytest.mark.parametrize("dialect", ["4028", "4433"])
def test_a_log_over_the_cap_is_cut_there(dialect: str) -> None:
    data, key = stream(dialect, LOG)
    sink = Memory()
    assert log_decoder(dialect, key, sink, cap=20).feed(data) is True
    assert sink.data == LOG[:20]


@pytest.mark.parametrize("dialect", ["4028", "4433"])
def test_a_log_that_is_none_is_named(dialect: str) -> None:
    for log, size, kind in ((b"", 0, EmptyLogError), (b"<html>oops", None, MalformedError)):
        data, key = stream(dialect, log, size)
        with pytest.raises(kind):
            log_decoder(dialect, key, Memory()).feed(data)
    data, key = stream(dialect, LOG[:-5], len(LOG))
    decoder = log_decoder(dialect, key, Memory())
    assert decoder.feed(data) is None
    with pytest.raises(MalformedError, match="cut"):
        decoder.feed(b"")


@pytest.mark.parametrize("size", ["-1", "many", "", None, [], 1e400])
def test_a_length_that_is_none_is_malformed(size: Any) -> None:
    body = {"4028": sealed({"logfilelen": size}), "4433": framed({"logsize": size}, desc="x")}
    with pytest.raises(MalformedError):
        PackedLogDecoder(Sealed4028(TOKEN), "logfilelen", Memory(), 100).feed(body["4028"])


def test_braces_and_quotes_inside_of_texts_do_not_end_an_object() -> None:
    reader = ObjectReader()
    text = b'{"a":"}{\\"}","b":[{"c":"]"}]}'
    assert reader.feed(text + b"\x1f\x8bREST") == text
    assert reader.rest == b"\x1f\x8bREST"


@pytest.mark.parametrize("size", [3000, pytest.param(100_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("dialect", ["4028", "4433"])
def test_mutated_transfers_end_in_documented_errors_only(dialect: str, size: int) -> None:
    seeds = [READY[dialect] + DONE[dialect], stream(dialect, LOG)[0]]
    key = stream(dialect, LOG)[1]
    for data in mutants(seeds, size, seed=20_261_121):
        for decoder in (talk(dialect), log_decoder(dialect, key, Memory())):
            try:
                for piece in pieces(data, [7, 40, 90]):
                    if decoder.feed(piece) is not None:
                        break
                else:
                    decoder.feed(b"")
            except MinerError:
                continue
