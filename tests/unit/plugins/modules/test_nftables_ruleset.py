"""Rules are in force at once, but kept only when they are confirmed: with an nft whose tables are files."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.aigo.onprem.plugins.modules import nftables_ruleset

# One table, whose listing is the text that was loaded after its `delete` line; "bad" is refused by the check.
NFT = """#!/bin/sh
echo "nft $*" >> "$FAKE/calls"
case "$*" in
*--version*) exit 0 ;;
*"list table"*) cat "$FAKE/kernel" 2>/dev/null || { echo 'No such file or directory' >&2; exit 1; } ;;
*--check*) for file; do :; done; grep -q bad "$file" && { echo 'syntax error: bad' >&2; exit 1; }; exit 0 ;;
*) for file; do :; done
    grep -q unloadable "$file" && { echo 'cannot load' >&2; exit 1; }
    grep -A99 '^table.*{' "$file" > "$FAKE/kernel" || rm "$FAKE/kernel" ;;
esac
"""
# Keeps the command for `fire`, instead of a timer.
SYSTEMD_RUN = """#!/bin/sh
echo "systemd-run $*" >> "$FAKE/calls"
[ -e "$FAKE/no-timer" ] && { echo 'no bus' >&2; exit 1; }
while [ "$1" != -- ]; do shift; done; shift
for word; do printf '%s\\n' "$word"; done > "$FAKE/armed"
"""
SYSTEMCTL = '#!/bin/sh\necho "systemctl $*" >> "$FAKE/calls"\n[ "$1" = stop ] && rm -f "$FAKE/armed"\nexit 0\n'


def rules(port: int | str = 22) -> str:
    return f"table inet aigo {{\n\ttcp dport {port} accept\n}}\n"


class Host:
    """A kernel with one table, a timer that fires when it is told to, and the module run on it."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.root = root
        self.boot = root / "nftables.d" / "aigo.nft"
        self.state = root / "lib" / "nftables"
        self._capsys = capsys
        (root / "bin").mkdir()
        for name, text in {"nft": NFT, "systemd-run": SYSTEMD_RUN, "systemctl": SYSTEMCTL}.items():
            (root / "bin" / name).write_text(text)
            (root / "bin" / name).chmod(0o755)
        monkeypatch.setenv("FAKE", str(root))
        monkeypatch.setenv("PATH", f"{root}/bin:{os.environ['PATH']}")
        monkeypatch.setattr(nftables_ruleset.run, "__defaults__", (self.state,))

    def run(self, ruleset: str, check: bool = False, **options: Any) -> dict[str, Any]:
        arguments = {"ruleset": ruleset, "path": str(self.boot), "_ansible_check_mode": check, "_ansible_diff": True}
        with patch_module_args({**arguments, **options}), pytest.raises(SystemExit):
            nftables_ruleset.main()
        result: dict[str, Any] = json.loads(self._capsys.readouterr().out)
        return result

    def keep(self, ruleset: str) -> dict[str, Any]:
        """Load and, as the action does, confirm."""
        loaded = self.run(ruleset)
        return self.run(ruleset, phase="confirm", token=loaded["token"]) if loaded.get("token") else loaded

    def fire(self) -> None:
        """Let the timer's time be over."""
        subprocess.run((self.root / "armed").read_text().splitlines(), check=False)

    @property
    def kernel(self) -> str:
        file = self.root / "kernel"
        return file.read_text() if file.exists() else ""

    def calls(self) -> list[str]:
        calls = (self.root / "calls").read_text().splitlines()
        (self.root / "calls").unlink()
        return calls


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Host:
    return Host(tmp_path, monkeypatch, capsys)


def test_loaded_rules_are_in_force_but_not_yet_for_the_boot(host: Host) -> None:
    result = host.run(rules())
    assert (result["changed"], result["loaded"]) == (True, True)
    assert host.kernel == rules()
    assert not host.boot.exists()
    assert (host.root / "armed").exists()


def test_the_timer_is_set_before_the_rules_are_loaded(host: Host) -> None:
    host.run(rules(), confirm_timeout=45)
    calls = host.calls()
    armed = next(i for i, call in enumerate(calls) if call.startswith("systemd-run"))
    loaded = next(i for i, call in enumerate(calls) if call.startswith("nft --file"))
    assert armed < loaded
    assert "--on-active=45" in calls[armed]


def test_confirmed_rules_stay_and_are_loaded_at_boot(host: Host) -> None:
    assert not host.keep(rules()).get("failed")
    assert host.boot.read_text().endswith(rules())
    assert not (host.root / "armed").exists()
    assert not list(host.state.glob("*.pending"))


def test_a_second_run_changes_nothing_and_arms_nothing(host: Host) -> None:
    host.keep(rules())
    host.calls()
    result = host.keep(rules())
    assert (result["changed"], result["loaded"], result["written"]) == (False, False, False)
    assert host.calls() == ["nft --version", "nft --stateless list table inet aigo"]


def test_rules_that_nobody_confirms_are_taken_back(host: Host) -> None:
    host.keep(rules(22))
    token = host.run(rules(2222))["token"]
    assert host.kernel == rules(2222)
    host.fire()
    assert host.kernel == rules(22)
    late = host.run(rules(2222), phase="confirm", token=token)
    assert "taken its former rules back" in late["msg"]
    assert host.boot.read_text().endswith(rules(22))
    assert host.keep(rules(22))["changed"] is False


def test_the_first_rules_of_a_host_are_taken_back_to_none(host: Host) -> None:
    host.run(rules())
    host.fire()
    assert host.kernel == ""


def test_a_timer_that_fires_after_the_confirmation_does_nothing(host: Host) -> None:
    token = host.run(rules())["token"]
    armed = (host.root / "armed").read_text()
    host.run(rules(), phase="confirm", token=token)
    (host.root / "armed").write_text(armed)
    host.fire()
    assert host.kernel == rules()


def test_a_run_that_was_killed_before_it_confirmed_is_undone_first(host: Host) -> None:
    host.keep(rules(22))
    host.run(rules(2222))
    assert host.keep(rules(22))["loaded"] is False
    assert host.kernel == rules(22)


def test_flushed_rules_are_loaded_again(host: Host) -> None:
    host.keep(rules())
    (host.root / "kernel").unlink()
    assert host.run(rules())["loaded"] is True
    assert host.kernel == rules()


def test_rules_changed_by_hand_are_loaded_again(host: Host) -> None:
    host.keep(rules())
    (host.root / "kernel").write_text(rules("1-65535"))
    host.keep(rules())
    assert host.kernel == rules()


def test_a_missing_file_for_the_boot_is_written_without_loading(host: Host) -> None:
    host.keep(rules())
    host.boot.unlink()
    result = host.keep(rules())
    assert (result["changed"], result["loaded"], result["written"]) == (True, False, True)
    assert host.boot.read_text().endswith(rules())


def test_rules_that_nft_refuses_change_nothing(host: Host) -> None:
    host.keep(rules())
    assert "syntax error: bad" in host.run(rules("bad"))["msg"]
    assert host.kernel == rules()
    assert not (host.root / "armed").exists()


def test_rules_that_the_kernel_refuses_leave_no_timer(host: Host) -> None:
    host.keep(rules())
    assert "cannot load" in host.run(rules("unloadable"))["msg"]
    assert host.kernel == rules()
    assert not (host.root / "armed").exists()
    assert not list(host.state.glob("*.pending"))


def test_nothing_is_loaded_without_a_timer(host: Host) -> None:
    (host.root / "no-timer").touch()
    assert "timer" in host.run(rules())["msg"]
    assert host.kernel == ""


def test_a_listing_that_fails_is_not_taken_for_an_empty_table(host: Host) -> None:
    host.keep(rules())
    nft = host.root / "bin" / "nft"
    nft.write_text(
        NFT.replace('cat "$FAKE/kernel" 2>/dev/null ||', "false ||").replace("No such file or directory", "denied")
    )
    assert "denied" in host.run(rules(23))["msg"]
    assert host.kernel == rules()


def test_check_mode_predicts_checks_and_touches_nothing(host: Host) -> None:
    result = host.run(rules(), check=True)
    assert (result["changed"], result["loaded"]) == (True, True)
    assert result["diff"]["after"].endswith(rules())
    assert "syntax error: bad" in host.run(rules("bad"), check=True)["msg"]
    assert host.kernel == ""
    assert not host.state.exists()


def test_check_mode_predicts_on_a_host_without_nft(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    (host.root / "bin" / "nft").write_text("#!/bin/sh\nexit 127\n")
    assert host.run(rules(), check=True)["changed"] is True
    assert "install the package nftables" in host.run(rules())["msg"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"confirm_timeout": 5}, "confirm_timeout 5 is not between 20 and 60"),
        ({"path": "aigo.nft"}, "'aigo.nft' is not absolute"),
        ({"path": "/etc/$(id).nft"}, "a plain name"),
        ({"ruleset": "flush ruleset"}, "'flush ruleset'"),
    ],
)
def test_bad_options_are_told(host: Host, options: dict[str, Any], said: str) -> None:
    assert said in host.run(**{"ruleset": rules(), **options})["msg"]
