"""The looks and the orders of an AntMiner that several of its changes share."""

from __future__ import annotations

from typing import Any, Final

from contract.errors import (
    BusyError,
    MalformedError,
    MinerError,
    OutcomeUnknownError,
    RefusedError,
    UnsupportedError,
)
from contract.miner import Reading
from drivers.antminer.driver import Antminer
from drivers.antminer.models import OLD
from drivers.antminer.protocol import conf
from drivers.antminer.protocol.repair import decode_json
from drivers.base import Depth, Effect
from drivers.protocol.http import FORM_TYPE, Response
from drivers.watch import is_silent, pause

STARTING_TRIES: Final = 3
_STARTING_PAUSE_S: Final = 5.0


def is_old(miner: Antminer) -> bool:
    """Whether it is of the generation with forms instead of JSON."""
    return miner.identity.generation == OLD


async def read_conf(miner: Antminer, *, tries: int | None = None) -> conf.MinerConf:
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


async def write_conf(miner: Antminer, body: bytes, effect: Effect) -> None:
    """Send a configuration. Success is not known from the answer: only reading it back tells.

    Raises BadRequestError for a 400, BusyError, RefusedError, UnsupportedError (all of them prove
    that nothing was stored) and OutcomeUnknownError.
    """
    content_type = FORM_TYPE if is_old(miner) else "application/json"
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


async def system_info(miner: Antminer) -> dict[str, Any]:
    """`get_system_info.cgi`; {} where this build has none. Raises as `Cgi.get_json`, AuthFailedError among it."""
    return await miner.cgi.get_object("get_system_info.cgi")


async def reading_or_none(miner: Antminer, depth: Depth = Depth.MOVING) -> Reading | None:
    """What runs now; `None` while the mining process is down. Raises what will not pass by itself."""
    try:
        return await miner.read(depth)
    except MinerError as error:
        if not is_silent(error):
            raise
        return None
