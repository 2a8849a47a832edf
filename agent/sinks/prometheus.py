"""The agent's own figures for Prometheus, on loopback, when the config opens a port for them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Final, Self

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from agent.config.file import ConfigError, why

COUNTERS: Final = {
    "looks": "Looks at miners since the start",
    "looks_failed": "Looks that failed since the start",
    "readings_sent": "Readings the cloud has taken since the start",
    "readings_dropped": "Readings lost for want of room or refused, since the start",
    "tasks_settled": "Tasks that ended here since the start",
}
GAUGES: Final = {
    "miners_known": "Miners in the inventory",
    "miners_login_refused": "Miners that refused our user or password when last asked",
    "journal_depth": "Tasks whose end the cloud has not acknowledged",
    "buffer_depth": "Readings the cloud does not have yet",
    "poll_lag_p99_seconds": "How late looks at miners begin, 99th percentile of the latest",
    "lease_left_seconds": "What is left of the lease",
    "loop_lag_seconds": "How late the event loop last woke up",
}


def check_port(host: str, port: int) -> None:
    """Raises ConfigError where `MetricsServer` would."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise _not_served(host, port, error) from None


class MetricsServer:
    """Serves `GET /metrics`. `figures` is asked at each scrape, on another thread, for any of the names above."""

    def __init__(self, host: str, port: int, figures: Callable[[], Mapping[str, float]]) -> None:
        """Raises ConfigError, which names the key, when the port is taken."""
        registry = CollectorRegistry()
        registry.register(_Figures(figures))
        try:
            self._server, self._thread = start_http_server(port, addr=host, registry=registry)
        except OSError as error:
            raise _not_served(host, port, error) from None

    @property
    def port(self) -> int:
        return int(self._server.server_port)

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _not_served(host: str, port: int, error: OSError) -> ConfigError:
    return ConfigError(
        f"metrics cannot be served at {host}:{port}: {why(error)}; see metrics_port in [health]"
    )


class _Figures(Collector):
    def __init__(self, figures: Callable[[], Mapping[str, float]]) -> None:
        self._figures = figures

    def describe(self) -> list[Any]:
        return []  # so that registering does not ask for figures before there are any

    def collect(self) -> Iterator[Any]:
        for name, value in self._figures().items():
            if name in COUNTERS:
                yield CounterMetricFamily(f"miner_agent_{name}", COUNTERS[name], value=value)
            elif name in GAUGES:
                yield GaugeMetricFamily(f"miner_agent_{name}", GAUGES[name], value=value)
