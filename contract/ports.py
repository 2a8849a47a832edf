"""The ports that miners listen on: each is declared here and is then a field of `contract.miner.Endpoint`, a key of the
config's `[miners]` and an option of the command line. Imports nothing, so that `--help` stays quick.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Port(NamedTuple):
    """One port: the number it has on hardware, and whose it is."""

    number: int
    about: str


PORTS: Final = {
    "http_port": Port(80, "Where miners serve HTTP."),
    "rpc_port": Port(4028, "Where miners serve their API."),
    "v3_port": Port(4433, "Port of WhatsMiner's API v3."),
    "daemon_port": Port(4111, "Port of IceRiver's daemon."),
}
