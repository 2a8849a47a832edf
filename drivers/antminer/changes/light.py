"""The identification light of an AntMiner: an order for its mailbox, and a script that tells whether it blinks."""

from __future__ import annotations

from typing import ClassVar, Final

from contract.errors import (
    MalformedError,
    OutcomeUnknownError,
    RefusedError,
    UnsupportedError,
)
from drivers.antminer.changes.orders import BadRequestError, is_old, judge
from drivers.antminer.driver import Antminer
from drivers.antminer.models import NEW_BM, NEW_GOD, OLD
from drivers.antminer.protocol.blink import blink_state
from drivers.base import Permit, Proof, Strength
from drivers.changes.light import LightWay
from drivers.protocol.http import FORM_TYPE

LIGHT_NEW: Final = Proof("light", "get_blink_status.cgi", Strength.STATE, 1.0, 45.0)
LIGHT_OLD: Final = Proof("light", "blink.cgi isBlinking", Strength.STATE, 1.0, 45.0)


class AntminerLight(LightWay[Antminer]):
    """Old firmware answers a start only once the blinking ends; newer firmware takes its word in two spellings."""

    proofs: ClassVar = {OLD: (LIGHT_OLD,), NEW_BM: (LIGHT_NEW,), NEW_GOD: (LIGHT_NEW,)}

    def proof(self, miner: Antminer) -> Proof:
        return LIGHT_OLD if is_old(miner) else LIGHT_NEW

    async def is_on(self, miner: Antminer) -> bool | None:
        return await is_on(miner)

    async def switch(self, miner: Antminer, permit: Permit, *, on: bool) -> None:
        await (_switch_old if is_old(miner) else _switch_new)(miner, permit, on=on)
        # One mailbox for all orders, emptied once a second: a second order would overwrite this one.
        miner.wire.quiet_for(miner.timing.device_s(LIGHT_NEW.earliest_s))


WAY: Final = AntminerLight()


async def is_on(miner: Antminer) -> bool | None:
    """Whether it blinks; `None` where this build does not tell. Raises UnsupportedError where it has no light."""
    if is_old(miner):
        response = await miner.cgi.look("blink.cgi", b"action=onPageLoaded")
        key = "isBlinking"
    else:
        response = await miner.cgi.get("get_blink_status.cgi")
        key = "blink"
    if response.status == 404:
        if is_old(miner):
            raise UnsupportedError("this firmware cannot blink its light (no blink.cgi)")
        return None
    if response.status != 200:
        raise MalformedError(f"the state of the light: HTTP {response.status}")
    return blink_state(response.body, key)


def spellings(on: bool) -> tuple[bytes, ...]:
    """The order as JSON: some builds take only the second form, and answer the first with a 400."""
    return (
        (b'{"blink":true}', b'{"blink":"true"}')
        if on
        else (b'{"blink":false}', b'{"blink":"false"}')
    )


def start_patience_s(miner: Antminer) -> float:
    """How long the old firmware is given to refuse the start; waiting for its answer would take minutes."""
    return max(0.5, miner.timing.device_s(3.0))


# --- private -------------------------------------------------------------------------------------


async def _switch_new(miner: Antminer, permit: Permit, *, on: bool) -> None:
    forms = spellings(on)
    for index, body in enumerate(forms):
        response = await miner.cgi.act("POST", "blink.cgi", body, permit)
        try:
            code = judge(response, "blink.cgi")
        except BadRequestError:
            if index + 1 < len(forms):
                continue  # refused, so nothing happened
            raise
        if code == "B001":
            raise RefusedError("the miner refused the order for its light (B001)")
        return


async def _switch_old(miner: Antminer, permit: Permit, *, on: bool) -> None:
    body = b"action=startBlink" if on else b"action=stopBlink"
    deadline_s = start_patience_s(miner) if on else None
    try:
        response = await miner.cgi.act(
            "POST", "blink.cgi", body, permit, content_type=FORM_TYPE, deadline_s=deadline_s
        )
    except OutcomeUnknownError:
        # The script that starts the blinking answers only when it ends, minutes later.
        if not on:
            raise
        return
    judge(response, "blink.cgi")
