"""The firmware: the part for this control board uploaded, the reboot awaited, the version read back."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any, Final

from contract.clock import to_text
from contract.errors import BadFirmwareError, MinerError, OutcomeUnknownError, RefusedError
from contract.miner import Identity
from drivers.base import Effect, Evidence, Firmware, NoChange, Plan
from drivers.changes import firmware
from drivers.changes.identity import check_whose
from drivers.changes.uptime import Turn, turn_of
from drivers.changes.verification import evidence, is_silent, same_version
from drivers.reading.values import text_of
from drivers.watch import OUTAGE_NOTE, Watch, watch_port
from drivers.whatsminer import proofs
from drivers.whatsminer.changes import state
from drivers.whatsminer.changes.orders import Subject, api_port, forget_login, is_v3
from drivers.whatsminer.protocol import image
from drivers.whatsminer.protocol.api import ProcessDownError
from drivers.whatsminer.protocol.tokens import Sealed
from drivers.whatsminer.protocol.transfer import Answers, Framed4433, Sealed4028, UploadTalk
from drivers.wire import FileBody

COMMAND_4028: Final = "update_firmware"
COMMAND_4433: Final = "set.system.update_firmware"
_ANSWERS_CAP_BYTES: Final = 256 * 1024
_QUIET_S: Final = 3.0
_LOOK_EVERY_S: Final = 5.0
_SETTLED_S: Final = (
    120.0  # a board that has been up for so long will not boot once more for this update
)
_PLATFORM_PREFIX: Final = "allwinner_"


async def plan(miner: Subject, change: Firmware) -> Plan | NoChange:
    """Read the version that runs and choose the bytes that fit this control board.

    Raises BadFirmwareError when the file is none for this miner.
    """
    identity = await miner.identify()
    now = await state.look(miner)
    before: dict[str, Any] = {
        "firmware_version": identity.firmware_version,
        "uptime_s": now.uptime_s,
        "elapsed_s": now.elapsed_s,
        "read_at": to_text(miner.clock.now()),
    }
    if change.target_version and same_version(identity.firmware_version, change.target_version):
        return NoChange(change=change, before=before)
    platform = miner.platform or await _platform(miner)
    region = await asyncio.to_thread(_region, Path(change.path), platform)
    before |= {"image": region.name, "image_bytes": region.size, "control_board": platform}
    return Plan(change=change, before=before, data={"offset": region.offset, "size": region.size})


async def apply(miner: Subject, plan: Plan, effect: Effect) -> None:
    """Upload on the connection of the order; the miner then reboots by itself.

    Raises BadFirmwareError when the miner rejects the file, RefusedError when it did not ask for it; in both cases it
    keeps its old firmware.
    """
    assert isinstance(plan.change, Firmware)
    body = FileBody(
        path=Path(plan.change.path),
        offset=plan.data["offset"],
        size_bytes=plan.data["size"],
        after_word=True,
    )
    talks: list[UploadTalk] = []
    try:
        await _upload(miner, body, effect, talks)
    except OutcomeUnknownError as error:
        if talks and not talks[-1].is_ready:
            raise RefusedError(
                f"the miner did not ask for the file, so none was sent: {error}"
            ) from None
        raise
    except RefusedError as error:
        if talks and talks[-1].is_ready:
            raise BadFirmwareError(f"the miner rejected the firmware file: {error}") from None
        raise
    finally:
        forget_login(miner)
        miner.wire.quiet_for(miner.timing.device_s(_QUIET_S))
    await effect.note(firmware.UPLOADED_NOTE, to_text(miner.clock.now()))


async def verify(miner: Subject, plan: Plan, effect: Effect) -> Evidence:
    """Wait for the reboot, then read the version. The same version as before proves nothing either way."""
    watch = Watch(miner, effect)
    identity: Identity | None = None
    while True:
        await watch_port(miner, api_port(miner), effect, watch, give_up_s=proofs.BOOT.latest_s)
        now = state.State()
        try:
            # The dialect may be another with the new firmware, so all is asked afresh.
            identity = await miner.identify()
            check_whose(plan, identity)
            now = await state.look(miner)
        except MinerError as error:
            if not is_silent(error):
                reason = f"could not look again: {error}"
                return evidence(plan, watch, "unknown", "none", {}, reason=reason)
            if not isinstance(error, ProcessDownError):
                identity = None
        version = identity.firmware_version if identity else None
        # Before 2022 the mining process alone tells the MAC, and it comes up last.
        is_known = identity is not None and (identity.mac is not None or plan.mac is None)
        after = firmware.shown(effect, version, now.elapsed_s)
        if firmware.has_changed(plan, version) and (is_known or _is_late(watch)):
            return firmware.changed(plan, watch, version, after, proofs.VERSION.signal)
        if _is_over(plan, effect, watch, now):
            return firmware.unchanged(plan, watch, effect, after, answers=identity is not None)
        await watch.pause(_LOOK_EVERY_S)


async def _upload(miner: Subject, body: FileBody, effect: Effect, talks: list[UploadTalk]) -> None:
    async def exchange(port: int, request: bytes, answers: Answers) -> str:
        talks.append(UploadTalk(answers, body.size_bytes))
        return await miner.wire.exchange(
            port,
            request,
            talks[-1],
            deadline_s=miner.timing.upload_s,
            cap_bytes=_ANSWERS_CAP_BYTES,
            effect=effect,
            body=body,
        )

    async def by_4433(request: bytes) -> str:
        return await exchange(miner.endpoint.v3_port, request, Framed4433(COMMAND_4433))

    async def by_4028(sealed: Sealed) -> str:
        return await exchange(miner.endpoint.rpc_port, sealed.request, Sealed4028(sealed.token))

    if is_v3(miner):
        await miner.v3.run(COMMAND_4433, None, by_4433)
    else:
        await miner.tokens.run({"cmd": COMMAND_4028}, by_4028)


async def _platform(miner: Subject) -> str | None:
    """The control board as firmware before 2022 tells it: with its maker's name in front."""
    if is_v3(miner):
        return None
    try:
        row = (await miner.rpc.ask("summary")).summary or {}
    except ProcessDownError:
        return None
    word = (text_of(row.get("CB Platform")) or "").lower()
    return word.removeprefix(_PLATFORM_PREFIX) or None


def _region(path: Path, platform: str | None) -> image.Region:
    try:
        with path.open("rb") as file:
            return image.select(file, os.fstat(file.fileno()).st_size, platform)
    except OSError as error:
        raise BadFirmwareError(f"cannot read the firmware file: {error}") from None


def _is_late(watch: Watch) -> bool:
    return watch.device_s >= proofs.VERSION.latest_s


def _is_over(plan: Plan, effect: Effect, watch: Watch, now: state.State) -> bool:
    """Whether the version will not change any more: the board booted, stays up and still shows the old one."""
    if _is_late(watch):
        return True
    if OUTAGE_NOTE not in effect.notes or now.uptime_s is None:
        return False
    turn = turn_of(plan.before.get("uptime_s"), now.uptime_s, watch.since_s, watch.slack_s)
    return turn is Turn.RESTARTED and now.uptime_s > _SETTLED_S
