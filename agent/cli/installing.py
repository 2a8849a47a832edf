"""`install` and `uninstall`: the agent as a service of this host, from the environment that the command runs in."""

from __future__ import annotations

import typer

from agent.cli.answers import Ended
from agent.cli.rig_service import app as rig_service
from service.install.command import install, uninstall
from service.install.pages import HelpPage, of_app
from service.install.product import AGENT


def manuals(app: typer.Typer) -> dict[str, tuple[HelpPage, ...]]:
    """What the agent's programs say of themselves, but for the simulator, which is none of a host's services."""
    return {
        "miner-agent": of_app(app, "miner-agent"),
        "miner-agent-rig": of_app(rig_service, "miner-agent-rig"),
    }


def run_install(app: typer.Typer, *, dry_run: bool) -> Ended:
    return install(AGENT, manuals(app), dry_run=dry_run)


def run_uninstall(*, dry_run: bool, purge: bool) -> Ended:
    return uninstall(AGENT, dry_run=dry_run, purge=purge)
