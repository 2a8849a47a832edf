"""How long a scan takes, what it finds and what that costs: ours, by default and `--fast`, and those of two others.

Two network namespaces on one cable: simulated miners stand behind it or on it; every other address drops what it is
sent, or refuses it. In each round every scanner scans the same block once, one after another, in a process of its own.
Figures are medians over the rounds; compare ratios of one run alone.
"""

from __future__ import annotations

import atexit
import itertools
import json
import os
import random
import ssl
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path
from typing import Final

import msgspec
import pytest

from bench.scanners import SCANNERS, Scanned
from tests.namespaces import FAR, NEAR, Cable, joined

ROUNDS: Final = 3
_PATIENCE_S: Final = 900
_MIX: Final = ("antminer/s21", "whatsminer/m50s", "iceriver/ks5l")
_BEHIND: Final = "10.78.0.0/20"
_ON: Final = "10.77.0.0/20"
_OURS: Final = ("ours", "ours --fast")
_GC_THRESH: Final = Path("/proc/sys/net/ipv4/neigh/default/gc_thresh3")


class ScanCase(msgspec.Struct, frozen=True, kw_only=True):
    """A block with so many live miners in it. `refused`: its other addresses refuse; else they are silent."""

    words: str
    block: str = _BEHIND
    live: int = 200
    refused: bool = False
    is_far: bool = True
    """Behind a router; else on the cable itself, where each address asked costs a place of the neighbour table."""
    places: int | None = None
    """So many places of the neighbour table are left free by others."""
    scanners: tuple[str, ...] = tuple(SCANNERS)


CASES: Final[dict[str, ScanCase]] = {
    "silent": ScanCase(words="silent /20, 200 live"),
    "refused": ScanCase(words="refused /20, 200 live", refused=True),
    "live": ScanCase(words="live /24, 250 live", block="10.78.0.0/24", live=250),
    "on-link": ScanCase(words="on-link /20, 215 live", block=_ON, live=215, is_far=False),
    "on-link-full": ScanCase(
        words="on-link /20, 215 live, 64 places left", block=_ON, live=215, is_far=False, places=64, scanners=_OURS,
    ),
    "large": ScanCase(words="silent /16, 500 live", block="10.80.0.0/16", live=500, scanners=_OURS),
}  # fmt: skip


class _ScanRun(msgspec.Struct, frozen=True, kw_only=True):
    scanned: Scanned
    wrong: int
    """Addresses found with another make than theirs, or where no miner is."""
    right: int


async def run(names: Sequence[str] = (), *, rounds: int = ROUNDS, peers: bool = False) -> None:
    """Measure the cases by name (default: all). `peers`: others scan everywhere, where they take minutes, too."""
    for name in names or CASES:
        case = CASES[name]
        scanners = tuple(SCANNERS) if peers else case.scanners
        runs: dict[str, list[_ScanRun]] = {each: [] for each in scanners}
        try:
            with _standing(case) as (cable, makes):
                for _ in range(rounds):
                    for each in scanners:
                        if (done := _scan(cable, case, each, makes)) is not None:
                            runs[each].append(done)
        except pytest.skip.Exception as lacking:
            _say(f"scans are not measured: it {lacking}")
            return
        _print(case, runs)


@contextmanager
def _standing(case: ScanCase) -> Iterator[tuple[Cable, Mapping[str, str]]]:
    """The cable with that case's miners serving; gives make by address."""
    block = IPv4Network(case.block)
    # The first two are the cable's own where the block is on it.
    hosts = [str(each) for each in block.hosts()][2:]
    addresses = random.Random(case.words).sample(hosts, case.live)
    specs = [_MIX[n % len(_MIX)] for n in range(case.live)]
    live = [case.block] if case.refused else addresses
    with (
        joined(live=live, routed=[case.block] if case.is_far else []) as cable,
        tempfile.TemporaryDirectory(prefix="miner-agent-bench-") as folder,
    ):
        file = Path(folder) / "addresses"
        file.write_text("\n".join(addresses))
        words = [sys.executable, "-c", "from simulator.cli import main; main()"]
        ports = [f"--{name}-port={number}" for name, number in _PORTS.items()]
        farm = cable.far.start(
            *words, "--make", ",".join(specs), "--addresses", str(file), *ports, stdout=subprocess.PIPE
        )  # fmt: skip
        assert farm.stdout is not None
        with farm.stdout:
            ready = json.loads(farm.stdout.readline())
        if case.is_far:
            _fix_neighbours(cable)
        if case.places is not None:
            cable.near.fill_neighbours(_threshold() - case.places)
        yield cable, {each["ip"]: each["make"] for each in ready["miners"]}


_PORTS: Final = {"http": 80, "rpc": 4028, "v3": 4433, "daemon": 4111}


def _fix_neighbours(cable: Cable) -> None:
    """Each end knows the other for good: whoever else fills the kernel's table meanwhile cannot cut the cable."""
    ends = ((cable.near, "near", NEAR), (cable.far, "far", FAR))
    for (here, device, _), (there, other, at) in itertools.permutations(ends):
        words = there.run("ip", "-oneline", "link", "show", other).stdout.split()
        mac = words[words.index("link/ether") + 1]
        here.ip(f"neigh replace {IPv4Interface(at).ip} lladdr {mac} dev {device} nud permanent")


def _scan(cable: Cable, case: ScanCase, scanner: str, makes: Mapping[str, str]) -> _ScanRun | None:
    cable.near.ip("neigh flush nud failed", "neigh flush dev near")
    with tempfile.NamedTemporaryFile(prefix="miner-agent-bench-") as file:
        ended = cable.near.run(
            sys.executable, "-W", "ignore", "-m", "bench.scanners", scanner, case.block, file.name,
            check=False, timeout=_PATIENCE_S, env=_environment(),
        )  # fmt: skip
        raw = Path(file.name).read_bytes()
    if not raw:
        _say(f"  {scanner}: {ended.stderr.strip().splitlines()[-1:]}")
        return None
    scanned = msgspec.json.decode(raw, type=Scanned)
    right = sum(makes.get(ip) == make for ip, make in scanned.found.items())
    return _ScanRun(scanned=scanned, right=right, wrong=len(scanned.found) - right)


@cache
def _environment() -> dict[str, str]:
    """pyasic-rs reads all that SSL_CERT_FILE holds for each of its clients: one certificate is kindest to it."""
    trusted = ssl.create_default_context().get_ca_certs(binary_form=True)
    if not trusted:
        return dict(os.environ)
    handle, path = tempfile.mkstemp(prefix="miner-agent-bench-", suffix=".pem")
    os.write(handle, ssl.DER_cert_to_PEM_cert(trusted[0]).encode())
    os.close(handle)
    atexit.register(os.unlink, path)
    return os.environ | {"SSL_CERT_FILE": path}


def _threshold() -> int:
    return int(_GC_THRESH.read_text())


def _print(case: ScanCase, runs: Mapping[str, Sequence[_ScanRun]]) -> None:
    addresses = IPv4Network(case.block).num_addresses
    miners = case.live
    _say(f"\n{case.words} (medians of {max(map(len, runs.values()))} interleaved rounds)")
    _say(
        f"{'':12}{'wall s':>8}{'1st pass':>9}{'1st row':>8}{'found':>7}{'wrong':>7}{'missed':>8}"
        f"{'CPU us/addr':>13}{'connects/addr':>15}{'RSS MiB':>9}"
    )
    for name, done in runs.items():
        if not done:
            _say(f"{name:12}  failed")
            continue
        middle = _median_of(done)
        first_pass = middle(lambda run: run.scanned.first_pass_s or run.scanned.wall_s)
        first_row = middle(lambda run: run.scanned.first_row_s or run.scanned.wall_s)
        _say(
            f"{name:12}{middle(lambda run: run.scanned.wall_s):8.2f}{first_pass:9.2f}{first_row:8.2f}"
            f"{middle(lambda run: run.right):7.0f}{max(run.wrong for run in done):7}"
            f"{miners - min(run.right for run in done):8}"
            f"{middle(lambda run: run.scanned.cpu_s) / addresses * 1e6:13.0f}"
            f"{middle(lambda run: run.scanned.connects) / addresses:15.2f}"
            f"{middle(lambda run: run.scanned.rss_mib):9.0f}"
        )
    for ours in _OURS:
        for peer in (each for each in runs if each not in _OURS):
            if runs.get(ours) and runs[peer]:
                wall = _median_of(runs[ours])(_wall), _median_of(runs[peer])(_wall)
                cpu = _median_of(runs[ours])(_cpu), _median_of(runs[peer])(_cpu)
                _say(f"{ours} / {peer}: wall {wall[0] / wall[1]:.2f}, CPU {cpu[0] / cpu[1]:.2f}")


def _wall(run: _ScanRun) -> float:
    return run.scanned.wall_s


def _cpu(run: _ScanRun) -> float:
    return run.scanned.cpu_s


def _median_of(runs: Sequence[_ScanRun]) -> Callable[[Callable[[_ScanRun], float]], float]:
    return lambda figure: statistics.median(figure(run) for run in runs)


def _say(text: str) -> None:
    print(text, flush=True)
