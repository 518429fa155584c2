# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Preflight of what a site supplies itself: a certificate for the edge, models, secrets."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.aigo.onprem.plugins.module_utils._secrets import WEAK_WORDS, SecretsError, SecretSpec, weakness
from ansible_collections.aigo.onprem.plugins.plugin_utils._preflight import HIDDEN, Host, Problem, Site, show

try:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
except ImportError:
    HAS_CRYPTOGRAPHY = False
else:
    HAS_CRYPTOGRAPHY = True

CERTIFICATE, KEY = "nginx_certificate_file", "nginx_key_file"
_SOON = datetime.timedelta(days=14)
_MODEL_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
# Where a relative path of the site is looked for, as Ansible does it.
_PLAYBOOKS = Path(__file__).parents[2] / "playbooks"


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def check_certificate(site: Site) -> Iterator[Problem]:
    """The organisation's own certificate: present, readable, matching, for the domain, in its time."""
    for host in site.hosts:
        if "edge" not in host.groups:
            continue
        files = {name: str(host.get(name) or "") for name in (CERTIFICATE, KEY)}
        given = [name for name, path in files.items() if path]
        if not given:
            continue
        missing = next((name for name in files if name not in given), None)
        if missing:
            mend = f"set {missing} too, or remove {given[0]} so that the site's own authority issues one"
            yield Problem(host.name, missing, "(not set)", f"{given[0]} is set without it", mend)
            continue
        yield from _check_pair(host, files)


def _read(host: Host, name: str, path: str) -> bytes | Problem:
    try:
        return Path(path).expanduser().read_bytes()
    except OSError as error:
        wrong = f"can't be read on the control node: {error.strerror}"
        return Problem(
            host.name, name, show(path), wrong, "give the path of a PEM file that exists on the control node"
        )


def _check_pair(host: Host, files: Mapping[str, str]) -> Iterator[Problem]:
    if not HAS_CRYPTOGRAPHY:
        wrong = "the control node lacks the Python package cryptography, which reads it"
        yield Problem(host.name, CERTIFICATE, show(files[CERTIFICATE]), wrong, "install it where ansible-playbook is")
        return
    contents = {}
    for name, path in files.items():
        content = _read(host, name, path)
        if isinstance(content, Problem):
            yield content
            return
        contents[name] = content
    try:
        certificates = x509.load_pem_x509_certificates(contents[CERTIFICATE])
    except ValueError:
        mend = "give a PEM file: the certificate first, then its chain"
        yield Problem(host.name, CERTIFICATE, show(files[CERTIFICATE]), "holds no certificate", mend)
        return
    try:
        key: Any = load_pem_private_key(contents[KEY], password=None)
    except (TypeError, ValueError) as error:
        wrong = "is encrypted" if isinstance(error, TypeError) else "holds no private key"
        yield Problem(host.name, KEY, show(files[KEY]), wrong, "give the unencrypted private key in PEM, mode 0600")
        return
    leaf = certificates[0]
    if _public(key.public_key()) != _public(leaf.public_key()):
        wrong = f"does not belong to the certificate in {files[CERTIFICATE]}"
        mend = "give the key with which the certificate was requested; the leaf comes first in its file"
        yield Problem(host.name, KEY, show(files[KEY]), wrong, mend)
    yield from _check_leaf(host, files[CERTIFICATE], leaf)


def _public(key: Any) -> bytes:
    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return encoded


def _check_leaf(host: Host, path: str, leaf: x509.Certificate) -> Iterator[Problem]:
    domain, now = str(host.get("aigo_domain") or ""), _now()
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(
            x509.DNSName
        )
    except x509.ExtensionNotFound:
        names = []
    if domain and not any(name == domain or name == f"*.{domain.partition('.')[2]}" for name in names):
        wrong = f"is for {', '.join(names) or 'no name'}, not for {domain}"
        mend = f"get a certificate with {domain} among its subject alternative names, or correct aigo_domain"
        yield Problem(host.name, CERTIFICATE, show(path), wrong, mend)
    if leaf.not_valid_after_utc <= now:
        wrong = f"expired on {leaf.not_valid_after_utc:%Y-%m-%d}"
        yield Problem(host.name, CERTIFICATE, show(path), wrong, "renew it")
    elif leaf.not_valid_after_utc <= now + _SOON:
        wrong = f"expires on {leaf.not_valid_after_utc:%Y-%m-%d}"
        yield Problem(host.name, CERTIFICATE, show(path), wrong, "renew it soon", warning=True)
    if leaf.not_valid_before_utc > now:
        wrong = f"is not valid before {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
        yield Problem(host.name, CERTIFICATE, show(path), wrong, "check the control node's clock, or wait")


def check_models(site: Site) -> Iterator[Problem]:
    """Endpoints of models: unique names, usable URLs, keys that are no placeholders."""
    for host in site.hosts:
        models = host.get("aigo_models", [])
        seen: set[str] = set()
        for number, model in enumerate(models if isinstance(models, list) else []):
            if not isinstance(model, dict):
                continue
            where, name = f"aigo_models[{number}]", str(model.get("name", ""))
            if name and not _MODEL_NAME.fullmatch(name):
                mend = "use up to 32 lower-case letters, digits, hyphens and underscores"
                yield Problem(host.name, f"{where}.name", show(name), "is not a usable name", mend)
            if name in seen:
                wrong, mend = "an earlier entry has the same name", "give each model a name of its own"
                yield Problem(host.name, f"{where}.name", show(name), wrong, mend)
            seen.add(name)
            yield from _check_endpoint(host, where, model)


def _check_endpoint(host: Host, where: str, model: Mapping[str, Any]) -> Iterator[Problem]:
    if model.get("kind", "openai") == "scripted":
        return
    url = str(model.get("base_url") or "")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        mend = "give the endpoint's URL, such as https://llm.example.org/v1"
        yield Problem(host.name, f"{where}.base_url", show(url or "(not set)"), "is not an http or https URL", mend)
    elif parts.username or parts.password:
        wrong, mend = "holds a user name or password", "give the key as api_key, from a vault"
        yield Problem(host.name, f"{where}.base_url", HIDDEN, wrong, mend)
    if not model.get("model"):
        mend = "name the model as the endpoint knows it"
        yield Problem(host.name, f"{where}.model", "(not set)", "an endpoint needs the name of its model", mend)
    key = model.get("api_key")
    if key is not None and (not str(key).strip() or str(key).lower().strip("<>_- !.") in WEAK_WORDS):
        wrong = "is a placeholder" if str(key).strip() else "is empty"
        mend = "give the real key, or leave api_key out for an endpoint that needs none"
        yield Problem(host.name, f"{where}.api_key", HIDDEN, wrong, mend)


def check_model_file(site: Site) -> Iterator[Problem]:
    """The model that a local server is to serve: exactly one file, there, and with its digest."""
    for host in site.hosts:
        if "model" not in host.groups:
            continue
        file, path = str(host.get("model_file") or ""), str(host.get("model_path") or "")
        if bool(file) == bool(path):
            wrong = "both are set" if file else "the local model server has no model"
            mend = "set model_file (a GGUF file on the control node) or model_path (one on the host), not both"
            yield Problem(host.name, "model_file, model_path", show(file or "(not set)"), wrong, mend)
        elif file and not (_PLAYBOOKS / Path(file).expanduser()).is_file():
            mend = "give the path of a GGUF file on the control node, absolute or relative to the playbooks"
            yield Problem(host.name, "model_file", show(file), "is no file on the control node", mend)
        digest = host.get("model_sha256")
        if digest and not _SHA256.fullmatch(str(digest)):
            mend = "give the 64 hexadecimal digits that sha256sum prints for the file"
            yield Problem(host.name, "model_sha256", show(digest), "is not a SHA-256 digest", mend)


def check_secrets(
    path: str, values: Mapping[str, str] | SecretsError, specs: Mapping[str, SecretSpec]
) -> Iterator[Problem]:
    """Secrets that the site has already: the file opens, and no supplied one is weak."""
    if isinstance(values, SecretsError):
        yield Problem(
            "", "secrets", path, str(values), "give the password that the file was encrypted with, or mend the file"
        )
        return
    for name, spec in specs.items():
        if name in values and (reason := weakness(values[name], spec)):
            mend = f"replace it by a long random value (ansible-vault edit {path}), or remove it so that one is made"
            yield Problem("", f"secret {name}", HIDDEN, f"the secret {reason}", mend)
