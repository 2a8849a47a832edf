"""JSON as firmwares write it: the known breaks are mended, everything else is malformed."""

from __future__ import annotations

import pytest

from contract.errors import MalformedError
from drivers.antminer.protocol.repair import decode_json


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"a":[{"x":1}{"y":2}]}', {"a": [{"x": 1}, {"y": 2}]}),
        (b'{"a":[{"x":1}\n {"y":2}]}', {"a": [{"x": 1}, {"y": 2}]}),
        (b'{"a":[,{"x":1}]}', {"a": [{"x": 1}]}),
        (b'{"a":[1,],"b":2,}', {"a": [1], "b": 2}),
        (b'{"a" : ,\n"b" : }', {"a": None, "b": None}),
        (b'\n\n{"a":1}\n\x00', {"a": 1}),
        (b'{"a":"raw\nline"}', {"a": "raw\nline"}),
        (b'{"a":1}"}', {"a": 1}),
        (b'{"a":"}{ [, ,] : ,"}{"b":1}', None),
        (b'[{"a":"}{ [, ,] : ,"}{"b":1}]', [{"a": "}{ [, ,] : ,"}, {"b": 1}]),
        (b'[{"a":"\xff"}{"b":1}]', [{"a": "\ufffd"}, {"b": 1}]),
    ],
)
def test_each_known_break_is_mended_outside_of_strings_only(text: bytes, value: object):
    if value is None:
        with pytest.raises(MalformedError):
            decode_json(text)
    else:
        assert decode_json(text) == value


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\n\n",
        b"Socket connect failed: Connection refused\n",
        b"<html></html>",
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":1e999}',
        b'{"a":-1e999}',
        b"[" * 200_000,
        b"[" * 200_000 + b"]" * 200_000,
        b'{"a":' * 100_000,
        b'{"a":1',
        b'{"a":"cut',
        b"9" * 10_000,
        b'{"a":1}{"b":2}',
        b'{"a":1} and more text behind it',
        b"\x80\x81",
    ],
)
def test_what_cannot_be_mended_is_malformed_and_nothing_worse(text: bytes):
    with pytest.raises(MalformedError):
        decode_json(text)
