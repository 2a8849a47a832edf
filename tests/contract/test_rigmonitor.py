from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.rigmonitor.asic import (
    AsicLog,
    AsicSpec,
    BulkRequest,
    Expected,
    PoolState,
    Switch,
    read_switch,
)
from contract.rigmonitor.shared import (
    OFFICIAL_UPTIME_CHARS,
    OFFICIAL_UPTIME_DAYS,
    hashrate_hs,
    uptime_s,
    uptime_text,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "00:00:00:00"), (-5, "00:00:00:00"), (59.9, "00:00:00:59"), (690_620, "07:23:50:20"),
        (99 * 86_400, "99:00:00:00"), (8_643_723, "100:01:02:03"), (1234 * 86_400, "1234:00:00:00"),
    ],
)  # fmt: skip
def test_an_uptime_is_days_hours_minutes_and_seconds(seconds: float, text: str):
    assert uptime_text(seconds) == text


def test_for_the_official_server_the_days_alone_are_capped():
    assert uptime_text(8_643_723, days_max=OFFICIAL_UPTIME_DAYS) == "99:01:02:03"


@given(st.floats(0, 1e10))
def test_a_capped_uptime_always_fits_the_official_column(seconds: float):
    assert len(uptime_text(seconds, days_max=OFFICIAL_UPTIME_DAYS)) == OFFICIAL_UPTIME_CHARS


@given(st.integers(0, 999_999 * 86_400))
def test_an_uptime_comes_back_as_it_went_out(seconds: int):
    assert uptime_s(uptime_text(seconds)) == seconds


@pytest.mark.parametrize(
    "text", ["", "up 3 weeks", "1:2:3", "1:2:3:4:5", "-1:00:00:00", "١:00:00:00", "1:2:3:x", "9" * 5000],
)  # fmt: skip
def test_another_text_is_no_uptime(text: str):
    assert uptime_s(text) is None


@pytest.mark.parametrize(
    ("value", "unit", "rate"),
    [
        (13135, "GH/s", 13135e9), (13135, "gh/s", 13135e9), (13135, "G", 13135e9), (13.135, "TH/s", 13.135e12),
        (13135, " GH ", 13135e9), (5, "H/s", 5.0), (21, "ksol/s", 21e3), (21, "Sol/s", 21.0),
        (1, "PH/s", 1e15), (1, "EH/s", 1e18), (2, "Mhps", 2e6),
    ],
)  # fmt: skip
def test_a_rate_is_put_into_hashes_per_second(value: float, unit: str, rate: float):
    assert hashrate_hs(value, unit) == pytest.approx(rate)


@pytest.mark.parametrize(
    "unit", ["", " ", "GX/s", "W", "GG", "G H s", "H/min", "GH/s" * 1000, "/s"]
)
def test_a_unit_nobody_knows_makes_no_rate(unit: str):
    assert hashrate_hs(1, unit) is None


def test_a_rate_beyond_all_numbers_is_none():
    assert hashrate_hs(1e308, "GH/s") is None


@pytest.mark.parametrize("value", [None, "ON", "On", "", 1, 0, True, ["on"], {"on": 1}])
def test_only_on_and_off_are_wishes(value: object):
    assert read_switch(value) is None
    assert (read_switch("on"), read_switch("off")) == (Switch.ON, Switch.OFF)


def test_what_is_not_known_is_left_out_of_a_body():
    spec = AsicSpec(model="KS0", firmware_version="1", software_version="2")
    assert msgspec.to_builtins(spec) == {
        "model": "KS0",
        "firmware_version": "1",
        "software_version": "2",
    }
    log = AsicLog(
        hashrate_5_min=0.0,
        hashrate_uom="GH/s",
        uptime="00:00:00:00",
        pool_1_address="-",
        pool_1_user="-",
        pool_1_state=PoolState.UNCONNECTED,
        hashboard_1_temp_1=0,
        fan_1_speed=0,
        lan_ip="127.0.0.1",
        coin_name="Kaspa",
        power=0,
    )
    sent = msgspec.json.decode(msgspec.json.encode(log))
    assert sent["pool_1_state"] == "Unconnected"
    assert sent["power"] == 0  # a value that happens to be nothing is still sent
    assert None not in sent.values()
    assert len(sent) == 11


def test_a_log_without_a_required_field_cannot_be_made():
    fields: dict[str, Any] = {"hashrate_5_min": 1.0}
    with pytest.raises(TypeError, match="required argument"):
        AsicLog(**fields)


def test_a_bulk_request_says_its_codes_in_both_spellings():
    assert msgspec.to_builtins(BulkRequest.of(("a", "b"))) == {
        "api_code_list": ("a", "b"),
        "asic_api_code_list": ("a", "b"),
    }


def test_wishes_are_read_with_and_without_the_name():
    body = b'{"asic_expected_status":"off","light_expected_status":"on","more":1}'
    assert msgspec.json.decode(body, type=Expected) == Expected(
        asic_expected_status=Switch.OFF, light_expected_status=Switch.ON
    )
