"""Port 4028: which form a firmware has is learned once, and every way of saying no is understood."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from contract.clock import BootTime
from contract.errors import MalformedError, RefusedError, UnreachableError
from contract.miner import Endpoint
from drivers.antminer.models import NEW_BM, OLD
from drivers.antminer.protocol.replies import decode_joined
from drivers.antminer.protocol.rpc import MOVING, RELEARN_S, AntminerRpc, Form, request_for
from drivers.wire import Wire
from tests.drivers.servers import FAST, Behaviour, address, serving

OK = {"STATUS": "S", "When": 1, "Code": 11, "Msg": "x", "Description": "cgminer 1.0.0"}
NO = {"STATUS": [{"STATUS": "E", "Code": 14, "Msg": "Invalid command"}], "id": 1}


class StillClock:
    def __init__(self) -> None:
        self.at_mono = 1000.0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def mono(self) -> float:
        return self.at_mono

    def boot(self) -> BootTime:
        return BootTime("one boot", self.at_mono)

    async def sleep(self, seconds: float) -> None:
        self.at_mono += seconds


def one(command: str) -> dict[str, Any]:
    rows = [{"POOL": 0, "URL": "a"}] if command == "pools" else [{"Elapsed": 1}]
    return {"STATUS": [OK], command.upper(): rows, "id": 1}


def miner(
    answer: Callable[[Any, bool], Any], asked: list[Any] | None = None, end: bytes = b"\x00"
) -> Behaviour:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = json.loads(await reader.read(4095))
        if asked is not None:
            asked.append(request["command"])
        reply = answer(request["command"], bool(request.get("new_api")))
        if reply is not None:
            writer.write((reply if isinstance(reply, bytes) else json.dumps(reply).encode()) + end)

    return behave


def with_array(command: Any, new_api: bool) -> Any:
    if isinstance(command, list):
        return {each: one(each) for each in command}
    return NO if "+" in command else one(command)


def with_joins(command: Any, new_api: bool) -> Any:
    if isinstance(command, list):
        return {"STATUS": [{"STATUS": "E", "Code": 23, "Msg": "Invalid JSON"}]}
    if "+" in command:
        return {each: [one(each)] for each in command.split("+")} | {"id": 1}
    return one(command)


def rpc_on(endpoint: Endpoint, generation: str | None, clock: Any = None) -> AntminerRpc:
    clock = clock or StillClock()
    return AntminerRpc(Wire(endpoint, clock, FAST), generation)


@pytest.mark.parametrize(
    ("answer", "generation", "form", "first", "later"),
    [
        (with_array, NEW_BM, Form.ARRAY, 1, 1),
        (with_array, None, Form.ARRAY, 1, 1),
        (with_joins, OLD, Form.JOINED, 1, 1),
        (with_joins, None, Form.JOINED, 2, 1),
        (with_joins, NEW_BM, Form.SINGLE, 4, 3),
        (with_array, OLD, Form.SINGLE, 4, 3),
    ],
)
async def test_the_form_is_learned_from_the_first_answer(
    answer: Any, generation: str | None, form: Form, first: int, later: int
):
    asked: list[Any] = []
    async with serving(miner(answer, asked)) as endpoint:
        rpc = rpc_on(endpoint, generation)
        for expected in (first, later, later):
            asked.clear()
            joined = await rpc.ask_all(MOVING)
            assert all(joined.part(command) for command in MOVING)
            assert len(asked) == expected
        assert rpc.form is form


@pytest.mark.parametrize(
    "refusal",
    [
        NO,
        {"error": "unknown command"},
        {"error_message": "not support (xyz)"},
        {"status": [{"STATUS": "E", "Code": 14, "Msg": "Invalid command"}]},
        {},
        b"",
    ],
)
async def test_every_way_of_not_knowing_a_form_leads_to_single_commands(refusal: Any):
    def answer(command: Any, new_api: bool) -> Any:
        return refusal if isinstance(command, list) else one(command)

    async with serving(miner(answer)) as endpoint:
        rpc = rpc_on(endpoint, NEW_BM)
        joined = await rpc.ask_all(MOVING)
        assert joined.part("stats") is not None
        assert rpc.form is Form.SINGLE


async def test_a_form_lost_to_silence_is_tried_again_after_a_while():
    silent = True

    def answer(command: Any, new_api: bool) -> Any:
        if isinstance(command, list) and silent:
            return b""
        return with_array(command, new_api)

    clock = StillClock()
    async with serving(miner(answer, end=b"")) as endpoint:
        rpc = rpc_on(endpoint, NEW_BM, clock)
        await rpc.ask_all(MOVING)
        silent = False
        await rpc.ask_all(MOVING)
        assert rpc.form is Form.SINGLE
        clock.at_mono += RELEARN_S
        await rpc.ask_all(MOVING)
        assert rpc.form is Form.ARRAY


async def test_a_known_form_is_not_given_up_for_one_empty_answer():
    silent = [False, False, True, False]

    def answer(command: Any, new_api: bool) -> Any:
        return b"" if silent.pop(0) else with_array(command, new_api)

    async with serving(miner(answer, end=b"")) as endpoint:
        rpc = rpc_on(endpoint, NEW_BM)
        await rpc.ask_all(MOVING)
        await rpc.ask_all(MOVING)
        with pytest.raises(MalformedError, match="restarting"):
            await rpc.ask_all(MOVING)
        await rpc.ask_all(MOVING)
        assert rpc.form is Form.ARRAY


async def test_a_refused_part_is_missing_and_the_others_are_there():
    def answer(command: Any, new_api: bool) -> Any:
        return {each: NO if each == "pools" else one(each) for each in command}

    async with serving(miner(answer)) as endpoint:
        joined = await rpc_on(endpoint, NEW_BM).ask_all(MOVING)
        assert joined.part("pools") is None
        assert joined.part("stats") is not None


@pytest.mark.parametrize("generation", [OLD, NEW_BM])
async def test_a_text_cut_once_is_asked_for_once_more(generation: str):
    cuts = [True, False, True, True]

    def answer(command: Any, new_api: bool) -> Any:
        whole = json.dumps((with_array if generation == NEW_BM else with_joins)(command, new_api))
        return (whole[:-9] if cuts.pop(0) else whole).encode()

    async with serving(miner(answer)) as endpoint:
        rpc = rpc_on(endpoint, generation)
        assert (await rpc.ask_all(MOVING)).part("stats") is not None
        with pytest.raises(MalformedError):
            await rpc.ask_all(MOVING)
        assert cuts == []


async def test_access_denied_to_everything_is_a_refusal():
    denied = {"STATUS": [{"STATUS": "E", "Code": 45, "Msg": "Access denied to 'x' command"}]}
    async with serving(miner(lambda *_: denied)) as endpoint:
        with pytest.raises(RefusedError, match="Access denied"):
            await rpc_on(endpoint, OLD).ask_all(MOVING)


async def test_a_miner_that_goes_away_between_two_commands_is_no_whole_look():
    endpoint = Endpoint(host=address(), rpc_port=9)
    with pytest.raises(UnreachableError):
        await rpc_on(endpoint, OLD).ask_all(MOVING)


async def test_lower_case_keys_and_a_newline_at_the_end_are_read():
    reply = {
        "status": [{"status": "S", "code": 7, "msg": "1 Pool(s)"}],
        "pools": [{"pool": 0, "url": "stratum+tcp://a", "status": "Alive", "stratum active": True}],
    }
    async with serving(miner(lambda *_: reply, end=b"\n")) as endpoint:
        found = await rpc_on(endpoint, OLD).ask("pools")
        assert found.POOLS is not None
        assert found.POOLS[0].url == "stratum+tcp://a"
        assert found.POOLS[0].stratum_active is True


async def test_the_request_goes_out_in_one_piece_within_the_firmwares_buffer():
    pieces: list[bytes] = []

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pieces.append(await reader.read(4095))
        writer.write(json.dumps(with_array(["summary"], False)).encode() + b"\x00")

    async with serving(behave) as endpoint:
        await rpc_on(endpoint, NEW_BM).ask_all(("summary",))
    assert [json.loads(piece) for piece in pieces] == [{"command": ["summary"]}]


def test_a_command_over_the_firmwares_buffer_is_our_bug():
    with pytest.raises(ValueError, match="command"):
        request_for("sixteen-letters!")


def test_a_hostile_joined_reply_is_malformed():
    for data in (
        b"[1]",
        b'"x"',
        b"null",
        b'{"summary":' * 50_000,
        b'{"summary":{"SUMMARY":1e999}}',
    ):
        with pytest.raises(MalformedError):
            decode_joined(data, MOVING)
