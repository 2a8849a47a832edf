"""The sections of the miners: which they are, who logs in to them, how they are found and looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from agent.config.fields import Flag, MacText, Port, RangeText, Seconds, Section
from contract.miner import Endpoint
from contract.ranges import PRIVATE_RANGES, Range, parse_range
from drivers.base import Timing

# Whose defaults are those of the keys that become them.
_PORTS: Final = Endpoint(host="")
_TIMING: Final = Timing()


class MinersSection(Section):
    """Which addresses belong to this agent, and how patiently they are spoken to."""

    ranges: tuple[RangeText, ...] = ()
    allowed: tuple[RangeText, ...] = PRIVATE_RANGES
    denied: tuple[RangeText, ...] = ()
    http_port: Port = _PORTS.http_port
    rpc_port: Port = _PORTS.rpc_port
    v3_port: Port = _PORTS.v3_port
    daemon_port: Port = _PORTS.daemon_port
    connect_timeout_s: Seconds = _TIMING.connect_s
    read_timeout_s: Seconds = _TIMING.read_s
    write_timeout_s: Seconds = _TIMING.write_s
    log_timeout_s: Seconds = _TIMING.log_s
    upload_timeout_s: Seconds = _TIMING.upload_s
    device_pace: Annotated[float, Field(strict=True, ge=1, le=10_000)] = _TIMING.pace
    use_factory_defaults: Flag = True

    def timing(self) -> Timing:
        """The patience as drivers take it."""
        return Timing(
            pace=self.device_pace,
            connect_s=self.connect_timeout_s,
            read_s=self.read_timeout_s,
            write_s=self.write_timeout_s,
            log_s=self.log_timeout_s,
            upload_s=self.upload_timeout_s,
        )


class ScanSection(Section):
    """How address ranges are looked through. `every_s` absent: only on request."""

    every_s: Annotated[float, Field(strict=True, ge=60, le=7 * 86_400)] | None = None
    at_start: Flag = True
    max_addresses: Annotated[int, Field(strict=True, ge=1, le=1_048_576)] = 65_536
    addresses_per_s: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] = 1000
    sockets_max: Annotated[int, Field(strict=True, ge=2, le=60_000)] = 4096
    connect_timeout_s: Annotated[float, Field(strict=True, gt=0, le=60)] = 1.2
    identify_at_once: Annotated[int, Field(strict=True, ge=1, le=1024)] = 64
    hunt: Flag = True


class TelemetrySection(Section):
    """How often miners are looked at."""

    enabled: Flag = True
    interval_s: Annotated[float, Field(strict=True, ge=1, le=86_400)] = 30.0
    min_interval_s: Annotated[float, Field(strict=True, ge=0.1, le=86_400)] = 5.0
    workers: Annotated[int, Field(strict=True, ge=1, le=4096)] = 256
    slow_every_polls: Annotated[int, Field(strict=True, ge=1, le=10_000)] = 10
    full_every_s: Annotated[float, Field(strict=True, ge=1, le=7 * 86_400)] = 3600.0
    backoff_max_s: Annotated[float, Field(strict=True, ge=1, le=86_400)] = 300.0
    batch_max: Annotated[int, Field(strict=True, ge=1, le=5000)] = 500
    batch_wait_s: Annotated[float, Field(strict=True, ge=0, le=60)] = 1.0
    memory_max: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] = 5000


class CredentialEntry(Section):
    """User and password of the miners of one range, or of one MAC."""

    range: RangeText | None = None
    mac: MacText | None = None
    user: Annotated[str, Field(min_length=1, max_length=128)] = "root"
    password_file: Path

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if (self.range is None) == (self.mac is None):
            raise ValueError("give exactly one of range and mac")
        return self


def ranges_of(texts: tuple[str, ...]) -> tuple[Range, ...]:
    """Ranges of the config, which are known to be well written."""
    return tuple(parse_range(text) for text in texts)
