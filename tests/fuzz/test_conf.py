"""The configuration codec under damaged and invented bytes: only the documented errors, and no value damaged in silence."""

from __future__ import annotations

import json
import random
from urllib.parse import unquote

import pytest
from hypothesis import strategies as st

from contract.errors import BadParamsError, MalformedError, UnsupportedError
from drivers.antminer.protocol import conf
from drivers.base import StoredPool
from tests.fuzz.harness import given_at_both_sizes

SAMPLES = (
    (
        b'\n\n{"pools":[{"url":"stratum+tcp://a:1","user":"u.1","pass":"x"},{"url":"","user":"","pass":""}],'
        b'"api-listen":true,"bitmain-fan-ctrl":false,"bitmain-fan-pwm":"100","bitmain-work-mode":"0",'
        b'"bitmain-freq-level":"100","algo":"ltc"}\n'
    ),
    (
        b'{"pools":[{"url":"a:1","user":"u","pass":"123"}],"bitmain-use-vil":true,"bitmain-freq":"550",'
        b'"multi-version": , "bitmain-voltage" : }'
    ),
    b'{"pools":[],"bitmain-freq":"O","bitmain-work-mode":254,"bitmain-voltage":null}',
)
HOSTILE = (
    b"[" * 100_000,
    b'{"pools":' + b"[" * 50_000,
    b'{"pools":[{"url":NaN}]}',
    b'{"pools":[{"url":1e999}]}',
    b'{"pools":[{"url":' + b"9" * 5000 + b"}]}",
    b'{"pools":[' + b"{}," * 20 + b"{}]}",
    b'{"pools":[{"url":"a"}],"x":{"y":1}}',
    b"\x00" * 1000,
    b'{"pools":[{"url":"' + b"a" * 70_000 + b'"}]}',
    b"\xff\xfe{}",
)


def mutate(data: bytes, chance: random.Random) -> bytes:
    body = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(body) + 1)
        match chance.randrange(5):
            case 0:
                del body[at : at + chance.randint(1, 20)]
            case 1:
                body[at:at] = bytes(chance.randrange(256) for _ in range(chance.randint(1, 8)))
            case 2 if at < len(body):
                body[at] ^= 1 << chance.randrange(8)
            case 3:
                body[at:at] = chance.choice(
                    (b"{", b"}", b"[", b"]", b'"', b"\\", b",", b":", b"1e999")
                )
            case _:
                body[at:at] = body[: chance.randint(0, 60)]
        if not body:
            body = bytearray(b"{")
    return bytes(body)


def take(data: bytes) -> None:
    """Read it and, if that went well, write it back in both dialects."""
    try:
        config = conf.parse(data)
    except MalformedError:
        return
    for write in (
        lambda: conf.json_body(config, config.slots, config.mode_number),
        lambda: conf.form_body(config, config.slots, config.mode_number),
    ):
        try:
            body = write()
        except (BadParamsError, UnsupportedError):
            continue
        assert b"\n" not in body
        assert b" " not in body


@pytest.mark.parametrize("data", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_is_malformed_or_read(data: bytes) -> None:
    take(data)


def test_damaged_configurations_raise_only_what_is_documented() -> None:
    chance = random.Random(7)
    for _ in range(4_000):
        take(mutate(chance.choice(SAMPLES), chance))


@pytest.mark.slow
def test_a_hundred_thousand_damaged_configurations_raise_only_what_is_documented() -> None:
    chance = random.Random(8)
    for _ in range(100_000):
        take(mutate(chance.choice(SAMPLES), chance))


_scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12)
)
_json = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4)
    ),
)


@given_at_both_sizes(pools=_json, more=st.dictionaries(st.text(max_size=12), _json, max_size=5))
def test_any_json_is_read_or_malformed(pools: object, more: dict[str, object]) -> None:
    take(json.dumps({**more, "pools": pools}).encode())


_visible = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x17F), max_size=20)


@given_at_both_sizes(url=_visible, user=_visible, password=_visible)
def test_what_is_written_arrives_as_it_was_or_is_refused(
    url: str, user: str, password: str
) -> None:
    slots = (StoredPool(url=url, user=user, password=password), StoredPool(), StoredPool())
    config = conf.MinerConf(pools=(), fields={"bitmain-freq": "550"})
    try:
        sent = json.loads(conf.json_body(config, slots, "0"))
    except BadParamsError:
        assert any(not conf.is_shell_safe(each) or '"' in each for each in (url, user, password))
    else:
        assert sent["pools"][0] == {"url": url, "user": user, "pass": password}
    try:
        form = conf.form_body(config, slots, "0").decode()
    except BadParamsError:
        return
    values = [unquote(pair.partition("=")[2]) for pair in form.split("&")]
    assert values[:3] == [url, user, password]
    assert len(values) == 14
