"""The section of task subscriptions: where the published API is served, and which ledger takes what it is asked for."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from agent.config.fields import Flag, Section
from agent.config.sui import SuiSection
from contract.hiding import quoted
from contract.hosts import is_loopback


class ListenAddress(NamedTuple):
    """Where to listen: an IP address, and a port."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        return is_loopback(self.host)


def listen_address(text: str) -> ListenAddress:
    """`HOST:PORT`, of an address (one of IPv6 in brackets) or localhost. Raises ValueError."""
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname or "", parts.port
        if host != "localhost":
            host = str(ip_address(host))
    except ValueError:
        host, port = "", None
    if not host or not port or parts.netloc != text or "@" in text:
        raise ValueError(f"{quoted(text)} is no address to listen at, as 127.0.0.1:3001 is one")
    return ListenAddress("127.0.0.1" if host == "localhost" else host, port)


def _checked_listen(text: str) -> str:
    listen_address(text)
    return text


class SubscriptionsSection(Section):
    """No `listen`: nothing is served over HTTP, and the commands do all the same. `timeout_s` is how long one answer of
    the ledger may take. `sui` may stand there while another ledger is used.
    """

    listen: Annotated[str, AfterValidator(_checked_listen)] | None = None
    token_file: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    behind_proxy: Flag = False
    ledger: Literal["local", "sui"] = "local"
    sui: SuiSection | None = None
    timeout_s: Annotated[float, Field(strict=True, ge=1, le=300)] = 10.0

    @model_validator(mode="after")
    def _safe(self) -> Self:
        if self.ledger == "sui" and self.sui is None:
            raise ValueError('ledger = "sui" needs [subscriptions.sui]')
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together")
        if self.listen is None or listen_address(self.listen).is_loopback:
            return self
        if self.token_file is None:
            raise ValueError(
                "listen is no address of this host alone: give token_file, whose text callers have to show"
            )
        if self.tls_cert is None and not self.behind_proxy:
            raise ValueError(
                "listen is no address of this host alone: give tls_cert and tls_key, or behind_proxy = true where "
                "a proxy speaks TLS in front of it"
            )
        return self
