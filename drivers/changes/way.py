"""How a make goes about one kind of change, and all the kinds together. A make states its dialect: what it is asked,
what it is sent, how its answer reads. The base classes in the modules beside this one state the rules.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any, ClassVar, Generic

import msgspec

from contract.errors import OutcomeUnknownError
from drivers.base import (
    Capabilities,
    Change,
    Data,
    Evidence,
    LogFile,
    NoChange,
    Permit,
    Plan,
    Proof,
    TypedPlan,
)
from drivers.changes.verification import Miner, Verification

FetchLog = Callable[[Any, Path, int], Awaitable[LogFile]]
"""Stream the log of a miner into a new file of a folder, at most so many bytes. As `Driver.get_log`."""


class Way(ABC, Generic[Miner, Data]):
    """One kind of change on one make: planned, made once, looked at again, each as in `Driver`. Holds no state."""

    changes: ClassVar[tuple[type[Change], ...]]  # that it makes
    # How they show, by the generations that can be changed so.
    proofs: ClassVar[Mapping[str, tuple[Proof, ...]]]
    data: type[Data]  # what its plan carries beside the change, through a crash as well

    @abstractmethod
    async def plan(self, miner: Miner, change: Any) -> TypedPlan[Data] | NoChange:
        """Read what is there now; say what would be written."""

    @abstractmethod
    async def apply(self, miner: Miner, plan: TypedPlan[Data], permit: Permit) -> None:
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

    def __init__(
        self,
        ways: Iterable[Way[Miner, Any]],
        *,
        generations: Mapping[str, Capabilities],
        fetch_log: FetchLog,
    ) -> None:
        """`generations`: what the make states of each. Raises ValueError for two ways of one change, and for a way of
        a generation that is not among them.
        """
        self.fetch_log = fetch_log
        self._of: dict[type[Change], Way[Miner, Any]] = {}
        for way in ways:
            for change in way.changes:
                if change in self._of:
                    raise ValueError(f"there are two ways of {change.__name__}")
                self._of[change] = way
            if unknown := way.proofs.keys() - generations.keys():
                names = ", ".join(sorted(unknown))
                raise ValueError(f"{type(way).__name__} has proofs for no generation: {names}")
        self.generations = {name: self._whole(each) for name, each in generations.items()}
        """What each generation can do, with its changes and their proofs."""

    @classmethod
    def in_package(
        cls,
        package: ModuleType,
        *,
        generations: Mapping[str, Capabilities],
        fetch_log: FetchLog,
    ) -> Ways[Miner]:
        """Those that the modules of a package declare as `WAY`, by the names of the modules. One without helps the
        others. Raises as the constructor.
        """
        names = sorted(each.name for each in iter_modules(package.__path__))
        modules = [import_module(f"{package.__name__}.{name}") for name in names]
        ways = [module.WAY for module in modules if hasattr(module, "WAY")]
        return cls(ways, generations=generations, fetch_log=fetch_log)

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

    def _whole(self, stated: Capabilities) -> Capabilities:
        ways = [way for way in self if stated.generation in way.proofs]
        return msgspec.structs.replace(
            stated,
            changes=tuple(
                str(change.__struct_config__.tag) for way in ways for change in way.changes
            ),
            proofs=tuple(proof for way in ways for proof in way.proofs[stated.generation]),
        )
