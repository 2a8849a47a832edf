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


# --- rigs ---

RIG_SPEC = {"motherboard_name": "Supermicro X10DRL-i 1.01", "cpu_name": "Xeon", "ram_size": "8GB"}
RIG_LOG = {
    "cpu_temp": 60,
    "cpu_hashrate": 9564,
    "cpu_hashrate_uom": "H/s",
    "cpu_algorithm": "RandomX",
    "cpu_coin_name": "Monero",
    "gpu_1_core_temp": 65,
    "gpu_1_hashrate_1": 60_520,
    "gpu_hashrate_uom_1": "KH/s",
    "gpu_algorithm_1": "KawPow",
    "gpu_coin_name_1": "Ravencoin",
    "uptime": "up 1 day, 2 hours",
}


async def rig_post(url: str, path: str, body: object, code: str = "rig"):
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            f"{url}/api/v1/cpu_gpu_miners/{path}", json=body, headers={"API_CODE": code}
        ) as reply,
    ):
        return reply.status, await reply.json()


async def test_it_takes_what_a_rig_tells_and_knows_its_code_from_that_of_an_asic() -> None:
    async with strict_server() as server:
        rig = server.rigs.add("rig")
        server.add("good")
        assert await rig_post(server.url, "specs", RIG_SPEC) == (200, None)
        assert await rig_post(server.url, "logs", RIG_LOG) == (200, None)
        assert await rig_post(server.url, "logs", {}) == (200, None)
        assert (rig.activated, rig.logs) == (True, [RIG_LOG, {}])
        assert (await rig_post(server.url, "logs", RIG_LOG, "good"))[0] == 401
        assert (await post(server.url, "logs", LOG, "rig"))[0] == 401
        assert server.faults == []


@pytest.mark.parametrize(
    ("more", "errors"),
    [
        ({"gpu_1_core_temp": 65.0}, {"gpu_1_core_temp": ["is invalid"]}),
        ({"lan_ip": 5}, {"lan_ip": ["is invalid"]}),
        (
            {"gpu_coin_name_1": None},
            {
                "gpu_coin_name_1": [
                    "Must be exist together gpu_coin_name_1, gpu_algorithm_1, gpu_hashrate_uom_1"
                ]
            },
        ),
    ],
)
async def test_it_refuses_of_a_rig_what_server_5_refuses(more: dict, errors: dict) -> None:
    async with strict_server() as server:
        server.rigs.add("rig")
        assert await rig_post(server.url, "logs", RIG_LOG | more) == (422, {"errors": errors})


async def test_its_units_have_one_spelling_and_its_groups_are_whole() -> None:
    async with strict_server() as server:
        server.rigs.add("rig")
        part = {"cpu_coin_name": "Monero", "cpu_algorithm": "RandomX", "cpu_hashrate_uom": "h/s"}
        status, body = await rig_post(server.url, "logs", part)
        assert (status, set(body["errors"])) == (422, {"cpu_coin_name", "cpu_hashrate_uom"})
        for name in RIG_SPEC:
            status, body = await rig_post(server.url, "specs", RIG_SPEC | {name: " "})
            assert (status, body) == (422, {"errors": {name: ["can't be blank"]}})


@pytest.mark.parametrize("more", [{"gpu_1_hashrate_1": 2**31}, {"cpu_algorithm": "x" * 256}])
async def test_what_fits_no_column_breaks_it(more: dict) -> None:
    async with strict_server() as server:
        server.rigs.add("rig")
        assert (await rig_post(server.url, "logs", RIG_LOG | more))[0] == 500
        assert server.faults
