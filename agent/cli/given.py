"""What every command is given, and how wrong words are answered: its config, `--json`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import typer

from agent.cli.answers import fail

if TYPE_CHECKING:
    from agent.config.file import Config

DEFAULT_CONFIG: Final = Path("/etc/miner-agent/config.toml")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document as the last line.")]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help=f"The configuration file [{DEFAULT_CONFIG}].")
]


def usage(message: str, as_json: bool) -> NoReturn:
    """End with exit code 2."""
    fail(f"usage: {message}", as_json, 2)


def config_path(given: Path | None) -> Path | None:
    """The file that is named, else the usual one if it can be read."""
    return given or (DEFAULT_CONFIG if os.access(DEFAULT_CONFIG, os.R_OK) else None)


def config_of(given: Path | None, *, required: bool, as_json: bool) -> Config:
    """What is in it; defaults where there is none and none is required. Ends with exit code 2 for one that cannot be
    used.
    """
    from agent.config.file import Config, ConfigError, load

    path = config_path(given)
    if path is None and not required:
        return Config()
    try:
        return load(path or DEFAULT_CONFIG)
    except ConfigError as error:
        elsewhere = "; or give --config FILE" if path is None else ""
        fail(f"{error}{elsewhere}", as_json, 2)
