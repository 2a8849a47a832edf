"""Bytes of both APIs: where a reply ends, what is mended, what is refused, and in which words."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.errors import (
    AuthFailedError,
    BusyError,
    MalformedError,
    MinerError,
    RefusedError,
    UnsupportedError,
    WriteDisabledError,
)
from drivers.whatsminer.protocol import api, frames
from drivers.whatsminer.protocol.envelope import SALT_LONGEST, encrypt, token_of, unseal
from drivers.whatsminer.protocol.md5crypt import md5crypt
from drivers.whatsminer.protocol.repair import decode_json
from drivers.whatsminer.protocol.rpc import request_for
from drivers.whatsminer.protocol.tokens import SealedAnswerDecoder, opened

OK = b'{"STATUS":"S","When":5,"Code":131,"Msg":"API command OK","Description":""}'
TOKEN = token_of("admin", "BQ5hoXV9", "jbzkfQls", "5626")


def fed(decoder: Any, *pieces: bytes) -> Any:
    for piece in pieces:
        if (found := decoder.feed(piece)) is not None:
            return found
    return None


# --- port 4028 -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pieces",
    [
        (OK,),  # the line stays open
        (OK + b"\n",),
        (OK + b"\x00",),
        (OK[:30], OK[30:] + b"\x00more"),
        (OK[:30], OK[30:]),
        (OK[:-1], b"}", b""),
        (b"\r\n" + OK, b""),
    ],
)
def test_a_reply_ends_with_its_object_a_nul_or_the_connection(pieces: tuple[bytes, ...]):
    reply = fed(api.reply_decoder(), *pieces)
    assert reply.Code == 131


@given(st.lists(st.integers(0, len(OK)), max_size=6))
def test_where_the_network_cuts_a_reply_does_not_matter(cuts: list[int]):
    edges = [0, *sorted(cuts), len(OK)]
    pieces = [OK[a:b] for a, b in itertools.pairwise(edges) if OK[a:b]]
    assert fed(api.reply_decoder(), *pieces).Code == 131


def test_a_drip_of_braces_is_not_tried_for_ever():
    decoder = api.reply_decoder()
    for _ in range(10_000):
        assert decoder.feed(b'{"a":{}') is None
    with pytest.raises(MalformedError):
        decoder.feed(b"")


def test_silence_and_a_stopped_process_have_names():
    with pytest.raises(api.EmptyReplyError):
        fed(api.reply_decoder(), b"")
    with pytest.raises(api.ProcessDownError, match="does not run"):
        fed(api.joined_decoder(), b"Socket connect failed: Connection refused\n", b"")
    with pytest.raises(api.OtherServiceError):
        fed(api.reply_decoder(), b"HTTP/1.1 200 OK\r\n\r\n", b"")


@pytest.mark.parametrize(
    ("broken", "whole"),
    [
        (b'{"a":1,}', {"a": 1}),
        (b'{"a":"x\ny"}', {"a": "x\ny"}),
        (b'{"a":[{"b":1}{"b":2}]}', {"a": [{"b": 1}, {"b": 2}]}),
        (b'{"a":[,{"b":1}]}', {"a": [{"b": 1}]}),
        (b'{"vender":"7""temp0":"33.0"}', {"vender": "7", "temp0": "33.0"}),
        (b'{"error_code":["329":"time"]}', {"error_code": [{"329": "time"}]}),
        (
            b'{"error_code":["329":"time","110":"x"]}',
            {"error_code": [{"329": "time", "110": "x"}]},
        ),
    ],
)
def test_json_as_firmwares_write_it_is_mended(broken: bytes, whole: Any):
    assert decode_json(broken) == whole


@pytest.mark.parametrize("text", ['"},}"', '"a,}b"', '"[,{"', '"\\"}{"'])
def test_nothing_inside_of_a_string_is_mended(text: str):
    assert decode_json(f'{{"a":{text},}}'.encode()) == {"a": json.loads(text)}


def test_only_lists_of_errors_may_be_cut():
    cut = b'{"STATUS":"S","Code":131,"Msg":{"error_code":[{"218":"t"},{"110":"t"},{"2'
    reply = fed(api.reply_decoder(may_be_cut=True), cut, b"")
    assert reply.fields == {"error_code": [{"218": "t"}, {"110": "t"}]}
    with pytest.raises(MalformedError):
        fed(api.reply_decoder(), cut, b"")


@pytest.mark.parametrize(
    "nonsense",
    [
        b"x",
        b"[]",
        b"7",
        b'{"STATUS":7}',
        b'{"SUMMARY":{}}',
        b"\xff" * 20,
        b"[" * 5000,
        b'{"Msg":NaN}',
        b'{"Msg":1e999}',
        b'{"a":"\\ud800"}',
        b'"' + b'\\"' * 60_000,
    ],
)
def test_nonsense_is_malformed(nonsense: bytes):
    with pytest.raises(MalformedError):
        fed(api.reply_decoder(), nonsense, b"")


@pytest.mark.parametrize(
    ("code", "text", "kind", "says"),
    [
        (14, "invalid cmd", UnsupportedError, "does not know"),
        (23, "enc json load err", AuthFailedError, "credentials"),
        (23, "json cmd err", AuthFailedError, "credentials"),
        (24, "Missing JSON 'command'", RefusedError, "Missing"),
        (45, "can't access write cmd", WriteDisabledError, "WhatsMinerTool"),
        (45, "command join err", RefusedError, "joined"),
        (132, "This command is deprecated.", UnsupportedError, "given the command up"),
        (132, "API parse pools param error", RefusedError, "parse pools"),
        (135, "check token err", api.TokenError, "token"),
        (136, "over max connect", BusyError, "30 minutes"),
        (137, "base64 decode err", RefusedError, "base64"),
        (45, "account locked", AuthFailedError, "unlock"),
        (999, "", RefusedError, "code 999"),
    ],
)
def test_every_code_has_its_error_and_its_fix(
    code: int, text: str, kind: type[MinerError], says: str
):
    refusal = api.refusal_of(api.WhatsminerReply(STATUS="E", Code=code, Msg=text))
    assert isinstance(refusal, kind)
    assert says in str(refusal)


def test_both_envelopes_and_a_bare_code_are_judged():
    row = api.WhatsminerVerdict("E", 1, 14, "Invalid command", "cgminer 4.9.2")
    assert isinstance(api.refusal_of(api.WhatsminerReply(STATUS=[row])), UnsupportedError)
    assert isinstance(api.refusal_of(api.WhatsminerReply(Code=136)), BusyError)
    assert isinstance(api.refusal_of(api.WhatsminerReply()), RefusedError)
    assert api.refusal_of(api.WhatsminerReply(STATUS=[api.WhatsminerVerdict("S", Code=11)])) is None
    assert api.refusal_of(api.WhatsminerReply(STATUS="I", Code=131)) is None


@pytest.mark.parametrize("name", ["", 'a"b', "get version", "a" * 40, "a+b+c+d+e", "Summary"])
def test_a_command_that_could_be_more_than_a_name_is_not_sent(name: str):
    with pytest.raises(ValueError, match="no API command"):
        request_for(name)


# --- the envelope --------------------------------------------------------------------------------


def enc(plain: bytes) -> bytes:
    import base64

    return json.dumps({"enc": base64.b64encode(encrypt(plain, TOKEN.aes_key)).decode()}).encode()


def nul(plain: bytes) -> bytes:
    return plain + bytes(-len(plain) % 16)


def test_an_answer_is_opened_whatever_fills_its_last_block():
    count = 16 - len(OK) % 16
    for plain in (nul(OK), nul(OK) + bytes(16), OK + bytes([count]) * count, nul(OK + b"\n")):
        assert fed(SealedAnswerDecoder(TOKEN), enc(plain)).Code == 131


def test_a_refusal_wrapped_into_a_string_is_still_read():
    inner = json.dumps('{"STATUS":"E","Code":23,"Msg":"enc json load err"}').encode()
    with pytest.raises(AuthFailedError):
        fed(SealedAnswerDecoder(TOKEN), enc(nul(inner)), b"")


def test_unreadable_json_in_whatever_words_is_a_wrong_password_for_a_sealed_command():
    with pytest.raises(api.UndecryptedError):
        opened(api.WhatsminerReply(STATUS="E", Code=23, Msg="what?"), TOKEN)


@pytest.mark.parametrize(
    "reply",
    [
        b'{"enc":"AAAA"}',
        b'{"enc":"not base64!"}',
        b'{"enc":7}',
        b'{"enc":""}',
        enc(bytes(16)),
        enc(b"x" * 16),
        b'{"enc":"%s"}' % (b"A" * 64),
        enc(nul(b'{"Msg":"no status"}')),
        b"{}",
    ],
)
def test_an_answer_that_cannot_be_read_proves_nothing(reply: bytes):
    with pytest.raises(MalformedError):
        fed(SealedAnswerDecoder(TOKEN), reply, b"")


def test_an_answer_in_another_key_is_malformed():
    other = token_of("other", "BQ5hoXV9", "jbzkfQls", "5626")
    sealed = json.loads(enc(nul(OK)))["enc"]
    with pytest.raises(MalformedError):
        opened(api.WhatsminerReply(enc=sealed), other)
    assert unseal(sealed, TOKEN) == OK


def test_secrets_print_as_stars():
    assert TOKEN.key not in f"{TOKEN!r} {TOKEN}"


def test_md5crypt_is_the_one_of_openssl():
    # openssl passwd -1 -salt <salt> <secret>
    assert md5crypt("admin", "BQ5hoXV9") == "RxmaDUO33TS7O26yeMHZ81"
    assert md5crypt("", "a") == md5crypt("", "a")
    assert md5crypt("x", "12345678") == md5crypt("x", "12345678more")
    assert len(md5crypt("w" * 200, "s" * SALT_LONGEST)) == 22


# --- API v3 --------------------------------------------------------------------------------------

V3_OK = json.dumps({"code": 0, "when": 5, "msg": "ok", "desc": "get.x"}).encode()


@given(st.lists(st.integers(0, 60), max_size=6))
def test_where_the_network_cuts_a_message_does_not_matter(cuts: list[int]):
    data = frames.frame(b"") + frames.frame(V3_OK) + frames.frame(b"")
    edges = [0, *sorted(cuts), len(data)]
    pieces = [data[a:b] for a, b in itertools.pairwise(edges) if data[a:b]]
    assert fed(frames.FrameReader(), *pieces) == V3_OK


def test_messages_that_come_together_are_cut_apart():
    reader = frames.FrameReader()
    assert reader.feed(frames.frame(b"a") + frames.frame(b"") + frames.frame(b"bc")[:5]) == b"a"
    assert reader.next() is None
    assert reader.feed(b"c") == b"bc"
    assert reader.rest == b""


@pytest.mark.parametrize("prefix", [b"\xff\xff\xff\xff", b"\x01\x00\x10\x00", b"HTTP"])
def test_a_length_that_cannot_be_is_malformed_at_once(prefix: bytes):
    with pytest.raises(MalformedError, match="announces"):
        frames.FrameReader().feed(prefix)


def test_a_message_cut_and_a_line_closed_between_two_are_told_apart():
    with pytest.raises(frames.HungUpError):
        frames.FrameReader().feed(b"")
    reader = frames.FrameReader()
    assert reader.feed(frames.frame(V3_OK)[:9]) is None
    with pytest.raises(MalformedError, match="cut") as caught:
        reader.feed(b"")
    assert not isinstance(caught.value, frames.HungUpError)


def test_a_talk_asks_on_only_after_an_answer():
    talk = frames.Talk((b"1", b"2", b"3"))
    assert talk.say() is None
    assert talk.feed(frames.frame(b"a")[:3]) is None
    assert talk.say() is None
    assert talk.feed(frames.frame(b"a")[3:]) is None
    assert talk.say() == b"2"
    assert talk.say() is None
    assert talk.feed(frames.frame(b"") + frames.frame(b"b")) is None
    assert talk.say() == b"3"
    assert talk.feed(frames.frame(b"c")) == (b"a", b"b", b"c")


def test_an_answer_to_something_else_is_malformed():
    assert frames.decode_reply(V3_OK, "get.x").code == 0
    with pytest.raises(MalformedError, match="asked was"):
        frames.decode_reply(V3_OK, "get.y")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'{"code":null}', b'{"msg":"ok"}', b"\xff", b'{"code":"x"}']
)
def test_a_message_that_is_no_answer_is_malformed(body: bytes):
    with pytest.raises(MalformedError):
        frames.decode_reply(body, "get.x")
    with pytest.raises(MalformedError):
        frames.decode_status(body)


@pytest.mark.parametrize(
    ("code", "msg", "kind"),
    [
        (-1, "fail", RefusedError),
        (-1, "invalid json or password error", frames.NoPermissionError),
        (-2, "invalid command", UnsupportedError),
        (-3, "param item is null", RefusedError),
        (-4, "no permission for write command", frames.NoPermissionError),
        (-5, "out of memory", BusyError),
        (-4, "account is locked", AuthFailedError),
        (7, {}, RefusedError),
    ],
)
def test_v3_codes_have_their_errors(code: int, msg: Any, kind: type[MinerError]):
    assert isinstance(frames.refusal_of(frames.Reply3(code=code, msg=msg)), kind)


@pytest.mark.parametrize("msg", ["", "ok", None, {}, "fail"])
def test_by_v3_the_code_decides_and_never_the_text(msg: Any):
    assert frames.refusal_of(frames.Reply3(code=0, msg=msg)) is None
