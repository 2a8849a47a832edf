"""What machines report, and where operators see it."""

from __future__ import annotations

import pytest

from tests.cloud.rigmonitor.conftest import LOG, Machine

GH = 1e9


async def test_the_bodies_of_the_published_text_are_taken_and_read_back_by_the_nonce_api(
    machine: Machine,
) -> None:
    assert await machine.specs() == (200, None)
    assert await machine.logs() == (200, None)
    item = await machine.miner()
    board = {"serial_number": None, "hashrate": 1234.56 * GH, "chips": None, "chip_frequency": None}
    assert item["hashboards"] == [board] * 3
    assert item["pools"] == [
        {
            "index": index,
            "url": LOG["pool_1_address"],
            "user": LOG["pool_1_user"],
            "status": "unconnected" if index else "alive",
            "active": not index,
            "accepted": 0 if index else 100_000,
            "rejected": 0,
        }
        for index in range(3)
    ]
    shown = {
        name: item[name]
        for name in (
            "model", "make", "ip", "mac", "agent_id", "firmware_version", "firmware", "status", "is_mining",
            "hashrate", "hashrate_24h", "expected_hashrate", "power", "temp", "uptime", "errors", "anomaly_flags",
            "mining_mode", "unstable_reason", "last_check_succeed", "last_updated_at", "psus", "efficiency",
        )
    }  # fmt: skip
    assert shown == {
        "model": "Ice River KS5L", "make": "IceRiver", "ip": "192.168.18.50", "mac": "", "agent_id": None,
        "firmware_version": "BOOT_3_1_image_1.0", "firmware": None, "status": "online", "is_mining": True,
        "hashrate": 13135 * GH, "hashrate_24h": 13135 * GH, "expected_hashrate": 12e12, "power": 3500.0,
        "temp": 55.0, "uptime": 690_620.0, "errors": [], "anomaly_flags": 0, "mining_mode": "unknown",
        "unstable_reason": "no_mac", "last_check_succeed": True, "last_updated_at": "2026-11-21T12:00:00Z",
        "psus": [], "efficiency": pytest.approx(3500 / 13.135),
    }  # fmt: skip
