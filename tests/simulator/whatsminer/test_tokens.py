"""The arithmetic of tokens and seals against published vectors, and the limits of the slots."""

from __future__ import annotations

import json

import pytest

from simulator.whatsminer.crypto import (
    SealError,
    aes_key,
    digest_v3,
    md5crypt,
    seal,
    sign_of,
    token_v3,
    unseal,
)
from tests.recorded.where import may_read, needs
from tests.simulator.whatsminer.clients import RECORDINGS, recorded

# They name the tests below, so they are read while those are collected.
VECTORS = recorded("token-vectors.json") if may_read(RECORDINGS) else {}
NO_VECTOR = pytest.param(None, id="none", marks=needs(RECORDINGS))


@pytest.mark.parametrize("case", VECTORS.get("v2", [NO_VECTOR]), ids=lambda case: case["name"])
def test_every_v2_vector_is_made_and_read_back(case):
    told = case["get_token_msg"]
    key = md5crypt(case["password"], told["salt"])
    assert key == case["key"]
    assert sign_of(key, told["time"], told["newsalt"]) == case["sign"]
    box = aes_key(key)
    assert box.hex() == case["aes256_key_hex"]
    for each in case["commands"]:
        assert seal(each["plaintext"].encode(), box) == each["data_zero_padded"]
        assert seal(each["pyasic_plaintext"].encode(), box) == each["pyasic_data"]
        assert seal(each["reply_plaintext"].encode(), box) == json.loads(each["reply_wire"])["enc"]
        for name in ("data_zero_padded", "data_pkcs7_padded"):
            assert unseal(each[name], box).decode() == each["plaintext"]


def test_frames_recorded_from_a_real_device_open():
    case = recorded("token-vectors.json")["v2_recorded"]
    key = md5crypt(case["password"], case["get_token_msg"]["salt"])
    assert key == case["key"]
    for frame in case["frames"]:
        assert unseal(frame["base64"], aes_key(key)).decode() == frame["plaintext"]


@pytest.mark.parametrize("case", VECTORS.get("v3", [NO_VECTOR]), ids=lambda case: case["cmd"])
def test_every_v3_vector_is_made_and_its_parameters_open(case):
    digest = digest_v3(case["cmd"], case["password"], case["salt"], case["ts"])
    assert (digest.hex(), token_v3(digest)) == (case["sha256_hex"], case["token"])
    if "param_plaintext" in case:
        for name in ("param_pkcs7_base64", "param_zero_padded_base64"):
            assert unseal(case[name], digest).decode() == case["param_plaintext"]


@pytest.mark.parametrize("text", ["", "%%%", "YWJj", "YQ=="])
def test_what_is_no_sealed_message_is_a_seal_error(text):
    with pytest.raises(SealError):
        unseal(text, bytes(32))


async def test_a_token_is_good_for_half_an_hour(start, v2, until):
    farm = await start("whatsminer/m50s")
    client = v2(farm.miners[0])
    assert (await client.token())["Code"] == 134
    assert (await client.write("set_led", param="auto"))["Code"] == 131
    at = farm.clock.now()
    await until(lambda: farm.clock.now() > at + 1801, within_s=2000.0)
    reply = await client.write("set_led", param="auto")
    assert (reply["STATUS"], reply["Code"], reply["Msg"]) == ("E", 135, "check token err")


async def test_after_thirty_two_tokens_the_slots_lock_and_each_knock_renews_the_lock(
    start, v2, until
):
    farm = await start("whatsminer/m50s")
    miner, clock = farm.miners[0], farm.clock
    client = v2(miner)
    for _ in range(32):
        assert (await client.token())["Code"] == 134
    first = client.sign
    clock.hold()
    assert (await client.token())["Msg"] == "over max connect"
    clock._held += 170
    assert (await client.token())["Code"] == 136
    clock._held += 170  # 340 s since the first refusal, 170 s since the last knock
    assert (await client.token())["Code"] == 136
    clock._held += 181
    assert (await client.token())["Code"] == 134
    assert client.sign != first and miner.tokens.live("127.0.0.1") == 32


async def test_a_reboot_forgets_every_token(start, v2, until):
    farm = await start("whatsminer/m50s")
    miner = farm.miners[0]
    client = v2(miner)
    await client.write("reboot")
    await until(lambda: miner.boot == 2 and miner.api_up)
    assert (await client.write("set_led", param="auto"))["Code"] == 135


async def test_the_wrong_password_is_told_in_plain(start, v2):
    farm = await start("whatsminer/m50s")
    reply = await v2(farm.miners[0], "wrong").write("reboot")
    assert (reply["STATUS"], reply["Code"], reply["Msg"]) == ("E", 23, "enc json load err")
    assert not farm.ledger.of(phase="received")


async def test_text_that_is_no_base64_is_137(start, v2):
    farm = await start("whatsminer/m50s")
    reply = json.loads(await v2(farm.miners[0]).raw(b'{"enc":1,"data":"a b\\n"}'))
    assert reply["Code"] == 137


async def test_the_switch_of_the_api_refuses_sealed_and_lets_reads_through(start, v2):
    farm = await start("whatsminer/m20s", faults={"*": ["write_disabled"]})
    client = v2(farm.miners[0])
    reply = await client.write("reboot")
    assert {k: v for k, v in reply.items() if k != "When"} == {
        "STATUS": "E",
        "Code": 45,
        "Msg": "can't access write cmd",
        "Description": "whatsminer v1.4.0",
    }
    assert (await client.write("status"))["Msg"]["btmineroff"] == "false"
    assert [e["reason"] for e in farm.ledger.of(action="reboot")] == ["switched off"]


async def test_a_write_that_is_not_sealed_changes_nothing(start, v2):
    farm = await start("whatsminer/m50s")
    client = v2(farm.miners[0])
    await client.token()
    assert (await client.ask("reboot", key="cmd", token=client.sign))["Code"] == 45
    assert not farm.ledger.of(phase="received")
