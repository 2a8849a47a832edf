"""The power mode of an AntMiner, sleep among them: a number in the configuration, believed only once it is read back
and the miner runs so.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from contract.errors import (
    BusyError,
    MinerError,
    ServiceAwayError,
    UnsupportedModeError,
)
from contract.miner import BoardState, PowerMode, Reading
from drivers.antminer.changes.orders import (
    BadRequestError,
    is_old,
    read_conf,
    reading_or_none,
    write_conf,
)
from drivers.antminer.driver import Antminer
from drivers.antminer.models import GENERATIONS, NEW_GOD
from drivers.antminer.protocol import conf
from drivers.base import (
    AWAKE_MODE,
    Depth,
    Evidence,
    Mode,
    NoChange,
    Permit,
    Proof,
    Resume,
    StoredPool,
    Strength,
    Suspend,
    TypedPlan,
)
from drivers.changes.power import raises_power
from drivers.changes.verification import Verification
from drivers.changes.way import Way
from drivers.watch import LOOK_EVERY_S, Watch, is_silent, pause

MODE_CONFIG: Final = Proof("mode", "get_miner_conf.cgi", Strength.STATE, 5.0, 150.0)
SLEEPS: Final = Proof("mode", "running mode, no hash rate", Strength.PROCESS, 5.0, 300.0)
WAKES: Final = Proof("mode", "running mode, hash rate", Strength.PROCESS, 5.0, 900.0)

STOPS: Final = msgspec.structs.replace(SLEEPS, change="suspend")
STARTS: Final = msgspec.structs.replace(WAKES, change="resume")

_KEPT_NOTE: Final = "kept_mode"  # each number was tried and read back long enough
_BUSY_TRIES: Final = 3
_BUSY_PAUSE_S: Final = 10.0
_READ_BACK_PAUSES: Final = 4  # a refused number is still not there after so many
# But of a busy miner the script that stores it may only begin after a minute.
_SLOW_SCRIPT_S: Final = 75.0
_SLEEP: Final = "1"
_SLEEP_OLD: Final = "254"
_NORMAL: Final = "0"
_LOW: Final = "3"
_HIGH_EFFICIENCY: Final = "2"  # the low power of images that know no 3
_LOWS: Final = (_LOW, _HIGH_EFFICIENCY)
_MODES: Final = {_NORMAL: PowerMode.NORMAL} | dict.fromkeys(_LOWS, PowerMode.LOW)


class AntminerModeData(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration as it was, and the numbers that mean the wanted mode, best first."""

    config: dict[str, Any]
    pools: tuple[StoredPool, ...]
    numbers: tuple[str, ...]
    mode: PowerMode

    @property
    def conf(self) -> conf.MinerConf:
        """The configuration as it was."""
        return conf.MinerConf(pools=self.pools, fields=self.config)

    def meant_by(self, number: str) -> PowerMode:
        """The mode that one of the numbers is."""
        return _MODES.get(number, self.mode)


_Watch = Verification[Antminer, AntminerModeData]
_Seen = tuple[conf.MinerConf, Reading | None]  # stored, and running


class AntminerMode(Way[Antminer, AntminerModeData]):
    """Mining is switched off and on by the sleep mode."""

    changes = (Mode, Suspend, Resume)
    data = AntminerModeData
    proofs = dict.fromkeys(GENERATIONS, (MODE_CONFIG, SLEEPS, WAKES, STOPS, STARTS))

    async def plan(
        self, miner: Antminer, change: Mode | Suspend | Resume
    ) -> TypedPlan[AntminerModeData] | NoChange:
        """Read the configured and the running mode; say which numbers would be tried."""
        wanted = wanted_mode(change, miner.awake_mode)
        config = await read_conf(miner)
        if isinstance(change, Resume):
            if is_old(miner) or not config.has_mode:
                wanted = PowerMode.NORMAL  # whatever it had with another firmware
            # Woken meanwhile by other hands, or by ours before a crash, it wakes into what is stored.
            wanted = _MODES.get(config.mode_number, wanted)
        reading = await running(miner)
        before = _shown(config, reading)
        numbers = _numbers(miner, change, wanted, config)
        if not config.has_mode and wanted is PowerMode.NORMAL:
            if reading is None:
                raise ServiceAwayError(
                    "its mining process does not answer, so how it runs is not seen"
                )
            return NoChange(change=change, before=before)  # a model without modes is always normal
        if isinstance(change, Resume) and _is_awake(miner, config, reading):
            return NoChange(change=change, before=before)  # in whatever mode
        slow = reading.slow if reading else None
        if wanted is PowerMode.SLEEP and slow is not None and slow.awake_mode is not None:
            before[AWAKE_MODE] = slow.awake_mode.value
        # Configured is not yet obeyed: some miners hash on in sleep until their next reboot.
        if config.mode_number in numbers and shows(wanted, reading):
            return NoChange(change=change, before=before)
        for number in numbers:
            compose(miner, config, number)  # raises what cannot be written, before anything is
        data = AntminerModeData(
            config=dict(config.fields), pools=config.pools, numbers=numbers, mode=wanted
        )
        raises = raises_power(_hashes_in(config, reading), wanted)
        return TypedPlan(change=change, before=before, data=data, raises_power=raises)

    async def apply(
        self, miner: Antminer, plan: TypedPlan[AntminerModeData], permit: Permit
    ) -> None:
        """Write the number; if the miner keeps the old one, its text; then the next number that would do.

        Raises UnsupportedModeError when the miner answers OK to each and keeps its mode, where that is how its
        firmware says no.
        """
        config = plan.data.conf
        before = config.mode_number
        if plan.data.mode is PowerMode.SLEEP and before not in (_SLEEP, _SLEEP_OLD):
            miner.awake_mode = before
        kept: str | None = before
        for number in plan.data.numbers:
            for as_text in spellings(miner):
                body = compose(miner, config, number, as_text=as_text)
                try:
                    await _write(miner, body, permit)
                except BadRequestError:
                    if as_text:
                        raise
                    continue  # refused, so nothing was stored: once more as text
                kept = await read_back(miner, number, before)
                # What differs from before is the miner's doing, and verify's to judge.
                if kept is None or kept != before or number == before:
                    return
        if plan.data.mode is PowerMode.LOW and _NORMAL not in plan.data.numbers:
            await permit.note(_KEPT_NOTE, kept)
            raise UnsupportedModeError(
                f"the miner answers OK and stays in mode {kept}: its firmware has no low power mode"
            )
        # Every firmware that has modes knows normal and sleep: verify says what became of them.

    async def verify(self, watch: _Watch) -> Evidence:
        """Look until configuration and running miner both show the mode, or no longer can."""
        miner, data = watch.miner, watch.plan.data
        proof = SLEEPS if data.mode is PowerMode.SLEEP else WAKES
        stored: conf.MinerConf | None = None  # as last read, whether or not what runs could be

        async def look() -> _Seen:
            nonlocal stored
            stored = await read_conf(miner, tries=1)
            return stored, await running(miner)

        def is_judged(seen: _Seen) -> bool:
            found, reading = seen
            if found.mode_number in data.numbers:
                return runs(data.meant_by(found.mode_number), reading, watch)
            is_late = watch.device_s >= MODE_CONFIG.latest_s
            is_kept = _KEPT_NOTE in watch.permit.notes and watch.device_s >= _SLOW_SCRIPT_S
            return is_late or is_kept

        await watch.pause(MODE_CONFIG.earliest_s)
        seen = await watch.until(look, is_judged, latest_s=proof.latest_s)
        found, reading = seen.found or (None, None)
        after, remark = _after(watch, stored, reading)
        if found is None or seen.trouble is not None:
            return watch.unknown(after, _joined(f"could not look again: {seen.trouble}", remark))
        if data.mode is PowerMode.LOW and found.mode_number == _NORMAL in data.numbers:
            remark = _joined("it did not take its low power mode, so it is on in normal", remark)
        if seen.is_enough and found.mode_number in data.numbers:
            return watch.done(proof.signal, after, remark)
        return _ran_out(watch, found, reading, after, remark)


WAY: Final = AntminerMode()


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


def compose(
    miner: Antminer, config: conf.MinerConf, number: str, *, as_text: bool = False
) -> bytes:
    """The request's body in this miner's dialect, with everything but the mode as it was."""
    if is_old(miner):
        return conf.form_body(config, config.slots, number)
    return conf.json_body(config, config.slots, number, as_text=as_text)


def spellings(miner: Antminer) -> tuple[bool, ...]:
    """Whether the number goes as text: first not, then, where that left the mode as it was, so."""
    return (False,) if is_old(miner) else (False, True)


async def running(miner: Antminer) -> Reading | None:
    """What runs now; `None` while the mining process is down."""
    return await reading_or_none(miner, Depth.SLOW)


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


def low_numbers(miner: Antminer) -> tuple[str, ...]:
    """What may mean low power, best first: images that know no 3 have a high-efficiency mode 2 instead."""
    return (_LOW,) if miner.identity.generation == NEW_GOD else (_LOW, _HIGH_EFFICIENCY)


def _numbers(
    miner: Antminer, change: Mode | Suspend | Resume, wanted: PowerMode, config: conf.MinerConf
) -> tuple[str, ...]:
    if is_old(miner):
        conf.check_layout(config)
        if wanted is PowerMode.LOW or (wanted is PowerMode.SLEEP and not config.has_mode):
            raise UnsupportedModeError(f"this model's firmware has no {wanted} mode")
        return (_SLEEP_OLD,) if wanted is PowerMode.SLEEP else (_NORMAL,)
    if isinstance(change, Resume) and config.mode_number in _MODES:
        return (config.mode_number,)
    if wanted is PowerMode.SLEEP:
        return (_SLEEP,)
    if wanted is PowerMode.NORMAL:
        return (_NORMAL,)
    if not isinstance(change, Resume):
        return low_numbers(miner)
    lows = (miner.awake_mode,) if miner.awake_mode in _LOWS else low_numbers(miner)
    # Firmware without a low mode may have come since: then on is worth more than the mode.
    return (*lows, _NORMAL)


async def _write(miner: Antminer, body: bytes, permit: Permit) -> None:
    for attempt in range(1, _BUSY_TRIES + 1):
        try:
            return await write_conf(miner, body, permit)
        except BusyError:  # its lock file says no before anything is touched
            if attempt == _BUSY_TRIES:
                raise
        await pause(miner, _BUSY_PAUSE_S)
    return None


async def read_back(miner: Antminer, number: str, before: str) -> str | None:
    """The stored mode: `number` as soon as it shows, else what is there in the end; `None` if unreadable."""
    found = await _stored_number(miner)
    # The pauses are counted and not the time: a miner that is slow to answer is slow to store as well.
    for _ in range(_READ_BACK_PAUSES):
        if found == number or found not in (None, before):
            break
        await pause(miner, LOOK_EVERY_S)
        found = await _stored_number(miner)
    return found


async def _stored_number(miner: Antminer) -> str | None:
    """The configured mode as the firmware numbers it; `None` while that cannot be read."""
    try:
        return (await read_conf(miner, tries=1)).mode_number
    except MinerError as error:
        if not is_silent(error):
            raise
        return None


def _is_awake(miner: Antminer, config: conf.MinerConf, reading: Reading | None) -> bool:
    """Whether it is certainly not asleep, nor about to be: as it is set, and by what runs."""
    if reading is None or config.mode_number == (_SLEEP_OLD if is_old(miner) else _SLEEP):
        return False
    return reading.moving.hashes and running_mode(reading) is not PowerMode.SLEEP


def _hashes_in(config: conf.MinerConf, reading: Reading | None) -> PowerMode | None:
    """The mode it hashes in; `None` where it does not, or does not tell. Older ones tell only what is configured."""
    if reading is None or not reading.moving.hashes:
        return None
    return running_mode(reading) or _MODES.get(config.mode_number)


def _ran_out(
    watch: _Watch,
    found: conf.MinerConf,
    reading: Reading | None,
    after: dict[str, Any],
    remark: str | None,
) -> Evidence:
    wanted = watch.plan.data.meant_by(found.mode_number)
    if found.mode_number not in watch.plan.data.numbers:
        reason = f"the miner's configuration stays at mode {found.mode_number}"
        return watch.not_done(MODE_CONFIG.signal, after, _joined(reason, remark))
    if reading is None:
        reason = f"{wanted} is stored, but its mining process does not answer, so how it runs is not seen"
        return watch.unknown(after, _joined(reason, remark))
    if wanted is not PowerMode.SLEEP and running_mode(reading) is wanted:
        reason = f"the mode runs, but {idleness(reading)}"
        return watch.done("running mode", after, _joined(reason, remark))
    reason = f"{wanted} is stored, but {disobedience(wanted, reading)}"
    return watch.unknown(after, _joined(reason, remark))


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
        return f"the miner hashes as before, without having started again; {later}"
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
    return bool(boards) and all(board.state is BoardState.OFF for board in boards)


def _after(
    watch: _Watch, found: conf.MinerConf | None, reading: Reading | None
) -> tuple[dict[str, Any], str | None]:
    """What evidence tells of the miner, and a remark on what else its firmware changed."""
    after = _shown(found, reading)
    if found is None:
        return after, None
    was = watch.plan.data.conf
    beside: dict[str, Any] = {
        key: [then, now] for key, (then, now) in conf.changed_beside(was, found).items()
    }
    if not conf.same_pools(was.slots, found.slots):
        beside["pools"] = "changed"
    if not beside:
        return after, None
    after["also_changed"] = beside
    return after, f"this firmware also changed {', '.join(beside)} when it saved"


def _joined(reason: str, remark: str | None) -> str:
    return f"{reason}; {remark}" if remark else reason


def _shown(config: conf.MinerConf | None, reading: Reading | None) -> dict[str, Any]:
    slow = reading.slow if reading else None
    return {
        "mode_configured": config.mode_number if config else None,
        "mode_running": slow.mode.value if slow and slow.mode else None,
        "hashrate_hs": reading.moving.hashrate_hs if reading else None,
        "uptime_s": reading.moving.uptime_s if reading else None,
    }
