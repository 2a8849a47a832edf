"""What the network is asked, as GraphQL documents: the only texts of that language here.

Each is valid by the schema that Sui publishes (docs/protocols/sui.md says of which release, and a test asks it).
"""

from __future__ import annotations

from typing import Final

_OBJECT: Final = """
fragment Seen on Object {
  address version digest
  owner { __typename ... on AddressOwner { address { address } } ... on Shared { initialSharedVersion } }
  previousTransaction { digest }
  asMoveObject { contents { type { repr } json } }
}"""

_EFFECTS: Final = (
    """
fragment Became on TransactionEffects {
  digest status
  executionError { abortCode message }
  objectChanges(first: 50) { nodes { address outputState { ...Seen } } }
}"""
    + _OBJECT
)

EPOCH: Final = "query { chainIdentifier epoch { referenceGasPrice } }"

FUNCTION: Final = """
query ($package: SuiAddress!, $module: String!, $function: String!) {
  package(address: $package) {
    module(name: $module) { function(name: $function) { parameters { signature } } }
  }
}"""

OWNED: Final = """
query ($owner: SuiAddress!, $type: String!, $after: String) {
  address(address: $owner) {
    objects(first: 50, after: $after, filter: { type: $type }) {
      pageInfo { hasNextPage endCursor }
      nodes {
        address version digest
        owner { __typename ... on AddressOwner { address { address } } ... on Shared { initialSharedVersion } }
        previousTransaction { digest }
        contents { type { repr } json }
      }
    }
  }
}"""

OBJECTS: Final = (
    """
query ($keys: [ObjectKey!]!) { multiGetObjects(keys: $keys) { ...Seen } }"""
    + _OBJECT
)

SIMULATE: Final = """
query ($transaction: JSON!) {
  simulateTransaction(transaction: $transaction, doGasSelection: false, checksEnabled: true) {
    effects { status executionError { abortCode message } }
  }
}"""

EXECUTE: Final = (
    """
mutation ($transaction: Base64!, $signatures: [Base64!]!) {
  executeTransaction(transactionDataBcs: $transaction, signatures: $signatures) { effects { ...Became } }
}"""
    + _EFFECTS
)

TRANSACTION: Final = (
    """
query ($digest: String!) { transaction(digest: $digest) { effects { ...Became } } }"""
    + _EFFECTS
)

ALL: Final = (EPOCH, FUNCTION, OWNED, OBJECTS, SIMULATE, EXECUTE, TRANSACTION)
