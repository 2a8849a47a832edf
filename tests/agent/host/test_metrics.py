from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path

import pytest

from agent.config.file import ConfigError, parse
from agent.daemon import Daemon
from agent.sinks.prometheus import COUNTERS, GAUGES, MetricsServer, check_port
from service.notify import Notifier
from tests.virtual_time import loop_clock


def scrape(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as reply:
        return reply.read().decode()


def test_figures_are_asked_at_each_scrape() -> None:
    figures = {"looks": 1.0, "miners_known": 3.0, "no_such_figure": 9.0}
    with MetricsServer("127.0.0.1", 0, lambda: figures) as server:
        first = scrape(server.port)
        figures["looks"] = 2.0
        second = scrape(server.port)
        port = server.port
    assert "miner_agent_looks_total 1.0" in first
    assert "miner_agent_looks_total 2.0" in second
    assert "miner_agent_miners_known 3.0" in second
    assert "no_such_figure" not in second
    with pytest.raises(urllib.error.URLError):
        scrape(port)


def test_every_figure_says_what_it_is() -> None:
    every = {**COUNTERS, **GAUGES}
    with MetricsServer("127.0.0.1", 0, lambda: dict.fromkeys(every, 0.0)) as server:
        text = scrape(server.port)
    for name, words in every.items():
        assert f"miner_agent_{name}" in text
        assert words in text


async def test_every_figure_is_fed_by_the_daemon(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t")
    (tmp_path / "token").chmod(0o600)
    config = parse({"cloud": {"url": "http://127.0.0.1:9"}, "state": {"dir": str(tmp_path)}})
    daemon = Daemon(config, loop_clock(), Notifier())
    assert daemon.figures().keys() == COUNTERS.keys() | GAUGES.keys()


def test_a_port_that_is_taken_names_its_key() -> None:
    with MetricsServer("127.0.0.1", 0, dict) as server:
        words = (
            rf"127\.0\.0\.1:{server.port}: address already in use; see metrics_port in \[health\]"
        )
        with pytest.raises(ConfigError, match=words):
            MetricsServer("127.0.0.1", server.port, dict)
        with pytest.raises(ConfigError, match=words):
            check_port("127.0.0.1", server.port)
        port = server.port
    check_port("127.0.0.1", port)
