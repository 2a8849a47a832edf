"""What a running process knows of the release that it is a part of: asked again each time, since the links move."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from service.files import sync
from service.install.product import AGENT, OPT
from service.install.release import PROVEN, RELEASES, Stamp


class OwnRelease(msgspec.Struct, frozen=True, kw_only=True):
    """The release of the agent that this process runs from."""

    version: str
    # As its stamp has it; empty without a stamp that can be read, which is no release's.
    sha256: str
    place: Path
    is_proven: bool  # whether nobody will go back from it any more


def own_release(prefix: Path | None = None, opt: Path = OPT) -> OwnRelease | None:
    """`None` where releases are not ours to change: a checkout, an environment of a person's own, a container's image.
    `prefix` is that of the interpreter, which may lead there by a link.
    """
    home = (opt / AGENT.name).resolve()
    place = Path(sys.prefix if prefix is None else prefix).resolve()
    if place.parent != home / RELEASES:
        return None
    stamp = _stamp(place)
    return OwnRelease(
        version=place.name if stamp is None else stamp.version,
        sha256="" if stamp is None else stamp.sha256,
        place=place,
        is_proven=(home / PROVEN).resolve() == place,
    )


def is_here_to_stay(prefix: Path | None = None, opt: Path = OPT) -> bool:
    """Whether nobody goes back from what this process runs from, also after a power cut: what the release before could
    not read may be written now.
    """
    own = own_release(prefix, opt)
    if own is None or not own.is_proven:
        return own is None
    try:
        sync(own.place.parent.parent)  # the link that says so: it may have been laid a moment ago
    except OSError:
        return False
    return True


def _stamp(place: Path) -> Stamp | None:
    try:
        return Stamp.read(place)
    except OSError:  # the disk fails under it: what it is cannot be shown, and so it proves nothing
        return None
