"""What can be set beside mode and pools, as a new device has it."""

from __future__ import annotations

from typing import Any

Led = tuple[int, int, int]
"""How a light blinks: period, duration and start in ms."""


def factory_settings() -> dict[str, Any]:
    """Each setting by name; 0 is no limit, or as the mode has it."""
    return {
        "power_limit": 0,
        "power_percent": 100,
        "target_freq": 0,
        "upfreq_speed": 0,
        "fast_boot": False,
        "web_pools": True,
        "autostart": True,
        "heat_mode": "normal",
        "hostname": "WhatsMiner",
        "zone": {"timezone": "CST-8", "zonename": "Asia/Shanghai"},
        "network": {"proto": "dhcp"},
        "custom": {},
    }
