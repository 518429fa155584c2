# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sign on the controller what hosts ask for; make the site's authority."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.aigo.onprem.plugins.module_utils._certificate import Wanted
from ansible_collections.aigo.onprem.plugins.module_utils._certificate_spec import argument_spec
from ansible_collections.aigo.onprem.plugins.module_utils._pki import PkiError, parse_first
from ansible_collections.aigo.onprem.plugins.plugin_utils._authority import Authority, create, read_bundle


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible ships no types
    """The action ``aigo.onprem.certificate``."""

    _requires_connection = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Make the authority, or bring a host's certificates up to date."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec(argument_spec())
        try:
            if args["state"] == "authority":
                result.update(self._authority(args))
            else:
                result.update(self._certificates(args, task_vars))
        except PkiError as error:
            raise AnsibleActionFail(str(error)) from error
        except OSError as error:
            raise AnsibleActionFail(f"authority.directory: {error}") from error
        return result

    def _authority(self, args: dict[str, Any]) -> dict[str, Any]:
        authority = args["authority"]
        directory = Path(authority["directory"])
        bundle = read_bundle(directory)
        if self._task.check_mode:
            changed = not bundle
        else:
            changed = create(directory, _passphrase(authority), authority["common_name"], authority["valid_days"])
            bundle = read_bundle(directory)
        signer = parse_first(bundle) if bundle else None
        return {
            "changed": changed,
            "authority": bundle,
            "authority_not_after": signer.not_after.isoformat() if signer else "",
            "diff": {
                "before": "" if changed else f"authority in {directory}\n",
                "after": f"authority in {directory}\n",
            },
        }

    def _certificates(self, args: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        if args["renew_days"] >= args["valid_days"]:
            raise PkiError(
                f"renew_days ({args['renew_days']}) must be smaller than valid_days ({args['valid_days']}): every run "
                "would renew everything"
            )
        all_wanted = {wanted.name: wanted for wanted in map(Wanted.from_options, args["certificates"])}
        if len(all_wanted) != len(args["certificates"]):
            raise PkiError("certificates: two entries have the same name")
        directory = Path(args["authority"]["directory"])
        bundle = read_bundle(directory)
        if not bundle and not self._task.check_mode:
            raise PkiError(f"{directory / 'ca.pem'} does not exist: make the authority first (state: authority)")
        # The host needs to know where the authority is no more than it needs its passphrase.
        options = args | {"authority": {"directory": "."}, "payload": {"bundle": bundle}}
        answer = self._ask(options, task_vars)
        requests = answer.pop("requests", {})
        if requests:
            authority = Authority(directory, _passphrase(args["authority"]))
            signed = {
                name: authority.sign(request, all_wanted[name], args["valid_days"], args["renew_days"])
                for name, request in requests.items()
            }
            answer = self._ask(options | {"payload": {"bundle": bundle, "signed": signed}}, task_vars)
        return answer

    def _ask(self, options: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        answer: dict[str, Any] = self._execute_module(
            module_name="aigo.onprem.certificate", module_args=options, task_vars=task_vars
        )
        return answer


def _passphrase(authority: dict[str, Any]) -> str:
    if not authority["passphrase"]:
        raise PkiError("authority.passphrase is empty: the authority's key can't be opened or made without it")
    return str(authority["passphrase"])
