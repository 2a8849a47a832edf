"""What a bundle says of itself: `manifest.json`, its first file. Every field is typed and bounded."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from release.refusals import Refusal, ReleaseRefusedError

MANIFEST: Final = "manifest.json"
MANIFEST_BYTES: Final = 128 * 1024
WHEELS_MAX: Final = 256
WHEEL_BYTES: Final = 256 * 1024 * 1024
VERSION: Final = r"[0-9]{1,6}(\.[0-9]{1,6}){1,3}((a|b|rc)[0-9]{1,4})?"
PLATFORM: Final = r"[a-z]{2,12}[0-9]{1,3}_(amd64|arm64)"

Version = Annotated[str, Meta(pattern=rf"^{VERSION}\Z", max_length=32)]
Platform = Annotated[str, Meta(pattern=rf"^{PLATFORM}\Z", max_length=32)]
_Number = Annotated[int, Meta(ge=0, le=1_000_000)]
_Numbers = Annotated[tuple[_Number, ...], Meta(min_length=1, max_length=64)]
# A plain name: nothing that a shell, a path or an installer's options could be made of.
_WheelName = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+]*(-[A-Za-z0-9_.+]+){4,5}\.whl\Z", max_length=100)
]
_Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]


class _Typed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every field is named, and no other one is taken."""


class JournalSchema(_Typed, frozen=True, kw_only=True):
    """The journals that a release can read, and the one it writes."""

    reads: _Numbers
    writes: _Number


class Wheel(_Typed, frozen=True, kw_only=True):
    """One file of a bundle."""

    file: _WheelName
    sha256: _Sha256
    size: Annotated[int, Meta(ge=1, le=WHEEL_BYTES)]


class Manifest(_Typed, frozen=True, kw_only=True):
    """The whole of `manifest.json`."""

    name: Literal["miner-agent"]
    version: Version
    platform: Platform
    python: Annotated[str, Meta(pattern=r"^3\.[0-9]{1,2}\Z")]
    built_at: Annotated[datetime, Meta(tz=True)]
    journal_schema: JournalSchema
    link: _Numbers
    wheels: Annotated[tuple[Wheel, ...], Meta(min_length=1, max_length=WHEELS_MAX)]

    @property
    def file_name(self) -> str:
        """What a bundle of this manifest is called."""
        return bundle_name(self.version, self.platform)


_DECODER: Final = msgspec.json.Decoder(Manifest)


def bundle_name(version: str, platform: str) -> str:
    """`miner-agent-1.2.3-deb12_arm64.tar`."""
    return f"miner-agent-{version}-{platform}.tar"


def read_manifest(data: bytes) -> Manifest:
    """Raises ReleaseRefusedError, which names the field."""
    if len(data) > MANIFEST_BYTES:
        raise _bad(f"it has more than {MANIFEST_BYTES} bytes")
    try:
        found = _DECODER.decode(data)
    except (ValueError, RecursionError) as error:  # of msgspec's errors each is a ValueError
        raise _bad(str(error)) from None
    if found.journal_schema.writes not in found.journal_schema.reads:
        raise _bad("it writes a journal that it does not read")
    if len({each.file.lower() for each in found.wheels}) != len(found.wheels):
        raise _bad("it names a wheel twice")
    return found


def _bad(why: str) -> ReleaseRefusedError:
    return ReleaseRefusedError(
        Refusal.BAD_BUNDLE, f"{MANIFEST} is not one of a release: {why[:300]}"
    )
