"""Which addresses this agent may touch: the local ceiling over every range and address the cloud names."""

from __future__ import annotations

from collections.abc import Iterable

from agent.config.miners import MinersSection, ranges_of
from contract.errors import BadParamsError, PolicyRefusedError
from contract.ranges import Range, merge, number_of, parse_range


class Territory:
    """Allowed ranges without the denied ones. What is configured to be scanned is always allowed, and so are the
    addresses of enrolled rigs, which no scan asks.
    """

    def __init__(
        self, section: MinersSection, rigs: Iterable[str] = (), named: Iterable[str] = ()
    ) -> None:
        """`named` are configured ranges besides those of the section."""
        self._own = merge(ranges_of((*section.ranges, *named)))
        self.ranges = self._own
        self._allowed = merge(ranges_of(section.allowed) + self.ranges)
        self._denied = merge(ranges_of(section.denied))
        self._rigs = frozenset(rigs)
        self._not_scanned = merge(self._denied + ranges_of(tuple(self._rigs)))

    def __contains__(self, ip: str) -> bool:
        is_allowed = ip in self._rigs or any(ip in each for each in self._allowed)
        return is_allowed and not any(ip in each for each in self._denied)

    def follow(self, texts: Iterable[str]) -> None:
        """What the cloud names: allowed ranges, which belong to all that there is to be scanned from now on."""
        self.ranges = merge((*self._own, *ranges_of(tuple(texts))))

    def check(self, ip: str) -> None:
        """Raises PolicyRefusedError for an address outside."""
        if any(ip in each for each in self._denied):
            raise PolicyRefusedError(f"{ip} is denied to this agent: see [miners] denied")
        if ip not in self:
            raise PolicyRefusedError(
                f"{ip} is outside the addresses this agent may touch: "
                "see [miners] allowed and ranges in its config"
            )

    def select(self, texts: Iterable[str], *, max_addresses: int) -> tuple[Range, ...]:
        """The addresses to scan, merged, sorted and free of denied ones and of rigs; nothing given = what is
        configured and what the cloud names. Raises BadParamsError for what is not a range, lies outside, is denied as
        a whole, or is too much at once.
        """
        wanted = self._parsed(texts)
        for each in wanted:
            if not any(a.first <= each.first and each.last <= a.last for a in self._allowed):
                raise BadParamsError(
                    f"range {each} is outside the addresses this agent may scan: "
                    "see [miners] allowed and ranges in its config"
                )
        left = tuple(part for each in wanted for part in _without(each, self._not_scanned))
        total = sum(len(each) for each in left)
        if not total:
            given = ", ".join(map(str, wanted))
            if sum(len(part) for each in wanted for part in _without(each, self._denied)):
                raise BadParamsError(
                    f"every address of {given} is a rig's: those are enrolled, not scanned for"
                )
            raise BadParamsError(
                f"every address of {given} is denied: see [miners] denied in its config"
            )
        if total > max_addresses:
            raise BadParamsError(
                f"{total} addresses are more than the {max_addresses} this agent scans at once: "
                "see [scan] max_addresses in its config"
            )
        return left

    def grounds(
        self, addresses: Iterable[str], more: Iterable[Range] = (), *, max_addresses: int
    ) -> tuple[tuple[Range, ...], ...]:
        """Where to look for miners that were at these addresses, the nearest first and each address once: the /24 of
        each, what it is in of the configured ranges (and of `more` of them), all of those. Of a /24, where any of them
        has a part in it, only that part. As in `select`, nothing outside or denied, no rig, and of one ground no more
        than `max_addresses`.
        """
        known = merge((*self.ranges, *more))
        near: list[Range] = []
        around: list[Range] = []
        for ip in addresses:
            number = number_of(ip)
            block = Range(number & ~0xFF, number | 0xFF)
            around += (each for each in known if each.first <= number <= each.last)
            hosts = Range(block.first + 1, block.last - 1)
            near += _common([block], known) or [hosts]
        done: tuple[Range, ...] = self._not_scanned
        grounds = []
        for spans in (near, around, known):
            allowed = _common(merge(spans), self._allowed)
            left = tuple(part for each in allowed for part in _without(each, done))
            done = merge((*done, *left))
            if left := _at_most(left, max_addresses):
                grounds.append(left)
        return tuple(grounds)

    def skipped(self, texts: Iterable[str]) -> tuple[tuple[Range, str], ...]:
        """Which addresses of these ranges a scan leaves out, and why. Raises as `select`."""
        wanted = self._parsed(texts)
        rigs = merge(ranges_of(tuple(self._rigs)))
        left_out = [(part, "it is a rig's") for part in _common(wanted, rigs)]
        denied = [part for each in self._denied for part in _without(each, rigs)]
        left_out += [(part, "denied by [miners] denied") for part in _common(wanted, denied)]
        return tuple(sorted(left_out))

    def _parsed(self, texts: Iterable[str]) -> tuple[Range, ...]:
        given = tuple(texts)
        if not given:
            if not self.ranges:
                raise BadParamsError(
                    "no range was given, and none is configured or named by the cloud: see [miners] ranges"
                )
            return self.ranges
        try:
            return merge(parse_range(text) for text in given)
        except ValueError as error:
            raise BadParamsError(str(error)) from None


def _common(spans: Iterable[Range], others: Iterable[Range]) -> list[Range]:
    """What lies in one of each; both are merged."""
    pairs = ((each, other) for other in others for each in spans)
    return [
        Range(max(each.first, other.first), min(each.last, other.last))
        for each, other in pairs
        if each.first <= other.last and other.first <= each.last
    ]


def _without(span: Range, others: Iterable[Range]) -> list[Range]:
    """What is left of it; the others are merged."""
    first, parts = span.first, []
    for other in others:
        if other.last < first or other.first > span.last:
            continue
        if other.first > first:
            parts.append(Range(first, other.first - 1))
        first = other.last + 1
    if first <= span.last:
        parts.append(Range(first, span.last))
    return parts


def _at_most(spans: Iterable[Range], count: int) -> tuple[Range, ...]:
    """The first so many addresses of them."""
    taken: list[Range] = []
    for each in spans:
        if count <= 0:
            break
        taken.append(Range(each.first, min(each.last, each.first + count - 1)))
        count -= len(each)
    return tuple(taken)
