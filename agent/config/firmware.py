"""The section of firmware files: where they may come from."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from agent.config.fields import Section
from contract.ranges import parse_networks


def _checked_networks(text: str) -> str:
    parse_networks(text)
    return text


class FirmwareSection(Section):
    """Private servers that firmware may be fetched from. Public ones and the agent's cloud need no entry."""

    allowed: tuple[Annotated[str, AfterValidator(_checked_networks)], ...] = ()
