"""The strict server itself: it refuses what server 5.0.0 refuses, or its praise of the client is worth nothing."""

from __future__ import annotations

import aiohttp
import pytest

from tests.agent.rigmonitor.strict_server import strict_server

# The example bodies of the published text.
SPEC = {
    "model": "Ice River KS5L",
    "model_variant": "12TH",
    "firmware_version": "BOOT_3_1_image_1.0",
    "software_version": "ICM168_3_2_10_ks5L_miner_ICM168_3_2_10_ks5L_bg",
}
LOG = {
    "hashrate_5_min": 13135,
    "hashrate_30_min": 8642,
    "hashrate_uom": "GH/s",
    "pool_rejection_rate": 0.0001,
    "uptime": "07:23:50:20",
    "pool_1_address": "stratum+tcp://asia1.kaspa-pool.org:4441",
    "pool_1_user": "kaspa:x.worker_1",
    "pool_1_state": "Connected",
    "pool_1_accepted_share": 100000,
    "pool_1_rejected_share": 0,
    "hashboard_1_hashrate_5_min": 1234.56,
    "hashboard_1_temp_1": 50,
    "hashboard_1_temp_2": 55,
    "fan_1_speed": 5855,
    "lan_ip": "192.168.18.50",
    "wan_ip": "50.85.22.87",
    "coin_name": "Kaspa",
    "power": 3500,
}


async def post(url: str, path: str, body: object, code: str | None = "good"):
    headers = {} if code is None else {"API_CODE": code}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}/api/v1/asic_miners/{path}", json=body, headers=headers) as reply,
    ):
        return reply.status, await reply.json()


async def test_it_takes_the_examples_of_the_text() -> None:
    async with strict_server() as server:
        machine = server.add("good")
        assert await post(server.url, "specs", SPEC) == (200, None)
        assert await post(server.url, "logs", LOG) == (200, None)
        assert machine.activated
        assert machine.logs == [LOG]
        assert server.faults == []


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("hashboard_1_temp_1", 50.0, "is invalid"),
        ("hashboard_1_temp_1", None, "can't be blank"),
        ("power", 3500.5, "is invalid"),
        ("fan_1_speed", "", "can't be blank"),
        ("pool_1_state", "connected", "is invalid"),
        ("hashrate_5_min", "fast", "is invalid"),
        ("uptime", 5, "is invalid"),
        ("coin_name", "  ", "can't be blank"),
    ],
)
async def test_it_refuses_what_server_5_refuses(name: str, value: object, says: str) -> None:
    async with strict_server() as server:
        server.add("good")
        status, body = await post(server.url, "logs", LOG | {name: value})
        assert (status, body) == (422, {"errors": {name: [says]}})


async def test_an_uptime_of_a_hundred_days_breaks_it() -> None:
    async with strict_server() as server:
        server.add("good")
        status, _ = await post(server.url, "logs", LOG | {"uptime": "100:01:02:03"})
        assert status == 500
        assert server.faults


async def test_it_knows_only_its_own_codes_and_its_own_spelling() -> None:
    async with strict_server() as server:
        server.add("good", asic="off")
        assert (await post(server.url, "logs", LOG, "bad"))[1] == {"message": "API_CODE invalid."}
        assert (await post(server.url, "logs", LOG, None))[0] == 401
        status, _ = await post(
            server.url, "expected_status_bulk", {"asic_api_code_list": ["good"]}, None
        )
        assert status == 400
        both = {"api_code_list": ["good", "bad"], "asic_api_code_list": ["good", "bad"]}
        assert await post(server.url, "expected_status_bulk", both, None) == (
            200,
            {
                "good": {
                    "name": "machine",
                    "asic_expected_status": "off",
                    "light_expected_status": "off",
                }
            },
        )
