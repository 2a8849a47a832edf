"""What is looked at before anything is signed: network, package, object, keystore, config."""

from __future__ import annotations

import asyncio
import re
import ssl
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from agent.subscriptions.ledger import SubmissionFailedError, TransactionStatus
from agent.subscriptions.store import NodeOperation
from agent.subscriptions.sui.aborts import TEXTS, abort_text
from agent.subscriptions.sui.graphql import ChainError, GraphQlClient, NotSentError
from agent.subscriptions.sui.record import TransactionRecord, decode_record
from contract.subscription.ids import object_id_text
from contract.subscription.rules import ABORT_BASE, Abi, LedgerOperation
from tests.agent.certificates import own_certificate
from tests.agent.subscriptions.sui.fake.client import BADGES, fake_sui
from tests.agent.subscriptions.sui.site import (
    SUBSCRIBE,
    TERMS,
    opened,
    section,
    submission,
)

pytestmark = pytest.mark.real_time
URL = "https://graphql.example/graphql"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"chain_id": "35834a8a"}, "leads to the network 4c78adac, and not to 35834a8a"),
        ({"package_id": "0xa71", "type_package_id": "0xa70"}, "has no function db::subscribe"),
        ({"atoma_db": next(iter(BADGES))}, "is no shared object"),
        ({"atoma_db": "0xdead"}, "is no shared object"),
        ({"type_package_id": "0xa71"}, "after an upgrade of the package, type_package_id"),
        ({"keystore": Path("none")}, "cannot be read: no such file"),
        (
            {"ca_file": Path("none")},
            r"\[subscriptions.sui\] ca_file\) cannot be read: no such file",
        ),
        (
            {"ca_file": Path(__file__)},
            r"\[subscriptions.sui\] ca_file\) holds no certificate in PEM",
        ),
        ({"address": "0x1"}, "no ed25519 key of 0x0000"),
    ],
)
async def test_a_config_that_does_not_fit_the_network_is_refused(
    tmp_path: Path, settings: dict[str, Any], said: str
) -> None:
    async with fake_sui() as fake, opened(fake.url, tmp_path, **settings) as (ledger, store):
        assert re.search(said, str(ledger.trouble))
        with pytest.raises(SubmissionFailedError, match=said):
            await ledger.submit(submission(SUBSCRIBE))
        assert (await fake.look())["given"] == []
        assert await store.pending("sui") == []


async def test_an_endpoint_of_another_authority_is_asked_once_its_file_is_there(
    tmp_path: Path,
) -> None:
    authority, chain = own_certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain)
    (tmp_path / "other").mkdir()
    named, _ = own_certificate(tmp_path / "other")

    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        client = GraphQlClient(f"https://127.0.0.1:{port}/", ca_file=named, timeout_s=5.0)
        with pytest.raises(
            NotSentError, match=r"not trusted \(.*see \[subscriptions.sui\] ca_file"
        ):
            await client.ask("query { epoch }", dict)
        named.write_bytes(authority.read_bytes())
        with pytest.raises(ChainError, match="broke off"):
            await client.ask("query { epoch }", dict)
        await client.close()


async def test_a_keystore_that_was_mended_is_used_without_a_restart(tmp_path: Path) -> None:
    async with fake_sui() as fake:
        keystore = section(fake.url, tmp_path).keystore
        keystore.chmod(0o644)
        async with opened(fake.url, tmp_path) as (ledger, _):
            with pytest.raises(SubmissionFailedError, match="run: chmod 600"):
                await ledger.submit(submission(SUBSCRIBE))
            keystore.chmod(0o600)
            await ledger.submit(submission(SUBSCRIBE))
            assert ledger.trouble is None


async def test_a_network_that_answers_later_is_checked_then(tmp_path: Path) -> None:
    async with fake_sui() as fake:
        await fake.fault("chainIdentifier", "html", "status")
        async with opened(fake.url, tmp_path) as (ledger, _):
            assert await ledger.nodes() == {}
            assert "not answer in JSON" in str(ledger.trouble)
            with pytest.raises(SubmissionFailedError, match="answered 502"):
                await ledger.submit(submission(SUBSCRIBE))
            await ledger.submit(submission(SUBSCRIBE))
            assert ledger.trouble is None


async def test_another_network_than_before_is_noticed_and_may_be_meant(tmp_path: Path) -> None:
    async with fake_sui() as fake:
        async with opened(fake.url, tmp_path) as (ledger, _):
            await fake.order("set", chain_id="35834a8a")
            with pytest.raises(SubmissionFailedError, match="and not to 4c78adac"):
                await ledger.submit(submission(SUBSCRIBE))
        async with opened(fake.url, tmp_path) as (ledger, _):
            assert "name the network by chain_id" in str(ledger.trouble)
        async with opened(fake.url, tmp_path, chain_id="35834a8a") as (ledger, _):
            await ledger.submit(submission(SUBSCRIBE))


async def test_what_is_pending_on_another_network_stays_so_and_holds_nothing_up(
    tmp_path: Path,
) -> None:
    async with fake_sui() as fake:
        async with opened(fake.url, tmp_path, timeout_s=0.5) as (ledger, _):
            await fake.fault("executeTransaction", *["hold"] * 9)
            with pytest.raises(SubmissionFailedError) as error:
                await ledger.submit(submission(SUBSCRIBE))
        digest = error.value.tx_digest
        assert digest is not None
        await fake.order("set", chain_id="35834a8a", faults={})
        async with opened(fake.url, tmp_path, chain_id="35834a8a") as (ledger, _):
            assert await ledger.submit(submission(SUBSCRIBE, 2)) != digest
            found = await ledger.transaction(digest)
            assert found is not None
            assert found.status is TransactionStatus.PENDING
            assert (await fake.look())["given"].count(digest) == 0
        await fake.order("set", chain_id="4c78adac")
        async with opened(fake.url, tmp_path, chain_id="4c78adac") as (ledger, _):
            found = await ledger.transaction(digest)
            assert found is not None
            assert found.status is TransactionStatus.FAILURE  # its coin paid for the other one


async def test_another_network_that_answers_meanwhile_settles_nothing(tmp_path: Path) -> None:
    """The endpoint is moved while the agent runs: nothing that ours names is there, and it takes none of our bytes."""
    elsewhere = {
        "multiGetObjects": '{"data": {"multiGetObjects": [null, null]}}',
        "transaction": '{"data": {"transaction": null}}',
        "executeTransaction": '{"errors": [{"message": "Could not find the referenced object"}]}',
    }
    async with fake_sui() as fake, opened(fake.url, tmp_path) as (ledger, _):
        faults = {"executeTransaction": ["lose"], "multiGetObjects": ["drop"] * 2}
        await fake.order("set", faults=faults)
        with pytest.raises(SubmissionFailedError, match="not known yet") as error:
            await ledger.submit(submission(SUBSCRIBE))
        digest = error.value.tx_digest
        assert digest is not None
        await fake.order("set", chain_id="35834a8a", raw=elsewhere, faults={})
        found = await ledger.transaction(digest)
        assert found is not None
        assert found.status is TransactionStatus.PENDING
        with pytest.raises(SubmissionFailedError, match="and not to 4c78adac"):
            await ledger.submit(submission(SUBSCRIBE))
        assert "and not to 4c78adac" in str(ledger.trouble)
        await fake.order("set", chain_id="4c78adac", raw={})
        found = await ledger.transaction(digest)
        assert found is not None
        assert found.status is TransactionStatus.SUCCESS
        await ledger.submit(submission(SUBSCRIBE, 2))
        assert ledger.trouble is None


async def test_a_call_interface_that_is_not_known_is_refused_unless_it_is_named(
    tmp_path: Path,
) -> None:
    async with fake_sui("per_million") as fake:
        await fake.order("set", more_parameters=["TxContext", "u64", "u64"])
        async with opened(fake.url, tmp_path) as (ledger, _):
            assert "takes 6 arguments" in str(ledger.trouble)
        async with opened(fake.url, tmp_path, abi="per_million") as (ledger, _):
            await ledger.submit(submission(SUBSCRIBE))


async def test_what_became_of_one_is_asked_for_when_somebody_asks(tmp_path: Path) -> None:
    async with fake_sui() as fake, opened(fake.url, tmp_path) as (ledger, _):
        await fake.fault("executeTransaction", "null")
        with pytest.raises(SubmissionFailedError) as error:
            await ledger.submit(submission(SUBSCRIBE))
        assert error.value.tx_digest is not None
        found = await ledger.transaction(error.value.tx_digest)
        assert found is not None
        assert found.status is TransactionStatus.SUCCESS
        assert await ledger.transaction("1" * 32) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"graphql_url": "http://graphql.example/graphql"},
        {"graphql_url": "ftp://graphql.example"},
        {"graphql_url": "https://user@graphql.example"},
        {"package_id": "a70"},
        {"package_id": "0xxyz"},
        {"atoma_db": "0xa70"},
        {"abi": "per_token"},
        {"gas_budget": 0},
        {"gas_budget": True},
        {"gas_budget": 2**63},
        {"timeout_s": 0.0},
        {"chain_id": ""},
        {"chain_id": "4c 78"},
        {"mnemonic": "abandon"},
    ],
)
def test_a_section_that_cannot_be_meant_is_refused(tmp_path: Path, changed: dict[str, Any]) -> None:
    assert section(URL, tmp_path).gas_budget == 50_000_000
    with pytest.raises(ValidationError):
        section(**{"url": URL, "folder": tmp_path, **_renamed(changed)})


def _renamed(changed: dict[str, Any]) -> dict[str, Any]:
    return {("url" if key == "graphql_url" else key): value for key, value in changed.items()}


def test_one_number_means_two_things_in_the_two_call_interfaces() -> None:
    code = ABORT_BASE + 38
    assert abort_text(code, Abi.PER_UNIT) == "the maximum number of compute units is 0"
    assert "reputation" in abort_text(code, Abi.PER_MILLION)
    assert abort_text(ABORT_BASE + 39, Abi.PER_UNIT) == abort_text(code, Abi.PER_MILLION)
    for unknown in (ABORT_BASE + 39, 7, 0):
        assert abort_text(unknown, Abi.PER_MILLION) == f"the Move call ended with code {unknown}"
    assert all(TEXTS[abi].keys() >= {0, 11, 15, 16, 17, 18, 37, 38} for abi in Abi)


def test_what_is_kept_of_a_transaction_reads_back() -> None:
    operation = NodeOperation(2, LedgerOperation(SUBSCRIBE, 7, TERMS))
    record = TransactionRecord("4c78adac", b"bytes", (operation, operation))
    assert decode_record(record.encode()) == record
    for wrong in (b"", record.encode()[:-1], record.encode() + b"\0"):
        with pytest.raises(ValueError):
            decode_record(wrong)
    assert object_id_text(bytes(32)) == f"0x{0:064x}"
