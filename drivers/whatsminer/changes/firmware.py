"""The firmware of a WhatsMiner: the part for its control board, uploaded on the connection of the order."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final

from contract.clock import to_text
from contract.errors import BadFirmwareError, OutcomeUnknownError, RefusedError
from contract.miner import Identity
from drivers.base import FirmwareUpdate, Permit, Proof, Strength, TypedPlan
from drivers.changes.firmware import (
    UPLOADED_NOTE,
    FirmwareWay,
    InstalledVersion,
    UploadData,
    examine,
)
from drivers.changes.verification import Verification
from drivers.protocol.image import ImageRegion
from drivers.protocol.log import MessageReader
from drivers.protocol.values import text_of
from drivers.whatsminer.changes import state
from drivers.whatsminer.changes.orders import api_port, forget_login
from drivers.whatsminer.changes.reboot import BOOT
from drivers.whatsminer.driver import Whatsminer
from drivers.whatsminer.models import WRITABLE
from drivers.whatsminer.protocol import image
from drivers.whatsminer.protocol.api import ProcessDownError
from drivers.whatsminer.protocol.tokens import Sealed
from drivers.whatsminer.protocol.transfer import Framed4433, Sealed4028, UploadTalk
from drivers.wire import FileBody

# From the end of the upload.
VERSION: Final = Proof("firmware", "firmware version", Strength.STATE, 30.0, 900.0)

COMMAND_4028: Final = "update_firmware"
COMMAND_4433: Final = "set.system.update_firmware"
_ANSWERS_CAP_BYTES: Final = 256 * 1024
_QUIET_S: Final = 3.0
_PLATFORM_PREFIX: Final = "allwinner_"


class WhatsminerFirmware(FirmwareWay[Whatsminer, UploadData]):
    """The miner asks for the file before it is sent, and reboots by itself."""

    data = UploadData
    proofs = dict.fromkeys(WRITABLE, (VERSION,))
    proof = VERSION
    back_s = BOOT.latest_s
    counter = "uptime_s"

    def port(self, miner: Whatsminer) -> int:
        return api_port(miner)

    async def look(self, miner: Whatsminer, identity: Identity) -> InstalledVersion:
        now = await state.look(miner)
        return InstalledVersion(
            identity=identity,
            version=identity.firmware_version,
            counters={"uptime_s": now.uptime_s, "elapsed_s": now.elapsed_s},
        )

    async def choose(
        self, miner: Whatsminer, change: FirmwareUpdate, now: InstalledVersion
    ) -> tuple[UploadData, dict[str, Any]]:
        del now
        platform = miner.platform or await _platform(miner)
        region = await examine(change.path, partial(_region, platform))
        seen = {"image": region.name, "image_bytes": region.size, "control_board": platform}
        return UploadData(offset=region.offset, size=region.size), seen

    async def apply(self, miner: Whatsminer, plan: TypedPlan[UploadData], permit: Permit) -> None:
        """See `FirmwareWay.apply`. Also raises RefusedError when the miner did not ask for the file."""
        assert isinstance(plan.change, FirmwareUpdate)
        part = plan.data
        body = FileBody(
            path=Path(plan.change.path), offset=part.offset, size_bytes=part.size, after_word=True
        )
        talks: list[UploadTalk] = []
        try:
            await _upload(miner, body, permit, talks)
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
        await permit.note(UPLOADED_NOTE, to_text(miner.clock.now()))

    def has_changed(
        self, watch: Verification[Whatsminer, UploadData], now: InstalledVersion
    ) -> bool:
        # Before 2022 the mining process alone tells the MAC, and it comes up last.
        is_known = now.identity is not None and (
            now.identity.mac is not None or watch.plan.mac is None
        )
        is_late = watch.device_s >= self.proof.latest_s
        return super().has_changed(watch, now) and (is_known or is_late)


WAY: Final = WhatsminerFirmware()


# --- private -------------------------------------------------------------------------------------


def _region(platform: str | None, file: BinaryIO, size: int) -> ImageRegion:
    return image.select(file, size, platform)


async def _upload(
    miner: Whatsminer, body: FileBody, permit: Permit, talks: list[UploadTalk]
) -> None:
    async def exchange(port: int, request: bytes, answers: MessageReader) -> str:
        talks.append(UploadTalk(answers, body.size_bytes))
        return await miner.wire.exchange(
            port,
            request,
            talks[-1],
            deadline_s=miner.timing.upload_s,
            cap_bytes=_ANSWERS_CAP_BYTES,
            permit=permit,
            body=body,
        )

    async def by_4433(request: bytes) -> str:
        return await exchange(miner.endpoint.v3_port, request, Framed4433(COMMAND_4433))

    async def by_4028(sealed: Sealed) -> str:
        return await exchange(miner.endpoint.rpc_port, sealed.request, Sealed4028(sealed.token))

    if miner.is_v3:
        await miner.v3.run(COMMAND_4433, None, by_4433)
    else:
        await miner.tokens.run({"cmd": COMMAND_4028}, by_4028)


async def _platform(miner: Whatsminer) -> str | None:
    """The control board as firmware before 2022 tells it: with its maker's name in front."""
    if miner.is_v3:
        return None
    try:
        row = (await miner.rpc.ask("summary")).summary or {}
    except ProcessDownError:
        return None
    word = (text_of(row.get("CB Platform")) or "").lower()
    return word.removeprefix(_PLATFORM_PREFIX) or None
