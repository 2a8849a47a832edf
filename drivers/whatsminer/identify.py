"""Who is it, and in which dialect? Asked of the miner itself: the dialect follows its firmware, not its model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from contract.errors import (
    MalformedError,
    MinerError,
    RefusedError,
    UnsupportedError,
)
from contract.miner import Firmware, Identity, Make, normalize_mac
from drivers.base import Timing, Who
from drivers.protocol.objects import BROKEN
from drivers.protocol.values import text_of
from drivers.whatsminer.models import COMPAT, LEGACY, V1, V2, V3, WRITABLE
from drivers.whatsminer.protocol.api import (
    DOWN,
    OtherServiceError,
    ProcessDownError,
    WhatsminerReply,
)
from drivers.whatsminer.protocol.frames import Reply3
from drivers.whatsminer.protocol.rpc import WhatsminerRpc
from drivers.whatsminer.protocol.v3 import Api3
from drivers.whatsminer.reading.figures import version
from drivers.whatsminer.reading.snapshot_v3 import part_of

DEADLINE_S: Final = 3.0  # of one question; who takes longer is asked again at the next scan
LEGACY_REASON: Final = (
    "its firmware is too old to be changed through its API; install one of 2021 or later "
    "with WhatsMinerTool"
)


class Envelope(msgspec.Struct, frozen=True):
    """The verdict of a reply, in whichever form."""

    STATUS: Any = None


class WhatsminerFindings(msgspec.Struct, frozen=True, kw_only=True):
    """What the miner said of itself, and what of it never changes while the firmware stays."""

    identity: Identity
    control_board: str | None = None
    platform: str | None = None  # what firmware images name their parts by (h3, h6, h616 ...)


async def ask_who(
    rpc: WhatsminerRpc, v3: Api3, timing: Timing, known: WhatsminerFindings | None = None
) -> WhatsminerFindings | None:
    """Find the dialect: 4433 first, then `get_version` on 4028, then the replies of old cgminers.

    With `known` the dialect of before is asked first, and everything again only when its firmware is another now.
    `None`: something else answers. Raises UnreachableError when nothing does on either port, MalformedError for what
    answers neither as a WhatsMiner nor as anything else.
    """
    if known is not None and known.identity.generation in {V1, V2}:
        found = await _again(rpc, timing, known)
        if found is not None:
            return found
        rpc.forget()
    is_v3 = known is not None and known.identity.generation == V3
    try:
        # One known for its API v3 may be slow today: it is not met in another dialect for that.
        device = await v3.device(deadline_s=timing.read_s if is_v3 else _deadline_s(timing))
    except MinerError:
        pass  # closed, another service on that port, or an API v3 that is just starting
    else:
        found = from_device(device)
        if found is not None:
            return found
    return await ask_4028(rpc, timing)


async def ask_4433(v3: Api3, timing: Timing) -> WhatsminerFindings | None:
    """By one question on the port that only this make has. `None`: what answers is no WhatsMiner. Raises as
    `Api3.device`: it may be an API v3 that is just starting, too.
    """
    return from_device(await v3.device(deadline_s=_deadline_s(timing)))


async def ask_4028(rpc: WhatsminerRpc, timing: Timing) -> WhatsminerFindings | None:
    """On the port that other makes have, too: `get_version`, then the replies of old cgminers. `None`: something else
    answers. Raises UnreachableError and MalformedError.
    """
    deadline_s = _deadline_s(timing)
    try:
        reply = await rpc.ask("get_version", deadline_s=deadline_s)
    except OtherServiceError:
        return None
    except (RefusedError, UnsupportedError):
        return await _ask_legacy(rpc, deadline_s)
    found = from_version(reply)
    return None if found is None else await _completed(rpc, found, deadline_s)


def names_itself(said: bytes) -> bool:
    """Whether the answer to `version`, which none of its firmwares since 2020 knows, is of this make all the same: by
    name, by an envelope that no other make has, or since the process behind the API is down.
    """
    low = said.lower()
    if said.startswith(DOWN) or any(name in low for name in _OWN_NAMES):
        return True
    try:
        return isinstance(_ENVELOPE.decode(said).STATUS, str)
    except BROKEN:
        return False


def from_device(reply: Reply3) -> WhatsminerFindings | None:
    """The identity out of `get.device.info`; `None` when it is no WhatsMiner's."""
    fields = reply.fields
    system, miner, network = (part_of(fields, name) for name in ("system", "miner", "network"))
    firmware = version(system.get("fwversion"))
    if text_of(system.get("api")) is None or firmware is None:
        return None
    return WhatsminerFindings(
        identity=_identity(
            V3,
            firmware,
            text_of(miner.get("type")),
            mac=normalize_mac(text_of(network.get("mac"))),
            serial=serial_of(miner.get("miner-sn")),
            hostname=text_of(network.get("hostname")),
        ),
        control_board=text_of(system.get("control-board-version"))
        or text_of(system.get("platform")),
        platform=_platform(system.get("platform")),
    )


def from_version(reply: WhatsminerReply) -> WhatsminerFindings | None:
    """What `get_version` tells: firmware, dialect, on newer ones the model. `None` when it is no WhatsMiner's."""
    fields = reply.fields
    firmware = version(fields.get("fw_ver"))
    if firmware is None or not _FIRMWARE.match(firmware) or is_foreign(reply):
        return None
    return WhatsminerFindings(
        identity=_identity(
            generation_of(text_of(fields.get("api_ver"))),
            firmware,
            text_of(fields.get("miner_type")),
        ),
        control_board=text_of(fields.get("platform")),
        platform=_platform(fields.get("platform")),
    )


def with_info(found: WhatsminerFindings, fields: dict[str, Any]) -> WhatsminerFindings:
    """Completed by `get_miner_info`."""
    identity = found.identity
    return msgspec.structs.replace(
        found,
        identity=msgspec.structs.replace(
            identity,
            mac=normalize_mac(text_of(fields.get("mac"))) or identity.mac,
            serial=serial_of(fields.get("minersn")) or identity.serial,
            hostname=text_of(fields.get("hostname")) or identity.hostname,
        ),
    )


def generation_of(api: str | None) -> str:
    """The dialect of port 4028 by its `api_ver`: `whatsminer v1.4.0`, `2.0.5`, `2.2.2`."""
    match = _API.search(api or "")
    if match is None:
        return V1
    major, minor = int(match[1]), int(match[2])
    if major < 2:
        return V1
    return V2 if (major, minor) < (2, 1) else COMPAT


def is_foreign(reply: WhatsminerReply) -> bool:
    """Whether the reply names another firmware, as some are made for this hardware."""
    verdict = reply.verdict
    text = f"{verdict.Msg} {verdict.Description}".lower() if verdict else ""
    return any(mark in text for mark in _FOREIGN)


def may_be_m3(row: Mapping[str, Any]) -> bool:
    """Whether a summary is like that of the M3 of 2018, which tells neither MAC nor supply; its boards decide."""
    return "Fan Speed In" in row and ("fan_speed_set" in row or "freq_max" in row)


def is_bitmicro(reply: WhatsminerReply) -> bool:
    """Whether `devdetails` lists WhatsMiner boards."""
    return any(
        text_of(row.get("Driver")) == "bitmicro" or text_of(row.get("Name")) == "SM"
        for row in reply.DEVDETAILS or []
    )


def serial_of(value: Any) -> str | None:
    """A serial number; manuals and some devices fill its place with x or 0."""
    text = text_of(value)
    return text if text and text.strip("xX0") else None


async def ask_mac(rpc: WhatsminerRpc, v3: Api3, generation: str | None) -> Who | None:
    """MAC and serial of the miner that answers; `None` where the mining process alone tells them and is down."""
    if generation == V3:
        fields = (await v3.device()).fields
        mac = normalize_mac(text_of(part_of(fields, "network").get("mac")))
        return Who(mac=mac, serial=serial_of(part_of(fields, "miner").get("miner-sn")))
    info = await rpc.ask_if_known("get_miner_info")
    told = info.fields if info else {}
    mac, serial = normalize_mac(text_of(told.get("mac"))), serial_of(told.get("minersn"))
    if mac is None and serial is None:
        try:
            row = (await rpc.ask("summary")).summary or {}
        except ProcessDownError:
            return None
        mac = normalize_mac(text_of(row.get("MAC")))
    return Who(mac=mac, serial=serial)


# --- private -------------------------------------------------------------------------------------

_FIRMWARE: Final = re.compile(r"\d{8}(\.\d{1,8}){1,8}\.rel\w{0,16}", re.IGNORECASE)
_ENVELOPE: Final = msgspec.json.Decoder(Envelope)
_API: Final = re.compile(r"(\d{1,3})\.(\d{1,3})")
_OWN_NAMES: Final = (b"whatsminer", b"btminer", b"bitmicro")
_FOREIGN: Final = (
    "bosminer",
    "boser",
    "braiins",
    "vnish",
    "luxos",
    "luxminer",
    "hiveon",
    "antminer",
)


async def _completed(
    rpc: WhatsminerRpc, found: WhatsminerFindings, deadline_s: float
) -> WhatsminerFindings:
    """With MAC, and the model where the version did not name it."""
    if found.identity.generation == V1:  # its summary tells the MAC, and nothing else does
        summary, details = await _in_one(rpc, deadline_s)
        row = (summary.summary if summary else None) or {}
        return _with(
            found,
            mac=normalize_mac(text_of(row.get("MAC"))),
            model=found.identity.model or _model(details),
        )
    info = await _optional(rpc, "get_miner_info", deadline_s)
    if info is not None:
        found = with_info(found, info.fields)
    if found.identity.mac is None:
        summary = await _optional(rpc, "summary", deadline_s)
        mac = summary.summary.get("MAC") if summary and summary.summary else None
        found = _with(found, mac=normalize_mac(text_of(mac)))
    if found.identity.model is None:
        details = await _optional(rpc, "devdetails", deadline_s)
        found = _with(found, model=_model(details))
    return found


async def _ask_legacy(rpc: WhatsminerRpc, deadline_s: float) -> WhatsminerFindings | None:
    """Old cgminers know no `get_version`: their boards and their summary give them away."""
    summary = await _optional(rpc, "summary", deadline_s)
    row = (summary.summary if summary else None) or {}
    is_ours = ("Factory GHS" in row and "MAC" in row) or "Power Fanspeed" in row
    if (row and not is_ours and not may_be_m3(row)) or (
        summary is not None and is_foreign(summary)
    ):
        return None  # another maker's cgminer: not asked further
    details = await _optional(rpc, "devdetails", deadline_s)
    if not is_ours and (details is None or not is_bitmicro(details)):
        return None
    return WhatsminerFindings(
        identity=_identity(
            LEGACY,
            version(row.get("Firmware Version")),
            _model(details),
            mac=normalize_mac(text_of(row.get("MAC"))),
            reason=LEGACY_REASON,
        ),
        control_board=text_of(row.get("CB Platform")),
    )


async def _in_one(
    rpc: WhatsminerRpc, deadline_s: float
) -> tuple[WhatsminerReply | None, WhatsminerReply | None]:
    """Summary and list of boards, in one connection where the firmware joins commands."""
    try:
        joined = await rpc.summary_and_details(deadline_s=deadline_s)
    except ProcessDownError:
        return None, None
    except MalformedError:
        joined = None
    if joined is not None:
        return joined.part("summary"), joined.part("devdetails")
    return (
        await _optional(rpc, "summary", deadline_s),
        await _optional(rpc, "devdetails", deadline_s),
    )


async def _again(
    rpc: WhatsminerRpc, timing: Timing, known: WhatsminerFindings
) -> WhatsminerFindings | None:
    """The miner of before, if its firmware still is; `None` when everything is to be asked."""
    deadline_s = _deadline_s(timing)
    try:
        found = from_version(await rpc.ask("get_version", deadline_s=deadline_s))
    except MinerError:
        return None
    if found is None or found.identity.firmware_version != known.identity.firmware_version:
        return None
    if found.identity.model is None:
        found = _with(found, model=known.identity.model)
    return await _completed(rpc, found, deadline_s)


async def _optional(rpc: WhatsminerRpc, command: str, deadline_s: float) -> WhatsminerReply | None:
    """A reply that only completes what is known."""
    try:
        return await rpc.ask(command, deadline_s=deadline_s)
    except (RefusedError, UnsupportedError, MalformedError):
        return None


def _with(found: WhatsminerFindings, **facts: Any) -> WhatsminerFindings:
    return msgspec.structs.replace(found, identity=msgspec.structs.replace(found.identity, **facts))


def _model(details: WhatsminerReply | None) -> str | None:
    rows = details.DEVDETAILS if details else None
    return next(filter(None, (text_of(row.get("Model")) for row in rows or [])), None)


def _identity(
    generation: str, firmware: str | None, model: str | None, **facts: str | None
) -> Identity:
    return Identity(
        make=Make.WHATSMINER,
        model=model,
        firmware=Firmware.STOCK,
        firmware_version=firmware,
        generation=generation,
        drivable=generation in WRITABLE,
        **facts,
    )


def _platform(value: Any) -> str | None:
    text = text_of(value)
    return text.lower() if text else None


def _deadline_s(timing: Timing) -> float:
    return min(DEADLINE_S, timing.read_s)
