"""The condition of one miner: what it does, and what is wrong with it, in words. Pure.

`look_of` judges the figures of one look by `anomalies`, `condition_of` what is known beside them: whether it answers,
whether its login is refused, whether it is out of service. A miner that sleeps, is out of service, has just started or
was never read is not broken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import cache
from typing import Final

import msgspec

from contract.condition import anomalies
from contract.condition.figures import lasting_text, rate_text
from contract.errors import ErrorCode
from contract.miner import BoardState, Moving, Pool, PowerMode, Slow, Static, shows_hashing


class MinerState(StrEnum):
    """What a miner does; one of these at a time."""

    HASHING = "hashing"
    STARTING = "starting"  # so lately that its rate is not judged yet
    IDLE = "idle"  # awake, and it does not hash
    SLEEPING = "sleeping"
    UNREACHABLE = "unreachable"  # it does not answer, or not to our login
    STALE = "stale"  # nobody looked at it lately
    UNSEEN = "not yet seen"  # nothing of it was ever read
    MAINTENANCE = "maintenance"  # taken out of service by people


class MinerTrouble(StrEnum):
    """What may be wrong with a miner. The order is that in which they are told, and never changes: bits follow it."""

    UNREACHABLE = "unreachable"
    LOGIN = "wrong password"
    STALE = "stale"
    HOT = "hot"
    BOARD = "board lost"
    LOW_RATE = "low rate"
    FAN = "fan"
    POOL = "no pool"
    WRONG_POOL = "wrong pool"
    DUPLICATE = "duplicate"
    POWER = "power"
    FAULT = "fault"  # that the miner tells, and that is none of the others


class Symptom(msgspec.Struct, frozen=True, gc=False):
    """One trouble of one miner: "chip 97 degC"."""

    trouble: MinerTrouble
    words: str


class MinerLook(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What one look shows. Rates in H/s (sol/s for Equihash); `expected_hs` and `expected_w` are 0 asleep, None where
    nobody knows. `pool` is where it hashes to, see `pool_of`.
    """

    state: MinerState
    symptoms: tuple[Symptom, ...] = ()
    hashrate_hs: float | None = None
    expected_hs: float | None = None
    power_w: float | None = None
    expected_w: float | None = None
    pool: str | None = None


class WantedPools(msgspec.Struct, frozen=True):
    """The pools a miner should hash to, any of them, and why, as the words before their name:
    "97 % of all hash to".
    """

    pools: tuple[str, ...]
    why: str


class MinerFacts(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What is known of a miner beside its last look: `look` is None for one that was never read.

    `answers`: its last look brought something; `error` is why it did not, mostly an ErrorCode. `silent_s`: since it
    last answered, or was last looked at where it is stale. `twin_ips`: where else its MAC is shown; `is_duplicate`
    where that is not known.
    """

    look: MinerLook | None = None
    answers: bool = True
    is_stale: bool = False
    silent_s: float | None = None
    error: str | None = None
    login_refused: bool = False
    is_duplicate: bool = False
    twin_ips: tuple[str, ...] = ()
    in_maintenance: bool = False
    wanted: WantedPools | None = None


class MinerCondition(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A miner's state and its symptoms, in the order of `MinerTrouble`. Rate and watts of one that is not seen now are
    None, what is expected of it is not. `weight` sorts the worst first; 0 for a miner with which nothing is wrong.
    """

    state: MinerState
    symptoms: tuple[Symptom, ...] = ()
    hashrate_hs: float | None = None
    expected_hs: float | None = None
    power_w: float | None = None
    expected_w: float | None = None
    weight: float = 0.0

    @property
    def words(self) -> str:
        """What is wrong, in one line."""
        return "; ".join(symptom.words for symptom in self.symptoms)


# How bad each is beside the others; within one, who is missing more of its rate comes first.
WEIGHTS: Final[Mapping[MinerTrouble, int]] = {
    MinerTrouble.HOT: 12,
    MinerTrouble.UNREACHABLE: 11,
    MinerTrouble.LOGIN: 10,
    MinerTrouble.POOL: 9,
    MinerTrouble.WRONG_POOL: 8,
    MinerTrouble.BOARD: 7,
    MinerTrouble.LOW_RATE: 6,
    MinerTrouble.FAN: 5,
    MinerTrouble.DUPLICATE: 4,
    MinerTrouble.POWER: 3,
    MinerTrouble.FAULT: 2,
    MinerTrouble.STALE: 1,
}
# What the makers' faults are, by the anomaly that their words speak of; all others are faults.
_OF_ANOMALY: Final = {
    "fan": MinerTrouble.FAN,
    "temperature": MinerTrouble.HOT,
    "hashboard": MinerTrouble.BOARD,
    "pool": MinerTrouble.POOL,
    "power": MinerTrouble.POWER,
}
# What its figures do not show of one that does not hash, or not yet; the faults that it tells count.
_AT_REST: Final = frozenset(
    {
        MinerTrouble.BOARD,
        MinerTrouble.LOW_RATE,
        MinerTrouble.FAN,
        MinerTrouble.POOL,
        MinerTrouble.POWER,
    }
)
_SPARED: Final = {MinerState.SLEEPING: _AT_REST, MinerState.STARTING: _AT_REST}
_ORDER: Final = {trouble: place for place, trouble in enumerate(MinerTrouble)}
_USUAL_SHARE: Final = 0.9  # of a farm, from which on where the others hash to is where all should
_TEXT_MAX: Final = 80


def look_of(moving: Moving, slow: Slow | None, static: Static | None) -> MinerLook:
    """What one look shows, with the last slow and static facts."""
    state = _state_of(moving, slow, static)
    expected_hs = anomalies.expected_hs(slow, static)
    spared = _SPARED.get(state, frozenset())
    found: dict[MinerTrouble, str] = {}
    for symptom in _by_figures(moving, slow, static, state):
        if symptom.trouble not in spared:
            found.setdefault(symptom.trouble, symptom.words)
    for symptom in _by_maker(slow):
        found.setdefault(symptom.trouble, symptom.words)
    return MinerLook(
        state=state,
        symptoms=_sorted(Symptom(trouble, words) for trouble, words in found.items()),
        hashrate_hs=moving.hashrate_hs,
        expected_hs=expected_hs,
        power_w=anomalies.power_w(moving, slow),
        expected_w=anomalies.expected_w(slow, static),
        pool=pool_of(moving),
    )


def condition_of(known: MinerFacts) -> MinerCondition:
    """The state of a miner and what is wrong with it."""
    look = known.look
    if known.in_maintenance:
        return MinerCondition(state=MinerState.MAINTENANCE)
    if look is None and not known.login_refused:
        return MinerCondition(state=MinerState.UNSEEN)
    if look is None:
        look = MinerLook(state=MinerState.UNSEEN)
    sees = known.answers and not known.is_stale
    state = look.state if sees else MinerState.STALE if known.is_stale else MinerState.UNREACHABLE
    symptoms = _sorted([*(look.symptoms if sees else ()), *_beside(known, look, sees=sees)])
    rate, power = (look.hashrate_hs, look.power_w) if sees else (None, None)
    return MinerCondition(
        state=state,
        symptoms=symptoms,
        hashrate_hs=rate,
        expected_hs=look.expected_hs,
        power_w=power,
        expected_w=look.expected_w,
        weight=_weight(symptoms, rate, look.expected_hs),
    )


def pool_of(moving: Moving) -> str | None:
    """Where it hashes to: host and account of the pool in use, `pool.example.com/account`, the account alone of a user
    such as `account.worker`. None where it does not say which is in use and none is alive.
    """
    named = [pool for pool in moving.pools if pool.url]
    active = next((pool for pool in named if pool.active), None)
    if active is None:
        alive = (p for p in named if p.active is None and p.status == "alive")
        active = min(alive, key=_place, default=None)
    return None if active is None else pool_name(active.url, active.user)


def pool_name(url: str, user: str | None) -> str:
    """How a pool is called: `stratum+tcp://pool.example.com:3333` and `account.worker` are
    `pool.example.com/account`.
    """
    address = url.rpartition("://")[2].partition("/")[0].rpartition("@")[2]
    host, _, port = address.rpartition(":")
    name = (host if host and port.isdigit() else address).lower()
    account = (user or "").partition(".")[0]
    return f"{name}/{account}" if account else name


def usual_pools(counts: Mapping[tuple[str, str], int]) -> dict[str, WantedPools]:
    """By algorithm, the pool that nearly all hash to. `counts`: of how many miners, by (algorithm, pool)."""
    totals: dict[str, int] = {}
    for (algorithm, _), count in counts.items():
        totals[algorithm] = totals.get(algorithm, 0) + count
    return {
        algorithm: WantedPools(
            (pool,), f"{count / totals[algorithm]:.0%} of all hash to".replace("%", " %")
        )
        for (algorithm, pool), count in counts.items()
        if count >= _USUAL_SHARE * totals[algorithm]
    }


def mask_of(symptoms: tuple[Symptom, ...]) -> int:
    """A bit for each trouble, in the order of `MinerTrouble`."""
    return sum(1 << _ORDER[symptom.trouble] for symptom in symptoms)


@cache
def symptoms_of(mask: int) -> tuple[Symptom, ...]:
    """The symptoms of `mask_of`, whose words are those of their kind."""
    return tuple(
        Symptom(trouble, trouble.value) for trouble, bit in _ORDER.items() if mask >> bit & 1
    )


# --- private -------------------------------------------------------------------------------------


def _state_of(moving: Moving, slow: Slow | None, static: Static | None) -> MinerState:
    if slow is not None and slow.mode is PowerMode.SLEEP:
        return MinerState.SLEEPING
    if anomalies.is_starting(moving):
        return MinerState.STARTING
    return MinerState.HASHING if shows_hashing(moving, static) else MinerState.IDLE


def _by_figures(
    moving: Moving, slow: Slow | None, static: Static | None, state: MinerState
) -> Iterator[Symptom]:
    if anomalies.is_overheated(moving):
        yield Symptom(MinerTrouble.HOT, _heat(moving))
    boards = _boards(moving)
    if boards:
        yield Symptom(MinerTrouble.BOARD, boards)
    if anomalies.is_low(moving, slow, static) or (
        state is MinerState.IDLE and moving.hashrate_hs == 0
    ):
        yield Symptom(MinerTrouble.LOW_RATE, _rate(moving, slow, static))
    if moving.hashes and 0 in moving.fan_rpm:
        fan = moving.fan_rpm.index(0) + 1
        yield Symptom(MinerTrouble.FAN, f"fan {fan} of {len(moving.fan_rpm)} stands still")
    if anomalies.has_no_pool(moving):
        count = sum(bool(pool.url) for pool in moving.pools)
        yield Symptom(
            MinerTrouble.POOL,
            "its pool is dead" if count == 1 else f"none of its {count} pools is alive",
        )
    power = anomalies.power_w(moving, slow)
    if any(anomalies.power_judgement(moving, slow)):
        limit = anomalies.power_limit_w(slow)
        yield Symptom(MinerTrouble.POWER, f"{power:.0f} W of a limit of {limit:.0f} W")


def _by_maker(slow: Slow | None) -> Iterator[Symptom]:
    """The faults that the miner tells."""
    for fault in slow.faults if slow else ():
        if fault.severity != "info":
            trouble = _OF_ANOMALY.get(anomalies.class_of(fault), MinerTrouble.FAULT)
            yield Symptom(trouble, f"{_cut(fault.text)} (code {_cut(fault.code)})")


def _beside(known: MinerFacts, look: MinerLook, *, sees: bool) -> Iterator[Symptom]:
    """What is wrong beside the figures."""
    lasting = "" if known.silent_s is None else f" for {lasting_text(known.silent_s)}"
    if known.login_refused:
        yield Symptom(MinerTrouble.LOGIN, "its login was refused")
    if known.is_stale:
        yield Symptom(MinerTrouble.STALE, f"not looked at{lasting}")
    elif not known.answers and not known.login_refused:
        words = f"does not answer{lasting}"
        if known.error and known.error != ErrorCode.UNREACHABLE:
            words = f"cannot be read{lasting}: {_cut(known.error).replace('_', ' ')}"
        yield Symptom(MinerTrouble.UNREACHABLE, words)
    if known.is_duplicate or known.twin_ips:
        where = ", ".join(known.twin_ips[:3]) or "another device"
        yield Symptom(MinerTrouble.DUPLICATE, f"{where} shows the same MAC")
    wanted = known.wanted if sees and look.state is MinerState.HASHING else None
    if wanted is not None and look.pool is not None and look.pool not in wanted.pools:
        named = " or ".join(wanted.pools[:3])
        yield Symptom(MinerTrouble.WRONG_POOL, f"hashes to {look.pool}, {wanted.why} {named}")


def _weight(
    symptoms: tuple[Symptom, ...], rate_hs: float | None, expected_hs: float | None
) -> float:
    """The worst of its troubles, and the share of its rate that is missing."""
    if not symptoms:
        return 0.0
    missing = 1 - min((rate_hs or 0.0) / expected_hs, 1.0) if expected_hs else 0.0
    return max(WEIGHTS[symptom.trouble] for symptom in symptoms) + 0.9 * missing


def _sorted(symptoms: Iterator[Symptom] | list[Symptom]) -> tuple[Symptom, ...]:
    return tuple(sorted(symptoms, key=lambda symptom: _ORDER[symptom.trouble]))


def _heat(moving: Moving) -> str:
    chips = [moving.temp_chip_c, *(board.temp_chip_c for board in moving.boards)]
    chip = max((temp for temp in chips if temp is not None), default=None)
    if chip is not None and chip >= anomalies.OVERHEAT_CHIP_C:
        return f"chip {chip:.0f} degC"
    boards = [moving.temp_board_c, *(board.temp_pcb_c for board in moving.boards)]
    return f"board {max(temp for temp in boards if temp is not None):.0f} degC"


def _boards(moving: Moving) -> str | None:
    """The first board that is lost, and how many more are; None for none."""
    hashing, count = moving.hashes, len(moving.boards)
    bad = [
        (place, board)
        for place, board in enumerate(moving.boards, 1)
        if anomalies.is_bad(board, hashing=hashing)
    ]
    if not bad:
        return None
    place, board = bad[0]
    if hashing and board.hashrate_hs == 0:
        what = "hashes nothing"
    elif board.state is BoardState.BAD or board.chips is None:
        what = "is told to be bad"
    else:
        what = f"has {board.chips} of {board.chips_expected} chips"
    more = f", and {len(bad) - 1} more" if len(bad) > 1 else ""
    kind = "part" if board.part else "board"
    return f"{kind} {place} of {count}{f' ({board.name})' if board.name else ''} {what}{more}"


def _rate(moving: Moving, slow: Slow | None, static: Static | None) -> str:
    expected = anomalies.expected_hs(slow, static)
    rate = moving.hashrate_hs or 0.0
    if not expected:
        return "hashes nothing"
    return f"{100 * rate / expected:.0f} % of {rate_text(expected, static.algorithm if static else None)}"


def _place(pool: Pool) -> tuple[int, int]:
    return (pool.index if pool.priority is None else pool.priority, pool.index)


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _TEXT_MAX else f"{line[: _TEXT_MAX - 3]}..."
