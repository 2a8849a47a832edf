"""What `scan` says of addresses that give no answer at all, which loopback cannot show."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from tests.namespaces import Cable, joined

pytestmark = pytest.mark.slow
RANGE = "10.78.0.1-10.78.0.14"


def scanned(cable: Cable, *more: str) -> dict[str, Any]:
    ran = cable.near.run(sys.executable, "-m", "agent", "scan", RANGE, "--json", *more)
    told: dict[str, Any] = json.loads(ran.stdout)
    assert sum(row["addresses"] for row in told["others"]) == told["addresses"] == 14
    return told


def test_silent_names_the_ports_that_were_asked_and_no_others() -> None:
    with joined(live=["10.78.0.5"], routed=["10.78.0.0/28"]) as cable:
        fast, whole, thorough = (scanned(cable, *each) for each in (["--fast"], [], ["--thorough"]))
    for told, ports in ((fast, 1), (whole, 4), (thorough, 4)):
        rows = [(row["range"], row["verdict"], len(row["ports"])) for row in told["others"]]
        assert rows == [
            ("10.78.0.1-10.78.0.4", "silent", ports),
            ("10.78.0.5", "refused", 4),
            ("10.78.0.6-10.78.0.14", "silent", ports),
        ]
    assert whole["first_pass_s"] < whole["seconds"], "the other ports are waited for after it"
