"""The action and the module app_release together: real wheels, real uv, the host is a directory."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible.module_utils.testing import patch_module_args
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play_context import PlayContext
from ansible.playbook.task import Task
from ansible.plugins.loader import connection_loader

from ansible_collections.aigo.onprem.plugins.action.app_release import ActionModule
from ansible_collections.aigo.onprem.plugins.modules import app_release as module
from ansible_collections.aigo.onprem.plugins.plugin_utils import _release_source

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
PROJECT = """
[project]
name = "tiny"
version = "1.0"
requires-python = ">=3.11"
dependencies = ["dep>=1"]
[project.scripts]
tiny = "tiny:main"
[build-system]
requires = ["uv_build>=0.13,<0.14"]
build-backend = "uv_build"
"""


def make_wheel(directory: Path, name: str, version: str, files: dict[str, str], tag: str = "py3-none-any") -> Path:
    """Write a wheel by hand, as an index would offer it."""
    directory.mkdir(exist_ok=True)
    path = directory / f"{name}-{version}-{tag}.whl"
    info = f"{name}-{version}.dist-info"
    files = files | {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    record = "".join(f"{file},sha256={_record_hash(text)},{len(text)}\n" for file, text in files.items())
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in (files | {f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}).items():
            archive.writestr(file, text)
    return path


def _record_hash(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


def lock_line(wheel: Path) -> str:
    name, version = wheel.name.split("-")[:2]
    return f"{name}=={version} \\\n    --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"


class Site:
    """A controller with a project, a lock and a package index that is a directory, and one host."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.root = root
        self.index, self.cache, self.host, self.source = (root / name for name in ("index", "cache", "host", "source"))
        dep = make_wheel(self.index, "dep", "1.0", {"dep.py": "VALUE = 42\n"})
        # What hosts install with is the real uv, reached through a wheel that carries a script.
        script = f'#!/bin/sh\nexec {_release_source._uv()} "$@"\n'
        installer = make_wheel(self.index, "uv", "1.0", {"uv-1.0.data/scripts/uv": script})
        (self.source / "src" / "tiny").mkdir(parents=True)
        (self.source / "locks").mkdir()
        (self.source / "pyproject.toml").write_text(PROJECT)
        (self.source / "locks" / f"py{VERSION.replace('.', '')}.txt").write_text(f"# a comment\n{lock_line(dep)}")
        (self.source / "locks" / "installer.txt").write_text(lock_line(installer))
        self.write("one")
        self.sent: list[dict[str, Any]] = []
        self.transferred: list[list[str]] = []
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_FIND_LINKS", str(self.index))
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)

        def execute(_action: Any, module_args: dict[str, Any], **_options: Any) -> dict[str, Any]:
            self.sent.append(module_args)
            with patch_module_args(module_args | {"_ansible_check_mode": self.check}), pytest.raises(SystemExit):
                module.main()
            answer: dict[str, Any] = json.loads(capsys.readouterr().out)
            if answer.get("failed"):
                raise AnsibleError(answer["msg"])
            return answer

        def transfer(_action: Any, local: str, remote: str) -> None:
            self.transferred.append(subprocess.check_output(["tar", "tf", local], text=True).split())
            shutil.copy(local, remote)

        def make_tmp(action: Any) -> None:
            action._connection._shell.tmpdir = str(root)

        monkeypatch.setattr(ActionModule, "_execute_module", execute)
        monkeypatch.setattr(ActionModule, "_transfer_file", transfer)
        monkeypatch.setattr(ActionModule, "_make_tmp_path", make_tmp)

    def write(self, text: str) -> None:
        code = f"import dep\n\ndef main():\n    print({text!r}, dep.VALUE)\n"
        (self.source / "src" / "tiny" / "__init__.py").write_text(code)

    def run(self, *, check: bool = False, **options: Any) -> dict[str, Any]:
        self.check = check
        self.sent.clear()
        self.transferred.clear()
        task = Task.load({"action": "aigo.onprem.app_release", "check_mode": check})
        task.args = {
            "source": str(self.source),
            "directory": str(self.host),
            "cache": str(self.cache),
            "python": sys.executable,
            **options,
        }
        connection = connection_loader.get("local", PlayContext())
        result: dict[str, Any] = ActionModule(task, connection, PlayContext(), DataLoader(), None, None).run(
            task_vars={}
        )
        return result

    def answer(self) -> str:
        return subprocess.check_output([self.host / "current" / "bin" / "tiny"], text=True).strip()


@pytest.fixture
def pristine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Site:
    """A site whose controller has fetched nothing yet."""
    return Site(tmp_path, monkeypatch, capsys)


@pytest.fixture
def site(pristine: Site) -> Site:
    """A site whose cache is complete, which spares the tests a second each."""
    pristine.cache.mkdir()
    shutil.copytree(pristine.index, pristine.cache / "wheels")
    return pristine


def test_first_run_installs_and_activates_and_the_second_asks_once_and_changes_nothing(pristine: Site) -> None:
    first = pristine.run()
    assert first["changed"]
    assert first["installed"]
    assert first["activated"]
    assert pristine.answer() == "one 42"
    assert pristine.transferred == [
        ["dep-1.0-py3-none-any.whl", "tiny-1.0-py3-none-any.whl", "uv-1.0-py3-none-any.whl"]
    ]
    second = pristine.run()
    assert not second["changed"]
    assert len(pristine.sent) == 1
    assert second["release"] == first["release"]


def test_release_is_readable_by_the_service_and_writable_by_nobody_else(site: Site) -> None:
    path = Path(site.run()["path"])
    modes = [entry.stat().st_mode for entry in (path, *path.rglob("*")) if not entry.is_symlink()]
    assert all(mode & 0o004 and not mode & 0o022 for mode in modes)
    assert list(path.rglob("*.pyc"))


def test_edited_source_is_another_release_and_sends_its_own_wheel_alone(site: Site) -> None:
    first = site.run()
    site.write("two")
    second = site.run()
    assert second["release"] != first["release"]
    assert second["previous"] == first["release"]
    assert site.transferred == [["tiny-1.0-py3-none-any.whl"]]
    assert site.answer() == "two 42"


def test_release_is_named_by_content_and_not_by_times_or_bytecode(site: Site) -> None:
    first = site.run(check=True)["release"]
    os.utime(site.source / "src" / "tiny" / "__init__.py", (1, 1))
    (site.source / "src" / "tiny" / "__pycache__").mkdir()
    (site.source / "src" / "tiny" / "__pycache__" / "x.pyc").write_text("")
    assert site.run(check=True)["release"] == first
    lock = next((site.source / "locks").glob("py*.txt"))
    lock.write_text(lock.read_text() + "# another\n")
    assert site.run(check=True)["release"] != first


def test_installed_release_is_not_current_before_it_is_activated(site: Site) -> None:
    site.run()
    site.write("two")
    installed = site.run(activate=False)
    assert installed["installed"]
    assert not installed["activated"]
    assert site.answer() == "one 42"
    assert site.run()["activated"]
    assert len(site.sent) == 1
    assert site.answer() == "two 42"


def test_roll_back_and_forth(site: Site) -> None:
    first = site.run()["release"]
    site.write("two")
    second = site.run()["release"]
    back = site.run(state="rolled_back")
    assert (back["release"], back["previous"]) == (first, second)
    assert site.answer() == "one 42"
    site.run(state="rolled_back")
    assert site.answer() == "two 42"


def test_roll_back_without_a_previous_release_is_an_error(site: Site) -> None:
    site.run()
    with pytest.raises(AnsibleError, match="no previous release to go back to"):
        site.run(state="rolled_back")


def test_old_releases_go_and_the_previous_one_stays(site: Site) -> None:
    names = []
    for text in ("one", "two", "three"):
        site.write(text)
        result = site.run(keep=1)
        names.append(result["release"])
    assert result["pruned"] == names[:1]
    assert sorted(path.name for path in (site.host / "releases").iterdir()) == sorted(names[1:])


def test_interrupted_installation_does_not_count_and_is_done_again(site: Site) -> None:
    path = Path(site.run()["path"])
    (path / ".release.json").unlink()
    (path / "rubbish").write_text("")
    assert site.run()["installed"]
    assert not (path / "rubbish").exists()
    assert site.answer() == "one 42"


def test_check_mode_on_a_pristine_host_predicts_and_touches_nothing(pristine: Site) -> None:
    result = pristine.run(check=True)
    assert result["changed"]
    assert f"current: {result['release']}" in result["diff"]["after"]
    assert not pristine.host.exists()
    assert not pristine.cache.exists()


def test_complete_cache_needs_no_index(pristine: Site) -> None:
    pristine.run()
    shutil.rmtree(pristine.index)
    shutil.rmtree(pristine.host)
    assert pristine.run()["installed"]


def test_damaged_wheel_in_the_cache_is_fetched_again(site: Site) -> None:
    site.run()
    shutil.rmtree(site.host)
    (site.cache / "wheels" / "dep-1.0-py3-none-any.whl").write_text("damaged")
    site.run()
    assert site.answer() == "one 42"


def test_carried_wheelhouse_is_used_without_an_index_and_says_what_it_lacks(
    pristine: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    carried = pristine.index.rename(pristine.root / "carried")
    assert pristine.run(wheelhouse=str(carried))["installed"]
    shutil.rmtree(pristine.host)
    (carried / "dep-1.0-py3-none-any.whl").unlink()
    with pytest.raises(AnsibleError, match=rf"lacks, for Python {VERSION} on {platform.machine()}.*: dep 1\.0"):
        pristine.run(wheelhouse=str(carried))


def test_index_that_offers_another_file_is_refused(pristine: Site) -> None:
    make_wheel(pristine.index, "dep", "1.0", {"dep.py": "VALUE = 'evil'\n"})
    with pytest.raises(AnsibleError, match=r"can't fetch .*dep 1\.0"):
        pristine.run()
    assert not (pristine.host / "releases").exists()


def test_wheel_damaged_on_the_way_is_refused_by_the_host(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def damage(_action: Any, local: str, remote: str) -> None:
        broken = site.root / "broken"
        broken.mkdir()
        subprocess.run(["tar", "xf", local, "-C", broken], check=True)
        (broken / "dep-1.0-py3-none-any.whl").write_text("damaged")
        subprocess.run(["tar", "cf", remote, "-C", broken, *(path.name for path in broken.iterdir())], check=True)

    monkeypatch.setattr(ActionModule, "_transfer_file", damage)
    with pytest.raises(AnsibleError, match=r"dep-1\.0-py3-none-any\.whl was damaged"):
        site.run()
    assert not (site.host / "current").exists()


def test_lock_that_lacks_a_dependency_fails_and_leaves_no_release(site: Site) -> None:
    lock = next((site.source / "locks").glob("py*.txt"))
    lock.write_text("")
    with pytest.raises(AnsibleError, match=r"(?s)uv pip install failed.*dep"):
        site.run()
    assert not (site.host / "current").exists()
    assert not list((site.host / "releases").glob("*/.release.json"))


def test_host_whose_python_has_no_lock_is_an_error_that_names_both(site: Site) -> None:
    lock = next((site.source / "locks").glob("py*.txt"))
    lock.rename(lock.with_name("py39.txt"))
    with pytest.raises(AnsibleError, match=rf"host's Python is {VERSION}, and the application has locks for 3\.9 only"):
        site.run()


def test_bad_options_and_sources_are_named(site: Site) -> None:
    with pytest.raises(AnsibleError, match="source is missing"):
        site.run(source=None)
    with pytest.raises(AnsibleError, match="keep is 0"):
        site.run(keep=0)
    with pytest.raises(AnsibleError, match=r"has no pyproject\.toml"):
        site.run(source=str(site.root))
    (site.source / "locks" / "installer.txt").unlink()
    with pytest.raises(AnsibleError, match=r"installer\.txt is missing; it pins uv"):
        site.run()
