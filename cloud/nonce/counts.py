"""The counts of GetMinerStats."""

from __future__ import annotations

from collections import Counter
from typing import TypeVar

from cloud.store.miners.conditions import UNKNOWN_MODE
from cloud.store.miners.judged import CountedMiner
from contract.condition.anomalies import LOW_HASHRATE
from contract.condition.nameplates import nameplate_of
from contract.condition.summary import kind_of_rate
from contract.miner import PowerMode
from contract.nonce.miners import ANOMALY_BITS
from contract.nonce.status import (
    MODELS_MAX,
    AnomalyCount,
    ClassesItem,
    ModeCount,
    ModelCount,
    StatsItem,
)

KeyT = TypeVar("KeyT")


class StatsCounts:
    """Miners are added one by one."""

    def __init__(self) -> None:
        self._total = 0
        self._classes: Counter[str] = Counter()
        self._flags: Counter[int] = Counter()  # how many miners, by all that they have
        self._modes: Counter[tuple[str, str | None]] = Counter()
        self._models: Counter[str | None] = Counter()
        self._ideal_hs: dict[str | None, float] = {}  # by model
        self._with_ideal: Counter[str | None] = Counter()
        self._kinds: set[str] = set()

    def add(self, row: CountedMiner) -> None:
        """One miner. What is not shown of one that is offline does not count: see `miners.item_of`."""
        run = row.run
        flags = row.anomaly_flags & ~LOW_HASHRATE if run == "offline" else row.anomaly_flags
        asleep = row.mode == PowerMode.SLEEP
        self._total += 1
        self._classes["abnormal"] += bool(flags)
        self._classes["sleep"] += asleep
        self._classes["stale"] += run != "online"
        self._classes["healthy"] += run == "online" and not flags and not asleep
        if flags:
            self._flags[flags] += 1
        self._modes[row.mode or UNKNOWN_MODE, row.mode_preset] += 1
        self._models[row.model] += 1
        if (ideal := _ideal_hs(row)) is not None:
            self._ideal_hs[row.model] = self._ideal_hs.get(row.model, 0.0) + ideal
            self._with_ideal[row.model] += 1
            self._kinds.add(kind_of_rate(row.algorithm, row.model))

    def item(self) -> StatsItem:
        """All of them."""
        classes = ClassesItem(
            healthy=self._classes["healthy"],
            abnormal=self._classes["abnormal"],
            sleep=self._classes["sleep"],
            stale=self._classes["stale"],
        )
        anomalies = {name: self._anomaly(bit) for name, bit in ANOMALY_BITS.items()}
        return StatsItem(
            theo=sum(self._ideal_hs.values()) if len(self._kinds) == 1 else None,
            total=self._total,
            by_type=classes,
            by_abnormal_type=anomalies,
            classification=classes,
            anomaly_breakdown=anomalies,
            mining_mode=[
                ModeCount(mode=mode, mining_mode_preset=preset, count=count)
                for (mode, preset), count in _most(self._modes)
            ],
            miner_model=[self._model(model, count) for model, count in _most(self._models)],
        )

    def _anomaly(self, bit: int) -> AnomalyCount:
        count, beside = 0, Counter[str]()
        for flags, miners in self._flags.items():
            if flags >> bit & 1:
                count += miners
                for name, other in ANOMALY_BITS.items():
                    if other != bit and flags >> other & 1:
                        beside[name] += miners
        return AnomalyCount(count=count, also_has=dict(beside))

    def _model(self, model: str | None, count: int) -> ModelCount:
        ideal = self._ideal_hs.get(model)
        return ModelCount(
            model=model,
            theoretical_hashrate=ideal,
            submodel=None,
            count=count,
            average_expected_hashrate=None if ideal is None else ideal / self._with_ideal[model],
        )


def _ideal_hs(row: CountedMiner) -> float | None:
    if row.hashrate_ideal_hs:
        return row.hashrate_ideal_hs
    plate = nameplate_of(row.make, row.model)
    return None if plate is None else plate.hashrate_hs


def _most(counter: Counter[KeyT]) -> list[tuple[KeyT, int]]:
    return sorted(counter.most_common(MODELS_MAX), key=lambda each: (-each[1], str(each[0])))
