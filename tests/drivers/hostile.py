"""Every way the simulator knows to misbehave, and what a driver may make of it: a truth, or a named error, in time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, Final

import msgspec

from contract.errors import MinerError, OutcomeUnknownError, WrongDeviceError
from contract.miner import Endpoint, PowerMode, Reading
from drivers.antminer.entry import ANTMINER
from drivers.base import (
    AnyChange,
    Credentials,
    Depth,
    Driver,
    FirmwareUpdate,
    Light,
    Mode,
    NoChange,
    Plan,
    Pools,
    PoolSetting,
    Reboot,
    Timing,
)
from drivers.registry import recognise
from drivers.stranger import Stranger
from simulator.farm import Farm
from simulator.faults import KNOWN
from tests.drivers.effects import MemoryEffect
from tests.virtual_time import VirtualClock

ROOT: Final = Credentials("root", "root")
TIMING: Final = Timing(connect_s=1.0, read_s=1.0, write_s=1.5, log_s=2.0, upload_s=3.0)
LOG_CAP_BYTES: Final = 4 * 2**20
LOOK_EXCHANGES: Final = 24  # more than any look makes: each of them has its own deadline
SLACK_S: Final = 8.0  # of a host that has other things to do

Spec = dict[str, Any]
LINE: Final[tuple[Spec, ...]] = (
    {"fault": "dead"},
    {"fault": "refuses_4028"},
    {"fault": "hangs"},
    {"fault": "cuts"},
    {"fault": "cuts", "bytes": 0},
    {"fault": "cuts", "bytes": 400},
    {"fault": "drips", "interval": 0.05},
    {"fault": "endless"},
    {"fault": "huge_json"},
    {"fault": "gzip_bomb"},
    {"fault": "redirect", "to": "http://127.0.0.1:9/"},
    {"fault": "resets"},
    *(
        {"fault": "garbage", "variant": variant}
        for variant in ("nan", "1e999", "nested", "binary", "truncated", "html", "empty")
    ),
)
_VARIANTS: Final[dict[str, tuple[Spec, ...]]] = {
    "silent_apply": ({}, {"close": True}),
    "dies_after_write": ({}, {"applied": True}, {"applied": True, "for_s": 60}, {"for_s": 60}),
    "slow_cgi": ({"seconds": 0.3}, {"seconds": 5}),
    "bad_config": tuple(
        {"variant": variant} for variant in ("missing_pools", "broken", "colon_comma", "empty")
    ),
    "changes_mac": ({"mac": "02:11:22:33:44:55"},),
    "lies_uptime": tuple({"variant": each} for each in ("never_restarts", "jumps", "constant")),
    "json_slips": tuple(
        {"variant": each} for each in ("leading_comma", "trailing_comma", "raw_newline")
    ),
    "mode_as_string": ({}, {"answer": 400}),
    "locked_pools": ({}, {"variant": "spoilt"}),
    "plain_unknown": ({}, {"variant": "bare"}),
    "platform_type": ({}, {"text": ""}),
    "rate_unit_ths": ({}, {"legacy": True}),
    "pools_dead": ({}, {"word": "Deed"}),
    "reboot_post_only": ({}, {"answer": 404}),
    "unauthorized_after": ({"requests": 0}, {"requests": 3}),
    "nonce_expires": ({}, {"requests": 3}),
    "big_log": ({"bytes": 8 * 2**20},),
}
_LINE_NAMES: Final = {spec["fault"] for spec in LINE}
QUIRKS: Final[tuple[Spec, ...]] = tuple(
    {"fault": name, **variant}
    for name in KNOWN
    if name not in _LINE_NAMES
    for variant in _VARIANTS.get(name, ({},))
)


class Trial(msgspec.Struct):
    """One miner that misbehaves from a moment on, and what is asked of it. `moment`: plan, apply or verify."""

    key: str
    spec: Spec
    change: str | None = None  # None: the looks, one after the other
    moment: str = "plan"

    def __str__(self) -> str:
        fault = " ".join(str(value) for value in self.spec.values())
        return f"{self.key} {fault}: {self.change or 'looks'} from {self.moment}"


class Verdicts(msgspec.Struct):
    """What came out. `wrong` lists each break of a promise; `outcomes` how the changes ended."""

    trials: int = 0
    wrong: list[str] = []
    outcomes: dict[str, int] = {}
    errors: dict[str, int] = {}

    def table(self) -> str:
        def line(counts: dict[str, int]) -> str:
            return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))

        return (
            f"{self.trials} trials with misbehaving miners\n"
            f"  changes ended as: {line(self.outcomes)}\n  named errors: {line(self.errors)}\n"
            f"  promises broken: {len(self.wrong)}"
        )


CHANGES: Final = ("light", "mode", "pools", "reboot", "firmware")


async def run(trials: Iterable[Trial], folder: Path, *, base: str, at_once: int = 12) -> Verdicts:
    """Carry out all trials, each on a miner of its own."""
    trials = list(trials)
    keys = ",".join(f"antminer/{trial.key}" for trial in trials)
    verdicts = Verdicts(trials=len(trials))
    gate = asyncio.Semaphore(at_once)

    async def one(trial: Trial, miner: Any) -> None:
        async with gate:
            await _Bench(trial, miner, folder, verdicts).run()

    async with (
        await Farm.start(keys, base=base) as farm,
        asyncio.TaskGroup() as group,
    ):
        for trial, miner in zip(trials, farm.miners, strict=True):
            group.create_task(one(trial, miner))
    return verdicts


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


# --- private -------------------------------------------------------------------------------------


class _Bench:
    def __init__(self, trial: Trial, miner: Any, folder: Path, verdicts: Verdicts) -> None:
        self._trial = trial
        self._miner = miner
        self._folder = folder
        self._verdicts = verdicts

    async def run(self) -> None:
        if self._trial.change is None:
            await self._looks()
        else:
            await self._change(self._trial.change)

    def _misbehave(self, moment: str) -> None:
        if self._trial.moment == moment:
            spec = dict(self._trial.spec)
            self._miner.faults.add(spec.pop("fault"), **spec)

    async def _looks(self) -> None:
        healthy = await self._meet()
        self._misbehave("plan")
        met = await self._within("recognise", LOOK_EXCHANGES * TIMING.read_s, self._meet)
        for driver in (healthy, met):
            if driver is None or isinstance(driver, Stranger):
                continue
            for depth in Depth:
                seen = await self._within(
                    f"read {depth}",
                    LOOK_EXCHANGES * TIMING.read_s,
                    lambda d=driver, e=depth: d.read(e),
                )
                if isinstance(seen, Reading):
                    msgspec.json.encode(seen)
        assert not isinstance(healthy, Stranger)
        log = await self._within(
            "get_log",
            2 * (TIMING.log_s + TIMING.read_s),
            lambda: healthy.get_log(self._folder / self._miner.ip, size_cap_bytes=LOG_CAP_BYTES),
        )
        left = sum(path.stat().st_size for path in (self._folder / self._miner.ip).glob("*"))
        if left != (log.size_bytes if log else 0) or left > LOG_CAP_BYTES:
            self._wrong(f"get_log left {left} bytes on disk")

    async def _meet(self) -> Driver | Stranger:
        endpoint = Endpoint(
            host=self._miner.ip, http_port=self._miner.http_port, rpc_port=self._miner.rpc_port
        )
        return await recognise(
            endpoint, clock=VirtualClock(), timing=TIMING, credentials=lambda _: ROOT
        )

    async def _change(self, name: str) -> None:
        driver = await self._meet()
        assert not isinstance(driver, Stranger)
        change = await asyncio.to_thread(_wish, name, self._miner, self._folder)
        before = _state(name, self._miner)
        self._misbehave("plan")
        plan = await self._within(
            "plan", 3 * LOOK_EXCHANGES * TIMING.read_s, lambda: driver.plan(change)
        )
        if plan is None or isinstance(plan, NoChange):
            if isinstance(plan, NoChange) and not _is_as_wished(name, self._miner, before):
                self._wrong("says that nothing is to be done")
            self._count("no plan")
            return
        permit = MemoryEffect(VirtualClock())
        self._misbehave("apply")
        failed = await self._apply(driver, plan, permit)
        if failed:
            if _is_as_wished(name, self._miner, before):  # a refusal says that nothing was done
                self._wrong(f"{type(failed).__name__} ({failed}), but the miner did it")
            self._count(f"refused ({failed.code})")
            return
        self._misbehave("verify")
        window_s = _latest_s(change)
        evidence = await self._within(
            "verify",
            window_s + LOOK_EXCHANGES * TIMING.read_s,
            lambda: driver.verify(plan, permit),
            errors=False,
        )
        if evidence is None:
            return
        self._count(f"{evidence.outcome}{'' if evidence.verified else ' (unverified)'}")
        is_so = _is_as_wished(name, self._miner, before)
        if evidence.outcome == "done" and not is_so:
            self._wrong(f"false done: {evidence}")
        if evidence.outcome == "not_done" and is_so:
            self._wrong(f"false not_done: {evidence}")

    async def _apply(self, driver: Driver, plan: Plan, permit: MemoryEffect) -> MinerError | None:
        most_s = 4 * TIMING.write_s + TIMING.upload_s + LOOK_EXCHANGES * TIMING.read_s
        began = asyncio.get_running_loop().time()
        try:
            await driver.apply(plan, permit)
        except OutcomeUnknownError:
            return None  # what the agent does next is to look
        except MinerError as error:
            self._errors(error)
            return error
        except Exception as error:  # noqa: BLE001 - the very thing to be found
            self._wrong(f"apply raised {error!r}")
        finally:
            took_s = asyncio.get_running_loop().time() - began
            if took_s > most_s + SLACK_S:
                self._wrong(f"apply took {took_s:.1f} s")
        return None

    async def _within(
        self,
        what: str,
        most_s: float,
        work: Callable[[], Awaitable[Any]],
        *,
        errors: bool = True,
    ) -> Any:
        began = asyncio.get_running_loop().time()
        try:
            return await work()
        except MinerError as error:
            self._errors(error)
            # That somebody else seems to answer is all that `verify` may raise: it proves nothing either way.
            if not errors and not isinstance(error, WrongDeviceError):
                self._wrong(f"{what} raised {error!r}")
        except Exception as error:  # noqa: BLE001 - the very thing to be found
            self._wrong(f"{what} raised {error!r}")
        finally:
            took_s = asyncio.get_running_loop().time() - began
            if took_s > most_s + SLACK_S:
                self._wrong(f"{what} took {took_s:.1f} s")
        return None

    def _errors(self, error: MinerError) -> None:
        name = type(error).__name__
        self._verdicts.errors[name] = self._verdicts.errors.get(name, 0) + 1

    def _count(self, outcome: str) -> None:
        what = f"{self._trial.change}: {outcome}"
        self._verdicts.outcomes[what] = self._verdicts.outcomes.get(what, 0) + 1

    def _wrong(self, what: str) -> None:
        self._verdicts.wrong.append(f"{self._trial}: {what}")


_URLS: Final = ("stratum+tcp://one.example:3333", "stratum+tcp://two.example:3333")


def _wish(name: str, miner: Any, folder: Path) -> AnyChange:
    match name:
        case "light":
            return Light(on=True)
        case "mode":
            return Mode(mode=PowerMode.SLEEP)
        case "pools":
            return Pools(pools=tuple(PoolSetting(url=url, user="wallet.rig") for url in _URLS))
        case "reboot":
            return Reboot(force=True)
        case _:
            path = folder / f"{miner.ip}.image"
            path.write_bytes(miner.newer_image())
            return FirmwareUpdate(path=str(path))


def _state(name: str, miner: Any) -> Any:
    """What a change is about, as the device itself has it."""
    match name:
        case "light":
            return miner.blinking
        case "mode":
            return miner.state
        case "pools":
            return tuple(pool["url"] for pool in miner.conf["pools"] if pool["url"])
        case "reboot":
            return miner.boot
        case _:
            return miner.firmware_version


def _is_as_wished(name: str, miner: Any, before: Any) -> bool:
    now = _state(name, miner)
    match name:
        case "light":
            return bool(now)
        case "mode":
            return now == "sleeping"
        case "pools":
            return now == _URLS
        case _:
            return now != before


def _latest_s(change: AnyChange) -> float:
    """The longest proof window of this kind of change, in seconds of the device."""
    kind = str(change.__struct_config__.tag)
    known = ANTMINER.generations.values()
    return max(proof.latest_s for found in known for proof in found.proofs if proof.change == kind)
