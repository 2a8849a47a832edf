"""The section of the ledger `sui`: which network and package, and who signs and pays."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from agent.config.fields import Seconds, Section
from agent.config.urls import check_graphql_url
from contract.subscription.ids import SMALL_MAX, object_id_text, parse_object_id


def _object_id(text: str) -> str:
    return object_id_text(parse_object_id(text))


ObjectIdText = Annotated[str, AfterValidator(_object_id)]
ChainId = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[0-9A-Za-z]+$")]
Mist = Annotated[int, Field(strict=True, ge=1, le=SMALL_MAX)]


class SuiSection(Section):
    """`[subscriptions.sui]`. `type_package_id` is the first id of a package that was upgraded since: types keep it.
    `chain_id` is the network's own id: without one, the first that answered is kept. `collateral_coin` is what the
    older call interface takes its deposit from when a node registers.
    """

    graphql_url: str
    package_id: ObjectIdText
    type_package_id: ObjectIdText | None = None
    atoma_db: ObjectIdText
    abi: Literal["auto", "per_unit", "per_million"] = "auto"
    keystore: Path
    address: ObjectIdText | None = None
    chain_id: ChainId | None = None
    collateral_coin: ObjectIdText | None = None
    gas_budget: Mist = 50_000_000
    timeout_s: Seconds = 30.0
    ca_file: Path | None = None

    @field_validator("graphql_url")
    @classmethod
    def _usable_url(cls, url: str) -> str:
        return check_graphql_url(url)

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if self.atoma_db == self.package_id:
            raise ValueError("package_id and atoma_db are two different objects")
        return self
