from __future__ import annotations

import gzip
import json
import time
import zlib
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from cloud.store.engine import rows
from cloud.store.schema.tables import agents, miners
from contract.clock import to_text
from contract.link import MinerReading, ReadingsRequest
from contract.miner import Board, Make, Moving, PowerMode, Psu, Slow, Static
from tests.cloud.conftest import AgentClient, Cloud, body_of

MAC = "02:11:22:33:44:55"


def reading(cloud: Cloud, *, ip: str = "127.1.0.1", **more: Any) -> MinerReading:
    facts: dict[str, Any] = {
        "at": to_text(cloud.clock.now()),
        "ip": ip,
        "mac": MAC,
        "moving": Moving(
            hashrate_hs=100e12,
            power_w=3000.0,
            boards=(Board(index=0, serial="BOARD1", temp_chip_c=70.0),),
        ),
        "drivable": True,
        "modes": ("sleep", "normal"),
        "interval_s": 60.0,
    }
    return MinerReading(**facts | more)


def static(**more: Any) -> Static:
    facts: dict[str, Any] = {
        "make": Make.ANTMINER,
        "model": "Antminer S19",
        "serial": "SN1",
        "hashrate_ideal_hs": 95e12,
        "psu": Psu(serial="PSU1"),
    }
    return Static(**facts | more)


async def push(
    agent: AgentClient, *readings: MinerReading, seq: int = 1, run_id: str = "run"
) -> tuple[int, Any]:
    body = body_of(ReadingsRequest(run_id=run_id, seq=seq, readings=readings))
    headers = {"Content-Encoding": "deflate"}
    return await agent.call("POST", "readings", data=zlib.compress(body), headers=headers)


async def known(cloud: Cloud) -> list[dict[str, Any]]:
    async with cloud.store.read() as connection:
        return rows(await connection.execute(miners.select().order_by(miners.c.created_at)))


async def test_a_first_reading_mints_a_miner_and_later_ones_keep_its_id(cloud: Cloud):
    agent = await cloud.agent()
    slow = Slow(mode=PowerMode.NORMAL)
    status, answer = await push(agent, reading(cloud, static=static(), slow=slow))
    assert (status, answer["state"]) == (200, "ok")
    (key,) = answer["miners"]
    assert (key["mac"], key["ip"], len(key["id"])) == (MAC, "127.1.0.1", 32)
    cloud.clock.move(60)
    moved = reading(cloud, ip="127.1.0.9", moving=Moving(hashrate_hs=90e12))
    _, answer = await push(agent, moved, seq=2)
    assert answer["miners"][0]["id"] == key["id"]
    (row,) = await known(cloud)
    assert row["ip"] == "127.1.0.9"
    assert row["hashrate_hs"] == 90e12
    # Static and slow facts were not sent again, so they stay.
    assert (row["model"], row["make"], row["mode"]) == ("Antminer S19", "Bitmain", "normal")
    assert row["slow"] == {"mode": "normal"}
    assert row["modes"] == ["sleep", "normal"]
    assert row["serials"] == "|SN1|PSU1|"
    assert row["last_read_at"] == cloud.clock.now()
    assert row["unstable_reason"] is None


async def test_the_same_batch_again_changes_nothing_and_gives_the_same_ids(cloud: Cloud):
    agent = await cloud.agent()
    batch = reading(cloud)
    _, first = await push(agent, batch)
    before = await known(cloud)
    cloud.clock.move(5)
    _, again = await push(agent, batch)
    assert again == {"state": "duplicate", "miners": first["miners"]}
    assert await known(cloud) == before
    assert (await push(agent, batch, run_id="another"))[1]["state"] == "ok"


async def test_a_miner_without_a_mac_has_a_provisional_id_until_its_mac_is_known(cloud: Cloud):
    agent = await cloud.agent()
    _, answer = await push(agent, reading(cloud, mac=None))
    (row,) = await known(cloud)
    assert (row["unstable_reason"], row["mac"]) == ("no_mac", None)
    assert answer["miners"][0]["mac"] is None
    cloud.clock.move(60)
    _, answer = await push(agent, reading(cloud), seq=2)
    provisional, real = await known(cloud)
    assert answer["miners"][0]["id"] == real["id"]
    assert (real["unstable_reason"], real["deleted_at"]) == (None, None)
    assert provisional["deleted_at"] == cloud.clock.now()


async def test_a_failed_look_is_noted_and_spoils_no_facts(cloud: Cloud):
    agent = await cloud.agent()
    await push(agent, reading(cloud, static=static()))
    read_at = cloud.clock.now()
    cloud.clock.move(60)
    failed = MinerReading(
        at=to_text(cloud.clock.now()), ip="127.1.0.1", mac=MAC, ok=False, error="timed out"
    )
    stranger = MinerReading(at=failed.at, ip="127.1.0.77", ok=False, error="refused")
    _, answer = await push(agent, failed, stranger, seq=2)
    assert len(answer["miners"]) == 1
    (row,) = await known(cloud)
    assert (row["last_ok"], row["last_error"]) == (False, "timed out")
    assert (row["last_read_at"], row["last_seen_at"]) == (read_at, cloud.clock.now())
    assert (row["hashrate_hs"], row["model"]) == (100e12, "Antminer S19")


async def test_readings_out_of_a_buffer_do_not_overwrite_newer_ones(cloud: Cloud):
    agent = await cloud.agent()
    await push(agent, reading(cloud))
    old = reading(
        cloud,
        at=to_text(cloud.clock.now() - timedelta(hours=2)),
        ip="127.1.0.5",
        moving=Moving(hashrate_hs=50e12),
    )
    await push(agent, old, seq=2)
    (row,) = await known(cloud)
    assert (row["ip"], row["hashrate_hs"]) == ("127.1.0.1", 100e12)
    assert row["hashrate_24h_hs"] == 75e12


@pytest.mark.parametrize("days", [2, 3650])
async def test_readings_count_again_once_a_clock_that_was_ahead_is_set_right(
    cloud: Cloud, days: float
):
    agent = await cloud.agent()
    cloud.clock.step(days)
    await push(agent, reading(cloud))
    cloud.clock.step(-days)
    cloud.clock.move(60)
    read_at = cloud.clock.now() - timedelta(seconds=1)
    fresh = reading(cloud, at=to_text(read_at), moving=Moving(hashrate_hs=50e12))
    await push(agent, fresh, seq=2)
    (row,) = await known(cloud)
    assert (row["last_seen_at"], row["last_read_at"]) == (read_at, read_at)
    assert row["hashrate_hs"] == 50e12


async def test_the_mean_of_a_day_forgets_what_is_older_than_a_day(cloud: Cloud):
    agent = await cloud.agent()
    await push(agent, reading(cloud, moving=Moving(hashrate_hs=10e12)))
    cloud.clock.move(23 * 3600)
    await push(agent, reading(cloud, moving=Moving(hashrate_hs=30e12)), seq=2)
    assert (await known(cloud))[0]["hashrate_24h_hs"] == 20e12
    cloud.clock.move(3600)
    await push(agent, reading(cloud, moving=Moving(hashrate_hs=40e12)), seq=3)
    assert (await known(cloud))[0]["hashrate_24h_hs"] == 35e12


async def test_a_deleted_record_stays_deleted_until_the_miner_was_away_and_returns(cloud: Cloud):
    agent = await cloud.agent()
    await push(agent, reading(cloud))
    async with cloud.store.write() as connection:
        await connection.execute(miners.update().values(deleted_at=cloud.clock.now()))
    cloud.clock.move(3600)
    await push(agent, reading(cloud), seq=2)
    assert (await known(cloud))[0]["deleted_at"] is not None
    cloud.clock.move(2 * 86_400)
    await push(agent, reading(cloud), seq=3)
    assert (await known(cloud))[0]["deleted_at"] is None


async def test_what_looks_wrong_is_flagged_when_the_reading_comes_in(cloud: Cloud):
    agent = await cloud.agent()
    broken = Moving(hashrate_hs=100e12, fan_rpm=(5000, 0))
    await push(agent, reading(cloud, moving=broken))
    assert (await known(cloud))[0]["anomaly_flags"] & 1


async def test_the_same_mac_on_two_farms_is_two_miners(cloud: Cloud):
    from cloud.store.access import admin

    farm = await admin.create_farm(cloud.store, cloud.workspace_id, "other", cloud.clock.now())
    one, two = await cloud.agent(), await cloud.agent(farm["id"])
    _, first = await push(one, reading(cloud))
    _, second = await push(two, reading(cloud))
    assert first["miners"][0]["id"] != second["miners"][0]["id"]


async def test_an_agent_shows_when_its_readings_came(cloud: Cloud):
    agent = await cloud.agent()
    await push(agent, reading(cloud))
    async with cloud.store.read() as connection:
        query = sa.select(agents.c.last_updated_at).where(agents.c.id == agent.agent_id)
        assert (await connection.execute(query)).scalar_one() == cloud.clock.now()


@pytest.mark.parametrize(
    "change", [{"ip": "a.b.c.d"}, {"ip": "::1"}, {"at": "noon"}, {"at": "2026-11-21T12:00:00"}]
)
async def test_a_reading_that_makes_no_sense_refuses_the_batch(cloud: Cloud, change: dict):
    agent = await cloud.agent()
    status, answer = await push(agent, reading(cloud), reading(cloud, **change))
    assert (status, answer["error"]) == (400, "Bad Request")
    assert await known(cloud) == []


async def test_a_bomb_is_cut_off_at_the_cap(cloud: Cloud):
    agent = await cloud.agent()
    bomb = zlib.compress(b" " * (cloud.settings.readings_body_bytes + 1024), 9)
    headers = {"Content-Encoding": "deflate"}
    status, answer = await agent.call("POST", "readings", data=bomb, headers=headers)
    assert (status, answer["error"]) == (413, "Request Entity Too Large")


@pytest.mark.parametrize("encoding", ["deflate", "gzip"])
async def test_a_body_that_is_not_compressed_as_it_says_is_refused(cloud: Cloud, encoding: str):
    agent = await cloud.agent()
    headers = {"Content-Encoding": encoding}
    url = f"{agent.base}/link/v1/readings"
    headers["Authorization"] = f"Bearer {agent.token}"
    async with cloud.http.post(url, data=b"\xff\xfenonsense" * 10, headers=headers) as response:
        assert (response.status, (await response.json())["statusCode"]) == (400, 400)


@pytest.mark.parametrize(
    "encoding", ["br", "zstd", "compress", "gzip, deflate", "utf-8", "x" * 500]
)
async def test_an_encoding_that_is_not_spoken_is_named_in_the_documented_body(
    cloud: Cloud, encoding: str
):
    agent = await cloud.agent()
    status, answer = await agent.call(
        "POST", "readings", data=b"whatever", headers={"Content-Encoding": encoding}
    )
    assert (status, answer["error"]) == (415, "Unsupported Media Type")
    assert encoding[:80] in answer["message"]
    assert "gzip, deflate or none" in answer["message"]
    assert set(answer) == {"statusCode", "message", "error"}


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress),
        ("GZIP", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", lambda body: zlib.compress(body, wbits=-15)),
        ("identity", bytes),
    ],
    ids=["gzip", "upper case", "zlib", "raw", "none"],
)
async def test_an_encoding_that_is_spoken_may_come_in_pieces(
    cloud: Cloud, encoding: str, packed: Callable[[bytes], bytes]
):
    agent = await cloud.agent()
    body = packed(body_of(ReadingsRequest(run_id="r", seq=1, readings=(reading(cloud),))))

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(body), 7):
            yield body[at : at + 7]

    status, answer = await agent.call(
        "POST", "readings", data=pieces(), headers={"Content-Encoding": encoding}
    )
    assert (status, len(answer["miners"])) == (200, 1)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("spoilt", [lambda body: body[:-4], lambda body: body + b"more"])
async def test_a_compressed_body_is_whole_and_nothing_follows_it(
    cloud: Cloud, encoding: str, spoilt: Callable[[bytes], bytes]
):
    agent = await cloud.agent()
    packed = gzip.compress(b"{}") if encoding == "gzip" else zlib.compress(b"{}")
    status, answer = await agent.call(
        "POST", "readings", data=spoilt(packed), headers={"Content-Encoding": encoding}
    )
    assert (status, answer["error"]) == (400, "Bad Request")
    assert encoding in answer["message"]


async def test_a_thousand_readings_are_taken_in_a_few_seconds(cloud: Cloud):
    agent = await cloud.agent()
    for seq in (1, 2):
        many = [
            reading(
                cloud,
                ip=f"127.1.{n // 250}.{n % 250 + 1}",
                mac=f"02:00:00:00:{n // 256:02X}:{n % 256:02X}",
                static=static(),
            )
            for n in range(1000)
        ]
        began = time.perf_counter()
        status, answer = await push(agent, *many, seq=seq)
        assert (status, len(answer["miners"])) == (200, 1000)
        assert time.perf_counter() - began < 20
    assert len(await known(cloud)) == 1000
    assert msgspec.json.encode((await known(cloud))[0]["moving"])


async def test_a_look_too_large_to_be_one_is_a_look_that_failed(cloud: Cloud):
    agent = await cloud.agent()
    await push(agent, reading(cloud, static=static()))
    cloud.clock.move(60)
    status, _ = await push(agent, reading(cloud, raw={"junk": "x" * 300_000}), seq=2)
    assert status == 200
    (row,) = await known(cloud)
    assert (row["last_ok"], row["last_error"], row["raw"]) == (False, "malformed_reply", None)
    assert row["model"] == "Antminer S19"


async def test_a_heartbeat_has_a_bound_of_its_own(cloud: Cloud):
    agent = await cloud.agent()
    beat = {"version": "1", "uptime_s": 1.0, "host": {"junk": "x" * 2 * 2**20}}
    body, headers = zlib.compress(json.dumps(beat).encode()), {"Content-Encoding": "deflate"}
    status, _ = await agent.call("POST", "heartbeat", data=body, headers=headers)
    assert status == 413


async def test_two_devices_with_one_mac_are_both_known_until_one_of_them_is_left(cloud: Cloud):
    agent = await cloud.agent()
    first, second = "127.1.0.1", "127.1.0.2"
    _, answer = await push(agent, reading(cloud, ip=first))
    ((_, known_as),) = ((key["ip"], key["id"]) for key in answer["miners"])
    cloud.clock.move(60)
    pair = (
        reading(cloud, ip=second, twin_ips=(first,)),
        reading(cloud, ip=first, twin_ips=(second,)),
    )
    _, answer = await push(agent, *pair, seq=2)
    ids = {key["ip"]: key["id"] for key in answer["miners"]}
    assert ids[first] == known_as != ids[second]
    rows_now = {row["ip"]: row for row in await known(cloud)}
    assert {ip: row["id"] for ip, row in rows_now.items()} == ids
    for row in rows_now.values():
        assert (row["mac"], row["unstable_reason"], row["deleted_at"]) == (
            MAC,
            "duplicate_mac",
            None,
        )
    # A look that fails says nothing of who it is, and spoils the record of neither.
    cloud.clock.move(60)
    dead = {"ok": False, "error": "unreachable", "moving": None}
    await push(agent, reading(cloud, ip=second, twin_ips=(first,), **dead), seq=3)
    rows_now = {row["ip"]: row for row in await known(cloud)}
    assert (rows_now[second]["last_ok"], rows_now[first]["last_ok"]) == (False, True)
    # The one that stays, be it the one known by its address, is the miner again.
    cloud.clock.move(60)
    _, answer = await push(agent, reading(cloud, ip=second), seq=4)
    assert answer["miners"][0]["id"] == known_as
    (left,) = (row for row in await known(cloud) if row["deleted_at"] is None)
    assert (left["id"], left["ip"], left["unstable_reason"]) == (known_as, second, None)


async def test_the_record_of_a_twin_goes_when_the_miner_is_alone_again(cloud: Cloud):
    agent = await cloud.agent()
    first, second = "127.1.0.1", "127.1.0.2"
    await push(
        agent,
        reading(cloud, ip=first, twin_ips=(second,)),
        reading(cloud, ip=second, twin_ips=(first,)),
    )
    assert len(await known(cloud)) == 2
    cloud.clock.move(60)
    other = reading(cloud, ip=second, mac="02:11:22:33:44:66")
    await push(agent, reading(cloud, ip=first), other, seq=2)
    left = {row["identity"]: row for row in await known(cloud) if row["deleted_at"] is None}
    assert {row["ip"]: row["unstable_reason"] for row in left.values()} == {
        first: None,
        second: None,
    }
    assert set(left) == {MAC, "02:11:22:33:44:66"}


@pytest.mark.parametrize(
    ("said", "mac"),
    [
        ("00:00:00:00:00:00", None),
        ("ff:ff:ff:ff:ff:ff", None),
        ("01:00:5e:00:00:01", None),
        ("unknown", None),
        ("02-11-22-33-44-55", MAC),
        ("021122334455", MAC),
        ("0211.2233.4455", MAC),
    ],
)
async def test_what_is_no_mac_gives_a_provisional_id_and_any_spelling_the_same(
    cloud: Cloud, said: str, mac: str | None
):
    agent = await cloud.agent()
    await push(agent, reading(cloud, mac=said))
    (row,) = await known(cloud)
    assert (row["mac"], row["unstable_reason"]) == (mac, None if mac else "no_mac")
    assert row["identity"] == (mac or "ip:127.1.0.1")


async def test_the_mode_a_miner_hashes_in_is_kept_while_it_does_not(cloud: Cloud):
    agent = await cloud.agent()
    low = PowerMode.LOW
    looks = [
        (Slow(mode=low), low),
        (None, low),
        (Slow(mode=PowerMode.SLEEP), low),
        (Slow(mode=PowerMode.SLEEP, mode_configured=PowerMode.NORMAL), low),  # on its way, or off
        (Slow(), low),
        (
            Slow(mode_configured=PowerMode.HIGH),
            PowerMode.HIGH,
        ),  # firmware that tells no running mode
        (Slow(mode=low, mode_configured=PowerMode.NORMAL), PowerMode.HIGH),
        (Slow(mode=PowerMode.NORMAL, mode_configured=PowerMode.NORMAL), PowerMode.NORMAL),
    ]
    for seq, (slow, kept) in enumerate(looks, 1):
        cloud.clock.move(60)
        await push(agent, reading(cloud, slow=slow), seq=seq)
        (row,) = await known(cloud)
        assert row["awake_mode"] == kept, seq
    cloud.clock.move(60)
    late = reading(cloud, slow=Slow(mode=low), at=to_text(cloud.clock.now() - timedelta(hours=1)))
    await push(agent, late, seq=99)  # out of a buffer
    (row,) = await known(cloud)
    assert row["awake_mode"] == PowerMode.NORMAL
