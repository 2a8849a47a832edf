"""The firmware: the fitting image uploaded in one part, the reboot awaited, the version read back."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
from pathlib import Path
from typing import Any, Final

from contract.clock import to_text
from contract.errors import (
    BadFirmwareError,
    MinerError,
    OutcomeUnknownError,
    RefusedError,
    UnsupportedError,
)
from contract.miner import Identity
from drivers.antminer import proofs
from drivers.antminer.changes.orders import (
    Subject,
    is_old,
    json_answer,
    judge,
    system_info,
)
from drivers.antminer.changes.reboot import (
    clocks_of,
    is_refused_method,
    reading_or_none,
)
from drivers.antminer.protocol import bmu
from drivers.base import Effect, Evidence, Firmware, NoChange, Plan
from drivers.changes import firmware
from drivers.changes.identity import check_whose
from drivers.changes.uptime import Turn, turn_of
from drivers.changes.verification import evidence, is_silent, same_version
from drivers.protocol.http import Response
from drivers.watch import OUTAGE_NOTE, Watch, watch_port
from drivers.wire import FileBody

PART_NAME: Final = "file"  # most firmwares do not look at it, some insist
_QUIET_S: Final = 10.0
_LOOK_EVERY_S: Final = 5.0
_SCRIPTS: Final = re.compile(r"<(script|style)\b.*?(?:</\1\s*>|\Z)", re.DOTALL | re.IGNORECASE)
_TAGS: Final = re.compile(r"<[^<>]*>")
_SUCCESS: Final = re.compile(r"success", re.IGNORECASE)
_FAILURE: Final = re.compile(r"\b(fail(ed|ure)?|invalid|not a valid|cannot|can't)\b", re.IGNORECASE)


async def plan(miner: Subject, change: Firmware) -> Plan | NoChange:
    """Read the version that runs and choose the bytes that fit this control board.

    Raises BadFirmwareError when the file is none for this miner.
    """
    info = await system_info(miner)
    identity = await miner.identify()
    reading = await reading_or_none(miner)
    before: dict[str, Any] = {
        "firmware_version": identity.firmware_version,
        "elapsed_s": clocks_of(miner, info, reading).elapsed_s,
        "read_at": to_text(miner.clock.now()),
    }
    if change.target_version and same_version(identity.firmware_version, change.target_version):
        return NoChange(change=change, before=before)
    board = await _control_board(miner)
    region = await asyncio.to_thread(_region, Path(change.path), board, is_old(miner))
    before |= {"image": region.name, "image_bytes": region.size}
    if board:
        before["control_board"] = " / ".join(board)
    data = {"offset": region.offset, "size": region.size}
    return Plan(change=change, before=before, data=data)


async def apply(miner: Subject, plan: Plan, effect: Effect) -> None:
    """Upload, and send the reboot where the firmware waits for one.

    Raises BadFirmwareError when the miner rejects the file; then it keeps its old firmware.
    """
    assert isinstance(plan.change, Firmware)
    head, tail, content_type = multipart(secrets.token_hex(16))
    body = FileBody(
        path=Path(plan.change.path),
        offset=plan.data["offset"],
        size_bytes=plan.data["size"],
        tail=tail,
    )
    try:
        response = await miner.cgi.upload(
            "upgrade.cgi", head, body, effect, content_type=content_type
        )
    finally:
        miner.wire.quiet_for(miner.timing.device_s(_QUIET_S))
    answer = _judge_upload(response)
    await effect.note(firmware.UPLOADED_NOTE, to_text(miner.clock.now()))
    if not reboots_by_itself(answer):
        await _reboot(miner, effect)


async def verify(miner: Subject, plan: Plan, effect: Effect) -> Evidence:
    """Wait for the reboot, then read the version. The same version as before proves nothing either way."""
    assert isinstance(plan.change, Firmware)
    watch = Watch(miner, effect)
    identity: Identity | None = None
    elapsed_s: float | None = None
    while True:
        await watch_port(
            miner, miner.endpoint.http_port, effect, watch, give_up_s=proofs.BOOT.latest_s
        )
        try:
            identity = whole(await miner.identify())
            if identity is not None:
                check_whose(plan, identity)
            reading = await reading_or_none(miner)
            elapsed_s = reading.moving.uptime_s if reading else None
        except MinerError as error:
            if not is_silent(error):
                reason = f"could not look again: {error}"
                return evidence(plan, watch, "unknown", "none", {}, reason=reason)
            identity = None
        version = identity.firmware_version if identity else None
        after = firmware.shown(effect, version, elapsed_s)
        if firmware.has_changed(plan, version) and elapsed_s is not None:
            return firmware.changed(plan, watch, version, after, proofs.VERSION.signal)
        if _is_over(plan, effect, watch, elapsed_s):
            break
        await watch.pause(_LOOK_EVERY_S)
    return firmware.unchanged(plan, watch, effect, after, answers=identity is not None)


def whole(identity: Identity) -> Identity | None:
    """The identity if its web side could be asked.

    Without it the version is the API's compile date, which differs from the release name of the same firmware.
    """
    return identity if identity.drivable and identity.reason is None else None


def multipart(boundary: str) -> tuple[bytes, bytes, str]:
    """What goes before and after the file's bytes, and the content type.

    Exactly one part and a closing line: the script cuts both off by their length, so a second part
    or a missing line end would damage the image.
    """
    line = f"--{boundary}"
    head = (
        f'{line}\r\nContent-Disposition: form-data; name="{PART_NAME}"; filename="firmware"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    return head.encode(), f"\r\n{line}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def reboots_by_itself(answer: dict[str, Any] | None) -> bool:
    """Whether the reply is that of a firmware that restarts after the upload; the others wait for an order."""
    return answer is not None and "stats" in answer


def _judge_upload(response: Response) -> dict[str, Any] | None:
    answer = json_answer(response)
    code = str(answer.get("code", "")) if answer else ""
    if code.startswith("U") and code != "U000":
        message = str(answer.get("msg", ""))[:80] if answer else ""
        raise BadFirmwareError(
            f"the miner rejected the firmware file ({code} {message}): it is not signed for it, "
            "older than what it allows, or damaged; the old firmware stays"
        )
    try:
        judge(response, "upgrade.cgi")
    except RefusedError as error:
        raise BadFirmwareError(f"the miner rejected the firmware file: {error}") from None
    if answer is None and (text := failure_text(response.body)):
        raise BadFirmwareError(f"the miner rejected the firmware file: {text}")
    return answer


def failure_text(body: bytes) -> str | None:
    """What an old firmware's page says if it speaks of failure only; `None` if of success, or unclear."""
    page = _SCRIPTS.sub(" ", body[:65536].decode("latin-1"))
    text = " ".join(_TAGS.sub(" ", page).split())
    if _SUCCESS.search(text) or not _FAILURE.search(text):
        return None
    return text[:200]


async def _reboot(miner: Subject, effect: Effect) -> None:
    for method in ("GET", "POST"):
        try:
            response = await miner.cgi.act(method, "reboot.cgi", b"", effect)
        except OutcomeUnknownError:
            break  # the connection usually breaks here; the version will tell
        if not is_refused_method(response.status):
            break
    miner.wire.quiet_for(miner.timing.device_s(_QUIET_S))


async def _control_board(miner: Subject) -> tuple[str, str] | None:
    if is_old(miner):
        return None
    try:
        answer = await miner.cgi.get_json("miner_type.cgi")
    except UnsupportedError:
        return None  # the first S19 images have none; a single image still goes
    if not isinstance(answer, dict):
        return None
    miner_type, subtype = answer.get("miner_type"), answer.get("subtype")
    if not isinstance(miner_type, str) or not isinstance(subtype, str):
        return None
    return miner_type, subtype


def _region(path: Path, board: tuple[str, str] | None, is_old_generation: bool) -> bmu.Region:
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(4)
            if head and is_old_generation != head.startswith(bmu.GZIP_MAGIC):
                kind = "a .tar.gz archive" if is_old_generation else "a .bmu image or container"
                raise BadFirmwareError(
                    f"this miner's firmware comes as {kind}, the file is another kind"
                )
            return bmu.select(file, size, *(board or (None, None)))
    except OSError as error:
        raise BadFirmwareError(f"cannot read the firmware file: {error}") from None


def _is_over(plan: Plan, effect: Effect, watch: Watch, elapsed_s: float | None) -> bool:
    """Whether the version will not change any more: the miner rebooted and still shows the old one."""
    if watch.device_s >= proofs.VERSION.latest_s:
        return True
    if OUTAGE_NOTE not in effect.notes:
        return False
    before_s = plan.before.get("elapsed_s")
    turn = turn_of(before_s, elapsed_s, watch.since_s, watch.slack_s)
    # The new process has run for a while, so this is not the time before a second reboot.
    return turn is Turn.RESTARTED and elapsed_s is not None and elapsed_s > 120.0
