"""The agent's one configuration file, read once into one frozen model.

Unknown keys are refused, every bound carries its unit in its name, and secrets are only ever named by
the file that holds them. `config.example.toml` documents each key.
"""

from __future__ import annotations

import os
import tomllib
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from contract.miner import normalize_mac
from contract.ranges import Range, parse_range
from contract.rigmonitor import PREFIX as MONITOR_PREFIX
from contract.task import SPECS, TaskName
from contract.words import in_words
from drivers.base import Timing

PRIVATE_RANGES = (
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "169.254.0.0/16",
)
LOOPBACK_RANGE = "127.0.0.0/8"


# systemd hands a whole folder over as one file per name, each with the id of the folder in front.
CREDENTIAL_ID = "secret"


class ConfigError(Exception):
    """The file cannot be used. The message names the key and the fix, one problem a line."""


def _checked_range(text: str) -> str:
    parse_range(text)
    return text


def _checked_mac(text: str) -> str:
    mac = normalize_mac(text)
    if mac is None:
        raise ValueError(f"{text[:40]!r} is not the MAC address of a device")
    return mac


def _checked_address(text: str) -> str:
    try:
        return str(IPv4Address(text))
    except ValueError:
        raise ValueError(f"{text[:40]!r} is not an IPv4 address") from None


Flag = Annotated[bool, Field(strict=True)]
RangeText = Annotated[str, AfterValidator(_checked_range)]
MacText = Annotated[str, AfterValidator(_checked_mac)]
AddressText = Annotated[str, AfterValidator(_checked_address)]
ShortText = Annotated[str, Field(min_length=1, max_length=255, pattern=r"\S")]
Watts = Annotated[int, Field(strict=True, ge=0, le=2**31 - 1)]
Port = Annotated[int, Field(strict=True, ge=1, le=65535)]
Seconds = Annotated[float, Field(strict=True, gt=0, le=7 * 86_400)]
Count = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]


class Section(BaseModel):
    """Base of all sections: frozen, strict about keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class CloudSection(Section):
    """Where tasks come from. `token_file` defaults to `token` in the state folder."""

    url: str | None = None
    token_file: Path | None = None
    ca_file: Path | None = None
    proxy: str | None = None
    request_timeout_s: Seconds = 20.0
    upload_chunk_bytes: Annotated[int, Field(strict=True, ge=4096, le=64 * 2**20)] = 2**20

    @field_validator("url")
    @classmethod
    def _safe_url(cls, url: str | None) -> str | None:
        return None if url is None else check_cloud_url(url)


class StateSection(Section):
    """What the agent keeps on disk."""

    dir: Path = Path("/var/lib/miner-agent")
    keep_reported_days: Annotated[float, Field(strict=True, gt=0, le=3650)] = 30.0
    keep_tasks_max: Count = 200_000
    buffer_max_mb: Annotated[int, Field(strict=True, ge=1, le=100_000)] = 256


class MinersSection(Section):
    """Which addresses belong to this agent, and how patiently they are spoken to."""

    ranges: tuple[RangeText, ...] = ()
    allowed: tuple[RangeText, ...] = PRIVATE_RANGES
    denied: tuple[RangeText, ...] = ()
    http_port: Port = 80
    rpc_port: Port = 4028
    v3_port: Port = 4433
    daemon_port: Port = 4111
    connect_timeout_s: Seconds = 3.0
    read_timeout_s: Seconds = 10.0
    write_timeout_s: Seconds = 60.0
    log_timeout_s: Seconds = 60.0
    upload_timeout_s: Seconds = 1800.0
    device_pace: Annotated[float, Field(strict=True, ge=1, le=10_000)] = 1.0
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
    connects_per_s: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] = 4000
    sockets_max: Annotated[int, Field(strict=True, ge=2, le=60_000)] = 2048
    connect_timeout_s: Annotated[float, Field(strict=True, gt=0, le=60)] = 1.5
    identify_at_once: Annotated[int, Field(strict=True, ge=1, le=1024)] = 64


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


class PolicySection(Section):
    """What this site forbids, whatever the cloud says."""

    read_only: Flag = False
    refuse_hashing_reboot: Flag = True
    forbidden_tasks: tuple[TaskName, ...] = ()


class LimitsSection(Section):
    """Ceilings. `task_s` is the execution limit per task name, counted from its intent."""

    power_effects: Annotated[int, Field(strict=True, ge=1, le=4096)] = 32
    firmware_effects: Annotated[int, Field(strict=True, ge=1, le=256)] = 4
    light_effects: Annotated[int, Field(strict=True, ge=1, le=65_536)] = 256
    open_tasks: Annotated[int, Field(strict=True, ge=1, le=100_000)] = 2000
    lease_left_s: Annotated[float, Field(strict=True, ge=0, le=60)] = 20.0
    identity_age_s: Annotated[float, Field(strict=True, gt=0, le=3600)] = 60.0
    restart_wait_s: Annotated[float, Field(strict=True, ge=0, le=3600)] = 60.0
    firmware_max_mb: Annotated[int, Field(strict=True, ge=1, le=65_536)] = 512
    log_max_mb: Annotated[int, Field(strict=True, ge=1, le=65_536)] = 64
    disk_reserve_mb: Annotated[int, Field(strict=True, ge=0, le=1_048_576)] = 64
    results_kept_s: Annotated[float, Field(strict=True, ge=60, le=90 * 86_400)] = 7 * 86_400.0
    stop_within_s: Annotated[float, Field(strict=True, ge=0, le=3600)] = 20.0
    task_s: dict[TaskName, Seconds] = {}

    @field_validator("task_s")
    @classmethod
    def _agent_tasks(cls, limits: dict[TaskName, float]) -> dict[TaskName, float]:
        for name in limits:
            if not SPECS[name].by_agent:
                raise ValueError(f"{name} is carried out by the cloud; it has no limit here")
        return limits


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


class HealthSection(Section):
    """How the agent shows that it lives. `metrics_port` opens Prometheus metrics on loopback."""

    heartbeat_s: Annotated[float, Field(strict=True, ge=1, le=60)] = 15.0
    journal_stall_s: Annotated[float, Field(strict=True, ge=0.5, le=3600)] = 15.0
    metrics_port: Port | None = None
    metrics_host: str = "127.0.0.1"

    @field_validator("metrics_host")
    @classmethod
    def _loopback(cls, host: str) -> str:
        if not ip_address(host).is_loopback:
            raise ValueError("metrics are served on loopback only; put a proxy in front of it")
        return host


class RigMonitorMiner(Section):
    """One miner of the monitor, by its MAC or by its address; its code stands here or in `codes_file`."""

    mac: MacText | None = None
    ip: AddressText | None = None
    api_code_file: Path | None = None
    coin_name: ShortText | None = None
    power_w: Watts | None = None

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if (self.mac is None) == (self.ip is None):
            raise ValueError("give exactly one of mac and ip")
        return self


class RigMonitorSection(Section):
    """A Mining Rig Monitor server that is told of miners, and whose wishes are followed. No `url`: none."""

    url: str | None = None
    insecure_http: Flag = False
    ca_file: Path | None = None
    codes_file: Path | None = None
    official: Flag = True
    log_every_s: Annotated[float, Field(strict=True, ge=1, le=3600)] = 30.0
    expected_every_s: Annotated[float, Field(strict=True, ge=1, le=3600)] = 10.0
    follow_light: Flag = True
    follow_asic: Flag = True
    power_gap_s: Annotated[float, Field(strict=True, ge=0, le=86_400)] = 300.0
    power_ons_per_10_s: Annotated[int, Field(strict=True, ge=1, le=1000)] = 5
    request_timeout_s: Annotated[float, Field(strict=True, gt=0, le=300)] = 10.0
    requests_at_once: Annotated[int, Field(strict=True, ge=1, le=512)] = 32
    default_coin_name: ShortText | None = None
    default_power_w: Watts | None = None
    wan_ip: AddressText | None = None
    miner: tuple[RigMonitorMiner, ...] = ()

    @model_validator(mode="after")
    def _usable(self) -> Self:
        keys = [each.mac or each.ip for each in self.miner]
        if len(set(keys)) != len(keys):
            raise ValueError("two entries of miner speak of the same MAC or address")
        if self.url is not None:
            check_monitor_url(self.url, insecure_http=self.insecure_http)
        return self

    @property
    def base_url(self) -> str:
        """The url without the prefix of the API, whether it was given with it or not."""
        return (self.url or "").rstrip("/").removesuffix(MONITOR_PREFIX)


class LogSection(Section):
    """What is written to stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "text"] = "auto"


class Config(Section):
    """The whole file."""

    cloud: CloudSection = CloudSection()
    state: StateSection = StateSection()
    miners: MinersSection = MinersSection()
    scan: ScanSection = ScanSection()
    credentials: tuple[CredentialEntry, ...] = ()
    policy: PolicySection = PolicySection()
    limits: LimitsSection = LimitsSection()
    telemetry: TelemetrySection = TelemetrySection()
    health: HealthSection = HealthSection()
    rigmonitor: RigMonitorSection = RigMonitorSection()
    log: LogSection = LogSection()

    @field_validator("credentials")
    @classmethod
    def _distinct(
        cls, entries: tuple[CredentialEntry, ...], _info: ValidationInfo
    ) -> tuple[CredentialEntry, ...]:
        keys = [each.mac or str(parse_range(each.range or "")) for each in entries]
        if len(set(keys)) != len(keys):
            raise ValueError("two entries speak of the same range or MAC")
        return entries

    @property
    def token_file(self) -> Path:
        """Where the agent's token lies, as `enroll` writes it."""
        return self.cloud.token_file or self.state.dir / "token"

    @property
    def socket_path(self) -> Path:
        """Where the running daemon listens for commands given on this host."""
        return self.state.dir / "agent.sock"


def load(path: Path) -> Config:
    """Read the file. Relative paths in it are taken from its folder, except that a secret which systemd
    handed over (`LoadCredential=`) is found by its name. Raises ConfigError.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(
            f"{path} is missing: copy config.example.toml there and set what differs"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {why(error)}") from None
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f'{path}: not TOML: {error}; text stands in quotes (url = "https://..."), '
            "numbers, true and false without, lists in [ ]"
        ) from None
    return parse(data, folder=path.parent, name=str(path))


def parse(data: dict[str, Any], *, folder: Path = Path(), name: str = "config") -> Config:
    """Check what a file held. Raises ConfigError with one line per problem."""
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        problems = [
            f"{name}: {'.'.join(str(part) for part in each['loc'])}: {in_words(each)}"
            for each in error.errors(include_url=False)
        ]
        raise ConfigError("\n".join(problems)) from None
    return _absolute(config, folder)


def check_cloud_url(url: str) -> str:
    """Give the base url without its last slash. Raises ValueError unless it is https, or http to this
    host: the token must not cross a network in the clear.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ValueError(f"{url[:200]!r} is not an https:// address")
    if parts.query or parts.fragment or parts.username:
        raise ValueError("the url may hold no query, fragment or user")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise ValueError(
            "plain http would send the token in the clear; use https (http only to this host)"
        )
    return url.rstrip("/")


def check_monitor_url(url: str, *, insecure_http: bool) -> None:
    """Raises ValueError unless it is https, or http to this host, or http that was allowed in so many words: the
    codes cross the network in the clear then.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ValueError(f"{url[:200]!r} is not an http:// or https:// address")
    if parts.query or parts.fragment or parts.username:
        raise ValueError("the url may hold no query, fragment or user")
    if parts.scheme == "http" and not insecure_http and not _is_loopback(parts.hostname):
        raise ValueError(
            "plain http would send the codes in the clear; use https behind a proxy, "
            "or set insecure_http = true on a network you trust"
        )


def read_secret(path: Path) -> str:
    """The text of a secret file without its line end. Raises ConfigError when it is missing, empty or
    readable by everybody.
    """
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: the secret cannot be read: {why(error)}") from None
    if not text:
        raise ConfigError(f"{path}: the secret file is empty")
    if mode & 0o007:
        raise ConfigError(f"{path}: everybody on this host can read it; run: chmod o-rwx {path}")
    return text


def check_ca_file(path: Path | None) -> None:
    """Raises ConfigError, which names the file, when it holds no certificate authority."""
    if path is None:
        return
    import ssl

    try:
        ssl.create_default_context(cafile=str(path))
    except ssl.SSLError:
        raise ConfigError(f"{path} (ca_file) holds no certificate in PEM") from None
    except OSError as error:
        raise ConfigError(f"{path} (ca_file) cannot be read: {why(error)}") from None


def why(error: Exception) -> str:
    """Why a file could not be used, without its number and without its path, which the caller names."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[:1].lower() + error.strerror[1:]
    if isinstance(error, UnicodeDecodeError):
        return "it is not text in UTF-8"
    return str(error)


def ranges_of(texts: tuple[str, ...]) -> tuple[Range, ...]:
    """Ranges of the config, which are known to be well written."""
    return tuple(parse_range(text) for text in texts)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _absolute(config: Config, folder: Path) -> Config:
    def plain(path: Path | None) -> Path | None:
        return None if path is None else folder / path

    def secret(path: Path) -> Path:
        handed = os.environ.get("CREDENTIALS_DIRECTORY")
        if handed and not path.is_absolute():
            for name in (path.name, f"{CREDENTIAL_ID}_{path.name}"):
                if (Path(handed) / name).exists():
                    return Path(handed) / name
        return folder / path

    cloud, monitor = config.cloud, config.rigmonitor
    token = None if cloud.token_file is None else secret(cloud.token_file)
    return config.model_copy(
        update={
            "cloud": cloud.model_copy(
                update={"token_file": token, "ca_file": plain(cloud.ca_file)}
            ),
            "state": config.state.model_copy(update={"dir": folder / config.state.dir}),
            "credentials": tuple(
                each.model_copy(update={"password_file": secret(each.password_file)})
                for each in config.credentials
            ),
            "rigmonitor": monitor.model_copy(
                update={
                    "ca_file": plain(monitor.ca_file),
                    "codes_file": monitor.codes_file and secret(monitor.codes_file),
                    "miner": tuple(
                        each.model_copy(
                            update={
                                "api_code_file": each.api_code_file and secret(each.api_code_file)
                            }
                        )
                        for each in monitor.miner
                    ),
                }
            ),
        }
    )
