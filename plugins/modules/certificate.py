#!/usr/bin/python
# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The host's half of the action of the same name: what is due, keys, requests, installation."""

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate
short_description: Give a host certificates of the site's own authority
version_added: 0.1.0
author: aigo.onprem maintainers (@aigo-onprem)
description:
  - Keeps C(key.pem), C(cert.pem) (the leaf and its chain) and C(ca.pem) in a directory for each certificate.
  - Keys are born on the host and never leave it. The controller signs the request with the site's authority, whose key
    never leaves the controller.
  - A certificate is renewed, with a new key, when fewer than O(renew_days) are left, when its names, usages or key type
    differ, when its key does not belong to it, or when another authority signed it.
  - Key and certificate change places with their predecessors in one step, after the chain has been verified.
  - One round trip when nothing is due, two otherwise, for any number of certificates.
  - With O(state=authority), makes the authority itself on the controller; no host is touched.
options:
  state:
    description:
      - V(present) cares for the certificates of a host.
      - V(authority) makes the authority (EC P-384, its key encrypted) unless it is there.
    type: str
    choices: [present, authority]
    default: present
  authority:
    description: The site's certificate authority.
    type: dict
    required: true
    suboptions:
      directory:
        description:
          - Directory on the controller with C(ca.pem) and C(ca.key).
          - C(ca.pem) may hold several authorities. The first one signs, hosts trust all of them.
          - The first one may be an intermediate authority of the organisation.
        type: path
        required: true
      passphrase:
        description: Passphrase of C(ca.key). Needed when something has to be signed or made.
        type: str
      common_name:
        description: Name of an authority that is made.
        type: str
        default: aigo.onprem authority
      valid_days:
        description: How long an authority that is made is valid.
        type: int
        default: 3650
  certificates:
    description: The certificates that the host has to have.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the certificate's directory.
        type: str
        required: true
      common_name:
        description: The subject. Empty (a critical alternative name then identifies the host) suits everything modern.
        type: str
        default: ""
      subject_alt_names:
        description: Names and addresses, as C(DNS:node1) and C(IP:10.0.0.5).
        type: list
        elements: str
        required: true
      usages:
        description: What it may be used for.
        type: list
        elements: str
        choices: [server, client]
        default: [server]
      owner:
        description: Owner of the files. PostgreSQL and its clients want V(root) or the user itself.
        type: str
        default: root
      group:
        description: Group of the files; the owner's name when not given.
        type: str
      key_mode:
        description:
          - Mode of C(key.pem).
          - V(0640) where root owns it, V(0600) otherwise, when not given; that is what the strictest readers accept.
        type: str
      key_type:
        description: Kind of the key.
        type: str
        choices: [ec256, ec384, rsa4096]
        default: ec256
  directory:
    description: Directory on the host that holds a directory for each certificate. It is made with mode 0755.
    type: path
    default: /etc/aigo/pki
  valid_days:
    description: How long a new certificate is valid.
    type: int
    default: 90
  renew_days:
    description: A certificate is renewed when fewer days than this are left.
    type: int
    default: 30
  force:
    description: Renew all certificates, due or not.
    type: bool
    default: false
  payload:
    description: What the action plugin tells the module. Not for playbooks.
    type: dict
attributes:
  check_mode:
    description: Says what is due; also where the authority, the owners or the host's tools don't exist yet.
    support: full
  diff_mode:
    description: Shows subject, names, usages, end and access before and after.
    support: full
requirements:
  - cryptography (on the controller)
  - openssl, the command (on the host)
notes:
  - The directory of a certificate belongs to this module. A renewal replaces it as a whole.
"""

EXAMPLES = r"""
- name: Make the site's authority
  aigo.onprem.certificate:
    state: authority
    authority:
      directory: "{{ inventory_dir }}/.state/ca"
      passphrase: "{{ lookup('aigo.onprem.secret', 'ca_passphrase', file=inventory_dir ~ '/.state/secrets.yml') }}"

- name: Give Redis its certificate
  aigo.onprem.certificate:
    authority:
      directory: "{{ redis_authority_directory }}"
      passphrase: "{{ redis_authority_passphrase }}"
    certificates:
      - name: redis
        subject_alt_names: ["DNS:node1", "IP:10.0.0.5", "DNS:localhost", "IP:127.0.0.1"]
        usages: [server, client]
        group: redis
"""

RETURN = r"""
certificates:
  description: One entry for each certificate, in the order given.
  returned: O(state=present)
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
    directory:
      description: Where it is on the host.
      type: str
    changed:
      description: Whether anything of it changed, or would.
      type: bool
    reason:
      description: Why it was, or would be, renewed; empty otherwise.
      type: str
    not_after:
      description: End of its validity (ISO 8601), empty when it does not exist yet.
      type: str
authority:
  description: The authorities that hosts trust, in PEM form; empty in check mode before the first run.
  returned: O(state=authority)
  type: str
authority_not_after:
  description: End of the signing authority's validity (ISO 8601).
  returned: O(state=authority)
  type: str
"""

import datetime
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.aigo.onprem.plugins.module_utils._certificate import (
    Store,
    Wanted,
    description,
    due,
    missing_accounts,
    ownership,
    prediction,
)
from ansible_collections.aigo.onprem.plugins.module_utils._certificate_spec import argument_spec
from ansible_collections.aigo.onprem.plugins.module_utils._pki import PkiError, parse_first


def run(module: AnsibleModule) -> dict[str, Any]:
    """Inspect, and with the signed certificates in hand install; without them answer with signing requests."""
    params = module.params
    store = Store(Path(params["directory"]))
    payload = params["payload"] or {}
    bundle, signed = payload.get("bundle", ""), payload.get("signed")
    issuer = parse_first(bundle) if bundle else None
    now = datetime.datetime.now(datetime.UTC)

    entries = []
    for wanted in map(Wanted.from_options, params["certificates"]):
        current = store.inspect(wanted)
        reason = due(wanted, current, issuer, now, params["renew_days"]) or ("asked for" if params["force"] else "")
        stale = current.bundle != bundle or current.ownership != ownership(wanted)
        entries.append((wanted, current, reason, bool(reason) or stale))

    if not module.check_mode:
        _require_accounts([wanted for wanted, *_rest in entries])
        if signed is None and any(reason for _wanted, _current, reason, _changed in entries):
            requests = {wanted.name: store.request(wanted) for wanted, _current, reason, _changed in entries if reason}
            return {"changed": False, "requests": requests}
        for wanted, _current, reason, changed in entries:
            if reason:
                store.install(wanted, (signed or {}).get(wanted.name, ""), bundle)
            elif changed:
                store.refresh(wanted, bundle)

    results, before, after = [], {}, {}
    for wanted, current, reason, changed in entries:
        now_there = current if module.check_mode else store.inspect(wanted)
        predict = module.check_mode and changed
        results.append(
            {
                "name": wanted.name,
                "directory": str(store.root / wanted.name),
                "changed": changed,
                "reason": reason,
                "not_after": now_there.info.not_after.isoformat() if now_there.info else "",
            }
        )
        before[wanted.name] = description(current)
        after[wanted.name] = (
            prediction(wanted, current, bundle, reason, params["valid_days"]) if predict else description(now_there)
        )
    return {
        "changed": any(result["changed"] for result in results),
        "certificates": results,
        "diff": {"before": _text(before), "after": _text(after)},
    }


def _require_accounts(all_wanted: list[Wanted]) -> None:
    missing = [f"certificates[{w.name}]: {account}" for w in all_wanted for account in missing_accounts(w)]
    if missing:
        raise PkiError(f"the host does not know {'; '.join(missing)}: install the service's package before this task")


def _text(described: dict[str, dict[str, str]]) -> str:
    return "".join(f"{name}.{key}: {value}\n" for name, parts in described.items() for key, value in parts.items())


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec=argument_spec() | {"payload": {"type": "dict"}},
        supports_check_mode=True,
    )
    try:
        result = run(module)
    except PkiError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
