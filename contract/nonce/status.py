"""How a farm is: the counts that Nonce publishes (`GetMinerStats`, later `QueryFarmMinerMetrics`; the path is ours),
and what is wrong with it, which is ours.
"""

from __future__ import annotations

from typing import Final

from contract.nonce.answers import NonceItem
from contract.nonce.sites import FarmRef

MODELS_MAX: Final = 1000  # also of modes; those of fewest miners are left out


class ClassesItem(NonceItem, frozen=True, kw_only=True):
    """Four independent counts: a sleeping miner with an anomaly is in two. `stale`: those that are not online."""

    healthy: int
    abnormal: int
    sleep: int
    stale: int


class AnomalyCount(NonceItem, frozen=True, kw_only=True):
    """`also_has`: how many of them have another anomaly, too, by its name."""

    count: int
    also_has: dict[str, int]


class ModeCount(NonceItem, frozen=True, kw_only=True):
    mode: str
    mining_mode_preset: str | None
    count: int


class ModelCount(NonceItem, frozen=True, kw_only=True):
    """`theoretical_hashrate`: the sum of what is known of them, `average_expected_hashrate`: its mean. H/s."""

    model: str | None
    theoretical_hashrate: float | None
    submodel: str | None
    count: int
    average_expected_hashrate: float | None


class StatsItem(NonceItem, frozen=True, kw_only=True):
    """Both published spellings: `by_type` and `by_abnormal_type` of GetMinerStats are called `classification` and
    `anomaly_breakdown` by QueryFarmMinerMetrics. `theo` is the sum of the ideal rates in H/s; null where none is known,
    or where they are of several algorithms, which cannot be added.
    """

    theo: float | None
    total: int
    by_type: ClassesItem
    by_abnormal_type: dict[str, AnomalyCount]
    classification: ClassesItem
    anomaly_breakdown: dict[str, AnomalyCount]
    mining_mode: list[ModeCount]
    miner_model: list[ModelCount]


class RateItem(NonceItem, frozen=True, kw_only=True):
    """Of the miners in service that hash one thing. Those of which the expected rate is known hash `compared_hashrate`
    of the `expected_hashrate`; `unknown` are the others. `efficiency` is of those whose watts are known.
    """

    algorithm: str
    miners: int
    hashrate: float  # H/s; sol/s for equihash
    compared_hashrate: float
    expected_hashrate: float | None
    realization: float | None  # 1.0 is 100 %
    unknown: int
    efficiency: float | None  # J/TH


class PowerItem(NonceItem, frozen=True, kw_only=True):
    """W of the `metered` miners that tell it, of all algorithms. Those of which it is known take `compared_power` of
    the `expected_power`.
    """

    power: float
    metered: int
    compared_power: float
    expected_power: float | None


class TroubleItem(NonceItem, frozen=True, kw_only=True):
    trouble: str
    words: str


class WrongMinerItem(NonceItem, frozen=True, kw_only=True):
    """One with which something is wrong."""

    id: str
    name: str | None
    ip: str
    mac: str
    make: str
    model: str | None
    hall: str | None
    row: str | None
    rack: str | None
    position: int | None
    agent_id: str | None
    state: str
    troubles: list[TroubleItem]
    hashrate: float | None  # H/s
    expected_hashrate: float | None
    last_read_at: str | None
    wrong_since: str | None


class CauseItem(NonceItem, frozen=True, kw_only=True):
    """`miners` of the `of` miners with this trouble are of one group of `group` miners: the `kind` (agent, rack,
    subnet, pool, firmware or model) `name`.
    """

    trouble: str
    kind: str
    name: str
    miners: int
    of: int
    group: int
    words: str


class AgentStatusItem(NonceItem, frozen=True, kw_only=True):
    """What an agent told with its last heartbeat: outcomes and readings that wait for the cloud, where readings go
    besides, what its operator should know.
    """

    id: str
    name: str | None
    status: str  # online or offline
    version: str | None
    last_online_at: str | None
    miners_known: int
    journal_depth: int
    buffer_depth: int
    sinks: dict[str, str]
    notices: list[str]


class OpenTasksItem(NonceItem, frozen=True, kw_only=True):
    task_name: str
    status: str
    count: int


class FailedTasksItem(NonceItem, frozen=True, kw_only=True):
    """Of the last 24 hours. `code` is that of the error; null where there is none."""

    task_name: str
    status: str
    code: str | None
    count: int


class HeldTasksItem(NonceItem, frozen=True, kw_only=True):
    """Of those that are open, what no agent is given now: `reason` is a `HeldReason`."""

    task_name: str
    reason: str
    count: int


class TasksStatusItem(NonceItem, frozen=True, kw_only=True):
    """The most of each kind first, at most 100 kinds."""

    open: list[OpenTasksItem]
    held: list[HeldTasksItem]
    failed: list[FailedTasksItem]


class StatusItem(NonceItem, frozen=True, kw_only=True):
    """`problems` says in words all that keeps `is_fine` from being true; failed tasks do not. `proposals` of swapped
    control boards wait for a decision.
    """

    farm: FarmRef
    at: str
    is_fine: bool
    problems: list[str]
    total: int
    wrong: int
    states: dict[str, int]
    troubles: dict[str, int]
    rates: list[RateItem]
    power: PowerItem
    causes: list[CauseItem]
    worst: list[WrongMinerItem]
    agents: list[AgentStatusItem]
    tasks: TasksStatusItem
    proposals: int
