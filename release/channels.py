"""Channels: which version is the newest one of each, and its bundles."""

from __future__ import annotations

from typing import Annotated, Final, Literal, get_args

import msgspec
from msgspec import Meta

from release.manifest import PLATFORM, Version
from release.refusals import Refusal, ReleaseRefusedError

Channel = Literal["stable", "canary"]
CHANNELS: Final[tuple[Channel, ...]] = get_args(Channel)
CHANNEL_BYTES: Final = 16 * 1024


class ChannelFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole of `channels/stable.json`: the version, and the target of its bundle for each platform."""

    version: Version
    bundles: Annotated[
        dict[
            Annotated[str, Meta(pattern=rf"^{PLATFORM}\Z", max_length=32)],
            Annotated[str, Meta(pattern=r"^bundles/[A-Za-z0-9._-]{1,100}\.tar\Z")],
        ],
        Meta(min_length=1, max_length=64),
    ]


_DECODER: Final = msgspec.json.Decoder(ChannelFile)


def channel_path(channel: str) -> str:
    """The target that says what is newest there."""
    return f"channels/{channel}.json"


def read_channel(data: bytes) -> ChannelFile:
    """Raises ReleaseRefusedError."""
    try:
        return _DECODER.decode(data)
    except (ValueError, RecursionError) as error:
        raise ReleaseRefusedError(
            Refusal.MALFORMED, f"the channel cannot be read: {str(error)[:300]}"
        ) from None
