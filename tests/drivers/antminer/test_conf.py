"""The configuration codec: both dialects, byte for byte."""

from __future__ import annotations

import json

import pytest

from contract.errors import BadParamsError, MalformedError, UnsupportedError
from drivers.antminer.protocol import conf
from drivers.base import StoredPool

POOLS = [{"url": f"stratum+tcp://p{n}:3333", "user": f"acc.{n}", "pass": "123"} for n in (1, 2, 3)]
NEW = {
    "pools": POOLS,
    "api-listen": True,
    "bitmain-fan-ctrl": False,
    "bitmain-fan-pwm": "100",
    "bitmain-freq": "675",
    "bitmain-pwth": "0",
    "bitmain-work-mode": "0",
    "bitmain-freq-level": "100",
}
OLD = {"pools": POOLS, "bitmain-use-vil": True, "bitmain-freq": "550", "multi-version": "1"}


def config(base: dict, **changes: object) -> conf.MinerConf:
    return conf.parse(json.dumps(base | changes).encode())


def body(config_: conf.MinerConf, mode: str = "0", **how: bool) -> dict:
    return json.loads(conf.json_body(config_, config_.slots, mode, **how))


def test_a_value_left_out_by_the_script_is_read_as_absent() -> None:
    text = b'\n\n{"pools":[{"url":"a","user":"b","pass":"c"}],"bitmain-freq" : ,"bitmain-work-mode" : }'
    found = conf.parse(text)
    assert found.fields == {"bitmain-freq": None, "bitmain-work-mode": None}
    assert found.mode_number == "0"
    assert found.slots == (StoredPool(url="a", user="b", password="c"), StoredPool(), StoredPool())


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b'{"pools":null}',
        b'{"pools":{}}',
        b"[]",
        b"Socket connect failed",
        b'{"pools":[1]}',
    ],
)
def test_a_reply_without_a_list_of_pools_is_never_built_upon(text: bytes) -> None:
    with pytest.raises(MalformedError):
        conf.parse(text)


def test_the_mode_is_the_same_as_text_as_number_empty_or_under_its_other_name() -> None:
    assert config(NEW, **{"bitmain-work-mode": 1}).mode_number == "1"
    assert config(NEW, **{"bitmain-work-mode": "1"}).mode_number == "1"
    assert config(NEW, **{"bitmain-work-mode": ""}).mode_number == "0"
    plain = {key: value for key, value in NEW.items() if key != "bitmain-work-mode"}
    assert config(plain, **{"miner-mode": 3}).mode_number == "3"
    assert not config(plain).has_mode


def test_a_new_body_is_one_line_without_blanks_and_names_the_mode_twice() -> None:
    raw = conf.json_body(config(NEW), config(NEW).slots, "1")
    assert not set(raw) & set(b" \n\r\t\\")
    sent = json.loads(raw)
    assert sent["miner-mode"] == 1
    assert sent["bitmain-work-mode"] == 1
    as_text = body(config(NEW), "1", as_text=True)
    assert as_text["miner-mode"] == as_text["bitmain-work-mode"] == "1"


def test_a_new_body_echoes_all_that_a_save_would_lose() -> None:
    more = {"algo": "ks5_2382", "bitmain-user-ip-cat": "0", "bitmain-hashrate-percent": "80"}
    sent = body(config(NEW, **more))
    assert sent["bitmain-fan-ctrl"] is False
    assert sent["bitmain-fan-pwm"] == "100"
    assert sent["freq-level"] == "100"
    assert {key: sent[key] for key in more} == more
    assert "bitmain-freq" not in sent
    assert len(sent["pools"]) == 3


def test_three_pools_are_sent_even_where_fewer_are_listed() -> None:
    sent = body(config(NEW, pools=POOLS[:1]))
    assert sent["pools"] == [POOLS[0], *[{"url": "", "user": "", "pass": ""}] * 2]


@pytest.mark.parametrize("value", ["two words", 'a"b', "a\\b", "ümlaut", "tab\there"])
def test_a_pool_value_that_the_shell_would_destroy_is_refused(value: str) -> None:
    slots = (StoredPool(url="u", user=value), StoredPool(), StoredPool())
    with pytest.raises(BadParamsError):
        conf.json_body(config(NEW), slots, "0")
    with pytest.raises(BadParamsError):
        conf.form_body(config(OLD), slots, "0")


def test_a_value_already_there_that_an_echo_would_destroy_stops_the_write() -> None:
    with pytest.raises(UnsupportedError, match="web page"):
        body(config(NEW, algo="two words"))


def test_the_old_form_has_every_value_in_its_place() -> None:
    slots = (
        StoredPool(url="stratum+tcp://a:1", user="u#1", password="p&=%"),
        StoredPool(),
        StoredPool(),
    )
    sent = conf.form_body(config(OLD), slots, "0")
    assert sent == (
        b"_ant_pool1url=stratum%2Btcp%3A%2F%2Fa%3A1&_ant_pool1user=u%231&_ant_pool1pw=p%26%3D%25"
        b"&_ant_pool2url=&_ant_pool2user=&_ant_pool2pw=&_ant_pool3url=&_ant_pool3user=&_ant_pool3pw="
        b"&_ant_nobeeper=false&_ant_notempoverctrl=false&_ant_fan_customize_switch=false"
        b"&_ant_fan_customize_value=&_ant_freq=550"
    )


def test_the_old_form_ends_in_voltage_and_mode_only_where_the_file_has_them() -> None:
    t17 = config(OLD, **{"bitmain-voltage": "1950", "bitmain-work-mode": "0", "bitmain-freq": "O"})
    assert conf.form_body(t17, t17.slots, "254").endswith(
        b"&_ant_freq=O&_ant_voltage=1950&_ant_work_mode=254"
    )


def test_an_old_file_with_an_unknown_setting_is_not_written() -> None:
    with pytest.raises(UnsupportedError, match="bitmain-new-thing"):
        conf.form_body(config(OLD, **{"bitmain-new-thing": "1"}), (StoredPool(),) * 3, "0")


def test_a_file_without_frequency_is_an_unknown_layout() -> None:
    with pytest.raises(UnsupportedError):
        conf.form_body(config({"pools": POOLS}), (StoredPool(),) * 3, "0")


def test_what_changed_beside_is_found_and_a_mere_change_of_type_is_not() -> None:
    before = config(NEW, **{"bitmain-hashrate-percent": "80"})
    after = config(NEW, **{"bitmain-fan-pwm": 100, "bitmain-freq-level": "90"})
    assert conf.changed_beside(before, after) == {
        "bitmain-freq-level": ("100", "90"),
        "bitmain-hashrate-percent": ("80", None),
    }


def test_empty_slots_at_the_end_do_not_make_pools_differ() -> None:
    one = StoredPool(url="u", user="v", password="x")
    assert conf.same_pools((one,), (one, StoredPool(), StoredPool()))
    assert not conf.same_pools((one,), (StoredPool(), one))
    assert not conf.same_pools((one,), (StoredPool(url="u", user="v", password="y"),))


def test_passwords_do_not_show_when_a_configuration_is_printed() -> None:
    assert "123" not in repr(config(NEW))
    assert "123" not in repr(config(NEW).slots)
