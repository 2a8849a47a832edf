"""The pace of orders that raise power: what holds for any of them, in virtual time."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise

import pytest

from agent.limits.pacer import WITHIN_S, Pacer, Ticket
from tests.agent.clock import SettableClock


def pacer(most: int = 5) -> tuple[Pacer, SettableClock]:
    clock = SettableClock()
    return Pacer(clock, lambda: most), clock


def held_to(begun: Sequence[float], most: int) -> None:
    """Never more than `most` in any ten seconds: each begins ten seconds after the one `most` before it, or later.

    What a float cannot hold of a time is given.
    """
    ordered = sorted(begun)
    for early, late in zip(ordered, ordered[most:], strict=False):
        assert late - early >= WITHIN_S - 1e-6, (early, late)


@contextmanager
def leave_of(each: Pacer) -> Iterator[Ticket]:
    """As a change has it: what it does not use is given back."""
    leave = each.leave()
    try:
        yield leave
    finally:
        leave.give_back()


async def order(each: Pacer, clock: SettableClock, begun: list[float], late_s: float = 0.0) -> None:
    with leave_of(each) as leave:
        await leave.take()
        await clock.sleep(late_s)
        leave.use()
        begun.append(clock.mono())


@pytest.mark.parametrize("most", [1, 3, 5, 100])
async def test_orders_begin_evenly_and_the_first_at_once(most: int) -> None:
    each, clock = pacer(most)
    begun: list[float] = []
    began = clock.mono()
    await asyncio.gather(*(order(each, clock, begun) for _ in range(2 * most + 2)))
    assert begun[0] == began
    gaps = [late - early for early, late in pairwise(begun)]
    assert gaps == pytest.approx([WITHIN_S / most] * len(gaps))
    held_to(begun, most)


@pytest.mark.parametrize("seed", range(8))
async def test_whatever_lies_between_leave_and_order_no_ten_seconds_see_more(seed: int) -> None:
    rng = random.Random(seed)
    most = rng.choice((1, 2, 5, 7))
    each, clock = pacer(most)
    begun: list[float] = []

    async def one() -> None:
        await clock.sleep(rng.uniform(0, 30))
        with leave_of(each) as leave:
            for _ in range(rng.choice((1, 1, 1, 2, 3))):
                await leave.take()
                await clock.sleep(rng.choice((0.0, rng.uniform(0, 1), rng.uniform(0, 25))))
                if rng.random() < 0.2:
                    return  # it turned out that nothing is to be ordered
                leave.use()
                begun.append(clock.mono())

    jobs = [asyncio.create_task(one()) for _ in range(60)]
    for job in rng.sample(jobs, 10):
        asyncio.get_running_loop().call_later(rng.uniform(0, 60), job.cancel)
    await asyncio.gather(*jobs, return_exceptions=True)
    assert len(begun) > 20
    held_to(begun, most)
    await clock.sleep(WITHIN_S)
    assert all(each.leave().is_free for _ in range(3))  # nothing was lost on the way


async def test_leaves_that_come_late_together_do_not_let_others_join_them() -> None:
    each, clock = pacer(3)
    begun: list[float] = []
    network = asyncio.Event()

    async def away() -> None:
        with leave_of(each) as leave:
            await leave.take()
            await network.wait()
            leave.use()
            begun.append(clock.mono())

    jobs = [asyncio.create_task(away()) for _ in range(3)]
    await clock.advance(60.0)
    late = asyncio.create_task(order(each, clock, begun))
    await clock.advance(60.0)
    assert begun == []
    network.set()
    await asyncio.gather(*jobs, late)
    assert begun[:3] == [begun[0]] * 3
    assert begun[3] - begun[0] >= WITHIN_S


async def test_who_comes_first_goes_first() -> None:
    each, _clock = pacer(5)
    order_of: list[int] = []

    async def one(number: int) -> None:
        with leave_of(each) as leave:
            await leave.take()
            leave.use()
            order_of.append(number)

    await asyncio.gather(*(one(number) for number in range(20)))
    assert order_of == list(range(20))


async def test_a_change_that_has_begun_goes_before_those_that_have_not() -> None:
    each, _clock = pacer(1)
    said: list[str] = []

    async def two_orders() -> None:
        with leave_of(each) as leave:
            for word in ("first", "second"):
                await leave.take()
                leave.use()
                said.append(word)

    async def other() -> None:
        with leave_of(each) as leave:
            await leave.take()
            leave.use()
            said.append("other")

    await asyncio.gather(two_orders(), *(other() for _ in range(5)))
    assert said.index("second") <= 2  # one of the others may have stood at the front already


async def test_what_is_given_back_is_anothers_at_once() -> None:
    each, clock = pacer(2)
    leaves = [each.leave() for _ in range(2)]
    for leave in leaves:
        await leave.take()
    begun: list[float] = []
    waits = asyncio.create_task(order(each, clock, begun))
    await clock.advance(100.0)
    assert begun == []
    leaves[0].give_back()
    await clock.advance(0.0)
    assert waits.done()
    leaves[0].give_back()  # it has none any more
    leaves[1].give_back()
    await clock.advance(2 * WITHIN_S)
    for leave in [each.leave() for _ in range(2)]:
        await leave.take()
    assert not each.is_free


async def test_one_that_is_cancelled_while_it_waits_takes_nothing_along() -> None:
    each, clock = pacer(1)
    begun: list[float] = []
    await order(each, clock, begun)
    waiting = [asyncio.create_task(order(each, clock, begun)) for _ in range(10)]
    await clock.advance(1.0)
    for job in waiting[:9]:
        job.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert len(begun) == 2
    assert begun[1] - begun[0] == pytest.approx(WITHIN_S)


async def test_free_is_what_does_not_wait() -> None:
    each, clock = pacer(5)
    leave = each.leave()
    assert leave.is_free
    taking = asyncio.ensure_future(leave.take())
    await asyncio.sleep(0)
    assert taking.done()  # within its first step
    assert leave.is_free
    other = each.leave()
    assert not other.is_free
    await clock.advance(WITHIN_S / 5)
    assert other.is_free
    waits = [asyncio.create_task(each.leave().take()) for _ in range(2)]
    await clock.advance(0.0)
    assert not other.is_free
    await asyncio.gather(*waits)


async def test_no_order_without_leave() -> None:
    each, _ = pacer()
    leave = each.leave()
    with pytest.raises(AssertionError):
        leave.use()
    await leave.take()
    leave.use()
    with pytest.raises(AssertionError):
        leave.use()


async def test_the_pace_follows_a_farm_that_grows_and_shrinks() -> None:
    clock = SettableClock()
    most = 2
    each = Pacer(clock, lambda: most)
    begun: list[float] = []

    async def many(count: int) -> None:
        await asyncio.gather(*(order(each, clock, begun) for _ in range(count)))

    await many(4)
    most = 10
    begun.clear()
    await many(21)
    assert begun[-1] - begun[1] == pytest.approx(19.0, abs=1.1)
    most = 1
    last = begun[-1]
    begun.clear()
    await many(2)
    assert begun[0] - last == pytest.approx(WITHIN_S)
    assert begun[1] - begun[0] == pytest.approx(WITHIN_S)


async def test_it_remembers_no_more_than_ten_seconds() -> None:
    each, clock = pacer(50)
    begun: list[float] = []
    for _ in range(10):
        await asyncio.gather(*(order(each, clock, begun) for _ in range(50)))
        assert len(each._begun_mono) <= 50
    assert math.isclose(begun[-1] - begun[0], (len(begun) - 1) * WITHIN_S / 50, rel_tol=1e-6)
