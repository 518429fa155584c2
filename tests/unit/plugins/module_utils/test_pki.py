"""Certificates are read as the reference library reads them."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ansible_collections.aigo.onprem.plugins.module_utils import _pki

START = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
KEYS: dict[str, Callable[[], ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey]] = {
    "ec256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ec384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "rsa2048": lambda: rsa.generate_private_key(65537, 2048),
}


def _certificate(
    key_type: str = "ec256", name: str = "", end: datetime.datetime = START
) -> tuple[x509.Certificate, str]:
    key = KEYS[key_type]()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else [])
    names = [
        x509.DNSName("Node1.Example"),
        x509.IPAddress(ipaddress.ip_address("10.0.0.5")),
        x509.IPAddress(ipaddress.ip_address("fd00::1")),
    ]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(START - datetime.timedelta(days=1))
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName(names), critical=not name)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate, certificate.public_bytes(serialization.Encoding.PEM).decode()


@pytest.mark.parametrize("key_type", KEYS)
@pytest.mark.parametrize("name", ["", "node1", "Müller"])
def test_every_field_is_read_as_the_reference_library_reads_it(key_type: str, name: str) -> None:
    certificate, pem = _certificate(key_type, name)
    info = _pki.parse_first(pem)
    spki = certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    digest = hashes.Hash(hashes.SHA256())
    digest.update(spki)
    key_id = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest.hex()
    assert info == _pki.CertificateInfo(
        common_name=name,
        subject_alt_names=("DNS:node1.example", "IP:10.0.0.5", "IP:fd00::1"),
        usages=("client", "server"),
        key_type=key_type,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        key_id=key_id,
        issuer_key_id=key_id,
        public_key_digest=digest.finalize().hex(),
    )


def test_an_end_after_2050_is_read_although_it_is_encoded_differently() -> None:
    end = datetime.datetime(2061, 2, 3, 4, 5, 6, tzinfo=datetime.UTC)
    assert _pki.parse_first(_certificate(end=end)[1]).not_after == end


def test_the_first_of_several_is_read() -> None:
    first, second = _certificate(name="first")[1], _certificate(name="second")[1]
    assert _pki.parse_first(first + second).common_name == "first"
    assert len(_pki.split_pem("a comment\n" + first + second)) == 2


@pytest.mark.parametrize("text", ["", "rubbish", "-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_is_an_error(text: str) -> None:
    with pytest.raises(_pki.PkiError):
        _pki.parse_first(text)


@pytest.mark.parametrize("cut", [1, 5, 40, 200, 300])
def test_a_truncated_certificate_is_an_error(cut: int) -> None:
    certificate, _pem = _certificate()
    der = certificate.public_bytes(serialization.Encoding.DER)
    with pytest.raises(_pki.PkiError, match="damaged"):
        _pki.parse(der[:cut])


def test_names_are_written_in_one_way() -> None:
    names = ["IP:fd00:0:0::1", "DNS:Node1", "DNS:node1", "DNS:*.example.org"]
    assert _pki.normalise_names(names) == ("DNS:*.example.org", "DNS:node1", "IP:fd00::1")


@pytest.mark.parametrize("name", ["node1", "DNS:", "DNS:a b", "IP:10.0.0", "IP:node1", "URI:x", "DNS:a\nDNS:b"])
def test_bad_name_is_an_error_that_shows_it(name: str) -> None:
    with pytest.raises(_pki.PkiError, match="subject_alt_names"):
        _pki.normalise_names([name])
