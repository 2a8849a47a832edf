"""What it costs to find out who answers at an address: our tree, pyasic's factory, and the bare wire, which asks each
make its fewest questions and decodes nothing else. Each is a process of its own and has the same simulated farm; they
take turns, so that a busy host is fair to all of them. pyasic runs as it comes, and once more on the loop and with the
settled memory that the agent has.

Needs to listen on 80, 443 and 4028 of loopback addresses (pyasic knows no other ports): run it as root, or in a
network namespace of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import uvloop

from agent.demo.part import Part, command
from agent.miners.credentials import factory_default
from bench.pairs import quantile
from contract.clock import SystemClock
from contract.miner import Endpoint
from drivers.base import Credentials, Timing
from drivers.doors import Doors
from drivers.http_client import HttpClient
from drivers.protocol.cgminer import NulDecoder
from drivers.protocol.digest import Digest, parse_challenge
from drivers.registry import recognise
from drivers.stranger import Stranger
from drivers.whatsminer.protocol import rpc as whatsminer
from drivers.wire import Wire
from service.limits import settle_memory
from simulator.net import can_bind

MODELS: Final = ("antminer/s21", "whatsminer/m50s", "iceriver/ks5l")  # of the peers' measurements
BASE: Final = "127.42.0.1"
EACH: Final = 200
ROUNDS: Final = 3
AT_ONCE: Final = 64  # as a scan does by default
TIMING: Final = Timing()
CLOCK: Final = SystemClock()
MUST: Final = 15.0
CONNECTIONS_MUST: Final = 3.0


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What one of them did with the whole farm."""

    found: int
    wrong: int
    cpu_ms: float  # of one miner
    connections: float  # of one miner
    p50_ms: float
    p99_ms: float
    seconds: float


class BenchHost(msgspec.Struct, frozen=True, kw_only=True):
    """One miner of the farm."""

    ip: str
    make: str


async def run() -> None:
    """Print a line for each of them, and the quotients; one line alone where this process may not listen on port 80."""
    if not can_bind(BASE, 80):
        print(
            f"identification: left out, for it has to listen on {BASE}:80 (as root, nothing else there)"
        )
        return
    with tempfile.TemporaryDirectory(prefix="miner-agent-bench-") as folder:
        makes = ",".join(f"{model}:{EACH}" for model in MODELS)
        program = command(
            "simulator.cli",
            *("--make", makes, "--base", BASE),
            *("--http-port", 80, "--rpc-port", 4028, "--v3-port", 4433, "--daemon-port", 4111),
            *("--time-scale", 60),
        )
        simulator = Part(Path(folder), "simulator", program, announces=True)
        try:
            ready = await simulator.start()
            hosts = [BenchHost(ip=each["ip"], make=each["make"]) for each in ready["miners"]]
            await asyncio.to_thread(_compare, hosts, Path(folder))
        finally:
            await simulator.end()


def _compare(hosts: list[BenchHost], folder: Path) -> None:
    file = folder / "hosts.json"
    file.write_bytes(msgspec.json.encode(hosts))
    told: dict[str, list[Told]] = {name: [] for name in WAYS}
    for _ in range(ROUNDS):
        for name, rounds in told.items():
            ended = subprocess.run(
                [sys.executable, "-m", "bench.identify", name, str(file)],
                check=True,
                capture_output=True,
            )
            rounds.append(msgspec.json.decode(ended.stdout.splitlines()[-1], type=Told))
    print(f"identification, {len(hosts)} miners of {', '.join(MODELS)}, medians of {ROUNDS} turns")
    print(f"{'':<22}  found  wrong  CPU ms  connections  p50 ms  p99 ms  seconds")
    for name, rounds in told.items():
        whole = [statistics.median(getattr(each, field) for each in rounds) for field in _FIELDS]
        print(
            f"  {name:<20}  {whole[0]:>5.0f}  {whole[1]:>5.0f}  {whole[2]:>6.3f}  {whole[3]:>11.2f}"
            f"  {whole[4]:>6.1f}  {whole[5]:>6.1f}  {whole[6]:>7.2f}"
        )
    for name in ("alone", "after_a_sweep"):
        pyasic = _ratio(told["pyasic"], told[name])
        bare = _ratio(told[name], told["bare_wire"])
        fewest = statistics.median(each.connections for each in told[name])
        print(
            f"  {name}: 1/{pyasic:.1f} of pyasic's CPU (at most 1/{MUST:g}), {bare:.1f}x the bare wire, "
            f"{fewest:.2f} connections (at most {CONNECTIONS_MUST:g})"
        )


_FIELDS: Final = ("found", "wrong", "cpu_ms", "connections", "p50_ms", "p99_ms", "seconds")


def _ratio(one: list[Told], other: list[Told]) -> float:
    return statistics.median(a.cpu_ms / b.cpu_ms for a, b in zip(one, other, strict=True))


# --- the contestants, each in a process of its own -------------------------------------------------


async def _alone(host: BenchHost) -> str | None:
    """Ours, with nothing known of the address."""
    return await _ours(host, None)


async def _after_a_sweep(host: BenchHost) -> str | None:
    """Ours, with the ports known and the connection that a sweep leaves. What the sweep costs is not counted."""
    return await _ours(host, _SWEPT.pop(host.ip, None) or _swept(host.ip))


async def _ours(host: BenchHost, doors: Doors | None) -> str | None:
    found = await recognise(
        Endpoint(host=host.ip),
        clock=CLOCK,
        timing=TIMING,
        credentials=factory_default,
        doors=doors,
    )
    return None if isinstance(found, Stranger) else found.make


_SWEPT: Final[dict[str, Doors]] = {}


def _swept(ip: str) -> Doors:
    """The four ports, as a sweep sees them: the first one that takes a connection stays open."""
    doors = Doors(sockets={})
    for port in (4028, 80, 4433, 4111):
        sock = socket.socket()
        try:
            sock.connect((ip, port))
        except ConnectionRefusedError:
            doors.refused |= {port}
            sock.close()
            continue
        doors.open |= {port}
        if doors.sockets:
            sock.close()
        else:
            sock.setblocking(False)
            doors.sockets[port] = sock
    return doors


async def _pyasic(host: BenchHost) -> str | None:
    import pyasic

    miner: Any = await pyasic.get_miner(host.ip)
    return None if miner is None else str(miner.make).lower()


async def _bare_wire(host: BenchHost) -> str | None:
    """The fewest exchanges that tell make, model and MAC to one who knows beforehand what is there."""
    wire = Wire(Endpoint(host=host.ip), CLOCK, TIMING)
    web = HttpClient(wire)
    if host.make == "antminer":
        path, login, digest = "/cgi-bin/get_system_info.cgi", Credentials("root", "root"), Digest()
        with wire.keeping(80):
            challenge = parse_challenge(
                (await web.send("GET", path)).headers.get("www-authenticate")
            )
            assert challenge is not None
            digest.learn(challenge)
            headers = {"Authorization": digest.authorization(login, "GET", path)}
            body = (await web.send("GET", path, headers=headers)).body
    elif host.make == "whatsminer":
        for name in ("get_version", "get_miner_info"):
            body = await wire.exchange(
                4028,
                whatsminer.request_for(name),
                NulDecoder(),
                deadline_s=TIMING.read_s,
                cap_bytes=65536,
            )
    else:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        body = (await web.send("POST", "/user/userpanel", headers=form, body=b"post=4")).body
    json.loads(body.rstrip(b"\0"))
    return host.make


WAYS: Final[dict[str, Callable[[BenchHost], Awaitable[str | None]]]] = {
    "alone": _alone,
    "after_a_sweep": _after_a_sweep,
    "pyasic": _pyasic,
    "pyasic_uvloop": _pyasic,
    "bare_wire": _bare_wire,
}


async def _measured(
    way: Callable[[BenchHost], Awaitable[str | None]],
    hosts: list[BenchHost],
    *,
    settled: bool = True,
) -> Told:
    for host in {each.make: each for each in hosts}.values():
        await way(host)  # what is imported and learned at the first of each is not of every one
    if settled:
        settle_memory()
    took_s: list[float] = []
    found: list[tuple[BenchHost, str | None]] = []

    async def one(host: BenchHost) -> None:
        begun = time.perf_counter()
        found.append((host, await way(host)))
        took_s.append(time.perf_counter() - begun)

    count, opens, cpu_s, begun = len(hosts), 0, 0.0, time.perf_counter()
    for at in range(0, count, AT_ONCE):
        some = hosts[at : at + AT_ONCE]
        if way is _after_a_sweep:
            _SWEPT.update((host.ip, _swept(host.ip)) for host in some)
            opens += len(some)  # the sweep's connection is one of those that it takes
        opens, cpu_s = opens - _active_opens(), cpu_s - time.process_time()
        await asyncio.gather(*map(one, some))
        opens, cpu_s = opens + _active_opens(), cpu_s + time.process_time()
    return Told(
        found=sum(make is not None for _, make in found),
        wrong=sum(make is not None and not _is_right(host, make) for host, make in found),
        cpu_ms=cpu_s / count * 1e3,
        connections=opens / count,
        p50_ms=quantile(took_s, 50) * 1e3,
        p99_ms=quantile(took_s, 99) * 1e3,
        seconds=time.perf_counter() - begun,
    )


def _is_right(host: BenchHost, make: str) -> bool:
    return make in {host.make, {"antminer": "bitmain", "whatsminer": "microbt"}.get(host.make)}


def _active_opens() -> int:
    """Connections begun in this network namespace; the simulated miners begin none."""
    names, values = (
        line.split()
        for line in Path("/proc/net/snmp").read_text().splitlines()
        if line.startswith("Tcp:")
    )
    return int(values[names.index("ActiveOpens")])


def main() -> None:
    parser = argparse.ArgumentParser(description="One contestant; the bench starts them.")
    parser.add_argument("name", choices=list(WAYS))
    parser.add_argument("hosts", type=Path)
    args = parser.parse_args()
    hosts = msgspec.json.decode(args.hosts.read_bytes(), type=list[BenchHost])
    with asyncio.Runner(
        loop_factory=None if args.name == "pyasic" else uvloop.new_event_loop
    ) as runner:
        told = runner.run(_measured(WAYS[args.name], hosts, settled=args.name != "pyasic"))
    print(msgspec.json.encode(told).decode())


if __name__ == "__main__":
    main()
