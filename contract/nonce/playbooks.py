"""Playbooks of CPU/GPU rigs, as operators make and see them. Ours; the keys are those of the Mining Rig Monitor API."""

from __future__ import annotations

import re
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, model_validator

from contract.nonce.answers import NonceItem
from contract.texts import not_blank, plain

NAME_MAX: Final = 64  # characters of a program, a version, a coin, an algorithm
ADDRESS_MAX: Final = 255  # of a wallet, of a pool
ARGUMENT_MAX: Final = 4000
# A coin is mined by an algorithm; neither says anything without the other.
SLOTS: Final = (
    ("cpu_coin_name", "cpu_algorithm"),
    ("gpu_coin_name_1", "gpu_algorithm_1"),
    ("gpu_coin_name_2", "gpu_algorithm_2"),
)
# It is put into a command line: whatever ends a word there, or quotes one, is no part of an address.
_ENDS_A_WORD: Final = re.compile(r"[\s\"'\\]")


def _one_word(text: str) -> str:
    if _ENDS_A_WORD.search(text):
        raise ValueError("must hold no blanks, quotes or backslashes")
    return text


_Name = Annotated[
    str,
    StringConstraints(strict=True, strip_whitespace=True, max_length=NAME_MAX),
    AfterValidator(not_blank),
    AfterValidator(plain),
]
_Address = Annotated[
    str,
    StringConstraints(strict=True, strip_whitespace=True, max_length=ADDRESS_MAX),
    AfterValidator(not_blank),
    AfterValidator(plain),
    AfterValidator(_one_word),
]
_Argument = Annotated[
    str,
    StringConstraints(strict=True, strip_whitespace=True, max_length=ARGUMENT_MAX),
    AfterValidator(not_blank),
    AfterValidator(plain),
]


class CreatePlaybook(BaseModel):
    """With which program a rig mines; its arguments, in which variables may stand; coins, wallets and pools."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    software_name: _Name
    software_version: _Name
    command_argument: _Argument
    cpu_coin_name: _Name | None = None
    cpu_algorithm: _Name | None = None
    cpu_wallet_address: _Address | None = None
    cpu_pool_address: _Address | None = None
    gpu_coin_name_1: _Name | None = None
    gpu_algorithm_1: _Name | None = None
    gpu_wallet_address_1: _Address | None = None
    gpu_pool_address_1: _Address | None = None
    gpu_coin_name_2: _Name | None = None
    gpu_algorithm_2: _Name | None = None
    gpu_wallet_address_2: _Address | None = None
    gpu_pool_address_2: _Address | None = None

    @model_validator(mode="after")
    def _whole_slots(self) -> Self:
        for coin, algorithm in SLOTS:
            if (getattr(self, coin) is None) is not (getattr(self, algorithm) is None):
                raise ValueError(f"{coin} and {algorithm} go together: give both or neither")
        return self


class PlaybookItem(NonceItem, frozen=True, kw_only=True):
    """`command_argument` as it was given, without what stands after options that are called like secrets."""

    id: int
    farm_id: str
    workspace_id: str
    software_name: str
    software_version: str
    command_argument: str
    cpu_coin_name: str | None
    cpu_algorithm: str | None
    cpu_wallet_address: str | None
    cpu_pool_address: str | None
    gpu_coin_name_1: str | None
    gpu_algorithm_1: str | None
    gpu_wallet_address_1: str | None
    gpu_pool_address_1: str | None
    gpu_coin_name_2: str | None
    gpu_algorithm_2: str | None
    gpu_wallet_address_2: str | None
    gpu_pool_address_2: str | None
    rig_ids: tuple[str, ...]  # that mine by it
    created_at: str
    updated_at: str


class RemovedPlaybook(NonceItem, frozen=True, kw_only=True):
    id: int
    removed: bool = True
