"""The client of the cloud that the config names, with what enrolling left on this host."""

from __future__ import annotations

from agent.config.file import Config, ConfigError
from agent.config.keyfiles import read_secret
from agent.link.client import CloudLink
from agent.link.trust import CloudTrust


class NotEnrolledError(ConfigError):
    """There is no token. The message ends with the command that gets one, but for the config it is to read."""


def open_link(config: Config) -> CloudLink:
    """The client of the configured cloud. Raises ConfigError when there is none, NotEnrolledError when no token."""
    if config.cloud.url is None:
        raise ConfigError("no cloud is configured: set url in [cloud]")
    if not config.token_file.exists():
        raise NotEnrolledError(
            f"{config.token_file} is missing: this agent is not enrolled; "
            "get a code from the cloud and run: miner-agent enroll --code CODE"
        )
    return CloudLink(
        config.cloud.url,
        read_secret(config.token_file),
        trust=CloudTrust(config.cloud_ca, is_pinned=config.cloud.ca_file is None),
        proxy=config.cloud.proxy,
        timeout_s=config.cloud.request_timeout_s,
        chunk_bytes=config.cloud.upload_chunk_bytes,
        reload_token=lambda: read_secret(config.token_file),
    )
