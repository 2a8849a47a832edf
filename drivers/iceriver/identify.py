"""Who is it? Asked so that nothing but an IceRiver is ever sent more than it would be sent by a browser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from contract.errors import (
    MalformedError,
    RefusedError,
    UnreachableError,
    UnsupportedError,
    WrongDeviceError,
)
from contract.miner import Firmware, Identity, Make, normalize_mac
from drivers.base import Timing
from drivers.iceriver.models import PBFARMER, STOCK, firmware_of, model_name, model_of
from drivers.iceriver.protocol import panel
from drivers.iceriver.protocol.daemon import IceriverDaemon
from drivers.iceriver.protocol.web import IceriverWeb
from drivers.protocol.http import Response
from drivers.protocol.values import text_of

DEADLINE_S: Final = 5.0  # of one question; a panel is eight questions of the miner to itself
PAGE_MARK: Final = "<TITLE>用户界面</TITLE>".encode()
AWAY_REASON: Final = "its daemon does not answer yet (the miner is starting, or the daemon is down)"
PBFARMER_REASON: Final = "runs pbfarmer firmware, which is only read"
FOREIGN_REASON: Final = "runs firmware that is not the maker's ({}), which is only read"
UNKNOWN_REASON: Final = "a model we do not know to write to ({})"


class IceriverFindings(msgspec.Struct, frozen=True, kw_only=True):
    """What the miner said of itself, and what of it never changes while the firmware stays."""

    identity: Identity
    package: str | None = None  # the name of the miner's software, which carries the model
    system_version: str | None = None  # boot loader and system
    software_version: str | None = None  # miner and web side
    algorithm_word: str | None = None
    is_daemon_open: bool | None = None  # where this look showed it


async def ask_anew(
    web: IceriverWeb, daemon: IceriverDaemon, timing: Timing
) -> IceriverFindings | None:
    """Look at its front page, and ask for its panel only behind the one that is IceRiver's. Where the page is another
    or elsewhere, the daemon is asked who it is. `None`: something else answers.

    Raises UnreachableError when nothing answers on either port.
    """
    away: UnreachableError | None = None
    try:
        page = await web.front_page(deadline_s=_deadline_s(timing))
    except UnreachableError as error:
        away = error
    except MalformedError:
        pass  # another service has that port, or its web server hangs
    else:
        if page.status == _LOGIN_WANTED:
            return None  # a dialog of the browser: other makes
        if is_front_page(page):
            return await behind_page(web, daemon, timing)
    try:
        return await ask_daemon(daemon, timing)
    except UnreachableError:
        if away is not None:
            raise away from None
        return None  # whatever the web server is, it is not ours
    except MalformedError:
        return None  # another service has that port


async def ask_who(
    web: IceriverWeb, daemon: IceriverDaemon, timing: Timing, known: IceriverFindings
) -> IceriverFindings | None:
    """Ask the IceRiver of before who it is now: of its daemon where that is open, for it costs the miner less.

    `None`: something else answers. Raises UnreachableError and MalformedError.
    """
    if known.is_daemon_open:
        try:
            found = await ask_daemon(daemon, timing)
        except (UnreachableError, MalformedError):
            pass  # the web side tells
        else:
            if found is not None:
                return found
    try:
        found = findings_of(await panel.from_web(web, deadline_s=timing.read_s))
    except (UnsupportedError, WrongDeviceError, RefusedError):
        return await ask_anew(web, daemon, timing)
    except (UnreachableError, MalformedError):
        # Its web side may be dead of its leak, or give way to another firmware's.
        found = await _last_hope(daemon, timing)
        if found is None:
            raise
    return found


async def ask_daemon(daemon: IceriverDaemon, timing: Timing) -> IceriverFindings | None:
    """The identity by two questions to the daemon; `None` when it is another program's port.

    Raises UnreachableError and MalformedError.
    """
    deadline_s = _deadline_s(timing)
    try:
        with daemon.in_one():
            info = await daemon.ask("info", deadline_s=deadline_s)
            if text_of(info.get("softver1")) is None:
                return None
            info |= await daemon.ask("getnet", deadline_s=deadline_s)
    except (RefusedError, UnsupportedError):
        return None
    found = findings_of(info)
    return msgspec.structs.replace(found, is_daemon_open=True) if found else None


async def behind_page(
    web: IceriverWeb, daemon: IceriverDaemon, timing: Timing
) -> IceriverFindings | None:
    """The panel of a host with the right front page."""
    try:
        found = findings_of(await panel.from_web(web, deadline_s=timing.read_s))
    except (UnsupportedError, WrongDeviceError):
        found = None
    except MalformedError:  # the same page at every path is another's, for all its title
        found = await _last_hope(daemon, timing)
    except (UnreachableError, RefusedError):
        found = await _last_hope(daemon, timing) or IceriverFindings(
            identity=Identity(make=Make.ICERIVER, reason=AWAY_REASON)
        )
    return found


def findings_of(fields: Mapping[str, Any]) -> IceriverFindings | None:
    """The identity out of a panel; `None` when it is no IceRiver's."""
    package = text_of(fields.get("softver1"))
    if package is None:
        return None
    package = package[:_LONGEST]
    firmware = firmware_of(package)
    model = model_name(text_of(fields.get("model")), package)
    identity = Identity(
        make=Make.ICERIVER,
        model=model,
        firmware=firmware,
        firmware_version=package,
        generation=_GENERATIONS.get(firmware),
        mac=normalize_mac(text_of(fields.get("mac"))),
        hostname=text_of(fields.get("host")),
    )
    return IceriverFindings(
        identity=_judged(identity),
        package=package,
        system_version=_joined(fields.get("firmver1"), fields.get("firmver2")),
        software_version=_joined(package, fields.get("softver2")),
        algorithm_word=text_of(fields.get("algo")),
    )


def is_front_page(page: Response) -> bool:
    """Whether it is the page of stock firmware, whose title is Chinese in every language."""
    return page.status == 200 and PAGE_MARK in page.body


# --- private -------------------------------------------------------------------------------------

_LONGEST: Final = 80
_LOGIN_WANTED: Final = 401
_GENERATIONS: Final = {Firmware.STOCK: STOCK, Firmware.PBFARMER: PBFARMER}


async def _last_hope(daemon: IceriverDaemon, timing: Timing) -> IceriverFindings | None:
    try:
        return await ask_daemon(daemon, timing)
    except (UnreachableError, MalformedError):
        return None


def _judged(identity: Identity) -> Identity:
    """Whether it may be written to, or why not."""
    if identity.firmware is Firmware.PBFARMER:
        reason = PBFARMER_REASON
    elif identity.firmware is not Firmware.STOCK:
        reason = FOREIGN_REASON.format(identity.firmware_version)
    elif model_of(identity.model) is None:
        reason = UNKNOWN_REASON.format(identity.model or "unnamed")
    else:
        return msgspec.structs.replace(identity, drivable=True)
    return msgspec.structs.replace(identity, reason=reason)


def _joined(low: Any, high: Any) -> str | None:
    parts = [text[:_LONGEST] for each in (low, high) if (text := text_of(each))]
    return "_".join(parts) or None


def _deadline_s(timing: Timing) -> float:
    return min(DEADLINE_S, timing.read_s)
