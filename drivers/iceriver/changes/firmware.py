"""The firmware: the file for this model uploaded once, then one reboot, then the version read back.

The miner unpacks what it was sent and runs it from its next start on. Upload, pause and reboot are one effect; how far
it came is noted, since a miner that took the file and was not restarted still shows its old version.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from pathlib import Path
from typing import Any, Final

import msgspec

from contract.clock import to_text
from contract.errors import (
    BadFirmwareError,
    MinerError,
    OutcomeUnknownError,
    RefusedError,
    UnreachableError,
    UnsupportedError,
)
from contract.miner import Identity
from drivers.base import Effect, Evidence, Firmware, NoChange, Plan
from drivers.changes import firmware
from drivers.changes.identity import check_whose
from drivers.changes.uptime import Turn, turn_of
from drivers.changes.verification import evidence, is_silent, same_version
from drivers.iceriver import proofs
from drivers.iceriver.changes import pools, state
from drivers.iceriver.changes.orders import Subject
from drivers.iceriver.changes.reboot import restart
from drivers.iceriver.protocol import image
from drivers.watch import OUTAGE_NOTE, Watch, pause, watch_port
from drivers.wire import FileBody

RESTART_NOTE: Final = "restart_sent"  # the reboot behind the upload may have been sent
_BEFORE_RESTART_S: Final = 5.0
_LOOK_EVERY_S: Final = 10.0
_SETTLED_S: Final = 120.0  # a miner that has been up for so long will not restart once more for it


async def plan(miner: Subject, change: Firmware) -> Plan | NoChange:
    """Read the version that runs, and check the file as far as an encrypted one can be checked.

    Raises BadFirmwareError when the file is none for this miner, or when nothing says that it is.
    """
    identity = await miner.identify()
    if not identity.drivable:
        reason = identity.reason or "its firmware is not one we write to"
        raise UnsupportedError(f"{miner.endpoint.host} is not driven: {reason}")
    now = await state.look(miner)
    before: dict[str, Any] = {
        "firmware_version": identity.firmware_version,
        "versions": now.versions,
        "elapsed_s": now.runtime_s,
        "read_at": to_text(miner.clock.now()),
    }
    if change.target_version and _is_running(change.target_version, now.versions):
        return NoChange(change=change, before=before)
    if identity.model is None:
        raise BadFirmwareError(
            "this miner does not tell its model, and a file for another one may leave it dead: update it on site"
        )
    path = Path(change.path)
    image.check_model(identity.model, path.name, change.target_version)
    found = await asyncio.to_thread(_checked, path)
    before |= {
        "model": identity.model,
        "image": found.name,
        "image_bytes": found.size_bytes,
        "pools": pools.shown((await state.config(miner)).slots),
    }
    return Plan(change=change, before=before, data={"image": msgspec.to_builtins(found)})


async def apply(miner: Subject, plan: Plan, effect: Effect) -> None:
    """Upload, and restart the miner once it has taken the file.

    Raises BadFirmwareError when the miner rejects the file; then it keeps its old firmware. It is not restarted then,
    nor when the answer to the upload was lost.
    """
    assert isinstance(plan.change, Firmware)
    found = msgspec.convert(plan.data["image"], image.Image)
    head, tail, content_type = image.multipart(found, secrets.token_hex(16))
    body = FileBody(path=Path(plan.change.path), offset=0, size_bytes=found.size_bytes, tail=tail)
    try:
        await miner.web.upload(head, body, effect, content_type=content_type)
    except RefusedError as error:
        raise BadFirmwareError(f"the miner rejected the firmware file: {error}") from None
    await effect.note(firmware.UPLOADED_NOTE, to_text(miner.clock.now()))
    await pause(miner, _BEFORE_RESTART_S)
    await effect.note(RESTART_NOTE, True)
    try:
        await restart(miner, effect)
    except OutcomeUnknownError:
        pass  # most are gone before they answer; the version will tell
    except (RefusedError, UnreachableError):
        await effect.note(RESTART_NOTE, False)
        raise


async def verify(miner: Subject, plan: Plan, effect: Effect) -> Evidence:
    """Wait for the reboot, then read the version. The same version as before proves nothing either way."""
    watch = Watch(miner, effect)
    if not effect.notes.get(RESTART_NOTE):
        return await _not_restarted(miner, plan, effect, watch)
    while True:
        await watch_port(
            miner, miner.endpoint.http_port, effect, watch, give_up_s=proofs.VERSION.latest_s
        )
        identity: Identity | None = None
        now = state.State()
        try:
            identity = await miner.identify()
            check_whose(plan, identity)
            now = await state.look(miner)
        except MinerError as error:
            if not is_silent(error):
                reason = f"could not look again: {error}"
                return evidence(plan, watch, "unknown", "none", {}, reason=reason)
            identity = None
        after = _after(effect, identity, now)
        if identity is not None and _has_changed(plan, now.versions):
            return await _installed(miner, plan, watch, now, after)
        if _is_over(plan, effect, watch, now):
            return firmware.unchanged(plan, watch, effect, after, answers=identity is not None)
        await watch.pause(_LOOK_EVERY_S)


async def _installed(
    miner: Subject, plan: Plan, watch: Watch, now: state.State, after: dict[str, Any]
) -> Evidence:
    """The evidence of a new version, with what became of the pools."""
    assert isinstance(plan.change, Firmware)
    target = plan.change.target_version
    is_promised = target is None or _is_running(target, now.versions)
    version = target if target and is_promised else after["firmware_version"]
    found = firmware.changed(plan, watch, version, after, proofs.VERSION.signal)
    try:
        after["pools"] = pools.shown((await state.config(miner)).slots)
    except MinerError:
        return found  # the version has spoken; this was only for a better word
    if after["pools"] == plan.before["pools"]:
        return found
    remark = "its pools are not those it had before: set them again"
    reason = f"{found.reason}; {remark}" if found.reason else remark
    return msgspec.structs.replace(found, after=after, reason=reason)


async def _not_restarted(miner: Subject, plan: Plan, effect: Effect, watch: Watch) -> Evidence:
    """The evidence of an upload that no reboot of ours followed: the answer was lost, or the agent stopped in between.

    Where a power cut stopped it, the miner may be starting as well, and then into the new firmware.
    """
    while True:
        try:
            identity = await miner.identify()
            check_whose(plan, identity)
            now = await state.look(miner)
        except MinerError as error:
            if is_silent(error) and watch.device_s < proofs.VERSION.latest_s:
                await watch.pause(_LOOK_EVERY_S)
                continue
            reason = f"no reboot was sent, and the miner could not be looked at again: {error}"
            return evidence(plan, watch, "unknown", "none", {}, reason=reason)
        break
    after = _after(effect, identity, now)
    if _has_changed(plan, now.versions):
        return await _installed(miner, plan, watch, now, after)
    if firmware.UPLOADED_NOTE in effect.notes:
        reason = "the miner took the file but was not restarted: reboot it, then see which version it runs"
    else:
        reason = (
            "the upload was not confirmed, so the miner was not restarted: it may run the new firmware from its next "
            "start on, or have none of it"
        )
    return evidence(plan, watch, "unknown", "none", after, reason=reason)


def _after(effect: Effect, identity: Identity | None, now: state.State) -> dict[str, Any]:
    version = identity.firmware_version if identity else None
    return firmware.shown(effect, version, now.runtime_s) | {"versions": now.versions}


def _has_changed(plan: Plan, versions: dict[str, str]) -> bool:
    """Whether any part has another version than before; a part that is not told any more proves nothing."""
    before: dict[str, str] = plan.before["versions"]
    return any(not same_version(text, before.get(part)) for part, text in versions.items())


def _is_running(target: str, versions: dict[str, str]) -> bool:
    return any(same_version(target, text) for text in versions.values())


def _checked(path: Path) -> image.Image:
    try:
        with path.open("rb") as file:
            return image.check(file, os.fstat(file.fileno()).st_size, path.name)
    except OSError as error:
        raise BadFirmwareError(f"cannot read the firmware file: {error}") from None


def _is_over(plan: Plan, effect: Effect, watch: Watch, now: state.State) -> bool:
    """Whether the version will not change any more: the miner restarted, stays up and still shows the old one."""
    if watch.device_s >= proofs.VERSION.latest_s:
        return True
    if OUTAGE_NOTE not in effect.notes or now.runtime_s is None:
        return False
    turn = turn_of(plan.before.get("elapsed_s"), now.runtime_s, watch.since_s, watch.slack_s)
    return turn is Turn.RESTARTED and now.runtime_s > _SETTLED_S
