"""Where the miners of a site are looked for."""

from __future__ import annotations

from agent.config.file import parse
from agent.miners.inventory import Inventory
from agent.miners.site import open_site
from contract.clock import SystemClock


def test_a_scan_knocks_where_each_make_listens_and_nowhere_else() -> None:
    config = parse({"miners": {"ranges": ["127.0.0.1"], "v3_port": 14433}})
    site = open_site(config, SystemClock(), Inventory(None))
    assert set(site.scan_ports) == {80, 4028, 4111, 14433}
