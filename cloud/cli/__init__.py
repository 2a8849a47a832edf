"""`miner-cloud`: its entry point here; `commands` serves and migrates, `records` and `rigs` change what is stored."""

from __future__ import annotations

import sys
from importlib.util import find_spec

from service.streams import stand_in


def main() -> None:
    """Entry point. Exit 0 done, 1 failed, 2 wrong usage."""
    stand_in()
    missing = [name for name in ("sqlalchemy", "aiosqlite", "alembic") if find_spec(name) is None]
    if missing:
        sys.stderr.write(
            f"miner-cloud needs the extra [cloud] ({', '.join(missing)} missing): pip install 'miner-agent[cloud]'\n"
        )
        raise SystemExit(1)
    from cloud.cli.commands import app

    app()
