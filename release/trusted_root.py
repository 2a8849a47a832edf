"""The root that came with the release that runs: where all trust in the next one begins."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from release.trust import ROOT_BYTES

ROOT_FILE: Final = "root.json"


def trusted_root(folder: Path = Path(__file__).parent) -> bytes | None:
    """`root.json` beside this module, where a build put it; `None` for a build without one, which takes no repository's
    word. Raises OSError.
    """
    path = folder / ROOT_FILE
    if not path.exists():
        return None
    with path.open("rb") as file:
        return file.read(ROOT_BYTES + 1)
