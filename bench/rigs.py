"""What a look at a rig costs the agent in CPU, by SSH and on the rig itself, and what a hundred rigs cost one agent.

Beside each look stands its floor, the least that such a look needs, measured in turns with it: by SSH one command that
does nothing, over the connection that is kept; on the rig the same files, read and not understood. The simulated rigs
are another process.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import uvloop

from agent.config.file import parse as parse_config
from agent.config.miners import TelemetrySection
from agent.demo.part import Part, command
from agent.miners.inventory import Inventory
from agent.miners.site import open_site
from agent.telemetry.buffer import ReadingBuffer
from agent.telemetry.poller import Poller
from bench.pairs import Round, control, effect, quantile
from bench.polling import Nowhere
from contract.clock import SystemClock
from drivers.base import Depth, Timing
from drivers.rig.driver import RigDriver
from drivers.rig.entry import RIG
from drivers.rig.reading import amd, host
from drivers.rig.spec import (
    EnrolledRig,
    LocalSpec,
    MiningProgram,
    ProgramSpec,
    SshSpec,
    program_named,
)
from service.limits import raise_open_files

MODELS: Final = ("xmrig-cpu", "6xrtx3080-trex", "8xrx6800-trm")
# On the rig itself without NVIDIA's library: that of this host, if it has one, is none of the rig's.
LOCAL_MODELS: Final = ("xmrig-cpu", "8xrx6800-trm")
ROUNDS: Final = 12
LOOKS: Final = 15  # in a row
RIGS: Final = 100
INTERVAL_S: Final = 5.0
SECONDS: Final = 30.0  # of the hundred
_CLOCK: Final = SystemClock()


async def run() -> None:
    """Print a line for each kind of rig and each way to it, and the figures of the hundred."""
    await asyncio.to_thread(_on_a_loop_of_its_own)


def _on_a_loop_of_its_own() -> None:
    raise_open_files()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_measured())


async def _measured() -> None:
    print(f"one look at a rig: CPU of the agent, {ROUNDS} rounds of {LOOKS} looks")
    alone_ms = []
    async with _simulated(MODELS, base="127.44.0.1") as (rigs, _):
        for told in rigs:
            driver = _driver(told, _ssh(told))
            reach = driver.rig_wire.reach
            nothing = partial(reach.run, ("true",), deadline_s=10.0)
            alone_ms.append(await _compare(f"SSH    {told['model']}", driver, nothing))
            await reach.close()
    for model in LOCAL_MODELS:
        async with _simulated((model,), base="127.0.0.1") as ((told,), _):
            driver = _driver(told, LocalSpec(root=told["folder"]))
            await driver.read(Depth.FULL)
            files = (*host.MOVING, *amd.FILES)
            texts = (await driver.rig_wire.read_texts(files)).texts
            paths = [Path(told["folder"]) / each.lstrip("/") for each in texts]
            await _compare(f"local  {told['model']}", driver, partial(_read, paths))
    await _hundred(statistics.fmean(alone_ms))


async def _compare(name: str, driver: RigDriver, floor: Callable[[], Awaitable[object]]) -> float:
    """Gives the CPU of a look in milliseconds. Raises RuntimeError where a look does not show what the rig mines: it
    would be too cheap.
    """
    if not (await driver.read(Depth.FULL)).moving.works:
        raise RuntimeError(f"{name} does not tell what it mines")
    rounds, looks, floors = [], [], []
    for _ in range(ROUNDS):
        before = await _cpu_ms(floor)
        beside = await _cpu_ms(driver.read)
        after = await _cpu_ms(floor)
        rounds.append(Round(before, beside, after))
        looks.append(beside)
        floors.append((before + after) / 2)
    rng = random.Random(1)
    look_ms = statistics.median(looks)
    print(
        f"  {name:<24} {look_ms:6.2f} ms a look, {statistics.median(floors):6.2f} ms its floor; "
        f"look / floor {effect(rounds, rng)}, floor / floor {control(rounds, rng)}"
    )
    return look_ms


async def _cpu_ms(work: Callable[[], Awaitable[object]]) -> float:
    """Of one of several in a row, over all threads of this process."""
    begun = time.process_time()
    for _ in range(LOOKS):
        await work()
    return max(1e-3, (time.process_time() - begun) * 1e3 / LOOKS)


async def _read(paths: list[Path]) -> None:
    for path in paths:
        path.read_bytes()


async def _hundred(alone_ms: float) -> None:
    """Rigs of all models by SSH, looked at in turn as a daemon does it."""
    models = [MODELS[number % len(MODELS)] for number in range(RIGS)]
    async with _simulated(models, base="127.45.0.1") as (rigs, folder):
        config = parse_config(
            {
                "miners": {"allowed": ["127.0.0.0/8"]},
                "rigs": [_entry(told, folder) for told in rigs],
            }
        )
        site = open_site(config, _CLOCK, Inventory(None))
        section = TelemetrySection(interval_s=INTERVAL_S, min_interval_s=1.0, batch_wait_s=0.2)
        buffer = ReadingBuffer(Nowhere(), None, section, _CLOCK, run_id="bench")
        poller = Poller(
            site.fleet,
            buffer,
            section,
            _CLOCK,
            timeout_s=site.look_timeout_s,
            rng=random.Random(1),
        )
        site.fleet.restore()
        parts = [asyncio.create_task(each) for each in (buffer.run(), poller.run())]
        try:
            await asyncio.sleep(3 * INTERVAL_S)  # logins, and what is asked once
            poller.lags_s.clear()
            before, cpu, begun = poller.stats.looks, time.process_time(), time.perf_counter()
            failed = poller.stats.failed
            await asyncio.sleep(SECONDS)
            spent_s, passed_s = time.process_time() - cpu, time.perf_counter() - begun
            looks, failed = poller.stats.looks - before, poller.stats.failed - failed
        finally:
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)
            await buffer.close()
        each_ms = spent_s * 1e3 / max(1, looks)
        print(
            f"{RIGS} rigs by SSH on one agent, a look at each every {INTERVAL_S:g} s: "
            f"{looks} looks in {passed_s:.0f} s, {failed} failed\n"
            f"  {each_ms:.2f} ms CPU a look ({each_ms / alone_ms:.2f} of that of one alone), "
            f"{100 * spent_s / passed_s:.0f} % of one core; "
            f"looks began {1e3 * quantile(list(poller.lags_s), 99):.0f} ms late (99th percentile)"
        )


@asynccontextmanager
async def _simulated(
    models: tuple[str, ...] | list[str], *, base: str
) -> AsyncIterator[tuple[list[dict[str, Any]], Path]]:
    """One rig of each, as the simulator tells of them, and a folder for what belongs to them."""
    with tempfile.TemporaryDirectory(prefix="miner-agent-bench-") as folder:
        makes = ",".join(f"rig/{model}" for model in models)
        program = command(
            "simulator.cli",
            *("--make", makes, "--base", base),
            *("--http-port", 0, "--rpc-port", 0, "--v3-port", 0, "--daemon-port", 0),
        )
        simulator = Part(Path(folder), "simulator", program, announces=True)
        try:
            yield list((await simulator.start())["miners"]), Path(folder)
        finally:
            await simulator.end()


def _driver(told: dict[str, Any], reach: LocalSpec | SshSpec) -> RigDriver:
    programs = tuple(
        ProgramSpec(kind=_kind(each), port=each["port"], token=each["token"])
        for each in told["programs"]
    )
    spec = EnrolledRig(name=told["model"], reach=reach, programs=programs)
    return RIG.enrolled(spec, clock=_CLOCK, timing=Timing())


def _ssh(told: dict[str, Any]) -> SshSpec:
    return SshSpec(
        host=told["ip"],
        port=told["ssh_port"],
        user=told["ssh_user"],
        key_file=told["ssh_key"],
        host_key=told["host_key"],
    )


def _entry(told: dict[str, Any], folder: Path) -> dict[str, Any]:
    """One of `[[rigs]]`."""
    programs = []
    for each in told["programs"]:
        programs.append({"kind": _kind(each).value, "port": each["port"]})
        if each["token"]:
            file = folder / f"token-{told['ip']}-{each['port']}"
            file.write_text(each["token"], "utf-8")
            file.chmod(0o600)
            programs[-1]["token_file"] = str(file)
    return {
        "name": f"rig-{told['ip']}",
        "reach": "ssh",
        "host": told["ip"],
        "port": told["ssh_port"],
        "user": told["ssh_user"],
        "key_file": told["ssh_key"],
        "host_key": told["host_key"],
        "programs": programs,
    }


def _kind(told: dict[str, Any]) -> MiningProgram:
    kind = program_named(told["software"])
    assert kind is not None, told["software"]
    return kind
