"""The tasks and their parameters."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.task import (
    PARAMS_MAX_BYTES,
    SPECS,
    TERMINAL,
    Kind,
    ParamsError,
    TaskName,
    TaskStatus,
    parse_params,
    parse_reported_params,
    stored_params,
)

POOL = {"url": "stratum+tcp://pool.example.com:3333", "user": "farm.1"}
SHA = "0a" * 32
# Task -> parameters as sent -> what they become.
GOOD: list[tuple[TaskName, dict[str, Any] | None, dict[str, Any]]] = [
    (TaskName.SCAN, None, {"ip_range": None, "ip_ranges": ()}),
    (TaskName.SCAN, {"ip_range": " 10.0.0.0/24 "}, {"ip_range": "10.0.0.0/24"}),
    (TaskName.SCAN, {"manner": "fast"}, {"manner": "fast", "ip_range": None}),
    (TaskName.SCAN, {}, {"manner": "default"}),
    (TaskName.IP_DIAGNOSIS, {"target_scope": "known_only", "ping_only": True}, {"ping_only": True}),
    (TaskName.SELF_UPDATE, {}, {"binary_url": None}),
    (TaskName.SELF_UPDATE, {"binary_url": "https://a/b", "signature": "s"}, {"signature": "s"}),
    (TaskName.REBOOT, None, {"force": False}),
    (TaskName.REBOOT, {"force": True}, {"force": True}),
    (TaskName.LOG, {}, {}),
    (TaskName.LIGHT, {"action": "on"}, {"action": "on"}),
    (TaskName.LIGHT, {"mode": "off"}, {"action": "off"}),
    (TaskName.POWER_MODE, {"mode": "sleep"}, {"mode": "sleep"}),
    (TaskName.POWER_MODE, {"mining_mode": "high"}, {"mode": "high"}),
    (TaskName.POWER_MODE, {"mode": "J/T 17.5, Hashrate ~200TH/s"}, {}),
    (TaskName.POWER_MODE, {"mode": "3250W"}, {"mode": "3250W"}),
    (TaskName.MINING, {"action": "off"}, {"action": "off"}),
    (TaskName.MINING, {"action": "on"}, {"action": "on"}),
    (TaskName.POWER_LIMIT, {"watts": 3000}, {"watts": 3000, "percent": None}),
    (TaskName.POWER_LIMIT, {"watts": "default"}, {"watts": "default", "percent": None}),
    (TaskName.POWER_LIMIT, {"percent": 100, "watts": None}, {"watts": None, "percent": 100}),
    (TaskName.POOLS, {"pools": [POOL]}, {}),
    (TaskName.POOLS, {"pools": [{**POOL, "password": ""}] * 3}, {}),
    (TaskName.POOL_LOCK, {"action": "lock", "firmware_url": "http://a/"}, {"url": "http://a/"}),
    (TaskName.POOL_LOCK, {"action": "unlock", "auth_url": "http://a/"}, {"url": "http://a/"}),
    (TaskName.FIRMWARE, {"firmware_url": "https://a/b.bmu", "sha256": SHA.upper()}, {"sha256": SHA}),
    (TaskName.FIRMWARE, {"firmware_url": "https://a/b", "target_version": "2"}, {"sha256": None}),
    (TaskName.FIRMWARE, {"firmware": " e\u0301 1 ", "sha256": SHA}, {"firmware": "\u00e9 1", "sha256": SHA}),
    (TaskName.SELF_UPDATE, {"md5": "0A" * 16}, {"md5": "0a" * 16}),
    (TaskName.ASSET_UPDATE, {"status": "on_rack", "comment": "moved"}, {"comment": "moved"}),
    (TaskName.ASSET_UPDATE, {"status": "on_rack", "comment": "to\n\tR2"}, {"comment": "to\n\tR2"}),
    (TaskName.ASSET_DELETE, None, {"comment": None}),
    (TaskName.TAGS, {"add": [" a "], "remove": ["b"]}, {"add": ("a",), "remove": ("b",)}),
    (TaskName.RECORD_DELETE, {"comment": "gone"}, {"comment": "gone"}),
    (TaskName.RACK_LOCATION, None, {}),
]  # fmt: skip
# Task -> parameters as sent -> the parameter that the answer names.
BAD: list[tuple[TaskName, Any, str]] = [
    (TaskName.SCAN, {"ip_range": "10.0.0.300"}, "ip_range"),
    (TaskName.SCAN, {"ip_ranges": [{"range": 7}]}, "ip_ranges.0.range"),
    (TaskName.SCAN, {"manner": "hasty"}, "manner"),
    (TaskName.IP_DIAGNOSIS, {"target_scope": "all"}, "target_scope"),
    (TaskName.IP_DIAGNOSIS, {"custom_targets": [{"value": "x"}]}, "custom_targets.0.value"),
    (TaskName.SELF_UPDATE, {"binary_url": "https://a/b"}, "signature"),
    (TaskName.SELF_UPDATE, {"binary_url": "ftp://a/b", "signature": "s"}, "binary_url"),
    (TaskName.REBOOT, {"force": "true"}, "force"),
    (TaskName.REBOOT, {"force": 1}, "force"),
    (TaskName.LIGHT, {}, "action"),
    (TaskName.LIGHT, {"action": "blink"}, "action"),
    (TaskName.POWER_MODE, {"mode": "turbo"}, "mode"),
    (TaskName.POWER_MODE, {"mode": 1}, "mode"),
    (TaskName.POWER_MODE, {}, "mode"),
    (TaskName.MINING, {}, "action"),
    (TaskName.MINING, {"action": "sleep"}, "action"),
    (TaskName.MINING, {"action": True}, "action"),
    (TaskName.MINING, {"action": "on", "mode": "low"}, "mode"),
    *(
        (TaskName.POWER_LIMIT, {"watts": watts}, "watts")
        for watts in (0, -1, 99, 30_001, 99_999, 10**9, 3000.5, 3e3, "3000", True, "reset", [3000])
    ),
    *(
        (TaskName.POWER_LIMIT, {"percent": percent}, "percent")
        for percent in (0, -5, 101, 120, 50.0, "80", "default", True)
    ),
    (TaskName.POWER_LIMIT, {}, "watts"),
    (TaskName.POWER_LIMIT, {"watts": 3000, "percent": 80}, "watts and percent"),
    (TaskName.POOLS, {}, "pools"),
    (TaskName.POOLS, {"pools": []}, "pools"),
    (TaskName.POOLS, {"pools": [POOL] * 4}, "pools"),
    (TaskName.POOLS, {"pools": [{"url": " ", "user": "a"}]}, "pools.0.url"),
    *(
        (TaskName.POOLS, {"pools": [{"url": url, "user": "a"}]}, "pools.0.url")
        for url in (
            "notaurl",
            "pool.example.com:3333",
            "stratum+tcp://",
            "stratum+tcp://:3333",
            "://a:1",
            "1x://a:1",
            "stratum+tcp://a:0",
            "stratum+tcp://a:65536",
            "stratum+tcp://a:b",
            "stratum+tcp://a:",
            "stratum+tcp://a b:1",
            "stratum+tcp://a,b:1",
            "stratum+tcp://-a:1",
            "stratum+tcp://u@:1",
            "tcp://[::1",
            "tcp://[::x]:1",
            "stratum+tcp://a:1\n2",
            "javascript://x",
            "file:///etc/passwd",
            "stratum://a:1",
            "ftp://a:1",
        )
    ),
    *(
        (TaskName.POOLS, {"pools": [{**POOL, "user": user}]}, "pools.0.user")
        for user in ("", "  ", "farm\n.1", "farm.1\x00", "x" * 513)
    ),
    (TaskName.POOLS, {"pools": [{**POOL, "password": "a\rb"}]}, "pools.0.password"),
    (TaskName.POOLS, {"pools": [{**POOL, "password": "***"}]}, "pools.0.password"),
    (TaskName.POOLS, {"pools": [{**POOL, "url": "stratum+tcp://u:***@a:1"}]}, "pools.0.url"),
    (TaskName.POOLS, {"pools": [{**POOL, "user": "wallet:***@mail.example"}]}, "pools.0.user"),
    (TaskName.POOLS, {"pools": [{"url": "stratum+tcp://a:1"}]}, "pools.0.user"),
    (TaskName.POOL_LOCK, {"action": "seal", "url": "http://a/"}, "action"),
    (TaskName.POOL_LOCK, {"action": "lock"}, "firmware_url"),
    (TaskName.FIRMWARE, {}, "firmware_url"),
    (TaskName.FIRMWARE, {"firmware_url": "https://a/b", "firmware": "a"}, "firmware_url"),
    (TaskName.FIRMWARE, {"firmware": "a" * 65}, "firmware"),
    (TaskName.FIRMWARE, {"firmware": "..."}, "firmware"),
    (TaskName.FIRMWARE, {"firmware_url": "https://a/b?expires=1&sig=***"}, "firmware_url"),
    (TaskName.FIRMWARE, {"firmware_url": "file:///etc/passwd"}, "firmware_url"),
    (TaskName.FIRMWARE, {"firmware_url": "https://a/b", "sha256": "12"}, "sha256"),
    (
        TaskName.FIRMWARE,
        {"firmware_url": "https://a/b", "target_version": "2\x1b[2J"},
        "target_version",
    ),
    (TaskName.FIRMWARE, {"firmware_url": "https://u:***@a/b"}, "firmware_url"),
    (TaskName.FIRMWARE, {"firmware_url": "https://a:0/b"}, "firmware_url"),
    (TaskName.SELF_UPDATE, {"md5": "0a" * 17}, "md5"),
    (TaskName.SELF_UPDATE, {"md5": "zz" * 16}, "md5"),
    (TaskName.SELF_UPDATE, {"target_version": "v" * 201}, "target_version"),
    (TaskName.SELF_UPDATE, {"target_version": "v\n1"}, "target_version"),
    (TaskName.SELF_UPDATE, {"signature": "s\x07"}, "signature"),
    (TaskName.SCAN, {"ip_ranges": [{"range": "10.0.0.1", "id": "x" * 201}]}, "ip_ranges.0.id"),
    (
        TaskName.IP_DIAGNOSIS,
        {"custom_targets": [{"value": "10.0.0.1", "label": "a\tb"}]},
        "custom_targets.0.label",
    ),
    (TaskName.ASSET_UPDATE, {"status": "retired", "comment": "a\x1b[2Jb"}, "comment"),
    (TaskName.TAGS, {"add": ["a\nb"]}, "add.0"),
    (TaskName.TAGS, {"add": ["a\u2028b"]}, "add.0"),
    (TaskName.POOLS, {"pools": [{**POOL, "user": "a\ud800"}]}, "pools.0.user"),
    (TaskName.TAGS, {"remove": ["x" * 65]}, "remove.0"),
    (TaskName.ASSET_UPDATE, {"status": "lost in space"}, "status"),
    (TaskName.ASSET_DELETE, {"comment": "x" * 2001}, "comment"),
    (TaskName.TAGS, {"add": [""]}, "add.0"),
    (TaskName.TAGS, {"add": ["a"] * 51}, "add"),
    (TaskName.RECORD_DELETE, {"comment": 1}, "comment"),
]


def test_every_name_has_a_spec_under_its_own_name():
    assert set(SPECS) == set(TaskName)
    assert len(SPECS) == 17
    for name, spec in SPECS.items():
        assert spec.name is name
        assert (spec.limit_s > 0) == spec.by_agent


def test_only_what_happens_to_the_agent_itself_needs_no_miner():
    without = {name for name, spec in SPECS.items() if not spec.wants_miner}
    assert without == {TaskName.SCAN, TaskName.IP_DIAGNOSIS, TaskName.SELF_UPDATE}


def test_what_restarts_a_device_is_done_at_most_once():
    once = {name for name, spec in SPECS.items() if spec.kind is Kind.ONE_SHOT}
    assert once == {TaskName.REBOOT, TaskName.FIRMWARE, TaskName.SELF_UPDATE}


def test_a_task_that_waits_or_runs_has_not_ended():
    under_way = {TaskStatus.CREATED, TaskStatus.QUEUING, TaskStatus.PENDING}
    assert set(TaskStatus) - under_way == TERMINAL


def test_every_task_is_tried_with_good_parameters():
    assert {name for name, _, _ in GOOD} == set(TaskName)


@pytest.mark.parametrize(("name", "sent", "expected"), GOOD)
def test_good_parameters_are_taken_and_aliases_folded(
    name: TaskName, sent: dict[str, Any] | None, expected: dict[str, Any]
):
    found = parse_params(name, sent)
    for key, value in expected.items():
        assert getattr(found, key) == value


@pytest.mark.parametrize(("name", "sent", "named"), BAD)
def test_bad_parameters_are_refused_by_name(name: TaskName, sent: Any, named: str):
    with pytest.raises(ValueError) as info:
        parse_params(name, sent)
    message = str(info.value)
    assert message.startswith("params")
    assert named in message
    assert "pydantic" not in message


@pytest.mark.parametrize(
    "url",
    [
        "stratum+tcp://pool.example.com:3333", "stratum+ssl://a", "stratum2+tcp://a:1/9bXiEd8boQVhq7WddEcERUL5tyyJVFYd",
        "tcp://10.0.0.1:3333", "ssl://a:1", "https://a", "STRATUM+TCP://a:65535", "stratum+tcp://[::1]:1",
        "stratum+tls://a:1", "http://a_b.example:1", "stratum+tcp://wallet.worker:x@a:1", "tcp://w@a.",
    ],
)  # fmt: skip
def test_a_pool_of_a_known_scheme_is_taken_as_it_is_written(url: str):
    found: Any = parse_params(TaskName.POOLS, {"pools": [{"url": f" {url} ", "user": "a"}]})
    assert found.pools[0].url == url


@pytest.mark.parametrize(
    ("name", "sent", "words"),
    [
        (TaskName.POOLS, {"pools": []}, "params.pools: needs at least 1 entry"),
        (TaskName.POOLS, {}, "params.pools: is missing"),
        (TaskName.POOLS, {"pools": [{"url": "javascript://x", "user": "u"}]},
         "params.pools.0.url: 'javascript://x': the scheme must be one of stratum+tcp, stratum+ssl, stratum+tls, "),
        (TaskName.POOLS, {"pools": [POOL | {"password": "***"}]},
         "params.pools.0.password: a password is hidden; give the password itself"),
        (TaskName.LIGHT, {"action": "x"}, "params.action: must be 'on' or 'off'"),
        (TaskName.REBOOT, {"force": 1}, "params.force: must be true or false"),
        (TaskName.SELF_UPDATE, {"binary_url": "https://a/b"}, "params: signature is required with binary_url"),
        (TaskName.POWER_MODE, {"mode": "turbo"}, "params.mode: must be one of sleep, low, normal, high, or a preset"),
        (TaskName.POWER_LIMIT, {"watts": 99_999},
         'params.watts: must be a whole number of watts from 100 to 30000, or "default" for the limit that'),
        (TaskName.POWER_LIMIT, {"percent": 0}, "params.percent: must be a whole number from 1 to 100; 100 sets none"),
        (TaskName.POWER_LIMIT, {}, "params: give one of watts and percent, and not both"),
    ],
)  # fmt: skip
def test_a_problem_is_said_in_words_for_the_person_who_asked(
    name: TaskName, sent: dict[str, Any], words: str
):
    with pytest.raises(ValueError) as info:
        parse_params(name, sent)
    assert str(info.value).startswith(words)


def test_each_problem_has_its_sentence():
    with pytest.raises(ParamsError) as info:
        parse_params(TaskName.TAGS, {"add": [""], "remove": "x"})
    assert len(info.value.faults) == 2
    with pytest.raises(ParamsError) as info:
        parse_params(TaskName.POOLS, {"pools": [{"url": "pool.a:3333", "user": "u"}]})
    assert len(info.value.faults) == 1  # though there is a semicolon in it


STRICT = [each for each in TaskName if each is not TaskName.LOG]


def good_params(name: TaskName) -> dict[str, Any]:
    return next(sent for each, sent, _ in GOOD if each is name) or {}


@pytest.mark.parametrize("name", STRICT)
def test_a_key_that_is_not_known_is_refused_by_name(name: TaskName):
    with pytest.raises(ParamsError) as info:
        parse_params(name, {**good_params(name), "unheard_of": 1})
    (fault,) = info.value.faults
    assert fault.startswith("params.unheard_of: unknown key; known here: ")


@pytest.mark.parametrize(
    ("name", "sent", "fault"),
    [
        (TaskName.FIRMWARE, {"firmware_url": "https://a/b", "sha265": SHA}, "params.sha265: unknown key; did you mean sha256?"),
        (TaskName.FIRMWARE, {"firmware_ulr": "https://a/b"}, "params.firmware_ulr: unknown key; did you mean firmware_url?"),
        (TaskName.POOLS, {"pools": [POOL | {"pasword": "p"}]}, "params.pools.0.pasword: unknown key; did you mean password?"),
        (TaskName.POOLS, {"pools": [{"url": POOL["url"], "usr": "u"}]}, "params.pools.0.usr: unknown key; did you mean user?"),
        (TaskName.POOLS, {"pool": [POOL]}, "params.pool: unknown key; did you mean pools?"),
        (TaskName.REBOOT, {"Force": True}, "params.Force: unknown key; did you mean force?"),
        (TaskName.LIGHT, {"acton": "on"}, "params.acton: unknown key; did you mean action?"),
        (TaskName.LIGHT, {"moed": "on"}, "params.moed: unknown key; did you mean mode?"),
        (TaskName.LIGHT, {"action": "on", "mode": "off"}, "params.mode: says what another key says already; give one of them"),
        (TaskName.SCAN, {"ip_ranges": [{"rnage": "10.0.0.1"}]}, "params.ip_ranges.0.rnage: unknown key; did you mean range?"),
        (TaskName.TAGS, {"tags": ["a"]}, "params.tags: unknown key; known here: allow_maintenance, add, remove, comment"),
        (TaskName.REBOOT, {"a\x1b[2Jb": 1}, r"params.a\x1b[2Jb: unknown key; known here: allow_maintenance, force"),
    ],
)  # fmt: skip
def test_beside_a_key_that_is_not_known_stands_the_nearest_one_and_nothing_else(
    name: TaskName, sent: dict[str, Any], fault: str
):
    with pytest.raises(ParamsError) as info:
        parse_params(name, sent)
    assert info.value.faults == (fault,)


def test_a_log_is_asked_for_with_a_free_object_of_which_nothing_is_kept():
    found = parse_params(TaskName.LOG, {"lines": 100, "allow_maintenance": True})
    assert stored_params(TaskName.LOG, found) == {"allow_maintenance": True}


def test_nonce_takes_a_comment_beside_tags_and_does_nothing_with_it():
    found = parse_params(TaskName.TAGS, {"add": ["a"], "comment": "new row"})
    assert stored_params(TaskName.TAGS, found) == {"add": ["a"]}


@pytest.mark.parametrize("name", [each for each in TaskName if each.startswith("miner.")])
def test_every_task_of_a_miner_may_say_that_maintenance_is_no_hindrance(name: TaskName):
    sent = {**good_params(name), "allow_maintenance": True}
    found: Any = parse_params(name, sent)
    assert found.allow_maintenance is True
    assert (stored_params(name, found) or {})["allow_maintenance"] is True
    with pytest.raises(ParamsError, match=r"params\.allow_maintenance: must be true or false"):
        parse_params(name, sent | {"allow_maintenance": "yes"})


@pytest.mark.parametrize("name", STRICT)
def test_what_is_told_of_a_task_may_come_from_a_newer_version(name: TaskName):
    good = good_params(name)
    assert parse_reported_params(name, {**good, "unheard_of": 1}) == parse_params(name, good)


def test_what_is_told_of_a_task_has_its_passwords_hidden():
    told = {"pools": [{"url": "tcp://u:***@a:1", "user": "w", "password": "***"}]}
    assert stored_params(TaskName.POOLS, parse_reported_params(TaskName.POOLS, told)) == told
    with pytest.raises(ParamsError) as info:
        parse_params(TaskName.POOLS, told)
    assert len(info.value.faults) == 2


@pytest.mark.parametrize(
    "url",
    [
        "stratum+tcp://u:hunter2@a:0", "stratum+tcp://u:hun/ter2@a:1", "gopher://u:hunter2@a:1",
        "stratum+tcp://u:hun ter2@a:1", "stratum+tcp://u:hunter2@", "stratum+tcp://u:hu?nter2@a", "//u:hunter2@a", "u:hunter2@a:1",
    ],
)  # fmt: skip
def test_a_url_that_is_refused_is_not_quoted_with_its_password(url: str):
    with pytest.raises(ParamsError) as info:
        parse_params(TaskName.POOLS, {"pools": [{"url": url, "user": "w"}]})
    assert "ter2" not in str(info.value)
    assert "hun" not in str(info.value)


def test_however_many_keys_are_wrong_the_first_are_told():
    with pytest.raises(ParamsError) as info:
        parse_params(TaskName.REBOOT, {f"k{number}": 1 for number in range(5000)})
    assert len(info.value.faults) == 20


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip
KEYS = sorted({key for _, sent, _ in GOOD for key in sent or {}})


@given(st.sampled_from(TaskName), st.dictionaries(st.sampled_from(KEYS), json_values, max_size=4))
def test_whatever_is_sent_is_parameters_or_a_value_error(name: TaskName, sent: dict[str, Any]):
    try:
        found = parse_params(name, sent)
    except ValueError as error:
        said = str(error)
    else:
        assert type(found) is SPECS[name].params
        return
    assert said.startswith("params")


def test_the_ranges_of_a_scan_keep_their_order():
    params: Any = parse_params(
        TaskName.SCAN,
        {"ip_range": "10.0.0.1", "ip_ranges": [{"range": "10.0.2.0/24"}, {"range": "10.0.1.1-9"}]},
    )
    assert params.ranges == ("10.0.0.1", "10.0.2.0/24", "10.0.1.1-9")
    nothing: Any = parse_params(TaskName.SCAN, None)
    assert nothing.ranges == ()


def test_a_list_is_not_called_short_for_an_entry_that_was_refused() -> None:
    with pytest.raises(ValueError, match="is no url") as caught:
        parse_params(TaskName.POOLS, {"pools": [{"url": "pool.a:3333", "user": "u"}]})
    assert "needs at least" not in str(caught.value)


@pytest.mark.parametrize("name", TaskName)
def test_no_task_has_more_parameters_than_fit(name: TaskName) -> None:
    with pytest.raises(ValueError, match=f"more than the {PARAMS_MAX_BYTES}"):
        parse_params(name, {"junk": "x" * PARAMS_MAX_BYTES})
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    with pytest.raises(ValueError, match="nested"):
        parse_params(name, deep)
