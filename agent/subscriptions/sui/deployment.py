"""Which network, package and shared object are spoken to, checked before anything is signed for them."""

from __future__ import annotations

from dataclasses import dataclass

from agent.config.file import ConfigError
from agent.config.sui import SuiSection
from agent.subscriptions.sui.calls import FUNCTIONS, SUBSCRIBE_PARAMETERS
from agent.subscriptions.sui.chain import MODULE, SuiChain, plain_type
from agent.subscriptions.sui.transaction import SharedRef
from contract.subscription.ids import parse_object_id
from contract.subscription.rules import Abi, OperationKind


@dataclass(frozen=True)
class Deployment:
    """What does not change while the agent runs."""

    chain_id: str
    package: bytes
    database: SharedRef
    abi: Abi


async def check_deployment(
    chain: SuiChain, section: SuiSection, known_chain_id: str | None
) -> Deployment:
    """`known_chain_id`: of the network that was spoken to before. Raises ConfigError for what a person must mend, and
    ChainError.
    """
    chain_id, _ = await chain.epoch()
    check_chain(chain_id, section.chain_id or known_chain_id)
    package, database = parse_object_id(section.package_id), parse_object_id(section.atoma_db)
    return Deployment(
        chain_id=chain_id,
        package=package,
        database=await _shared(chain, database, type_of(section, "AtomaDb")),
        abi=await _abi(chain, section, package),
    )


def check_chain(found: str, wanted: str | None) -> None:
    """Raises ConfigError when it is another network."""
    if wanted not in (None, found):
        raise ConfigError(
            f"[subscriptions.sui] graphql_url leads to the network {found}, and not to {wanted}: mend the url, or "
            "name the network by chain_id"
        )


def type_of(section: SuiSection, name: str) -> str:
    """A type of the package, as the network spells it: by the package's first id."""
    return f"{section.type_package_id or section.package_id}::{MODULE}::{name}"


async def _shared(chain: SuiChain, database: bytes, type_name: str) -> SharedRef:
    found = (await chain.objects([database])).get(database)
    if found is None or found.shared_since is None:
        raise ConfigError(
            "[subscriptions.sui] atoma_db is no shared object of this network: nothing can be subscribed with it"
        )
    if plain_type(found.type) != plain_type(type_name):
        raise ConfigError(
            f"[subscriptions.sui] atoma_db is a {found.type}, and not a {type_name}: after an upgrade of the package, "
            "type_package_id is its first id"
        )
    return SharedRef(database, found.shared_since)


async def _abi(chain: SuiChain, section: SuiSection, package: bytes) -> Abi:
    """What the config says, or what the package itself shows."""
    if section.abi != "auto":
        return Abi(section.abi)
    function = FUNCTIONS[OperationKind.SUBSCRIBE]
    parameters = await chain.parameters(package, function)
    if parameters is None:
        raise ConfigError(f"[subscriptions.sui] package_id has no function {MODULE}::{function}")
    if parameters not in SUBSCRIBE_PARAMETERS:
        raise ConfigError(
            f"[subscriptions.sui] {MODULE}::{function} takes {parameters} arguments, which neither call interface "
            "that is known here does"
        )
    return SUBSCRIBE_PARAMETERS[parameters]
