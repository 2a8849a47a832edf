"""`rig.toml`, read once into one frozen model: what this rig may be told to mine with, and who may tell it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, model_validator

from agent.config.fields import Port, Seconds, Section, ShortText
from agent.config.file import checked, read_toml
from agent.config.host import LogSection
from agent.rig.options import OptionKind
from agent.rig.shapes import STANDARD_SOCKET
from contract.texts import hex_digits

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}")
_OPTION: Final = re.compile(r"--?[A-Za-z0-9][A-Za-z0-9_.-]*")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _checked_name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError("letters, digits, blanks and . _ - are allowed, 64 in all")
    return text


def _checked_path(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("must be an absolute path")
    return path


def _checked_options(options: dict[str, OptionKind]) -> dict[str, OptionKind]:
    for name in options:
        if not _OPTION.fullmatch(name):
            raise ValueError(f"{name[:40]!r} is no option; one begins with - or --")
    return options


def _checked_texts(texts: tuple[str, ...]) -> tuple[str, ...]:
    if any("\0" in each for each in texts):
        raise ValueError("must hold no NUL")
    return texts


def _checked_environment(variables: dict[str, str]) -> dict[str, str]:
    for name, value in variables.items():
        if not _VARIABLE.fullmatch(name) or "\0" in value:
            raise ValueError(f"{name[:40]!r} is no variable of an environment")
        if name == "HOME":
            raise ValueError("HOME is the program's own folder, by which it is found again")
    return variables


def _checked_hosts(patterns: tuple[str, ...]) -> tuple[str, ...]:
    for each in patterns:
        if ":" in each and not each.startswith("["):
            raise ValueError(f"{each[:40]!r} is no host; leave its scheme and port out")
    return patterns


Name = Annotated[str, AfterValidator(_checked_name)]
Megabytes = Annotated[int, Field(strict=True, ge=1, le=65_536)]


class AllowedProgram(Section):
    """One executable that a playbook may have started, by its name and version there."""

    software_name: Name
    software_version: ShortText
    path: Annotated[Path, AfterValidator(_checked_path)]
    sha256: Annotated[str, hex_digits(64)]
    http_port: Port | None = None
    arguments: Annotated[tuple[str, ...], AfterValidator(_checked_texts)] = ()
    """Given to it after those of the playbook, and not judged."""
    options: Annotated[dict[str, OptionKind], AfterValidator(_checked_options)] | None = None
    """What a playbook may give it; None: what we ship for a program of that name."""
    environment: Annotated[
        dict[str, str], Field(default_factory=dict), AfterValidator(_checked_environment)
    ]


class RigServiceConfig(Section):
    """The whole file."""

    socket: Path = STANDARD_SOCKET
    state_dir: Path = Path("/var/lib/miner-agent-rig")
    log_dir: Path = Path("/var/log/miner-agent-rig")
    users: tuple[ShortText, ...] = ("miner-agent",)
    groups: tuple[ShortText, ...] = ()
    worker_name: ShortText | None = None
    pool_address: ShortText | None = None
    wallet_address: ShortText | None = None
    pools: Annotated[tuple[ShortText, ...], AfterValidator(_checked_hosts)] = ()
    stop_grace_s: Annotated[float, Field(strict=True, gt=0, le=60)] = 15.0
    retry_first_s: Seconds = 5.0
    retry_most_s: Seconds = 300.0
    steady_after_s: Seconds = 600.0
    log_max_mb: Megabytes = 8
    file_max_mb: Megabytes = 256
    programs: tuple[AllowedProgram, ...] = ()
    log: LogSection = LogSection()

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        keys = [(each.software_name, each.software_version) for each in self.programs]
        if len(set(keys)) != len(keys):
            raise ValueError("two programs have one software_name and software_version")
        if self.file_max_mb < 2 * self.log_max_mb:
            raise ValueError("file_max_mb must be at least twice log_max_mb")
        return self

    def allowed(self, software_name: str, software_version: str) -> AllowedProgram | None:
        """The executable that such a playbook means."""
        for each in self.programs:
            if (each.software_name, each.software_version) == (software_name, software_version):
                return each
        return None


def load_rig_config(path: Path) -> RigServiceConfig:
    """Raises ConfigError with one line per problem. Relative paths are taken from the folder of the file."""
    data = read_toml(path, "is missing: copy rig.example.toml there and set what differs")
    config = checked(RigServiceConfig, data, str(path))
    folder = path.parent
    return config.model_copy(
        update={
            "socket": folder / config.socket,
            "state_dir": folder / config.state_dir,
            "log_dir": folder / config.log_dir,
        }
    )
