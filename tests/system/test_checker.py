"""The checker itself: what it must see, each on the smallest case that shows it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from contract.task import TaskName
from tests.system.checker import Figures, check
from tests.system.facts import Origin, RigParts
from tests.system.witness import Entry, Group, Kill, Part, Row, Shown

MAC, IP = "02:00:00:00:00:01", "127.0.0.9"


def entry(t: float, action: str, phase: str, n: int, **more: Any) -> Entry:
    after = more.pop("after", {"boot": n} if phase == "applied" else {})
    return Entry(t, MAC, IP, action, phase, more.pop("before", {}), after, 1, n, **more)


REBOOTED = [entry(10.1, "reboot", "received", 1), entry(10.2, "reboot", "applied", 2)]


def row(**more: Any) -> Row:
    values: dict[str, Any] = {
        "task_id": "a", "name": TaskName.REBOOT, "state": "reported", "params": {}, "mac": MAC, "ip": IP,
        "status": "succeed", "intent_t": 10.0, "settled_t": 12.0, "result": {"outcome": "done"},
    }  # fmt: skip
    return Row(**(values | more))


def shown(**more: Any) -> Shown:
    values: dict[str, Any] = {
        "task_id": "a", "batch_id": "b", "name": TaskName.REBOOT, "status": "succeed",
        "result": {"outcome": "done"},
    }  # fmt: skip
    return Shown(**(values | more))


def kinds(figures: Figures) -> dict[str, int]:
    names = ("lost", "twice", "false_succeed", "false_not_done", "unclaimed", "torn", "early")
    return {name: getattr(figures, name) for name in names if getattr(figures, name)}


def test_a_clean_history_has_no_finding() -> None:
    figures = check(REBOOTED, [row()], [shown()], promised={"b": 1})
    assert kinds(figures) == {} and figures.effects == 1 and figures.tasks == 1


def test_a_task_that_never_ends_is_lost() -> None:
    assert kinds(check([], [], [shown(status="queuing", result=None)])) == {"lost": 1}


def test_an_outcome_that_did_not_reach_the_cloud_is_lost() -> None:
    assert kinds(check(REBOOTED, [row()], [])) == {"lost": 1}


def test_a_batch_that_was_taken_and_is_gone_is_lost() -> None:
    assert kinds(check([], [], [], promised={"gone": 2})) == {"lost": 2}


def test_another_end_in_the_cloud_than_in_the_journal_is_lost() -> None:
    other = shown(status="failed", result={"outcome": "unknown"})
    assert kinds(check(REBOOTED, [row()], [other])) == {"lost": 1}


def test_a_reboot_that_reached_the_miner_twice_is_seen_even_if_it_booted_once() -> None:
    again = [*REBOOTED, entry(10.3, "reboot", "received", 3)]
    assert kinds(check(again, [row()], [shown()])) == {"twice": 1}


def test_pools_that_come_along_with_a_mode_are_no_ones_only_if_they_change() -> None:
    mode = row(name=TaskName.POWER_MODE, state="intent", status=None, settled_t=None, result=None)
    told = shown(name=TaskName.POWER_MODE, status="failed", result={"outcome": "unknown"})
    slots = {"pools": [{"url": "stratum+tcp://a.example:1"}]}
    same = entry(10.1, "pools", "received", 1, before=slots, after=slots)
    assert kinds(check([same], [mode], [told])) == {}
    other = entry(10.1, "pools", "received", 1, before=slots, after={"pools": []})
    assert kinds(check([other], [mode], [told])) == {"unclaimed": 1}


def test_two_reboots_of_two_tasks_are_fine() -> None:
    ledger = [
        *REBOOTED, entry(20.1, "reboot", "received", 3), entry(20.2, "reboot", "applied", 4)
    ]  # fmt: skip
    second = row(task_id="c", intent_t=20.0, settled_t=21.0)
    figures = check(ledger, [row(), second], [shown(), shown(task_id="c")])
    assert kinds(figures) == {}


def test_a_setting_may_be_asked_for_again_but_not_changed_twice() -> None:
    light = row(name=TaskName.LIGHT, params={"action": "on"})
    seen = shown(name=TaskName.LIGHT)
    on = {"before": {"on": False}, "after": {"on": True}}
    once = [
        entry(10.1, "light", "received", 1),
        entry(10.2, "light", "applied", 2, **on),
        entry(11.1, "light", "received", 3),
        entry(11.2, "light", "applied", 4, before={"on": True}, after={"on": True}),
    ]
    assert kinds(check(once, [light], [seen])) == {}
    off = entry(11.5, "light_timeout", "applied", 5, before={"on": True}, after={"on": False})
    again = entry(11.6, "light", "applied", 6, **on)
    assert kinds(check([*once, off, again], [light], [seen])) == {}  # it had gone out by itself
    more = entry(11.5, "light", "applied", 5, before={"on": True}, after={"on": "brighter"})
    assert kinds(check([*once, more], [light], [seen])) == {"twice": 1}


@pytest.mark.parametrize(("before_s", "wrong"), [(0.5, {}), (1.5, {"false_succeed": 1})])
def test_a_light_may_go_out_by_itself_between_the_look_and_the_end_of_its_task(
    before_s: float, wrong: dict[str, int]
) -> None:
    light = row(name=TaskName.LIGHT, params={"action": "on"})
    assert light.settled_t is not None
    ended_t = light.settled_t - before_s
    ledger = [
        entry(10.1, "light", "applied", 1, before={"on": False}, after={"on": True}),
        entry(ended_t, "light_timeout", "applied", 2, before={"on": True}, after={"on": False}),
    ]
    assert kinds(check(ledger, [light], [shown(name=TaskName.LIGHT)])) == wrong
    by_order = msgspec.structs.replace(ledger[1], action="light")
    assert "false_succeed" in kinds(
        check([ledger[0], by_order], [light], [shown(name=TaskName.LIGHT)])
    )


def test_success_without_an_effect_is_false() -> None:
    assert kinds(check([], [row()], [shown()])) == {"false_succeed": 1}


def test_success_told_before_the_effect_is_false() -> None:
    late = [entry(10.1, "reboot", "received", 1), entry(12.5, "reboot", "applied", 2)]
    assert kinds(check(late, [row()], [shown()])) == {"false_succeed": 1}


@pytest.mark.parametrize(("mode", "wrong"), [("1", {}), ("0", {"false_succeed": 1})])
def test_success_of_a_setting_needs_the_state_it_asked_for(
    mode: str, wrong: dict[str, int]
) -> None:
    asleep = row(name=TaskName.POWER_MODE, params={"mode": "sleep"})
    ledger = [entry(10.2, "mode", "applied", 1, before={"mode": "3"}, after={"mode": mode})]
    assert kinds(check(ledger, [asleep], [shown(name=TaskName.POWER_MODE)])) == wrong


@pytest.mark.parametrize("action", ["off", "on"])
@pytest.mark.parametrize(
    ("last", "after", "shows"),
    [
        ("power_off", {"mining": False}, "off"),
        ("power_on", {"mining": True}, "on"),
        ("mode", {"mode": "1"}, "off"),
        ("mode", {"mode": "254"}, "off"),
        ("mode", {"mode": "sleep"}, "off"),
        ("mode", {"mode": "3"}, "on"),
    ],
)
def test_success_of_a_switch_needs_what_its_make_does_for_it(
    action: str, last: str, after: dict[str, Any], shows: str
) -> None:
    switch = row(name=TaskName.MINING, params={"action": action})
    ledger = [entry(10.2, last, "applied", 1, before={"was": "other"}, after=after)]
    wrong = {} if action == shows else {"false_succeed": 1}
    assert kinds(check(ledger, [switch], [shown(name=TaskName.MINING)])) == wrong


@pytest.mark.parametrize(
    ("asked", "last", "is_so"),
    [
        (2600, 2600, True),
        (2600, 3000, False),
        ("default", 0, True),
        (3600, 0, True),
        (3500, 0, False),
    ],
)
def test_success_of_a_power_limit_needs_that_limit(
    asked: int | str, last: int, is_so: bool
) -> None:
    limited = row(name=TaskName.POWER_LIMIT, params={"watts": asked})
    ledger = [entry(10.2, "power_limit", "applied", 1, after={"power_limit": last})]
    told = [shown(name=TaskName.POWER_LIMIT)]
    found = kinds(check(ledger, [limited], told, origin=Origin(limits_w={MAC: 3600})))
    assert found == ({} if is_so else {"false_succeed": 1})


def test_a_boot_switches_mining_on_again() -> None:
    off = row(name=TaskName.MINING, params={"action": "off"})
    by_itself = entry(11.0, "reboot", "applied", 2, before={"boot": 1})
    ledger = [
        entry(10.2, "power_off", "applied", 1, before={"mining": True}, after={"mining": False}),
        by_itself,
    ]
    found = kinds(check(ledger, [off], [shown(name=TaskName.MINING)]))
    assert found == {"false_succeed": 1, "unclaimed": 1}


XMRIG, LOLMINER = "xmrig", "lolminer"
FIRST, SECOND = "00000000:03:00.0", "00000000:05:00.0"
A_RIG = Origin(rigs={MAC: RigParts(programs=(XMRIG, LOLMINER), limits_w={FIRST: 370, SECOND: 370})})


def of_program(t: float, action: str, n: int, program: str, **more: Any) -> list[Entry]:
    """An order to a program of a rig, and what it did."""
    key, value = {
        "pause": ("paused", True), "resume": ("paused", False), "stop": ("active", False), "start": ("active", True),
    }[action]  # fmt: skip
    facts: dict[str, Any] = {"before": {key: not value}, "after": {key: value}} | more
    return [
        entry(t, action, "received", n, program=program),
        entry(t + 0.1, action, "applied", n + 1, program=program, **facts),
    ]


def of_card(t: float, n: int, bus_id: str, watts: int, before: int = 370) -> list[Entry]:
    """A power limit of a card of a rig, asked for and set."""
    facts: dict[str, Any] = {"before": {"watts": before}, "after": {"watts": watts}}
    return [
        entry(t, "power_limit", phase, n + at, bus_id=bus_id, **facts)
        for at, phase in enumerate(("received", "applied"))
    ]


def of_rig(ledger: list[Entry], name: TaskName, **params: Any) -> dict[str, int]:
    """What is found in a task of a rig that succeeds."""
    return kinds(check(ledger, [row(name=name, params=params)], [shown(name=name)], origin=A_RIG))


OFF = [*of_program(10.1, "pause", 1, XMRIG), *of_program(10.3, "stop", 3, LOLMINER)]
BACK = [*of_program(10.1, "resume", 11, XMRIG), *of_program(10.3, "start", 13, LOLMINER)]


def test_mining_of_a_rig_is_that_of_all_its_programs() -> None:
    assert of_rig(OFF, TaskName.MINING, action="off") == {}
    assert of_rig(OFF[:2], TaskName.MINING, action="off") == {"false_succeed": 1}
    assert of_rig([], TaskName.MINING, action="on") == {}
    assert of_rig(BACK, TaskName.MINING, action="on") == {}
    ended = [each for each in OFF if each.phase == "applied"]
    early = [msgspec.structs.replace(each, t=each.t - 9.0, by="itself") for each in ended]
    assert of_rig(early, TaskName.MINING, action="on") == {"false_succeed": 1}
    assert of_rig([*early, *BACK], TaskName.MINING, action="on") == {}


def test_an_order_to_a_program_that_is_the_wrong_way_round_is_nobodys() -> None:
    assert of_rig(BACK, TaskName.MINING, action="off") == {"false_succeed": 1, "unclaimed": 4}
    assert of_rig(OFF[:2], TaskName.MINING, action="on") == {"false_succeed": 1, "unclaimed": 2}
    anew = [*of_program(10.1, "stop", 1, LOLMINER), *of_program(10.3, "start", 3, LOLMINER)]
    assert of_rig(anew, TaskName.MINING, action="on") == {}


def test_a_program_that_was_paused_twice_is_seen_and_two_programs_are_not_twice_one() -> None:
    harder = {"before": {"paused": True}, "after": {"paused": "more"}}
    again = of_program(10.6, "pause", 5, XMRIG, **harder)
    assert of_rig([*OFF, *again], TaskName.MINING, action="off") == {"twice": 1}
    both = [*of_program(10.1, "stop", 1, XMRIG), *of_program(10.3, "stop", 3, LOLMINER)]
    assert of_rig(both, TaskName.MINING, action="off") == {}


def test_what_a_rig_does_by_itself_after_a_boot_is_nobodys_order_and_undoes_what_was_set() -> None:
    boot = [
        entry(t, "reboot", phase, int(10 * t)) for t, phase in ((0.1, "received"), (0.2, "applied"))
    ]
    booted = row(task_id="c", intent_t=0.0, settled_t=9.0)
    begun = of_program(11.0, "start", 20, LOLMINER)[1:]
    by_boot = [msgspec.structs.replace(each, by="boot") for each in begun]
    off = row(name=TaskName.MINING, params={"action": "off"})
    told = [shown(name=TaskName.MINING), shown(task_id="c")]
    assert kinds(check([*boot, *OFF], [booted, off], told, origin=A_RIG)) == {}
    late = [msgspec.structs.replace(each, t=each.t + 11.0) for each in boot]
    rebooting = row(task_id="c", intent_t=11.0, settled_t=12.0)
    found = check([*OFF, *late, *by_boot], [off, rebooting], told, origin=A_RIG)
    assert kinds(found) == {"false_succeed": 1}
    assert found.rig_effects == {"pause": 1, "stop": 1, "reboot": 1}


@pytest.mark.parametrize(
    ("params", "first", "second", "is_so"),
    [
        ({"watts": 500}, 250, 250, True),
        ({"watts": 500}, 250, 370, False),
        ({"watts": "default"}, 370, 370, True),
        ({"watts": "default"}, 370, 369, False),
        ({"percent": 60}, 222, 222, True),
        ({"percent": 60}, 222, 370, False),
    ],
)
def test_a_power_limit_of_a_rig_is_that_of_all_its_cards(
    params: dict[str, Any], first: int, second: int, is_so: bool
) -> None:
    ledger = [*of_card(10.1, 1, FIRST, first), *of_card(10.3, 3, SECOND, second)]
    wrong = {} if is_so else {"false_succeed": 1}
    assert of_rig(ledger, TaskName.POWER_LIMIT, **params) == wrong
    if 370 not in (first, second):
        boot = entry(11.0, "reboot", "applied", 9)
        assert of_rig([*ledger, boot], TaskName.POWER_LIMIT, **params) == {
            "false_succeed": 1, "unclaimed": 1,
        }  # fmt: skip


def test_a_card_that_was_limited_twice_is_seen() -> None:
    ledger = [*of_card(10.1, 1, FIRST, 250), *of_card(10.3, 3, FIRST, 251, before=249)]
    assert of_rig(ledger, TaskName.POWER_LIMIT, watts=621) == {}  # it had been undone in between
    ledger = [*of_card(10.1, 1, FIRST, 250), *of_card(10.3, 3, FIRST, 251, before=250)]
    assert of_rig(ledger, TaskName.POWER_LIMIT, watts=621) == {"twice": 1}


@pytest.mark.parametrize(
    ("name", "params"),
    [
        (TaskName.LIGHT, {"action": "off"}),
        (TaskName.POWER_MODE, {"mode": "normal"}),
        (TaskName.POOLS, {"pools": []}),
    ],
)
def test_a_rig_that_did_what_no_rig_can_did_not(name: TaskName, params: dict[str, Any]) -> None:
    assert of_rig([], name, **params) == {"false_succeed": 1}


def test_not_done_of_what_happened_is_false() -> None:
    result = {"outcome": "not_done"}
    denied = row(status="failed", result=result)
    assert kinds(check(REBOOTED, [denied], [shown(status="failed", result=result)])) == {
        "false_not_done": 1
    }


def test_unknown_of_what_happened_is_honest() -> None:
    result = {"outcome": "unknown"}
    figures = check(
        REBOOTED,
        [row(status="failed", result=result)],
        [shown(status="failed", result=result)],
        [Kill(10.5, {"a": 10.0}, frozenset("a"), 2)],
    )
    assert kinds(figures) == {} and figures.unknown_share == 1.0 and figures.intent_share == 1.0


def test_an_effect_without_any_intent_is_unclaimed() -> None:
    assert kinds(check(REBOOTED, [], [])) == {"unclaimed": 2}


def test_an_intent_written_after_the_effect_is_unclaimed() -> None:
    assert kinds(check(REBOOTED, [row(intent_t=10.15)], [shown()]))["unclaimed"] == 1


def test_an_effect_whose_intent_was_not_on_disk_at_the_next_crash_is_unclaimed() -> None:
    kill = Kill(10.15, {}, frozenset(), 1)
    assert kinds(check(REBOOTED, [row()], [shown()], [kill])) == {"unclaimed": 1}


def test_an_effect_after_the_end_of_its_task_is_unclaimed() -> None:
    after = [*REBOOTED, entry(13.0, "reboot", "received", 3)]
    assert kinds(check(after, [row()], [shown()])) == {"unclaimed": 1, "twice": 1}


def test_a_task_that_knows_its_miner_by_the_address_alone_answers_for_it() -> None:
    assert kinds(check(REBOOTED, [row(mac=None)], [shown()])) == {}
    assert kinds(check(REBOOTED, [row(mac=None, ip="127.0.0.8")], [shown()])) == {
        "false_succeed": 1,
        "unclaimed": 2,  # received, and applied
    }


def test_a_task_of_a_journal_that_was_put_back_is_still_counted() -> None:
    cancelled = row(status="cancelled", result={"outcome": "not_done"})
    assert kinds(check(REBOOTED, [], [shown()], gone=[row()])) == {}
    assert kinds(check(REBOOTED, [], [], gone=[row(state="accepted")])) == {"lost": 1}
    # What a journal that is gone had acknowledged stands, whatever its copy says of the task.
    assert kinds(check(REBOOTED, [cancelled], [shown()], gone=[row()])) == {}
    other = shown(status="cancelled", result={"outcome": "not_done"})
    found = check(REBOOTED, [cancelled], [other], gone=[row()])
    assert kinds(found) == {"lost": 1, "false_not_done": 1}


def test_an_outcome_that_was_only_in_a_journal_that_is_gone_may_be_unknown() -> None:
    unknown = shown(status="failed", result={"outcome": "unknown"})
    assert kinds(check(REBOOTED, [], [unknown], gone=[row(state="settled")])) == {}
    assert kinds(check(REBOOTED, [], [unknown], gone=[row(state="intent", status=None)])) == {}


def test_a_reboot_out_of_two_journals_is_twice_and_each_claims_its_own() -> None:
    before = row(state="intent", status=None, settled_t=None, result=None)
    between = row(task_id="c", intent_t=20.0, settled_t=22.0)
    after = row(intent_t=30.0, settled_t=32.0)
    orders = [
        *(entry(20.1, "reboot", phase, n) for n, phase in ((3, "received"), (4, "applied"))),
        *(entry(30.1, "reboot", phase, n) for n, phase in ((5, "received"), (6, "applied"))),
    ]
    tasks = [shown(), shown(task_id="c")]
    assert kinds(check([*REBOOTED, *orders], [between, after], tasks, gone=[before])) == {
        "twice": 1
    }
    assert kinds(check(orders, [between, after], tasks, gone=[before])) == {}


def test_bytes_under_way_when_a_journal_was_pictured_and_put_back_have_their_intent() -> None:
    pictures = [
        Kill(10.05, {"a": 10.0}, frozenset("a"), 0),
        Kill(50.0, {}, frozenset(), 2),
    ]
    assert kinds(check(REBOOTED, [], [shown()], pictures, gone=[row()])) == {}
    late = [entry(60.1, "reboot", "received", 3)]
    assert "unclaimed" in kinds(check([*REBOOTED, *late], [], [shown()], pictures, gone=[row()]))


def test_an_order_is_put_down_to_a_task_that_the_journal_of_its_time_knew_as_begun() -> None:
    """On and off, both done; the copy put back knows `on` as begun alone. So `on` is carried out once more under the
    intent that it has, and `off` after it: each had been undone by the other, none is twice.
    """
    dark, lit = {"on": False}, {"on": True}
    on = row(name=TaskName.LIGHT, params={"action": "on"})
    off = row(name=TaskName.LIGHT, params={"action": "off"}, task_id="c", intent_t=20.0)
    once_more = msgspec.structs.replace(off, intent_t=40.0, settled_t=42.0)
    seen = [shown(name=TaskName.LIGHT), shown(name=TaskName.LIGHT, task_id="c")]
    lives = [
        Kill(25.0, {"a": 10.0, "c": 20.0}, frozenset(), 2),
        Kill(35.0, {"a": 10.0}, frozenset("a"), 3),
    ]
    ledger = [
        entry(10.1, "light", "applied", 1, before=dark, after=lit),
        entry(20.1, "light", "applied", 2, before=lit, after=dark),
        entry(30.1, "light", "applied", 3, before=dark, after=lit),
        entry(40.1, "light", "applied", 4, before=lit, after=dark),
    ]
    settled = msgspec.structs.replace(off, settled_t=22.0)
    assert kinds(check(ledger, [on, once_more], seen, lives, gone=[settled])) == {}
    brighter = entry(30.2, "light", "applied", 5, before=lit, after={"on": "brighter"})
    found = check([*ledger[:3], brighter], [on, once_more], seen, lives, gone=[settled])
    assert kinds(found)["twice"] == 1  # nothing had undone it


def test_an_effect_that_comes_after_a_kill_is_that_of_its_order() -> None:
    """The miner takes its time; its task is not in the copy that was put back meanwhile."""
    other = row(
        task_id="c", state="intent", status=None, intent_t=20.0, settled_t=None, result=None
    )
    tasks = [shown(), shown(task_id="c", status="failed", result={"outcome": "unknown"})]
    ledger = [
        *REBOOTED,
        entry(20.1, "reboot", "received", 3),
        entry(20.9, "reboot", "applied", 4),
    ]
    lives = [Kill(20.2, {"a": 10.0, "c": 20.0}, frozenset("c"), 3)]
    assert kinds(check(ledger, [row()], tasks, lives, gone=[other])) == {}


def part(task_id: str = "a", **more: Any) -> Part:
    values: dict[str, Any] = {
        "task_id": task_id, "goes_first": False, "handed_t": 9.9, "ended_t": 12.0, "proven": True,
    }  # fmt: skip
    return Part(**(values | more))


def group(*parts: Part, **more: Any) -> Group:
    """Let go at 9.5 since its first one was proven by then."""
    parts = (part("first", goes_first=True, handed_t=8.0, ended_t=9.0), *(parts or (part(),)))
    values: dict[str, Any] = {
        "group_id": "g", "canary": 1, "made_t": 7.0, "released_t": 9.5, "released_by_somebody": False,
        "ordered": len(parts), "counted": len(parts), "parts": parts,
    }  # fmt: skip
    return Group(**(values | more))


def kinds_of(one: Group, **more: Any) -> dict[str, int]:
    return kinds(check(REBOOTED, [row()], [shown()], groups=[one], **more))


def test_a_group_of_which_those_that_wait_begin_after_they_were_let_go_is_clean() -> None:
    figures = check(REBOOTED, [row()], [shown()], groups=[group()])
    assert kinds(figures) == {} and (figures.groups, figures.held) == (1, 1)


def test_an_order_that_is_there_by_half_is_torn() -> None:
    assert kinds_of(group(ordered=3)) == {"torn": 1}
    assert kinds_of(group(counted=3)) == {"torn": 1}


def test_what_is_handed_out_or_begun_before_it_was_let_go_is_early() -> None:
    assert kinds_of(group(part(handed_t=9.4))) == {"early": 1}
    assert kinds_of(group(part(handed_t=None), released_t=10.5)) == {"early": 1}  # begun at 10.0
    assert kinds_of(group(released_t=None)) == {"early": 1}


def test_what_is_let_go_without_proof_needs_somebody_who_wants_it_so() -> None:
    first = part("first", goes_first=True, handed_t=8.0, ended_t=9.0, proven=False)
    unproven = group(parts=(first, part()))
    assert kinds_of(unproven) == {"early": 1}
    assert kinds_of(group(released_t=8.5)) == {"early": 1}  # before the first one had ended
    assert kinds_of(msgspec.structs.replace(unproven, released_by_somebody=True)) == {}


def test_a_database_that_was_put_back_may_have_been_told_of_a_proof_before() -> None:
    early = group(part(handed_t=9.4))
    assert kinds_of(early, put_back_t=[9.45]) == {}
    assert kinds_of(early, put_back_t=[6.0]) == {"early": 1}
