"""Which addresses show which MAC. A device has one address: where two show one MAC, nobody knows which is meant."""

from __future__ import annotations

import msgspec


class Place(msgspec.Struct):
    """An address: the MAC it showed last, and since when it gives no answer."""

    mac: str
    silent_mono: float | None = None


class Places:
    """A table of who is where; it asks nobody. Times are monotonic."""

    def __init__(self, gone_after_s: float) -> None:
        """`gone_after_s`: how long one of two has to be silent to count as gone. Longer than any boot takes: a device
        that restarts is still there.
        """
        self._gone_after_s = gone_after_s
        self._places: dict[str, Place] = {}
        self._by_mac: dict[str, set[str]] = {}
        self._two: set[str] = set()

    def show(self, ip: str, mac: str | None) -> None:
        """The device at this address answers and shows this MAC, or none."""
        place = self._places.get(ip)
        if place is not None and place.mac == mac:
            place.silent_mono = None
            return
        self.forget(ip)
        if mac is not None:
            self._places[ip] = Place(mac)
            self._by_mac.setdefault(mac, set()).add(ip)

    def mac_at(self, ip: str) -> str | None:
        """The MAC shown there last."""
        place = self._places.get(ip)
        return place.mac if place else None

    def showing(self, mac: str | None) -> tuple[str, ...]:
        """All addresses where this MAC was shown last."""
        return tuple(sorted(self._by_mac.get(mac or "", ())))

    def twins(self, ip: str) -> tuple[str, ...]:
        """Where else the MAC of this address is shown."""
        return tuple(each for each in self.showing(self.mac_at(ip)) if each != ip)

    def doubled(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Each MAC that more than one device has, with their addresses."""
        return tuple((mac, self.showing(mac)) for mac in sorted(self._two))

    def are_two(self, mac: str) -> bool:
        """Whether devices at two addresses are known to show this MAC, rather than one that moved."""
        return mac in self._two

    def set_two(self, mac: str) -> None:
        """It was shown at two addresses, one right after the other."""
        self._two.add(mac)

    def note_silence(self, ip: str, now_mono: float, *, only_part: bool) -> bool:
        """Nobody answers there now. Gives whether the device is no longer to be reckoned with there: at once where its
        MAC is shown elsewhere and never was at both, as after a new lease; of two that were both seen, once one was
        silent for long. `only_part`: a host is there, only a service of it is away.
        """
        place = self._places.get(ip)
        if place is None or not self.twins(ip):
            return False
        if place.silent_mono is None:
            place.silent_mono = now_mono
        if not only_part and not self.are_two(place.mac):
            return True
        return now_mono - place.silent_mono >= self._gone_after_s

    def forget(self, ip: str) -> None:
        """What was shown there is shown there no more."""
        place = self._places.pop(ip, None)
        if place is None:
            return
        others = self._by_mac[place.mac]
        others.discard(ip)
        if len(others) < 2:
            self._two.discard(place.mac)
        if not others:
            del self._by_mac[place.mac]
