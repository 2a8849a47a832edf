"""What is wrong, from what the daemon knows: no miner is asked for it. Its size does not grow with the farm."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from agent.host.heartbeat import Heart
from agent.host.version import agent_version
from agent.local.progress import phase
from agent.local.socket import Known
from agent.miners.fleet import Fleet
from agent.miners.inventory import key_of
from agent.tasks.path import TaskPath
from agent.telemetry.buffer import ReadingBuffer
from agent.telemetry.latest import LatestLook, LatestLooks
from agent.telemetry.poller import Poller
from contract.clock import Clock, to_text
from contract.condition.causes import MinerPlace, subnet_of
from contract.condition.judgement import (
    MinerCondition,
    MinerFacts,
    MinerState,
    MinerTrouble,
    WantedPools,
    condition_of,
    usual_pools,
)
from contract.condition.summary import Summary, kind_of_rate
from contract.miner import Algorithm, Identity

STATUS: Final = "agent.status"  # as a request on this host names it
OK: Final = "ok"
_STALE_INTERVALS: Final = 3.0
_STALE_LEAST_S: Final = 900.0  # longer than the longest that a silent miner is left alone
_AT_ONCE: Final = 250  # miners that are judged before the loop goes on with other things
_TASKS_SHOWN: Final = 10
_NOTICES_SHOWN: Final = 20


class FarmStatus:
    """Puts it together, each time it is asked for."""

    def __init__(
        self,
        fleet: Fleet,
        looks: LatestLooks,
        telemetry: Poller,
        path: TaskPath,
        buffer: ReadingBuffer,
        heart: Heart,
        clock: Clock,
        *,
        sinks: Callable[[], Mapping[str, str]],
        notices: Callable[[], Sequence[str]],
        journal_depth: Callable[[], int],
        release: str,
    ) -> None:
        """`sinks`: how each of them is. `journal_depth`: reports that the cloud does not have yet. `release`: the
        sha256 of the one that runs, empty for what is none.
        """
        self._fleet = fleet
        self._looks = looks
        self._telemetry = telemetry
        self._path = path
        self._buffer = buffer
        self._heart = heart
        self._clock = clock
        self._sinks = sinks
        self._notices = notices
        self._journal_depth = journal_depth
        self._release = release

    async def document(self) -> dict[str, Any]:
        """As plain values. `ok`: nothing at all is wrong."""
        summary, shown = await self._summary()
        sinks, notices, link = dict(self._sinks()), list(self._notices()), self._link()
        is_ok = not summary.wrong and link["state"] == OK and not notices
        return {
            "ok": is_ok and all(state == OK for state in sinks.values()),
            "at": to_text(self._clock.now()),
            "agent": {"version": agent_version(), "release_sha256": self._release or None},
            "miners": {
                "total": summary.total,
                "wrong": summary.wrong,
                "states": {
                    each.value: summary.states[each] for each in MinerState if summary.states[each]
                },
                "troubles": {
                    each.value: summary.troubles[each]
                    for each in MinerTrouble
                    if summary.troubles[each]
                },
            },
            "rates": [
                msgspec.to_builtins(each)
                | {"realization": each.realization, "efficiency_j_per_th": each.efficiency}
                for each in summary.rates[:_TASKS_SHOWN]
            ],
            "power": msgspec.to_builtins(summary.power),
            "worst": [self._row(ip, shown[ip]) for ip in summary.worst],
            "causes": [each.words for each in summary.causes()],
            "tasks": self._tasks(),
            "cloud": link,
            "sinks": sinks,
            "read_only": self._path.policy.rules.read_only,
            "notices": notices[:_NOTICES_SHOWN],
        }

    async def _summary(self) -> tuple[Summary[str], dict[str, MinerCondition]]:
        """All miners, and the condition of the worst of them."""
        summary: Summary[str] = Summary()
        conditions: dict[str, MinerCondition] = {}
        wanted, refused = self._wanted_pools(), set(self._telemetry.login_refused)
        maintained = self._path.maintenance.keys
        for number, ip in enumerate(self._fleet, 1):
            driver = self._fleet.at(ip)
            if driver is None:
                continue  # it left meanwhile
            latest = self._looks.at(ip)
            algorithm, identity = _algorithm(latest), driver.identity
            mac = identity.mac or self._fleet.members.hidden_mac_at(ip)
            condition = condition_of(
                self._facts(
                    ip,
                    latest,
                    wanted.get(algorithm or ""),
                    login_refused=ip in refused,
                    in_maintenance=key_of(mac, ip) in maintained,
                )
            )
            place = MinerPlace(
                subnet=subnet_of(ip),
                pool=latest.look.pool if latest else None,
                firmware=_firmware(identity),
                model=identity.model,
            )
            summary.add(ip, condition, place, kind_of_rate(algorithm, identity.model))
            if condition.symptoms:
                conditions[ip] = condition
            if not number % _AT_ONCE:
                await asyncio.sleep(0)
        return summary, conditions

    def _facts(
        self,
        ip: str,
        latest: LatestLook | None,
        wanted: WantedPools | None,
        *,
        login_refused: bool,
        in_maintenance: bool,
    ) -> MinerFacts:
        twins = self._fleet.members.twins(ip)
        if latest is None:
            return MinerFacts(
                login_refused=login_refused, twin_ips=twins, in_maintenance=in_maintenance
            )
        now = self._clock.mono()
        unseen_s = now - latest.looked_mono
        is_stale = unseen_s > max(_STALE_LEAST_S, _STALE_INTERVALS * latest.interval_s)
        answered_mono = latest.answered_mono
        silent_s = None if answered_mono is None else now - answered_mono
        return MinerFacts(
            look=latest.look,
            answers=latest.answers,
            is_stale=is_stale,
            silent_s=unseen_s if is_stale else silent_s,
            error=latest.error,
            login_refused=login_refused,
            twin_ips=twins,
            in_maintenance=in_maintenance,
            wanted=wanted,
        )

    def _wanted_pools(self) -> dict[str, WantedPools]:
        counts: Counter[tuple[str, str]] = Counter()
        for ip in self._fleet:
            latest = self._looks.at(ip)
            if latest is None or latest.look.state is not MinerState.HASHING or not latest.answers:
                continue
            algorithm = _algorithm(latest)
            # Those that have no name of their own here are many: what one of them mines says nothing of another.
            if latest.look.pool is not None and algorithm != Algorithm.OTHER:
                counts[algorithm or "", latest.look.pool] += 1
        return usual_pools(counts)

    def _row(self, ip: str, condition: MinerCondition) -> dict[str, Any]:
        driver = self._fleet.at(ip)
        identity = driver.identity if driver else None
        return {
            "ip": ip,
            "mac": identity.mac if identity else None,
            "model": identity.model if identity else None,
            "state": condition.state.value,
            "troubles": [each.trouble.value for each in condition.symptoms],
            "words": condition.words,
        }

    def _tasks(self) -> dict[str, Any]:
        """Those that are under way, the oldest first."""
        dispatcher = self._path.dispatcher
        held = sorted(dispatcher.held, key=lambda each: each.record.accepted_at)
        phases = [phase(each, dispatcher.before(each)) for each in held]
        return {
            "total": len(held),
            "phases": dict(Counter(phases).most_common(_TASKS_SHOWN)),
            "oldest": [
                {
                    "task_id": each.id,
                    "name": each.record.name,
                    "ip": each.record.miner.last_ip if each.record.miner else None,
                    "origin": each.record.origin,
                    "since": to_text(each.record.accepted_at),
                    "phase": words,
                }
                for each, words in zip(held[:_TASKS_SHOWN], phases, strict=False)
            ],
        }

    def _link(self) -> dict[str, Any]:
        heard_mono = self._heart.heard_mono
        return {
            "state": self._heart.state,
            "heard_s": None if heard_mono is None else round(self._clock.mono() - heard_mono, 1),
            "lease_left_s": round(self._path.lease_left_s, 1),
            "reports_waiting": self._journal_depth(),
            "readings_waiting": self._buffer.depth,
            "readings_dropped": self._buffer.dropped,
        }


class LocalAnswer:
    """A request that is answered at once from what is known; `agent.local.socket.LocalTask`."""

    def __init__(self, status: FarmStatus) -> None:
        self._status = status

    async def result(self) -> dict[str, Any]:
        return await self._status.document()

    def known(self) -> Known:
        return Known()

    def phase(self) -> str:
        return "looking it up"

    def recall(self) -> None:
        """Nothing is begun by it."""


def _algorithm(latest: LatestLook | None) -> str | None:
    if latest is None or latest.static is None or latest.static.algorithm is None:
        return None
    return latest.static.algorithm.value


def _firmware(identity: Identity) -> str:
    return " ".join(filter(None, (identity.firmware.value, identity.firmware_version)))
