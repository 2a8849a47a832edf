"""The sections of the host the agent stands on: its disk, its service manager, its terminal."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from agent.config.fields import Count, Port, Section


class StateSection(Section):
    """What the agent keeps on disk."""

    dir: Path = Path("/var/lib/miner-agent")
    keep_reported_days: Annotated[float, Field(strict=True, gt=0, le=3650)] = 30.0
    keep_tasks_max: Count = 200_000
    journal_max_mb: Annotated[int, Field(strict=True, ge=1, le=100_000)] = 512
    buffer_max_mb: Annotated[int, Field(strict=True, ge=1, le=100_000)] = 256


class HealthSection(Section):
    """How the agent shows that it lives. `metrics_port` opens Prometheus metrics on loopback."""

    heartbeat_s: Annotated[float, Field(strict=True, ge=1, le=60)] = 15.0
    journal_stall_s: Annotated[float, Field(strict=True, ge=0.5, le=3600)] = 15.0
    metrics_port: Port | None = None
    metrics_host: str = "127.0.0.1"

    @field_validator("metrics_host")
    @classmethod
    def _loopback(cls, host: str) -> str:
        try:
            address = ip_address(host)
        except ValueError:
            raise ValueError(f"{host[:80]!r} is not an IP address") from None
        if not address.is_loopback:
            raise ValueError("metrics are served on loopback only; put a proxy in front of it")
        return host


class LogSection(Section):
    """What is written to stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "text"] = "auto"
