"""Simulated rigs as a config enrols them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.drivers.rig.stage import kind_of


def entry_of(rig: Any, **more: Any) -> dict[str, Any]:
    """One of `[[rigs]]`, by SSH with its own key, and its programs; `more` are other keys."""
    told = rig.describe()
    return {
        "name": f"{rig.key}-{rig.ip}",
        "reach": "ssh",
        "host": rig.ip,
        "port": told["ssh_port"],
        "user": told["ssh_user"],
        "key_file": told["ssh_key"],
        "host_key": told["host_key"],
        "programs": [_program_of(each, Path(told["ssh_key"]).parent) for each in told["programs"]],
    } | more


def _program_of(told: dict[str, Any], folder: Path) -> dict[str, Any]:
    program = {"kind": kind_of(told).value, "port": told["port"]}
    if told["token"]:
        file = folder / f"token-{told['port']}"
        file.write_text(told["token"], "utf-8")
        file.chmod(0o600)
        program["token_file"] = str(file)
    return program
