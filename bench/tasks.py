"""How fast a task travels: from the POST that creates it to the miner, and 1,000 of them there and back.

The whole house runs as three processes on this machine, simulator included, so the figures contain all of
them. The floor is measured in the same run: one bare TCP exchange with the same simulator.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import IO, Any

import psutil

from agent.demo.operator import Operator
from agent.demo.stage import Stage, set_stage

SINGLE_TASKS = 200
ONE_SHOTS = 100
BATCHES, BATCH = 10, 100


async def run() -> None:
    with tempfile.TemporaryDirectory(prefix="miner-agent-bench-") as folder:
        async with (
            set_stage(
                Path(folder),
                miners=BATCHES * BATCH,
                time_scale=60,
                settings={"telemetry": {"interval_s": 30}},
            ) as stage,
            Operator(stage) as operator,
        ):
            await _measure(stage, operator)


async def _measure(stage: Stage, operator: Operator) -> None:
    ids = await _known(stage, operator)
    floor_ms = [await _bare_exchange_ms(stage) for _ in range(SINGLE_TASKS)]
    _print("bare exchange with a simulated miner (floor)", floor_ms)
    some = dict(list(ids.items())[:SINGLE_TASKS])
    single_ms = await _single(stage, operator, some, "miner.light.update", {"action": "on"})
    _print("POST of a batch -> first byte of its write at the miner, 1 light", single_ms)
    others = dict(list(ids.items())[SINGLE_TASKS : SINGLE_TASKS + ONE_SHOTS])
    reboot_ms = await _single(stage, operator, others, "miner.system.reboot", {"force": True})
    _print("  the same, 1 reboot, which the cloud grants in between", reboot_ms)
    ratio = statistics.median(single_ms) / statistics.median(floor_ms)
    print(f"{'  that is, against the floor':<70} {ratio:8.1f} x")
    seconds = await _thousand(stage, operator, ids)
    what = f"{len(ids)} light tasks, created to settled and visible"
    print(f"{what:<70} {seconds:8.2f} s, {len(ids) / seconds:.0f} tasks/s")


async def _known(stage: Stage, operator: Operator) -> dict[str, str]:
    """Scan; give the cloud's id of every miner that has a light, by address."""
    first, last = stage.miners[0].ip, stage.miners[-1].ip
    begun = time.perf_counter()
    batch, _ = await operator.create("agent.scan.create", None, {"ip_range": f"{first}-{last}"})
    assert batch is not None
    await _ended(operator, [batch])
    print(f"{f'scan of {len(stage.miners)} addresses':<70} {time.perf_counter() - begun:8.2f} s")
    own = {each.ip for each in stage.miners if not each.foreign}
    return {row["ip"]: row["id"] for row in await operator.miners() if row["ip"] in own}


async def _single(
    stage: Stage, operator: Operator, ids: dict[str, str], name: str, params: dict[str, Any]
) -> list[float]:
    """One task after the other, each on a miner of its own: how long until the miner has the order."""
    action = {"miner.light.update": "light", "miner.system.reboot": "reboot"}[name]
    waited_ms = []
    missing = 0
    with stage.ledger.open() as ledger:
        for ip, miner_id in ids.items():
            ledger.seek(0, os.SEEK_END)
            created = time.time()
            batch, _ = await operator.create(name, [miner_id], params)
            assert batch is not None
            received = await _received(ledger, ip, action)
            if received is None:
                missing += 1
            else:
                waited_ms.append((received - created) * 1000)
    if missing:
        print(f"  {missing} of {len(ids)} miners took no {action} and are left out")
    return waited_ms


async def _received(ledger: IO[str], ip: str, action: str) -> float | None:
    """When this miner received such an order, by the simulator's clock; `None` if it did not within two seconds."""
    give_up = time.perf_counter() + 2.0
    while time.perf_counter() < give_up:
        begin = ledger.tell()
        line = ledger.readline()
        if not line.endswith("\n"):  # it is still being written
            ledger.seek(begin)
            await asyncio.sleep(0.002)
        else:
            entry = json.loads(line)
            if (entry["ip"], entry["action"], entry["phase"]) == (ip, action, "received"):
                return float(entry["t"])
    return None


async def _thousand(stage: Stage, operator: Operator, ids: dict[str, str]) -> float:
    """All at once: create ten batches of a hundred, wait until the cloud shows all as ended."""
    all_ids = list(ids.values())
    before = _cpu_s(stage)
    begun = time.perf_counter()
    batches = []
    for start in range(0, len(all_ids), BATCH):
        chunk = all_ids[start : start + BATCH]
        batch, _ = await operator.create("miner.light.update", chunk, {"action": "off"})
        assert batch is not None
        batches.append(batch)
    await _ended(operator, batches)
    seconds = time.perf_counter() - begun
    after = _cpu_s(stage)
    used = ", ".join(f"{name} {after[name] - before[name]:.2f} s" for name in after)
    print(f"  CPU used meanwhile: {used}")
    why = Counter([_word(task) for batch in batches for task in await operator.tasks(batch)])
    print(f"  {', '.join(f'{count} {code}' for code, count in why.most_common())}")
    return seconds


def _cpu_s(stage: Stage) -> dict[str, float]:
    """CPU seconds that each process has used so far, telemetry included."""
    parts = {"cloud": stage.cloud, "agent": stage.agent, "simulator": stage.simulator}
    times = {name: psutil.Process(part.pid).cpu_times() for name, part in parts.items()}
    return {name: each.user + each.system for name, each in times.items()}


def _word(task: dict[str, Any]) -> str:
    error = (task.get("result") or {}).get("error") or {}
    return str(error.get("code") or task["status"])


async def _ended(operator: Operator, batches: list[str]) -> None:
    open_batches = list(batches)
    while open_batches:
        states = [await operator.batch(batch) for batch in open_batches]
        open_batches = [
            batch
            for batch, state in zip(open_batches, states, strict=True)
            if state["status"] == "pending"
        ]
        await asyncio.sleep(0.01)


async def _bare_exchange_ms(stage: Stage) -> float:
    begun = time.perf_counter()
    reader, writer = await asyncio.open_connection(stage.miners[0].ip, stage.rpc_port)
    writer.write(b'{"command":"version"}')
    await reader.read()
    writer.close()
    return (time.perf_counter() - begun) * 1000


def _print(what: str, values_ms: list[float]) -> None:
    cuts = statistics.quantiles(values_ms, n=100)
    print(f"{what:<70} p50 {cuts[49]:8.2f} ms, p99 {cuts[98]:8.2f} ms  (n={len(values_ms)})")
