"""The action renders every file of a set on the controller, as the template action does, and sends them at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play_context import PlayContext
from ansible.playbook.task import Task
from ansible.plugins.loader import connection_loader
from ansible.template import Templar

from ansible_collections.aigo.onprem.plugins.action.config_set import ActionModule
from ansible_collections.aigo.onprem.plugins.module_utils._config_set_spec import unpack


class Role:
    """A role's directory with templates, and the action run from it."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.templates = root / "templates"
        self._root = root
        self.sent: list[dict[str, Any]] = []

        def execute(_action: Any, module_args: dict[str, Any], **_options: Any) -> dict[str, Any]:
            self.sent.append(module_args)
            return {"changed": True}

        monkeypatch.setattr(ActionModule, "_execute_module", execute)

    def template(self, name: str, text: str) -> None:
        path = self.templates / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def run(self, variables: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
        """Run the action; returns the rendered set."""
        loader = DataLoader()
        loader.set_basedir(str(self._root))
        task = Task.load({"action": "aigo.onprem.config_set"})
        task.args = {"name": "demo", **options}
        templar = Templar(loader=loader, variables={})
        connection = connection_loader.get("local", PlayContext())
        action = ActionModule(task, connection, PlayContext(), loader, templar, None)
        action.run(task_vars={"ansible_search_path": [str(self._root)], **(variables or {})})
        return unpack(self.sent[-1]["payload"])

    def files(self, variables: dict[str, Any] | None = None, **options: Any) -> dict[str, dict[str, Any]]:
        return {file["path"]: file for file in self.run(variables, **options)["files"]}


@pytest.fixture
def role(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Role:
    return Role(tmp_path, monkeypatch)


def test_every_file_of_the_directory_goes_to_the_path_that_it_mirrors(role: Role) -> None:
    role.template("etc/a/x.conf.j2", "{{ value }}")
    role.template("etc/y.conf.j2", "y")
    role.template("elsewhere.j2", "not of the set")
    assert {path: file["content"] for path, file in role.files({"value": 7}, templates="etc").items()} == {
        "/etc/a/x.conf": "7",
        "/etc/y.conf": "y",
    }


def test_all_is_sent_in_one_execution_with_nothing_readable_in_its_options(role: Role) -> None:
    role.run(files=[{"path": "/etc/x", "content": "Ab3dEf7hIj9k"}, {"path": "/etc/y", "content": "two"}])
    assert len(role.sent) == 1
    assert "Ab3dEf7hIj9k" not in str(role.sent[0])


def test_a_file_without_the_ending_is_taken_as_it_is(role: Role) -> None:
    role.template("etc/alert.tmpl", "{{ $labels.instance }}\n")
    assert role.files(templates="etc")["/etc/alert.tmpl"]["content"] == "{{ $labels.instance }}\n"


def test_blocks_are_trimmed_and_includes_found_as_the_template_action_does(role: Role) -> None:
    role.template("etc/x.j2", "{% for i in [1, 2] %}\n{{ i }}\n{% endfor %}\n{% include 'part.j2' %}\n")
    role.template("part.j2", "part {{ ansible_managed }}")
    content = role.files({"ansible_managed": "by hand"}, templates="etc")["/etc/x"]["content"]
    assert content == "1\n2\npart by hand\n"


def test_ansible_managed_has_a_value_without_a_date(role: Role) -> None:
    role.template("etc/x.j2", "{{ ansible_managed }}")
    assert role.files(templates="etc")["/etc/x"]["content"].startswith("Managed by aigo.onprem")


def test_a_file_entry_changes_properties_of_a_template(role: Role) -> None:
    role.template("etc/x.j2", "text")
    entry = {"path": "/etc/x", "owner": "redis", "mode": "0600", "sensitive": False}
    file = role.files(templates="etc", group="adm", files=[entry])["/etc/x"]
    owned = {"owner": "redis", "group": "adm", "mode": "0600"}
    assert file == {"path": "/etc/x", "content": "text", **owned, "sensitive": False, "once": False}


def test_an_absent_entry_takes_a_template_out(role: Role) -> None:
    role.template("etc/x.j2", "{{ undefined_variable }}")
    assert role.files(templates="etc", files=[{"path": "/etc/x", "state": "absent"}])["/etc/x"]["content"] is None


def test_a_template_of_the_directory_can_be_made_once(role: Role) -> None:
    role.template("etc/x.j2", "text")
    assert role.files(templates="etc", once=[{"path": "/etc/x"}])["/etc/x"]["once"] is True


def test_a_list_among_the_items_stands_for_its_items(role: Role) -> None:
    items = [{"path": "/a", "content": "a"}, [{"path": "/b", "content": "b"}, {"path": "/c", "content": "c"}], []]
    assert list(role.files(files=items)) == ["/a", "/b", "/c"]


def test_defaults_reach_directories_and_units(role: Role) -> None:
    sent = role.run(owner="redis", directories=[{"path": "/etc/x"}], units=[{"name": "x"}])
    assert sent["directories"] == [{"path": "/etc/x", "owner": "redis", "group": "root", "mode": "0755"}]
    assert sent["units"] == [{"name": "x", "state": "started", "enabled": None, "on_change": "restart"}]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"files": [{"path": "/etc/x"}]}, "/etc/x has neither `template` nor `content`"),
        ({"files": [{"path": "/etc/x", "template": "none.j2"}]}, "there is no template 'none.j2'"),
        ({"files": [{"path": "/etc/x", "template": "x", "content": "x"}]}, "`template` or `content`, not both"),
        ({"templates": "none"}, "there is no template 'none'"),
        ({"templates": "file.j2"}, "is not a directory"),
        ({"files": [{"content": "x"}]}, "missing required arguments: path"),
        ({"fils": []}, "fils"),
        ({"units": [{"name": "x", "on_change": "reboot"}]}, "restart, reload, none"),
    ],
)
def test_mistakes_are_told_before_anything_is_sent(role: Role, options: dict[str, Any], said: str) -> None:
    role.template("file.j2", "text")
    with pytest.raises(AnsibleActionFail) as error:
        role.run(**options)
    assert said in str(error.value)
    assert role.sent == []


def test_an_undefined_variable_is_told_with_its_template_and_path(role: Role) -> None:
    role.template("etc/x.conf.j2", "{{ misspelt }}")
    with pytest.raises(AnsibleActionFail) as error:
        role.run(templates="etc")
    assert "x.conf.j2 for /etc/x.conf" in str(error.value)
    assert "misspelt" in str(error.value)
