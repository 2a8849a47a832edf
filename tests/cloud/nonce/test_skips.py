"""Why a miner, or an agent, gets no task: in words that are true of it, and only on a reading that still tells."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pytest

from cloud.store.schema import tables
from contract.miner import Make, Moving, PowerMode, Slow, Static
from tests.cases import case

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
    (skip,) = made["meta"]["skipped"]  # the published answer has one entry for each reason
    assert skip["miner_ids"] == [stage.miners[1], stage.miners[3], stage.miners[2]]
    assert skip["message"] == (
        "Task skipped: mode not supported by this model of the manufacturer (2); "
        "the firmware of this miner is only read, so no mode can be set (1)"
    )
    assert made["meta"]["summary"] == {"created_count": 0, "skipped_count": 3}


# --- power limits --------------------------------------------------------------------------------

LIMIT = "miner.power_limit.update"


LIMITED: Final = [
    (Make.ANTMINER, "NEW-BM", True, "use miner.power_mode.update: sleep, low, normal"),
    (Make.WHATSMINER, "v1", True, "use miner.power_mode.update: low, normal, high"),
    (Make.WHATSMINER, "legacy", False, "takes no power limit"),
    (Make.ICERIVER, None, None, "takes no power limit"),
    (Make.WHATSMINER, "v2", True, None),
    (Make.WHATSMINER, "v2-compat", True, None),
    (Make.WHATSMINER, "v3", True, None),
    (Make.WHATSMINER, None, None, None),
    (Make.UNKNOWN, None, None, None),
]


async def test_who_takes_no_power_limit_is_skipped_with_what_it_has_in_its_place(
    stage: Any, readings: Any
) -> None:
    for number, (make, generation, drivable, words) in enumerate(LIMITED, 7):
        with case(make, generation, drivable):
            mac = f"02:00:00:00:00:{number:02X}"
            static = Static(make=make, generation=generation, mac=mac)
            seen = readings.healthy(number, static=static, drivable=drivable, slow=Slow())
            await stage.look_at(seen)
            found = await skips(stage, LIMIT, number, params={"percent": 80})
            if words is None:
                assert found == []
            else:
                [(reason, message)] = found
                assert reason == "unsupported_mode"
                assert words in message


async def test_a_power_limit_is_as_wished_only_by_a_reading_that_still_tells(
    stage: Any, readings: Any
) -> None:
    static = Static(make=Make.WHATSMINER, generation="v3", mac="02:00:00:00:00:01")

    async def is_skipped(params: dict[str, Any], slow: Slow, power_w: float = 2790.0) -> bool:
        """Whether it is skipped as no change, after a look; a task that is made is cancelled."""
        stage.clock.forward(25)
        moving = Moving(hashrate_hs=1e14, power_w=power_w)
        await stage.look_at(readings.healthy(1, static=static, slow=slow, moving=moving))
        made = await stage.create(LIMIT, 1, params=params)
        for each in made["data"]:
            await stage.ask("POST", f"{stage.at_farm}/tasks/batches/{each['batch_id']}/cancel")
        stage.clock.forward(1)
        return [each["reason"] for each in made["meta"]["skipped"]] == ["no_change"]

    limited = Slow(power_limit_w=2800.0)
    assert await is_skipped({"watts": 2800}, limited)
    assert not await is_skipped({"watts": 2700}, limited)
    assert not await is_skipped({"watts": 2800}, limited, power_w=3400.0)  # it does not keep to it
    assert not await is_skipped({"watts": 2800}, Slow(mode=PowerMode.SLEEP, power_limit_w=2800.0))
    assert not await is_skipped({"watts": 2800}, Slow())
    assert not await is_skipped({"watts": "default"}, limited)
    assert not await is_skipped({"percent": 100}, limited)
    assert await is_skipped({"watts": 2800}, limited)
    stage.clock.forward(61)
    made = await stage.create(LIMIT, 1, params={"watts": 2800})
    assert made["meta"]["skipped"] == []


# --- mining off and on ---------------------------------------------------------------------------

SLEEPS, AWAKE = PowerMode.SLEEP, PowerMode.NORMAL
STILL, HASHING = Moving(hashrate_hs=0.0), Moving(hashrate_hs=1e14)
WHATS = {"make": Make.WHATSMINER, "modes": ("low", "normal", "high")}


# Make and modes, running and stored mode, figures; whether it is off by that, and whether it is on.
MINING: Final = [
    ({}, SLEEPS, SLEEPS, STILL, True, False),
    ({}, SLEEPS, None, STILL, True, False),
    ({}, AWAKE, AWAKE, HASHING, False, True),
    ({}, None, AWAKE, HASHING, False, True),  # firmware that tells no running mode
    ({}, None, None, HASHING, False, True),
    ({}, SLEEPS, AWAKE, STILL, False, False),  # it wakes
    ({}, AWAKE, SLEEPS, HASHING, False, False),  # it falls asleep, or does not obey
    ({}, None, SLEEPS, STILL, False, False),  # stored, and nothing says that it sleeps
    ({}, SLEEPS, SLEEPS, HASHING, False, False),  # an average still falls
    ({}, SLEEPS, SLEEPS, Moving(), False, False),
    ({}, AWAKE, AWAKE, STILL, False, False),  # no pool, or it has just begun
    ({}, AWAKE, AWAKE, Moving(), False, False),
    ({}, AWAKE, AWAKE, Moving(hashrate_doubt="its boards say otherwise"), False, True),
    (WHATS, SLEEPS, AWAKE, STILL, True, False),  # switched off, beside its mode
    (WHATS, SLEEPS, AWAKE, Moving(), True, False),
    (WHATS, SLEEPS, AWAKE, HASHING, False, False),
    (WHATS, AWAKE, AWAKE, HASHING, False, True),
    (WHATS, AWAKE, AWAKE, Moving(), False, False),  # its process is down
]


async def test_mining_is_as_wished_only_where_that_is_read(stage: Any, readings: Any) -> None:
    for number, (who, running, stored, moving, off, on) in enumerate(MINING, 7):
        with case(who, running, stored, moving):
            make = who.get("make", Make.ANTMINER)
            seen = readings.healthy(
                number,
                static=Static(make=make, mac=f"02:00:00:00:00:{number:02X}"),
                modes=who.get("modes", ("sleep", "low", "normal")),
                slow=Slow(mode=running, mode_configured=stored),
                moving=moving,
            )
            await stage.look_at(seen)
            for action, is_so in (("off", off), ("on", on)):
                made = await stage.create("miner.mining.update", number, params={"action": action})
                reasons = [each["reason"] for each in made["meta"]["skipped"]]
                assert reasons == (["no_change"] if is_so else []), action
                for each in made["data"]:  # one that is open would hide the next answer
                    url = f"{stage.at_farm}/tasks/batches/{each['batch_id']}/cancel"
                    await stage.ask("POST", url)
                stage.clock.forward(1)
                await stage.look_at(seen)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("miner.mining.update", {"action": "on"}),
        ("miner.power_mode.update", {"mode": "low"}),
        ("miner.system.reboot", {"force": True}),
        ("miner.firmware.update", {"firmware_url": "https://files.example.com/a.bmu"}),
    ],
)
async def test_a_task_under_way_that_may_begin_mining_again_leaves_no_miner_skipped_as_off(
    stage: Any, readings: Any, name: str, params: dict[str, Any]
) -> None:
    stage.clock.forward(1)
    asleep = Slow(mode=SLEEPS, mode_configured=SLEEPS)
    await stage.look_at(readings.healthy(1, slow=asleep, moving=STILL))
    assert await skips(stage, "miner.mining.update", 1, params={"action": "off"}) == [
        ("no_change", "Task skipped: miner already in requested state")
    ]
    await stage.create(name, 1, params=params)
    assert await skips(stage, "miner.mining.update", 1, params={"action": "off"}) == []
    # and the other way round
    await stage.look_at(readings.healthy(2, slow=asleep, moving=STILL))
    await stage.create("miner.mining.update", 2, params={"action": "on"})
    assert await skips(stage, "miner.power_mode.update", 2, params={"mode": "sleep"}) == []


async def test_an_old_look_says_nothing_of_mining(stage: Any) -> None:
    assert await skips(stage, "miner.mining.update", 1, params={"action": "on"}) != []
    stage.clock.forward(61)
    assert await skips(stage, "miner.mining.update", 1, params={"action": "on"}) == []


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


async def listed(stage: Any, query: str = "") -> dict[str, Any]:
    """What is on the list, by id."""
    answer = await stage.ask("GET", f"{stage.at_farm}/miner/latest?{query}", shape="ListMiners")
    assert answer["pagination"]["total"] == len(answer["data"])
    return {item["id"]: item for item in answer["data"]}


async def test_a_refused_login_is_the_reason_before_a_mac_that_is_told_only_after_it(
    stage: Any, readings: Any
) -> None:
    stage.clock.forward(25)
    nameless = {"mac": None, "static": None, "slow": None, "error": "auth_failed"}
    twins = {"mac": "02:00:00:00:00:01", "slow": None, "error": "auth_failed"}
    await stage.look_at(
        readings.healthy(7, **nameless),
        readings.healthy(8, mac=None, static=None),
        readings.healthy(9, twin_ips=("10.0.0.1",), **twins),
    )
    for number, reason in {7: "auth_failed", 8: "unstable_miner", 9: "unstable_miner"}.items():
        [(said, _)] = await skips(stage, "miner.log.get", number)
        assert (number, said) == (number, reason)
    stage.clock.forward(61)
    [(said, _)] = await skips(stage, "miner.log.get", 7)
    assert said == "unstable_miner"  # by now somebody may have corrected it


async def test_what_refuses_the_login_at_the_address_of_a_known_miner_is_told_of_that_one(
    stage: Any, readings: Any
) -> None:
    """An agent that starts over with a wrong password learns no MAC, and of whom it is only that it does not log in."""
    known = await listed(stage)
    item = known[stage.miners[1]]

    async def nameless(*, seconds: float = 25, age_s: float = 0.0, **changes: Any) -> None:
        stage.clock.forward(seconds)
        moving = Moving(hashrate_hs=1.0)
        facts = {"mac": None, "static": None, "slow": None, "moving": moving} | changes
        await stage.look_at(readings.healthy(1, **facts), age_s=age_s)

    await nameless(error="auth_failed")
    now = await listed(stage)
    assert set(now) == set(known)  # none beside it
    shown = now[item["id"]]
    assert (shown["health_status"], shown["status"]) == ("auth_failed", "online")
    [error] = shown["errors"]
    assert error["code"] == "auth_failed"
    assert "the miner at its address refuses the login" in error["message"]
    assert "then restart the agent" in error["message"]
    for same in ("hashrate", "last_updated_at", "mac", "model", "mining_mode", "unstable_reason"):
        assert shown[same] == item[same]
    assert set(await listed(stage, "status=auth_failed")) == {item["id"]}
    [(reason, message)] = await skips(stage, "miner.log.get", 1)
    assert reason == "auth_failed"
    assert "the miner at its address refuses the login" in message
    # What needs no login is no figure of it either, and makes no other one.
    await nameless()
    now = await listed(stage)
    assert set(now) == set(known)
    assert now[item["id"]]["hashrate"] == item["hashrate"]
    for _ in range(3):
        await nameless(error="auth_failed")
    assert (await listed(stage, "status=stale")).keys() >= {item["id"]}
    # It logs in again: nothing of it is left, and what comes late out of a buffer brings it not back.
    stage.clock.forward(25)
    await stage.look_at(readings.healthy(1))
    await nameless(seconds=5, age_s=20, error="auth_failed")
    now = await listed(stage)
    assert set(now) == set(known)
    assert (now[item["id"]]["health_status"], now[item["id"]]["status"]) == (None, "online")
    assert await skips(stage, "miner.log.get", 1) == []


async def test_a_refused_look_that_brought_nothing_is_told_of_the_known_miner_too(
    stage: Any, readings: Any
) -> None:
    known = await listed(stage)
    stage.clock.forward(25)
    await stage.look_at(msgspec.structs.replace(readings.refused(1), mac=None))
    now = await listed(stage)
    assert set(now) == set(known)
    shown = now[stage.miners[1]]
    assert (shown["health_status"], shown["last_check_succeed"]) == ("auth_failed", True)


async def test_who_takes_the_login_at_the_address_of_a_known_miner_is_another_one(
    stage: Any, readings: Any
) -> None:
    known = await listed(stage)
    stage.clock.forward(25)
    await stage.look_at(readings.healthy(1, mac=None, static=None))
    assert len(await listed(stage)) == len(known) + 1
    assert await listed(stage, "status=auth_failed") == {}


@pytest.mark.parametrize("why", ["it moved", "it is deleted", "another agent knows it"])
async def test_where_no_miner_is_known_one_that_refuses_the_login_has_its_own_record(
    stage: Any, readings: Any, why: str
) -> None:
    stage.clock.forward(25)
    first = stage.miners[1]
    if why == "it moved":
        await stage.look_at(readings.healthy(1, ip="10.0.0.99"))
    elif why == "it is deleted":
        await stage.create("miner.asset.delete", 1)
    else:
        await enroll(stage, "another", created_at=stage.clock.now())
        stage.agent = "another"
    before = await listed(stage)
    stage.clock.forward(25)
    await stage.look_at(readings.healthy(1, mac=None, static=None, slow=None, error="auth_failed"))
    now = await listed(stage)
    [own] = set(now) - set(before)
    assert now[own]["unstable_reason"] == "no_mac"
    assert now[own]["health_status"] == "auth_failed"
    assert first not in now or now[first]["health_status"] is None


# --- tasks for agents ----------------------------------------------------------------------------


async def enroll(stage: Any, id_: str, **values: Any) -> None:
    async with stage.store.write() as connection:
        await connection.execute(
            tables.agents.insert().values(
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
