"""What is refused, in the words and with the keys of the official server; nothing is ever answered with 500."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from tests.cloud.rigmonitor.conftest import LOG, LOG_REQUIRED, SPEC, SPEC_REQUIRED, Machine

BLANK, INVALID = ["can't be blank"], ["is invalid"]
BAD_REQUEST = (400, {"errors": {"detail": "Bad Request"}})
NOT_FOUND = (404, {"errors": {"detail": "Not Found"}})
GUARDED = [
    ("POST", "asic_miners/specs"),
    ("POST", "asic_miners/logs"),
    ("GET", "asic_miners/expected_status"),
]


@pytest.mark.parametrize(("method", "path"), GUARDED)
async def test_a_call_without_a_code_or_with_a_wrong_one_is_refused(
    machine: Machine, method: str, path: str
) -> None:
    body = SPEC | LOG
    missing = {"message": "API_CODE does not exist in request header."}
    wrong = {"message": "Invalid API_CODE"}
    assert await machine.call(method, path, headers={}, json=body) == (401, missing)
    for code in ("", "x", machine.id, machine.code.upper() + "0", "0" * 4000, "ü"):
        headers = {"API_CODE": code}
        assert await machine.call(method, path, headers=headers, json=body) == (401, wrong)
    # The other spelling is off unless the operator wants it, and an operator's key is no code.
    for name in ("API-CODE", "x-api-key"):
        headers = {name: machine.code if name == "API-CODE" else machine.cloud.key}
        assert await machine.call(method, path, headers=headers, json=body) == (401, missing)
    status, _ = await machine.call(method, path, headers={"api_code": machine.code}, json=body)
    assert status == 200


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [("specs", SPEC, name) for name in SPEC_REQUIRED]
    + [("logs", LOG, name) for name in LOG_REQUIRED],
)
async def test_a_required_field_that_is_missing_null_or_blank_is_named(
    machine: Machine, path: str, body: dict[str, Any], field: str
) -> None:
    without = {name: value for name, value in body.items() if name != field}
    expected = (422, {"errors": {field: BLANK}})
    for each in (without, without | {field: None}, without | {field: ""}, without | {field: " \t"}):
        assert await machine.call("POST", f"asic_miners/{path}", json=each) == expected


@pytest.mark.parametrize(
    ("path", "body", "required"), [("specs", SPEC, SPEC_REQUIRED), ("logs", LOG, LOG_REQUIRED)]
)
async def test_only_the_required_fields_are_enough(
    machine: Machine, path: str, body: dict[str, Any], required: tuple[str, ...]
) -> None:
    least = {name: body[name] for name in required}
    assert await machine.call("POST", f"asic_miners/{path}", json=least) == (200, None)
    await machine.miner()


@pytest.mark.parametrize("path", ["specs", "logs"])
@pytest.mark.parametrize("body", [b"{}", b"", b"[1,2]", b"null", b'"text"', b"7"])
async def test_a_body_without_fields_lacks_all_of_them(
    machine: Machine, path: str, body: bytes
) -> None:
    required = SPEC_REQUIRED if path == "specs" else LOG_REQUIRED
    status, answer = await machine.call("POST", f"asic_miners/{path}", data=body)
    assert (status, answer) == (422, {"errors": dict.fromkeys(required, BLANK)})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hashrate_5_min", "a lot"), ("hashrate_5_min", True), ("hashrate_5_min", [1]), ("hashrate_5_min", "nan"),
        ("hashrate_5_min", "inf"), ("hashrate_5_min", "1e999"), ("hashrate_5_min", "١٢"), ("hashrate_5_min", "1_0"),
        ("hashrate_5_min", int("9" * 400)), ("hashrate_5_min", {}), ("hashrate_30_min", "x"),
        ("hashrate_uom", 5), ("hashrate_uom", ["GH/s"]), ("uptime", 690620), ("lan_ip", 3232240178),
        ("coin_name", "a\x00b"), ("pool_1_state", "connected"), ("pool_1_state", 1), ("pool_2_state", "maybe"),
        ("pool_1_user", False), ("power", "1e400"), ("power", "3500 W"),
        ("fan_1_speed", "fast"), ("fan_4_speed", [5855]), ("hashboard_1_temp_1", "50C"),
        ("pool_rejection_rate", "0.1%"), ("wan_ip", 1), ("power", "9" * 5000),
    ],
)  # fmt: skip
async def test_a_value_of_the_wrong_type_is_named_and_nothing_is_stored(
    machine: Machine, field: str, value: Any
) -> None:
    before = await machine.cloud.changes()
    status, body = await machine.logs(**{field: value})
    assert (status, body) == (422, {"errors": {field: INVALID}})
    assert await machine.cloud.changes() == before


@pytest.mark.parametrize("number", [2**31, 2**31 - 1, -(2**31), -(2**31) - 1, 2**53])
async def test_whole_numbers_beyond_the_columns_of_the_official_server_are_kept(
    machine: Machine, number: int
) -> None:
    changes = {"pool_1_accepted_share": number, "fan_1_speed": number, "hashboard_1_temp_1": number}
    assert await machine.logs(**changes) == (200, None)
    rig = await machine.rig()
    assert {name: rig["log"][name] for name in changes} == changes
    await machine.miner()


@pytest.mark.parametrize(
    ("given", "kept"),
    [(50.0, 50), (50.4, 50), (50.5, 51), (-3.5, -4), (-0.2, 0), ("49", 49), ("49.7", 50), (1e3, 1000)],
)  # fmt: skip
async def test_fractions_are_rounded_for_whole_numbers(
    machine: Machine, given: float | str, kept: int
) -> None:
    names = ("hashboard_1_temp_1", "hashboard_2_temp_2", "fan_3_speed", "pool_1_rejected_share", "power")  # fmt: skip
    assert await machine.logs(**dict.fromkeys(names, given)) == (200, None)
    log = (await machine.rig())["log"]
    assert {name: log[name] for name in names} == dict.fromkeys(names, kept)
    assert all(type(log[name]) is int for name in names)


async def test_every_fault_of_a_body_is_told_at_once(machine: Machine) -> None:
    body = LOG | {"power": "much", "lan_ip": None, "fan_2_speed": "x"}
    del body["uptime"]
    status, answer = await machine.call("POST", "asic_miners/logs", json=body)
    assert status == 422
    assert answer["errors"] == {
        "power": INVALID,
        "lan_ip": BLANK,
        "fan_2_speed": INVALID,
        "uptime": BLANK,
    }


@pytest.mark.parametrize(
    "body",
    [b"{", b'{"model": "x"', b"<html>", b"\xff\xfe", b"[" * 100_000, b'{"power": 1e999}', b'{"a": NaN}', b"{'a': 1}"],
)  # fmt: skip
async def test_a_body_that_is_no_json_is_a_bad_request(machine: Machine, body: bytes) -> None:
    for path in ("asic_miners/specs", "asic_miners/logs", "asic_miners/expected_status_bulk"):
        headers = {"API_CODE": machine.code, "Content-Type": "application/json"}
        assert await machine.call("POST", path, headers=headers, data=body) == BAD_REQUEST


async def test_forms_are_read_too(machine: Machine) -> None:
    texts = {name: str(value) for name, value in LOG.items()}
    assert await machine.call("POST", "asic_miners/logs", data=texts) == (200, None)
    assert (await machine.rig())["log"] == LOG
    with aiohttp.MultipartWriter("form-data") as parts:
        for name, value in SPEC.items():
            parts.append(value).set_content_disposition("form-data", name=name)
        parts.append(b"\xff" * 10).set_content_disposition("form-data", name="f", filename="f.bin")
    assert await machine.call("POST", "asic_miners/specs", data=parts) == (200, None)
    assert (await machine.rig())["spec"] == SPEC
    pairs = [("api_code_list[]", machine.code), ("api_code_list[]", "unknown")]
    status, body = await machine.call("POST", "asic_miners/expected_status_bulk", data=pairs)
    assert (status, list(body)) == (200, [machine.code])


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/x-www-form-urlencoded", b"model=%ff%fe"),
        ("application/x-www-form-urlencoded", b"\xff"),
        ("application/x-www-form-urlencoded", b"&".join([b"a=1"] * 6000)),
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=b", b"--c\r\n\r\nx"),
        ("multipart/form-data; boundary=b", b"--b\r\nno header\r\n\r\nx\r\n--b--"),
        (
            "multipart/form-data; boundary=b",
            b"--b\r\nContent-Disposition: form-data; name=a\r\n\r\n\xff\r\n--b--",
        ),
        (
            "multipart/form-data; boundary=b",
            b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\nx\r\n--c--\r\n--b--",
        ),
    ],
)
async def test_a_broken_form_is_a_bad_request(machine: Machine, kind: str, body: bytes) -> None:
    headers = {"API_CODE": machine.code, "Content-Type": kind}
    assert (
        await machine.call("POST", "asic_miners/specs", headers=headers, data=body) == BAD_REQUEST
    )


@pytest.mark.parametrize(
    ("kind", "encoding"),
    [
        ("application/json", "br"),
        ("application/x-www-form-urlencoded", "zstd"),
        ("multipart/form-data; boundary=b", "gzip"),
    ],
)
async def test_an_encoding_that_is_not_spoken_is_refused_in_the_form_of_this_api(
    machine: Machine, kind: str, encoding: str
) -> None:
    headers = {"API_CODE": machine.code, "Content-Type": kind, "Content-Encoding": encoding}
    refused = (415, {"errors": {"detail": "Unsupported Media Type"}})
    assert await machine.call("POST", "asic_miners/specs", headers=headers, data=b"x") == refused


async def test_a_body_beyond_the_cap_is_refused_as_a_whole(machine: Machine) -> None:
    cap = machine.cloud.settings.rig_body_bytes
    too_large = (413, {"errors": {"detail": "Request Entity Too Large"}})
    assert await machine.specs(model="x" * cap) == too_large
    with aiohttp.MultipartWriter("form-data") as parts:
        parts.append("x" * cap).set_content_disposition("form-data", name="a", filename="f")
        parts.append("x").set_content_disposition("form-data", name="model")
    status, _ = await machine.call("POST", "asic_miners/specs", data=parts)
    assert status == 413


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""), ("GET", "nothing"), ("POST", "ping"), ("GET", "asic_miners/logs"), ("PUT", "asic_miners/specs"),
        ("POST", "asic_miners/expected_status"), ("GET", "asic_miners/expected_status_bulk"), ("GET", "ping/"),
        ("GET", "cpu_gpu_miners/specs"), ("GET", "cpu_gpu_miners/logs"), ("POST", "cpu_gpu_miners/playbooks"),
        ("GET", "cpu_gpu_miners/playbooks/1/module"), ("GET", "cpu_gpu_miners/expected_status"),
    ],
)  # fmt: skip
async def test_an_unknown_path_or_method_is_not_found(
    machine: Machine, method: str, path: str
) -> None:
    assert await machine.call(method, path) == NOT_FOUND


async def test_whoever_does_not_take_json_is_told_so(machine: Machine) -> None:
    for accept in ("text/html", "image/*, text/plain;q=0.5"):
        headers = {"API_CODE": machine.code, "Accept": accept}
        for method, path in [("GET", "ping"), *GUARDED, ("POST", "asic_miners/expected_status_bulk")]:  # fmt: skip
            status, body = await machine.call(method, path, headers=headers, json=SPEC | LOG)
            assert (status, body) == (406, {"errors": {"detail": "Not Acceptable"}})
    for accept in ("*/*", "application/json", "text/html, Application/JSON;q=0.1", ""):
        status, body = await machine.call("GET", "ping", headers={"Accept": accept})
        assert (status, body) == (200, {"message": "pong"})


async def test_too_many_calls_of_one_code_are_held_back_and_no_other(machine: Machine) -> None:
    settings = machine.cloud.settings
    other = await machine.another()
    for _ in range(settings.rig_calls_burst):
        await machine.expected()
    url = f"{machine.cloud.base}/api/v1/asic_miners/expected_status"
    headers = {"API_CODE": machine.code}
    async with machine.cloud.http.get(url, headers=headers) as answer:
        assert answer.status == 429
        assert answer.headers["Retry-After"] == "1"
        assert await answer.json() == {"errors": {"detail": "Too Many Requests"}}
    await other.expected()
    machine.cloud.clock.move(1 / settings.rig_calls_per_s)
    await machine.expected()
    status, _ = await machine.logs()
    assert status == 429
    machine.cloud.clock.move(3600)  # the bucket is full again, and no fuller
    for _ in range(settings.rig_calls_burst):
        await machine.expected()
    assert (await machine.logs())[0] == 429


async def test_a_failure_of_ours_is_said_in_the_apis_form_and_logged(machine: Machine) -> None:
    async with machine.cloud.store.write() as connection:
        await connection.exec_driver_sql("alter table miners rename to elsewhere")
    with capture_logs() as logged:
        status, body = await machine.logs()
    assert (status, body) == (500, {"errors": {"detail": "Internal Server Error"}})
    [entry] = logged
    assert (entry["event"], entry["path"]) == ("machine_call.failed", "/api/v1/asic_miners/logs")
    assert entry["exc_info"] is True
    assert machine.code not in str(logged)
