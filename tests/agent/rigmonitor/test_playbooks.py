"""Playbooks on their way from the monitor to the service of the rig: what stops mining, and what does not."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from agent.sinks.rigmonitor.playbook_answers import OddAnswerError, entries_of
from contract.miner import Identity, Make
from contract.rigmonitor.playbook import MiningWish
from tests.agent.rigmonitor.rig_stage import CODE, MAC, PlayedService, RigStage, rig_stage
from tests.agent.rigmonitor.strict_rigs import playbook, playbook_of_the_text
from tests.waiting import until

FOLLOW = {"playbooks": True}


def names(service: PlayedService) -> list[list[str]]:
    return [[entry.software_name for entry in each] for each in service.applied]


# --- the answer ---


def test_both_published_shapes_become_whole_entries() -> None:
    (server,) = entries_of([playbook()])
    assert (server.id, server.software_name, server.software_version) == (60, "XMRig", "6.22.2")
    assert server.module == "Elixir.MinerProvision.XMRIG_6_22_2"
    assert server.module_name == "Miner.XMRIG_6.22.2"
    assert server.cpu_wallet_address == "48edf"
    assert server.expected_status is MiningWish.MINING
    (text,) = entries_of([playbook_of_the_text(expected_status="stop", news="ignored")])
    assert (text.coin_name_1, text.algorithm_1, text.cpu_coin_name) == ("Monero", "RandomX", None)
    assert text.module == "Elixir.MinerProvision.XMRIG_6_22_2"
    assert text.command_argument.endswith("--pass $WORKER_NAME")
    assert text.expected_status is MiningWish.STOP
    assert entries_of([]) == ()


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {},
        "[]",
        {"playbooks": []},
        [None],
        [playbook(), {}],
        [playbook(), playbook(61, software_name="")],
        [playbook(software_name="XMRig\x1b[2J")],
        [playbook(software_name="XMRig\n")],
        [playbook(software_name="XMRig\u202e")],
        [playbook(software_version="6\x9b2J")],
        [playbook(each, software_name=f"{each}") for each in range(17)],
        [playbook(software_name="x" * 256)],
        [playbook(id="sixty")],
        [playbook(command_argument=None)],
        [playbook(expected_status="paused")],
        [playbook(cpu_coin_name=5)],
    ],
)
def test_an_answer_that_is_not_understood_is_none(answer: Any) -> None:
    with pytest.raises(OddAnswerError):
        entries_of(answer)


# --- the way ---


async def test_playbooks_are_asked_for_each_minute_and_handed_on_as_answered(
    tmp_path: Path,
) -> None:
    async with rig_stage(tmp_path, of_rig=FOLLOW) as at:
        at.rig.playbooks = [playbook(), playbook(61, software_name="T-Rex")]
        await at.until_asked(6)
        assert names(at.service) == [["XMRig", "T-Rex"]] * 6
        assert at.service.applied[0] == entries_of(at.rig.playbooks)
        times = at.rig.asked_times
        gaps = [after - before for before, after in pairwise(times)]
        assert all(53.5 <= gap <= 66.5 for gap in gaps), gaps
        assert len(set(gaps)) > 1
        assert at.monitor.state == "ok"
        at.rig.playbooks = [playbook(expected_status="stop")]
        await at.until_asked()
        assert at.service.applied[-1][0].expected_status is MiningWish.STOP


async def test_a_rig_that_is_not_to_follow_is_asked_nothing(tmp_path: Path) -> None:
    async with rig_stage(tmp_path) as at:
        at.rig.playbooks = [playbook()]
        await asyncio.sleep(300)
        assert (at.rig.asked_times, at.service.applied) == ([], [])


def _mood(mood: str):
    def set_it(at: RigStage) -> None:
        at.server.mood = mood

    return set_it


def _answer(value: Any):
    def set_it(at: RigStage) -> None:
        at.rig.playbooks = value

    return set_it


def _locked(at: RigStage) -> None:
    at.rig.is_locked = True


@pytest.mark.parametrize(
    ("trouble", "says"),
    [
        pytest.param(_mood("away"), "503", id="503"),
        pytest.param(_mood("hanging"), "did not answer", id="hangs"),
        pytest.param(_mood("html"), "JSON", id="page"),
        pytest.param(_mood("moved"), "404", id="404"),
        pytest.param(_mood("refusing"), "401", id="401"),
        pytest.param(_locked, "people work on it", id="423"),
        pytest.param(_answer({"errors": {}}), "does not tell what it is to mine", id="no list"),
        pytest.param(_answer([playbook(), {"id": 61}]), "software_name", id="half"),
        pytest.param(_answer([playbook(command_argument="x" * 2_000_000)]), "too long", id="2 MB"),
    ],
)
async def test_what_is_no_good_answer_changes_nothing_and_is_said(
    tmp_path: Path, trouble: Any, says: str
) -> None:
    async with rig_stage(tmp_path, of_rig=FOLLOW) as at:
        at.rig.playbooks = [playbook()]
        await at.until_asked()
        trouble(at)
        await asyncio.sleep(400)
        assert says in at.monitor.state
        assert names(at.service) == [["XMRig"]]
        at.server.mood, at.rig.is_locked, at.rig.playbooks = "well", False, [playbook()]
        await asyncio.sleep(800)
        assert at.monitor.state == "ok"
        assert names(at.service)[-1] == ["XMRig"]


async def test_an_empty_list_counts_once_two_answers_in_a_row_say_so(tmp_path: Path) -> None:
    async with rig_stage(tmp_path, of_rig=FOLLOW) as at:
        at.rig.playbooks = [playbook()]
        await at.until_asked()
        at.rig.playbooks = []
        await at.until_asked()
        assert names(at.service) == [["XMRig"]]
        at.rig.playbooks = [playbook()]
        await at.until_asked()
        at.rig.playbooks = []
        await at.until_asked()
        assert [] not in names(at.service)
        await at.until_asked()
        assert names(at.service)[-1] == []


async def test_an_empty_list_before_a_code_that_was_unknown_for_a_while_does_not_count(
    tmp_path: Path,
) -> None:
    async with rig_stage(tmp_path, of_rig=FOLLOW) as at:
        at.rig.playbooks = [playbook()]
        await at.until_asked()
        at.rig.playbooks = []
        await at.until_asked()
        at.server.mood = "refusing"  # which its log is told, before it asks again
        at.see()
        await until(lambda: "401" in at.monitor.state, within_s=3600)
        at.server.mood = "well"
        await at.until_asked()
        assert [] not in names(at.service)
        at.rig.playbooks = [playbook()]
        await at.until_asked()
        assert [] not in names(at.service)


async def test_an_empty_list_between_errors_never_counts(tmp_path: Path) -> None:
    async with rig_stage(tmp_path, of_rig=FOLLOW) as at:
        at.rig.playbooks = [playbook()]
        await at.until_asked()
        answers = iter([[], {"odd": 1}] * 20)
        at.rig.playbooks = lambda: next(answers)
        await at.until_asked(12)
        assert names(at.service) == [["XMRig"]]


async def test_a_program_that_a_good_answer_lacks_is_handed_on_as_gone(tmp_path: Path) -> None:
    async with rig_stage(tmp_path, of_rig=FOLLOW) as at:
        at.rig.playbooks = [playbook(), playbook(61, software_name="T-Rex")]
        await at.until_asked()
        at.rig.playbooks = [playbook()]
        await at.until_asked()
        assert names(at.service)[-1] == ["XMRig"]


async def test_a_refused_playbook_is_said_with_its_reason_until_it_is_put_right(
    tmp_path: Path,
) -> None:
    async with rig_stage(tmp_path, of_rig=FOLLOW) as at:
        at.service.refuses["XMRig"] = "--log-file is not allowed: take it out"
        at.service.dies["T-Rex"] = "exited with 1"
        at.rig.playbooks = [playbook(), playbook(61, software_name="T-Rex")]
        await at.until_asked(3)
        assert at.monitor.state == (
            "a playbook is refused by this host: rig-7 XMRig (--log-file is not allowed: take it out); "
            "a program does not run: rig-7 T-Rex (exited with 1)"
        )
        at.service.refuses.clear()
        at.service.dies.clear()
        await at.until_asked()
        assert at.monitor.state == "ok"


async def test_a_service_that_is_away_is_said_and_told_all_once_it_is_back(tmp_path: Path) -> None:
    async with rig_stage(tmp_path, of_rig=FOLLOW, has_service=False) as at:
        at.rig.playbooks = [playbook()]
        await at.until_asked(2)
        assert "systemctl start miner-agent-rig" in at.monitor.state
        await at.service.start()
        await at.until_asked()
        assert names(at.service) == [["XMRig"]]
        at.service.refuses_all = "too many playbooks"
        await at.until_asked()
        assert "too many playbooks" in at.monitor.state


async def test_nothing_is_handed_on_while_the_rig_is_in_maintenance(tmp_path: Path) -> None:
    async with rig_stage(tmp_path, of_rig=FOLLOW) as at:
        at.see()
        at.tasks.maintained.add(MAC)
        at.rig.playbooks = [playbook()]
        await at.until_asked(2)
        assert at.service.applied == []
        assert "it is in maintenance" in at.monitor.state
        at.tasks.maintained.clear()
        await at.until_asked()
        assert names(at.service) == [["XMRig"]]


async def test_nothing_is_handed_on_before_it_is_known_whether_people_work_on_the_rig(
    tmp_path: Path,
) -> None:
    async with rig_stage(tmp_path, of_rig=FOLLOW) as at:
        at.tasks.maintained.add(MAC)  # and the agent was restarted, so that no reading is there
        at.rig.playbooks = [playbook()]
        await at.until_asked(2)
        assert at.service.applied == []
        assert "it is in maintenance" in at.monitor.state
    (tmp_path / "new").mkdir()
    async with rig_stage(tmp_path / "new", of_rig=FOLLOW) as at:
        at.fleet.driver._identity = Identity(make=Make.RIG)
        at.rig.playbooks = [playbook()]
        await at.until_asked(2)
        assert at.service.applied == []
        assert "it was not read yet" in at.monitor.state
        at.see()
        await at.until_asked()
        assert names(at.service) == [["XMRig"]]


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        ({"read_only": True}, "read-only mode"),
        ({"forbidden_tasks": ["miner.mining.update"]}, "forbidden_tasks"),
    ],
)
async def test_the_policy_of_the_site_holds_for_playbooks(
    tmp_path: Path, policy: dict[str, Any], says: str
) -> None:
    async with rig_stage(tmp_path, of_rig=FOLLOW, policy=policy) as at:
        at.rig.playbooks = [playbook()]
        await at.until_asked(2)
        assert at.service.applied == []
        assert says in at.monitor.state


# --- what the log says of it ---


async def test_the_log_tells_what_the_playbook_that_runs_says(tmp_path: Path) -> None:
    known = {"cpu": {"coin_name": "Wownero", "wallet_address": "config"}}
    async with rig_stage(tmp_path, of_rig=FOLLOW | known) as at:
        at.see()
        before = await at.until_logged()
        assert (before["cpu_coin_name"], before["cpu_wallet"]) == ("Wownero", "config")
        at.rig.playbooks = [playbook()]
        await at.until_asked()
        body = await at.until_logged()
        assert (body["cpu_coin_name"], body["cpu_algorithm"]) == ("Monero", "RandomX")
        assert (body["cpu_wallet"], body["cpu_pool_address"]) == ("48edf", "pool.example.net:443")
        # one that is refused says nothing: what ran before goes on, and is told
        at.service.refuses["XMRig"] = "no"
        at.rig.playbooks = [playbook(cpu_coin_name="Zephyr", cpu_wallet_address="Z")]
        await at.until_asked()
        assert (await at.until_logged())["cpu_wallet"] == "48edf"
        # and neither does one that is told to stop
        at.service.refuses.clear()
        at.rig.playbooks = [playbook(expected_status="stop")]
        await at.until_asked()
        assert (await at.until_logged())["cpu_coin_name"] == "Wownero"


async def test_the_coins_of_the_text_are_those_of_the_program(tmp_path: Path) -> None:
    async with rig_stage(tmp_path, of_rig=FOLLOW) as at:
        at.see()
        at.rig.playbooks = [
            playbook_of_the_text(
                software_name="T-Rex", coin_name_1="Ravencoin", algorithm_1="KawPow"
            )
        ]
        await at.until_asked()
        body = await at.until_logged()
        assert (body["gpu_coin_name_1"], body["gpu_algorithm_1"]) == ("Ravencoin", "KawPow")
        assert body["cpu_coin_name"] == "Monero"


async def test_no_code_is_shown(tmp_path: Path, capsys) -> None:
    async with rig_stage(tmp_path, of_rig=FOLLOW) as at:
        at.server.mood = "refusing"
        at.see()
        await asyncio.sleep(200)
        assert CODE not in at.monitor.state
    assert CODE not in capsys.readouterr().out
