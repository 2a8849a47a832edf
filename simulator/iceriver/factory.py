"""What an IceRiver comes with, and goes back to: account, fans, pools, network."""

from __future__ import annotations

from typing import Any, Final

from simulator.pools import SLOTS, Pool

PASSWORD: Final = "12345678"
FAN_RATIO: Final = 60
"""Percent, once the fans are set by hand."""


def pools() -> list[Pool]:
    """The maker's own pools."""
    return [
        {"url": f"stratum+tcp://factory{n}.example.com:3333", "user": "iceriver.test", "pass": "x"}
        for n in range(1, SLOTS + 1)
    ]


def network(ip: str) -> dict[str, Any]:
    """An address by DHCP, which is `ip`."""
    gateway = ip.rpartition(".")[0] + ".254"
    return {
        "dhcp": True,
        "ip": ip,
        "netmask": "255.255.255.0",
        "host": "miner",
        "gateway": gateway,
        "dns": gateway,
    }
