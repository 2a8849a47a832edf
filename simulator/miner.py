"""What the makers' firmwares have in common: power and boots, orders under way, and how faults bend both."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final

from simulator.device import Device, DevicePlace
from simulator.faults import Fault
from simulator.orders import Order, Reaction
from simulator.pools import Pool

_OTHER_MAC: Final = "02:FF:FF:00:00:01"
_CONSTANT_S: Final = 4242


class Miner(Device, ABC):
    """A control board with its maker's firmware.

    A make adds `wipe`, `_go_dark`, `_power_on` and `_heed_health`, and sets `_first_started`.
    """

    boot_s: ClassVar[float]
    """From power to the first open port, in device seconds; each boot takes 80 to 130 % of it."""
    pool_up_s: ClassVar[float]
    """Until a pool just written down counts as alive."""

    _first_started: float
    """When the process began its first run: an uptime that never restarts counts from there."""

    def __init__(self, place: DevicePlace, *, board_slots: int) -> None:
        super().__init__(place)
        self.board_serials: list[str] = []
        """Of the hash boards, by slot; empty where they are nowhere to be read."""
        self.psu_serial: str | None = None
        self._board_slots = board_slots
        self._pools_since = -math.inf
        self._era = 0  # counts power cycles: late timers of an earlier one are void
        self._waiting: list[Order] = []

    async def start(self) -> None:
        self._heed_health()
        await super().start()

    # --- what it shows of itself -----------------------------------------------------------------

    def shown_mac(self) -> str:
        """The MAC it tells."""
        other = self.faults.get("changes_mac")
        return str(other.args.get("mac", _OTHER_MAC)) if other else self.mac

    def boards(self) -> list[int]:
        """Slots (from 0) of the hash boards found."""
        missing = self.faults.get("board_missing")
        gone = missing.args.get("chains", [0]) if missing else ()
        return [slot for slot in range(self._board_slots) if slot not in gone]

    def board_figure(self, figure: float) -> float:
        """A board's rate as it is told, in the right unit or not."""
        off = self.faults.get("board_unit_off")
        return figure * float(off.args.get("factor", 1000)) if off else figure

    def _lied(self, true_s: float) -> float:
        """An uptime as it is told: true, or as the fault wants it."""
        lie = self.faults.get("lies_uptime")
        if lie is None:
            return true_s
        variant = lie.args.get("variant", "never_restarts")
        if variant == "constant":
            return _CONSTANT_S
        if variant == "jumps":
            return true_s + int(self.clock.now() * 7919) % 1_000_000
        return self.clock.now() - self._first_started

    def reaches(self, pool: Pool) -> bool:
        """That pool is there, and was written down long enough ago."""
        if not pool["url"] or "pools_dead" in self.faults:
            return False
        return self.clock.now() - self._pools_since >= self.pool_up_s

    # --- orders ----------------------------------------------------------------------------------

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Do something so many device seconds later, unless power is lost before."""
        era = self._era

        def due() -> None:
            if self._running and era == self._era:
                act()

        self.clock.call_later(seconds, due)

    def refuse(self, action: str, reason: str) -> None:
        """Put down that a write was turned away."""
        self.record(action, "rejected", reason=reason)

    def strike(
        self,
        actions: Sequence[str],
        act: Callable[[], None],
        *,
        late: Callable[[float], None],
        silent: Callable[[], None],
    ) -> Reaction | None:
        """What a fault makes of an order by these names; `None` when none strikes it.

        `act` is its effect at once, `late` its effect so many device seconds from now, `silent` its
        effect in its own good time.
        """
        faults = self.faults

        def taken(name: str) -> Fault | None:
            found = (faults.take(name, action=action) for action in actions)
            return next((fault for fault in found if fault is not None), None)

        if dying := taken("dies_after_write"):
            if dying.args.get("applied"):
                act()
            faults.add("dead")
            if "for_s" in dying.args:
                self.clock.call_later(float(dying.args["for_s"]), faults.remove, "dead")
            return Reaction.HANG_UP
        if taken("ignores"):
            return Reaction.ANSWER
        if slow := taken("late_apply"):
            late(float(slow.args.get("seconds", 30)))
            return Reaction.ANSWER
        if mute := taken("silent_apply"):
            silent()
            return Reaction.HANG_UP if mute.args.get("close") else Reaction.SILENCE
        return None

    def _struck(self, order: Order) -> Reaction | None:
        """What a fault makes of that order; `None` when none strikes it."""
        return self.strike(
            [order.action],
            order.act,
            late=lambda seconds: self._schedule(order, seconds),
            silent=lambda: self._schedule(order, order.delay_s),
        )

    def _schedule(self, order: Order, delay_s: float) -> None:
        """Let the order take effect so many device seconds from now; it waits, and can get lost."""
        self._waiting.append(order)

        def due() -> None:
            self._waiting.remove(order)
            order.act()

        self.after(delay_s, due)

    # --- power -----------------------------------------------------------------------------------

    def power_cycle(self, *, factory_reset: bool = False) -> None:
        """Power off now, on again after the boot time."""
        self.boot += 1
        self._era += 1
        self.record("reboot", "applied", before={"boot": self.boot - 1}, after={"boot": self.boot})
        for order in self._waiting:
            self.record(order.action, "lost", overwritten_by="power")
        self._waiting.clear()
        if factory_reset:
            self.wipe()
        self._go_dark()
        self.sync_listeners()
        self.cancel_tasks()
        self.after(self.boot_s * self.random.uniform(0.8, 1.3), self._power_on)

    @abstractmethod
    def wipe(self) -> None:
        """Factory settings; what is on the label stays."""

    def move_to(self, ip: str) -> None:
        """Answer under another address from now on."""
        for listener in self.listeners.values():
            listener.close()
            listener.ip = ip
        self.ip = ip
        self.sync_listeners()

    def lease(self, ip: str) -> None:
        """Be given another address by DHCP: it is the one after a boot, too."""
        self.move_to(ip)

    def swap(self, other: Miner) -> None:
        """Change places with another miner: each answers at the address of the other from now on."""
        here, there = self.ip, other.ip
        for listener in self.listeners.values():
            listener.close()
        other.lease(here)
        self.lease(there)

    def clone_mac(self, other: Miner) -> None:
        """Tell the MAC of another miner from now on, as a copied image of a whole flash does."""
        before = {"mac": self.shown_mac()}
        self.faults.remove("changes_mac")
        self.faults.add("changes_mac", mac=other.mac)
        self.record("clone_mac", "applied", before=before, after={"mac": other.mac})

    def exchange_control_boards(self, other: Miner) -> None:
        """Put the control board of each into the case of the other; both boot.

        A `Miner` is its control board: MAC, serial, settings and the address that its MAC is given stay with it. Hash
        boards and the power supply stay in the case, so it is those that it finds changed. ValueError for two models.
        """
        self._fits(other)
        ours, theirs = self._case(), other._case()
        self._stand_in(theirs, "exchange_control_boards")
        other._stand_in(ours, "exchange_control_boards")

    def move_control_board(self, into: Miner) -> None:
        """Put this control board into the case of another miner, whose own is taken out and answers no more.

        The case that this one leaves stands without a control board. ValueError for two models.
        """
        self._fits(into)
        into.faults.add("dead")
        into.record("control_board_out", "applied")
        self._stand_in(into._case(), "move_control_board")

    def replace_control_board(self, *, mac: str, serial: str, ip: str | None = None) -> None:
        """Put a new control board into this case: another MAC, another serial, factory settings. It boots, and is at
        `ip`, where one is given: a new MAC is given another address.
        """
        before = {"mac": self.mac, "serial": self.serial, "ip": self.ip}
        self.mac, self.serial = mac, serial
        self.faults.remove("changes_mac")
        if ip is not None:
            self.lease(ip)
        after = {"mac": mac, "serial": serial, "ip": self.ip}
        self.record("replace_control_board", "applied", before=before, after=after)
        self.power_cycle(factory_reset=True)

    def _fits(self, other: Miner) -> None:
        if self is other or (self.make, self.key) != (other.make, other.key):
            raise ValueError(f"the control board of {self.ip} does not fit into {other.ip}")

    def _case(self) -> dict[str, Any]:
        """What stays in the case when the control board is taken out."""
        return {"boards": list(self.board_serials), "psu": self.psu_serial}

    def _stand_in(self, case: dict[str, Any], action: str) -> None:
        before = self._case()
        self.board_serials, self.psu_serial = case["boards"], case["psu"]
        self.record(action, "applied", before=before, after=case)
        self.power_cycle()

    @abstractmethod
    def _go_dark(self) -> None:
        """Forget what is in memory only, and end the process."""

    @abstractmethod
    def _power_on(self) -> None:
        """The boot is through: take a waiting image, open the ports, start the process."""

    @abstractmethod
    def _heed_health(self) -> None:
        """Let the process suffer from the faults in force, and from no others."""

    def _faults_changed(self) -> None:
        self._heed_health()
        super()._faults_changed()
