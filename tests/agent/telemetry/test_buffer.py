from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from agent.config.miners import TelemetrySection
from agent.ports import CloudError
from agent.telemetry.buffer import _BACKOFF_MAX_S, BatchStore, ReadingBuffer
from contract.link import MinerReading, ReadingsReply, ReadingsRequest
from tests.agent.onfarm import MemorySink
from tests.virtual_time import VirtualClock
from tests.waiting import until

SECTION = TelemetrySection(batch_wait_s=0.0, batch_max=10, memory_max=100)
AWAY = CloudError("away", retry=True)


def reading(number: int) -> MinerReading:
    return MinerReading(at="2026-11-21T00:00:00.000000Z", ip=f"10.0.{number // 250}.{number % 250}")


def store_at(path: Path, max_bytes: int = 10**6) -> BatchStore:
    return BatchStore(path, max_bytes=max_bytes)


@asynccontextmanager
async def running(
    sink: MemorySink, store: BatchStore | None, *, run_id: str = "run", section=SECTION, **more
) -> AsyncIterator[ReadingBuffer]:
    buffer = ReadingBuffer(
        sink, store, section, VirtualClock(), run_id=run_id, rng=random.Random(1), **more
    )
    task = asyncio.create_task(buffer.run())
    try:
        yield buffer
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await buffer.close()


async def test_readings_arrive_in_order_in_numbered_batches() -> None:
    sink = MemorySink()
    async with running(sink, None) as buffer:
        for number in range(25):
            buffer.add(reading(number))
        await until(lambda: len(sink.readings) == 25)
        await buffer.drained()
        assert buffer.depth == 0
    assert [each.ip for each in sink.readings] == [reading(n).ip for n in range(25)]
    assert [each.seq for each in sink.requests] == [1, 2, 3]
    assert {each.run_id for each in sink.requests} == {"run"}


async def test_an_urgent_reading_does_not_wait_for_company() -> None:
    sink = MemorySink()
    section = msgspec_copy(SECTION, batch_wait_s=60.0)
    async with running(sink, None, section=section) as buffer:
        buffer.add(reading(1), urgent=True)
        await until(lambda: sink.readings, within_s=5)


@pytest.mark.parametrize("on_disk", [True, False])
async def test_a_cloud_that_is_away_is_tried_ever_more_seldom(
    tmp_path: Path, on_disk: bool
) -> None:
    class Away(MemorySink):
        tries = 0

        async def push(self, request: ReadingsRequest) -> ReadingsReply:
            del request
            self.tries += 1
            raise AWAY

    sink = Away()
    async with running(sink, store_at(tmp_path / "b.db") if on_disk else None) as buffer:
        buffer.add(reading(1))
        await asyncio.sleep(3600)
    # Each wait is drawn from nothing up to the most: half of it on average.
    assert 3600 / _BACKOFF_MAX_S <= sink.tries <= 4 * 3600 / _BACKOFF_MAX_S


async def test_nothing_is_lost_while_the_cloud_is_away_not_even_over_a_restart(
    tmp_path: Path,
) -> None:
    sink = MemorySink()
    sink.error = AWAY
    async with running(sink, store_at(tmp_path / "b.db"), run_id="first") as buffer:
        for number in range(30):
            buffer.add(reading(number))
        await until(lambda: sink.asked >= 3)
        buffer.add(reading(30))
    sink.error = None
    async with running(sink, store_at(tmp_path / "b.db"), run_id="second") as buffer:
        buffer.add(reading(31))
        await until(lambda: len(sink.readings) == 32)
        await until(lambda: buffer.depth == 0)
        assert buffer.dropped == 0
    assert [each.ip for each in sink.readings] == [reading(n).ip for n in range(32)]
    keys = [(each.run_id, each.seq) for each in sink.requests]
    assert len(set(keys)) == len(keys)
    assert keys[-1][0] == "second"


async def test_a_batch_sent_twice_keeps_its_number(tmp_path: Path) -> None:
    class Forgetful(MemorySink):
        async def push(self, request: ReadingsRequest):
            await super().push(request)
            if len(self.requests) == 1:
                raise AWAY  # it arrived, only the answer got lost
            return await asyncio.sleep(0, result=(await MemorySink().push(request)))

    sink = Forgetful()
    async with running(sink, store_at(tmp_path / "b.db")) as buffer:
        buffer.add(reading(1))
        await until(lambda: len(sink.requests) == 2)
    assert sink.requests[0] == sink.requests[1]


async def test_room_on_disk_is_bounded_and_the_oldest_goes_first(tmp_path: Path) -> None:
    store = store_at(tmp_path / "b.db", max_bytes=600)
    dropped = 0
    for seq in range(20):
        batch = tuple(reading(n) for n in range(seq * 10, seq * 10 + 10))
        dropped += store.put(ReadingsRequest(run_id="r", seq=seq, readings=batch))
    assert store.size_bytes <= 600
    assert dropped > 0
    assert dropped + store.readings == 200
    oldest = store.oldest()
    assert oldest is not None
    assert oldest.request.seq == dropped // 10
    store.close()


async def test_a_batch_the_cloud_refuses_is_dropped_and_counted(tmp_path: Path) -> None:
    sink = MemorySink()
    sink.error = CloudError("bad", retry=False, status=400)
    async with running(sink, store_at(tmp_path / "b.db")) as buffer:
        buffer.add(reading(1))
        await until(lambda: buffer.dropped == 1)
        sink.error = None
        buffer.add(reading(2))
        await until(lambda: sink.readings)
    assert [each.ip for each in sink.readings] == [reading(2).ip]


async def test_a_revoked_token_loses_no_reading(tmp_path: Path) -> None:
    sink = MemorySink()
    sink.error = CloudError("revoked", retry=False, status=401)
    async with running(sink, store_at(tmp_path / "b.db")) as buffer:
        buffer.add(reading(1))
        await until(lambda: sink.asked >= 2)
        assert buffer.state == "revoked"
        sink.error = None
        await until(lambda: sink.readings)
        assert buffer.state == "ok"


async def test_memory_is_bounded_without_a_disk() -> None:
    sink = MemorySink()
    sink.error = AWAY
    async with running(sink, None) as buffer:
        for number in range(500):
            buffer.add(reading(number))
        assert buffer.depth <= 100 + SECTION.batch_max
        assert buffer.dropped >= 390


async def test_a_disk_that_fails_is_gone_around_and_taken_up_again(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    sink = MemorySink()
    sink.error = AWAY
    async with running(sink, store_at(folder / "b.db")) as buffer:
        buffer.add(reading(1))
        await until(lambda: sink.asked >= 2)
        folder.mkdir()
        await until((folder / "b.db").exists)
        sink.error = None
        await until(lambda: sink.readings)
        assert buffer.dropped == 0


async def test_a_damaged_file_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "b.db").write_bytes(b"no database at all" * 500)
    sink = MemorySink()
    async with running(sink, store_at(tmp_path / "b.db")) as buffer:
        buffer.add(reading(1))
        await until(lambda: sink.readings)
    assert (tmp_path / "b.damaged").exists()


async def test_the_ids_the_cloud_gave_are_handed_on() -> None:
    sink, learnt = MemorySink(), []
    async with running(sink, None, on_keys=learnt.extend) as buffer:
        buffer.add(reading(1))
        await until(lambda: learnt)
    assert learnt[0].id == f"id-{reading(1).ip}"


def msgspec_copy(section: TelemetrySection, **changes: float) -> TelemetrySection:
    return section.model_copy(update=changes)


def test_readings_are_small_on_the_wire() -> None:
    assert len(msgspec.json.encode(reading(1))) < 200
