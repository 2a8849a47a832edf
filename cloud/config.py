"""The settings of a cloud, each with its unit."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from contract.hosts import is_loopback
from contract.link import LEASE_S, LONG_POLL_MAX_S, OFFLINE_AFTER_S
from contract.rigmonitor.asic import BULK_CALLS_PER_S
from contract.rigmonitor.shared import OFFLINE_AFTER_S as RIG_OFFLINE_AFTER_S
from contract.task import QUEUE_TTL_S, SPECS, TaskName

MIB: Final = 1024 * 1024
_ODD: Final = re.compile(r"[^!-~]|\\")  # what no address is written with


def _network(given: object) -> object:
    try:
        return ip_network(given, strict=False) if isinstance(given, str) else given
    except ValueError:
        raise ValueError(f"--proxy {given}: no address, and no range of addresses") from None


Proxy = Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)]


def _public_url(given: object) -> object:
    """Links are this with the path of a file after it."""
    if not isinstance(given, str):
        return given
    try:
        parts = urlsplit(given)
        is_web = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_web = False
    if not is_web or "?" in given or "#" in given or "@" in given or _ODD.search(given):
        raise ValueError(
            f"--public-url {given}: write it as https://cloud.example.net:8443, with nothing after it but a path"
        )
    return given.rstrip("/")


PublicUrl = Annotated[str, BeforeValidator(_public_url)]


class CloudSettings(BaseModel):
    """Made by the command line; a test makes its own. Unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path
    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65535)
    tls_cert: Path | None = None
    tls_key: Path | None = None
    own_tls: bool = False  # certificates of its own making, in the data directory
    public_url: PublicUrl | None = None  # how the outside reaches us, for the links to files
    insecure_http: bool = False
    proxies: tuple[Proxy, ...] = ()  # in front of us: whom they name is who calls

    connections_max: int = Field(10_000, ge=1)  # fewer where fewer files may be open
    # without the whole head of a request; longer than agents and proxies keep theirs (60 s)
    idle_s: float = Field(75.0, gt=0)
    body_wait_s: float = 10.0  # a whole body has to arrive within this time, and
    body_bytes_per_s: int = 64 * 1024  # what its largest size takes at this speed
    # of one agent, being answered at one time; it has 16 lines
    agent_calls_max: int = Field(16, ge=1)

    operator_body_bytes: int = 1 * MIB
    link_body_bytes: int = 8 * MIB
    heartbeat_body_bytes: int = 1 * MIB
    readings_body_bytes: int = 32 * MIB  # after inflating
    result_bytes: int = 256 * 1024  # evidence of a task above this is dropped, its outcome kept
    file_bytes: int = 512 * MIB  # one uploaded file
    files_bytes: int = 10_240 * MIB  # all of them; the oldest go first
    files_days: float = 14.0
    firmware_file_bytes: int = Field(512 * MIB, ge=1)  # one image; agents take as much
    firmware_bytes: int = Field(10_240 * MIB, ge=1)  # all of them; none goes by itself
    firmware_images: int = Field(200, ge=1)  # of one workspace
    firmware_upload_hours: float = Field(24.0, gt=0)  # to be whole within, from its announcement

    lease_s: float = LEASE_S
    offline_after_s: float = OFFLINE_AFTER_S
    long_poll_max_s: float = LONG_POLL_MAX_S
    persist_every_s: float = 60.0  # how often the word of an idle agent and cloud time are written
    queue_ttl_s: float = QUEUE_TTL_S
    limit_grace_s: float = 120.0  # on top of an execution limit, before the sweeper ends a task
    limits_s: dict[TaskName, float] = {}  # execution limits that differ from the defaults
    claim_max: int = Field(500, ge=1)  # tasks in one answer
    sweep_every_s: float = 5.0
    events_days: float = 8.0  # how long repeats of a report are recognised; agents retry for 7
    task_log_lines: int = 1000
    # ended tasks, their logs and batches; agents know theirs for 30, and no calendar goes back for ever
    kept_days: float = Field(400.0, ge=40, le=36_500)

    # What the token of one agent can make; what is beyond is in docs/cloud.md.
    farm_miners: int = Field(100_000, ge=1)  # rows of one farm, deleted ones included
    farm_miners_per_min: int = Field(5000, ge=1)  # new ones; that many at once, too
    onsite_tasks_per_day: int = Field(20_000, ge=1)  # of one agent; that many at once, too
    ledger_entries_per_day: int = Field(5000, ge=1)  # of one agent; that many at once, too
    task_events: int = Field(500, ge=10)  # kept of one task, to recognise repeats by
    agent_reading_batches: int = Field(1_000_000, ge=1)  # kept to recognise repeats by

    rig_header_alias: bool = False  # take a machine's code from API-CODE too
    rig_offline_after_s: float = Field(RIG_OFFLINE_AFTER_S, ge=60)  # without a log
    rig_calls_per_s: float = Field(2.0, gt=0)  # of one code, in the long run
    rig_calls_burst: int = Field(20, ge=1)  # of one code, at once
    rig_bulk_calls_per_s: float = Field(BULK_CALLS_PER_S, gt=0)  # of one address
    rig_body_bytes: int = 512 * 1024

    @model_validator(mode="after")
    def _safe(self) -> CloudSettings:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("--tls-cert and --tls-key belong together")
        if not (self.speaks_tls or self.insecure_http or is_loopback(self.host)):
            raise ValueError(
                f"plain http on {self.host} would show keys to the network: make certificates by miner-cloud tls init, "
                "give --tls-cert and --tls-key, listen on 127.0.0.1 behind a proxy that speaks TLS, or say "
                "--insecure-http"
            )
        return self

    @property
    def speaks_tls(self) -> bool:
        """Whether what it listens on is https."""
        return self.tls_cert is not None or self.own_tls

    def limit_s(self, name: TaskName) -> float:
        """The execution limit of a task of this name."""
        return self.limits_s.get(name, SPECS[name].limit_s)
