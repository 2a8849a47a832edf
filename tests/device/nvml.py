"""`python -m tests.device.nvml`: what drivers/rig reads of NVIDIA cards, against `nvidia-smi`, on a host that has some.

nvidia-smi is asked before and after each look of ours, for the values move meanwhile: ours has to lie between its two, give
or take. One that does so in half of the looks agrees: a wrong unit, another sensor or another card never does. Exit 0: all
agrees; 1: something does not; 2: nothing was shown, since a card, the driver, nvidia-smi or the package nvidia-ml-py is
missing here.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, NamedTuple

from contract.errors import MinerError
from drivers.rig.nvml import Nvml, NvmlReader, find_nvml
from drivers.rig.protocol.nvidia_smi import ARGV
from drivers.rig.reach.local import LocalReach
from drivers.rig.reading import nvidia
from drivers.rig.reading.cards import CardLook, CardSensors, SensorState
from drivers.rig.spec import LocalSpec

AGREES: Final = 0
DIFFERS: Final = 1
NOTHING_SHOWN: Final = 2
LOOKS: Final = 6
_PAUSE_S: Final = 0.5
_DEADLINE_S: Final = 20.0

Look = Callable[[], Awaitable[CardLook]]


class Value(NamedTuple):
    """What both tell. `field` is nvidia-smi's, in a unit of which our `name` has `factor`; `slack` and `share` (of the
    value) are what it may lie beside, for it moves.
    """

    name: str
    field: str
    factor: float
    slack: float
    share: float = 0.0


VALUES: Final = (
    Value("temp_c", "temperature.gpu", 1, 2),
    Value("temp_memory_c", "temperature.memory", 1, 2),
    Value("core_hz", "clocks.current.graphics", 1e6, 30e6, 0.02),
    Value("memory_hz", "clocks.current.memory", 1e6, 30e6, 0.02),
    Value("fan_percent", "fan.speed", 1, 3),
    Value("power_w", "power.draw", 1, 3, 0.05),
)
QUERY: Final = (
    "nvidia-smi",
    f"--query-gpu=pci.bus_id,name,{','.join(each.field for each in VALUES)}",
    "--format=csv,noheader,nounits",
)
Told = dict[str, tuple[str, list[float | None]]]  # of each bus id the name of the card and VALUES


class Missing(Exception):
    """There is nothing to compare with; the text says what is missing and how to get it."""


async def main(*, looks: int = LOOKS) -> int:
    """Compare on this host. Gives the exit code."""
    reach = LocalReach(LocalSpec())
    nvml = find_nvml()
    try:
        verdicts = [await compare("nvidia-smi, as by SSH", smi_look(reach), reach, looks=looks)]
        if nvml is not None:
            verdicts.append(await compare("NVML, on the rig", nvml_look(nvml), reach, looks=looks))
    except Missing as missing:
        print(f"Nothing was compared: {missing}")
        return NOTHING_SHOWN
    if DIFFERS in verdicts:
        return DIFFERS
    if nvml is None:
        print("NVML was not compared: `pip install nvidia-ml-py`, or miner-agent[rig], brings it")
        return NOTHING_SHOWN
    return AGREES


def nvml_look(nvml: Nvml) -> Look:
    """Our looks by the library."""
    reader = NvmlReader(nvml)
    return lambda: reader.look(deadline_s=_DEADLINE_S)


def smi_look(reach: LocalReach) -> Look:
    """Our looks by the command, as they are made by SSH."""

    async def look() -> CardLook:
        ran = await reach.run(ARGV, deadline_s=_DEADLINE_S)
        return nvidia.look_of(ran.status, ran.output, ran.errors)

    return look


async def told_by_smi(reach: LocalReach) -> Told:
    """What nvidia-smi tells, read without our drivers' parsers. Raises Missing."""
    try:
        ran = await reach.run(QUERY, deadline_s=_DEADLINE_S)
    except MinerError as error:
        raise Missing(f"{error} (it comes with NVIDIA's driver)") from None
    rows = [[cell.strip() for cell in line.split(",")] for line in ran.output.splitlines()]
    if ran.status != 0 or not rows:
        words = " ".join(f"{ran.output} {ran.errors}".split()) or "it names no card"
        raise Missing(f"nvidia-smi ended with {ran.status}: {words[:200]}")
    return {row[0].lower()[-12:]: (row[1], [_number(cell) for cell in row[2:]]) for row in rows}


def _number(cell: str) -> float | None:
    """`None` for `N/A`, `[N/A]`, `[Not Supported]` and the like."""
    try:
        return float(cell)
    except ValueError:
        return None


async def compare(title: str, look: Look, reach: LocalReach, *, looks: int) -> int:
    """Print a table of all values of all cards. Gives AGREES or DIFFERS; raises Missing."""
    hits: dict[tuple[str, str], int] = {}
    shown: dict[tuple[str, str], tuple[object, object]] = {}
    faults: list[str] = []
    before = await told_by_smi(reach)
    for _ in range(looks):
        ours = await look()
        after = await told_by_smi(reach)
        if ours.state is not SensorState.READ or ours.lost:
            faults.append(f"our look is {ours.state}, lost {list(ours.lost)}: {ours.trouble}")
        cards = {card.bus_id: card for card in ours.cards}
        if set(cards) != set(before):
            faults.append(f"we read the cards {sorted(cards)}, nvidia-smi {sorted(before)}")
        for bus_id in cards.keys() & before.keys() & after.keys():
            for name, mine, theirs, agrees in _rows(cards[bus_id], before[bus_id], after[bus_id]):
                hits[bus_id, name] = hits.get((bus_id, name), 0) + agrees
                shown[bus_id, name] = mine, theirs
        before = after
        await asyncio.sleep(_PAUSE_S if looks > 1 else 0)
    print(f"\n{title}: {looks} looks")
    print(f"{'card':14}{'value':15}{'ours':>24}{'nvidia-smi':>24}  agree")
    for (bus_id, name), (mine, theirs) in sorted(shown.items()):
        verdict = "" if 2 * hits[bus_id, name] >= looks else "  DIFFERS"
        print(
            f"{bus_id:14}{name:15}{mine!s:>24}{theirs!s:>24}  {hits[bus_id, name]}/{looks}{verdict}"
        )
    print(*dict.fromkeys(faults), sep="\n", end="\n" if faults else "")
    all_agree = bool(shown) and all(2 * number >= looks for number in hits.values())
    return AGREES if all_agree and not faults else DIFFERS


def _rows(
    card: CardSensors, before: tuple[str, list[float | None]], after: tuple[str, list[float | None]]
) -> Iterable[tuple[str, object, object, bool]]:
    """Of each value its name, ours, theirs, and whether the two agree."""
    yield "name", card.name, before[0], card.name == before[0]
    for value, first, last in zip(VALUES, before[1], after[1], strict=True):
        mine: float | None = getattr(card, value.name)
        yield value.name, mine, _scaled(last, value), _agrees(mine, (first, last), value)


def _scaled(told: float | None, value: Value) -> float | None:
    return None if told is None else told * value.factor


def _agrees(mine: float | None, told: Sequence[float | None], value: Value) -> bool:
    """What a card has no sensor for is absent in both."""
    theirs = [scaled for each in told if (scaled := _scaled(each, value)) is not None]
    if mine is None or not theirs:
        return mine is None and not theirs
    slack = value.slack + value.share * max(theirs)
    return min(theirs) - slack <= mine <= max(theirs) + slack


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
