"""Runs playbooks/preflight.yml over many inventories in one process: `harness.py CASES.json` prints what each found.

Each case is {"name", "inventory": directory}. The playbook runs as ansible-playbook runs it, with the
connection plugin `recorder` in the way to every host.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
os.environ.update(
    ANSIBLE_CONFIG=str(ROOT / "ansible.cfg"),
    ANSIBLE_CONNECTION_PLUGINS=str(HERE / "connection_plugins"),
    ANSIBLE_STDOUT_CALLBACK="ansible.builtin.default",
    ANSIBLE_LOCALHOST_WARNING="0",
)

from ansible import context  # noqa: E402
from ansible.executor.playbook_executor import PlaybookExecutor  # noqa: E402
from ansible.inventory.manager import InventoryManager  # noqa: E402
from ansible.module_utils.common.collections import ImmutableDict  # noqa: E402
from ansible.parsing.dataloader import DataLoader  # noqa: E402
from ansible.plugins.callback import CallbackBase  # noqa: E402
from ansible.plugins.loader import init_plugin_loader  # noqa: E402
from ansible.vars.manager import VariableManager  # noqa: E402

OPTIONS: dict[str, Any] = {
    "become": False,
    "become_method": "sudo",
    "become_user": None,
    "check": False,
    "connection": "ssh",
    "diff": False,
    "extra_vars": [],
    "force_handlers": False,
    "forks": 5,
    "inventory": [],
    "listhosts": False,
    "listtags": False,
    "listtasks": False,
    "remote_user": None,
    "skip_tags": [],
    "start_at_task": None,
    "subset": None,
    "syntax": False,
    "tags": ["all"],
    "timeout": 10,
    "verbosity": 0,
}


class Collector(CallbackBase):  # type: ignore[misc]
    """Keeps what the tasks say instead of printing it."""

    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "collector"

    def __init__(self) -> None:
        super().__init__()
        self.failures: list[dict[str, Any]] = []
        self.warnings: list[str] = []

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """A failed task: preflight's own tasks tell their mistakes."""
        answer = result.result
        self.failures.append({"msg": str(answer.get("msg")), "mistakes": answer.get("mistakes")})

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """A host that could not be reached."""
        self.failures.append({"msg": str(result.result.get("msg")), "mistakes": None})

    def _handle_warnings(self, res: Any) -> None:
        self.warnings += [str(warning) for warning in res.get("warnings") or []]

    _handle_warnings_and_exception = _handle_warnings

    def v2_runner_on_ok(self, result: Any) -> None:
        """A task that went well may have warned."""
        self._handle_warnings(result.result)


def run(inventory: str, record: Path) -> dict[str, Any]:
    """Run the playbook with one inventory; return failures, warnings and the hosts that somebody tried to reach."""
    record.write_text("")
    context.CLIARGS = ImmutableDict({**OPTIONS, "inventory": [inventory]})
    loader = DataLoader()
    loader.set_basedir(str(ROOT))
    hosts = InventoryManager(loader=loader, sources=[inventory])
    variables = VariableManager(loader=loader, inventory=hosts)
    executor = PlaybookExecutor([str(ROOT / "playbooks/preflight.yml")], hosts, variables, loader, {})
    collector = Collector()
    collector._init_callback_methods()
    executor._tqm._callback_plugins = [collector]
    executor.run()
    return {"failures": collector.failures, "warnings": collector.warnings, "contacted": record.read_text().split()}


def main() -> None:
    """Run all cases of a file."""
    cases = json.loads(Path(sys.argv[1]).read_text())
    init_plugin_loader()
    with tempfile.TemporaryDirectory() as scratch:
        record = Path(scratch) / "record"
        os.environ["PREFLIGHT_RECORD"] = str(record)
        results = {case["name"]: run(case["inventory"], record) for case in cases}
    sys.stdout.write(f"\n{json.dumps(results)}\n")


if __name__ == "__main__":
    main()
