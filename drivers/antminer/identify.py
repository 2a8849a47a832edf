"""Who is it? Decided by the API's text, then by the web server's realm, then by what only the web side tells.

Several firmwares for the same hardware keep the realm, and some keep the API's text: so both are looked at, and
stock is only what shows no mark of another anywhere.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from contract.errors import (
    AuthFailedError,
    MalformedError,
    RefusedError,
    UnreachableError,
    WrongDeviceError,
)
from contract.miner import Firmware, Identity, Make, normalize_mac
from drivers.antminer.models import GENERATIONS, NEW_BM, NEW_GOD, OLD, clean_model, spec_for
from drivers.antminer.protocol.cgi import Cgi
from drivers.antminer.protocol.repair import decode_json
from drivers.antminer.protocol.replies import AntminerReply, decode_reply
from drivers.antminer.protocol.rpc import AntminerRpc, request_for
from drivers.antminer.reading.figures import text_of
from drivers.base import Who
from drivers.link import TooLongError
from drivers.protocol.cgminer import FirstWordDecoder

_OTHER_MAKERS: Final = (
    "iceriver", "avalon", "goldshell", "innosilicon", "elphapex", "hammer", "teamredminer",
)  # fmt: skip
# Text, lower case, in the order in which it decides. `None`: another maker's miner, not ours to claim.
MARKS: Final[tuple[tuple[tuple[str, ...], Firmware | None], ...]] = (
    (("bosminer", "boser", "braiins"), Firmware.BRAIINS),
    (("btminer", "bitmicro", "whatsminer"), None),
    (("luxminer", "luxos"), Firmware.LUXOS),
    (("vnish", "xminer", "anthillos"), Firmware.VNISH),
    (("hiveon",), Firmware.HIVEON),
    # `rwglr` stands in a Hiveon's version, too.
    (("mskminer", "rwglr"), Firmware.MSKMINER),
    (("chipless",), Firmware.CHIPLESS),
    (("asicseer", "blissz"), Firmware.OTHER),
    (("kaonsu", "marafw"), Firmware.MARATHON),
    (_OTHER_MAKERS, None),
)
_DATE: Final = re.compile(r"(mon|tue|wed|thu|fri|sat|sun)\b|\d{4}-|\d{12}", re.IGNORECASE)
_SERIAL_KEYS: Final = ("serinum", "serial_no")  # S21; S19 and S21 XP of 2025
_NO_SERIAL: Final = frozenset({"unknown", "unknow"})
_GOD_VERSION: Final = re.compile(r"2\.\d+")  # godminer's own, where bmminer says 1.0.0


class AntminerFindings(msgspec.Struct, frozen=True, kw_only=True):
    """What the API's replies say."""

    firmware: Firmware
    model: str | None = None
    version: str | None = None
    generation: str | None = None
    is_godminer: bool | None = None

    @property
    def identity(self) -> Identity:
        """As far as that makes one."""
        return Identity(
            make=Make.ANTMINER,
            model=self.model,
            firmware=self.firmware,
            firmware_version=self.version,
            generation=self.generation,
        )


def classify(text: str) -> Firmware | None:
    """Whose firmware speaks, by its text; `None` when it is no AntMiner hardware for all we can tell."""
    text = text.lower()
    for marks, firmware in MARKS:
        if any(mark in text for mark in marks):
            return firmware
    return Firmware.STOCK if "antminer" in text else None


def names_other_maker(said: bytes) -> bool:
    """Whether a reply names a miner of others: one that is neither this hardware nor a WhatsMiner."""
    text = said.decode("latin-1").lower()
    return any(mark in text for mark in _OTHER_MAKERS) and classify(text) is None


def findings_of(*replies: AntminerReply) -> AntminerFindings | None:
    """Judge replies to `version` and `stats` together. `None` when none of our hardware speaks."""
    heads = [head for reply in replies if (head := _head(reply))]
    text = "\n".join(filter(None, map(_text_of_reply, replies)))
    firmware = classify(text)
    if firmware is None and any(map(is_nameless, heads)):
        firmware = classify(f"antminer {text}")
    if firmware is None:
        return None
    model: str | None = None
    version: str | None = None
    is_godminer: bool | None = None
    for head in heads:
        model = model or clean_model(text_of(head.get("Type")) or text_of(head.get("type")))
        version = version or text_of(head.get("CompileTime"))
        if is_godminer is None and (process := text_of(head.get("BMMiner"))):
            is_godminer = _GOD_VERSION.fullmatch(process) is not None
    spec = spec_for(model)
    if firmware is not Firmware.STOCK:
        version = _own_version(heads) or version
    return AntminerFindings(
        firmware=firmware,
        model=spec.name if spec else model,
        version=version[:80] if version else None,
        generation=spec.generation if spec else None,
        is_godminer=is_godminer,
    )


def is_nameless(head: dict[str, Any]) -> bool:
    """Whether Bitmain's own process speaks without naming the model: some builds leave `Type` empty, or have a mere
    platform name there. Still no more than a candidate, until the web server's realm is seen.
    """
    return "BMMiner" in head and clean_model(text_of(head.get("Type"))) is None


async def ask_who(rpc: AntminerRpc) -> AntminerFindings | None:
    """Ask `version`, and more where that is not enough.

    Raises UnreachableError when nothing answers on the API port, MalformedError when what answers is no miner's API.
    """
    try:
        said = await ask_version(rpc)
    except MalformedError as error:
        return await epic_or(error, rpc)
    return await hear(rpc, said)


async def ask_version(rpc: AntminerRpc) -> bytes:
    """What answers `version`, whatever it is: the first question at a port that several makes have."""
    return await rpc.raw(request_for("version"), FirstWordDecoder())


async def hear(rpc: AntminerRpc, said: bytes) -> AntminerFindings | None:
    """Judge what was said to `version`; `stats` is asked where that leaves a doubt. Raises as `ask_who`."""
    if said.startswith(b"HTTP/"):
        return await ask_epic(rpc)
    replies = [decode_reply(said)]
    found = findings_of(*replies)
    if found is not None and found.firmware is not Firmware.STOCK:
        if found.model is None:
            found = await _with_model(rpc, found)
        return found
    if found is not None and not is_doubtful(found, replies[0]):
        return found
    # One that refuses `version` may be named there, too.
    if found is not None or replies[0].refusal or replies[0].STATUS is not None:
        try:
            replies.append(await rpc.ask("stats"))
        except RefusedError:
            pass  # then `version` alone decides
        except TooLongError:
            # None of ours says so much; who has not named itself may be known to another recogniser.
            if found is not None:
                raise
        found = findings_of(*replies)
    return found


def is_doubtful(found: AntminerFindings, version: AntminerReply) -> bool:
    """Whether a stock answer to `version` may be another firmware's, which shows itself only in `stats`. That was seen
    on hardware of before 2020 alone; newer ones have Bitmain's own process, which names the model.
    """
    head = _head(version) or {}
    return "BMMiner" not in head or found.generation in {None, OLD}


async def ask_epic(rpc: AntminerRpc) -> AntminerFindings | None:
    """The firmware named ePIC serves HTTP on the API port."""
    response = await rpc.http_get("/capabilities")
    if response.status != 200:
        return None
    try:
        value = decode_json(response.body)
    except MalformedError:
        return None
    if not isinstance(value, dict) or "Model" not in value:
        return None
    model = clean_model(text_of(value.get("Model")))
    return AntminerFindings(
        firmware=Firmware.EPIC,
        model=model,
        version=text_of(value.get("Firmware Version")) or text_of(value.get("Version")),
    )


async def epic_or(error: MalformedError, rpc: AntminerRpc) -> AntminerFindings | None:
    """The last explanation for an API that does not answer, as an HTTP server waits for the rest of such a request;
    without it `error` stands.
    """
    with contextlib.suppress(MalformedError, UnreachableError):
        if found := await ask_epic(rpc):
            return found
    raise error


class Examined(msgspec.Struct, frozen=True, kw_only=True):
    """An identity and what else the web side told on the way."""

    identity: Identity
    control_board: str | None = None


def who_of(info: Mapping[str, Any]) -> Who:
    """MAC and serial in `get_system_info.cgi`, or the MAC in `get_network_info.cgi`."""
    told = filter(None, (text_of(info.get(key)) for key in _SERIAL_KEYS))
    return Who(
        mac=normalize_mac(text_of(info.get("macaddr"))),
        serial=next((serial for serial in told if serial.lower() not in _NO_SERIAL), None),
    )


async def ask_mac(cgi: Cgi, generation: str | None) -> Who:
    """Who answers, by the script that is quickest. The old firmware's `get_system_info.cgi` runs the API's client
    twice, for 1 to 3 s; its network page tells the MAC at once. Raises as `Cgi.get_json`.
    """
    if generation == OLD and (info := await cgi.get_object("get_network_info.cgi")).get("macaddr"):
        return who_of(info)
    return who_of(await cgi.get_object("get_system_info.cgi"))


async def examine(cgi: Cgi, found: AntminerFindings) -> Examined:
    """Complete the findings by what the web side tells, as far as our password is good for it. Raises nothing
    for a web side that is away, broken or refuses: MAC and serial are absent then, and `reason` says why.
    """
    identity = found.identity
    cgi.stock = found.firmware is Firmware.STOCK
    if not cgi.stock:
        reason = f"runs {found.firmware} firmware, which is only read"
        return Examined(identity=msgspec.structs.replace(identity, reason=reason))
    try:
        with cgi.in_one():
            await cgi.establish()
            return await _with_web(cgi, identity, found)
    except WrongDeviceError as error:
        cgi.stock = False
        identity = msgspec.structs.replace(identity, firmware=Firmware.OTHER, reason=str(error))
        return Examined(identity=identity)
    except AuthFailedError as error:
        return Examined(identity=_judged(identity, reason=str(error)))
    except (UnreachableError, MalformedError) as error:
        reason = f"its web side does not work: {error}"
        return Examined(identity=msgspec.structs.replace(identity, reason=reason))


# --- private -------------------------------------------------------------------------------------


def _head(reply: AntminerReply) -> dict[str, Any] | None:
    if reply.INFO is not None:  # the newer API's; its STATS have no row about the software
        return reply.INFO
    rows = reply.VERSION or reply.STATS
    return rows[0] if rows else None


def _text_of_reply(reply: AntminerReply) -> str | None:
    """All that a firmware says about itself: verdict and head row, keys included (`LUXminer` is a key)."""
    verdict = reply.verdict
    said = [verdict.msg, verdict.description] if verdict else []
    head = _head(reply)
    return "\n".join([*filter(None, said), msgspec.json.encode(head).decode() if head else ""])


def _own_version(heads: list[dict[str, Any]]) -> str | None:
    for head in heads:
        for key, value in head.items():
            if key in {"BOSminer", "BOSminer+", "LUXminer", "BOSer"} and (text := text_of(value)):
                return text
            if key in {"Type", "type"} and (text := text_of(value)):
                match = re.search(r"\((vnish [^()]+)\)", text[:200], re.IGNORECASE)
                if match:
                    return match[1]
            if key == "CompileTime" and (text := text_of(value)):
                match = re.search(r"\((chipless [^()]+)\)", text[:200], re.IGNORECASE)
                if match:
                    return match[1]
    return None


async def _with_model(rpc: AntminerRpc, found: AntminerFindings) -> AntminerFindings:
    """Firmwares whose `version` names no model name it in `devdetails`."""
    try:
        details = (await rpc.ask("devdetails")).DEVDETAILS or []
    except (RefusedError, MalformedError):
        return found
    names = [clean_model(text_of(row.get("Model"))) for row in details]
    return msgspec.structs.replace(found, model=next(filter(None, names), None))


async def _with_web(cgi: Cgi, identity: Identity, found: AntminerFindings) -> Examined:
    info = await cgi.get_object("get_system_info.cgi")
    kind = await cgi.get_object("miner_type.cgi") if found.generation != OLD else {}
    texts = " ".join(
        text
        for value in (info.get("minertype"), info.get("system_filesystem_version"), *kind.values())
        if (text := text_of(value))
    )
    if classify(f"antminer {texts}") is not Firmware.STOCK:
        cgi.stock = False
        return Examined(
            identity=msgspec.structs.replace(
                identity,
                firmware=classify(f"antminer {texts}") or Firmware.OTHER,
                reason="its web side shows another firmware, which is only read",
            )
        )
    model = identity.model
    for value in (kind.get("miner_type"), info.get("minertype")):
        if model is None:
            model = clean_model(text_of(value))
    spec = spec_for(model)
    generation = (spec.generation if spec else None) or _generation(found, kind)
    who = who_of(info)
    whole = _judged(
        msgspec.structs.replace(
            identity,
            model=spec.name if spec else model,
            generation=generation,
            firmware_version=_version(info, kind) or identity.firmware_version,
            mac=who.mac,
            serial=who.serial,
            hostname=text_of(info.get("hostname")),
        )
    )
    return Examined(identity=whole, control_board=text_of(kind.get("subtype")))


def _judged(identity: Identity, reason: str | None = None) -> Identity:
    if identity.generation in GENERATIONS:
        return msgspec.structs.replace(identity, drivable=True, reason=reason)
    return msgspec.structs.replace(
        identity,
        drivable=False,
        reason=reason or f"a model we do not know to write to ({identity.model or 'unnamed'})",
    )


def _generation(found: AntminerFindings, kind: dict[str, Any]) -> str | None:
    """By the script only the newer web side has, and by which process speaks."""
    if not kind:
        return None
    return NEW_GOD if found.is_godminer or "product_type" in kind else NEW_BM


def _version(info: dict[str, Any], kind: dict[str, Any]) -> str | None:
    """The release name of 2025 and later images; a date says no more than the API's CompileTime."""
    for value in (info.get("system_filesystem_version"), kind.get("fw_version")):
        text = text_of(value)
        if text and not _DATE.match(text):
            return text[:80]
    return None
