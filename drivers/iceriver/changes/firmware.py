"""The firmware of an IceRiver: the file for this model uploaded once, then one reboot.

The miner unpacks what it was sent and runs it from its next start on. Upload, pause and reboot are one effect; how far
it came is noted, since a miner that took the file and was not restarted still shows its old version.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any, ClassVar, Final

import msgspec

from contract.clock import to_text
from contract.errors import (
    BadFirmwareError,
    MinerError,
    OutcomeUnknownError,
    RefusedError,
    UnreachableError,
)
from contract.miner import Identity
from drivers.base import Evidence, FirmwareUpdate, Permit, Proof, Strength, TypedPlan
from drivers.changes.firmware import UPLOADED_NOTE, FirmwareWay, InstalledVersion, examine
from drivers.changes.pools import shown as shown_pools
from drivers.changes.verification import Verification, same_version
from drivers.iceriver.changes import state
from drivers.iceriver.changes.reboot import restart
from drivers.iceriver.driver import Iceriver
from drivers.iceriver.models import STOCK
from drivers.iceriver.protocol import image
from drivers.watch import pause
from drivers.wire import FileBody

# From the order to restart.
VERSION: Final = Proof("firmware", "firmware version", Strength.STATE, 30.0, 900.0)

RESTART_NOTE: Final = "restart_sent"  # the reboot behind the upload may have been sent
_BEFORE_RESTART_S: Final = 5.0


class IceriverFirmwareData(msgspec.Struct, frozen=True, kw_only=True):
    """The file as it is sent."""

    image: image.UploadImage


_Watch = Verification[Iceriver, IceriverFirmwareData]


class IceriverFirmware(FirmwareWay[Iceriver, IceriverFirmwareData]):
    """The file is encrypted, so it is checked by its names; the miner numbers its parts apart."""

    data = IceriverFirmwareData
    proofs: ClassVar = {STOCK: (VERSION,)}
    proof = VERSION
    back_s = VERSION.latest_s
    counter = "elapsed_s"
    look_every_s = 10.0
    nothing = InstalledVersion(parts={})

    def port(self, miner: Iceriver) -> int:
        return miner.endpoint.http_port

    async def identify(self, miner: Iceriver) -> Identity:
        identity = await super().identify(miner)
        miner.check_drivable()  # another firmware may have come
        return identity

    async def look(self, miner: Iceriver, identity: Identity) -> InstalledVersion:
        now = await state.look(miner)
        return InstalledVersion(
            identity=identity,
            version=identity.firmware_version,
            counters={"elapsed_s": now.runtime_s},
            parts=now.versions,
        )

    async def choose(
        self, miner: Iceriver, change: FirmwareUpdate, now: InstalledVersion
    ) -> tuple[IceriverFirmwareData, dict[str, Any]]:
        """Also raises BadFirmwareError when nothing says that the file is for this model."""
        model = now.identity.model if now.identity else None
        if model is None:
            raise BadFirmwareError(
                "this miner does not tell its model, and a file for another one may leave it dead: update it on site"
            )
        name = Path(change.path).name
        image.check_model(model, name, change.target_version)
        found = await examine(change.path, lambda file, size: image.check(file, size, name))
        seen = {
            "model": model,
            "image": found.name,
            "image_bytes": found.size_bytes,
            "pools": shown_pools((await state.config(miner)).slots),
        }
        return IceriverFirmwareData(image=found), seen

    async def apply(
        self, miner: Iceriver, plan: TypedPlan[IceriverFirmwareData], permit: Permit
    ) -> None:
        """Upload, and restart the miner once it has taken the file: not when it rejects it, nor when the answer to the
        upload was lost.
        """
        assert isinstance(plan.change, FirmwareUpdate)
        found = plan.data.image
        head, tail, content_type = image.multipart(found, secrets.token_hex(16))
        path = Path(plan.change.path)
        body = FileBody(path=path, offset=0, size_bytes=found.size_bytes, tail=tail)
        try:
            await miner.web.upload(head, body, permit, content_type=content_type)
        except RefusedError as error:
            raise BadFirmwareError(f"the miner rejected the firmware file: {error}") from None
        await permit.note(UPLOADED_NOTE, to_text(miner.clock.now()))
        await pause(miner, _BEFORE_RESTART_S)
        await permit.note(RESTART_NOTE, True)
        try:
            await restart(miner, permit)
        except OutcomeUnknownError:
            pass  # most are gone before they answer; the version will tell
        except (RefusedError, UnreachableError):
            await permit.note(RESTART_NOTE, False)
            raise

    async def verify(self, watch: _Watch) -> Evidence:
        if watch.permit.notes.get(RESTART_NOTE):
            return await super().verify(watch)
        return await self._not_restarted(watch)

    def is_running(self, version: str, now: InstalledVersion) -> bool:
        return any(same_version(version, text) for text in (now.parts or {}).values())

    def has_changed(self, watch: _Watch, now: InstalledVersion) -> bool:
        """Whether any part has another version than before; a part that is not told any more proves nothing."""
        before: dict[str, str] = watch.plan.before["versions"]
        return now.identity is not None and any(
            not same_version(text, before.get(part)) for part, text in (now.parts or {}).items()
        )

    async def installed(self, watch: _Watch, now: InstalledVersion) -> Evidence:
        """With what became of the pools."""
        found = await super().installed(watch, now)
        try:
            pools = shown_pools((await state.config(watch.miner)).slots)
        except MinerError:
            return found  # the version has spoken; this was only for a better word
        after = found.after | {"pools": pools}
        if pools == watch.plan.before["pools"]:
            return msgspec.structs.replace(found, after=after)
        remark = "its pools are not those it had before: set them again"
        reason = f"{found.reason}; {remark}" if found.reason else remark
        return msgspec.structs.replace(found, after=after, reason=reason)

    async def _not_restarted(self, watch: _Watch) -> Evidence:
        """The evidence of an upload that no reboot of ours followed: the answer was lost, or the agent stopped in
        between. Where a power cut stopped it, the miner may be starting as well, and then into the new firmware.
        """
        seen = await watch.until(
            lambda: self.look_again(watch),
            lambda _: True,
            latest_s=self.proof.latest_s,
            every_s=self.look_every_s,
        )
        if seen.found is None:
            reason = (
                f"no reboot was sent, and the miner could not be looked at again: {seen.trouble}"
            )
            return watch.unknown({}, reason)
        if self.has_changed(watch, seen.found):
            return await self.installed(watch, seen.found)
        if UPLOADED_NOTE in watch.permit.notes:
            reason = "the miner took the file but was not restarted: reboot it, then see which version it runs"
        else:
            reason = (
                "the upload was not confirmed, so the miner was not restarted: it may run the new firmware from its "
                "next start on, or have none of it"
            )
        return watch.unknown(self.after(watch, seen.found), reason)


WAY: Final = IceriverFirmware()
