"""Bare connects under way, many at a time, on one epoll. Sends no byte."""

from __future__ import annotations

import errno
import resource
import select
import socket
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from agent.scan.sweep.pace import Patience
from agent.scan.sweep.probe import Probe
from contract.clock import Clock

# This host lacks something for a moment: files, memory, ports.
SHORTAGES: Final = frozenset(
    {
        errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.EAGAIN,
    }
)  # fmt: skip
_WATCHED: Final = select.EPOLLOUT | select.EPOLLERR | select.EPOLLHUP | select.EPOLLONESHOT
_ANSWERS: Final = frozenset({0, errno.ECONNREFUSED, errno.ECONNRESET})
_OWN_FILES: Final = Path("/proc/self/fd")
_FILES_SHARE: Final = (
    4  # of the files that the process may open, this part is left to all else in it
)


class ConnectOutcome(msgspec.Struct, frozen=True):
    """How a connect ended. `code` 0: accepted, and the socket is the taker's; ETIMEDOUT: nothing came."""

    probe: Probe
    port: int
    code: int
    took_s: float
    sock: socket.socket | None

    @property
    def is_from_there(self) -> bool:
        """Of an answer at once: a SYN was sent, so it is no error of this host."""
        return self.code in _ANSWERS


class _Flight(msgspec.Struct):
    """A connect under way; `sock` None: it has ended."""

    sock: socket.socket | None
    probe: Probe
    port: int
    began_mono: float


class Connects:
    """Connects on behalf of probes. Not for more than one thread."""

    def __init__(self, clock: Clock, patience: Patience, most: int) -> None:
        """At most `most` at once, and never so many that the rest of the process lacks files."""
        self._clock = clock
        self._patience = patience
        self._files = _files_free()
        self.most = min(most, self._files)
        self.begun = 0
        self._flights: dict[int, _Flight] = {}
        self._by_age: deque[_Flight] = deque()

    def __enter__(self) -> Self:
        self._poll = select.epoll()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for flight in self._flights.values():
            if flight.sock is not None:
                flight.sock.close()
        self._flights.clear()
        self._poll.close()

    @property
    def room(self) -> int:
        """How many more may begin now."""
        return self.most - len(self._flights)

    @property
    def under_way(self) -> int:
        return len(self._flights)

    def widen(self, times: int) -> None:
        """Each address is asked at so many ports at once from now on: as many addresses as before may be under way."""
        self.most = min(self.most * times, self._files)

    def begin(self, probe: Probe, ip: str, port: int) -> ConnectOutcome | None:
        """Send a SYN. `None`: the answer comes by `collect`. An answer at once may be an error of this host, with the
        errno of that and nothing sent.
        """
        try:
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError as error:
            return ConnectOutcome(probe, port, error.errno or errno.EIO, 0.0, None)
        try:
            code = sock.connect_ex((ip, port))
        except OSError as error:
            code = error.errno or errno.EIO
        if code == errno.EINPROGRESS:
            self.begun += 1
            flight = _Flight(sock, probe, port, self._clock.mono())
            self._flights[sock.fileno()] = flight
            self._by_age.append(flight)
            self._poll.register(sock, _WATCHED)
            return None
        self.begun += code in _ANSWERS
        return self._answer(sock, probe, port, code, 0.0)

    def collect(self, wait_s: float) -> list[ConnectOutcome]:
        """What has been answered; waits so long for the first."""
        # A list: what is begun while it is gone through may get the number of a socket that ended here.
        answers: list[ConnectOutcome] = []
        for handle, _ in self._poll.poll(wait_s):
            flight = self._flights.pop(handle, None)
            if flight is None or flight.sock is None:
                continue
            took_s = self._clock.mono() - flight.began_mono
            code = flight.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code in _ANSWERS:
                self._patience.note(took_s)
            sock, flight.sock = flight.sock, None
            answers.append(self._answer(sock, flight.probe, flight.port, code, took_s))
        return answers

    def overdue(self) -> Iterator[ConnectOutcome]:
        """What has waited long enough."""
        before = self._clock.mono() - self._patience.timeout_s
        by_age = self._by_age
        while by_age and (by_age[0].sock is None or by_age[0].began_mono <= before):
            flight = by_age.popleft()
            if flight.sock is None:
                continue
            del self._flights[flight.sock.fileno()]
            flight.sock.close()
            flight.sock = None
            took_s = self._patience.timeout_s
            yield ConnectOutcome(flight.probe, flight.port, errno.ETIMEDOUT, took_s, None)

    def probes(self) -> list[Probe]:
        """On whose behalf connects are under way."""
        return [flight.probe for flight in self._flights.values()]

    @property
    def next_overdue_mono(self) -> float | None:
        if not self._by_age:
            return None
        return self._by_age[0].began_mono + self._patience.timeout_s

    def _answer(
        self, sock: socket.socket, probe: Probe, port: int, code: int, took_s: float
    ) -> ConnectOutcome:
        if code == 0 and _is_itself(sock):
            code = errno.ECONNREFUSED
        if code != 0:
            sock.close()
            return ConnectOutcome(probe, port, code, took_s, None)
        return ConnectOutcome(probe, port, code, took_s, sock)


def _is_itself(sock: socket.socket) -> bool:
    """At an own address without a listener, a socket may have met itself."""
    try:
        met: bool = sock.getsockname() == sock.getpeername()
    except OSError:
        return False  # hung up already
    return met


def _files_free() -> int:
    """How many sockets the process may open for this and leave enough to all else."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return 1 << 20
    used = sum(1 for _ in _OWN_FILES.iterdir())
    return max(1, soft - used - soft // _FILES_SHARE)
