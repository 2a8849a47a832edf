"""Port 80: Digest, what is where in which generation, and the shape of CGI output."""

from __future__ import annotations

import asyncio
import io
import json
import re
import tarfile

import pytest

NEW_ONLY = ["miner_type", "stats", "summary", "pools", "get_blink_status", "dlog", "log"]
OLD_ONLY = ["get_miner_status", "get_kernel_log", "get_status_api", "create_conf_backup"]


async def test_everything_is_behind_digest_with_the_vendors_realm(start, web):
    farm = await start("antminer/s21")
    for path in ("/", "/cgi-bin/get_system_info.cgi", "/nothing-here"):
        answer = await web(farm.miners[0], "GET", path, password=None)
        assert answer.status == 401
        assert re.fullmatch(
            'digest realm="antminer configuration", nonce="[0-9a-f]{32}", qop="auth"',
            answer.headers["www-authenticate"],
        )


async def test_a_nonce_is_never_old_and_a_wrong_password_is_refused(start, web):
    farm = await start("antminer/s21")
    miner = farm.miners[0]
    for _ in range(3):  # the client's nonce was never given out by this server
        assert (await web(miner, "GET", "miner_type")).status == 200
    assert (await web(miner, "GET", "miner_type", password="admin")).status == 401


async def test_the_uri_of_the_credentials_must_be_the_target(start, web, sign):
    farm = await start("antminer/s21")
    stolen = "Authorization: " + sign("GET", "/cgi-bin/miner_type.cgi")
    answer = await web(farm.miners[0], "GET", "get_system_info", password=None, headers=(stolen,))
    assert answer.status == 401


async def test_builds_challenge_differently(start, web):
    farm = await start("antminer/s21:4")
    plain, opaque, lower, expiring = farm.miners
    opaque.faults.add("opaque")
    lower.faults.add("realm_lowercase")
    expiring.faults.add("nonce_expires")
    assert "opaque" not in (await web(plain, "GET", "/", password=None)).headers["www-authenticate"]
    header = (await web(opaque, "GET", "/", password=None)).headers["www-authenticate"]
    assert 'opaque="' in header and header.endswith("algorithm=md5")
    assert b'realm="antminer configuration"' in (await web(lower, "GET", "/", password=None)).raw
    assert (await web(expiring, "GET", "miner_type")).status == 200
    again = await web(expiring, "GET", "miner_type")
    assert again.status == 401 and "stale=true" in again.headers["www-authenticate"]


async def test_a_script_sends_two_blank_lines_and_no_length_and_closes(start, web):
    farm = await start("antminer/s21,antminer/s9")
    for miner in farm:
        answer = await web(miner, "GET", "get_miner_conf", close=False)
        assert answer.body.startswith(b"\n\n{") and "content-length" not in answer.headers
        assert answer.headers["connection"] == "close"
    assert "content-type" not in answer.headers


async def test_a_hydro_chunks_when_the_client_keeps_the_line(start, sign):
    farm = await start("antminer/s21hyd")
    miner = farm.miners[0]
    target = "/cgi-bin/get_blink_status.cgi"
    request = f"GET {target} HTTP/1.1\r\nAuthorization: {sign('GET', target)}\r\n\r\n".encode()
    reader, writer = await asyncio.open_connection(miner.ip, miner.http_port)
    for _ in range(2):  # the line is good for more than one request
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"Transfer-Encoding: chunked" in head
        assert await reader.readuntil(b"0\r\n\r\n") == b'12\r\n\n\n{"blink": false}\r\n0\r\n\r\n'
    writer.close()


async def test_requests_without_length_or_in_chunks_get_411(start, web):
    farm = await start("antminer/s21")
    miner = farm.miners[0]
    assert (await web(miner, "POST", "blink")).status == 411
    chunked = ("Transfer-Encoding: chunked",)
    assert (await web(miner, "POST", "blink", headers=chunked)).status == 411
    assert farm.ledger.of(action="light") == []


@pytest.mark.parametrize("key", ["s21", "l7"])
async def test_new_firmware_has_its_scripts_and_not_the_old_ones(start, web, key):
    farm = await start(f"antminer/{key}")
    for name in NEW_ONLY:
        assert (await web(farm.miners[0], "GET", name)).status == 200, name
    for name in OLD_ONLY:
        assert (await web(farm.miners[0], "GET", name)).status == 404, name


async def test_old_firmware_has_its_scripts_and_not_the_new_ones(start, web):
    farm = await start("antminer/t17+")
    for name in OLD_ONLY:
        assert (await web(farm.miners[0], "GET", name)).status == 200, name
    for name in NEW_ONLY:
        assert (await web(farm.miners[0], "GET", name)).status == 404, name


async def test_early_builds_lack_scripts(start, web):
    farm = await start("antminer/s19-2020,antminer/s9-early,antminer/ks5")
    s19, s9, ks5 = farm.miners
    assert (await web(s19, "GET", "miner_type")).status == 404
    assert (await web(s9, "POST", "blink", b"action=onPageLoaded")).status == 404
    assert (await web(ks5, "GET", "log")).status == 404
    assert (await web(ks5, "GET", "get_kernel_log")).status == 200


async def test_system_info_says_who_it_is(start, web):
    farm = await start("antminer/s21,antminer/s19pro,antminer/s9,antminer/l7")
    s21, s19, s9, l7 = [(await web(m, "GET", "get_system_info")).json for m in farm]
    assert s21["serinum"] == farm.miners[0].serial and "serinum" not in s19
    assert s21["system_filesystem_version"] == "FR-1.12(251009-S21)"
    assert s21["macaddr"] == farm.miners[0].mac and s21["minertype"] == "Antminer S21"
    assert l7["Algorithm"] == "ltc" and "firmware_type" in s19
    assert {"uptime", "loadaverage", "mem_free", "bmminer_version"} <= set(s9)


async def test_the_type_names_the_control_board(start, web):
    farm = await start("antminer/s19pro,antminer/ks5")
    s19, ks5 = [(await web(m, "GET", "miner_type")).json for m in farm]
    assert s19["subtype"] == "zynq7007_BHB42XXX" and "product_type" not in s19
    assert ks5["product_type"] == "KS5" and ks5["fw_version"] == farm.miners[1].version


async def test_the_new_shape_has_serials_mode_and_a_list_of_faults(start, web):
    farm = await start("antminer/s21")
    miner = farm.miners[0]
    stats = (await web(miner, "GET", "stats")).json["STATS"][0]
    assert [c["index"] for c in stats["chain"]] == [0, 1, 2] and stats["rate_unit"] == "GH/s"
    assert [c["sn"] for c in stats["chain"]] == miner.board_serials
    assert stats["miner-mode"] == 0 and len(stats["chain"][0]["temp_chip"]) == 4
    miner.faults.add("pools_dead")
    found = (await web(miner, "GET", "summary")).json["SUMMARY"][0]["status"]
    assert {f["type"]: f["status"] for f in found} == {
        "rate": "s",
        "network": "e",
        "fans": "s",
        "temp": "s",
    }
    assert (await web(miner, "GET", "pools")).json["POOLS"][0]["status"] == "Dead"


async def test_while_the_miner_restarts_the_scripts_cannot_reach_it(start, web, until):
    farm = await start("antminer/s21")
    miner = farm.miners[0]
    miner.restart_process()
    assert b"Socket connect failed" in (await web(miner, "GET", "stats")).body
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(miner.ip, miner.rpc_port)
    await until(lambda: miner.process.is_up)
    assert (await web(miner, "GET", "stats")).json["STATS"][0]["elapsed"] < 20


async def test_a_dead_miner_process_is_brought_back_by_the_watchdog(start, until):
    farm = await start("antminer/s21")
    farm.miners[0].crash_process()
    assert not farm.miners[0].process.is_up
    await until(lambda: farm.miners[0].process.is_up)
    assert farm.miners[0].boot == 1


async def test_logs_are_text_after_two_blank_lines(start, web):
    farm = await start("antminer/s21,antminer/s9")
    new, old = farm.miners
    for miner, name in ((new, "log"), (old, "get_kernel_log")):
        body = (await web(miner, "GET", name)).body
        assert body.startswith(b"\n\n[") and len(body) > 10_000
    new.faults.add("big_log", bytes=300_000)
    assert len((await web(new, "GET", "log")).body) == 300_002


async def test_a_log_archive_is_packed_after_seconds_and_is_a_tar(start, web, until):
    farm = await start("antminer/s21,antminer/e9pro")
    miner, e9 = farm.miners
    days = (await web(miner, "GET", "dlog")).json["log_list"]
    wrong = await web(miner, "POST", "create_log_backup", b'["/1970-01/01"]')
    assert wrong.json["code"] == "L001"
    assert (await web(miner, "POST", "create_log_backup", b"[]")).json["code"] == "L002"
    body = json.dumps(days[:1]).encode()
    reply = (await web(miner, "POST", "create_log_backup", body)).json
    assert reply["code"] == "L000"
    assert (await web(miner, "GET", f"/log/{reply['msg']}")).status == 404
    await until(lambda: miner.archives)
    tar = await web(miner, "GET", f"/log/{reply['msg']}")
    assert tar.body[257:262] == b"ustar" and int(tar.headers["content-length"]) == len(tar.body)
    with tarfile.open(fileobj=io.BytesIO(tar.body)) as archive:
        assert archive.getnames() == [f"{days[0].strip('/')}/miner.log"]
    await web(e9, "POST", "create_log_backup", body)
    at = farm.clock.now()
    await until(lambda: farm.clock.now() > at + 8)
    assert e9.archives == {}


async def test_the_password_holds_a_second_after_the_reply(start, web, until):
    farm = await start("antminer/s21,antminer/s9")
    new, old = farm.miners
    asked = {"curPwd": "root", "newPwd": "n3w", "confirmPwd": "n3w"}
    assert (await web(new, "POST", "passwd", asked | {"curPwd": "x"})).json["code"] == "P001"
    assert (await web(new, "POST", "passwd", asked | {"confirmPwd": "x"})).json["code"] == "P004"
    assert (await web(new, "POST", "passwd", asked)).json["code"] == "P000"
    await until(lambda: new.password == "n3w")
    assert (await web(new, "GET", "miner_type")).status == 401
    assert (await web(new, "GET", "miner_type", password="n3w")).status == 200
    path = "/cgi-bin/passwd.cgi?current_pw=root&new_pw=a1&new_pw_ctrl=a1"
    assert (await web(old, "GET", path)).status == 200
    await until(lambda: old.password == "a1")


async def test_a_static_address_moves_the_miner(start, web, until, base):
    farm = await start("antminer/s21")
    miner = farm.miners[0]
    other = base.rsplit(".", 1)[0] + ".77"
    asked = {"ipHost": "rig-1", "ipPro": 2, "ipAddress": other, "ipSub": "255.0.0.0"}
    asked |= {"ipGateway": "127.0.0.1", "ipDns": "127.0.0.1"}
    bad = await web(miner, "POST", "set_network_conf", asked | {"ipHost": "a_b"})
    assert bad.json["code"] == "N001"
    bad = await web(miner, "POST", "set_network_conf", asked | {"ipDns": "1.1.1.1 8.8.8.8"})
    assert bad.json["code"] == "N005"
    assert (await web(miner, "POST", "set_network_conf", asked)).json["code"] == "N000"
    await until(lambda: miner.ip == other)
    assert (await web(miner, "GET", "get_system_info")).json["hostname"] == "rig-1"
    assert [e["phase"] for e in farm.ledger.of(action="network")] == [
        "rejected",
        "rejected",
        "received",
        "applied",
    ]


async def test_too_many_scripts_at_once_hang_a_fragile_server_until_reboot(start, web, until):
    farm = await start("antminer/s9", faults={"*": ["fragile_web"]})
    miner = farm.miners[0]
    calls = [asyncio.ensure_future(web(miner, "GET", "get_system_info")) for _ in range(5)]
    await until(lambda: miner.web_hung)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    assert miner.most_scripts == 4
    miner.power_cycle()
    await until(lambda: miner.web_up)
    assert (await web(miner, "GET", "get_network_info")).status == 200
