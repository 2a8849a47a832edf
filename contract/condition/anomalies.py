"""What looks wrong with a miner, judged from one reading: Nonce's bit mask and the health words.

It is judged once, when a reading comes in, and stored: what a filter finds is then what an item says.

Makers' own fault codes are many and change with the firmware; drivers put them into words, and the words
decide the bit. What the figures alone show (a still fan, missing chips, a dead pool) counts too.
"""

from __future__ import annotations

import re
from typing import Final

from contract.condition.nameplates import LOW_SHARE, Nameplate, nameplate_of
from contract.miner import Board, BoardState, MinerFault, Moving, PowerMode, Slow, Static
from contract.nonce.miners import ANOMALY_BITS
from contract.rigs import RIG_FAULTS

# Health words that follow from the figures of a look and have no bit among the published ones. (`error` and
# `low_hashrate` are in the flags, `auth_failed` is the login's.)
HEALTH_BITS: Final = {"overheated": 0, "overpower": 1, "underpower": 2}
LOW_HASHRATE: Final = 1 << ANOMALY_BITS["low_hashrate"]
ERRORS: Final = sum(1 << bit for name, bit in ANOMALY_BITS.items() if name != "low_hashrate")
# Nonce publishes no thresholds; these are ours.
LOW_HASHRATE_RATIO: Final = 0.8  # of the ideal rate in the mode it runs in
OVERHEAT_CHIP_C: Final = 95.0  # makers throttle or stop between 95 and 105
OVERHEAT_BOARD_C: Final = 85.0
OVERPOWER_RATIO: Final = 1.15  # of the power limit
UNDERPOWER_RATIO: Final = 0.6  # of the power limit in the mode it runs in, while hashing
RAMP_S: Final = 900.0  # a rate is not judged so soon after a start

# First match wins: "fan of the power supply" is a fan, "power supply too hot" is a temperature.
_WORDS: Final = tuple(
    (name, re.compile(pattern, re.IGNORECASE))
    for name, pattern in (
        ("control_board", r"control[ _-]?board|ctrl"),
        ("pool", r"\bpools?\b|stratum"),
        ("network", r"network|ethernet|\bdhcp\b|\bdns\b"),
        ("fan", r"\bfans?\b"),
        ("temperature", r"temp|overheat|over-heat|too hot|thermal"),
        ("power", r"power|\bpsu\b|volt|\bcurrent\b"),
        ("hashboard", r"hash[ _-]?board|\bboards?\b|chip|\basics?\b|chain|\bslot\b|eeprom|\bsm\d"),
        ("firmware", r"firmware|version|upgrade|checksum|config"),
    )
)


def flags_of(moving: Moving | None, slow: Slow | None, static: Static | None) -> int:
    """The bits of `contract.nonce.miners.ANOMALY_BITS` that hold; 0 for a healthy miner and for one not yet read."""
    names: set[str] = set()
    for fault in slow.faults if slow else ():
        if fault.severity != "info":
            names.add(class_of(fault))
    if moving is not None:
        asleep = slow is not None and slow.mode is PowerMode.SLEEP
        hashing = moving.hashes
        if hashing and 0 in moving.fan_rpm:
            names.add("fan")
        if is_overheated(moving):
            names.add("temperature")
        if any(is_bad(board, hashing=hashing) for board in moving.boards):
            names.add("hashboard")
        if not asleep and has_no_pool(moving):
            names.add("pool")
        if is_low(moving, slow, static):
            names.add("low_hashrate")
    return sum(1 << ANOMALY_BITS[name] for name in names)


def health_of(moving: Moving | None, slow: Slow | None) -> int:
    """The bits of HEALTH_BITS that hold."""
    if moving is None:
        return 0
    too_much, too_little = power_judgement(moving, slow)
    holds = {
        "overheated": is_overheated(moving),
        "overpower": too_much,
        "underpower": too_little,
    }
    return sum(1 << HEALTH_BITS[name] for name, held in holds.items() if held)


def is_overheated(moving: Moving) -> bool:
    """Whether a chip or a board is as hot as makers do not allow for long."""
    chips = [moving.temp_chip_c, *(board.temp_chip_c for board in moving.boards)]
    boards = [moving.temp_board_c, *(board.temp_pcb_c for board in moving.boards)]
    return any(c is not None and c >= OVERHEAT_CHIP_C for c in chips) or any(
        c is not None and c >= OVERHEAT_BOARD_C for c in boards
    )


def has_no_pool(moving: Moving) -> bool:
    """Whether it tells of its pools, and that none of them is alive."""
    words = [pool.status for pool in moving.pools if pool.url and pool.status]
    return bool(words) and "alive" not in words


def is_starting(moving: Moving) -> bool:
    """Whether it was started so lately that its rate is not judged yet."""
    return moving.uptime_s is not None and moving.uptime_s < RAMP_S


def is_low(moving: Moving, slow: Slow | None, static: Static | None) -> bool:
    """Whether it hashes less than its mode lets expect. Not judged asleep, or just after a start."""
    expected = expected_hs(slow, static)
    if moving.hashrate_hs is None or not expected or is_starting(moving):
        return False
    return moving.hashrate_hs < LOW_HASHRATE_RATIO * expected


def expected_hs(slow: Slow | None, static: Static | None) -> float | None:
    """What it should hash in the mode it runs in and with the power it is limited to, 0 asleep: of what it tells
    itself, else of its model's nameplate. It may hash more: the less it is given, the less a hash takes.
    """
    mode = slow.mode if slow else None
    if mode is PowerMode.SLEEP:
        return 0.0
    ideal = static.hashrate_ideal_hs if static else None
    if not ideal:
        plate = _nameplate(static)
        ideal = plate.hashrate_hs if plate else None
    return None if ideal is None else _share_of(slow) * ideal


def expected_w(slow: Slow | None, static: Static | None) -> float | None:
    """What it should take, 0 asleep: its own limit, else what its model's nameplate says for the mode it runs in, and
    with the power it is limited to.
    """
    mode = slow.mode if slow else None
    if mode is PowerMode.SLEEP:
        return 0.0
    limit_w = power_limit_w(slow)
    if limit_w is not None:
        return limit_w
    plate = _nameplate(static)
    return None if plate is None else _share_of(slow) * plate.power_w


def power_limit_w(slow: Slow | None) -> float | None:
    """The most that it may take by its own word: its limit in watts, of which its percentage leaves a part."""
    if slow is None or not slow.power_limit_w:
        return None
    percent = slow.power_percent
    return slow.power_limit_w * (1.0 if percent is None else _part(percent / 100))


def full_power_w(slow: Slow | None) -> float | None:
    """The most that it might take if it were not limited, by its own word."""
    limit_w = power_limit_w(slow)
    if slow is None or limit_w is None or slow.power_share is None:
        return limit_w
    return limit_w / _part(slow.power_share)


def power_w(moving: Moving, slow: Slow | None) -> float | None:
    """What it takes: measured with the newest figures, or, while it hashes, by the meter that is asked more seldom."""
    if moving.power_w is not None or slow is None or not _is_hashing(moving, slow):
        return moving.power_w
    return slow.metered_power_w


def power_judgement(moving: Moving, slow: Slow | None) -> tuple[bool, bool]:
    """(takes too much, takes too little), measured by the miner's own power limit; where it has none, neither."""
    limit = power_limit_w(slow)
    taken_w = power_w(moving, slow)
    if limit is None or taken_w is None:
        return False, False
    return (
        taken_w > OVERPOWER_RATIO * limit,
        _is_hashing(moving, slow) and taken_w < UNDERPOWER_RATIO * _mode_share(slow) * limit,
    )


def class_of(fault: MinerFault) -> str:
    """Which of the anomalies the words of a maker's fault speak of; of a rig's its code tells."""
    found = (name for name, pattern in _WORDS if pattern.search(fault.text))
    return RIG_FAULTS.get(fault.code) or next(found, "unknown")


def is_bad(board: Board, *, hashing: bool) -> bool:
    """Whether a board of a miner that hashes or not is lost, or some of its chips are."""
    if board.state is BoardState.BAD:
        return True
    if board.chips is not None and board.chips_expected and board.chips < board.chips_expected:
        return hashing or board.chips > 0  # a board that is switched off counts no chips at all
    is_told_to_rest = (
        board.part is not None and board.state is BoardState.OFF
    )  # beside others that mine on
    return hashing and board.hashrate_hs == 0 and not is_told_to_rest


def _nameplate(static: Static | None) -> Nameplate | None:
    return nameplate_of(static.make, static.model) if static else None


def _share_of(slow: Slow | None) -> float:
    """Of its rate and watts at full power in mode `normal`, what it is to reach. A limit in watts may not be felt in
    mode `low`; a percentage is: of both, the product is the least that it can be.
    """
    limited = slow.power_share if slow else None
    return _mode_share(slow) * (1.0 if limited is None else _part(limited))


def _mode_share(slow: Slow | None) -> float:
    return LOW_SHARE if slow is not None and slow.mode is PowerMode.LOW else 1.0


def _part(share: float) -> float:
    """A share that can be one; what cannot leaves all of it."""
    return share if 0.0 < share < 1.0 else 1.0


def _is_hashing(moving: Moving, slow: Slow | None) -> bool:
    return moving.hashes and not (slow and slow.mode is PowerMode.SLEEP)
