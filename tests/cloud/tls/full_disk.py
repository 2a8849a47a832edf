"""A server's certificates on a little disk that is full when one is due: run by test_folder.py, in a mount of its own."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cloud.tls.folder import TlsFolder
from cloud.tls.keeper import TlsKeeper
from cloud.tls.public import OwnAuthorities
from tests.cloud.conftest import HandClock
from tests.handshakes import client_context, shake


def main(data: Path) -> None:
    folder, clock = TlsFolder(data), HandClock()
    folder.init(("cloud.example.net",), clock.now())
    keeper = TlsKeeper(folder, clock, OwnAuthorities())
    before = folder.server.read_bytes()
    with (data / "ballast").open("wb", buffering=0) as ballast:
        try:
            while True:
                ballast.write(bytes(1024))
        except OSError:
            pass
    clock.move(timedelta(days=400).total_seconds())
    shown = keeper.open()
    shake(client_context(folder.trusted), shown, "cloud.example.net")
    assert folder.server.read_bytes() == before
    (data / "ballast").unlink()
    clock.move(7200)
    renewed = keeper.look()
    assert renewed is not None
    shake(client_context(folder.trusted), renewed, "cloud.example.net")
    assert folder.shown().certificate.not_valid_after_utc > datetime.now(UTC)
    assert folder.server.read_bytes() != before
    sys.stdout.write("kept, then renewed\n")
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
