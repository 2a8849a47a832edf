"""The loop of virtual time itself: it jumps over waiting, and never over work."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import timedelta

import aiohttp
import pytest
from aiohttp import web

from tests import virtual_time
from tests.virtual_time import BEGINNING, VirtualClock, VirtualLoop, run_virtually

PATIENCE_S = 10.0


def test_a_day_of_waiting_lasts_no_time() -> None:
    async def wait() -> None:
        clock = VirtualClock()
        await clock.sleep(86_400)
        assert clock.now() - BEGINNING >= timedelta(days=1)

    began = time.monotonic()
    run_virtually(wait())
    assert time.monotonic() - began < 5.0


def test_waiting_ends_in_the_order_of_time() -> None:
    async def wait() -> list[int]:
        ended: list[int] = []

        async def one(seconds: int) -> None:
            await asyncio.sleep(seconds)
            ended.append(seconds)

        await asyncio.gather(*(one(seconds) for seconds in (3600, 5, 7200, 60)))
        return ended

    assert run_virtually(wait()) == [5, 60, 3600, 7200]


def test_a_real_exchange_takes_no_virtual_time_and_a_slow_answer_takes_its_own() -> None:
    async def exchange() -> tuple[list[float], bool]:
        async def answer(request: web.Request) -> web.Response:
            await asyncio.sleep(float(request.query.get("wait", "0")))
            return web.Response(text="x" * 100_000)

        app = web.Application()
        app.router.add_get("/", answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        loop = asyncio.get_running_loop()
        times = []
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
            for wait in (0, 0, 5, 0):
                began = loop.time()
                async with session.get(url, params={"wait": str(wait)}) as reply:
                    assert len(await reply.read()) == 100_000
                times.append(loop.time() - began)
                await asyncio.sleep(30)
            began = loop.time()
            with pytest.raises(TimeoutError):
                await session.get(url, params={"wait": "3600"})
            late = 9.9 < loop.time() - began < 11.1  # aiohttp rounds long timeouts up to a second
        await runner.cleanup()
        return times, late

    times, late = run_virtually(exchange())
    assert times[0] < 0.5
    assert times[1] < 0.5
    assert 5.0 <= times[2] < 5.5
    assert times[3] < 0.5
    assert late


def test_a_thread_is_waited_for_while_no_more_time_passes_than_it_takes() -> None:
    async def work() -> float:
        loop = asyncio.get_running_loop()
        ticking = asyncio.create_task(_tick())
        began, earnest = loop.time(), time.monotonic()
        await asyncio.to_thread(threading.Event().wait, 0.05)
        passed, took = loop.time() - began, time.monotonic() - earnest
        ticking.cancel()
        return passed - took

    assert run_virtually(work()) < 0.25, "not a tick more than the thread took"


def test_a_thread_that_owes_an_answer_is_waited_for_and_can_run_out_of_time() -> None:
    async def work() -> str:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        answer: asyncio.Future[str] = loop.create_future()
        loop.owe(answer)
        threading.Timer(0.02, loop.call_soon_threadsafe, (answer.set_result, "done")).start()
        assert await asyncio.wait_for(answer, PATIENCE_S) == "done"
        never: asyncio.Future[str] = loop.create_future()
        loop.owe(never)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(never, 0.02)
        return answer.result()

    assert run_virtually(work()) == "done"


def test_what_holds_the_loop_up_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual_time, "_HELD_UP_S", 0.05)

    async def hold() -> None:
        await asyncio.sleep(1)
        time.sleep(0.1)  # noqa: ASYNC251 - that is what is shown
        await asyncio.sleep(1)

    with pytest.raises(AssertionError, match="held the loop up"):
        run_virtually(hold())


def test_what_goes_round_in_circles_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual_time, "_STILL_S", 0.05)

    async def circle() -> None:
        async with asyncio.timeout(5):
            while True:  # noqa: ASYNC110 - that is what is shown
                await asyncio.sleep(0)

    with pytest.raises(AssertionError, match="in circles"):
        run_virtually(circle())


async def _tick() -> None:
    for _ in range(100_000):
        await asyncio.sleep(0.25)
