"""Why a miner, or an agent, gets no task: in words that are true of it, and only on a reading that still tells."""

from __future__ import annotations

from typing import Any

import pytest

from cloud.store import schema
from contract.miner import Make, Slow, Static

DAY_S = 86_400


async def skips(stage: Any, name: str, *numbers: int, **body: Any) -> list[tuple[str, str]]:
    """Reason and message of each entry; the tasks that were made are left open."""
    made = await stage.create(name, *numbers, **body)
    return [(each["reason"], each["message"]) for each in made["meta"]["skipped"]]


# --- power modes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "modes", "drivable", "mode", "words"),
    [
        (Make.ANTMINER, ("sleep", "normal"), True, "low", "by this model"),
        (Make.WHATSMINER, ("low", "normal"), True, "5600W", "by this model"),
        (Make.ANTMINER, ("sleep", "normal"), True, "high", "by this manufacturer"),
        (Make.ANTMINER, None, None, "high", "by this manufacturer"),
        (Make.ICERIVER, ("sleep", "normal"), True, "low", "by this manufacturer"),
        (Make.ANTMINER, (), False, "normal", "firmware of this miner is only read"),
        (Make.UNKNOWN, None, None, "normal", "by this manufacturer"),
    ],
)
async def test_a_mode_that_cannot_be_set_says_whose_fault_that_is(
    stage: Any, readings: Any, make: Make, modes: Any, drivable: Any, mode: str, words: str
) -> None:
    static = Static(make=make, mac="02:00:00:00:00:07")
    await stage.look_at(
        readings.healthy(7, static=static, modes=modes, drivable=drivable, slow=Slow())
    )
    [(reason, message)] = await skips(stage, "miner.power_mode.update", 7, params={"mode": mode})
    assert reason == "unsupported_mode"
    assert words in message


async def test_miners_that_lack_a_mode_for_different_reasons_are_told_apart(
    stage: Any, readings: Any
) -> None:
    stage.clock.forward(1)
    await stage.look_at(
        readings.healthy(1, modes=("normal",)),
        readings.healthy(2, modes=(), drivable=False),
        readings.healthy(3, modes=("normal",)),
    )
    made = await stage.create("miner.power_mode.update", 1, 2, 3, params={"mode": "low"})
    one, two, three = (stage.miners[number] for number in (1, 2, 3))
    [skipped] = made["meta"]["skipped"]  # one for each reason, as published
    assert skipped["miner_ids"] == [one, three, two]
    assert skipped["message"] == (
        f"Task skipped: mode not supported by this model of the manufacturer ({one}, {three}); "
        f"Task skipped: the firmware of this miner is only read, so no mode can be set ({two})"
    )
    assert made["meta"]["summary"] == {"created_count": 0, "skipped_count": 3}


# --- the light -----------------------------------------------------------------------------------


async def test_a_light_is_as_wished_only_by_a_reading_that_looked_at_it(
    stage: Any, readings: Any
) -> None:
    async def ask(action: str) -> bool:
        """Whether it is skipped as no change; a task that is made is cancelled."""
        made = await stage.create("miner.light.update", 1, params={"action": action})
        for each in made["data"]:
            url = f"{stage.at_farm}/tasks/batches/{each['batch_id']}/cancel"
            await stage.ask("POST", url)
        return [each["reason"] for each in made["meta"]["skipped"]] == ["no_change"]

    async def look(**changes: Any) -> None:
        stage.clock.forward(25)
        await stage.look_at(readings.healthy(1, **changes))

    assert not await ask("off")  # it does not say how its light is
    await look(slow=Slow(light_on=True))
    assert await ask("on")
    assert not await ask("off")
    assert not await ask("on")  # there was a task since, cancelled or not
    await look(slow=Slow(light_on=True))
    await look(slow=None)
    assert await ask("on")
    await look(slow=None)
    await look(slow=None)  # the miner was looked at, its light was not for 75 s
    assert not await ask("on")
    await look(slow=None, slow_unchanged=True)
    assert await ask("on")
    await stage.look_at(readings.unreachable(1))
    assert not await ask("on")
    await look(slow=Slow(light_on=False))
    assert not await ask("off")  # to put it out once more costs nothing
    await look(slow=Slow(light_on=True))
    assert await ask("on")
    stage.clock.forward(61)
    assert not await ask("on")


async def test_a_light_with_an_open_task_is_not_called_unchanged(stage: Any, readings: Any) -> None:
    stage.clock.forward(1)
    await stage.look_at(readings.healthy(1, slow=Slow(light_on=True)))
    assert await skips(stage, "miner.light.update", 1, params={"action": "off"}) == []
    assert await skips(stage, "miner.light.update", 1, params={"action": "on"}) == []


# --- a refused login -----------------------------------------------------------------------------


@pytest.mark.parametrize("whole", [True, False])
async def test_a_miner_that_refuses_the_login_shows_it_and_gets_no_task_while_that_is_news(
    stage: Any, readings: Any, whole: bool
) -> None:
    async def shown() -> tuple[Any, list[str], int]:
        url = f"{stage.at_farm}/miner/latest?status=auth_failed"
        counted = (await stage.ask("GET", url))["pagination"]["total"]
        url = f"{stage.at_farm}/miner/latest?mac=02:00:00:00:00:01"
        [item] = (await stage.ask("GET", url, shape="ListMiners"))["data"]
        return item["health_status"], [each["code"] for each in item["errors"]], counted

    async def refused() -> bool:
        made = await stage.create("miner.log.get", 1, 2)
        return [each["reason"] for each in made["meta"]["skipped"]] == ["auth_failed"]

    assert await shown() == (None, [], 0)
    stage.clock.forward(25)
    part = readings.healthy(1, slow=None, error="auth_failed")
    await stage.look_at(readings.refused(1) if whole else part)
    assert await shown() == ("auth_failed", ["auth_failed"], 1)
    assert await refused()
    # Its record can be changed all the same.
    assert await skips(stage, "miner.tags.update", 1, params={"add": ["a"]}) == []
    stage.clock.forward(25)
    await stage.look_at(readings.healthy(1, slow=None))  # figures that need no login
    assert await shown() == ("auth_failed", ["auth_failed"], 1)
    assert await refused()
    stage.clock.forward(40)
    await stage.look_at(readings.healthy(1, slow=None))
    assert await shown() == ("auth_failed", ["auth_failed"], 1)
    assert not await refused()  # by now somebody may have corrected it: the agent will see
    await stage.look_at(readings.unreachable(1))
    assert await shown() == ("auth_failed", ["auth_failed", "read_failed"], 1)
    stage.clock.forward(25)
    await stage.look_at(readings.healthy(1, slow=None, slow_unchanged=True))
    assert await shown() == (None, [], 0)
    assert not await refused()


# --- tasks for agents ----------------------------------------------------------------------------


async def enroll(stage: Any, id_: str, **values: Any) -> None:
    async with stage.store.write() as connection:
        await connection.execute(
            schema.agents.insert().values(
                id=id_, farm_id=stage.farm, workspace_id=stage.workspace, token_hash=id_, **values
            )
        )


async def test_a_task_for_agents_goes_to_those_seen_within_a_day_and_names_the_others(
    stage: Any,
) -> None:
    stage.clock.forward(10 * DAY_S)
    now, cloud_s = stage.clock.now(), stage.time.now()
    old = stage.clock.now().replace(year=2025)
    await enroll(stage, "a-fresh", created_at=now)
    await enroll(stage, "b-lately", created_at=old, last_online_cloud_s=cloud_s - DAY_S + 60)
    await enroll(stage, "c-gone", name="hall 3", created_at=old, last_online_cloud_s=cloud_s - DAY_S - 60)  # fmt: skip
    await enroll(stage, "d-never", created_at=old)
    made = await stage.create("agent.scan.create")
    [batch] = made["data"]
    tasks = (await stage.batch(batch["batch_id"]))["tasks"]
    assert {task["agent_id"] for task in tasks} == {"a-fresh", "b-lately"}
    [skip] = made["meta"]["skipped"]
    assert (skip["reason"], skip["miner_ids"]) == ("agent_offline", [])
    assert set(skip["agent_ids"]) == {stage.agent, "c-gone", "d-never"}
    assert "hall 3" in skip["message"]
    assert made["meta"]["summary"] == {"created_count": 2, "skipped_count": 3}
    stage.sessions.heard(stage.agent)
    made = await stage.create("agent.scan.create")
    assert stage.agent not in made["meta"]["skipped"][0]["agent_ids"]


async def test_when_no_agent_was_seen_no_batch_is_stored(stage: Any) -> None:
    stage.clock.forward(2 * DAY_S)
    made = await stage.create("agent.scan.create")
    assert (made["data"], made["meta"]["summary"]) == (
        [],
        {"created_count": 0, "skipped_count": 1},
    )
    assert await stage.count("task_batches") == 0
