"""The agent's one configuration file, read once into one frozen model.

Unknown keys are refused, every bound carries its unit in its name, and secrets are only ever named by
the file that holds them. `config.example.toml` documents each key.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from pydantic import ValidationError, ValidationInfo, field_validator, model_validator
from yarl import URL

from agent.config.cloud import CloudSection
from agent.config.fields import Section
from agent.config.firmware import FirmwareSection
from agent.config.host import HealthSection, LogSection, StateSection
from agent.config.miners import (
    CredentialEntry,
    MinersSection,
    ScanSection,
    TelemetrySection,
    ranges_of,
)
from agent.config.ranges import RangeConfig, check_names
from agent.config.rigmonitor import RigMonitorMiner, RigMonitorRig, RigMonitorSection
from agent.config.rigs import RigConfig, check_distinct
from agent.config.subscriptions import SubscriptionsSection
from agent.config.tasks import LimitsSection, PolicySection
from agent.config.update import UpdateSection
from agent.config.urls import origin
from contract.ranges import parse_range
from contract.words import faults_in

# systemd hands a whole folder over as one file per name, each with the id of the folder in front.
CREDENTIAL_ID = "secret"
PIN_NAME: Final = "cloud-ca.pem"  # in the state folder
_LOGIN: Final = "unknown key; logins stand in [[credentials]]: range or mac, user, password_file"
# What is said of keys that are looked for elsewhere: those of earlier versions, and those that are written there often.
_INSTEAD: Final = {
    "rigmonitor.power_ons_per_10_s": "is now power_ons_per_10_s in [limits]",
    "scan.connects_per_s": "is now addresses_per_s, and counts addresses: 1000 unless it is said",
    **{
        f"{section}{key}": _LOGIN
        for section in ("", "miners.")
        for key in ("user", "username", "password", "password_file")
    },
}


_Coded = TypeVar("_Coded", RigMonitorMiner, RigMonitorRig)
_S = TypeVar("_S", bound=Section)


class ConfigError(Exception):
    """The file cannot be used. The message names the key and the fix, one problem a line."""


class RigsFile(Section):
    """A file of the folder beside it: rigs and nothing else."""

    rigs: tuple[RigConfig, ...]


class Config(Section):
    """The whole file."""

    cloud: CloudSection = CloudSection()
    state: StateSection = StateSection()
    miners: MinersSection = MinersSection()
    ranges: tuple[RangeConfig, ...] = ()
    scan: ScanSection = ScanSection()
    credentials: tuple[CredentialEntry, ...] = ()
    rigs: tuple[RigConfig, ...] = ()
    policy: PolicySection = PolicySection()
    limits: LimitsSection = LimitsSection()
    firmware: FirmwareSection = FirmwareSection()
    telemetry: TelemetrySection = TelemetrySection()
    health: HealthSection = HealthSection()
    rigmonitor: RigMonitorSection = RigMonitorSection()
    subscriptions: SubscriptionsSection = SubscriptionsSection()
    update: UpdateSection = UpdateSection()
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

    @field_validator("ranges")
    @classmethod
    def _named_apart(cls, entries: tuple[RangeConfig, ...]) -> tuple[RangeConfig, ...]:
        check_names(entries)
        return entries

    @model_validator(mode="after")
    def _rigs_fit(self) -> Self:
        denied = ranges_of(self.miners.denied)
        for rig in check_distinct(self.rigs):
            if rig.host is not None and any(rig.host in each for each in denied):
                raise ValueError(
                    f"the rig {rig.name!r} is at {rig.host}, which [miners] denied forbids: take it out of one of both"
                )
        return self

    @model_validator(mode="after")
    def _monitor_knows_the_rigs(self) -> Self:
        reaches = {rig.name: rig.reach for rig in self.rigs}
        for each in self.rigmonitor.rig:
            if each.name not in reaches:
                raise ValueError(
                    f"rigmonitor.rig speaks of {each.name!r}, which is no rig in [[rigs]]"
                )
            if each.playbooks and reaches[each.name] != "local":
                raise ValueError(
                    f"rigmonitor.rig {each.name!r} has playbooks = true, and is not this host: it needs reach = "
                    '"local" in [[rigs]], and an agent of its own on the rig'
                )
        return self

    @property
    def scanned(self) -> tuple[str, ...]:
        """The ranges that are looked through on schedule."""
        named = (each.range for each in self.ranges if each.auto_scan)
        return tuple(dict.fromkeys((*self.miners.ranges, *named)))

    @property
    def token_file(self) -> Path:
        """Where the agent's token lies, as `enroll` writes it."""
        return self.cloud.token_file or self.state.dir / "token"

    @property
    def pin_file(self) -> Path:
        """Where the authorities lie that the cloud is known by, if the enrolment code named one."""
        return self.state.dir / PIN_NAME

    @property
    def cloud_ca(self) -> Path | None:
        """What the cloud's certificate has to be of: the config's word, else what enrolling left. `None`: whatever this
        host trusts.
        """
        if self.cloud.ca_file is not None:
            return self.cloud.ca_file
        return self.pin_file if os.path.lexists(self.pin_file) else None

    @property
    def monitor_ca(self) -> Path | None:
        """The same of the Mining Rig Monitor, which may be the cloud itself."""
        url, cloud = self.rigmonitor.url, self.cloud.url
        if self.rigmonitor.ca_file is not None or url is None or cloud is None:
            return self.rigmonitor.ca_file
        return self.cloud_ca if origin(URL(url)) == origin(URL(cloud)) else None

    @property
    def releases_url(self) -> str | None:
        """The repository of releases: the config's word, else the cloud's own. `None` without either."""
        if self.update.url is not None or self.cloud.url is None:
            return self.update.url
        return f"{self.cloud.url}/releases"

    @property
    def socket_path(self) -> Path:
        """Where the running daemon listens for commands given on this host."""
        return self.state.dir / "agent.sock"


def load(path: Path) -> Config:
    """Read the file, and the rigs of the folder beside it. Relative paths are taken from its folder, except that a
    secret which systemd handed over (`LoadCredential=`) is found by its name. Raises ConfigError.
    """
    data = read_toml(path, "is missing: copy config.example.toml there and set what differs")
    for each in _rig_files(rigs_folder(path)):
        found = checked(RigsFile, read_toml(each, "is gone"), str(each))
        if isinstance(rigs := data.setdefault("rigs", []), list):
            rigs.extend(rig.model_dump(exclude_unset=True) for rig in found.rigs)
    return parse(data, folder=path.parent, name=str(path))


def with_rig(config: Config, entry: dict[str, Any], *, folder: Path, name: str) -> Config:
    """The same with one rig more, of which `entry` holds the keys. Raises ConfigError."""
    (rig,) = checked(RigsFile, {"rigs": [entry]}, name).rigs
    rigs = [each.model_dump(exclude_unset=True) for each in (*config.rigs, rig)]
    fitting = checked(Config, {"miners": {"denied": config.miners.denied}, "rigs": rigs}, name)
    return config.model_copy(update={"rigs": _absolute(fitting, folder).rigs})


def rigs_folder(path: Path) -> Path:
    """Where `miner-agent rig add` puts each rig, a file of its own, beside the file of this path."""
    return path.parent / "rigs.d"


def _rig_files(folder: Path) -> list[Path]:
    """Raises ConfigError for a folder that cannot be looked into: its rigs would be lost in silence."""
    try:
        return sorted(each for each in folder.iterdir() if each.suffix == ".toml")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigError(f"{folder} cannot be read: {why(error)}") from None


def read_toml(path: Path, missing: str) -> dict[str, Any]:
    """What a file of ours holds. `missing` is what is said of one that is not there. Raises ConfigError."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path} {missing}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {why(error)}") from None
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # of numbers and lists without end, too
        raise ConfigError(
            f'{path}: not TOML: {error}; text stands in quotes (url = "https://..."), '
            "numbers, true and false without, lists in [ ]"
        ) from None


def parse(data: dict[str, Any], *, folder: Path = Path(), name: str = "config") -> Config:
    """Check what a file held. Raises ConfigError with one line per problem."""
    return _absolute(checked(Config, data, name, instead=_INSTEAD), folder)


def checked(
    model: type[_S], data: dict[str, Any], name: str, *, instead: Mapping[str, str] | None = None
) -> _S:
    """What the file of this name held. `instead` is as `faults_in` takes it. Raises ConfigError with one line per
    problem.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        faults = faults_in(error, model, instead=instead)
        raise ConfigError("\n".join(f"{name}: {each}" for each in faults)) from None


def why(error: Exception) -> str:
    """Why a file could not be used, without its number and without its path, which the caller names."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[:1].lower() + error.strerror[1:]
    if isinstance(error, UnicodeDecodeError):
        return "it is not text in UTF-8"
    return str(error)


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

    def coded(entry: _Coded) -> _Coded:
        file = entry.api_code_file
        return entry.model_copy(update={"api_code_file": file and secret(file)})

    cloud, monitor, served = config.cloud, config.rigmonitor, config.subscriptions
    sui = served.sui
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
            "rigs": tuple(
                each.model_copy(
                    update={
                        "key_file": each.key_file and secret(each.key_file),
                        "programs": tuple(
                            program.model_copy(
                                update={
                                    "token_file": program.token_file and secret(program.token_file)
                                }
                            )
                            for program in each.programs
                        ),
                    }
                )
                for each in config.rigs
            ),
            "rigmonitor": monitor.model_copy(
                update={
                    "ca_file": plain(monitor.ca_file),
                    "codes_file": monitor.codes_file and secret(monitor.codes_file),
                    "rig_service_socket": plain(monitor.rig_service_socket),
                    "miner": tuple(coded(each) for each in monitor.miner),
                    "rig": tuple(coded(each) for each in monitor.rig),
                }
            ),
            "subscriptions": served.model_copy(
                update={
                    "token_file": served.token_file and secret(served.token_file),
                    "tls_cert": plain(served.tls_cert),
                    "tls_key": served.tls_key and secret(served.tls_key),
                    "sui": sui
                    and sui.model_copy(
                        update={"keystore": folder / sui.keystore, "ca_file": plain(sui.ca_file)}
                    ),
                }
            ),
        }
    )
