"""Whether the miner that answers is the one that is meant. An address changes hands at any moment, and what is read of
it says nothing of whose it is, unless who answers is looked at in the same breath.
"""

from __future__ import annotations

from typing import Final, Protocol

from contract.errors import MinerError, WrongDeviceError
from contract.miner import Endpoint, Identity
from drivers.base import Plan, Who
from drivers.watch import Watch, Watched, is_silent

# A control board that has just booted knows no MAC for some seconds, one that was reset for a minute.
_TELLS_WITHIN_S: Final = 90.0
_ASK_EVERY_S: Final = 3.0


class Asked(Watched, Protocol):
    """A miner that can be asked who it is."""

    @property
    def endpoint(self) -> Endpoint: ...

    async def who(self) -> Who | None:
        """Who answers at its address right now, by the one question that costs it least. `None`: in the state it is in,
        its firmware cannot tell. Raises as its reads; WrongDeviceError when something else than its make answers.
        """


class IdentityCheck:
    """Compares whoever answers with the one that is `meant`."""

    def __init__(self, miner: Asked, meant: Who) -> None:
        self._miner = miner
        self._meant = meant
        self._told: Who | None = None

    @property
    def evidence(self) -> dict[str, str]:
        """Who answered last, as evidence holds it; {} where it did not tell."""
        return self._told.evidence if self._told else {}

    async def check(self) -> None:
        """Ask once. Raises WrongDeviceError unless this certainly is the one, and what the question runs into."""
        if (doubt := await self._doubt()) is not None:
            raise WrongDeviceError(doubt)

    async def settle(self) -> None:
        """`check`, and while it tells nothing of itself, for it is just starting perhaps, once more until it does."""
        watch = Watch(self._miner)
        while (doubt := await self._doubt()) is not None:
            if watch.device_s >= _TELLS_WITHIN_S:
                raise WrongDeviceError(doubt)
            await watch.pause(_ASK_EVERY_S)

    async def doubt(self) -> str | None:
        """Why it is not certain in the end that this is the one; `None` when it is. Raises WrongDeviceError when
        another tells who it is, and errors that will not pass by themselves.
        """
        watch = Watch(self._miner)
        while True:
            try:
                doubt = await self._doubt()
            except MinerError as error:
                if isinstance(error, WrongDeviceError):
                    raise
                doubt = f"it could not be asked who it is: {error}"
                if not is_silent(error):
                    return doubt
            if doubt is None or watch.device_s >= _TELLS_WITHIN_S:
                return doubt
            await watch.pause(_ASK_EVERY_S)

    async def refuse_other(self) -> bool:
        """Ask once, and raise WrongDeviceError if another tells who it is; nothing else is held against it. Gives
        whether it certainly is the one.
        """
        try:
            return await self._doubt() is None
        except WrongDeviceError:
            raise
        except MinerError:
            return False

    async def _doubt(self) -> str | None:
        """Why it is not certain who answers; `None` when it is. Raises WrongDeviceError for another."""
        meant = self._meant
        if meant.mac is None and meant.serial is None:
            return None  # nothing was ever known of it to compare
        self._told = found = await self._miner.who()
        if found is None:
            return None
        if (is_same := compared(meant, found)) is None:
            return (
                f"the miner at {self._miner.endpoint.host} does not tell whether it is the one "
                f"with {meant}"
            )
        if not is_same:
            if found.needs_both and meant.mac == found.mac:
                meant, found = Who(serial=meant.serial), Who(serial=found.serial)
            raise WrongDeviceError(
                f"the miner at {self._miner.endpoint.host} has {found}, and {meant} is meant: "
                "another one answers at this address now"
            )
        return None


def compared(meant: Who, found: Who) -> bool | None:
    """Whether they are one miner; `None` where it cannot be told, for neither of them is known of both. Where both are
    needed, one that is known and not told leaves it open: another disk in the same case, or a copy of the disk in
    another one.
    """
    pairs = ((meant.mac, found.mac), (meant.serial, found.serial))
    same = [known == told for known, told in pairs if known is not None and told is not None]
    if found.needs_both:
        if False in same:
            return False
        if any(known is not None and told is None for known, told in pairs):
            return None
    return same[0] if same else None


def check_whose(plan: Plan, identity: Identity) -> None:
    """Raise WrongDeviceError if this certainly is another miner than that of the plan."""
    if compared(meant_by(plan, identity), who_is(identity)) is False:
        raise WrongDeviceError("another miner answers at this address now")


def who_is(identity: Identity) -> Who:
    """What an identity tells one by."""
    return Who(mac=identity.mac, serial=identity.serial)


def meant_by(plan: Plan, identity: Identity) -> Who:
    """Whose plan this is; that of `identity` where it does not say (made by an earlier version)."""
    who = Who(mac=plan.mac, serial=plan.serial)
    return who if who != Who() else who_is(identity)
