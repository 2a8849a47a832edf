"""The beginning of a ONE_SHOT in every interleaving: one task, one agent, one cloud, one miner; crashes, late and lost
messages, and either the agent's journal or the cloud's database put back from a copy. (Both of them put back together
cannot be told apart from a life that never was, by anybody; `docs` say so.)

The cloud's side of it is `contract.begin` itself; what the agent does is a table here, by the names of the code. What
must hold: never more than one effect, never an end that is `not_done` with an effect or `done` without one. `unknown` is
allowed. Looking after a crash is taken as reliable. Left out: a virtual machine reverted in the milliseconds between the
grant and the first byte.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from contract import begin
from contract.begin import Held, Shown
from contract.outcome import Outcome

CRASHES, COPIES, RESENDS = 3, 2, 2


class Rules(NamedTuple):
    """The cloud's decisions, and whether the agent waits for them."""

    is_granted: Callable[[Held, str | None, str | None], bool] = begin.is_granted
    ends_as: Callable[[Held, str | None, str | None, Outcome], Outcome | None] = begin.ends_as
    waits: bool = True  # for the grant
    only_own: bool = True  # a process sends only what it has drawn the id of


class Message(NamedTuple):
    """From agent to cloud; `outcome` empty: pending."""

    begin_id: str
    outcome: str = ""


class World(NamedTuple):
    """Everything there is. Durable at the agent: `journal`, `begin_id`, `outcome`, `seen` (effects at the intent)."""

    journal: str = ""  # nothing, accepted, intent, settled, closed
    begin_id: str | None = None
    outcome: str = ""
    seen: int = 0
    is_mine: bool = False  # of this process, which drew the id
    granted: bool = False
    sent: bool = False
    held: Held = Held.QUEUED
    held_id: str | None = None
    ended_as: str = ""
    effects: int = 0
    under_way: frozenset[Message] = frozenset()
    journal_copy: tuple[str, str | None, str, int] | None = None
    database_copy: tuple[Held, str | None, str] | None = None
    journal_put_back: bool = False
    database_put_back: bool = False
    drawn: int = 0
    crashes: int = 0
    copies: int = 0
    resends: int = 0

    def say(self, outcome: str = "") -> World:
        """Send a message of the present begin id."""
        message = Message(self.begin_id or "", outcome)
        return self._replace(under_way=self.under_way | {message})

    def settle(self, outcome: str) -> World:
        """The agent's outcome, and the report of it."""
        return self._replace(journal="settled", outcome=outcome).say(outcome)


def steps(world: World, rules: Rules) -> Iterator[tuple[str, World]]:
    """Everything that can happen next."""
    yield from claims(world)
    yield from agent(world, rules)
    yield from network(world, rules)
    yield from adversary(world)


def claims(world: World) -> Iterator[tuple[str, World]]:
    """What the cloud holds, against what the journal shows."""
    if world.held is Held.QUEUED:
        handed = world._replace(held=Held.HANDED)
        yield "handed out, answer lost", handed
        yield "handed out", handed if world.journal else handed._replace(journal="accepted")
    wanted = begin.shown(world.held)
    if not world.journal:
        if wanted is Shown.AGAIN:
            yield "handed out again", world._replace(journal="accepted")
        if wanted is Shown.OUTCOME:
            yield "not known there", world._replace(held=Held.ENDED, ended_as=Outcome.UNKNOWN)
    elif world.journal == "accepted" and world.held is Held.ENDED:
        yield "called off", world._replace(journal="closed")
    elif world.journal == "settled" and wanted is not None and world.resends < RESENDS:
        yield "outcome asked for", world._replace(resends=world.resends + 1).say(world.outcome)


def agent(world: World, rules: Rules) -> Iterator[tuple[str, World]]:
    """Its process."""
    if world.journal == "accepted":
        yield "refused before anything", world.settle(Outcome.NOT_DONE)
        intent = world._replace(
            journal="intent", begin_id=f"b{world.drawn}", drawn=world.drawn + 1, seen=world.effects,
            is_mine=True, granted=not rules.waits, sent=False,
        )  # fmt: skip
        yield "intent", intent.say()
    if world.journal != "intent":
        return
    if world.granted and not world.sent and (world.is_mine or not rules.only_own):
        yield "effect", world._replace(effects=world.effects + 1, sent=True)
    if world.sent:
        yield "proven", world.settle(Outcome.DONE)
        yield "not proven", world.settle(Outcome.UNKNOWN)
    elif world.is_mine:
        yield "given up in time", world.settle(Outcome.NOT_DONE)
    if not world.is_mine:
        seen = world.effects > world.seen
        yield "looked at", world.settle(Outcome.DONE if seen else Outcome.NOT_DONE)
    if world.resends < RESENDS:
        yield "pending said again", world._replace(resends=world.resends + 1).say()


def network(world: World, rules: Rules) -> Iterator[tuple[str, World]]:
    """Messages arrive in any order, get lost, lose their answer, and outlive the process that sent them."""
    for message in world.under_way:
        rest = world._replace(under_way=world.under_way - {message})
        yield "lost", rest
        begin_id = message.begin_id or None
        if message.outcome:
            outcome = rules.ends_as(world.held, world.held_id, begin_id, Outcome(message.outcome))
            if outcome is not None:
                rest = rest._replace(held=Held.ENDED, held_id=begin_id, ended_as=outcome)
            yield "outcome heard", rest
            continue
        granted = rules.is_granted(world.held, world.held_id, begin_id)
        if granted:
            rest = rest._replace(held=Held.BEGUN, held_id=begin_id)
        yield "pending heard, answer lost", rest
        if world.journal == "intent" and world.begin_id == begin_id:
            if granted:
                yield "granted", rest._replace(granted=True)
            elif not world.sent:
                yield "begun by another life", rest.settle(Outcome.UNKNOWN)


def adversary(world: World) -> Iterator[tuple[str, World]]:
    """Copies and crashes."""
    if world.journal_copy is None and world.database_copy is None and world.copies < COPIES:
        kept = (world.journal, world.begin_id, world.outcome, world.seen)
        yield "journal copied", world._replace(journal_copy=kept)
        books = (world.held, world.held_id, world.ended_as)
        yield "database copied", world._replace(database_copy=books)
    if world.database_copy is not None and not world.journal_put_back:
        held, held_id, ended_as = world.database_copy
        yield "database put back", world._replace(
            held=held, held_id=held_id, ended_as=ended_as, database_copy=None, copies=world.copies + 1,
            database_put_back=True, resends=0,
        )  # fmt: skip
    if world.crashes < CRASHES:
        dead = world._replace(is_mine=False, granted=False, sent=False, crashes=world.crashes + 1)
        yield "crash", dead
        if world.journal_copy is not None and not world.database_put_back:
            journal, begin_id, outcome, seen = world.journal_copy
            yield "crash, journal put back", dead._replace(
                journal=journal, begin_id=begin_id, outcome=outcome, seen=seen, journal_copy=None,
                copies=world.copies + 1, journal_put_back=True,
            )  # fmt: skip


def wrong(world: World) -> str | None:
    """What must never be."""
    if world.effects > 1:
        return "twice"
    if world.held is Held.ENDED and world.ended_as == Outcome.NOT_DONE and world.effects:
        return "false not_done"
    if world.held is Held.ENDED and world.ended_as == Outcome.DONE and not world.effects:
        return "false done"
    return None


def explore(
    rules: Rules, enough: frozenset[str] = frozenset()
) -> tuple[int, dict[str, list[str]], set[str]]:
    """All of it, or until `enough` wrongs are found: how many states, the shortest way to each wrong, how tasks ended."""
    start = World()
    came: dict[World, tuple[World, str] | None] = {start: None}
    queue = deque([start])
    found: dict[str, list[str]] = {}
    ends: set[str] = set()
    while queue:
        world = queue.popleft()
        name = wrong(world)
        if name is not None:
            found.setdefault(name, way(came, world))
            if enough and enough <= found.keys():
                break
            continue
        if world.held is Held.ENDED:
            ends.add(str(world.ended_as))
        for step, after in steps(world, rules):
            if after not in came:
                came[after] = (world, step)
                queue.append(after)
    return len(came), found, ends


def way(came: dict[World, tuple[World, str] | None], world: World) -> list[str]:
    """The steps that led here."""
    path: list[str] = []
    while (before := came[world]) is not None:
        world, step = before
        path.append(step)
    return path[::-1]


def test_no_interleaving_does_it_twice_or_tells_what_is_not_so() -> None:
    states, found, ends = explore(Rules())
    assert found == {}
    assert states > 30_000
    assert ends == {"done", "not_done", "unknown"}


@pytest.mark.parametrize(
    ("rules", "wrongs"),
    [
        pytest.param(
            Rules(waits=False), {"twice", "false not_done"}, id="begins without an answer"
        ),
        pytest.param(
            Rules(is_granted=lambda held, *_: held is not Held.ENDED),
            {"twice", "false not_done"},
            id="begun taken for granted",
        ),
        pytest.param(
            Rules(ends_as=lambda held, _, __, told: None if held is Held.ENDED else told),
            {"false not_done"},
            id="outcomes count without their begin id",
        ),
        pytest.param(Rules(only_own=False), {"twice"}, id="another process sends"),
    ],
)
def test_each_rule_is_needed(rules: Rules, wrongs: set[str]) -> None:
    _, found, _ = explore(rules, frozenset(wrongs))
    assert wrongs <= found.keys(), found
