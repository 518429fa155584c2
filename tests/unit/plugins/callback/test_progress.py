"""The callback ``progress``: what people see, what goes to the log, what is counted."""

from __future__ import annotations

import json
import os
import pty
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[4]
HOSTS = "one,two,"
SECRET = "correct-horse-battery"

MODULE = """#!/usr/bin/python
from ansible.module_utils.basic import AnsibleModule
module = AnsibleModule({"fail": {"type": "bool"}, "warn": {"type": "bool"}}, supports_check_mode=True)
if module.params["warn"]:
    module.warn("the disk is nearly full")
if module.params["fail"]:
    module.fail_json(msg="the service did not start", unit="nginx.service", mend="read the line that it names",
                     journal="started\\nunknown directive in line 7")
module.exit_json(changed=True, diff={"before": "old line\\n", "after": "new line\\n"})
"""

GOOD: list[dict[str, Any]] = [
    {"name": "Change something", "service_like": {"warn": True}},
    {"name": "Run for each", "ansible.builtin.command": "echo {{ item }}", "loop": [1, 2], "changed_when": False},
    {"name": "Run elsewhere", "ansible.builtin.command": "true", "delegate_to": "three", "changed_when": False},
    {"name": "Skip it", "ansible.builtin.command": "true", "when": False},
    {"name": "Set a fact", "ansible.builtin.set_fact": {"colour": "red"}},
    {"name": "Say it", "ansible.builtin.debug": {"msg": ["first line", "second line"]}},
    {"name": "Keep it secret", "ansible.builtin.command": f"echo {SECRET}", "no_log": True, "changed_when": True},
]
BAD: list[dict[str, Any]] = [
    {"name": "Start the service", "service_like": {"fail": True}, "when": "inventory_hostname == 'one'"},
    {"name": "Fail in secret", "ansible.builtin.command": f"false {SECRET}", "no_log": True},
]


@dataclass(frozen=True)
class Run:
    """One run of ansible-playbook."""

    code: int
    screen: str
    log: str
    log_mode: int
    counts: dict[str, Any]


def play(directory: Path, tasks: list[dict[str, Any]], *arguments: str, tty: bool = False, **variables: Any) -> Run:
    """Run tasks in a role named ``thing`` on two hosts."""
    (directory / "library").mkdir()
    (directory / "library/service_like.py").write_text(MODULE)
    role = directory / "roles/thing/tasks"
    role.mkdir(parents=True)
    (role / "main.yml").write_text(yaml.safe_dump(tasks))
    plays = [{"name": "Try the role", "hosts": "all", "gather_facts": False, "roles": ["thing"]}]
    (directory / "small.yml").write_text(yaml.safe_dump(plays))
    log, counts = directory / "log/run.log", directory / "counts.json"
    extra = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, **variables}
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", HOSTS, "small.yml", "-e", json.dumps(extra)]
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".ansible/collections"),
        "ANSIBLE_STDOUT_CALLBACK": "aigo.onprem.progress",
        "ANSIBLE_LIBRARY": str(directory / "library"),
        "AIGO_LOG": str(log),
        "AIGO_PROGRESS_JSON": str(counts),
        "COLUMNS": "200",
    }
    code, screen = (on_terminal if tty else on_pipe)([*command, *arguments], directory, environment)
    return Run(code, screen, log.read_text(), stat.S_IMODE(log.stat().st_mode), json.loads(counts.read_text()))


def on_pipe(command: list[str], directory: Path, environment: dict[str, str]) -> tuple[int, str]:
    run = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    return run.returncode, run.stdout


def on_terminal(command: list[str], directory: Path, environment: dict[str, str]) -> tuple[int, str]:
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, cwd=directory, env=environment, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        seen = b""
        while True:
            try:
                chunk = os.read(ours, 65536)
            except OSError:
                break
            if not chunk:
                break
            seen += chunk
    os.close(ours)
    return process.returncode, seen.decode()


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return play(tmp_path_factory.mktemp("good"), GOOD, "--diff")


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return play(tmp_path_factory.mktemp("bad"), BAD)


def test_changed_tasks_are_named_once_with_their_hosts(good: Run) -> None:
    assert good.code == 0, good.screen
    lines = [line for line in good.screen.splitlines() if "changed: thing: Change something" in line]
    assert len(lines) == 1
    assert "one" in lines[0] and "two" in lines[0]
    assert "changed: thing: Run for each" not in good.screen


def test_a_role_has_one_line_with_its_counts(good: Run) -> None:
    (line,) = [line for line in good.screen.splitlines() if line.startswith("thing ") and "changed 4" in line]
    assert "ok 12" in line


def test_differences_warnings_and_debug_are_on_the_screen(good: Run) -> None:
    assert "-old line" in good.screen and "+new line" in good.screen
    assert "warning: the disk is nearly full" in good.screen
    assert "  first line\n  second line\n" in good.screen


def test_tasks_without_news_are_in_the_log_alone(good: Run) -> None:
    assert "Set a fact" not in good.screen
    assert "TASK [thing : Set a fact]" in good.log
    assert "skipping: [one]" in good.log
    assert "+new line" in good.log
    assert "PLAY RECAP" in good.log


def test_the_log_is_for_its_owner_alone(good: Run) -> None:
    assert good.log_mode == 0o600


def test_secrets_are_nowhere(good: Run, bad: Run) -> None:
    for run in (good, bad):
        assert SECRET not in run.screen
        assert SECRET not in run.log
        assert SECRET not in json.dumps(run.counts)


def test_module_executions_count_for_the_host_on_which_they_ran(good: Run) -> None:
    executions = {host: counts["module_executions"] for host, counts in good.counts["hosts"].items()}
    # The module, two items, the secret; the delegated task counts for the third host.
    assert executions == {"one": 4, "two": 4, "three": 2}
    assert good.counts["hosts"]["one"]["skipped"] == 1
    assert good.counts["hosts"]["one"]["changed"] == 2


def test_counts_of_the_run_are_written_for_programs(good: Run) -> None:
    assert good.counts["playbook"] == "small"
    assert good.counts["check_mode"] is False
    assert good.counts["tasks"] == len(GOOD)
    (role,) = good.counts["roles"]
    assert (role["role"], role["tasks"], role["changed"]) == ("thing", len(GOOD), 4)
    assert 0 < role["seconds"] <= good.counts["elapsed_seconds"]
    assert [task["task"] for task in good.counts["changed_tasks"]] == ["Change something", "Keep it secret"]


def test_a_failure_shows_host_place_message_journal_and_mend(bad: Run) -> None:
    assert bad.code == 2
    assert "FAILED on one: thing: Start the service" in bad.screen
    assert "roles/thing/tasks/main.yml:" in bad.screen
    for line in (
        "  the service did not start",
        "  journal of nginx.service:",
        "    unknown directive in line 7",
        "  mend: read the line that it names",
    ):
        assert line in bad.screen.splitlines(), line
    assert "the service did not start" in bad.log


def test_a_secret_failure_is_told_without_its_content(bad: Run) -> None:
    assert "FAILED on two: thing: Fail in secret" in bad.screen
    assert "no_log" in bad.screen


def test_failures_are_counted(bad: Run) -> None:
    assert bad.counts["hosts"]["one"]["failures"] == 1
    assert bad.counts["hosts"]["two"]["failures"] == 1


def test_check_mode_says_what_would_change(tmp_path: Path) -> None:
    run = play(tmp_path, GOOD[:1], "--check")
    assert "would change: thing: Change something" in run.screen
    assert run.counts["check_mode"] is True


def test_a_host_out_of_reach_is_told(tmp_path: Path) -> None:
    variables: dict[str, Any] = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}
    run = play(tmp_path, GOOD[:1], **variables)
    assert run.code == 4
    assert "UNREACHABLE on one: thing: Change something" in run.screen
    assert run.counts["hosts"]["one"]["unreachable"] == 1
    assert run.counts["hosts"]["one"]["module_executions"] == 0


def test_a_terminal_has_a_line_that_tells_role_task_and_count(tmp_path: Path) -> None:
    run = play(tmp_path, GOOD, tty=True)
    assert f"[1/{len(GOOD)}] thing: Change something" in run.screen
    assert f"[{len(GOOD)}/{len(GOOD)}] thing: Keep it secret" in run.screen
    # What stands at the end is the recap, not a left-over of the line.
    assert "full output in" in run.screen.splitlines()[-1]
