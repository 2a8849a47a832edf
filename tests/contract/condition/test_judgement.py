"""What a miner does and what is wrong with it, from one look and what is known beside it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.condition.anomalies import full_power_w
from contract.condition.judgement import (
    WEIGHTS,
    MinerFacts,
    MinerState,
    MinerTrouble,
    WantedPools,
    condition_of,
    look_of,
    mask_of,
    pool_name,
    symptoms_of,
    usual_pools,
)
from contract.miner import (
    Algorithm,
    Board,
    BoardState,
    Make,
    MinerFault,
    Moving,
    Pool,
    PowerMode,
    Slow,
    Static,
)

TH = 1e12
BOARDS = tuple(Board(index=i, hashrate_hs=36 * TH, chips=110, chips_expected=110) for i in range(3))
POOLS = (
    Pool(index=0, url="stratum+tcp://one.test:3333", user="farm.7", status="alive", active=True),
    Pool(index=1, url="stratum+tcp://two.test:443", user="farm.7", status="alive", active=False),
)
MOVING = Moving(
    hashrate_hs=108 * TH,
    power_w=3300.0,
    temp_chip_c=70.0,
    fan_rpm=(6000, 6000, 6000, 6000),
    uptime_s=86_400.0,
    boards=BOARDS,
    pools=POOLS,
)
SLOW = Slow(mode=PowerMode.NORMAL)
STATIC = Static(
    make=Make.ANTMINER, model="S19", algorithm=Algorithm.SHA256, hashrate_ideal_hs=110 * TH
)


def changed(record: Any, **changes: Any) -> Any:
    return msgspec.structs.replace(record, **changes)


def facts(moving: Moving = MOVING, slow: Slow = SLOW, static: Static = STATIC, **more: Any) -> Any:
    return MinerFacts(look=look_of(moving, slow, static), **more)


def told(known: MinerFacts) -> dict[str, str]:
    return {each.trouble.value: each.words for each in condition_of(known).symptoms}


def test_a_miner_that_hashes_as_it_should_has_nothing_wrong():
    seen = condition_of(facts())
    assert (seen.state, seen.symptoms, seen.weight, seen.words) == (MinerState.HASHING, (), 0.0, "")
    assert (seen.hashrate_hs, seen.expected_hs, seen.power_w) == (108 * TH, 110 * TH, 3300.0)
    assert seen.expected_w is None  # neither a limit nor one nameplate


WRONG: tuple[tuple[str, str, Any], ...] = (
    ("hot", "chip 97 degC", facts(changed(MOVING, temp_chip_c=97.0))),
    ("hot", "board 88 degC", facts(changed(MOVING, temp_board_c=88.4))),
    ("low rate", "61 % of 110 TH/s", facts(changed(MOVING, hashrate_hs=67.1 * TH))),
    ("low rate", "0 % of 110 TH/s", facts(changed(MOVING, hashrate_hs=0.0, boards=()))),
    (
        "low rate",
        "70 % of 82.5 TH/s",
        facts(changed(MOVING, hashrate_hs=57.75 * TH), Slow(mode=PowerMode.LOW)),
    ),
    (
        "low rate",
        "50 % of 8 TH/s",
        facts(
            changed(MOVING, hashrate_hs=4 * TH),
            static=Static(make=Make.ICERIVER, model="KS3"),
        ),
    ),
    (
        "low rate",
        "hashes nothing",
        facts(changed(MOVING, hashrate_hs=0.0, boards=()), static=Static(make=Make.UNKNOWN)),
    ),
    (
        "board lost",
        "board 2 of 3 hashes nothing",
        facts(changed(MOVING, boards=(BOARDS[0], changed(BOARDS[1], hashrate_hs=0.0), BOARDS[2]))),
    ),
    (
        "board lost",
        "board 1 of 3 has 98 of 110 chips, and 1 more",
        facts(
            changed(
                MOVING,
                boards=(changed(BOARDS[0], chips=98), BOARDS[1], changed(BOARDS[2], state=BoardState.BAD)),
            )
        ),
    ),
    ("fan", "fan 2 of 4 stands still", facts(changed(MOVING, fan_rpm=(6000, 0, 6000, 6000)))),
    (
        "fan",
        "Fan 3 speed error (code 131)",
        facts(slow=changed(SLOW, faults=(MinerFault(code="131", text="Fan  3\nspeed error"),))),
    ),
    (
        "fault",
        "eth0 lost its link (code 9)",
        facts(slow=changed(SLOW, faults=(MinerFault(code="9", text="eth0 lost its link"),))),
    ),
    (
        "no pool",
        "none of its 2 pools is alive",
        facts(changed(MOVING, pools=tuple(changed(pool, status="dead") for pool in POOLS))),
    ),
    (
        "power",
        "3300 W of a limit of 2800 W",
        facts(slow=changed(SLOW, power_limit_w=2800.0)),
    ),
    ("wrong password", "its login was refused", facts(login_refused=True)),
    ("duplicate", "10.0.0.7 shows the same MAC", facts(twin_ips=("10.0.0.7",))),
    ("duplicate", "another device shows the same MAC", facts(is_duplicate=True)),
    (
        "unreachable",
        "cannot be read for 12 min: malformed reply",
        facts(answers=False, silent_s=720.0, error="malformed_reply"),
    ),
    ("unreachable", "does not answer", facts(answers=False)),
    (
        "unreachable",
        "does not answer for 2 h",
        facts(answers=False, silent_s=7300.0, error="unreachable"),
    ),
    ("stale", "not looked at for 3 days", facts(is_stale=True, silent_s=3.5 * 86_400)),
    (
        "wrong pool",
        "hashes to one.test/farm, its last pool task set new.test/farm",
        facts(wanted=WantedPools(("new.test/farm",), "its last pool task set")),
    ),
)  # fmt: skip


@pytest.mark.parametrize(("trouble", "words", "known"), WRONG)
def test_each_trouble_is_said_in_words(trouble: str, words: str, known: MinerFacts):
    assert told(known)[trouble] == words
    assert condition_of(known).weight > 0


def test_every_trouble_has_a_case_here_and_a_weight():
    assert {trouble for trouble, _, _ in WRONG} == {each.value for each in MinerTrouble}
    assert set(WEIGHTS) == set(MinerTrouble)


def test_a_miner_that_sleeps_is_not_broken():
    asleep = changed(
        MOVING,
        hashrate_hs=0.0,
        fan_rpm=(0, 0, 0, 0),
        boards=tuple(
            changed(board, hashrate_hs=0.0, chips=0, state=BoardState.BAD) for board in BOARDS
        ),
        pools=tuple(changed(pool, status="dead") for pool in POOLS),
    )
    seen = condition_of(
        facts(
            asleep,
            Slow(mode=PowerMode.SLEEP, power_limit_w=3300.0),
            wanted=WantedPools(("new.test/farm",), "all hash to"),
        )
    )
    assert (seen.state, seen.symptoms) == (MinerState.SLEEPING, ())
    assert (seen.expected_hs, seen.expected_w) == (0.0, 0.0)


def test_a_fault_that_a_sleeping_miner_tells_is_one():
    known = facts(
        changed(MOVING, hashrate_hs=0.0),
        Slow(mode=PowerMode.SLEEP, faults=(MinerFault(code="217", text="Slot 1 not detected"),)),
    )
    assert told(known) == {"board lost": "Slot 1 not detected (code 217)"}


def test_a_hint_of_the_maker_is_no_fault():
    hint = MinerFault(code="1", text="fan speed is high", severity="info")
    assert told(facts(slow=changed(SLOW, faults=(hint,)))) == {}


def test_a_miner_that_has_just_started_is_not_broken():
    starts = changed(MOVING, uptime_s=60.0, hashrate_hs=0.0, fan_rpm=(0, 0, 0, 0), power_w=100.0)
    seen = condition_of(facts(starts, changed(SLOW, power_limit_w=3300.0)))
    assert (seen.state, seen.symptoms) == (MinerState.STARTING, ())


def test_a_miner_in_maintenance_is_not_broken_and_nothing_is_expected_of_it():
    seen = condition_of(
        facts(
            changed(MOVING, temp_chip_c=120.0),
            in_maintenance=True,
            answers=False,
            is_stale=True,
            login_refused=True,
            twin_ips=("10.0.0.7",),
        )
    )
    assert (seen.state, seen.symptoms, seen.expected_hs) == (MinerState.MAINTENANCE, (), None)


def test_a_miner_that_was_never_read_is_not_yet_seen():
    for answers in (True, False):
        seen = condition_of(MinerFacts(answers=answers))
        assert (seen.state, seen.symptoms) == (MinerState.UNSEEN, ())


def test_one_that_was_never_read_because_its_login_is_refused_is_told():
    seen = condition_of(MinerFacts(answers=False, login_refused=True, error="auth_failed"))
    assert (seen.state, seen.words) == (MinerState.UNREACHABLE, "its login was refused")


def test_figures_of_a_miner_that_does_not_answer_are_not_told():
    seen = condition_of(facts(changed(MOVING, temp_chip_c=120.0), answers=False))
    assert seen.state is MinerState.UNREACHABLE
    assert (seen.hashrate_hs, seen.power_w, seen.expected_hs) == (None, None, 110 * TH)
    assert [each.trouble for each in seen.symptoms] == [MinerTrouble.UNREACHABLE]


def test_an_idle_miner_without_a_word_of_its_rate_is_idle():
    seen = condition_of(facts(Moving(), Slow(), Static(make=Make.UNKNOWN)))
    assert (seen.state, seen.symptoms) == (MinerState.IDLE, ())


def test_a_rate_that_contradicts_itself_still_shows_that_it_hashes():
    doubted = Moving(hashrate_doubt="boards and whole differ", uptime_s=86_400.0)
    assert condition_of(facts(doubted)).state is MinerState.HASHING


def test_an_awake_miner_that_hashes_nothing_is_idle():
    seen = condition_of(facts(changed(MOVING, hashrate_hs=TH, boards=())))
    assert (seen.state, seen.words) == (MinerState.IDLE, "1 % of 110 TH/s")


def test_watts_are_expected_by_the_limit_or_else_by_the_nameplate():
    limited = look_of(MOVING, Slow(power_limit_w=3000.0), STATIC)
    of_model = look_of(MOVING, Slow(mode=PowerMode.LOW), Static(make=Make.ICERIVER, model="KS3M"))
    assert (limited.expected_w, of_model.expected_w) == (3000.0, 2550.0)
    assert of_model.expected_hs == 4.5 * TH


LIMITED = Slow(mode=PowerMode.NORMAL, power_limit_w=2400.0, power_share=0.7)


def test_of_a_miner_that_is_limited_less_is_expected():
    seen = condition_of(facts(changed(MOVING, hashrate_hs=80 * TH, power_w=2390.0), LIMITED))
    assert (seen.symptoms, seen.expected_hs) == ((), pytest.approx(77 * TH))
    assert seen.expected_w == 2400.0
    # Anything from there up to all of its rate is well: with less power it hashes more for each watt.
    for rate in (62 * TH, 110 * TH):
        assert told(facts(changed(MOVING, hashrate_hs=rate, power_w=2390.0), LIMITED)) == {}


def test_a_limit_is_no_excuse_for_everything():
    broken = changed(MOVING, hashrate_hs=50 * TH, power_w=2390.0)
    assert told(facts(broken, LIMITED)) == {"low rate": "65 % of 77 TH/s"}
    assert told(facts(changed(MOVING, power_w=3300.0), LIMITED)) == {
        "power": "3300 W of a limit of 2400 W"
    }


def test_a_percentage_is_taken_off_the_limit_in_watts():
    slow = Slow(power_limit_w=3600.0, power_percent=50.0, power_share=0.5)
    known = facts(changed(MOVING, hashrate_hs=56 * TH, power_w=1700.0), slow)
    assert (told(known), condition_of(known).expected_w) == ({}, 1800.0)
    for power_w, words in (
        (2200.0, "2200 W of a limit of 1800 W"),
        (900.0, "900 W of a limit of 1800 W"),
    ):
        known = facts(changed(MOVING, power_w=power_w), slow)
        assert told(known) == {"power": words}


def test_of_a_model_by_its_nameplate_less_is_expected_too():
    look = look_of(MOVING, Slow(power_share=0.5), Static(make=Make.ICERIVER, model="KS3M"))
    assert (look.expected_hs, look.expected_w) == (3 * TH, 1700.0)


def test_a_limit_in_mode_low_counts_on_top():
    slow = Slow(mode=PowerMode.LOW, power_limit_w=3600.0, power_percent=80.0, power_share=0.8)
    known = facts(changed(MOVING, hashrate_hs=66 * TH, power_w=1900.0), slow)
    assert (told(known), condition_of(known).expected_hs) == ({}, pytest.approx(66 * TH))
    sleeping = look_of(MOVING, Slow(mode=PowerMode.SLEEP, power_share=0.8), STATIC)
    assert (sleeping.expected_hs, sleeping.expected_w) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("slow", "full_w"),
    [
        (Slow(power_limit_w=2700.0, power_share=0.75), 3600.0),
        (Slow(power_limit_w=3600.0, power_percent=60.0, power_share=0.6), 3600.0),
        (Slow(power_limit_w=2700.0, power_percent=50.0, power_share=0.375), 3600.0),
        (Slow(power_limit_w=3600.0), 3600.0),
        (Slow(power_limit_w=3600.0, power_share=-1.0), 3600.0),
        (Slow(power_share=0.5), None),
        (None, None),
    ],
)
def test_its_full_power_follows_from_what_it_is_limited_to(slow: Slow | None, full_w: float | None):
    assert full_power_w(slow) == full_w


@pytest.mark.parametrize("share", [0.0, -0.5, 1.0, 1.5, 1e9, float("nan"), float("inf"), None])
def test_a_share_that_can_be_none_limits_nothing(share: float | None):
    percent = None if share is None else 100 * share
    slow = Slow(power_limit_w=3600.0, power_share=share, power_percent=percent)
    look = look_of(changed(MOVING, hashrate_hs=70 * TH), slow, STATIC)
    assert (look.expected_hs, look.expected_w) == (110 * TH, 3600.0)
    assert [each.trouble for each in look.symptoms] == [MinerTrouble.LOW_RATE]


def test_the_meter_that_is_asked_seldom_counts_while_it_hashes():
    look = look_of(changed(MOVING, power_w=None), Slow(metered_power_w=3250.0), STATIC)
    assert look.power_w == 3250.0
    assert look_of(changed(MOVING, power_w=None), SLOW, STATIC).power_w is None


def test_the_worst_come_first():
    by_weight = [
        facts(changed(MOVING, temp_chip_c=97.0)),
        facts(answers=False),
        facts(changed(MOVING, hashrate_hs=0.0, boards=())),
        facts(changed(MOVING, hashrate_hs=60 * TH)),
        facts(changed(MOVING, fan_rpm=(0,))),
        facts(is_stale=True),
        facts(),
    ]
    weights = [condition_of(known).weight for known in by_weight]
    assert weights == sorted(weights, reverse=True)
    assert len(set(weights)) == len(weights)


def test_symptoms_are_told_in_one_order_and_survive_as_bits():
    known = facts(
        changed(MOVING, temp_chip_c=97.0, hashrate_hs=0.0, fan_rpm=(0,), boards=()),
        twin_ips=("10.0.0.7",),
        login_refused=True,
    )
    kinds = [each.trouble for each in condition_of(known).symptoms]
    assert kinds == ["wrong password", "hot", "low rate", "duplicate"]
    bits = mask_of(condition_of(known).symptoms)
    assert [each.trouble for each in symptoms_of(bits)] == kinds
    assert mask_of(symptoms_of(bits)) == bits


# --- pools ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "user", "name"),
    [
        ("stratum+tcp://Pool.Test:3333", "farm.worker", "pool.test/farm"),
        ("pool.test:3333", "farm", "pool.test/farm"),
        ("stratum+ssl://pool.test", None, "pool.test"),
        ("stratum+tcp://****@pool.test:3333/path", "", "pool.test"),
        ("stratum+tcp://[fd00::1]:3333", "a.b.c", "[fd00::1]/a"),
        ("", None, ""),
    ],
)
def test_a_pool_is_called_by_its_host_and_its_account(url: str, user: str | None, name: str):
    assert pool_name(url, user) == name


@pytest.mark.parametrize(
    ("pools", "name"),
    [
        (POOLS, "one.test/farm"),
        ((changed(POOLS[0], active=False), changed(POOLS[1], active=True)), "two.test/farm"),
        (tuple(changed(each, active=None) for each in POOLS), "one.test/farm"),
        ((changed(POOLS[0], active=None, status="dead"), changed(POOLS[1], active=None)), "two.test/farm"),
        ((changed(POOLS[0], active=None, priority=2), changed(POOLS[1], active=None, priority=1)), "two.test/farm"),
        ((changed(POOLS[0], active=None, status=None),), None),
        ((), None),
    ],
)  # fmt: skip
def test_the_pool_in_use_is_the_one_that_counts(pools: tuple[Pool, ...], name: str | None):
    assert look_of(changed(MOVING, pools=pools), SLOW, STATIC).pool == name


def test_a_pool_is_wrong_where_nearly_all_others_hash_elsewhere():
    usual = usual_pools({("sha256", "a/x"): 97, ("sha256", "b/x"): 3, ("scrypt", "b/x"): 5})
    assert usual["sha256"] == WantedPools(("a/x",), "97 % of all hash to")
    assert usual["scrypt"].pools == ("b/x",)
    known = facts(wanted=usual["sha256"])
    assert told(known)["wrong pool"] == "hashes to one.test/farm, 97 % of all hash to a/x"


def test_a_farm_that_is_divided_has_no_usual_pool():
    assert usual_pools({("sha256", "a"): 89, ("sha256", "b"): 11}) == {}
    assert usual_pools({}) == {}


def test_any_pool_that_was_set_will_do():
    wanted = WantedPools(("zero.test/farm", "one.test/farm"), "its last pool task set")
    assert told(facts(wanted=wanted)) == {}


# --- words ---------------------------------------------------------------------------------------


rates = st.none() | st.floats(0, 1e18)
temps = st.none() | st.floats(-60, 300)


@given(
    st.builds(
        Moving,
        hashrate_hs=rates,
        power_w=st.none() | st.floats(0, 1e5),
        temp_chip_c=temps,
        temp_board_c=temps,
        fan_rpm=st.lists(st.integers(0, 9000), max_size=3).map(tuple),
        uptime_s=st.none() | st.floats(0, 1e8),
        boards=st.lists(
            st.builds(
                Board,
                index=st.integers(0, 3),
                hashrate_hs=rates,
                chips=st.none() | st.integers(0, 300),
                chips_expected=st.none() | st.integers(0, 300),
                temp_pcb_c=temps,
                state=st.sampled_from((None, "ok", "bad", "off")),
            ),
            max_size=3,
        ).map(tuple),
        pools=st.lists(
            st.builds(
                Pool,
                index=st.integers(0, 2),
                url=st.text(max_size=20),
                user=st.none() | st.text(max_size=10),
                status=st.sampled_from((None, "alive", "dead")),
                active=st.sampled_from((None, True, False)),
            ),
            max_size=3,
        ).map(tuple),
    ),
    st.none()
    | st.builds(
        Slow,
        mode=st.none() | st.sampled_from(PowerMode),
        power_limit_w=st.none() | st.floats(0, 1e5),
        power_percent=st.none() | st.floats(),
        power_share=st.none() | st.floats(),
    ),
    st.none() | st.builds(Static, make=st.sampled_from(Make), hashrate_ideal_hs=rates),
    st.builds(
        dict, answers=st.booleans(), is_stale=st.booleans(), in_maintenance=st.booleans(),
        login_refused=st.booleans(), silent_s=st.none() | st.floats(-1e9, 1e9),
    ),
)  # fmt: skip
def test_whatever_is_known_gives_one_state_and_each_trouble_once(
    moving: Moving, slow: Slow | None, static: Static | None, beside: dict[str, Any]
):
    seen = condition_of(MinerFacts(look=look_of(moving, slow, static), **beside))
    kinds = [each.trouble for each in seen.symptoms]
    assert len(kinds) == len(set(kinds))
    assert (seen.weight > 0) == bool(kinds)
    assert all(each.words and each.words.isprintable() for each in seen.symptoms)
    if beside["in_maintenance"]:
        assert kinds == []
