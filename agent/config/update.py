"""The section of releases of ourselves: where they come from, and what a new one has to show, and how soon."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, field_validator

from agent.config.fields import Flag, Section
from agent.config.urls import check_releases_url
from release.channels import Channel


def _checked_key(text: str) -> str:
    # few sites pin one, and every command reads the config
    from release.signature import public_key_of

    public_key_of(text)
    return text


class UpdateSection(Section):
    """Read by the agent, which stages a release, and by root's installer, which watches what becomes of it."""

    enabled: Flag = True
    url: str | None = None
    channel: Channel = "stable"
    keys: tuple[Annotated[str, AfterValidator(_checked_key)], ...] = ()
    ready_within_s: Annotated[float, Field(strict=True, ge=10, le=600)] = 120.0
    link_within_s: Annotated[float, Field(strict=True, ge=10, le=900)] = 300.0
    journal_within_s: Annotated[float, Field(strict=True, ge=10, le=600)] = 120.0
    settle_s: Annotated[float, Field(strict=True, ge=0, le=300)] = 15.0
    restarts_most: Annotated[int, Field(strict=True, ge=0, le=20)] = 3
    self_test_within_s: Annotated[float, Field(strict=True, ge=5, le=600)] = 60.0

    @field_validator("url")
    @classmethod
    def _safe_url(cls, url: str | None) -> str | None:
        return None if url is None else check_releases_url(url)
