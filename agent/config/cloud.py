"""The section of the agent's cloud."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from agent.config.fields import Seconds, Section
from agent.config.urls import check_cloud_url, check_proxy_url


class CloudSection(Section):
    """Where tasks come from. `token_file` defaults to `token` in the state folder."""

    url: str | None = None
    token_file: Path | None = None
    ca_file: Path | None = None
    proxy: str | None = None
    request_timeout_s: Seconds = 20.0
    upload_chunk_bytes: Annotated[int, Field(strict=True, ge=4096, le=64 * 2**20)] = 2**20

    @field_validator("url")
    @classmethod
    def _safe_url(cls, url: str | None) -> str | None:
        return None if url is None else check_cloud_url(url)

    @field_validator("proxy")
    @classmethod
    def _usable_proxy(cls, url: str | None) -> str | None:
        if url is not None:
            check_proxy_url(url)
        return url
