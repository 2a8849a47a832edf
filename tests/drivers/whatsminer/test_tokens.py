"""Tokens are few: one is kept as long as it lives by our own clock, and a full house is not stormed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from contract.clock import BootTime
from contract.errors import (
    AuthFailedError,
    BusyError,
    MalformedError,
    MinerError,
    OutcomeUnknownError,
    UnreachableError,
    WriteDisabledError,
)
from contract.miner import Endpoint
from drivers.base import Credentials
from drivers.whatsminer.protocol.envelope import encrypt, padded, token_of, unseal
from drivers.whatsminer.protocol.frames import frame
from drivers.whatsminer.protocol.tokens import FULL_S, LIFE_S, Tokens
from drivers.whatsminer.protocol.v3 import Api3
from drivers.wire import Wire
from tests.drivers.effects import MemoryEffect
from tests.drivers.servers import FAST, address, serving

ADMIN = Credentials("admin", "admin")
SALT = "BQ5hoXV9"
OK = {"STATUS": "S", "When": 1, "Code": 131, "Msg": ""}
LED = {"cmd": "set_led", "param": "auto"}
TIMING = msgspec.structs.replace(FAST, read_s=1.0, write_s=1.0)


class StillClock:
    """Stands, unless somebody sleeps or sets it."""

    def __init__(self) -> None:
        self.at_mono = 1000.0
        self.slept: list[float] = []

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def mono(self) -> float:
        return self.at_mono

    def boot(self) -> BootTime:
        return BootTime("one boot", self.at_mono)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at_mono += seconds


class Miner:
    """The far side of port 4028: gives tokens out, and answers orders as told."""

    def __init__(self, password: str = "admin", **extra: Any) -> None:
        self.password = password
        self.extra = extra
        self.given: list[Any] = []
        self.asked = 0
        self.orders: list[dict[str, Any]] = []
        self.answers: list[Any] = []  # to get_token and to orders, before the usual ones
        self.refusals: list[Any] = []

    async def behave(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = json.loads(await reader.read(65536))
        if request.get("cmd") == "get_token":
            self.asked += 1
            writer.write(json.dumps(self._token()).encode())
            return
        token = self.given[-1]
        try:
            order = json.loads(unseal(request["data"], token))
        except (ValueError, MinerError):
            writer.write(b'{"STATUS":"E","Code":23,"Msg":"enc json load err"}')
            return
        self.orders.append(order)
        answer: Any = OK
        if order.pop("token") != token.sign:
            answer = {"STATUS": "E", "Code": 135, "Msg": "check token err"}
        elif self.answers:
            answer = self.answers.pop(0)
        if isinstance(answer, bytes):
            writer.write(answer)
            return
        sealed = encrypt(padded(json.dumps(answer).encode()), token.aes_key)
        writer.write(msgspec.json.encode({"enc": sealed}))

    def _token(self) -> Any:
        if self.refusals:
            return self.refusals.pop(0)
        newsalt = f"new{self.asked:05d}"
        self.given.append(token_of(self.password, SALT, newsalt, "6915"))
        told = {"time": "6915", "salt": SALT, "newsalt": newsalt} | self.extra
        return {"STATUS": "S", "When": 1, "Code": 134, "Msg": told}


@asynccontextmanager
async def tokens_of(miner: Miner) -> AsyncIterator[tuple[Tokens, StillClock]]:
    clock = StillClock()
    async with serving(miner.behave) as endpoint:
        yield Tokens(Wire(endpoint, clock, TIMING), ADMIN), clock


async def test_a_token_is_used_until_it_ends_by_our_clock():
    miner = Miner()
    async with tokens_of(miner) as (tokens, clock):
        for _ in range(5):
            assert (await tokens.write(LED, MemoryEffect(clock))).Code == 131
            clock.at_mono += LIFE_S / 5 - 1
        assert miner.asked == 1
        clock.at_mono += 10
        await tokens.write(LED, MemoryEffect(clock))
        assert miner.asked == 2
        assert miner.orders == [LED] * 6


@pytest.mark.parametrize(
    ("timeout", "wait_s", "asked"),
    [("0", 10**6, 1), ("600", 400, 1), ("600", 600, 2), (600, 600, 2), ("x", LIFE_S + 1, 2)],
)
async def test_a_life_that_the_device_names_is_kept(timeout: Any, wait_s: float, asked: int):
    miner = Miner(timeout=timeout)
    async with tokens_of(miner) as (tokens, clock):
        for _ in range(2):
            await tokens.write(LED, MemoryEffect(clock))
            clock.at_mono += wait_s
        assert miner.asked == asked


async def test_every_use_prolongs_a_token_that_ends_when_idle():
    miner = Miner(timeout="600")
    async with tokens_of(miner) as (tokens, clock):
        for _ in range(6):
            await tokens.write(LED, MemoryEffect(clock))
            clock.at_mono += 400
        assert miner.asked == 1


async def test_a_refused_token_is_renewed_once_and_the_order_given_once():
    miner = Miner()
    async with tokens_of(miner) as (tokens, clock):
        await tokens.write(LED, MemoryEffect(clock))
        miner.answers = [{"STATUS": "E", "Code": 135, "Msg": "check token err"}]
        effect = MemoryEffect(clock)
        assert (await tokens.write(LED, effect)).Code == 131
        assert (miner.asked, effect.sent) == (2, 2)


async def test_a_second_refusal_of_the_token_ends_it():
    miner = Miner()
    async with tokens_of(miner) as (tokens, clock):
        miner.answers = [{"STATUS": "E", "Code": 135, "Msg": "check token err"}] * 9
        with pytest.raises(AuthFailedError):
            await tokens.write(LED, MemoryEffect(clock))
        assert (miner.asked, len(miner.orders)) == (2, 2)


async def test_a_password_changed_and_changed_back_meanwhile_is_met_with_a_new_token():
    miner = Miner()
    async with tokens_of(miner) as (tokens, clock):
        await tokens.write(LED, MemoryEffect(clock))
        miner.given[-1] = token_of("admin", "other", "salts", "6915")
        assert (await tokens.write(LED, MemoryEffect(clock))).Code == 131
        assert miner.asked == 2


async def test_a_wrong_password_is_told_after_one_token():
    miner = Miner(password="other")
    async with tokens_of(miner) as (tokens, clock):
        for _ in range(3):
            with pytest.raises(AuthFailedError, match="credentials"):
                await tokens.write(LED, MemoryEffect(clock))
        assert miner.asked == 3
        assert miner.orders == []


async def test_a_password_can_be_tried_without_changing_anything():
    miner = Miner()
    async with tokens_of(miner) as (tokens, clock):
        miner.answers = [OK]
        assert (await tokens.ask({"cmd": "status"})).Code == 131
        tokens.replace_credentials(Credentials("admin", "wrong"))
        with pytest.raises(AuthFailedError):
            await tokens.ask({"cmd": "status"})
        tokens.replace_credentials(None)
        with pytest.raises(AuthFailedError, match="no password is known"):
            await tokens.ask({"cmd": "status"})
        del clock


FULL = {"STATUS": "E", "Code": 136, "Msg": "over max connect"}


async def test_a_full_house_is_asked_once_more_after_a_long_wait_and_not_before():
    miner = Miner()
    async with tokens_of(miner) as (tokens, clock):
        miner.refusals = [FULL]
        assert (await tokens.write(LED, MemoryEffect(clock))).Code == 131
        assert clock.slept == [FULL_S]
        assert miner.asked == 2


async def test_a_house_that_stays_full_is_busy_and_the_next_order_waits_its_time_too():
    miner = Miner()
    async with tokens_of(miner) as (tokens, clock):
        miner.refusals = [FULL, {"Code": 136}, FULL, FULL]
        effect = MemoryEffect(clock)
        with pytest.raises(BusyError, match="30 minutes"):
            await tokens.write(LED, effect)
        assert (miner.asked, clock.slept, effect.sent) == (2, [FULL_S], 0)
        clock.at_mono += 60
        with pytest.raises(BusyError):
            await tokens.write(LED, effect)
        assert (miner.asked, clock.slept) == (3, [FULL_S, FULL_S - 60])


@pytest.mark.parametrize(
    "reply",
    [
        {"STATUS": "S", "Code": 131},
        {"STATUS": "S", "Code": 134, "Msg": {"salt": "x"}},
        {"STATUS": "S", "Code": 134, "Msg": {"salt": "x", "newsalt": "y", "time": "z" * 99}},
        {"STATUS": "S", "Code": 134, "Msg": {"salt": 5, "newsalt": [], "time": {}}},
    ],
)
async def test_a_token_without_its_parts_is_malformed_and_nothing_is_sent(reply: Any):
    miner = Miner()
    async with tokens_of(miner) as (tokens, clock):
        miner.refusals = [reply]
        effect = MemoryEffect(clock)
        with pytest.raises(MalformedError):
            await tokens.write(LED, effect)
        assert effect.sent == 0


@pytest.mark.parametrize("code", [131, 133, 134])
async def test_whatever_the_code_salts_make_a_token(code: int):
    miner = Miner()
    async with tokens_of(miner) as (tokens, clock):
        miner.given = [token_of("admin", SALT, "n", "6915")]
        told = {"time": 1592556915, "salt": SALT, "newsalt": "n"}
        miner.refusals = [{"STATUS": "S", "Code": code, "Msg": told}]
        assert (await tokens.write(LED, MemoryEffect(clock))).Code == 131


@pytest.mark.parametrize("answer", [b"", b'{"enc":"AAAA"}', b"x", b'{"enc":', {}])
async def test_an_answer_that_says_nothing_leaves_the_outcome_unknown(answer: Any):
    miner = Miner()
    async with tokens_of(miner) as (tokens, clock):
        miner.answers = [answer]
        with pytest.raises(OutcomeUnknownError):
            await tokens.write(LED, MemoryEffect(clock))
        assert len(miner.orders) == 1


async def test_a_refusal_proves_that_nothing_happened():
    miner = Miner()
    async with tokens_of(miner) as (tokens, clock):
        miner.answers = [{"STATUS": "E", "Code": 45, "Msg": "can't access write cmd"}]
        with pytest.raises(WriteDisabledError, match="Miner API Switch"):
            await tokens.write(LED, MemoryEffect(clock))


async def test_nobody_there_is_unreachable_before_anything_is_sent():
    clock = StillClock()
    endpoint = Endpoint(host=address(), rpc_port=9, v3_port=9)
    effect = MemoryEffect(clock)
    wire = Wire(endpoint, clock, TIMING)
    for call in (
        Tokens(wire, ADMIN).write(LED, effect),
        Api3(wire, ADMIN).write("set.system.reboot", None, effect),
    ):
        with pytest.raises(UnreachableError):
            await call
    assert effect.sent == 0


# --- API v3 --------------------------------------------------------------------------------------


class Miner3:
    """The far side of port 4433."""

    def __init__(self, switch: str = "1") -> None:
        self.switch = switch
        self.asked: list[dict[str, Any]] = []
        self.codes: list[Any] = []

    async def behave(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = int.from_bytes(await reader.readexactly(4), "little")
        request = json.loads(await reader.readexactly(size))
        self.asked.append(request)
        if request["cmd"] == "get.device.info":
            msg = {"salt": "Abc123xy", "system": {"api": "3.0.2", "apiswitch": self.switch}}
            reply = {"code": 0, "when": 1759800000, "msg": msg, "desc": request["cmd"]}
        else:
            code, text = self.codes.pop(0) if self.codes else (0, "ok")
            reply = {"code": code, "when": 1, "msg": text, "desc": request["cmd"]}
        writer.write(frame(json.dumps(reply).encode()))

    @property
    def commands(self) -> list[str]:
        return [each["cmd"] for each in self.asked]


SUPER = Credentials("super", "super")
DENIED = (-4, "no permission for write command")


@asynccontextmanager
async def v3_of(miner: Miner3) -> AsyncIterator[tuple[Api3, StillClock]]:
    clock = StillClock()
    async with serving(miner.behave) as at:
        endpoint = msgspec.structs.replace(at, v3_port=at.rpc_port)
        yield Api3(Wire(endpoint, clock, TIMING), SUPER), clock


async def test_orders_are_signed_with_the_devices_own_time_carried_on():
    miner = Miner3()
    async with v3_of(miner) as (v3, clock):
        await v3.write("set.miner.service", "stop", MemoryEffect(clock))
        clock.at_mono += 42.9
        await v3.write("set.miner.service", "start", MemoryEffect(clock))
        assert miner.commands == ["get.device.info", "set.miner.service", "set.miner.service"]
        assert [each.get("ts") for each in miner.asked] == [None, 1759800000, 1759800042]
        assert miner.asked[1]["token"] == "Cg2iuKaj"
        assert (miner.asked[1]["account"], miner.asked[1]["param"]) == ("super", "stop")


async def test_pools_and_passwords_travel_encrypted():
    miner = Miner3()
    async with v3_of(miner) as (v3, clock):
        await v3.write("set.miner.pools", [{"pool": "a", "passwd": "secret"}], MemoryEffect(clock))
        assert "secret" not in json.dumps(miner.asked)


async def test_no_permission_is_tried_again_with_a_new_salt_and_no_more():
    miner = Miner3()
    async with v3_of(miner) as (v3, clock):
        await v3.write("set.system.led", "auto", MemoryEffect(clock))
        miner.codes = [DENIED]
        effect = MemoryEffect(clock)
        await v3.write("set.system.led", "auto", effect)
        assert effect.sent == 2
        miner.codes = [DENIED, DENIED, DENIED]
        with pytest.raises(AuthFailedError, match="credentials"):
            await v3.write("set.system.led", "auto", MemoryEffect(clock))
        assert len(miner.codes) == 1


async def test_no_permission_while_the_switch_is_off_names_the_switch():
    miner = Miner3(switch="0")
    async with v3_of(miner) as (v3, clock):
        miner.codes = [DENIED]
        with pytest.raises(WriteDisabledError, match="Miner API Switch"):
            await v3.write("set.system.led", "auto", MemoryEffect(clock))


async def test_without_a_password_nothing_is_sent():
    miner = Miner3()
    async with v3_of(miner) as (v3, clock):
        v3.replace_credentials(None)
        effect = MemoryEffect(clock)
        with pytest.raises(AuthFailedError, match="no password is known"):
            await v3.write("set.system.led", "auto", effect)
        assert (effect.sent, miner.asked) == (0, [])
