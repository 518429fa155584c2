#!/usr/bin/python
# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module config_set: a service's whole configuration as one transaction."""

from __future__ import annotations

DOCUMENTATION = r"""
module: config_set
short_description: Write a service's whole configuration as one transaction
version_added: 0.1.0
author: aigo.onprem maintainers (@aigo-onprem)
description:
  - Renders all files of a service on the controller, sends them in one round trip, shows them to the service's own
    checker before they are live, swaps them in, activates the units, and waits until those really run.
  - If the checker refuses the set nothing is changed. If a unit does not come up with the new files, all files are put
    back and the units that were touched are activated again.
  - The digest of what was last activated successfully is remembered on the host, so an activation that was lost in a
    failed run happens in the next one. No handlers are needed.
  - A run that was killed is undone by the next run before that does its own work.
options:
  name:
    description: Names the set on the host. Its state is C(/var/lib/aigo/config_set/<name>.json).
    type: str
    required: true
  templates:
    description:
      - A directory below C(templates/). Every file in it goes to the path that it mirrors, so that
        C(templates/etc/redis/x.conf.j2) becomes C(/etc/redis/x.conf).
      - Files that end in C(.j2) are rendered and lose that ending; the others are taken as they are.
    type: str
  files:
    description: Further files, or other properties of files that O(templates) already has.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path on the host.
        type: str
        required: true
      template:
        description: Template below C(templates/).
        type: str
      content:
        description: The content itself.
        type: str
      owner:
        description: User that owns the file. Default is the set's O(owner).
        type: str
      group:
        description: Group of the file. Default is the set's O(group).
        type: str
      mode:
        description: Quoted octal mode. Default is the set's O(mode).
        type: str
      sensitive:
        description: Hide the content in diffs and messages. By default what not everyone may read is hidden.
        type: bool
      state:
        description: V(absent) removes the file, also one that O(templates) has.
        type: str
        choices: [present, absent]
        default: present
  owner:
    description: Default user of files and directories.
    type: str
    default: root
  group:
    description: Default group of files and directories.
    type: str
    default: root
  mode:
    description: Default mode of files.
    type: str
    default: "0644"
  directories:
    description: Directories that are made first. Missing parents of files are made unasked (root, V(0755)).
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path on the host.
        type: str
        required: true
      owner:
        description: User that owns the directory. Default is the set's O(owner).
        type: str
      group:
        description: Group of the directory. Default is the set's O(group).
        type: str
      mode:
        description: Quoted octal mode. Default is V(0755).
        type: str
  once:
    description: Files that are made when absent and never compared again, because the service rewrites them.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path on the host.
        type: str
        required: true
      template:
        description: Template below C(templates/).
        type: str
      content:
        description: The content itself.
        type: str
      owner:
        description: User that owns the file. Default is the set's O(owner).
        type: str
      group:
        description: Group of the file. Default is the set's O(group).
        type: str
      mode:
        description: Quoted octal mode. Default is the set's O(mode).
        type: str
      sensitive:
        description: Hide the content in diffs and messages. By default what not everyone may read is hidden.
        type: bool
  purge:
    description: Directories that belong to this set alone. What is in them and not in the set is removed.
    type: list
    elements: str
    default: []
  watch:
    description: Other files whose content counts, such as certificates. A change of one activates the units.
    type: list
    elements: str
    default: []
  validate:
    description:
      - Commands that check the set before it is live, each an argument vector written as a string, run without a shell.
      - They see the new files at their real paths, in a private mount namespace. Any exit code but 0 refuses the set.
      - In check mode they are run where they are installed, and a refusal is a warning.
    type: list
    elements: str
    default: []
  units:
    description: Units of systemd, in the order in which they are activated.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the unit. Without a type it is a service.
        type: str
        required: true
      state:
        description:
          - V(started) units are active after the task. A oneshot service without C(RemainAfterExit) is run when the set
            changed, or when it failed the last time.
          - V(stopped) units are not running; that a unit does not exist or is masked is fine.
        type: str
        choices: [started, stopped]
        default: started
      enabled:
        description: Whether the unit starts at boot. By default started units do, stopped ones do not.
        type: bool
      on_change:
        description:
          - What a change of the set means to a unit that runs. A V(reload) becomes a restart when the unit's own file
            or drop-in changed.
        type: str
        choices: [restart, reload, none]
        default: restart
  payload:
    description: The rendered set, made by the action plugin. Never write it yourself.
    type: str
attributes:
  check_mode:
    description: Can run in check mode, also on a host where the service is not installed.
    support: full
  diff_mode:
    description: Shows every file, except content that is hidden, and what happens to the units.
    support: full
notes:
  - A list among the items of O(files), O(once), O(directories) or O(units) stands for its items.
  - The controller renders the templates, so the task needs no fact or file of the host.
"""

EXAMPLES = r"""
- name: Configure nginx
  aigo.onprem.config_set:
    name: nginx
    templates: etc
    files:
      - {path: /etc/nginx/conf.d/default.conf, state: absent}
    purge: [/etc/nginx/conf.d]
    watch: [/etc/aigo/pki/nginx/cert.pem]
    validate: ["nginx -t"]
    units:
      - {name: nginx.service, on_change: reload}

- name: Configure Redis, which rewrites its own file
  aigo.onprem.config_set:
    name: redis
    templates: etc
    owner: redis
    group: redis
    mode: "0640"
    directories:
      - {path: /etc/redis/managed, mode: "0750"}
    once:
      - {path: /etc/redis/redis.conf, template: redis.conf.j2}
    units:
      - name: redis-server.service
"""

RETURN = r"""
files:
  description: Paths that were made, changed or removed, directories included.
  returned: success
  type: list
  elements: str
  sample: [/etc/nginx/nginx.conf]
activated:
  description: Units that were started, restarted or reloaded.
  returned: success
  type: list
  elements: str
  sample: [nginx.service]
step:
  description: Where it failed. One of plan, validate, write, activate, recover.
  returned: failure
  type: str
  sample: validate
unit:
  description: The unit that did not come up.
  returned: failure of a unit
  type: str
  sample: nginx.service
restored:
  description: Paths that were put back.
  returned: failure after the swap
  type: list
  elements: str
  sample: [/etc/nginx/nginx.conf]
"""

import grp
import pwd
from functools import cache
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.aigo.onprem.plugins.module_utils._config_set import Accounts, ConfigSetError, parse
from ansible_collections.aigo.onprem.plugins.module_utils._config_set_apply import Context, converge
from ansible_collections.aigo.onprem.plugins.module_utils._config_set_journal import STATE_DIRECTORY, Memory
from ansible_collections.aigo.onprem.plugins.module_utils._config_set_spec import MODULE_SPEC, unpack
from ansible_collections.aigo.onprem.plugins.module_utils._systemd import Systemd


@cache
def _user(name: str) -> int | None:
    try:
        return int(name) if name.isdecimal() else pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


@cache
def _group(name: str) -> int | None:
    try:
        return int(name) if name.isdecimal() else grp.getgrnam(name).gr_gid
    except KeyError:
        return None


def run(module: AnsibleModule, state_directory: Path = STATE_DIRECTORY) -> dict[str, Any]:
    """Read the rendered set and converge the host to it."""
    if not module.params["payload"]:
        raise ConfigSetError("config_set renders on the controller: call it as a task `aigo.onprem.config_set`")
    wanted = parse(unpack(module.params["payload"]))
    context = Context(
        memory=Memory(wanted.name, state_directory),
        systemd=Systemd(),
        accounts=Accounts(_user, _group),
        check_mode=module.check_mode,
        diff=module._diff,
    )
    return converge(wanted, context)


def main() -> None:
    """Entry point. The invocation is not returned: it would be the whole set once more."""
    module = AnsibleModule(argument_spec=MODULE_SPEC, supports_check_mode=True)
    try:
        result = run(module)
    except ConfigSetError as error:
        module.fail_json(msg=str(error), invocation={}, **error.details)
    except OSError as error:
        module.fail_json(msg=f"config_set {module.params['name']}: {error}", invocation={})
    for warning in result.pop("warnings", ()):
        module.warn(warning)
    module.exit_json(invocation={}, **result)


if __name__ == "__main__":
    main()
