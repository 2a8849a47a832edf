"""What all lists and searches take, and what is said of names that they do not."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from contract.nonce.pages import PAGE_MAX, SIZE_DEFAULT, SIZE_MAX, Page
from contract.nonce.values import Whole

# What is said of names that Nonce has published, and that are not served, or not there.
_LATER: Final = dict.fromkeys(
    ("last_updated_at", "network_mode", "search"),
    "is published for a later version of the API and is not served here",
)
QUERY_INSTEAD: Final = {
    "limit": "is called pageSize in a query",
    "page_size": "is called pageSize here",
    **dict.fromkeys(
        (
            "anomaly_flags", "efficiency", "hashrate", "hashrate_realization", "mining_mode", "power", "rack",
            "runtime", "sort", "tags", "temperature",
        ),
        "is taken by POST miner/search alone",
    ),
    **_LATER,
}  # fmt: skip
BODY_INSTEAD: Final = {
    "pageSize": "is called limit in a body",
    "page_size": "is called limit here",
    "anomaly_filters": "is called anomalies in a search of miners",
    "anomaly_flags": "is called anomalies in a search of miners",
    "hashrate_realization_max": "is lte of hashrate_realization in a search of miners",
    "hashrate_realization_min": "is gte of hashrate_realization in a search of miners",
    "mining_mode": "is called mode in a search of miners",
    "mining_modes_in": "is in of mode in a search of miners",
    "runtime": "is called uptime in a search of miners",
    **_LATER,
}


class Search(BaseModel):
    """Base of the search bodies. A key we do not know is refused: without its filter more would be found than was asked
    for.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    page_number: Annotated[Whole, Field(ge=1, le=PAGE_MAX)] = Field(default=1, alias="page")
    limit: Annotated[Whole, Field(ge=1, le=SIZE_MAX)] = SIZE_DEFAULT

    @property
    def page(self) -> Page:
        """The slice asked for."""
        return Page(self.page_number, self.limit)
