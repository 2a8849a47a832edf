"""What is wrong with a farm, and the published counts."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import jsonschema
import msgspec
import pytest
import sqlalchemy as sa

from cloud.nonce.status import _stored_facts, _whole_facts
from cloud.store.ids import new_miner_id
from cloud.store.miners import judged, search
from cloud.store.miners.judged import JudgedMiner
from cloud.store.miners.search import MinerQuery
from cloud.store.schema import tables
from contract.condition.judgement import condition_of
from contract.link import Heartbeat
from contract.miner import Algorithm, Board, Make, MinerFault, Pool, PowerMode
from contract.nonce.times import nonce_time
from tests.cloud.nonce.conftest import TH, Stage, dead, look, refused

SHA = Algorithm.SHA256


def changed(number: int, *, moving: Any = (), slow: Any = (), static: Any = (), **more: Any) -> Any:
    """The healthy miner of that number, but for some fields of its records."""
    base = look(number, **more)
    assert base.moving is not None and base.slow is not None and base.static is not None
    return msgspec.structs.replace(
        base,
        moving=msgspec.structs.replace(base.moving, **dict(moving)),
        slow=msgspec.structs.replace(base.slow, **dict(slow)),
        static=msgspec.structs.replace(base.static, **{"algorithm": SHA} | dict(static)),
    )


def pool(host: str, user: str = "farm.1") -> tuple[Pool, ...]:
    return (
        Pool(index=0, url=f"stratum+tcp://{host}:3333", user=user, status="alive", active=True),
    )


async def status_of(stage: Stage, body: Any = None) -> Any:
    method = "GET" if body is None else "POST"
    return (await stage.ask(method, f"{stage.at_farm}/status", json=body))["data"]


async def stats_of(stage: Stage) -> Any:
    answer = await stage.ask("GET", f"{stage.at_farm}/miners/stats", shape="GetMinerStats")
    if stage.operations is not None:
        later = stage.operations["v2.QueryFarmMinerMetrics"]["output"]
        jsonschema.Draft202012Validator(later).validate(answer)
    return answer["data"]


def words_of(found: Any) -> dict[str, str]:
    return {each["ip"]: "; ".join(t["words"] for t in each["troubles"]) for each in found["worst"]}


# --- status --------------------------------------------------------------------------------------


async def test_a_farm_in_order_is_fine(stage: Stage):
    found = await status_of(stage)
    assert (found["is_fine"], found["problems"], found["wrong"], found["total"]) == (True, [], 0, 5)
    assert (found["worst"], found["causes"], found["states"]["hashing"]) == ([], [], 5)
    assert found["farm"]["id"] == stage.farm


async def test_what_went_wrong_since_then_is_told_from_what_was_wrong_before(stage: Stage):
    hot = {"temp_chip_c": 97.0}
    await stage.look_at(changed(1, moving=hot))
    stage.clock.forward(25)
    noon = nonce_time(stage.clock.now())
    await stage.look_at(changed(1, moving=hot), dead(2), look(3), look(4))
    found = await status_of(stage, {"wrong_since": {"gte": noon}})
    assert [each["ip"] for each in found["worst"]] == ["10.0.0.2"]
    assert [each["wrong_since"] for each in found["worst"]] == [noon]
    found = await status_of(stage, {"wrong_since": {"lt": noon}})
    assert [each["ip"] for each in found["worst"]] == ["10.0.0.1"]
    stage.clock.forward(25)
    await stage.look_at(look(1), dead(2), look(3), look(4))
    stage.clock.forward(25)
    await stage.look_at(changed(1, moving=hot), dead(2), look(3), look(4))  # hot again
    later = await status_of(stage, {"wrong_since": {"gte": nonce_time(stage.clock.now())}})
    assert [each["ip"] for each in later["worst"]] == ["10.0.0.1"]
    # Nobody looks any more: two that were in order are stale; the fifth was not looked at all the time.
    stage.clock.forward(120)
    lately = nonce_time(stage.clock.now() - timedelta(seconds=100))
    stale = await status_of(stage, {"wrong_since": {"gt": lately}})
    assert {each["ip"] for each in stale["worst"]} == {"10.0.0.3", "10.0.0.4"}


async def test_a_farm_without_miners_is_fine(stage: Stage):
    async with stage.store.write() as connection:
        await connection.execute(tables.miners.update().values(deleted_at=stage.clock.now()))
    found = await status_of(stage)
    assert (found["is_fine"], found["total"], found["rates"], found["causes"]) == (True, 0, [], [])
    assert found["power"] == {
        "power": 0.0,
        "metered": 0,
        "compared_power": 0.0,
        "expected_power": None,
    }
    assert (await stats_of(stage))["total"] == 0


async def test_each_miner_that_is_wrong_is_told_in_words_the_worst_first(stage: Stage):
    board = Board(index=0, hashrate_hs=0.0, chips=110, chips_expected=110)
    await stage.look_at(
        changed(1, moving={"temp_chip_c": 97.0}),
        changed(2, moving={"hashrate_hs": 61 * TH}),
        changed(3, moving={"boards": (board, board), "hashrate_hs": 90 * TH}),
        refused(4),
        dead(5),
    )
    stage.clock.forward(10)
    found = await status_of(stage)
    assert words_of(found) == {
        "10.0.0.1": "chip 97 degC",
        "10.0.0.5": "cannot be read for 10 s: no route",
        "10.0.0.4": "its login was refused",
        "10.0.0.3": "board 1 of 2 hashes nothing, and 1 more",
        "10.0.0.2": "61 % of 100 TH/s",
    }
    assert [each["ip"][-1] for each in found["worst"]] == ["1", "5", "4", "3", "2"]
    assert found["wrong"] == 5
    assert found["problems"] == ["5 of 5 miners have something wrong"]
    assert {name: count for name, count in found["troubles"].items() if count} == {
        "unreachable": 1, "wrong password": 1, "hot": 1, "board lost": 1, "low rate": 1,
    }  # fmt: skip
    assert found["states"]["unreachable"] == 2
    first = found["worst"][0]
    assert (first["id"], first["state"], first["model"]) == (
        stage.miners[1],
        "hashing",
        "Antminer S19",
    )
    assert (first["hashrate"], first["expected_hashrate"]) == (100 * TH, 100 * TH)


async def test_at_most_ten_are_told(stage: Stage):
    await stage.look_at(*(changed(number, moving={"temp_chip_c": 99.0}) for number in range(1, 31)))
    found = await status_of(stage)
    assert [each["ip"] for each in found["worst"]] == [f"10.0.0.{n}" for n in range(1, 11)]
    assert (found["wrong"], found["troubles"]["hot"]) == (30, 30)


async def test_who_sleeps_or_is_in_maintenance_is_not_broken(stage: Stage):
    asleep = {"mode": PowerMode.SLEEP}
    await stage.look_at(
        *(changed(n, slow=asleep, moving={"hashrate_hs": 0.0}) for n in (1, 2)),
        changed(3, moving={"hashrate_hs": 0.0, "uptime_s": 30.0}),
        dead(4),
        changed(5),
    )
    async with stage.store.write() as connection:
        await connection.execute(
            tables.miners.update()
            .where(tables.miners.c.id == stage.miners[4])
            .values(ops_status="maintenance")
        )
    found = await status_of(stage)
    assert found["is_fine"]
    counted = {name: count for name, count in found["states"].items() if count}
    assert counted == {"sleeping": 2, "starting": 1, "maintenance": 1, "hashing": 1}
    (rates,) = found["rates"]
    assert rates["expected_hashrate"] == 200 * TH  # of the one that starts, and the one that hashes


async def test_a_farm_that_sleeps_is_fine_and_compares_nothing(stage: Stage):
    asleep = {"mode": PowerMode.SLEEP}
    await stage.look_at(
        *(
            changed(n, slow=asleep, moving={"hashrate_hs": 0.0, "power_w": 50.0})
            for n in range(1, 6)
        )
    )
    found = await status_of(stage)
    assert (found["is_fine"], found["states"]["sleeping"]) == (True, 5)
    (rates,) = found["rates"]
    assert (rates["realization"], rates["efficiency"], rates["hashrate"]) == (None, None, 0.0)
    assert (await stats_of(stage))["by_type"] == {
        "healthy": 0,
        "abnormal": 0,
        "sleep": 5,
        "stale": 0,
    }


async def test_rates_of_different_algorithms_are_not_added(stage: Stage):
    await stage.look_at(
        *(changed(number) for number in (1, 2, 3)),
        changed(4, moving={"hashrate_hs": 400e3, "power_w": None},
                static={"algorithm": Algorithm.EQUIHASH, "hashrate_ideal_hs": 420e3, "model": "Z15"}),
        changed(5, moving={"hashrate_hs": 60e12},
                static={"algorithm": Algorithm.OTHER, "hashrate_ideal_hs": None, "model": "X1"}),
    )  # fmt: skip
    found = await status_of(stage)
    rates = {each["algorithm"]: each for each in found["rates"]}
    assert (rates["sha256"]["hashrate"], rates["sha256"]["efficiency"]) == (300 * TH, 30.0)
    assert (rates["equihash"]["hashrate"], rates["equihash"]["efficiency"]) == (400e3, None)
    assert rates["equihash"]["realization"] == pytest.approx(400 / 420)
    assert rates["unknown (X1)"]["expected_hashrate"] is None
    assert rates["unknown (X1)"]["unknown"] == 1
    assert found["power"] == {
        "power": 12_000.0, "metered": 4, "compared_power": 0.0, "expected_power": None,
    }  # fmt: skip
    assert (await stats_of(stage))["theo"] is None


async def test_of_a_farm_whose_agent_is_away_the_agent_is_the_cause(stage: Stage):
    await stage.change_agent(name="pi in hall B")
    stage.clock.forward(600)
    found = await status_of(stage)
    assert found["states"]["stale"] == 5
    assert [cause["words"] for cause in found["causes"]] == [
        "all 5 stale miners belong to agent pi in hall B"
    ]
    assert found["problems"] == [
        "5 of 5 miners have something wrong",
        "agent pi in hall B is offline since 2026-11-21T12:00:00Z",
    ]
    assert words_of(found)["10.0.0.1"] == "not looked at for 10 min"


async def test_a_rack_that_is_dead_is_the_cause(stage: Stage):
    await stage.look_at(*(changed(number) for number in range(1, 61)))
    async with stage.store.write() as connection:
        for number in range(1, 61):
            await connection.execute(
                tables.miners.update()
                .where(tables.miners.c.id == stage.miners[number])
                .values(hall="B", rack=f"A{number // 20}")
            )
    stage.clock.forward(1)
    await stage.look_at(*(dead(number) for number in range(21, 33)))
    found = await status_of(stage)
    (cause,) = found["causes"]
    assert cause == {
        "trouble": "unreachable", "kind": "rack", "name": "B / A1", "miners": 12, "of": 12, "group": 20,
        "words": "all 12 unreachable miners stand in rack B / A1",
    }  # fmt: skip
    assert (found["worst"][0]["hall"], found["worst"][0]["rack"]) == ("B", "A1")


async def test_a_mac_that_two_show_is_told_with_the_other_address(stage: Stage):
    twin = changed(7, ip="10.0.0.7", mac="02:00:00:00:00:01")
    await stage.look_at(
        msgspec.structs.replace(changed(1), twin_ips=("10.0.0.7",)),
        msgspec.structs.replace(twin, twin_ips=("10.0.0.1",)),
    )
    found = await status_of(stage)
    assert words_of(found) == {
        "10.0.0.1": "10.0.0.7 shows the same MAC",
        "10.0.0.7": "10.0.0.1 shows the same MAC",
    }


async def test_the_few_that_hash_to_another_pool_than_the_farm_do_so_wrongly(stage: Stage):
    await stage.look_at(
        *(changed(number) for number in range(1, 20)),
        changed(20, moving={"pools": pool("evil.test", "x.1")}),
    )
    found = await status_of(stage)
    assert words_of(found) == {
        "10.0.0.20": "hashes to evil.test/x, 95 % of all hash to pool.test/farm"
    }
    few = await status_of(stage, {"sn": {"eq": "SN20"}})
    assert (few["total"], words_of(few)) == (1, words_of(found))  # measured by the whole farm


async def test_a_pool_is_measured_by_the_last_proven_pool_task(stage: Stage):
    """Also one that nobody else hashes to; what was not proven is no measure."""
    token = await stage.token()
    await stage.look_at(*(changed(number) for number in range(1, 20)))
    pools = [{"url": "stratum+tcp://new.test:3333", "user": "farm.{mac}"}]

    async def set_pools(number: int, *, verified: bool) -> None:
        await stage.create("miner.pool.update", number, params={"pools": pools})
        headers = {"Authorization": f"Bearer {token}"}
        link = f"{stage.url}/link/v1"
        journal = {"journal_id": "j", "last_seq": stage.seq, "room": 9, "wait_s": 0}
        claimed = await stage.ask("POST", f"{link}/claims", json=journal, headers=headers)
        (task,) = claimed["tasks"]
        after = {"pools": [{"url": pools[0]["url"], "user": "farm.02"}]}
        result = {"outcome": "done", "verified": verified, "evidence": {"after": after}}
        events = []
        for state, more in (
            ("pending", {}),
            ("succeed", {"result": result}),
        ):
            stage.seq += 1
            key = {"task_id": task["task_id"], "epoch": task["epoch"], "seq": stage.seq}
            events.append(key | {"state": state, "at": "2026-11-21T12:00:00Z"} | more)
        body = {"journal_id": "j", "events": events}
        answer = await stage.ask("POST", f"{link}/reports", json=body, headers=headers)
        assert [each["state"] for each in answer["acks"]] == ["ok", "ok"], answer

    await set_pools(1, verified=True)
    await set_pools(2, verified=False)
    assert words_of(await status_of(stage)) == {
        "10.0.0.1": "hashes to pool.test/farm, its last pool task set new.test/farm"
    }
    await stage.look_at(changed(1, moving={"pools": pool("new.test")}))
    assert (await status_of(stage))["wrong"] == 0


async def test_what_agents_tell_of_themselves_is_told(stage: Stage):
    token = await stage.token()
    beat = Heartbeat(
        version="v9",
        uptime_s=5.0,
        host={"hostname": "pi-7"},
        journal_depth=3,
        buffer_depth=40,
        miners_known=5,
        sinks={"cloud": "ok", "mqtt": "the broker is away"},
        notices=("The disk is nearly full",),
    )
    await stage.ask(
        "POST",
        f"{stage.url}/link/v1/heartbeat",
        json=msgspec.to_builtins(beat),
        headers={"Authorization": f"Bearer {token}"},
    )
    await stage.change_agent(name=None)
    found = await status_of(stage)
    (agent,) = found["agents"]
    assert (agent["name"], agent["status"], agent["version"]) == ("pi-7", "online", "v9")
    assert (agent["journal_depth"], agent["buffer_depth"], agent["miners_known"]) == (3, 40, 5)
    assert agent["sinks"] == {"cloud": "ok", "mqtt": "the broker is away"}
    assert (found["is_fine"], found["problems"]) == (False, ["agent pi-7: The disk is nearly full"])
    stage.sessions.forget(stage.agent)  # as after a start of the cloud: what was written down
    assert (await status_of(stage))["agents"][0]["notices"] == ["The disk is nearly full"]


async def test_tasks_that_are_open_or_failed_of_late_are_counted(stage: Stage):
    async def one_task(number: int) -> str:
        made = await stage.create("miner.light.update", number, params={"action": "on"})
        url = f"{stage.at_farm}/tasks/batches/{made['data'][0]['batch_id']}/tasks"
        return str((await stage.ask("GET", url))["data"][0]["id"])

    old = await one_task(1)
    error = {"code": "unreachable", "message": "no route"}
    await stage.settle(old, "failed", {"outcome": "not_done", "error": error})
    stage.clock.forward(25 * 3600)
    stage.sessions.heard(stage.agent)
    await stage.look_at(*(changed(number) for number in range(1, 6)))
    for number in (1, 2):
        await stage.settle(
            await one_task(number), "failed", {"outcome": "not_done", "error": error}
        )
    await stage.settle(await one_task(3), "timed_out", None)
    await one_task(4)
    found = await status_of(stage)
    light = {"task_name": "miner.light.update"}
    assert found["tasks"] == {
        "open": [light | {"status": "queuing", "count": 1}],
        "held": [],
        "failed": [
            light | {"status": "failed", "code": "unreachable", "count": 2},
            light | {"status": "timed_out", "code": None, "count": 1},
        ],
    }
    assert found["is_fine"]


async def test_filters_are_those_of_a_search(stage: Stage):
    await stage.look_at(changed(1, moving={"temp_chip_c": 97.0}))
    assert (await status_of(stage, {"sn": {"eq": "SN2"}}))["total"] == 1
    assert (await status_of(stage, {"sn": {"eq": "SN1"}}))["wrong"] == 1
    url = f"{stage.at_farm}/status"
    refusal = await stage.ask("POST", url, json={"modell": {"eq": "S19"}}, status=400)
    assert "modell" in str(refusal["message"])
    await stage.ask("POST", url, json={"ip_ranges": ["nonsense"]}, status=400)
    await stage.ask("GET", f"{url}?page=1", status=400)


async def test_the_farm_of_another_is_not_seen(stage: Stage):
    for path in ("status", "miners/stats"):
        await stage.ask("GET", f"{stage.base}/farms/{stage.other_farm}/{path}", status=404)


async def test_of_a_miner_that_is_forgotten_no_judgement_is_kept(stage: Stage):
    await stage.look_at(changed(1, moving={"temp_chip_c": 97.0}))
    await stage.create("miner.record.delete", 1)
    async with stage.store.read() as connection:
        (row,) = (await search.by_ids(connection, stage.farm, [stage.miners[1]])).values()
    kept = {name: getattr(row, name) for name in ("state", "expected_hs", "pool", "pools_set")}
    assert (set(kept.values()), row.troubles) == ({None}, 0)


async def test_a_miner_that_is_limited_on_purpose_is_not_wrong(stage: Stage):
    less = {"hashrate_hs": 74 * TH, "power_w": 2300.0}
    by_watts = {"power_limit_w": 2400.0, "power_share": 2 / 3}
    by_percent = {"power_limit_w": 3600.0, "power_percent": 60, "power_share": 0.6}
    for each in (by_watts, by_percent):
        stage.clock.forward(1)
        await stage.look_at(changed(1, moving=less, slow=each), changed(2, moving=less))
        found = await status_of(stage, {"sn": {"eq": "SN1"}})
        assert (found["wrong"], found["worst"]) == (0, [])
        [rates] = found["rates"]
        share = each["power_share"]
        assert rates["expected_hashrate"] == pytest.approx(share * 100 * TH)
        assert found["power"]["expected_power"] == pytest.approx(share * 3600)
        # One without a limit is, as before: also where its agent is too old to tell of any.
        found = await status_of(stage, {"sn": {"eq": "SN2"}})
        assert found["wrong"] == 1
    # Nor is it limited for ever.
    stage.clock.forward(1)
    await stage.look_at(changed(1, moving=less, slow={"power_limit_w": 3600.0}))
    assert (await status_of(stage, {"sn": {"eq": "SN1"}}))["wrong"] == 1


# --- the stored judgement is that of the look ---------------------------------------------------


async def test_what_is_stored_of_a_look_is_what_is_judged_of_it_in_words(stage: Stage):
    wrong = (
        {"moving": {"temp_chip_c": 97.0}},
        {"moving": {"hashrate_hs": 10 * TH, "fan_rpm": (0, 6000)}},
        {"moving": {"hashrate_hs": 0.0, "pools": ()}},
        {"slow": {"mode": PowerMode.LOW, "power_limit_w": 2000.0}},
        {"slow": {"faults": (MinerFault(code="1", text="eth0 lost"),)}},
        {"moving": {"pools": pool("other.test")}},
        {"static": {"make": Make.ICERIVER, "model": "KS3", "hashrate_ideal_hs": None}},
        {"slow": {"power_limit_w": 3600.0, "power_percent": 60, "power_share": 0.6}},
    )
    await stage.look_at(*(changed(number, **each) for number, each in enumerate(wrong, 1)))
    await stage.look_at(dead(5), refused(6))
    now = stage.clock.now()
    async with stage.store.read() as connection:
        usual = await judged.usual_pools_of(connection, stage.farm)
        pieces = judged.in_pieces(connection, stage.farm, JudgedMiner, MinerQuery(), now)
        rows = [row async for some in pieces for row in some]
        whole = await search.by_ids(connection, stage.farm, [row.id for row in rows])
    assert len(rows) == len(wrong)
    for row in rows:
        stored = condition_of(_stored_facts(row, usual))
        seen_whole = condition_of(_whole_facts(whole[row.id], usual, now))
        assert msgspec.structs.replace(stored, symptoms=()) == msgspec.structs.replace(
            seen_whole, symptoms=()
        )
        kinds = [[each.trouble for each in seen.symptoms] for seen in (stored, seen_whole)]
        assert kinds[0] == kinds[1]


# --- GetMinerStats -------------------------------------------------------------------------------


async def test_the_four_counts_are_independent_of_each_other(stage: Stage):
    asleep = {"mode": PowerMode.SLEEP, "faults": (MinerFault(code="1", text="Fan 1 lost"),)}
    await stage.look_at(
        changed(1, slow=asleep, moving={"hashrate_hs": 0.0}),
        changed(2, moving={"temp_chip_c": 97.0, "fan_rpm": (0,)}),
        changed(3),
        dead(4),
    )
    found = await stats_of(stage)
    assert found["total"] == 5
    assert found["by_type"] == {"healthy": 2, "abnormal": 2, "sleep": 1, "stale": 1}
    assert found["classification"] == found["by_type"]
    by_type = found["by_abnormal_type"]
    assert by_type["fan"] == {"count": 2, "also_has": {"temperature": 1}}
    assert by_type["temperature"] == {"count": 1, "also_has": {"fan": 1}}
    assert by_type["network"] == {"count": 0, "also_has": {}}
    assert found["anomaly_breakdown"] == by_type
    assert found["mining_mode"] == [
        {"mode": "normal", "mining_mode_preset": None, "count": 4},
        {"mode": "sleep", "mining_mode_preset": None, "count": 1},
    ]


async def test_models_are_counted_with_what_they_should_hash(stage: Stage):
    await stage.look_at(
        *(changed(number) for number in (1, 2)),
        changed(3, static={"hashrate_ideal_hs": 120 * TH}),
        changed(4, static={"model": "S21", "hashrate_ideal_hs": 200 * TH}),
        changed(5, static={"model": None, "hashrate_ideal_hs": None}),
    )
    found = await stats_of(stage)
    assert found["theo"] == 520 * TH
    models = {each["model"]: each for each in found["miner_model"]}
    assert found["miner_model"][0]["model"] == "Antminer S19"
    assert models["Antminer S19"]["theoretical_hashrate"] == 320 * TH
    assert models["Antminer S19"]["average_expected_hashrate"] == pytest.approx(320 * TH / 3)
    assert models[None] == {
        "model": None, "theoretical_hashrate": None, "submodel": None, "count": 1,
        "average_expected_hashrate": None,
    }  # fmt: skip


async def test_those_that_nobody_looked_at_are_stale(stage: Stage):
    stage.clock.forward(600)
    assert (await stats_of(stage))["by_type"] == {
        "healthy": 0,
        "abnormal": 0,
        "sleep": 0,
        "stale": 5,
    }


# --- size ----------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_a_hundred_thousand_miners_do_not_keep_others_waiting(stage: Stage):
    await stage.look_at(changed(1))
    async with stage.store.write() as connection:
        query = tables.miners.select().where(tables.miners.c.id == stage.miners[1])
        (row,) = (await connection.execute(query)).mappings().all()
        for start in range(0, 100_000, 5000):
            await connection.execute(
                tables.miners.insert(),
                [
                    dict(row)
                    | {
                        "id": new_miner_id(),
                        "identity": f"m{number}",
                        "ip": f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}",
                        "ip_number": (10 << 24) + number,
                        "rack": f"R{number // 50}",
                        "last_ok": not 0 <= number - 5000 < 50,
                    }
                    for number in range(start, start + 5000)
                ],
            )
    for path in ("status", "miners/stats", "status"):
        began = time.perf_counter()
        found = (await stage.ask("GET", f"{stage.at_farm}/{path}"))["data"]
        print(f"{path}: {time.perf_counter() - began:.2f} s")
        assert found["total"] == 100_005
    assert found["wrong"] == 50
    assert found["causes"][0]["words"] == "all 50 unreachable miners stand in rack R100"
    async with stage.store.read() as connection:
        assert (
            await connection.scalar(sa.select(sa.func.count()).select_from(tables.miners))
            == 100_005
        )
