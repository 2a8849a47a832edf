"""The power mode: a number in the configuration, believed only once it is read back and the miner runs so."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from contract.errors import (
    BusyError,
    MinerError,
    ServiceAwayError,
    UnsupportedModeError,
)
from contract.miner import PowerMode, Reading
from drivers.antminer import proofs
from drivers.antminer.changes.orders import (
    NEW_GOD,
    BadRequestError,
    Subject,
    is_old,
    read_conf,
    write_conf,
)
from drivers.antminer.protocol import conf
from drivers.base import Depth, Effect, Evidence, Mode, NoChange, Plan, Resume, Suspend
from drivers.changes.power import raises_power
from drivers.changes.verification import evidence, is_silent
from drivers.watch import Watch, pause

_LOOK_EVERY_S: Final = 5.0
_KEPT_NOTE: Final = "kept_mode"  # each number was tried and read back long enough
_BUSY_TRIES: Final = 3
_BUSY_PAUSE_S: Final = 10.0
_READ_BACK_S: Final = 20.0  # a refused number is still not there after this
_SLOW_SCRIPT_S: Final = (
    75.0  # but of a busy miner the script that stores it may only begin after a minute
)
_SLEEP: Final = "1"
_SLEEP_OLD: Final = "254"
_NORMAL: Final = "0"
_LOW: Final = "3"
_HIGH_EFFICIENCY: Final = "2"  # the low power of images that know no 3
_LOWS: Final = (_LOW, _HIGH_EFFICIENCY)
_MODES: Final = {_NORMAL: PowerMode.NORMAL} | dict.fromkeys(_LOWS, PowerMode.LOW)


async def plan(miner: Subject, change: Mode | Suspend | Resume) -> Plan | NoChange:
    """Read the configured and the running mode; say which numbers would be tried."""
    wanted = wanted_mode(change, miner.awake_mode)
    config = await read_conf(miner)
    reading = await running(miner)
    before = _shown(config, reading)
    numbers = _numbers(miner, change, wanted, config)
    if not config.has_mode and wanted is PowerMode.NORMAL:
        if reading is None:
            raise ServiceAwayError("its mining process does not answer, so how it runs is not seen")
        return NoChange(change=change, before=before)  # a model without modes is always normal
    # Configured is not yet obeyed: some miners hash on in sleep until their next reboot.
    if config.mode_number in numbers and shows(wanted, reading):
        return NoChange(change=change, before=before)
    for number in numbers:
        compose(miner, config, number)  # raises what cannot be written, before anything is
    data = {
        "config": dict(config.fields),
        "pools": [{"url": s.url, "user": s.user, "password": s.password} for s in config.pools],
        "numbers": list(numbers),
        "mode": wanted.value,
    }
    raises = raises_power(_hashes_in(config, reading), wanted)
    return Plan(change=change, before=before, data=data, raises_power=raises)


async def apply(miner: Subject, plan: Plan, effect: Effect) -> None:
    """Write the number; if the miner keeps the old one, its text; then the next number that would do.

    Raises UnsupportedModeError when the miner answers OK to each and keeps its mode, where that is how its
    firmware says no.
    """
    config = _config(plan)
    before = config.mode_number
    if isinstance(plan.change, Suspend):
        miner.awake_mode = before
    numbers = plan.data["numbers"]
    kept: str | None = before
    for number in numbers:
        for as_text in spellings(miner):
            body = compose(miner, config, number, as_text=as_text)
            try:
                await _write(miner, body, effect)
            except BadRequestError:
                if as_text:
                    raise
                continue  # refused, so nothing was stored: once more as text
            kept = await read_back(miner, number, before)
            # What differs from before is the miner's doing, and verify's to judge.
            if kept is None or kept != before or number == before:
                return
    if plan.data["mode"] == PowerMode.LOW:
        await effect.note(_KEPT_NOTE, kept)
        raise UnsupportedModeError(
            f"the miner answers OK and stays in mode {kept}: its firmware has no low power mode"
        )
    # Every firmware that has modes knows normal and sleep: verify says what became of them.


async def verify(miner: Subject, plan: Plan, effect: Effect) -> Evidence:
    """Look until configuration and running miner both show the mode, or no longer can."""
    watch = Watch(miner, effect)
    wanted = PowerMode(plan.data["mode"])
    proof = proofs.SLEEPS if wanted is PowerMode.SLEEP else proofs.WAKES
    numbers = plan.data["numbers"]
    await watch.pause(proofs.MODE_CONFIG.earliest_s)
    found: conf.Config | None = None
    reading: Reading | None = None
    trouble: MinerError | None = None
    while True:
        try:
            found, trouble = await read_conf(miner, tries=1), None
            reading = await running(miner)
        except MinerError as error:
            trouble = error
            if not is_silent(error):
                break
        if found is not None and trouble is None:
            is_stored = found.mode_number in numbers
            if is_stored and runs(wanted, reading, watch):
                return _judged(plan, watch, "done", proof.signal, found, reading=reading)
            is_late = watch.device_s >= proofs.MODE_CONFIG.latest_s
            is_kept = _KEPT_NOTE in effect.notes and watch.device_s >= _SLOW_SCRIPT_S
            if not is_stored and (is_late or is_kept):
                break
        if watch.device_s >= proof.latest_s:
            break
        await watch.pause(_LOOK_EVERY_S)
    if found is None or trouble is not None:
        reason = f"could not look again: {trouble}"
        return _judged(plan, watch, "unknown", "none", found, reading=reading, reason=reason)
    return _ran_out(plan, watch, wanted, found, reading)


def wanted_mode(change: Mode | Suspend | Resume, awake_mode: str | None) -> PowerMode:
    """The mode asked for. To resume is to go to the mode named, else to that seen before the sleep, else to normal.

    Raises UnsupportedModeError for one that no AntMiner has.
    """
    if isinstance(change, Suspend):
        return PowerMode.SLEEP
    if isinstance(change, Resume):
        if change.mode is not None:
            return PowerMode.LOW if change.mode is PowerMode.LOW else PowerMode.NORMAL
        is_low = awake_mode in _LOWS
        return PowerMode.LOW if is_low else PowerMode.NORMAL
    if change.mode is None or change.mode is PowerMode.HIGH:
        raise UnsupportedModeError(
            f"AntMiners have no mode {change.preset or change.mode}: use sleep, low or normal"
        )
    return change.mode


def compose(miner: Subject, config: conf.Config, number: str, *, as_text: bool = False) -> bytes:
    """The request's body in this miner's dialect, with everything but the mode as it was."""
    if is_old(miner):
        return conf.form_body(config, config.slots, number)
    return conf.json_body(config, config.slots, number, as_text=as_text)


def spellings(miner: Subject) -> tuple[bool, ...]:
    """Whether the number goes as text: first not, then, where that left the mode as it was, so."""
    return (False,) if is_old(miner) else (False, True)


async def running(miner: Subject) -> Reading | None:
    """What runs now; `None` while the mining process is down."""
    try:
        return await miner.read(Depth.SLOW)
    except MinerError as error:
        if not is_silent(error):
            raise
        return None


def running_mode(reading: Reading) -> PowerMode | None:
    """The mode it runs in, where it shows that."""
    return reading.slow.mode if reading.slow else None


def sleeps(reading: Reading | None) -> bool:
    """Whether the running miner shows that it sleeps: it does not hash, and says so."""
    if reading is None or reading.moving.hashes:
        return False
    is_off = reading.moving.hashrate_hs == 0 and _is_powered_down(reading)
    return running_mode(reading) is PowerMode.SLEEP or is_off


def shows(wanted: PowerMode, reading: Reading | None) -> bool:
    """Whether the running miner shows the mode, however long it has been in it. What cannot be read shows nothing."""
    if reading is None or wanted is PowerMode.SLEEP:
        return sleeps(reading)
    running = running_mode(reading)
    if running is not None:
        return running is wanted
    # Builds that do not tell the running mode have two: what hashes does not sleep.
    return wanted is PowerMode.NORMAL and reading.moving.hashes


def runs(wanted: PowerMode, reading: Reading | None, watch: Watch) -> bool:
    """Whether the running miner shows the mode as one that just went into it does: asleep, or hashing in it."""
    if reading is None or wanted is PowerMode.SLEEP:
        return sleeps(reading)
    if not reading.moving.hashes:
        return False
    running = running_mode(reading)
    if running is not None:
        return running is wanted
    uptime_s = reading.moving.uptime_s
    return uptime_s is not None and uptime_s <= watch.device_s + watch.slack_s


def low_numbers(miner: Subject) -> tuple[str, ...]:
    """What may mean low power, best first: images that know no 3 have a high-efficiency mode 2 instead."""
    return (_LOW,) if miner.identity.generation == NEW_GOD else (_LOW, _HIGH_EFFICIENCY)


def _numbers(
    miner: Subject, change: Mode | Suspend | Resume, wanted: PowerMode, config: conf.Config
) -> tuple[str, ...]:
    if is_old(miner):
        conf.check_layout(config)
        if wanted is PowerMode.LOW or (wanted is PowerMode.SLEEP and not config.has_mode):
            raise UnsupportedModeError(f"this model's firmware has no {wanted} mode")
        return (_SLEEP_OLD,) if wanted is PowerMode.SLEEP else (_NORMAL,)
    if wanted is PowerMode.SLEEP:
        return (_SLEEP,)
    if wanted is PowerMode.NORMAL:
        return (_NORMAL,)
    if isinstance(change, Resume) and miner.awake_mode in _LOWS:
        return (miner.awake_mode,)
    return low_numbers(miner)


async def _write(miner: Subject, body: bytes, effect: Effect) -> None:
    for attempt in range(1, _BUSY_TRIES + 1):
        try:
            return await write_conf(miner, body, effect)
        except BusyError:  # its lock file says no before anything is touched
            if attempt == _BUSY_TRIES:
                raise
        await pause(miner, _BUSY_PAUSE_S)
    return None


async def read_back(miner: Subject, number: str, before: str) -> str | None:
    """The stored mode: `number` as soon as it shows, else what is there in the end; `None` if unreadable."""
    found: str | None = None
    waited_s = 0.0
    while True:
        try:
            found = (await read_conf(miner, tries=1)).mode_number
        except MinerError as error:
            if not is_silent(error):
                raise
            found = None
        if found not in (None, before) or found == number or waited_s >= _READ_BACK_S:
            return found
        await pause(miner, _LOOK_EVERY_S)
        waited_s += _LOOK_EVERY_S


def _hashes_in(config: conf.Config, reading: Reading | None) -> PowerMode | None:
    """The mode it hashes in; `None` where it does not, or does not tell. Older ones tell only what is configured."""
    if reading is None or not reading.moving.hashes:
        return None
    return running_mode(reading) or _MODES.get(config.mode_number)


def _ran_out(
    plan: Plan, watch: Watch, wanted: PowerMode, found: conf.Config, reading: Reading | None
) -> Evidence:
    if found.mode_number not in plan.data["numbers"]:
        reason = f"the miner's configuration stays at mode {found.mode_number}"
        signal = proofs.MODE_CONFIG.signal
        return _judged(plan, watch, "not_done", signal, found, reading=reading, reason=reason)
    if reading is None:
        reason = f"{wanted} is stored, but its mining process does not answer, so how it runs is not seen"
        return _judged(plan, watch, "unknown", "none", found, reading=reading, reason=reason)
    if wanted is not PowerMode.SLEEP and running_mode(reading) is wanted:
        reason = f"the mode runs, but {idleness(reading)}"
        return _judged(plan, watch, "done", "running mode", found, reading=reading, reason=reason)
    reason = f"{wanted} is stored, but {disobedience(wanted, reading)}"
    return _judged(plan, watch, "unknown", "none", found, reading=reading, reason=reason)


def idleness(reading: Reading) -> str:
    """Why a miner that is awake does not hash, as far as it shows."""
    pools = [pool for pool in reading.moving.pools if pool.url]
    if _is_powered_down(reading):
        return "all its chips are without power: too hot, or a board or the supply failed"
    if not reading.moving.boards:
        return "it shows no hash board: check boards and supply"
    if not pools:
        return "it does not hash, for it has no pool"
    if not any(pool.status == "alive" for pool in pools):
        return "it does not hash, and none of its pools is alive: check their addresses and the network"
    return "it does not hash yet, though a pool is alive: check its boards"


def disobedience(wanted: PowerMode, reading: Reading) -> str:
    """What a miner shows instead of the mode that is stored."""
    running = running_mode(reading)
    later = "it may obey after a reboot"
    if reading.moving.hashes:
        if wanted is PowerMode.SLEEP:
            return f"the miner still hashes; {later}"
        if running is not None:
            return f"the miner runs in {running}; {later}"
        return f"the miner hashes as before, without having started anew; {later}"
    if wanted is PowerMode.SLEEP:
        return f"the miner does not show that it sleeps; {later}"
    if running is PowerMode.SLEEP:
        return f"the miner still sleeps; {later}"
    if running is None and _is_powered_down(reading):
        return f"all its chips are without power still, as in sleep; {later}"
    return idleness(reading)


def _is_powered_down(reading: Reading) -> bool:
    """Whether every chip of its boards is off."""
    boards = reading.moving.boards
    return bool(boards) and all(board.state == "off" for board in boards)


def _judged(
    plan: Plan,
    watch: Watch,
    outcome: str,
    signal: str,
    found: conf.Config | None,
    *,
    reading: Reading | None,
    reason: str | None = None,
) -> Evidence:
    after = _shown(found, reading)
    if found is not None:
        config = _config(plan)
        beside: dict[str, Any] = {
            key: [was, now] for key, (was, now) in conf.changed_beside(config, found).items()
        }
        if not conf.same_pools(config.slots, found.slots):
            beside["pools"] = "changed"
        if beside:
            after["also_changed"] = beside
            remark = f"this firmware also changed {', '.join(beside)} when it saved"
            reason = f"{reason}; {remark}" if reason else remark
    return evidence(plan, watch, outcome, signal, after, reason=reason)


def _shown(config: conf.Config | None, reading: Reading | None) -> dict[str, Any]:
    slow = reading.slow if reading else None
    return {
        "mode_configured": config.mode_number if config else None,
        "mode_running": slow.mode.value if slow and slow.mode else None,
        "hashrate_hs": reading.moving.hashrate_hs if reading else None,
        "uptime_s": reading.moving.uptime_s if reading else None,
    }


def _config(plan: Plan) -> conf.Config:
    pools = msgspec.convert(plan.data["pools"], tuple[conf.Slot, ...])
    return conf.Config(pools=pools, fields=plan.data["config"])
