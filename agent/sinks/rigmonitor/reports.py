"""Tells the monitor of one miner after the other: what each is, once, and what it does, again and again."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog

from agent.config.rigmonitor import RigMonitorSection
from agent.sinks.rigmonitor.asic_records import IncompleteError, coin_of, log_of, spec_of
from agent.sinks.rigmonitor.client import (
    AwayError,
    InvalidError,
    MonitorClient,
    RejectedError,
    UnknownCodeError,
)
from agent.sinks.rigmonitor.machines import MonitorMachine
from agent.sinks.rigmonitor.newest import Newest, Seen
from agent.sinks.rigmonitor.notes import Notes
from agent.sinks.rigmonitor.pacing import ALONE_AFTER, FIRST_WITHIN_S, about_s
from agent.sinks.rigmonitor.rig_records import (
    SLOTS,
    Mined,
    cards_beyond,
    rig_record_of,
    rig_spec_of,
)
from contract.clock import Clock
from contract.miner import Identity, Moving, PowerMode
from contract.rigmonitor.asic import AsicLog, AsicSpec, Switch
from contract.rigmonitor.rig import RigLog, RigSpec
from contract.rigmonitor.shared import MachineKind

REFUSED_WAIT_S: Final = 600.0  # after a 401; the code may be put right meanwhile
BACKOFF_MOST_S: Final = 120.0
_INCOMPLETE_TIMES: Final = 5

UNKNOWN_CODE: Final = "code not known to the monitor (401), asked again every 10 minutes"
INVALID: Final = "record refused by the monitor"
ALONE: Final = "the monitor takes others, but gives no answer for it"
INCOMPLETE: Final = "not reported, since the miner does not tell"
RATES_LEFT_OUT: Final = "not all that it mines is reported"
CARDS_LEFT_OUT: Final = "not all of its cards are reported"
_FIXES: Final = {
    "power": "power_w or default_power_w",
    "coin_name": "coin_name or default_coin_name",
}

Spec = AsicSpec | RigSpec
Record = AsicLog | RigLog

log: Any = structlog.get_logger(__name__)


class Reports:
    """One loop per miner, which is what keeps it to one request at a time for each code.

    Nothing is kept for a server that is away: records carry no time, so an old one told later would be a lie. What
    goes out is always the newest reading.
    """

    def __init__(
        self,
        client: MonitorClient,
        section: RigMonitorSection,
        newest: Newest,
        notes: Notes,
        clock: Clock,
        rng: random.Random,
        *,
        identity_at: Callable[[str], Identity | None],
        mined: Callable[
            [MonitorMachine, Moving], Mapping[str, Mined]
        ] = lambda _machine, _moving: {},
    ) -> None:
        """`identity_at` says who is at an address, as last identified; `mined` what the playbooks that run say of what
        a reading of a rig shows.
        """
        self._client = client
        self._section = section
        self._newest = newest
        self._notes = notes
        self._clock = clock
        self._rng = rng
        self._identity_at = identity_at
        self._mined = mined
        self._specs: dict[str, Spec] = {}  # as the monitor has them
        # As the monitor will not have them, and until when: a rule it breaks stays, another refusal may pass.
        self._invalid: dict[str, tuple[Spec, float]] = {}
        self._refused_until_mono: dict[str, float] = {}
        self._incomplete: dict[str, int] = {}  # times in a row
        self.sent = 0

    def is_refused(self, machine: MonitorMachine) -> bool:
        """Whether the monitor said that it does not know this code, the last time it was asked."""
        return machine.key in self._refused_until_mono

    def refused_s(self, machine: MonitorMachine) -> float:
        """How long this code is to be left alone yet."""
        return max(0.0, self._refused_until_mono.get(machine.key, 0.0) - self._clock.mono())

    async def run(self, machine: MonitorMachine) -> None:
        """Report this miner until cancelled; from its first reading on."""
        await self._newest[machine.key].first.wait()
        await self._clock.sleep(self._rng.uniform(0.0, FIRST_WITHIN_S))
        failures = 0
        while True:
            await self._clock.sleep(self.refused_s(machine))
            wait_s = self._section.log_every_s
            try:
                async with self._client.turn():
                    await self._report(machine)
                failures = 0
            except UnknownCodeError:
                self.refused(machine)
                failures = 0
                continue
            except AwayError as error:
                self._notes.no_answer(str(error))
                failures += 1
                if failures >= ALONE_AFTER and not self._notes.is_away:
                    self._notes.trouble(ALONE, machine.key, str(error))
                wait_s = max(wait_s, min(BACKOFF_MOST_S, wait_s * 2.0 ** min(failures - 1, 8)))
            except Exception:
                # All that the monitor can answer has a name above or in `_report`, so this is a bug of ours. Raised on,
                # it would end the reports of all miners, and the agent with them. A cancellation passes.
                log.exception("rigmonitor.bug", miner=machine.key)
                wait_s = BACKOFF_MOST_S
            await self._clock.sleep(about_s(self._rng, wait_s))

    def refused(self, machine: MonitorMachine) -> None:
        """The monitor does not know its code: it is left alone for a while, and all is told again afterwards."""
        wait_s = about_s(self._rng, REFUSED_WAIT_S)
        self._refused_until_mono[machine.key] = self._clock.mono() + wait_s
        self._specs.pop(machine.key, None)
        self._invalid.pop(machine.key, None)
        self._notes.answered()
        self._notes.trouble(UNKNOWN_CODE, machine.key)

    def accepted(self, machine: MonitorMachine) -> None:
        """The monitor knows the code, whatever it says of a record."""
        self._notes.answered()
        self._refused_until_mono.pop(machine.key, None)
        self._notes.cleared(UNKNOWN_CODE, machine.key)
        self._notes.cleared(ALONE, machine.key)

    async def _report(self, machine: MonitorMachine) -> None:
        """What is due now. Nothing while the miner sleeps or does not answer: the monitor sees that by the silence."""
        seen = self._newest[machine.key]
        if not self._newest.is_fresh(machine.key):
            return
        try:
            is_rig = machine.kind is MachineKind.RIG
            spec, record = (self._of_rig if is_rig else self._of_asic)(machine, seen)
        except IncompleteError as error:
            times = self._incomplete[machine.key] = self._incomplete.get(machine.key, 0) + 1
            if times >= _INCOMPLETE_TIMES:  # one that just starts tells little, and soon more
                self._notes.trouble(INCOMPLETE, machine.key, _with_fix(error))
            return
        self._incomplete.pop(machine.key, None)
        self._notes.cleared(INCOMPLETE, machine.key)
        try:
            await self._tell(machine, spec, record)
        except InvalidError as error:
            self.accepted(machine)
            self._notes.trouble(INVALID, machine.key, error.errors)
        except RejectedError as error:
            self.accepted(machine)
            self._notes.trouble(INVALID, machine.key, str(error))

    async def _tell(
        self, machine: MonitorMachine, spec: Spec | None, record: Record | None
    ) -> None:
        is_news = spec is not None and self._specs.get(machine.key) != spec
        if spec is not None and is_news and not self._is_unwanted(machine, spec):
            try:
                await self._client.send_spec(machine.code, spec)
            except InvalidError:
                self._invalid[machine.key] = spec, math.inf
                raise
            except RejectedError:
                self._invalid[machine.key] = spec, self._clock.mono() + REFUSED_WAIT_S
                raise
            self._specs[machine.key] = spec
            self._invalid.pop(machine.key, None)
            self.accepted(machine)
            model = spec.model if isinstance(spec, AsicSpec) else spec.motherboard_name
            log.info("rigmonitor.spec", miner=machine.key, model=model)
        if record is not None:
            await self._client.send_log(machine.code, record)
            self.sent += 1
            self.accepted(machine)
            if machine.key not in self._invalid:
                self._notes.cleared(INVALID, machine.key)

    def _is_unwanted(self, machine: MonitorMachine, spec: Spec) -> bool:
        refused, until_mono = self._invalid.get(machine.key, (None, 0.0))
        return refused == spec and self._clock.mono() < until_mono

    def _of_asic(self, machine: MonitorMachine, seen: Seen) -> tuple[Spec | None, Record | None]:
        """Nothing of what it does while it sleeps."""
        spec = self._spec(machine, seen)
        asleep = seen.mode is PowerMode.SLEEP or seen.asic is Switch.OFF
        return spec, None if asleep else self._record(machine, seen)

    def _of_rig(self, machine: MonitorMachine, seen: Seen) -> tuple[Spec | None, Record | None]:
        """What it is only once that was read. One that mines nothing is told of all the same."""
        assert seen.moving is not None
        playbooks = self._mined(machine, seen.moving)
        mined = {
            slot: playbooks.get(slot, Mined()).or_else(machine.mined.get(slot, Mined()))
            for slot in SLOTS
        }
        record = rig_record_of(seen.moving, mined, lan_ip=seen.ip, wan_ip=self._section.wan_ip)
        left_out = "; ".join(f"{slot}: {why}" for slot, why in record.left_out.items())
        self._note(RATES_LEFT_OUT, machine, left_out or None)
        self._note(CARDS_LEFT_OUT, machine, cards_beyond(seen.moving))
        spec = None if seen.static is None else rig_spec_of(seen.static, seen.moving)
        return spec, record.log

    def _note(self, kind: str, machine: MonitorMachine, detail: str | None) -> None:
        if detail is None:
            self._notes.cleared(kind, machine.key)
        else:
            self._notes.trouble(kind, machine.key, detail)

    def _spec(self, machine: MonitorMachine, seen: Seen) -> AsicSpec:
        """Of who is there now. A new firmware is known to the identity a look before the rest of it is: until then
        the monitor keeps what it has; as well when another miner has come to the address.
        """
        told, static = self._specs.get(machine.key), seen.static
        assert not isinstance(told, RigSpec), "a machine is of one kind"
        identity = self._identity_at(seen.ip or "")
        is_other = identity is not None and identity.mac not in (None, machine.key)
        if is_other and machine.key != seen.ip:
            identity = None
            if told is not None:
                return told
        if identity is None:
            raise IncompleteError(("model", "firmware_version", "software_version"))
        is_old = static is not None and static.firmware_version != identity.firmware_version
        return told if told is not None and is_old else spec_of(identity, static)

    def _record(self, machine: MonitorMachine, seen: Seen) -> AsicLog:
        section = self._section
        assert seen.moving is not None
        assert seen.ip is not None
        power_w = machine.power_w if machine.power_w is not None else seen.moving.power_w
        if power_w is None:
            power_w = self._newest.power_w(machine.key)
        coin = machine.coin_name or section.default_coin_name
        return log_of(
            seen.moving,
            lan_ip=seen.ip,
            coin_name=coin or coin_of(seen.static.algorithm if seen.static else None),
            power_w=power_w if power_w is not None else section.default_power_w,
            wan_ip=section.wan_ip,
            official=section.official,
        )


def _with_fix(error: IncompleteError) -> str:
    """What is missing, and which keys of the config stand in for it."""
    fixes = [fix for field, fix in _FIXES.items() if field in error.fields]
    return "; ".join([str(error), *(f"set {fix} in [rigmonitor]" for fix in fixes)])
