"""What stands in for the host's own programs. Copied into the rig's folder, each has the standard library alone."""

from __future__ import annotations

from pathlib import Path


def pynvml_path() -> Path:
    """Where the stand-in for `pynvml` is; imported, it would look for a rig here."""
    return Path(__file__).with_name("pynvml.py")
