"""Which miners of a new batch get a task, and which are skipped, by what is known of them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from itertools import chain
from typing import Final

import msgspec

from cloud.store.assets.pairs import GONE
from cloud.store.miners.readings import DUPLICATE_MAC, INTERVAL_DEFAULT_S
from cloud.store.miners.search import ListedMiner
from cloud.store.tasks.batches import EnrolledAgent
from cloud.store.tasks.lookup import AskedTask, LastOfKind
from contract.errors import LOGIN_FIX
from contract.miner import Make, PowerMode
from contract.nonce.batches import Skip, SkipReason
from contract.nonce.miners import MODEL_FAMILY, MODES_BY_MAKE, POWER_LIMITED
from contract.task import (
    MODES,
    SPECS,
    AssetStatus,
    AssetUpdateParams,
    FirmwareParams,
    Kind,
    LightParams,
    MinerParams,
    MiningParams,
    Params,
    ParamsError,
    PowerLimitParams,
    PowerModeParams,
    TagsParams,
    TaskName,
    parse_params,
)
from contract.texts import printable

Place = tuple[str | None, int | None]
_IN_SERVICE: Final = (AssetStatus.ONLINE, AssetStatus.ON_RACK)
_OVER: Final = 1.05  # how exactly a power limit is kept
# Of these the last one decides whether, and how, a miner mines.
_OF_MINING: Final = frozenset({TaskName.POWER_MODE, TaskName.MINING})
_RESTARTS: Final = frozenset({TaskName.REBOOT, TaskName.FIRMWARE})  # mining may begin again by them
_SKIPPED: Final = "Task skipped: "
_OPEN_ALREADY: Final = "Task skipped: an equal task is open already"
_MESSAGES: Final[dict[SkipReason, str]] = {
    "no_change": "Task skipped: miner already in requested state",
    "unsupported_mode": "Task skipped: mode not supported by this manufacturer",
    "miner_not_found": "Task skipped: miner not found or not accessible",
    "unstable_miner": "Task skipped: miner is unstable, its MAC or serial number cannot be relied on",
    "auth_failed": f"Task skipped: the miner at its address refuses the login; {LOGIN_FIX}",
    "outcome_unknown": "Task skipped: nobody knows whether it happened the first time",
    "maintenance": "Task skipped: the miner is in maintenance; end that first, or give params.allow_maintenance = true",
    "unsupported_model": "Task skipped: this firmware is not for this model",
    "before_unknown": "Task skipped: its evidence does not tell what there was before",
}


class BatchRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for. `places` is for the rack location task: where each miner is to stand. `for_make` and
    `for_models` (patterns) are of an image of the firmware library: for which miners it is.
    """

    name: TaskName
    params: Params
    miner_ids: Sequence[str]
    places: Mapping[str, Place] = {}
    for_make: str | None = None
    for_models: Sequence[str] = ()


class Skipped:
    """The miners that get no task, by reason, as published; where the messages of one reason differ, by message."""

    def __init__(self) -> None:
        self._by_reason: dict[SkipReason, dict[str, list[str]]] = {}

    def add(self, reason: SkipReason, message: str, miner_id: str) -> None:
        """One more."""
        self._by_reason.setdefault(reason, {}).setdefault(message, []).append(miner_id)

    def told(self) -> list[Skip]:
        """In the order in which the reasons were first met."""
        return [
            Skip(
                reason=reason,
                message=_joined(messages),
                miner_ids=[*chain.from_iterable(messages.values())],
            )
            for reason, messages in self._by_reason.items()
        ]


def plan(
    request: BatchRequest,
    miner_ids: Sequence[str],
    known: Mapping[str, ListedMiner],
    recent: Mapping[str, LastOfKind],
    still_open: Mapping[str, AskedTask],
    now: datetime,
    skipped: Skipped,
) -> list[ListedMiner]:
    """Which of these miners get a task, in their order; the others go to `skipped`. `known` are the rows of those the
    farm has, `recent` their earlier tasks of the same name, `still_open` the newest of each that is to come.
    """
    chosen: list[ListedMiner] = []
    for miner_id in miner_ids:
        row = known.get(miner_id)
        reason = _reason(request, row, recent.get(miner_id), now)
        if row is not None and reason is None:
            if _is_asked_for(request, still_open.get(miner_id)):
                skipped.add("no_change", _OPEN_ALREADY, miner_id)
            else:
                chosen.append(row)
            continue
        reason = reason or "miner_not_found"
        skipped.add(reason, _message(request, reason, row), miner_id)
    return chosen


def rivals_of(name: TaskName) -> frozenset[TaskName]:
    """The tasks of which the last one decides, so that one that is equal to it need not be asked for twice; none where
    each counts by itself.
    """
    if SPECS[name].kind not in (Kind.SETTING, Kind.ONE_SHOT):
        return frozenset()
    return _OF_MINING if name in _OF_MINING else frozenset({name})


def outdating(name: TaskName) -> frozenset[TaskName]:
    """The tasks that change what this one changes: what was read before one of them ended is old."""
    rivals = rivals_of(name)
    return rivals | _RESTARTS if name is TaskName.MINING else rivals


def _is_asked_for(request: BatchRequest, still_open: AskedTask | None) -> bool:
    """Whether the last word that the miner is still to hear is this one."""
    if still_open is None or still_open.name != request.name:
        return False
    try:
        asked = parse_params(request.name, still_open.params)
    except ParamsError:  # of an earlier version
        return False
    return asked.model_dump() == request.params.model_dump()


def _joined(messages: Mapping[str, Sequence[str]]) -> str:
    """One message for the skips of one reason; where they differ, each with its share, in the order of the ids."""
    if len(messages) == 1:
        return next(iter(messages))
    shares = (f"{message.removeprefix(_SKIPPED)} ({len(ids)})" for message, ids in messages.items())
    return _SKIPPED + "; ".join(shares)


def skip_agents(agents: Sequence[EnrolledAgent]) -> Skip:
    """The agents of a farm that get no task of their own: nobody knows whether they will ever ask again."""
    names = ", ".join(row.name or row.id for row in agents)
    return Skip(
        reason="agent_offline",
        message=f"Task skipped: not seen for a day: {names}",
        miner_ids=[],
        agent_ids=[row.id for row in agents],
    )


def ops_status_of(status: AssetStatus) -> str | None:
    """What an asset status means in a miner's record; `None` is in service."""
    return None if status in _IN_SERVICE else status.value


def new_tags(row: ListedMiner, params: TagsParams) -> list[str]:
    """The tags of a miner after a change: in their old order, new ones behind."""
    kept = list(dict.fromkeys([*(row.tags or []), *params.add]))
    return [tag for tag in kept if tag not in params.remove]


def _reason(
    request: BatchRequest, row: ListedMiner | None, recent: LastOfKind | None, now: datetime
) -> SkipReason | None:
    # A record can still be erased after the miner was taken off the lists; nothing else can be done to it.
    if row is None or (row.deleted_at and request.name is not TaskName.RECORD_DELETE):
        return "miner_not_found"
    if _is_forgotten(row):
        return "miner_not_found"
    if _is_kept_from(request, row):
        return "maintenance"
    if SPECS[request.name].by_agent:
        if _has_no_device(row):
            return "miner_not_found"
        if row.unstable_reason == DUPLICATE_MAC:
            return "unstable_miner"
        # Some tell their MAC only after the login: this is then why they tell none.
        if _is_young(row, row.auth_failed_at, now):
            return "auth_failed"
        if row.unstable_reason:
            return "unstable_miner"
    if check := _CHECKS.get(request.name):
        return check(request, row, recent, now)
    return None


def _is_kept_from(request: BatchRequest, row: ListedMiner) -> bool:
    """Whether people work on the miner, so that it is only looked at. Other statuses are no hindrance."""
    if row.ops_status != AssetStatus.MAINTENANCE:
        return False
    if SPECS[request.name].kind in (Kind.LOOK, Kind.EVENT):
        return False
    return not (isinstance(request.params, MinerParams) and request.params.allow_maintenance)


def _power_mode(
    request: BatchRequest, row: ListedMiner, recent: LastOfKind | None, now: datetime
) -> SkipReason | None:
    params = request.params
    assert isinstance(params, PowerModeParams)
    if params.mode not in _modes_of(row):
        return "unsupported_mode"
    still_tells = _is_current(row, row.last_read_at, recent, now)
    return "no_change" if _runs_in(row, params.mode) and still_tells else None


def _mining(
    request: BatchRequest, row: ListedMiner, recent: LastOfKind | None, now: datetime
) -> SkipReason | None:
    params = request.params
    assert isinstance(params, MiningParams)
    is_so = _is_off(row) if params.action == "off" else _is_on(row)
    still_tells = _is_current(row, row.last_read_at, recent, now)
    return "no_change" if is_so and still_tells else None


def _power_limit(
    request: BatchRequest, row: ListedMiner, recent: LastOfKind | None, now: datetime
) -> SkipReason | None:
    """One in percent, and the default, are for its agent to compare: what is read here does not tell them."""
    params = request.params
    assert isinstance(params, PowerLimitParams)
    if not _takes_limit(row):
        return "unsupported_mode"
    if not isinstance(params.watts, int) or row.power_limit_w != params.watts:
        return None
    hashes = row.mode != "sleep" and (row.power_w or 0.0) <= params.watts * _OVER
    return "no_change" if hashes and _slow_still_tells(row, recent, now) else None


def _firmware(request: BatchRequest, row: ListedMiner, *_: object) -> SkipReason | None:
    """Of an image of the library. An address may lead to firmware for any model: the miner, and its agent, judge."""
    if request.for_make is None:
        return None
    model = (row.model or "").lower()
    is_meant = row.make == request.for_make and any(
        fnmatchcase(each, pattern.lower().replace("[", "[[]"))
        for pattern in request.for_models
        for each in (model, model.removeprefix(MODEL_FAMILY.lower()))
    )
    return None if is_meant else "unsupported_model"


def _takes_limit(row: ListedMiner) -> bool:
    """Whether it may take a power limit, by what is known of it."""
    if row.drivable is False:
        return False
    generations = POWER_LIMITED.get(row.make or "", frozenset())
    if row.generation is None:
        return bool(generations) or row.make in (None, Make.UNKNOWN)
    return row.generation in generations


def _light(
    request: BatchRequest, row: ListedMiner, recent: LastOfKind | None, now: datetime
) -> SkipReason | None:
    params = request.params
    assert isinstance(params, LightParams)
    # One that is to go out is always told so: it costs nothing, and none is left burning.
    if params.action != "on" or (row.slow or {}).get("light_on") is not True:
        return None
    # A mode that is changed at the miner restarts it, which its agent sees in any look; its light leaves no such trace.
    return "no_change" if _slow_still_tells(row, recent, now) else None


def _modes_of(row: ListedMiner) -> Sequence[str] | frozenset[str]:
    """What its driver said it can set; before it said so, what the make can do."""
    if row.modes is not None:
        return list(row.modes)
    if row.drivable is False:
        return ()
    return _modes_of_make(row)


def _modes_of_make(row: ListedMiner) -> frozenset[str]:
    return MODES_BY_MAKE.get(row.make or "", frozenset())


def _runs_in(row: ListedMiner, mode: str) -> bool:
    slow = row.slow or {}
    configured = slow.get("mode_configured")
    if configured is not None and row.mode is not None and configured != row.mode:
        return False  # on its way from one mode to another
    return mode in (row.mode, row.mode_preset)


def _is_off(row: ListedMiner) -> bool:
    """Whether it shows that it does not hash, and that it is not to. One that has no mode `sleep` is switched off
    beside the mode it has; any other one shows it by its mode, and its rate has fallen by now.
    """
    if row.mode != PowerMode.SLEEP or _hashes(row):
        return False
    if PowerMode.SLEEP not in _modes_of(row):
        return True
    return _runs_in(row, PowerMode.SLEEP) and row.hashrate_hs == 0


def _is_on(row: ListedMiner) -> bool:
    """Whether it shows that it hashes, and is neither asleep nor about to be."""
    slow = row.slow or {}
    return _hashes(row) and PowerMode.SLEEP not in (row.mode, slow.get("mode_configured"))


def _hashes(row: ListedMiner) -> bool:
    moving = row.moving or {}
    return bool(moving.get("hashrate_hs")) or moving.get("hashrate_doubt") is not None


def _is_current(
    row: ListedMiner, read_at: datetime | None, recent: LastOfKind | None, now: datetime
) -> bool:
    """Whether what was read then still tells: young enough, and nothing was done to the miner since."""
    if read_at is None or row.last_ok is False or not _is_young(row, read_at, now):
        return False
    if recent is None:
        return True
    return not recent.still_open and (recent.ended_at is None or read_at > recent.ended_at)


def _slow_still_tells(row: ListedMiner, recent: LastOfKind | None, now: datetime) -> bool:
    """The same of the slow facts, which not every look asks for."""
    return _is_current(row, row.slow_read_at, recent, now)


def _is_young(row: ListedMiner, at: datetime | None, now: datetime) -> bool:
    """Whether a look of that time is younger than two intervals of its miner."""
    if at is None:
        return False
    age_s = (now - at).total_seconds()
    # In the future: our clock was set back since, so nobody knows how old it is.
    return 0 <= age_s <= 2 * (row.interval_s or INTERVAL_DEFAULT_S)


def _asset(request: BatchRequest, row: ListedMiner, *_: object) -> SkipReason | None:
    params = request.params
    assert isinstance(params, AssetUpdateParams)
    return "no_change" if row.asset_status == params.status else None


def _tags(request: BatchRequest, row: ListedMiner, *_: object) -> SkipReason | None:
    params = request.params
    assert isinstance(params, TagsParams)
    return "no_change" if new_tags(row, params) == (row.tags or []) else None


def _rack(request: BatchRequest, row: ListedMiner, *_: object) -> SkipReason | None:
    return "no_change" if request.places[row.id] == (row.rack, row.position) else None


_CHECKS: Final[dict[TaskName, Callable[..., SkipReason | None]]] = {
    TaskName.POWER_MODE: _power_mode,
    TaskName.MINING: _mining,
    TaskName.POWER_LIMIT: _power_limit,
    TaskName.LIGHT: _light,
    TaskName.FIRMWARE: _firmware,
    TaskName.ASSET_UPDATE: _asset,
    TaskName.TAGS: _tags,
    TaskName.RACK_LOCATION: _rack,
}


def _message(request: BatchRequest, reason: SkipReason, row: ListedMiner | None) -> str:
    if reason == "miner_not_found" and row is not None and _has_no_device(row):
        return "Task skipped: its control board is in another miner by now, and none was met in its place"
    if isinstance(request.params, PowerModeParams) and row is not None:
        if reason == "no_change":
            return "Task skipped: miner already in requested mode"
        if reason == "unsupported_mode" and row.drivable is False:
            return "Task skipped: the firmware of this miner is only read, so no mode can be set"
        if reason == "unsupported_mode" and _is_of_others(request.params.mode, row):
            return "Task skipped: mode not supported by this model of the manufacturer"
    if (
        isinstance(request.params, FirmwareParams)
        and row is not None
        and reason == "unsupported_model"
    ):
        model = printable(row.model or "none is known")
        return f"Task skipped: {request.params.firmware} is not for this model ({model})"
    if isinstance(request.params, PowerLimitParams) and row is not None:
        if reason == "no_change":
            return f"Task skipped: miner already has a power limit of {request.params.watts} W"
        if reason == "unsupported_mode":
            modes = ", ".join(mode for mode in MODES if mode in _modes_of(row))
            instead = f"; use miner.power_mode.update: {modes}" if modes else ""
            return f"Task skipped: the firmware of this miner takes no power limit{instead}"
    return _MESSAGES[reason]


def _is_of_others(mode: str, row: ListedMiner) -> bool:
    """Whether other miners of its make have that mode. Presets are always those of a few models."""
    return mode in _modes_of_make(row) or (mode not in MODES and row.make in MODES_BY_MAKE)


def _has_no_device(row: ListedMiner) -> bool:
    return str(row.identity).startswith(GONE)


def _is_forgotten(row: ListedMiner) -> bool:
    return str(row.identity).startswith("forgotten:")
