from __future__ import annotations

from pathlib import Path

import pytest

from agent.config.file import ConfigError, parse
from agent.miners.credentials import CredentialBook, CredentialRule, from_config
from contract.miner import Firmware, Identity, Make
from contract.ranges import parse_range
from drivers.base import Credentials

MAC = "02:11:22:33:44:55"
STOCK = Identity(make=Make.ANTMINER, firmware=Firmware.STOCK, mac=MAC)
WIDE, NARROW, OWN = (Credentials("root", word) for word in ("wide", "narrow", "own"))
RULES = (
    CredentialRule(WIDE, range=parse_range("10.0.0.0/8")),
    CredentialRule(NARROW, range=parse_range("10.1.0.0/24")),
    CredentialRule(OWN, mac=MAC),
)


def test_a_mac_wins_over_a_range_and_a_narrow_range_over_a_wide_one() -> None:
    book = CredentialBook(RULES, factory_defaults=True)
    nameless = Identity(make=Make.ANTMINER, firmware=Firmware.STOCK)
    assert book.find("10.9.9.9", STOCK) == OWN
    assert book.find("10.1.0.7", nameless) == NARROW
    assert book.find("10.2.0.7", nameless) == WIDE
    assert book.find("192.168.0.1", nameless) == Credentials("root", "root")


def test_the_mac_last_seen_at_an_address_helps_before_the_miner_tells_it() -> None:
    book = CredentialBook(RULES, factory_defaults=True)
    nameless = Identity(make=Make.ANTMINER, firmware=Firmware.STOCK)
    assert book.at("10.1.0.7", MAC)(nameless) == OWN


@pytest.mark.parametrize("firmware", [each for each in Firmware if each is not Firmware.STOCK])
def test_foreign_firmware_is_never_given_a_password(firmware: Firmware) -> None:
    book = CredentialBook(RULES, factory_defaults=True)
    foreign = Identity(make=Make.ANTMINER, firmware=firmware, mac=MAC)
    assert book.find("10.1.0.7", foreign) is None


def test_factory_defaults_can_be_switched_off() -> None:
    assert CredentialBook(factory_defaults=False).find("192.168.0.1", STOCK) is None


def test_passwords_print_as_stars() -> None:
    assert "wide" not in repr(RULES[0]) + str(WIDE)


def test_passwords_come_from_files(tmp_path: Path) -> None:
    secret = tmp_path / "p"
    secret.write_text("s3cret\n")
    secret.chmod(0o600)
    config = parse(
        {"credentials": [{"range": "10.0.0.0/8", "user": "admin", "password_file": "p"}]},
        folder=tmp_path,
    )
    assert from_config(config).find("10.0.0.1", STOCK) == Credentials("admin", "s3cret")
    secret.unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        from_config(config)


@pytest.mark.parametrize(
    ("generation", "login"),
    [
        ("v1", Credentials("admin", "admin")),
        ("v2", Credentials("admin", "admin")),
        ("v2-compat", Credentials("admin", "admin")),
        ("v3", Credentials("super", "super")),
        (None, Credentials("admin", "admin")),
    ],
)
def test_a_whatsminers_factory_login_follows_its_dialect(
    generation: str | None, login: Credentials
) -> None:
    identity = Identity(make=Make.WHATSMINER, firmware=Firmware.STOCK, generation=generation)
    assert CredentialBook(factory_defaults=True).find("10.0.0.1", identity) == login
    assert CredentialBook(RULES, factory_defaults=True).find("10.1.0.7", identity) == NARROW
