"""What the changes need of an AntMiner, and the looks that several of them share."""

from __future__ import annotations

import re
from typing import Any, Final, Protocol

from contract.errors import (
    BusyError,
    MalformedError,
    OutcomeUnknownError,
    RefusedError,
    UnsupportedError,
)
from drivers import subject
from drivers.antminer.protocol import conf
from drivers.antminer.protocol.cgi import Cgi
from drivers.antminer.protocol.repair import decode_json
from drivers.base import Effect
from drivers.protocol.http import Response
from drivers.watch import pause

OLD: Final = "OLD"
NEW_BM: Final = "NEW-BM"
NEW_GOD: Final = "NEW-GOD"

STARTING_TRIES: Final = 3
_STARTING_PAUSE_S: Final = 5.0


class Subject(subject.Subject, Protocol):
    """One stock AntMiner, as its driver holds it."""

    @property
    def cgi(self) -> Cgi: ...

    awake_mode: str | None  # the work mode seen before a sleep, as the firmware numbers it


def is_old(miner: Subject) -> bool:
    """Whether it is of the generation with forms instead of JSON."""
    return miner.identity.generation == OLD


async def read_conf(miner: Subject, *, tries: int | None = None) -> conf.Config:
    """The configuration as it is now. An empty or broken reply may only mean that the miner is just starting, so it
    is asked again. Raises MalformedError when it stays so, UnsupportedError when there is none.
    """
    tries = tries or STARTING_TRIES
    for attempt in range(1, tries + 1):
        response = await miner.cgi.get("get_miner_conf.cgi")
        if response.status == 404:
            raise UnsupportedError("this firmware has no get_miner_conf.cgi")
        try:
            if response.status != 200:
                raise MalformedError(f"get_miner_conf.cgi answered HTTP {response.status}")
            return conf.parse(response.body)
        except MalformedError:
            if attempt == tries:
                raise
        await pause(miner, _STARTING_PAUSE_S)
    raise AssertionError("unreachable")


async def write_conf(miner: Subject, body: bytes, effect: Effect) -> None:
    """Send a configuration. Success is not known from the answer: only reading it back tells.

    Raises BadRequestError for a 400, BusyError, RefusedError, UnsupportedError (all of them prove
    that nothing was stored) and OutcomeUnknownError.
    """
    content_type = "application/x-www-form-urlencoded" if is_old(miner) else "application/json"
    response = await miner.cgi.act(
        "POST", "set_miner_conf.cgi", body, effect, content_type=content_type
    )
    # The daemon behind the script acts on the last order it finds within a second.
    miner.wire.quiet_for(miner.timing.device_s(1.0))
    judge(response, "set_miner_conf.cgi")


class BadRequestError(RefusedError):
    """HTTP 400: the script did not like the form of the request and ran nothing."""


def judge(response: Response, script: str) -> str | None:
    """Look for a refusal in the answer to an order; gives its code (`M000`), if it has one.

    Any other answer proves nothing either way.
    """
    if response.status == 400:
        raise BadRequestError(f"the miner refused the form of the request ({script}: HTTP 400)")
    if response.status in (404, 405, 501):
        raise UnsupportedError(f"this firmware has no {script} (HTTP {response.status})")
    if response.status != 200:
        # A script that crashed may have done its work before.
        raise OutcomeUnknownError(f"{script} answered HTTP {response.status}")
    answer = json_answer(response)
    if answer is None:
        return None
    code = str(answer.get("code", ""))[:8]
    if str(answer.get("stats", "")).lower() == "error":
        message = str(answer.get("msg", ""))[:200]
        if "busy" in message.lower():
            raise BusyError(f"the miner is busy with another change ({code} {message}); try later")
        raise RefusedError(f"the miner refused: {code} {message}")
    return code or None


def json_answer(response: Response) -> dict[str, Any] | None:
    """The body as an object, or `None` where it is none (many scripts answer in plain text)."""
    try:
        answer = decode_json(response.body)
    except MalformedError:
        return None
    return answer if isinstance(answer, dict) else None


async def system_info(miner: Subject) -> dict[str, Any]:
    """`get_system_info.cgi` as an object; {} where this build has none. Raises as `Cgi.get_json`."""
    return await _object(miner, "get_system_info.cgi")


async def address_info(miner: Subject) -> dict[str, Any]:
    """An object with the `macaddr` of `get_system_info.cgi`, from the script that is quickest. The old firmware's runs
    the API's client twice, for 1 to 3 s; its network page tells the MAC at once. Raises as `Cgi.get_json`.
    """
    if is_old(miner) and (info := await _object(miner, "get_network_info.cgi")).get("macaddr"):
        return info
    return await system_info(miner)


async def _object(miner: Subject, script: str) -> dict[str, Any]:
    try:
        info = await miner.cgi.get_json(script)
    except UnsupportedError:
        return {}
    if not isinstance(info, dict):
        raise MalformedError(f"{script} is not a JSON object")
    return info


def boot_uptimes_s(text: object) -> tuple[tuple[float, float], ...]:
    """What the old firmware's `uptime` may mean, as (least, most) seconds since boot.

    The script cuts the third word out of `uptime`, and with it the unit: `5:13` is hours and
    minutes, but `25` is 25 minutes or 25 days.
    """
    if not isinstance(text, str | int):
        return ()
    clock = re.fullmatch(r"(\d{1,2}):(\d{2})", str(text).strip())
    if clock:
        least = int(clock[1]) * 3600 + int(clock[2]) * 60
        return ((least, least + 60.0),)
    if re.fullmatch(r"\d{1,5}", str(text).strip()):
        number = int(str(text))
        days = (number * 86400.0, (number + 1) * 86400.0)
        return ((number * 60.0, number * 60.0 + 60.0), days) if number < 60 else (days,)
    return ()
