# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The site's certificate authority: two files in a directory on the controller."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path
from typing import Any

from ansible_collections.aigo.onprem.plugins.module_utils._certificate import Wanted
from ansible_collections.aigo.onprem.plugins.module_utils._pki import USAGE_OIDS, PkiError
from ansible_collections.aigo.onprem.plugins.plugin_utils._private_files import locked_directory, write_private

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.x509.oid import NameOID
except ImportError:
    _AVAILABLE = False
else:
    _AVAILABLE = True

_CLOCK_TOLERANCE = datetime.timedelta(hours=1)


def create(directory: Path, passphrase: str, common_name: str, valid_days: int) -> bool:
    """Make the authority unless it is there; return whether it was made.

    An authority that is there is opened, so that a wrong passphrase or a foreign key shows here and not in the middle
    of a deployment.
    """
    _require_cryptography()
    with locked_directory(directory):
        present = [name for name in ("ca.pem", "ca.key") if (directory / name).exists()]
        if len(present) == 2:
            Authority(directory, passphrase)
            return False
        if present:
            raise PkiError(
                f"{directory} holds {present[0]} alone: restore the other of ca.pem and ca.key from your backup"
            )
        if len(passphrase) < 16:
            raise PkiError("authority.passphrase has fewer than 16 characters: give a longer one")
        _write_new(directory, passphrase, common_name, valid_days)
        return True


def read_bundle(directory: Path) -> str:
    """Return the authorities that hosts trust; the first is the one that signs. Empty when there are none yet."""
    try:
        return (directory / "ca.pem").read_text()
    except FileNotFoundError:
        return ""


class Authority:
    """An opened authority, able to sign."""

    def __init__(self, directory: Path, passphrase: str) -> None:
        _require_cryptography()
        self._chain = x509.load_pem_x509_certificates((directory / "ca.pem").read_bytes())
        key_file = directory / "ca.key"
        try:
            key = serialization.load_pem_private_key(key_file.read_bytes(), passphrase.encode())
        except FileNotFoundError:
            raise PkiError(f"{key_file} does not exist: restore it, certificates can't be signed without it") from None
        except (ValueError, TypeError):
            raise PkiError(
                f"{key_file} can't be opened with authority.passphrase: is it the one it was made with?"
            ) from None
        if not isinstance(key, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey)):
            raise PkiError(f"{key_file} is neither an EC nor an RSA key")
        if key.public_key() != self._chain[0].public_key():
            raise PkiError(f"{key_file} does not belong to the first certificate of {directory / 'ca.pem'}")
        try:
            self._key_id = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
                self._chain[0].extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
            )
        except x509.ExtensionNotFound:
            raise PkiError(f"the first certificate of {directory / 'ca.pem'} has no subject key identifier") from None
        self._key = key

    def sign(self, request: str, wanted: Wanted, valid_days: int, least_days: int) -> str:
        """Return the leaf and the intermediate authorities in PEM form.

        Nothing but the public key is taken from the request. The leaf never outlives its authority; when fewer than
        ``least_days`` would be left, signing is refused, because every run would renew it again.
        """
        csr = self._checked(request, wanted)
        issuer = self._chain[0]
        now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
        not_after = min(now + datetime.timedelta(days=valid_days), issuer.not_valid_after_utc)
        if not_after < now + datetime.timedelta(days=least_days):
            raise PkiError(
                f"the authority {issuer.subject.rfc4514_string()} ends on {issuer.not_valid_after_utc:%Y-%m-%d}, too "
                "soon to sign with it: make a new one"
            )
        name = [x509.NameAttribute(NameOID.COMMON_NAME, wanted.common_name)] if wanted.common_name else []
        key_usage = _key_usage(digital_signature=True, key_encipherment=wanted.key_type.startswith("rsa"))
        leaf = (
            x509.CertificateBuilder()
            .subject_name(x509.Name(name))
            .issuer_name(issuer.subject)
            .public_key(csr.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _CLOCK_TOLERANCE)
            .not_valid_after(not_after)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(key_usage, critical=True)
            .add_extension(
                x509.SubjectAlternativeName([_alt_name(n) for n in wanted.subject_alt_names]), critical=not name
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(csr.public_key()), critical=False)
            .add_extension(self._key_id, critical=False)
        )
        if wanted.usages:
            leaf = leaf.add_extension(
                x509.ExtendedKeyUsage([x509.ObjectIdentifier(USAGE_OIDS[usage]) for usage in wanted.usages]),
                critical=False,
            )
        return _pem(leaf.sign(self._key, hashes.SHA256())) + "".join(map(_pem, self._intermediates()))

    @staticmethod
    def _checked(request: str, wanted: Wanted) -> x509.CertificateSigningRequest:
        where = f"certificates[{wanted.name}]: the host's signing request"
        try:
            csr = x509.load_pem_x509_csr(request.encode())
            valid = csr.is_signature_valid
        except (ValueError, InvalidSignature):
            valid = False
        if not valid:
            raise PkiError(f"{where} is damaged or not signed by its own key")
        key = csr.public_key()
        kind = f"{'rsa' if isinstance(key, rsa.RSAPublicKey) else 'ec'}{getattr(key, 'key_size', '')}"
        if kind != wanted.key_type:
            raise PkiError(f"{where} has a key of type {kind}, not {wanted.key_type}")
        return csr

    def _intermediates(self) -> list[x509.Certificate]:
        """Follow the bundle from the signing authority up to, and without, its root."""
        found: list[x509.Certificate] = []
        current = self._chain[0]
        while current.issuer != current.subject and current not in found:
            found.append(current)
            current = next((c for c in self._chain if c.subject == current.issuer), current)
        return found


def _require_cryptography() -> None:
    if not _AVAILABLE:
        raise PkiError(
            "the controller's Python has no cryptography, which signs certificates: pip install cryptography"
        )


def _write_new(directory: Path, passphrase: str, common_name: str, valid_days: int) -> None:
    key = ec.generate_private_key(ec.SECP384R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_TOLERANCE)
        .not_valid_after(now + datetime.timedelta(days=valid_days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA384())
    )
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(passphrase.encode()),
    )
    write_private(directory / "ca.key", encrypted)
    # The certificate comes last: where it is, the authority is complete.
    write_private(directory / "ca.pem", _pem(certificate).encode(), mode=0o644)


def _key_usage(**set_bits: bool) -> x509.KeyUsage:
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    bits: dict[str, Any] = dict.fromkeys((*names, "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"), False)
    return x509.KeyUsage(**(bits | set_bits))


def _alt_name(name: str) -> x509.GeneralName:
    kind, _separator, value = name.partition(":")
    return x509.IPAddress(ipaddress.ip_address(value)) if kind == "IP" else x509.DNSName(value)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
