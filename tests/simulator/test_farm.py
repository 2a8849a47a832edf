"""The farm as a whole: addresses, decoys, the tap, the ledger file, the command."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys

import pytest

from simulator.farm import HIGH_PORTS, Farm, count_up, default_ports
from simulator.faults import FaultError
from simulator.makes import SpecError, parse_specs


def test_addresses_count_up_and_leave_out_the_ends():
    assert list(count_up("127.10.0.253", 4)) == [
        "127.10.0.253", "127.10.0.254", "127.10.1.1", "127.10.1.2",
    ]  # fmt: skip
    with pytest.raises(SpecError):
        list(count_up("127.255.255.254", 2))
    with pytest.raises(SpecError):
        list(count_up("10.0.0.1", 1))


def test_specs_name_makes_keys_and_numbers():
    assert parse_specs("antminer/s9:2,foreign/vnish") == [
        ("antminer", "s9"), ("antminer", "s9"), ("foreign", "vnish"),
    ]  # fmt: skip
    assert len({key for _, key in parse_specs("antminer:12")}) == 12
    for bad in ("", "antminer/s1", "goldshell", "antminer:x"):
        with pytest.raises(SpecError):
            parse_specs(bad)


async def test_the_same_seed_makes_the_same_miners(start, base):
    one = await start("antminer:6", seed=7)
    two = await start("antminer:6", seed=7, base=base[:-1] + "101")
    other = await start("antminer:6", seed=8, base=base[:-1] + "201")
    assert [m.mac for m in one] == [m.mac for m in two] != [m.mac for m in other]
    assert len({m.mac for m in one}) == 6


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("braiins", "BOSminer"),
        ("luxos", "LUXminer"),
        ("hiveon", "rwglr"),
        ("asicseer", "asicseer"),
        ("marathon", "kaonsu"),
        ("vnish-old", "(vnish 3.8.6)"),
        ("blissz", "Blissz"),
        ("mskminer", "rwglr"),
        ("chipless", "(Chipless v3.0 Auto Paid)"),
    ],
)
async def test_a_decoy_names_its_firmware_in_its_version(start, ask, key, text):
    farm = await start(f"foreign/{key}")
    assert text.encode() in await ask(farm.miners[0], "version")
    assert farm.miners[0].describe()["foreign"] is True


async def test_new_vnish_hides_its_version_and_shows_itself_in_stats(start, ask, legacy):
    farm = await start("foreign/vnish")
    assert b"Invalid command" in await ask(farm.miners[0], "version")
    head = (await legacy(farm.miners[0], "stats"))["STATS"][0]
    assert head["Type"] == "Antminer S21 Pro (Vnish 1.2.7)"


async def test_epic_speaks_http_on_4028(start, web):
    farm = await start("foreign/epic")
    miner = farm.miners[0]
    answer = await web(miner, "GET", "/capabilities", password=None, port=miner.rpc_port)
    assert answer.status == 200 and "PowerPlay" in answer.text


async def test_decoys_show_the_page_or_the_realm_of_their_maker(start, web):
    keys = ["braiins", "luxos", "vnish", "epic", "hiveon", "marathon"]
    farm = await start(",".join(f"foreign/{key}" for key in keys))
    answers = [await web(m, "GET", "/", password=None) for m in farm]
    words = ["Braiins OS", "Luxor Firmware", "AnthillOS", "Miner Web Dashboard"]
    assert all(w in a.text for w, a in zip(words, answers, strict=False))
    assert [a.status for a in answers] == [200, 200, 200, 200, 401, 401]
    assert "antminer configuration" in answers[4].headers["www-authenticate"]
    kaonsu = await web(farm.miners[5], "GET", "/kaonsu/v1/overview", password=None)
    assert kaonsu.status == 200


async def test_a_decoy_keeps_every_byte_it_is_sent(start, web, ask):
    farm = await start("foreign/hiveon")
    miner = farm.miners[0]
    await ask(miner, "version")
    await web(miner, "GET", "/", password=None)
    await web(miner, "POST", "reboot", b"now")
    rpc, get, post = miner.wire_log
    assert (rpc.data, rpc.had_credentials) == (b'{"command": "version"}', False)
    assert get.data.startswith(b"GET / HTTP/1.1") and not get.had_credentials
    assert post.data.endswith(b"\r\n\r\nnow") and post.had_credentials
    assert farm.ledger.of(action="foreign_write")[0]["phase"] == "rejected"


async def test_the_tap_sees_whole_and_broken_requests(start, until):
    farm = await start("antminer/s21")
    miner = farm.miners[0]
    _, writer = await asyncio.open_connection(miner.ip, miner.http_port)
    writer.write(b"GET / HT")
    writer.close()
    await until(lambda: miner.connections == 1 and not miner.listeners["http"].live)
    assert miner.wire_log == []
    farm.tap()
    _, writer = await asyncio.open_connection(miner.ip, miner.http_port)
    writer.write(b"GET / HT")
    writer.close()
    await until(lambda: miner.wire_log)
    assert miner.wire_log[0].data == b"GET / HT"


async def test_the_button_sends_address_and_mac(start, base):
    farm = await start("antminer/s9")
    loop = asyncio.get_running_loop()
    got = loop.create_future()

    class Ear(asyncio.DatagramProtocol):
        def datagram_received(self, data, addr):
            got.set_result((data, addr[0]))

    transport, _ = await loop.create_datagram_endpoint(Ear, local_addr=(base, 0))
    farm.miners[0].report_ip(transport.get_extra_info("sockname"))
    data, source = await asyncio.wait_for(got, 5)
    assert data.decode() == f"{base},{farm.miners[0].mac}" and source == base
    transport.close()


async def test_faults_for_an_address_nobody_has_are_refused(start):
    farm = await start("antminer/s21")
    with pytest.raises(FaultError, match="no miner has the address"):
        farm.apply_faults({"127.1.2.3": ["dead"]})


async def test_port_6060_tells_watts_without_a_password(base):
    try:
        farm = await Farm.start("antminer/s21", base=base, http_port=80)
    except PermissionError:
        pytest.skip("port 80 is not allowed here")
    async with farm:
        reader, writer = await asyncio.open_connection(base, 6060)
        writer.write(b"GET /miner_power HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).partition(b"\r\n\r\n")[2].startswith(b"miner power:3")
        writer.close()


async def test_a_taken_port_is_an_error_that_says_so(start, base):
    farm = await start("antminer/s21")
    with pytest.raises(OSError, match="in use"):
        await Farm.start("antminer/s21", base=base, http_port=farm.ports["http"])


async def test_the_ledger_file_is_whole_lines(start, web, tmp_path, until):
    path = tmp_path / "ledger.jsonl"
    farm = await start("antminer/s21", ledger_path=path)
    await web(farm.miners[0], "POST", "blink", {"blink": True})
    await until(lambda: farm.miners[0].blinking)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines == farm.ledger.entries and [e["n"] for e in lines] == [1, 2]
    assert set(lines[0]) >= {"t", "miner", "ip", "action", "phase", "before", "after", "boot"}


async def test_a_thousand_miners_answer_from_one_process(start, ask):
    farm = await start("antminer:1000")
    batch = asyncio.Semaphore(100)

    async def one(miner):
        async with batch:
            return await ask(miner, "summary")

    replies = await asyncio.gather(*(one(miner) for miner in farm))
    assert all(b'"SUMMARY":[{' in reply for reply in replies)


@pytest.mark.real_time
async def test_the_command_prints_one_line_heeds_signals_and_ends_cleanly(base, tmp_path):
    ledger, listing, faults = (tmp_path / n for n in ("ledger", "list.json", "faults.json"))
    faults.write_text("{}")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from simulator.cli import main; main()",
        "--make", "antminer:2,foreign:1", "--base", base, "--http-port", "0", "--rpc-port", "0",
        "--ledger", str(ledger), "--list", str(listing), "--faults", str(faults), "--json",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), 20)
        ready = json.loads(line)
        assert ready["ready"] is True and len(ready["miners"]) == 3
        assert json.loads(listing.read_text()) == ready
        first = ready["miners"][0]
        assert first["ip"] == base and first["generation"] == "new-bm"
        _, writer = await asyncio.open_connection(base, ready["rpc_port"])
        writer.close()
        faults.write_text(json.dumps({base: ["dead"]}))
        os.kill(process.pid, signal.SIGHUP)
        async with asyncio.timeout(10):
            while True:
                try:
                    _, writer = await asyncio.open_connection(base, ready["rpc_port"])
                except ConnectionRefusedError:
                    break
                except ConnectionResetError:
                    continue  # it was shut while it waited to be taken
                writer.close()
                await asyncio.sleep(0.01)
        process.terminate()
        rest, _ = await asyncio.wait_for(process.communicate(), 10)
        assert rest == b"" and process.returncode == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.real_time
async def test_the_command_refuses_what_it_does_not_know():
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from simulator.cli import main; main()", "--make", "antminer/x1",
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, error = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 2 and b"unknown antminer 'x1'" in error


def test_ports_of_the_vendors_that_somebody_else_holds_are_told(base):
    said: list[str] = []
    with socket.socket() as taken:
        taken.bind((base, 4433))
        taken.listen()
        assert default_ports(base, said.append) == HIGH_PORTS
    (text,) = said
    assert f"in use on {base}: port 4433" in text and "14028" in text


@pytest.mark.real_time
async def test_a_port_that_is_named_and_taken_is_told_without_a_number(base):
    with socket.socket() as taken:
        taken.bind((base, 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "from simulator.cli import main; main()", "--make", "antminer:1",
            "--base", base, "--http-port", port, "--rpc-port", "0", "--v3-port", "0",
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        _, error = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 1
    assert b"another simulator" in error and b"Errno" not in error
