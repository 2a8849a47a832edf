"""Making the authority of a cloud and the certificates that it shows. Knows no file and reads no clock.

All of them are valid from 1970 on: a certificate of ours says whose it is, not since when, and a host without a battery
clock that wakes in the past takes it all the same. Their ends are counted from a moment that is plausible.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from contract.enrolment.authorities import fingerprint

EARLIEST: Final = datetime(2026, 1, 1, tzinfo=UTC)  # before it no clock is right
AUTHORITY_VALID: Final = timedelta(days=20 * 365)
# A cloud that was off for a year renews when it starts. What it shows is good for at least half of this from then on.
SERVER_VALID: Final = timedelta(days=730)
NAMES_MOST: Final = 64
ALWAYS: Final = ("localhost", "127.0.0.1", "::1")  # for commands on the cloud's own host
_BEGIN: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LABELS: Final = "abcdefghijklmnopqrstuvwxyz0123456789-_"


@dataclass(frozen=True)
class Authority:
    """Who signs. While one takes over from another, `crossed` is the new one's key signed by the old one: whoever
    trusts the `former` alone follows it.
    """

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    crossed: x509.Certificate | None = None
    former: x509.Certificate | None = None

    @property
    def made_at(self) -> datetime:
        """Within the second after this, by the clock of then."""
        return self.certificate.not_valid_after_utc - AUTHORITY_VALID

    @property
    def trusted(self) -> tuple[x509.Certificate, ...]:
        """What clients are to trust, the newest first."""
        return (self.certificate,) if self.former is None else (self.certificate, self.former)


@dataclass(frozen=True)
class ServerCertificate:
    """What the server shows: its certificate, its key, and the way from there to each authority."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    crossed: x509.Certificate | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Those it was made for, in their order, and the ones that each has."""
        held = self.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        return tuple(str(each.value) for each in held.value)

    @property
    def made_at(self) -> datetime:
        """When, by the clock of then."""
        return self.certificate.not_valid_after_utc - SERVER_VALID


def new_authority(now: datetime) -> Authority:
    """One that nobody trusts yet."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _authority_name(key)
    end = max(now, EARLIEST) + AUTHORITY_VALID
    return Authority(key, _sign(key, name, name, key, end, below=1))


def successor(old: Authority, now: datetime) -> Authority:
    """A new one, and the old one's word for it."""
    new = new_authority(now)
    crossed = _sign(
        new.key,
        new.certificate.subject,
        old.certificate.subject,
        old.key,
        min(old.certificate.not_valid_after_utc, new.certificate.not_valid_after_utc),
        below=0,
    )
    return Authority(new.key, new.certificate, crossed, old.certificate)


def show(authority: Authority, names: tuple[str, ...], now: datetime) -> ServerCertificate:
    """A new key and a certificate for these names. It ends with its authority at the latest."""
    key = ec.generate_private_key(ec.SECP256R1())
    end = _end(authority, now)
    every = dict.fromkeys((*names, *ALWAYS))
    builder = (
        _begun(key, _common_name(names[0]), authority.certificate.subject, authority.key, end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(list(map(_general, every))), critical=False)
    )
    return ServerCertificate(key, builder.sign(authority.key, hashes.SHA256()), authority.crossed)


def is_due(shown: ServerCertificate, authority: Authority, now: datetime) -> bool:
    """Whether half of its time is over, and a new one would be good for longer."""
    longer = _end(authority, now) - shown.certificate.not_valid_after_utc > timedelta(days=1)
    return longer and now >= shown.made_at + SERVER_VALID / 2


def is_of(shown: ServerCertificate, authority: Authority) -> bool:
    """Whether this authority made it, and the way to it is the one of today."""
    try:
        shown.certificate.verify_directly_issued_by(authority.certificate)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return shown.crossed == authority.crossed


def belongs(key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> bool:
    """Whether that is the key of the certificate."""
    public = certificate.public_key()
    return (
        isinstance(public, ec.EllipticCurvePublicKey)
        and public.public_numbers() == key.public_key().public_numbers()
    )


def checked_name(text: str) -> str:
    """A name of a host, or an address, as it is written into a certificate. Raises ValueError."""
    name = text.strip().removeprefix("[").removesuffix("]").lower().removesuffix(".")
    address = _address(name)
    if address is not None:
        if address.is_unspecified or address.is_multicast:
            raise ValueError(f"{name} is the address of no host")
        if isinstance(address, IPv6Address) and address.scope_id is not None:
            raise ValueError(f"{name}: leave out the name of the interface, %{address.scope_id}")
        return str(address)
    labels = name.split(".")
    if (
        len(name) > 253
        or any(
            not 0 < len(each) < 64 or each.strip(_LABELS) or each.strip("-") != each
            for each in labels
        )
        or labels[-1].isdecimal()
    ):
        raise ValueError(
            f"{text[:80]!r} is no name of a host and no address, such as cloud.example.net or 192.168.1.5"
            " (without scheme, port or *; others than a to z as xn--...)"
        )
    return name


def print_of(certificate: x509.Certificate) -> str:
    """Its fingerprint."""
    return fingerprint(_der(certificate))


def _end(authority: Authority, now: datetime) -> datetime:
    """Of a certificate that it makes now."""
    return min(max(now, EARLIEST) + SERVER_VALID, authority.certificate.not_valid_after_utc)


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def _sign(
    key: ec.EllipticCurvePrivateKey,
    subject: x509.Name,
    issuer: x509.Name,
    by: ec.EllipticCurvePrivateKey,
    end: datetime,
    *,
    below: int,
) -> x509.Certificate:
    """The certificate of an authority; `below` is how many authorities may stand between it and a server."""
    return (
        _begun(key, subject, issuer, by, end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=below), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .sign(by, hashes.SHA256())
    )


def _begun(
    key: ec.EllipticCurvePrivateKey,
    subject: x509.Name,
    issuer: x509.Name,
    by: ec.EllipticCurvePrivateKey,
    end: datetime,
) -> x509.CertificateBuilder:
    """What is the same in all of them."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_BEGIN)
        .not_valid_after(end.replace(microsecond=0))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False
        )
    )


def _authority_name(key: ec.EllipticCurvePrivateKey) -> x509.Name:
    """Each has a name of its own, so that a client which knows two of them asks the right one."""
    mark = x509.SubjectKeyIdentifier.from_public_key(key.public_key()).digest.hex()[:16]
    return _common_name(f"miner-cloud authority {mark}")


def _common_name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _general(name: str) -> x509.GeneralName:
    address = _address(name)
    return x509.DNSName(name) if address is None else x509.IPAddress(address)


def _address(name: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(name)
    except ValueError:
        return None
