"""A tap on the wire of machines with foreign firmware: whatever we do there is a pure read, without a password."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest

from agent.demo.play import serve_images
from contract.clock import SystemClock
from contract.errors import UnsupportedError
from contract.miner import Endpoint, Firmware, Identity, PowerMode
from contract.task import SPECS, Kind, TaskName
from drivers.base import (
    AnyChange,
    Credentials,
    Depth,
    Driver,
    FirmwareUpdate,
    Light,
    Mode,
    Plan,
    Pools,
    PoolSetting,
    PowerLimit,
    Reboot,
    Resume,
    Suspend,
)
from simulator.decoys import DECOYS
from simulator.farm import Farm
from tests.drivers.antminer.stage import next_base, timing
from tests.drivers.effects import MemoryEffect
from tests.drivers.meeting import meet
from tests.judges.pure_reads import SECRET, check_only_read, is_pure_read
from tests.warm import started

CLOCK = SystemClock()
ICERIVERS: Final = ("ks0-pbfarmer", "ks5m-tswift", "ks0-exo160")
KEYS: Final = (*DECOYS, *ICERIVERS)
CHANGES: Final[tuple[AnyChange, ...]] = (
    Light(on=True),
    Light(on=False),
    Mode(mode=PowerMode.SLEEP),
    Mode(preset="3250W"),
    PowerLimit(watts=3000),
    PowerLimit(percent=80),
    Pools(pools=(PoolSetting(url="stratum+tcp://pool.example.com:3333", user="farm.1"),)),
    Reboot(force=True),
    FirmwareUpdate(path="/nowhere/image.bmu"),
    Suspend(),
    Resume(),
)
STOCK_LOOKS: Final = ("ks5m-tswift", "hiveon", "asicseer", "marathon", "vnish-old", "blissz")
ORDERS: Final[dict[TaskName, dict[str, Any]]] = {
    TaskName.LIGHT: {"action": "on"},
    TaskName.POWER_MODE: {"mode": "sleep"},
    TaskName.MINING: {"action": "off"},
    TaskName.POWER_LIMIT: {"watts": 3000},
    TaskName.POOLS: {"pools": [{"url": "stratum+tcp://pool.example.com:3333", "user": "farm.1"}]},
    TaskName.REBOOT: {"force": True},
    TaskName.FIRMWARE: {},
    TaskName.LOG: {},
    TaskName.POOL_LOCK: {
        "action": "lock",
        "url": "http://127.0.0.1:9/",
    },  # refused without a look: the last one
}


@pytest.fixture
async def farm() -> AsyncIterator[Farm]:
    specs = [f"iceriver/{key}" if key in ICERIVERS else f"foreign/{key}" for key in KEYS]
    async with await Farm.start(specs, base=next_base()) as farm:
        farm.tap(True)
        yield farm


def miner_of(farm: Farm, key: str) -> Any:
    return next(miner for miner in farm if miner.key == key)


def test_the_allow_list_lets_no_write_through():
    assert is_pure_read(b'{"command":"summary+stats"}')
    assert is_pure_read(b'{"command":["summary","stats"],"new_api":true}')
    assert is_pure_read(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert is_pure_read(b"POST /user/userpanel HTTP/1.1\r\nHost: a\r\n\r\npost=4")
    assert is_pure_read(b'{"id":"info"}\n')
    assert is_pure_read(b'\x19\0\0\0{"cmd":"get.device.info"}')
    for write in (
        b'{"command":"restart"}',
        b'{"command":"summary+quit"}',
        b'{"command":"pools","parameter":"0"}',
        b"GET /cgi-bin/reboot.cgi HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\n\r\n",
        b"POST /user/userpanel HTTP/1.1\r\n\r\npost=2",
        b"POST /user/userpanel HTTP/1.1\r\n\r\npost=4&locate=1",
        b'{"id":"restart"}\n',
        b'{"id":"fan","on":true}\n',
        b'\x1b\0\0\0{"cmd":"set.system.reboot"}',
        b"GET / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
    ):
        assert not is_pure_read(write)


def test_every_task_that_reaches_a_miner_is_tried():
    assert set(ORDERS) == {
        name
        for name, spec in SPECS.items()
        if spec.wants_miner and spec.by_agent and spec.kind is not Kind.EVENT
    }


async def met(miner: Any) -> Driver:
    asked: list[Identity] = []

    def credentials(identity: Identity) -> Credentials:
        asked.append(identity)
        return Credentials("root", SECRET)

    endpoint = Endpoint(
        host=miner.ip,
        http_port=miner.http_port,
        rpc_port=miner.rpc_port,
        daemon_port=getattr(miner, "daemon_port", 4111),
    )
    driver = await meet(endpoint, credentials, timing(), clock=CLOCK)
    assert asked, "a password was at hand, and yet not sent"
    return driver


@pytest.mark.parametrize("key", KEYS)
async def test_a_driver_only_reads_it(farm: Farm, key: str, tmp_path: Path):
    miner = miner_of(farm, key)
    driver = await met(miner)
    identity = await driver.identify()
    assert identity.firmware is not Firmware.STOCK
    assert not identity.drivable
    assert identity.reason
    assert driver.capabilities is None
    for depth in Depth:
        if identity.firmware is Firmware.EPIC:
            with pytest.raises(UnsupportedError):
                await driver.read(depth)
        else:
            assert (await driver.read(depth)).moving.hashes
    for change in CHANGES:
        with pytest.raises(UnsupportedError):
            await driver.plan(change)
        effect = MemoryEffect(CLOCK)
        with pytest.raises(UnsupportedError):
            await driver.apply(Plan(change=change, before={}), effect)
    with pytest.raises(UnsupportedError):
        await driver.get_log(tmp_path, size_cap_bytes=1000)
    assert not list(tmp_path.iterdir())
    assert miner.wire_log
    check_only_read(miner.wire_log)
    assert farm.ledger.entries == []


async def miner_agent(*args: object) -> tuple[int, Any]:
    process = await started("agent.cli.app", *args, "--json")
    try:
        out, err = await process.communicate()
    except asyncio.CancelledError:  # another of its group failed: leave nothing running behind
        process.kill()
        await process.communicate()
        raise
    assert out, err.decode()
    assert process.returncode is not None
    return process.returncode, json.loads(out.splitlines()[-1])


@pytest.fixture
def reach(farm: Farm, tmp_path: Path) -> list[object]:
    """Arguments that lead the commands to the farm, with a password that must stay at home."""
    secret = tmp_path / "password"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    ports: list[object] = []
    for name in ("http", "rpc", "daemon"):
        ports += [f"--{name}-port", farm.ports[name]]
    # ePIC speaks HTTP where others have their API, and waits for the rest of what it takes for a request.
    return [*ports, "--user", "root", "--password-file", secret, "--timeout", 3]


async def test_a_scan_finds_them_all_and_only_reads(farm: Farm, reach: list[object]):
    hosts = [miner.ip for miner in farm]
    code, document = await miner_agent("scan", f"{hosts[0]}-{hosts[-1]}", *reach)
    assert code == 0
    assert document["found"] == len(hosts), document
    assert [each["firmware"] for each in document["miners"] if each["firmware"] == "stock"] == []
    for miner in farm:
        assert miner.wire_log
        check_only_read(miner.wire_log)
    assert farm.ledger.entries == []


async def test_a_read_by_hand_only_reads(farm: Farm, reach: list[object]):
    async def read(key: str) -> None:
        miner = miner_of(farm, key)
        code, document = await miner_agent("read", miner.ip, *reach)
        assert document["ok"] is (code == 0)
        assert (code == 0) is (key != "epic"), document
        assert miner.wire_log
        check_only_read(miner.wire_log)

    async with asyncio.TaskGroup() as group:
        for key in KEYS:
            group.create_task(read(key))
    assert farm.ledger.entries == []


async def test_a_light_is_refused_with_exit_1_and_nothing_is_written(
    farm: Farm, reach: list[object]
):
    async with asyncio.TaskGroup() as group:
        for key in KEYS:
            group.create_task(check_refused(farm, reach, key, TaskName.LIGHT))
    for miner in farm:
        check_seen_and_only_read(farm, miner)


async def test_every_task_is_refused_where_the_web_side_looks_like_stock(
    farm: Farm, reach: list[object], tmp_path: Path
):
    (tmp_path / "image").mkdir()
    (tmp_path / "image" / "s9").write_bytes(b"&" * 1000)
    async with serve_images(tmp_path / "image") as url, asyncio.TaskGroup() as group:
        for key, name in zip(itertools.cycle(STOCK_LOOKS), ORDERS):
            group.create_task(check_refused(farm, reach, key, name, f"{url}/s9"))
    for key in STOCK_LOOKS:
        check_seen_and_only_read(farm, miner_of(farm, key))


def check_seen_and_only_read(farm: Farm, miner: Any) -> None:
    """Looked for once all tasks have ended: what no driver does is refused without a look at the miner."""
    assert miner.wire_log
    check_only_read(miner.wire_log)
    assert farm.ledger.entries == []


async def check_refused(
    farm: Farm, reach: list[object], key: str, name: TaskName, image: str | None = None
) -> None:
    miner = miner_of(farm, key)
    params = {**ORDERS[name], **({"firmware_url": image} if name is TaskName.FIRMWARE else {})}
    code, document = await miner_agent(
        "act", miner.ip, name, "--params", json.dumps(params), *reach
    )
    assert code == 1, document
    result = document["result"]
    assert result["outcome"] == "not_done"
    assert result["error"]["code"] == "unsupported", result
