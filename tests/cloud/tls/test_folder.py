"""The certificates that a cloud makes for itself, as files, and as clients see them."""

from __future__ import annotations

import os
import shutil
import signal
import ssl
import stat
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cloud.tls.certificates import ALWAYS, SERVER_VALID, checked_name, print_of
from cloud.tls.folder import TlsFolder
from cloud.tls.keeper import server_context
from cloud.tls.public import TlsError, is_tls_begun, own_fingerprint
from contract.enrolment.authorities import certificates_in, fingerprint
from service.files import FolderLockedError
from tests.handshakes import client_context, shake

ROOT = Path(__file__).resolve().parents[3]
NOW = datetime(2026, 12, 1, tzinfo=UTC)
YEAR = timedelta(days=365)
NAME = "cloud.example.net"


@pytest.fixture
def folder(tmp_path: Path) -> TlsFolder:
    made = TlsFolder(tmp_path)
    made.init((NAME, "192.168.1.5", "fd00::5"), NOW)
    return made


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("name", [NAME, "192.168.1.5", "fd00::5", *ALWAYS])
def test_a_strict_client_takes_every_name_it_was_made_for(folder: TlsFolder, name: str) -> None:
    shown = shake(client_context(folder.trusted), server_context(folder.server), name)
    assert fingerprint(shown) == print_of(folder.shown().certificate)


@pytest.mark.parametrize("name", ["other.example.net", "192.168.1.6", "fd00::6"])
def test_and_no_other(folder: TlsFolder, name: str) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        shake(client_context(folder.trusted), server_context(folder.server), name)


def test_keys_are_their_owners_and_what_clients_trust_is_everybodys(folder: TlsFolder) -> None:
    assert mode(folder.root) == 0o700
    assert mode(folder.root / "authority.pem") == mode(folder.server) == 0o600
    assert mode(folder.trusted) == 0o644
    assert "PRIVATE" not in folder.trusted.read_text()
    assert own_fingerprint(folder.root.parent) == print_of(folder.authority().certificate)


def test_a_key_that_became_readable_is_shut_again(folder: TlsFolder) -> None:
    for each in ("authority.pem", "server.pem"):
        (folder.root / each).chmod(0o644)
    folder.settle(NOW)
    assert mode(folder.root / "authority.pem") == mode(folder.server) == 0o600


def test_the_authority_signs_servers_and_no_server_signs(folder: TlsFolder) -> None:
    from cryptography import x509

    authority, shown = folder.authority(), folder.shown()
    limits = authority.certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (limits.critical, limits.value.ca, limits.value.path_length) == (True, True, 1)
    limits = shown.certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert limits.value.ca is False


@pytest.mark.parametrize("clock", [1970, 2026])
def test_a_host_whose_clock_stands_in_the_past_makes_and_takes_them_all_the_same(
    tmp_path: Path, clock: int
) -> None:
    folder = TlsFolder(tmp_path)
    folder.init((NAME,), datetime(clock, 1, 2, tzinfo=UTC))
    shake(client_context(folder.trusted), server_context(folder.server), NAME)
    for each in (folder.authority().certificate, folder.shown().certificate):
        assert each.not_valid_before_utc == datetime(1970, 1, 1, tzinfo=UTC)
        assert each.not_valid_after_utc > datetime(2027, 12, 1, tzinfo=UTC)


def test_it_is_renewed_when_half_of_its_time_is_over(folder: TlsFolder) -> None:
    _, first = folder.shown(), folder.settle(NOW + YEAR - timedelta(days=1))[1]
    assert first.certificate == folder.shown().certificate
    authority, second = folder.settle(NOW + YEAR)
    assert second.certificate.not_valid_after_utc == NOW + YEAR + SERVER_VALID
    assert second.names == first.names
    assert second.key.private_numbers() != first.key.private_numbers()
    assert authority.certificate == folder.authority().certificate
    shake(client_context(folder.trusted), server_context(folder.server), NAME)


def test_a_clock_that_was_set_back_since_makes_none_that_ends_earlier(folder: TlsFolder) -> None:
    before = folder.shown().certificate.not_valid_after_utc
    _, after = folder.add_names(("new.example.net",), datetime(1970, 1, 1, tzinfo=UTC))
    assert after.certificate.not_valid_after_utc == before


def test_at_the_end_of_the_authority_it_is_not_made_again_and_again(folder: TlsFolder) -> None:
    late = folder.authority().certificate.not_valid_after_utc - timedelta(days=30)
    _, shown = folder.settle(late)
    assert shown.certificate.not_valid_after_utc == late + timedelta(days=30)
    assert folder.settle(late + timedelta(days=20))[1].certificate == shown.certificate


def test_names_are_added_and_the_first_stays_the_first(folder: TlsFolder) -> None:
    _, shown = folder.add_names(("new.example.net", NAME), NOW)
    assert shown.names == (NAME, "192.168.1.5", "fd00::5", *ALWAYS, "new.example.net")
    shake(client_context(folder.trusted), server_context(folder.server), "new.example.net")


def test_more_names_than_a_certificate_holds_are_refused(folder: TlsFolder) -> None:
    before = folder.server.read_bytes()
    with pytest.raises(TlsError, match="64 at most"):
        folder.add_names(tuple(f"n{number}.example" for number in range(64)), NOW)
    assert folder.server.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Cloud.Example.NET.", "cloud.example.net"),
        ("[FD00::5]", "fd00::5"),
        ("pi", "pi"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
    ],
)
def test_names_are_taken_as_people_write_them(text: str, name: str) -> None:
    assert checked_name(text) == name


@pytest.mark.parametrize(
    "text",
    [
        "", " ", ".", "a..b", "*.example.net", "https://a", "a:8443", "a/b", "a b", "bücher.example", "-a", "a-",
        "1.2.3", "256.1.1.1", "0.0.0.0", "::", "224.0.0.1", "fe80::1%eth0", "a" * 64, ".".join(["a" * 60] * 5), "a\nb",
    ],
)  # fmt: skip
def test_what_is_no_name_of_a_host_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no name|address of no host|name of the interface"):
        checked_name(text)


def test_who_trusts_the_former_authority_alone_follows_it_to_the_next(
    folder: TlsFolder, tmp_path: Path
) -> None:
    former = tmp_path / "former.pem"
    shutil.copy(folder.trusted, former)
    folder.rotate(NOW)
    assert len(certificates_in(folder.trusted.read_text())) == 2
    newest = tmp_path / "newest.pem"
    newest.write_text(
        folder.trusted.read_text().partition("-----END CERTIFICATE-----\n")[0]
        + "-----END CERTIFICATE-----\n"
    )
    for trusted in (former, newest, folder.trusted):
        shake(client_context(trusted), server_context(folder.server), NAME)
    folder.add_names(("new.example.net",), NOW + YEAR)
    shake(client_context(former), server_context(folder.server), "new.example.net")
    folder.finish(NOW)
    for trusted in (newest, folder.trusted):
        shake(client_context(trusted), server_context(folder.server), NAME)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(client_context(former), server_context(folder.server), NAME)


def test_a_chain_that_lost_its_way_to_the_former_authority_is_made_again(
    folder: TlsFolder, tmp_path: Path
) -> None:
    former = tmp_path / "former.pem"
    shutil.copy(folder.trusted, former)
    folder.rotate(NOW)
    end = "-----END CERTIFICATE-----\n"
    folder.server.write_text(folder.server.read_text().partition(end)[0] + end)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(client_context(former), server_context(folder.server), NAME)
    folder.settle(NOW)
    shake(client_context(former), server_context(folder.server), NAME)


def test_one_takes_over_at_a_time(folder: TlsFolder) -> None:
    with pytest.raises(TlsError, match="no other authority"):
        folder.finish(NOW)
    folder.rotate(NOW)
    with pytest.raises(TlsError, match="--finish"):
        folder.rotate(NOW)


def test_there_is_one_first_authority(folder: TlsFolder) -> None:
    before = folder.trusted.read_bytes()
    with pytest.raises(TlsError, match="add-name"):
        folder.init((NAME,), NOW)
    assert folder.trusted.read_bytes() == before


def test_of_two_that_begin_at_once_one_does_it(tmp_path: Path) -> None:
    ends: list[object] = []
    together = threading.Barrier(2)

    def begin() -> None:
        together.wait()
        try:
            ends.append(TlsFolder(tmp_path).init((NAME,), NOW))
        except (TlsError, FolderLockedError) as error:
            ends.append(str(error))

    both = [threading.Thread(target=begin) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    (said,) = [each for each in ends if isinstance(each, str)]
    assert "already" in said or "try again" in said
    folder = TlsFolder(tmp_path)
    shake(client_context(folder.trusted), server_context(folder.server), NAME)


@pytest.mark.parametrize("name", ["authority.pem", "server.pem"])
@pytest.mark.parametrize(
    "damage",
    [b"", bytes(4096), b"-----BEGIN PRIVATE KEY-----\nMIGH\n", None],
    ids=["empty", "zeroes", "half", "gone"],
)
def test_a_file_that_is_damaged_or_gone_is_named_with_what_to_do(
    folder: TlsFolder, name: str, damage: bytes | None
) -> None:
    path = folder.root / name
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)
    with pytest.raises(TlsError, match=rf"{name} is (damaged|missing): (put it back|move it away)"):
        folder.settle(NOW)


def test_a_key_beside_the_certificate_of_another_is_not_taken(
    folder: TlsFolder, tmp_path: Path
) -> None:
    other = TlsFolder(tmp_path / "other")
    other.init((NAME,), NOW)
    mine, theirs = (each.server.read_bytes() for each in (folder, other))
    cut = b"-----END PRIVATE KEY-----\n"
    folder.server.write_bytes(mine.partition(cut)[0] + cut + theirs.partition(cut)[2])
    with pytest.raises(TlsError, match="a key and a certificate of another"):
        folder.settle(NOW)


def test_what_does_not_agree_with_the_authority_is_made_again(
    folder: TlsFolder, tmp_path: Path
) -> None:
    other = TlsFolder(tmp_path / "other")
    other.init((NAME,), NOW)
    shutil.copy(other.server, folder.server)
    shutil.copy(other.trusted, folder.trusted)
    folder.settle(NOW)
    shake(client_context(folder.trusted), server_context(folder.server), NAME)
    assert own_fingerprint(folder.root.parent) == print_of(folder.authority().certificate)
    folder.trusted.unlink()
    with pytest.raises(TlsError, match="is missing"):
        own_fingerprint(folder.root.parent)
    folder.settle(NOW)
    assert own_fingerprint(folder.root.parent) == print_of(folder.authority().certificate)


KILLED = """
import os, signal, sys
from datetime import datetime, UTC
from pathlib import Path
import cloud.tls.folder as folder
real, left = folder.write_whole, [int(sys.argv[2])]
def killed(path, data, **more):
    if left[0] == 0:
        path.with_name(path.name + ".new").write_bytes(data[:100])
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    real(path, data, **more)
folder.write_whole = killed
now = datetime(2026, 12, 1, tzinfo=UTC)
getattr(folder.TlsFolder(Path(sys.argv[1])), sys.argv[3])(*eval(sys.argv[4]))
"""


@pytest.mark.parametrize("writes", [0, 1, 2])
@pytest.mark.parametrize(
    ("change", "given"),
    [
        ("init", f"(({NAME!r},), now)"),
        ("rotate", "(now,)"),
        ("finish", "(now,)"),
        ("add_names", "(('new.example.net',), now)"),
    ],
)
def test_killed_between_two_writes_nothing_is_lost(
    tmp_path: Path, change: str, given: str, writes: int
) -> None:
    folder, former = TlsFolder(tmp_path), tmp_path / "former.pem"
    if change != "init":
        folder.init((NAME,), NOW)
        shutil.copy(folder.trusted, former)
    if change == "finish":
        folder.rotate(NOW)
        shutil.copy(folder.trusted, former)
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), str(writes), change, given],
        cwd=ROOT, check=False, capture_output=True, text=True,
    )  # fmt: skip
    made = 1 if change == "add_names" else 3
    assert ended.returncode == (-signal.SIGKILL if writes < made else 0), ended.stderr
    if change == "init" and not folder.server.exists():
        assert is_tls_begun(tmp_path) == (writes > 0)
        folder.init((NAME,), NOW)
    folder.settle(NOW)
    shake(client_context(folder.trusted), server_context(folder.server), NAME)
    if change != "init":  # whoever knew it before knows it still
        shake(client_context(former), server_context(folder.server), NAME)


def test_on_a_full_disk_the_old_one_stays_and_is_shown(tmp_path: Path) -> None:
    able = subprocess.run(["unshare", "-Urm", "true"], check=False, capture_output=True)
    if able.returncode:
        if os.environ.get("MINER_AGENT_REQUIRE_ALL") == "1":
            pytest.fail(f"no mount namespaces: {able.stderr!r}")
        pytest.skip("needs unshare and user namespaces")
    script = 'mount -t tmpfs -o size=64k none "$1" && exec "$2" -m tests.cloud.tls.full_disk "$1"'
    ended = subprocess.run(
        ["unshare", "-Urm", "sh", "-ec", script, "sh", str(tmp_path), sys.executable],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "tls.not_renewed" in ended.stdout
    assert ended.stdout.splitlines()[-1] == "kept, then renewed"
