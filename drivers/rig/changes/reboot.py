"""The reboot of a rig: by the command that its owner configured. Linux draws a new boot id at every start, which is the
strongest proof there is.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

import msgspec

from contract.clock import to_text
from contract.errors import MinerError, PolicyRefusedError, UnreachableError, UnsupportedError
from drivers.base import Evidence, Permit, Proof, Reboot, Strength, TypedPlan
from drivers.changes.reboot import works
from drivers.changes.verification import Verification
from drivers.changes.way import Way
from drivers.protocol.values import rate_text
from drivers.rig import processes
from drivers.rig.changes import state
from drivers.rig.driver import RigDriver
from drivers.rig.generations import LINUX
from drivers.rig.reading.host import HostFacts
from drivers.watch import OUTAGE_NOTE

BOOT: Final = Proof("reboot", "another boot id", Strength.BOOT, 5.0, 900.0)

# A rig that is still up then will stay so: systemd waits 90 s for a program, and some shut down a minute later.
_DOWN_WITHIN_S: Final = 300.0
_LOOK_EVERY_S: Final = 5.0
_QUIET_S: Final = 3.0


class RigRebootData(msgspec.Struct, frozen=True, kw_only=True):
    """The boot that is to end."""

    boot_id: str


_Watch = Verification[RigDriver, RigRebootData]


class RigReboot(Way[RigDriver, RigRebootData]):
    """The connection may die with the order; the boot id tells what became of it."""

    changes = (Reboot,)
    data = RigRebootData
    proofs: ClassVar = {LINUX: (BOOT,)}

    async def plan(self, miner: RigDriver, change: Reboot) -> TypedPlan[RigRebootData]:
        """Read the boot id. Raises PolicyRefusedError while it hashes, unless forced; UnsupportedError where no command
        is configured.
        """
        spec = miner.rig_wire.spec
        if not spec.reboot_argv:
            raise UnsupportedError(
                f"no command restarts the rig {spec.name}: set `reboot` of it in [[rigs]], "
                'such as ["sudo", "-n", "systemctl", "reboot"]'
            )
        now = await state.boot(miner)
        rate_hs = _rate_hs(await state.look(miner))
        is_hashing = works(miner, rate_hs)
        if is_hashing and not change.force and not miner.allow_plain_reboot:
            raise PolicyRefusedError(
                f"it is hashing ({rate_text(rate_hs or 0.0)}): a reboot would cost that work; "
                "repeat with force to do it anyway"
            )
        before = _shown(now) | {
            "hashrate_hs": rate_hs,
            "hashing": is_hashing,
            "read_at": to_text(miner.clock.now()),
        }
        assert now.boot_id is not None
        return TypedPlan(change=change, before=before, data=RigRebootData(boot_id=now.boot_id))

    async def apply(self, miner: RigDriver, plan: TypedPlan[RigRebootData], permit: Permit) -> None:
        """Run the command. Raises OutcomeUnknownError when the rig was gone before it answered, as most are."""
        del plan
        argv = miner.rig_wire.spec.reboot_argv
        try:
            await processes.order(miner.rig_wire, argv, permit)
        finally:
            miner.wire.quiet_for(miner.timing.device_s(_QUIET_S))

    async def verify(self, watch: _Watch) -> Evidence:
        """Look until it tells another boot id, or has not gone down for long enough."""
        was = watch.plan.data.boot_id
        has_failed = False

        async def look() -> HostFacts:
            nonlocal has_failed
            try:
                return await state.boot(watch.miner)
            except MinerError as error:
                has_failed = True
                if isinstance(error, UnreachableError) and not watch.was_away:
                    await watch.permit.note(OUTAGE_NOTE, to_text(watch.miner.clock.now()))
                raise

        seen = await watch.until(
            look,
            lambda now: now.boot_id != was or (not has_failed and watch.device_s >= _DOWN_WITHIN_S),
            latest_s=BOOT.latest_s,
            every_s=_LOOK_EVERY_S,
        )
        now, after = seen.found, _shown(seen.found) | watch.outage
        if now is None or seen.trouble is not None:
            if seen.trouble is not None and not state.is_of_rig(seen.trouble):
                return watch.unseen(seen.trouble, after)
            return watch.unknown(
                after, f"the rig does not answer any more: check it on site ({seen.trouble})"
            )
        if now.boot_id != was:
            if _began_before(watch, now):
                return watch.unknown(
                    after, "it tells another boot id, of a boot that began before the order"
                )
            return watch.done(BOOT.signal, after)
        return watch.not_done("the same boot id", after, "the rig did not reboot")


WAY: Final = RigReboot()


# --- private -------------------------------------------------------------------------------------


def _began_before(watch: _Watch, now: HostFacts) -> bool:
    """Whether it is up for longer than the order is old: then this boot is not of the order."""
    if now.uptime_s is None or watch.since_s is None:
        return False
    return now.uptime_s > watch.since_s + watch.slack_s


def _rate_hs(states: tuple[state.SeenProgram, ...]) -> float | None:
    """Of the first program that hashes. One that does not tell counts as not hashing."""
    told = [each.report.hashrate_hs for each in states if each.report is not None]
    return next((rate for rate in told if rate), 0.0 if told else None)


def _shown(now: HostFacts | None) -> dict[str, Any]:
    return {} if now is None else {"boot_id": now.boot_id, "uptime_s": now.uptime_s}
