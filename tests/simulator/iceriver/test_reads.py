"""What a simulated IceRiver says of itself on both ports, held against the captures."""

from __future__ import annotations

import asyncio
import json

import pytest

from simulator.iceriver.catalogue import MODELS
from tests.simulator.iceriver.clients import (
    act,
    ask,
    daemon,
    daemon_log,
    daemon_raw,
    get,
    http,
    panel,
    recorded,
    request,
)

STOCK = [key for key, model in MODELS.items() if not model.foreign]
UNKNOWN = {
    "userpanel": "userpanel",
    "machineconfig": "machineConfig",
    "ipconfig": "ipConfig2",
    "firconfig": "firConfig",
    "systemconfig": "systemConfig",
    "logconfig": "logConfig",
}


@pytest.fixture
async def farm(start):
    return await start([f"iceriver/{key}" for key in MODELS])


@pytest.fixture
def of(farm):
    return {miner.key: miner for miner in farm}


def shape(value):
    """Names in their order and kinds of values, with one row for each list."""
    if isinstance(value, dict):
        return [(name, shape(each)) for name, each in value.items()]
    if isinstance(value, list):
        return [shape(each) for each in value[:1]]
    return type(value).__name__


@pytest.mark.parametrize(
    ("key", "file"),
    [("ks3m", "ks3m-userpanel-post4.json"), ("ks5l", "ks5l-userpanel-post4-2024-03.json")],
)
async def test_a_panel_has_the_names_the_order_and_the_kinds_of_values_of_the_capture(
    of, key, file
):
    of[key].clock.hold()
    assert shape(await ask(of[key], "userpanel", 4)) == shape(recorded(file))


@pytest.mark.parametrize("what", ["machineconfig", "ipconfig"])
async def test_settings_have_the_shape_of_the_captures(of, what):
    assert shape(await ask(of["ks3m"], what, 1)) == shape(recorded(f"ks3m-{what}-post1.json"))


async def test_every_model_tells_its_package_and_its_rate(of):
    for key in STOCK:
        data, spec = await panel(of[key]), of[key].spec
        assert data["softver1"] == of[key].describe()["firmware_version"]
        assert len(data["boards"]) == spec.boards and len(data["fans"]) == 4
        assert sum(1 for rpm in data["fans"] if rpm) == spec.fans
        assert {int(row["chipnum"]) for row in data["boards"]} == {spec.chips}
        rate = int(data["rtpow"].removesuffix(data["unit"])) * spec.unit_hs
        assert rate == pytest.approx(spec.hashrate_hs, rel=0.05)
        boards = sum(float(row["rtpow"].removesuffix(data["unit"])) for row in data["boards"])
        assert boards * spec.unit_hs == pytest.approx(rate, rel=0.02)


async def test_the_models_are_written_as_they_are_in_the_field(of):
    names = {key: (await panel(of[key]))["softver1"] for key in STOCK}
    assert names["ks3m"] == "5977449_ks3m_miner"
    assert names["ks5l"] == "ICM168_3_2_10_ks5L_miner"
    assert names["ks0"] == "0627_v1_ks0miner"
    assert names["al3"].endswith("_10306_miner") and names["ks7"].endswith("_11304_miner")
    assert {key for key in STOCK if (await panel(of[key]))["model"] != "none"} == {
        "ae0",
        "ae1",
        "rx0",
    }
    assert (await panel(of["ae0"]))["unit"] == "M"


async def test_builds_differ_in_how_they_write_numbers(of):
    old, new = await panel(of["ks3m"]), await panel(of["ks5l"])
    assert [pool["connect"] for pool in old["pools"]] == [True, False, False]
    assert [pool["connect"] for pool in new["pools"]] == [1.0, -1.0, -1.0]
    assert type(old["boards"][0]["freq"]) is int and type(new["boards"][0]["freq"]) is float
    assert "-" in old["mac"] and ":" in new["mac"]
    assert new["gateway"].endswith("fe80::1") and new["tempstate"] is False
    assert old["boards"][0]["false"] == list(range(1, 19))
    ks0 = await panel(of["ks0"])
    assert ks0["fans"] == [0, 0, 0, 0] and "avgpow" not in ks0["boards"][0]
    assert ks0["boards"][0]["false"] == ""


async def test_the_newest_point_of_the_history_is_the_rate_of_five_minutes(of):
    of["ks5l"].clock.hold()
    data = await panel(of["ks5l"])
    assert len(data["pows"]["board1"]) == len(data["pows_x"]) == 23
    assert f"{data['pows']['board1'][-1]}G" == data["rtpow"]
    assert (data["pows_x"][0], data["pows_x"][-1]) == ("0 mins", "110 mins")


async def test_days_of_runtime_may_have_three_digits(of):
    miner = of["ks5m"]
    miner.hasher.start(asleep=False, ago_s=123 * 86_400 + 5)
    assert (await panel(miner))["runtime"].startswith("123:00:00:")


async def test_a_page_is_plain_html_with_the_mark_and_names_no_server(of):
    head, body = await get(of["ks3m"], "/")
    assert head.startswith(b"HTTP/1.1 200 OK") and "<TITLE>用户界面</TITLE>".encode() in body
    assert b"Content-Type: text/html" in head and b"Server:" not in head
    assert b"X-Frame-Options: SAMEORIGIN" in head
    for page in ("login", "user", "machine", "ip", "system", "fir", "log"):
        assert (await get(of["ks3m"], f"/user/{page}"))[0].startswith(b"HTTP/1.1 200")
    assert (await get(of["ks3m"], "/user/nothing"))[0].startswith(b"HTTP/1.1 404")


async def test_json_is_announced_as_html_and_always_with_200(of):
    for post in (b"post=4", b"post=99", b""):
        raw = await http(of["ks3m"], request("POST", "/user/userpanel", post))
        assert raw.startswith(b"HTTP/1.1 200 OK") and b"Content-Type: text/html" in raw


async def test_some_builds_answer_in_chunks(of):
    raw = request("POST", "/user/userpanel", b"post=7").replace(b"Connection: close\r\n", b"")
    reader, writer = await asyncio.open_connection(of["ks5m"].ip, of["ks5m"].http_port)
    writer.write(raw)
    head = await reader.readuntil(b"\r\n\r\n")
    assert b"Transfer-Encoding: chunked" in head and b"Content-Length" not in head
    size = int(await reader.readline(), 16)
    assert json.loads(await reader.readexactly(size))["error"] == 0
    writer.close()


async def test_an_operation_nobody_knows_is_answered_without_a_code(of):
    for action, data in UNKNOWN.items():
        assert await ask(of["ks3m"], action, 99) == {"data": data}
    assert await ask(of["ks3m"], "machineconfig", 3) == {"data": "machineConfig"}


async def test_fields_count_in_the_body_and_in_the_query(of):
    raw = await http(of["ks3m"], request("POST", "/user/userpanel?post=7"))
    assert json.loads(raw.partition(b"\r\n\r\n")[2]) == {"error": 0, "data": {}, "message": ""}
    of["ks3m"].faults.add("query_ignored")
    raw = await http(of["ks3m"], request("POST", "/user/userpanel?post=7"))
    assert json.loads(raw.partition(b"\r\n\r\n")[2]) == {"data": "userpanel"}


async def test_a_password_is_checked_and_nothing_comes_of_it(of):
    miner = of["ks5l"]
    right = await ask(miner, "loginpost", 6, user="admin", pwd="12345678")
    assert right == {"error": 0, "data": {"id": "login"}, "message": "(null)"}
    wrong = await ask(miner, "loginpost", 6, user="admin", pwd="x")
    assert (wrong["error"], wrong["message"]) == (1002, "password error")
    assert (await ask(miner, "loginpost", 6, user="root", pwd="12345678"))["error"] == 1001
    assert (await panel(miner))["online"] is True


async def test_the_daemon_says_the_same_as_the_web_with_true_kinds_of_values(of):
    miner = of["ks5l"]
    miner.clock.hold()
    data = await panel(miner)
    assert (await daemon(miner, "info"))["softver1"] == data["softver1"]
    assert (await daemon(miner, "getnet"))["mac"] == data["mac"]
    power = await daemon(miner, "boardpow")
    assert [power[name] for name in ("rtpow", "avgpow", "runtime", "reject", "unit")] == [
        data[name] for name in ("rtpow", "avgpow", "runtime", "reject", "unit")
    ]
    pools = (await daemon(miner, "getpool"))["pools"]
    assert pools[0]["connect"] is True and pools[0]["no"] == 1
    boards = await daemon(miner, "board")
    assert boards["chainnum"] == 3 and type(boards["boards"][0]["freq"]) is int
    assert await daemon(miner, "fan") == {"code": 0, "fans": data["fans"]}
    assert (await daemon(miner, "state"))["temp"] is data["tempstate"]
    assert await daemon(miner, "gethw") == {"code": 0, "getratio": 60, "getmode": 1}
    assert await daemon(miner, "hello") == {"code": 0, "msg": "world"}
    assert (await daemon(miner, "version"))["bgminer"] == [data["softver1"]]


async def test_chips_are_told_by_the_daemon_alone_and_empty_slots_are_zeros(of):
    miner = of["ks3m"]
    miner.faults.add("board_missing", chains=[2])
    chips = (await daemon(miner, "getchipinfo"))["chips"]
    assert [row["no"] for row in chips] == list(range(1, 55))
    assert all(row["temp"] > 0 and row["voltage"] > 0 and row["pll"] == 875 for row in chips[:36])
    assert chips[-1] == {"no": 54, "temp": 0.0, "voltage": 0.0, "pll": 0.0}
    assert len((await panel(miner))["boards"]) == 2


async def test_the_code_of_getlocate_means_nothing_on_old_builds(of):
    assert await daemon(of["ks3m"], "getlocate") == {"code": 1005, "on": False}
    assert await daemon(of["ks5l"], "getlocate") == {"code": 0, "on": False}
    assert (await panel(of["ks3m"]))["locate"] is False


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
async def test_a_reply_is_one_document_and_a_blank_and_the_line_stays_open(of, end):
    for key in ("ks3m", "ks5l"):
        reader, writer = await asyncio.open_connection(of[key].ip, of[key].daemon_port)
        for _ in range(2):
            writer.write(b'{"id":"hello"}' + end)
            data = await reader.read(4096)
            assert json.loads(data)["ret"]["msg"] == "world"
            assert data[-2:-1] == b"}" and data[-1:].isspace()
        writer.close()


@pytest.mark.parametrize("line", [b"nonsense\n", b"[]\n", b'{"id":1}\n', b"[" * 100_000 + b"\n"])
async def test_what_the_daemon_cannot_parse_is_answered_with_a_brace_too_few(of, line):
    data = await daemon_raw(of["ks3m"], line)
    assert data.strip() == b'{"ret":{"code":1007,"msg":"invalid"}'
    assert (await daemon(of["ks3m"], "setchip", pll=900, v=0.5))["code"] == 1005


async def test_a_log_is_a_header_and_so_many_bytes(of):
    ((head, log),) = await daemon_log(of["ks3m"], history=False)
    assert head["code"] == 0 and len(log) == head["len"] and b"\t" in log
    assert head["ctime"] <= head["mtime"]
    pairs = await daemon_log(of["ks3m"], history=True)
    assert len({log for _, log in pairs}) == 3


async def test_the_web_makes_html_of_a_log(of):
    of["ks3m"].clock.hold()
    ((_, plain),) = await daemon_log(of["ks3m"], history=False)
    reply = await ask(of["ks3m"], "logconfig", 1)
    text = reply["data"]["text"]
    assert not {"\n", "\t", "<b>"} & set(text) and reply["message"] == str(len(plain))
    marks = {"<br/>": "\n", "&nbsp;&nbsp;": "\t", "&lt;": "<", "&gt;": ">"}
    for mark, letter in marks.items():
        text = text.replace(mark, letter)
    assert text.encode() == plain
    assert len((await ask(of["ks3m"], "logconfig", 2))["data"]["text"]) > 2 * len(text)


async def test_the_page_that_shows_the_light_among_the_settings(of):
    assert (await ask(of["ks5m"], "machineconfig", 1))["data"]["locate"] == 0
    assert "locate" not in (await ask(of["ks3m"], "machineconfig", 1))["data"]


async def test_the_listing_tells_both_ports_and_no_serial(farm, of):
    entry = of["ks5l"].describe()
    assert (entry["http_port"], entry["daemon_port"]) == (farm.ports["http"], farm.ports["daemon"])
    assert (entry["make"], entry["model"], entry["serial"]) == ("iceriver", "KS5L", None)
    assert {key for key, miner in of.items() if miner.foreign} == {
        "ks0-pbfarmer",
        "ks5m-tswift",
        "ks0-exo160",
    }


async def test_pbfarmer_moved_its_web_to_https_and_left_the_daemon_open(of):
    miner = of["ks0-pbfarmer"]
    raw = await http(miner, request("POST", "/user/userpanel", b"post=4"))
    assert raw.startswith(b"HTTP/1.1 302") and f"Location: https://{miner.ip}/".encode() in raw
    info = await daemon(miner, "info")
    assert (info["softver1"], info["model"]) == ("pbv077c_ks0miner", "KS0")
    assert (await panel(of["ks0-exo160"]))["softver1"] == "Incidr-Exo160_miner"


async def test_what_foreign_firmware_is_sent_is_kept_and_its_orders_turned_away(farm, of):
    for key in ("ks5m-tswift", "ks0-exo160"):
        assert await act(of[key], "userpanel", 5, locate="1") == b""
        assert b"locate=1" in of[key].wire_log[-1].data and not of[key].light
    assert await daemon_raw(of["ks0-pbfarmer"], b'{"id":"restart"}\n') == b""
    assert [(e["action"], e["phase"]) for e in farm.ledger.entries] == [
        ("foreign_write", "rejected")
    ] * 3
