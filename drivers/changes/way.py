"""How a make goes about one kind of change, and all the kinds together. A make states its dialect: what it is asked,
what it is sent, how its answer reads. The base classes in the modules beside this one state the rules.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Generic

import msgspec

from contract.errors import OutcomeUnknownError
from drivers.base import Change, Data, Effect, Evidence, LogFile, NoChange, Plan, TypedPlan
from drivers.changes.verification import Miner, Verification

FetchLog = Callable[[Any, Path, int], Awaitable[LogFile]]
"""Stream the log of a miner into a new file of a folder, at most so many bytes. As `Driver.get_log`."""


class Way(ABC, Generic[Miner, Data]):
    """One kind of change on one make: planned, made once, looked at again, each as in `Driver`. Holds no state."""

    changes: ClassVar[tuple[type[Change], ...]]  # that it makes
    data: type[Data]  # what its plan carries beside the change, through a crash as well

    @abstractmethod
    async def plan(self, miner: Miner, change: Any) -> TypedPlan[Data] | NoChange:
        """Read what is there now; say what would be written."""

    @abstractmethod
    async def apply(self, miner: Miner, plan: TypedPlan[Data], effect: Effect) -> None:
        """Write it, once."""

    @abstractmethod
    async def verify(self, watch: Verification[Miner, Data]) -> Evidence:
        """Look until the miner shows the change or its proof window ends."""

    def typed(self, plan: Plan) -> TypedPlan[Data]:
        """A plan of this way as it was before it was written to a journal. Raises OutcomeUnknownError for one of
        another version that cannot be read, which leaves nothing to judge its effect by.
        """
        data = plan.data
        if not isinstance(data, self.data):
            try:
                data = msgspec.convert(data, self.data)
            except msgspec.ValidationError as error:
                raise OutcomeUnknownError(
                    f"its plan was made by another version of the agent: {error}"
                ) from None
        return TypedPlan(**{**msgspec.structs.asdict(plan), "data": data})


class Ways(Generic[Miner]):
    """All that can be done to the miners of one make: its ways, each for the changes it makes, and its log."""

    def __init__(self, *ways: Way[Miner, Any], fetch_log: FetchLog) -> None:
        self.fetch_log = fetch_log
        self._of = {change: way for way in ways for change in way.changes}

    def __iter__(self) -> Iterator[Way[Miner, Any]]:
        """Each way once."""
        return iter(dict.fromkeys(self._of.values()))

    @property
    def changes(self) -> frozenset[type[Change]]:
        """The kinds of change there is a way for."""
        return frozenset(self._of)

    def of(self, change: Change) -> Way[Miner, Any] | None:
        """The way of this kind of change; `None` where the make has none."""
        return self._of.get(type(change))
