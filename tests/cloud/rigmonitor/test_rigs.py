"""What CPU/GPU rigs report, where operators see it, and what is refused."""

from __future__ import annotations

from typing import Any, Final

import pytest

from cloud.rigmonitor.casting import cast
from cloud.rigmonitor.rig_figures import state_of, static_of
from contract.miner import Algorithm, Moving, RigPart
from contract.rigmonitor.rig import RigLog, RigSpec
from tests.cloud.rigmonitor.conftest import LOG, SPEC, Machine

BLANK, INVALID = ["can't be blank"], ["is invalid"]
WRONG_CODE: Final = (401, {"message": "Invalid API_CODE"})
RIG_SPEC: Final[dict[str, Any]] = {
    "motherboard_name": "Supermicro X10DRL-i 1.01",
    "cpu_name": "Intel(R) Xeon(R) CPU E5-2680 v4 @ 2.40GHz",
    "ram_size": "8GB",
    "gpu_1_name": "NVIDIA GeForce RTX 3080",
    "gpu_2_name": "NVIDIA GeForce RTX 3080",
}
# With the names and units of the published text where server 5.0.0 has others: `cpu_wallet`, `kh/s`, `SOL/s`.
RIG_LOG: Final[dict[str, Any]] = {
    "cpu_temp": 65, "cpu_hashrate": 9564, "cpu_hashrate_uom": "kh/s", "cpu_algorithm": "RandomX",
    "cpu_coin_name": "Monero", "cpu_pool_address": "pool.hashvault.pro:443", "cpu_wallet": "48edfHu7V9Z84YzzMa6fUueoELZ9ZRXq9Ve",
    "gpu_1_core_temp": 55, "gpu_1_mem_temp": 90, "gpu_1_hashrate_1": 60, "gpu_1_hashrate_2": 210,
    "gpu_1_core_clock": 1835, "gpu_1_mem_clock": 9505, "gpu_1_power": 220,
    "gpu_2_core_temp": 57, "gpu_2_mem_temp": 92, "gpu_2_hashrate_1": 61, "gpu_2_hashrate_2": 211,
    "gpu_2_core_clock": 1835, "gpu_2_mem_clock": 9505, "gpu_2_power": 225,
    "gpu_hashrate_uom_1": "MH/s", "gpu_algorithm_1": "Ethash", "gpu_coin_name_1": "Ethereum",
    "gpu_pool_address_1": "stratum+tcp://eth.pool.test:3333", "gpu_wallet_address_1": "0xabc",
    "gpu_hashrate_uom_2": "SOL/s", "gpu_algorithm_2": "Equihash", "gpu_coin_name_2": "Zcash",
    "gpu_pool_address_2": "stratum+tcp://zec.pool.test:3333", "gpu_wallet_address_2": "t1abc",
    "lan_ip": "192.168.15.6", "wan_ip": "54.66.85.99", "uptime": "07:23:50:20",
}  # fmt: skip


async def specs(rig: Machine, **changes: Any) -> tuple[int, Any]:
    return await rig.call("POST", "cpu_gpu_miners/specs", json=RIG_SPEC | changes)


async def logs(rig: Machine, **changes: Any) -> tuple[int, Any]:
    return await rig.call("POST", "cpu_gpu_miners/logs", json=RIG_LOG | changes)


def moving(spec: dict[str, Any] | None = None, **log: Any) -> Moving:
    return state_of(cast(RigLog, log), None if spec is None else cast(RigSpec, spec))[0]


def faults(spec: dict[str, Any] | None = None, **log: Any) -> list[str]:
    slow = state_of(cast(RigLog, log), None if spec is None else cast(RigSpec, spec))[1]
    return [each.text for each in slow.faults]


async def test_the_bodies_of_the_published_text_are_taken_and_read_back_by_the_nonce_api(
    rig: Machine,
) -> None:
    assert await specs(rig) == (200, None)
    assert await logs(rig) == (200, None)
    item = await rig.miner()
    card = {
        "serial_number": None, "hashrate": 60e6, "chips": None, "chip_frequency": 1835, "part": "gpu",
        "name": "NVIDIA GeForce RTX 3080", "bus_id": None, "hashrate_2": 210, "temp": 55, "memory_temp": 90,
        "fan": None, "power": 220,
    }  # fmt: skip
    other = card | {
        "hashrate": 61e6,
        "hashrate_2": 211,
        "temp": 57,
        "memory_temp": 92,
        "power": 225,
    }
    processor = dict.fromkeys(card) | {
        "hashrate": 9564e3,
        "part": "cpu",
        "name": RIG_SPEC["cpu_name"],
        "temp": 65,
    }
    assert item["hashboards"] == [card, other, processor]
    assert [(pool["url"], pool["user"], pool["active"]) for pool in item["pools"]] == [
        ("stratum+tcp://eth.pool.test:3333", "0xabc", True),
        ("stratum+tcp://zec.pool.test:3333", "t1abc", True),
        ("pool.hashvault.pro:443", RIG_LOG["cpu_wallet"], True),
    ]
    shown = {
        name: item[name]
        for name in (
            "model", "make", "ip", "mac", "agent_id", "firmware", "status", "is_mining", "hashrate",
            "power", "temp", "uptime", "errors", "anomaly_flags", "unstable_reason", "last_updated_at",
        )
    }  # fmt: skip
    assert shown == {
        "model": "RTX 3080 x2", "make": "rig", "ip": "192.168.15.6", "mac": "", "agent_id": None,
        "firmware": None, "status": "online", "is_mining": True, "hashrate": 121e6, "power": 445.0, "temp": 65.0,
        "uptime": 690_620.0, "errors": [], "anomaly_flags": 0, "unstable_reason": "no_mac",
        "last_updated_at": "2026-11-21T12:00:00Z",
    }  # fmt: skip


async def test_what_was_said_last_is_kept_in_one_name_and_unit_for_each_thing(rig: Machine) -> None:
    await specs(rig)
    await logs(rig, no_such_key=1, gpu_1_fan=35, gpu_fan_uom="%", gpu_1_power=219.6)
    kept = await rig.rig()
    assert (kept["kind"], kept["spec"]) == ("cpu-gpu", RIG_SPEC)
    assert (kept["log"]["cpu_hashrate_uom"], kept["log"]["gpu_hashrate_uom_2"]) == ("KH/s", "H/s")
    assert kept["log"]["cpu_wallet_address"] == RIG_LOG["cpu_wallet"]
    assert {"cpu_wallet", "no_such_key"} & kept["log"].keys() == set()
    assert kept["log"]["gpu_1_power"] == 220
    await logs(rig, cpu_wallet_address="of the server")
    assert (await rig.rig())["log"]["cpu_wallet_address"] == "of the server"


@pytest.mark.parametrize("field", ["motherboard_name", "cpu_name", "ram_size"])
async def test_specs_without_what_they_must_have_are_refused_and_name_it(
    rig: Machine, field: str
) -> None:
    assert await specs(rig, **{field: " "}) == (422, {"errors": {field: BLANK}})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cpu_temp", "hot"), ("cpu_hashrate", True), ("cpu_hashrate_uom", "kH"), ("cpu_hashrate_uom", "H/m"),
        ("gpu_hashrate_uom_1", "parsecs"), ("cpu_hashrate_uom", "\u212ah/s"), ("gpu_hashrate_uom_1", "\u017fol/s"),
        ("gpu_hashrate_uom_2", 1), ("gpu_8_mem_clock", [1]), ("gpu_1_fan", "35 %"),
        ("uptime", 5), ("cpu_wallet", {}), ("gpu_fan_uom", 1), ("lan_ip", "a\x00b"),
    ],
)  # fmt: skip
async def test_a_value_of_the_wrong_kind_is_named_and_nothing_is_stored(
    rig: Machine, field: str, value: Any
) -> None:
    before = await rig.cloud.changes()
    assert await logs(rig, **{field: value}) == (422, {"errors": {field: INVALID}})
    assert await rig.cloud.changes() == before


@pytest.mark.parametrize(
    ("group", "told_of"),
    [
        (("cpu_hashrate", "cpu_hashrate_uom", "cpu_algorithm", "cpu_coin_name"), "cpu_coin_name"),
        (("gpu_hashrate_uom_1", "gpu_algorithm_1", "gpu_coin_name_1"), "gpu_coin_name_1"),
        (("gpu_hashrate_uom_2", "gpu_algorithm_2", "gpu_coin_name_2"), "gpu_coin_name_2"),
    ],
)
async def test_what_goes_together_is_given_whole_or_not_at_all(
    rig: Machine, group: tuple[str, ...], told_of: str
) -> None:
    whole = {name: RIG_LOG[name] for name in group}
    together = [f"Must be exist together {', '.join(group)}"]
    for left_out in group:
        body = {name: value for name, value in whole.items() if name != left_out}
        expected = (422, {"errors": {told_of: together}})
        assert await rig.call("POST", "cpu_gpu_miners/logs", json=body) == expected
    assert await rig.call("POST", "cpu_gpu_miners/logs", json=whole) == (200, None)
    assert await rig.call("POST", "cpu_gpu_miners/logs", json={}) == (200, None)


async def test_each_fault_of_a_log_is_told_at_once(rig: Machine) -> None:
    body = {"cpu_coin_name": "Monero", "cpu_algorithm": "RandomX", "cpu_hashrate_uom": "hashes"}
    status, answer = await rig.call("POST", "cpu_gpu_miners/logs", json=body)
    assert (status, sorted(answer["errors"])) == (422, ["cpu_coin_name", "cpu_hashrate_uom"])


async def test_a_code_is_good_for_one_half_of_the_api(rig: Machine, machine: Machine) -> None:
    headers = {"API_CODE": machine.code}
    for path, body in (("specs", RIG_SPEC), ("logs", RIG_LOG)):
        asked = await rig.call("POST", f"cpu_gpu_miners/{path}", headers=headers, json=body)
        assert asked == WRONG_CODE
    assert await rig.call("GET", "cpu_gpu_miners/playbooks", headers=headers) == WRONG_CODE
    headers = {"API_CODE": rig.code}
    for path, body in (("specs", SPEC), ("logs", LOG)):
        asked = await rig.call("POST", f"asic_miners/{path}", headers=headers, json=body)
        assert asked == WRONG_CODE
    assert await rig.call("GET", "asic_miners/expected_status", headers=headers) == WRONG_CODE
    status, answer = await machine.bulk(api_code_list=[rig.code, machine.code])
    assert (status, list(answer)) == (200, [machine.code])
    for path in ("specs", "logs", "playbooks"):
        method = "GET" if path == "playbooks" else "POST"
        missing = {"message": "API_CODE does not exist in request header."}
        assert await rig.call(method, f"cpu_gpu_miners/{path}", headers={}) == (401, missing)


async def test_specs_activate_and_logs_do_not(rig: Machine) -> None:
    await logs(rig)
    item = await rig.miner()
    assert (item["make"], item["model"], item["hashrate"]) == ("rig", None, 121e6)
    assert (await rig.rig())["activated_at"] is None
    await specs(rig)
    assert (await rig.rig())["activated_at"] == "2026-11-21T12:00:00Z"
    assert (await rig.miner())["model"] == "RTX 3080 x2"


async def test_a_rig_is_offline_after_150_s_without_a_log(rig: Machine) -> None:
    await specs(rig)
    await logs(rig)
    rig.cloud.clock.move(150)
    assert (await rig.miner())["status"] == "online"
    rig.cloud.clock.move(1)
    assert (await rig.miner())["status"] == "offline"
    await logs(rig)
    assert (await rig.miner())["status"] == "online"


async def test_lists_and_filters_find_a_rig(rig: Machine, machine: Machine) -> None:
    await specs(rig)
    await logs(rig)
    await machine.specs()
    await machine.logs()
    for wanted in (
        {"make": {"eq": "rig"}},
        {"model": {"like": ["*RTX 3080*"]}},
        {"power": {"gte": 440, "lte": 450}},
        {"ip_ranges": ["192.168.15.0/24"]},
    ):
        status, body = await rig.ask("POST", "miner/search", shape="SearchMiners", json=wanted)
        assert (status, [each["make"] for each in body["data"]]) == (200, ["rig"]), wanted
    _, body = await rig.ask("GET", "rigs")
    wishes = {each["kind"]: each["expected_status"] for each in body["data"]}
    assert wishes == {"cpu-gpu": "mining", "asic": None}


async def test_a_code_that_calls_too_often_is_held_back(rig: Machine) -> None:
    for _ in range(rig.cloud.settings.rig_calls_burst):
        assert (await logs(rig))[0] == 200
    assert (await logs(rig))[0] == 429
    rig.cloud.clock.move(0.5)
    assert (await logs(rig))[0] == 200


async def test_a_figure_no_rig_can_have_is_none_but_a_fault(rig: Machine) -> None:
    await specs(rig)
    assert (await logs(rig, gpu_1_power=-5, gpu_2_core_temp=9999, gpu_1_hashrate_1=-1))[0] == 200
    item = await rig.miner()
    assert (item["power"], item["hashrate"]) == (None, 211e0 + 210)  # the second algorithm's
    assert [each["message"] for each in item["errors"]] == [
        "gpu_1_hashrate_1: -1e+06 H/s cannot be",
        "gpu_1_power: -5 W cannot be",
        "gpu_2_core_temp: 9999 degC cannot be",
    ]


def test_a_rate_without_its_unit_is_none_but_0() -> None:
    body = {"gpu_1_hashrate_1": 60, "gpu_2_hashrate_1": 61}
    assert moving(**body).hashrate_hs is None
    assert faults(**body) == ["gpu_hashrate_uom_1: missing, so that no rate is known"]
    assert moving(gpu_1_hashrate_1=0).hashrate_hs == 0
    assert faults(gpu_1_hashrate_1=0) == []


def test_the_rate_of_a_rig_is_that_of_the_first_algorithm_that_hashes() -> None:
    both = moving(**RIG_LOG)
    assert [(work.part, work.slot, work.algorithm, work.hashrate_hs) for work in both.works] == [
        (RigPart.GPU, 1, "Ethash", 121e6),
        (RigPart.GPU, 2, "Equihash", 421.0),
        (RigPart.CPU, 1, "RandomX", 9564e3),
    ]
    assert static_of(None, cast(RigLog, RIG_LOG)).algorithm is Algorithm.ETHASH
    stopped = RIG_LOG | {"gpu_1_hashrate_1": 0, "gpu_2_hashrate_1": 0}
    assert moving(**stopped).hashrate_hs == 421.0
    assert static_of(None, cast(RigLog, stopped)).algorithm is Algorithm.EQUIHASH  # in sol/s
    alone = {name: value for name, value in RIG_LOG.items() if name.startswith("cpu_")}
    assert moving(**alone).hashrate_hs == 9564e3
    assert moving().works == ()
    assert moving().hashrate_hs is None


def test_a_card_that_the_log_does_not_tell_of_any_more_is_a_fault() -> None:
    log = {name: value for name, value in RIG_LOG.items() if not name.startswith("gpu_2_")}
    one, other, processor = moving(RIG_SPEC, **log).boards
    assert (one.name, one.state) == ("NVIDIA GeForce RTX 3080", None)
    assert (other.index, other.name, other.state) == (1, "NVIDIA GeForce RTX 3080", "bad")
    assert (processor.part, processor.name) == (RigPart.CPU, RIG_SPEC["cpu_name"])
    assert faults(RIG_SPEC, **log) == [
        "graphics board 2 (NVIDIA GeForce RTX 3080) is in the specs, and not in the log"
    ]
    assert moving(RIG_SPEC).boards == ()  # a client that tells of no card at all lost none


def test_what_a_card_shows() -> None:
    card = moving(RIG_SPEC, **RIG_LOG, gpu_1_fan=35).boards[0]
    assert (card.part, card.name, card.index) == (RigPart.GPU, "NVIDIA GeForce RTX 3080", 0)
    assert (card.hashrate_hs, card.hashrate_2_hs) == (60e6, 210)
    assert (card.frequency_hz, card.memory_hz) == (1835e6, 9505e6)
    assert (card.temp_chip_c, card.temp_memory_c, card.power_w) == (55, 90, 220)
    assert card.fan_percent == 35


def test_fans_are_told_in_percent_or_in_revolutions() -> None:
    assert moving(gpu_1_fan=35, gpu_2_fan=40, gpu_fan_uom="%").fan_rpm == ()
    assert moving(gpu_1_fan=2100, gpu_2_fan=2200, gpu_fan_uom="RPM").fan_rpm == (2100, 2200)
    assert moving(gpu_1_fan=2100, gpu_fan_uom="RPM").boards[0].fan_percent is None
    assert faults(gpu_1_fan=2100) == ["gpu_1_fan: 2100 % cannot be"]
    assert faults(gpu_1_fan=1, gpu_fan_uom="bar") == ["gpu_fan_uom: 'bar' is no unit of a fan"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("07:23:50:20", 690_620.0), ("1234:00:00:00", 1234 * 86_400.0), ("up 1 week, 2 days, 3 hours, 4 minutes", 788_640.0),
        ("1 Day, 2 Hours", 93_600.0), ("up 5 minutes", 300.0), ("for ages", None), ("1 \u017fecond", None), ("x" * 4000, None),
    ],
)  # fmt: skip
def test_uptime_is_days_hours_minutes_and_seconds_or_words(
    text: str, seconds: float | None
) -> None:
    assert moving(uptime=text).uptime_s == seconds


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("H/s", "H/s"), ("h/s", "H/s"), ("kh/s", "KH/s"), ("KH/s", "KH/s"), ("SOL/s", "H/s"), ("kSol/s", "KH/s"),
        ("mh/S", "MH/s"), ("GH/s", "GH/s"), ("TH/s", "TH/s"), ("PH/s", "PH/s"),
    ],
)  # fmt: skip
def test_units_are_taken_in_any_case_and_kept_in_one(given: str, kept: str) -> None:
    log = cast(RigLog, RIG_LOG | {"cpu_hashrate_uom": given})
    assert log.cpu_hashrate_uom == kept


def test_a_rig_is_called_by_its_cards_else_by_its_processor() -> None:
    def model(**names: str) -> str | None:
        body = {"motherboard_name": "M", "cpu_name": "Ryzen 9 5950X", "ram_size": "125GB"}
        return static_of(cast(RigSpec, body | names)).model

    assert model() == "Ryzen 9 5950X"
    assert model(gpu_1_name="RTX 3080", gpu_2_name="RX 6800", gpu_3_name="RTX 3080") == (
        "RTX 3080 x2, RX 6800"
    )
    of_spec = static_of(cast(RigSpec, RIG_SPEC))
    assert (of_spec.ram_bytes, of_spec.control_board) == (8 * 2**30, "Supermicro X10DRL-i 1.01")


@pytest.mark.parametrize("ram", ["9999999TB", "0GB", "0.000KB", "8 \u212aB"])
def test_a_memory_that_cannot_be_is_none(ram: str) -> None:
    assert static_of(cast(RigSpec, RIG_SPEC | {"ram_size": ram})).ram_bytes is None


@pytest.mark.parametrize(
    "log",
    [
        {"lan_ip": "fe80::1%" + "A" * 3000},
        {"lan_ip": "::ffff:10.0.0.1"},
        {"lan_ip": "x" * 4000, "wan_ip": "x" * 4000, "uptime": "up 1 day " * 400},
        {"uptime": "999999:99:99:99"},
        {"cpu_hashrate": 1e308, "cpu_hashrate_uom": "PH/s"},
        {"cpu_hashrate": -1, "gpu_1_power": -(2**63), "gpu_1_fan": 2**200},
        {"gpu_1_hashrate_1": 2**53, "gpu_2_hashrate_1": 2**53, "gpu_hashrate_uom_1": "PH/s"},
        {"gpu_algorithm_1": "x" * 4000, "cpu_algorithm": "'; DROP TABLE miners; --"},
        {"gpu_pool_address_1": "//" + ":" * 3900, "cpu_wallet": "\u202e" * 100},
        {"gpu_fan_uom": "furlongs", "gpu_1_fan": 5},
        {f"gpu_{n}_core_temp": "9" * 400 for n in range(1, 9)},
    ],
)
async def test_whatever_a_rig_says_of_itself_it_is_answered_and_the_farm_stays_readable(
    rig: Machine, log: dict[str, Any]
) -> None:
    for ram in ("9999999TB", "0.001KB", "x" * 4000):
        status, _ = await specs(rig, ram_size=ram, gpu_1_name="x" * 4000, gpu_8_name="%s%n")
        assert status == 200
    status, body = await logs(rig, **log)
    assert status in (200, 422), body
    await logs(rig)
    item = await rig.miner()
    assert len(str(item["ip"] or "")) <= 45
    status, _ = await logs(rig, **log)
    item = await rig.miner()
    assert len(str(item["ip"] or "")) <= 45
    assert (await rig.ask("GET", "rigs"))[0] == 200
    assert (await rig.ask("GET", f"rigs/{rig.id}"))[0] == 200


async def test_a_password_in_the_address_of_a_pool_is_shown_nowhere(rig: Machine) -> None:
    await specs(rig)
    await logs(rig, gpu_pool_address_1="ssl://me:s3cret@p:1", cpu_pool_address="me:s3cret@p:1")
    item = await rig.miner()
    paths = (
        f"rigs/{rig.id}",
        "rigs",
        "miner/latest",
        f"miner/{item['id']}",
        f"miners/{item['id']}",
        "status",
        "audit",
    )
    shown: list[Any] = [item, *[await rig.ask("GET", path) for path in paths]]
    assert "s3cret" not in str(shown)
    assert "p:1" in str(shown)
