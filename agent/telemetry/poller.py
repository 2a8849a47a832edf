"""Looks at every known miner again and again: a fixed number of workers over one schedule."""

from __future__ import annotations

import asyncio
import heapq
import random
from collections import deque
from typing import Final

import msgspec
import structlog

from agent.config.miners import TelemetrySection
from agent.miners.fleet import Fleet
from agent.telemetry.buffer import ReadingBuffer
from agent.telemetry.observation import Observation, is_other_device, look, message
from contract.clock import Clock
from contract.errors import ErrorCode, MinerError
from contract.miner import PowerMode, Reading, Slow, Static
from drivers.base import Depth, Driver

log = structlog.get_logger(__name__)
_LOOKS_AFTER_TASK: Final = 3
_UNSURE_MOST: Final = 3
_ASKED_AFTER: Final = frozenset(2**n for n in range(1, 17))  # failures in a row
_TICK_S: Final = 0.02  # what is due within this time is begun together


class PollPlan(msgspec.Struct, gc=False):
    """When a miner is due, and what was last seen and said of it."""

    due_mono: float
    failures: int = 0
    polls: int = 0
    slow_looks: int = 0  # how many of the next looks go deeper, since something happened
    full_mono: float = float("-inf")
    firmware: str | None = None  # as identified, when it was last looked at in full
    uptime_s: float | None = None
    slow: Slow | None = None
    static: Static | None = None
    login_refused: bool = False
    unsure: int = 0  # looks in a row at what hides the MAC that it told before


class PollerStats(msgspec.Struct):
    """Counts since the start."""

    looks: int = 0
    failed: int = 0
    skipped: int = 0  # the miner was busy with a task


class Poller:
    """Polls. Miners that failed last time have workers of their own, so that dead ones, however many, never
    delay living ones; they are asked less and less often.
    """

    def __init__(
        self,
        fleet: Fleet,
        buffer: ReadingBuffer,
        section: TelemetrySection,
        clock: Clock,
        *,
        timeout_s: float,
        rng: random.Random | None = None,
    ) -> None:
        self._fleet = fleet
        self._buffer = buffer
        self._section = section
        self._clock = clock
        self._timeout_s = timeout_s
        self._rng = rng or random.Random()
        self._interval_s = max(section.interval_s, section.min_interval_s)
        self._plans: dict[str, PollPlan] = {}
        self._heap: list[tuple[float, str]] = []
        self._healthy: asyncio.Queue[str] = asyncio.Queue()
        self._suspect: asyncio.Queue[str] = asyncio.Queue()
        self._wake = asyncio.Event()
        self.stats = PollerStats()
        self.lags_s: deque[float] = deque(maxlen=2000)  # how late the last looks began
        fleet.members.on_joined.append(self.join)
        fleet.on_task.append(self.expect_change)

    @property
    def interval_s(self) -> float:
        return self._interval_s

    @property
    def login_refused(self) -> list[str]:
        """The addresses whose miners refuse our login, by the last look that needed it."""
        return [ip for ip, plan in self._plans.items() if plan.login_refused]

    def set_interval(self, seconds: float) -> None:
        """What the cloud would like, above the local floor. Holds from each miner's next look on."""
        self._interval_s = max(seconds, self._section.min_interval_s)

    def join(self, ip: str) -> None:
        """Look at this miner from now on; the first time somewhere within one interval."""
        if ip not in self._plans:
            self._plan(ip, PollPlan(0.0), self._rng.uniform(0.0, self._interval_s))

    def expect_change(self, ip: str) -> None:
        """Somebody is about to change this miner: look deeper the next times, and look again even if it
        had been silent.
        """
        plan = self._plans.get(ip)
        if plan is not None:
            plan.slow_looks = _LOOKS_AFTER_TASK
            plan.failures = min(plan.failures, 1)

    def hurry(self, ip: str) -> None:
        """Look at this miner now: it was just found here."""
        plan = self._plans.get(ip)
        if plan is not None:
            self._plan(ip, plan, 0.0)

    def take_scanned(self, ip: str, seen: Observation) -> None:
        """A scan has just read this miner and sent all of it to the cloud."""
        plan = self._plans.get(ip)
        if plan is not None and seen.reading is not None:
            self._note_login(ip, plan, seen)
            self._remember(ip, plan, seen)
            plan.full_mono = self._clock.mono()
            driver = self._fleet.at(ip)
            plan.firmware = driver.identity.firmware_version if driver else None

    async def run(self) -> None:
        """Poll until cancelled."""
        suspects = max(1, self._section.workers // 4)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_time(), name="telemetry-timer")
            for number in range(self._section.workers):
                lane = self._suspect if number < suspects else self._healthy
                group.create_task(self._work(lane), name=f"telemetry-{number}")
            if self._section.workers == 1:  # one worker serves one lane, so the other needs its own
                group.create_task(self._work(self._healthy), name="telemetry-1")

    async def _keep_time(self) -> None:
        while True:
            now = self._clock.mono()
            while self._heap and self._heap[0][0] <= now + _TICK_S:
                due, ip = heapq.heappop(self._heap)
                plan = self._plans.get(ip)
                if plan is not None and plan.due_mono == due:
                    (self._suspect if plan.failures else self._healthy).put_nowait(ip)
            wait_s = self._heap[0][0] - now if self._heap else 3600.0
            self._wake.clear()
            try:
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _work(self, lane: asyncio.Queue[str]) -> None:
        while True:
            ip = await lane.get()
            plan, driver = self._plans.get(ip), self._fleet.at(ip)
            if plan is None or driver is None:
                # It moved or was replaced, and joins again where it is found.
                if plan is None or not self._fleet.members.was_left(ip):
                    self._plans.pop(ip, None)
                else:
                    await self._look_back(ip, plan)
                continue
            self.lags_s.append(max(0.0, self._clock.mono() - plan.due_mono))
            try:
                await self._poll(ip, plan, driver)
            except Exception:
                # our own bug on one miner must not end the looking at all others
                plan.failures += 1
                log.exception("telemetry.bug", ip=ip)
            self._plan(ip, plan, self._next_in_s(plan, driver))

    async def _look_back(self, ip: str, plan: PollPlan) -> None:
        """Its miner was found elsewhere. It may have been another one all along that restarts: then it comes back."""
        await self._ask_who(ip)
        if self._fleet.at(ip) is None:
            plan.failures += 1
            self._plan(ip, plan, self._back_off_s(plan, self._interval_s))
        else:
            self._plan(ip, PollPlan(0.0), 0.0)

    async def _ask_who(self, ip: str) -> None:
        """Have it say again who it is. What is wrong with it, a look will show."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._fleet.look_at(ip)
        except (MinerError, TimeoutError) as error:
            log.info("telemetry.not_asked", ip=ip, error=str(error)[:200])
        except Exception:
            log.exception("telemetry.bug", ip=ip)  # of ours, on one miner

    async def _poll(self, ip: str, plan: PollPlan, driver: Driver) -> None:
        if self._fleet.members.twins(ip):  # until it, or another one, is seen to be gone
            await self._ask_who(ip)
            if self._fleet.at(ip) is not driver:
                return
        depth = self._depth(plan, driver)
        seen = await look(driver, depth, timeout_s=self._timeout_s)
        if seen is not None and seen.reading is None and self._fleet.at(ip) is not driver:
            return  # it was found elsewhere meanwhile: nothing is said of it here
        if seen is not None and self._is_doubtful(ip, plan, driver, seen):
            await self._ask_who(ip)
            if self._fleet.at(ip) is not driver or self._is_other_device(ip, driver, seen):
                log.info("telemetry.dropped", ip=ip)
                # Whoever it is now is looked at as if it were new.
                plan.failures, plan.uptime_s, plan.full_mono = 0, None, float("-inf")
                return
            # One that refuses our login, or is off, is not one that boots: that is told at once.
            is_clear = seen.error == ErrorCode.AUTH_FAILED or _is_off(plan, seen)
            if self._fleet.members.hides_mac(ip) and not is_clear and plan.unsure < _UNSURE_MOST:
                plan.unsure += 1
                return
        if not self._fleet.members.hides_mac(ip):
            plan.unsure = 0
        if seen is None:
            self.stats.skipped += 1
            return
        self.stats.looks += 1
        plan.polls += 1
        plan.slow_looks = max(0, plan.slow_looks - 1)
        said = self._note_login(ip, plan, seen)
        if seen.reading is None:
            self.stats.failed += 1
            plan.failures += 1
            plan.slow_looks = max(plan.slow_looks, 1)
            if plan.failures == 1 and not said:
                log.info("telemetry.lost", ip=ip, error=seen.error, problem=seen.problem)
            self._say(driver, seen, None, None)
            if seen.error == ErrorCode.UNREACHABLE:
                self._fleet.members.note_silence(ip)
            elif seen.error != ErrorCode.AUTH_FAILED and plan.failures in _ASKED_AFTER:
                await self._ask_who(ip)  # another make may be there, which this driver cannot read
            return
        self._fleet.members.note_answer(ip)
        if plan.failures and not said:
            log.info("telemetry.back", ip=ip, failures=plan.failures)
        if depth is Depth.FULL:
            plan.full_mono = self._clock.mono()
            plan.firmware = driver.identity.firmware_version
        before_slow, before_static = plan.slow, plan.static
        self._remember(ip, plan, seen)
        self._say(
            driver,
            seen,
            None if plan.slow == before_slow and depth is not Depth.FULL else seen.reading.slow,
            None
            if plan.static == before_static and depth is not Depth.FULL
            else seen.reading.static,
        )

    def _remember(self, ip: str, plan: PollPlan, seen: Observation) -> None:
        reading = seen.reading
        assert reading is not None
        plan.failures = 0
        if reading.slow is not None and reading.slow.awake_mode is not None:
            self._fleet.note_awake_mode(ip, reading.slow.awake_mode)
        self._fleet.note_cards(ip)
        if reading.slow is not None:
            self._fleet.keep_set_percent(ip)
        plan.slow = reading.slow or plan.slow
        plan.static = reading.static or plan.static
        if _has_restarted(plan, reading):
            plan.slow_looks = max(plan.slow_looks, 1)  # modes and faults may be new
        plan.uptime_s = reading.moving.uptime_s

    def _note_login(self, ip: str, plan: PollPlan, seen: Observation) -> bool:
        """Say once that a miner refuses our login, and once that it takes it again. Whether it was said now."""
        if seen.error == ErrorCode.AUTH_FAILED:
            refused = True
        elif seen.reading is not None and seen.reading.slow is not None:
            refused = False  # for these facts one has to log in, if for any
        else:
            return False  # this look did not need it
        self._fleet.note_login(ip, refused=refused)
        if refused == plan.login_refused:
            return False
        plan.login_refused = refused
        if refused:
            log.warning("telemetry.login_refused", ip=ip, problem=seen.problem)
        else:
            log.info("telemetry.login_taken", ip=ip)
        return True

    def _say(
        self, driver: Driver, seen: Observation, slow: Slow | None, static: Static | None
    ) -> None:
        ip = driver.endpoint.host
        self._buffer.add(
            message(
                driver,
                seen,
                self._clock,
                presumed_mac=self._presumed_mac(ip, seen),
                slow=slow,
                slow_unchanged=slow is None
                and seen.reading is not None
                and seen.reading.slow is not None,
                static=static,
                interval_s=self._interval_of(driver),
                twin_ips=self._fleet.members.twins(ip),
            )
        )

    def _is_doubtful(self, ip: str, plan: PollPlan, driver: Driver, seen: Observation) -> bool:
        """Whether another miner may be there now: it tells another MAC; or it tells none with its looks, and was away,
        began again, or was long not asked. After a power cut a whole farm may find itself at other addresses.
        """
        if seen.reading is None:
            return False
        if seen.reading.mac is not None:
            return self._is_other_device(ip, driver, seen)
        return (
            plan.failures > 0
            or _has_restarted(plan, seen.reading)
            or (self._fleet.members.hides_mac(ip) and self._presumed_mac(ip, seen) is None)
            or self._fleet.members.identified_ago_s(ip) > self._section.full_every_s
            or self._is_other_device(ip, driver, seen)
        )

    def _presumed_mac(self, ip: str, seen: Observation) -> str | None:
        """Under which MAC a miner is told of that tells none, since it does not mine."""
        if seen.reading is None or seen.reading.moving.hashes:
            return None
        return self._fleet.members.presumed_mac(ip)

    def _is_other_device(self, ip: str, driver: Driver, seen: Observation) -> bool:
        return is_other_device(driver, seen, self._fleet.members.mac_at(ip))

    def _depth(self, plan: PollPlan, driver: Driver) -> Depth:
        if self._clock.mono() - plan.full_mono >= self._section.full_every_s:
            return Depth.FULL
        if plan.firmware != driver.identity.firmware_version:  # what it says of itself is new, too
            return Depth.FULL
        if plan.slow_looks or plan.polls % self._section.slow_every_polls == 0:
            return Depth.SLOW
        if plan.login_refused:  # only a look that needs the login tells whether it still is
            return Depth.SLOW
        return Depth.MOVING

    def _interval_of(self, driver: Driver) -> float:
        """The interval of this miner: some bear it only less often than the others are asked."""
        return max(self._interval_s, driver.min_interval_s)

    def _next_in_s(self, plan: PollPlan, driver: Driver) -> float:
        interval_s = self._interval_of(driver)
        if not plan.failures:
            # counted from when it was due, so that the spread over the interval stays; never in the past
            late_s = self._clock.mono() - plan.due_mono
            least_s = max(self._section.min_interval_s, driver.min_interval_s)
            return max(least_s, interval_s - late_s)
        return self._back_off_s(plan, interval_s)

    def _back_off_s(self, plan: PollPlan, interval_s: float) -> float:
        longest_s = max(interval_s, self._section.backoff_max_s)
        back_off_s = min(longest_s, interval_s * 2.0 ** min(plan.failures - 1, 16))
        return back_off_s * self._rng.uniform(0.75, 1.25)

    def _plan(self, ip: str, plan: PollPlan, in_s: float) -> None:
        plan.due_mono = self._clock.mono() + in_s
        self._plans[ip] = plan
        heapq.heappush(self._heap, (plan.due_mono, ip))
        if self._heap[0][1] == ip:
            self._wake.set()


def _is_off(plan: PollPlan, seen: Observation) -> bool:
    """Whether it says that it was stopped, with this look or the last that asked."""
    slow = (seen.reading and seen.reading.slow) or plan.slow
    return slow is not None and slow.mode is PowerMode.SLEEP


def _has_restarted(plan: PollPlan, reading: Reading) -> bool:
    """Whether it restarted since the last look."""
    uptime_s = reading.moving.uptime_s
    return uptime_s is not None and plan.uptime_s is not None and uptime_s < plan.uptime_s
