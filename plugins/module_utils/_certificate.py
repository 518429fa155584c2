# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which certificates of a host are due, and how a renewed one gets into its place."""

from __future__ import annotations

import ctypes
import datetime
import grp
import hashlib
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.aigo.onprem.plugins.module_utils._pki import (
    USAGE_OIDS,
    CertificateInfo,
    PkiError,
    normalise_names,
    parse_first,
)

NEW_KEY = {
    "ec256": ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
    "ec384": ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"),
    "rsa4096": ("-newkey", "rsa:4096"),
}

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


@dataclass(frozen=True)
class Wanted:
    """One certificate that a host has to have."""

    name: str
    common_name: str
    subject_alt_names: tuple[str, ...]
    usages: tuple[str, ...]
    key_type: str
    owner: str
    group: str
    key_mode: int

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Wanted:
        """Check one entry of the option ``certificates``; raise PkiError that names it and what is wrong."""
        name = options["name"]
        where = f"certificates[{name}]"
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
            raise PkiError(f"{where}: a name has lower-case letters, digits, - and _ only")
        try:
            names = normalise_names(options["subject_alt_names"])
        except PkiError as error:
            raise PkiError(f"{where}.{error}") from None
        if not names:
            raise PkiError(f"{where}.subject_alt_names is empty: list the names and addresses that clients use")
        owner = options["owner"]
        mode = options["key_mode"] or ("0640" if owner == "root" else "0600")
        if not re.fullmatch(r"0?[0-7]{3}", mode) or int(mode, 8) & 0o037:
            raise PkiError(
                f"{where}.key_mode is {mode!r}; a private key is readable by its owner and group at most (0640)"
            )
        return cls(
            name=name,
            common_name=options["common_name"],
            subject_alt_names=names,
            usages=tuple(sorted(set(options["usages"]) & set(USAGE_OIDS))),
            key_type=options["key_type"],
            owner=owner,
            group=options["group"] or owner,
            key_mode=int(mode, 8),
        )


@dataclass(frozen=True)
class Current:
    """What is installed under a certificate's name; ``info`` is None when there is no readable certificate."""

    info: CertificateInfo | None
    key_matches: bool
    bundle: str | None
    ownership: tuple[str, ...]


def due(
    wanted: Wanted, current: Current, issuer: CertificateInfo | None, now: datetime.datetime, renew_days: int
) -> str:
    """Say why a certificate has to be made anew, or return an empty text.

    ``issuer`` is None only when the authority has yet to be made.
    """
    info = current.info
    if info is None:
        return "there is none"
    if not current.key_matches:
        return "its key does not belong to it"
    if issuer is None or info.issuer_key_id != issuer.key_id:
        return "it is of another authority"
    left = info.not_after - now
    if left < datetime.timedelta(days=renew_days):
        return f"{max(left.days, 0)} days are left"
    if info.not_before > now:
        return "it is not valid yet"
    for what in ("common_name", "subject_alt_names", "usages", "key_type"):
        if getattr(info, what) != getattr(wanted, what):
            return f"{what} differ" if what.endswith("s") else f"{what} differs"
    return ""


def ownership(wanted: Wanted) -> tuple[str, ...]:
    """Return who may do what with the directory, key, certificate and bundle: what Current.ownership has to be."""
    who = f"{wanted.owner}:{wanted.group}"
    return tuple(f"{who} {mode:04o}" for mode in (0o750, wanted.key_mode, 0o644, 0o644))


def description(current: Current) -> dict[str, str]:
    """Describe what is installed, for the diff."""
    if current.info is None:
        return {}
    return {
        "subject": f"CN={current.info.common_name}" if current.info.common_name else "",
        "subject_alt_names": ", ".join(current.info.subject_alt_names),
        "usages": ", ".join(current.info.usages),
        "key_type": current.info.key_type,
        "not_after": current.info.not_after.isoformat(),
        "authority": hashlib.sha256((current.bundle or "").encode()).hexdigest()[:16],
        "access": ", ".join(current.ownership),
    }


def prediction(wanted: Wanted, current: Current, bundle: str, reason: str, valid_days: int) -> dict[str, str]:
    """Describe what will be installed, for the diff."""
    kept = current.info.not_after.isoformat() if current.info and not reason else f"{valid_days} days from now"
    return {
        "subject": f"CN={wanted.common_name}" if wanted.common_name else "",
        "subject_alt_names": ", ".join(wanted.subject_alt_names),
        "usages": ", ".join(wanted.usages),
        "key_type": wanted.key_type,
        "not_after": kept,
        "authority": hashlib.sha256(bundle.encode()).hexdigest()[:16],
        "access": ", ".join(ownership(wanted)),
    }


class Store:
    """The directory that holds a directory for each certificate: key.pem, cert.pem (leaf and chain), ca.pem."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def inspect(self, wanted: Wanted) -> Current:
        """Read what is installed; what can't be read counts as absent."""
        place = self.root / wanted.name
        try:
            info: CertificateInfo | None = parse_first((place / "cert.pem").read_text())
        except (OSError, PkiError, UnicodeDecodeError):
            info = None
        bundle = (place / "ca.pem").read_text() if (place / "ca.pem").is_file() else None
        matches = info is not None and _public_key_digest(place / "key.pem") == info.public_key_digest
        access = tuple(_access(path) for path in (place, place / "key.pem", place / "cert.pem", place / "ca.pem"))
        return Current(info, matches, bundle, access)

    def request(self, wanted: Wanted) -> str:
        """Make a new key beside the present one and return a signing request for it.

        The request's own subject means nothing: the authority signs what the play wants for this public key.
        """
        self._make_root()
        pending = self._pending(wanted)
        shutil.rmtree(pending, ignore_errors=True)
        pending.mkdir(mode=0o700)
        key = pending / "key.pem"
        key.touch(mode=0o600)
        return _openssl(
            "req", "-new", "-nodes", "-batch", *NEW_KEY[wanted.key_type], "-subj", "/CN=request", "-keyout", str(key)
        )

    def install(self, wanted: Wanted, certificate: str, bundle: str) -> None:
        """Check a signed certificate against its key and the bundle, then exchange the whole directory at once."""
        pending = self._pending(wanted)
        if not pending.is_dir():
            raise PkiError(f"{pending} has gone since the request was made: run the playbook again")
        (pending / "cert.pem").write_text(certificate)
        (pending / "ca.pem").write_text(bundle)
        if _public_key_digest(pending / "key.pem") != parse_first(certificate).public_key_digest:
            raise PkiError(
                f"certificates[{wanted.name}]: the signed certificate does not belong to the key on the host"
            )
        _openssl(
            "verify", "-x509_strict", "-CAfile", str(pending / "ca.pem"), "-untrusted", str(pending / "cert.pem"),
            str(pending / "cert.pem"),
        )  # fmt: skip
        self._set_access(wanted, pending)
        place = self.root / wanted.name
        if place.exists():
            _exchange(pending, place)
            shutil.rmtree(pending)
        else:
            pending.rename(place)

    def refresh(self, wanted: Wanted, bundle: str) -> None:
        """Bring the bundle and the access of a certificate that is not due up to date."""
        place = self.root / wanted.name
        if not (place / "ca.pem").is_file() or (place / "ca.pem").read_text() != bundle:
            fresh = place / ".ca.pem.new"
            fresh.write_text(bundle)
            fresh.replace(place / "ca.pem")
        self._set_access(wanted, place)

    def _pending(self, wanted: Wanted) -> Path:
        return self.root / f".{wanted.name}.pending"

    def _make_root(self) -> None:
        for directory in (self.root.parent, self.root):
            if not directory.is_dir():
                directory.mkdir(parents=True)
                directory.chmod(0o755)

    @staticmethod
    def _set_access(wanted: Wanted, place: Path) -> None:
        uid, gid = pwd.getpwnam(wanted.owner).pw_uid, grp.getgrnam(wanted.group).gr_gid
        for name, mode in (("key.pem", wanted.key_mode), ("cert.pem", 0o644), ("ca.pem", 0o644), ("", 0o750)):
            os.chown(place / name, uid, gid)
            (place / name).chmod(mode)


def missing_accounts(wanted: Wanted) -> list[str]:
    """Return which of the owner and the group the host does not know."""
    missing = []
    try:
        pwd.getpwnam(wanted.owner)
    except KeyError:
        missing.append(f"user {wanted.owner}")
    try:
        grp.getgrnam(wanted.group)
    except KeyError:
        missing.append(f"group {wanted.group}")
    return missing


def _access(path: Path) -> str:
    try:
        status = path.stat()
    except OSError:
        return "absent"
    try:
        who = f"{pwd.getpwuid(status.st_uid).pw_name}:{grp.getgrgid(status.st_gid).gr_name}"
    except KeyError:
        who = f"{status.st_uid}:{status.st_gid}"
    return f"{who} {status.st_mode & 0o7777:04o}"


def _public_key_digest(key: Path) -> str | None:
    if not key.is_file():
        return None
    command = ["openssl", "pkey", "-in", str(key), "-pubout", "-outform", "DER"]
    try:
        result = subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        raise PkiError("the command openssl is missing on the host: install the package openssl") from None
    return hashlib.sha256(result.stdout).hexdigest() if result.returncode == 0 else None


def _openssl(*arguments: str) -> str:
    try:
        result = subprocess.run(
            ["openssl", *arguments], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError:
        raise PkiError("the command openssl is missing on the host: install the package openssl") from None
    if result.returncode != 0:
        raise PkiError(f"openssl {arguments[0]} failed: {result.stderr.strip() or result.stdout.strip()}")
    return result.stdout


def _exchange(new: Path, old: Path) -> None:
    """Swap two directories in one step, so that no reader ever meets a key beside a foreign certificate."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(_AT_FDCWD, os.fsencode(new), _AT_FDCWD, os.fsencode(old), _RENAME_EXCHANGE) == 0:
        return
    # A file system without the exchange: two steps, the nearest that there is.
    aside = old.with_name(f".{old.name}.former")
    shutil.rmtree(aside, ignore_errors=True)
    old.rename(aside)
    new.rename(old)
    aside.rename(new)
