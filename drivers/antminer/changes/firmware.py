"""The firmware of an AntMiner: the image that fits its control board, uploaded in one part."""

from __future__ import annotations

import re
import secrets
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final

from contract.clock import to_text
from contract.errors import (
    BadFirmwareError,
    OutcomeUnknownError,
    RefusedError,
    UnsupportedError,
)
from contract.miner import Identity
from drivers.antminer.changes.orders import (
    is_old,
    json_answer,
    judge,
    reading_or_none,
    system_info,
)
from drivers.antminer.changes.reboot import BOOT, QUIET_S, is_refused_method
from drivers.antminer.driver import Antminer
from drivers.antminer.models import GENERATIONS
from drivers.antminer.protocol import bmu
from drivers.base import FirmwareUpdate, NoChange, Permit, Proof, Strength, TypedPlan
from drivers.changes.firmware import (
    UPLOADED_NOTE,
    FirmwareWay,
    InstalledVersion,
    UploadData,
    examine,
)
from drivers.changes.verification import Verification
from drivers.protocol.http import Response
from drivers.protocol.image import ImageRegion
from drivers.wire import FileBody

VERSION: Final = Proof("firmware", "firmware version", Strength.STATE, 60.0, 1500.0)

PART_NAME: Final = "file"  # most firmwares do not look at it, some insist
_SCRIPTS: Final = re.compile(r"<(script|style)\b.*?(?:</\1\s*>|\Z)", re.DOTALL | re.IGNORECASE)
_TAGS: Final = re.compile(r"<[^<>]*>")
_SUCCESS: Final = re.compile(r"success", re.IGNORECASE)
_FAILURE: Final = re.compile(r"\b(fail(ed|ure)?|invalid|not a valid|cannot|can't)\b", re.IGNORECASE)


class AntminerFirmware(FirmwareWay[Antminer, UploadData]):
    """Old firmware, and newer builds that answer in plain text, wait for an order to reboot."""

    data = UploadData
    proofs = dict.fromkeys(GENERATIONS, (VERSION,))
    proof = VERSION
    back_s = BOOT.latest_s
    counter = "elapsed_s"

    def port(self, miner: Antminer) -> int:
        return miner.endpoint.http_port

    async def plan(
        self, miner: Antminer, change: FirmwareUpdate
    ) -> TypedPlan[UploadData] | NoChange:
        await system_info(miner)  # its web side takes our password
        return await super().plan(miner, change)

    async def look(self, miner: Antminer, identity: Identity) -> InstalledVersion:
        reading = await reading_or_none(miner)
        known = whole(identity)
        return InstalledVersion(
            identity=known,
            version=known.firmware_version if known else None,
            counters={"elapsed_s": reading.moving.uptime_s if reading else None},
        )

    async def choose(
        self, miner: Antminer, change: FirmwareUpdate, now: InstalledVersion
    ) -> tuple[UploadData, dict[str, Any]]:
        del now
        board = await _control_board(miner)
        region = await examine(change.path, partial(_region, board, is_old(miner)))
        image: dict[str, Any] = {"image": region.name, "image_bytes": region.size}
        if board:
            image["control_board"] = " / ".join(board)
        return UploadData(offset=region.offset, size=region.size), image

    async def apply(self, miner: Antminer, plan: TypedPlan[UploadData], permit: Permit) -> None:
        assert isinstance(plan.change, FirmwareUpdate)
        head, tail, content_type = multipart(secrets.token_hex(16))
        part = plan.data
        body = FileBody(
            path=Path(plan.change.path), offset=part.offset, size_bytes=part.size, tail=tail
        )
        try:
            response = await miner.cgi.upload(
                "upgrade.cgi", head, body, permit, content_type=content_type
            )
        finally:
            miner.wire.quiet_for(miner.timing.device_s(QUIET_S))
        answer = _judge_upload(response)
        await permit.note(UPLOADED_NOTE, to_text(miner.clock.now()))
        if not reboots_by_itself(answer):
            await _reboot(miner, permit)

    def has_changed(self, watch: Verification[Antminer, UploadData], now: InstalledVersion) -> bool:
        # The new firmware is in place once its mining process runs.
        return super().has_changed(watch, now) and now.counters.get("elapsed_s") is not None


WAY: Final = AntminerFirmware()


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


async def _reboot(miner: Antminer, permit: Permit) -> None:
    for method in ("GET", "POST"):
        try:
            response = await miner.cgi.act(method, "reboot.cgi", b"", permit)
        except OutcomeUnknownError:
            break  # the connection usually breaks here; the version will tell
        if not is_refused_method(response.status):
            break
    miner.wire.quiet_for(miner.timing.device_s(QUIET_S))


async def _control_board(miner: Antminer) -> tuple[str, str] | None:
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


def _region(
    board: tuple[str, str] | None, is_old_generation: bool, file: BinaryIO, size: int
) -> ImageRegion:
    head = file.read(4)
    if head and is_old_generation != head.startswith(bmu.GZIP_MAGIC):
        kind = "a .tar.gz archive" if is_old_generation else "a .bmu image or container"
        raise BadFirmwareError(f"this miner's firmware comes as {kind}, the file is another kind")
    return bmu.select(file, size, *(board or (None, None)))
