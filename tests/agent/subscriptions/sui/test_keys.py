"""A secret key is taken from a file that its owner alone can read, and in either spelling."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest

from agent.config.file import ConfigError
from agent.subscriptions.sui.keys import key_of, read_keystore
from contract.subscription.ids import object_id_text, parse_object_id
from tests.agent.subscriptions.sui.golden import ADDRESS, SECRET

PLAIN = base64.b64encode(bytes([0, *range(32)])).decode()
OTHER = base64.b64encode(bytes([0, *range(1, 33)])).decode()
OF_ANOTHER_SCHEME = base64.b64encode(bytes([1, *range(32)])).decode()


def keystore(folder: Path, content: str, mode: int = 0o600) -> Path:
    path = folder / "sui.keystore"
    path.write_text(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("text", [SECRET, PLAIN])
def test_both_spellings_are_the_same_key(tmp_path: Path, text: str) -> None:
    for mode in (0o600, 0o400):
        key = read_keystore(keystore(tmp_path, json.dumps([text]), mode), None)
        assert object_id_text(key.address) == ADDRESS
        assert repr(key) == f"SuiKey({ADDRESS})"
        (tmp_path / "sui.keystore").unlink()


def test_an_address_says_which_key_is_meant(tmp_path: Path) -> None:
    path = keystore(tmp_path, json.dumps([OF_ANOTHER_SCHEME, OTHER, SECRET, PLAIN]))
    wanted = parse_object_id(ADDRESS)
    assert read_keystore(path, wanted).address == wanted
    with pytest.raises(ConfigError, match="2 ed25519 keys: say which by `address`"):
        read_keystore(path, None)
    with pytest.raises(ConfigError, match="no ed25519 key of 0x0000"):
        read_keystore(path, bytes(32))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o700, 0o644])
def test_a_keystore_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(ConfigError, match="chmod 600"):
        read_keystore(keystore(tmp_path, json.dumps([SECRET]), mode), None)


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone gives files away")
def test_a_keystore_of_somebody_else_is_refused(tmp_path: Path) -> None:
    path = keystore(tmp_path, json.dumps([SECRET]))
    os.chown(path, 65534, 65534)
    with pytest.raises(ConfigError, match="belongs to user 65534"):
        read_keystore(path, None)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "not a JSON array of texts"),
        ("{}", "not a JSON array of texts"),
        ("[1]", "not a JSON array of texts"),
        ("[" * 100_000, "over 65536 bytes"),
        ("[" * 50_000, "not a JSON array of texts"),
        ("[]", "has no ed25519 key"),
        (json.dumps([OF_ANOTHER_SCHEME]), "has no ed25519 key"),
        (json.dumps([PLAIN, "%%"]), "secret 2: it is neither base64 nor suiprivkey1"),
        (json.dumps([PLAIN[:-4]]), "secret 1: a secret has 33 bytes"),
        (json.dumps([SECRET[:-1] + "q"]), "secret 1: its checksum is wrong"),
        (json.dumps([SECRET.upper()]), "secret 1: it is neither base64"),
        (json.dumps(["suiprivkey1b"]), "secret 1: this is not written as suiprivkey1"),
        (json.dumps(["suiprivkey1" + "q" * 90]), "secret 1: bech32 is up to 90"),
    ],
)
def test_what_is_no_keystore_is_refused_and_nothing_of_it_is_quoted(
    tmp_path: Path, content: str, said: str
) -> None:
    with pytest.raises(ConfigError) as error:
        read_keystore(keystore(tmp_path, content), None)
    assert said in str(error.value)
    assert SECRET[12:20] not in str(error.value)
    assert PLAIN[4:12] not in str(error.value)


def test_a_keystore_that_is_none_or_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        read_keystore(tmp_path / "none", None)
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name in ("pipe", "."):
        with pytest.raises(ConfigError, match=r"is not a file|is a directory"):
            read_keystore(tmp_path / name, None)


def test_each_changed_character_of_a_bech32_key_is_noticed() -> None:
    for at in range(len("suiprivkey1"), len(SECRET)):
        changed = "q" if SECRET[at] != "q" else "p"
        with pytest.raises(ValueError, match="checksum"):
            key_of(SECRET[:at] + changed + SECRET[at + 1 :])
