"""What the demo asks for, of whom, and how each task must end."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import msgspec

from agent.demo.stage import SimulatedMiner
from contract.task import TaskName


class Cast(msgspec.Struct, frozen=True):
    """Who plays what: `dead` stops answering after the scan, `liar` says OK and does nothing, `foreign` runs
    somebody else's firmware, the `frozen` have firmware too old to be changed, the `monitored` and the `host` (the rig
    that the agent runs on) do as a Mining Rig Monitor wishes and are left alone by the rest, the `rig` is reached by
    SSH; the others are honest.
    """

    honest: tuple[SimulatedMiner, ...]
    dead: SimulatedMiner
    liar: SimulatedMiner
    foreign: SimulatedMiner
    frozen: tuple[SimulatedMiner, ...]
    monitored: tuple[SimulatedMiner, ...]
    rig: SimulatedMiner
    host: SimulatedMiner

    def role(self, miner: SimulatedMiner) -> str:
        """`honest`, `dead`, `liar`, `foreign` or `frozen`."""
        for name in ("dead", "liar", "foreign"):
            if getattr(self, name) == miner:
                return name
        return "frozen" if miner in self.frozen else "honest"

    def of(self, make: str, *keys: str) -> tuple[SimulatedMiner, ...]:
        """The honest miners of a make, or those of them that are of these kinds."""
        return tuple(
            each for each in self.honest if each.make == make and (not keys or each.key in keys)
        )


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """One batch. `expected` gives the error code a miner's task must end with, `None` for success."""

    note: str
    name: TaskName
    params: dict[str, Any] | None = None
    who: tuple[SimulatedMiner, ...] | None = None  # None: the agents of the farm
    expected: Callable[[SimulatedMiner], str | None] = lambda _miner: None
    agent_expected: str | None = None
    skipped: dict[str, int] = {}  # how many miners the cloud leaves out, by reason


_BY_ROLE = {
    "honest": None,
    "dead": "unreachable",
    "liar": "not_verified",
    "frozen": "unsupported",
}
_FROZEN = "legacy"


def cast(miners: tuple[SimulatedMiner, ...], monitored_macs: Collection[str] = ()) -> Cast:
    """Give the parts: the liar and the dead one are of the newest generation, where a lie is easiest."""
    monitored = tuple(each for each in miners if each.mac in monitored_macs)
    own = [each for each in miners if not (each.foreign or each.is_rig or each in monitored)]
    rig, host = (each for each in miners if each.is_rig)
    newest = [each for each in own if each.generation == "new-bm"]
    liar, dead = newest[0], newest[-1]
    frozen = tuple(each for each in own if each.generation == _FROZEN)
    return Cast(
        honest=tuple(each for each in own if each not in (liar, dead, *frozen)),
        frozen=frozen,
        monitored=monitored,
        dead=dead,
        liar=liar,
        foreign=next(each for each in miners if each.foreign),
        rig=rig,
        host=host,
    )


def acts(cast: Cast, firmware_url: Callable[[SimulatedMiner], str]) -> list[Act]:
    """Every task name of the mission; reboot twice. Slow tasks go to different miners, so that they
    run side by side; on one miner tasks run in the order of this list.
    """

    def by_role(miner: SimulatedMiner) -> str | None:
        return _BY_ROLE[cast.role(miner)]

    def refused_if_honest(miner: SimulatedMiner) -> str | None:
        return "policy_refused" if cast.role(miner) == "honest" else by_role(miner)

    new = [each for each in cast.honest if each.generation == "new-bm"]
    god = [each for each in cast.honest if each.generation == "new-god"]
    old = [each for each in cast.honest if each.generation == "old"]
    whats, rivers = cast.of("whatsminer"), cast.of("iceriver")
    # Each dialect's own slow task: what these three do to a miner takes minutes of its time.
    modal = (*new[:1], *god[:1], *cast.of("iceriver", "ks5l", "ks3m"))
    rebooting = (
        *new[1:2],
        *god[1:2],
        *old[:1],
        *cast.of("whatsminer", "m60s-compat"),
        *cast.of("iceriver", "ks3m"),
        cast.rig,
    )
    updating = (
        *(new[2:3] or new[:1]),
        *god[-1:],
        *old[-1:],
        *cast.of("whatsminer", "m50s", "m60s"),
        *cast.of("iceriver", "al3"),
    )
    stopping = (*new[-1:], *whats, *cast.of("iceriver", "al3"), cast.rig)
    pools = [
        {"url": "stratum+tcp://pool.example.com:3333", "user": "farm.{ip4}"},
        {"url": "stratum+tcp://backup.example.com:3333", "user": "farm.backup"},
    ]
    # No password is ever sent to foreign firmware, so its MAC stays unknown and the cloud leaves it alone.
    unsure = {"unstable_miner": 1}
    everyone = (*cast.honest, *cast.frozen, cast.liar, cast.dead, cast.foreign)
    return [
        Act(
            note="light on, everywhere", name=TaskName.LIGHT, params={"action": "on"},
            who=everyone, expected=by_role, skipped=unsure,
        ),
        Act(
            note="light on, which no rig has", name=TaskName.LIGHT, params={"action": "on"},
            who=(cast.rig,), expected=lambda _rig: "unsupported",
        ),
        Act(
            note="no release that could be replaced", name=TaskName.SELF_UPDATE, params={},
            agent_expected="unsupported",
        ),
        Act(
            note="reboot, not forced, while they hash", name=TaskName.REBOOT, params={"force": False},
            who=rebooting, expected=refused_if_honest,
        ),
        Act(
            note="sleep, which no WhatsMiner has", name=TaskName.POWER_MODE, params={"mode": "sleep"},
            who=(*modal, cast.liar, cast.dead, *whats), expected=by_role,
            skipped={"unsupported_mode": len(whats)},
        ),
        Act(
            note="low power, which no IceRiver has", name=TaskName.POWER_MODE, params={"mode": "low"},
            who=(*whats, *cast.frozen, *rivers), expected=by_role,
            skipped={"unsupported_mode": len(cast.frozen) + len(rivers)},
        ),
        Act(
            note="reboot, forced", name=TaskName.REBOOT, params={"force": True},
            who=(*rebooting, cast.liar, cast.dead), expected=by_role,
        ),
        *(
            Act(
                note=f"firmware of {each.model}", name=TaskName.FIRMWARE,
                params={"firmware_url": firmware_url(each)}, who=(each,), expected=by_role,
            )
            for each in updating
        ),
        Act(
            note="new pools", name=TaskName.POOLS, params={"pools": pools},
            who=everyone, expected=by_role, skipped=unsure,
        ),
        Act(
            note="logs", name=TaskName.LOG, who=(*cast.honest, *cast.frozen, cast.dead, cast.rig),
            expected=by_role,
        ),
        Act(
            note="awake again", name=TaskName.POWER_MODE, params={"mode": "normal"},
            who=modal, expected=by_role,
        ),
        *(
            Act(
                note=f"mining {action}, whatever the make", name=TaskName.MINING,
                params={"action": action}, who=stopping, expected=by_role,
            )
            for action in ("off", "on")
        ),
        Act(
            # Not `maintenance`: the cloud does this at once, and a miner in maintenance is not written to, while
            # its other tasks still wait.
            note="out for repair, in the books", name=TaskName.ASSET_UPDATE,
            params={"status": "off_rack", "comment": "does not answer"}, who=(cast.dead,),
        ),
        Act(
            note="taken off the books", name=TaskName.ASSET_DELETE,
            params={"comment": "not ours"}, who=(cast.foreign,),
        ),
    ]  # fmt: skip
