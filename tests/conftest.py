"""For all tests: how patient Hypothesis is, and the figures that tests tell.

A busy host makes an example slow, not wrong.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Every table, also those of other workers, also of tests that pass: the log of a run shows its figures."""
    tables = [
        text
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, ())
        if getattr(report, "when", None) == "call"
        for name, text in report.user_properties
        if name == "figures"
    ]
    if tables:
        terminalreporter.section("figures")
        for table in tables:
            terminalreporter.write_line(table)
