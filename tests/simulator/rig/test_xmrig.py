"""XMRig as a running one was seen: tokens, null rates, pause, stop, a pool that goes."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.simulator.rig.clients import applied, call, get, http


async def summary(rig: Any) -> Any:
    return await get(rig, "/2/summary")


async def test_no_token_is_401_a_wrong_one_403(start: Any) -> None:
    (rig,) = (await start("rig/xmrig-cpu")).miners
    assert (await http(rig, "/2/summary", token=None))[0] == 401
    assert (await http(rig, "/2/summary", token="other"))[0] == 403
    told = await summary(rig)
    assert told["kind"] == "miner"
    assert (told["algo"], told["version"], told["restricted"]) == ("rx/0", "6.22.2", False)
    assert told["cpu"]["threads"] == 56
    assert told["donate_level"] == 1
    assert await get(rig, "/1/summary") == await get(rig, "/api.json")


async def test_a_restricted_one_is_read_and_not_driven(start: Any) -> None:
    (rig,) = (await start("rig/xmrig-restricted")).miners
    assert (await summary(rig))["restricted"] is True
    body = {"method": "pause", "id": 1}
    assert (await http(rig, "/json_rpc", method="POST", body=body))[0] == 403
    assert (await http(rig, "/2/config"))[0] == 403
    assert applied(rig, "pause") == []


async def test_rates_are_zeros_then_nulls_then_figures(start: Any) -> None:
    (rig,) = (await start("rig/xmrig-cpu")).miners
    await rig.accept(rig.stop_order(rig.units[0]))
    await rig.accept(rig.start_order(rig.units[0]))
    assert (await summary(rig))["hashrate"]["total"] == [0.0, 0.0, 0.0]
    await asyncio.sleep(5)
    assert (await summary(rig))["hashrate"]["total"] == [None, None, None]
    await asyncio.sleep(12)
    ten, sixty, quarter = (await summary(rig))["hashrate"]["total"]
    assert ten == pytest.approx(9563, rel=0.03)
    assert (sixty, quarter) == (None, None)
    await asyncio.sleep(900)
    rates = (await summary(rig))["hashrate"]["total"]
    assert rates == [pytest.approx(9563, rel=0.03)] * 3
    backends = await get(rig, "/2/backends")
    assert [each["type"] for each in backends] == ["cpu", "opencl", "cuda"]
    assert len(backends[0]["threads"]) == 56


async def test_pause_and_resume_show_in_paused_and_reach_the_ledger(start: Any) -> None:
    (rig,) = (await start("rig/xmrig-cpu")).miners
    assert (await call(rig, "pause"))["result"] == {"status": "OK"}
    assert (await summary(rig))["paused"] is True
    await asyncio.sleep(300)
    assert rig.processor.temp_c(0) < 45
    assert (await call(rig, "resume"))["result"] == {"status": "OK"}
    assert (await summary(rig))["paused"] is False
    (pause,), (resume,) = applied(rig, "pause"), applied(rig, "resume")
    assert (pause["after"]["paused"], resume["after"]["paused"]) == (True, False)
    assert pause["program"] == "xmrig"


async def test_a_pause_that_is_ignored_is_answered_ok_and_not_in_the_ledger(start: Any) -> None:
    (rig,) = (await start("rig/xmrig-cpu")).miners
    rig.faults.add("ignores", actions=["pause"])
    assert (await call(rig, "pause"))["result"] == {"status": "OK"}
    assert (await summary(rig))["paused"] is False
    assert (len(rig.ledger.of(action="pause")), applied(rig, "pause")) == (1, [])


async def test_a_pause_may_come_late_or_its_answer_get_lost(start: Any, until: Any) -> None:
    (rig,) = (await start("rig/xmrig-cpu")).miners
    rig.faults.add("late_apply", actions=["pause"], seconds=40, times=1)
    assert (await call(rig, "pause"))["result"] == {"status": "OK"}
    assert (await summary(rig))["paused"] is False
    await until(lambda: rig.units[0].run.paused)
    rig.faults.add("silent_apply", actions=["resume"], close=True, times=1)
    with pytest.raises(IndexError):  # not even a status line
        await call(rig, "resume")
    assert (await summary(rig))["paused"] is False
    assert [len(applied(rig, each)) for each in ("pause", "resume")] == [1, 1]


async def test_stop_leaves_paused_false_and_start_is_no_method(start: Any) -> None:
    (rig,) = (await start("rig/xmrig-cpu")).miners
    assert (await call(rig, "stop"))["result"] == {"status": "OK"}
    told = await summary(rig)
    assert (told["hashrate"]["total"], told["paused"]) == ([0.0, 0.0, 0.0], False)
    assert (await call(rig, "start"))["error"] == {"code": -32601, "message": "Method not found"}
    assert (await call(rig, "resume"))["result"] == {"status": "OK"}
    assert (await summary(rig))["hashrate"]["total"][0] == 0.0


async def test_a_pool_that_goes_leaves_a_rate_that_decays(start: Any) -> None:
    (rig,) = (await start("rig/xmrig-cpu")).miners
    before = (await summary(rig))["hashrate"]["total"][0]
    rig.faults.add("pools_dead")
    await asyncio.sleep(35)
    told = await summary(rig)
    connection = told["connection"]
    assert (connection["uptime"], connection["failures"], connection["ip"]) == (0, 1, None)
    assert told["paused"] is False
    assert 0 < told["hashrate"]["total"][0] < before / 3
    rig.faults.clear()
    await asyncio.sleep(20)
    told = await summary(rig)
    assert told["connection"]["uptime"] == 20
    assert told["hashrate"]["total"][0] == pytest.approx(before, rel=0.03)


async def test_its_configuration_is_read_and_replaced_whole(start: Any) -> None:
    (rig,) = (await start("rig/xmrig-cpu")).miners
    config = await get(rig, "/2/config")
    config["donate-level"] = 0
    assert (await http(rig, "/1/config", method="PUT", body=config))[0] == 204
    assert (await get(rig, "/2/config"))["donate-level"] == 0
    assert (await summary(rig))["donate_level"] == 1
    assert len(applied(rig, "config")) == 1


@pytest.mark.parametrize("body", [{"id": 1}, [], "x", {"method": ["pause"]}, {"method": {}}])
async def test_bad_calls_are_answered_and_change_nothing(start: Any, body: Any) -> None:
    (rig,) = (await start("rig/xmrig-cpu")).miners
    status, data = await http(rig, "/json_rpc", method="POST", body=body)
    assert status == 200
    assert "error" in json.loads(data)
    assert rig.ledger.of(phase="applied") == []
