"""Whatever the scripts of a miner's web side print, or its challenge says: only the documented errors."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Coroutine, Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import strategies as st

from contract.errors import MalformedError, MinerError
from contract.miner import Firmware
from drivers.antminer.changes.firmware import _judge_upload, failure_text
from drivers.antminer.changes.light import blink_state
from drivers.antminer.changes.orders import json_answer, judge
from drivers.antminer.changes.uptime import boot_uptimes_s
from drivers.antminer.identify import AntminerFindings, examine
from drivers.antminer.models import NEW_BM, OLD
from drivers.antminer.protocol.cgi import Cgi
from drivers.antminer.protocol.repair import decode_json
from drivers.antminer.reading.snapshot import new_api_snapshot_of
from drivers.base import Credentials
from drivers.protocol.digest import answer, parse_challenge
from drivers.protocol.http import Response
from tests.fuzz.harness import ANY, check_comes_back, given_at_both_sizes
from tests.fuzz.mutations import mutants

SCRIPTS = [
    (b'{"minertype":"Antminer S19","nettype":"DHCP","macaddr":"02:11:22:33:44:55","hostname":"antMiner","ipaddress":'
    b'"10.0.0.2","serinum":"SMTTYRHBDJAAI0277","system_filesystem_version":"Tue Dec  6 13:33:17 CST 2022"}'),
    b'\n\n{ "minertype" : "Antminer S9", "macaddr" : "02:11:22:33:44:55", "uptime" : "5:13", "curtime" : "13:00:01" }\n',
    b'{"miner_type":"Antminer S21","subtype":"AMLCtrl_BHB68606","fw_version":"49.0.1.3","product_type":"x"}',
    b'{"stats":"success","code":"M000","msg":"OK!"}',
    b'{"stats":"error","code":"M001","msg":"request busy"}',
    b'{"code":"U001","msg":"firmware invalid","stats":"error"}',
    b'{"blink":true}',
    b'{"isBlinking":"false"}',
    (b'{"STATUS":{"STATUS":"S"},"SUMMARY":[{"elapsed":5,"rate_5s":1.0,"status":[{"type":"rate","status":"e","code":1,'
    b'"msg":"x"}]}],"STATS":[{"chain":[{"index":0,"sn":"A"}],"fan":[1]}]}'),
    b"<html><head><script>x</script></head><body>Firmware upgrade failed: invalid image</body></html>",
]  # fmt: skip
CHALLENGES = [
    b'Digest realm="antMiner Configuration", nonce="0123456789abcdef", qop="auth"',
    b'Digest realm="antminer", nonce="x", qop="auth,auth-int", opaque="a\\"b", algorithm=MD5, stale=true',
    b'Basic realm="x", Digest realm="antMiner Configuration", nonce=abc',
]
FOUND = [
    AntminerFindings(firmware=Firmware.STOCK, model=model, version="v", generation=generation)
    for model, generation in (("S19", NEW_BM), ("S9", OLD), (None, None))
]
ROOT = Credentials("root", "root")


class Pages(Cgi):
    """A web side that prints the same text for every script."""

    def __init__(self, body: bytes) -> None:
        self.stock = True
        self._body = body

    @contextlib.contextmanager
    def in_one(self) -> Iterator[None]:
        """There is no connection."""
        yield

    async def establish(self) -> None:
        """Its realm is the right one."""

    async def get_json(self, name: str) -> Any:
        del name
        return decode_json(self._body)


def done(work: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits for something")


def take(body: bytes, at: int) -> None:
    """Everything that is made of one script's text."""
    examined = done(examine(Pages(body), FOUND[at % len(FOUND)]))
    identity = examined.identity
    assert identity.drivable or identity.reason
    check_comes_back(identity)
    for key in ("blink", "isBlinking"):
        with contextlib.suppress(MalformedError):
            blink_state(body, key)
    response = Response(status=(200, 200, 400, 500)[at % 4], headers={}, body=body)
    for check in (lambda: judge(response, "x.cgi"), lambda: _judge_upload(response)):
        with contextlib.suppress(MinerError):
            check()
    failure_text(body)
    found = json_answer(response)
    if found is None:
        return
    boot_uptimes_s(found.get("uptime"))
    rows = [found.get(name) for name in ("SUMMARY", "STATS")]
    summary, stats = (
        each[0] if isinstance(each, list) and each and isinstance(each[0], dict) else None
        for each in rows
    )
    look = new_api_snapshot_of(summary, stats, None)
    msgspec.json.encode(look.moving)


def fuzz(number: int, seed: int) -> None:
    for at, body in enumerate(mutants(SCRIPTS, number, seed)):
        take(body, at)


def fuzz_challenges(number: int, seed: int) -> None:
    dice = random.Random(seed)
    for data in mutants(CHALLENGES, number, seed):
        challenge = parse_challenge(data.decode("latin-1"))
        if challenge is not None:
            text = answer(challenge, ROOT, "GET", "/x", count=dice.randrange(9), cnonce="c")
            assert text.startswith('Digest username="root"')


def test_mutated_scripts_raise_only_documented_errors() -> None:
    fuzz(3_000, seed=1)


def test_mutated_challenges_are_answered_or_none() -> None:
    fuzz_challenges(5_000, seed=1)


@pytest.mark.slow
def test_a_hundred_thousand_mutated_scripts_raise_only_documented_errors() -> None:
    fuzz(100_000, seed=2)


@pytest.mark.slow
def test_a_hundred_thousand_mutated_challenges_are_answered_or_none() -> None:
    fuzz_challenges(100_000, seed=2)


_KEYS = sorted({key for body in SCRIPTS[:8] for key in json.loads(body.strip())})


@given_at_both_sizes(st.dictionaries(st.sampled_from(_KEYS), ANY, max_size=6), st.integers(0, 11))
def test_any_value_in_any_place_of_a_script_is_taken_or_malformed(
    whole: dict[str, Any], at: int
) -> None:
    take(json.dumps(whole).encode(), at)
