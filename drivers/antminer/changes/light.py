"""The identification light: told to blink, then asked whether it does."""

from __future__ import annotations

from typing import Any, Final

from contract.errors import (
    MalformedError,
    OutcomeUnknownError,
    RefusedError,
    UnsupportedError,
)
from drivers.antminer import proofs
from drivers.antminer.changes.orders import BadRequestError, Subject, is_old, judge
from drivers.antminer.protocol.repair import decode_json
from drivers.base import Effect, Evidence, Light, NoChange, Plan
from drivers.changes import light

_FORM: Final = "application/x-www-form-urlencoded"


async def plan(miner: Subject, change: Light) -> Plan | NoChange:
    """Ask whether it blinks now."""
    is_on = await _is_on(miner)
    before = {"light_on": is_on}
    if is_on == change.on:
        return NoChange(change=change, before=before)
    return Plan(change=change, before=before, raises_power=False)


async def apply(miner: Subject, plan: Plan, effect: Effect) -> None:
    """Tell it to blink or to stop."""
    assert isinstance(plan.change, Light)
    if is_old(miner):
        await _apply_old(miner, plan.change, effect)
    else:
        await _apply_new(miner, plan.change, effect)
    # One mailbox for all orders, emptied once a second: a second order would overwrite this one.
    miner.wire.quiet_for(miner.timing.device_s(proofs.LIGHT_NEW.earliest_s))
    await light.note_answer(plan, effect)


async def verify(miner: Subject, plan: Plan, effect: Effect) -> Evidence:
    """Ask until it shows the wish, or until it no longer can come."""
    proof = proofs.LIGHT_OLD if is_old(miner) else proofs.LIGHT_NEW
    return await light.verify(miner, plan, effect, proof, lambda: _is_on(miner))


async def _is_on(miner: Subject) -> bool | None:
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


def blink_state(body: bytes, key: str) -> bool:
    """The flag in a reply, a boolean or its text. Raises MalformedError."""
    answer: Any = decode_json(body)
    value = answer.get(key) if isinstance(answer, dict) else None
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise MalformedError(f"the state of the light has no {key}")


def spellings(on: bool) -> tuple[bytes, ...]:
    """The order as JSON: some builds take only the second form, and answer the first with a 400."""
    return (
        (b'{"blink":true}', b'{"blink":"true"}')
        if on
        else (b'{"blink":false}', b'{"blink":"false"}')
    )


async def _apply_new(miner: Subject, change: Light, effect: Effect) -> None:
    forms = spellings(change.on)
    for index, body in enumerate(forms):
        response = await miner.cgi.act("POST", "blink.cgi", body, effect)
        try:
            code = judge(response, "blink.cgi")
        except BadRequestError:
            if index + 1 < len(forms):
                continue  # refused, so nothing happened
            raise
        if code == "B001":
            raise RefusedError("the miner refused the order for its light (B001)")
        return


async def _apply_old(miner: Subject, change: Light, effect: Effect) -> None:
    body = b"action=startBlink" if change.on else b"action=stopBlink"
    try:
        response = await miner.cgi.act(
            "POST",
            "blink.cgi",
            body,
            effect,
            content_type=_FORM,
            deadline_s=start_patience_s(miner) if change.on else None,
        )
    except OutcomeUnknownError:
        # The script that starts the blinking answers only when it ends, minutes later.
        if not change.on:
            raise
        return
    judge(response, "blink.cgi")


def start_patience_s(miner: Subject) -> float:
    """How long the old firmware is given to refuse the start; waiting for its answer would take minutes."""
    return max(0.5, miner.timing.device_s(3.0))
