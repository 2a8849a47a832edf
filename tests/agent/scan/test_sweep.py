"""What a sweep says of addresses on loopback: open, refused, silent, never asked; its pace and its width."""

from __future__ import annotations

import asyncio
import gc
import resource
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from agent.config.miners import ScanSection
from agent.scan.sweep.plan import Manner, SweepPlan, SweepRow
from agent.scan.sweep.probe import RowSockets
from agent.scan.sweep.sweep import Sweep
from contract.clock import SystemClock
from contract.ranges import parse_range
from drivers.doors import Doors
from tests.agent.onfarm import free_base
from tests.waiting import until

CLOCK = SystemClock()  # the thread of a sweep waits in earnest
QUICK = ScanSection(connect_timeout_s=0.3, addresses_per_s=100_000)


async def swept(
    plan: SweepPlan,
    section: ScanSection = QUICK,
    *,
    on_row: Callable[[SweepRow], None] = lambda _row: None,
) -> tuple[list[SweepRow], Sweep]:
    """All its rows, whose sockets are still open."""
    rows: list[SweepRow] = []

    def came(batch) -> None:
        rows.extend(batch)
        for each in batch:
            on_row(each)

    sweep = Sweep(plan, section, CLOCK, came)
    await asyncio.to_thread(sweep.run)
    return rows, sweep


def plan_of(*ranges: str, ports: tuple[int, ...], **more) -> SweepPlan:
    return SweepPlan(spans=tuple(parse_range(each) for each in ranges), ports=ports, **more)


@contextmanager
def silent_port(ip: str) -> Iterator[int]:
    """The queue of a listener that accepts nobody drops further connects."""
    with socket.socket() as full:
        full.bind((ip, 0))
        full.listen(0)
        port = full.getsockname()[1]
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex((ip, port))
            fillers.append(filler)
        yield port
        for each in fillers:
            each.close()


async def test_a_host_without_a_miners_port_is_refused_once_at_all_ports() -> None:
    section = ScanSection(connect_timeout_s=0.3, addresses_per_s=100_000, sockets_max=600)
    rows, sweep = await swept(plan_of("127.0.0.2-127.0.0.249", ports=(9, 7)), section)
    assert len({each.ip for each in rows}) == len(rows) == 248
    assert all(each.doors.refused == {9, 7} and not each.doors.open for each in rows)
    assert all(each.is_final and not each.is_silent for each in rows)
    assert (sweep.counts.addresses, sweep.counts.connects) == (248, 496)


async def test_a_host_that_does_not_answer_is_silent_at_the_ports_that_were_asked() -> None:
    ip = free_base()
    with silent_port(ip) as port:
        rows, _ = await swept(plan_of(ip, ports=(port,)))
    [row] = rows
    assert row.is_silent
    assert row.is_final
    assert row.asked == (port,)


async def test_what_is_silent_at_its_first_port_is_asked_at_the_others_afterwards() -> None:
    ip = free_base()
    with silent_port(ip) as port, socket.create_server((ip, 0)) as server:
        other = server.getsockname()[1]
        rows, sweep = await swept(plan_of(ip, ports=(port, other), manner=Manner.LOW))
        first, second = rows
        assert first.is_silent
        assert not first.is_final
        assert first.asked == (port,)
        assert second.is_final
        assert set(second.asked) == {port, other}
        assert second.doors.open == {other}
        second.doors.close()
        assert sweep.counts.second_pass_left == 0
        [meanwhile], _ = await swept(plan_of(ip, ports=(port, other)))
        assert meanwhile.doors.open == {other}
        assert meanwhile.is_final
        meanwhile.doors.close()
        [only], _ = await swept(plan_of(ip, ports=(port, other), manner=Manner.FAST))
        assert only.is_silent
        assert only.is_final
        assert only.asked == (port,)
        [whole], _ = await swept(plan_of(ip, ports=(port, other), manner=Manner.THOROUGH))
        assert whole.doors.open == {other}
        assert whole.is_final
        whole.doors.close()


async def test_what_is_asked_at_the_other_ports_meanwhile_is_silent_so_far_and_then_for_good() -> (
    None
):
    ip = free_base()
    with silent_port(ip) as port, silent_port(ip) as other:
        (first, second), sweep = await swept(plan_of(ip, ports=(port, other)))
    assert first.is_silent
    assert not first.is_final
    assert second.is_silent
    assert second.is_final
    assert set(second.asked) == {port, other}
    assert sweep.counts.second_pass_left == 0


async def test_one_silent_port_holds_up_the_row_of_an_open_one_only_shortly() -> None:
    ip = free_base()
    section = ScanSection(connect_timeout_s=4.0, addresses_per_s=100_000)
    with silent_port(ip) as port, socket.create_server((ip, 0)) as server:
        began = CLOCK.mono()
        [row], _ = await swept(plan_of(ip, ports=(server.getsockname()[1], port)), section)
        assert CLOCK.mono() - began < 3.0
        assert row.doors.open == {server.getsockname()[1]}
        assert set(row.asked) == {server.getsockname()[1], port}
        row.doors.close()


async def test_open_ports_go_on_connected_and_nothing_was_said_on_them() -> None:
    ip = free_base()
    with socket.create_server((ip, 0)) as server, socket.create_server((ip, 0)) as other:
        ports = (server.getsockname()[1], other.getsockname()[1])
        [row], sweep = await swept(plan_of(ip, ports=ports))
        assert row.doors.open == set(ports)
        assert sweep.counts.connects == 2
        here = row.doors.take(ports[0])
        assert here is not None
        talk, _ = server.accept()
        here.sendall(b"hello")
        talk.settimeout(5)
        assert talk.recv(100) == b"hello"
        row.doors.close()
        silent, _ = other.accept()
        silent.settimeout(5)
        with pytest.raises(ConnectionResetError):  # so that no port waits for a minute here
            silent.recv(100)
        for each in (here, talk, silent):
            each.close()


async def test_known_addresses_come_first_at_the_port_that_answered_before() -> None:
    plan = plan_of(
        "127.0.2.1-127.0.2.40", ports=(9, 7), first_ports={"127.0.2.30": 7, "10.0.0.1": 9}
    )
    rows, _ = await swept(plan)
    assert rows[0].ip == "127.0.2.30"
    assert rows[0].asked[0] == 7
    assert len(rows) == 40


async def test_skipped_addresses_are_not_asked() -> None:
    spans = plan_of("127.0.2.1-127.0.2.8", ports=(9,), skip=lambda number: number % 2 == 0)
    rows, sweep = await swept(spans)
    assert {int(each.ip.rpartition(".")[2]) for each in rows} == {1, 3, 5, 7}
    assert sweep.counts.addresses == 4


async def test_the_pace_is_kept_at_low_priority_and_the_width_always() -> None:
    section = ScanSection(connect_timeout_s=0.3, addresses_per_s=200, sockets_max=10)
    began = CLOCK.mono()
    rows, _ = await swept(plan_of("127.0.1.1-127.0.1.100", ports=(9,), manner=Manner.LOW), section)
    assert CLOCK.mono() - began >= 90 / 200 * 0.9
    assert len(rows) == 100


async def test_what_this_host_cannot_reach_is_not_asked_and_never_silent() -> None:
    rows, sweep = await swept(
        plan_of("255.255.255.255", ports=(9, 7))
    )  # no host may be called there
    [row] = rows
    assert row.not_asked is not None
    assert row.not_asked in (
        "EACCES on this host: permission denied",
        "ENETUNREACH on this host: network is unreachable",  # without a default route
    )
    assert row.asked == ()
    assert not row.is_silent
    assert row.is_final
    assert sweep.counts.not_asked == 1


async def test_a_sweep_stops_soon_and_leaves_nothing_open() -> None:
    ip = free_base()
    section = ScanSection(connect_timeout_s=30.0)
    with silent_port(ip) as port:
        rows: list[SweepRow] = []
        sweep = Sweep(plan_of(ip, ports=(port,)), section, CLOCK, rows.extend)
        running = asyncio.create_task(asyncio.to_thread(sweep.run))
        await until(lambda: sweep.counts.connects)
        began = CLOCK.mono()
        sweep.stop()
        await running
        assert CLOCK.mono() - began < 2
        assert rows == []


async def test_few_files_make_a_sweep_narrow_not_wrong() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    poll = select.epoll()  # a handle, to see how many there are
    handle = poll.fileno()
    poll.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (handle + 40, hard))
    try:
        rows, _ = await swept(plan_of("127.0.3.1-127.0.3.250", ports=(9, 7)))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(rows) == 250
    assert all(each.doors.refused == {9, 7} for each in rows)


def doors_of_two_sockets() -> Doors:
    return Doors(frozenset((1, 2)), frozenset(), {1: socket.socket(), 2: socket.socket()})


def doors_in_memory() -> int:
    return sum(isinstance(each, Doors) for each in gc.get_objects())


def test_sockets_are_handed_on_as_long_as_those_before_are_taken() -> None:
    handed_on, before = RowSockets(6), doors_in_memory()
    for _ in range(500):
        taken = doors_of_two_sockets()
        handed_on.add(taken)
        assert taken.sockets
        taken.close()
    assert doors_in_memory() - before < 10, "it keeps nothing of those that were taken"
    waiting = [doors_of_two_sockets() for _ in range(5)]
    for each in waiting:
        handed_on.add(each)
    assert [len(each.sockets) for each in waiting] == [2, 2, 2, 0, 0]
    for each in waiting:
        each.close()
