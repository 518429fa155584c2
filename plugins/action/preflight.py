# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge an inventory, or what its hosts have told, and report all mistakes at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.aigo.onprem.plugins.action.secrets_file import parse_specs
from ansible_collections.aigo.onprem.plugins.module_utils._secrets import SecretsError
from ansible_collections.aigo.onprem.plugins.plugin_utils import (
    _preflight_hosts,
    _preflight_site,
    _preflight_supplies,
    _preflight_variables,
)
from ansible_collections.aigo.onprem.plugins.plugin_utils._preflight import Problem, Site, render
from ansible_collections.aigo.onprem.plugins.plugin_utils._preflight_sources import plain, read_site
from ansible_collections.aigo.onprem.plugins.plugin_utils._secrets_store import SecretsStore

ARGUMENT_SPEC: dict[str, Any] = {
    "stage": {"type": "str", "required": True, "choices": ["inventory", "hosts"]},
    "facts": {"type": "str", "default": "__preflight_facts"},
    "clock_tolerance": {"type": "float", "default": 5.0},
}

_STATIC_CHECKS = (
    _preflight_site.check_groups,
    _preflight_site.check_names_of_hosts,
    _preflight_variables.check_site_wide,
    _preflight_variables.check_names,
    _preflight_variables.check_values,
    _preflight_variables.check_required,
    _preflight_site.check_domain,
    _preflight_site.check_public_url,
    _preflight_site.check_addresses,
    _preflight_site.check_networks,
    _preflight_site.check_quorum,
    _preflight_site.check_size,
    _preflight_site.check_ports,
    _preflight_supplies.check_models,
    _preflight_supplies.check_model_file,
    _preflight_supplies.check_certificate,
)


class ActionModule(ActionBase):  # type: ignore[misc]
    """The action ``aigo.onprem.preflight``: it runs once for all hosts, and reaches none of them."""

    BYPASS_HOST_LOOP = True
    _requires_connection = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Collect what is asked for, judge it, and fail with all findings together."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec(ARGUMENT_SPEC)
        variables = task_vars or {}
        site = read_site(variables["hostvars"], plain(variables["groups"]))
        if args["stage"] == "inventory":
            what = "the inventory; no host was contacted"
            problems = [problem for check in _STATIC_CHECKS for problem in check(site)]
            problems += self._secrets(site, variables)
        else:
            what = "the hosts; nothing was changed"
            reports = _reports(variables, args["facts"])
            problems = list(_preflight_hosts.check_hosts(site, reports, args["clock_tolerance"]))
        mistakes = [problem for problem in problems if not problem.warning]
        warnings = [problem for problem in problems if problem.warning]
        if warnings:
            result["warnings"] = [render(warnings, what)]
        result.update(
            changed=False,
            mistakes=[asdict(problem) for problem in mistakes],
            msg=render(mistakes, what) if mistakes else f"no mistakes in {what}",
            failed=bool(mistakes),
        )
        return result

    def _secrets(self, site: Site, variables: Mapping[str, Any]) -> Iterator[Problem]:
        """Weak or unreadable secrets that the site has already."""
        if not site.hosts:
            return
        hostvars = variables["hostvars"][site.hosts[0].name]
        try:
            path, specs = Path(str(hostvars["site_secrets_file"])), parse_specs(plain(hostvars["site_secret_specs"]))
        except Exception:  # the wiring rests on variables that other checks have refused already
            return
        try:
            values: dict[str, str] | SecretsError = SecretsStore(path, self._loader._vault.secrets).cached()
        except SecretsError as error:
            values = error
        yield from _preflight_supplies.check_secrets(str(path), values, specs)


def _reports(variables: Mapping[str, Any], name: str) -> dict[str, Mapping[str, Any]]:
    """What every host of the play has told; hosts that have told nothing are left out."""
    hostvars = variables["hostvars"]
    return {host: plain(hostvars[host][name]) for host in variables["ansible_play_hosts_all"] if name in hostvars[host]}
