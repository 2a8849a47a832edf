"""Which servers may be spoken to: no token and no code crosses a network in the clear unless that was allowed."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from yarl import URL

from contract.hiding import quoted
from contract.hosts import is_loopback


def check_cloud_url(url: str) -> str:
    """Give the base url without its last slash. Raises ValueError unless it is https, or http to this
    host: the token must not cross a network in the clear.
    """
    if _is_in_the_clear(url, wanted="https://"):
        raise ValueError(
            "plain http would send the token in the clear; use https (http only to this host)"
        )
    return url.rstrip("/")


def check_releases_url(url: str) -> str:
    """Give the base url without its last slash. Raises ValueError unless it is https, or http to this host: what is
    fetched there is signed, but which version this host runs crosses the network with it.
    """
    if _is_in_the_clear(url, wanted="https://"):
        raise ValueError(
            "plain http would tell anybody on the way what runs here; use https (http only to this host)"
        )
    return url.rstrip("/")


def check_graphql_url(url: str) -> str:
    """Give it back. Raises ValueError unless it is https, or http to this host: nothing secret is sent there, but what
    it answers decides what is signed.
    """
    if _is_in_the_clear(url, wanted="https://"):
        raise ValueError(
            "plain http could be answered by anybody on the way; use https (http only to this host)"
        )
    return url


def check_monitor_url(url: str, *, insecure_http: bool) -> None:
    """Raises ValueError unless it is https, or http to this host, or http that was allowed in so many words: the
    codes cross the network in the clear then.
    """
    if _is_in_the_clear(url, wanted="http:// or https://") and not insecure_http:
        raise ValueError(
            "plain http would send the codes in the clear; use https behind a proxy, "
            "or set insecure_http = true on a network you trust"
        )


def origin(url: URL) -> tuple[str, str | None, int | None]:
    """Scheme, host and port: urls that have them in common are of one server."""
    return url.scheme, url.raw_host, url.port


def check_proxy_url(url: str) -> None:
    """Raises ValueError for what no request can be sent through."""
    _parts(url, wanted="http:// or https://")


def _is_in_the_clear(url: str, *, wanted: str) -> bool:
    """Whether what is sent there can be read on the way. Raises ValueError when it is no base url of a server."""
    parts = _parts(url, wanted=wanted)
    if parts.query or parts.fragment or parts.username:
        raise ValueError("the url may hold no query, fragment or user")
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")


def _parts(url: str, *, wanted: str) -> SplitResult:
    """Raises ValueError when it has no scheme of the web, no host, or a port that is none."""
    try:
        parts = urlsplit(url)
        is_web = parts.scheme in ("https", "http") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that do not close, a port that is none
        is_web = False
    if not is_web or any(each.isspace() or not each.isprintable() for each in url):
        raise ValueError(f"{quoted(url)} is not an {wanted} address")
    return parts
