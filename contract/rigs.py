"""What a rig is called and what it mines, in one way for everybody who reads rigs or is told of them. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from contract.miner import Algorithm, RigPart, RigWork

# `NVIDIA GeForce RTX 3080` of a driver is `RTX 3080` for the person who bought it; a `Radeon VII` stays one.
_MAKERS: Final = re.compile(r"(?:NVIDIA |AMD )?(?:GeForce |Radeon (?=R))?", re.IGNORECASE)
_UNNAMED: Final = "graphics card"
_NOT_IN_A_NAME: Final = re.compile(r"[^a-z0-9]")
# By how the names of algorithms begin, once they are spelt alike.
_ALGORITHMS: Final = (
    (re.compile(r"equihash|zhash|zelhash|beamhash"), Algorithm.EQUIHASH),
    (re.compile(r"et(?:h|ch)ash"), Algorithm.ETHASH),
    (re.compile(r"kheavyhash|heavyhash"), Algorithm.KHEAVYHASH),
    (re.compile(r"sha512256d"), Algorithm.SHA512_256D),
    (re.compile(r"sha256d?$"), Algorithm.SHA256),
    (re.compile(r"scrypt$"), Algorithm.SCRYPT),
    (re.compile(r"x11$"), Algorithm.X11),
    (re.compile(r"blake3"), Algorithm.BLAKE3),
    (re.compile(r"blake2s"), Algorithm.BLAKE2S),
    (re.compile(r"blake2b"), Algorithm.BLAKE2B),
    (re.compile(r"zksnark"), Algorithm.ZKSNARK),
)

# Which anomaly a fault of a rig is, by its code: its words name what to look at, power cables among it. The codes are
# those of drivers/rig and of cloud/rigmonitor.
RIG_FAULTS: Final[Mapping[str, str]] = {
    "gpu_lost": "hashboard",
    "gpu_missing": "hashboard",
    "gpu_sensors_failed": "unknown",
    "files_unread": "unknown",
    "program_away": "unknown",
    "program_unread": "unknown",
    "pool_lost": "pool",
}


def rig_model(cards: Iterable[str | None], cpu_name: str | None) -> str | None:
    """The model of a rig: its graphics cards, such as `RTX 3080 x6, RX 6800`, else its processor. The kind of which it
    has most comes first, so that rigs of the same parts are of one model wherever these sit.
    """
    names = ((each or "").strip() for each in cards)
    counted = Counter(_MAKERS.sub("", name, count=1).strip() or _UNNAMED for name in names)
    ordered = sorted(counted.items(), key=lambda pair: (-pair[1], pair[0]))
    words = [name if count == 1 else f"{name} x{count}" for name, count in ordered]
    return ", ".join(words) or cpu_name


def rig_algorithm(word: str | None) -> Algorithm | None:
    """Which algorithm a mining program or a playbook means; `None`: it tells none."""
    if word is None:
        return None
    name = _NOT_IN_A_NAME.sub("", word.lower())
    return next((known for words, known in _ALGORITHMS if words.match(name)), Algorithm.OTHER)


def main_work(works: Iterable[RigWork]) -> RigWork | None:
    """What stands for the rig, since rates of two algorithms have no sum: the first that hashes, the cards' before the
    processor's; where none does, the first that tells a rate.
    """
    ordered = sorted(works, key=lambda work: (work.part is not RigPart.GPU, work.slot))
    telling = [work for work in ordered if work.hashrate_hs is not None] or ordered
    return next((work for work in telling if work.hashrate_hs), telling[0] if telling else None)
