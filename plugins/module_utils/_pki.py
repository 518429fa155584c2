# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read X.509 certificates with the standard library alone, because a host has no more than that.

Only what decides about a renewal is read; signatures are checked by ``openssl verify`` when a certificate is installed.
Structures are those of RFC 5280, section 4.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import hashlib
import ipaddress
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

USAGE_OIDS = {"server": "1.3.6.1.5.5.7.3.1", "client": "1.3.6.1.5.5.7.3.2"}

_USAGE_NAMES = {oid: name for name, oid in USAGE_OIDS.items()}
_CURVES = {"1.2.840.10045.3.1.7": "ec256", "1.3.132.0.34": "ec384"}
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----\s+(.+?)-----END CERTIFICATE-----", re.DOTALL)


class PkiError(Exception):
    """A certificate, key or name is not usable; the message says which and how to mend it."""


@dataclass(frozen=True)
class CertificateInfo:
    """What a certificate says. Key identifiers and digests are lower-case hexadecimal, times are UTC."""

    common_name: str
    subject_alt_names: tuple[str, ...]
    usages: tuple[str, ...]
    key_type: str
    not_before: datetime.datetime
    not_after: datetime.datetime
    key_id: str
    issuer_key_id: str
    public_key_digest: str


def normalise_names(names: Iterable[str]) -> tuple[str, ...]:
    """Sort names such as ``DNS:node1`` or ``IP:10.0.0.5`` and write each in one way; raise PkiError for a bad one."""
    result = set()
    for name in names:
        kind, separator, value = name.partition(":")
        if kind == "DNS" and re.fullmatch(r"(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9])?", value):
            result.add(f"DNS:{value.lower()}")
            continue
        try:
            if kind != "IP" or not separator:
                raise ValueError
            result.add(f"IP:{ipaddress.ip_address(value)}")
        except ValueError:
            raise PkiError(f"subject_alt_names: {name!r} is neither DNS:<host name> nor IP:<address>") from None
    return tuple(sorted(result))


def split_pem(text: str) -> list[bytes]:
    """Return the DER form of each certificate in a PEM text."""
    try:
        return [base64.b64decode("".join(body.split()), validate=True) for body in _PEM.findall(text)]
    except binascii.Error:
        raise PkiError("a certificate in PEM form is damaged") from None


def parse_first(text: str) -> CertificateInfo:
    """Parse the first certificate of a PEM text; raise PkiError when there is none or it can't be read."""
    certificates = split_pem(text)
    if not certificates:
        raise PkiError("no certificate in PEM form was found")
    return parse(certificates[0])


def parse(der: bytes) -> CertificateInfo:
    """Parse one DER certificate."""
    try:
        return _parse(der)
    except (IndexError, ValueError, StopIteration) as error:
        raise PkiError("a certificate can't be read: its structure is damaged") from error


def _parse(der: bytes) -> CertificateInfo:
    certificate = next(_elements(der))
    fields = list(_elements(next(_elements(certificate[1]))[1]))
    if fields[0][0] == 0xA0:  # the version, absent in version 1
        fields.pop(0)
    _serial, _algorithm, _issuer, validity, subject, public_key = fields[:6]
    extensions = dict(_extensions(fields[6:]))
    not_before, not_after = (_time(tag, value) for tag, value in _elements(validity[1]))
    return CertificateInfo(
        common_name=_common_name(subject[1]),
        subject_alt_names=tuple(sorted(_alt_names(extensions.get("2.5.29.17", b"")))),
        usages=tuple(sorted(_usages(extensions.get("2.5.29.37", b"")))),
        key_type=_key_type(public_key[1]),
        not_before=not_before,
        not_after=not_after,
        key_id=next((value.hex() for _tag, value in _elements(extensions.get("2.5.29.14", b""))), ""),
        issuer_key_id=_issuer_key_id(extensions.get("2.5.29.35", b"")),
        public_key_digest=hashlib.sha256(_wrap(public_key)).hexdigest(),
    )


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and content of each DER element in ``data``."""
    position = 0
    while position < len(data):
        tag, length = data[position], data[position + 1]
        position += 2
        if length & 0x80:
            size = length & 0x7F
            length = int.from_bytes(data[position : position + size], "big")
            position += size
        if position + length > len(data):
            raise ValueError("element runs over the end")
        yield tag, data[position : position + length]
        position += length


def _wrap(element: tuple[int, bytes]) -> bytes:
    """Return the DER encoding of an element that ``_elements`` took apart."""
    tag, content = element
    if len(content) < 0x80:
        return bytes([tag, len(content)]) + content
    size = (len(content).bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + len(content).to_bytes(size, "big") + content


def _oid(content: bytes) -> str:
    numbers = [content[0] // 40, content[0] % 40]
    value = 0
    for byte in content[1:]:
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(value)
            value = 0
    return ".".join(map(str, numbers))


def _time(tag: int, content: bytes) -> datetime.datetime:
    pattern = "%y%m%d%H%M%SZ" if tag == 0x17 else "%Y%m%d%H%M%SZ"
    return datetime.datetime.strptime(content.decode(), pattern).replace(tzinfo=datetime.UTC)


def _common_name(subject: bytes) -> str:
    for _set, names in _elements(subject):
        for _sequence, pair in _elements(names):
            (_tag, oid), (_kind, value) = _elements(pair)
            if _oid(oid) == "2.5.4.3":
                return value.decode()
    return ""


def _extensions(fields: list[tuple[int, bytes]]) -> Iterator[tuple[str, bytes]]:
    for tag, content in fields:
        if tag == 0xA3:
            for _set, extensions in list(_elements(content))[:1]:
                for _sequence, extension in _elements(extensions):
                    parts = list(_elements(extension))
                    yield _oid(parts[0][1]), parts[-1][1]


def _alt_names(extension: bytes) -> Iterator[str]:
    for _sequence, names in _elements(extension):
        for tag, value in _elements(names):
            if tag == 0x82:
                yield f"DNS:{value.decode().lower()}"
            elif tag == 0x87:
                yield f"IP:{ipaddress.ip_address(value)}"
            else:
                yield f"other:{value.hex()}"


def _usages(extension: bytes) -> Iterator[str]:
    for _sequence, usages in _elements(extension):
        for _tag, value in _elements(usages):
            yield _USAGE_NAMES.get(_oid(value), _oid(value))


def _issuer_key_id(extension: bytes) -> str:
    for _sequence, parts in _elements(extension):
        for tag, value in _elements(parts):
            if tag == 0x80:
                return value.hex()
    return ""


def _key_type(public_key: bytes) -> str:
    (_sequence, algorithm), (_bits, key) = _elements(public_key)
    oids = [_oid(value) for tag, value in _elements(algorithm) if tag == 0x06]
    if oids[0] == "1.2.840.113549.1.1.1":
        modulus = next(_elements(next(_elements(key[1:]))[1]))[1]
        return f"rsa{int.from_bytes(modulus, 'big').bit_length()}"
    return _CURVES.get(oids[-1], oids[-1])
