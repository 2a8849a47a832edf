"""What each recorded AntMiner configuration, configuration request and identity page says, written by hand from reading it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Config:
    """A reply of `get_miner_conf.cgi`: its pools as (url, user, pass), its mode, and some other values.

    `mode` is what the operator would be told; `has_mode` whether the file knows modes at all.
    """

    pools: tuple[tuple[str, str, str], ...]
    mode: str
    has_mode: bool
    facts: dict[str, Any]
    count: int  # keys beside the pools
    writes_as: str  # json, form, or unsupported


@dataclass(frozen=True)
class Request:
    """A body sent to `set_miner_conf.cgi`, and the configuration of the same model it belongs to."""

    config: str
    pools: tuple[tuple[str, str, str], ...]
    mode: str
    dialect: str
    left_out: frozenset[str] = field(default_factory=frozenset)  # keys we send beyond it


@dataclass(frozen=True)
class Info:
    """A reply of `get_system_info.cgi` or `miner_type.cgi`."""

    facts: dict[str, Any]
    mac: str | None = None
    is_stock: bool = True


EMPTY = ("", "", "")
_ANTPOOL = ("antminer_1", "123")
_MINE = tuple(
    (f"stratum+tcp://my-test-pool{n}.com:5588", f"my-test-username{n}", f"my-test-password{n}")
    for n in (1, 2, 3)
)
_LETTERS = (
    ("aaa:700", "aaa.226x94", "x"),
    ("bbb:6000", "bbb.226x94", "x"),
    ("ccc:443", "ccc.226x94", "x"),
)
_HOT = (
    ("aaa:700", "aaa.248x75", "x"),
    ("bbb:6000", "bbb.248x75", "x"),
    ("ccc:1314", "ccc.248x75", "x"),
)
_TWICE = frozenset({"bitmain-work-mode"})

EXPECTED: dict[str, Config | Request | Info] = {
    "firmware-defaults/e9pro-202403211900-cgminer.conf.factory.json": Config(
        pools=(EMPTY, EMPTY, EMPTY),
        mode="0",
        has_mode=True,
        facts={"algo": "eth_2280", "bitmain-fan-ctrl": False, "bitmain-freq": "500"},
        count=7,
        writes_as="json",
    ),
    "firmware-defaults/ks5-202412201447-cgminer.conf.factory.json": Config(
        pools=(EMPTY, EMPTY, EMPTY),
        mode="0",
        has_mode=True,
        facts={"algo": "ks5_2382", "bitmain-voltage": "1450", "bitmain-freq-level": "100"},
        count=7,
        writes_as="json",
    ),
    "firmware-defaults/l7-202405141413-cgminer.conf.factory.json": Config(
        pools=(EMPTY, EMPTY, EMPTY),
        mode="0",
        has_mode=True,
        facts={"algo": "ltc", "bitmain-freq": "1850", "bitmain-fan-pwm": "100"},
        count=7,
        writes_as="json",
    ),
    "firmware-defaults/s19pro-20221226-cgminer.conf.factory.json": Config(
        pools=(EMPTY, EMPTY, EMPTY),
        mode="0",
        has_mode=True,
        facts={"bitmain-pwth": "1", "bitmain-freq": "400", "api-allow": "A:0/0,W:*"},
        count=13,
        writes_as="json",
    ),
    "firmware-defaults/s21hyd-fr1.1-cgminer.conf.factory.json": Config(
        pools=(EMPTY, EMPTY, EMPTY),
        mode="0",
        has_mode=True,
        facts={
            "bitmain-user-ip-cat": "0",
            "bitmain-voltage-compensate": False,
            "bitmain-freq": "300",
        },
        count=15,
        writes_as="json",
    ),
    "fixture-proto-fleet/web-get_miner_conf.json": Config(
        pools=(
            ("stratum+tcp://pool.example.com:3333", "worker.001", ""),
            ("stratum+tcp://pool2.example.com:3333", "worker.001", ""),
            ("stratum+tcp://pool3.example.com:3333", "worker.001", ""),
        ),
        mode="0",
        has_mode=True,
        facts={"bitmain-hashrate-percent": "0", "bitmain-freq-level": "", "api-network": False},
        count=14,
        writes_as="json",
    ),
    "http/l3+-get_miner_conf.json": Config(
        pools=(
            ("stratum-ltc.antpool.com:8888", *_ANTPOOL),
            ("stratum-ltc.antpool.com:443", *_ANTPOOL),
            ("stratum.f2pool.com:8888", "ant.123", "123"),
        ),
        mode="0",
        has_mode=False,
        facts={"bitmain-freq": "384"},
        count=5,
        writes_as="form",
    ),
    "http/l3+-set_miner_conf.request.txt": Request(
        config="http/l3+-get_miner_conf.json", pools=_MINE, mode="0", dialect="form"
    ),
    "http/s19-2020-12-get_miner_conf.json": Config(
        pools=_LETTERS,
        mode="1",
        has_mode=True,
        facts={"bitmain-freq": "675", "bitmain-pwth": "0", "bitmain-freq-level": "100"},
        count=13,
        writes_as="json",
    ),
    "http/s19-2020-12-sleep.request.json": Request(
        config="http/s19-2020-12-get_miner_conf.json",
        pools=_LETTERS,
        mode="1",
        dialect="json",
        left_out=_TWICE,
    ),
    "http/s19pro-2020-get_miner_conf.json": Config(
        pools=(
            ("stratum+tcp://xxx:3333", "xxx", "xxx"),
            ("stratum+tcp://xxx:25", "xxx", "xxx"),
            ("stratum+tcp://xxx:443", "xxx", "xxx"),
        ),
        mode="0",
        has_mode=True,
        facts={"bitmain-voltage": "1280", "bitmain-ccdelay": "1"},
        count=13,
        writes_as="json",
    ),
    "http/s19pro-2020-set_miner_conf.request.json": Request(
        config="http/s19pro-2020-get_miner_conf.json",
        pools=_MINE,
        mode="0",
        dialect="json",
        left_out=_TWICE,
    ),
    "http/s9-get_miner_conf.json": Config(
        pools=(
            ("solo.antpool.com:3333", *_ANTPOOL),
            ("stratum.antpool.com:3333", *_ANTPOOL),
            ("stratum+tcp://cn.ss.btc.com:3333", "antminer.1", "123"),
        ),
        mode="0",
        has_mode=False,
        facts={"bitmain-freq": "550", "multi-version": "1", "bitmain-use-vil": True},
        count=7,
        writes_as="form",
    ),
    "http/s9-set_miner_conf.request.txt": Request(
        config="http/s9-get_miner_conf.json", pools=_MINE, mode="0", dialect="form"
    ),
    "http/t17+-get_miner_conf.json": Config(
        pools=_LETTERS,
        mode="0",
        has_mode=True,
        facts={"bitmain-freq": "O", "bitmain-voltage": "1950"},
        count=8,
        writes_as="form",
    ),
    "http/t17+-normal.request.txt": Request(
        config="http/t17+-get_miner_conf.json", pools=_LETTERS, mode="0", dialect="form"
    ),
    "http/t17+-sleep.request.txt": Request(
        config="http/t17+-get_miner_conf.json", pools=_LETTERS, mode="254", dialect="form"
    ),
    "http/s21-fr1.12-get_system_info.json": Info(
        facts={
            "minertype": "Antminer S21",
            "system_filesystem_version": "FR-1.12(251009-S21)",
            "serinum": "THQING0BDJAB024NF",
        },
        mac=None,  # altered in the recording: it has a letter M in it
    ),
    "fixture-proto-fleet/web-get_system_info.json": Info(
        facts={
            "minertype": "Antminer S19",
            "system_filesystem_version": "Fri Nov 17 17:37:21 CST 2023",
        },
        mac="02:B3:B9:8C:1E:C8",
    ),
    "fixture-miningos/miner_type.cgi.json": Info(
        facts={"miner_type": "Antminer S19 XP Hyd.", "subtype": "zynq7007_HHB56XXX"}
    ),
    "other-firmware/s17+-vnish-2.0.3-get_system_info.json": Info(
        facts={"minertype": "Antminer S17+ (vnish 2.0.3)", "uptime": "25"},
        mac="56:86:4D:32:D2:EF",
        is_stock=False,
    ),
    "rpc/s19-sleeping/get_miner_conf.json": Config(
        pools=_HOT,
        mode="1",
        has_mode=True,
        facts={"bitmain-freq": "675", "bitmain-voltage": "1400", "bitmain-fan-ctrl": False},
        count=13,
        writes_as="json",
    ),
    "rpc/s19-overheating/get_miner_conf.json": Config(
        pools=_HOT,
        mode="0",
        has_mode=True,
        facts={"bitmain-freq": "675", "bitmain-voltage": "1400", "bitmain-fan-ctrl": False},
        count=13,
        writes_as="json",
    ),
}
