"""Two hosts on one cable, for what loopback cannot show: silence, a neighbour table, a route.

    with joined(live=["10.77.0.9"], routed=["10.78.0.0/20"]) as cable:
        cable.far.start(sys.executable, "-m", "...")     # serves at its addresses
        ended = cable.near.run(sys.executable, "-c", "...")

Each is a network namespace of its own. `far` answers for what it has on its loopback device and refuses where nothing
listens; all else on the cable has no neighbour, all else behind it is dropped without a word. The kernel's neighbour
table is one for all namespaces of a machine, and so is its threshold.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import IPv4Interface, IPv4Network
from typing import Any, NamedTuple

from tests.tools import lacking, require

NEAR = "10.77.0.1/20"
FAR = "10.77.0.2/20"


class Space:
    """A network namespace that lives as long as its holder, a process that waits for the end of its input."""

    def __init__(self, holder: subprocess.Popen[bytes]) -> None:
        self._holder = holder
        user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        self._inside = ("nsenter", *user, "--net", "--target", str(holder.pid), "--")
        self._started: list[subprocess.Popen[Any]] = []

    @property
    def pid(self) -> int:
        """A process in it, by which others find it."""
        return self._holder.pid

    def command(self, *words: str) -> list[str]:
        """What runs these words inside."""
        return [*self._inside, *words]

    def run(self, *words: str, check: bool = True, **more: Any) -> subprocess.CompletedProcess[str]:
        """Run to the end; CalledProcessError where it fails. Gives what it wrote, as text."""
        more = {"capture_output": True, "text": True, **more}
        return subprocess.run(self.command(*words), check=check, **more)

    def start(self, *words: str, **more: Any) -> subprocess.Popen[Any]:
        """Start a process, which is ended with this namespace."""
        started = subprocess.Popen(self.command(*words), **more)
        self._started.append(started)
        return started

    def ip(self, *lines: str) -> None:
        """Lines of `ip -batch`, in one go: thousands of addresses take a second."""
        self.run("ip", "-batch", "-", input="".join(f"{line}\n" for line in lines))

    def answer_at(self, addresses: Iterable[str]) -> None:
        """Have these addresses from now on, single ones or CIDR blocks."""
        self.ip(*(f"route replace local {each} dev lo" for each in addresses))

    def neighbours(self) -> dict[str, str]:
        """State by address, as `ip neigh` names it."""
        rows = self.run("ip", "-4", "neigh").stdout.splitlines()
        return {row.split()[0]: row.split()[-1] for row in rows}

    def fill_neighbours(self, number: int, *, state: str = "stale") -> None:
        """Hold so many places of the table, on a cable that leads nowhere; fewer where others of this host hold the rest."""
        self.ip("link add idle type veth peer name idle2", "link set idle up", "link set idle2 up")
        self.run(
            *("ip", "-force", "-batch", "-"),
            check=False,
            input="".join(
                f"neigh add 10.250.{n >> 8}.{n & 255} lladdr 02:fe:00:00:{n >> 8:02x}:{n & 255:02x} dev idle nud {state}\n"
                for n in range(number)
            ),
        )

    def close(self) -> None:
        for each in (*self._started, self._holder):
            if each.stdin is not None:
                each.stdin.close()
            if each is not self._holder:
                each.terminate()
            each.wait(timeout=30)


class Cable(NamedTuple):
    """Both ends."""

    near: Space
    far: Space


@contextmanager
def space(*, beside: Space | None = None) -> Iterator[Space]:
    """A network namespace with its loopback device up; `beside` one whose rights it shares."""
    require("ip", "unshare", "nsenter")
    words = ["unshare", "--net", "cat"]
    if os.geteuid() != 0:
        words = ["unshare", "--user", "--map-root-user", "--net", "cat"]
        if beside is not None:
            words = ["nsenter", "--user", "--preserve-credentials", "--target", str(beside.pid)]
            words += ["--", "unshare", "--net", "cat"]
    holder = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    made = Space(holder)
    try:
        holder.stdin.write(b"\n")
        holder.stdin.flush()
        if holder.stdout.readline() != b"\n":  # `cat` runs only once the namespace is there
            lacking("needs the right to make network namespaces")
        made.ip("link set lo up")
        yield made
    finally:
        made.close()
        for stream in (holder.stdout, holder.stderr):
            if stream is not None:
                stream.close()


@contextmanager
def joined(
    *,
    near: str = NEAR,
    far: str = FAR,
    live: Iterable[str] = (),
    routed: Iterable[str] = (),
) -> Iterator[Cable]:
    """`near` and `far` with these addresses on the cable. `live`: more addresses of `far`, single ones or CIDR blocks.
    `routed`: CIDR blocks that `near` reaches by way of `far` alone.
    """
    with ExitStack() as stack:
        here = stack.enter_context(space())
        there = stack.enter_context(space(beside=here))
        here.ip(f"link add near type veth peer name far netns {there.pid}")
        there.ip(f"address add {far} dev far", "link set far up")
        # Packets that are not for it end there.
        there.run("sh", "-c", "echo 0 > /proc/sys/net/ipv4/ip_forward")
        gateway = IPv4Interface(far).ip
        here.ip(
            f"address add {near} dev near",
            "link set near up",
            *(f"route add {IPv4Network(block)} via {gateway}" for block in routed),
        )
        there.answer_at(live)
        yield Cable(here, there)
