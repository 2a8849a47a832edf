"""Light, reboot, factory reset, firmware: effects, delays, the mailbox, and the ledger."""

from __future__ import annotations

import asyncio
import gzip

import pytest

from simulator.antminer import firmware

NEXT = "FR-1.14(260101-S21)"


def phases(farm, action):
    return [entry["phase"] for entry in farm.ledger.of(action=action)]


async def after(farm, until, seconds):
    at = farm.clock.now()
    await until(lambda: farm.clock.now() >= at + seconds)


def upload(image, name="firmware", tail=b"", boundary=b"----x7"):
    part = b'Content-Disposition: form-data; name="%s"; filename="f.bmu"\r\n' % name.encode()
    kind = b"Content-Type: application/octet-stream\r\n\r\n"
    return b"--%s\r\n%s%s%s%s\r\n--%s--\r\n" % (boundary, part, kind, image, tail, boundary)


@pytest.mark.parametrize("text", [b'{"blink":true}', b'{"blink":"true"}', b'{"blink": true}'])
async def test_the_light_is_on_within_a_second(start, web, until, text):
    farm = await start("antminer/s21")
    miner = farm.miners[0]
    assert (await web(miner, "POST", "blink", text)).json == {"code": "B000"}
    begin = farm.clock.now()
    await until(lambda: miner.blinking)
    assert farm.clock.now() - begin <= 1.5
    assert (await web(miner, "GET", "get_blink_status")).json == {"blink": True}
    assert (await web(miner, "POST", "blink", b'{"blink":false}')).json == {"code": "B100"}
    await until(lambda: not miner.blinking)
    lines = farm.ledger.of(action="light", phase="applied")
    assert [(e["before"], e["after"]) for e in lines] == [
        ({"on": False}, {"on": True}),
        ({"on": True}, {"on": False}),
    ]


async def test_a_light_order_that_is_none_is_b001(start, web):
    farm = await start("antminer/s21")
    assert (await web(farm.miners[0], "POST", "blink", b"{}")).json == {"code": "B001"}
    assert phases(farm, "light") == ["rejected"]


async def test_the_old_start_call_blocks_until_the_blinking_ends(start, web, until):
    farm = await start("antminer/s9")
    miner = farm.miners[0]
    blinking = asyncio.ensure_future(web(miner, "POST", "blink", b"action=startBlink"))
    await until(lambda: miner.blinking)
    loaded = b"action=onPageLoaded"
    assert (await web(miner, "POST", "blink", loaded)).json == {"isBlinking": True}
    assert not blinking.done()
    assert (await web(miner, "POST", "blink", b"action=stopBlink")).json == {"isBlinking": False}
    await blinking


async def test_the_old_light_goes_on_without_its_client_and_ends_after_five_minutes(
    start, until, sign
):
    farm = await start("antminer/s9")
    miner = farm.miners[0]
    target = "/cgi-bin/blink.cgi"
    _, writer = await asyncio.open_connection(miner.ip, miner.http_port)
    head = f"POST {target} HTTP/1.1\r\nAuthorization: {sign('POST', target)}\r\n"
    writer.write(f"{head}Content-Length: 17\r\n\r\naction=startBlink".encode())
    await until(lambda: miner.blinking)
    begin = farm.clock.now()
    writer.close()
    await until(lambda: not miner.blinking)
    assert 290 < farm.clock.now() - begin < 400


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_reboot_is_an_outage_and_a_new_count(start, web, until, method):
    farm = await start("antminer/s19pro")
    miner = farm.miners[0]
    before = miner.elapsed()
    answer = await web(miner, method, "reboot", b"" if method == "POST" else None)
    assert answer.body.strip() == b"Status 200" and miner.boot == 1
    await until(lambda: miner.boot == 2)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(miner.ip, miner.http_port)
    await until(lambda: miner.web_up)
    info = (await web(miner, "GET", "get_system_info")).json
    assert info["macaddr"] in ("", miner.mac)
    await until(lambda: miner.process.is_up)
    assert miner.elapsed() < 60 < before and miner.process.rate_5s() == 0
    await until(lambda: miner.state == "mining")
    assert phases(farm, "reboot") == ["received", "applied"]
    applied = farm.ledger.of(action="reboot", phase="applied")[0]
    assert (applied["before"], applied["after"], applied["boot"]) == ({"boot": 1}, {"boot": 2}, 2)


async def test_a_2024_s21_stays_half_alive_for_fifty_seconds(start, web, until):
    farm = await start("antminer/s21")
    miner = farm.miners[0]
    begin = farm.clock.now()
    await web(miner, "GET", "reboot")
    await until(lambda: not miner.process.is_up)
    assert (await web(miner, "GET", "get_blink_status")).status == 200
    await until(lambda: miner.boot == 2)
    assert 50 < farm.clock.now() - begin < 70


async def test_the_mac_is_missing_for_seconds_after_a_boot(start, web, until):
    farm = await start("antminer/s19pro")
    miner = farm.miners[0]
    miner.power_cycle()
    await until(lambda: miner.web_up)
    assert (await web(miner, "GET", "get_network_info")).json["macaddr"] == ""
    await until(miner.shown_mac)


async def test_an_order_right_after_a_reboot_cancels_it(start, web, until):
    farm = await start("antminer/s19pro")
    miner = farm.miners[0]
    await until(lambda: farm.clock.now() % 1 < 0.2)  # the daemon has just looked
    await asyncio.gather(
        web(miner, "GET", "reboot"),
        web(miner, "POST", "blink", b'{"blink":true}'),
    )
    await until(lambda: phases(farm, "reboot")[-1:] == ["lost"] or "lost" in phases(farm, "light"))
    lost = farm.ledger.of(phase="lost")
    assert len(lost) == 1
    await after(farm, until, 8)
    assert miner.boot == (1 if lost[0]["action"] == "reboot" else 2)


async def test_a_mode_change_ends_a_blink(start, web, until):
    farm = await start("antminer/s19pro")
    miner = farm.miners[0]
    await web(miner, "POST", "blink", {"blink": True})
    await until(lambda: miner.blinking)
    await web(miner, "POST", "set_miner_conf", {"miner-mode": 1})
    await until(lambda: not miner.blinking)


async def test_an_old_reboot_drops_the_line(start, web, until):
    farm = await start("antminer/s9")
    miner = farm.miners[0]
    assert (await web(miner, "GET", "reboot")).raw == b""
    await until(lambda: miner.boot == 2)


async def test_old_uptime_counts_from_the_boot_not_from_the_process(start, web, until):
    farm = await start("antminer/s9")
    miner = farm.miners[0]
    miner.restart_process()
    await until(lambda: miner.process.is_up)
    uptime = (await web(miner, "GET", "get_system_info")).json["uptime"]
    assert ":" in uptime or int(uptime) >= 1
    assert miner.elapsed() < 600 < farm.clock.now() - miner.booted_at


async def test_a_plain_get_resets_to_factory(start, web, until):
    farm = await start("antminer/s19pro")
    miner = farm.miners[0]
    mac = miner.mac
    await web(miner, "GET", "reset_conf")
    await until(lambda: miner.boot == 2)
    assert all(pool["url"] == "" for pool in miner.pools) and miner.mac == mac
    assert phases(farm, "factory_reset") == ["received", "applied"]


async def test_a_cut_out_image_is_flashed_by_the_reboot_that_follows(start, web, until):
    farm = await start("antminer/s21")
    miner = farm.miners[0]
    image = firmware.build_image(miner.model, miner.spec.subtype, NEXT, 50_000)
    reply = (await web(miner, "POST", "upgrade", upload(image))).json
    assert reply == {"stats": "success", "code": "U000", "msg": "OK!"}
    assert miner.version == "FR-1.12(251009-S21)"
    await until(lambda: miner.boot == 2 and miner.web_up)
    assert (await web(miner, "GET", "miner_type")).json["fw_version"] == NEXT
    assert (await web(miner, "GET", "get_system_info")).json["system_filesystem_version"] == NEXT
    assert phases(farm, "firmware") == ["received", "applied"]
    assert farm.ledger.of(action="flash")[0]["after"] == {"version": NEXT}


async def test_a_merged_container_must_be_cut_first(start, web):
    farm = await start("antminer/s21")
    miner = farm.miners[0]
    merged = firmware.build_bmu(miner.model, miner.spec.subtype, NEXT)
    reply = (await web(miner, "POST", "upgrade", upload(merged))).json
    assert (reply["code"], reply["msg"]) == ("U001", "3")
    single = firmware.build_image(miner.model, miner.spec.subtype, NEXT)
    assert merged.count(single) == 1 and merged[:4] == b"\xab" * 4


@pytest.mark.parametrize("spoilt", ["second part", "no final newline", "preamble"])
async def test_the_image_is_found_by_counting_from_the_end(start, web, spoilt):
    farm = await start("antminer/s21")
    miner = farm.miners[0]
    image = firmware.build_image(miner.model, miner.spec.subtype, NEXT)
    body = upload(image)
    if spoilt == "second part":
        body = upload(image, tail=b'\r\n------x7\r\nContent-Disposition: x; name="k"\r\n\r\n1')
    elif spoilt == "no final newline":
        body = body[:-2]
    else:
        body = b"hello\r\n" + body
    assert (await web(miner, "POST", "upgrade", body)).json["code"] == "U001"
    assert phases(farm, "firmware") == ["received", "rejected"]


@pytest.mark.parametrize(
    ("model", "subtype", "version", "exit_code"),
    [
        ("Antminer S19", "AMLCtrl_BHB68XXX", NEXT, "4"),
        ("Antminer S21", "CVCtrl_BHB68XXX", NEXT, "4"),
        ("Antminer S21", "AMLCtrl_BHB68XXX", "FR-1.0(240301-S21)", "9"),
    ],
)
async def test_a_foreign_or_too_old_image_is_turned_down(
    start, web, model, subtype, version, exit_code
):
    farm = await start("antminer/s21")
    image = firmware.build_image(model, subtype, version)
    reply = (await web(farm.miners[0], "POST", "upgrade", upload(image))).json
    assert (reply["stats"], reply["code"], reply["msg"]) == ("error", "U001", exit_code)
    reply = (await web(farm.miners[0], "POST", "upgrade_clear", upload(image))).json
    assert (reply["code"], reply["msg"]) == (f"U00{exit_code}", "Fail!")


async def test_an_x_in_the_subtype_stands_for_any_letter(start, web, until):
    farm = await start("antminer/s21")
    miner = farm.miners[0]
    image = firmware.build_image("Antminer S21", "AMLCtrl_BHB68601", NEXT)
    assert (await web(miner, "POST", "upgrade", upload(image))).json["code"] == "U000"
    await until(lambda: miner.version == NEXT)


async def test_upgrade_clear_forgets_the_settings(start, web, until):
    farm = await start("antminer/s21")
    miner = farm.miners[0]
    image = firmware.build_image(miner.model, miner.spec.subtype, NEXT)
    await web(miner, "POST", "upgrade_clear", upload(image))
    await until(lambda: miner.version == NEXT)
    assert miner.pools[0]["url"] == ""


async def test_blink_off_after_an_upgrade_cancels_the_restart(start, web, until):
    farm = await start("antminer/s21")
    miner = farm.miners[0]
    image = firmware.build_image(miner.model, miner.spec.subtype, NEXT)
    await web(miner, "POST", "upgrade", upload(image))
    await web(miner, "POST", "blink", {"blink": False})
    await until(lambda: phases(farm, "light")[-1:] == ["applied"])
    if farm.ledger.of(phase="lost"):  # the blink came before the daemon looked
        await after(farm, until, 60)
        assert miner.boot == 1 and miner.pending_version == NEXT


async def test_builds_treat_an_upload_differently(start, web, until):
    farm = await start("antminer/s21:3")
    named, plain, bad = farm.miners
    named.faults.add("upgrade_needs_name_file")
    plain.faults.add("upgrade_plain_reply")
    bad.faults.add("upgrade_bad_flash")
    image = firmware.build_image(named.model, named.spec.subtype, NEXT)
    assert (await web(named, "POST", "upgrade", upload(image))).json["code"] == "U001"
    assert (await web(named, "POST", "upgrade", upload(image, "file"))).json["code"] == "U000"
    answer = await web(plain, "POST", "upgrade", upload(image))
    assert answer.status == 200 and "U000" not in answer.text and plain.pending_version == NEXT
    await web(bad, "POST", "upgrade", upload(image))
    await until(lambda: bad.boot == 2 and bad.web_up)
    assert bad.version != NEXT and plain.boot == 1


async def test_old_firmware_waits_for_the_clients_reboot(start, web, until):
    farm = await start("antminer/s9")
    miner = farm.miners[0]
    version = "Fri Jul 20 11:22:33 CST 2018"
    tar = firmware.build_tar(miner.model, version)
    answer = await web(miner, "POST", "upgrade", upload(tar))
    assert "<html>" in answer.text and "Successed" in answer.text
    await after(farm, until, 30)
    assert miner.boot == 1 and miner.version != version
    await web(miner, "GET", "reboot")
    await until(lambda: miner.version == version)


async def test_late_old_firmware_wants_signed_and_not_older(start, web):
    farm = await start("antminer/t17+,antminer/s9")
    t17, s9 = farm.miners
    later, sooner = "Wed Dec  2 10:11:10 CST 2020", "Tue Jan  1 10:11:10 CST 2019"
    for image in (
        firmware.build_tar(t17.model, later, signed=False),
        firmware.build_tar(t17.model, sooner),
        firmware.build_tar(s9.model, later),
        gzip.compress(b"nothing"),
    ):
        assert "failed" in (await web(t17, "POST", "upgrade", upload(image))).text
    assert (
        "Successed"
        in (await web(t17, "POST", "upgrade", upload(firmware.build_tar(t17.model, later)))).text
    )
    unsigned = firmware.build_tar(s9.model, sooner, signed=False)
    assert "Successed" in (await web(s9, "POST", "upgrade", upload(unsigned))).text


def test_the_date_of_a_version_is_read_from_every_form():
    assert firmware.release_date("FR-1.12(251009-S21)") == "202510090000"
    assert firmware.release_date("Tue Dec  6 16:12:30 CST 2022") == "202212061612"
    assert firmware.release_date("202403211900") == "202403211900"
    assert firmware.compile_time("FR-1.12(251009-S21)") == "Thu Oct  9 18:55:45 CST 2025"
