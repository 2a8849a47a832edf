from __future__ import annotations

import asyncio

from agent.limits.lease import Lease
from tests.agent.clock import SettableClock


async def test_a_lease_counts_from_before_the_request() -> None:
    clock = SettableClock()
    lease = Lease(clock)
    assert lease.left_s() == 0.0
    asked = clock.mono()
    await clock.advance(15.0)  # the long poll
    lease.renew(asked, 60.0)
    assert lease.left_s() == 45.0
    await clock.advance(45.0)
    assert lease.left_s() == 0.0


async def test_an_older_reply_does_not_shorten_a_lease() -> None:
    clock = SettableClock()
    lease = Lease(clock)
    lease.renew(clock.mono(), 60.0)
    lease.renew(clock.mono() - 30.0, 60.0)
    assert lease.left_s() == 60.0


async def test_waiting_for_a_lease_ends_when_enough_is_left() -> None:
    clock = SettableClock()
    lease = Lease(clock)
    lease.renew(clock.mono(), 10.0)
    waiting = asyncio.create_task(lease.at_least(20.0))
    await clock.advance(1.0)
    assert not waiting.done()
    lease.renew(clock.mono(), 19.0)
    await clock.advance(0.0)
    assert not waiting.done()
    lease.renew(clock.mono(), 60.0)
    await clock.advance(0.0)
    assert waiting.done()
