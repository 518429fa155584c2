"""A set is had as a whole or not at all: the module in process, real files and validators, a systemctl of its own."""

from __future__ import annotations

import getpass
import grp
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args

from ansible_collections.aigo.onprem.plugins.module_utils import _config_set_apply, _config_set_units, _files
from ansible_collections.aigo.onprem.plugins.module_utils._config_set_spec import pack
from ansible_collections.aigo.onprem.plugins.modules import config_set

OWNER = {"owner": getpass.getuser(), "group": grp.getgrgid(os.getegid()).gr_name}

# Starting reads the service's file: "refuse" makes systemctl fail, "crash" makes the unit die after it was started.
SYSTEMCTL = """#!/bin/sh
echo "$*" | sed 's/ -- / /' >> "$FAKE/calls"
active="$FAKE/active"
case "$1" in
show)
    shift; while [ "$1" != -- ]; do shift; done; shift
    for unit; do
        now=$(cat "$active-$unit" 2>/dev/null || echo inactive)
        file=$(cat "$FAKE/file-$unit" 2>/dev/null || echo disabled)
        printf 'LoadState=loaded\\nActiveState=%s\\nUnitFileState=%s\\nType=notify\\n\\n' "$now" "$file"
    done ;;
start|restart|reload|reload-or-restart)
    grep -qs refuse "$FAKE/service.conf" && { echo 'Job failed' >&2; exit 1; }
    if grep -qs crash "$FAKE/service.conf"; then echo failed; else echo active; fi > "$active-$3" ;;
stop) echo inactive > "$active-$3" ;;
enable) echo enabled > "$FAKE/file-$3" ;;
disable) echo disabled > "$FAKE/file-$3" ;;
esac
"""


class Host:
    """A directory that is a host: its files, its systemd, and the module run on it."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.root = root / "host"
        self.state = root / "state" / "config_set"
        self._capsys = capsys
        programs = root / "bin"
        for directory in (self.root, programs):
            directory.mkdir()
        for name, text in {"systemctl": SYSTEMCTL, "journalctl": "#!/bin/sh\necho 'the unit says why'\n"}.items():
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        monkeypatch.setenv("FAKE", str(self.root))
        monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
        monkeypatch.setattr(config_set.run, "__defaults__", (self.state,))
        monkeypatch.setattr(_config_set_units, "_SETTLE", 0)
        self.warnings: list[str] = []
        monkeypatch.setattr(AnsibleModule, "warn", lambda _module, text: self.warnings.append(text))

    def run(self, check: bool = False, **options: Any) -> dict[str, Any]:
        payload = pack({"name": "demo", "units": [{"name": "demo"}], **options})
        arguments = {"name": "demo", "payload": payload, "_ansible_check_mode": check, "_ansible_diff": True}
        with patch_module_args(arguments), pytest.raises(SystemExit):
            config_set.main()
        result: dict[str, Any] = json.loads(self._capsys.readouterr().out)
        return result

    def file(self, name: str, content: str | None, **options: Any) -> dict[str, Any]:
        return {"path": str(self.root / name), "content": content, "mode": "0644", **OWNER, **options}

    def configure(self, content: str, check: bool = False, **options: Any) -> dict[str, Any]:
        return self.run(check, files=[self.file("service.conf", content)], **options)

    def snapshot(self) -> dict[str, tuple[int, str]]:
        """Every file of the host but those of the systemctl: mode and content."""
        return {
            str(path.relative_to(self.root)): (
                stat.S_IMODE(path.stat().st_mode),
                path.read_text() if path.is_file() else "",
            )
            for path in sorted(self.root.rglob("*"))
            if not path.name.startswith(("calls", "active-", "file-"))
        }

    def calls(self) -> list[str]:
        """What systemctl was asked since the last time, without its reading."""
        log = self.root / "calls"
        calls = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return calls

    def acts(self) -> list[str]:
        return [call for call in self.calls() if not call.startswith("show")]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Host:
    return Host(tmp_path, monkeypatch, capsys)


def test_a_pristine_host_gets_the_set_and_the_second_run_only_looks(host: Host) -> None:
    first = host.configure("one\n")
    assert (first["changed"], first["activated"]) == (True, ["demo.service"])
    assert host.acts() == ["enable demo.service", "start demo.service"]
    second = host.configure("one\n")
    assert (second["changed"], second["files"], second["activated"], second["diff"]) == (False, [], [], [])
    assert len(host.calls()) == 1


def test_a_changed_file_restarts_and_a_changed_mode_does_too(host: Host) -> None:
    host.configure("one\n")
    host.acts()
    host.configure("two\n")
    assert host.acts() == ["restart demo.service"]
    (host.root / "service.conf").chmod(0o600)
    assert host.configure("two\n")["files"] == [str(host.root / "service.conf")]
    assert stat.S_IMODE((host.root / "service.conf").stat().st_mode) == 0o644


def test_check_mode_tells_all_and_touches_nothing(host: Host) -> None:
    result = host.configure("one\n", check=True, validate=["no-such-validator"])
    assert (result["changed"], result["activated"]) == (True, ["demo.service"])
    assert result["diff"][0]["after"] == "one\n"
    assert host.snapshot() == {}
    assert not host.state.exists()
    assert host.acts() == []


def test_check_mode_warns_of_a_set_that_would_be_refused(host: Host) -> None:
    result = host.configure("one\n", check=True, validate=[f"grep two {host.root}/service.conf"])
    assert "refuses the new files" in host.warnings[0]
    assert not result.get("failed")


def test_check_mode_predicts_on_a_host_without_the_account(host: Host) -> None:
    result = host.run(check=True, files=[host.file("x", "text", owner="no-such-user")])
    assert (result["changed"], result.get("failed")) == (True, None)


def test_an_unknown_account_is_refused_before_anything_changes(host: Host) -> None:
    result = host.run(files=[host.file("x", "text", owner="no-such-user"), host.file("y", "text")])
    assert "no user no-such-user" in result["msg"]
    assert host.snapshot() == {}


def test_validators_see_the_whole_new_set_at_its_real_paths(host: Host) -> None:
    (host.root / "conf.d").mkdir()
    (host.root / "conf.d" / "stale").write_text("stale")
    (host.root / "conf.d" / "kept").write_text("kept")
    (host.root / "conf.d" / "link").symlink_to("kept")
    (host.root / "changed").write_text("old")
    checks = [
        f"grep -q new {host.root}/changed",
        f"grep -q fresh {host.root}/conf.d/fresh",
        f"grep -q deep {host.root}/conf.d/a/b",
        f"test -f {host.root}/conf.d/kept -a -L {host.root}/conf.d/link",
        f"test ! -e {host.root}/conf.d/stale",
        f"sh -c 'test `stat -c %a {host.root}/conf.d/fresh` = 600'",
    ]
    files = [
        host.file("changed", "new"),
        host.file("conf.d/fresh", "fresh", mode="0600"),
        host.file("conf.d/a/b", "deep"),
        host.file("conf.d/stale", None),
    ]
    result = host.run(files=files, validate=checks)
    assert not result.get("failed"), result["msg"]


def test_others_see_the_old_files_while_the_new_ones_are_validated(host: Host) -> None:
    host.configure("old\n")
    outside = f"/proc/{os.getpid()}/root{host.root}/service.conf"
    result = host.configure("new\n", validate=[f"grep -q new {host.root}/service.conf", f"grep -q old {outside}"])
    assert not result.get("failed"), result["msg"]


def test_a_refused_set_leaves_all_as_it_was(host: Host) -> None:
    files = [host.file("service.conf", "one"), host.file("other.conf", "one")]
    host.run(files=files, purge=[])
    (host.root / "owned").mkdir()
    (host.root / "owned" / "stale").write_text("stale")
    before = host.snapshot()
    host.acts()
    result = host.run(
        files=[host.file("service.conf", "two"), host.file("other.conf", None), host.file("new/deep", "x")],
        purge=[str(host.root / "owned")],
        validate=["sh -c 'echo line 7 is bad >&2; exit 3'"],
    )
    assert (result["failed"], result["step"]) == (True, "validate")
    assert "line 7 is bad" in result["msg"]
    assert host.snapshot() == before
    assert host.acts() == []


def test_a_missing_validator_is_refused_before_anything_changes(host: Host) -> None:
    result = host.configure("one\n", validate=["no-such-validator --all"])
    assert "'no-such-validator' is not on this host" in result["msg"]
    assert host.snapshot() == {}


@pytest.mark.parametrize("fault", ["refuse", "crash"])
def test_a_unit_that_does_not_come_up_brings_all_back(host: Host, fault: str) -> None:
    (host.root / "owned").mkdir()
    host.run(files=[host.file("service.conf", "good"), host.file("removed.conf", "here", mode="0600")])
    (host.root / "owned" / "stale.d").mkdir(mode=0o711)
    (host.root / "owned" / "stale.d" / "x").write_text("stale")
    before = host.snapshot()
    host.acts()
    result = host.run(
        files=[host.file("service.conf", fault), host.file("removed.conf", None), host.file("new/deep", "x")],
        purge=[str(host.root / "owned")],
    )
    assert (result["failed"], result["step"], result["unit"]) == (True, "activate", "demo.service")
    assert "the unit says why" in result["msg"]
    assert host.snapshot() == before
    assert host.acts() == ["restart demo.service", "reset-failed demo.service", "restart demo.service"]


def test_an_activation_that_was_lost_happens_in_the_next_run(host: Host) -> None:
    host.configure("good")
    host.configure("crash")
    host.acts()
    assert host.configure("good")["activated"] == ["demo.service"]
    assert host.acts() == ["restart demo.service"]
    assert host.configure("good")["changed"] is False


def test_a_new_unit_that_fails_is_stopped_and_disabled_again(host: Host) -> None:
    host.configure("crash")
    assert host.acts()[-3:] == ["stop demo.service", "reset-failed demo.service", "disable demo.service"]
    assert host.snapshot() == {}


def test_units_are_activated_in_their_order_and_none_after_a_failure(host: Host) -> None:
    units = [{"name": "first"}, {"name": "second"}]
    host.configure("good", units=units)
    host.acts()
    host.configure("better", units=units)
    assert host.acts() == ["restart first.service", "restart second.service"]
    host.configure("refuse", units=units)
    assert not any("second" in call for call in host.acts())


def test_a_failed_write_brings_all_back(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.run(files=[host.file("a", "one"), host.file("b", "one")])
    before = host.snapshot()
    real = _files.put_entry

    def full(path: str, entry: Any) -> None:
        if path.endswith("/b"):
            raise OSError(28, "No space left on device")
        real(path, entry)

    monkeypatch.setattr(_config_set_apply, "put_entry", full)
    result = host.run(files=[host.file("a", "two"), host.file("b", "two")])
    assert (result["failed"], result["step"]) == (True, "write")
    assert "No space left" in result["msg"]
    assert host.snapshot() == before


@pytest.mark.parametrize("moment", ["put_entry", "confirm"])
def test_a_killed_run_is_undone_by_the_next(host: Host, moment: str) -> None:
    host.configure("good")
    with pytest.MonkeyPatch.context() as patch:

        def killed(*_arguments: Any) -> None:
            (host.root / "service.conf").write_text("half")
            raise KeyboardInterrupt

        patch.setattr(_config_set_apply, moment, killed)
        with pytest.raises(KeyboardInterrupt):
            host.configure("better")
    host.acts()
    result = host.configure("good")
    assert "was killed" in host.warnings[0]
    assert (result["changed"], result["files"], result["activated"]) == (True, [], ["demo.service"])
    assert (host.root / "service.conf").read_text() == "good"
    assert host.configure("good")["changed"] is False


def test_a_killed_run_does_not_stand_in_the_way_of_a_set_that_mends(host: Host) -> None:
    host.configure("refuse")
    (host.root / "active-demo.service").write_text("active")
    (host.root / "service.conf").write_text("refuse")

    def killed(*_arguments: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_config_set_apply, "confirm", killed)
        with pytest.raises(KeyboardInterrupt):
            host.configure("better")
    assert host.configure("good")["activated"] == ["demo.service"]
    assert (host.root / "service.conf").read_text() == "good"


def test_a_second_run_of_the_same_set_is_kept_out(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    inner: list[dict[str, Any]] = []
    monkeypatch.setattr(_config_set_apply, "confirm", lambda *_arguments: inner.append(host.configure("two")))
    host.configure("one")
    assert "another run is at work" in inner[0]["msg"]


def test_a_unit_file_makes_systemd_read_again_before_the_start(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "ansible_collections.aigo.onprem.plugins.module_utils._config_set._UNIT_DIRECTORIES", (f"{host.root}/units/",)
    )
    host.run(files=[host.file("units/demo.service", "[Service]\n")])
    assert host.acts() == ["daemon-reload", "enable demo.service", "start demo.service"]


def test_a_unit_is_stopped_before_its_file_goes(host: Host) -> None:
    units = [{"name": "demo", "state": "stopped"}]
    host.configure("good")
    host.acts()
    seen: list[bool] = []
    with pytest.MonkeyPatch.context() as patch:
        real = _config_set_units.take_step

        def take(*arguments: Any) -> None:
            seen.append((host.root / "service.conf").exists())
            real(*arguments)

        patch.setattr(_config_set_apply, "take_step", take)
        host.run(files=[host.file("service.conf", None)], units=units)
    assert seen == [True]
    assert not (host.root / "service.conf").exists()


def test_secrets_stay_out_of_the_result_and_the_state(host: Host) -> None:
    secret = "Zx81Qw77Lm55"
    private = host.file("key", f"token {secret}\n", mode="0600")
    done = host.run(files=[private])
    refused = host.run(
        files=[{**private, "content": f"new {secret}\n"}], validate=[f"sh -c 'cat {private['path']}; exit 1'"]
    )
    assert "new ********" in refused["msg"]
    assert secret not in json.dumps([done, refused])
    for path in host.state.rglob("*"):
        assert secret not in path.read_text()
        assert not path.stat().st_mode & 0o077 or path.stat().st_size == 0


def test_the_module_alone_says_how_to_call_it(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    with patch_module_args({"name": "demo"}), pytest.raises(SystemExit):
        config_set.main()
    assert "call it as a task" in json.loads(capsys.readouterr().out)["msg"]
