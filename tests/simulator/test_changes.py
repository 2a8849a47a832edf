"""A farm that changes while it runs: other addresses, a copied MAC, control boards in other cases."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from functools import partial

import pytest

from simulator.changes import Changes
from simulator.makes import SpecError
from tests.waiting import until as until_so

OTHER_MAC = "02:00:00:00:00:77"


async def accepts(ip: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(ip, port)
    except ConnectionRefusedError:
        return False
    writer.close()
    return True


async def test_some_of_a_farm_are_renumbered_and_the_ledger_says_which(start, web):
    farm = await start("antminer/s19pro:8,rig/idle,foreign/vnish", seed=3)
    before = {miner.mac: miner.ip for miner in farm}
    moved = farm.renumber(3)
    after = {miner.mac: miner.ip for miner in farm}
    assert {mac: ip for mac, ip in after.items() if before[mac] != ip} == moved
    assert len(moved) == 3
    assert len(set(after.values())) == 10 and not set(moved.values()) & set(before.values())
    lines = farm.ledger.of(action="lease", phase="applied")
    assert {each["miner"]: each["after"]["ip"] for each in lines} == moved
    assert {each["miner"]: each["before"]["ip"] for each in lines}.items() <= before.items()
    for mac, ip in moved.items():
        info = (await web(farm[ip], "GET", "get_network_info")).json
        assert (info["macaddr"], info["ipaddress"]) == (mac, ip)
    for mac in moved:
        with pytest.raises(KeyError):
            farm[before[mac]]


async def test_what_was_renumbered_stays_there_through_a_boot(start, web, until):
    farm = await start("antminer/s19pro:2")
    ((mac, ip),) = farm.renumber(1).items()
    farm[ip].power_cycle()
    await until(lambda: farm[ip].state == "mining")
    assert farm.by_mac(mac).ip == ip


async def test_the_same_seed_renumbers_the_same(start, base):
    one = await start("antminer/s19pro:6", seed=7)
    two = await start("antminer/s19pro:6", seed=7, base=base[:-1] + "101")
    assert list(one.renumber(2)) == list(two.renumber(2))


async def test_addresses_that_are_in_use_are_given_to_nobody_else(start, base):
    farm = await start("antminer/s19pro:3")
    one, two, three = farm.miners
    with pytest.raises(SpecError):
        farm.lease({one: two.ip})
    with pytest.raises(SpecError):
        farm.renumber(4)
    assert farm.renumber(3, first=base).keys() == {each.mac for each in farm}
    assert not {each.ip for each in farm} & {base}
    assert farm.ledger.of(action="lease", phase="applied")[0]["n"] == 1
    assert farm.lease({one: two.ip, two: three.ip, three: one.ip}).keys() == {
        each.mac for each in farm
    }


@pytest.mark.parametrize("spec", ["antminer/s19pro", "whatsminer/m60s", "iceriver/ks5l"])
async def test_two_change_addresses(start, spec):
    farm = await start(f"{spec}:2")
    one, other = farm.miners
    here, there = one.ip, other.ip
    assert farm.swap(one, other) == {one.mac: there, other.mac: here}
    assert farm[there] is one and farm[here] is other
    assert all(each.listeners["http"].is_open for each in farm)


async def test_a_copied_mac_is_told_by_two(start, web):
    farm = await start("antminer/s19pro:3")
    real, false, third = farm.miners
    false.clone_mac(third)
    false.clone_mac(real)
    told = [(await web(each, "GET", "get_network_info")).json["macaddr"] for each in farm]
    assert told == [real.mac, real.mac, third.mac]
    assert farm.by_mac(real.mac) is real
    rows = farm.ledger.of(action="clone_mac", phase="applied")
    assert [each["miner"] for each in rows] == [false.mac, false.mac]
    assert rows[-1]["after"] == {"mac": real.mac}


async def shown(web, miner):
    """MAC, serial of the control board, serials of the hash boards."""
    info = (await web(miner, "GET", "get_system_info")).json
    stats = (await web(miner, "GET", "stats")).json["STATS"][0]
    return info["macaddr"], info["serinum"], tuple(chain["sn"] for chain in stats["chain"])


async def test_control_boards_exchanged_keep_their_address_and_find_other_boards(start, web, until):
    farm = await start("antminer/s21:2")
    one, other = farm.miners
    before = [await shown(web, each) for each in farm]
    one.exchange_control_boards(other)
    await until(lambda: all(each.state == "mining" for each in farm))
    after = [await shown(web, each) for each in farm]
    assert [each[:2] for each in after] == [each[:2] for each in before]
    assert [each[2] for each in after] == [each[2] for each in reversed(before)]
    rows = farm.ledger.of(action="exchange_control_boards", phase="applied")
    assert [tuple(each["after"]["boards"]) for each in rows] == [each[2] for each in after]


async def test_a_control_board_moved_leaves_its_old_case_dark(start, web, until):
    farm = await start("antminer/s21:2")
    one, other = farm.miners
    mine, theirs = [await shown(web, each) for each in farm]
    one.move_control_board(other)
    await until(lambda: one.state == "mining")
    assert await shown(web, one) == (*mine[:2], theirs[2])
    with pytest.raises(ConnectionRefusedError):
        await shown(web, other)


async def test_a_new_control_board_tells_a_new_mac_and_the_old_boards(start, web, until):
    farm = await start("antminer/s21:2")
    one, other = farm.miners
    before = await shown(web, one)
    free = other.ip[:-1] + "9"
    one.replace_control_board(mac=OTHER_MAC, serial="SPARE1", ip=free)
    await until(lambda: one.state != "off" and one.shown_mac())
    assert one.ip == free and not any(pool["url"] for pool in one.pools)
    await until(lambda: one.process.is_up)
    assert await shown(web, one) == (OTHER_MAC, "SPARE1", before[2])


async def test_whatsminers_keep_their_supply_with_the_case(start, until):
    farm = await start("whatsminer/m60s:2")
    one, other = farm.miners
    before = [(each.mac, each.serial, each.psu_serial, each.board_serials) for each in farm]
    one.exchange_control_boards(other)
    after = [(each.mac, each.serial, each.psu_serial, each.board_serials) for each in farm]
    assert after == [
        (*before[0][:2], *before[1][2:]),
        (*before[1][:2], *before[0][2:]),
    ]
    await until(lambda: all(each.state == "mining" for each in farm))


async def test_a_control_board_fits_its_own_model_only(start):
    farm = await start("antminer/s21,antminer/s19pro")
    one, other = farm.miners
    boards = list(one.board_serials)
    for move in (one.exchange_control_boards, one.move_control_board):
        with pytest.raises(ValueError, match="does not fit"):
            move(other)
    with pytest.raises(ValueError, match="does not fit"):
        one.exchange_control_boards(one)
    assert one.board_serials == boards and farm.ledger.entries == []


async def test_a_file_of_changes_is_done_line_by_line_and_each_once(start, tmp_path):
    farm = await start("antminer/s21:4,foreign/vnish")
    one, two, *_, stranger = farm.miners
    path = tmp_path / "changes.jsonl"
    path.write_text(json.dumps({"change": "renumber", "count": 4}) + "\n")
    changes = Changes(path)
    changes.carry_out(farm)
    assert farm.ledger.entries == []  # it was there before the farm was
    at = [one.ip, two.ip]
    wanted = [
        {"change": "swap", "at": at},
        {"change": "clone_mac", "at": at},
        {"change": "exchange_control_boards", "at": at},
        {"change": "move_control_board", "at": at},
        {"change": "replace_control_board", "at": at[:1], "mac": OTHER_MAC, "serial": "S"},
        {"change": "renumber", "count": 1},
    ]
    for each in wanted:
        with path.open("a") as file:
            file.write(json.dumps(each) + "\n")
        before = len(farm.ledger.entries)
        changes.carry_out(farm)
        rows = len(farm.ledger.entries)
        changes.carry_out(farm)
        assert before < rows == len(farm.ledger.entries)
    for bad in (
        "no json",
        json.dumps({"change": "swap", "at": at[:1]}),
        json.dumps({"change": "paint", "at": at}),
        json.dumps({"change": "renumber", "number": 1}),
        json.dumps({"change": "swap", "at": [one.ip, stranger.ip]}),
        json.dumps({"change": "swap", "at": [one.ip, "127.0.0.9"]}),
    ):
        path.write_text(path.read_text() + bad + "\n")
        with pytest.raises(SpecError):
            changes.carry_out(farm)
        changes.carry_out(farm)


@pytest.mark.real_time
async def test_the_command_stands_where_it_is_told_changes_by_lines_and_tells_what_it_heard(
    base, tmp_path
):
    addresses, changes, tap = (tmp_path / name for name in ("addresses", "changes", "tap"))
    net = base.rpartition(".")[0]
    addresses.write_text(f"{net}.7\n{net}.9\n")
    ports = [f"--{name}-port=0" for name in ("http", "rpc", "v3", "daemon")]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from simulator.cli import main; main()", "--make", "antminer/s21,host/silent",
        "--addresses", str(addresses), "--changes", str(changes), "--tap", str(tap), *ports,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        ready = json.loads(await asyncio.wait_for(process.stdout.readline(), 20))
        assert [each["ip"] for each in ready["miners"]] == [f"{net}.7", f"{net}.9"]
        changes.write_text('{"change": "paint"}\n{"change": "renumber", "count": 1}\n')
        for problem in (b"farm not changed: cannot be done: {", b""):
            process.send_signal(signal.SIGHUP)
            if problem:
                said = await asyncio.wait_for(process.stderr.readline(), 10)
                assert problem in said
        await until_so(partial(accepts, f"{net}.10", ready["rpc_port"]), within_s=10)
        _, writer = await asyncio.open_connection(f"{net}.9", ready["rpc_port"])
        writer.write(b"hello")
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        process.terminate()
        await asyncio.wait_for(process.communicate(), 10)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    (heard,) = [json.loads(line) for line in tap.read_text().splitlines()]
    assert (heard["ip"], heard["port"], heard["data"]) == (
        f"{net}.9",
        ready["rpc_port"],
        "hello",
    )
