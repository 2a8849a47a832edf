"""Whether who answers is who is meant, by what both tell of themselves."""

from __future__ import annotations

from contract.errors import WrongDeviceError
from contract.link import MinerRef
from contract.miner import Identity


def may_be(before: Identity, now: Identity) -> bool:
    """Whether what tells no MAC, and perhaps no model, may be who was there before."""
    told = (now.make, now.model or before.model, now.firmware)
    return told == (before.make, before.model, before.firmware)


def is_like(before: Identity, now: Identity) -> bool:
    """As `may_be`, of the same version of the firmware."""
    return may_be(before, now) and now.firmware_version == before.firmware_version


def agrees(before: Identity, now: Identity) -> bool:
    """Whether what tells no MAC tells nothing that who was there before did not: one that refuses our login, say, is
    not drivable any more, and may be anybody.
    """
    return (
        is_like(before, now)
        and (now.generation, now.drivable, now.reason)
        == (before.generation, before.drivable, before.reason)
        and (now.serial or before.serial) == before.serial
        and (now.hostname or before.hostname) == before.hostname
    )


def check_is(ref: MinerRef, wanted_mac: str | None, ip: str, identity: Identity) -> None:
    """Raises WrongDeviceError unless this is certainly the miner that was meant."""
    if ref.serial and identity.serial and ref.serial != identity.serial:
        raise WrongDeviceError(
            f"the miner at {ip} has the serial number {identity.serial}, not {ref.serial}"
        )
    if wanted_mac is None:
        return
    if identity.mac is not None and identity.mac != wanted_mac:
        raise WrongDeviceError(f"the miner at {ip} has the MAC {identity.mac}, not {wanted_mac}")
    if identity.mac is None and not (ref.serial and identity.serial):
        why = f" ({identity.reason})" if identity.reason else ""
        raise WrongDeviceError(
            f"the miner at {ip} does not tell its MAC{why}, so it is not certain that it is {wanted_mac}"
        )
